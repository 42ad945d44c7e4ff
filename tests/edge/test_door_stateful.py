"""Any story of a door: its strike has power only for a reason, never past its deadline; forced means no reason.

The reasons are kept a second time, here, as spans of time: by what was asked, not by how the machine keeps it.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.door import GRACE_MS, HOLD_MS, RELOCK_MS, UNLOCKED_MS_MAX, Door, Happening, Leaf, Times, Told, step

TIMES = Times()
GRANTS = {
    Happening.GRANTED: TIMES.access,
    Happening.GRANTED_LONGER: TIMES.access_longer,
    Happening.RELEASED: TIMES.access,
}


class DoorStory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.door, _ = step(Door(), Happening.CLOSED, 0, TIMES)
        self.told: tuple[Told, ...] = ()
        self.open = self.fire = self.hours = False
        self.level = Happening.SITE_NORMAL
        self.power_from = self.power_to = 0  # the access that runs
        self.excused_to = 0  # until when an opening has been given a reason
        self.well_opened = True
        self.grants = 0

    def happens(self, happening: Happening) -> None:
        self.door, self.told = step(self.door, happening, self.now, TIMES)

    @property
    def may_stay_open(self) -> bool:
        return self.fire or self.level is Happening.SITE_FREE or self.hours and self.level is Happening.SITE_NORMAL

    @rule(milliseconds=st.one_of(st.integers(0, 1_500), st.integers(0, 40_000), st.just(10**7)))
    def time_passes(self, milliseconds: int) -> None:
        if self.may_stay_open:
            self.excused_to = max(self.excused_to, self.now)
        self.now += milliseconds
        self.happens(Happening.TIME)

    @rule(grant=st.sampled_from(list(GRANTS)))
    def somebody_is_let_in(self, grant: Happening) -> None:
        refused = self.level is Happening.SITE_LOCKDOWN and grant is not Happening.RELEASED
        if not refused:
            if self.now >= self.power_to:
                self.power_from = self.power_to = self.now
            self.power_to = min(max(self.now + GRANTS[grant], self.power_to), self.power_from + UNLOCKED_MS_MAX)
            self.excused_to = max(self.excused_to, self.power_to + GRACE_MS)
            self.grants += 1
        self.happens(grant)

    @rule()
    def somebody_presses_exit(self) -> None:
        self.excused_to = max(self.excused_to, self.now + TIMES.exit)
        self.happens(Happening.EXIT)

    @precondition(lambda self: not self.open)
    @rule()
    def the_door_opens(self) -> None:
        self.open = True
        self.well_opened = self.may_stay_open or self.now < max(self.power_to, self.excused_to)
        if self.now < self.power_to:
            self.power_to = min(self.power_to, self.now + RELOCK_MS)
            self.excused_to = self.power_to + GRACE_MS
        self.happens(Happening.OPENED)
        assert (Told.FORCED in self.told) is (not self.well_opened), "forced is told exactly for no reason"

    @precondition(lambda self: self.open)
    @rule()
    def the_door_closes(self) -> None:
        self.open = False
        if self.door.leaf is not Leaf.FORCED:
            self.excused_to = max(self.excused_to, self.now + GRACE_MS)
        self.happens(Happening.CLOSED)
        assert self.door.leaf is Leaf.CLOSED

    @rule(begins=st.booleans())
    def the_fire_line_speaks(self, begins: bool) -> None:
        self._stays_excused()
        self.fire = begins
        self.happens(Happening.FIRE if begins else Happening.FIRE_OVER)

    @rule(begins=st.booleans())
    def unlocked_hours(self, begins: bool) -> None:
        self._stays_excused()
        self.hours = begins
        self.happens(Happening.HOURS_BEGIN if begins else Happening.HOURS_END)

    @rule(level=st.sampled_from([Happening.SITE_NORMAL, Happening.SITE_LOCKDOWN, Happening.SITE_FREE]))
    def the_site_orders(self, level: Happening) -> None:
        if level is Happening.SITE_LOCKDOWN and self.level is not Happening.SITE_LOCKDOWN:
            if self.now < self.power_to or self.may_stay_open:
                self.excused_to = self.now + GRACE_MS
            self.power_to = self.power_from = self.now
        elif level is not Happening.SITE_LOCKDOWN:
            self._stays_excused()
        self.level = level
        self.happens(level)

    @rule(happening=st.sampled_from([Happening.TAMPER, Happening.TAMPER_OVER, Happening.FAULT, Happening.FAULT_OVER]))
    def the_housing_speaks(self, happening: Happening) -> None:
        before = self.door.leaf, self.door.strike_ms(self.now)
        self.happens(happening)
        assert (self.door.leaf, self.door.strike_ms(self.now)) == before

    def _stays_excused(self) -> None:
        if self.may_stay_open:
            self.excused_to = max(self.excused_to, self.now + GRACE_MS)

    @invariant()
    def power_has_a_reason_and_ends_in_time(self) -> None:
        power = self.door.strike_ms(self.now)
        if self.level is Happening.SITE_FREE or self.hours and self.level is Happening.SITE_NORMAL:
            assert power == HOLD_MS
        else:
            assert power == max(0, self.power_to - self.now) <= UNLOCKED_MS_MAX

    @invariant()
    def what_may_stand_open_is_no_alarm_and_what_is_open_is_known(self) -> None:
        assert (self.door.leaf is Leaf.CLOSED) is (not self.open)
        if self.may_stay_open:
            assert not self.door.standing & {Told.FORCED, Told.HELD_OPEN}

    @invariant()
    def every_grant_is_counted_once(self) -> None:
        assert self.door.pulses == self.grants


DoorStory.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_any_story_of_a_door_keeps_its_invariants = DoorStory.TestCase
