"""Drills of the fleet, end to end: an operator's work on real gates, judged step by step: `portillon-sim drill NAME`.

Responsible for: the table of drills, telling steps with their moment, judging them, the stack of its own that a drill
is played on. Not for: the drills (drill_*.py: each has `play(drill) -> proof`). Obeys STORIES.md 8: one command, under
90 s, ends with a proof line; an operator never sees a child's name.
"""

from __future__ import annotations

import importlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from simulators.district import Sizes
from simulators.parts import gate_status
from simulators.processes import WorldFault, wait_until
from simulators.stack import Stack, Wishes

# Which drills there are: the file that plays it.
DRILLS: dict[str, str] = {
    "claim": "simulators.drill_claim",
    "rotate": "simulators.drill_rotate",
    "revoke": "simulators.drill_revoke",
    "rollout": "simulators.drill_rollout",
    "update": "simulators.drill_update",
}
SIZES = Sizes(gates=3, families=12)  # two gates at the first site, one at the second
PATIENCE_SECONDS = 30.0

Json = dict[str, Any]
Say = Callable[[str], None]
Found = TypeVar("Found")


class Drill:
    """One drill that is being played on a running stack."""

    def __init__(self, stack: Stack, say: Say = lambda _words: None) -> None:
        self.stack, self._say = stack, say
        self._began = time.monotonic()
        self.timeline: list[Json] = []

    @property
    def seconds(self) -> float:
        """How long the drill has been played."""
        return time.monotonic() - self._began

    def tell(self, words: str) -> None:
        """Tell a step; it stands in the timeline with the seconds since the drill began."""
        self.timeline.append({"at_s": round(time.monotonic() - self._began, 2), "step": words})
        self._say(words)

    def must(self, holds: object, words: str) -> None:
        """Go on only where the drill goes as it is written. Raises WorldFault."""
        if not holds:
            raise WorldFault(f"The drill broke: {words}")

    def until(self, condition: Callable[[], Found | None], words: str, seconds: float = PATIENCE_SECONDS) -> Found:
        """Return the condition's first true answer. Raises WorldFault(words)."""
        return wait_until(condition, seconds, f"The drill broke: {words}", pause=0.1)

    def operator(self, *arguments: str) -> Any:
        """Run a command of the operator; return the JSON that it prints."""
        return json.loads(self.stack.cloud(*arguments, "--json"))

    def gate(self, number: int) -> Json:
        """Return what a gate's own status page says; empty while it does not answer."""
        return gate_status(self.stack.parts[f"gate-{number}"].url)


def play(stack: Stack, name: str, say: Say = lambda _words: None) -> Json:
    """Play one drill on a running stack; return its timeline and its proof. Raises WorldFault."""
    drill = Drill(stack, say)
    proof = importlib.import_module(DRILLS[name]).play(drill)
    return {"drill": name, "timeline": drill.timeline, "proof": proof}


def run_drill(name: str, directory: Path, say: Say) -> Json:
    """Play a drill on a stack of its own, made anew in the directory. Raises WorldFault."""
    if name not in DRILLS:
        raise WorldFault(f"There is no drill {name!r}.", f"There are: {', '.join(DRILLS)}.", code=2)
    began = time.monotonic()
    say("starting a school, its cloud and its gates …")
    with _stack_of(directory) as stack:
        started = time.monotonic()
        told = play(stack, name, say)
        ended = time.monotonic()
    seconds = {"stack_seconds": round(started - began, 1), "drill_seconds": round(ended - started, 1)}
    return {**told, **seconds, "seconds": round(time.monotonic() - began, 1)}


@contextmanager
def _stack_of(directory: Path) -> Iterator[Stack]:
    _clear(directory)
    stack = Stack(directory)
    try:
        stack.up(Wishes(sizes=SIZES, mtls=True))
        yield stack
    finally:
        stack.down()


def _clear(directory: Path) -> None:
    """Begin anew, for a drill leaves revoked gates and rolled keys behind. Only what a drill made is cleared."""
    mark = directory / "made-by-a-drill"
    if directory.exists() and any(directory.iterdir()):
        if not mark.exists():
            raise WorldFault(f"{directory} holds something that no drill made.", "Name an empty directory with --dir.")
        Stack(directory).down()
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark.touch()
