"""A district, its sites, schools and classes. Pure.

`sourced_id` is the key that the school's own system uses (OneRoster's sourcedId): imports are idempotent by it.
`site` is the number that passes and topics carry; a site may serve two schools.
"""

from dataclasses import dataclass
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
