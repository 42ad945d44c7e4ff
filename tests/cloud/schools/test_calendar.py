"""When a school is open: weekly hours, dates that are otherwise, school years; and when its staff work."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import pytest

from cloud.kit.db import Database, Transaction
from cloud.kit.errors import Refused
from cloud.people import staff
from cloud.people.model import WorkingHours
from cloud.schools import service as schools
from cloud.schools.model import CalendarDate, OpeningHours
from simulators.database import RunningDatabase
from tests.cast import NOW, Cast, a_district
from tests.conftest import Clone, _made

TUESDAY = date(2026, 9, 1)
WEEK = [OpeningHours(weekday, time(7, 30), time(18, 30)) for weekday in range(5)]


@pytest.fixture(scope="module")
def place(database_server: RunningDatabase, migrated_template: str):  # type: ignore[no-untyped-def]
    """A migrated database of this module."""
    yield from _made(database_server, migrated_template)


@pytest.fixture(scope="module")
def town(place: Clone):  # type: ignore[no-untyped-def]
    with Database(place.url, 2) as pool:
        yield pool, a_district(pool)


@pytest.fixture
def tx(town: tuple[Database, Cast]):  # type: ignore[no-untyped-def]
    pool, cast = town
    with pool.tenant(cast.district) as opened, opened.transaction(force_rollback=True):
        yield opened


@pytest.fixture
def cast(town: tuple[Database, Cast]) -> Cast:
    return town[1]


def refusal(run: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        run()
    assert refused.value.answer.status < 500
    return refused.value.code


def open_days(tx: Transaction, cast: Cast, first: date, days: int) -> list[bool]:
    return [day.open for day in schools.school_days(tx, cast.district, cast.school, first, days)]


def test_nobody_said_hours_so_the_week_is_monday_to_friday(tx: Transaction, cast: Cast) -> None:
    assert open_days(tx, cast, TUESDAY, 7) == [True, True, True, True, False, False, True]
    assert schools.closes_at(tx, cast.district, cast.school, NOW) == datetime(2026, 9, 1, 19, tzinfo=UTC)
    schools.put_calendar_date(tx, cast.district, cast.school, CalendarDate(TUESDAY, False, ""))
    assert schools.closes_at(tx, cast.district, cast.school, NOW) is None


def test_hours_say_which_days_and_when_the_school_closes(tx: Transaction, cast: Cast) -> None:
    schools.put_hours(tx, cast.district, cast.school, WEEK[:3])
    assert schools.hours_of_school(tx, cast.district, cast.school) == WEEK[:3]
    assert open_days(tx, cast, TUESDAY, 4) == [True, True, False, False]
    closes = datetime(2026, 9, 1, 13, 30, tzinfo=UTC)
    assert schools.closes_at(tx, cast.district, cast.school, NOW) == closes
    for at in (closes, closes + timedelta(hours=1), NOW + timedelta(days=2)):
        assert schools.closes_at(tx, cast.district, cast.school, at) is None
    schools.put_hours(tx, cast.district, cast.school, WEEK)
    assert schools.hours_of_school(tx, cast.district, cast.school) == WEEK, "set anew, not added"


def test_a_holiday_closes_and_a_saturday_made_up_for_opens(tx: Transaction, cast: Cast) -> None:
    schools.put_hours(tx, cast.district, cast.school, WEEK)
    saturday = date(2026, 9, 5)
    for day, is_open, note in ((TUESDAY, False, "Day of the constitution"), (saturday, True, "")):
        schools.put_calendar_date(tx, cast.district, cast.school, CalendarDate(day, is_open, "first"))
        schools.put_calendar_date(tx, cast.district, cast.school, CalendarDate(day, is_open, note))
    days = schools.school_days(tx, cast.district, cast.school, TUESDAY, 5)
    assert [(day.open, day.note) for day in days] == [
        (False, "Day of the constitution"), (True, ""), (True, ""), (True, ""), (True, "")]  # fmt: skip
    assert (days[0].closes, days[4].closes) == (None, time(18, 30))
    assert schools.closes_at(tx, cast.district, cast.school, NOW) is None
    assert schools.remove_calendar_date(tx, cast.district, cast.school, TUESDAY)
    assert not schools.remove_calendar_date(tx, cast.district, cast.school, TUESDAY)
    assert open_days(tx, cast, TUESDAY, 1) == [True]


def test_the_local_evening_of_a_clock_change_is_found(tx: Transaction, cast: Cast) -> None:
    tx.execute("UPDATE school SET timezone = 'Europe/Paris'")
    week = [OpeningHours(weekday, time(7), time(18)) for weekday in range(7)]
    schools.put_hours(tx, cast.district, cast.school, week)
    for now, closes in ((datetime(2026, 3, 29, 3, tzinfo=UTC), 16), (datetime(2026, 10, 25, 3, tzinfo=UTC), 17)):
        assert schools.closes_at(tx, cast.district, cast.school, now) == now.replace(hour=closes)


@pytest.mark.parametrize(("hours", "code"), [
    ([OpeningHours(0, time(9), time(9))], "HOURS_BACKWARDS"), ([OpeningHours(0, time(9), time(8))], "HOURS_BACKWARDS"),
    ([OpeningHours(7, time(9), time(10))], "BAD_INPUT"), ([OpeningHours(-1, time(9), time(10))], "BAD_INPUT"),
    ([OpeningHours(0, time(9), time(10))] * 2, "BAD_INPUT"),
])  # fmt: skip
def test_hours_that_cannot_be_are_refused(
    tx: Transaction, cast: Cast, hours: list[OpeningHours], code: str
) -> None:
    assert refusal(lambda: schools.put_hours(tx, cast.district, cast.school, hours)) == code


def test_a_note_has_a_bound_and_so_have_the_days_asked_for(tx: Transaction, cast: Cast) -> None:
    long = CalendarDate(TUESDAY, False, "x" * 201)
    assert refusal(lambda: schools.put_calendar_date(tx, cast.district, cast.school, long)) == "BAD_INPUT"
    assert len(open_days(tx, cast, TUESDAY, 100_000)) == 400
    assert len(open_days(tx, cast, TUESDAY, -5)) == 1


def test_school_years_and_terms_come_in_order_and_are_brought_up_to_date(tx: Transaction, cast: Cast) -> None:
    year = {"first_day": date(2026, 9, 1), "last_day": date(2027, 6, 30)}
    first = schools.put_session(tx, cast.district, sourced_id="y", kind="schoolYear", name="2026/27", **year)
    schools.put_session(tx, cast.district, sourced_id="t1", kind="term", name="Autumn", first_day=date(2026, 9, 1),
                        last_day=date(2026, 12, 20))  # fmt: skip
    again = schools.put_session(tx, cast.district, sourced_id="y", kind="schoolYear", name="2026/2027", **year)
    assert again == first
    told = schools.sessions(tx, cast.district, TUESDAY)
    assert [(one.name, one.last_day) for one in told] == [
        ("2026/2027", date(2027, 6, 30)), ("Autumn", date(2026, 12, 20))]  # fmt: skip
    assert [one.name for one in schools.sessions(tx, cast.district, date(2026, 12, 21))] == ["2026/2027"]
    backwards = {"first_day": date(2026, 9, 2), "last_day": date(2026, 9, 1)}
    assert refusal(lambda: schools.put_session(
        tx, cast.district, sourced_id="b", kind="term", name="B", **backwards)) == "SESSION_BACKWARDS"  # fmt: skip


# --- staff ----------------------------------------------------------------------------------------------------------


def at_work(person: UUID, weekday: int, starts: int, ends: int) -> WorkingHours:
    return WorkingHours(person, weekday, time(starts), time(ends))


def test_working_hours_are_set_anew_and_may_have_a_break(tx: Transaction, cast: Cast) -> None:
    teacher = cast.teacher
    for hours in ([at_work(teacher, 4, 8, 9)], [at_work(teacher, 0, 8, 12), at_work(teacher, 0, 13, 17)]):
        staff.put_working_hours(tx, cast.district, cast.school, cast.teacher, hours)
        assert staff.working_hours(tx, cast.district, cast.school) == hours


def test_working_hours_that_overlap_or_go_backwards_or_are_nobodys_are_refused(tx: Transaction, cast: Cast) -> None:
    teacher = cast.teacher
    for person, hours, code in (
        (teacher, [at_work(teacher, 0, 12, 8)], "DATES_BACKWARDS"),
        (teacher, [at_work(teacher, 0, 8, 12), at_work(teacher, 0, 11, 13)], "DATES_BACKWARDS"),
        (teacher, [at_work(teacher, 7, 8, 12)], "BAD_INPUT"), (teacher, [at_work(cast.head, 0, 8, 12)], "BAD_INPUT"),
        (cast.mother, [at_work(cast.mother, 0, 8, 12)], "NOT_FOUND"),
    ):  # fmt: skip
        assert refusal(lambda person=person, hours=hours: staff.put_working_hours(
            tx, cast.district, cast.school, person, hours)) == code  # fmt: skip
    assert staff.working_hours(tx, cast.district, cast.school) == []
