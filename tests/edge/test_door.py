"""The door's machine: the whole table as docs/door.md prints it, and each rule by itself."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from edge.door import (
    GRACE_MS,
    HOLD_MS,
    RELOCK_MS,
    UNLOCKED_MS_MAX,
    Door,
    Happening,
    Leaf,
    Level,
    Mode,
    Times,
    Told,
    step,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "door.md"
NOW = 1_000_000
TIMES = Times()
CLOSED = Door(leaf=Leaf.CLOSED)

MODES: dict[str, dict] = {
    "locked": {},
    "accessed": {"since": NOW, "until": NOW + TIMES.access, "reason_until": NOW + TIMES.access + GRACE_MS},
    "unlocked": {"hours": True},
    "locked down": {"level": Level.LOCKDOWN},
    "free": {"level": Level.FREE},
    "fire": {"fire": True},
}
CANNOT_BE = {(leaf, mode) for leaf in (Leaf.FORCED, Leaf.HELD_OPEN) for mode in ("unlocked", "free", "fire")}


def door_in(leaf: Leaf, mode: str) -> Door:
    """A door as it stands in one cell's row and column."""
    door = Door(leaf=leaf, **MODES[mode])
    may_stay = mode in ("unlocked", "free", "fire")
    return replace(door, held_at=NOW + TIMES.held) if leaf is Leaf.OPEN and not may_stay else door


def cell(leaf: Leaf, mode: str, happening: Happening) -> str:
    """What one happening does: the new leaf and mode where they change, and what is told."""
    if (leaf, mode) in CANNOT_BE:
        return ""
    door, now = door_in(leaf, mode), NOW + (TIMES.held if happening is Happening.TIME else 0)
    after, told = step(door, happening, now, TIMES)
    before = (door.leaf.value, door.mode(NOW).value)
    then = (after.leaf.value, after.mode(now).value)
    words = [new for old, new in zip(before, then, strict=True) if new != old]
    if after.strike_ms(now) > door.strike_ms(NOW):
        words.append("power")
    return " ".join([*words, *(f"*{one.value}*" for one in told)]) or "·"


def drawn() -> str:
    """The table of docs/door.md: a part for each leaf, a row for each happening, a column for each mode."""
    lines: list[str] = []
    for leaf in Leaf:
        lines += ["", f"**{leaf.value.replace('_', ' ')}**", "", f"| | {' | '.join(MODES)} |", "|---" * 7 + "|"]
        for happening in Happening:
            cells = [cell(leaf, mode, happening) for mode in MODES]
            if set(cells) - {"·", ""}:
                lines.append(f"| {happening.value} | {' | '.join(cells)} |")
    return "\n".join(lines).strip()


def test_the_document_prints_the_table_that_the_code_follows() -> None:
    found = re.search(r"<!-- table -->\n(.*?)\n<!-- end -->", DOCUMENT.read_text(), re.DOTALL)
    assert found and found.group(1).strip() == drawn(), f"docs/door.md wants this table:\n{drawn()}"


@pytest.mark.parametrize("happening", Happening)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("leaf", Leaf)
def test_in_every_cell_power_has_a_reason_and_an_end(leaf: Leaf, mode: str, happening: Happening) -> None:
    for tampered, faulty in ((False, False), (True, False), (False, True)):
        for now in (NOW, NOW + 400, NOW + TIMES.access, NOW + 10**7):
            door = replace(door_in(leaf, mode), tampered=tampered, faulty=faulty)
            after, told = step(door, happening, now, TIMES)
            given = after.mode(now)
            assert (after.strike_ms(now) > 0) == (given in (Mode.ACCESSED, Mode.UNLOCKED, Mode.FREE))
            assert after.strike_ms(now) <= max(HOLD_MS, UNLOCKED_MS_MAX)
            assert (given is Mode.FREE) == (after.level is Level.FREE)
            assert (Told.FORCED in told) == (after.leaf is Leaf.FORCED and leaf is not Leaf.FORCED)
            assert after.tampered == (
                happening is Happening.TAMPER or (tampered and happening is not Happening.TAMPER_OVER)
            )


def run(*steps: tuple[int, Happening], door: Door = CLOSED, times: Times = TIMES) -> tuple[Door, list[Told]]:
    told: list[Told] = []
    for now, happening in steps:
        door, more = step(door, happening, now, times)
        told += more
    return door, told


def test_a_door_is_locked_until_it_is_opened_and_again_after_its_time() -> None:
    assert CLOSED.mode(NOW) is Mode.LOCKED and CLOSED.strike_ms(NOW) == 0
    door, told = run((1_000, Happening.GRANTED))
    assert (door.strike_ms(1_000), door.strike_ms(3_999), door.strike_ms(4_000), told) == (3_000, 1, 0, [])


def test_the_next_family_lengthens_the_access_and_never_shortens_it() -> None:
    door, _ = run((0, Happening.GRANTED_LONGER), (2_000, Happening.GRANTED))
    assert (door.until, door.pulses) == (10_000, 2)
    door, _ = run((0, Happening.GRANTED), (2_000, Happening.GRANTED))
    assert door.until == 5_000


def test_families_close_behind_one_another_end_at_the_bound() -> None:
    door, _ = run(*[(number * 2_000, Happening.GRANTED) for number in range(15)])
    assert door.until == UNLOCKED_MS_MAX


def test_opening_the_door_ends_the_access_so_that_nobody_follows() -> None:
    door, told = run((1_000, Happening.GRANTED), (1_500, Happening.OPENED))
    assert (door.leaf, door.strike_ms(1_500)) == (Leaf.OPEN, RELOCK_MS)
    assert told == []
    followed, told = run((2_500, Happening.CLOSED), (3_600, Happening.OPENED), door=door)
    assert (followed.leaf, told) == (Leaf.FORCED, [Told.FORCED])


def test_a_site_may_keep_the_door_unlocked_for_the_whole_access_time() -> None:
    door, _ = run((1_000, Happening.GRANTED), (1_500, Happening.OPENED), times=replace(TIMES, lock_when_opened=False))
    assert door.strike_ms(1_500) == 2_500


def test_who_needs_longer_has_longer_to_reach_the_door_and_to_pass_it() -> None:
    door, told = run((0, Happening.GRANTED_LONGER), (9_000, Happening.OPENED), (9_000 + TIMES.held, Happening.TIME))
    assert (door.leaf, told) == (Leaf.OPEN, [])
    door, told = run((9_000 + TIMES.held_longer, Happening.TIME), door=door)
    assert (door.leaf, told) == (Leaf.HELD_OPEN, [Told.HELD_OPEN])


def test_an_open_door_is_warned_of_before_it_is_an_alarm_and_once() -> None:
    door, told = run((0, Happening.EXIT), (100, Happening.OPENED))
    warning = 100 + TIMES.held - TIMES.pre_alarm
    door, told = run(*[(warning + number * 100, Happening.TIME) for number in range(5)], door=door)
    assert told == [Told.PRE_ALARM]
    door, told = run((100 + TIMES.held, Happening.TIME), (90_000, Happening.CLOSED), door=door)
    assert (door.leaf, told) == (Leaf.CLOSED, [Told.HELD_OPEN, Told.HELD_OPEN_OVER])


def test_leaving_by_the_wired_button_is_no_forced_door_and_gives_no_power() -> None:
    door, told = run((0, Happening.EXIT), (TIMES.exit - 1, Happening.OPENED))
    assert (door.leaf, told, door.strike_ms(TIMES.exit - 1)) == (Leaf.OPEN, [], 0)
    door, told = run((0, Happening.EXIT), (TIMES.exit, Happening.OPENED))
    assert (door.leaf, told) == (Leaf.FORCED, [Told.FORCED])


def test_where_no_exit_is_observed_no_opening_is_called_forced() -> None:
    door, told = run((0, Happening.OPENED), times=replace(TIMES, exit_observed=False))
    assert (door.leaf, told) == (Leaf.OPEN, [])


def test_a_door_found_open_at_the_start_is_not_forced_and_is_held_open_in_time() -> None:
    door, told = run((0, Happening.OPENED), (TIMES.held, Happening.TIME), door=Door())
    assert told == [Told.HELD_OPEN]


def test_a_door_that_falls_shut_may_bounce() -> None:
    left = ((0, Happening.EXIT), (100, Happening.OPENED))
    door, told = run(*left, (20_000, Happening.CLOSED), (20_300, Happening.OPENED))
    assert (door.leaf, told) == (Leaf.OPEN, [])


def test_who_was_accepted_and_did_not_come_in_is_told() -> None:
    assert run((0, Happening.GRANTED), (3_000, Happening.TIME))[1] == [Told.NOT_OPENED]
    assert run((0, Happening.GRANTED), (3_000, Happening.TIME), door=Door())[1] == []


def test_a_lockdown_ends_what_was_granted_and_refuses_the_next() -> None:
    door, _ = run((0, Happening.GRANTED), (500, Happening.SITE_LOCKDOWN))
    assert door.strike_ms(500) == 0
    door, _ = run((600, Happening.GRANTED), door=door)
    assert (door.mode(600), door.strike_ms(600)) == (Mode.LOCKED_DOWN, 0)
    released, _ = run((700, Happening.RELEASED), door=door)
    assert (released.mode(700), released.strike_ms(700)) == (Mode.ACCESSED, TIMES.access)


def test_a_lockdown_with_the_door_standing_open_is_told_at_once() -> None:
    door, told = run((0, Happening.EXIT), (100, Happening.OPENED), (200, Happening.SITE_LOCKDOWN))
    assert told == [Told.HELD_OPEN]


def test_evacuation_keeps_the_door_unlocked_and_nothing_is_an_alarm() -> None:
    steps = [(0, Happening.SITE_FREE), (100, Happening.OPENED), (10**6, Happening.TIME), (10**6, Happening.CLOSED)]
    door, told = run(*steps)
    assert told == [] and all(door.strike_ms(now) == HOLD_MS for now in (0, 10**6, 10**9))


def test_a_fire_is_only_observed_it_gives_no_power_and_nobody_who_flees_is_an_alarm() -> None:
    for level in ((), ((0, Happening.SITE_LOCKDOWN),)):
        door, told = run(*level, (1, Happening.FIRE), (2, Happening.OPENED), (10**6, Happening.TIME))
        assert (door.leaf, door.strike_ms(2), told) == (Leaf.OPEN, 0, [Told.FIRE])


def test_the_worst_that_is_true_is_the_one_word_of_the_door() -> None:
    door, told = run((0, Happening.TAMPER), (1, Happening.FAULT))
    assert (door.state, told) == ("fault", [Told.TAMPER, Told.FAULT])
    assert run((2, Happening.FAULT_OVER), door=door)[0].state == "tamper"
