"""Gates for tests: a registered gate with a real key that writes a real ledger and signs real segments."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from nacl.signing import SigningKey

from cloud.fleet import service as fleet
from cloud.kit.db import Database
from protocols import chain
from protocols.events import Clock, Detail, Event, Kind, Segment, build_segment, load_segment
from tests.cast import NOW, Cast


@dataclass
class Ledger:
    """A gate's ledger as the gate keeps it. `site` and `gate` are its numbers."""

    site: int
    gate: int
    key: SigningKey
    epoch: int = 1
    events: list[bytes] = field(default_factory=list)

    def write(self, *events: Event) -> None:
        self.events += [event.encode() for event in events]

    def head(self, seq: int) -> bytes:
        return ([chain.ZERO_HEAD, *chain.heads(chain.ZERO_HEAD, self.events)])[seq]

    def sealed(self, first: int = 0, count: int = 64, key: SigningKey | None = None) -> bytes:
        """Return the segment from `first` on, signed (by another key where a test forges)."""
        rows = self.events[first : first + count]
        return build_segment(key or self.key, self.gate, self.epoch, first, self.head(first), rows)

    def segment(self, first: int = 0, count: int = 64) -> Segment:
        return load_segment(self.sealed(first, count), bytes(self.key.verify_key))

    def copied(self, keep: int) -> "Ledger":
        """Another gate made from this one's card: the same key and epoch, the first `keep` events alike."""
        return Ledger(self.site, self.gate, self.key, self.epoch, self.events[:keep])


def a_gate(database: Database, cast: Cast, gate: int = 11, seed: int = 11) -> Ledger:
    """Register a gate and return its empty ledger."""
    key = SigningKey(bytes((seed,)) * 32)
    with database.tenant(cast.district) as tx:
        fleet.register_gate(tx, cast.district, cast.site, gate, f"gate {gate}", bytes(key.verify_key), NOW)
    return Ledger(cast.site, gate, key)


def an_event(kind: Kind, at: datetime = NOW, detail: dict | None = None, mono_ms: int = 1) -> Event:
    return Event(int(at.timestamp() * 1000), mono_ms, 1, Clock.NTP, kind, detail or {})


def an_arrival(holder: int, *children: int, at: datetime = NOW, direction: int = 1, perms: int = 3) -> Event:
    """A phone pass that opened the door."""
    rows = [[child, perms] for child in children]
    detail = {Detail.HOLDER: holder, Detail.DIRECTION: direction, Detail.CHILDREN: rows, Detail.CODE: "OPEN"}
    return an_event(Kind.PHONE_PASS, at, detail)


def number_of(database: Database, cast: Cast, *, child: UUID | None = None, person: UUID | None = None) -> int:
    """The number by which the cast's site calls somebody."""
    from cloud.attendance.service import ref_of

    with database.tenant(cast.district) as tx:
        return ref_of(tx, cast.district, cast.site, child_id=child, person_id=person)
