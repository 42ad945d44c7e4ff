"""Who may collect: added and removed by who decides, for today, with objection; each refusal with its code, and the
database's own refusal with SQLSTATE and constraint (I1)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest

from cloud.kit.db import Database, RuleBroken, Transaction, many, one
from cloud.kit.ids import new_id
from cloud.people import escorts, orders
from cloud.people import service as people
from cloud.people.model import NewPerson, Tie
from cloud.people.refusals import PeopleRefused
from cloud.schools import service as schools
from cloud.schools.model import OpeningHours
from tests.cast import FIRST_DAY, NOW, a_district
from tests.cloud.people.conftest import Home, SeenBy, broken, facts, lines, refusal

RIGHT = ("INSERT INTO escort_right (district_id, id, child_id, person_id, kind, slot, period, origin, added_by,"
         " added_at) VALUES (%s, %s, %s, %s, 'may_collect', %s, tstzrange(%s, NULL), %s, %s, %s)")  # fmt: skip


def test_a_guardian_adds_a_grandmother_by_name_and_the_gates_hear_of_it(tx: Transaction, home: Home) -> None:
    cast = home.cast
    right = escorts.add_escort(tx, cast.district, child_id=cast.timur, person=NewPerson("  Мәриям ", "Ахметова", "kk"),
                               by=cast.mother, weekdays=0b10, why="Tuesdays", now=NOW)  # fmt: skip
    assert (right.given, right.family, right.slot, right.weekdays) == ("Мәриям", "Ахметова", 2, 0b10)
    assert (right.origin, right.why) == ("family", "Tuesdays")
    assert (right.added_by, right.added_at, right.starts, right.ends) == (cast.mother, NOW, NOW, None)
    assert right.veto_until is None, "nobody else decides for this child"
    assert facts(tx) == [("RightsChanged", {"site": 101})]
    assert lines(tx, cast.timur) == [("escort.add", cast.mother)]


def test_a_name_that_is_tied_to_the_child_is_that_person(tx: Transaction, home: Home) -> None:
    cast = home.cast
    code = refusal(lambda: escorts.add_escort(
        tx, cast.district, child_id=cast.timur, person=NewPerson("әсел", "СЕЙТҚАЛИ", "kk"), by=cast.mother, now=NOW))
    assert code == "ESCORT_ALREADY"


def test_the_office_adds_without_a_veto_and_a_stranger_adds_nobody(tx: Transaction, home: Home) -> None:
    cast = home.cast
    added: dict[str, Any] = {"child_id": cast.aigerim, "person": home.grandmother, "by": home.office}
    right = escorts.add_escort(tx, cast.district, now=NOW, **added)
    assert (right.origin, right.veto_until) == ("office", None)
    for nobody in (cast.stranger, cast.operator, cast.teacher, home.grandmother):
        code = refusal(lambda nobody=nobody: escorts.add_escort(
            tx, cast.district, child_id=cast.aigerim, person=home.aunts[0], by=nobody, now=NOW))
        assert code == "ESCORT_NOT_YOURS"


@pytest.mark.parametrize("origin", ["family", "office"])
def test_the_database_refuses_an_adder_who_does_not_decide(tx: Transaction, home: Home, origin: str) -> None:
    cast = home.cast
    values = (cast.district, new_id(), cast.aigerim, home.aunts[0], 5, NOW, origin, cast.stranger, NOW)
    assert broken(tx, RIGHT, values) == ("23001", "escort_right_added_by_who_may")


def test_a_guardian_whose_authority_ended_adds_nobody(tx: Transaction, home: Home) -> None:
    cast = home.cast
    people.tie_guardian(tx, cast.district, Tie(cast.aigerim, cast.father, "father", False, True, True, FIRST_DAY))
    values = (cast.district, new_id(), cast.aigerim, home.aunts[0], 5, NOW, "family", cast.father, NOW)
    assert broken(tx, RIGHT, values) == ("23001", "escort_right_added_by_who_may")


def test_a_right_never_begins_before_it_was_added(tx: Transaction, home: Home) -> None:
    cast = home.cast
    yesterday = NOW - timedelta(days=1)
    values = (cast.district, new_id(), cast.aigerim, home.aunts[0], 5, yesterday, "family", cast.mother, NOW)
    assert broken(tx, RIGHT, values) == ("23514", "escort_right_never_backdated")


def test_five_count_the_parents_and_a_sixth_is_refused(tx: Transaction, home: Home) -> None:
    cast = home.cast
    for aunt in home.aunts[:3]:
        escorts.add_escort(tx, cast.district, child_id=cast.aigerim, person=aunt, by=home.office, now=NOW)
    assert [right.slot for right in escorts.escorts_of_child(tx, cast.district, cast.aigerim, NOW)] == [1, 2, 3, 4, 5]
    add: dict[str, Any] = {"child_id": cast.aigerim, "by": home.office, "now": NOW}
    assert refusal(lambda: escorts.add_escort(tx, cast.district, person=home.aunts[3], **add)) == "ESCORTS_FULL"
    assert refusal(lambda: escorts.add_escort(tx, cast.district, person=cast.father, **add)) == "ESCORT_ALREADY"
    assert refusal(lambda: escorts.allow_today(tx, cast.district, person=home.aunts[3], **add)) == "ESCORTS_FULL"


def test_dated_rights_share_a_slot_one_after_the_other(tx: Transaction, home: Home) -> None:
    cast = home.cast
    add: dict[str, Any] = {"child_id": cast.aigerim, "by": home.office, "now": NOW}
    for aunt in home.aunts[:2]:
        escorts.add_escort(tx, cast.district, person=aunt, **add)
    june = escorts.add_escort(tx, cast.district, person=home.aunts[2], last_day=date(2026, 9, 30), **add)
    later = escorts.add_escort(tx, cast.district, person=home.aunts[3], first_day=date(2026, 10, 1), **add)
    assert (june.slot, later.slot) == (5, 5)
    assert june.ends == later.starts == datetime(2026, 9, 30, 19, tzinfo=UTC)  # Midnight in Almaty
    assert refusal(lambda: escorts.add_escort(tx, cast.district, person=home.aunts[4], **add)) == "ESCORTS_FULL"


@pytest.mark.parametrize(("more", "code"), [
    ({"weekdays": 0}, "NO_WEEKDAY"), ({"weekdays": 128}, "NO_WEEKDAY"), ({"weekdays": -1}, "NO_WEEKDAY"),
    ({"last_day": date(2026, 8, 31)}, "DATES_BACKWARDS"),
    ({"first_day": date(2026, 9, 9), "last_day": date(2026, 9, 8)}, "DATES_BACKWARDS"),
    *[({"person": NewPerson(given, family, "kk")}, "NAME_MISSING") for given, family in
      (("", "B"), ("A", " "), ("A", "x" * 101), ("A\0", "B"), ("\ud800", "B"), ("A\x1b[2J", "B"))],
    ({"person": UUID(int=7)}, "NOT_FOUND"), ({"child_id": UUID(int=7)}, "NOT_FOUND"),
])  # fmt: skip
def test_what_cannot_be_is_refused_with_its_code(
    tx: Transaction, home: Home, more: dict[str, object], code: str
) -> None:
    cast = home.cast
    asked: dict[str, object] = {"child_id": cast.timur, "person": home.aunts[0], "by": cast.mother, "now": NOW, **more}
    assert refusal(lambda: escorts.add_escort(tx, cast.district, **asked)) == code  # type: ignore[arg-type]
    assert many(tx, UUID, "SELECT id FROM escort_right WHERE person_id = %s", (home.aunts[0],)) == []


def test_a_right_for_today_ends_when_the_school_closes(tx: Transaction, home: Home) -> None:
    cast = home.cast
    ask: dict[str, Any] = {"child_id": cast.timur, "person": home.aunts[0], "by": cast.mother}
    assert escorts.allow_today(tx, cast.district, now=NOW, **ask).ends == datetime(2026, 9, 1, 19, tzinfo=UTC)
    schools.put_hours(tx, cast.district, cast.school, [OpeningHours(1, time(7, 30), time(18, 30))])
    ask["person"] = home.aunts[1]
    right = escorts.allow_today(tx, cast.district, now=NOW, **ask)
    assert (right.one_time, right.ends) == (True, datetime(2026, 9, 1, 13, 30, tzinfo=UTC))
    ask["person"] = home.aunts[2]
    evening, wednesday = NOW + timedelta(hours=11), NOW + timedelta(days=1)
    assert refusal(lambda: escorts.allow_today(tx, cast.district, now=evening, **ask)) == "CLOSED_TODAY"
    assert refusal(lambda: escorts.allow_today(tx, cast.district, now=wednesday, **ask)) == "CLOSED_TODAY"
    running = escorts.escorts_of_child(tx, cast.district, cast.timur, evening)
    assert home.aunts[1] not in {right.person_id for right in running}, "its slot is free by itself"


def test_a_one_time_right_of_more_than_a_day_is_refused_by_the_database(tx: Transaction, home: Home) -> None:
    cast = home.cast
    query = ("INSERT INTO escort_right (district_id, id, child_id, person_id, kind, slot, period, one_time)"
             " VALUES (%s, %s, %s, %s, 'may_collect', 5, tstzrange(%s, %s), true)")  # fmt: skip
    for ends in (None, NOW + timedelta(hours=26)):
        values = (cast.district, new_id(), cast.timur, home.aunts[0], NOW, ends)
        assert broken(tx, query, values) == ("23514", "escort_right_one_time_ends")


# --- objection ------------------------------------------------------------------------------------------------------


def test_the_other_guardian_is_asked_and_objects_within_the_day(tx: Transaction, home: Home, seen_by: SeenBy) -> None:
    cast = home.cast
    right = escorts.add_escort(tx, cast.district, child_id=cast.aigerim, person=home.aunts[0], by=cast.mother, now=NOW)
    assert right.veto_until == NOW + timedelta(hours=24) and right.runs(NOW)
    with seen_by(cast.father):
        [asked] = escorts.rights_to_consider(tx, cast.district, cast.father, NOW)
    assert asked.id == right.id and asked.may_be_vetoed_by(cast.father, NOW)
    assert escorts.rights_to_consider(tx, cast.district, cast.mother, NOW) == []
    later = NOW + timedelta(hours=3)
    escorts.veto_escort(tx, cast.district, child_id=cast.aigerim, right_id=right.id, by=cast.father, now=later)
    running = escorts.escorts_of_child(tx, cast.district, cast.aigerim, later)
    assert home.aunts[0] not in {one.person_id for one in running}
    again: dict[str, Any] = {"child_id": cast.aigerim, "person": home.aunts[0], "now": later}
    assert refusal(lambda: escorts.add_escort(tx, cast.district, by=cast.mother, **again)) == "ESCORT_VETOED"
    values = (cast.district, new_id(), cast.aigerim, home.aunts[0], 5, later, "family", cast.mother, later)
    assert broken(tx, RIGHT, values) == ("23001", "escort_right_not_after_veto")
    assert escorts.add_escort(tx, cast.district, by=home.office, **again).origin == "office"


def test_an_objection_too_late_or_by_the_wrong_person_changes_nothing(tx: Transaction, home: Home) -> None:
    cast = home.cast
    right = escorts.add_escort(tx, cast.district, child_id=cast.aigerim, person=home.aunts[0], by=cast.mother, now=NOW)
    veto: dict[str, Any] = {"child_id": cast.aigerim, "right_id": right.id}
    for person in (cast.mother, cast.stranger, home.aunts[0]):
        code = refusal(lambda person=person: escorts.veto_escort(tx, cast.district, by=person, now=NOW, **veto))
        assert code == "ESCORT_NOT_YOURS"
    over = NOW + timedelta(hours=24)
    code = refusal(lambda: escorts.veto_escort(tx, cast.district, by=cast.father, now=over, **veto))
    assert code == "ESCORT_VETO_OVER"
    query = ("UPDATE escort_right SET vetoed = true, ended_by = %s, ended_at = %s,"
             " period = period * tstzrange(NULL, %s) WHERE id = %s")  # fmt: skip
    for person, at in ((cast.father, over), (cast.mother, NOW), (cast.stranger, NOW)):
        assert broken(tx, query, (person, at, at, right.id)) == ("23001", "escort_right_vetoed_in_time")


def test_a_district_may_let_the_right_wait_or_ask_nobody(tx: Transaction, home: Home) -> None:
    cast = home.cast
    tx.execute("UPDATE district SET escort_waits = true, escort_veto_hours = 48")
    right = escorts.add_escort(tx, cast.district, child_id=cast.aigerim, person=home.aunts[0], by=cast.mother, now=NOW)
    assert right.starts == right.veto_until == NOW + timedelta(hours=48) and not right.runs(NOW)
    short: dict[str, Any] = {"child_id": cast.aigerim, "person": home.aunts[1], "by": cast.mother, "now": NOW}
    soon = refusal(lambda: escorts.add_escort(tx, cast.district, last_day=date(2026, 9, 2), **short))
    assert soon == "DATES_BACKWARDS", "it would be over before it began"
    tx.execute("UPDATE district SET escort_veto_hours = 0")
    assert escorts.add_escort(tx, cast.district, **short).veto_until is None
    assert broken(tx, "UPDATE district SET escort_veto_hours = 169", ()) == ("23514", "district_veto_of_a_week")


# --- ending ---------------------------------------------------------------------------------------------------------


def test_a_removed_escort_frees_the_slot_and_may_come_back_within_the_hour(tx: Transaction, home: Home) -> None:
    cast = home.cast
    right = escorts.add_escort(tx, cast.district, child_id=cast.timur, person=home.aunts[0], by=cast.mother, now=NOW)
    escorts.remove_escort(tx, cast.district, child_id=cast.timur, right_id=right.id, by=cast.mother, now=NOW)
    again: dict[str, Any] = {"child_id": cast.timur, "right_id": right.id, "by": cast.mother, "now": NOW}
    assert refusal(lambda: escorts.remove_escort(tx, cast.district, **again)) == "ESCORT_UNKNOWN"
    assert one(tx, bool, "SELECT isempty(period) FROM escort_right WHERE id = %s", (right.id,)), "it never ran"
    assert escorts.may_come_back(tx, cast.district, cast.timur, home.aunts[0], NOW + timedelta(minutes=59))
    assert not escorts.may_come_back(tx, cast.district, cast.timur, home.aunts[0], NOW + timedelta(minutes=61))
    assert [action for action, _ in lines(tx, cast.timur)] == ["escort.add", "escort.remove"]


def test_parents_do_not_remove_each_other_and_the_office_does(tx: Transaction, home: Home) -> None:
    cast, later = home.cast, NOW + timedelta(hours=1)
    rights = {right.person_id: right for right in escorts.escorts_of_child(tx, cast.district, cast.aigerim, NOW)}
    fathers: dict[str, Any] = {"child_id": cast.aigerim, "right_id": rights[cast.father].id, "now": later}
    assert rights[cast.father].guardian
    assert refusal(lambda: escorts.remove_escort(tx, cast.district, by=cast.mother, **fathers)) == "ESCORT_NOT_YOURS"
    query = ("UPDATE escort_right SET ended_by = %s, ended_at = %s, period = tstzrange(lower(period), %s)"
             " WHERE id = %s")  # fmt: skip
    for person in (cast.mother, cast.stranger, cast.teacher):
        values = (person, later, later, rights[cast.father].id)
        assert broken(tx, query, values) == ("23001", "escort_right_ended_by_who_may")
    escorts.remove_escort(tx, cast.district, by=home.office, **fathers)
    mothers: dict[str, Any] = {"child_id": cast.aigerim, "right_id": rights[cast.mother].id, "now": later}
    escorts.remove_escort(tx, cast.district, by=cast.mother, **mothers)
    assert escorts.escorts_of_child(tx, cast.district, cast.aigerim, later) == []


def test_a_right_of_another_child_is_not_found(tx: Transaction, home: Home) -> None:
    cast = home.cast
    [minhs] = escorts.escorts_of_child(tx, cast.district, cast.minh, NOW)
    ask: dict[str, Any] = {"child_id": cast.timur, "right_id": minhs.id, "now": NOW}
    assert refusal(lambda: escorts.remove_escort(tx, cast.district, by=cast.mother, **ask)) == "ESCORT_UNKNOWN"
    assert refusal(lambda: escorts.veto_escort(tx, cast.district, by=cast.mother, **ask)) == "ESCORT_UNKNOWN"


@pytest.mark.parametrize("change", [
    "weekdays = 1", "slot = 4", "why = 'x'", "period = tstzrange(lower(period) - interval '1 day', NULL)",
    "person_id = child_id", "added_at = now()", "origin = 'office'", "one_time = true",
])  # fmt: skip
def test_a_right_is_never_rewritten(tx: Transaction, home: Home, change: str) -> None:
    [right] = escorts.escorts_of_child(tx, home.cast.district, home.cast.minh, NOW)
    query = f"UPDATE escort_right SET {change} WHERE id = %s"
    assert broken(tx, query, (right.id,)) == ("23001", "escort_right_only_ends")


def test_an_ended_right_does_not_run_again(tx: Transaction, home: Home) -> None:
    cast, later = home.cast, NOW + timedelta(hours=1)
    [right] = escorts.escorts_of_child(tx, cast.district, cast.minh, NOW)
    escorts.remove_escort(tx, cast.district, child_id=cast.minh, right_id=right.id, by=home.office, now=later)
    for change in ("period = tstzrange(lower(period), NULL)", "ended_at = NULL, ended_by = NULL", "period = 'empty'"):
        assert broken(tx, f"UPDATE escort_right SET {change} WHERE id = %s", (right.id,)) == (
            "23001", "escort_right_only_ends")


def test_an_import_brings_back_neither_who_was_removed_nor_whom_an_order_concerns(
    tx: Transaction, home: Home
) -> None:
    cast, later = home.cast, NOW + timedelta(hours=1)
    assert people.import_escort(tx, cast.district, cast.timur, home.grandmother, NOW)
    assert people.import_escort(tx, cast.district, cast.timur, home.grandmother, NOW), "again changes nothing"
    [right] = [one for one in escorts.escorts_of_child(tx, cast.district, cast.timur, NOW)
               if one.person_id == home.grandmother]  # fmt: skip
    escorts.remove_escort(tx, cast.district, child_id=cast.timur, right_id=right.id, by=cast.mother, now=later)
    orders.impose_order(tx, cast.district, child_id=cast.aigerim, person_id=cast.father, by=home.office,
                        evidence=bytes(32), hides=False, until=None, now=later)  # fmt: skip
    for child, person in ((cast.timur, home.grandmother), (cast.aigerim, cast.father)):
        assert not people.import_escort(tx, cast.district, child, person, later)
        assert person not in {one.person_id for one in escorts.escorts_of_child(tx, cast.district, child, later)}


# --- races ----------------------------------------------------------------------------------------------------------


def test_eight_sessions_race_for_the_last_slot_and_seven_hear_23p01(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        adults = [people.put_person(tx, cast.district, sourced_id=f"racer-{number}", given="Racer", family=str(number),
                                    language="en") for number in range(10)]  # fmt: skip
        for adult in adults[8:]:
            people.give_escort_right(tx, cast.district, cast.aigerim, adult, NOW)

    def insert(adult: UUID) -> tuple[str, str]:
        values = (cast.district, new_id(), cast.aigerim, adult, 5, NOW, "family", cast.mother, NOW)
        try:
            with database.tenant(cast.district) as tx:
                tx.execute(RIGHT, values)
        except RuleBroken as refused:
            return refused.sqlstate, refused.constraint
        return "", ""

    with ThreadPoolExecutor(8) as racers:
        answers = sorted(racers.map(insert, adults[:8]))
    assert answers == [("", ""), *[("23P01", "escort_right_five_at_most")] * 7]


def test_eight_guardians_requests_for_the_last_slot_have_one_winner(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        adults = [people.put_person(tx, cast.district, sourced_id=f"racer-{number}", given="Racer", family=str(number),
                                    language="en") for number in range(10)]  # fmt: skip
        for adult in adults[8:]:
            people.give_escort_right(tx, cast.district, cast.aigerim, adult, NOW)

    def ask(adult: UUID) -> str:
        try:
            with database.tenant(cast.district) as tx:
                escorts.add_escort(tx, cast.district, child_id=cast.aigerim, person=adult, by=cast.mother, now=NOW)
        except PeopleRefused as refused:
            return refused.code
        return "added"

    with ThreadPoolExecutor(8) as racers:
        assert sorted(racers.map(ask, adults[:8])) == ["ESCORTS_FULL"] * 7 + ["added"]
