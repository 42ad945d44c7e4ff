"""Who is who, asked through the service: class lists, guardians, children, escorts."""

from datetime import timedelta

import pytest

from cloud.kit.db import Database
from cloud.kit.errors import Refused
from cloud.people import service as people
from cloud.people.model import Tie, may_collect_on
from tests.cast import FIRST_DAY, NOW, a_district

TODAY = NOW.date()


def test_a_class_list_holds_who_is_enrolled_on_that_day(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        today = people.children_of_school(tx, cast.district, cast.school, TODAY)
        before_school = people.children_of_school(tx, cast.district, cast.school, FIRST_DAY - timedelta(days=1))
    assert {child.id for child in today} == {cast.aigerim, cast.timur, cast.minh}
    assert {child.class_name for child in today} == {"Күнбағыс"}
    assert before_school == []


def test_a_guardian_finds_own_children_with_school_zone_and_site(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district, cast.mother) as tx:
        children = people.children_of_guardian(tx, cast.district, cast.mother, TODAY)
        others = people.children_of_guardian(tx, cast.district, cast.stranger, TODAY)
    assert {child.given for child in children} == {"Айгерім", "Тимур"}
    assert {(child.timezone, child.site, child.relation) for child in children} == {("Asia/Almaty", 101, "mother")}
    assert others == []


def test_a_child_has_its_guardians_with_what_they_may(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        guardians = people.guardians_of_child(tx, cast.district, cast.aigerim, TODAY)
    assert {(guardian.person_id, guardian.relation) for guardian in guardians} == {
        (cast.mother, "mother"), (cast.father, "father")}
    assert all(guardian.authority and guardian.may_collect for guardian in guardians)


def test_names_are_kept_as_written_formula_and_quote_included(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        father = people.person(tx, cast.district, cast.father)
    assert (father.given, father.family) == ("=HYPERLINK(1)", "O'Brien")


def test_a_person_whom_the_guardian_may_not_see_is_not_found(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district, cast.mother) as tx, pytest.raises(Refused) as refused:
        people.person(tx, cast.district, cast.stranger)
    assert refused.value.code == "NOT_FOUND"


def test_a_guardian_without_authority_reads_nothing(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        people.tie_guardian(
            tx, cast.district, Tie(cast.aigerim, cast.father, "father", False, False, False, FIRST_DAY)
        )
    with database.tenant(cast.district, cast.father) as tx:
        assert people.children_of_guardian(tx, cast.district, cast.father, TODAY) == []
        assert people.guardians_of_child(tx, cast.district, cast.aigerim, TODAY) == []


def test_tying_and_enrolling_twice_changes_nothing(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        before = tx.execute("SELECT * FROM guardianship ORDER BY id").fetchall()
        people.tie_guardian(tx, cast.district, Tie(cast.aigerim, cast.father, "father", True, True, True, TODAY))
        people.enrol(tx, cast.district, cast.aigerim, cast.school, cast.sunflowers, TODAY)
        people.appoint_teacher(tx, cast.district, cast.sunflowers, cast.teacher, FIRST_DAY)
        assert tx.execute("SELECT * FROM guardianship ORDER BY id").fetchall() == before
        assert len(people.children_of_school(tx, cast.district, cast.school, TODAY)) == 3
        assert [one.id for one in people.teachers_of_class(tx, cast.district, cast.sunflowers, TODAY)] == [cast.teacher]


def test_an_escort_right_given_twice_takes_one_slot(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        first = people.give_escort_right(tx, cast.district, cast.aigerim, cast.mother, NOW)
        assert people.give_escort_right(tx, cast.district, cast.aigerim, cast.mother, NOW) == first
        running = people.escorts_of_child(tx, cast.district, cast.aigerim, NOW)
    assert [(escort.slot, escort.person_id) for escort in running] == [(1, cast.mother), (2, cast.father)]


def test_a_weekday_mask_holds_on_its_days_only() -> None:
    tuesdays = 0b0000010
    assert may_collect_on(tuesdays, TODAY)
    assert not may_collect_on(tuesdays, TODAY + timedelta(days=1))


def test_the_staff_of_a_school_are_listed_with_their_powers(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        members = people.staff_of_school(tx, cast.district, cast.school)
    assert {(member.person_id, member.powers) for member in members} == {(cast.head, 15), (cast.teacher, 15)}


def test_a_changed_right_is_told_in_its_own_transaction_and_only_then(database: Database) -> None:
    cast = a_district(database)
    with database.untenanted() as tx:
        tx.execute("DELETE FROM job")
    with pytest.raises(RuntimeError), database.tenant(cast.district) as tx:
        people.end_escort_right(tx, cast.district, cast.aigerim, cast.father, NOW + timedelta(hours=1))
        raise RuntimeError("rolled back")
    with database.tenant(cast.district) as tx:
        assert tx.execute("SELECT fact FROM job").fetchall() == []
        people.end_escort_right(tx, cast.district, cast.aigerim, cast.father, NOW + timedelta(hours=1))
        told = tx.execute("SELECT fact, district_id, what FROM job").fetchall()
    assert told == [("RightsChanged", cast.district, {"site": 101})]


def test_only_a_tie_that_changed_is_told(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        people.tie_guardian(tx, cast.district, Tie(cast.aigerim, cast.father, "father", True, True, True, FIRST_DAY))
        assert tx.execute("SELECT fact FROM job").fetchall() == []
        people.tie_guardian(tx, cast.district, Tie(cast.aigerim, cast.father, "father", False, True, True, FIRST_DAY))
        assert tx.execute("SELECT fact FROM job").fetchall() == [("RightsChanged",)]
