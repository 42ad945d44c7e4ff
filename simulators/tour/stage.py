"""The stage of the tour: what its three buttons do to the running demo, and what it tells the page.

Responsible for: standing at the gates of the demo, playing a morning, cutting the line to the cloud,
showing a photograph of a code; turning all that into a stream of small facts.
Not for: HTTP and looks (server.py, tour.js), nor counting what was stored (morning.py).
Nothing here is staged: the frames go to real gates, and what is told is what they answered.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import cv2

from simulators.clock import now
from simulators.gatehouse import Arrival, Gatehouse
from simulators.lens import Luma
from simulators.morning import EASY_DISTORTIONS, FamilyPages, choose_comers, let_all_come
from simulators.optics import preset, view_of
from simulators.outage import outage
from simulators.parts import gate_status
from simulators.phone import HeldPass, Phone
from simulators.processes import WorldFault
from simulators.stack import Stack

MORNING_ARRIVALS = 8
LISTENERS_MAX = 16
FACTS_WAITING_MAX = 200
PICTURES_KEPT = 40
PICTURE_WIDTH_PX = 640
COPY_PAUSE_SECONDS = 2.5  # time to photograph a screen over a shoulder and walk to the other gate
CUT_SECONDS_MAX = 120.0
WATCH_SECONDS = 1.0

Json = dict[str, Any]


class Stage:
    """One running demo, seen from its pavement. `featured`: the guardian whose page the visitor looks at."""

    def __init__(self, stack: Stack, featured: str) -> None:
        self._stack = stack
        self._featured = featured
        self._listeners: list[queue.Queue[str]] = []
        self._pictures: dict[int, bytes] = {}
        self._picture_number = 0
        self._lock = threading.Lock()
        self._playing = threading.Lock()
        self._cut = ExitStack()
        self._is_cut = False
        self._stop = threading.Event()
        self._seed = int(now())
        self.houses = [
            Gatehouse(stack.gate_number(part), part.url, stack.camera(stack.gate_number(part))) for part in stack.gates
        ]
        for house in self.houses:
            house.on_show = self._showing

    def open(self) -> None:
        for house in self.houses:
            house.open()
        threading.Thread(target=self._watch, name="tour-watch", daemon=True).start()

    def close(self) -> None:
        self._stop.set()
        self.mend()
        for house in self.houses:
            house.close()

    # -------------------------------------------------------------------------------------- the buttons

    def play(self, arrivals: int = MORNING_ARRIVALS) -> bool:
        """Begin a morning; False when something is being played already."""
        return self._in_background(lambda: self._play(arrivals))

    def copy(self) -> bool:
        """Show a code at the first gate, then a photograph of it at the second."""
        return self._in_background(self._copy)

    def cut(self) -> bool:
        """Cut the line between gates and cloud, or join it again; returns whether it is cut now."""
        if self._is_cut:
            self.mend()
        else:
            self._cut.enter_context(outage(self._stack, "net"))
            self._is_cut = True
            self.tell({"type": "line", "cut": True})
            threading.Timer(CUT_SECONDS_MAX, self.mend).start()
        return self._is_cut

    def mend(self) -> None:
        with self._lock:
            was_cut, self._is_cut = self._is_cut, False
        if was_cut:
            self._cut.close()
            self.tell({"type": "line", "cut": False})

    # ----------------------------------------------------------------------------------------- the play

    def _in_background(self, act: Callable[[], None]) -> bool:
        if not self._playing.acquire(blocking=False):
            return False

        def run() -> None:
            try:
                self.tell({"type": "playing", "on": True})
                act()
            except WorldFault as fault:
                self.tell({"type": "note", "text": str(fault)})
            finally:
                self._playing.release()
                self.tell({"type": "playing", "on": False})

        threading.Thread(target=run, name="tour-play", daemon=True).start()
        return True

    def _play(self, arrivals: int) -> None:
        self._seed += 1
        comers = choose_comers(self._stack, arrivals, self._seed, self._featured)
        with self._pages([phone for phone, _ in comers]):
            let_all_come(self._stack, self.houses, comers, self._seed, self._heard, EASY_DISTORTIONS)
            time.sleep(1.0)  # the last page is told a moment after the last door

    def _copy(self) -> None:
        self._seed += 1
        first, second = self.houses[0], self.houses[-1]
        phone, held = choose_comers(self._stack, 1, self._seed, self._featured)[0]
        with self._pages([phone]):
            shown = first.receive(Arrival(phone, held, first.number), "clean", self._seed)
            self._heard(shown)
            self.tell({"type": "note", "text": "photograph"})
            time.sleep(COPY_PAUSE_SECONDS)
            copied = self._show_photograph(shown.text, second, phone, held)
            self._heard(copied)
            time.sleep(3.0)
            second.leave()

    def _show_photograph(self, text: str, house: Gatehouse, phone: Phone, held: HeldPass) -> Arrival:
        """Hold up a picture of a screen: the same code, a little blurred, in another hand."""
        frame = view_of(text, preset("dark_mode", self._seed), self._seed)
        arrival = Arrival(phone, held, house.number, text=text)
        arrival.first_frame_ns = house.show(frame)
        arrival.decision = house.hear(arrival.first_frame_ns, 6.0) or {}
        return arrival

    def _pages(self, phones: list[Phone]) -> ExitStack:
        pages = FamilyPages(self._stack.web_url, self._told)
        pages.open(phones)
        closing = ExitStack()
        closing.callback(pages.close)
        return closing

    # ------------------------------------------------------------------------------------- what is told

    def _showing(self, house: Gatehouse, frame: Luma) -> None:
        self.tell({"type": "showing", "gate": house.number, "picture": self._keep_picture(frame)})

    def _heard(self, arrival: Arrival) -> None:
        decision = arrival.decision
        self.tell(
            {
                "type": "decision",
                "gate": arrival.gate,
                "code": arrival.code,
                "signal": decision.get("signal", ""),
                "strike": bool(decision.get("strike")),
                "flags": decision.get("flags", []),
                "fact": ":".join(map(str, arrival.fact)) if arrival.fact else "",
                "timeline": decision.get("timeline", []),
                "corners": decision.get("corners", []),
                "children": [child["name"] for child in arrival.held.children],
                "gate_ms": round(arrival.gate_ms) if arrival.gate_ms is not None else None,
                "decided_ns": arrival.decided_ns,
            }
        )

    def _told(self, fact: tuple[int, int, int], at_ns: int) -> None:
        self.tell({"type": "told", "fact": ":".join(map(str, fact)), "at_ns": at_ns})

    def _watch(self) -> None:
        """Tell how many events wait in each gate's outbox, while anybody looks."""
        while not self._stop.wait(WATCH_SECONDS):
            if self._listeners:
                waiting = {house.number: gate_status(house.url).get("outbox") for house in self.houses}
                self.tell({"type": "outbox", "waiting": waiting, "cut": self._is_cut})

    def tell(self, fact: Json) -> None:
        line = json.dumps(fact, ensure_ascii=False)
        with self._lock:
            for listener in self._listeners:
                if listener.qsize() < FACTS_WAITING_MAX:
                    listener.put(line)

    def listen(self) -> queue.Queue[str] | None:
        """Return a queue of facts, None when too many listen."""
        with self._lock:
            if len(self._listeners) >= LISTENERS_MAX:
                return None
            listener: queue.Queue[str] = queue.Queue()
            self._listeners.append(listener)
            return listener

    def leave(self, listener: queue.Queue[str]) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def _keep_picture(self, frame: Luma) -> int:
        """Keep a frame as JPEG for the page; return its number."""
        height = PICTURE_WIDTH_PX * frame.shape[0] // frame.shape[1]
        small = cv2.resize(frame, (PICTURE_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
        _, coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])
        with self._lock:
            self._picture_number += 1
            self._pictures[self._picture_number] = coded.tobytes()
            self._pictures.pop(self._picture_number - PICTURES_KEPT, None)
            return self._picture_number

    def picture(self, number: int) -> bytes | None:
        return self._pictures.get(number)
