"""At least one row in every table of a district, written as SQL where no service needs to be asked.

Responsible for: rows that every rule and every wall can be tried on. `%(name)s` are ids of town.py. In the order in
which they need one another. Not responsible for: being a believable school day.
"""

from typing import Any, LiteralString

import psycopg

ROWS: tuple[LiteralString, ...] = (
    "INSERT INTO academic_session (district_id, id, sourced_id, kind, name, period)"
    " VALUES (%(district)s, gen_random_uuid(), 'year', 'schoolYear', '2026/27', daterange('2026-08-01', '2027-07-31'))",
    # identity
    "UPDATE login SET email_proved_at = now() WHERE id = %(login)s",
    "INSERT INTO sign_in_link (token_hash, login_id, door, created_at, expires_at)"
    " VALUES (%(hash_a)s, %(login)s, 'family', now(), now() + interval '10 minutes')",
    "INSERT INTO passkey (id, login_id, door, only_district, credential, handle, public_key, counter, name, created_at,"
    " used_at) VALUES (gen_random_uuid(), %(login)s, 'family', %(district)s, %(hash_b)s, %(hash_c)s, %(hash_d)s, 5,"
    " 'Phone', now(), now())",
    "INSERT INTO passkey_challenge (challenge_hash, purpose, session_hash, expires_at)"
    " VALUES (%(hash_a)s, 'make', %(hash_b)s, now())",
    "INSERT INTO password (login_id, only_district, hash, changed_at)"
    " VALUES (%(login)s, NULL, '$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA', now())",
    "INSERT INTO sign_in_try (key_hash, tries, since) VALUES (%(hash_c)s, 1, now())",
    "INSERT INTO address_proof (token_hash, login_id, session_hash, email, expires_at)"
    " VALUES (%(hash_d)s, %(login)s, %(hash_e)s, 'mother@example.org', now())",
    "INSERT INTO activation_letter (district_id, id, person_id, door, code_hash, issued_by, issued_at, expires_at)"
    " VALUES (%(district)s, gen_random_uuid(), %(father)s, 'family', %(hash_e)s, %(office)s, now(),"
    " now() + interval '21 days')",
    "INSERT INTO session (token_hash, login_id, door, created_at, expires_at, only_district, phone_id)"
    " VALUES (%(hash_f)s, %(login)s, 'family', now(), now() + interval '1 day', %(district)s, %(phone)s)",
    # schools
    "INSERT INTO opening_hours (district_id, school_id, weekday, opens, closes)"
    " SELECT %(district)s, %(school)s, day, '07:30', '18:30' FROM generate_series(0, 6) day ON CONFLICT DO NOTHING",
    "INSERT INTO calendar_date (district_id, school_id, day, open, note)"
    " VALUES (%(district)s, %(school)s, '2026-12-16', false, 'Holiday')",
    "INSERT INTO staff_hours (district_id, school_id, person_id, weekday, starts, ends)"
    " VALUES (%(district)s, %(school)s, %(teacher)s, 0, '08:00', '13:00')",
    # rights and orders: Minh's order is against the father of the other family, and hides
    "INSERT INTO escort_right (district_id, id, child_id, person_id, kind, period, evidence, origin, added_by,"
    " added_at) VALUES (%(district)s, %(order_right)s, %(minh)s, %(father)s, 'must_not_collect',"
    " tstzrange(now(), NULL), %(hash_a)s, 'order', %(office)s, now())",
    "INSERT INTO court_order (district_id, id, child_id, person_id, right_id, hides, evidence, imposed_by, imposed_at)"
    " VALUES (%(district)s, %(order)s, %(minh)s, %(father)s, %(order_right)s, true, %(hash_a)s, %(office)s, now())",
    "INSERT INTO escort_right (district_id, id, child_id, person_id, kind, period, evidence, origin, added_by,"
    " added_at) VALUES (%(district)s, gen_random_uuid(), %(child)s, %(operator)s, 'must_not_collect',"
    " tstzrange(now(), NULL), %(hash_a)s, 'order', %(office)s, now())",
    "UPDATE guardianship SET lives_with = false WHERE district_id = %(district)s AND person_id = %(father)s",
    "INSERT INTO escort_right (district_id, id, child_id, person_id, kind, slot, period, origin, added_by, added_at,"
    " veto_until) VALUES (%(district)s, %(right)s, %(child)s, %(stranger)s, 'may_collect', 4, tstzrange(now(), NULL),"
    " 'family', %(mother)s, now(), now() + interval '1 day')",
    "INSERT INTO escort_right (district_id, id, child_id, person_id, kind, slot, period, origin, added_by, added_at,"
    " veto_until) VALUES (%(district)s, %(second_right)s, %(child)s, %(teacher)s, 'may_collect', 5,"
    " tstzrange(now(), NULL), 'family', %(mother)s, now(), now() + interval '1 day')",
    "INSERT INTO custody_calendar (district_id, id, child_id, person_id, cycle, first_monday, denies, period, set_by,"
    " set_at) VALUES (%(district)s, gen_random_uuid(), %(child)s, %(father)s, '{31,96}', '2026-08-31', false,"
    " daterange('2026-08-31', NULL), %(office)s, now())",
    "INSERT INTO custody_exception (district_id, child_id, person_id, day, has_child, set_by, set_at)"
    " VALUES (%(district)s, %(child)s, %(father)s, '2026-12-24', true, %(office)s, now())",
    "INSERT INTO child_address (district_id, child_id, address) VALUES (%(district)s, %(child)s, 'Street 1')",
    "INSERT INTO correction (district_id, id, child_id, proposed_by, proposed_at, changes)"
    " VALUES (%(district)s, %(correction)s, %(child)s, %(mother)s, now(),"
    """ '[{"field": "given", "before": "a", "after": "b"}]')""",
    "INSERT INTO roster_row (district_id, kind, key, row_id, said, said_at)"
    """ VALUES (%(district)s, 'child', 'aigerim', %(child)s, '{"given": "0123456789abcdef"}', now())""",
    # passes
    "INSERT INTO pairing_guess (address_hash, guesses, since) VALUES (%(hash_a)s, 1, now())",
    "INSERT INTO credential (district_id, cti, kind, person_id, pass_key_id, site, holder, rights, kid, body,"
    " issued_at, expires_at) VALUES (%(district)s, substr(%(hash_a)s, 1, 8), 'phone', %(mother)s, %(phone)s, %(site)s,"
    " 7, '[]', substr(%(hash_a)s, 1, 4), 'x', now(), now() + interval '7 days')",
    "INSERT INTO card (district_id, serial, cti, person_id, site, issued_at, revoked_at, ended_why, replaces)"
    " SELECT c.district_id, 'ABCDEFGH', substr(%(hash_a)s, 1, 8), c.person_id, c.site, now(), now(), 'lost', c.serial"
    " FROM card c WHERE c.district_id = %(district)s",
    "INSERT INTO trust_list (version, body, loaded_at) VALUES (%(site)s, 'x', now())",
    "INSERT INTO revoked_issuer (kid, revoked_at) VALUES (substr(%(hash_b)s, 1, 4), now())",
    # attendance
    "INSERT INTO ledger (district_id, gate, epoch, next_seq, head, updated_at)"
    " VALUES (%(district)s, %(gate)s, 1, 1, %(hash_a)s, now())",
    "INSERT INTO ingest_receipt (district_id, gate, epoch, seq, head, received_at)"
    " VALUES (%(district)s, %(gate)s, 1, 0, %(hash_a)s, now())",
    "INSERT INTO ledger_fork (district_id, gate, epoch, seq, head, fork, received_at)"
    " VALUES (%(district)s, %(gate)s, 1, 0, %(hash_b)s, 1, now())",
    "INSERT INTO ledger_hole (district_id, gate, epoch, first_seq, next_seq, head, from_day, to_day, told_epoch,"
    " told_seq, received_at) VALUES (%(district)s, %(gate)s, 1, 1, 3, %(hash_a)s, now()::date, now()::date, 2, 0,"
    " now())",
    "INSERT INTO attendance_event (district_id, occurred_at, received_at, school_day, site, gate, epoch, seq, kind,"
    " code, direction, child_id, moved, person_id, clock, body) VALUES (%(district)s, now(), now(), now()::date,"
    " %(site)s, %(gate)s, 1, 0, 1, 'OPEN', 1, %(child)s, true, %(mother)s, 1, '\\xa0')",
    "INSERT INTO attendance_day (district_id, child_id, school_day, state, since, site, source, by_person, gate, epoch,"
    " seq, first_in) VALUES (%(district)s, %(child)s, now()::date, 'in', now(), %(site)s, 'fact', %(mother)s, %(gate)s,"
    " 1, 0, now())",
    "INSERT INTO gate_day (district_id, gate, school_day, epoch, seq, says, complete)"
    " VALUES (%(district)s, %(gate)s, now()::date, 1, 0, 0, true)",
    "INSERT INTO attendance_incident (district_id, site, gate, epoch, seq, code, child_ref, gate_said, cloud_says,"
    " raised_at) VALUES (%(district)s, %(site)s, %(gate)s, 1, 0, 'NO_RIGHT', 1, 'OPEN', 'NO_RIGHT', now())",
    # fleet, audit, jobs
    "INSERT INTO gate_alarm (district_id, gate, code, raised_at, last_at)"
    " VALUES (%(district)s, %(gate)s, 'TOO_HOT', now(), now())",
    "INSERT INTO dead_letter (district_id, gate, code, sha256, body, first_at, last_at)"
    " VALUES (%(district)s, %(gate)s, 'BAD', %(hash_a)s, 'x', now(), now())",
    "INSERT INTO gate_message (district_id, gate, leaf, body, retain, made_at)"
    " VALUES (%(district)s, %(gate)s, 'dn/cfg', 'x', true, now())",
    "INSERT INTO gate_message (district_id, gate, leaf, body, retain, made_at, expires_at)"
    " VALUES (%(district)s, %(gate)s, 'dn/rsp', 'x', false, now(), now() + interval '1 minute')",
    "INSERT INTO gate_configuration (district_id, gate, revision, content, sha256, made_at, by_person)"
    " VALUES (%(district)s, %(gate)s, 1, '{}', sha256('{}'), now(), %(operator)s)",
    "INSERT INTO rollout (district_id, id, content, started_at) VALUES (%(district)s, %(order)s, '{}', now())",
    "INSERT INTO rollout_gate (district_id, rollout_id, gate, ring) VALUES (%(district)s, %(order)s, %(gate)s, 1)",
    "INSERT INTO release_rollout (district_id, job, version, started_at) VALUES (%(district)s, 2, '0.2.0', now())",
    "INSERT INTO release_gate (district_id, job, gate, ring) VALUES (%(district)s, 2, %(gate)s, 1)",
    "INSERT INTO gate_command (district_id, nonce, gate, operation, by_person, asked_at, expires_at)"
    " VALUES (%(district)s, substr(%(hash_a)s, 1, 8), %(gate)s, 'identify', %(operator)s, now(),"
    " now() + interval '15 seconds')",
    "INSERT INTO site_mode (district_id, site, n, mode, set_at, by_person)"
    " VALUES (%(district)s, %(site)s, 1, 1, now(), %(office)s)",
    "INSERT INTO gate_claim (district_id, id, code_hash, token_hash, public_key, request, claimed_at, expires_at)"
    " VALUES (%(district)s, %(claim)s, %(hash_a)s, %(hash_b)s, %(hash_c)s, repeat('x', 64)::bytea, now(),"
    " now() + interval '15 minutes')",
    "INSERT INTO gate_claim (district_id, id, code_hash, token_hash, public_key, request, claimed_at,"
    " expires_at, state,"
    " gate, decided_at, decided_by) VALUES (%(district)s, gen_random_uuid(), %(hash_b)s, %(hash_b)s, %(hash_d)s,"
    " repeat('x', 64)::bytea, now(), now() + interval '15 minutes', 'approved', %(gate)s, now(), %(operator)s)",
    "INSERT INTO gate_certificate (district_id, serial, gate, public_key, request, why, requested_at, body, not_before,"
    " not_after, revoked_at) VALUES (%(district)s, substr(%(hash_a)s, 1, 16), %(gate)s, %(hash_a)s,"
    " repeat('x', 64)::bytea, 'claim', now(), repeat('x', 64)::bytea, now(), now() + interval '90 days', now())",
    "INSERT INTO revocation_list (authority, body, made_at) VALUES (%(hash_a)s, repeat('x', 64)::bytea, now())",
    "INSERT INTO audit_start (district_id, n, head, moved_at) VALUES (%(district)s, 1000, %(hash_a)s, now())",
    "INSERT INTO audit_log (district_id, n, at, by_person, role, action, thing, thing_id, child_id, head)"
    " VALUES (%(district)s, 1001, now(), %(office)s, 'office', 'read_file', 'child', %(child)s, %(child)s, %(hash_b)s)",
    "INSERT INTO audit_log (district_id, n, at, by_person, role, action, thing, thing_id, child_id, head)"
    " VALUES (%(district)s, 1002, now(), %(office)s, 'office', 'impose_order', 'court_order', %(order)s, %(child)s,"
    " %(hash_c)s)",
    "INSERT INTO job (fact, district_id, what, run_at)"
    " VALUES ('RightsChanged', %(district)s, '{}', now() + interval '1 year')",
    "INSERT INTO schedule (fact, ran_at) VALUES ('Wall', now()) ON CONFLICT DO NOTHING",
)


def write_rows(owner: psycopg.Connection, ids: dict[str, Any]) -> None:
    """Write them all, as the superuser: row security is not asked, every other rule is."""
    for row in ROWS:
        owner.execute(row, ids)
