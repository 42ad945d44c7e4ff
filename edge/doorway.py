"""The door as the loop holds it: what its inputs say, the machine stepped, the strike moved, what it tells written.

Responsible for: the order (written, then power), the deadlines of the strike, alarms of the door to health and fleet.
Not responsible for: the rules (door.py), pins (pins.py), debouncing (inputs.py), who may enter (gate.py).
Obeys: PROTOCOL P-5 (journal before strike; door events, kind 10); docs/door.md.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from edge.decision import Draft
from edge.door import ALARMS, HOLD_MS, Door, Happening, Level, Mode, Told, step
from edge.door_settings import DoorSettings
from edge.health import Health
from edge.pins import Pins
from protocols import documents
from protocols.events import Detail, Kind
from protocols.limits import REFUSALS_PER_MINUTE_MAX
from protocols.rules import Hours

_MINUTE_SECONDS = 60
_LOCAL = frozenset((Told.PRE_ALARM,))  # heard at the door and nowhere else
_CRIED = ALARMS | {Told.FIRE}
_END_OF = {one: Told(f"{one}_over") for one in Told if f"{one.name}_OVER" in Told.__members__}
_LEVELS = {
    documents.Mode.LOCKDOWN: (Level.LOCKDOWN, Happening.SITE_LOCKDOWN),
    documents.Mode.EVACUATE: (Level.FREE, Happening.SITE_FREE),
    documents.Mode.FREE: (Level.FREE, Happening.SITE_FREE),
}


class Doorway:
    """Used by the loop alone. write: commits drafts, False where it could not; tell: has health told soon."""

    def __init__(
        self,
        settings: DoorSettings,
        pins: Pins,
        health: Health,
        *,
        write: Callable[[tuple[Draft, ...]], bool],
        tell: Callable[[], None],
        unlocked_hours: Hours | None = None,
    ) -> None:
        self._pins, self._health = pins, health
        self._times, self._longer_for = settings.times, frozenset(settings.longer_for)
        self._write, self._tell, self._hours = write, tell, unlocked_hours
        self._door, self._last_ms, self._ends_ms = Door(), 0, 0
        self._written: deque[float] = deque(maxlen=REFUSALS_PER_MINUTE_MAX)
        self._to_end: set[Told] = set()  # ends of what stands in the ledger
        self.heard: list[Told] = []  # told since somebody last looked, for the buzzer

    @property
    def state(self) -> str:
        return self._door.state

    @property
    def mode(self) -> Mode:
        return self._door.mode(_now_ms())

    @property
    def pulses(self) -> int:
        return self._door.pulses

    def let_in(self, holder: int | None, *, by_staff: bool) -> int | None:
        """Power for who was accepted and written; when the strike moved (monotonic ns), None where it did not."""
        happening = Happening.GRANTED_LONGER if holder in self._longer_for else Happening.GRANTED
        if by_staff and self._door.level is Level.LOCKDOWN:
            happening = Happening.RELEASED
        before = self._door.pulses
        moved_ns = self._step(happening, _now_ms())
        return None if self._door.pulses == before else moved_ns or time.monotonic_ns()

    def turn(self, mode: documents.Mode) -> None:
        """Hear the inputs and the site's mode, and let time pass."""
        for change in self._pins.inputs.take():
            self._step(change.happening, change.at_ms)
        level, happening = _LEVELS.get(mode, (Level.NORMAL, Happening.SITE_NORMAL))
        self._step(Happening.TIME if level is self._door.level else happening, _now_ms())

    def keep_hours(self, at: float, *, clock_believed: bool) -> None:
        """Unlocked hours begin and end. Nothing is unlocked by a clock that nobody vouches for, nor unwritten."""
        wanted = self._hours is not None and clock_believed and self._hours.contain(at)
        if wanted and not self._door.hours and self._write((_draft(Told.UNLOCKED),)):
            self._step(Happening.HOURS_BEGIN, _now_ms(), written=True)
        elif self._door.hours and not wanted:
            self._step(Happening.HOURS_END, _now_ms())

    def _step(self, happening: Happening, now_ms: int, *, written: bool = False) -> int | None:
        now_ms = self._last_ms = max(now_ms, self._last_ms)
        self._door, told = step(self._door, happening, now_ms, self._times)
        moved_ns = self._move(now_ms)
        if told:
            self._say(told, written)
        return moved_ns

    def _move(self, now_ms: int) -> int | None:
        """Give the strike the deadline that the door wants; a door that stays unlocked is told so again in time."""
        wanted = self._door.strike_ms(now_ms)
        if not wanted:
            if self._ends_ms:
                self._ends_ms = 0
                self._pins.strike.lock()
            return None
        ends = now_ms + wanted
        held = self._door.mode(now_ms) is not Mode.ACCESSED and 0 < ends - self._ends_ms < HOLD_MS // 2
        if held or ends == self._ends_ms:
            return None
        moved_ns = self._pins.strike.pulse(max(0, ends - _now_ms()))
        self._ends_ms = ends
        return moved_ns

    def _say(self, told: tuple[Told, ...], written: bool) -> None:
        self.heard += told
        for alarm in told:
            if alarm in _CRIED:
                self._health.count(f"alarm_DOOR_{alarm.name}")
        standing = sorted(alarm.name for alarm in self._door.standing & _CRIED)
        self._health.fault("door", ", ".join(f"DOOR_{name}" for name in standing) or None)
        if not _LOCAL.issuperset(told):
            self._tell()
        told = tuple(one for one in told if one not in _LOCAL)
        if told and not written:
            self._record(told)
        elif written:
            self._note(told)

    def _record(self, told: tuple[Told, ...]) -> None:
        """At most 6 records a minute (P-3): a contact that chatters must not wear out the disk. The end of what was
        written is always written: the ledger's last word is never an alarm that is over."""
        recent = self._written
        if len(recent) == recent.maxlen and time.monotonic() - recent[0] < _MINUTE_SECONDS:
            self._health.count("door_not_recorded")
            told = tuple(one for one in told if one in self._to_end)
            if not told:
                return
        else:
            recent.append(time.monotonic())
        self._note(told)
        self._write(tuple(_draft(one) for one in told))

    def _note(self, told: tuple[Told, ...]) -> None:
        self._to_end -= set(told)
        self._to_end |= {_END_OF[one] for one in told if one in _END_OF}


def _draft(told: Told) -> Draft:
    return Draft(Kind.DOOR, {Detail.DOOR: told.value})


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
