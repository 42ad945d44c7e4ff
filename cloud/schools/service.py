"""Districts, sites, schools and classes as the rest of the cloud sees them.

Every `put_…` is idempotent by the key of the source system. tx is always a transaction of the district,
but for the two lookups across districts, which take an untenanted one and give ids and slugs only.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import ClassVar
from uuid import UUID
from zoneinfo import available_timezones

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
    with database.untenanted() as tx:
        district_id = queries.district_of_slug(tx, slug) or new_id(now)
    with database.tenant(district_id) as tx:
        queries.put_district(tx, district_id, slug, name, now)
    return district_id


def district_of_slug(tx: Transaction, slug: str) -> UUID | None:
    """Return the district of a slug. tx: untenanted will do."""
    return queries.district_of_slug(tx, slug)


def all_districts(tx: Transaction) -> list[tuple[UUID, str]]:
    """Return id and slug of every district, for processes that serve each in turn. tx: untenanted will do."""
    return [(row.id, row.slug) for row in queries.all_districts(tx)]


def district(tx: Transaction, district_id: UUID) -> District | None:
    return queries.district(tx, district_id)


def put_school(tx: Transaction, district_id: UUID, *, sourced_id: str, site: int, name: str, level: str,
               timezone: str, language: str) -> UUID:
    """Return the id of a school, made or brought up to date by its sourced_id; its site is made with it."""
    if timezone not in available_timezones():
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


def put_session(tx: Transaction, district_id: UUID, *, sourced_id: str, kind: str, name: str, first_day: date,
                last_day: date) -> UUID:
    """Return the id of a school year, term or grading period, made or brought up to date by its sourced_id.

    Raises SchoolRefused("SESSION_BACKWARDS"). last_day: included.
    """
    raise NotImplementedError


def sessions(tx: Transaction, district_id: UUID, day: date) -> list[AcademicSession]:
    """Return the sessions that have not ended by this day, in their order."""
    raise NotImplementedError


def put_hours(tx: Transaction, district_id: UUID, school_id: UUID, hours: Sequence[OpeningHours]) -> None:
    """Set the weekly opening hours of a school; a weekday that is not given is closed.

    Raises SchoolRefused("HOURS_BACKWARDS"), Refused("BAD_INPUT") for a weekday twice or none of a week.
    """
    raise NotImplementedError


def hours_of_school(tx: Transaction, district_id: UUID, school_id: UUID) -> list[OpeningHours]:
    """Return the weekly hours, Monday first; empty where none are known."""
    raise NotImplementedError


def put_calendar_date(tx: Transaction, district_id: UUID, school_id: UUID, date_: CalendarDate) -> None:
    """Say that a date is closed or open whatever its weekday says; saying it again replaces the note."""
    raise NotImplementedError


def remove_calendar_date(tx: Transaction, district_id: UUID, school_id: UUID, day: date) -> bool:
    """Let a date be as its weekday says. Return whether it was otherwise."""
    raise NotImplementedError


def school_days(tx: Transaction, district_id: UUID, school_id: UUID, first_day: date, days: int) -> list[SchoolDay]:
    """Return dates one after another as they will be: by weekday, then by calendar date. At most 400.

    A school with no hours at all is taken as open from Monday to Friday: nobody has told us otherwise.
    """
    raise NotImplementedError


def closes_at(tx: Transaction, district_id: UUID, school_id: UUID, now: datetime) -> datetime | None:
    """Return the moment at which the school closes today, or None where it is closed by now.

    With no hours known: the end of the local day.
    """
    raise NotImplementedError
