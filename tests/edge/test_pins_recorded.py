"""Every pin of a real gate process, from its start to kill -9, over a restart, to a stop: the relay never clicks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from edge.export import event_of
from edge.journal_file import reading, rows
from protocols.events import Kind
from protocols.passes import INTENT_ENTER
from tests.edge.household import Scene, Site, StaffPhone, write_gate
from tests.edge.line import free_port, until
from tests.edge.recorded_gate import Moved, moves

pytestmark = pytest.mark.serial

STRIKE = 17
ROOT = Path(__file__).parents[2]
LOCKED, UNLOCKED = Moved(STRIKE, "output", False), Moved(STRIKE, "output", True)


class Recorded:
    """A gate process; its record grows over restarts."""

    def __init__(self, directory: Path, open_seconds: float) -> None:
        self.record, self.directory = directory / "pins", directory
        self.scene, self.port = Scene(directory / "camera.frame"), free_port()
        self.site = Site()
        self.config = write_gate(directory, self.site, listen=f"127.0.0.1:{self.port}")
        text = self.config.read_text().replace("open_seconds = 0.3", f"open_seconds = {open_seconds}")
        self.config.write_text(text)

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.edge.recorded_gate", str(self.record), "run", "-c", str(self.config)]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        until(lambda: self.status().get("frames"), 40)

    def status(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status", timeout=2) as answer:
                return json.loads(answer.read())
        except OSError:
            assert self.process.poll() is None, "the gate has ended"
            return {}

    def opens(self) -> None:
        """A member of staff enters, for whom no list is needed; again until a redraw is after the boot rule."""
        phone = StaffPhone(self.site, staff=900, powers=4)
        before = moves(self.record, STRIKE).count(UNLOCKED)

        def opened() -> bool:
            self.scene.show(phone.text(INTENT_ENTER))
            time.sleep(0.3)
            return moves(self.record, STRIKE).count(UNLOCKED) > before

        until(opened, 40)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


def opened_in_the_ledger(gate: Recorded) -> int:
    with reading(gate.directory / "data" / "journal.sqlite") as db:
        events = [event for row in rows(db) if (event := event_of(row.bytes)) is not None]
    return sum(event.kind is Kind.PHONE_PASS for event in events)


def test_from_start_to_kill_restart_and_stop_the_strike_moves_for_written_openings_alone(tmp_path: Path) -> None:
    gate = Recorded(tmp_path, open_seconds=20)
    gate.start()
    assert set(moves(gate.record, STRIKE)) == {LOCKED}, "low from its first moment, and nothing else"
    gate.opens()
    gate.kill()  # in the middle of twenty seconds
    strike = moves(gate.record, STRIKE)
    assert strike.count(UNLOCKED) == opened_in_the_ledger(gate) == 1
    assert strike[: strike.index(UNLOCKED)] == [LOCKED] * strike.index(UNLOCKED)

    killed_at = len(strike)
    gate.start()
    assert set(moves(gate.record, STRIKE)[killed_at:]) == {LOCKED}, "a restart gives no power, not even for a moment"
    gate.process.send_signal(signal.SIGTERM)
    assert gate.process.wait(20) == 0
    after = moves(gate.record, STRIKE)[killed_at:]
    assert not any(one.high for one in after)
    assert after[-1].function == "input", "let go of at the end: the wiring's pull-down holds it low"
    assert {one.pin for one in moves(gate.record)} == {STRIKE, 18, 22, 23, 24}
