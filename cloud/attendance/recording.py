"""From a placed segment to rows: columns for the inserts, the newest move of each child, day closes.

PURE. Rules: P-5, I3. Not responsible for: placing (attendance/ledger.py) or SQL (attendance/queries.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from typing import Any
from uuid import UUID

from cloud.attendance.facts import (
    STAFF_KINDS,
    TIME_UNUSABLE,
    UNKNOWN_ADULT,
    UNKNOWN_CHILD,
    ChildFact,
    Reading,
    moment_of,
    read_event,
    school_day_of,
)
from cloud.attendance.model import NewFact
from protocols.events import Event
from protocols.passes import IN

Row = tuple[Any, ...]  # in the order of queries.EVENT_COLUMNS


@dataclass(frozen=True)
class Names:
    """Whom the numbers of the sites mean: (site, number) -> id."""

    children: Mapping[tuple[int, int], UUID] = field(default_factory=dict)
    people: Mapping[tuple[int, int], UUID] = field(default_factory=dict)


@dataclass(frozen=True)
class Move:
    """A child went in or out."""

    child_id: UUID
    school_day: date
    at: datetime
    direction: int
    site: int
    staffed: bool
    by_person: UUID | None
    by_staff: UUID | None
    gate: int
    epoch: int
    seq: int


def fact_of(site: int, gate: int, epoch: int, seq: int, event: Event, now: datetime) -> NewFact:
    """Return an event with what it says and when it happened, as far as its clock can be used."""
    at, usable = moment_of(event.at_ms, now)
    reading = read_event(event)
    if not usable:
        reading = Reading(reading.code, reading.direction, reading.holder, reading.staff, reading.children,
                          reading.marks | TIME_UNUSABLE)  # fmt: skip
    return NewFact(site, gate, epoch, seq, event, reading, at)


def rows_of(fact: NewFact, encoded: bytes, fork: int, names: Names, zone: tzinfo) -> list[Row]:
    """Return one row for each child that an event names, at least one; the first keeps the event's bytes."""
    told, event = fact.reading, fact.event
    person = names.people.get((fact.site, told.holder))
    staff = names.people.get((fact.site, told.staff))
    unknown_adult = bool(told.holder and person is None or told.staff and staff is None)
    marks = told.marks | UNKNOWN_ADULT * unknown_adult
    day = school_day_of(fact.occurred_at, zone)
    named: Sequence[ChildFact | None] = told.children or (None,)
    rows = []
    for part, child in enumerate(named):
        child_id = names.children.get((fact.site, child.child)) if child else None
        own = marks | UNKNOWN_CHILD * (child is not None and child_id is None)
        rows.append(
            (fact.occurred_at, day, fact.site, fact.gate, fact.epoch, fact.seq, fork, part, int(event.kind), told.code,
             told.direction or None, child.child if child else None, child_id, child.code if child else None,
             bool(child and child.moved), told.holder or None, person, told.staff or None, staff, int(event.flags),
             int(event.clock), own, encoded if part == 0 else None)
        )  # fmt: skip
    return rows


def moves_of(fact: NewFact, rows: Iterable[Row]) -> list[Move]:
    """Return the moves that the rows of one event hold, for children that are known."""
    staffed = fact.event.kind in STAFF_KINDS
    return [
        Move(row[12], row[1], fact.occurred_at, fact.reading.direction, fact.site, staffed, row[16], row[18],
             fact.gate, fact.epoch, fact.seq)
        for row in rows if row[14] and row[12] is not None
    ]  # fmt: skip


def days_of(moves: Iterable[Move]) -> list[Row]:
    """Return one row of attendance_day for each child and day, in the order of its key (batches never deadlock)."""
    by_key: dict[tuple[UUID, date], list[Move]] = {}
    for move in moves:
        by_key.setdefault((move.child_id, move.school_day), []).append(move)
    return [_day(by_key[key]) for key in sorted(by_key)]


def _day(moves: list[Move]) -> Row:
    last = max(moves, key=lambda move: (move.at, move.epoch, move.seq))
    came = [move.at for move in moves if move.direction == IN]
    left = [move.at for move in moves if move.direction != IN]
    return (last.child_id, last.school_day, "in" if last.direction == IN else "out", last.at, last.site,
            "staff" if last.staffed else "fact", last.by_person, last.by_staff, last.gate, last.epoch, last.seq,
            min(came, default=None), max(left, default=None))  # fmt: skip


def columns(names: Sequence[str], rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Return rows as one array a column, for `INSERT … SELECT unnest(…)`."""
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
