"""What people perceive at the door: every code has words, a light and a tone; neutral red is alike for all."""

import re

import pytest

from edge.feedback import (
    IDLE,
    LIGHT_NONE,
    LIGHT_OPEN_OFFLINE,
    OUT_OF_ORDER,
    READING,
    RESULT_MS,
    TONE_NONE,
    TONE_OPEN,
    Colour,
    Face,
    Feedback,
    Light,
    Words,
    feedback_for,
)
from edge.screen import SENTENCES, say
from protocols.reasons import SIGNAL, Reason, Signal


@pytest.mark.parametrize("code", list(Reason))
def test_every_code_has_words_a_light_and_a_tone(code: Reason) -> None:
    feedback = feedback_for(code)
    for language in SENTENCES:
        assert say(feedback.words, language, 12).title
    if SIGNAL[code] is not Signal.NONE:
        assert feedback.light != LIGHT_NONE
        assert feedback.tone != TONE_NONE or code is Reason.SAME_AS_BEFORE


def test_every_neutral_red_is_the_same_to_the_eye_and_the_ear() -> None:
    seen = {
        feedback_for(code, direction=2, by=7, offline=True) for code in Reason if SIGNAL[code] is Signal.NEUTRAL_RED
    }
    assert len(seen) == 1
    assert seen.pop().words is Words.OFFICE


def test_no_other_refusal_mentions_custody_or_orders() -> None:
    telling = r"custod|court|tribunal|\bgarde\b|\bсуд|опек|\bсот\b|tòa"
    for sentences in SENTENCES.values():
        for title, line in sentences.values():
            assert not re.search(telling, f"{title} {line}", re.IGNORECASE)


def test_five_languages_say_every_sentence() -> None:
    assert set(SENTENCES) == {"fr", "en", "ru", "kk", "vi"}
    for language, sentences in SENTENCES.items():
        assert set(sentences) == set(Words), language
        assert all(title and line and len(title) <= 30 and len(line) <= 70 for title, line in sentences.values())


def test_a_departure_says_goodbye_and_an_arrival_welcome() -> None:
    assert feedback_for(Reason.OPEN, direction=1).words is Words.WELCOME
    assert feedback_for(Reason.OPEN, direction=2).words is Words.GOODBYE
    assert feedback_for(Reason.CONFIRMED, direction=2).words is Words.GOODBYE


def test_opened_offline_is_open_with_one_white_blink_and_a_mark() -> None:
    offline = feedback_for(Reason.OPEN, direction=1, offline=True)
    assert (offline.face, offline.offline, offline.light) == (Face.OPEN, True, LIGHT_OPEN_OFFLINE)
    assert offline.tone == TONE_OPEN
    assert not feedback_for(Reason.EXPIRED, offline=True).offline


def test_a_phone_whose_clock_is_ahead_hears_by_how_much() -> None:
    feedback = feedback_for(Reason.CLOCK_SKEW, by=42)
    assert "42" in say(feedback.words, "en", feedback.seconds).line


@pytest.mark.parametrize("feedback", [feedback_for(c) for c in Reason] + [IDLE, READING, OUT_OF_ORDER])
def test_nothing_flashes_more_than_three_times_a_second(feedback: Feedback) -> None:
    assert flashes_per_second(feedback.light) <= 3


def flashes_per_second(light: Light) -> float:
    """Return the most rises of any lamp within one second of the pattern."""
    worst = 0
    for colour in Colour:
        clock, lit, rises = 0, False, []
        for lamps, milliseconds in light.steps * (6 if light.repeat else 1):
            if colour in lamps and not lit:
                rises.append(clock)
            lit = colour in lamps
            clock += milliseconds
        if not light.repeat and colour in light.then and not lit:
            rises.append(clock)
        worst = max([worst, *(sum(a <= b < a + 1_000 for b in rises) for a in rises)])
    return worst


def test_a_result_stays_three_seconds() -> None:
    assert RESULT_MS == 3_000
