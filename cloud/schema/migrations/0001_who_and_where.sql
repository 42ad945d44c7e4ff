-- Who and where: the tenant wall, logins, districts, schools, people, rights to collect.
-- Rules: INTEGRITY I1, I2, I11, I13, I16. Forward only: never edit an applied file, write the next one.

-- ---------------------------------------------------------------------------------------------- the tenant wall

-- The district of this transaction. Raises when it is not set (42704) or was reset (22P02): a query without a
-- tenant is a fault, not an empty answer. Plain SQL, so that the planner inlines it and indexes serve it.
CREATE FUNCTION app_district() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN current_setting('app.district')::uuid;

-- The guardian who asks, or null where staff or the system asks. Set together with app.district, never alone.
CREATE FUNCTION app_person() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('app.person', true), '')::uuid;

-- Puts a table behind the wall: its own district only (I16) and, where a column is named, for a guardian only the
-- rows of own children or of own person (I11). Forced, so that the owner obeys as well.
CREATE FUNCTION tenant_wall(walled regclass, child_column text DEFAULT NULL, person_column text DEFAULT NULL,
                            district_column text DEFAULT 'district_id')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    condition text := format('%I = app_district()', district_column);
BEGIN
    IF child_column IS NOT NULL THEN
        condition := condition || format(
            ' AND (app_person() IS NULL OR %I IN (SELECT app_children()))', child_column);
    END IF;
    IF person_column IS NOT NULL THEN
        condition := condition || format(' AND (app_person() IS NULL OR %I = app_person())', person_column);
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', walled);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', walled);
    EXECUTE format('CREATE POLICY tenant ON %s TO portillon_app USING (%s)', walled, condition);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO portillon_app', walled);
END $$;

-- In a guardian's transaction nothing of this table can be added or changed, whatever the code forgets.
CREATE FUNCTION only_staff_write(walled regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE POLICY only_staff_add ON %s AS RESTRICTIVE FOR INSERT TO portillon_app'
                   ' WITH CHECK (app_person() IS NULL)', walled);
    EXECUTE format('CREATE POLICY only_staff_change ON %s AS RESTRICTIVE FOR UPDATE TO portillon_app'
                   ' USING (app_person() IS NULL)', walled);
END $$;
REVOKE ALL ON FUNCTION tenant_wall(regclass, text, text, text), only_staff_write(regclass) FROM PUBLIC;

-- ---------------------------------------------------------------------------------------------- identity (global)

-- A way in. Global: one parent may have children in two districts. Retention: with the last person that uses it.
CREATE TABLE login (
    id         uuid PRIMARY KEY,
    email      text,
    created_at timestamptz NOT NULL,
    CONSTRAINT login_email_once UNIQUE (email),
    CONSTRAINT login_email_normal CHECK (email = lower(email) AND email LIKE '_%@_%' AND length(email) <= 254)
);

-- An open door of one browser. Only the hash of its cookie is kept. Retention: 90 days after its end.
CREATE TABLE session (
    token_hash bytea PRIMARY KEY,
    login_id   uuid NOT NULL REFERENCES login ON DELETE CASCADE,
    door       text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz,
    CONSTRAINT session_token_hashed CHECK (octet_length(token_hash) = 32),
    CONSTRAINT session_door_known CHECK (door IN ('family', 'school', 'fleet')),
    CONSTRAINT session_lives_forward CHECK (expires_at > created_at)
);
CREATE INDEX session_of_login ON session (login_id);

-- A signed-in-once link: /enter/{token}. Retention: a day after it expired.
CREATE TABLE sign_in_link (
    token_hash bytea PRIMARY KEY,
    login_id   uuid NOT NULL REFERENCES login ON DELETE CASCADE,
    door       text NOT NULL,
    reusable   boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    CONSTRAINT sign_in_link_token_hashed CHECK (octet_length(token_hash) = 32),
    CONSTRAINT sign_in_link_door_known CHECK (door IN ('family', 'school', 'fleet')),
    CONSTRAINT sign_in_link_lives_forward CHECK (expires_at > created_at)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON login, session, sign_in_link TO portillon_app;

-- ---------------------------------------------------------------------------------------------- schools

CREATE TABLE district (
    id         uuid PRIMARY KEY,
    slug       text NOT NULL,
    name       text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT district_slug_once UNIQUE (slug),
    CONSTRAINT district_slug_of_topics CHECK (slug ~ '^[a-z0-9-]{1,32}$')
);

-- A place with gates. Its number stands in passes and topics, so it is unique in the whole deployment.
CREATE TABLE site (
    district_id uuid NOT NULL REFERENCES district,
    number      bigint NOT NULL,
    name        text NOT NULL,
    PRIMARY KEY (district_id, number),
    CONSTRAINT site_number_once UNIQUE (number),
    CONSTRAINT site_number_uint32 CHECK (number BETWEEN 1 AND 4294967295)
);

CREATE TABLE school (
    district_id uuid NOT NULL REFERENCES district,
    id          uuid NOT NULL,
    sourced_id  text,
    site        bigint NOT NULL,
    name        text NOT NULL,
    level       text NOT NULL,
    timezone    text NOT NULL,
    language    text NOT NULL,
    state       text NOT NULL DEFAULT 'live',
    PRIMARY KEY (district_id, id),
    CONSTRAINT school_sourced_once UNIQUE (district_id, sourced_id),
    CONSTRAINT school_at_site FOREIGN KEY (district_id, site) REFERENCES site (district_id, number),
    CONSTRAINT school_level_known CHECK (level IN ('kindergarten', 'primary', 'secondary', 'daycare')),
    CONSTRAINT school_state_known CHECK (state IN ('pilot', 'live', 'leaving')),
    CONSTRAINT school_language_known CHECK (language IN ('en', 'fr', 'kk', 'ru', 'vi'))
);
CREATE INDEX school_by_site ON school (district_id, site);

CREATE TABLE academic_session (
    district_id uuid NOT NULL REFERENCES district,
    id          uuid NOT NULL,
    sourced_id  text,
    kind        text NOT NULL,
    name        text NOT NULL,
    period      daterange NOT NULL,
    purge_on    date,
    PRIMARY KEY (district_id, id),
    CONSTRAINT academic_session_sourced_once UNIQUE (district_id, sourced_id),
    CONSTRAINT academic_session_kind_known CHECK (kind IN ('schoolYear', 'term', 'gradingPeriod')),
    CONSTRAINT academic_session_bounded CHECK (NOT lower_inf(period) AND NOT upper_inf(period) AND NOT isempty(period))
);

CREATE TABLE class (
    district_id         uuid NOT NULL REFERENCES district,
    id                  uuid NOT NULL,
    sourced_id          text,
    school_id           uuid NOT NULL,
    academic_session_id uuid,
    name                text NOT NULL,
    PRIMARY KEY (district_id, id),
    CONSTRAINT class_of_its_school UNIQUE (district_id, school_id, id),
    CONSTRAINT class_sourced_once UNIQUE (district_id, sourced_id),
    CONSTRAINT class_in_school FOREIGN KEY (district_id, school_id) REFERENCES school (district_id, id),
    CONSTRAINT class_in_session FOREIGN KEY (district_id, academic_session_id)
        REFERENCES academic_session (district_id, id)
);

-- ---------------------------------------------------------------------------------------------- people

-- A human in one district. Retention: with the last guardianship, escort right or role.
CREATE TABLE person (
    district_id uuid NOT NULL REFERENCES district,
    id          uuid NOT NULL,
    sourced_id  text,
    login_id    uuid REFERENCES login ON DELETE SET NULL,
    given       text NOT NULL,
    family      text NOT NULL,
    language    text NOT NULL,
    PRIMARY KEY (district_id, id),
    CONSTRAINT person_sourced_once UNIQUE (district_id, sourced_id),
    CONSTRAINT person_login_once UNIQUE (login_id, district_id),
    CONSTRAINT person_named CHECK (given <> '' AND length(given) <= 100 AND length(family) <= 100),
    CONSTRAINT person_language_known CHECK (language IN ('en', 'fr', 'kk', 'ru', 'vi'))
);

-- Works at a school. powers (PROTOCOL 2): 1 confirm, 2 take in by hand, 4 enter, 8 release.
CREATE TABLE staff (
    district_id uuid NOT NULL REFERENCES district,
    person_id   uuid NOT NULL,
    school_id   uuid NOT NULL,
    powers      smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (district_id, person_id, school_id),
    CONSTRAINT staff_is_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id),
    CONSTRAINT staff_at_school FOREIGN KEY (district_id, school_id) REFERENCES school (district_id, id),
    CONSTRAINT staff_powers_known CHECK (powers BETWEEN 0 AND 15)
);

-- What a person may do, where and when. school_id and class_id narrow it; null is the whole district.
CREATE TABLE role_grant (
    district_id uuid NOT NULL REFERENCES district,
    id          uuid NOT NULL,
    person_id   uuid NOT NULL,
    role        text NOT NULL,
    school_id   uuid,
    class_id    uuid,
    period      daterange NOT NULL,
    granted_by  uuid,
    PRIMARY KEY (district_id, id),
    CONSTRAINT role_grant_to_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id),
    CONSTRAINT role_grant_by_person FOREIGN KEY (district_id, granted_by) REFERENCES person (district_id, id),
    CONSTRAINT role_grant_at_school FOREIGN KEY (district_id, school_id) REFERENCES school (district_id, id),
    CONSTRAINT role_grant_in_class FOREIGN KEY (district_id, school_id, class_id)
        REFERENCES class (district_id, school_id, id),
    CONSTRAINT role_grant_role_known CHECK (role IN
        ('teacher', 'gate_staff', 'office', 'head', 'district_officer', 'auditor', 'operator')),
    CONSTRAINT role_grant_class_has_school CHECK (class_id IS NULL OR school_id IS NOT NULL),
    CONSTRAINT role_grant_once EXCLUDE USING gist (
        district_id WITH =, person_id WITH =, role WITH =,
        (coalesce(school_id, '00000000-0000-0000-0000-000000000000'::uuid)) WITH =,
        (coalesce(class_id, '00000000-0000-0000-0000-000000000000'::uuid)) WITH =, period WITH &&)
);
CREATE INDEX role_grant_of_person ON role_grant (district_id, person_id);

CREATE TABLE class_teacher (
    district_id uuid NOT NULL REFERENCES district,
    class_id    uuid NOT NULL,
    person_id   uuid NOT NULL,
    period      daterange NOT NULL,
    CONSTRAINT class_teacher_class FOREIGN KEY (district_id, class_id) REFERENCES class (district_id, id),
    CONSTRAINT class_teacher_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id),
    CONSTRAINT class_teacher_once EXCLUDE USING gist (
        district_id WITH =, class_id WITH =, person_id WITH =, period WITH &&)
);

-- Retention: the end of the school year in which the last enrolment ended, and what the law adds.
CREATE TABLE child (
    district_id uuid NOT NULL REFERENCES district,
    id          uuid NOT NULL,
    sourced_id  text,
    given       text NOT NULL,
    family      text NOT NULL,
    birth       date,
    protected   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (district_id, id),
    CONSTRAINT child_sourced_once UNIQUE (district_id, sourced_id),
    CONSTRAINT child_named CHECK (given <> '' AND length(given) <= 100 AND length(family) <= 100)
);

-- A child at a school, in a class of that school. I13: periods of one child in one school never overlap.
CREATE TABLE enrolment (
    district_id uuid NOT NULL REFERENCES district,
    id          uuid NOT NULL,
    child_id    uuid NOT NULL,
    school_id   uuid NOT NULL,
    class_id    uuid,
    period      daterange NOT NULL,
    PRIMARY KEY (district_id, id),
    CONSTRAINT enrolment_of_child FOREIGN KEY (district_id, child_id) REFERENCES child (district_id, id),
    CONSTRAINT enrolment_at_school FOREIGN KEY (district_id, school_id) REFERENCES school (district_id, id),
    CONSTRAINT enrolment_in_class FOREIGN KEY (district_id, school_id, class_id)
        REFERENCES class (district_id, school_id, id),
    CONSTRAINT enrolment_not_empty CHECK (NOT isempty(period)),
    CONSTRAINT enrolment_once_at_a_time EXCLUDE USING gist (
        district_id WITH =, child_id WITH =, school_id WITH =, period WITH &&)
);
CREATE INDEX enrolment_of_class ON enrolment (district_id, school_id, class_id);

-- Who decides for a child: per child and person, dated. Not a right to collect: that is escort_right.
CREATE TABLE guardianship (
    district_id uuid NOT NULL REFERENCES district,
    id          uuid NOT NULL,
    child_id    uuid NOT NULL,
    person_id   uuid NOT NULL,
    relation    text NOT NULL,
    authority   boolean NOT NULL,
    lives_with  boolean NOT NULL,
    may_collect boolean NOT NULL,
    may_read    boolean NOT NULL,
    may_sign    boolean NOT NULL,
    period      daterange NOT NULL,
    PRIMARY KEY (district_id, id),
    CONSTRAINT guardianship_of_child FOREIGN KEY (district_id, child_id) REFERENCES child (district_id, id),
    CONSTRAINT guardianship_by_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id),
    CONSTRAINT guardianship_relation_said CHECK (relation <> '' AND length(relation) <= 40),
    CONSTRAINT guardianship_not_empty CHECK (NOT isempty(period)),
    CONSTRAINT guardianship_once_at_a_time EXCLUDE USING gist (
        district_id WITH =, child_id WITH =, person_id WITH =, period WITH &&)
);
CREATE INDEX guardianship_of_person ON guardianship (district_id, person_id);

-- Who may collect, and who must not. I1: five at any instant, parents included, by a numbered slot.
-- weekdays: bit 0 Monday to bit 6 Sunday.
CREATE TABLE escort_right (
    district_id uuid NOT NULL REFERENCES district,
    id          uuid NOT NULL,
    child_id    uuid NOT NULL,
    person_id   uuid NOT NULL,
    kind        text NOT NULL,
    slot        smallint,
    weekdays    smallint NOT NULL DEFAULT 127,
    period      tstzrange NOT NULL,
    evidence    bytea,
    PRIMARY KEY (district_id, id),
    CONSTRAINT escort_right_for_child FOREIGN KEY (district_id, child_id) REFERENCES child (district_id, id),
    CONSTRAINT escort_right_of_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id),
    CONSTRAINT escort_right_kind_known CHECK (kind IN ('may_collect', 'must_not_collect')),
    CONSTRAINT escort_right_slot_of_five CHECK (
        CASE kind WHEN 'may_collect' THEN slot IS NOT NULL AND slot BETWEEN 1 AND 5 ELSE slot IS NULL END),
    CONSTRAINT escort_right_some_weekday CHECK (weekdays BETWEEN 1 AND 127),
    CONSTRAINT escort_right_evidence_hashed CHECK (octet_length(evidence) = 32),
    CONSTRAINT escort_right_not_empty CHECK (NOT isempty(period)),
    CONSTRAINT escort_right_five_at_most EXCLUDE USING gist (
        district_id WITH =, child_id WITH =, slot WITH =, period WITH &&) WHERE (kind = 'may_collect'),
    CONSTRAINT escort_right_once_a_person EXCLUDE USING gist (
        district_id WITH =, child_id WITH =, person_id WITH =, kind WITH =, period WITH &&),
    CONSTRAINT escort_right_never_against_order EXCLUDE USING gist (
        district_id WITH =, child_id WITH =, person_id WITH =, kind WITH <>, period WITH &&)
);
CREATE INDEX escort_right_by_person ON escort_right (district_id, person_id);

-- ---------------------------------------------------------------------------------------------- lookups

-- The owner's functions below read these tables past app.person and, for a sign-in, past app.district.
-- Nothing else runs as the owner, who cannot log in.
CREATE POLICY lookup ON guardianship FOR SELECT TO portillon_owner USING (true);
CREATE POLICY lookup ON escort_right FOR SELECT TO portillon_owner USING (true);
CREATE POLICY lookup ON enrolment FOR SELECT TO portillon_owner USING (true);
CREATE POLICY lookup ON class_teacher FOR SELECT TO portillon_owner USING (true);
CREATE POLICY lookup ON person FOR SELECT TO portillon_owner USING (true);
CREATE POLICY lookup ON role_grant FOR SELECT TO portillon_owner USING (true);
CREATE POLICY lookup ON district FOR SELECT TO portillon_owner USING (true);

-- The children whose file the asking guardian may read, in the district of this transaction (I11).
CREATE FUNCTION app_children() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
BEGIN ATOMIC
    SELECT child_id FROM guardianship
     WHERE district_id = app_district() AND person_id = app_person() AND may_read
       AND period @> (now() AT TIME ZONE 'UTC')::date;
END;

-- The people whose names a guardian may read: own, other guardians and escorts of own children, their teachers.
CREATE FUNCTION app_people() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
BEGIN ATOMIC
    SELECT app_person()
    UNION SELECT person_id FROM guardianship
           WHERE district_id = app_district() AND child_id IN (SELECT app_children())
    UNION SELECT person_id FROM escort_right
           WHERE district_id = app_district() AND child_id IN (SELECT app_children()) AND kind = 'may_collect'
    UNION SELECT t.person_id FROM class_teacher t JOIN enrolment e USING (district_id, class_id)
           WHERE t.district_id = app_district() AND e.child_id IN (SELECT app_children());
END;

-- The places where a session lets its login in: one row for each person and role. Across districts, by hash only.
CREATE FUNCTION session_places(hash bytea, wanted_door text, at timestamptz)
RETURNS TABLE (login_id uuid, district_id uuid, person_id uuid, given text, family text, language text,
               role text, school_id uuid, class_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
BEGIN ATOMIC
    WITH opened AS (
        SELECT s.login_id FROM session s
         WHERE s.token_hash = hash AND s.door = wanted_door AND s.ended_at IS NULL AND s.expires_at > at
    ), held AS (
        SELECT g.district_id, g.person_id, g.role, g.school_id, g.class_id, g.id
          FROM opened o JOIN person p ON p.login_id = o.login_id
          JOIN role_grant g ON g.district_id = p.district_id AND g.person_id = p.id
         WHERE g.period @> (at AT TIME ZONE 'UTC')::date
           AND CASE wanted_door WHEN 'fleet' THEN g.role = 'operator' WHEN 'school' THEN g.role <> 'operator' END
        UNION ALL
        SELECT DISTINCT g.district_id, g.person_id, 'guardian', NULL::uuid, NULL::uuid, NULL::uuid
          FROM opened o JOIN person p ON p.login_id = o.login_id
          JOIN guardianship g ON g.district_id = p.district_id AND g.person_id = p.id
         WHERE wanted_door = 'family' AND g.period @> (at AT TIME ZONE 'UTC')::date
        UNION ALL
        SELECT DISTINCT e.district_id, e.person_id, 'escort', NULL::uuid, NULL::uuid, NULL::uuid
          FROM opened o JOIN person p ON p.login_id = o.login_id
          JOIN escort_right e ON e.district_id = p.district_id AND e.person_id = p.id
         WHERE wanted_door = 'family' AND e.kind = 'may_collect' AND e.period @> at
    )
    SELECT o.login_id, h.district_id, h.person_id, p.given, p.family, p.language, h.role, h.school_id, h.class_id
      FROM opened o CROSS JOIN held h
      JOIN person p ON p.district_id = h.district_id AND p.id = h.person_id
     ORDER BY h.district_id, h.role, h.id;
END;

-- The district of a slug: for commands and for addresses that name it. Ids are no secret, names are not given.
CREATE FUNCTION district_of_slug(wanted text) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
BEGIN ATOMIC
    SELECT id FROM district WHERE slug = wanted;
END;

-- All districts, for the processes that serve every one of them in turn (worker, ingest, downlink).
CREATE FUNCTION districts() RETURNS TABLE (id uuid, slug text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
BEGIN ATOMIC
    SELECT d.id, d.slug FROM district d ORDER BY d.slug;
END;

REVOKE ALL ON FUNCTION app_children(), app_people(), session_places(bytea, text, timestamptz),
    district_of_slug(text), districts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app_children(), app_people(), session_places(bytea, text, timestamptz),
    district_of_slug(text), districts() TO portillon_app;

-- ---------------------------------------------------------------------------------------------- walls

SELECT tenant_wall('district', district_column => 'id');
SELECT tenant_wall('site');
SELECT tenant_wall('school');
SELECT tenant_wall('academic_session');
SELECT tenant_wall('class');
SELECT tenant_wall('staff', person_column => 'person_id');
SELECT tenant_wall('role_grant', person_column => 'person_id');
SELECT tenant_wall('class_teacher');
SELECT tenant_wall('child', child_column => 'id');
SELECT tenant_wall('enrolment', child_column => 'child_id');
SELECT tenant_wall('guardianship', child_column => 'child_id');
SELECT tenant_wall('escort_right', child_column => 'child_id');
SELECT tenant_wall('person');
DROP POLICY tenant ON person;
CREATE POLICY tenant ON person TO portillon_app
    USING (district_id = app_district() AND (app_person() IS NULL OR id IN (SELECT app_people())));
SELECT only_staff_write(walled) FROM unnest(ARRAY['district', 'site', 'school', 'academic_session', 'class', 'staff',
    'role_grant', 'class_teacher', 'child', 'enrolment', 'guardianship', 'escort_right', 'person']::regclass[]) AS walled;

-- Nobody who serves people deletes a district, a school, a person or a child: the retention role will.
REVOKE DELETE ON district, site, school, academic_session, class, person, child, enrolment, guardianship, escort_right,
    role_grant FROM portillon_app;
