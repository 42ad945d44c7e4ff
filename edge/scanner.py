"""A USB hand scanner: lines of text, from a serial port or from keys that it types, judged like what the camera sees.

Responsible for: opening the device and opening it again when it comes back, cutting its bytes into texts, bounds on
both. Not responsible for: judging a text (gate.py), what follows (loop.py). A fault here never stops the camera.
Obeys: ARCHITECTURE "camera.py … USB hand scanner (text)"; HOSTILE P5 (strict ASCII), P20, P42; docs/tablet.md.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from edge.health import Health
from edge.loop import Loop
from edge.tablet_settings import KEYBOARD, NONE, ScannerSettings
from edge.view import Symbol
from protocols.limits import PASS_CHARACTERS_MAX

TEXTS_MAX = 8  # scanned and not yet judged; the oldest goes first
READ_BYTES = 4_096
REOPEN_SECONDS = 2.0
STOP_SECONDS = 3.0
_ENDS = b"\r\n\0\x03\x04\t"  # what scanners put after a code
_EVENT = struct.Struct("llHHi")  # struct input_event of this machine: time, type, code, value
_EV_KEY, _PRESSED, _RELEASED = 1, 1, 0
_EVIOCGRAB = 0x40044590  # the keys are ours alone: they must not type into a console
_SHIFTS, _ENTERS = (42, 54), (28, 96)
_PLAIN: dict[int, str] = dict(zip((2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13), "1234567890-=", strict=True))
_SHIFTED: dict[int, str] = dict(zip((2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13), "!@#$%^&*()_+", strict=True))
for _row, _first in (("qwertyuiop", 16), ("asdfghjkl", 30), ("zxcvbnm", 44)):
    _PLAIN |= {_first + n: letter for n, letter in enumerate(_row)}
    _SHIFTED |= {_first + n: letter.upper() for n, letter in enumerate(_row)}
_PLAIN |= {39: ";", 40: "'", 51: ",", 52: ".", 53: "/", 57: " "}
_SHIFTED |= {39: ":", 40: '"', 51: "<", 52: ">", 53: "?", 57: " "}


class Cutter(Protocol):
    """Bytes of a device in, texts out; whatever comes, what it holds is bounded."""

    def feed(self, raw: bytes) -> Iterator[str]: ...


class SerialLines:
    """Lines of strict ASCII. A line over a pass's length is rubbish up to its end, however long that takes."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._rubbish = False

    def feed(self, raw: bytes) -> Iterator[str]:
        for byte in raw:
            if byte not in _ENDS:
                self._rubbish = self._rubbish or len(self._line) >= PASS_CHARACTERS_MAX or not 32 <= byte < 127
                if self._rubbish:
                    self._line.clear()
                else:
                    self._line.append(byte)
                continue
            line, rubbish = bytes(self._line), self._rubbish
            self._line.clear()
            self._rubbish = False
            if line and not rubbish:
                yield line.decode("ascii")


class TypedKeys:
    """Keys of a scanner that types on a US keyboard: every character of a pass stands there at one place."""

    def __init__(self) -> None:
        self._lines = SerialLines()
        self._part = b""
        self._shift = False

    def feed(self, raw: bytes) -> Iterator[str]:
        self._part += raw
        whole = len(self._part) // _EVENT.size * _EVENT.size
        events, self._part = self._part[:whole], self._part[whole:]
        for _, _, kind, code, value in _EVENT.iter_unpack(events):
            if kind != _EV_KEY:
                continue
            if code in _SHIFTS:
                self._shift = value != _RELEASED
            elif value == _PRESSED:
                yield from self._lines.feed(self._typed(code))

    def _typed(self, code: int) -> bytes:
        if code in _ENTERS:
            return b"\n"
        return (_SHIFTED if self._shift else _PLAIN).get(code, "\x01").encode("ascii")  # an unknown key: rubbish


class Scanner:
    """One device in a thread of its own. `texts` is emptied by the loop; `told` says what is wrong, or None."""

    def __init__(
        self, settings: ScannerSettings, told: Callable[[str | None], None], reopen_seconds: float = REOPEN_SECONDS
    ) -> None:
        self._settings, self._told, self._reopen_seconds = settings, told, reopen_seconds
        self.texts: deque[str] = deque(maxlen=TEXTS_MAX)
        self._stop = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="scanner", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        os.write(self._wake_write, b"x")
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                device = self._open()
            except (OSError, termios.error) as error:
                self._told(f"SCANNER_AWAY: {self._settings.path}: {error.args[-1] if error.args else error}")
                self._stop.wait(self._reopen_seconds)
                continue
            self._told(None)
            try:
                self._read(device)
            except OSError:
                pass  # unplugged: what is opened next says whether it is back
            finally:
                os.close(device)
            self._stop.wait(self._reopen_seconds / 10)

    def _read(self, device: int) -> None:
        """Read until it is unplugged or we stop."""
        cutter: Cutter = TypedKeys() if self._settings.kind == KEYBOARD else SerialLines()
        while not self._stop.is_set():
            ready, _, _ = select.select([device, self._wake_read], [], [])
            if device not in ready:
                return
            raw = os.read(device, READ_BYTES)
            if not raw:
                return
            self.texts.extend(cutter.feed(raw))

    def _open(self) -> int:
        device = os.open(self._settings.path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if self._settings.kind == KEYBOARD:
                fcntl.ioctl(device, _EVIOCGRAB, 1)
            else:
                _make_raw(device, self._settings.baud)
        except BaseException:
            os.close(device)
            raise
        return device


def _make_raw(device: int, baud: int) -> None:
    """Eight bits, no echo, no translation; a line that nobody dials."""
    speed = getattr(termios, f"B{baud}")
    control = termios.CS8 | termios.CREAD | termios.CLOCAL
    settings = termios.tcgetattr(device)
    settings[:6] = [0, 0, control, 0, speed, speed]
    termios.tcsetattr(device, termios.TCSANOW, settings)


def open_scanner(settings: ScannerSettings, loop: Loop, health: Health, now: Callable[[], float]) -> Scanner | None:
    """Return the scanner of gate.toml, not started yet; None where there is none. Its texts are judged by the loop."""
    if settings.kind == NONE:
        return None
    scanner = Scanner(settings, lambda what: health.fault("scanner", what))

    def judge() -> None:
        if scanner.texts:
            text, at = scanner.texts.popleft(), now()
            loop.carry_out(loop.gate.scan([Symbol(text)], at), at, text)

    loop.each_turn(judge)
    return scanner
