-- What an import said last time, and what a guardian's transaction may still read of machines and numbers.

-- A thing of a roster as its source told it: for each field a digest (64 bits of SHA-256), never the value. An import
-- that says the same again changes nothing; one that says something new does not write over what a person decided.
-- key: sourcedIds, in a link parted by a space. Retention: as the thing it stands for.
CREATE TABLE roster_row (
    district_id uuid        NOT NULL CONSTRAINT roster_row_district REFERENCES district (id),
    kind        text        NOT NULL CONSTRAINT roster_row_kind CHECK (kind IN ('district', 'session', 'school', 'class',
                                'person', 'child', 'enrolment', 'tie', 'role', 'teacher')),
    key         text        NOT NULL CONSTRAINT roster_row_key CHECK (length(key) <= 800),
    row_id      uuid,
    said        jsonb       NOT NULL CONSTRAINT roster_row_said CHECK (
                                jsonb_typeof(said) = 'object' AND octet_length(said::text) <= 2048),
    is_gone     boolean     NOT NULL DEFAULT false,
    said_at     timestamptz NOT NULL,
    CONSTRAINT roster_row_pkey PRIMARY KEY (district_id, kind, key)
);
SELECT tenant_wall('roster_row');
DROP POLICY tenant ON roster_row;
CREATE POLICY tenant ON roster_row TO portillon_app USING (district_id = app_district() AND app_person() IS NULL);
REVOKE DELETE ON roster_row FROM portillon_app;

-- Whether an accepted correction put a field of a child right: what an import does not write over.
CREATE FUNCTION is_mended(of_child child, field text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM correction k WHERE k.district_id = of_child.district_id AND k.child_id = of_child.id
                      AND k.state = 'accepted' AND k.changes @> jsonb_build_array(jsonb_build_object('field', field)))
$$;

-- The next number of a site. Sites are numbered over all districts, and a district sees its own only.
CREATE POLICY lookup ON site FOR SELECT TO portillon_owner USING (true);
CREATE FUNCTION free_site_number() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT greatest(100, coalesce(max(s.number), 0)) + 1 FROM site s WHERE s.number < 4000000000
$$;

-- Whether who asks operates the fleet: told apart from a guardian, whose transaction has a person as well.
CREATE FUNCTION app_operates() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM role_grant g WHERE g.district_id = app_district() AND g.person_id = app_person()
                      AND g.role = 'operator' AND g.period @> (now() AT TIME ZONE 'UTC')::date)
$$;
REVOKE ALL ON FUNCTION is_mended(child, text), free_site_number(), app_operates() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_mended(child, text), free_site_number(), app_operates() TO portillon_app;

-- Numbers and signed lists name nobody, and are still not a guardian's to read: of numbers, the own and the children's.
CREATE POLICY own_numbers ON site_ref AS RESTRICTIVE FOR SELECT TO portillon_app USING (
    app_person() IS NULL OR person_id = app_person() OR child_id IN (SELECT app_children()));
CREATE POLICY school_reads ON attendance_incident AS RESTRICTIVE FOR SELECT TO portillon_app USING (app_person() IS NULL);
CREATE POLICY fleet_reads ON dead_letter AS RESTRICTIVE FOR SELECT TO portillon_app
    USING (app_person() IS NULL OR app_operates());
CREATE POLICY fleet_reads ON site_document AS RESTRICTIVE FOR SELECT TO portillon_app
    USING (app_person() IS NULL OR app_operates());
