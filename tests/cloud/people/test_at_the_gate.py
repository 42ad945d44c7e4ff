"""Whom staff at a gate meet today: by the school's own day, which is not the day of UTC, and by rights that run."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from cloud.kit.db import Transaction
from cloud.people import at_the_gate, escorts
from cloud.people import service as people
from cloud.people.model import Tie
from tests.cast import Cast
from tests.cloud.people.conftest import Home

TUESDAY = date(2026, 9, 1)
LATE_ON_MONDAY = datetime(2026, 8, 31, 18, 59, tzinfo=UTC)  # 23:59 in Almaty
EARLY_ON_TUESDAY = datetime(2026, 8, 31, 19, 1, tzinfo=UTC)  # 00:01 in Almaty, and still Monday in UTC
MORNING = datetime(2026, 9, 1, 3, 0, tzinfo=UTC)


def children(tx: Transaction, cast: Cast, now: datetime) -> set[UUID]:
    return {child.id for child in at_the_gate.children_at_the_gate(tx, cast.district, [cast.school], now)}


def adults(tx: Transaction, cast: Cast, child: UUID, now: datetime) -> dict[UUID, str]:
    known = at_the_gate.adults_at_the_gate(tx, cast.district, [child], now)
    return {adult.person_id: adult.relation for adult in known}


def test_a_child_is_known_from_the_first_minute_of_its_first_day_at_the_school(tx: Transaction, home: Home) -> None:
    cast = home.cast
    new = people.put_child(tx, cast.district, sourced_id="new", given="New", family="", birth=date(2022, 1, 1))
    people.enrol(tx, cast.district, new, cast.school, cast.sunflowers, TUESDAY)
    assert new not in children(tx, cast, LATE_ON_MONDAY)
    assert new in children(tx, cast, EARLY_ON_TUESDAY)


def test_a_guardian_is_known_from_the_first_minute_of_the_schools_day(tx: Transaction, home: Home) -> None:
    cast = home.cast
    people.tie_guardian(tx, cast.district, Tie(cast.timur, home.grandmother, "grandmother", True, True, True, TUESDAY))
    assert home.grandmother not in adults(tx, cast, cast.timur, LATE_ON_MONDAY)
    assert adults(tx, cast, cast.timur, EARLY_ON_TUESDAY)[home.grandmother] == "grandmother"


def test_an_escort_whose_right_begins_tomorrow_is_nobody_yet_and_one_whose_right_ended_no_longer(
    tx: Transaction, home: Home
) -> None:
    cast, tomorrow = home.cast, MORNING + timedelta(days=1)
    escorts.add_escort(
        tx, cast.district, child_id=cast.timur, person=home.grandmother, by=home.office,
        first_day=TUESDAY + timedelta(days=1), last_day=TUESDAY + timedelta(days=1), now=MORNING,
    )  # fmt: skip
    assert home.grandmother not in adults(tx, cast, cast.timur, MORNING)
    assert adults(tx, cast, cast.timur, tomorrow)[home.grandmother] == "", "an escort has no relation"
    assert home.grandmother not in adults(tx, cast, cast.timur, tomorrow + timedelta(days=1))
