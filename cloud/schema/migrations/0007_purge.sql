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
