"""The door on gpiozero's mock pins: inputs debounced, power for a reason, what is told written and cried."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin

from edge.decision import Draft
from edge.door import HOLD_MS, Happening, Mode
from edge.door_settings import DoorSettings
from edge.doorway import Doorway
from edge.health import Health
from edge.inputs import Debounce
from edge.pins import Pins
from protocols import documents
from protocols.events import Detail
from protocols.rules import Hours
from tests.edge.line import until
from tests.edge.test_pins import SETTINGS, states

pytestmark = pytest.mark.serial
CONTACT, EXIT, FIRE, TAMPER = 5, 6, 12, 13
WIRED: DoorSettings = replace(
    SETTINGS, open_seconds=0.5, contact_pin=CONTACT, exit_pin=EXIT, fire_pin=FIRE, tamper_pin=TAMPER, debounce_ms=30
)


class Entrance:
    """A doorway whose wires a test may pull: contacts to ground, closed where all is well."""

    def __init__(self, directory: Path, settings: DoorSettings, hours: Hours | None = None) -> None:
        self.factory = MockFactory(pin_class=MockPWMPin)
        self.health, self.rows, self.writes = Health(directory), [], True
        self.pins = Pins(settings, self.factory)
        for pin in (CONTACT, FIRE, TAMPER):
            self.wire(pin, high=False)
        self.door = Doorway(
            settings, self.pins, self.health, write=self._write, tell=lambda: None, unlocked_hours=hours
        )
        self.mode = documents.Mode.NORMAL
        self.until_state("closed")

    def _write(self, drafts: tuple[Draft, ...]) -> bool:
        if self.writes:
            self.rows += [draft.detail[Detail.DOOR] for draft in drafts]
        return self.writes

    def wire(self, pin: int, *, high: bool) -> None:
        wire: Any = self.factory.pin(pin)
        wire.drive_high() if high else wire.drive_low()

    def turn(self) -> str:
        self.door.turn(self.mode)
        return self.door.state

    def until_state(self, state: str) -> None:
        until(lambda: self.turn() == state)

    @property
    def strike(self) -> list[bool]:
        return states(self.factory, 17)

    @property
    def power(self) -> bool:
        return self.strike[-1]


@pytest.fixture
def entrance(tmp_path: Path) -> Iterator[Entrance]:
    made = Entrance(tmp_path, WIRED)
    yield made
    made.pins.close()


def test_a_level_is_believed_when_it_has_held_still() -> None:
    debounce = Debounce(50)
    chatter = [(0, True), (10, False), (20, True), (69, True)]
    assert not any(debounce.see(level, at) for at, level in chatter)
    assert debounce.see(True, 70) and debounce.believed is True
    assert not debounce.see(False, 80) and not debounce.see(True, 100) and not debounce.see(True, 500)


def test_opening_the_door_takes_the_power_away_and_is_no_alarm(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path, replace(WIRED, open_seconds=20.0))
    assert entrance.door.let_in(7, by_staff=False) is not None
    assert entrance.power
    entrance.wire(CONTACT, high=True)
    entrance.until_state("open")
    until(lambda: entrance.turn() and not entrance.power)
    assert (entrance.strike, entrance.rows, entrance.health.faults) == ([False, True, False], [], {})
    entrance.pins.close()


def test_a_forced_door_is_written_and_cried_until_it_is_shut(entrance: Entrance) -> None:
    entrance.wire(CONTACT, high=True)
    entrance.until_state("forced")
    assert entrance.rows == ["forced"]
    assert entrance.health.faults == {"door": "DOOR_FORCED"}
    assert entrance.health.counters == {"alarm_DOOR_FORCED": 1}
    entrance.wire(CONTACT, high=False)
    entrance.until_state("closed")
    assert (entrance.rows, entrance.health.faults) == (["forced", "forced_over"], {})
    assert entrance.strike == [False]


def test_the_exit_button_is_observed_and_moves_nothing(entrance: Entrance) -> None:
    entrance.wire(EXIT, high=False)
    until(lambda: entrance.turn() and entrance.door._door.reason_until)  # pressed until it was seen, as people do
    entrance.wire(EXIT, high=True)
    entrance.wire(CONTACT, high=True)
    entrance.until_state("open")
    assert (entrance.rows, entrance.strike) == ([], [False])


def test_a_cut_wire_of_fire_line_or_housing_is_told_and_opens_nothing(entrance: Entrance) -> None:
    entrance.wire(TAMPER, high=True)
    entrance.until_state("tamper")
    entrance.wire(FIRE, high=True)
    until(lambda: entrance.turn() and entrance.rows == ["tamper", "fire"])
    assert entrance.health.faults == {"door": "DOOR_FIRE, DOOR_TAMPER"}
    assert entrance.strike == [False]


def test_a_contact_that_chatters_for_a_minute_is_six_records(entrance: Entrance) -> None:
    for _ in range(20):
        entrance.door._step(Happening.TAMPER, 0)
        entrance.door._step(Happening.TAMPER_OVER, 0)
    assert len(entrance.rows) == 6
    assert entrance.health.counters["door_not_recorded"] == 34


def test_the_end_of_an_alarm_that_was_written_is_written_too_and_no_more_of_the_chatter(entrance: Entrance) -> None:
    entrance.door._step(Happening.FIRE, 0)
    for _ in range(20):
        entrance.door._step(Happening.TAMPER, 0)
        entrance.door._step(Happening.TAMPER_OVER, 0)
    assert entrance.rows == ["fire", *["tamper", "tamper_over"] * 3]
    entrance.door._step(Happening.FIRE_OVER, 0)
    assert entrance.rows[-1] == "fire_over"


def test_an_input_that_cannot_be_read_is_a_fault_until_it_can(entrance: Entrance) -> None:
    pin: Any = entrance.factory.pin(CONTACT)
    pin._get_state = lambda: 1 / 0
    entrance.until_state("fault")
    assert entrance.health.faults == {"door": "DOOR_FAULT"}
    del pin._get_state
    entrance.until_state("closed")


def test_lockdown_takes_the_power_away_and_evacuation_gives_it_until_it_ends(entrance: Entrance) -> None:
    entrance.door.let_in(7, by_staff=False)
    entrance.mode = documents.Mode.LOCKDOWN
    until(lambda: entrance.turn() and not entrance.power)
    assert entrance.door.let_in(7, by_staff=False) is None
    entrance.mode = documents.Mode.EVACUATE
    until(lambda: entrance.turn() and entrance.power)
    assert entrance.door.mode is Mode.FREE
    entrance.mode = documents.Mode.NORMAL
    until(lambda: entrance.turn() and not entrance.power)


def test_a_loop_that_hangs_while_the_site_is_free_locks_the_door(entrance: Entrance) -> None:
    entrance.mode = documents.Mode.FREE
    until(lambda: entrance.turn() and entrance.power)
    began, first = time.monotonic(), entrance.pins.strike._locks_at
    entrance.door._step(Happening.TIME, time.monotonic_ns() // 1_000_000 + HOLD_MS // 2 + 1)
    assert first and (entrance.pins.strike._locks_at or 0) > first + 2, "renewed, long before it is over"
    entrance.pins.strike._locks_at = first  # a loop that did not come to renew it
    until(lambda: not entrance.power, HOLD_MS / 1000 + 1)
    assert time.monotonic() - began > HOLD_MS / 1000 - 1
    assert entrance.strike == [False, True, False]


def test_unlocked_hours_need_a_clock_that_is_believed_and_a_row_in_the_ledger(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path, WIRED, Hours(UTC, ((0, 3_600),)))
    entrance.door.keep_hours(60.0, clock_believed=False)
    entrance.writes = False
    entrance.door.keep_hours(60.0, clock_believed=True)
    assert not entrance.power
    entrance.writes = True
    entrance.door.keep_hours(60.0, clock_believed=True)
    assert (entrance.power, entrance.rows, entrance.door.mode) == (True, ["unlocked"], Mode.UNLOCKED)
    entrance.door.keep_hours(3_600.0, clock_believed=True)
    until(lambda: not entrance.power)
    assert entrance.rows == ["unlocked", "unlocked_over"]
    entrance.pins.close()


def test_who_needs_longer_has_longer(tmp_path: Path) -> None:
    entrance = Entrance(tmp_path, replace(WIRED, open_seconds=0.1, open_seconds_longer=0.8, longer_for=(7,)))
    entrance.door.let_in(8, by_staff=False)
    until(lambda: entrance.turn() and not entrance.power)
    entrance.door.let_in(7, by_staff=False)
    time.sleep(0.4)
    entrance.turn()
    assert entrance.power
    until(lambda: entrance.turn() and not entrance.power)
    entrance.pins.close()


def test_a_lamp_that_fails_is_told_and_works_again(tmp_path: Path) -> None:
    told: list[tuple[str, bool]] = []
    factory = MockFactory(pin_class=MockPWMPin)
    with Pins(SETTINGS, factory, tell=lambda part, error: told.append((part, error is None))) as pins:
        lamp: Any = factory.pin(22)
        lamp._set_state = lambda value: 1 / 0
        from edge.feedback import LIGHT_OPEN, LIGHT_REFUSED

        pins.lights.play(LIGHT_OPEN, 200)
        until(lambda: told == [("lights", False)])
        del lamp._set_state
        pins.lights.play(LIGHT_REFUSED, 200)
        until(lambda: told == [("lights", False), ("lights", True)])
