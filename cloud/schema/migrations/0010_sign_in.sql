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
