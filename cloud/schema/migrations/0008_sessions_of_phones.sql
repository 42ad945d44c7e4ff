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
