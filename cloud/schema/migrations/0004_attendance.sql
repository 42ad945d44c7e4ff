-- Attendance: the gates' ledgers as the cloud holds them, the facts they carry, and the days derived from them.
-- A fact is never rejected (I3): the device side has no foreign key to anything that changes; what is unknown is marked.

-- The numbers by which passes and ledgers of one site call children and adults (P-2): random, never reused.
CREATE TABLE site_ref (
    district_id uuid   NOT NULL REFERENCES district (id),
    site        bigint NOT NULL,
    kind        text   NOT NULL CONSTRAINT site_ref_kind CHECK (kind IN ('child', 'person')),
    ref         bigint NOT NULL CONSTRAINT site_ref_range CHECK (ref BETWEEN 1 AND 4294967295),
    child_id    uuid,
    person_id   uuid,
    CONSTRAINT site_ref_pkey PRIMARY KEY (district_id, site, kind, ref),
    CONSTRAINT site_ref_child FOREIGN KEY (district_id, child_id) REFERENCES child (district_id, id),
    CONSTRAINT site_ref_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id),
    CONSTRAINT site_ref_of_its_kind CHECK (
        (kind = 'child' AND person_id IS NULL) OR (kind = 'person' AND child_id IS NULL)),
    CONSTRAINT site_ref_child_once UNIQUE (district_id, site, child_id),
    CONSTRAINT site_ref_person_once UNIQUE (district_id, site, person_id)
);

-- How far the cloud holds each ledger without a gap. The row is also the lock under which a ledger grows.
CREATE TABLE ledger (
    district_id uuid        NOT NULL REFERENCES district (id),
    gate        bigint      NOT NULL,
    epoch       bigint      NOT NULL,
    next_seq    bigint      NOT NULL CONSTRAINT ledger_next_seq CHECK (next_seq >= 0),
    head        bytea       NOT NULL CONSTRAINT ledger_head CHECK (octet_length(head) = 32),
    forks       smallint    NOT NULL DEFAULT 0,
    updated_at  timestamptz NOT NULL,
    CONSTRAINT ledger_pkey PRIMARY KEY (gate, epoch)
);

-- The idempotency key of every event, outside the table that is partitioned by time; head = chain head after it.
CREATE TABLE ingest_receipt (
    district_id uuid        NOT NULL,
    gate        bigint      NOT NULL,
    epoch       bigint      NOT NULL,
    seq         bigint      NOT NULL,
    head        bytea       NOT NULL CONSTRAINT ingest_receipt_head CHECK (octet_length(head) = 32),
    received_at timestamptz NOT NULL,
    CONSTRAINT ingest_receipt_pkey PRIMARY KEY (gate, epoch, seq)
);

-- The same identity with another head: both are kept, this one marked (two gates of one key, or a card put back).
CREATE TABLE ledger_fork (
    district_id uuid        NOT NULL,
    gate        bigint      NOT NULL,
    epoch       bigint      NOT NULL,
    seq         bigint      NOT NULL,
    head        bytea       NOT NULL CONSTRAINT ledger_fork_head CHECK (octet_length(head) = 32),
    fork        smallint    NOT NULL CONSTRAINT ledger_fork_number CHECK (fork >= 1),
    received_at timestamptz NOT NULL,
    CONSTRAINT ledger_fork_pkey PRIMARY KEY (gate, epoch, seq, head)
);

-- One row a child that an event names; part 0 exists for every event and keeps its bytes.
-- code: of the whole event; child_code: of this child; moved: the child went in (direction 1) or out (2).
-- marks: 1 unknown child, 2 unknown adult, 4 time not usable (received_at stands in), 8 not understood.
CREATE TABLE attendance_event (
    district_id uuid        NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    school_day  date        NOT NULL,
    site        bigint      NOT NULL,
    gate        bigint      NOT NULL,
    epoch       bigint      NOT NULL,
    seq         bigint      NOT NULL,
    fork        smallint    NOT NULL DEFAULT 0,
    part        smallint    NOT NULL DEFAULT 0,
    kind        smallint    NOT NULL,
    code        text        NOT NULL DEFAULT '',
    direction   smallint,
    child_ref   bigint,
    child_id    uuid,
    child_code  text,
    moved       boolean     NOT NULL DEFAULT false,
    holder_ref  bigint,
    person_id   uuid,
    staff_ref   bigint,
    staff_id    uuid,
    flags       smallint    NOT NULL DEFAULT 0,
    clock       smallint    NOT NULL,
    marks       smallint    NOT NULL DEFAULT 0,
    body        bytea,
    CONSTRAINT attendance_event_pkey PRIMARY KEY (occurred_at, gate, epoch, seq, fork, part),
    CONSTRAINT attendance_event_body CHECK ((part = 0) = (body IS NOT NULL))
);
CREATE INDEX attendance_event_of_child ON attendance_event (district_id, child_id, school_day) WHERE child_id IS NOT NULL;

-- Derived; rebuilt from events whenever in doubt. source: fact (a pass at a gate), staff (a person's word), declared.
CREATE TABLE attendance_day (
    district_id uuid        NOT NULL,
    child_id    uuid        NOT NULL,
    school_day  date        NOT NULL,
    state       text        NOT NULL CONSTRAINT attendance_day_state CHECK (state IN ('in', 'out', 'absent')),
    since       timestamptz NOT NULL,
    site        bigint      NOT NULL,
    source      text        NOT NULL CONSTRAINT attendance_day_source CHECK (source IN ('fact', 'staff', 'declared')),
    by_person   uuid,
    by_staff    uuid,
    gate        bigint,
    epoch       bigint,
    seq         bigint,
    first_in    timestamptz,
    last_out    timestamptz,
    CONSTRAINT attendance_day_pkey PRIMARY KEY (district_id, child_id, school_day)
);
CREATE INDEX attendance_day_of_site ON attendance_day (district_id, site, school_day);

-- A gate's own word that its day is over: complete when the cloud then held every event (P-5).
CREATE TABLE gate_day (
    district_id uuid        NOT NULL,
    gate        bigint      NOT NULL,
    school_day  date        NOT NULL,
    epoch       bigint      NOT NULL,
    seq         bigint      NOT NULL,
    says        bigint      NOT NULL,
    complete    boolean     NOT NULL,
    CONSTRAINT gate_day_pkey PRIMARY KEY (district_id, gate, school_day, epoch, seq)
);

-- What the cloud would have decided otherwise, and what people must look at: the fact itself stands (I3).
CREATE TABLE attendance_incident (
    district_id uuid        NOT NULL REFERENCES district (id),
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    site        bigint      NOT NULL,
    gate        bigint      NOT NULL,
    epoch       bigint      NOT NULL,
    seq         bigint      NOT NULL,
    code        text        NOT NULL CONSTRAINT attendance_incident_code CHECK (code ~ '^[A-Z][A-Z0-9_]{1,39}$'),
    child_ref   bigint,
    gate_said   text        NOT NULL,
    cloud_says  text        NOT NULL,
    raised_at   timestamptz NOT NULL,
    closed_at   timestamptz,
    CONSTRAINT attendance_incident_pkey PRIMARY KEY (district_id, id),
    CONSTRAINT attendance_incident_once UNIQUE NULLS NOT DISTINCT (gate, epoch, seq, code, child_ref)
);

CREATE TRIGGER attendance_event_append_only BEFORE UPDATE OR DELETE ON attendance_event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER attendance_event_keep BEFORE TRUNCATE ON attendance_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ingest_receipt_append_only BEFORE UPDATE OR DELETE ON ingest_receipt
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ingest_receipt_keep BEFORE TRUNCATE ON ingest_receipt
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_fork_append_only BEFORE UPDATE OR DELETE ON ledger_fork
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_fork_keep BEFORE TRUNCATE ON ledger_fork
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A ledger only grows: a head that went back would receipt an event that is not there.
CREATE FUNCTION refuse_shorter_ledger() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NEW.next_seq < OLD.next_seq OR NEW.forks < OLD.forks OR NEW.gate <> OLD.gate OR NEW.epoch <> OLD.epoch THEN
        RAISE EXCEPTION 'ledger of gate % only grows', OLD.gate
            USING ERRCODE = '23001', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_only_grows BEFORE UPDATE ON ledger FOR EACH ROW EXECUTE FUNCTION refuse_shorter_ledger();
CREATE TRIGGER ledger_append_only BEFORE DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION refuse_change();

SELECT tenant_wall('site_ref');
SELECT tenant_wall('ledger');
SELECT tenant_wall('ingest_receipt');
SELECT tenant_wall('ledger_fork');
SELECT tenant_wall('attendance_event', 'child_id');
SELECT tenant_wall('attendance_day', 'child_id');
SELECT tenant_wall('gate_day');
SELECT tenant_wall('attendance_incident');
REVOKE UPDATE, DELETE ON site_ref, ingest_receipt, ledger_fork, attendance_event FROM portillon_app;
REVOKE DELETE ON ledger, gate_day, attendance_incident FROM portillon_app;

