"""Every scenario of tests/vectors/scenarios through the real decision core: each step answers as the page says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.replay import replay
from tests.vectors import make_scenarios

SCENARIOS = sorted(make_scenarios.HERE.glob("*.jsonl"))


def play(path: Path) -> list[str]:
    """Return what differs between a scenario's answers and what its steps expect; empty when nothing does."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    wanted = [line.pop("expect") for line in lines[1:]]
    answers = list(replay(json.dumps(line) for line in lines))
    assert len(answers) == len(wanted)
    differs = []
    for number, (line, want, found) in enumerate(zip(lines[1:], wanted, answers, strict=True), 2):
        want = {"strike": want["code"] in ("OPEN", "CONFIRMED"), "at": line["at"], **want}
        wrong = {key: (found.get(key), value) for key, value in want.items() if found.get(key) != value}
        if wrong:
            does = next(iter(set(line) - {"at"}), "")
            differs.append(f"line {number} {does} at {line['at'] - make_scenarios.NOW:+}: " + told(wrong))
    return differs


def told(wrong: dict) -> str:
    return "; ".join(f"{key} is {found!r}, the page says {value!r}" for key, (found, value) in wrong.items())


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_step_of_a_scenario_answers_as_the_page_says(path: Path) -> None:
    differs = play(path)
    assert not differs, "\n" + "\n".join(differs)


def test_the_scenarios_are_made_again_byte_for_byte() -> None:
    assert {path.stem for path in SCENARIOS} == set(make_scenarios.SCENES)
    for path in SCENARIOS:
        assert path.read_text() == make_scenarios.written(make_scenarios.SCENES[path.stem]())
