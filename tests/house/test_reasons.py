"""Every reason code has a row in the wire's rules, a signal, a light, a tone and words in five languages."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from edge.feedback import Words, feedback_for
from edge.screen import say
from protocols.reasons import SIGNAL, Reason, Signal
from tests.house.tree import listing, text

LANGUAGES = ("en", "fr", "kk", "ru", "vi")
NO_VERDICT = {Reason.OK}


def rows() -> dict[str, tuple[str, ...]]:
    """Code -> the other cells of its row in section 3 of docs/protocol.md."""
    section = text("docs/protocol.md").split("## 3.")[1].split("## 4.")[0]
    found: dict[str, tuple[str, ...]] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            found.update({code: tuple(cells[1:]) for code in re.findall(r"`([A-Z_]+)`", cells[0])})
    return found


def test_the_rules_and_the_code_know_the_same_reason_codes() -> None:
    assert set(rows()) == {reason.value for reason in Reason if reason not in NO_VERDICT}


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in NO_VERDICT])
def test_a_reason_is_signalled_as_its_row_says(reason: Reason) -> None:
    said = rows()[reason][-1]
    names = {Signal.NEUTRAL_RED: "neutral red", Signal.GREEN: "green", Signal.AMBER: "amber", Signal.RED: "red"}
    names[Signal.NONE] = "–"
    row_codes = [code for code, cells in rows().items() if cells == rows()[reason]]
    expected = [part.strip() for part in said.split(";")]
    mine = expected[row_codes.index(reason)] if len(expected) == len(row_codes) > 1 else said
    assert mine.startswith(names[SIGNAL[reason]]), f"{reason}: {said} in the rules, {SIGNAL[reason]} in the code"


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_reason_has_words_in_every_language(reason: Reason, language: str) -> None:
    said = say(feedback_for(reason, direction=1, by=30).words, language, 30)
    assert said.title and said.line and "{" not in said.line


def test_no_language_answers_in_the_words_of_another() -> None:
    problems = [
        f"{words}: {first} and {second} both say {say(words, first).title}"
        for words in Words
        for first in LANGUAGES
        for second in LANGUAGES
        if first < second and say(words, first) == say(words, second)
    ]
    assert not problems, listing(problems)


def test_a_reason_that_is_nobody_elses_business_looks_like_all_others_of_its_kind() -> None:
    neutral = [feedback_for(reason, direction=2) for reason in Reason if SIGNAL[reason] is Signal.NEUTRAL_RED]
    assert len(neutral) > 3 and len(set(neutral)) == 1


def test_open_ask_and_refused_differ_in_light_and_tone_and_face() -> None:
    answers = [feedback_for(reason) for reason in (Reason.OPEN, Reason.STAFF_CONFIRM, Reason.EXPIRED)]
    for what in ("light", "tone", "face", "words"):
        assert len({getattr(answer, what) for answer in answers}) == 3, what


def test_nothing_at_the_gate_flashes_faster_than_three_times_a_second() -> None:
    for reason in Reason:
        light = feedback_for(reason, offline=True).light
        flashes = sum(1 for (before, _), (after, _) in pairwise(light.steps) if not before and after)
        assert flashes <= 3 * max(1.0, sum(milliseconds for _, milliseconds in light.steps) / 1_000), reason
