"""A district, its sites, schools and classes. Pure.

`sourced_id` is the key that the school's own system uses (OneRoster's sourcedId): imports are idempotent by it.
`site` is the number that passes and topics carry; a site may serve two schools.
"""

from dataclasses import dataclass
from datetime import date, time
from uuid import UUID


@dataclass(frozen=True)
class District:
    """The tenant."""

    id: UUID
    slug: str
    name: str


@dataclass(frozen=True)
class School:
    """timezone: an IANA name, decides every local date and hour of the school. language: of its own pages."""

    id: UUID
    sourced_id: str | None
    site: int
    name: str
    level: str
    timezone: str
    language: str
    state: str


@dataclass(frozen=True)
class SchoolClass:
    """A class of a school (`class` is a word of Python)."""

    id: UUID
    sourced_id: str | None
    school_id: UUID
    name: str


@dataclass(frozen=True)
class AcademicSession:
    """A school year, a term or a grading period of the district. last_day: included."""

    id: UUID
    sourced_id: str | None
    kind: str
    name: str
    first_day: date
    last_day: date


@dataclass(frozen=True)
class OpeningHours:
    """When a school is open on a weekday (0 Monday), in its own time. A weekday without a row is closed."""

    weekday: int
    opens: time
    closes: time


@dataclass(frozen=True)
class CalendarDate:
    """A date that is not as its weekday says: closed (a holiday), or open (a Saturday made up for)."""

    day: date
    open: bool
    note: str


@dataclass(frozen=True)
class SchoolDay:
    """One date of a school as it will be. opens and closes: None where closed, or where no hours are known."""

    day: date
    open: bool
    opens: time | None
    closes: time | None
    note: str
