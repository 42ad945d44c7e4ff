"""The door's inputs: contact, exit button, fire line, housing switch; debounced here, told as happenings.

Responsible for: reading the pins often enough, what a level means, when a change is believed, an input that cannot be
read. All inputs are contacts to ground with the pull-up on, so that a broken wire reads high.
Not responsible for: what a happening means for the door (door.py); releasing anything: that is wired.
Obeys: DEPENDENCIES "GPIO" (debounce in our code; the mock factory ignores debounce).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import NamedTuple

from gpiozero import DigitalInputDevice
from gpiozero.pins import Factory

from edge.door import Happening
from edge.door_settings import PIN_NOT_WIRED, DoorSettings

POLL_SECONDS = 0.01
CHANGES_MAX = 256  # waiting for the loop; the oldest goes first
THREAD_JOIN_SECONDS = 2.0


class Change(NamedTuple):
    """What an input says now, and since when (milliseconds of CLOCK_MONOTONIC)."""

    happening: Happening
    at_ms: int


class Debounce:
    """PURE. Believes a level that has held for so long; the first one too."""

    def __init__(self, stable_ms: int) -> None:
        self._stable_ms = stable_ms
        self._believed: bool | None = None
        self._seen: bool | None = None
        self._since_ms = 0

    def see(self, level: bool, now_ms: int) -> bool:
        """Return whether a new level is believed from now on: `believed` says which."""
        if level is not self._seen:
            self._seen, self._since_ms = level, now_ms
        if level is self._believed or now_ms - self._since_ms < self._stable_ms:
            return False
        self._believed = level
        return True

    @property
    def believed(self) -> bool | None:
        return self._believed


class _Input:
    """One wired input. begins, ends: what it tells when it becomes active, and when no more (None: nothing)."""

    def __init__(self, device: DigitalInputDevice, active: str, debounce_ms: int, tells: tuple) -> None:
        self.device, self._active_low = device, active == "low"
        self._debounce = Debounce(debounce_ms)
        self._begins, self._ends, self._ends_at_first = tells
        self._spoke = False
        self.readable = True

    def look(self, now_ms: int) -> Happening | None:
        """Return what is new. Raises whatever a pin library raises."""
        low = bool(self.device.value)  # with the pull-up on, gpiozero calls low 1
        if not self._debounce.see(low is self._active_low, now_ms):
            return None
        first, self._spoke = not self._spoke, True
        if self._debounce.believed:
            return self._begins
        return self._ends if not first or self._ends_at_first else None


class Inputs:
    """Everything the gate listens to. `start`, then `take` what is new, from one thread."""

    def __init__(self, settings: DoorSettings, factory: Factory) -> None:
        wired = (
            (settings.contact_pin, settings.contact_open, (Happening.OPENED, Happening.CLOSED, True)),
            (settings.exit_pin, settings.exit_pressed, (Happening.EXIT, None, False)),
            (settings.fire_pin, settings.fire_alarm, (Happening.FIRE, Happening.FIRE_OVER, False)),
            (settings.tamper_pin, settings.tamper_open, (Happening.TAMPER, Happening.TAMPER_OVER, False)),
        )
        self._inputs = [
            _Input(DigitalInputDevice(pin, pull_up=True, pin_factory=factory), active, settings.debounce_ms, tells)
            for pin, active, tells in wired
            if pin != PIN_NOT_WIRED
        ]
        self._changes: deque[Change] = deque(maxlen=CHANGES_MAX)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inputs", daemon=True)
        if self._inputs:
            self._thread.start()

    def take(self) -> list[Change]:
        """Return what is new, oldest first."""
        taken = []
        while self._changes:
            taken.append(self._changes.popleft())
        return taken

    def close(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(THREAD_JOIN_SECONDS)
        for one in self._inputs:
            one.device.close()

    def _run(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            self._look(time.monotonic_ns() // 1_000_000)

    def _look(self, now_ms: int) -> None:
        """Ask each input once; the first that cannot be read is a fault, until all can."""
        could = all(one.readable for one in self._inputs)
        for one in self._inputs:
            try:
                happening = one.look(now_ms)
                one.readable = True
            except Exception:  # whatever a pin library raises: it is told as a fault of the door, and tried again
                happening, one.readable = None, False
            if happening is not None:
                self._changes.append(Change(happening, now_ms))
        can = all(one.readable for one in self._inputs)
        if can is not could:
            self._changes.append(Change(Happening.FAULT_OVER if can else Happening.FAULT, now_ms))
