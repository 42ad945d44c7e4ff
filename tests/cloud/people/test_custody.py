"""Custody calendars: weeks, exceptions, who enters them, and what the gates are told (FEATURES B3)."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from cloud.attendance import service as attendance
from cloud.kit.db import Transaction, one
from cloud.passes.service import knowledge_of_site
from cloud.people import custody
from cloud.people.model import CustodyCalendar, CustodyException
from protocols.documents import RULE_ASK, RULE_OUT
from tests.cast import NOW
from tests.cloud.people.conftest import Home, SeenBy, broken, facts, lines, refusal

TODAY = date(2026, 9, 1)  # A Tuesday in Almaty
MONDAY = date(2026, 8, 31)


def put(tx: Transaction, home: Home, **more: Any) -> CustodyCalendar:
    asked: dict[str, Any] = {"child_id": home.cast.aigerim, "person_id": home.cast.father, "cycle": (127, 0),
                             "first_monday": MONDAY, "by": home.office, "now": NOW, **more}  # fmt: skip
    return custody.put_custody(tx, home.cast.district, **asked)


def test_every_second_week_is_told_to_the_gates_as_asking(tx: Transaction, home: Home) -> None:
    cast = home.cast
    for person in (cast.father, cast.mother):
        attendance.ref_of(tx, cast.district, 101, person_id=person)
    aigerim = attendance.ref_of(tx, cast.district, 101, child_id=cast.aigerim)
    calendar = put(tx, home)
    assert (list(calendar.cycle), calendar.first_day, calendar.last_day) == ([127, 0], TODAY, None)
    assert [calendar.has_child_on(MONDAY + timedelta(days=day)) for day in (-1, 0, 6, 7, 13, 14)] == [
        False, True, True, False, False, True]  # fmt: skip
    [rule] = knowledge_of_site(tx, cast.district, 101, NOW)[1][aigerim]
    assert (rule.bits, rule.to - rule.from_) == (RULE_OUT | RULE_ASK, 5 * 86_400), "7 to 11 September of the horizon"
    put(tx, home, denies=True)
    [rule] = knowledge_of_site(tx, cast.district, 101, NOW)[1][aigerim]
    assert rule.bits == RULE_OUT
    assert facts(tx) == [("RightsChanged", {"site": 101})] * 2
    assert lines(tx, cast.aigerim) == [("custody.put", home.office)] * 2


def test_a_new_calendar_ends_the_one_before_and_both_stay_on_record(tx: Transaction, home: Home) -> None:
    cast, later = home.cast, NOW + timedelta(days=10)
    put(tx, home)
    put(tx, home, cycle=(0b0011111,), now=later)
    [before] = custody.custody_of_child(tx, cast.district, cast.aigerim, TODAY + timedelta(days=9))
    [after] = custody.custody_of_child(tx, cast.district, cast.aigerim, TODAY + timedelta(days=10))
    assert (list(before.cycle), before.last_day) == ([127, 0], TODAY + timedelta(days=10))
    assert (list(after.cycle), after.last_day) == ([31], None)


def test_a_calendar_that_was_ended_asks_nobody(tx: Transaction, home: Home) -> None:
    cast = home.cast
    ask: dict[str, Any] = {"child_id": cast.aigerim, "person_id": cast.father, "by": home.office, "now": NOW}
    assert not custody.end_custody(tx, cast.district, **ask)
    put(tx, home)
    assert custody.end_custody(tx, cast.district, **ask)
    assert custody.custody_of_child(tx, cast.district, cast.aigerim, TODAY) == []
    assert one(tx, bool, "SELECT isempty(period) FROM custody_calendar"), "set and ended on one day"
    assert put(tx, home).first_day == TODAY


def test_an_exception_is_said_and_taken_back(tx: Transaction, home: Home) -> None:
    cast, calendar = home.cast, put(tx, home)
    ask: dict[str, Any] = {"child_id": cast.aigerim, "person_id": cast.father, "by": home.office, "now": NOW,
                           "day": TODAY + timedelta(days=7)}  # fmt: skip
    for has_child in (True, False, True):
        custody.put_custody_exception(tx, cast.district, has_child=has_child, **ask)
    told = custody.exceptions_of_child(tx, cast.district, cast.aigerim, TODAY)
    assert told == [CustodyException(cast.aigerim, cast.father, ask["day"], True)]
    assert calendar.has_child_on(ask["day"], told) and not calendar.has_child_on(ask["day"])
    custody.put_custody_exception(tx, cast.district, has_child=None, **ask)
    assert custody.exceptions_of_child(tx, cast.district, cast.aigerim, TODAY) == []
    ask["day"] = TODAY - timedelta(days=1)
    assert refusal(lambda: custody.put_custody_exception(tx, cast.district, has_child=True, **ask)) == "DATES_BACKWARDS"


@pytest.mark.parametrize(("more", "code"), [
    ({"cycle": ()}, "CYCLE_WRONG"), ({"cycle": (1,) * 9}, "CYCLE_WRONG"), ({"cycle": (128,)}, "CYCLE_WRONG"),
    ({"cycle": (-1,)}, "CYCLE_WRONG"), ({"first_monday": TODAY}, "CYCLE_WRONG"),
    ({"person_id": UUID(int=7)}, "NOT_FOUND"), ({"child_id": UUID(int=7)}, "NOT_FOUND"),
])  # fmt: skip
def test_a_calendar_that_cannot_be_is_refused(tx: Transaction, home: Home, more: dict[str, Any], code: str) -> None:
    assert refusal(lambda: put(tx, home, **more)) == code


def test_only_the_school_enters_custody(tx: Transaction, home: Home) -> None:
    cast = home.cast
    put(tx, home)
    for nobody in (cast.mother, cast.father, cast.teacher, cast.operator):
        ask: dict[str, Any] = {"child_id": cast.aigerim, "person_id": cast.father, "by": nobody, "now": NOW}
        assert refusal(lambda nobody=nobody: put(tx, home, by=nobody)) == "NOT_OF_THIS_SCHOOL"
        assert refusal(lambda ask=ask: custody.end_custody(tx, cast.district, **ask)) == "NOT_OF_THIS_SCHOOL"
        for has_child in (True, None):
            code = refusal(lambda ask=ask, has_child=has_child: custody.put_custody_exception(
                tx, cast.district, day=TODAY, has_child=has_child, **ask))  # fmt: skip
            assert code == "NOT_OF_THIS_SCHOOL"
    assert refusal(lambda: put(tx, home, person_id=home.grandmother)) == "NOT_FOUND", "no guardian"


@pytest.mark.parametrize(("change", "rule"), [
    ("first_monday = first_monday + 1", ("23514", "custody_calendar_begins_on_monday")),
    *[(f"cycle = '{cycle}'", ("23514", "custody_calendar_of_weeks")) for cycle in
      ("{}", "{1,NULL}", "{{1},{2}}", "{128}", "{-1}", "{1,1,1,1,1,1,1,1,1}")],
    ("set_by = person_id", ("23001", "custody_calendar_by_the_school")),
])  # fmt: skip
def test_the_database_knows_what_a_calendar_is(
    tx: Transaction, home: Home, change: str, rule: tuple[str, str]
) -> None:
    put(tx, home)
    assert broken(tx, f"UPDATE custody_calendar SET {change}", ()) == rule


def test_two_calendars_of_one_guardian_never_overlap(tx: Transaction, home: Home) -> None:
    put(tx, home)
    query = ("INSERT INTO custody_calendar SELECT district_id, gen_random_uuid(), child_id, person_id, cycle,"
             " first_monday, denies, period, set_by, set_at FROM custody_calendar")  # fmt: skip
    assert broken(tx, query, ()) == ("23P01", "custody_calendar_once_at_a_time")


def test_both_guardians_see_the_calendar_and_a_stranger_nothing(tx: Transaction, home: Home, seen_by: SeenBy) -> None:
    cast = home.cast
    put(tx, home)
    for person, seen in ((cast.mother, 1), (cast.father, 1), (cast.stranger, 0)):
        with seen_by(person):
            assert len(custody.custody_of_child(tx, cast.district, cast.aigerim, TODAY)) == seen
