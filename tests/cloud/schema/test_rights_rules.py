"""Rules of people and rights that the database holds by itself: five escorts, orders, periods (I1, I2, I13)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import LiteralString
from uuid import UUID

import pytest

from cloud.kit.db import Database, RuleBroken, one
from cloud.kit.ids import new_id
from cloud.people import service as people
from cloud.people.service import PeopleRefused
from tests.cast import FIRST_DAY, NOW, Cast, a_district


def an_aunt(database: Database, cast: Cast, number: int) -> UUID:
    with database.tenant(cast.district) as tx:
        return people.put_person(
            tx, cast.district, sourced_id=f"aunt-{number}", given=f"Aunt {number}", family="", language="en"
        )


def refused_row(database: Database, cast: Cast, query: LiteralString, values: tuple[object, ...]) -> tuple[str, str]:
    with pytest.raises(RuleBroken) as refused, database.tenant(cast.district) as tx:
        tx.execute(query, values)
    return refused.value.sqlstate, refused.value.constraint


RIGHT = ("INSERT INTO escort_right (district_id, id, child_id, person_id, kind, slot, weekdays, period)"
         " VALUES (%s, %s, %s, %s, %s, %s, %s, tstzrange(%s, %s))")


def test_a_sixth_escort_is_refused_and_an_ended_right_frees_its_slot(database: Database) -> None:
    cast = a_district(database)
    aunts = [an_aunt(database, cast, number) for number in range(5)]
    with database.tenant(cast.district) as tx:
        for aunt in aunts[:3]:
            people.give_escort_right(tx, cast.district, cast.aigerim, aunt, NOW)
        with pytest.raises(PeopleRefused) as refused:
            people.give_escort_right(tx, cast.district, cast.aigerim, aunts[3], NOW)
        assert refused.value.code == "ESCORTS_FULL"
    later = NOW + timedelta(hours=1)
    with database.tenant(cast.district) as tx:
        assert people.end_escort_right(tx, cast.district, cast.aigerim, aunts[0], later)
        people.give_escort_right(tx, cast.district, cast.aigerim, aunts[3], later)
        running = people.escorts_of_child(tx, cast.district, cast.aigerim, later)
    assert [escort.slot for escort in running] == [1, 2, 3, 4, 5]


def test_eight_races_for_the_last_slot_have_one_winner(database: Database) -> None:
    cast = a_district(database)
    aunts = [an_aunt(database, cast, number) for number in range(10)]
    with database.tenant(cast.district) as tx:
        for aunt in aunts[8:]:
            people.give_escort_right(tx, cast.district, cast.aigerim, aunt, NOW)

    def ask(aunt: UUID) -> str:
        try:
            with database.tenant(cast.district) as tx:
                people.give_escort_right(tx, cast.district, cast.aigerim, aunt, NOW)
        except PeopleRefused as refused:
            return refused.code
        return "given"

    with ThreadPoolExecutor(8) as racers:
        answers = sorted(racers.map(ask, aunts[:8]))
    assert answers == ["ESCORTS_FULL"] * 7 + ["given"]


def test_the_database_refuses_a_taken_slot_whatever_the_code_forgets(database: Database) -> None:
    cast = a_district(database)
    values = (cast.district, new_id(), cast.aigerim, an_aunt(database, cast, 1), "may_collect", 1, 127, NOW, None)
    assert refused_row(database, cast, RIGHT, values) == ("23P01", "escort_right_five_at_most")


def test_a_sixth_slot_does_not_exist(database: Database) -> None:
    cast = a_district(database)
    aunt = an_aunt(database, cast, 1)
    for slot in (0, 6, None):
        values = (cast.district, new_id(), cast.aigerim, aunt, "may_collect", slot, 127, NOW, None)
        assert refused_row(database, cast, RIGHT, values) == ("23514", "escort_right_slot_of_five")


def test_a_prohibition_never_runs_beside_a_right(database: Database) -> None:
    cast = a_district(database)
    values = (cast.district, new_id(), cast.aigerim, cast.father, "must_not_collect", None, 127, NOW, None)
    assert refused_row(database, cast, RIGHT, values) == ("23P01", "escort_right_never_against_order")


def test_a_right_against_a_running_order_is_refused_with_neutral_words(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        tx.execute(RIGHT, (cast.district, new_id(), cast.minh, cast.father, "must_not_collect", None, 127, NOW, None))
        with pytest.raises(PeopleRefused) as refused:
            people.give_escort_right(tx, cast.district, cast.minh, cast.father, NOW)
    assert refused.value.code == "ESCORT_FORBIDDEN"
    assert "order" not in refused.value.answer.message + refused.value.answer.what_to_do


def test_one_person_holds_one_slot_of_a_child(database: Database) -> None:
    cast = a_district(database)
    values = (cast.district, new_id(), cast.aigerim, cast.father, "may_collect", 5, 127, NOW, None)
    assert refused_row(database, cast, RIGHT, values) == ("23P01", "escort_right_once_a_person")


def test_two_enrolments_in_one_school_never_overlap(database: Database) -> None:
    cast = a_district(database)
    query = ("INSERT INTO enrolment (district_id, id, child_id, school_id, class_id, period)"
             " VALUES (%s, %s, %s, %s, NULL, daterange(%s, NULL))")
    values = (cast.district, new_id(), cast.timur, cast.school, FIRST_DAY + timedelta(days=9))
    assert refused_row(database, cast, query, values) == ("23P01", "enrolment_once_at_a_time")


def test_a_guardian_is_tied_to_a_child_once_at_a_time(database: Database) -> None:
    cast = a_district(database)
    query = ("INSERT INTO guardianship (district_id, id, child_id, person_id, relation, authority, lives_with,"
             " may_collect, may_read, may_sign, period)"
             " VALUES (%s, %s, %s, %s, 'aunt', true, true, true, true, true, daterange(%s, NULL))")
    values = (cast.district, new_id(), cast.aigerim, cast.mother, FIRST_DAY)
    assert refused_row(database, cast, query, values) == ("23P01", "guardianship_once_at_a_time")


def test_a_site_number_is_used_once_in_the_whole_deployment(database: Database) -> None:
    cast, there = a_district(database), a_district(database, "neighbour", 202)
    query = "INSERT INTO site (district_id, number, name) VALUES (%s, %s, 'copy')"
    assert refused_row(database, cast, query, (cast.district, there.site)) == ("23505", "site_number_once")


def test_a_class_of_another_school_is_refused(database: Database) -> None:
    cast = a_district(database)
    query = ("INSERT INTO enrolment (district_id, id, child_id, school_id, class_id, period)"
             " VALUES (%s, %s, %s, %s, %s, daterange(%s, NULL))")
    with database.tenant(cast.district) as tx:
        from cloud.schools import service as schools

        other = schools.put_school(
            tx, cast.district, sourced_id="other", site=cast.site, name="Other", level="primary",
            timezone="Asia/Almaty", language="ru",
        )
    values = (cast.district, new_id(), cast.timur, other, cast.sunflowers, FIRST_DAY)
    assert refused_row(database, cast, query, values) == ("23503", "enrolment_in_class")


def test_a_child_moves_between_classes_without_losing_a_day(database: Database) -> None:
    from cloud.schools import service as schools

    cast = a_district(database)
    moved_on = FIRST_DAY + timedelta(days=20)
    with database.tenant(cast.district) as tx:
        poppies = schools.put_class(tx, cast.district, cast.school, sourced_id="poppies", name="Poppies")
        people.enrol(tx, cast.district, cast.timur, cast.school, poppies, moved_on)
        before = people.children_of_school(tx, cast.district, cast.school, moved_on - timedelta(days=1))
        after = people.children_of_school(tx, cast.district, cast.school, moved_on)
        assert one(tx, int, "SELECT count(*) FROM enrolment WHERE child_id = %s", (cast.timur,)) == 2
    assert {child.class_id for child in before if child.id == cast.timur} == {cast.sunflowers}
    assert {child.class_id for child in after if child.id == cast.timur} == {poppies}
