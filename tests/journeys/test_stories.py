"""The stories of people, each on a whole stack with one gate: an order that runs changes what a card meets (I20)."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.district import Sizes
from simulators.parts import command_path
from simulators.stack import Stack, Wishes, running_stack
from simulators.stories import FAMILIES
from simulators.story import play
from simulators.story_order import play_order

ORDER_TO_GATE_SECONDS_MAX = 5.0  # issue 4, Shows 2
ORDERS = 6  # of the command it is 20


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of this story alone."""
    with running_stack(tmp_path_factory.mktemp("stories"), Wishes(sizes=Sizes(gates=1, families=FAMILIES))) as stack:
        yield stack


def test_a_court_order_blocks_at_once_and_tells_nobody_why(stack: Stack) -> None:
    told = play(stack, lambda story: play_order(story, ORDERS))
    assert told["proof"]["sqlstate"] == "23P01 escort_right_never_against_order"
    assert 0 <= told["proof"]["alert_ms"] < 20_000
    assert told["proof"]["order_to_gate_p95_s"] <= ORDER_TO_GATE_SECONDS_MAX
    assert len(told["steps"]) == 8


def test_a_story_that_nobody_wrote_is_refused(tmp_path: Path) -> None:
    asked = subprocess.run(
        [command_path("portillon-sim"), "story", "99", "--dir", str(tmp_path / "none"), "--json"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "There are: 2, 3" in asked.stderr
    assert list(tmp_path.iterdir()) == []
