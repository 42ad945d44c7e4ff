"""Which stories there are, each on a stack of its own: `portillon-sim story N`.

Responsible for: making the stack, playing, taking it down, how long each took. Not for: the stories (story_card.py,
story_order.py), nor what they are told with (story.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from simulators.district import Sizes
from simulators.processes import WorldFault
from simulators.stack import Stack, Wishes
from simulators.story import Json, Say, Story, play
from simulators.story_card import play_card
from simulators.story_order import play_order
from simulators.tablet import with_tablet

FAMILIES = 24


def run_story(number: int, directory: Path, say: Say, orders: int) -> Json:
    """Play a story on a stack of its own, made in the directory where there is none. Raises WorldFault."""
    plays: dict[int, Callable[[Story], Json]] = {2: play_card, 3: lambda story: play_order(story, orders)}
    if number not in plays:
        raise WorldFault(f"There is no story {number} yet.", f"There are: {', '.join(map(str, plays))}.", code=2)
    began = time.monotonic()
    stack = Stack(directory)
    try:
        say("starting a school, its cloud and its gates …")
        stack.up(Wishes(sizes=Sizes(gates=1, families=FAMILIES), prepare=with_tablet))
        started = time.monotonic()
        told = play(stack, plays[number], say)
        ended = time.monotonic()
    finally:
        stack.down()
    seconds = {"stack_seconds": round(started - began, 1), "story_seconds": round(ended - started, 1)}
    return {"story": number, **told, **seconds, "seconds": round(time.monotonic() - began, 1)}
