"""What an outsider counts after a run of chaos: each kind of trouble is found in what is left, and nothing else is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from protocols.events import Receipt
from simulators.evidence import Findings, answered_since, at_rest, compare, facts_heard
from simulators.gatehouse import Arrival
from simulators.morning import Fact, Ledger
from simulators.phone import HeldPass, make_phone

HEAD, OTHER_HEAD = "aa" * 32, "bb" * 32
BOOT, FIRST, SECOND = (11, 1, 0), (11, 1, 1), (11, 1, 2)
HELD = HeldPass(101, b"", ({"bit": 0, "name": "Аружан", "presence": "out"},))
COUNTS = ("lost", "duplicates", "phantoms", "other_bytes", "out_of_order", "unreceipted", "unwritten_openings",
          "wrong_receipts")  # fmt: skip


def a_row(kind: int = 1, code: str = "OPEN", receipted: int | None = 1_000) -> dict[str, Any]:
    return {"kind": kind, "code": code, "receipted": receipted, "head": HEAD}


def what_is_left(**changed: Any) -> Findings:
    """Compare a sound run of one gate (a boot, two arrivals, two openings), but for what is changed."""
    at_gates = {BOOT: a_row(5, "BOOT"), FIRST: a_row(), SECOND: a_row()}
    left: dict[str, Any] = {
        "at_gates": at_gates,
        "in_cloud": Counter(at_gates.keys()),
        "heads": dict.fromkeys(at_gates, HEAD),
        "receipts": [Receipt(1_000, *SECOND, bytes.fromhex(HEAD), 64)],
        "records": {11: ["start 1", "wrote 1 1", "pin 17 output 1", "wrote 1 2", "pin 17 output 1"]},
        "heard": {11: [FIRST, SECOND]},
    } | changed
    ledger = Ledger(left.pop("at_gates"), left.pop("in_cloud"))
    return compare(ledger, **left)


def trouble(found: Findings) -> dict[str, int]:
    return {name: getattr(found, name) for name in COUNTS if getattr(found, name)}


def an_arrival(gate: int, first_frame_ns: int, **decision: Any) -> Arrival:
    return Arrival(make_phone("mother-1"), HELD, gate, first_frame_ns=first_frame_ns, decision=decision)


def test_of_a_sound_run_nothing_is_told() -> None:
    found = what_is_left()
    assert trouble(found) == {} and found.details == []
    assert (found.decided, found.stored, found.openings, found.receipts) == (2, 2, 2, 1)


def test_a_row_that_the_cloud_lacks_is_lost() -> None:
    found = what_is_left(in_cloud=Counter([BOOT, FIRST]), receipts=[], heard={})
    assert trouble(found) == {"lost": 1} and found.details == [f"lost: {SECOND}"]


@pytest.mark.parametrize(
    ("fact", "left"),
    [
        ((11, 1, 3), {}),
        (FIRST, {"at_gates": {BOOT: a_row(5, "BOOT"), SECOND: a_row()}}),
        (SECOND, {"in_cloud": Counter([BOOT, FIRST]), "receipts": []}),
        ((11, 7, 0), {}),
    ],
)
def test_a_row_that_a_gate_told_of_and_one_of_the_two_lacks_is_lost(fact: Fact, left: dict[str, Any]) -> None:
    found = what_is_left(**left, heard={11: [fact]})
    assert found.lost == 1 and f"lost: {fact}" in found.details


def test_a_row_that_is_lost_and_was_told_of_is_counted_once() -> None:
    assert what_is_left(in_cloud=Counter([BOOT, FIRST]), receipts=[]).lost == 1


def test_a_row_that_is_stored_twice_is_a_duplicate() -> None:
    assert trouble(what_is_left(in_cloud=Counter([BOOT, FIRST, SECOND, SECOND]))) == {"duplicates": 1}


def test_a_row_that_only_the_cloud_holds_is_a_phantom() -> None:
    assert trouble(what_is_left(in_cloud=Counter([BOOT, FIRST, SECOND, (11, 1, 3)]))) == {"phantoms": 1}


def test_a_row_with_another_chain_in_the_cloud_has_other_bytes() -> None:
    assert trouble(what_is_left(heads={BOOT: HEAD, FIRST: OTHER_HEAD, SECOND: HEAD})) == {"other_bytes": 1}


def test_a_ledger_in_the_cloud_that_leaves_out_a_number_is_out_of_order() -> None:
    at_gates = {BOOT: a_row(5, "BOOT"), SECOND: a_row()}
    records = {11: ["wrote 1 2", "pin 17 output 1"]}
    found = what_is_left(at_gates=at_gates, in_cloud=Counter(at_gates.keys()), records=records, heard={})
    assert trouble(found) == {"out_of_order": 1}


def test_an_answer_whose_row_is_older_than_that_of_an_earlier_answer_is_out_of_order() -> None:
    assert trouble(what_is_left(heard={11: [SECOND, FIRST]})) == {"out_of_order": 1}


def test_a_row_with_no_receipt_is_told() -> None:
    at_gates = {BOOT: a_row(5, "BOOT"), FIRST: a_row(), SECOND: a_row(receipted=None)}
    assert trouble(what_is_left(at_gates=at_gates)) == {"unreceipted": 1}


@pytest.mark.parametrize(
    "receipt",
    [
        Receipt(1_000, *SECOND, bytes.fromhex(OTHER_HEAD), 64),
        Receipt(1_000, 11, 1, 3, bytes.fromhex(HEAD), 64),
        Receipt(1_000, 12, 1, 1, bytes.fromhex(HEAD), 64),
    ],
)
def test_a_receipt_of_another_head_or_of_what_is_not_there_is_wrong(receipt: Receipt) -> None:
    assert trouble(what_is_left(receipts=[receipt])) == {"wrong_receipts": 1}


def test_a_receipt_of_what_the_cloud_does_not_hold_is_wrong() -> None:
    assert trouble(what_is_left(in_cloud=Counter([BOOT, FIRST]))) == {"lost": 1, "wrong_receipts": 1}


def test_an_opening_with_no_row_of_its_own_is_told_with_its_gate() -> None:
    found = what_is_left(records={11: ["wrote 1 1", "pin 17 output 1", "pin 17 output 1"]})
    assert trouble(found) == {"unwritten_openings": 1} and found.details == ["gate 11 opened with no row: opening 2"]


def test_what_was_read_while_something_passed_on_the_lines_is_read_again() -> None:
    readings, passed = iter(["between two rows", "at rest", "once more"]), iter([5, 6, 6, 6, 7])
    assert at_rest(lambda: next(readings), lambda: next(passed)) == "at rest"


def test_what_a_gate_said_without_a_row_is_no_fact() -> None:
    arrivals = [an_arrival(11, 1, code="OPEN", epoch=1, seq=4), an_arrival(11, 2, code="PASSBACK", epoch=1, seq=None)]
    assert facts_heard([*arrivals, an_arrival(11, 3)]) == {11: [(11, 1, 4)]}


def test_only_who_came_after_the_last_fault_and_was_answered_with_a_row_is_counted() -> None:
    arrivals = [
        an_arrival(11, 99, code="OPEN", epoch=1, seq=1),
        an_arrival(11, 100, code="OPEN", epoch=1, seq=2),
        an_arrival(11, 101, code="PASSBACK", epoch=1, seq=3),
        an_arrival(12, 102),
        an_arrival(21, 103, code="STAFF_CONFIRM", epoch=1, seq=None),
    ]
    assert answered_since(arrivals, [11, 12, 21, 22], 100) == {11: 2, 12: 0, 21: 0, 22: 0}
