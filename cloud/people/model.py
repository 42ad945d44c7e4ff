"""People of a district and what ties them to children. Pure.

A guardian decides, an escort collects (glossary). Both are persons; the tie is per child and person, never a
property of the person (MODEL.md). A right to collect takes one of five slots (I1).
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from uuid import UUID

from protocols.limits import ESCORTS_PER_CHILD_MAX

PLAIN_LETTERS = str.maketrans("đøłı", "doli")  # Letters with a stroke, which no normalisation takes apart.
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
    """What a person is to one child. relation: mother, father, grandmother … as the family said it.

    last_day: included, None where the tie has no end.
    """

    child_id: UUID
    person_id: UUID
    given: str
    family: str
    language: str
    relation: str
    authority: bool
    may_collect: bool
    may_read: bool
    lives_with: bool
    may_sign: bool
    first_day: date
    last_day: date | None


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


@dataclass(frozen=True)
class NewPerson:
    """An adult whom a guardian names as escort and whom this district does not know yet. No login, no phone."""

    given: str
    family: str
    language: str


@dataclass(frozen=True)
class EscortRight:
    """A right to collect that runs or is to begin. weekdays: bit 0 Monday to bit 6 Sunday; ends None: no end.

    origin: family (a guardian added it), office, import. veto_until: until then another guardian may object.
    guardian: the holder has parental authority for the child, so only the office may end the right.
    """

    id: UUID
    child_id: UUID
    person_id: UUID
    given: str
    family: str
    slot: int
    weekdays: int
    starts: datetime
    ends: datetime | None
    one_time: bool
    origin: str
    added_by: UUID | None
    added_by_given: str | None
    added_by_family: str | None
    added_at: datetime
    why: str
    veto_until: datetime | None
    guardian: bool

    def runs(self, now: datetime) -> bool:
        return self.starts <= now and (self.ends is None or now < self.ends)

    def may_be_vetoed_by(self, person_id: UUID, now: datetime) -> bool:
        """Whether this holder of parental authority may still object: another one added it, and the time runs."""
        return self.veto_until is not None and now < self.veto_until and person_id != self.added_by


@dataclass(frozen=True)
class Order:
    """A court order: this person must not collect this child. For the office and the head, never for a family's page.

    hides: the person sees nothing of the child anywhere. state: imposed, confirmed, lift_asked, lifted, over.
    """

    id: UUID
    child_id: UUID
    child_given: str
    child_family: str
    person_id: UUID
    given: str
    family: str
    hides: bool
    evidence: bytes
    starts: datetime
    ends: datetime | None
    imposed_by: UUID
    imposed_by_name: str
    imposed_at: datetime
    confirmed_by: UUID | None
    confirmed_by_name: str | None
    confirmed_at: datetime | None
    lift_asked_by: UUID | None
    lift_asked_by_name: str | None
    lift_asked_at: datetime | None
    lifted_by: UUID | None
    lifted_at: datetime | None

    def state(self, now: datetime) -> str:
        if self.lifted_by is not None:
            return "lifted"
        if self.ends is not None and self.ends <= now:
            return "over"
        if self.lift_asked_by is not None:
            return "lift_asked"
        return "confirmed" if self.confirmed_by is not None else "imposed"


@dataclass(frozen=True)
class CustodyException:
    """One day on which the calendar of a child and a guardian does not hold: has_child says what holds instead."""

    child_id: UUID
    person_id: UUID
    day: date
    has_child: bool


@dataclass(frozen=True)
class CustodyCalendar:
    """On which days a child is with one guardian. cycle: a weekday mask for each week; first_monday begins week one.

    denies: outside these days the gate refuses; else it asks staff. last_day: excluded, None: none.
    """

    child_id: UUID
    person_id: UUID
    given: str
    family: str
    cycle: Sequence[int]
    first_monday: date
    denies: bool
    first_day: date
    last_day: date | None

    def has_child_on(self, day: date, exceptions: Iterable[CustodyException] = ()) -> bool:
        """Whether the child is with this guardian on a local date; an exception of that day goes before the cycle."""
        for one in exceptions:
            if (one.child_id, one.person_id, one.day) == (self.child_id, self.person_id, day):
                return one.has_child
        week = (day - self.first_monday).days // 7 % len(self.cycle)
        return may_collect_on(self.cycle[week], day)


@dataclass(frozen=True)
class Change:
    """One line of a diff. field: given, family, birth (ISO date) or address of the child."""

    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Correction:
    """What a guardian says is wrong in the file. state: proposed, accepted, declined."""

    id: UUID
    child_id: UUID
    child_given: str
    child_family: str
    proposed_by: UUID
    proposed_by_name: str
    proposed_at: datetime
    changes: tuple[Change, ...]
    state: str
    decided_by: UUID | None
    decided_by_name: str | None
    decided_at: datetime | None
    reason: str


@dataclass(frozen=True)
class EnrolledAt:
    """A school that a child is enrolled at on a day."""

    school_id: UUID
    school_name: str
    site: int
    timezone: str
    class_id: UUID | None
    class_name: str | None


@dataclass(frozen=True)
class ChildFile:
    """All that a reader of the file sees of a child. Orders are not in it: the office asks orders.orders_of_child.

    address: empty where none is known or this reader may not see it (a guardian who does not live with the child).
    schools: never empty. calendars and exceptions: of today and later.
    """

    id: UUID
    given: str
    family: str
    birth: date | None
    protected: bool
    address: str
    schools: tuple[EnrolledAt, ...]
    guardians: tuple[GuardianOfChild, ...]
    escorts: tuple[EscortRight, ...]
    calendars: tuple[CustodyCalendar, ...]
    exceptions: tuple[CustodyException, ...]
    corrections: tuple[Correction, ...]

    @property
    def holders_of_authority(self) -> frozenset[UUID]:
        """For whom the child's rights are their own to manage: `people` of a Thing in identity/may.py."""
        return frozenset(one.person_id for one in self.guardians if one.authority)


@dataclass(frozen=True)
class WorkingHours:
    """When a member of staff works on a weekday (0 Monday), in the school's own time."""

    person_id: UUID
    weekday: int
    starts: time
    ends: time


def folded(text: str) -> str:
    """Return a text as a search compares it: no capitals, no accents, and the letters with a stroke plain."""
    marked = unicodedata.normalize("NFKD", text.lower())
    return "".join(letter for letter in marked if not "\u0300" <= letter <= "\u036f").translate(PLAIN_LETTERS)


def is_writable(text: str) -> bool:
    """Whether a line of text can be stored and shown: no control characters, no halves of a character."""
    return not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)


def may_collect_on(weekdays: int, day: date) -> bool:
    """Return whether a weekday mask holds on a local date."""
    return bool(weekdays >> day.weekday() & 1)
