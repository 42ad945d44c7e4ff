"""From rights and orders to intervals: local days, weekdays, both clock changes, no end."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from cloud.passes.policy import (
    EscortRow,
    LiveCredential,
    PolicyContent,
    custody_rules,
    denied_for_good,
    overstated,
)
from cloud.people.model import CustodyCalendar, CustodyException
from protocols.documents import RULE_ASK as ASK
from protocols.documents import RULE_IN as IN
from protocols.documents import RULE_OUT as OUT
from protocols.documents import CustodyRule
from protocols.limits import UINT32_MAX
from protocols.passes import Revocations

CHILD, ADULT = UUID(int=1), UUID(int=2)
NUMBERS = {CHILD: 71, ADULT: 52}
TUESDAY = datetime(2026, 9, 1, 3, 0, tzinfo=UTC)
DAY = 86_400


def day(year: int, month: int, number: int) -> int:
    return int(datetime(year, month, number, tzinfo=UTC).timestamp())


def row(kind: str = "must_not_collect", weekdays: int = 127, starts: datetime | None = None,
        ends: datetime | None = None, **more: bool) -> EscortRow:  # fmt: skip
    return EscortRow(CHILD, ADULT, kind, weekdays, starts, ends, **more)


def rules(*rows: EscortRow, now: datetime = TUESDAY, zone: str = "Asia/Almaty", bits: int = OUT
          ) -> list[tuple[int, int]]:  # fmt: skip
    made = [rule for rule in custody_rules(rows, NUMBERS, zone, now) if rule.holder]
    assert all((rule.child, rule.holder, rule.bits) == (71, 52, bits) for rule in made)
    return [(rule.from_, rule.to) for rule in made]


def test_an_order_with_no_end_outlives_the_list_that_carries_it() -> None:
    assert rules(row(starts=TUESDAY)) == [(0, UINT32_MAX)]


def test_while_an_order_runs_staff_let_the_child_go_whoever_comes() -> None:
    end = datetime(2026, 9, 3, tzinfo=UTC)
    made = custody_rules([row(starts=TUESDAY, ends=end)], NUMBERS, "UTC", TUESDAY)
    [rule] = [rule for rule in made if not rule.holder]
    assert (rule.child, rule.bits, rule.from_, rule.to) == (
        71, OUT | ASK, int(TUESDAY.timestamp()), int(end.timestamp()))  # fmt: skip


def test_an_order_that_ends_gives_no_right_back() -> None:
    assert rules(row(starts=TUESDAY, ends=datetime(2026, 9, 3, tzinfo=UTC))) == [(0, UINT32_MAX)]


def test_a_right_given_again_after_an_order_holds_from_its_very_second() -> None:
    end = datetime(2026, 9, 3, 12, 30, 15, tzinfo=UTC)
    assert rules(row(starts=TUESDAY, ends=end), row("may_collect", starts=end)) == [(0, int(end.timestamp()))]


def test_a_guardian_under_an_order_may_bring_the_child_and_another_escort_may_not() -> None:
    assert rules(row(starts=TUESDAY, guardian=True), bits=OUT)
    assert rules(row(starts=TUESDAY, guardian=False), bits=OUT | IN)


def test_an_order_that_hides_the_child_refuses_bringing_as_well() -> None:
    made = [rule for rule in custody_rules([row(starts=TUESDAY, hides=True)], NUMBERS, "UTC", TUESDAY) if rule.holder]
    begins = int(TUESDAY.timestamp())
    assert [(rule.bits, rule.from_, rule.to) for rule in made] == [
        (OUT, 0, UINT32_MAX), (OUT | IN, begins, UINT32_MAX)]  # fmt: skip


def test_a_right_for_some_weekdays_asks_on_the_others_by_the_local_day() -> None:
    spans = rules(row("may_collect", weekdays=0b0011111), bits=OUT | ASK)
    saturday = int(datetime(2026, 9, 4, 19, 0, tzinfo=UTC).timestamp())  # 5 September, 00:00 in Almaty
    assert spans == [(saturday, saturday + 2 * DAY)]


def test_a_right_for_today_is_denied_from_the_second_at_which_it_ends() -> None:
    closes = TUESDAY + timedelta(hours=10)
    assert rules(row("may_collect", starts=TUESDAY, ends=closes)) == [(int(closes.timestamp()), UINT32_MAX)]


def test_a_right_that_ends_after_the_horizon_denies_nothing_yet() -> None:
    assert rules(row("may_collect", starts=TUESDAY - timedelta(days=9), ends=TUESDAY + timedelta(days=40))) == []


def test_half_a_second_is_never_given_and_never_kept_back() -> None:
    half = timedelta(milliseconds=500)
    told = rules(row("may_collect", starts=TUESDAY + half, ends=TUESDAY + timedelta(days=1) + half))
    assert told == [(0, int(TUESDAY.timestamp()) + 1), (int(TUESDAY.timestamp()) + DAY, UINT32_MAX)]


@pytest.mark.parametrize(
    ("now", "hours"), [(datetime(2026, 3, 27, tzinfo=UTC), 23), (datetime(2026, 10, 23, tzinfo=UTC), 25)]
)
def test_the_sunday_of_a_clock_change_is_as_long_as_it_is(now: datetime, hours: int) -> None:
    sundays_not = row("may_collect", weekdays=0b0111111)
    [(start, stop)] = rules(sundays_not, now=now, zone="Europe/Paris", bits=OUT | ASK)[:1]
    assert (stop - start) / 3600 == hours


def weeks(denies: bool = False, cycle: tuple[int, ...] = (127, 0), last_day: date | None = None) -> CustodyCalendar:
    return CustodyCalendar(CHILD, ADULT, "", "", cycle, date(2026, 8, 31), denies, date(2026, 8, 1), last_day)


@pytest.mark.parametrize(("denies", "bits"), [(False, OUT | ASK), (True, OUT)])
def test_the_other_parents_week_asks_or_denies_as_the_calendar_says(denies: bool, bits: int) -> None:
    made = custody_rules([row("may_collect")], NUMBERS, "UTC", TUESDAY, [weeks(denies)])
    assert [(rule.bits, rule.from_, rule.to) for rule in made] == [
        (bits, day(2026, 9, 7), day(2026, 9, 12))]


def test_an_exception_goes_before_the_week() -> None:
    told = [CustodyException(CHILD, ADULT, date(2026, 9, number), has) for number, has in ((8, True), (3, False))]
    made = custody_rules([row("may_collect")], NUMBERS, "UTC", TUESDAY, [weeks()], told)
    assert [(rule.from_, rule.to) for rule in made] == [
        (day(2026, 9, 3), day(2026, 9, 4)), (day(2026, 9, 7), day(2026, 9, 8)), (day(2026, 9, 9), day(2026, 9, 12))]


def test_a_calendar_that_ended_asks_nobody() -> None:
    assert custody_rules([row("may_collect")], NUMBERS, "UTC", TUESDAY, [weeks(last_day=date(2026, 9, 7))]) == ()


def test_a_full_right_and_a_stranger_to_the_site_make_no_rule() -> None:
    assert rules(row("may_collect")) == []
    assert custody_rules([row()], {CHILD: 71}, "UTC", TUESDAY) == ()


def test_the_same_content_has_the_same_digest_all_day_and_another_the_next() -> None:
    some = row("may_collect", weekdays=1)
    digests = [PolicyContent(custody=custody_rules([some], NUMBERS, "UTC", at)).digest
               for at in (TUESDAY, TUESDAY.replace(hour=23), TUESDAY.replace(day=9))]  # fmt: skip
    assert digests[0] == digests[1] != digests[2]


def test_every_part_of_the_content_moves_the_digest() -> None:
    contents = [
        PolicyContent(), PolicyContent(Revocations(ctis=frozenset({bytes(8)}))),
        PolicyContent(Revocations(thumbs=frozenset({bytes(8)}))), PolicyContent(Revocations(holders={1: 2})),
        PolicyContent(Revocations(kids=frozenset({bytes(4)}))), PolicyContent(custody=(CustodyRule(1, 2, 2, 3, 4),)),
    ]  # fmt: skip
    assert len({content.digest for content in contents}) == len(contents)


def test_a_credential_that_says_more_than_is_true_now_is_found() -> None:
    cards = [LiveCredential(b"a" * 8, 52, ((71, 3),)), LiveCredential(b"b" * 8, 52, ((71, 1),)),
             LiveCredential(b"c" * 8, 53, ((71, 1),))]  # fmt: skip
    assert overstated(cards, {(52, 71): 1}) == {b"a" * 8, b"c" * 8}
    assert overstated(cards[:2], {(52, 71): 3}) == set()


def test_who_must_not_collect_one_child_keeps_the_same_card_for_the_others() -> None:
    cards = [LiveCredential(b"a" * 8, 52, ((71, 3), (72, 3)))]
    held = {(52, 71): 1, (52, 72): 3}
    assert overstated(cards, held) == {b"a" * 8}
    for_good = denied_for_good([CustodyRule(71, 52, OUT, 0, UINT32_MAX)], TUESDAY)
    assert overstated(cards, held, for_good) == set()
    assert overstated(cards, {(52, 72): 3}, for_good) == {b"a" * 8}, "bringing is not denied by the rule"


@pytest.mark.parametrize("rule", [
    CustodyRule(71, 52, OUT, 0, int(TUESDAY.timestamp()) + 9), CustodyRule(71, 52, OUT | ASK, 0, UINT32_MAX),
    CustodyRule(71, 52, OUT, int(TUESDAY.timestamp()) + 9, UINT32_MAX),
])  # fmt: skip
def test_a_rule_that_ends_or_asks_or_has_not_begun_revokes_instead(rule: CustodyRule) -> None:
    assert denied_for_good([rule], TUESDAY) == {}


def test_a_list_that_does_not_fit_is_noticed_before_it_is_signed() -> None:
    assert PolicyContent(custody=tuple(CustodyRule(n, 1, 2, 0, 9) for n in range(1, 1000))).fits
    assert not PolicyContent(custody=tuple(CustodyRule(n, 1, 2, 0, 9) for n in range(1, 3000))).fits


def test_the_list_of_a_school_of_400_children_keeps_well_within_its_size() -> None:
    """Every fifth child with weeks in turn, every second with an escort for Tuesdays, every tenth with a dated one."""
    rows: list[EscortRow] = []
    calendars: list[CustodyCalendar] = []
    began = TUESDAY - timedelta(days=9)
    numbers = {UUID(int=number): number for number in range(1, 4_000)}
    people = iter(numbers)
    for number in range(400):
        child = next(people)
        for cycle in ((0b0011111, 0b1100000), (0b1100000, 0b0011111)) if number % 5 == 0 else ():
            parent = next(people)
            rows.append(EscortRow(child, parent, "may_collect", 127, began, None))
            monday = date(2026, 8, 31)
            calendars.append(CustodyCalendar(child, parent, "", "", cycle, monday, False, began.date(), None))
        if number % 2 == 0:
            rows.append(EscortRow(child, next(people), "may_collect", 0b10, began, None, False))
        if number % 10 == 0:
            rows.append(EscortRow(child, next(people), "may_collect", 127, began, TUESDAY + timedelta(days=3), False))
        if number % 50 == 0:
            rows.append(EscortRow(child, next(people), "must_not_collect", 127, began, None, False))
    made = PolicyContent(custody=custody_rules(rows, numbers, "Asia/Almaty", TUESDAY, calendars))
    assert made.fits and 500 < len(made.custody) < 1_000
