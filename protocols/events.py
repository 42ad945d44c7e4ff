"""The gate's ledger on the wire: events, signed segments KE1, receipts KA1, and the notes KS1 between sisters.

Not here: storing them (the gate's journal, the cloud's attendance). Obeys P-5 and P-6 (`_/seen`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag

from nacl.signing import SigningKey

from protocols import chain, cose
from protocols.canonical import Value, decode, encode
from protocols.envelope import DocumentRefused, FindKey, open_claims, open_payload, shaped, uint, unpack
from protocols.limits import (
    DOCUMENT_BYTES_MAX,
    EVENT_BYTES_MAX,
    EVENT_ITEMS_MAX,
    HEAD_BYTES,
    NOTE_ACTS_MAX,
    SEGMENT_EVENTS_MAX,
    THUMB_BYTES,
)
from protocols.reasons import DocumentCode, DocumentKind
from protocols.trust import Role, Trust

_RECEIPT = -65548  # KA1's private claim, P-5
_MAJOR = 1  # first member of segments and notes
_UINT64_MAX = 2**64 - 1
_ENVELOPE_BYTES = 256  # generous: signature, headers, numbers and head around a segment's events


class Kind(IntEnum):
    """What an event tells (P-5)."""

    PHONE_PASS = 1
    CARD_CONFIRMED = 2
    STAFF_FACT = 3
    CORRECTION = 4
    BOOT = 5
    CLOCK_SET = 6
    GAP = 7
    DAY_CLOSE = 8
    REFUSAL = 9
    DOOR = 10
    MODE = 11
    COMMAND = 12
    HEALTH = 13
    COLLECTOR_ADMITTED = 14
    HANDED_OVER = 15
    DOUBLE_USE = 16


class Clock(IntEnum):
    """How far the gate's clock is believed, with each event."""

    UNTRUSTED = 0
    HOLDOVER = 1
    NTP = 2
    NTS = 3


class Flag(IntFlag):
    """What an accepted event was accepted in spite of (P-3, Flags)."""

    REPLAY_BUS_DOWN = 1
    LIST_STALE = 2
    CLOCK_UNSURE = 4


NO_FLAGS = Flag(0)


class Detail(IntEnum):
    """Keys of an event's detail. All are optional; which stand with which kind is written beside them."""

    CTI = 1  # bytes 8: credential (pass, card, refusal)
    THUMB = 2  # bytes 8: phone
    HOLDER = 3  # who brought or collects
    CREDENTIAL_IAT = 4  # UTC seconds
    DIRECTION = 5  # 1 in, 2 out
    CHILDREN = 6  # [[child, perms], …]: all that were asked for
    NOT_TAKEN = 7  # [[child, code], …]: those of them who did not come or go
    STAFF = 8  # staff member who confirmed, declined or entered
    CODE = 9  # reason code, text
    PRESENTATION_IAT = 10  # UTC seconds
    POLICY_VERSION = 11  # of the list that was held
    SISTER = 12  # gate of the site (double use)
    COUNTS = 13  # {code: n} of what was counted and not recorded (health)
    FIRMWARE = 14  # text (boot)
    STATE_LOST = 15  # bool (boot)
    MODE = 16  # 0 to 4 (mode)
    SCHOOL_DAY = 17  # text, ISO date (day close)
    CORRECTS = 18  # [epoch, seq] (correction)
    PULSE_MS = 19  # length of a further pulse (door)
    CLOCK = 20  # state as text (clock set)
    DOCUMENT = 21  # code of a refused document, text (health)
    DOOR = 22  # what the door tells, a word of docs/door.md (door)
    HOLE = 23  # [epoch, first lost seq, next seq, head before it, since], protocols/gaps.py (gap)
    OPERATION = 24  # text (command)
    NONCE = 25  # bytes 8 (command)


@dataclass(frozen=True)
class Event:
    """One line of the ledger. at_ms: UTC; mono_ms: since the gate's boot number `boot`."""

    at_ms: int
    mono_ms: int
    boot: int
    clock: Clock
    kind: Kind
    detail: dict = field(default_factory=dict)
    flags: Flag = NO_FLAGS

    def encode(self) -> bytes:
        """Return the bytes that are chained. Raises ValueError for what a segment could not carry (P-1)."""
        moment = [self.at_ms, self.mono_ms, self.boot, int(self.clock)]
        data = encode([*moment, int(self.kind), _plain(self.detail), int(self.flags)])
        if len(data) > EVENT_BYTES_MAX:
            raise ValueError("an event over its size")
        decode(b"\x81\x81" + data, items_max=EVENT_ITEMS_MAX + 2)  # as deep as it will stand in a segment
        return data

    @classmethod
    def from_value(cls, value: Value) -> "Event":
        """Return the event of a decoded row. Raises ValueError."""
        at_ms, mono_ms, boot, clock, kind, detail, flags = unpack(value, 7)
        if type(detail) is not dict or not all(type(key) is int for key in detail):
            raise ValueError("a detail is a map with integer keys")
        moment = (uint(at_ms, 0, _UINT64_MAX), uint(mono_ms, 0, _UINT64_MAX), uint(boot))
        return cls(*moment, Clock(uint(clock, 0, 3)), Kind(uint(kind, 1, 16)), detail, Flag(uint(flags, 0, 7)))


def _plain(detail: dict) -> dict:
    return {int(key): value for key, value in detail.items()}


@dataclass(frozen=True)
class Segment:
    """1 to 64 events under one signature, from `first_seq` on; `head_before` is the chain's before them."""

    gate: int
    epoch: int
    first_seq: int
    head_before: bytes
    events: tuple[Event, ...]
    encoded: tuple[bytes, ...]

    @property
    def heads(self) -> list[bytes]:
        """The chain's head after each event."""
        return chain.heads(self.head_before, self.encoded)


@dataclass(frozen=True)
class Receipt:
    """The cloud's word that all up to `upto` is committed, if the gate has the same head there."""

    now: int
    gate: int
    epoch: int
    upto: int
    head: bytes
    credit: int
    codes: tuple[tuple[int, str], ...] = ()  # (seq, code) of events that were kept and marked


@dataclass(frozen=True)
class Note:
    """What a gate tells its sisters on acceptance. thumb is eight zero bytes where no phone was shown."""

    gate: int
    thumb: bytes
    iat: int
    at_ms: int
    acts: tuple[tuple[int, int], ...]  # (child, direction)


def fitting(encoded: Sequence[bytes]) -> int:
    """Return how many of the first events fit into one segment: 64, or fewer where they are large."""
    size = _ENVELOPE_BYTES
    for count, event in enumerate(encoded[:SEGMENT_EVENTS_MAX]):
        size += len(event)
        if size > DOCUMENT_BYTES_MAX:
            return count
    return min(len(encoded), SEGMENT_EVENTS_MAX)


def build_segment(
    key: SigningKey, gate: int, epoch: int, first_seq: int, head_before: bytes, encoded: Sequence[bytes]
) -> bytes:
    """Return KE1 of events that are encoded already. Raises ValueError for none, or too many."""
    if not 1 <= len(encoded) <= SEGMENT_EVENTS_MAX:
        raise ValueError("a segment holds 1 to 64 events")
    head = encode([_MAJOR, gate, epoch, first_seq, head_before])
    array = encode([b""] * len(encoded))[: 1 if len(encoded) < 24 else 2]  # the array's head; events follow as they are
    return cose.sign(b"KE1", b"\x86" + head[1:] + array + b"".join(encoded), key)


def load_segment(data: bytes, public: bytes) -> Segment:
    """Return a segment signed by that gate's key. Raises DocumentRefused(SEGMENT_FORMAT | SEGMENT_KEY)."""
    payload, _ = open_payload(data, DocumentKind.KE1, _only(public))
    return shaped(DocumentKind.KE1, lambda: _segment(payload))


def build_receipt(key: SigningKey, receipt: Receipt) -> bytes:
    """Return KA1 signed by the receipt key: after COMMIT and never before."""
    body = [receipt.gate, receipt.epoch, receipt.upto, receipt.head, receipt.credit, [list(c) for c in receipt.codes]]
    return cose.sign(b"KA1", encode({6: receipt.now, _RECEIPT: body}), key)


def load_receipt(data: bytes, trust: Trust, site: int) -> Receipt:
    """Return a receipt. Raises DocumentRefused(RECEIPT_FORMAT | RECEIPT_KEY). Its gate and head: the caller's."""

    def find(kid: bytes | None) -> bytes | None:
        key = trust.find(kid, Role.RECEIPT)
        return key.public if key and key.serves(site) else None

    claims, kid = open_claims(data, DocumentKind.KA1, {6, _RECEIPT}, find)
    receipt = shaped(DocumentKind.KA1, lambda: _receipt(claims))
    if not trust.keys[kid].covers(receipt.now):
        raise DocumentRefused(DocumentKind.KA1, DocumentCode.KEY)
    return receipt


def build_note(key: SigningKey, note: Note) -> bytes:
    """Return KS1 signed by the gate's own key. Raises ValueError for more acts than a sister reads: see in_notes."""
    if len(note.acts) > NOTE_ACTS_MAX:
        raise ValueError(f"over {NOTE_ACTS_MAX} acts in one note")
    acts = [list(act) for act in note.acts]
    return cose.sign(b"KS1", encode([_MAJOR, note.gate, note.thumb, note.iat, note.at_ms, acts]), key)


def in_notes(note: Note) -> list[Note]:
    """Return the same in as many notes as its acts need."""
    starts = range(0, max(1, len(note.acts)), NOTE_ACTS_MAX)
    return [replace(note, acts=note.acts[start : start + NOTE_ACTS_MAX]) for start in starts]


def load_note(data: bytes, find_key: FindKey) -> tuple[Note, bytes]:
    """Return a sister's note and the kid that signed it. Raises DocumentRefused(BUS_FORMAT | BUS_KEY)."""
    payload, kid = open_payload(data, DocumentKind.KS1, find_key)
    return shaped(DocumentKind.KS1, lambda: _note(payload)), kid


def _only(public: bytes) -> FindKey:
    return lambda kid: public if kid == cose.kid_of(public) else None


def _segment(payload: Value) -> Segment:
    major, gate, epoch, first_seq, head_before, rows = unpack(payload, 6)
    if uint(major) != _MAJOR or type(rows) is not list or not 1 <= len(rows) <= SEGMENT_EVENTS_MAX:
        raise ValueError("an unknown major version, or too many events")
    events = tuple(Event.from_value(row) for row in rows)
    encoded = tuple(encode(row) for row in rows)
    if max(map(len, encoded)) > EVENT_BYTES_MAX:
        raise ValueError("an event over its size")
    first = uint(first_seq, 0, _UINT64_MAX - SEGMENT_EVENTS_MAX)
    return Segment(uint(gate, 1), uint(epoch), first, _head(head_before), events, encoded)


def _receipt(claims: dict) -> Receipt:
    gate, epoch, upto, head, credit, codes = unpack(claims[_RECEIPT], 6)
    if type(codes) is not list or not all(type(unpack(row, 2)[1]) is str for row in codes):
        raise ValueError("codes are pairs of seq and text")
    pairs = tuple((uint(seq, 0, _UINT64_MAX), code) for seq, code in codes)
    return Receipt(
        uint(claims[6]), uint(gate, 1), uint(epoch), uint(upto, 0, _UINT64_MAX), _head(head), uint(credit), pairs
    )


def _note(payload: Value) -> Note:
    major, gate, thumb, iat, at_ms, acts = unpack(payload, 6)
    if uint(major) != _MAJOR or type(thumb) is not bytes or len(thumb) != THUMB_BYTES or type(acts) is not list:
        raise ValueError("a note of another shape")
    rows = tuple((uint(unpack(act, 2)[0], 1), uint(act[1], 1, 2)) for act in acts)
    return Note(uint(gate, 1), thumb, uint(iat), uint(at_ms, 0, _UINT64_MAX), rows)


def _head(value: Value) -> bytes:
    if type(value) is not bytes or len(value) != HEAD_BYTES:
        raise ValueError("a head is 32 bytes")
    return value
