-- The whole database as it is, by slice: what the migrations add up to (a test compares the catalogs).
-- Read this to know a table; write a migration to change it, and this file with it.

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

-- Jobs: what follows from a fact, entered in the fact's own transaction (it is the outbox; there is no second one).
-- A job is run inside the transaction that deletes it: whoever is killed in between has done nothing, and another
-- worker finds the row unlocked. No heartbeats, no stalled states. Ids only: nothing personal stands in `what`.
CREATE TABLE job (
    id          bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT job_pkey PRIMARY KEY,
    fact        text        NOT NULL CONSTRAINT job_fact CHECK (fact ~ '^[A-Z][A-Za-z]{1,39}$'),
    district_id uuid        REFERENCES district (id),
    what        jsonb       NOT NULL DEFAULT '{}' CONSTRAINT job_what CHECK (octet_length(what::text) <= 65536),
    run_at      timestamptz NOT NULL,
    tries       smallint    NOT NULL DEFAULT 0,
    last_fault  text        CONSTRAINT job_last_fault CHECK (length(last_fault) <= 500),
    failed_at   timestamptz
);
CREATE INDEX job_next ON job (run_at, id) WHERE failed_at IS NULL;

-- What is due by the clock: one row each, moved forward by whichever worker comes first.
CREATE TABLE schedule (
    fact   text        NOT NULL CONSTRAINT schedule_pkey PRIMARY KEY,
    ran_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON job TO portillon_app;
GRANT SELECT, INSERT, UPDATE ON schedule TO portillon_app;
-- Row security asks "whose children?" and "who is around them?" with every query of a guardian: plain indexes by child.
CREATE INDEX guardianship_of_child_index ON guardianship (district_id, child_id);
CREATE INDEX escort_right_of_child_index ON escort_right (district_id, child_id);
CREATE INDEX enrolment_of_child_index ON enrolment (district_id, child_id);

-- The same two questions in PL/pgSQL, which keeps their plans for the session: a guardian's page asks them with each
-- query, and planning had cost more than answering.
CREATE OR REPLACE FUNCTION app_children() RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 5 SET search_path = public, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT child_id FROM guardianship
     WHERE district_id = app_district() AND person_id = app_person() AND may_read
       AND period @> (now() AT TIME ZONE 'UTC')::date;
END $$;

CREATE OR REPLACE FUNCTION app_people() RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20 SET search_path = public, pg_temp AS $$
DECLARE
    own uuid[] := ARRAY(SELECT app_children());
BEGIN
    RETURN QUERY SELECT app_person()
    UNION SELECT person_id FROM guardianship WHERE district_id = app_district() AND child_id = ANY (own)
    UNION SELECT person_id FROM escort_right
           WHERE district_id = app_district() AND child_id = ANY (own) AND kind = 'may_collect'
    UNION SELECT t.person_id FROM class_teacher t JOIN enrolment e USING (district_id, class_id)
           WHERE t.district_id = app_district() AND e.child_id = ANY (own);
END $$;
-- What the clock alone decides to delete, in one place: the application may not delete these rows, this function may.
-- Who calls it: the worker, once a day (cloud/retention.py says the same in words, and a test compares the two).
CREATE POLICY purge ON pairing_code FOR DELETE TO portillon_owner USING (true);
CREATE POLICY purge ON dead_letter FOR DELETE TO portillon_owner USING (true);
CREATE POLICY lookup ON gate_alarm FOR SELECT TO portillon_owner USING (true);
CREATE POLICY purge ON gate_alarm FOR DELETE TO portillon_owner USING (true);

CREATE FUNCTION purge_by_clock(at timestamptz) RETURNS TABLE (purged text, gone bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH codes AS (DELETE FROM pairing_code WHERE expires_at < at - interval '1 day' RETURNING 1),
         letters AS (DELETE FROM dead_letter WHERE last_at < at - interval '90 days' RETURNING 1),
         alarms AS (DELETE FROM gate_alarm WHERE closed_at < at - interval '400 days' RETURNING 1)
    SELECT 'pairing_code', count(*) FROM codes
    UNION ALL SELECT 'dead_letter', count(*) FROM letters
    UNION ALL SELECT 'gate_alarm', count(*) FROM alarms
$$;
REVOKE ALL ON FUNCTION purge_by_clock(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_by_clock(timestamptz) TO portillon_app;
-- A session that a pairing code opened. The code is given out by one district's office, so the session reaches that
-- district only, even where the login has a person in another one; and it opens nothing once its phone is taken away.
ALTER TABLE session
    ADD COLUMN only_district uuid,
    ADD COLUMN phone_id      uuid,
    ADD CONSTRAINT session_of_phone FOREIGN KEY (only_district, phone_id)
        REFERENCES pass_key (district_id, id) ON DELETE CASCADE,
    ADD CONSTRAINT session_of_phone_whole CHECK ((only_district IS NULL) = (phone_id IS NULL));
CREATE INDEX session_by_phone ON session (only_district, phone_id) WHERE phone_id IS NOT NULL;
CREATE POLICY lookup ON pass_key FOR SELECT TO portillon_owner USING (true);

DROP FUNCTION session_places(bytea, text, timestamptz);

-- As before, and: phone_revoked says that the session's phone was taken away (it may still be told so).
CREATE FUNCTION session_places(hash bytea, wanted_door text, at timestamptz)
RETURNS TABLE (login_id uuid, district_id uuid, person_id uuid, given text, family text, language text,
               role text, school_id uuid, class_id uuid, phone_revoked boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
BEGIN ATOMIC
    WITH opened AS (
        SELECT s.login_id, s.only_district, k.revoked_at IS NOT NULL AS phone_revoked
          FROM session s LEFT JOIN pass_key k ON k.district_id = s.only_district AND k.id = s.phone_id
         WHERE s.token_hash = hash AND s.door = wanted_door AND s.ended_at IS NULL AND s.expires_at > at
    ), reached AS (
        SELECT p.district_id, p.id, p.given, p.family, p.language, o.login_id, o.phone_revoked
          FROM opened o JOIN person p ON p.login_id = o.login_id
         WHERE o.only_district IS NULL OR o.only_district = p.district_id
    ), held AS (
        SELECT g.district_id, g.person_id, g.role, g.school_id, g.class_id, g.id
          FROM reached r JOIN role_grant g ON g.district_id = r.district_id AND g.person_id = r.id
         WHERE g.period @> (at AT TIME ZONE 'UTC')::date
           AND CASE wanted_door WHEN 'fleet' THEN g.role = 'operator' WHEN 'school' THEN g.role <> 'operator' END
        UNION ALL
        SELECT DISTINCT g.district_id, g.person_id, 'guardian', NULL::uuid, NULL::uuid, NULL::uuid
          FROM reached r JOIN guardianship g ON g.district_id = r.district_id AND g.person_id = r.id
         WHERE wanted_door = 'family' AND g.period @> (at AT TIME ZONE 'UTC')::date
        UNION ALL
        SELECT DISTINCT e.district_id, e.person_id, 'escort', NULL::uuid, NULL::uuid, NULL::uuid
          FROM reached r JOIN escort_right e ON e.district_id = r.district_id AND e.person_id = r.id
         WHERE wanted_door = 'family' AND e.kind = 'may_collect' AND e.period @> at
    )
    SELECT r.login_id, h.district_id, h.person_id, r.given, r.family, r.language, h.role, h.school_id, h.class_id,
           r.phone_revoked
      FROM held h JOIN reached r ON r.district_id = h.district_id AND r.id = h.person_id
     ORDER BY h.district_id, h.role, h.id;
END;
REVOKE ALL ON FUNCTION session_places(bytea, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION session_places(bytea, text, timestamptz) TO portillon_app;
-- In a guardian's or an operator's transaction nothing is written at all: also no fact, no derived day, no phone, no
-- credential and no gate, whatever the code forgets. 0001 said it of people and schools only, and not of deletion.
SELECT only_staff_write(walled) FROM unnest(ARRAY['attendance_event', 'attendance_day', 'attendance_incident',
    'ingest_receipt', 'ledger', 'ledger_fork', 'gate_day', 'site_ref', 'pass_key', 'pairing_code', 'credential', 'card',
    'holder_block', 'site_document', 'gate', 'gate_alarm']::regclass[]) AS walled;
CREATE POLICY only_staff_remove ON attendance_day AS RESTRICTIVE FOR DELETE TO portillon_app USING (app_person() IS NULL);
CREATE POLICY only_staff_remove ON staff AS RESTRICTIVE FOR DELETE TO portillon_app USING (app_person() IS NULL);
CREATE POLICY only_staff_remove ON class_teacher AS RESTRICTIVE FOR DELETE TO portillon_app USING (app_person() IS NULL);
-- Signing in: passkeys, passwords, activation letters, proved addresses; what a session proved, and how far it reaches.
-- Whatever an office gives out (a link, a letter, a pairing code) opens its own district only, and so does a passkey or a
-- password that was made on the strength of it, until the person proves the address beside the login (docs/sign-in.md).

-- ---------------------------------------------------------------------------------------------- logins and sessions

-- An address counts once among those that were proved. What an office wrote without proof joins nobody to anybody.
ALTER TABLE login
    ADD COLUMN email_proved_at timestamptz,
    ADD CONSTRAINT login_proof_of_something CHECK (email_proved_at IS NULL OR email IS NOT NULL),
    DROP CONSTRAINT login_email_once;
CREATE UNIQUE INDEX login_email_once ON login (email) WHERE email_proved_at IS NOT NULL;
CREATE INDEX login_by_email ON login (email);

-- A passkey (WebAuthn). It opens the door at which it was made; only_district: and that district alone.
-- handle: what the authenticator keeps beside the key, a hash that names nobody. Retention: while it is not removed.
CREATE TABLE passkey (
    id            uuid        NOT NULL CONSTRAINT passkey_pkey PRIMARY KEY,
    login_id      uuid        NOT NULL CONSTRAINT passkey_of_login REFERENCES login ON DELETE CASCADE,
    door          text        NOT NULL CONSTRAINT passkey_door_known CHECK (door IN ('family', 'school', 'fleet')),
    only_district uuid        CONSTRAINT passkey_in_district REFERENCES district,
    credential    bytea       NOT NULL CONSTRAINT passkey_credential CHECK (octet_length(credential) BETWEEN 16 AND 1023),
    handle        bytea       NOT NULL CONSTRAINT passkey_handle CHECK (octet_length(handle) = 32),
    public_key    bytea       NOT NULL CONSTRAINT passkey_public_key CHECK (octet_length(public_key) BETWEEN 32 AND 1024),
    counter       bigint      NOT NULL CONSTRAINT passkey_counter CHECK (counter BETWEEN 0 AND 4294967295),
    name          text        NOT NULL CONSTRAINT passkey_named CHECK (name <> '' AND length(name) <= 60),
    created_at    timestamptz NOT NULL,
    used_at       timestamptz NOT NULL,
    CONSTRAINT passkey_credential_once UNIQUE (credential),
    -- A member of staff works for one district at a time: what opens its pages never opens another's.
    CONSTRAINT passkey_of_staff_confined CHECK (door = 'family' OR only_district IS NOT NULL)
);
CREATE INDEX passkey_of_login_index ON passkey (login_id);

-- A counter that went back is a copied authenticator: refused by the database as well, whatever the code forgets.
CREATE FUNCTION refuse_passkey_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NEW.counter < OLD.counter OR (OLD.counter > 0 AND NEW.counter = OLD.counter AND NEW.used_at > OLD.used_at)
       OR NEW.public_key <> OLD.public_key OR NEW.credential <> OLD.credential OR NEW.door <> OLD.door THEN
        RAISE EXCEPTION 'a passkey only moves forward'
            USING ERRCODE = '23001', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER passkey_only_forward BEFORE UPDATE ON passkey FOR EACH ROW EXECUTE FUNCTION refuse_passkey_change();

-- What a browser must sign: once, within minutes, in the session that asked. Only its hash is kept.
CREATE TABLE passkey_challenge (
    challenge_hash bytea       NOT NULL CONSTRAINT passkey_challenge_pkey PRIMARY KEY
                               CONSTRAINT passkey_challenge_hashed CHECK (octet_length(challenge_hash) = 32),
    purpose        text        NOT NULL CONSTRAINT passkey_challenge_purpose CHECK (purpose IN ('make', 'enter', 'prove')),
    session_hash   bytea       CONSTRAINT passkey_challenge_session CHECK (octet_length(session_hash) = 32),
    expires_at     timestamptz NOT NULL,
    CONSTRAINT passkey_challenge_in_session CHECK ((purpose = 'enter') = (session_hash IS NULL))
);

-- A password, for families who want one: argon2id, never the words. Retention: while it is not removed.
CREATE TABLE password (
    login_id      uuid        NOT NULL CONSTRAINT password_pkey PRIMARY KEY
                              CONSTRAINT password_of_login REFERENCES login ON DELETE CASCADE,
    only_district uuid        CONSTRAINT password_in_district REFERENCES district,
    hash          text        NOT NULL CONSTRAINT password_argon2id CHECK (hash LIKE '$argon2id$%' AND length(hash) <= 200),
    changed_at    timestamptz NOT NULL
);

-- Tries to get in, counted for an account, a network address and a school, each as an HMAC. Retention: a day.
CREATE TABLE sign_in_try (
    key_hash bytea       NOT NULL CONSTRAINT sign_in_try_pkey PRIMARY KEY
                         CONSTRAINT sign_in_try_hashed CHECK (octet_length(key_hash) = 32),
    tries    integer     NOT NULL CONSTRAINT sign_in_try_counted CHECK (tries >= 0),
    since    timestamptz NOT NULL
);

-- A link that proves an address: whoever opens it reads that mailbox. Retention: a day after it expired.
CREATE TABLE address_proof (
    token_hash   bytea       NOT NULL CONSTRAINT address_proof_pkey PRIMARY KEY
                             CONSTRAINT address_proof_hashed CHECK (octet_length(token_hash) = 32),
    login_id     uuid        NOT NULL CONSTRAINT address_proof_of_login REFERENCES login ON DELETE CASCADE,
    session_hash bytea       NOT NULL CONSTRAINT address_proof_session CHECK (octet_length(session_hash) = 32),
    email        text        NOT NULL CONSTRAINT address_proof_email CHECK (email = lower(email) AND length(email) <= 254),
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz
);

-- opened_by: how the session was earned. sure_until: until when it counts as proved anew (step-up).
-- only_district, from 0008, now also without a phone: what a link, a letter or a confined key opened.
ALTER TABLE session
    ADD COLUMN id         uuid        NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN opened_by  text        NOT NULL DEFAULT 'link',
    ADD COLUMN sure_until timestamptz,
    ADD COLUMN passkey_id uuid        CONSTRAINT session_by_passkey REFERENCES passkey ON DELETE SET NULL,
    ADD COLUMN browser    text        NOT NULL DEFAULT '',
    ADD CONSTRAINT session_id_once UNIQUE (id),
    ADD CONSTRAINT session_opening_known
        CHECK (opened_by IN ('link', 'demo', 'letter', 'pairing', 'passkey', 'password')),
    ADD CONSTRAINT session_browser_short CHECK (length(browser) <= 60),
    DROP CONSTRAINT session_of_phone_whole,
    ADD CONSTRAINT session_of_phone_whole CHECK (phone_id IS NULL OR only_district IS NOT NULL);
CREATE INDEX session_of_passkey ON session (passkey_id) WHERE passkey_id IS NOT NULL;

ALTER TABLE sign_in_link
    ADD COLUMN only_district uuid CONSTRAINT sign_in_link_in_district REFERENCES district;

GRANT SELECT, INSERT, UPDATE, DELETE ON passkey, passkey_challenge, password, sign_in_try, address_proof
    TO portillon_app;

-- ---------------------------------------------------------------------------------------------- activation letters

-- A letter on paper: a code that opens one door once, within 21 days. Only the hash of the code is kept.
CREATE TABLE activation_letter (
    district_id uuid        NOT NULL,
    id          uuid        NOT NULL,
    person_id   uuid        NOT NULL,
    door        text        NOT NULL CONSTRAINT activation_letter_door CHECK (door IN ('family', 'school', 'fleet')),
    code_hash   bytea       NOT NULL CONSTRAINT activation_letter_hashed CHECK (octet_length(code_hash) = 32),
    issued_by   uuid,
    issued_at   timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    used        boolean     NOT NULL DEFAULT false,
    CONSTRAINT activation_letter_pkey PRIMARY KEY (district_id, id),
    CONSTRAINT activation_letter_for_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id),
    CONSTRAINT activation_letter_by_person FOREIGN KEY (district_id, issued_by) REFERENCES person (district_id, id),
    CONSTRAINT activation_letter_once UNIQUE (code_hash),
    CONSTRAINT activation_letter_life CHECK (expires_at > issued_at AND expires_at <= issued_at + interval '21 days'),
    CONSTRAINT activation_letter_used_ended CHECK (NOT used OR ended_at IS NOT NULL),
    CONSTRAINT activation_letter_not_to_oneself CHECK (issued_by <> person_id)
);
-- One letter a person and door is open at any time.
CREATE UNIQUE INDEX activation_letter_open ON activation_letter (district_id, person_id, door) WHERE ended_at IS NULL;
SELECT tenant_wall('activation_letter', NULL, 'person_id');
SELECT only_staff_write('activation_letter');
REVOKE DELETE ON activation_letter FROM portillon_app;
CREATE POLICY lookup ON activation_letter FOR SELECT TO portillon_owner USING (true);
CREATE POLICY purge ON activation_letter FOR DELETE TO portillon_owner USING (true);

-- Whose letter is this? A typed code is all that a browser has; the answer is one row or none.
CREATE FUNCTION letter_of_code(of_hash bytea, at timestamptz) RETURNS TABLE (district_id uuid, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT l.district_id, l.id FROM activation_letter l
     WHERE l.code_hash = of_hash AND l.ended_at IS NULL AND l.expires_at > at
$$;
REVOKE ALL ON FUNCTION letter_of_code(bytea, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION letter_of_code(bytea, timestamptz) TO portillon_app;

-- ---------------------------------------------------------------------------------------------- who stands behind a session

DROP FUNCTION session_places(bytea, text, timestamptz);

-- As before, and: how the session was opened, until when it is sure, and the district it is confined to.
CREATE FUNCTION session_places(hash bytea, wanted_door text, at timestamptz)
RETURNS TABLE (login_id uuid, district_id uuid, person_id uuid, given text, family text, language text,
               role text, school_id uuid, class_id uuid, phone_revoked boolean, opened_by text, opened_at timestamptz,
               sure_until timestamptz, only_district uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
BEGIN ATOMIC
    WITH opened AS (
        SELECT s.login_id, s.only_district, k.revoked_at IS NOT NULL AS phone_revoked, s.opened_by,
               s.created_at, s.sure_until
          FROM session s LEFT JOIN pass_key k ON k.district_id = s.only_district AND k.id = s.phone_id
         WHERE s.token_hash = hash AND s.door = wanted_door AND s.ended_at IS NULL AND s.expires_at > at
    ), reached AS (
        SELECT p.district_id, p.id, p.given, p.family, p.language
          FROM opened o JOIN person p ON p.login_id = o.login_id
         WHERE o.only_district IS NULL OR o.only_district = p.district_id
    ), held AS (
        SELECT g.district_id, g.person_id, g.role, g.school_id, g.class_id, g.id
          FROM reached r JOIN role_grant g ON g.district_id = r.district_id AND g.person_id = r.id
         WHERE g.period @> (at AT TIME ZONE 'UTC')::date
           AND CASE wanted_door WHEN 'fleet' THEN g.role = 'operator' WHEN 'school' THEN g.role <> 'operator' END
        UNION ALL
        SELECT DISTINCT g.district_id, g.person_id, 'guardian', NULL::uuid, NULL::uuid, NULL::uuid
          FROM reached r JOIN guardianship g ON g.district_id = r.district_id AND g.person_id = r.id
         WHERE wanted_door = 'family' AND g.period @> (at AT TIME ZONE 'UTC')::date
        UNION ALL
        SELECT DISTINCT e.district_id, e.person_id, 'escort', NULL::uuid, NULL::uuid, NULL::uuid
          FROM reached r JOIN escort_right e ON e.district_id = r.district_id AND e.person_id = r.id
         WHERE wanted_door = 'family' AND e.kind = 'may_collect' AND e.period @> at
    )
    SELECT o.login_id, h.district_id, h.person_id, r.given, r.family, r.language, h.role, h.school_id, h.class_id,
           o.phone_revoked, o.opened_by, o.created_at, o.sure_until, o.only_district
      FROM opened o CROSS JOIN held h JOIN reached r ON r.district_id = h.district_id AND r.id = h.person_id
     ORDER BY h.district_id, h.role, h.id;
END;
REVOKE ALL ON FUNCTION session_places(bytea, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION session_places(bytea, text, timestamptz) TO portillon_app;

-- As in 0007, and the letters that ended long ago.
CREATE OR REPLACE FUNCTION purge_by_clock(at timestamptz) RETURNS TABLE (purged text, gone bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH codes AS (DELETE FROM pairing_code WHERE expires_at < at - interval '1 day' RETURNING 1),
         letters AS (DELETE FROM dead_letter WHERE last_at < at - interval '90 days' RETURNING 1),
         alarms AS (DELETE FROM gate_alarm WHERE closed_at < at - interval '400 days' RETURNING 1),
         activations AS (DELETE FROM activation_letter WHERE expires_at < at - interval '400 days' RETURNING 1)
    SELECT 'pairing_code', count(*) FROM codes
    UNION ALL SELECT 'dead_letter', count(*) FROM letters
    UNION ALL SELECT 'gate_alarm', count(*) FROM alarms
    UNION ALL SELECT 'activation_letter', count(*) FROM activations
$$;

-- The schools around the logins of an address, so that tries are counted for each of them. Ids only, ten at most.
CREATE FUNCTION schools_of_address(wanted text) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT DISTINCT e.school_id FROM login l JOIN person p ON p.login_id = l.id
      JOIN guardianship g ON g.district_id = p.district_id AND g.person_id = p.id
      JOIN enrolment e ON e.district_id = g.district_id AND e.child_id = g.child_id
     WHERE l.email = wanted LIMIT 10
$$;

-- ---------------------------------------------------------------------------------------------- one parent, one login

CREATE POLICY join_logins ON person FOR UPDATE TO portillon_owner USING (true);

-- Moves the persons, keys and sessions of one login to another. What is moved stays confined to the district it came
-- from; where both have a person in one district that person stays, and so does its login. Called by the two below.
CREATE FUNCTION join_logins(kept uuid, gone uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    reach uuid[] := ARRAY(SELECT district_id FROM person WHERE login_id = gone);
BEGIN
    IF kept = gone OR cardinality(reach) <> 1
       OR EXISTS (SELECT 1 FROM person WHERE login_id = kept AND district_id = reach[1]) THEN
        RETURN false;
    END IF;
    UPDATE person SET login_id = kept WHERE login_id = gone;
    UPDATE passkey SET login_id = kept, only_district = coalesce(only_district, reach[1]) WHERE login_id = gone;
    UPDATE session SET login_id = kept, only_district = coalesce(only_district, reach[1]) WHERE login_id = gone;
    UPDATE password SET login_id = kept, only_district = coalesce(only_district, reach[1])
     WHERE login_id = gone AND NOT EXISTS (SELECT 1 FROM password WHERE login_id = kept);
    UPDATE sign_in_link SET login_id = kept, only_district = coalesce(only_district, reach[1]) WHERE login_id = gone;
    DELETE FROM login WHERE id = gone;
    RETURN true;
END $$;

-- Whether a session is confined to one district while its login has a person in another one as well.
CREATE FUNCTION is_narrow(asking session) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT asking.only_district IS NOT NULL AND EXISTS (
        SELECT 1 FROM person WHERE login_id = asking.login_id AND district_id <> asking.only_district)
$$;

-- Somebody opened the link in the mailbox, in the session that asked for it. The address counts as proved; every login
-- that an office wrote this address beside is joined; this family session and the key in its hand reach everywhere.
CREATE FUNCTION prove_address(of_hash bytea, of_session bytea, at timestamptz) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    proof  address_proof;
    asking session;
    kept   uuid;
    other  uuid;
BEGIN
    UPDATE address_proof SET used_at = at WHERE token_hash = of_hash AND session_hash = of_session
       AND used_at IS NULL AND expires_at > at RETURNING * INTO proof;
    SELECT * INTO asking FROM session WHERE token_hash = of_session AND door = 'family' AND ended_at IS NULL
       AND expires_at > at;
    IF proof.token_hash IS NULL OR asking.token_hash IS NULL OR asking.login_id <> proof.login_id THEN
        RETURN NULL;
    END IF;
    -- A session that reaches less far than its login widens by the address that this login proved before, by no other:
    -- an office that may print letters for its own district would prove a mailbox of its own and read the rest.
    IF is_narrow(asking) AND NOT EXISTS (SELECT 1 FROM login WHERE id = proof.login_id AND email = proof.email
                                            AND email_proved_at IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('address ' || proof.email, 0));
    SELECT id INTO kept FROM login WHERE email = proof.email AND email_proved_at IS NOT NULL;
    IF kept IS NULL THEN
        UPDATE login SET email = proof.email, email_proved_at = at WHERE id = proof.login_id;
        kept := proof.login_id;
    END IF;
    FOR other IN SELECT id FROM login WHERE (email = proof.email OR id = proof.login_id) AND id <> kept
                  ORDER BY created_at, id LIMIT 20 LOOP
        PERFORM join_logins(kept, other);
    END LOOP;
    IF EXISTS (SELECT 1 FROM session WHERE token_hash = of_session AND login_id = kept) THEN
        UPDATE passkey SET only_district = NULL WHERE id = asking.passkey_id AND door = 'family' AND login_id = kept;
        UPDATE password SET only_district = NULL WHERE login_id = kept AND asking.opened_by = 'password'
           AND only_district IS NOT DISTINCT FROM asking.only_district;
        UPDATE session SET only_district = NULL WHERE token_hash = of_session AND phone_id IS NULL;
    END IF;
    RETURN kept;
END $$;

-- Somebody who is signed in, and sure, typed the letter of a second district: both in one hand, one login.
CREATE FUNCTION join_by_letter(letter_session bytea, of_session bytea, at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    fresh  session;
    asking session;
BEGIN
    SELECT * INTO fresh FROM session WHERE token_hash = letter_session AND door = 'family' AND ended_at IS NULL
       AND opened_by = 'letter' AND created_at > at - interval '10 minutes';
    SELECT * INTO asking FROM session WHERE token_hash = of_session AND door = 'family' AND ended_at IS NULL
       AND expires_at > at AND sure_until > at AND opened_by IN ('passkey', 'password') AND phone_id IS NULL;
    IF fresh.token_hash IS NULL OR asking.token_hash IS NULL OR is_narrow(asking) OR NOT join_logins(asking.login_id, fresh.login_id) THEN
        RETURN false;
    END IF;
    UPDATE session SET ended_at = at WHERE token_hash = letter_session;
    UPDATE session SET only_district = NULL WHERE token_hash = of_session;
    UPDATE passkey SET only_district = NULL WHERE id = asking.passkey_id AND door = 'family';
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION schools_of_address(text), is_narrow(session), join_logins(uuid, uuid),
    prove_address(bytea, bytea, timestamptz), join_by_letter(bytea, bytea, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schools_of_address(text), prove_address(bytea, bytea, timestamptz),
    join_by_letter(bytea, bytea, timestamptz) TO portillon_app;

-- ---------------------------------------------------------------------------------------------- roles

-- How high a role stands. A person grants no role above the own one, and writes no letter to somebody above.
CREATE FUNCTION role_rank(role text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE role WHEN 'teacher' THEN 1 WHEN 'gate_staff' THEN 1 WHEN 'day_care' THEN 1 WHEN 'office' THEN 2
                 WHEN 'head' THEN 3 WHEN 'district_officer' THEN 4 WHEN 'auditor' THEN 4 WHEN 'operator' THEN 4
                 ELSE 0 END;

ALTER TABLE role_grant
    ADD COLUMN granted_at timestamptz,
    ADD COLUMN ended_by   uuid,
    ADD CONSTRAINT role_grant_ended_by_person FOREIGN KEY (district_id, ended_by) REFERENCES person (district_id, id),
    ADD CONSTRAINT role_grant_not_to_oneself CHECK (granted_by <> person_id),
    DROP CONSTRAINT role_grant_role_known,
    ADD CONSTRAINT role_grant_role_known CHECK (role IN ('teacher', 'gate_staff', 'day_care', 'office', 'head',
        'district_officer', 'auditor', 'operator'));

-- Whether a person may give and take this role, at this school, on this day: a head up to head at the own school, a
-- district's officer everything in the district. An auditor and an operator stand high and give nothing.
CREATE FUNCTION may_grant(of_district uuid, granter uuid, wanted text, at_school uuid, on_day date) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM role_grant g
        WHERE g.district_id = of_district AND g.person_id = granter AND g.period @> on_day
          AND (g.role = 'district_officer'
               OR (g.role = 'head' AND g.school_id = at_school AND role_rank(wanted) <= role_rank('head'))))
$$;

CREATE FUNCTION refuse_role_above() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    by_whom uuid := CASE TG_OP WHEN 'INSERT' THEN NEW.granted_by ELSE NEW.ended_by END;
BEGIN
    IF by_whom IS NOT NULL AND NOT may_grant(NEW.district_id, by_whom, NEW.role, NEW.school_id,
                                             (now() AT TIME ZONE 'UTC')::date) THEN
        RAISE EXCEPTION 'this role is not theirs to give or take'
            USING ERRCODE = '23001', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER role_grant_not_above BEFORE INSERT OR UPDATE ON role_grant
    FOR EACH ROW EXECUTE FUNCTION refuse_role_above();

-- What was granted is not rewritten: a grant only ends.
CREATE FUNCTION refuse_other_grant() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF (NEW.district_id, NEW.id, NEW.person_id, NEW.role, NEW.school_id, NEW.class_id, NEW.granted_by)
       IS DISTINCT FROM
       (OLD.district_id, OLD.id, OLD.person_id, OLD.role, OLD.school_id, OLD.class_id, OLD.granted_by)
       OR NOT NEW.period <@ OLD.period OR (NOT isempty(NEW.period) AND lower(NEW.period) <> lower(OLD.period)) THEN
        RAISE EXCEPTION 'a granted role only ends'
            USING ERRCODE = '23001', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER role_grant_only_ends BEFORE UPDATE ON role_grant FOR EACH ROW EXECUTE FUNCTION refuse_other_grant();

-- A school keeps a head. The school's row is locked, so that of two who leave at once the second sees the first.
CREATE FUNCTION refuse_headless_school() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.role <> 'head' OR NEW.period = OLD.period THEN
        RETURN NEW;
    END IF;
    PERFORM 1 FROM school WHERE district_id = NEW.district_id AND id = NEW.school_id AND state <> 'leaving' FOR UPDATE;
    IF FOUND AND NOT EXISTS (SELECT 1 FROM role_grant g
            WHERE g.district_id = NEW.district_id AND g.school_id = NEW.school_id AND g.role = 'head' AND g.id <> NEW.id
              AND g.period @> coalesce(upper(NEW.period), lower(OLD.period))) THEN
        RAISE EXCEPTION 'a school keeps a head'
            USING ERRCODE = '23001', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER role_grant_last_head BEFORE UPDATE ON role_grant FOR EACH ROW EXECUTE FUNCTION refuse_headless_school();

-- A letter that opens a door of staff is a way to become that person: it is written by who may grant each of their
-- roles, to somebody who has one.
CREATE FUNCTION refuse_letter_above() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
    IF NEW.issued_by IS NOT NULL AND NEW.door <> 'family' AND coalesce((
            SELECT bool_or(NOT may_grant(NEW.district_id, NEW.issued_by, g.role, g.school_id, today)) FROM role_grant g
             WHERE g.district_id = NEW.district_id AND g.person_id = NEW.person_id
               AND (upper_inf(g.period) OR upper(g.period) > today)), true) THEN
        RAISE EXCEPTION 'this letter is not theirs to write'
            USING ERRCODE = '23001', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER activation_letter_not_above BEFORE INSERT ON activation_letter
    FOR EACH ROW EXECUTE FUNCTION refuse_letter_above();

-- And it ends when its person rises above its writer before it is used.
CREATE FUNCTION end_letters_below() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE activation_letter l SET ended_at = greatest(now(), l.issued_at)
     WHERE l.district_id = NEW.district_id AND l.person_id = NEW.person_id AND l.door <> 'family' AND l.ended_at IS NULL
       AND l.issued_by IS NOT NULL AND NOT may_grant(NEW.district_id, l.issued_by, NEW.role, NEW.school_id,
                                                     (now() AT TIME ZONE 'UTC')::date);
    RETURN NULL;
END $$;
CREATE TRIGGER role_grant_ends_letters AFTER INSERT ON role_grant FOR EACH ROW EXECUTE FUNCTION end_letters_below();
-- Who may collect, who must not, and who says so: escorts with their adder, court orders, custody calendars,
-- corrections, protected identity, school days and hours. Rules: INTEGRITY I1, I2, I11, I13, I16, I18, I19; ADR 0012.

-- ---------------------------------------------------------------------------------------------- who may say so

-- Whether a person decides for a child at a moment: parental authority, and no order against them for this very child
-- (else who must not collect would send somebody else).
CREATE FUNCTION decides_for(district uuid, child uuid, person uuid, at timestamptz) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM guardianship g WHERE g.district_id = district AND g.child_id = child
                      AND g.person_id = person AND g.authority AND g.period @> (at AT TIME ZONE 'UTC')::date)
       AND NOT EXISTS (SELECT FROM escort_right r WHERE r.district_id = district AND r.child_id = child
                          AND r.person_id = person AND r.kind = 'must_not_collect' AND r.period @> at)
$$;

-- Whether a person works in the office of a school of this child, or is its head, at a moment.
CREATE FUNCTION works_for_school_of(district uuid, child uuid, person uuid, at timestamptz) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM role_grant g
                     JOIN enrolment e ON e.district_id = g.district_id AND e.school_id = g.school_id
                    WHERE g.district_id = district AND g.person_id = person AND g.role IN ('office', 'head')
                      AND g.period @> (at AT TIME ZONE 'UTC')::date
                      AND e.child_id = child AND e.period @> (at AT TIME ZONE 'UTC')::date)
$$;

-- ---------------------------------------------------------------------------------------------- escorts

-- How long the other holder of authority may object to an escort, and whether the right waits until then.
ALTER TABLE district
    ADD COLUMN escort_veto_hours smallint NOT NULL DEFAULT 24,
    ADD COLUMN escort_waits      boolean  NOT NULL DEFAULT false,
    ADD CONSTRAINT district_veto_of_a_week CHECK (escort_veto_hours BETWEEN 0 AND 168);

-- origin: family (a holder of authority added it), office, order (what a court order makes), import.
-- An empty period: a right that never began; like every row it stays, and no query of a moment finds it.
ALTER TABLE escort_right
    ADD COLUMN origin     text        NOT NULL DEFAULT 'import',
    ADD COLUMN added_by   uuid,
    ADD COLUMN added_at   timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN why        text        NOT NULL DEFAULT '',
    ADD COLUMN one_time   boolean     NOT NULL DEFAULT false,
    ADD COLUMN veto_until timestamptz,
    ADD COLUMN vetoed     boolean     NOT NULL DEFAULT false,
    ADD COLUMN ended_by   uuid,
    ADD COLUMN ended_at   timestamptz,
    DROP CONSTRAINT escort_right_not_empty,
    ADD CONSTRAINT escort_right_not_empty CHECK (NOT isempty(period) OR ended_at IS NOT NULL),
    ADD CONSTRAINT escort_right_added_by_person FOREIGN KEY (district_id, added_by) REFERENCES person (district_id, id),
    ADD CONSTRAINT escort_right_ended_by_person FOREIGN KEY (district_id, ended_by) REFERENCES person (district_id, id),
    ADD CONSTRAINT escort_right_origin_known CHECK (origin IN ('family', 'office', 'order', 'import')),
    ADD CONSTRAINT escort_right_origin_of_kind CHECK (
        origin = 'import' OR (kind = 'must_not_collect') = (origin = 'order')),
    ADD CONSTRAINT escort_right_adder_named CHECK (origin = 'import' OR added_by IS NOT NULL),
    ADD CONSTRAINT escort_right_never_backdated CHECK (
        origin = 'import' OR isempty(period) OR (NOT lower_inf(period) AND lower(period) >= added_at)),
    ADD CONSTRAINT escort_right_one_time_ends CHECK (
        NOT one_time OR isempty(period)
        OR (kind = 'may_collect' AND NOT lower_inf(period) AND NOT upper_inf(period)
            AND upper(period) - lower(period) <= interval '25 hours')),
    ADD CONSTRAINT escort_right_veto_of_family CHECK (veto_until IS NULL OR origin = 'family'),
    ADD CONSTRAINT escort_right_vetoed_and_ended CHECK (
        NOT vetoed OR (veto_until IS NOT NULL AND ended_by IS NOT NULL AND ended_at IS NOT NULL)),
    ADD CONSTRAINT escort_right_why_short CHECK (length(why) <= 200),
    ADD CONSTRAINT escort_right_whole UNIQUE (district_id, id, child_id, person_id, kind);

-- A guardian's transaction never learns of an order, not even of the asker's own.
CREATE POLICY orders_unseen ON escort_right AS RESTRICTIVE FOR SELECT TO portillon_app
    USING (app_person() IS NULL OR kind = 'may_collect');

-- I1, I2 say how many and against what; this says who may add.
CREATE FUNCTION escort_right_added() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.origin = 'family' AND NOT decides_for(NEW.district_id, NEW.child_id, NEW.added_by, NEW.added_at)
       OR NEW.origin IN ('office', 'order')
          AND NOT works_for_school_of(NEW.district_id, NEW.child_id, NEW.added_by, NEW.added_at) THEN
        RAISE EXCEPTION 'who adds this does not decide for the child'
            USING ERRCODE = '23001', CONSTRAINT = 'escort_right_added_by_who_may', TABLE = TG_TABLE_NAME;
    END IF;
    IF NEW.origin = 'family' AND EXISTS (
        SELECT FROM escort_right r WHERE r.district_id = NEW.district_id AND r.child_id = NEW.child_id
           AND r.person_id = NEW.person_id AND r.vetoed AND r.ended_at > NEW.added_at - interval '30 days') THEN
        RAISE EXCEPTION 'the other holder of authority objected to this person'
            USING ERRCODE = '23001', CONSTRAINT = 'escort_right_not_after_veto', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER escort_right_added BEFORE INSERT ON escort_right FOR EACH ROW EXECUTE FUNCTION escort_right_added();

-- A right ends and never changes otherwise. A holder of authority keeps theirs unless they or the office end it, and a
-- prohibition ends early only by an order that two people lifted.
CREATE FUNCTION escort_right_ended() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    broken text;
BEGIN
    IF (NEW.district_id, NEW.id, NEW.child_id, NEW.person_id, NEW.kind, NEW.slot, NEW.weekdays, NEW.evidence, NEW.origin,
        NEW.added_by, NEW.added_at, NEW.why, NEW.one_time, NEW.veto_until)
       IS DISTINCT FROM
       (OLD.district_id, OLD.id, OLD.child_id, OLD.person_id, OLD.kind, OLD.slot, OLD.weekdays, OLD.evidence, OLD.origin,
        OLD.added_by, OLD.added_at, OLD.why, OLD.one_time, OLD.veto_until)
       OR NOT NEW.period <@ OLD.period
       OR OLD.ended_at IS NOT NULL
          AND (NEW.period, NEW.ended_at, NEW.ended_by, NEW.vetoed)
              IS DISTINCT FROM (OLD.period, OLD.ended_at, OLD.ended_by, OLD.vetoed) THEN
        broken := 'escort_right_only_ends';
    ELSIF OLD.kind = 'must_not_collect' AND NEW.period <> OLD.period AND NOT EXISTS (
        SELECT FROM court_order o WHERE o.district_id = OLD.district_id AND o.right_id = OLD.id
           AND o.lifted_by IS NOT NULL) THEN
        broken := 'escort_right_order_lifted_first';
    ELSIF NEW.vetoed AND NOT (NEW.ended_at < OLD.veto_until AND NEW.ended_by IS DISTINCT FROM OLD.added_by
        AND decides_for(OLD.district_id, OLD.child_id, NEW.ended_by, NEW.ended_at)) THEN
        broken := 'escort_right_vetoed_in_time';
    ELSIF NEW.ended_by IS NOT NULL AND NEW.ended_by <> OLD.person_id
        AND NOT works_for_school_of(OLD.district_id, OLD.child_id, NEW.ended_by, NEW.ended_at)
        AND (NOT decides_for(OLD.district_id, OLD.child_id, NEW.ended_by, NEW.ended_at)
             OR decides_for(OLD.district_id, OLD.child_id, OLD.person_id, NEW.ended_at)) THEN
        broken := 'escort_right_ended_by_who_may';
    END IF;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'a right to collect cannot be changed so'
            USING ERRCODE = '23001', CONSTRAINT = broken, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER escort_right_ended BEFORE UPDATE ON escort_right FOR EACH ROW EXECUTE FUNCTION escort_right_ended();

-- ---------------------------------------------------------------------------------------------- court orders

-- Blocks at once on one person's word; confirmed by another; lifted by two. hides: the person sees nothing of the child.
-- evidence: SHA-256 of the document. right_id: the prohibition in escort_right, which refuses every right beside it.
CREATE TABLE court_order (
    district_id   uuid        NOT NULL,
    id            uuid        NOT NULL,
    child_id      uuid        NOT NULL,
    person_id     uuid        NOT NULL,
    right_id      uuid        NOT NULL,
    kind          text        NOT NULL GENERATED ALWAYS AS ('must_not_collect') STORED,
    hides         boolean     NOT NULL,
    evidence      bytea       NOT NULL CONSTRAINT court_order_evidence_hashed CHECK (octet_length(evidence) = 32),
    imposed_by    uuid        NOT NULL,
    imposed_at    timestamptz NOT NULL,
    confirmed_by  uuid,
    confirmed_at  timestamptz,
    lift_asked_by uuid,
    lift_asked_at timestamptz,
    lifted_by     uuid,
    lifted_at     timestamptz,
    CONSTRAINT court_order_pkey PRIMARY KEY (district_id, id),
    CONSTRAINT court_order_one_right UNIQUE (district_id, right_id),
    CONSTRAINT court_order_makes_right FOREIGN KEY (district_id, right_id, child_id, person_id, kind)
        REFERENCES escort_right (district_id, id, child_id, person_id, kind),
    CONSTRAINT court_order_imposed_by_person FOREIGN KEY (district_id, imposed_by) REFERENCES person (district_id, id),
    CONSTRAINT court_order_confirmed_by_person FOREIGN KEY (district_id, confirmed_by)
        REFERENCES person (district_id, id),
    CONSTRAINT court_order_lift_asked_by_person FOREIGN KEY (district_id, lift_asked_by)
        REFERENCES person (district_id, id),
    CONSTRAINT court_order_lifted_by_person FOREIGN KEY (district_id, lifted_by) REFERENCES person (district_id, id),
    CONSTRAINT court_order_steps_dated CHECK (
        (confirmed_by IS NULL) = (confirmed_at IS NULL) AND (lift_asked_by IS NULL) = (lift_asked_at IS NULL)
        AND (lifted_by IS NULL) = (lifted_at IS NULL)),
    CONSTRAINT court_order_confirmed_by_another CHECK (confirmed_by IS DISTINCT FROM imposed_by),
    CONSTRAINT court_order_lifted_by_two CHECK (
        lifted_by IS NULL OR (lift_asked_by IS NOT NULL AND lifted_by <> lift_asked_by)),
    CONSTRAINT court_order_never_by_its_subject CHECK (
        imposed_by <> person_id AND confirmed_by IS DISTINCT FROM person_id
        AND lift_asked_by IS DISTINCT FROM person_id AND lifted_by IS DISTINCT FROM person_id)
);
CREATE INDEX court_order_of_child ON court_order (district_id, child_id, person_id);

CREATE FUNCTION court_order_step() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    broken text;
BEGIN
    IF TG_OP = 'UPDATE' AND (
        (NEW.district_id, NEW.id, NEW.child_id, NEW.person_id, NEW.right_id, NEW.hides, NEW.evidence, NEW.imposed_by,
         NEW.imposed_at)
        IS DISTINCT FROM (OLD.district_id, OLD.id, OLD.child_id, OLD.person_id, OLD.right_id, OLD.hides, OLD.evidence,
         OLD.imposed_by, OLD.imposed_at)
        OR OLD.confirmed_by IS NOT NULL AND (NEW.confirmed_by, NEW.confirmed_at)
           IS DISTINCT FROM (OLD.confirmed_by, OLD.confirmed_at)
        OR OLD.lift_asked_by IS NOT NULL AND (NEW.lift_asked_by, NEW.lift_asked_at)
           IS DISTINCT FROM (OLD.lift_asked_by, OLD.lift_asked_at)
        OR OLD.lifted_by IS NOT NULL) THEN
        broken := 'court_order_only_moves_on';
    ELSIF EXISTS (
        SELECT FROM (VALUES (NEW.imposed_by, NEW.imposed_at), (NEW.confirmed_by, NEW.confirmed_at),
                            (NEW.lift_asked_by, NEW.lift_asked_at), (NEW.lifted_by, NEW.lifted_at)) AS step (who, at)
         WHERE step.who IS NOT NULL
           AND NOT works_for_school_of(NEW.district_id, NEW.child_id, step.who, step.at)) THEN
        broken := 'court_order_by_the_school';
    END IF;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'an order cannot be changed so'
            USING ERRCODE = '23001', CONSTRAINT = broken, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER court_order_step BEFORE INSERT OR UPDATE ON court_order
    FOR EACH ROW EXECUTE FUNCTION court_order_step();

-- Whether an order hides a child from a person at a moment.
CREATE FUNCTION is_hidden_from(district uuid, child uuid, person uuid, at timestamptz) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM court_order o
                     JOIN escort_right r ON r.district_id = o.district_id AND r.id = o.right_id
                    WHERE o.district_id = district AND o.child_id = child AND o.person_id = person AND o.hides
                      AND r.period @> at AND district = app_district())
$$;

-- The children whose file the asking guardian may read: as before, and none from whom an order hides them (I11).
CREATE OR REPLACE FUNCTION app_children() RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 5 SET search_path = public, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT g.child_id FROM guardianship g
     WHERE g.district_id = app_district() AND g.person_id = app_person() AND g.may_read
       AND g.period @> (now() AT TIME ZONE 'UTC')::date
       AND NOT EXISTS (SELECT FROM court_order o
                         JOIN escort_right r ON r.district_id = o.district_id AND r.id = o.right_id
                        WHERE o.district_id = g.district_id AND o.child_id = g.child_id
                          AND o.person_id = g.person_id AND o.hides AND r.period @> now());
END $$;

-- ---------------------------------------------------------------------------------------------- custody calendars

-- On which days a child is with one guardian: a weekday mask for each week of the cycle, week one beginning on
-- first_monday. denies: outside these days the gate refuses (an order says so); else it asks staff. An empty period: it
-- was taken back on the day it was set.
CREATE TABLE custody_calendar (
    district_id  uuid        NOT NULL,
    id           uuid        NOT NULL,
    child_id     uuid        NOT NULL,
    person_id    uuid        NOT NULL,
    cycle        smallint[]  NOT NULL,
    first_monday date        NOT NULL CONSTRAINT custody_calendar_begins_on_monday
                             CHECK (extract(isodow FROM first_monday) = 1),
    denies       boolean     NOT NULL,
    period       daterange   NOT NULL,
    set_by       uuid        NOT NULL,
    set_at       timestamptz NOT NULL,
    CONSTRAINT custody_calendar_pkey PRIMARY KEY (district_id, id),
    CONSTRAINT custody_calendar_of_child FOREIGN KEY (district_id, child_id) REFERENCES child (district_id, id),
    CONSTRAINT custody_calendar_of_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id),
    CONSTRAINT custody_calendar_set_by_person FOREIGN KEY (district_id, set_by) REFERENCES person (district_id, id),
    CONSTRAINT custody_calendar_of_weeks CHECK (
        array_ndims(cycle) = 1 AND cardinality(cycle) BETWEEN 1 AND 8 AND 0 <= ALL (cycle) AND 127 >= ALL (cycle)
        AND array_position(cycle, NULL) IS NULL),
    CONSTRAINT custody_calendar_once_at_a_time EXCLUDE USING gist (
        district_id WITH =, child_id WITH =, person_id WITH =, period WITH &&)
);

-- One date on which the calendar does not hold.
CREATE TABLE custody_exception (
    district_id uuid        NOT NULL,
    child_id    uuid        NOT NULL,
    person_id   uuid        NOT NULL,
    day         date        NOT NULL,
    has_child   boolean     NOT NULL,
    set_by      uuid        NOT NULL,
    set_at      timestamptz NOT NULL,
    CONSTRAINT custody_exception_pkey PRIMARY KEY (district_id, child_id, person_id, day),
    CONSTRAINT custody_exception_of_child FOREIGN KEY (district_id, child_id) REFERENCES child (district_id, id),
    CONSTRAINT custody_exception_of_person FOREIGN KEY (district_id, person_id) REFERENCES person (district_id, id),
    CONSTRAINT custody_exception_set_by_person FOREIGN KEY (district_id, set_by) REFERENCES person (district_id, id)
);

CREATE FUNCTION custody_set() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT works_for_school_of(NEW.district_id, NEW.child_id, NEW.set_by, NEW.set_at) THEN
        RAISE EXCEPTION 'custody is entered by the child''s school'
            USING ERRCODE = '23001', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER custody_calendar_by_the_school BEFORE INSERT OR UPDATE ON custody_calendar
    FOR EACH ROW EXECUTE FUNCTION custody_set();
CREATE TRIGGER custody_exception_by_the_school BEFORE INSERT OR UPDATE ON custody_exception
    FOR EACH ROW EXECUTE FUNCTION custody_set();

-- ---------------------------------------------------------------------------------------------- the child's file

-- Per cent of what the child costs that this guardian pays; null where nobody said.
ALTER TABLE guardianship
    ADD COLUMN share smallint,
    ADD CONSTRAINT guardianship_share_per_cent CHECK (share BETWEEN 0 AND 100);

-- Apart from the child, so that no list reads it by accident (I19). Seen by staff and by guardians the child lives with.
CREATE TABLE child_address (
    district_id uuid NOT NULL,
    child_id    uuid NOT NULL,
    address     text NOT NULL CONSTRAINT child_address_length CHECK (length(address) BETWEEN 1 AND 300),
    CONSTRAINT child_address_pkey PRIMARY KEY (district_id, child_id),
    CONSTRAINT child_address_of_child FOREIGN KEY (district_id, child_id) REFERENCES child (district_id, id)
);

-- What a guardian says is wrong in a file, and what the office answered. changes: [{field, before, after}, …].
CREATE TABLE correction (
    district_id uuid        NOT NULL,
    id          uuid        NOT NULL,
    child_id    uuid        NOT NULL,
    proposed_by uuid        NOT NULL,
    proposed_at timestamptz NOT NULL,
    changes     jsonb       NOT NULL CONSTRAINT correction_changes_something CHECK (
                                jsonb_typeof(changes) = 'array' AND jsonb_array_length(changes) BETWEEN 1 AND 8
                                AND octet_length(changes::text) <= 8192),
    state       text        NOT NULL DEFAULT 'proposed' CONSTRAINT correction_state_known CHECK (
                                state IN ('proposed', 'accepted', 'declined')),
    decided_by  uuid,
    decided_at  timestamptz,
    reason      text        NOT NULL DEFAULT '' CONSTRAINT correction_reason_short CHECK (length(reason) <= 300),
    CONSTRAINT correction_pkey PRIMARY KEY (district_id, id),
    CONSTRAINT correction_of_child FOREIGN KEY (district_id, child_id) REFERENCES child (district_id, id),
    CONSTRAINT correction_by_person FOREIGN KEY (district_id, proposed_by) REFERENCES person (district_id, id),
    CONSTRAINT correction_decided_by_person FOREIGN KEY (district_id, decided_by) REFERENCES person (district_id, id),
    CONSTRAINT correction_decided_whole CHECK (
        (state = 'proposed') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
    CONSTRAINT correction_decided_by_another CHECK (decided_by IS DISTINCT FROM proposed_by)
);
CREATE INDEX correction_of_child_index ON correction (district_id, child_id);
CREATE INDEX correction_undecided ON correction (district_id, proposed_at) WHERE state = 'proposed';

CREATE FUNCTION correction_step() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    broken text;
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.state <> 'proposed'
        OR (NEW.district_id, NEW.id, NEW.child_id, NEW.proposed_by, NEW.proposed_at, NEW.changes)
           IS DISTINCT FROM (OLD.district_id, OLD.id, OLD.child_id, OLD.proposed_by, OLD.proposed_at, OLD.changes)) THEN
        broken := 'correction_decided_once';
    ELSIF TG_OP = 'INSERT' AND NOT EXISTS (
        SELECT FROM guardianship g WHERE g.district_id = NEW.district_id AND g.child_id = NEW.child_id
           AND g.person_id = NEW.proposed_by AND g.may_read AND g.period @> (NEW.proposed_at AT TIME ZONE 'UTC')::date) THEN
        broken := 'correction_by_a_guardian';
    ELSIF NEW.decided_by IS NOT NULL
        AND NOT works_for_school_of(NEW.district_id, NEW.child_id, NEW.decided_by, NEW.decided_at) THEN
        broken := 'correction_decided_by_the_school';
    END IF;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'a correction cannot be made so'
            USING ERRCODE = '23001', CONSTRAINT = broken, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER correction_step BEFORE INSERT OR UPDATE ON correction FOR EACH ROW EXECUTE FUNCTION correction_step();

-- ---------------------------------------------------------------------------------------------- days and hours

-- When a school is open, by weekday (0 Monday), in its own time. A weekday without a row is closed.
CREATE TABLE opening_hours (
    district_id uuid     NOT NULL,
    school_id   uuid     NOT NULL,
    weekday     smallint NOT NULL CONSTRAINT opening_hours_of_a_week CHECK (weekday BETWEEN 0 AND 6),
    opens       time     NOT NULL,
    closes      time     NOT NULL,
    CONSTRAINT opening_hours_pkey PRIMARY KEY (district_id, school_id, weekday),
    CONSTRAINT opening_hours_at_school FOREIGN KEY (district_id, school_id) REFERENCES school (district_id, id),
    CONSTRAINT opening_hours_forward CHECK (opens < closes)
);

-- A date that is not as its weekday says: a holiday, or a Saturday made up for.
CREATE TABLE calendar_date (
    district_id uuid    NOT NULL,
    school_id   uuid    NOT NULL,
    day         date    NOT NULL,
    open        boolean NOT NULL,
    note        text    NOT NULL CONSTRAINT calendar_date_note_short CHECK (length(note) <= 200),
    CONSTRAINT calendar_date_pkey PRIMARY KEY (district_id, school_id, day),
    CONSTRAINT calendar_date_at_school FOREIGN KEY (district_id, school_id) REFERENCES school (district_id, id)
);

-- When a member of staff works, by weekday, in the school's own time; two spans of a day never overlap.
CREATE TABLE staff_hours (
    district_id uuid     NOT NULL,
    school_id   uuid     NOT NULL,
    person_id   uuid     NOT NULL,
    weekday     smallint NOT NULL CONSTRAINT staff_hours_of_a_week CHECK (weekday BETWEEN 0 AND 6),
    starts      time     NOT NULL,
    ends        time     NOT NULL,
    CONSTRAINT staff_hours_pkey PRIMARY KEY (district_id, school_id, person_id, weekday, starts),
    CONSTRAINT staff_hours_of_staff FOREIGN KEY (district_id, person_id, school_id)
        REFERENCES staff (district_id, person_id, school_id) ON DELETE CASCADE,
    CONSTRAINT staff_hours_forward CHECK (starts < ends),
    CONSTRAINT staff_hours_once_at_a_time EXCLUDE USING gist (
        district_id WITH =, school_id WITH =, person_id WITH =, weekday WITH =,
        tsrange(date '2000-01-03' + starts, date '2000-01-03' + ends) WITH &&)
);

-- ---------------------------------------------------------------------------------------------- walls

SELECT tenant_wall('court_order');
DROP POLICY tenant ON court_order;
CREATE POLICY tenant ON court_order TO portillon_app USING (district_id = app_district() AND app_person() IS NULL);
CREATE POLICY lookup ON court_order FOR SELECT TO portillon_owner USING (true);
SELECT tenant_wall('custody_calendar', 'child_id');
SELECT tenant_wall('custody_exception', 'child_id');
SELECT tenant_wall('correction', 'child_id', 'proposed_by');
SELECT tenant_wall('child_address', 'child_id');
CREATE POLICY only_at_home ON child_address AS RESTRICTIVE FOR SELECT TO portillon_app USING (
    app_person() IS NULL OR EXISTS (
        SELECT FROM guardianship g WHERE g.district_id = child_address.district_id AND g.child_id = child_address.child_id
           AND g.person_id = app_person() AND g.lives_with AND g.period @> (now() AT TIME ZONE 'UTC')::date));
SELECT tenant_wall('opening_hours');
SELECT tenant_wall('calendar_date');
SELECT tenant_wall('staff_hours', NULL, 'person_id');
SELECT only_staff_write(walled) FROM unnest(ARRAY['court_order', 'custody_calendar', 'custody_exception', 'correction',
    'child_address', 'opening_hours', 'calendar_date', 'staff_hours']::regclass[]) AS walled;
REVOKE DELETE ON court_order, custody_calendar, correction FROM portillon_app;
CREATE POLICY only_staff_remove ON custody_exception AS RESTRICTIVE FOR DELETE TO portillon_app
    USING (app_person() IS NULL);
CREATE POLICY only_staff_remove ON child_address AS RESTRICTIVE FOR DELETE TO portillon_app USING (app_person() IS NULL);
CREATE POLICY only_staff_remove ON opening_hours AS RESTRICTIVE FOR DELETE TO portillon_app USING (app_person() IS NULL);
CREATE POLICY only_staff_remove ON calendar_date AS RESTRICTIVE FOR DELETE TO portillon_app USING (app_person() IS NULL);
CREATE POLICY only_staff_remove ON staff_hours AS RESTRICTIVE FOR DELETE TO portillon_app USING (app_person() IS NULL);

REVOKE ALL ON FUNCTION decides_for(uuid, uuid, uuid, timestamptz), works_for_school_of(uuid, uuid, uuid, timestamptz),
    is_hidden_from(uuid, uuid, uuid, timestamptz), escort_right_added(), escort_right_ended(), court_order_step(),
    custody_set(), correction_step() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION decides_for(uuid, uuid, uuid, timestamptz),
    works_for_school_of(uuid, uuid, uuid, timestamptz), is_hidden_from(uuid, uuid, uuid, timestamptz) TO portillon_app;
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
