"""From rights and orders to intervals: local days, weekdays, both clock changes, no end."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from cloud.passes.policy import EscortRow, LiveCredential, PolicyContent, custody_rules, overstated
from protocols.documents import CustodyRule
from protocols.passes import Revocations

CHILD, ADULT = UUID(int=1), UUID(int=2)
NUMBERS = {CHILD: 71, ADULT: 52}
TUESDAY = datetime(2026, 9, 1, 3, 0, tzinfo=UTC)
DAY = 86_400


def row(kind: str = "must_not_collect", weekdays: int = 127, starts: datetime | None = None,
        ends: datetime | None = None) -> EscortRow:  # fmt: skip
    return EscortRow(CHILD, ADULT, kind, weekdays, starts, ends)


def rules(one: EscortRow, now: datetime = TUESDAY, zone: str = "Asia/Almaty") -> list[tuple[int, int]]:
    made = custody_rules([one], NUMBERS, zone, now)
    assert all((rule.child, rule.holder, rule.bits) == (71, 52, 2) for rule in made)
    return [(rule.from_, rule.to) for rule in made]


def test_an_order_with_no_end_outlives_the_list_that_carries_it() -> None:
    assert rules(row(starts=TUESDAY)) == [(int(TUESDAY.timestamp()), 2**32 - 1)]


def test_an_order_that_ends_stops_at_its_very_second() -> None:
    end = datetime(2026, 9, 3, 12, 30, 15, tzinfo=UTC)
    [(_, stop)] = rules(row(starts=TUESDAY, ends=end))
    assert stop == int(end.timestamp())


def test_a_right_for_some_weekdays_denies_on_the_others_by_the_local_day() -> None:
    spans = rules(row("may_collect", weekdays=0b0011111))
    saturday = int(datetime(2026, 9, 4, 19, 0, tzinfo=UTC).timestamp())  # 5 September, 00:00 in Almaty
    assert spans == [(saturday, saturday + 2 * DAY)]


@pytest.mark.parametrize(
    ("now", "hours"), [(datetime(2026, 3, 27, tzinfo=UTC), 23), (datetime(2026, 10, 23, tzinfo=UTC), 25)]
)
def test_the_sunday_of_a_clock_change_is_as_long_as_it_is(now: datetime, hours: int) -> None:
    [(start, stop)] = rules(row("may_collect", weekdays=0b0111111), now, "Europe/Paris")[:1]
    assert (stop - start) / 3600 == hours


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


def test_a_list_that_does_not_fit_is_noticed_before_it_is_signed() -> None:
    assert PolicyContent(custody=tuple(CustodyRule(n, 1, 2, 0, 9) for n in range(1, 1000))).fits
    assert not PolicyContent(custody=tuple(CustodyRule(n, 1, 2, 0, 9) for n in range(1, 3000))).fits
