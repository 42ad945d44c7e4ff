"""People of a district and what ties them to children. Pure.

A guardian decides, an escort collects (glossary). Both are persons; the tie is per child and person, never a
property of the person (MODEL.md). A right to collect takes one of five slots (I1).
"""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from protocols.limits import ESCORTS_PER_CHILD_MAX

ESCORT_SLOTS = tuple(range(1, ESCORTS_PER_CHILD_MAX + 1))


@dataclass(frozen=True)
class Person:
    """An adult in one district. Names are as written, never transliterated."""

    id: UUID
    given: str
    family: str
    language: str


@dataclass(frozen=True)
class ChildInClass:
    """A child as a class list shows it. class_id and class_name are None for a child in no class yet."""

    id: UUID
    given: str
    family: str
    school_id: UUID
    class_id: UUID | None
    class_name: str | None


@dataclass(frozen=True)
class GuardianOfChild:
    """What a person is to one child. relation: mother, father, grandmother … as the family said it."""

    child_id: UUID
    person_id: UUID
    given: str
    family: str
    language: str
    relation: str
    authority: bool
    may_collect: bool
    may_read: bool


@dataclass(frozen=True)
class ChildOfGuardian:
    """A child as its guardian's page shows it, with the school that holds its day."""

    id: UUID
    given: str
    family: str
    relation: str
    authority: bool
    may_collect: bool
    school_id: UUID
    school_name: str
    site: int
    timezone: str
    class_id: UUID | None
    class_name: str | None


@dataclass(frozen=True)
class EscortOfChild:
    """A right to collect that runs now. weekdays: bit 0 Monday to bit 6 Sunday."""

    child_id: UUID
    person_id: UUID
    given: str
    family: str
    slot: int
    weekdays: int


@dataclass(frozen=True)
class StaffMember:
    """A person who works at a school. powers: PROTOCOL 2 (1 confirm, 2 take in, 4 enter, 8 release)."""

    person_id: UUID
    given: str
    family: str
    school_id: UUID
    powers: int


@dataclass(frozen=True)
class Tie:
    """A guardianship to be written: person to child, from a day on."""

    child_id: UUID
    person_id: UUID
    relation: str
    authority: bool
    lives_with: bool
    may_collect: bool
    first_day: date


def may_collect_on(weekdays: int, day: date) -> bool:
    """Return whether a weekday mask holds on a local date."""
    return bool(weekdays >> day.weekday() & 1)
