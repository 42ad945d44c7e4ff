"""From rights and orders to what a site's policy list forbids: who, which child, which hours.

PURE. Responsible for: P-4 KR1's content (revocations, custody intervals for the next 10 days) and the hash by which a
change is noticed. Not responsible for: version, dates and signature (cloud/passes/service.py), nor the rights.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from protocols.canonical import encode
from protocols.documents import RULE_OUT, CustodyRule
from protocols.limits import DOCUMENT_BYTES_MAX, DOCUMENT_ITEMS_MAX, POLICY_HORIZON_SECONDS, UINT32_MAX
from protocols.passes import Revocations

HORIZON_DAYS = POLICY_HORIZON_SECONDS // 86_400
ALL_WEEKDAYS = 127


@dataclass(frozen=True)
class EscortRow:
    """One row of escort_right as far as it concerns this site. weekdays: bit 0 Monday; None: no end."""

    child_id: UUID
    person_id: UUID
    kind: str
    weekdays: int
    starts: datetime | None
    ends: datetime | None


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


def overstated(credentials: Iterable[LiveCredential], rights: Mapping[tuple[int, int], int]) -> set[bytes]:
    """Return the credentials that allow more than (holder, child) may do now: they go on the list at once."""
    return {
        credential.cti
        for credential in credentials
        if any(perms & ~rights.get((credential.holder, child), 0) & 3 for child, perms in credential.rights)
    }


def custody_rules(
    rows: Iterable[EscortRow], references: Mapping[UUID, int], timezone: str, now: datetime
) -> tuple[CustodyRule, ...]:
    """Return the intervals in which someone may not collect, for the days of the horizon, in the site's zone.

    An order (must_not_collect) denies on its weekdays; a right for some weekdays denies on the others.
    """
    today = now.astimezone(ZoneInfo(timezone)).date()
    rules: set[tuple[int, int, int, int, int]] = set()
    for row in rows:
        child, holder = references.get(row.child_id), references.get(row.person_id)
        denied = row.weekdays if row.kind == "must_not_collect" else ALL_WEEKDAYS & ~row.weekdays
        if child is None or holder is None or denied == 0:
            continue
        for begins, ends in _intervals(row, denied, today, ZoneInfo(timezone)):
            rules.add((child, holder, RULE_OUT, begins, ends))
    return tuple(CustodyRule(*rule) for rule in sorted(rules))


def _intervals(row: EscortRow, denied: int, today: date, zone: ZoneInfo) -> list[tuple[int, int]]:
    """Return the denied spans as UTC seconds: whole local days joined where they touch, cut by the row's period."""
    if denied == ALL_WEEKDAYS and row.ends is None:
        spans = [(0, UINT32_MAX)]  # an order with no end outlives its list: an old list still denies
    else:
        days = [today + timedelta(days=ahead) for ahead in range(-1, HORIZON_DAYS)]
        spans = _joined([(_midnight(day, zone), _midnight(day + timedelta(days=1), zone))
                         for day in days if denied >> day.weekday() & 1])  # fmt: skip
    begins = int(row.starts.timestamp()) if row.starts else 0
    ends = int(row.ends.timestamp()) if row.ends else UINT32_MAX
    cut = [(max(start, begins), min(stop, ends)) for start, stop in spans]
    return [(start, stop) for start, stop in cut if start < stop]


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, stop in spans:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def _midnight(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp())
