-- In a guardian's or an operator's transaction nothing is written at all: also no fact, no derived day, no phone, no
-- credential and no gate, whatever the code forgets. 0001 said it of people and schools only, and not of deletion.
SELECT only_staff_write(walled) FROM unnest(ARRAY['attendance_event', 'attendance_day', 'attendance_incident',
    'ingest_receipt', 'ledger', 'ledger_fork', 'gate_day', 'site_ref', 'pass_key', 'pairing_code', 'credential', 'card',
    'holder_block', 'site_document', 'gate', 'gate_alarm']::regclass[]) AS walled;
CREATE POLICY only_staff_remove ON attendance_day AS RESTRICTIVE FOR DELETE TO portillon_app USING (app_person() IS NULL);
CREATE POLICY only_staff_remove ON staff AS RESTRICTIVE FOR DELETE TO portillon_app USING (app_person() IS NULL);
CREATE POLICY only_staff_remove ON class_teacher AS RESTRICTIVE FOR DELETE TO portillon_app USING (app_person() IS NULL);
