"""Districts, sites, schools and classes as the rest of the cloud sees them.

Every `put_…` is idempotent by the key of the source system. tx is always a transaction of the district,
but for the two lookups across districts, which take an untenanted one and give ids and slugs only.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo

from cloud.kit import clock
from cloud.kit.db import Database, Transaction
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.ids import new_id
from cloud.schools import queries
from cloud.schools.model import (
    AcademicSession,
    CalendarDate,
    District,
    OpeningHours,
    School,
    SchoolClass,
    SchoolDay,
)

__all__ = ["AcademicSession", "CalendarDate", "District", "OpeningHours", "School", "SchoolClass", "SchoolDay"]

DAYS_MAX = 400  # of a calendar asked for at once: a year and a month
NOTE_CHARACTERS_MAX = 200  # calendar_date_note_short
SATURDAY = 5


class SchoolRefused(Refused):
    """A school that cannot be as it was described."""

    answers: ClassVar = {
        "TIMEZONE_UNKNOWN": Answer(
            400, N_("This time zone is not known."), N_("Use an IANA name such as Asia/Almaty.")
        ),
        "HOURS_BACKWARDS": Answer(400, N_("The school would close before it opens."), N_("Check the hours.")),
        "SESSION_BACKWARDS": Answer(400, N_("The end lies before the beginning."), N_("Check the dates.")),
    }


def put_district(database: Database, slug: str, name: str, now: datetime) -> UUID:
    """Return the id of the district with this slug, made if new. Opens its own transactions: the id is the tenant."""
    district_id = district_id_of(database, slug, now)
    with database.tenant(district_id) as tx:
        put_district_row(tx, district_id, slug, name, now)
    return district_id


def district_id_of(database: Database, slug: str, now: datetime) -> UUID:
    """Return the id of the district with this slug, or the id that it will have once it is put."""
    with database.untenanted() as tx:
        return queries.district_of_slug(tx, slug) or new_id(now)


def put_district_row(tx: Transaction, district_id: UUID, slug: str, name: str, now: datetime) -> None:
    """Make a district or rename it, in a transaction that is its own already."""
    queries.put_district(tx, district_id, slug, name, now)


def district_of_slug(tx: Transaction, slug: str) -> UUID | None:
    """Return the district of a slug. tx: untenanted will do."""
    return queries.district_of_slug(tx, slug)


def all_districts(tx: Transaction) -> list[tuple[UUID, str]]:
    """Return id and slug of every district, for processes that serve each in turn. tx: untenanted will do."""
    return [(row.id, row.slug) for row in queries.all_districts(tx)]


def district(tx: Transaction, district_id: UUID) -> District | None:
    return queries.district(tx, district_id)


def free_site_number(tx: Transaction) -> int:
    """Return the next number of a site that no district has. Two at once: the second is refused by site_number_once."""
    return queries.free_site_number(tx)


def put_school(tx: Transaction, district_id: UUID, *, sourced_id: str, site: int, name: str, level: str,
               timezone: str, language: str) -> UUID:
    """Return the id of a school, made or brought up to date by its sourced_id; its site is made with it."""
    if not clock.is_timezone(timezone):
        raise SchoolRefused("TIMEZONE_UNKNOWN", timezone=timezone)
    queries.put_site(tx, district_id, site, name)
    return queries.put_school(
        tx, district_id, School(new_id(), sourced_id, site, name, level, timezone, language, "live")
    )


def schools(tx: Transaction, district_id: UUID) -> list[School]:
    """Return all schools of the district, by name."""
    return queries.schools(tx, district_id)


def school(tx: Transaction, district_id: UUID, school_id: UUID) -> School:
    """Return one school. Raises Refused("NOT_FOUND"), also for the neighbour district's."""
    found = queries.school(tx, district_id, school_id)
    if found is None:
        raise Refused("NOT_FOUND")
    return found


def put_class(tx: Transaction, district_id: UUID, school_id: UUID, *, sourced_id: str, name: str) -> UUID:
    """Return the id of a class, made or renamed by its sourced_id."""
    return queries.put_class(tx, district_id, SchoolClass(new_id(), sourced_id, school_id, name))


def classes(tx: Transaction, district_id: UUID, school_id: UUID) -> list[SchoolClass]:
    """Return the classes of a school, by name."""
    return queries.classes(tx, district_id, school_id)


# --- sessions, days and hours ---------------------------------------------------------------------------------------


def put_session(tx: Transaction, district_id: UUID, *, sourced_id: str, kind: str, name: str, first_day: date,
                last_day: date) -> UUID:
    """Return the id of a school year, term or grading period, made or brought up to date by its sourced_id.

    kind: schoolYear, term or gradingPeriod (OneRoster). last_day: included. Raises SchoolRefused("SESSION_BACKWARDS").
    """
    if last_day < first_day:
        raise SchoolRefused("SESSION_BACKWARDS")
    session = AcademicSession(new_id(), sourced_id, kind, name, first_day, last_day)
    return queries.put_session(tx, district_id, session)


def sessions(tx: Transaction, district_id: UUID, day: date) -> list[AcademicSession]:
    """Return the sessions that have not ended by this day, in their order."""
    return queries.sessions(tx, district_id, day)


def put_hours(tx: Transaction, district_id: UUID, school_id: UUID, hours: Sequence[OpeningHours]) -> None:
    """Set the weekly opening hours of a school; a weekday that is not given is closed.

    Raises SchoolRefused("HOURS_BACKWARDS"), Refused("BAD_INPUT") for a weekday twice or none of a week.
    """
    weekdays = [one.weekday for one in hours]
    if len(set(weekdays)) != len(weekdays) or not all(0 <= weekday <= 6 for weekday in weekdays):
        raise Refused("BAD_INPUT")
    if any(one.closes <= one.opens for one in hours):
        raise SchoolRefused("HOURS_BACKWARDS")
    queries.put_hours(tx, district_id, school_id, hours)


def hours_of_school(tx: Transaction, district_id: UUID, school_id: UUID) -> list[OpeningHours]:
    """Return the weekly hours, Monday first; empty where none are known."""
    return queries.hours_of_school(tx, district_id, school_id)


def put_calendar_date(tx: Transaction, district_id: UUID, school_id: UUID, date_: CalendarDate) -> None:
    """Say that a date is closed or open whatever its weekday says; saying it again replaces the note.

    Raises Refused("BAD_INPUT") for a note over 200 characters.
    """
    if len(date_.note) > NOTE_CHARACTERS_MAX:
        raise Refused("BAD_INPUT")
    queries.put_calendar_date(tx, district_id, school_id, date_)


def remove_calendar_date(tx: Transaction, district_id: UUID, school_id: UUID, day: date) -> bool:
    """Let a date be as its weekday says. Return whether it was otherwise."""
    return queries.remove_calendar_date(tx, district_id, school_id, day)


def school_days(tx: Transaction, district_id: UUID, school_id: UUID, first_day: date, days: int) -> list[SchoolDay]:
    """Return dates one after another as they will be: by weekday, then by calendar date. 1 to 400.

    A school with no hours at all is taken as open from Monday to Friday: nobody has told us otherwise.
    """
    hours = {one.weekday: one for one in queries.hours_of_school(tx, district_id, school_id)}
    wanted = [first_day + timedelta(days=ahead) for ahead in range(max(1, min(days, DAYS_MAX)))]
    dates = {one.day: one for one in queries.calendar_dates(tx, district_id, school_id, first_day, wanted[-1])}
    return [_school_day(day, hours, dates.get(day)) for day in wanted]


def _school_day(day: date, hours: Mapping[int, OpeningHours], said: CalendarDate | None) -> SchoolDay:
    usual = hours.get(day.weekday())
    is_open = said.open if said else usual is not None or (not hours and day.weekday() < SATURDAY)
    if not is_open:
        return SchoolDay(day, False, None, None, said.note if said else "")
    # A day made up for has the hours of its weekday, or the longest of the week where that one is closed.
    usual = usual or max(hours.values(), key=lambda one: one.closes, default=None)
    return SchoolDay(day, True, usual and usual.opens, usual and usual.closes, said.note if said else "")


def closes_at(tx: Transaction, district_id: UUID, school_id: UUID, now: datetime) -> datetime | None:
    """Return the moment at which the school closes today, or None where it is closed by now.

    With no hours known: the end of the local day, unless the calendar says that this date is closed.
    """
    zone = ZoneInfo(school(tx, district_id, school_id).timezone)
    today = now.astimezone(zone).date()
    said = queries.calendar_dates(tx, district_id, school_id, today, today)
    hours = {one.weekday: one for one in queries.hours_of_school(tx, district_id, school_id)}
    day = _school_day(today, hours, said[0] if said else None)
    if not hours:
        return None if said and not day.open else datetime.combine(today + timedelta(days=1), time(), zone)
    if day.closes is None:
        return None
    closes = datetime.combine(today, day.closes, zone)
    return closes if closes > now else None
