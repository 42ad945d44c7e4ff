"""The stories of people, told one after the other on a whole stack with one gate that has a tablet.

Story 3, a court order, comes first: story 2, a grandmother's printed card, ends with the children in and no line.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.district import Sizes
from simulators.parts import command_path
from simulators.stack import Stack, Wishes, running_stack
from simulators.stories import FAMILIES
from simulators.story import play
from simulators.story_card import play_card
from simulators.story_order import play_order
from simulators.tablet import with_tablet

ORDER_TO_GATE_SECONDS_MAX = 5.0  # issue 4, Shows 2
REVOKED_AT_GATE_SECONDS_MAX = 5.0  # what an order may take
ORDERS = 6  # of the command it is 20


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    wishes = Wishes(sizes=Sizes(gates=1, families=FAMILIES), prepare=with_tablet)
    with running_stack(tmp_path_factory.mktemp("stories"), wishes) as stack:
        yield stack


def test_a_court_order_blocks_at_once_and_tells_nobody_why(stack: Stack) -> None:
    told = play(stack, lambda story: play_order(story, ORDERS))
    assert told["proof"]["sqlstate"] == "23P01 escort_right_never_against_order"
    assert 0 <= told["proof"]["alert_ms"] < 20_000
    assert told["proof"]["order_to_gate_p95_s"] <= ORDER_TO_GATE_SECONDS_MAX
    assert len(told["steps"]) == 8


def test_a_printed_card_counts_on_its_day_by_one_press_on_the_tablet_and_a_lost_one_never_again(stack: Stack) -> None:
    told = play(stack, play_card)
    assert (told["proof"]["her_day"], told["proof"]["another_day"]) == ("CONFIRMED", "NOT_TODAY")
    assert told["proof"]["lost_refused_after_s"] <= REVOKED_AT_GATE_SECONDS_MAX
    assert told["proof"]["offline_list_age_s"] >= 1
    assert len(told["steps"]) == 8


def test_a_story_that_nobody_wrote_is_refused(tmp_path: Path) -> None:
    asked = subprocess.run(
        [command_path("portillon-sim"), "story", "99", "--dir", str(tmp_path / "none"), "--json"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "There are: 2, 3" in asked.stderr
    assert list(tmp_path.iterdir()) == []
