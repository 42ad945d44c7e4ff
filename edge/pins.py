"""Strike, lights and buzzer on gpiozero: the only file that moves a pin.

Responsible for: a strike that never moves at start, stop or restart, and a pulse that ends by its own deadline even
when the loop hangs; playing light and tone patterns, the newest one only; an error of any of them told.
Not responsible for: when to open (doorway.py, after the journal's commit), which pattern (feedback.py), what is read
from pins (inputs.py), the bound outside this process (docs/door.md).
Obeys: PROTOCOL P-5 (journal before strike), DEPENDENCIES "GPIO" (explicit factory, no fallback, own debounce).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from gpiozero import DigitalOutputDevice, PWMOutputDevice
from gpiozero.exc import GPIOZeroError
from gpiozero.pins import Factory
from gpiozero.pins.mock import MockFactory, MockPWMPin

from edge.door_settings import OPEN_SECONDS_MAX, DoorSettings
from edge.feedback import IDLE, LIGHT_NONE, Colour, Lamps, Light, Tone
from edge.inputs import Inputs
from edge.settings import PIN_NOT_WIRED

THREAD_JOIN_SECONDS = 2.0
LOCK_AGAIN_SECONDS = 0.1  # a pin that would not lock is told again so often, for as long as it takes


Tell = Callable[[str, Exception | None], None]  # which part has this error, or is well again


class PinsFailed(Exception):
    """The pins cannot be had; the message says why and what to type."""


def factory_for(pins: str) -> Factory:
    """Return the named gpiozero factory, made here and never chosen by a fallback."""
    if pins == "mock":
        return MockFactory(pin_class=MockPWMPin)
    try:
        from gpiozero.pins.lgpio import LGPIOFactory  # only on a Raspberry Pi
    except ImportError as error:
        raise PinsFailed('lgpio is not installed: type pins = "mock" under [door], or install lgpio') from error
    try:
        return LGPIOFactory()
    except Exception as error:  # lgpio raises its own untyped errors when there is no GPIO chip
        raise PinsFailed(f'no GPIO here ({error}): type pins = "mock" under [door]') from error


class _Telling:
    """Tells an error of a part once, and once that it is over. Whatever a pin library raises: nobody stops for it."""

    def __init__(self, part: str, tell: Tell | None) -> None:
        self._part, self._tell, self._well = part, tell, True

    def does(self, move: Callable[[], None]) -> bool:
        error: Exception | None = None
        try:
            move()
        except Exception as raised:  # a lamp that fails must not end the thread that plays the others
            error = raised
        if self._tell is not None and self._well is not (error is None):
            self._tell(self._part, error)
        self._well = error is None
        return self._well


class Strike:
    """The door's electric strike (or the relay of its lock): power unlocks, and only for a bounded time."""

    def __init__(self, pin: int, factory: Factory, tell: Tell | None = None) -> None:
        self._device = DigitalOutputDevice(pin, active_high=True, initial_value=False, pin_factory=factory)
        self._locking = _Telling("strike", tell)
        self._changed = threading.Condition()
        self._locks_at: float | None = None
        self._closed = False
        self._keeper = threading.Thread(target=self._keep, name="strike", daemon=True)
        self._keeper.start()

    def pulse(self, milliseconds: int) -> int:
        """Unlock now for just so long, in place of what was asked before; return when (ns of CLOCK_MONOTONIC).

        Raises PinsFailed where nobody would lock it again. The keeper is told first: it locks even if `on` raises.
        """
        seconds = min(max(milliseconds, 0) / 1000, OPEN_SECONDS_MAX)
        with self._changed:
            if self._closed or not self._keeper.is_alive():
                raise PinsFailed("the strike is closed")
            self._locks_at = time.monotonic() + seconds
            self._changed.notify()
            self._device.on()
            moved_ns = time.monotonic_ns()
        return moved_ns

    def lock(self) -> None:
        """Lock now; where the pin would not, the keeper tells it again."""
        with self._changed:
            if self._locks_at is not None:
                self._locks_at = 0.0
                self._changed.notify()

    @property
    def unlocked(self) -> bool:
        return self._locks_at is not None

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._device.off()
            self._locks_at = None
            self._changed.notify()
        self._keeper.join(THREAD_JOIN_SECONDS)
        self._device.close()

    def _keep(self) -> None:
        """Lock when the deadline is reached, whatever the rest of the gate is doing."""
        with self._changed:
            while not self._closed:
                if self._locks_at is None:
                    self._changed.wait()
                    continue
                left = self._locks_at - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                elif self._lock():
                    self._locks_at = None
                else:
                    self._changed.wait(LOCK_AGAIN_SECONDS)

    def _lock(self) -> bool:
        return self._locking.does(self._device.off)


class Lights:
    """The lamps beside the door: plays one pattern for a while, then the base pattern again."""

    def __init__(self, pins: dict[Colour, int], factory: Factory, tell: Tell | None = None) -> None:
        self._showing = _Telling("lights", tell)
        self._lamps = {
            colour: DigitalOutputDevice(pin, initial_value=False, pin_factory=factory)
            for colour, pin in pins.items()
            if pin != PIN_NOT_WIRED
        }
        self._changed = threading.Condition()
        self._base = LIGHT_NONE
        self._playing: tuple[Light, float] | None = None  # the pattern and when it ends, monotonic seconds
        self._closed = False
        self._player = threading.Thread(target=self._play, name="lights", daemon=True)
        self._player.start()

    def base(self, light: Light) -> None:
        """Show this whenever nothing else is played."""
        with self._changed:
            if light != self._base:
                self._base = light
                self._changed.notify()

    def play(self, light: Light, milliseconds: int) -> None:
        """Show this now, in place of what is shown."""
        with self._changed:
            self._playing = (light, time.monotonic() + milliseconds / 1000)
            self._changed.notify()

    def extend(self, milliseconds: int) -> None:
        """Let what is played go on for at least so long from now."""
        with self._changed:
            if self._playing is not None:
                light, ends = self._playing
                self._playing = (light, max(ends, time.monotonic() + milliseconds / 1000))

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._player.join(THREAD_JOIN_SECONDS)
        for device in self._lamps.values():
            device.off()
            device.close()

    def _play(self) -> None:
        with self._changed:
            while not self._closed:
                showing = self._playing
                light, ends = showing or (self._base, None)
                self._run(light, ends)
                if self._playing is showing and self._over(ends):
                    self._playing = None

    def _run(self, light: Light, ends: float | None) -> None:
        """Play one pattern until it is over or something else is wanted. Holds the condition."""
        while not self._closed:
            for lamps, milliseconds in light.steps:
                if self._hold(lamps, milliseconds / 1000, ends):
                    return
            if not light.repeat:
                self._hold(light.then, None, ends)
                return

    def _hold(self, lamps: Lamps, seconds: float | None, ends: float | None) -> bool:
        """Show these lamps; True when something else is wanted, or at the end of the whole pattern."""
        self._showing.does(lambda: self._show(lamps))
        left = None if ends is None else max(0.0, ends - time.monotonic())
        waits = [w for w in (seconds, left) if w is not None]
        woken = self._changed.wait(min(waits) if waits else None)
        return woken or self._over(ends)

    def _show(self, lamps: Lamps) -> None:
        for colour, device in self._lamps.items():
            device.value = colour in lamps

    @staticmethod
    def _over(ends: float | None) -> bool:
        return ends is not None and time.monotonic() >= ends


class Buzzer:
    """A piezo on a PWM pin; plays notes in its own thread, the newest tone only. Without a pin it is silent."""

    def __init__(self, pin: int, factory: Factory, tell: Tell | None = None) -> None:
        self._sounding = _Telling("buzzer", tell)
        self._device = (
            None if pin == PIN_NOT_WIRED else PWMOutputDevice(pin, initial_value=0, frequency=880, pin_factory=factory)
        )
        self._changed = threading.Condition()
        self._next: Tone | None = None
        self._closed = False
        self._player = threading.Thread(target=self._play, name="buzzer", daemon=True)
        self._player.start()

    def play(self, tone: Tone) -> None:
        with self._changed:
            self._next = tone
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._player.join(THREAD_JOIN_SECONDS)
        if self._device is not None:
            self._device.value = 0
            self._device.close()

    def _play(self) -> None:
        with self._changed:
            while not self._closed:
                tone, self._next = self._next, None
                if tone is None:
                    self._changed.wait()
                    continue
                for hertz, milliseconds in tone.notes:
                    self._sound(hertz)
                    if self._changed.wait(milliseconds / 1000):
                        break
                self._sound(0)

    def _sound(self, hertz: int) -> None:
        self._sounding.does(lambda: self._set(hertz))

    def _set(self, hertz: int) -> None:
        if self._device is None:
            return
        if hertz:
            self._device.frequency = hertz
        self._device.value = 0.5 if hertz else 0


class Pins:
    """Everything the gate moves and listens to, opened together and closed together with the strike locked first."""

    def __init__(self, settings: DoorSettings, factory: Factory | None = None, tell: Tell | None = None) -> None:
        self.factory = factory or factory_for(settings.pins)
        lamps = {
            Colour.GREEN: settings.green_pin,
            Colour.AMBER: settings.amber_pin,
            Colour.RED: settings.red_pin,
            Colour.WHITE: settings.white_pin,
        }
        try:
            self.strike = Strike(settings.strike_pin, self.factory, tell)
            self.lights = Lights(lamps, self.factory, tell)
            self.buzzer = Buzzer(settings.buzzer_pin, self.factory, tell)
            self.inputs = Inputs(settings, self.factory)
        except GPIOZeroError as error:
            raise PinsFailed(f"a pin cannot be used: {error}") from error
        self.lights.base(IDLE.light)

    def close(self) -> None:
        self.strike.close()
        self.inputs.close()
        self.lights.close()
        self.buzzer.close()
        self.factory.close()

    def __enter__(self) -> Pins:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
