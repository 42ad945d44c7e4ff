-- What a gate lost before it came up: told by the gate itself in a signed gap (P-5), so that what stands behind the hole
-- is taken, and the hole is shown as missing and never joined. Days from from_day to to_day are not complete.
CREATE TABLE ledger_hole (
    district_id uuid        NOT NULL CONSTRAINT ledger_hole_district REFERENCES district (id),
    gate        bigint      NOT NULL,
    epoch       bigint      NOT NULL,
    first_seq   bigint      NOT NULL,
    next_seq    bigint      NOT NULL,
    head        bytea       NOT NULL CONSTRAINT ledger_hole_head CHECK (octet_length(head) = 32),
    from_day    date        NOT NULL,
    to_day      date        NOT NULL,
    told_epoch  bigint      NOT NULL,
    told_seq    bigint      NOT NULL,
    received_at timestamptz NOT NULL,
    CONSTRAINT ledger_hole_pkey PRIMARY KEY (gate, epoch, first_seq, next_seq, head),
    CONSTRAINT ledger_hole_span CHECK (first_seq >= 0 AND first_seq < next_seq),
    CONSTRAINT ledger_hole_days CHECK (from_day <= to_day)
);
CREATE INDEX ledger_hole_of_gate ON ledger_hole (district_id, gate);
CREATE TRIGGER ledger_hole_append_only BEFORE UPDATE OR DELETE ON ledger_hole
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_hole_keep BEFORE TRUNCATE ON ledger_hole
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
SELECT tenant_wall('ledger_hole');
REVOKE UPDATE, DELETE ON ledger_hole FROM portillon_app;
SELECT only_staff_write('ledger_hole');
