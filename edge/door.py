"""PURE. The door as the gate sees it: shut, or unlocked until a moment.

Responsible for: how long one pulse lasts, what a second one during the first does, and its bound.
Not responsible for: moving a pin (pins.py, which holds the deadline by itself), deciding who enters (gate.py).
Obeys: PROTOCOL P-5 (journal before strike: the caller has committed), UX "the gate's answer".

Times are milliseconds of a clock that never goes back; `now` is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

# Families close behind one another may keep the strike powered; longer than this in one run a coil gets hot.
UNLOCKED_MS_MAX = 30_000


class DoorState(StrEnum):
    SHUT = "shut"
    UNLOCKED = "unlocked"


@dataclass(frozen=True)
class Door:
    """Where the strike stands: unlocked from since_ms until until_ms, or shut when that is past."""

    since_ms: int = 0
    until_ms: int = 0
    pulses: int = 0

    def state(self, now_ms: int) -> DoorState:
        return DoorState.UNLOCKED if now_ms < self.until_ms else DoorState.SHUT


@dataclass(frozen=True)
class Pulse:
    """What the pins are to do: unlock now, lock by themselves after so many milliseconds."""

    milliseconds: int


def open_door(door: Door, now_ms: int, open_ms: int) -> tuple[Door, Pulse | None]:
    """Return the door after one more opening, and the pulse to give (None: the run has reached its bound).

    A second opening during the first lengthens it and never shortens it.
    """
    running = door.state(now_ms) is DoorState.UNLOCKED
    since = door.since_ms if running else now_ms
    until = min(max(now_ms + open_ms, door.until_ms if running else 0), since + UNLOCKED_MS_MAX)
    if until <= now_ms:
        return door, None
    return replace(door, since_ms=since, until_ms=until, pulses=door.pulses + 1), Pulse(until - now_ms)
