"""Many frames in one process: nothing grows, a camera that freezes, stalls or breaks comes back, each time counted."""

from __future__ import annotations

import pytest

from bench.soak import soak


def test_a_camera_that_freezes_stalls_and_breaks_comes_back_and_each_time_is_told() -> None:
    told = soak(200, life=60)
    assert (told.frames, told.distinct) == (200, 200)
    assert told.troubles == told.restarts_told == 3
    assert told.with_a_code > 100


@pytest.mark.long
def test_a_hundred_thousand_distinct_frames_leave_the_memory_as_it_was() -> None:
    told = soak(100_000)
    print(told)
    assert told.distinct == 100_000
    assert told.troubles == told.restarts_told >= 19
    assert told.slope_mb_per_100_000 < 10
    assert told.memory_mb_end < told.memory_mb_warm + 10
