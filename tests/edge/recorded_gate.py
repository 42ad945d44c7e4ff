"""A real gate process whose every pin is written down, from before its first line to its kill.

`python -m tests.edge.recorded_gate FILE portillon-gate's arguments…`. Each line of FILE: pin, function, level, in the
order in which it happened; written straight through, so that a kill loses none. The hardware's mock is what records:
our own code runs as it is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from gpiozero.pins import mock

_FILE = -1


class Moved(NamedTuple):
    """One thing that happened to one pin."""

    pin: int
    function: str
    high: bool


class RecordedPin(mock.MockPWMPin):
    """A pin that writes down each function and each level it is given, also those it has already."""

    def _set_function(self, value: str) -> None:
        super()._set_function(value)
        self._record()

    def _set_state(self, value: Any) -> None:
        super()._set_state(value)
        self._record()

    def _record(self) -> None:
        if _FILE >= 0:
            number = str(self.info.name).removeprefix("GPIO")
            os.write(_FILE, f"{number} {self.function} {int(bool(self.state))}\n".encode())


def moves(record: Path, pin: int | None = None) -> list[Moved]:
    """What the record says, of one pin or of all."""
    rows = [line.split() for line in record.read_text().splitlines()] if record.exists() else []
    found = [Moved(int(number), function, level == "1") for number, function, level in rows]
    return [one for one in found if pin in (None, one.pin)]


def main() -> None:
    global _FILE
    _FILE = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    mock.MockPWMPin = RecordedPin  # what edge/pins.py makes its pins of where there is no hardware
    sys.argv[1:] = sys.argv[2:]
    from edge.cli import main as gate

    gate()


if __name__ == "__main__":
    main()
