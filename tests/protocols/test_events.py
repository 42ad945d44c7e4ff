"""Events, segments KE1, receipts KA1, notes KS1 and the chain against a second implementation (P-5, P-6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from protocols import chain
from protocols.envelope import DocumentRefused
from protocols.events import (
    Clock,
    Event,
    Flag,
    Kind,
    Note,
    Receipt,
    build_note,
    build_receipt,
    build_segment,
    fitting,
    in_notes,
    load_note,
    load_receipt,
    load_segment,
)
from protocols.limits import NOTE_ACTS_MAX, UINT32_MAX
from protocols.trust import Role, TrustedKey, trust_of
from tests.protocols import foreign
from tests.protocols.foreign import GATE, GATE_KEY, NOW, RECEIPT, SITE, cbor, event

EVENTS = [event(NOW * 1000 + n, 1 + n % 16, {1: b"cti-0001", 6: [[1001, 3]]}, n % 4, n % 8) for n in range(64)]
RECEIPTS = trust_of([TrustedKey(RECEIPT.public, Role.RECEIPT)])


def code_of(load: Any, *args: Any) -> str:
    try:
        load(*args)
    except DocumentRefused as refused:
        return refused.code
    return "OK"


# --- events and segments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 23, 24, 64])
def test_a_segment_of_another_implementation_is_read_event_for_event(count: int) -> None:
    rows = EVENTS[:count]
    found = load_segment(foreign.segment(rows, first_seq=5), GATE_KEY.public)
    assert (found.gate, found.epoch, found.first_seq, len(found.events)) == (GATE, 1, 5, count)
    assert [list(map(int, (e.at_ms, e.kind, e.clock, e.flags))) for e in found.events] == [
        [r[0], r[4], r[3], r[6]] for r in rows
    ]
    assert found.encoded == tuple(cbor(row) for row in rows)
    assert found.heads[-1] == foreign.head_after(rows)


@pytest.mark.parametrize("count", [1, 23, 24, 64])
def test_both_implementations_write_the_same_bytes_of_a_segment(count: int) -> None:
    rows = EVENTS[:count]
    encoded = [
        Event(r[0], r[1], r[2], Clock(r[3]), Kind(r[4]), r[5], Flag(r[6])).encode() for r in rows
    ]  # fmt: skip
    assert encoded == [cbor(row) for row in rows]
    head = foreign.sha(b"before")
    assert build_segment(SigningKey(GATE_KEY.seed), GATE, 1, 7, head, encoded) == foreign.segment(
        rows, first_seq=7, head=head
    )


def test_the_chain_begins_with_32_zero_bytes_and_hashes_head_and_event() -> None:
    assert bytes(32) == chain.ZERO_HEAD
    first = foreign.sha(bytes(32) + b"first")
    assert chain.heads(chain.ZERO_HEAD, [b"first", b"second"]) == [first, foreign.sha(first + b"second")]


@pytest.mark.parametrize("change", ["drop", "swap", "repeat", "alter"])
def test_a_chain_with_an_event_dropped_swapped_repeated_or_altered_has_another_head(change: str) -> None:
    rows = [cbor(row) for row in EVENTS[:5]]
    changed = {
        "drop": rows[:2] + rows[3:], "swap": [rows[1], rows[0], *rows[2:]], "repeat": [*rows, rows[-1]],
        "alter": [cbor([*EVENTS[0][:6], 7]), *rows[1:]],
    }[change]  # fmt: skip
    assert chain.heads(chain.ZERO_HEAD, changed)[-1] != chain.heads(chain.ZERO_HEAD, rows)[-1]


def payload(**changes: Any) -> bytes:
    names = {"major": 1, "gate": GATE, "epoch": 1, "first_seq": 0, "head": bytes(32), "events": EVENTS[:1]}
    return foreign.document("KE1", list({**names, **changes}.values()), GATE_KEY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"major": 2}, {"gate": 0}, {"epoch": -1}, {"first_seq": -1}, {"head": bytes(31)}, {"head": None},
        {"events": []},
        {"events": EVENTS + EVENTS[:1]}, {"events": {}}, {"more": 1}, {"events": [event(NOW, 0)]},
        {"events": [event(NOW, 17)]},
        {"events": [event(NOW, 1, clock=4)]}, {"events": [event(NOW, 1, flags=8)]}, {"events": [event(-1, 1)]},
        {"events": [[*event(NOW, 1), 0]]}, {"events": [event(NOW, 1)[:6]]}, {"events": [event(NOW, 1, {"text": 1})]},
        {"events": [event(NOW, True)]}, {"events": [event(NOW, 1, {1: b"x" * 1100})]}, {"gate": True},
    ],
)  # fmt: skip
def test_a_segment_of_another_shape_is_refused_as_format(wrong: dict) -> None:
    assert code_of(load_segment, payload(**wrong), GATE_KEY.public) == "SEGMENT_FORMAT"


def test_a_segment_of_another_gate_or_altered_after_signing_is_refused_as_key() -> None:
    data = foreign.segment(EVENTS[:3])
    assert code_of(load_segment, data, foreign.edkey("sister").public) == "SEGMENT_KEY"
    assert code_of(load_segment, data[:-1] + bytes([data[-1] ^ 1]), GATE_KEY.public) == "SEGMENT_KEY"
    assert code_of(load_segment, foreign.document("KS1", [1], GATE_KEY), GATE_KEY.public) == "SEGMENT_KEY"


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_any_bytes_are_a_refused_segment_note_and_receipt_and_never_a_crash(data: bytes) -> None:
    assert code_of(load_segment, data, GATE_KEY.public) == "SEGMENT_FORMAT"
    assert code_of(load_note, data, lambda kid: GATE_KEY.public) == "BUS_FORMAT"
    assert code_of(load_receipt, data, RECEIPTS, SITE) == "RECEIPT_FORMAT"


def test_an_event_that_no_segment_could_carry_is_not_encoded() -> None:
    def an_event(detail: dict) -> Event:
        return Event(NOW * 1000, 0, 1, Clock.NTP, Kind.HEALTH, detail)

    assert an_event({6: [[1001, 3]] * 8}).encode()
    for detail in ({9: "x" * 1100}, {13: [[[0]]]}, {13: [0] * 240}):
        with pytest.raises(ValueError):
            an_event(detail).encode()


def test_the_largest_events_fit_64_into_a_segment_or_fewer_and_that_segment_loads() -> None:
    big = [Event(2**63, 2**63, 1, Clock.NTP, Kind.HEALTH, {9: "x" * 980}).encode()] * 64
    count = fitting(big)
    data = build_segment(SigningKey(GATE_KEY.seed), 2**32 - 1, 2**32 - 1, 2**62, bytes(32), big[:count])
    assert count >= 60 and len(data) <= 65_536 and len(load_segment(data, GATE_KEY.public).events) == count
    many = [Event(2**63, 2**63, 1, Clock.NTP, Kind.HEALTH, {13: [0] * 228}).encode()] * 64
    data = build_segment(SigningKey(GATE_KEY.seed), 1, 1, 0, bytes(32), many[: fitting(many)])
    assert len(load_segment(data, GATE_KEY.public).events) == 64


@pytest.mark.parametrize("count", [0, 65])
def test_a_segment_of_no_events_or_of_65_is_not_built(count: int) -> None:
    with pytest.raises(ValueError):
        build_segment(SigningKey(GATE_KEY.seed), GATE, 1, 0, bytes(32), [cbor(EVENTS[0])] * count)


# --- receipts ---------------------------------------------------------------------------------------------------


def test_both_implementations_write_and_read_the_same_receipt() -> None:
    head = foreign.sha(b"head")
    theirs = foreign.receipt(41, head, credit=0, codes=((7, "FORK"),))
    receipt = Receipt(NOW, GATE, 1, 41, head, 0, ((7, "FORK"),))
    assert (
        build_receipt(SigningKey(RECEIPT.seed), receipt) == theirs and load_receipt(theirs, RECEIPTS, SITE) == receipt
    )


@pytest.mark.parametrize(
    ("key", "trust", "code"),
    [
        (RECEIPT, RECEIPTS, "OK"),
        (foreign.edkey("stranger"), RECEIPTS, "RECEIPT_KEY"),
        (RECEIPT, trust_of([TrustedKey(RECEIPT.public, Role.COMMAND)]), "RECEIPT_KEY"),
        (RECEIPT, trust_of([TrustedKey(RECEIPT.public, Role.RECEIPT, frozenset({202}))]), "RECEIPT_KEY"),
        (RECEIPT, trust_of([TrustedKey(RECEIPT.public, Role.RECEIPT, not_after=NOW - 1)]), "RECEIPT_KEY"),
        (GATE_KEY, RECEIPTS, "RECEIPT_KEY"),
    ],
)
def test_only_a_receipt_key_of_this_site_and_time_empties_the_outbox(key: foreign.EdKey, trust: Any, code: str) -> None:
    assert code_of(load_receipt, foreign.receipt(1, bytes(32), key=key), trust, SITE) == code


@pytest.mark.parametrize(
    "body",
    [
        [0, 1, 1, bytes(32), 0, []], [GATE, 1, -1, bytes(32), 0, []], [GATE, 1, 1, bytes(31), 0, []],
        [GATE, 1, 1, bytes(32), -1, []], [GATE, 1, 1, bytes(32), 0, [[1]]], [GATE, 1, 1, bytes(32), 0, [[1, 2]]],
        [GATE, 1, 1, bytes(32), 0], [GATE, 1, 1, bytes(32), 0, {}], [GATE, 1, True, bytes(32), 0, []], {},
    ],
)  # fmt: skip
def test_a_receipt_of_another_shape_is_refused_as_format(body: Any) -> None:
    data = foreign.document("KA1", {6: NOW, -65548: body}, RECEIPT)
    assert code_of(load_receipt, data, RECEIPTS, SITE) == "RECEIPT_FORMAT"


# --- notes ------------------------------------------------------------------------------------------------------


def find_gate(kid: bytes | None) -> bytes | None:
    return GATE_KEY.public if kid == GATE_KEY.kid else None


def test_both_implementations_write_and_read_the_same_note() -> None:
    theirs = foreign.note(b"thumb-01", NOW, NOW * 1000, [[1001, 1], [1002, 1]])
    note = Note(GATE, b"thumb-01", NOW, NOW * 1000, ((1001, 1), (1002, 1)))
    assert build_note(SigningKey(GATE_KEY.seed), note) == theirs
    assert load_note(theirs, find_gate) == (note, GATE_KEY.kid)


def test_a_sister_reads_all_that_happened_at_once_in_as_many_notes_as_it_needs() -> None:
    acts = tuple((UINT32_MAX - number, 1) for number in range(64))
    whole = Note(UINT32_MAX, b"thumb-01", UINT32_MAX, 2**64 - 1, acts)
    key = SigningKey(GATE_KEY.seed)
    read = [load_note(build_note(key, note), find_gate)[0] for note in in_notes(whole)]
    assert sum((note.acts for note in read), ()) == acts
    assert {replace(note, acts=()) for note in read} == {replace(whole, acts=())}


def test_what_happened_to_no_child_is_one_note() -> None:
    told = Note(GATE, b"thumb-01", NOW, NOW * 1000, ())
    assert list(in_notes(told)) == [told]


def test_a_note_that_no_sister_could_read_is_not_written() -> None:
    acts = tuple((1_000 + number, 1) for number in range(NOTE_ACTS_MAX + 1))
    with pytest.raises(ValueError, match=f"over {NOTE_ACTS_MAX} acts"):
        build_note(SigningKey(GATE_KEY.seed), Note(GATE, b"thumb-01", NOW, NOW * 1000, acts))


def test_a_note_unsigned_or_signed_by_an_unknown_gate_is_refused() -> None:
    body = [1, GATE, b"thumb-01", NOW, NOW * 1000, []]
    assert code_of(load_note, cbor(body), find_gate) == "BUS_FORMAT"
    stranger = foreign.note(b"thumb-01", NOW, NOW * 1000, [], key=foreign.edkey("stranger"))
    assert code_of(load_note, stranger, find_gate) == "BUS_KEY"


@pytest.mark.parametrize(
    "body",
    [
        [2, GATE, b"thumb-01", NOW, 0, []], [1, 0, b"thumb-01", NOW, 0, []], [1, GATE, b"thumb", NOW, 0, []],
        [1, GATE, b"thumb-01", 2**32, 0, []], [1, GATE, b"thumb-01", NOW, -1, []],
        [1, GATE, b"thumb-01", NOW, 0, [[0, 1]]],
        [1, GATE, b"thumb-01", NOW, 0, [[1, 3]]], [1, GATE, b"thumb-01", NOW, 0, [[1]]],
        [1, GATE, b"thumb-01", NOW, 0, {}],
        [1, GATE, b"thumb-01", NOW, 0], {}, None,
    ],
)  # fmt: skip
def test_a_note_of_another_shape_is_refused_as_format(body: Any) -> None:
    assert code_of(load_note, foreign.document("KS1", body, GATE_KEY), find_gate) == "BUS_FORMAT"
