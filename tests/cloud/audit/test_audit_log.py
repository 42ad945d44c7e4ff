"""The audit log: a chain that nobody changes unseen, in one line under races, told to those who may know."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest

from cloud.audit import service as audit
from cloud.audit.model import FIRST_HEAD, End, Line
from cloud.kit.db import Database, RuleBroken, one
from cloud.kit.ids import new_id
from cloud.retention import purge
from tests.cast import NOW, Cast, a_district
from tests.conftest import Clone


def read_file(database: Database, cast: Cast, by: UUID | None, child: UUID, **more: Any) -> None:
    with database.tenant(cast.district) as tx:
        audit.record(tx, cast.district, action="read_file", by=by, thing="child", thing_id=child, child_id=child,
                     **{"now": NOW, **more})  # fmt: skip


def found(database: Database, cast: Cast, known: End | None = None) -> tuple[int, int | None, str]:
    with database.tenant(cast.district) as tx:
        told = audit.verify(tx, cast.district, known)
    return told.lines, told.broken_at, told.why


def past_every_guard(clone: Clone, statement: LiteralString) -> None:
    """What a superuser can do: triggers off, row security passed by."""
    with psycopg.connect(clone.owner_url) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(statement)


def refused(database: Database, cast: Cast, statement: LiteralString, values: tuple[object, ...] = ()) -> Any:
    expected = (RuleBroken, psycopg.errors.InsufficientPrivilege)
    with pytest.raises(expected) as told, database.tenant(cast.district) as tx:
        tx.execute(statement, values)
    if isinstance(told.value, RuleBroken):
        return told.value.sqlstate, told.value.constraint
    return "42501"


def test_a_chain_is_whole_and_each_district_has_its_own(database: Database) -> None:
    here, there = a_district(database), a_district(database, "neighbour", 202)
    for child in (here.aigerim, here.timur, here.aigerim):
        read_file(database, here, here.head, child, detail={"part": "custody", "days": 3})
    read_file(database, there, None, there.minh)
    assert found(database, here) == (3, None, "") and found(database, there) == (1, None, "")
    with database.tenant(there.district) as tx:
        assert audit.readings_of_child(tx, here.district, here.aigerim) == []


def test_eight_writers_at_once_make_one_chain_without_a_gap(database: Database) -> None:
    cast = a_district(database)
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda _: read_file(database, cast, cast.head, cast.timur), range(80)))
    assert found(database, cast) == (80, None, "")


def test_a_line_stands_only_if_what_it_tells_was_committed(database: Database) -> None:
    cast = a_district(database)
    with pytest.raises(LookupError), database.tenant(cast.district) as tx:
        audit.record(tx, cast.district, action="read_file", by=None, thing="child", thing_id=cast.timur, now=NOW)
        raise LookupError("the act itself failed")
    read_file(database, cast, cast.head, cast.timur)
    assert found(database, cast) == (1, None, "")


TAMPERED: tuple[tuple[LiteralString, int, str], ...] = (
    ("UPDATE audit_log SET head = sha256('x') WHERE n = 6", 6, "HEAD"),
    ("UPDATE audit_log SET detail = jsonb_build_object('part', 'other') WHERE n = 5", 5, "HEAD"),
    ("DELETE FROM audit_log WHERE n = 4", 4, "HOLE"),
    ("UPDATE audit_log SET by_person = NULL WHERE n = 3", 3, "HEAD"),
    ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE n = 2", 2, "HEAD"),
    ("DELETE FROM audit_log WHERE n = 1", 1, "HOLE"),
)


def test_what_a_superuser_changes_is_found_with_its_place(database: Database, clone: Clone) -> None:
    cast = a_district(database)
    for _ in range(6):
        read_file(database, cast, cast.teacher, cast.minh)
    for statement, line, why in TAMPERED:
        past_every_guard(clone, statement)
        assert found(database, cast) == (line - 1, line, why)


def test_a_chain_cut_short_or_made_anew_is_found_by_an_end_kept_elsewhere(database: Database, clone: Clone) -> None:
    cast = a_district(database)
    for _ in range(3):
        read_file(database, cast, cast.teacher, cast.minh)
    with database.tenant(cast.district) as tx:
        kept = audit.verify(tx, cast.district).end
    read_file(database, cast, cast.teacher, cast.timur)
    assert found(database, cast, kept) == (4, None, "")
    past_every_guard(clone, "DELETE FROM audit_log WHERE n >= 3")
    assert found(database, cast) == (2, None, ""), "by itself a shorter chain is whole"
    assert found(database, cast, kept) == (2, 3, "CUT")
    read_file(database, cast, cast.head, cast.minh)
    assert found(database, cast, kept) == (2, 3, "HEAD")


def test_the_application_can_neither_change_nor_remove_a_line(database: Database) -> None:
    cast = a_district(database)
    read_file(database, cast, cast.head, cast.minh)
    for statement in ("UPDATE audit_log SET role = 'head'", "DELETE FROM audit_log", "TRUNCATE audit_log",
                      "UPDATE audit_start SET n = 1", "DELETE FROM audit_start"):  # fmt: skip
        assert refused(database, cast, statement) == "42501"


def test_even_the_owner_of_the_tables_is_refused(database: Database, clone: Clone) -> None:
    cast = a_district(database)
    read_file(database, cast, cast.head, cast.minh)
    guarded: tuple[tuple[LiteralString, str], ...] = (
        ("UPDATE audit_log SET role = 'head'", "audit_log_append_only"),
        ("DELETE FROM audit_log", "audit_log_goes"),
        ("TRUNCATE audit_log", "audit_log_keep"),
    )
    for statement, constraint in guarded:
        with pytest.raises(psycopg.errors.RestrictViolation) as told, psycopg.connect(clone.owner_url) as owner:
            owner.execute(statement)
        assert told.value.diag.constraint_name == constraint


INSERT: LiteralString = (
    "INSERT INTO audit_log (district_id, n, at, role, action, thing, thing_id, detail, head)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


WRONG: tuple[tuple[int, object, str], ...] = (
    (1, 3, "audit_log_follows"), (1, 1, "audit_log_follows"), (1, 0, "audit_log_follows"),
    (3, "Head", "audit_log_role"), (4, "DROP TABLE", "audit_log_action"), (5, "", "audit_log_thing"),
    (7, "[]", "audit_log_detail"), (7, '{"x": "' + "y" * 2100 + '"}', "audit_log_detail"),
    (8, b"short", "audit_log_head"),
)  # fmt: skip


def test_a_line_of_another_shape_or_number_is_refused_by_the_database(database: Database) -> None:
    cast = a_district(database)
    read_file(database, cast, cast.head, cast.minh)
    for column, value, constraint in WRONG:
        values: list[object] = [cast.district, 2, NOW, "head", "read_file", "child", new_id(), "{}", bytes(32)]
        values[column] = value
        assert refused(database, cast, INSERT, tuple(values)) == ("23514", constraint)


def test_a_line_says_in_which_role_somebody_acted(database: Database) -> None:
    cast = a_district(database)
    for by in (cast.head, cast.mother, cast.stranger, None):
        read_file(database, cast, by, cast.aigerim)
    read_file(database, cast, cast.head, cast.aigerim, role="guardian")
    with database.tenant(cast.district) as tx:
        told = [line.role for line in audit.readings_of_child(tx, cast.district, cast.aigerim)]
    assert told == ["guardian", "system", "escort", "guardian", "head"]


def test_a_guardian_learns_who_read_an_own_childs_file_and_nothing_of_others(database: Database) -> None:
    cast = a_district(database)
    read_file(database, cast, cast.head, cast.aigerim)
    read_file(database, cast, cast.head, cast.minh)
    with database.tenant(cast.district) as tx:
        audit.record(tx, cast.district, action="role.grant", by=cast.head, thing="role_grant", thing_id=new_id(),
                     now=NOW)  # fmt: skip
    with database.tenant(cast.district, cast.father) as tx:
        [line] = audit.readings_of_child(tx, cast.district, cast.aigerim)
        assert (line.name, line.role, line.action) == ("Élodie Durand", "head", "read_file")
        assert audit.readings_of_child(tx, cast.district, cast.minh) == []
        assert one(tx, int, "SELECT count(*) FROM audit_log") == 1
        assert one(tx, int, "SELECT count(*) FROM audit_names(%s)", (cast.minh,)) == 0


def test_no_guardian_is_told_of_an_order(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        for thing, action in (("court_order", "impose"), ("escort_right", "order.impose")):
            audit.record(tx, cast.district, action=action, by=cast.head, thing=thing, thing_id=new_id(),
                         child_id=cast.aigerim, now=NOW)  # fmt: skip
        told = audit.readings_of_child(tx, cast.district, cast.aigerim)
        assert [line.name for line in told] == ["Élodie Durand"] * 2, "the office sees who"
    for guardian in (cast.mother, cast.father):
        with database.tenant(cast.district, guardian) as tx:
            assert audit.readings_of_child(tx, cast.district, cast.aigerim) == []


def test_in_a_guardians_transaction_no_line_is_written(database: Database) -> None:
    cast = a_district(database)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.tenant(cast.district, cast.mother) as tx:
        audit.record(tx, cast.district, action="read_file", by=cast.mother, thing="child", thing_id=cast.timur, now=NOW)


def test_the_oldest_lines_go_after_three_years_and_the_rest_still_verifies(database: Database) -> None:
    here, there = a_district(database), a_district(database, "neighbour", 202)
    for age in (1200, 1100, 1094, 3):
        read_file(database, here, here.head, here.minh, now=NOW - timedelta(days=age))
    read_file(database, there, there.head, there.minh)
    with database.untenanted() as tx:
        assert purge(tx, NOW)["audit_log"] == 2
    assert found(database, here) == (2, None, "") and found(database, there) == (1, None, "")
    read_file(database, here, here.head, here.minh)
    with database.untenanted() as tx:
        assert purge(tx, NOW + timedelta(days=4000))["audit_log"] == 4
    assert found(database, here) == (0, None, "")
    read_file(database, here, here.head, here.minh)
    with database.tenant(here.district) as tx:
        assert audit.verify(tx, here.district).end.n == 6, "numbers go on"


def test_every_field_of_a_line_counts_in_its_head() -> None:
    line = Line(new_id(NOW), 1, NOW, None, "head", "read_file", "child", new_id(NOW), None, {"a": 1})
    others = [
        replace(line, district_id=new_id(NOW)), replace(line, n=2), replace(line, at=NOW + timedelta(microseconds=1)),
        replace(line, by_person=new_id(NOW)), replace(line, role="office"), replace(line, action="read"),
        replace(line, thing="person"), replace(line, thing_id=new_id(NOW)), replace(line, child_id=line.thing_id),
        replace(line, detail={"a": 2}), replace(line, detail={"b": 1}), replace(line, detail={"a": "1"}),
    ]  # fmt: skip
    heads = {each.head_after(FIRST_HEAD) for each in (line, *others)} | {line.head_after(bytes([1]) * 32)}
    assert len(heads) == len(others) + 2
