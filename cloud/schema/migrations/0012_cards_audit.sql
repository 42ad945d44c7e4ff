-- Who read or changed what: one chain of lines for each district, never changed. And what a printed card needs.

-- ---------------------------------------------------------------------------------------------- audit

-- A line is written in the transaction of what it tells. n has no gap; head is SHA-256 over the head before and this
-- line (cloud/audit/model.py), so that a line changed by a superuser shows. Ids only, and no foreign keys: a line
-- outlives whom it names. role: in which the person acted. Retention: three years, then from its beginning.
CREATE TABLE audit_log (
    district_id uuid        NOT NULL CONSTRAINT audit_log_district REFERENCES district (id),
    n           bigint      NOT NULL CONSTRAINT audit_log_n CHECK (n >= 1),
    at          timestamptz NOT NULL,
    by_person   uuid,
    role        text        NOT NULL CONSTRAINT audit_log_role CHECK (role ~ '^[a-z_]{2,40}$'),
    action      text        NOT NULL CONSTRAINT audit_log_action CHECK (action ~ '^[a-z][a-z_.]{1,59}$'),
    thing       text        NOT NULL CONSTRAINT audit_log_thing CHECK (thing ~ '^[a-z][a-z_]{1,39}$'),
    thing_id    uuid        NOT NULL,
    child_id    uuid,
    detail      jsonb       NOT NULL DEFAULT '{}'
                CONSTRAINT audit_log_detail CHECK (jsonb_typeof(detail) = 'object' AND octet_length(detail::text) <= 2048),
    head        bytea       NOT NULL CONSTRAINT audit_log_head CHECK (octet_length(head) = 32),
    CONSTRAINT audit_log_pkey PRIMARY KEY (district_id, n)
);
CREATE INDEX audit_log_of_child ON audit_log (district_id, child_id, n DESC) WHERE child_id IS NOT NULL;

-- Where the chain of a district begins since its oldest lines went: after n, with this head.
CREATE TABLE audit_start (
    district_id uuid        NOT NULL CONSTRAINT audit_start_pkey PRIMARY KEY
                            CONSTRAINT audit_start_district REFERENCES district (id),
    n           bigint      NOT NULL CONSTRAINT audit_start_n CHECK (n >= 1),
    head        bytea       NOT NULL CONSTRAINT audit_start_head CHECK (octet_length(head) = 32),
    moved_at    timestamptz NOT NULL
);

SELECT tenant_wall('audit_log', 'child_id');
SELECT tenant_wall('audit_start');
SELECT only_staff_write('audit_log');
REVOKE UPDATE, DELETE ON audit_log FROM portillon_app;
REVOKE INSERT, UPDATE, DELETE ON audit_start FROM portillon_app;
-- What is told to nobody outside: a guardian reads no line about a court order, whoever wrote it.
CREATE POLICY orders_stay_inside ON audit_log AS RESTRICTIVE FOR SELECT TO portillon_app
    USING (app_person() IS NULL OR (thing <> 'court_order' AND action NOT LIKE '%order%'));
CREATE POLICY lookup ON audit_log FOR SELECT TO portillon_owner USING (true);
CREATE POLICY purge ON audit_log FOR DELETE TO portillon_owner USING (true);
CREATE POLICY start ON audit_start TO portillon_owner USING (true) WITH CHECK (true);

-- The next number and no other: a hole or a second line of one number is refused also when the lock was forgotten.
CREATE FUNCTION audit_log_follows() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.n <> 1 + greatest(
        coalesce((SELECT max(l.n) FROM audit_log l WHERE l.district_id = NEW.district_id), 0),
        coalesce((SELECT s.n FROM audit_start s WHERE s.district_id = NEW.district_id), 0)) THEN
        RAISE EXCEPTION 'line % does not follow', NEW.n
            USING ERRCODE = '23514', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;

-- A line goes only from the beginning of the chain, after that beginning was moved past it.
CREATE FUNCTION audit_log_goes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM audit_start s WHERE s.district_id = OLD.district_id AND s.n >= OLD.n) THEN
        RAISE EXCEPTION 'audit_log is append-only: DELETE refused'
            USING ERRCODE = '23001', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END $$;
REVOKE ALL ON FUNCTION audit_log_follows(), audit_log_goes() FROM PUBLIC;

CREATE TRIGGER audit_log_follows BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_log_follows();
CREATE TRIGGER audit_log_append_only BEFORE UPDATE ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_log_goes BEFORE DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_log_goes();
CREATE TRIGGER audit_log_keep BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- In which role a person acts towards a child (or towards nobody): guardian of it, else what was granted, else escort.
CREATE FUNCTION audit_role(of_person uuid, of_child uuid, at timestamptz) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
BEGIN ATOMIC
    SELECT coalesce(
        (SELECT 'guardian' FROM guardianship g WHERE g.district_id = app_district() AND g.person_id = of_person
            AND g.child_id = of_child AND g.period @> (at AT TIME ZONE 'UTC')::date LIMIT 1),
        (SELECT r.role FROM role_grant r WHERE r.district_id = app_district() AND r.person_id = of_person
            AND r.period @> (at AT TIME ZONE 'UTC')::date
          ORDER BY array_position(ARRAY['head', 'office', 'district_officer', 'auditor', 'teacher', 'gate_staff',
                                        'operator'], r.role) LIMIT 1),
        (SELECT 'escort' FROM escort_right e WHERE e.district_id = app_district() AND e.person_id = of_person
            AND e.kind = 'may_collect' AND e.period @> at LIMIT 1),
        CASE WHEN of_person IS NULL THEN 'system' ELSE 'person' END);
END;

-- The names of those who read or changed an own child's file: a guardian may know them, office staff as well.
CREATE FUNCTION audit_names(of_child uuid) RETURNS TABLE (person_id uuid, given text, family text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
BEGIN ATOMIC
    SELECT p.id, p.given, p.family FROM person p
     WHERE p.district_id = app_district() AND p.id IN (
        SELECT l.by_person FROM audit_log l
         WHERE l.district_id = app_district() AND l.child_id = of_child
           AND (app_person() IS NULL OR (l.thing <> 'court_order' AND l.action NOT LIKE '%order%')))
       AND (app_person() IS NULL OR of_child IN (SELECT app_children()));
END;

-- Three years after it was written a line goes; the chain's beginning is moved first, so that what stays still verifies.
CREATE FUNCTION purge_audit(before timestamptz) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO audit_start (district_id, n, head, moved_at)
        SELECT DISTINCT ON (l.district_id) l.district_id, l.n, l.head, l.at FROM audit_log l
         WHERE l.n < coalesce((SELECT min(k.n) FROM audit_log k
                                WHERE k.district_id = l.district_id AND k.at >= before), 9223372036854775807)
         ORDER BY l.district_id, l.n DESC
    ON CONFLICT ON CONSTRAINT audit_start_pkey
        DO UPDATE SET n = excluded.n, head = excluded.head, moved_at = excluded.moved_at;
    WITH gone AS (DELETE FROM audit_log l USING audit_start s
                   WHERE l.district_id = s.district_id AND l.n <= s.n RETURNING 1)
    SELECT count(*) FROM gone;
$$;
REVOKE ALL ON FUNCTION audit_role(uuid, uuid, timestamptz), audit_names(uuid), purge_audit(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_role(uuid, uuid, timestamptz), audit_names(uuid), purge_audit(timestamptz) TO portillon_app;

-- ---------------------------------------------------------------------------------------------- cards

-- Where a card opens, who gave it, and why it ended. One running card a person and site, also under races; who lost one
-- gets the next, which names it. (The table is not ours to change past the wall, so the wall is opened for this moment.)
ALTER TABLE card NO FORCE ROW LEVEL SECURITY;
ALTER TABLE credential NO FORCE ROW LEVEL SECURITY;
ALTER TABLE card
    ADD COLUMN site      bigint,
    ADD COLUMN issued_at timestamptz,
    ADD COLUMN issued_by uuid,
    ADD COLUMN ended_why text,
    ADD COLUMN ended_by  uuid,
    ADD COLUMN replaces  text;
UPDATE card SET site = c.site, issued_at = c.issued_at,
                revoked_at = CASE WHEN newer.cti IS NULL THEN card.revoked_at ELSE coalesce(card.revoked_at, now()) END
  FROM credential c LEFT JOIN LATERAL (
        SELECT n.cti FROM card k JOIN credential n ON n.district_id = k.district_id AND n.cti = k.cti
         WHERE k.district_id = c.district_id AND k.person_id = c.person_id AND n.site = c.site
           AND (n.issued_at, n.cti) > (c.issued_at, c.cti) LIMIT 1) newer ON true
 WHERE c.district_id = card.district_id AND c.cti = card.cti;
UPDATE credential SET revoked_at = k.revoked_at FROM card k
 WHERE k.district_id = credential.district_id AND k.cti = credential.cti AND k.revoked_at IS NOT NULL
   AND credential.revoked_at IS NULL;
ALTER TABLE card FORCE ROW LEVEL SECURITY;
ALTER TABLE credential FORCE ROW LEVEL SECURITY;
ALTER TABLE card
    ALTER COLUMN site SET NOT NULL,
    ALTER COLUMN issued_at SET NOT NULL,
    ADD CONSTRAINT card_at_site FOREIGN KEY (district_id, site) REFERENCES site (district_id, number),
    ADD CONSTRAINT card_of_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id),
    ADD CONSTRAINT card_of_one_credential UNIQUE (district_id, cti),
    ADD CONSTRAINT card_ended_why CHECK (ended_why IN ('lost', 'replaced', 'revoked', 'over')),
    ADD CONSTRAINT card_ended_whole CHECK (revoked_at IS NOT NULL OR (ended_why IS NULL AND ended_by IS NULL)),
    ADD CONSTRAINT card_replaces FOREIGN KEY (district_id, replaces) REFERENCES card (district_id, serial),
    ADD CONSTRAINT card_replaced_once UNIQUE (district_id, replaces);
CREATE UNIQUE INDEX card_one_running ON card (district_id, person_id, site) WHERE revoked_at IS NULL;
