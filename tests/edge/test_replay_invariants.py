"""Mornings of anything, from a seed: what holds of every answer, whatever was shown, said, lost or restarted before."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from edge.replay import replay
from tests.protocols import foreign
from tests.protocols.foreign import GATE, NOW, PHONE, PHONE_P256, SITE, Card, Family, Staff, edkey
from tests.protocols.mutants import mutants
from tests.vectors.make import TRUST

ADA, BEN = 1001, 1002
PHONES = [PHONE, PHONE_P256, edkey("another phone")]
STRIKES = {"OPEN", "CONFIRMED", "SAME_AS_BEFORE"}


def a_header(chance: random.Random) -> dict:
    return {
        "gate": GATE, "site": SITE, "boot": NOW - 3600, "floor": NOW - 86_400, "trust": TRUST,
        "tz": chance.choice(["UTC", "Asia/Almaty", "Europe/Paris"]),
        "hours": chance.choice([[[0, 86_400]], [[28_800, 68_400]]]),
        "clock": chance.choice(["ntp", "ntp", "holdover", "untrusted"]),
        "departures": chance.choice(["pass", "staff"]), "gates": chance.choice([1, 2]),
    }  # fmt: skip


def a_family(chance: random.Random, at: int) -> str:
    number = chance.randrange(len(PHONES))
    return Family(
        phone=PHONES[number],
        holder=500 + number,
        cti=b"cti-%04d" % number,
        children=[[ADA, chance.choice([3, 3, 3, 1, 2, 7])], [BEN, 3]],
        childmask=chance.choice([1, 2, 3]),
        direction=chance.choice([1, 2]),
        at=at + chance.choice([0, 0, 0, 0, 0, -3, 5, -21, 11]),
        gate=chance.choice([None, None, None, GATE, GATE + 1]),
    ).text()


def a_policy(chance: random.Random, at: int) -> str:
    custody = chance.choice([[], [[ADA, 0, chance.randrange(1, 8), 0, 2**32 - 1]]])
    ctis = chance.choice([[], [b"cti-0000"]])
    return foreign.policy_list((at - NOW) // 7, at - 5, custody=custody, ctis=ctis).hex()


def a_note(chance: random.Random, at: int) -> dict:
    acts = [[chance.choice([ADA, BEN]), chance.choice([1, 2])]]
    iat = at + chance.choice([0, -5, 19, 21])
    return {"thumb": chance.choice(PHONES).thumb.hex(), "iat": iat, "gate": chance.choice([GATE, 12]), "acts": acts}


def a_step(chance: random.Random, at: int, mutated: list[str]) -> dict:
    def shown(*texts: str) -> dict:
        return {"scan": [{"text": text, "format": "QRCode", "append": False} for text in texts]}

    ways = [lambda: shown(a_family(chance, at))] * 9 + [
        lambda: shown(a_family(chance, at), a_family(chance, at)),
        lambda: shown(Card(children=[[ADA, 3]]).text()),
        lambda: shown(Staff(at=at, intent=chance.choice([1, 2]), powers=chance.choice([15, 7, 1])).text()),
        lambda: shown(chance.choice(mutated)),
        lambda: {"policy": a_policy(chance, at)},
        lambda: {"seen": a_note(chance, at)},
        lambda: {"bus": chance.choice(["up", "down"])},
        lambda: {"restart": {"keep_state": chance.random() < 0.8}},
        lambda: {"clock": chance.choice(["ntp", "holdover", "untrusted"])},
        lambda: {"mode": chance.choice(["normal", "lockdown", "free"])},
        lambda: {"journal": chance.choice(["ok", "failing"])},
        lambda: {"staff": {"confirm": chance.random() < 0.8, "staff": 700}},
    ]  # fmt: skip
    return {"at": at, **chance.choice(ways)()}


def a_morning(seed: int) -> list[dict]:
    chance, at = random.Random(seed), NOW
    mutated, lines = list(mutants(seed, 3)), [a_header(chance)]
    for _ in range(40):
        at += chance.choice([0, 1, 2, 4, 5, 5, 5, 10, 15, 30, 46, 61])
        lines.append(a_step(chance, at, mutated))
    return lines


def answers(lines: list[dict]) -> list[dict[str, Any]]:
    return [json.loads(json.dumps(answer)) for answer in replay(json.dumps(line) for line in lines)]


def check(seed: int) -> None:
    lines = a_morning(seed)
    found, locked = answers(lines), False
    assert [answer["at"] for answer in found] == [line["at"] for line in lines[1:]]
    for line, answer in zip(lines[1:], found, strict=True):
        locked = (
            line["mode"] == "lockdown" if "mode" in line else locked and line.get("restart") != {"keep_state": False}
        )
        told = f"seed {seed}: {json.dumps(line)[:200]} -> {answer}"
        assert not answer["strike"] or answer["code"] in STRIKES and ("scan" in line or "staff" in line), told
        assert not answer["acts"] or answer["code"] in ("OPEN", "CONFIRMED") and answer["strike"], told
        assert not {child for child, _ in answer["acts"]} & {child for child, _ in answer["refused"]}, told
        assert all(code != "OPEN" for _, code in answer["refused"]), told
        assert answer["code"] != "OPEN" or not locked, told
        assert answer["events"] <= 1 and (answer["events"] == 0 or answer["code"] != "NOT_A_PASS"), told


@pytest.mark.parametrize("seed", range(40))
def test_in_a_morning_of_anything_the_door_opens_only_for_an_answer_that_opens_it(seed: int) -> None:
    check(seed)


@pytest.mark.parametrize("seed", range(100, 120))
def test_a_restart_that_keeps_its_state_opens_nothing_that_would_have_stayed_shut(seed: int) -> None:
    lines = [line for line in a_morning(seed) if "restart" not in line and "staff" not in line]
    restarted = [lines[0]]
    for line in lines[1:]:
        restarted += [{"at": line["at"], "restart": {"keep_state": True}}, line]
    once, again = answers(lines), answers(restarted)[1::2]
    for line, before, after in zip(lines[1:], once, again, strict=True):
        assert after["code"] != "OPEN" or before["code"] == "OPEN", f"seed {seed}: {str(line)[:150]} {before} {after}"


@pytest.mark.long
def test_in_a_thousand_mornings_the_door_opens_only_for_an_answer_that_opens_it() -> None:
    for seed in range(1_000, 2_000):
        check(seed)
