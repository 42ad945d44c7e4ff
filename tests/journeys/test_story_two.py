"""Story 2 on a whole stack: a grandmother's printed card, staff with a tablet, another day, the card lost, no line."""

from collections.abc import Iterator

import pytest

from simulators.district import Sizes
from simulators.stack import Stack, Wishes, running_stack
from simulators.stories import FAMILIES
from simulators.story import play
from simulators.story_card import play_card
from simulators.tablet import with_tablet

REVOKED_AT_GATE_SECONDS_MAX = 5.0  # issue 4, Shows 2: what an order may take


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of this story alone, whose gate has a tablet."""
    wishes = Wishes(sizes=Sizes(gates=1, families=FAMILIES), prepare=with_tablet)
    with running_stack(tmp_path_factory.mktemp("story"), wishes) as stack:
        yield stack


def test_a_printed_card_counts_on_its_day_by_one_press_on_the_tablet_and_a_lost_one_never_again(stack: Stack) -> None:
    told = play(stack, play_card)
    assert (told["proof"]["her_day"], told["proof"]["another_day"]) == ("CONFIRMED", "NOT_TODAY")
    assert told["proof"]["lost_refused_after_s"] <= REVOKED_AT_GATE_SECONDS_MAX
    assert told["proof"]["offline_list_age_s"] >= 1
    assert len(told["steps"]) == 8
