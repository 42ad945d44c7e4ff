-- One version of the gate's program for many gates, ring by ring, and what each gate says of it (P-6 dn/job, up/job).

-- One at a time in a district. job: its number in the orders to the gates, which only rises; the number after it is
-- for the order that takes it back. What a gate stays on is its own decision; a rollout that fails tells no further
-- ring. Holds no person.
CREATE TABLE release_rollout (
    district_id uuid        NOT NULL CONSTRAINT release_rollout_district REFERENCES district (id),
    job         bigint      NOT NULL CONSTRAINT release_rollout_job CHECK (job BETWEEN 1 AND 4294967295),
    version     text        NOT NULL CONSTRAINT release_rollout_version CHECK (version ~ '^[0-9]{1,5}(\.[0-9]{1,5}){2}$'),
    ring        smallint    NOT NULL DEFAULT 1 CONSTRAINT release_rollout_ring CHECK (ring BETWEEN 1 AND 16),
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    outcome     text        CONSTRAINT release_rollout_outcome CHECK (outcome IN ('done', 'stopped', 'failed')),
    CONSTRAINT release_rollout_pkey PRIMARY KEY (district_id, job),
    CONSTRAINT release_rollout_ended_whole CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
CREATE UNIQUE INDEX release_rollout_one_at_a_time ON release_rollout (district_id) WHERE ended_at IS NULL;

-- state: waiting, told, then what the gate says. code: why it went back or failed, in the gate's words.
CREATE TABLE release_gate (
    district_id uuid        NOT NULL,
    job         bigint      NOT NULL,
    gate        bigint      NOT NULL,
    ring        smallint    NOT NULL CONSTRAINT release_gate_ring CHECK (ring BETWEEN 1 AND 16),
    state       text        NOT NULL DEFAULT 'waiting'
                CONSTRAINT release_gate_state CHECK (state IN ('waiting', 'told', 'downloading', 'verified', 'installed',
                                                               'trial', 'committed', 'rolled_back', 'failed')),
    code        text        CONSTRAINT release_gate_code CHECK (code ~ '^[A-Z_]{1,32}$'),
    running     text        CONSTRAINT release_gate_running CHECK (running ~ '^[0-9]{1,5}(\.[0-9]{1,5}){2}$'),
    told_at     timestamptz,
    answered_at timestamptz,
    CONSTRAINT release_gate_pkey PRIMARY KEY (district_id, job, gate),
    CONSTRAINT release_gate_of FOREIGN KEY (district_id, job) REFERENCES release_rollout (district_id, job),
    CONSTRAINT release_gate_gate FOREIGN KEY (district_id, gate) REFERENCES gate (district_id, gate),
    CONSTRAINT release_gate_told_whole CHECK ((state = 'waiting') = (told_at IS NULL))
);

SELECT tenant_wall('release_rollout');
SELECT tenant_wall('release_gate');
SELECT only_staff_write(walled) FROM unnest(ARRAY['release_rollout', 'release_gate']::regclass[]) AS walled;
REVOKE DELETE ON release_rollout, release_gate FROM portillon_app;
