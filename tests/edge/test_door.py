"""The door's pulses: a bounded time, lengthened by the next family, never shortened."""

from hypothesis import given
from hypothesis import strategies as st

from edge.door import UNLOCKED_MS_MAX, Door, DoorState, Pulse, open_door


def test_a_door_is_shut_until_it_is_opened_and_shut_again_after_its_time() -> None:
    door, pulse = open_door(Door(), 1_000, 3_000)
    assert pulse == Pulse(3_000)
    assert Door().state(1_000) is DoorState.SHUT
    assert door.state(3_999) is DoorState.UNLOCKED
    assert door.state(4_000) is DoorState.SHUT


def test_the_next_family_lengthens_the_pulse() -> None:
    door, _ = open_door(Door(), 0, 3_000)
    door, pulse = open_door(door, 2_000, 3_000)
    assert pulse == Pulse(3_000)
    assert door.state(4_999) is DoorState.UNLOCKED
    assert door.pulses == 2


def test_a_shorter_pulse_does_not_shut_the_door_on_the_family_before() -> None:
    door, _ = open_door(Door(), 0, 10_000)
    door, pulse = open_door(door, 1_000, 500)
    assert pulse == Pulse(9_000)
    assert door.state(9_999) is DoorState.UNLOCKED


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(200, 30_000)), max_size=60))
def test_one_run_of_pulses_never_exceeds_its_bound(steps: list[tuple[int, int]]) -> None:
    door, now = Door(), 1
    for waited, open_ms in steps:
        now += waited
        door, pulse = open_door(door, now, open_ms)
        assert door.until_ms - door.since_ms <= UNLOCKED_MS_MAX
        assert pulse is None or 0 < pulse.milliseconds <= UNLOCKED_MS_MAX
