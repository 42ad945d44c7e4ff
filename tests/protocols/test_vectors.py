"""The frozen vectors of tests/vectors: protocols answers each exactly so, for ever; and they are made again alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from protocols import documents, events
from protocols.envelope import DocumentRefused, Held
from protocols.gaps import hole_of, missing_from
from protocols.passes import PassRefused, Place, Revocations, verify
from protocols.reasons import Reason
from protocols.trust import Role, Trust, TrustedKey, load_trust_list, trust_of
from tests.vectors import make

VECTORS = Path(make.__file__).parent
PASSES, DOCUMENTS, LEDGER = (
    json.loads((VECTORS / name).read_text()) for name in ("passes.json", "documents.json", "ledger.json")
)


def trust_from(rows: list[dict]) -> Trust:
    return trust_of(
        TrustedKey(bytes.fromhex(r["pub"]), Role(r["role"]), frozenset(r["sites"]), r["not_before"], r["not_after"])
        for r in rows
    )


def place_from(changes: dict) -> Place:
    row = {**PASSES["place"], **changes}
    listed = {name: frozenset(map(bytes.fromhex, row.get(name, ()))) for name in ("ctis", "thumbs", "kids")}
    revocations = Revocations(holders=dict(row.get("holders", ())), **listed)
    return Place(row["site"], row["at"], trust_from(row["keys"]), revocations, row["gate"], row["clock"], row["floor"])


@pytest.mark.parametrize("name", sorted(make.files()))
def test_the_vectors_are_made_again_byte_for_byte(name: str) -> None:
    assert (VECTORS / name).read_text() == make.written(make.files()[name])


@pytest.mark.parametrize("vector", PASSES["vectors"], ids=lambda vector: vector["name"])
def test_a_frozen_pass_answers_as_it_did(vector: dict) -> None:
    try:
        found = verify(vector["text"], place_from(vector["place"]))
    except PassRefused as refused:
        assert refused.reason == vector["answer"]
        return
    assert vector["answer"] == "OPEN"
    shown = found.presentation
    says = {"holder": found.credential.holder, "children": [list(row) for row in found.children]}
    if shown:
        says |= {"direction": shown.direction, "gate": shown.gate, "thumb": found.credential.thumb.hex()}
        says |= {"intent": shown.intent, "powers": found.credential.powers}
    assert "says" not in vector or {key: says[key] for key in vector["says"]} == vector["says"]


def test_every_code_that_a_pass_alone_can_answer_has_a_frozen_vector() -> None:
    gates_own = {
        "SHOW_ONE_CODE", "SAME_AS_BEFORE", "REPLAY", "LOCKDOWN", "CLOSED", "NOT_ALLOWED", "CUSTODY", "PASSBACK",
        "STAFF_CONFIRM", "CONFIRMED", "DECLINED", "NOTHING_WAITS", "OK",
    }  # fmt: skip
    assert {vector["answer"] for vector in PASSES["vectors"]} == {code.value for code in Reason} - gates_own


def load(vector: dict) -> Any:
    row = {**DOCUMENTS["reader"], **vector["reader"]}
    held = Held(row["held"]["version"], bytes.fromhex(row["held"]["digest"])) if "held" in row else None
    data, trusted = bytes.fromhex(vector["bytes"]), row.get("clock_trusted", True)
    if vector["kind"] == "KK1":
        return load_trust_list(data, bytes.fromhex(row["root"]), row["now"], held, clock_trusted=trusted)
    reader = documents.Reader(trust_from(row["keys"]), row["site"], row["now"], held, trusted, row["gate"])
    loaders = {
        "KR1": documents.load_policy_list,
        "KL1": documents.load_gate_list,
        "KF1": documents.load_gate_configuration,
        "KM1": documents.load_site_mode,
        "KX1": documents.load_command,
    }
    return loaders[vector["kind"]](data, reader)


@pytest.mark.parametrize("vector", DOCUMENTS["vectors"], ids=lambda vector: f"{vector['kind']} {vector['name']}")
def test_a_frozen_document_answers_as_it_did(vector: dict) -> None:
    try:
        load(vector)
    except DocumentRefused as refused:
        assert refused.code == vector["answer"]
    else:
        assert vector["answer"].endswith("_OK")


@pytest.mark.parametrize("vector", LEDGER["segments"], ids=lambda vector: vector["answer"])
def test_a_frozen_segment_answers_as_it_did(vector: dict) -> None:
    try:
        segment = events.load_segment(bytes.fromhex(vector["bytes"]), bytes.fromhex(LEDGER["gate"]["pub"]))
    except DocumentRefused as refused:
        assert refused.code == vector["answer"]
        return
    assert (segment.gate, segment.heads[-1].hex()) == (LEDGER["gate"]["gate"], vector["head"])
    assert [row.hex() for row in segment.encoded] == vector["events"]
    if "hole" in vector:
        hole = hole_of(segment.events[0])
        told = hole and [hole.epoch, hole.first, hole.next, hole.head.hex(), hole.since]
        assert told == vector["hole"]


@pytest.mark.parametrize("vector", LEDGER["receipts"], ids=lambda vector: vector["answer"])
def test_a_frozen_receipt_answers_as_it_did(vector: dict) -> None:
    try:
        receipt = events.load_receipt(bytes.fromhex(vector["bytes"]), trust_from(LEDGER["keys"]), 101)
    except DocumentRefused as refused:
        assert refused.code == vector["answer"]
        return
    assert [receipt.upto, receipt.head.hex(), receipt.credit] == [vector[key] for key in ("upto", "head", "credit")]
    assert missing_from(receipt) == vector.get("missing")


@pytest.mark.parametrize("vector", LEDGER["notes"], ids=lambda vector: vector["answer"])
def test_a_frozen_note_answers_as_it_did(vector: dict) -> None:
    public = bytes.fromhex(LEDGER["gate"]["pub"])
    kid = make.GATE_KEY.kid
    try:
        note, _ = events.load_note(bytes.fromhex(vector["bytes"]), lambda named: public if named == kid else None)
    except DocumentRefused as refused:
        assert refused.code == vector["answer"]
        return
    assert [list(act) for act in note.acts] == vector["acts"]
