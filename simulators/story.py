"""Stories that a visitor sees end to end: who does what, what the gate answers, one line of proof.

Responsible for: telling steps as they happen, judging them, standing at the gate with a phone or a card, waiting for
the gate's newest list. Not for: the stories (story_card.py, story_order.py), nor the stack (stack.py).
Obeys STORIES.md: one command, under 90 s, each ends with a proof line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simulators.gatehouse import GAP_SECONDS, Gatehouse
from simulators.optics import preset, view_of
from simulators.outage import outage
from simulators.parts import gate_status
from simulators.processes import WorldFault, wait_until
from simulators.stack import Stack
from simulators.tablet import Tablet

GATE = 11
SCHOOL = "aigolek"
LIST_SECONDS_MAX = 20.0
SETTLED_SECONDS = 3.0  # each change of rights makes a list, half a second later and more on a busy machine
LOOK_SECONDS = 0.02
ANSWER_SECONDS = 8.0

Json = dict[str, Any]
Say = Callable[[str], None]


class Story:
    """One story that is being played. say: called with each step, for a reader."""

    def __init__(self, stack: Stack, say: Say) -> None:
        self.stack, self._say = stack, say
        self.steps: list[str] = []
        self._house = Gatehouse(GATE, stack.parts[f"gate-{GATE}"].url, stack.camera(GATE))
        self._seed = 0

    def tell(self, words: str) -> None:
        self.steps.append(words)
        self._say(words)

    def must(self, holds: object, words: str) -> None:
        """Go on only where the story goes as it is written. Raises WorldFault."""
        if not holds:
            raise WorldFault(f"The story broke: {words}")

    # --------------------------------------------------------------------------------------- the gate

    def open(self) -> None:
        self._house.open()

    def close(self) -> None:
        self._house.close()

    def hold_up(self, text: str) -> Json:
        """Hold a pass or a card up to the camera; return the gate's answer. Raises WorldFault where there is none."""
        answer = self._house.hear(self._show(text), ANSWER_SECONDS)
        self._house.leave()
        if answer is None:
            raise WorldFault("The gate did not answer.", f"Read the log of gate-{GATE}.")
        return answer

    @contextmanager
    def held_up(self, text: str) -> Iterator[None]:
        """Keep a pass before the camera for the length of a block, whatever the gate says of it."""
        self._show(text)
        yield
        self._house.leave()

    def _show(self, text: str) -> int:
        time.sleep(GAP_SECONDS)
        self._seed += 1
        return self._house.show(view_of(text, preset("clean", self._seed), self._seed))

    def tablet(self) -> Tablet:
        """A tablet of the staff beside the gate (a stack made with `with_tablet`)."""
        return Tablet(Path(self.stack.parts[f"gate-{GATE}"].config), self._house.url)

    def list_version(self) -> int:
        return int(gate_status(self._house.url).get("documents", {}).get("KR1", 0))

    def seconds_to_newer_list(self, version: int, since: float) -> float:
        """Return when the gate held a newer list than this version, in seconds after `since` (monotonic)."""
        wait_until(
            lambda: self.list_version() > version, LIST_SECONDS_MAX, "the gate got no newer list", pause=LOOK_SECONDS
        )
        return time.monotonic() - since

    def wait_for_settled_list(self, version: int) -> None:
        """Wait until the gate holds a newer list than this version, and no still newer one follows it."""
        self.seconds_to_newer_list(version, time.monotonic())
        while version != (version := self.list_version()):
            time.sleep(SETTLED_SECONDS)

    @contextmanager
    def line_cut(self) -> Iterator[Json]:
        """Have the gate offline for the length of a block; yields its status once it has noticed."""
        with outage(self.stack, "broker"):
            wait_until(lambda: self.status().get("broker") == "down", 40.0, "the gate does not notice the cut line")
            yield self.status()

    def status(self) -> Json:
        return gate_status(self._house.url)


def play(stack: Stack, act: Callable[[Story], Json], say: Say = lambda _words: None) -> Json:
    """Play one story on a running stack; return its steps and its proof."""
    story = Story(stack, say)
    story.open()
    try:
        proof = act(story)
    finally:
        story.close()
    return {"steps": story.steps, "proof": proof}
