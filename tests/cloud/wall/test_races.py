"""Eight at once: the last place of five, one order imposed, one order confirmed. The database decides who was first."""

import hashlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

from cloud.identity import service as identity
from cloud.identity.model import Role
from cloud.kit.db import Database, RuleBroken, one
from cloud.kit.errors import Refused
from cloud.people import escorts, orders
from cloud.people import service as people
from cloud.people.model import NewPerson
from tests.cast import FIRST_DAY, NOW, Cast, a_district

RACERS = 8
LATER = NOW + timedelta(minutes=1)


def race(database: Database, cast: Cast, act: Callable[[Any, int], object]) -> Counter[str]:
    """Let eight sessions act at the same moment; return how often each answer came."""
    start = Barrier(RACERS)

    def run(number: int) -> str:
        start.wait(timeout=10)
        try:
            with database.tenant(cast.district) as tx:
                act(tx, number)
        except Refused as refused:
            return refused.code
        except RuleBroken as broken:
            return f"{broken.sqlstate} {broken.constraint}"
        return "done"

    with ThreadPoolExecutor(RACERS) as racers:
        return Counter(racers.map(run, range(RACERS)))


def office_people(database: Database, cast: Cast, count: int) -> list[UUID]:
    with database.tenant(cast.district) as tx:
        made = [
            people.put_person(
                tx, cast.district, sourced_id=f"office-{n}", given=f"Office {n}", family="", language="en"
            )
            for n in range(count)
        ]
        for person in made:
            identity.grant_role(tx, cast.district, person, Role.OFFICE, FIRST_DAY, school_id=cast.school)
    return made


def test_of_eight_who_want_the_last_place_one_gets_it(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        for number in (1, 2):
            aunt = NewPerson(f"Aunt {number}", "Test", "en")
            escorts.add_escort(tx, cast.district, child_id=cast.aigerim, person=aunt, by=cast.mother, now=NOW)

    def add(tx: Any, number: int) -> None:
        friend = NewPerson(f"Friend {number}", "Test", "en")
        escorts.add_escort(tx, cast.district, child_id=cast.aigerim, person=friend, by=cast.mother, now=LATER)

    assert race(database, cast, add) == {"done": 1, "ESCORTS_FULL": RACERS - 1}
    with database.tenant(cast.district) as tx:
        assert len(escorts.escorts_of_child(tx, cast.district, cast.aigerim, LATER)) == 5
        assert one(tx, int, "SELECT count(*) FROM person WHERE given LIKE 'Friend%%'") == 1, "losers leave nobody"


def test_eight_who_add_one_name_at_once_mean_one_person(database: Database) -> None:
    cast = a_district(database)

    def add(tx: Any, number: int) -> None:
        aunt = NewPerson("Anna", "Test", "en")
        escorts.add_escort(tx, cast.district, child_id=cast.aigerim, person=aunt, by=cast.mother, now=LATER)

    assert race(database, cast, add) == {"done": 1, "ESCORT_ALREADY": RACERS - 1}


def test_an_order_cuts_the_right_that_is_being_added_beside_it(database: Database) -> None:
    cast = a_district(database)
    writer = office_people(database, cast, 1)[0]
    with database.tenant(cast.district) as tx:
        uncle = people.put_person(tx, cast.district, sourced_id="uncle", given="U", family="T", language="en")

    def act(tx: Any, number: int) -> None:
        if number:
            escorts.add_escort(tx, cast.district, child_id=cast.aigerim, person=uncle, by=cast.mother, now=LATER)
        else:
            orders.impose_order(
                tx, cast.district, child_id=cast.aigerim, person_id=uncle, by=writer,
                evidence=hashlib.sha256(b"paper").digest(), hides=False, until=None, now=LATER,
            )  # fmt: skip

    answers = race(database, cast, act)
    assert set(answers) <= {"done", "ESCORT_ALREADY", "ESCORT_FORBIDDEN"}, answers
    with database.tenant(cast.district) as tx:
        left = escorts.escorts_of_child(tx, cast.district, cast.aigerim, LATER)
    assert uncle not in {right.person_id for right in left}


def test_of_eight_who_confirm_one_order_one_has_confirmed_it(database: Database) -> None:
    cast = a_district(database)
    first, *others = office_people(database, cast, RACERS + 1)
    with database.tenant(cast.district) as tx:
        order = orders.impose_order(
            tx, cast.district, child_id=cast.aigerim, person_id=cast.father, by=first,
            evidence=hashlib.sha256(b"paper").digest(), hides=False, until=None, now=NOW,
        )  # fmt: skip

    def confirm(tx: Any, number: int) -> None:
        orders.confirm_order(tx, cast.district, order_id=order.id, by=others[number], now=LATER)

    answers = race(database, cast, confirm)
    assert answers["done"] == 1 and sum(answers.values()) == RACERS, answers
    assert all(answer == "done" or answer.startswith("ORDER_") for answer in answers), answers


def test_of_eight_who_impose_one_order_one_stands_and_the_right_is_cut_once(database: Database) -> None:
    cast = a_district(database)
    writers = office_people(database, cast, RACERS)

    def impose(tx: Any, number: int) -> None:
        orders.impose_order(
            tx, cast.district, child_id=cast.aigerim, person_id=cast.father, by=writers[number],
            evidence=hashlib.sha256(b"paper").digest(), hides=True, until=None, now=LATER,
        )  # fmt: skip

    answers = race(database, cast, impose)
    assert answers["done"] == 1 and set(answers) <= {"done", "ORDER_ALREADY"}, answers
    with database.tenant(cast.district) as tx:
        assert one(tx, int, "SELECT count(*) FROM court_order") == 1
        left = escorts.escorts_of_child(tx, cast.district, cast.aigerim, LATER)
    assert cast.father not in {right.person_id for right in left}
