-- Passes: phones and their keys, pairing codes, what was issued to whom, and the signed documents of a site.

-- A phone's public key (COSE_Key, P-2). Two live phones a person: the slot is the fence, also under races.
CREATE TABLE pass_key (
    district_id uuid        NOT NULL,
    id          uuid        NOT NULL,
    person_id   uuid        NOT NULL,
    slot        smallint    NOT NULL CONSTRAINT pass_key_slot CHECK (slot IN (1, 2)),
    cose_key    bytea       NOT NULL CONSTRAINT pass_key_length CHECK (octet_length(cose_key) BETWEEN 38 AND 48),
    thumb       bytea       NOT NULL CONSTRAINT pass_key_thumb CHECK (octet_length(thumb) = 8),
    paired_at   timestamptz NOT NULL,
    revoked_at  timestamptz,
    CONSTRAINT pass_key_pkey PRIMARY KEY (district_id, id),
    CONSTRAINT pass_key_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id),
    CONSTRAINT pass_key_thumb_once UNIQUE (district_id, thumb)
);
CREATE UNIQUE INDEX pass_key_two_phones ON pass_key (district_id, person_id, slot) WHERE revoked_at IS NULL;

-- Eight digits, ten minutes, once, five tries. Only their HMAC is kept: a copy of the table opens nothing.
CREATE TABLE pairing_code (
    district_id uuid        NOT NULL,
    id          uuid        NOT NULL,
    person_id   uuid        NOT NULL,
    code_hash   bytea       NOT NULL CONSTRAINT pairing_code_hash CHECK (octet_length(code_hash) = 32),
    nonce       bytea       NOT NULL CONSTRAINT pairing_code_nonce CHECK (octet_length(nonce) = 32),
    tries       smallint    NOT NULL DEFAULT 0 CONSTRAINT pairing_code_tries CHECK (tries BETWEEN 0 AND 5),
    issued_at   timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz,
    CONSTRAINT pairing_code_pkey PRIMARY KEY (district_id, id),
    CONSTRAINT pairing_code_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id),
    CONSTRAINT pairing_code_life CHECK (expires_at > issued_at AND expires_at <= issued_at + interval '24 hours')
);
CREATE UNIQUE INDEX pairing_code_once ON pairing_code (code_hash) WHERE used_at IS NULL;

-- Guesses, counted for each address (as an HMAC): five wrong codes in ten minutes, then a pause. No person, no tenant.
CREATE TABLE pairing_guess (
    address_hash bytea       NOT NULL CONSTRAINT pairing_guess_pkey PRIMARY KEY
                             CONSTRAINT pairing_guess_hash CHECK (octet_length(address_hash) = 32),
    guesses      smallint    NOT NULL,
    since        timestamptz NOT NULL
);

-- Everything the issuer signed: phone credentials, staff credentials and cards. Its bytes are kept so that a phone that
-- asks twice a day gets the same one. No foreign key to children: the record must outlive them unchanged.
CREATE TABLE credential (
    district_id uuid        NOT NULL,
    cti         bytea       NOT NULL CONSTRAINT credential_cti_length CHECK (octet_length(cti) = 8),
    kind        text        NOT NULL CONSTRAINT credential_kind CHECK (kind IN ('phone', 'staff', 'card')),
    person_id   uuid        NOT NULL,
    pass_key_id uuid,
    site        bigint      NOT NULL,
    holder      bigint      NOT NULL,
    rights      jsonb       NOT NULL,
    kid         bytea       NOT NULL CONSTRAINT credential_kid CHECK (octet_length(kid) = 4),
    body        bytea       NOT NULL CONSTRAINT credential_body CHECK (octet_length(body) <= 4096),
    issued_at   timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    revoked_at  timestamptz,
    CONSTRAINT credential_pkey PRIMARY KEY (district_id, cti),
    CONSTRAINT credential_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id),
    CONSTRAINT credential_phone FOREIGN KEY (district_id, pass_key_id) REFERENCES pass_key (district_id, id),
    CONSTRAINT credential_key_of_phone CHECK ((kind = 'card') = (pass_key_id IS NULL)),
    CONSTRAINT credential_life CHECK (expires_at > issued_at AND expires_at <= issued_at
        + CASE kind WHEN 'card' THEN interval '400 days' ELSE interval '8 days' END)
);
CREATE INDEX credential_of_phone ON credential (district_id, pass_key_id, site, issued_at DESC);
CREATE INDEX credential_revoked ON credential (district_id, site) WHERE revoked_at IS NOT NULL;

-- A printed card: the person it was given to, its serial on paper, and when it stopped counting.
CREATE TABLE card (
    district_id uuid        NOT NULL,
    serial      text        NOT NULL CONSTRAINT card_serial CHECK (serial ~ '^[0-9A-Z]{8}$'),
    cti         bytea       NOT NULL,
    person_id   uuid        NOT NULL,
    printed_at  timestamptz,
    revoked_at  timestamptz,
    CONSTRAINT card_pkey PRIMARY KEY (district_id, serial),
    CONSTRAINT card_credential FOREIGN KEY (district_id, cti) REFERENCES credential (district_id, cti)
);

-- A holder listed with a not-before: every credential issued to this person for this site earlier is refused (P-4 KR1).
CREATE TABLE holder_block (
    district_id uuid        NOT NULL,
    site        bigint      NOT NULL,
    person_id   uuid        NOT NULL,
    not_before  timestamptz NOT NULL,
    blocked_at  timestamptz NOT NULL,
    CONSTRAINT holder_block_pkey PRIMARY KEY (district_id, site, person_id),
    CONSTRAINT holder_block_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id)
);

-- Signed documents of a site (KR1 policy, KL1 gates, KM1 mode): a version only rises, so no row is ever changed.
-- `content` is the hash of what was said without dates and version: the same content is not signed twice a minute.
CREATE TABLE site_document (
    district_id uuid        NOT NULL REFERENCES district (id),
    site        bigint      NOT NULL,
    domain      text        NOT NULL CONSTRAINT site_document_domain CHECK (domain IN ('KR1', 'KL1', 'KM1')),
    version     bigint      NOT NULL CONSTRAINT site_document_version CHECK (version BETWEEN 1 AND 4294967295),
    signed_at   timestamptz NOT NULL,
    content     bytea       NOT NULL CONSTRAINT site_document_content CHECK (octet_length(content) = 32),
    body        bytea       NOT NULL CONSTRAINT site_document_body CHECK (octet_length(body) <= 65536),
    CONSTRAINT site_document_pkey PRIMARY KEY (district_id, site, domain, version)
);

-- The trust list in force (KK1, signed offline by the root) and its predecessors. Public, so it has no tenant.
CREATE TABLE trust_list (
    version   bigint      NOT NULL CONSTRAINT trust_list_pkey PRIMARY KEY,
    body      bytea       NOT NULL CONSTRAINT trust_list_body CHECK (octet_length(body) <= 65536),
    loaded_at timestamptz NOT NULL
);

-- Issuer keys that were compromised: their kid goes on every policy list (P31, P32). Public as well.
CREATE TABLE revoked_issuer (
    kid        bytea       NOT NULL CONSTRAINT revoked_issuer_pkey PRIMARY KEY
                           CONSTRAINT revoked_issuer_kid CHECK (octet_length(kid) = 4),
    revoked_at timestamptz NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = '23001', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;

CREATE TRIGGER site_document_append_only BEFORE UPDATE OR DELETE ON site_document
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER site_document_keep BEFORE TRUNCATE ON site_document
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

SELECT tenant_wall('pass_key', NULL, 'person_id');
SELECT tenant_wall('pairing_code', NULL, 'person_id');
SELECT tenant_wall('credential', NULL, 'person_id');
SELECT tenant_wall('card', NULL, 'person_id');
SELECT tenant_wall('holder_block', NULL, 'person_id');
SELECT tenant_wall('site_document');
REVOKE DELETE ON pass_key, pairing_code, credential, card, holder_block FROM portillon_app;
REVOKE UPDATE, DELETE ON site_document FROM portillon_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON pairing_guess TO portillon_app;
GRANT SELECT, INSERT ON trust_list, revoked_issuer TO portillon_app;
CREATE POLICY lookup ON pairing_code FOR SELECT TO portillon_owner USING (true);

-- Whose code is this? All that a phone has before it is paired is eight digits; the answer is one row or none.
CREATE FUNCTION pairing_code_district(of_hash bytea, at timestamptz)
RETURNS TABLE (district_id uuid, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT c.district_id, c.id FROM pairing_code c
    WHERE c.code_hash = of_hash AND c.used_at IS NULL AND c.expires_at > at
$$;
REVOKE ALL ON FUNCTION pairing_code_district(bytea, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pairing_code_district(bytea, timestamptz) TO portillon_app;
