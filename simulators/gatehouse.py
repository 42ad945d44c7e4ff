"""Standing in front of one gate: a phone is held up to its camera, and the gate's answer is heard.

Responsible for: the projector of one gate, its stream of decisions, one arrival from the first frame that
shows the code to the answer, as patient as people are.
Not for: who comes and when (morning.py).
Obeys HOSTILE.md P9: two credentials from one spot within a second are a trick, so people leave a gap.
"""

from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from protocols.passes import IN
from simulators.clock import monotonic_ns, now
from simulators.lens import Lens, Luma, Projector, idle_view
from simulators.optics import View, preset, view_of
from simulators.phone import HeldPass, Phone

REDRAW_SECONDS = 4.0  # the phone redraws its code (PROTOCOL.md section 2)
PATIENCE_SECONDS = 40.0  # an adult who waits longer goes to the office
GAP_SECONDS = 1.25  # between two phones at one spot; the gate's strobe rule begins under 1.0
LINGER_SECONDS = 0.2
UNDECIDED = ("NOT_A_PASS", "SHOW_ONE_CODE", "CLOCK_SKEW", "NOTHING_WAITS")
STREAM_PAUSE_SECONDS = 0.1

Json = dict[str, Any]


@dataclass
class Arrival:
    """What became of one adult at one gate. `decision` is the gate's own line; code is empty with no answer."""

    phone: Phone
    held: HeldPass
    gate: int
    direction: int = IN
    text: str = ""
    first_frame_ns: int = 0
    decision: Json = field(default_factory=dict)

    @property
    def code(self) -> str:
        return self.decision.get("code", "") or "NO_ANSWER"

    @property
    def is_opened(self) -> bool:
        """Return whether the door opened for it; SAME_AS_BEFORE says it had, before the gate was killed."""
        return self.code in ("OPEN", "SAME_AS_BEFORE")

    @property
    def fact(self) -> tuple[int, int, int] | None:
        """Return the identity (gate, epoch, seq) of its attendance event."""
        if self.code != "OPEN" or self.decision.get("seq") is None:
            return None
        return int(self.decision["gate"]), int(self.decision["epoch"]), int(self.decision["seq"])

    @property
    def gate_ms(self) -> float | None:
        """Return the time from the first frame that shows the whole code to the strike."""
        strike_ns = self.decision.get("strike_ns")
        return (strike_ns - self.first_frame_ns) / 1e6 if strike_ns and self.fact else None

    @property
    def decided_ns(self) -> int:
        """Return when the gate had decided (CLOCK_MONOTONIC), before its journal and its strike."""
        steps = {name: ms for ms, name in self.decision.get("timeline", [])}
        captured_ns = int(self.decision.get("frame_captured_ns") or self.first_frame_ns)
        return captured_ns + int(steps.get("verified", 0) * 1e6)


class Gatehouse:
    """One gate, its camera and its answers."""

    def __init__(self, number: int, url: str, camera: Path) -> None:
        self.number, self.url = number, url
        self.answers: queue.Queue[Json] = queue.Queue()
        self.connected = threading.Event()
        self.projector = Projector(Lens(camera), idle_view(number))
        self.patience_seconds = PATIENCE_SECONDS
        self.on_show: Callable[[Gatehouse, Luma], None] | None = None
        self._stop = threading.Event()
        self._listener = threading.Thread(target=self._listen, name=f"stream-{number}", daemon=True)
        self._left_at = 0.0

    def open(self) -> None:
        self.projector.start()
        self._listener.start()
        self.connected.wait(timeout=10)

    def close(self) -> None:
        self._stop.set()
        self.projector.stop()

    def receive(self, arrival: Arrival, distortion: str, seed: int) -> Arrival:
        """Let one adult stand at the gate until it opened, refused, or patience ended."""
        began = time.monotonic()
        attempt = 0
        while not arrival.decision and time.monotonic() - began < self.patience_seconds:
            arrival.text = arrival.phone.text(arrival.held, now(), arrival.direction)
            view = _view(distortion if attempt == 0 else "clean", seed + attempt)
            frame = view_of(arrival.text, view, seed + attempt)
            self._keep_distance()
            first_ns = self.show(frame)
            arrival.first_frame_ns = arrival.first_frame_ns or first_ns
            arrival.decision = self.hear(first_ns, REDRAW_SECONDS) or {}
            attempt += 1
        time.sleep(LINGER_SECONDS)
        self.leave()
        return arrival

    def show(self, frame: Luma) -> int:
        """Hold a picture to the camera; return when its first frame was captured."""
        while not self.answers.empty():
            self.answers.get_nowait()
        first_ns = self.projector.show([frame])
        if self.on_show is not None:
            self.on_show(self, frame)
        return first_ns

    def hear(self, since_ns: int, seconds: float) -> Json | None:
        """Return the gate's first answer to a frame captured since then, None when it says nothing."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                decision = self.answers.get(timeout=left)
            except queue.Empty:
                return None
            if int(decision.get("frame_captured_ns") or 0) >= since_ns and decision.get("code") not in UNDECIDED:
                return decision
        return None

    def leave(self) -> None:
        self.projector.clear()
        self._left_at = time.monotonic()

    def _keep_distance(self) -> None:
        if self._left_at:
            time.sleep(max(0.0, self._left_at + GAP_SECONDS - time.monotonic()))
            self._left_at = 0.0

    def _listen(self) -> None:
        """Follow the gate's stream; a gate that was killed is found again when it is back."""
        with httpx.Client(base_url=self.url, trust_env=False, verify=False) as client:
            while not self._stop.is_set():
                try:
                    self._follow(client)
                except httpx.HTTPError:
                    pass  # it was killed, or is not up yet: asked again below
                self.connected.clear()
                self._stop.wait(STREAM_PAUSE_SECONDS)

    def _follow(self, client: httpx.Client) -> None:
        with client.stream("GET", "/stream", timeout=httpx.Timeout(5.0, read=None)) as response:
            self.connected.set()
            for data in events_of(response):
                try:
                    self.answers.put({"heard_ns": monotonic_ns(), **json.loads(data)})
                except ValueError:
                    continue  # a comment or a greeting, not a decision
                if self._stop.is_set():
                    return


def events_of(response: httpx.Response) -> Iterator[str]:
    """Yield the data of each server-sent event."""
    lines: list[str] = []
    for line in response.iter_lines():
        if line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
        elif not line and lines:
            yield "\n".join(lines)
            lines = []


def _view(distortion: str, seed: int) -> View:
    chance = random.Random(f"portillon-view-{seed}")
    return preset(distortion, chance.randrange(2**31))
