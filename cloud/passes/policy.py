"""From rights, custody calendars and orders to what a site's policy list forbids: who, which child, which hours.

PURE. Responsible for: P-4 KR1's content (revocations, custody intervals for the next 10 days) and the hash by which a
change is noticed; what asks and what denies is ADR 0012. Not responsible for: version, dates and signature
(cloud/passes/service.py), nor the rights.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from cloud.people.model import CustodyCalendar, CustodyException
from protocols.canonical import encode
from protocols.documents import RULE_ASK, RULE_IN, RULE_OUT, CustodyRule
from protocols.limits import DOCUMENT_BYTES_MAX, DOCUMENT_ITEMS_MAX, POLICY_HORIZON_SECONDS, UINT32_MAX
from protocols.passes import Revocations

HORIZON_DAYS = POLICY_HORIZON_SECONDS // 86_400
ANYBODY = 0  # a rule's holder: P-4


@dataclass(frozen=True)
class EscortRow:
    """One row of escort_right as far as it concerns this site. weekdays: bit 0 Monday; None: no end.

    guardian: the person is one, so may bring the child although an order forbids collecting; hides: of an order.
    """

    child_id: UUID
    person_id: UUID
    kind: str
    weekdays: int
    starts: datetime | None
    ends: datetime | None
    guardian: bool = True
    hides: bool = False


@dataclass(frozen=True)
class LiveCredential:
    """A credential that has not expired and says what its holder could do when it was issued."""

    cti: bytes
    holder: int
    rights: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PolicyContent:
    """What a list says, without its dates and version."""

    revocations: Revocations = field(default_factory=Revocations)
    custody: tuple[CustodyRule, ...] = ()

    @property
    def digest(self) -> bytes:
        told = self.revocations
        rules = [[rule.child, rule.holder, rule.bits, rule.from_, rule.to] for rule in self.custody]
        parts = [sorted(told.ctis), sorted(told.thumbs), sorted(told.holders.items()), sorted(told.kids), rules]
        return hashlib.sha256(b"".join(encode(row) for part in parts for row in (len(part), *part))).digest()

    @property
    def fits(self) -> bool:
        """Whether the list keeps P-1's size of a document, with room for its envelope."""
        told = self.revocations
        octets = 8 * len(told.ctis) + 8 * len(told.thumbs) + 4 * len(told.kids) + 12 * len(told.holders)
        items = 3 * len(told.holders) + 6 * len(self.custody)
        return octets + 28 * len(self.custody) < DOCUMENT_BYTES_MAX - 512 and items < DOCUMENT_ITEMS_MAX - 64


def overstated(
    credentials: Iterable[LiveCredential], rights: Mapping[tuple[int, int], int],
    denied: Mapping[tuple[int, int], int] | None = None,
) -> set[bytes]:  # fmt: skip
    """Return the credentials that allow more than (holder, child) may do now: they go on the list at once.

    denied: bits that a custody rule of the same list takes away for good. Who must not collect one child keeps the same
    phone and card for the others.
    """
    denied = denied or {}
    return {
        credential.cti
        for credential in credentials
        if any(
            perms & ~rights.get((credential.holder, child), 0) & ~denied.get((credential.holder, child), 0) & 3
            for child, perms in credential.rights
        )
    }


def denied_for_good(rules: Iterable[CustodyRule], now: datetime) -> dict[tuple[int, int], int]:
    """Return, by (holder, child), the bits that rules deny now and with no end."""
    denied: dict[tuple[int, int], int] = {}
    for rule in rules:
        if not rule.bits & RULE_ASK and rule.from_ <= now.timestamp() and rule.to == UINT32_MAX:
            pair = (rule.holder, rule.child)
            denied[pair] = denied.get(pair, 0) | rule.bits
    return denied


Span = tuple[int, int]  # UTC seconds, the end excluded


@dataclass(frozen=True)
class _Window:
    """Yesterday and the days of the horizon: each local date with its first and last second in the site's zone."""

    days: Mapping[date, Span]

    @classmethod
    def at(cls, now: datetime, timezone: str) -> "_Window":
        zone = ZoneInfo(timezone)
        today = now.astimezone(zone).date()
        days = [today + timedelta(days=ahead) for ahead in range(-1, HORIZON_DAYS + 2)]
        midnights = [int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp()) for day in days]
        return cls(dict(zip(days, pairwise(midnights), strict=False)))

    def outside(self, spans: Iterable[Span]) -> list[Span]:
        """Return what the spans leave over, without end on a side where it goes over the window's edge."""
        edges = list(self.days.values())
        first, last = edges[0][0], edges[-1][1]
        bounds = [0, *(edge for span in _joined(spans) for edge in span), UINT32_MAX]
        left = list(zip(bounds[::2], bounds[1::2], strict=True))
        return [(start if start > first else 0, stop if stop < last else UINT32_MAX) for start, stop in left
                if start < stop and start < last and stop > first]  # fmt: skip


def custody_rules(
    rows: Iterable[EscortRow], references: Mapping[UUID, int], timezone: str, now: datetime,
    calendars: Iterable[CustodyCalendar] = (), exceptions: Sequence[CustodyException] = (),
) -> tuple[CustodyRule, ...]:  # fmt: skip
    """Return the intervals in which someone may not bring or collect a child, or is asked about, in the site's zone.

    rows: of a pair of child and adult all that touch the horizon, or none. No right or an order: denied. A right but
    not on this weekday, or a calendar that says another day: staff are asked; denied where the calendar denies. While
    an order runs for a child, staff are asked about everybody.
    """
    window = _Window.at(now, timezone)
    pairs: dict[tuple[UUID, UUID], list[EscortRow]] = {}
    for row in rows:
        pairs.setdefault((row.child_id, row.person_id), []).append(row)
    weeks = _by_pair(calendars)
    otherwise = _by_pair(exceptions)
    rules: set[tuple[int, int, int, int, int]] = set()
    for (child_id, person_id), own in pairs.items():
        child, holder = references.get(child_id), references.get(person_id)
        if child is None or holder is None:
            continue
        for row in own:  # I20: a child with an order is let go by staff, whoever comes
            if row.kind == "must_not_collect":
                rules.add((child, ANYBODY, RULE_OUT | RULE_ASK, *_life(row, inwards=False)))
        pair = (child_id, person_id)
        by_bits = _denied_and_asked(own, weeks.get(pair, []), otherwise.get(pair, []), window)
        rules |= {(child, holder, bits, *span) for bits, spans in by_bits.items() for span in _joined(spans)
                  if span[1] > now.timestamp()}  # what is over would still deny where a clock is not to be trusted
    return tuple(CustodyRule(*rule) for rule in sorted(rules))


Told = TypeVar("Told", CustodyCalendar, CustodyException)


def _by_pair(told: Iterable[Told]) -> dict[tuple[UUID, UUID], list[Told]]:
    pairs: dict[tuple[UUID, UUID], list[Told]] = {}
    for one in told:
        pairs.setdefault((one.child_id, one.person_id), []).append(one)
    return pairs


def _denied_and_asked(
    rows: Sequence[EscortRow], calendars: Sequence[CustodyCalendar], exceptions: Sequence[CustodyException],
    window: _Window,
) -> dict[int, list[Span]]:  # fmt: skip
    """Return spans by bits for one adult and one child. Without a right only a guardian brings the child."""
    rights = [row for row in rows if row.kind == "may_collect"]
    orders = [row for row in rows if row.kind == "must_not_collect"]
    no_right = RULE_OUT if any(row.guardian for row in rows) else RULE_OUT | RULE_IN
    found: dict[int, list[Span]] = {no_right: window.outside(_life(row, inwards=True) for row in rights)}

    def add(bits: int, spans: Iterable[Span]) -> None:
        found.setdefault(bits, []).extend(spans)

    for row in orders:
        add(no_right | (RULE_IN if row.hides else 0), [_life(row, inwards=False)])
    for row in rights:
        begins, ends = _life(row, inwards=True)
        other = (span for day, span in window.days.items() if not row.weekdays >> day.weekday() & 1)
        add(RULE_OUT | RULE_ASK, ((max(start, begins), min(stop, ends)) for start, stop in other))
    for calendar in calendars if rights else ():
        other = (span for day, span in window.days.items()
                 if _holds(calendar, day) and not calendar.has_child_on(day, exceptions))  # fmt: skip
        add(RULE_OUT if calendar.denies else RULE_OUT | RULE_ASK, other)
    return found


def _holds(calendar: CustodyCalendar, day: date) -> bool:
    return calendar.first_day <= day and (calendar.last_day is None or day < calendar.last_day)


def _life(row: EscortRow, *, inwards: bool) -> Span:
    """Return a row's period in whole seconds: of a right rounded inwards, of a prohibition outwards."""
    first, last = (math.ceil, math.floor) if inwards else (math.floor, math.ceil)
    begins = max(0, first(row.starts.timestamp())) if row.starts else 0
    ends = min(UINT32_MAX, last(row.ends.timestamp())) if row.ends else UINT32_MAX
    return begins, ends


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Return the spans in order, those that touch or overlap as one."""
    joined: list[Span] = []
    for start, stop in sorted(span for span in spans if span[0] < span[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined
