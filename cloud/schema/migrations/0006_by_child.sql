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
