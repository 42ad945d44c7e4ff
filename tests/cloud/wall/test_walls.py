"""Row security over every table of the catalog: each district its own, a guardian what is theirs, nobody unset.

What guardians see of a table stands here by hand, and so does what the application may do to it at all. Each policy is
taken away in turn, and made to let all through: then something else must come out, or no test would notice.
"""

from collections.abc import Iterator

import psycopg
import pytest

from tests.cloud.wall.town import Town
from tests.cloud.wall.walls import Wall, Walls
from tests.conftest import Clone

CHILD = "t.child_id IN ({children})"
PERSON = "t.person_id = '{person}'"
ALL, NOTHING = "true", "false"

# What a guardian sees of the own district: a condition on the row. {children}: those whose file they may read.
SEEN_BY_GUARDIANS = {
    "academic_session": ALL, "audit_start": ALL, "calendar_date": ALL, "class": ALL, "class_teacher": ALL,
    "district": ALL, "opening_hours": ALL, "school": ALL, "site": ALL,
    # Machines: an operator's transaction is a guardian's without children.
    "gate": ALL, "gate_alarm": ALL, "gate_day": ALL, "ingest_receipt": ALL, "ledger": ALL, "ledger_fork": ALL,
    "gate_claim": ALL, "gate_certificate": ALL,
    "gate_message": ALL, "gate_configuration": ALL, "gate_command": ALL,
    "rollout": ALL, "rollout_gate": ALL, "release_rollout": ALL, "release_gate": ALL, "site_mode": ALL,
    "ledger_hole": ALL,
    "site_document": NOTHING, "dead_letter": NOTHING, "attendance_incident": NOTHING, "roster_row": NOTHING,
    "site_ref": "t.person_id = '{person}' OR t.child_id IN ({children})",
    "child": "t.id IN ({children})",
    "child_address": f"{CHILD} AND EXISTS (SELECT FROM guardianship g WHERE g.child_id = t.child_id AND g.lives_with"
                     " AND g.person_id = '{person}')",
    "attendance_day": CHILD, "attendance_event": CHILD, "custody_calendar": CHILD,
    "custody_exception": CHILD, "enrolment": CHILD, "guardianship": CHILD,
    "audit_log": f"{CHILD} AND t.thing <> 'court_order'",
    "correction": f"{CHILD} AND t.proposed_by = '{{person}}'",
    "escort_right": f"{CHILD} AND t.kind = 'may_collect'",
    "activation_letter": PERSON, "card": PERSON, "credential": PERSON, "holder_block": PERSON, "pairing_code": PERSON,
    "pass_key": PERSON, "role_grant": PERSON, "staff": PERSON, "staff_hours": PERSON,
    "court_order": NOTHING,
    "person": """t.id IN (
        SELECT person_id FROM guardianship t WHERE t.child_id IN ({children})
        UNION SELECT person_id FROM escort_right t WHERE t.child_id IN ({children}) AND kind = 'may_collect'
        UNION SELECT person_id FROM class_teacher JOIN enrolment t USING (district_id, class_id)
               WHERE t.child_id IN ({children}))""",
}  # fmt: skip

# What the functions that run as the owner may do, whoever calls them: read, add, change, delete. Elsewhere nothing.
OWNER = {
    "activation_letter": "rd", "audit_log": "rd", "audit_start": "riud", "class_teacher": "r", "court_order": "r",
    "dead_letter": "riud", "district": "r", "enrolment": "r", "escort_right": "r", "gate": "r", "gate_alarm": "rd",
    "gate_certificate": "r", "gate_claim": "rd",
    "gate_command": "rd", "gate_message": "rd", "guardianship": "r",
    "pairing_code": "rd", "pass_key": "r", "person": "ru", "role_grant": "r", "site": "r",
}  # fmt: skip

# What the application may do at all: select, insert, update, delete. For tables without a district as well.
RIGHTS = {
    **dict.fromkeys((
        "academic_session", "class", "child", "district", "enrolment", "escort_right", "guardianship", "person",
        "role_grant", "school", "site", "gate", "gate_alarm", "gate_day", "ledger", "attendance_incident", "pass_key",
        "pairing_code", "credential", "card", "holder_block", "activation_letter", "court_order", "custody_calendar",
        "correction", "schedule", "roster_row", "gate_message", "gate_command", "rollout", "rollout_gate",
        "release_rollout", "release_gate",
        "gate_claim", "gate_certificate", "revocation_list",
    ), "siu"),
    **dict.fromkeys((
        "staff", "class_teacher", "attendance_day", "job", "login", "session", "sign_in_link", "pairing_guess",
        "passkey", "passkey_challenge", "password", "sign_in_try", "address_proof", "child_address",
        "custody_exception", "opening_hours", "calendar_date", "staff_hours",
    ), "siud"),
    **dict.fromkeys((
        "attendance_event", "ingest_receipt", "ledger_fork", "site_document", "site_ref", "audit_log", "trust_list",
        "revoked_issuer", "gate_configuration", "site_mode", "ledger_hole",
    ), "si"),
    **dict.fromkeys(("dead_letter", "audit_start", "migration"), "s"),
}  # fmt: skip

# A restrictive policy for what the application has no right to do anyway is a second fence: nothing shows its loss.
BEHIND_A_RIGHT = {"only_staff_change": "u", "only_staff_remove": "d", "only_staff_add": "i"}
# Second fences of another kind, by table and policy, with the first one.
BEHIND_ANOTHER = {
    ("audit_log", "only_staff_add"): "the trigger that counts the lines is asked before row security",
    ("court_order", "only_staff_add"): "a trigger looks for the role of the school, which a guardian does not see",
    ("court_order", "only_staff_change"): "the tenant policy shows a guardian no order at all",
    ("attendance_incident", "only_staff_change"): "school_reads shows a guardian none to change",
    ("custody_calendar", "only_staff_add"): "as court_order",
    ("custody_exception", "only_staff_add"): "as court_order",
    ("audit_start", "force"): "the policy of the owner lets the owner do everything",
    ("dead_letter", "force"): "the policies of the owner let the owner do everything",
}


@pytest.fixture(scope="module")
def walls(place: Clone, town: Town) -> Iterator[Walls]:
    with psycopg.connect(place.owner_url, autocommit=True) as connection:
        yield Walls(connection, town)


@pytest.fixture(scope="module")
def views(walls: Walls) -> dict[str, Wall]:
    return {table: walls.look_at(table, key) for table, key in walls.tables}


def told(problems: list[str]) -> str:
    return "\n" + "\n".join(f"  {problem}" for problem in problems)


def test_every_walled_table_is_described_here(walls: Walls) -> None:
    assert {table for table, _ in walls.tables} == set(SEEN_BY_GUARDIANS)


def test_a_district_sees_all_of_its_own_and_nothing_of_the_other(
    walls: Walls, views: dict[str, Wall], town: Town
) -> None:
    for table, key in walls.tables:
        here, there = (walls.rows(table, f"\"{key}\" = '{side.cast.district}'") for side in (town.here, town.there))
        assert here and there, table
        assert (views[table].staff, views[table].neighbour) == (here, there), table


def test_nothing_is_read_where_no_district_is_set(views: dict[str, Wall]) -> None:
    assert [table for table, wall in views.items() if wall.unset not in ("42704", "22P02")] == []


def test_a_guardian_sees_what_is_theirs_and_nothing_of_an_order(
    walls: Walls, views: dict[str, Wall], town: Town
) -> None:
    cast, problems = town.here.cast, []
    for person, children in ((cast.mother, (cast.aigerim, cast.timur)), (cast.father, (cast.aigerim,))):
        words = {"person": person, "children": ", ".join(f"'{child}'" for child in children)}
        for table, key in walls.tables:
            seen = views[table].mother if person == cast.mother else views[table].father
            where = f"t.\"{key}\" = '{cast.district}' AND ({SEEN_BY_GUARDIANS[table].format(**words)})"
            if seen != walls.rows(table, where):
                problems.append(f"{table}: {len(seen)} rows for {person}")
    assert not problems, told(problems)


def test_nothing_is_written_into_the_other_district_or_by_a_guardian(views: dict[str, Wall]) -> None:
    # A trigger may say no before row security does; TimescaleDB refuses some changes of its tables as internal errors.
    refused = ("42501", "0 rows", "23001", "23514", "XX000")
    problems = [
        f"{table}: {hit}" for table, wall in views.items()
        for hit in (*wall.staff_writes, *wall.guardian_writes) if hit not in refused
    ]  # fmt: skip
    assert not problems, told(problems)


def test_the_functions_of_the_owner_reach_what_they_were_given(views: dict[str, Wall]) -> None:
    refused = ("0 rows", "42501", "23514")
    reached = {
        table: "".join(letter for letter, hit in zip("riud", wall.owner, strict=True) if hit not in refused)
        for table, wall in views.items()
    }
    assert {table: letters for table, letters in reached.items() if letters} == OWNER


def test_the_application_has_the_rights_that_stand_here_and_no_other(place: Clone) -> None:
    with psycopg.connect(place.owner_url) as owner:
        rows = owner.execute(
            "SELECT c.relname::text, array_to_string(ARRAY(SELECT lower(left(r, 1)) FROM unnest("
            " ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) r"
            " WHERE has_table_privilege('portillon_app', c.oid, r)), '') FROM pg_class c"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')"
        ).fetchall()
        strong = owner.execute(
            "SELECT rolname FROM pg_roles WHERE rolname IN ('portillon_app', 'portillon_owner')"
            " AND (rolsuper OR rolbypassrls OR rolcreaterole"
            " OR pg_has_role('portillon_app', 'portillon_owner', 'MEMBER'))"
        ).fetchall()
    assert dict(rows) == RIGHTS
    assert strong == []


def test_functions_of_the_owner_are_for_the_application_alone_and_look_nowhere_else(place: Clone) -> None:
    with psycopg.connect(place.owner_url) as owner:
        loose = owner.execute(
            "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace"
            " AND p.prosecdef AND (NOT 'search_path=public, pg_temp' = ANY (coalesce(p.proconfig, '{}'))"
            " OR EXISTS (SELECT 1 FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a"
            "             WHERE a.grantee = 0) OR p.proowner <> 'portillon_owner'::regrole)"
        ).fetchall()
    assert loose == []


@pytest.mark.long
def test_the_loss_of_any_policy_is_noticed(walls: Walls, views: dict[str, Wall]) -> None:
    keys = dict(walls.tables)
    unnoticed = [
        f"{table}: {name}" for table, name, mutation in walls.mutations
        if BEHIND_A_RIGHT.get(name.split()[0], "x") in f"{RIGHTS[table]}x"
        and (table, name.split()[0]) not in BEHIND_ANOTHER
        and walls.look_at(table, keys[table], mutation) == views[table]
    ]  # fmt: skip
    assert not unnoticed, told(unnoticed)
    assert BEHIND_ANOTHER.keys() <= {(table, name.split()[0]) for table, name, _ in walls.mutations}
