"""Lines of the audit log and the chain that ties each to all before it. Pure.

A head is SHA-256 over a fixed word, the head before and the line's canonical bytes; the first line follows 32 zero
bytes. Who changes a line, drops one or puts one between breaks every head after it. Rule: FEATURES S4.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from protocols.canonical import encode

FIRST_HEAD = bytes(32)
CHAIN_WORD = b"portillon-audit-1"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Line:
    """One line as it is stored. by_person None: the system itself. detail: codes, numbers and ids, never names."""

    district_id: UUID
    n: int
    at: datetime
    by_person: UUID | None
    role: str
    action: str
    thing: str
    thing_id: UUID
    child_id: UUID | None
    detail: Mapping[str, str | int] = field(default_factory=dict)

    def head_after(self, head: bytes) -> bytes:
        """Return the chain's head with this line at its end. head: before it."""
        return hashlib.sha256(CHAIN_WORD + head + encode(self._told())).digest()

    def _told(self) -> list[object]:
        ids = [each.bytes if each else None for each in (self.by_person, self.thing_id, self.child_id)]
        microseconds = (self.at - EPOCH) // timedelta(microseconds=1)
        return [self.district_id.bytes, self.n, microseconds, self.role, self.action, self.thing, *ids,
                [[name, self.detail[name]] for name in sorted(self.detail)]]  # fmt: skip


@dataclass(frozen=True)
class KeptLine(Line):
    """A line read back, with the head that was stored beside it."""

    head: bytes = b""


@dataclass(frozen=True)
class End:
    """The end of a chain: the number of its last line and its head. Kept elsewhere, it shows a chain cut short."""

    n: int
    head: bytes


@dataclass(frozen=True)
class District:
    """A district as a command names it: every one has a chain of its own."""

    id: UUID
    slug: str


@dataclass(frozen=True)
class AuditLine:
    """A line for people: a guardian reads those of own children. name is "" where the person is gone."""

    n: int
    at: datetime
    by_person: UUID | None
    name: str
    role: str
    action: str
    thing: str
    thing_id: UUID
    detail: Mapping[str, str | int]


@dataclass(frozen=True)
class Verified:
    """What a walk along a chain found. broken_at: the first line that does not follow, with why (HOLE, HEAD, CUT)."""

    lines: int
    end: End
    broken_at: int | None = None
    why: str = ""
