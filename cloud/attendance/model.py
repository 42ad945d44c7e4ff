"""Words of attendance: what is sent, what was recorded, the day sheet, a guardian's day.

PURE. Not responsible for: names on the wire (there are none), nor deciding who may see a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from cloud.attendance.facts import Reading
from protocols.events import Event, Segment


@dataclass(frozen=True)
class Sent:
    """A genuine segment: its signature was checked with the registered key of its gate, at this site."""

    site: int
    segment: Segment


@dataclass(frozen=True)
class Due:
    """A receipt that may be given once the transaction is committed, and not before."""

    gate: int
    epoch: int
    upto: int
    head: bytes
    codes: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class NewFact:
    """An event stored just now, as the rules judge it again."""

    site: int
    gate: int
    epoch: int
    seq: int
    event: Event
    reading: Reading
    occurred_at: datetime


@dataclass
class Recorded:
    """What became of a batch. gaps: positions in the batch of segments that came too early and are not receipted;
    missing: for each of them the receipt that says what is lacking, once it has waited in vain (P46)."""

    dues: list[Due] = field(default_factory=list)
    facts: list[NewFact] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    missing: dict[int, Due] = field(default_factory=dict)
    holes: list[tuple[int, int]] = field(default_factory=list)  # (gate, events lost) told in this batch
    forks: list[tuple[int, int]] = field(default_factory=list)  # (gate, epoch)
    spent: list[int] = field(default_factory=list)  # positions that would make one fork too many
    stored: int = 0
    duplicates: int = 0
    children: set[UUID] = field(default_factory=set)
    before: dict[tuple[int, int], int] = field(default_factory=dict)  # (site, child) -> where it was before


@dataclass(frozen=True)
class SheetRow:
    """One child on the day sheet. state: expected, present, left, absent or unknown (a gate was not heard).

    fact: "gate:epoch:seq" of the newest fact, or "". by: who brought or collected; None where not known.
    """

    child_id: UUID
    given: str
    family: str
    class_id: UUID | None
    class_name: str | None
    state: str
    since: datetime | None
    source: str | None
    gate: int | None
    gate_name: str | None
    by_given: str | None
    by_family: str | None
    staff_given: str | None
    staff_family: str | None
    fact: str
    protected: bool = False


@dataclass(frozen=True)
class DaySheet:
    """A school's day. complete: every gate of the site was heard and closed its day, or the day still runs.

    silent_gates: names of gates not heard for a while: whoever is missing is not known to be absent (P44).
    """

    school_id: UUID
    school_day: date
    rows: tuple[SheetRow, ...]
    complete: bool
    silent_gates: tuple[str, ...]


@dataclass(frozen=True)
class FamilyFact:
    """One thing that happened to a child today. direction: 1 came in, 2 left. fact: "gate:epoch:seq"."""

    child_id: UUID
    at: datetime
    direction: int
    gate_name: str | None
    by_person: UUID | None
    by_given: str | None
    by_family: str | None
    relation: str | None
    source: str
    code: str
    fact: str


@dataclass(frozen=True)
class FamilyChild:
    """A child on its guardian's page, with today's facts in order. state: in, out, absent or unknown."""

    child_id: UUID
    given: str
    school: str
    timezone: str
    class_name: str | None
    school_day: date
    state: str
    since: datetime | None
    facts: Sequence[FamilyFact]


@dataclass(frozen=True)
class ExportedEvent:
    """One line of `events export --json`. body: the event's own bytes; fork 0 is the ledger itself."""

    district: str
    gate: int
    epoch: int
    seq: int
    kind: int
    code: str
    body: bytes
    occurred_at: datetime
    received_at: datetime
    site: int
    fork: int
    direction: int | None
    flags: int
    clock: int
    marks: int
    children: Sequence[Sequence[object]]
    head: str


@dataclass(frozen=True)
class Incident:
    """Where the cloud decides otherwise than the gate did: somebody must look. The fact stands."""

    id: int
    site: int
    gate: int
    epoch: int
    seq: int
    code: str
    child_ref: int | None
    gate_said: str
    cloud_says: str
    raised_at: datetime
