"""What the gate knows of its own condition: measurements, counters, faults, and whose word the time is.

Responsible for: the numbers of up/hb and of the status page; asking chrony for the clock's state.
Not responsible for: sending (broker.py), showing (web/), deciding anything about a pass (gate.py).
Obeys: PROTOCOL P-6 (up/hb), P-3 (clock states). Unknown values are None, never invented.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.journal import Journal
from edge.journal_file import JournalFailed

LOG = logging.getLogger("portillon.gate")
WINDOW = 240  # last readings kept for p50 and p95
COUNTERS_MAX = 64  # names; all come from our own code and from reason codes
CAMERA_STALE_SECONDS = 10.0  # HOSTILE P39: no frame for so long is a fault
CHRONY_SECONDS = 30.0  # how often chrony is asked
CHRONY_ANSWERS_SECONDS = 2.0
CLOCK_ERROR_SECONDS_MAX = 0.5  # chrony's own bound of its error; the rules of P-3 count in seconds
REFERENCE_SECONDS_MAX = 7_200.0  # seven of chrony's longest polls: a source that said nothing for so long is gone
THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")  # millidegrees Celsius on a Raspberry Pi


class Health:
    """Thread-safe; every method is cheap. data: the directory whose free space is told; worked: hears of each frame
    that was read and each commit (supervision.py)."""

    def __init__(self, data: Path, worked: Callable[[], None] = lambda: None) -> None:
        self._data, self._worked = data, worked
        self._lock = threading.Lock()
        self._read_ms: deque[float] = deque(maxlen=WINDOW)
        self._commit_ms: deque[float] = deque(maxlen=WINDOW)
        self._counters: dict[str, int] = {}
        self._faults: dict[str, str] = {}
        self.view: str | None = None  # BLACK, SATURATED, COVERED or FROZEN while the camera cannot see
        self.hint: str | None = None  # closer_or_farther or dimmer: of the newest code in view (edge/exposure.py)
        self._frame_ns: int | None = None
        self.frames = 0
        self.certificate_days: int | None = None  # until the broker's certificate ends (edge/renewal.py)
        self.clock = "untrusted"
        self.offset_ms: float | None = None

    def frame(self, captured_ns: int, read_ms: float) -> None:
        """One frame was read to its end. captured_ns: CLOCK_MONOTONIC."""
        with self._lock:
            self._frame_ns = captured_ns
            self._read_ms.append(read_ms)
            self.frames += 1
        self._worked()

    def committed(self, milliseconds: float) -> None:
        with self._lock:
            self._commit_ms.append(milliseconds)
        self._worked()

    def count(self, name: str) -> None:
        with self._lock:
            if name in self._counters or len(self._counters) < COUNTERS_MAX:
                self._counters[name] = self._counters.get(name, 0) + 1

    def fault(self, part: str, what: str | None) -> None:
        """Part (camera, broker, journal, …) has this fault, or none. A change is one line of the log."""
        if self._faults.get(part) == what:
            return  # said of each part a hundred times a second
        with self._lock:
            if self._faults.get(part) == what:
                return
            if what is None:
                self._faults.pop(part, None)
            else:
                self._faults[part] = what
        LOG.warning(json.dumps({"part": part, "fault": what}))

    def internal(self, part: str, error: Exception) -> None:
        """An error of our own: its kind and place, never its text, which may quote what a stranger has shown."""
        self.count("alarm_INTERNAL")
        place = traceback.extract_tb(error.__traceback__)[-1]
        self.fault(part, f"internal: {type(error).__name__} at {Path(place.filename).name}:{place.lineno}")

    def fault_of(self, part: str) -> str | None:
        return self._faults.get(part)

    @property
    def faults(self) -> dict[str, str]:
        with self._lock:
            return dict(self._faults)

    @property
    def counters(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counters)

    def frame_age_seconds(self) -> float | None:
        frame_ns = self._frame_ns
        return None if frame_ns is None else round((time.monotonic_ns() - frame_ns) / 1e9, 2)

    def read_ms(self) -> list[float | None] | None:
        """Return p50 and p95 of the last readings, None where there were none."""
        with self._lock:
            read = list(self._read_ms)
        return [percentile(read, 50), percentile(read, 95)] if read else None

    def commit_ms(self) -> float | None:
        """Return p95 of the last commits."""
        with self._lock:
            return percentile(self._commit_ms, 95)

    def telemetry(self, journal: Journal, now: float) -> dict[str, Any]:
        """Return the body of up/hb, session apart. now: UTC seconds."""
        try:
            oldest = journal.oldest_pending_at()
        except JournalFailed:
            oldest = None
        return {
            "outbox": journal.outbox_depth,
            "oldest_s": None if oldest is None else max(0, int(now) - oldest),
            "frame_age_s": self.frame_age_seconds(),
            "view": self.view,
            "hint": self.hint,
            "read_ms": self.read_ms(),
            "temperature_c": _temperature(),
            "disk_free_mb": _disk_free_mb(self._data),
            "commit_ms": self.commit_ms(),
            "clock": self.clock,
            "offset_ms": self.offset_ms,
            "certificate_days": self.certificate_days,
            "restarts": {name: n for name, n in self.counters.items() if name.endswith("_restarts")},
            "alarms": {name[6:]: n for name, n in self.counters.items() if name.startswith("alarm_")},
            "door": (self.fault_of("door") or "").split(", ") if self.fault_of("door") else [],
            "faults": sorted(self.faults),
        }


def percentile(values: Iterable[float], per_cent: float) -> float | None:
    """Return the nearest-rank percentile, rounded to 0.01; None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * per_cent / 100))], 2)


def _temperature() -> float | None:
    try:
        return round(int(THERMAL.read_text()) / 1000, 1)
    except (OSError, ValueError):
        return None


def _disk_free_mb(data: Path) -> int | None:
    try:
        return shutil.disk_usage(data).free // 1_000_000
    except OSError:
        return None


@dataclass(frozen=True)
class ClockAnswer:
    """What chrony says. state: ntp or holdover; offset in milliseconds, positive when we are ahead.

    reference: when a source was last heard, in chrony's words; compared with the last one, never read as a time.
    """

    state: str
    offset_ms: float
    reference: str


def ask_chrony(command: tuple[str, ...] = ("chronyc", "-c", "tracking")) -> ClockAnswer | None:
    """Return chrony's word on this clock, None where chrony cannot be asked. Blocks up to 2 s.

    "Normal" alone is no synchronisation: chrony goes on saying it long after its last source is gone, while the bound
    of its error (root dispersion and half the root delay) grows.
    """
    try:
        asked = subprocess.run(command, capture_output=True, timeout=CHRONY_ANSWERS_SECONDS, check=True)
        fields = asked.stdout.decode("ascii", "replace").strip().split(",")
        reference, offset, leap = fields[3], float(fields[4]), fields[13]
        error_seconds = float(fields[11]) + float(fields[10]) / 2
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    good = leap == "Normal" and error_seconds <= CLOCK_ERROR_SECONDS_MAX
    return ClockAnswer("ntp" if good else "holdover", round(offset * 1000, 3), reference)


class ClockWatch:
    """Asks chrony now and then in its own thread; `state` is what the loop takes, `assume` where nobody answers."""

    def __init__(self, health: Health, assume: str) -> None:
        self._health, self._assume = health, assume
        self.state = assume
        health.clock = assume
        self._reference, self._heard_at = "", 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def judge(self, answer: ClockAnswer | None, moment: float) -> str:
        """Return the clock's state: as chrony says, but for a reference that has stood still. moment: monotonic."""
        if answer is None:
            return self._assume
        if answer.reference != self._reference:
            self._reference, self._heard_at = answer.reference, moment
        return "holdover" if moment - self._heard_at > REFERENCE_SECONDS_MAX else answer.state

    def _run(self) -> None:
        while not self._stopping.is_set():
            answer = ask_chrony()
            self.state = self.judge(answer, time.monotonic())
            self._health.clock = self.state
            self._health.offset_ms = answer.offset_ms if answer else None
            self._stopping.wait(CHRONY_SECONDS)
