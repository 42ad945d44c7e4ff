-- Jobs: what follows from a fact, entered in the fact's own transaction (it is the outbox; there is no second one).
-- A job is run inside the transaction that deletes it: whoever is killed in between has done nothing, and another
-- worker finds the row unlocked. No heartbeats, no stalled states. Ids only: nothing personal stands in `what`.
CREATE TABLE job (
    id          bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT job_pkey PRIMARY KEY,
    fact        text        NOT NULL CONSTRAINT job_fact CHECK (fact ~ '^[A-Z][A-Za-z]{1,39}$'),
    district_id uuid        REFERENCES district (id),
    what        jsonb       NOT NULL DEFAULT '{}' CONSTRAINT job_what CHECK (octet_length(what::text) <= 65536),
    run_at      timestamptz NOT NULL,
    tries       smallint    NOT NULL DEFAULT 0,
    last_fault  text        CONSTRAINT job_last_fault CHECK (length(last_fault) <= 500),
    failed_at   timestamptz
);
CREATE INDEX job_next ON job (run_at, id) WHERE failed_at IS NULL;

-- What is due by the clock: one row each, moved forward by whichever worker comes first.
CREATE TABLE schedule (
    fact   text        NOT NULL CONSTRAINT schedule_pkey PRIMARY KEY,
    ran_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON job TO portillon_app;
GRANT SELECT, INSERT, UPDATE ON schedule TO portillon_app;
