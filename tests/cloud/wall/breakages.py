"""What breaks each CHECK, EXCLUDE and trigger: written by hand, a line a rule (rules.py says how they are used).

A line is the change of one row (`SET …`), or a whole statement where it begins with a verb in capitals. Where a rule is
refused with a SQLSTATE of its own, the line says so.
"""


def changed(text: str, sqlstate: str = "") -> tuple[str, str]:
    return sqlstate, text


OPERATOR = "(SELECT p.id FROM person p WHERE p.sourced_id = 'operator' AND p.district_id = {}.district_id)"
NEW_RIGHT = (
    "INSERT INTO escort_right (district_id, id, child_id, person_id, kind, slot, period, origin, added_by, added_at)"
    " SELECT r.district_id, gen_random_uuid(), r.child_id, {person}, 'may_collect', 5, tstzrange(now(), NULL),"
    " 'family', {by}, now() FROM escort_right r WHERE r.origin = 'family' LIMIT 1"
)
END_RIGHT = (
    "UPDATE escort_right SET ended_at = now(), period = tstzrange(lower(period), now()), {} WHERE origin = 'family'"
)
# A rule that acts and refuses nothing: told as a refusal where it has acted.
LETTER_OF_ONE_WHO_RISES = """DO $$
DECLARE one role_grant; head uuid; letter uuid := gen_random_uuid();
BEGIN
    SELECT * INTO one FROM role_grant WHERE role = 'gate_staff' LIMIT 1;
    SELECT person_id INTO head FROM role_grant WHERE role = 'head' AND school_id = one.school_id;
    INSERT INTO activation_letter (district_id, id, person_id, door, code_hash, issued_by, issued_at, expires_at)
    VALUES (one.district_id, letter, one.person_id, 'school', sha256('x'), head, now(), now() + interval '1 day');
    INSERT INTO role_grant (district_id, id, person_id, role, period)
    VALUES (one.district_id, gen_random_uuid(), one.person_id, 'district_officer', one.period);
    IF EXISTS (SELECT FROM activation_letter WHERE id = letter AND ended_at IS NOT NULL) THEN
        RAISE EXCEPTION 'it ended' USING ERRCODE = '22000', CONSTRAINT = 'role_grant_ends_letters';
    END IF;
END $$"""
FATHER = "(SELECT p.id FROM person p WHERE p.sourced_id = 'father' AND p.district_id = escort_right.district_id)"

# name of the rule: (SQLSTATE if it is not the usual one, what breaks it)
BROKEN_BY: dict[str, tuple[str, str]] = {
    # identity
    "login_email_normal": changed("email = 'Not Lower'"),
    "session_token_hashed": changed("token_hash = 'x'"),
    "session_door_known": changed("door = 'window'"),
    "session_lives_forward": changed("expires_at = created_at"),
    "session_of_phone_whole": changed("only_district = NULL, phone_id = gen_random_uuid()"),
    "session_opening_known": changed("opened_by = 'force'"),
    "session_browser_short": changed("browser = repeat('x', 61)"),
    "login_proof_of_something": changed("email = NULL, email_proved_at = now()"),
    "passkey_door_known": changed("door = 'window'"),
    "passkey_credential": changed("credential = 'x'"),
    "passkey_handle": changed("handle = 'x'"),
    "passkey_public_key": changed("public_key = 'x'"),
    "passkey_counter": changed("counter = -1"),
    "passkey_named": changed("name = ''"),
    "passkey_of_staff_confined": changed("door = 'school', only_district = NULL"),
    "passkey_only_forward": changed("counter = 1"),
    "passkey_challenge_hashed": changed("challenge_hash = 'x'"),
    "passkey_challenge_purpose": changed("purpose = 'steal'"),
    "passkey_challenge_session": changed("session_hash = 'x'"),
    "passkey_challenge_in_session": changed("session_hash = NULL"),
    "password_argon2id": changed("hash = 'md5'"),
    "sign_in_try_hashed": changed("key_hash = 'x'"),
    "sign_in_try_counted": changed("tries = -1"),
    "address_proof_hashed": changed("token_hash = 'x'"),
    "address_proof_session": changed("session_hash = 'x'"),
    "address_proof_email": changed("email = 'Upper@x'"),
    "activation_letter_door": changed("door = 'window'"),
    "activation_letter_hashed": changed("code_hash = 'x'"),
    "activation_letter_life": changed("expires_at = issued_at + interval '22 days'"),
    "activation_letter_used_ended": changed("used = true"),
    "activation_letter_not_to_oneself": changed("issued_by = person_id"),
    "sign_in_link_token_hashed": changed("token_hash = 'x'"),
    "sign_in_link_door_known": changed("door = 'window'"),
    "sign_in_link_lives_forward": changed("expires_at = created_at"),
    "activation_letter_not_above": changed("COPY id, code_hash, door = 'school'"),
    "role_grant_not_to_oneself": changed("granted_by = person_id"),
    "role_grant_not_above": changed(f"COPY id, person_id, granted_by = {OPERATOR.format('role_grant')}"),
    "role_grant_only_ends": changed("UPDATE role_grant SET role = 'operator' WHERE role = 'gate_staff'"),
    "role_grant_last_head": changed(
        "UPDATE role_grant SET period = daterange(lower(period), lower(period) + 1) WHERE role = 'head'"),
    "role_grant_ends_letters": changed(LETTER_OF_ONE_WHO_RISES, "22000"),
    # schools
    "district_slug_of_topics": changed("slug = 'A/#'"),
    "site_number_uint32": changed("number = 0"),
    "school_level_known": changed("level = 'academy'"),
    "school_state_known": changed("state = 'lost'"),
    "school_language_known": changed("language = 'xx'"),
    "academic_session_kind_known": changed("kind = 'week'"),
    "academic_session_bounded": changed("period = daterange(NULL, NULL)"),
    "district_veto_of_a_week": changed("escort_veto_hours = 169"),
    "opening_hours_of_a_week": changed("weekday = 7"),
    "opening_hours_forward": changed("closes = opens"),
    "calendar_date_note_short": changed("note = repeat('x', 201)"),
    "staff_hours_of_a_week": changed("weekday = 7"),
    "staff_hours_forward": changed("ends = starts"),
    "staff_hours_once_at_a_time": changed("COPY starts"),
    # people
    "person_named": changed("given = ''"),
    "person_language_known": changed("language = 'xx'"),
    "staff_powers_known": changed("powers = 16"),
    "role_grant_role_known": changed("role = 'king'"),
    "role_grant_class_has_school": changed("school_id = NULL, class_id = gen_random_uuid()"),
    "role_grant_once": changed("COPY id"),
    "class_teacher_once": changed("COPY"),
    "child_named": changed("given = ''"),
    "enrolment_not_empty": changed("period = 'empty'"),
    "enrolment_once_at_a_time": changed("COPY id"),
    "guardianship_relation_said": changed("relation = ''"),
    "guardianship_not_empty": changed("period = 'empty'"),
    "guardianship_once_at_a_time": changed("COPY id"),
    "guardianship_share_per_cent": changed("share = 101"),
    "escort_right_kind_known": changed("kind = 'maybe', slot = NULL"),
    "escort_right_slot_of_five": changed("slot = 6"),
    "escort_right_some_weekday": changed("weekdays = 0"),
    "escort_right_evidence_hashed": changed("evidence = 'x'"),
    "escort_right_not_empty": changed("period = 'empty'"),
    "escort_right_five_at_most": changed("COPY id, person_id"),
    "escort_right_once_a_person": changed(
        "COPY id, slot = 5 OF child_id IN (SELECT c.id FROM child c WHERE c.sourced_id = 'minh')"
    ),
    "escort_right_never_against_order": changed("COPY id, kind = 'must_not_collect', slot = NULL"),
    "escort_right_origin_known": changed("UPDATE escort_right SET origin = 'heaven' WHERE origin = 'family'"),
    "escort_right_origin_of_kind": changed("UPDATE escort_right SET origin = 'order' WHERE origin = 'family'"),
    "escort_right_adder_named": changed("UPDATE escort_right SET added_by = NULL WHERE origin = 'family'"),
    "escort_right_never_backdated": changed(
        "UPDATE escort_right SET period = tstzrange(added_at - interval '1 day', NULL) WHERE origin = 'family'"),
    "escort_right_one_time_ends": changed("one_time = true"),
    "escort_right_veto_of_family": changed("UPDATE escort_right SET veto_until = now() WHERE origin = 'import'"),
    "escort_right_vetoed_and_ended": changed("UPDATE escort_right SET vetoed = true WHERE origin = 'family'"),
    "escort_right_why_short": changed("why = repeat('x', 201)"),
    "escort_right_added_by_who_may": changed(
        NEW_RIGHT.format(person=OPERATOR.format("r"), by=OPERATOR.format("r"))),
    "escort_right_not_after_veto": changed(
        END_RIGHT.format(f"vetoed = true, ended_by = {FATHER}") + "; " + NEW_RIGHT.format(
            person="r.person_id", by="r.added_by")),
    "escort_right_only_ends": changed("UPDATE escort_right SET weekdays = 3 WHERE origin = 'family'"),
    "escort_right_order_lifted_first": changed(
        "UPDATE escort_right SET period = tstzrange(lower(period), now()) WHERE kind = 'must_not_collect'"),
    "escort_right_vetoed_in_time": changed(END_RIGHT.format("vetoed = true, ended_by = added_by")),
    "escort_right_ended_by_who_may": changed(END_RIGHT.format(f"ended_by = {OPERATOR.format('escort_right')}")),
    "court_order_evidence_hashed": changed("evidence = 'x'"),
    "court_order_steps_dated": changed("confirmed_at = now()"),
    "court_order_confirmed_by_another": changed("confirmed_by = imposed_by, confirmed_at = now()"),
    "court_order_lifted_by_two": changed("lifted_by = imposed_by, lifted_at = now()"),
    "court_order_never_by_its_subject": changed("confirmed_by = person_id, confirmed_at = now()"),
    "court_order_confirmed_by_person": changed("confirmed_by = gen_random_uuid(), confirmed_at = now()"),
    "court_order_lift_asked_by_person": changed("lift_asked_by = gen_random_uuid(), lift_asked_at = now()"),
    "court_order_lifted_by_person": changed(
        "lift_asked_by = imposed_by, lift_asked_at = now(), lifted_by = gen_random_uuid(), lifted_at = now()"),
    "court_order_only_moves_on": changed("hides = NOT hides"),
    "court_order_by_the_school": changed(f"confirmed_by = {OPERATOR.format('court_order')}, confirmed_at = now()"),
    "custody_calendar_begins_on_monday": changed("first_monday = first_monday + 1"),
    "custody_calendar_of_weeks": changed("cycle = '{128}'"),
    "custody_calendar_once_at_a_time": changed("COPY id"),
    "custody_calendar_by_the_school": changed(f"set_by = {OPERATOR.format('custody_calendar')}"),
    "custody_exception_by_the_school": changed(f"set_by = {OPERATOR.format('custody_exception')}"),
    "child_address_length": changed("address = ''"),
    "correction_changes_something": changed("changes = '[]'"),
    "correction_state_known": changed("state = 'odd', decided_by = gen_random_uuid(), decided_at = now()"),
    "correction_reason_short": changed("reason = repeat('x', 301)"),
    "correction_decided_whole": changed("state = 'accepted'"),
    "correction_decided_by_another": changed("state = 'accepted', decided_by = proposed_by, decided_at = now()"),
    "correction_decided_by_person": changed("state = 'accepted', decided_by = gen_random_uuid(), decided_at = now()"),
    "correction_decided_once": changed("""changes = '[{"field": "family", "before": "a", "after": "b"}]'"""),
    "correction_by_a_guardian": changed(f"COPY id, proposed_by = {OPERATOR.format('correction')}"),
    "correction_decided_by_the_school": changed(
        f"state = 'accepted', decided_by = {OPERATOR.format('correction')}, decided_at = now()"),
    # fleet
    "gate_number_range": changed("gate = 0"),
    "gate_site_range": changed("site = 0"),
    "gate_name_length": changed("name = ''"),
    "gate_key_length": changed("public_key = 'x'"),
    "gate_session_length": changed("session = repeat('x', 33)"),
    "gate_state": changed("state = 'odd'"),
    "gate_alarm_code": changed("code = 'lower'"),
    "dead_letter_code": changed("code = 'lower'"),
    "dead_letter_sha256": changed("sha256 = 'x'"),
    "dead_letter_body": changed("body = convert_to(repeat('x', 131073), 'UTF8')"),
    "gate_message_leaf": changed("leaf = 'dn/x', retain = false, expires_at = now()"),
    "gate_message_body": changed("body = convert_to(repeat('x', 126977), 'UTF8')"),
    "gate_message_levels_alone": changed("leaf = 'dn/cmd', retain = true, expires_at = NULL"),
    "gate_message_ends": changed("UPDATE gate_message SET expires_at = NULL WHERE NOT retain"),
    "gate_configuration_revision": changed("revision = 0"),
    "gate_configuration_content": changed("content = '', sha256 = sha256('')"),
    "gate_configuration_sha256": changed("content = '[]'"),
    "gate_configuration_append_only": changed("made_at = made_at"),
    "gate_configuration_keep": changed("TRUNCATE gate_configuration"),
    "rollout_content": changed("content = ''"),
    "rollout_ring": changed("ring = 17"),
    "rollout_outcome": changed("outcome = 'odd', ended_at = now()"),
    "rollout_ended_whole": changed("outcome = 'done'"),
    "rollout_gate_ring": changed("ring = 0"),
    "rollout_gate_state": changed("state = 'odd', revision = 1"),
    "rollout_gate_before": changed("before = -1"),
    "rollout_gate_code": changed("code = 'lower'"),
    "rollout_gate_told_whole": changed("state = 'told'"),
    "gate_command_nonce": changed("nonce = 'x'"),
    "gate_command_operation": changed("operation = 'X'"),
    "gate_command_arguments": changed("arguments = '[]'"),
    "gate_command_outcome": changed("outcome = 'odd', answered_at = now()"),
    "gate_command_told": changed("told = '[]'"),
    "gate_command_short": changed("expires_at = asked_at + interval '16 seconds'"),
    "gate_command_answered_whole": changed("outcome = 'done'"),
    "site_mode_n": changed("n = 0"),
    "site_mode_known": changed("mode = 5"),
    "site_mode_forward": changed("ends_at = set_at"),
    "site_mode_open_ends": changed("mode = 3, ends_at = set_at + interval '5 hours'"),
    "site_mode_append_only": changed("mode = mode"),
    "site_mode_keep": changed("TRUNCATE site_mode"),
    # passes
    "pass_key_slot": changed("slot = 3"),
    "pass_key_length": changed("cose_key = 'x'"),
    "pass_key_thumb": changed("thumb = 'x'"),
    "pairing_code_hash": changed("code_hash = 'x'"),
    "pairing_code_nonce": changed("nonce = 'x'"),
    "pairing_code_tries": changed("tries = 6"),
    "pairing_code_life": changed("expires_at = issued_at + interval '25 hours'"),
    "pairing_guess_hash": changed("address_hash = 'x'"),
    "credential_cti_length": changed("cti = 'x'"),
    "credential_kind": changed("kind = 'ring', pass_key_id = gen_random_uuid()"),
    "credential_kid": changed("kid = 'x'"),
    "credential_body": changed("body = convert_to(repeat('x', 4097), 'UTF8')"),
    "credential_key_of_phone": changed("kind = 'phone', pass_key_id = NULL, expires_at = issued_at + interval '1 day'"),
    "credential_life": changed("expires_at = issued_at + interval '401 days'"),
    "card_serial": changed("serial = 'abc'"),
    "card_ended_why": changed("revoked_at = now(), ended_why = 'eaten'"),
    "card_ended_whole": changed("revoked_at = NULL, ended_why = 'lost'"),
    "site_document_domain": changed("domain = 'XX1'"),
    "site_document_version": changed("version = 0"),
    "site_document_content": changed("content = 'x'"),
    "site_document_body": changed("body = convert_to(repeat('x', 65537), 'UTF8')"),
    "trust_list_body": changed("body = convert_to(repeat('x', 65537), 'UTF8')"),
    "revoked_issuer_kid": changed("kid = 'x'"),
    "site_document_append_only": changed("signed_at = signed_at"),
    "site_document_keep": changed("TRUNCATE site_document"),
    # attendance
    "site_ref_kind": changed("kind = 'cat', child_id = NULL, person_id = NULL"),
    "site_ref_range": changed("ref = 0"),
    "site_ref_of_its_kind": changed("child_id = gen_random_uuid(), person_id = gen_random_uuid()"),
    "ledger_next_seq": changed("next_seq = -1"),
    "ledger_head": changed("head = 'x'"),
    "ingest_receipt_head": changed("head = 'x'"),
    "ledger_fork_head": changed("head = 'x'"),
    "ledger_fork_number": changed("fork = 0"),
    "attendance_event_body": changed("body = NULL, part = 0"),
    "attendance_day_state": changed("state = 'odd'"),
    "attendance_day_source": changed("source = 'odd'"),
    "attendance_incident_code": changed("code = 'lower'"),
    "attendance_event_append_only": changed("code = code"),
    "attendance_event_keep": changed("TRUNCATE attendance_event"),
    "ingest_receipt_append_only": changed("gate = gate"),
    "ingest_receipt_keep": changed("TRUNCATE ingest_receipt"),
    "ledger_fork_append_only": changed("gate = gate"),
    "ledger_fork_keep": changed("TRUNCATE ledger_fork"),
    "ledger_only_grows": changed("next_seq = next_seq - 1"),
    "ledger_append_only": changed("DELETE FROM ledger"),
    # audit
    "audit_log_n": changed("n = 0"),
    "audit_log_role": changed("role = 'X'"),
    "audit_log_action": changed("action = 'X'"),
    "audit_log_thing": changed("thing = 'X'"),
    "audit_log_detail": changed("detail = '[]'"),
    "audit_log_head": changed("head = 'x'"),
    "audit_start_n": changed("n = 0"),
    "audit_start_head": changed("head = 'x'"),
    "audit_log_follows": changed("COPY n = n + 5", "23514"),
    "audit_log_append_only": changed("role = role"),
    "audit_log_goes": changed("DELETE FROM audit_log"),
    "audit_log_keep": changed("TRUNCATE audit_log"),
    # jobs
    "job_fact": changed("fact = 'lower'"),
    "job_what": changed("""what = jsonb_build_object('x', repeat('x', 70000))"""),
    "job_last_fault": changed("last_fault = repeat('x', 501)"),
}
