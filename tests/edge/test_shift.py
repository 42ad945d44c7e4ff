"""A shift is opened by a staff pass shown to the gate and the digits on its own screen: nothing less, and once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.shift import (
    ASKING_MAX,
    ASKING_SECONDS,
    ASKS_PER_MINUTE_MAX,
    DIGITS_SECONDS,
    SHIFTS_MAX,
    TRIES_MAX,
    ShiftCode,
    Shifts,
)
from protocols.canonical import encode
from protocols.passes import STAFF, Credential, Revocations
from tests.doorstep import NOW, Doorstep, Phone

CREDENTIAL = Credential(STAFF, b"c" * 8, NOW - 60, NOW + 86_400, 101, 77, powers=11, issuer=b"kids")
A, B = b"a" * 32, b"b" * 32
TOKEN = b"t" * 32
HOURS = 10 * 3_600.0
NOTHING = Revocations()


def shifts() -> Shifts:
    return Shifts(HOURS)


def asked(at: float = NOW) -> Shifts:
    """A tablet asked and a pass was shown: 0420 stands on the screen."""
    held = shifts()
    assert held.ask(A, at) is ShiftCode.ASKED
    assert held.pass_shown(CREDENTIAL, "0420", at) == "0420"
    return held


def test_the_tablet_that_asked_opens_a_shift_with_the_digits_on_the_screen() -> None:
    held = asked()
    assert held.open(A, "0420", TOKEN, NOW + 5) is ShiftCode.OPENED
    shift = held.find(TOKEN, NOW + 6, "ntp", NOTHING)
    assert shift is not None and (shift.staff, shift.powers) == (77, 11)


def test_a_pass_brings_no_digits_where_no_tablet_asks() -> None:
    held = shifts()
    assert held.pass_shown(CREDENTIAL, "0420", NOW) is None
    assert held.ask(A, NOW + 1) is ShiftCode.ASKED
    assert held.open(A, "0420", TOKEN, NOW + 2) is ShiftCode.SHOW_PASS


def test_the_digits_open_one_shift_and_no_second() -> None:
    held = asked()
    held.ask(B, NOW)
    assert held.open(A, "0420", TOKEN, NOW + 1) is ShiftCode.OPENED
    assert held.open(B, "0420", b"u" * 32, NOW + 1) is ShiftCode.SHOW_PASS


def test_the_digits_serve_only_a_tablet_that_asked() -> None:
    assert asked().open(B, "0420", TOKEN, NOW + 1) is ShiftCode.SHOW_PASS


def test_wrong_digits_are_few_whoever_types_them() -> None:
    held = asked()
    held.ask(B, NOW)
    said = [held.open(tablet, "9999", TOKEN, NOW + 1) for tablet in (A, B, A, B, A)]
    assert said == [ShiftCode.WRONG_DIGITS] * (TRIES_MAX - 1) + [ShiftCode.DIGITS_DEAD]
    assert held.open(A, "0420", TOKEN, NOW + 2) is ShiftCode.SHOW_PASS
    assert held.find(TOKEN, NOW + 2, "ntp", NOTHING) is None


@pytest.mark.parametrize("typed", ["", "042", "04200", "０４２０", "0420\n", "abcd", "\ud800"[:0]])
def test_what_are_no_digits_opens_nothing(typed: str) -> None:
    assert asked().open(A, typed, TOKEN, NOW + 1) is ShiftCode.WRONG_DIGITS


def test_a_redraw_of_the_same_pass_keeps_its_digits_and_its_tries() -> None:
    held = asked()
    held.open(A, "9999", TOKEN, NOW + 1)
    assert held.pass_shown(CREDENTIAL, "7777", NOW + 4) == "0420"
    assert held._shown is not None and held._shown.wrong == 1
    other = replace(CREDENTIAL, cti=b"d" * 8, holder=78)
    assert held.pass_shown(other, "7777", NOW + 5) == "7777"


@pytest.mark.parametrize("later", [DIGITS_SECONDS, -1, 86_400])
def test_digits_are_dead_after_a_minute_and_after_a_jump_of_the_clock(later: float) -> None:
    held = asked()
    assert held.open(A, "0420", TOKEN, NOW + later) is ShiftCode.SHOW_PASS


def test_a_question_is_over_after_two_minutes() -> None:
    held = shifts()
    held.ask(A, NOW)
    assert held.pass_shown(CREDENTIAL, "0420", NOW + ASKING_SECONDS) is None


def test_tablets_that_ask_are_bounded_at_once_and_a_minute() -> None:
    held = shifts()
    said = [held.ask(bytes([n]) * 32, NOW) for n in range(ASKING_MAX + 1)]
    assert said == [ShiftCode.ASKED] * ASKING_MAX + [ShiftCode.TOO_MANY_ASK]
    assert held.ask(bytes([0]) * 32, NOW) is ShiftCode.ASKED  # the same question again
    many = shifts()
    for n in range(ASKS_PER_MINUTE_MAX):
        many._asking.clear()
        assert many.ask(bytes([n]) * 32, NOW + n) is ShiftCode.ASKED
    many._asking.clear()
    assert many.ask(A, NOW + 30) is ShiftCode.TOO_MANY_ASK
    assert many.ask(A, NOW + 61) is ShiftCode.ASKED


@pytest.mark.parametrize(
    ("revoked", "runs"),
    [
        (Revocations(), True),
        (Revocations(ctis=frozenset({b"c" * 8})), False),
        (Revocations(kids=frozenset({b"kids"})), False),
        (Revocations(ctis=frozenset({b"x" * 8})), True),
    ],
)
def test_a_shift_ends_with_the_pass_that_opened_it(revoked: Revocations, runs: bool) -> None:
    held = asked()
    held.open(A, "0420", TOKEN, NOW + 1)
    assert bool(held.find(TOKEN, NOW + 2, "ntp", revoked)) is runs
    assert bool(held.find(TOKEN, NOW + 2, "ntp", NOTHING)) is runs  # what ended stays ended


def test_a_shift_ends_with_its_phone() -> None:
    phone = Phone(3, powers=15)
    door = Doorstep()
    credential = door.scan(NOW, phone.shows_staff(NOW)).staff
    assert credential is not None and credential.thumb == phone.device.thumb
    held = shifts()
    held.ask(A, NOW)
    held.pass_shown(credential, "0420", NOW)
    held.open(A, "0420", TOKEN, NOW)
    assert held.find(TOKEN, NOW, "ntp", Revocations(thumbs=frozenset({phone.device.thumb}))) is None


@pytest.mark.parametrize(
    ("at", "clock", "runs"),
    [
        (NOW + HOURS - 1, "ntp", True),
        (NOW + HOURS, "ntp", False),
        (NOW + HOURS, "holdover", False),
        (NOW - 30 * 86_400, "ntp", False),  # a clock set back by a month does not lengthen it
        (NOW + 30 * 86_400, "untrusted", True),  # nobody else could let people in
    ],
)
def test_a_shift_has_an_end(at: float, clock: str, runs: bool) -> None:
    held = asked()
    held.open(A, "0420", TOKEN, NOW)
    assert bool(held.find(TOKEN, at, clock, NOTHING)) is runs


def test_a_shift_ends_before_the_pass_does() -> None:
    held = shifts()
    held.ask(A, NOW)
    held.pass_shown(replace(CREDENTIAL, exp=NOW + 100), "0420", NOW)
    held.open(A, "0420", TOKEN, NOW)
    assert held.find(TOKEN, NOW + 99, "ntp", NOTHING) and not held.find(TOKEN, NOW + 100, "ntp", NOTHING)


def test_a_restart_keeps_the_shift_and_forgets_the_digits() -> None:
    held = asked()
    held.open(A, "0420", TOKEN, NOW)
    saved = {(table, key): value for table, key, value in held.take_changes() if value is not None}
    again = shifts()
    again.restore({**saved, ("shift", b"x"): b"\xff", ("shift", b"y"): encode([1]), ("phone", b"z"): b""})
    assert again.find(TOKEN, NOW + 1, "ntp", NOTHING) == held.find(TOKEN, NOW + 1, "ntp", NOTHING)
    assert {key for _, key, value in again.take_changes() if value is None} == {b"x", b"y"}
    again.end(TOKEN)
    assert again.take_changes() == (("shift", TOKEN, None),)


def test_shifts_are_bounded_and_the_oldest_ends() -> None:
    held = shifts()
    for n in range(SHIFTS_MAX + 1):
        at = NOW + n * 10
        held.ask(A, at)
        held.pass_shown(CREDENTIAL, "0420", at)
        assert held.open(A, "0420", bytes([n]) * 32, at) is ShiftCode.OPENED
    assert held.find(bytes([0]) * 32, NOW + 99, "ntp", NOTHING) is None
    assert held.find(bytes([1]) * 32, NOW + 99, "ntp", NOTHING) is not None


def test_only_a_pass_of_now_brings_digits() -> None:
    """With an untrusted clock nobody can say that; a family's pass, a replay and a forged one never do."""
    phone = Phone(3, powers=15)
    text = phone.shows_staff(NOW)
    door = Doorstep()
    assert door.scan(NOW, text).staff is not None
    assert door.scan(NOW + 12, text).staff is None  # a photograph of it
    assert door.scan(NOW + 14, Phone(1).shows(NOW + 14)).staff is None
    assert Doorstep(clock="untrusted").scan(NOW, text).staff is None
    forged = text[:-1] + ("0" if text[-1] != "0" else "1")
    assert Doorstep().scan(NOW, forged).staff is None
