"""One of Portillon's own processes, watched: every pulse of its door is written down, and it dies at a named point.

Responsible for: running a command of Portillon as it is, with a record of what it committed and what its strike did in
the order in which it happened, and kill -9 by its own hand when it reaches a point that is armed.
Not for: arming and judging (chaos.py, evidence.py), nor any change of what the command does.
Obeys docs/faults.md, "Named points". The hardware's mock is what records pins; our own code runs unchanged.

`python -m simulators.witness FOLDER gate|cloud ARGUMENTS…`. Lines of FOLDER/record, written straight through:
`start PID`, `wrote EPOCH SEQ SEQ…`, `pin NUMBER FUNCTION LEVEL`.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

RECORD, ARMED = "record", "armed"
ENTRIES = {"gate": "edge.cli", "cloud": "cloud.cli"}


class Point(NamedTuple):
    """A moment in a process: before or after a call of `where`, a module and the name of a function in it."""

    module: str
    name: str
    after: bool


GATE_POINTS = {
    "before-commit": Point("edge.journal", "Journal.commit", False),  # decided, not written
    "after-commit": Point("edge.journal", "Journal.commit", True),  # written, the door has not moved
    "after-pulse": Point("edge.pins", "Strike.pulse", True),  # the door has moved, nobody was told
    "before-segment": Point("edge.sending", "build_segment", False),  # written, not sent
    "before-receipt": Point("edge.sending", "load_receipt", False),  # the receipt is here, not marked
    "after-receipt": Point("edge.journal", "Journal.mark_receipted", True),  # marked on the disk
}
INGEST_POINTS = {
    "before-store": Point("cloud.ingest", "load_segment", False),  # received, not stored
    "in-transaction": Point("cloud.ingest", "facts_recorded", False),  # stored, not committed
    "after-commit": Point("cloud.ingest", "build_receipt", False),  # committed, no receipt
    "after-receipt": Point("cloud.kit.broker", "Broker.acknowledge", False),  # receipted, not acknowledged
}
POINTS = {"gate": GATE_POINTS, "cloud": INGEST_POINTS}


def watched(folder: Path, kind: str, arguments: list[str]) -> list[str]:
    """Return the command that runs these arguments of portillon-gate or portillon-cloud under watch."""
    return [sys.executable, "-m", "simulators.witness", str(folder), kind, *arguments]


def arm(folder: Path, point: str) -> None:
    """Let the process die when it next reaches this point."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ARMED).write_text(point)


def disarm(folder: Path) -> bool:
    """Forget an armed point; return whether it had not been reached."""
    was_armed = (folder / ARMED).exists()
    (folder / ARMED).unlink(missing_ok=True)
    return was_armed


class _Witness:
    """Lives in the watched process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._armed = folder / ARMED
        self._record = os.open(folder / RECORD, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, *words: object) -> None:
        os.write(self._record, (" ".join(map(str, words)) + "\n").encode())

    def die_at(self, point: str) -> None:
        try:
            if self._armed.read_text() != point:
                return
        except FileNotFoundError:
            return
        self._armed.unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, name: str, point: Point) -> None:
        """Put a look at the armed point before or after a function, which does what it did."""
        owner, attribute = _owner_of(point)
        call = getattr(owner, attribute)

        @wraps(call)
        def looked(*arguments: Any, **named: Any) -> Any:
            if not point.after:
                self.die_at(name)
            answer = call(*arguments, **named)
            if point.after:
                self.die_at(name)
            return answer

        setattr(owner, attribute, looked)

    def record_door(self) -> None:
        """Write down each commit of the journal when it returned, and whatever happens to a pin."""
        journal, pins = importlib.import_module("edge.journal"), importlib.import_module("gpiozero.pins.mock")
        commit, note = journal.Journal.commit, self.note

        @wraps(commit)
        def commits(this: Any, *arguments: Any, **named: Any) -> Any:
            entries = commit(this, *arguments, **named)
            if entries:
                note("wrote", this.epoch, *(entry.seq for entry in entries))
            return entries

        journal.Journal.commit = commits
        pins.MockPWMPin._set_function = _noting(pins.MockPWMPin._set_function, note)
        pins.MockPWMPin._set_state = _noting(pins.MockPWMPin._set_state, note)


def _noting(move: Callable[[Any, Any], None], note: Callable[..., None]) -> Callable[[Any, Any], None]:
    def moves(pin: Any, value: Any) -> None:
        move(pin, value)
        note("pin", str(pin.info.name).removeprefix("GPIO"), pin.function, int(bool(pin.state)))

    return moves


def _owner_of(point: Point) -> tuple[Any, str]:
    """Return what holds the function, and its name there. Raises AttributeError where the code has another name now."""
    owner: Any = importlib.import_module(point.module)
    *classes, attribute = point.name.split(".")
    for name in classes:
        owner = getattr(owner, name)
    getattr(owner, attribute)
    return owner, attribute


def main(arguments: list[str]) -> None:
    folder, kind, *rest = arguments
    witness = _Witness(Path(folder))
    witness.note("start", os.getpid())
    if kind == "gate":
        witness.record_door()
    for name, point in POINTS[kind].items():
        witness.watch(name, point)
    sys.argv = [f"portillon-{kind}", *rest]
    importlib.import_module(ENTRIES[kind]).main()


if __name__ == "__main__":
    main(sys.argv[1:])
