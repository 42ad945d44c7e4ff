"""The [door] of gate.toml: pins, what an input's level means, times, and what must be wired for a lock of its kind.

Responsible for: DoorSettings, its settings with their defaults, what two of them together get wrong.
Not responsible for: reading the file (config.py), single forms (settings.py), what the times do (door.py).
Obeys: docs/door.md (a magnetic lock only with a wired exit button and a wired fire release).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from edge.door import Times
from edge.settings import (
    ID_MAX,
    PIN_MAX,
    PIN_NOT_WIRED,
    Setting,
    an_integer,
    one_of,
    some_hours_or_none,
    some_ids,
    some_seconds,
    yes_or_no,
)

OPEN_SECONDS_MAX = 30.0  # longer than this a strike coil is held open, not pulsed
LONGER_FOR_MAX = 256  # people; more is another access time for everybody
STRIKE, MAGLOCK = "strike", "maglock"
LOW, HIGH = "low", "high"


class Problem(NamedTuple):
    """One thing wrong in the file: which setting, what is wrong, what to type instead."""

    key: str
    what: str
    what_to_type: str


@dataclass(frozen=True)
class DoorSettings:
    """BCM pin numbers; -1 means not wired. Levels are "low" (closed to ground) or "high" (open, or a broken wire)."""

    pins: str
    strike_pin: int
    green_pin: int
    amber_pin: int
    red_pin: int
    white_pin: int
    buzzer_pin: int
    open_seconds: float
    open_seconds_longer: float = 10.0
    longer_for: tuple[int, ...] = ()
    lock_when_opened: bool = True
    held_seconds: float = 30.0
    held_seconds_longer: float = 60.0
    pre_alarm_seconds: float = 10.0
    exit_seconds: float = 5.0
    unlocked_hours: tuple[tuple[int, int], ...] = ()
    contact_pin: int = PIN_NOT_WIRED
    contact_open: str = HIGH
    exit_pin: int = PIN_NOT_WIRED
    exit_pressed: str = LOW
    fire_pin: int = PIN_NOT_WIRED
    fire_alarm: str = HIGH
    tamper_pin: int = PIN_NOT_WIRED
    tamper_open: str = HIGH
    debounce_ms: int = 50
    lock: str = STRIKE
    exit_wired: bool = False
    fire_wired: bool = False

    @property
    def times(self) -> Times:
        """The same in the door's own terms."""
        return Times(
            access=_ms(self.open_seconds),
            access_longer=_ms(max(self.open_seconds, self.open_seconds_longer)),
            held=_ms(self.held_seconds),
            held_longer=_ms(max(self.held_seconds, self.held_seconds_longer)),
            pre_alarm=_ms(self.pre_alarm_seconds),
            exit=_ms(self.exit_seconds),
            lock_when_opened=self.lock_when_opened,
            exit_observed=self.exit_pin != PIN_NOT_WIRED,
        )


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


_pin = an_integer(PIN_NOT_WIRED, PIN_MAX, 17, " (BCM numbering; -1: not wired)")
_level = one_of(LOW, HIGH)

DOOR: Mapping[str, Setting] = {
    "pins": Setting(one_of("mock", "lgpio"), "lgpio"),
    "strike_pin": Setting(an_integer(0, PIN_MAX, 17, " (BCM numbering)"), 17),
    "green_pin": Setting(_pin, 22),
    "amber_pin": Setting(_pin, 23),
    "red_pin": Setting(_pin, 24),
    "white_pin": Setting(_pin, PIN_NOT_WIRED),
    "buzzer_pin": Setting(_pin, 18),
    "lock": Setting(one_of(STRIKE, MAGLOCK), STRIKE),
    "exit_wired": Setting(yes_or_no, False),
    "fire_wired": Setting(yes_or_no, False),
    "open_seconds": Setting(some_seconds(0.2, OPEN_SECONDS_MAX, 3.0), 3.0),
    "open_seconds_longer": Setting(some_seconds(0.2, OPEN_SECONDS_MAX, 10.0), 10.0),
    "longer_for": Setting(some_ids(LONGER_FOR_MAX, ID_MAX), []),
    "lock_when_opened": Setting(yes_or_no, True),
    "held_seconds": Setting(some_seconds(5.0, 600.0, 30.0), 30.0),
    "held_seconds_longer": Setting(some_seconds(5.0, 600.0, 60.0), 60.0),
    "pre_alarm_seconds": Setting(some_seconds(0.0, 60.0, 10.0), 10.0),
    "exit_seconds": Setting(some_seconds(1.0, 60.0, 5.0), 5.0),
    "unlocked_hours": Setting(some_hours_or_none, []),
    "contact_pin": Setting(_pin, PIN_NOT_WIRED),
    "contact_open": Setting(_level, HIGH),
    "exit_pin": Setting(_pin, PIN_NOT_WIRED),
    "exit_pressed": Setting(_level, LOW),
    "fire_pin": Setting(_pin, PIN_NOT_WIRED),
    "fire_alarm": Setting(_level, HIGH),
    "tamper_pin": Setting(_pin, PIN_NOT_WIRED),
    "tamper_open": Setting(_level, HIGH),
    "debounce_ms": Setting(an_integer(10, 1_000, 50, " milliseconds"), 50),
}


def door_problems(values: Mapping[tuple[str, str], Any]) -> Iterator[Problem]:
    """Yield what only two settings of the door together can get wrong; those that could not be read are left out."""
    door = {key: values[section, key] for section, key in values if section == "door"}
    seen: dict[int, str] = {}
    for key in (key for key in DOOR if key.endswith("_pin")):
        pin = door.get(key, PIN_NOT_WIRED)
        if pin != PIN_NOT_WIRED and seen.setdefault(pin, key) != key:
            yield Problem(f"door.{key}", f"pin {pin} is {seen[pin]} already", "another BCM number, or -1")
    yield from _maglock_problems(door)
    if "pre_alarm_seconds" in door and "held_seconds" in door and door["pre_alarm_seconds"] >= door["held_seconds"]:
        yield Problem("door.pre_alarm_seconds", "is not before held_seconds is over", "less than held_seconds")


def _maglock_problems(door: Mapping[str, Any]) -> Iterator[Problem]:
    """A magnetic lock holds people in when all else fails: only what cuts its current by wire lets them out."""
    if door.get("lock") != MAGLOCK:
        return
    wired = {
        "exit_wired": "an exit button that cuts the current by wire",
        "fire_wired": "a fire release that cuts the current by wire",
    }
    for key, what in wired.items():
        if door.get(key) is False:
            hint = f"{key} = true once it is wired and tried without the gate; else a strike"
            yield Problem(f"door.{key}", f"a maglock needs {what}", hint)
