"""What an event of a gate's ledger says about children, read without believing its detail to have any shape.

PURE. A signed event may still hold nonsense (a newer gate, a broken one): what cannot be read is marked, never refused,
so that a fact is never lost and a ledger never stops (I3). Rules: P-5 kinds and detail. Not responsible for: storing.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from protocols.events import Detail, Event, Kind
from protocols.limits import PASS_CHILDREN_MAX, UINT32_MAX
from protocols.passes import IN, OUT

UNKNOWN_CHILD, UNKNOWN_ADULT, TIME_UNUSABLE, NOT_UNDERSTOOD = 1, 2, 4, 8  # marks, a sum (attendance_event)
PAST_DAYS_MAX = 400  # a gate keeps at most a school year; an older time is a broken clock
AHEAD = timedelta(days=1)
CODE_CHARACTERS_MAX = 40
MOVING_KINDS = frozenset({Kind.PHONE_PASS, Kind.CARD_CONFIRMED, Kind.STAFF_FACT, Kind.CORRECTION, Kind.HANDED_OVER})
PASS_KINDS = frozenset({Kind.PHONE_PASS, Kind.CARD_CONFIRMED, Kind.REFUSAL, Kind.COLLECTOR_ADMITTED})
STAFF_KINDS = frozenset({Kind.STAFF_FACT, Kind.CORRECTION, Kind.HANDED_OVER})
TAKEN = frozenset({"OPEN", "CONFIRMED"})
# What stands for a code that the gate did not write.
USUAL_CODE = {Kind.PHONE_PASS: "OPEN", Kind.CARD_CONFIRMED: "CONFIRMED"}


@dataclass(frozen=True, slots=True)
class ChildFact:
    """What an event says of one child. code: OPEN, CONFIRMED or why not; moved: it went in or out."""

    child: int
    code: str
    moved: bool
    perms: int


@dataclass(frozen=True, slots=True)
class Reading:
    """An event as attendance understands it. 0: not said. marks: see above."""

    code: str
    direction: int
    holder: int
    staff: int
    children: tuple[ChildFact, ...]
    marks: int


def read_event(event: Event) -> Reading:
    """Return what an event says. Raises nothing, whatever its detail holds."""
    detail = event.detail
    code, code_good = _code(detail.get(Detail.CODE))
    direction = detail.get(Detail.DIRECTION, 0)
    known_direction = type(direction) is int and direction in (0, IN, OUT)
    asked, asked_good = _pairs(detail.get(Detail.CHILDREN))
    missed, missed_good = _pairs(detail.get(Detail.NOT_TAKEN))
    holder, holder_good = _reference(detail.get(Detail.HOLDER))
    staff, staff_good = _reference(detail.get(Detail.STAFF))
    direction = direction if known_direction else 0
    good = code_good and known_direction and asked_good and missed_good and holder_good and staff_good
    children = _children(event.kind, code or USUAL_CODE.get(event.kind, ""), direction, asked, missed)
    return Reading(code, direction, holder, staff, children, 0 if good else NOT_UNDERSTOOD)


def _children(
    kind: int, code: str, direction: int, asked: dict[int, Any], missed: dict[int, Any]
) -> tuple[ChildFact, ...]:
    taken = kind in MOVING_KINDS and direction in (IN, OUT) and (code in TAKEN or kind in STAFF_KINDS and not code)
    rows = []
    for child, perms in asked.items():
        own = _code(missed.get(child))[0] if child in missed else code
        rows.append(ChildFact(child, own, taken and child not in missed, perms if type(perms) is int else 0))
    return tuple(rows)


def _code(value: Any) -> tuple[str, bool]:
    if value is None:
        return "", True
    good = (
        type(value) is str
        and value.isascii()
        and value.replace("_", "").isalnum()
        and len(value) <= CODE_CHARACTERS_MAX
    )
    return (value, True) if good else ("", False)


def _reference(value: Any) -> tuple[int, bool]:
    if value is None:
        return 0, True
    good = type(value) is int and 0 <= value <= UINT32_MAX
    return (value, True) if good else (0, False)


def _pairs(value: Any) -> tuple[dict[int, Any], bool]:
    """[[child, x], …] as a dictionary; rows of another shape are left out and reported."""
    if value is None:
        return {}, True
    if type(value) is not list:
        return {}, False
    good = {row[0]: row[1] for row in value
            if type(row) is list and len(row) == 2 and type(row[0]) is int and 1 <= row[0] <= UINT32_MAX}  # fmt: skip
    fits = len(good) <= PASS_CHILDREN_MAX * 8  # staff may take in a whole class by one fact; the rest is nonsense
    return (good, len(good) == len(value)) if fits else ({}, False)


def moment_of(at_ms: int, received_at: datetime) -> tuple[datetime, bool]:
    """Return when it happened by the gate's clock, or received_at where that is no usable time (P23, P30)."""
    earliest, latest = received_at - timedelta(days=PAST_DAYS_MAX), received_at + AHEAD
    if not earliest.timestamp() * 1000 <= at_ms <= latest.timestamp() * 1000:
        return received_at, False
    return datetime.fromtimestamp(at_ms / 1000, UTC), True


def school_day_of(at: datetime, zone: tzinfo) -> date:
    """Return the local date of the school: never derived from UTC."""
    return at.astimezone(zone).date()


def close_of(event: Event) -> date | None:
    """Return the school day that a day close (kind 8) ends, or None for another event or an unreadable one."""
    day = event.detail.get(Detail.SCHOOL_DAY)
    if event.kind != Kind.DAY_CLOSE or type(day) is not str:
        return None
    try:
        return date.fromisoformat(day[:10])
    except ValueError:
        return None


def corrects(event: Event) -> tuple[int, int] | None:
    """Return (epoch, seq) that a correction (kind 4) of the same gate points at, or None."""
    pointed = event.detail.get(Detail.CORRECTS)
    if event.kind != Kind.CORRECTION or type(pointed) is not list or len(pointed) != 2:
        return None
    return (pointed[0], pointed[1]) if all(type(number) is int for number in pointed) else None
