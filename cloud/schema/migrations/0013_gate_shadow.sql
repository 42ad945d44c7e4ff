-- What goes down to one gate: what it shall be (configuration), what it shall do (commands), the mode of its site.

-- A message to one gate (P-6 dn/cfg, dn/job, dn/cmd, dn/rsp); the publisher sends it and notes when. A retained one is
-- a level, one for each leaf, published again where the broker forgot it. A retained command does not exist, and what
-- is no level has an end. Holds no person. Retention: a day after its end.
CREATE TABLE gate_message (
    district_id uuid        NOT NULL,
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    gate        bigint      NOT NULL,
    leaf        text        NOT NULL
                CONSTRAINT gate_message_leaf CHECK (leaf IN ('dn/cfg', 'dn/job', 'dn/cmd', 'dn/rsp')),
    body        bytea       NOT NULL CONSTRAINT gate_message_body CHECK (octet_length(body) <= 126976),
    retain      boolean     NOT NULL,
    made_at     timestamptz NOT NULL,
    expires_at  timestamptz,
    sent_at     timestamptz,
    CONSTRAINT gate_message_pkey PRIMARY KEY (district_id, id),
    CONSTRAINT gate_message_of_gate FOREIGN KEY (district_id, gate) REFERENCES gate (district_id, gate),
    CONSTRAINT gate_message_levels_alone CHECK (retain = (leaf IN ('dn/cfg', 'dn/job'))),
    CONSTRAINT gate_message_ends CHECK (retain = (expires_at IS NULL))
);
CREATE UNIQUE INDEX gate_message_one_level ON gate_message (district_id, gate, leaf) WHERE retain;
CREATE INDEX gate_message_unsent ON gate_message (district_id, id) WHERE sent_at IS NULL AND NOT retain;

-- What a gate shall be: every revision whole, never changed. sha256: of the JSON bytes that are signed (KF1).
-- by_person: who decided it, null from a terminal or by a rollout.
CREATE TABLE gate_configuration (
    district_id uuid        NOT NULL,
    gate        bigint      NOT NULL,
    revision    bigint      NOT NULL CONSTRAINT gate_configuration_revision CHECK (revision BETWEEN 1 AND 4294967295),
    content     text        NOT NULL CONSTRAINT gate_configuration_content CHECK (octet_length(content) BETWEEN 2 AND 3072),
    sha256      bytea       NOT NULL
                CONSTRAINT gate_configuration_sha256 CHECK (sha256 = sha256(convert_to(content, 'UTF8'))),
    made_at     timestamptz NOT NULL,
    by_person   uuid,
    CONSTRAINT gate_configuration_pkey PRIMARY KEY (district_id, gate, revision),
    CONSTRAINT gate_configuration_of_gate FOREIGN KEY (district_id, gate) REFERENCES gate (district_id, gate),
    CONSTRAINT gate_configuration_by FOREIGN KEY (district_id, by_person) REFERENCES person (district_id, id)
);
CREATE TRIGGER gate_configuration_append_only BEFORE UPDATE OR DELETE ON gate_configuration
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER gate_configuration_keep BEFORE TRUNCATE ON gate_configuration
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What the gate says it is (P-6 up/rep): untrusted JSON of known keys.
ALTER TABLE gate
    ADD COLUMN configuration jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN configuration_at timestamptz;

-- One configuration for many gates, ring by ring: the next ring is told when every gate of the one before has applied
-- it and is healthy. One at a time in a district.
CREATE TABLE rollout (
    district_id uuid        NOT NULL CONSTRAINT rollout_district REFERENCES district (id),
    id          uuid        NOT NULL,
    content     text        NOT NULL CONSTRAINT rollout_content CHECK (octet_length(content) BETWEEN 2 AND 3072),
    ring        smallint    NOT NULL DEFAULT 1 CONSTRAINT rollout_ring CHECK (ring BETWEEN 1 AND 16),
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    outcome     text        CONSTRAINT rollout_outcome CHECK (outcome IN ('done', 'stopped', 'failed')),
    CONSTRAINT rollout_pkey PRIMARY KEY (district_id, id),
    CONSTRAINT rollout_ended_whole CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
CREATE UNIQUE INDEX rollout_one_at_a_time ON rollout (district_id) WHERE ended_at IS NULL;

-- before: the revision that goes back where the rollout fails; 0: what stands in the gate's own file.
CREATE TABLE rollout_gate (
    district_id uuid        NOT NULL,
    rollout_id  uuid        NOT NULL,
    gate        bigint      NOT NULL,
    ring        smallint    NOT NULL CONSTRAINT rollout_gate_ring CHECK (ring BETWEEN 1 AND 16),
    state       text        NOT NULL DEFAULT 'waiting'
                CONSTRAINT rollout_gate_state CHECK (state IN ('waiting', 'told', 'applied', 'failed', 'back')),
    before      bigint      NOT NULL DEFAULT 0 CONSTRAINT rollout_gate_before CHECK (before BETWEEN 0 AND 4294967295),
    revision    bigint,
    told_at     timestamptz,
    answered_at timestamptz,
    code        text        CONSTRAINT rollout_gate_code CHECK (code ~ '^[A-Z][A-Z0-9_]{1,39}$'),
    CONSTRAINT rollout_gate_pkey PRIMARY KEY (district_id, rollout_id, gate),
    CONSTRAINT rollout_gate_of FOREIGN KEY (district_id, rollout_id) REFERENCES rollout (district_id, id),
    CONSTRAINT rollout_gate_gate FOREIGN KEY (district_id, gate) REFERENCES gate (district_id, gate),
    CONSTRAINT rollout_gate_told_whole CHECK ((state = 'waiting') = (revision IS NULL))
);

-- One order to one gate (KX1), and its answer. Its nonce is its name. by_person: who gave it, null from a terminal.
CREATE TABLE gate_command (
    district_id uuid        NOT NULL,
    nonce       bytea       NOT NULL CONSTRAINT gate_command_nonce CHECK (octet_length(nonce) = 8),
    gate        bigint      NOT NULL,
    operation   text        NOT NULL CONSTRAINT gate_command_operation CHECK (operation ~ '^[a-z]{2,20}$'),
    arguments   jsonb       NOT NULL DEFAULT '{}'
                CONSTRAINT gate_command_arguments CHECK (jsonb_typeof(arguments) = 'object' AND octet_length(arguments::text) <= 1024),
    by_person   uuid,
    asked_at    timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    outcome     text        CONSTRAINT gate_command_outcome CHECK (outcome IN ('done', 'refused', 'expired', 'failed')),
    answered_at timestamptz,
    took_ms     bigint,
    told        jsonb       NOT NULL DEFAULT '{}'
                CONSTRAINT gate_command_told CHECK (jsonb_typeof(told) = 'object' AND octet_length(told::text) <= 8192),
    CONSTRAINT gate_command_pkey PRIMARY KEY (district_id, nonce),
    CONSTRAINT gate_command_of_gate FOREIGN KEY (district_id, gate) REFERENCES gate (district_id, gate),
    CONSTRAINT gate_command_by FOREIGN KEY (district_id, by_person) REFERENCES person (district_id, id),
    CONSTRAINT gate_command_short CHECK (expires_at > asked_at AND expires_at <= asked_at + interval '15 seconds'),
    CONSTRAINT gate_command_answered_whole CHECK ((outcome IS NULL) = (answered_at IS NULL))
);
CREATE INDEX gate_command_newest ON gate_command (district_id, gate, asked_at DESC);

-- The mode of a site as people set it (P-4 KM1); the newest counts, until its end. Evacuate (2) and free (3) open
-- doors, so they end within four hours. by_person: who set it, null from a terminal.
CREATE TABLE site_mode (
    district_id uuid        NOT NULL,
    site        bigint      NOT NULL,
    n           bigint      NOT NULL CONSTRAINT site_mode_n CHECK (n BETWEEN 1 AND 4294967295),
    mode        smallint    NOT NULL CONSTRAINT site_mode_known CHECK (mode BETWEEN 0 AND 4),
    set_at      timestamptz NOT NULL,
    ends_at     timestamptz,
    by_person   uuid,
    CONSTRAINT site_mode_pkey PRIMARY KEY (district_id, site, n),
    CONSTRAINT site_mode_of_site FOREIGN KEY (district_id, site) REFERENCES site (district_id, number),
    CONSTRAINT site_mode_by FOREIGN KEY (district_id, by_person) REFERENCES person (district_id, id),
    CONSTRAINT site_mode_forward CHECK (ends_at > set_at),
    CONSTRAINT site_mode_open_ends CHECK (mode NOT IN (2, 3) OR (ends_at IS NOT NULL AND ends_at <= set_at + interval '4 hours'))
);
CREATE TRIGGER site_mode_append_only BEFORE UPDATE OR DELETE ON site_mode
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER site_mode_keep BEFORE TRUNCATE ON site_mode
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

SELECT tenant_wall('gate_message');
SELECT tenant_wall('gate_configuration');
SELECT tenant_wall('rollout');
SELECT tenant_wall('rollout_gate');
SELECT tenant_wall('gate_command');
SELECT tenant_wall('site_mode');
SELECT only_staff_write(walled) FROM unnest(ARRAY['gate_message', 'gate_configuration', 'rollout', 'rollout_gate',
    'gate_command', 'site_mode']::regclass[]) AS walled;
REVOKE DELETE ON gate_message, rollout, rollout_gate, gate_command FROM portillon_app;
REVOKE UPDATE, DELETE ON gate_configuration, site_mode FROM portillon_app;

-- What goes by the clock: messages a day after their end, commands after 400 days.
CREATE POLICY lookup ON gate_message FOR SELECT TO portillon_owner USING (true);
CREATE POLICY purge ON gate_message FOR DELETE TO portillon_owner USING (true);
CREATE POLICY lookup ON gate_command FOR SELECT TO portillon_owner USING (true);
CREATE POLICY purge ON gate_command FOR DELETE TO portillon_owner USING (true);
CREATE FUNCTION purge_orders(at timestamptz) RETURNS TABLE (purged text, gone bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH messages AS (DELETE FROM gate_message WHERE expires_at < at - interval '1 day' RETURNING 1),
         commands AS (DELETE FROM gate_command WHERE asked_at < at - interval '400 days' RETURNING 1)
    SELECT 'gate_message', count(*) FROM messages
    UNION ALL SELECT 'gate_command', count(*) FROM commands
$$;
REVOKE ALL ON FUNCTION purge_orders(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_orders(timestamptz) TO portillon_app;
