"""portillon-verify ledger: a chain recomputed from an export, the segments that sign it, and each way to break it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from protocols.ledger import LedgerRefused, check_ledger
from protocols.verify import app
from tests.protocols import foreign
from tests.protocols.foreign import GATE, GATE_KEY, NOW, cbor, event

EVENTS = [event(NOW * 1000 + n, 1, {9: "OPEN"}) for n in range(6)]


def export(events: list = EVENTS, first: int = 0, epoch: int = 1) -> list[dict[str, Any]]:
    return [
        {"gate": GATE, "epoch": epoch, "seq": seq, "kind": 1, "bytes": cbor(row).hex(),
         "head": foreign.head_after(events[: seq + 1]).hex()}
        for seq, row in enumerate(events)
        if seq >= first
    ]  # fmt: skip


def signed(events: list, first_seq: int = 0, key: foreign.EdKey = GATE_KEY) -> dict[str, Any]:
    head = foreign.head_after(EVENTS[:first_seq])
    return {"segment": foreign.segment(events, first_seq=first_seq, head=head, key=key).hex()}


def code(lines: list) -> str:
    try:
        check_ledger([line if isinstance(line, str) else json.dumps(line) for line in lines], [GATE_KEY.public])
    except LedgerRefused as refused:
        return refused.code
    return "OK"


def test_a_whole_ledger_is_whole_from_its_beginning_or_from_its_first_line_on() -> None:
    assert code(export()) == code([*export(), *export(epoch=2)]) == code(export(first=3)) == code([]) == "OK"
    assert check_ledger(map(json.dumps, export(first=3)), []).anchored == {(GATE, 1)}


def test_segments_sign_the_events_they_hold() -> None:
    lines = [*export(), signed(EVENTS[:2]), signed(EVENTS[2:5], 2)]
    assert len(check_ledger(map(json.dumps, lines), [GATE_KEY.public]).signed) == 5


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ([*export()[:2], *export()[3:]], "GAP"),
        ([export()[0], export()[0]], "GAP"),
        ([export()[1], export()[0]], "GAP"),
        ([{**export()[0], "head": "00" * 32}], "CHAIN"),
        ([export()[0], {**export()[1], "bytes": cbor(EVENTS[2]).hex()}], "CHAIN"),
        ([{**export()[0], "bytes": "ff"}], "EVENT"),
        ([{**export()[0], "bytes": cbor([1, 2, 3]).hex()}], "EVENT"),
        ([{**export()[0], "head": "00"}], "FORMAT"),
        ([{**export()[0], "seq": -1}], "FORMAT"),
        ([{**export()[0], "bytes": None}], "FORMAT"),
        (["not json"], "FORMAT"), (["[]"], "FORMAT"), (["{}"], "FORMAT"), (["[" * 9_000], "FORMAT"),
        ([*export(), signed(EVENTS[:2], key=foreign.edkey("stranger"))], "SEGMENT_KEY"),
        ([*export(), signed([EVENTS[3]])], "SEGMENT_OTHER"),
        ([*export(), {"segment": "00"}], "FORMAT"),
    ],
)  # fmt: skip
def test_a_ledger_that_is_not_whole_says_what_is_wrong(lines: list, wrong: str) -> None:
    assert code(lines) == wrong


def test_a_hole_that_the_gate_itself_tells_is_counted_and_no_gap() -> None:
    def told(first: int, following: int, head: bytes) -> list[dict[str, Any]]:
        gap = event(NOW * 1000, 7, {23: [1, first, following, head, NOW]})
        return [{"gate": GATE, "epoch": 2, "seq": 0, "kind": 7, "bytes": cbor(gap).hex(),
                 "head": foreign.head_after([gap]).hex()}]  # fmt: skip

    holed = [*export()[:2], *export()[4:]]
    head = foreign.head_after(EVENTS[:4])
    assert code([*holed, *told(2, 4, head)]) == code([*told(2, 4, head), *holed]) == "OK"
    lines = map(json.dumps, [*holed, *told(2, 4, head)])
    assert check_ledger(lines, []).lost == {(GATE, 1): 2}
    assert code([*holed, *told(2, 3, head)]) == "GAP", "another place"
    assert code([*holed, *told(2, 4, bytes(32))]) == "CHAIN", "another head"
    assert code([*export()[4:], *export()[:2], *told(0, 4, head)]) == "GAP", "and no way back"


def test_the_command_ends_with_0_for_a_whole_ledger_and_with_4_for_another(tmp_path: Path) -> None:
    trust, file = tmp_path / "trust.json", tmp_path / "ledger.jsonl"
    trust.write_text(json.dumps([{"pub": GATE_KEY.public.hex(), "role": "gate"}]))

    def verify(lines: list, *more: str) -> Any:
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return CliRunner().invoke(app, ["ledger", str(file), "--trust", str(trust), *more])

    whole = verify([*export(), signed(EVENTS[:2])])
    assert whole.exit_code == 0 and "6 events, 2 of them under their gate's signature" in whole.stdout
    broken = verify([*export()[:2], *export()[3:]], "--json")
    assert broken.exit_code == 4
    assert json.loads(broken.stdout) == {
        "genuine": False,
        "code": "GAP",
        "at": [GATE, 1, 3],
        "why": "Events are missing.",
    }
    assert CliRunner().invoke(app, ["ledger", str(tmp_path / "none"), "--trust", str(trust)]).exit_code == 2
    assert CliRunner().invoke(app, ["ledger", str(file), "--trust", str(file)]).exit_code == 2
