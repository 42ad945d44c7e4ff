"""The pins on gpiozero's mock factory: what the strike really did, with times."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin

from edge.door_settings import DoorSettings
from edge.feedback import IDLE, LIGHT_OPEN, LIGHT_REFUSED, TONE_OPEN
from edge.pins import Pins, PinsFailed, factory_for
from tests.edge.line import until

pytestmark = pytest.mark.serial

SETTINGS = DoorSettings(
    pins="mock",
    strike_pin=17,
    green_pin=22,
    amber_pin=23,
    red_pin=24,
    white_pin=-1,
    buzzer_pin=18,
    open_seconds=3.0,
)


@pytest.fixture
def factory() -> Iterator[MockFactory]:
    made = MockFactory(pin_class=MockPWMPin)
    yield made
    made.close()


def states(factory: MockFactory, pin: int) -> list[bool]:
    recorded: Any = factory.pin(pin)
    return [bool(state.state) for state in recorded.states]


def test_the_strike_never_moves_at_start_or_stop(factory: MockFactory) -> None:
    strike: Any = factory.pin(17)
    before = len(strike.states)
    with Pins(SETTINGS, factory):
        time.sleep(0.05)
    assert [bool(s.state) for s in strike.states[before - 1 :]] == [False]


def test_a_pulse_unlocks_at_once_and_locks_by_itself(factory: MockFactory) -> None:
    with Pins(SETTINGS, factory) as pins:
        asked = time.monotonic_ns()
        moved = pins.strike.pulse(100)
        assert pins.strike.unlocked
        assert asked <= moved <= time.monotonic_ns()
        until(lambda: not pins.strike.unlocked)
        assert states(factory, 17) == [False, True, False]
        strike: Any = factory.pin(17)
        assert strike.states[-1].timestamp >= 0.09  # seconds since the state before


def test_a_second_pulse_lengthens_the_first_without_a_click(factory: MockFactory) -> None:
    with Pins(SETTINGS, factory) as pins:
        pins.strike.pulse(500)
        time.sleep(0.05)
        pins.strike.pulse(500)
        until(lambda: not pins.strike.unlocked)
        assert states(factory, 17) == [False, True, False]


def test_no_pulse_is_longer_than_its_bound(factory: MockFactory) -> None:
    with Pins(SETTINGS, factory) as pins:
        pins.strike.pulse(10**9)
        assert pins.strike._locks_at is not None and pins.strike._locks_at - time.monotonic() <= 30.0


def test_closing_during_a_pulse_locks_the_door(factory: MockFactory) -> None:
    strike: Any = factory.pin(17)
    pins = Pins(SETTINGS, factory)
    pins.strike.pulse(10_000)
    pins.close()
    assert bool(strike.states[-1].state) is False
    with pytest.raises(PinsFailed):
        pins.strike.pulse(100)


class StubbornPin(MockPWMPin):
    """A pin whose driver refuses a few times to let it go low."""

    refusals = 0

    def _set_state(self, value: float) -> None:
        if not value and self.state and StubbornPin.refusals:
            StubbornPin.refusals -= 1
            raise OSError("the pin does not answer")
        super()._set_state(value)


def test_a_pin_that_would_not_lock_is_told_again_until_it_does() -> None:
    stubborn = MockFactory(pin_class=StubbornPin)
    with Pins(SETTINGS, stubborn) as pins:
        StubbornPin.refusals = 3
        pins.strike.pulse(50)
        until(lambda: not pins.strike.unlocked)
        assert states(stubborn, 17) == [False, True, False]
        pins.strike.pulse(50)
        until(lambda: not pins.strike.unlocked)
        assert states(stubborn, 17) == [False, True, False, True, False]


def test_the_newest_light_replaces_the_one_before(factory: MockFactory) -> None:
    with Pins(SETTINGS, factory) as pins:
        pins.lights.play(LIGHT_REFUSED, 3_000)
        until(lambda: states(factory, 24)[-1])
        pins.lights.play(LIGHT_OPEN, 400)
        until(lambda: states(factory, 22)[-1])
        assert states(factory, 24)[-1] is False
        until(lambda: not states(factory, 22)[-1])


def test_a_red_flashes_three_times_and_then_stays(factory: MockFactory) -> None:
    with Pins(SETTINGS, factory) as pins:
        pins.lights.base(IDLE.light)
        pins.lights.play(LIGHT_REFUSED, 3_000)
        until(lambda: len(states(factory, 24)) == 8)
        assert states(factory, 24) == [False, True, False, True, False, True, False, True]


def test_a_tone_ends_in_silence(factory: MockFactory) -> None:
    with Pins(SETTINGS, factory) as pins:
        pins.buzzer.play(TONE_OPEN)
        until(lambda: states(factory, 18)[-1])
        until(lambda: not states(factory, 18)[-1])


def test_no_pin_library_on_this_machine_says_what_to_type() -> None:
    with pytest.raises(PinsFailed, match='pins = "mock"'):
        factory_for("lgpio")
