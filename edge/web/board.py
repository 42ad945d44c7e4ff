"""What the loop last showed, for whoever looks: newest facts only, handed to bounded queues.

Responsible for: carrying decisions from the loop's thread to the pages' event loop without ever making it wait.
Not responsible for: HTTP (pages.py), choosing words (feedback.py, screen.py).
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from edge.decision import Decision
from edge.feedback import IDLE, Feedback
from protocols.events import Flag

VIEWERS_MAX = 16  # streams open at once
QUEUE_MAX = 64  # events waiting for one slow viewer; the oldest goes first
HISTORY_MAX = 20


Json = dict[str, Any]
_FLAGS = {Flag.REPLAY_BUS_DOWN: "replay_bus_down", Flag.LIST_STALE: "list_stale", Flag.CLOCK_UNSURE: "clock_unsure"}


class TooManyViewers(Exception):
    """VIEWERS_MAX streams are open already."""


class Viewer:
    """One open stream: events as JSON lines, in the pages' event loop."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[str] = deque(maxlen=QUEUE_MAX)
        self._ready = asyncio.Event()

    def put(self, line: str) -> None:
        """Called by the loop's thread. Never waits."""
        self._waiting.append(line)
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:
            pass  # the pages are stopping; this viewer is gone with them

    async def take(self, seconds: float) -> str | None:
        """Return the next line, or None when there was none for so long."""
        if not self._waiting:
            self._ready.clear()
            try:
                await asyncio.wait_for(self._ready.wait(), seconds)
            except TimeoutError:
                return None
        return self._waiting.popleft() if self._waiting else None


class Board:
    """Decisions and faces as they happen. status and picture are asked of the loop's side when somebody looks."""

    def __init__(self, status: Callable[[], dict[str, Any]], picture: Callable[[], bytes | None]) -> None:
        self.status, self.picture = status, picture
        self._lock = threading.Lock()
        self._viewers: list[Viewer] = []
        self._face = self._own_face = face_line(IDLE)
        self.decisions = 0  # since the start
        self.history: deque[dict[str, Any]] = deque(maxlen=HISTORY_MAX)

    def decided(self, decision: dict[str, Any]) -> None:
        """One decision, as the stream says it."""
        self.history.append(decision)
        self.decisions += 1
        self._send("decisions", json.dumps(decision, separators=(",", ":")))

    def show(self, feedback: Feedback) -> None:
        """What the screen shows from now on; digits are for the gate's own screen alone."""
        self._face, self._own_face = face_line(feedback), face_line(feedback, own=True)
        self._send("faces", self._face)
        self._send("own_faces", self._own_face)

    def tell(self, topic: str, line: str) -> None:
        """Say a line to all who watch this topic."""
        self._send(topic, line)

    def watch(self, topic: str) -> Viewer:
        """Open a stream of "decisions", of "faces" or "own_faces" (which begin with the present one), or another."""
        viewer = Viewer(topic)
        with self._lock:
            if len(self._viewers) >= VIEWERS_MAX:
                raise TooManyViewers
            self._viewers.append(viewer)
        if topic in ("faces", "own_faces"):
            viewer.put(self._own_face if topic == "own_faces" else self._face)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        with self._lock:
            if viewer in self._viewers:
                self._viewers.remove(viewer)

    def _send(self, topic: str, line: str) -> None:
        with self._lock:
            for viewer in self._viewers:
                if viewer.topic == topic:
                    viewer.put(line)


def line_of(decision: Decision, place: tuple[int, int, int | None], at: float, strike_ns: int | None) -> Json:
    """A decision as /stream says it: numbers and codes. place: (gate, epoch, seq of its event or None)."""
    gate, epoch, seq = place
    return {
        "code": str(decision.code),
        "strike": strike_ns is not None,
        "acts": [list(act) for act in decision.acts],
        "refused": [[child, str(code)] for child, code in decision.refused],
        "flags": [name for flag, name in _FLAGS.items() if flag in decision.flags],
        "signal": decision.signal.value,
        "asks": list(decision.asks),
        "by": decision.by,
        "gate": gate,
        "epoch": epoch,
        "seq": seq,
        "at_ms": int(at * 1000),
        "strike_ns": strike_ns,
    }


def face_line(feedback: Feedback, *, own: bool = False) -> str:
    """What the screen beside the door shows. own: it is this machine's, which somebody must stand before."""
    face = {
        "face": feedback.face.value,
        "words": feedback.words.value,
        "seconds": feedback.seconds,
        "offline": feedback.offline,
    }
    return json.dumps(face | ({"digits": feedback.digits} if own and feedback.digits else {}))
