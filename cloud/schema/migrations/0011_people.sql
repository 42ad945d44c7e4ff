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
