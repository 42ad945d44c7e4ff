-- How a gate gets its name and keeps it: claims, certificates, lists of what was revoked, sessions that alternate.

-- A gate that asks to be one: its two public keys, shown to an operator as a fingerprint. The code stands on its screen
-- for fifteen minutes; only hashes of the code and of the gate's token are kept. One code is one claim, for ever.
CREATE TABLE gate_claim (
    district_id uuid        NOT NULL CONSTRAINT gate_claim_district REFERENCES district (id),
    id          uuid        NOT NULL,
    code_hash   bytea       NOT NULL CONSTRAINT gate_claim_code_hashed CHECK (octet_length(code_hash) = 32),
    token_hash  bytea       NOT NULL CONSTRAINT gate_claim_token_hashed CHECK (octet_length(token_hash) = 32),
    public_key  bytea       NOT NULL CONSTRAINT gate_claim_key_length CHECK (octet_length(public_key) = 32),
    request     bytea       NOT NULL CONSTRAINT gate_claim_request_length CHECK (octet_length(request) BETWEEN 64 AND 2048),
    state       text        NOT NULL DEFAULT 'waiting'
                            CONSTRAINT gate_claim_state CHECK (state IN ('waiting', 'approved', 'refused', 'expired')),
    claimed_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    gate        bigint,
    decided_at  timestamptz,
    decided_by  uuid,
    CONSTRAINT gate_claim_pkey PRIMARY KEY (district_id, id),
    CONSTRAINT gate_claim_code_once UNIQUE (district_id, code_hash),
    CONSTRAINT gate_claim_life CHECK (expires_at > claimed_at AND expires_at <= claimed_at + interval '15 minutes'),
    CONSTRAINT gate_claim_decided CHECK ((state = 'waiting') = (decided_at IS NULL)),
    CONSTRAINT gate_claim_names_a_gate CHECK ((state = 'approved') = (gate IS NOT NULL)),
    CONSTRAINT gate_claim_gate FOREIGN KEY (district_id, gate) REFERENCES gate (district_id, gate),
    CONSTRAINT gate_claim_decider FOREIGN KEY (district_id, decided_by) REFERENCES person (district_id, id)
);
-- One key claims once at a time, in whatever district: two cards made from one image are two gates.
CREATE UNIQUE INDEX gate_claim_key_once ON gate_claim (public_key) WHERE state = 'waiting';

-- A gate's certificates: requested, then signed by whoever holds the authority's key (the worker, or an operator with
-- the key on a stick). A key serves one certificate. body: DER, null until it is signed.
CREATE TABLE gate_certificate (
    district_id  uuid        NOT NULL,
    serial       bytea       NOT NULL CONSTRAINT gate_certificate_serial CHECK (octet_length(serial) = 16),
    gate         bigint      NOT NULL,
    public_key   bytea       NOT NULL CONSTRAINT gate_certificate_key_length CHECK (octet_length(public_key) BETWEEN 32 AND 256),
    request      bytea       NOT NULL
                             CONSTRAINT gate_certificate_request_length CHECK (octet_length(request) BETWEEN 64 AND 2048),
    why          text        NOT NULL CONSTRAINT gate_certificate_why CHECK (why IN ('claim', 'renewal', 'hand')),
    requested_at timestamptz NOT NULL,
    body         bytea       CONSTRAINT gate_certificate_body_length CHECK (octet_length(body) BETWEEN 64 AND 4096),
    not_before   timestamptz,
    not_after    timestamptz,
    revoked_at   timestamptz,
    CONSTRAINT gate_certificate_pkey PRIMARY KEY (district_id, serial),
    CONSTRAINT gate_certificate_key_once UNIQUE (public_key),
    CONSTRAINT gate_certificate_gate FOREIGN KEY (district_id, gate) REFERENCES gate (district_id, gate),
    CONSTRAINT gate_certificate_signed_whole CHECK ((body IS NULL) = (not_after IS NULL) AND (body IS NULL) = (not_before IS NULL)),
    CONSTRAINT gate_certificate_life CHECK (not_after > not_before AND not_after <= not_before + interval '92 days')
);
CREATE INDEX gate_certificate_of_gate ON gate_certificate (district_id, gate, requested_at DESC);

-- The lists of revoked certificates as the authorities signed them, the newest of each; public, of no district.
CREATE TABLE revocation_list (
    authority  bytea       NOT NULL CONSTRAINT revocation_list_pkey PRIMARY KEY
                           CONSTRAINT revocation_list_authority CHECK (octet_length(authority) = 32),
    body       bytea       NOT NULL CONSTRAINT revocation_list_body CHECK (octet_length(body) BETWEEN 64 AND 4194304),
    made_at    timestamptz NOT NULL
);

SELECT tenant_wall('gate_claim');
SELECT tenant_wall('gate_certificate');
SELECT only_staff_write(walled) FROM unnest(ARRAY['gate_claim', 'gate_certificate']::regclass[]) AS walled;
REVOKE DELETE ON gate_claim, gate_certificate FROM portillon_app;
GRANT SELECT, INSERT, UPDATE ON revocation_list TO portillon_app;

-- Sessions that a gate's newer ones replaced, the newest last, at most eight: two that take turns are two gates.
ALTER TABLE gate ADD COLUMN past_sessions jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT gate_past_sessions_few CHECK (jsonb_typeof(past_sessions) = 'array' AND jsonb_array_length(past_sessions) <= 8);

CREATE POLICY lookup ON gate_certificate FOR SELECT TO portillon_owner USING (true);
CREATE POLICY lookup ON gate_claim FOR SELECT TO portillon_owner USING (true);
CREATE POLICY purge ON gate_claim FOR DELETE TO portillon_owner USING (true);

-- Deletes the claims of long ago, the refused and expired ones too: who let which gate in stays answerable for 400 days.
CREATE FUNCTION purge_gate_claims(before timestamptz) RETURNS SETOF uuid
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM gate_claim WHERE claimed_at < before RETURNING id
$$;

-- What a list of revocations holds: one authority serves all districts, and a list names none of them.
CREATE FUNCTION revoked_certificates() RETURNS TABLE (serial bytea, revoked_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT c.serial, c.revoked_at FROM gate_certificate c
    WHERE c.revoked_at IS NOT NULL AND c.body IS NOT NULL ORDER BY c.serial
$$;

REVOKE ALL ON FUNCTION purge_gate_claims(timestamptz), revoked_certificates() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_gate_claims(timestamptz), revoked_certificates() TO portillon_app;
