"""An exported ledger, checked by anybody: the chain recomputed event by event, and the segments that sign it.

PURE: lines in, findings out. Lines are JSON: an event {"gate", "epoch", "seq", "bytes", "head"} in order (hex; other
members are ignored), or {"segment"} with one KE1. Events that are missing are a GAP, unless an event of the same gate
tells that very hole (ADR 0021): then they are counted as lost. Not here: files and words (`verify`). Obeys P-5.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from protocols import chain
from protocols.canonical import decode
from protocols.envelope import DocumentRefused, uint
from protocols.events import Event, Segment, load_segment
from protocols.gaps import hole_of
from protocols.limits import EVENT_ITEMS_MAX, HEAD_BYTES

Place = tuple[int, int, int]  # gate, epoch, seq


class LedgerRefused(Exception):
    """The ledger is not whole. code: FORMAT, EVENT, GAP, CHAIN, SEGMENT_KEY, SEGMENT_OTHER; place: where, if known."""

    def __init__(self, code: str, place: Place | None = None) -> None:
        self.code, self.place = code, place
        super().__init__(code)


@dataclass
class Ledger:
    """What was found whole. events: by place; signed: places under a good signature; anchored: began after seq 0."""

    events: dict[Place, bytes] = field(default_factory=dict)
    heads: dict[tuple[int, int], tuple[int, bytes]] = field(default_factory=dict)  # (gate, epoch) -> last seq, its head
    signed: set[Place] = field(default_factory=set)
    anchored: set[tuple[int, int]] = field(default_factory=set)
    lost: dict[tuple[int, int], int] = field(default_factory=dict)  # (gate, epoch) -> events of told holes

    def add(self, place: Place, data: bytes, head: bytes, holes: Mapping[Place, bytes] = MappingProxyType({})) -> None:
        """Raises LedgerRefused: GAP, CHAIN. What lies before the first line of a gate's epoch is not judged."""
        gate, epoch, seq = place
        before = self.heads.get((gate, epoch))
        if before is None and seq:
            self.anchored.add((gate, epoch))
        elif before is not None and seq != before[0] + 1:
            if seq < before[0] or place not in holes:
                raise LedgerRefused("GAP", place)
            if chain.extend(holes[place], data) != head:
                raise LedgerRefused("CHAIN", place)
            self.lost[gate, epoch] = self.lost.get((gate, epoch), 0) + seq - before[0] - 1
        elif chain.extend(before[1] if before else chain.ZERO_HEAD, data) != head:
            raise LedgerRefused("CHAIN", place)
        self.events[place] = data
        self.heads[gate, epoch] = seq, head

    def sign(self, segment: Segment) -> None:
        """Raises LedgerRefused(SEGMENT_OTHER) where the gate signed other events than those that are here."""
        for number, data in enumerate(segment.encoded):
            place = segment.gate, segment.epoch, segment.first_seq + number
            if self.events.get(place) != data:
                raise LedgerRefused("SEGMENT_OTHER", place)
            self.signed.add(place)


def check_ledger(lines: Iterable[str], gate_keys: Iterable[bytes]) -> Ledger:
    """Return the ledger that the lines tell, whole. Raises LedgerRefused at the first thing that is wrong."""
    keys, ledger, segments = list(gate_keys), Ledger(), []
    told: list[tuple[Place, bytes, bytes]] = []
    holes: dict[Place, bytes] = {}
    for line in lines:
        if not line.strip():
            continue
        row = _row(line)
        if "segment" in row:
            segments.append(_segment(_bytes(row, "segment"), keys))
            continue
        place, data, head = _place(row), _bytes(row, "bytes"), _bytes(row, "head")
        if len(head) != HEAD_BYTES:
            raise LedgerRefused("FORMAT", place)
        hole = hole_of(_event(data, place))
        if hole is not None:
            holes[place[0], hole.epoch, hole.next] = hole.head
        told.append((place, data, head))
    for place, data, head in told:
        ledger.add(place, data, head, holes)
    for segment in segments:
        ledger.sign(segment)
    return ledger


def _row(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LedgerRefused("FORMAT") from error
    if type(row) is not dict:
        raise LedgerRefused("FORMAT")
    return row


def _place(row: dict[str, Any]) -> Place:
    try:
        return uint(row.get("gate"), 1), uint(row.get("epoch")), uint(row.get("seq"), 0, 2**63)
    except ValueError as error:
        raise LedgerRefused("FORMAT") from error


def _bytes(row: dict[str, Any], name: str) -> bytes:
    try:
        return bytes.fromhex(row[name])
    except (KeyError, TypeError, ValueError) as error:
        raise LedgerRefused("FORMAT") from error


def _event(data: bytes, place: Place) -> Event:
    try:
        return Event.from_value(decode(data, items_max=EVENT_ITEMS_MAX))
    except ValueError as error:
        raise LedgerRefused("EVENT", place) from error


def _segment(data: bytes, keys: list[bytes]) -> Segment:
    for key in keys:
        try:
            return load_segment(data, key)
        except DocumentRefused as refused:
            if refused.code != "SEGMENT_KEY":
                raise LedgerRefused("FORMAT") from refused
    raise LedgerRefused("SEGMENT_KEY")
