-- Fleet: the registry of gates, what they report, and the alarms they raise.
-- A gate's number is unique in the whole deployment, because the number alone names its ledger (P-5).

CREATE TABLE gate (
    district_id   uuid        NOT NULL REFERENCES district (id),
    gate          bigint      NOT NULL CONSTRAINT gate_number_range CHECK (gate BETWEEN 1 AND 4294967295),
    site          bigint      NOT NULL CONSTRAINT gate_site_range CHECK (site BETWEEN 1 AND 4294967295),
    name          text        NOT NULL CONSTRAINT gate_name_length CHECK (length(name) BETWEEN 1 AND 100),
    public_key    bytea       NOT NULL CONSTRAINT gate_key_length CHECK (octet_length(public_key) = 32),
    registered_at timestamptz NOT NULL,
    approved_at   timestamptz,
    revoked_at    timestamptz,
    -- What the gate says of itself: up/st (birth and will) and up/hb (telemetry), both untrusted JSON of known keys.
    session       text        CONSTRAINT gate_session_length CHECK (length(session) <= 32),
    state         text        NOT NULL DEFAULT 'never' CONSTRAINT gate_state CHECK (state IN ('never', 'online', 'offline')),
    state_at      timestamptz,
    last_seen     timestamptz,
    reported      jsonb       NOT NULL DEFAULT '{}',
    telemetry     jsonb       NOT NULL DEFAULT '{}',
    telemetry_at  timestamptz,
    CONSTRAINT gate_pkey PRIMARY KEY (district_id, gate),
    CONSTRAINT gate_number_once UNIQUE (gate),
    CONSTRAINT gate_key_once UNIQUE (public_key)
);
CREATE INDEX gate_by_site ON gate (district_id, site);

-- One open alarm for a gate and code; a repetition raises the counter. No child is named here: an operator sees none.
CREATE TABLE gate_alarm (
    district_id uuid        NOT NULL,
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    gate        bigint      NOT NULL,
    code        text        NOT NULL CONSTRAINT gate_alarm_code CHECK (code ~ '^[A-Z][A-Z0-9_]{1,39}$'),
    detail      jsonb       NOT NULL DEFAULT '{}',
    times       bigint      NOT NULL DEFAULT 1,
    raised_at   timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    closed_at   timestamptz,
    CONSTRAINT gate_alarm_pkey PRIMARY KEY (district_id, id),
    CONSTRAINT gate_alarm_gate FOREIGN KEY (district_id, gate) REFERENCES gate (district_id, gate)
);
CREATE UNIQUE INDEX gate_alarm_open ON gate_alarm (district_id, gate, code) WHERE closed_at IS NULL;

-- What came from a gate and could not be taken: kept, with a code, once for each content. Unknown gates have no district.
CREATE TABLE dead_letter (
    id          bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT dead_letter_pkey PRIMARY KEY,
    district_id uuid        REFERENCES district (id),
    gate        bigint,
    code        text        NOT NULL CONSTRAINT dead_letter_code CHECK (code ~ '^[A-Z][A-Z0-9_]{1,39}$'),
    sha256      bytea       NOT NULL CONSTRAINT dead_letter_sha256 CHECK (octet_length(sha256) = 32),
    body        bytea       NOT NULL CONSTRAINT dead_letter_body CHECK (octet_length(body) <= 131072),
    times       bigint      NOT NULL DEFAULT 1,
    first_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    CONSTRAINT dead_letter_once UNIQUE NULLS NOT DISTINCT (gate, code, sha256)
);

SELECT tenant_wall('gate');
SELECT tenant_wall('gate_alarm');
SELECT tenant_wall('dead_letter');
REVOKE DELETE ON gate, gate_alarm FROM portillon_app;
REVOKE INSERT, UPDATE, DELETE ON dead_letter FROM portillon_app;
-- The functions below run as the owner, who is under row security like everybody: what they may do is written here.
CREATE POLICY lookup ON gate FOR SELECT TO portillon_owner USING (true);
CREATE POLICY lookup ON dead_letter FOR SELECT TO portillon_owner USING (true);
CREATE POLICY keep ON dead_letter FOR INSERT TO portillon_owner WITH CHECK (true);
CREATE POLICY count ON dead_letter FOR UPDATE TO portillon_owner USING (true);

-- Read across districts, narrowly: a gate number is all that ingest knows before a signature is checked.
CREATE FUNCTION gates_by_number(numbers bigint[])
RETURNS TABLE (gate bigint, district_id uuid, district text, site bigint, public_key bytea,
               approved boolean, revoked boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT g.gate, g.district_id, d.slug, g.site, g.public_key, g.approved_at IS NOT NULL, g.revoked_at IS NOT NULL
    FROM gate g JOIN district d ON d.id = g.district_id
    WHERE g.gate = ANY (numbers)
$$;

-- Sites that have gates, for the publisher of signed documents.
CREATE FUNCTION sites_with_gates()
RETURNS TABLE (district_id uuid, district text, site bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT DISTINCT g.district_id, d.slug, g.site
    FROM gate g JOIN district d ON d.id = g.district_id
    ORDER BY 3
$$;

-- Keep what could not be taken: at most 1,000 different letters for a known gate, and 1,000 for all unknown ones
-- together (anybody may invent a number); beyond that only the counters of letters already kept move.
CREATE FUNCTION keep_dead_letter(of_gate bigint, of_code text, of_sha256 bytea, of_body bytea, seen_at timestamptz)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH sender AS (SELECT (SELECT g.district_id FROM gate g WHERE g.gate = of_gate) AS district_id)
    INSERT INTO dead_letter (district_id, gate, code, sha256, body, first_at, last_at)
    SELECT sender.district_id, of_gate, of_code, of_sha256, of_body, seen_at, seen_at
    FROM sender
    WHERE (SELECT count(*) FROM dead_letter l
           WHERE l.district_id IS NOT DISTINCT FROM sender.district_id
             AND (sender.district_id IS NULL OR l.gate = of_gate)) < 1000
       OR EXISTS (SELECT 1 FROM dead_letter l WHERE l.gate IS NOT DISTINCT FROM of_gate
                  AND l.code = of_code AND l.sha256 = of_sha256)
    ON CONFLICT ON CONSTRAINT dead_letter_once
    DO UPDATE SET times = dead_letter.times + 1, last_at = excluded.last_at
$$;

REVOKE ALL ON FUNCTION gates_by_number(bigint[]), sites_with_gates(),
    keep_dead_letter(bigint, text, bytea, bytea, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION gates_by_number(bigint[]), sites_with_gates(),
    keep_dead_letter(bigint, text, bytea, bytea, timestamptz) TO portillon_app;
