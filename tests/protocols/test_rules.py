"""rules.judge against the table of P-3 (e) to (g): one sentence of the page, one test."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.documents import CustodyRule, Mode, PolicyList
from protocols.events import Flag
from protocols.reasons import Reason
from protocols.rules import Before, Circumstances, Hours, Request, Verdict, flags_of, judge, judge_site

NOW = 1_790_000_000
ADA, BEN, CHI = 1001, 1002, 1003
IN, OUT = 1, 2
UTC_HOURS = Hours(UTC)


def a_list(*custody: CustodyRule, iat: int = NOW - 60, next_update: int = NOW + 86_400) -> PolicyList:
    return PolicyList(101, 1, iat, next_update, custody=custody)


def known(presence: Mapping[int, int] | None = None, **changes: Any) -> Circumstances:
    right = {"at": NOW, "hours": UTC_HOURS, "presence": (presence or {}).get, "policy": a_list(), "departures": "pass"}
    return Circumstances(**{**right, **changes})


def arrival(*children: tuple[int, int], **changes: Any) -> Request:
    return Request(500, IN, children or ((ADA, 3),), **changes)


def departure(*children: tuple[int, int], **changes: Any) -> Request:
    return Request(500, OUT, children or ((ADA, 3),), **changes)


def rule(bits: int, child: int = ADA, holder: int = 0, from_: int = 0, to: int = 2**32 - 1) -> CustodyRule:
    return CustodyRule(child, holder, bits, from_, to)


PRESENT, GONE = {ADA: IN, BEN: IN, CHI: IN}, {ADA: OUT}


# --- (e) site ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [arrival(), departure()], ids=["arrival", "departure"])
def test_lockdown_stops_arrivals_and_departures(request_: Request) -> None:
    assert judge(request_, known(PRESENT, mode=Mode.LOCKDOWN)).code == "LOCKDOWN"


def test_lockdown_stands_before_the_hours_and_before_the_children() -> None:
    shut = Hours(UTC, ((0, 1),))
    assert judge(arrival((ADA, 2)), known(mode=Mode.LOCKDOWN, hours=shut)).code == "LOCKDOWN"
    assert judge(arrival((ADA, 2)), known(hours=shut)).code == "CLOSED"


def test_an_arrival_on_a_holiday_is_closed_and_a_departure_is_not() -> None:
    assert judge_site(IN, known(mode=Mode.HOLIDAY)) == "CLOSED"
    assert judge_site(OUT, known(mode=Mode.HOLIDAY)) is None


@pytest.mark.parametrize(
    ("clock", "code"),
    [
        ("06:59:59", "CLOSED"),
        ("07:00:00", "OPEN"),
        ("18:59:59", "OPEN"),
        ("19:00:00", "CLOSED"),
        ("00:00:00", "CLOSED"),
    ],
)
def test_the_end_of_the_hours_is_excluded(clock: str, code: str) -> None:
    at = datetime.fromisoformat(f"2026-09-21T{clock}+00:00").timestamp()
    hours = Hours(UTC, ((7 * 3600, 19 * 3600),))
    assert judge(arrival(), known(at=at, hours=hours, policy=a_list(iat=int(at), next_update=int(at) + 9))).code == code


@pytest.mark.parametrize(
    ("utc", "code"),
    [
        ("2026-03-27T05:59:59", "CLOSED"),  # Friday before the change: Paris is UTC+1, 06:59:59
        ("2026-03-27T06:00:00", "OPEN"),
        ("2026-03-30T04:59:59", "CLOSED"),  # Monday after it: UTC+2
        ("2026-03-30T05:00:00", "OPEN"),
        ("2026-10-23T05:00:00", "OPEN"),  # before autumn's change
        ("2026-10-26T05:59:59", "CLOSED"),  # after it
        ("2026-10-26T06:00:00", "OPEN"),
    ],
)
def test_hours_follow_the_wall_clock_of_the_site_over_both_changes(utc: str, code: str) -> None:
    at = datetime.fromisoformat(utc + "+00:00").timestamp()
    hours = Hours(ZoneInfo("Europe/Paris"), ((7 * 3600, 8 * 3600),))
    assert (judge_site(IN, known(at=at, hours=hours)) or "OPEN") == code


def test_the_repeated_hour_of_autumn_is_open_twice_and_the_missing_one_of_spring_never() -> None:
    night = Hours(ZoneInfo("Europe/Paris"), ((2 * 3600, 3 * 3600),))
    autumn = datetime(2026, 10, 25, tzinfo=UTC).timestamp()
    assert [night.contain(autumn + minutes * 60) for minutes in (-1, 30, 90, 120)] == [False, True, True, False]
    spring = datetime(2026, 3, 29, tzinfo=UTC).timestamp()
    assert not any(night.contain(spring + minutes * 60) for minutes in range(-60, 180))


def test_the_school_day_is_the_sites_local_date() -> None:
    at = datetime(2026, 9, 21, 20, 0, tzinfo=UTC).timestamp()
    assert Hours(ZoneInfo("Asia/Almaty")).school_day(at).isoformat() == "2026-09-22"
    assert UTC_HOURS.school_day(at).isoformat() == "2026-09-21"


def test_a_late_departure_asks_staff_and_is_not_closed() -> None:
    assert judge(departure(), known(PRESENT, hours=Hours(UTC, ((0, 1),)))).code == "STAFF_CONFIRM"


# --- (f) children -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "code"),
    [(arrival((ADA, 1)), "OPEN"), (arrival((ADA, 2)), "NOT_ALLOWED"), (departure((ADA, 2)), "OPEN"),
    (departure((ADA, 1)), "NOT_ALLOWED"),
     (arrival((ADA, 4)), "NOT_ALLOWED"), (departure((ADA, 4)), "NOT_ALLOWED")],
)  # fmt: skip
def test_perms_that_lack_the_direction_are_not_allowed(request_: Request, code: str) -> None:
    presence = PRESENT if request_.direction == OUT else {}
    assert judge(request_, known(presence)).code == code


@pytest.mark.parametrize(
    ("the_rule", "direction", "code"),
    [
        (rule(1), IN, "CUSTODY"), (rule(1), OUT, "OPEN"), (rule(2), OUT, "CUSTODY"), (rule(2), IN, "OPEN"),
        (rule(3), IN, "CUSTODY"), (rule(3), OUT, "CUSTODY"), (rule(5), IN, "STAFF_CONFIRM"), (rule(5), OUT, "OPEN"),
        (rule(6), OUT, "STAFF_CONFIRM"), (rule(7), IN, "STAFF_CONFIRM"), (rule(4), IN, "OPEN"), (rule(4), OUT, "OPEN"),
        (rule(3, holder=500), IN, "CUSTODY"), (rule(3, holder=501), IN, "OPEN"), (rule(3, child=BEN), IN, "OPEN"),
    ],
)  # fmt: skip
def test_a_custody_rule_denies_or_asks_in_its_directions_for_its_child_and_holder(
    the_rule: CustodyRule, direction: int, code: str
) -> None:
    asked = arrival() if direction == IN else departure()
    assert judge(asked, known(PRESENT if direction == OUT else {}, policy=a_list(the_rule))).code == code


@pytest.mark.parametrize(
    ("at", "code"), [(NOW - 1, "OPEN"), (NOW, "CUSTODY"), (NOW + 9, "CUSTODY"), (NOW + 10, "OPEN")]
)
def test_a_custody_rule_runs_from_its_first_second_to_before_its_last(at: int, code: str) -> None:
    assert judge(arrival(), known(at=at, policy=a_list(rule(1, from_=NOW, to=NOW + 10)))).code == code


@pytest.mark.parametrize("order", [1, -1])
def test_a_rule_that_denies_counts_before_one_that_asks(order: int) -> None:
    rules = [rule(5), rule(1)][::order]
    assert judge(arrival(), known(policy=a_list(*rules))).code == "CUSTODY"


def test_with_an_untrusted_clock_a_denial_counts_whatever_its_interval_and_an_asking_rule_still_only_asks() -> None:
    past, asking = rule(1, from_=1, to=2), rule(5, from_=1, to=2)
    assert judge(arrival(), known(policy=a_list(past), clock="untrusted")).code == "CUSTODY"
    assert judge(arrival(), known(policy=a_list(past), clock="holdover")).code == "OPEN"
    assert judge(arrival(), known(policy=a_list(asking), clock="untrusted")).code == "STAFF_CONFIRM"


@pytest.mark.parametrize(
    ("request_", "presence", "code"),
    [(arrival(), {ADA: IN}, "PASSBACK"), (arrival(), {ADA: OUT}, "OPEN"), (arrival(), {}, "OPEN"), (departure(),
    {ADA: OUT}, "PASSBACK"),
     (departure(), {ADA: IN}, "OPEN"), (departure(), {}, "STAFF_CONFIRM")],
)  # fmt: skip
def test_presence_decides_between_passback_open_and_asking_staff(request_: Request, presence: dict, code: str) -> None:
    assert judge(request_, known(presence)).code == code


def test_permission_stands_before_custody_custody_before_presence_and_presence_before_what_asks() -> None:
    here, denied, asks = {ADA: IN}, a_list(rule(1)), a_list(rule(5))
    assert judge(arrival((ADA, 6)), known(here, policy=denied)).code == "NOT_ALLOWED"
    assert judge(arrival((ADA, 7)), known(here, policy=denied)).code == "CUSTODY"
    assert judge(arrival((ADA, 7)), known(here, policy=asks)).code == "PASSBACK"
    assert judge(arrival((ADA, 7)), known()).code == judge(arrival(), known(policy=asks)).code == "STAFF_CONFIRM"


def test_the_same_request_again_is_same_as_before_after_permission_and_custody_and_before_presence() -> None:
    here, before = {ADA: IN}, Before(frozenset({ADA}))
    assert judge(arrival(), known(here), before).code == "SAME_AS_BEFORE"
    assert judge(arrival(), known(here)).code == "PASSBACK"
    assert judge(arrival((ADA, 2)), known(here), before).code == "NOT_ALLOWED"
    assert judge(arrival(), known(here, policy=a_list(rule(1))), before).code == "CUSTODY"


def test_a_child_refused_the_first_time_does_not_make_the_same_request_another() -> None:
    before = Before(frozenset({ADA}), frozenset({BEN}))
    assert judge(arrival((ADA, 3), (BEN, 2)), known({ADA: IN}), before).code == "SAME_AS_BEFORE"


# --- several children -------------------------------------------------------------------------------------------


def test_of_an_arrival_those_who_may_enter_and_the_others_are_listed() -> None:
    verdict = judge(arrival((ADA, 2), (BEN, 3), (CHI, 7)), known())
    assert verdict == Verdict(Reason.OPEN, (BEN,), ((ADA, Reason.NOT_ALLOWED), (CHI, Reason.STAFF_CONFIRM)))


def test_of_an_arrival_of_which_none_may_enter_the_first_childs_code_answers() -> None:
    assert judge(arrival((ADA, 2), (BEN, 7)), known()).code == "NOT_ALLOWED"
    assert judge(arrival((BEN, 7), (ADA, 2)), known()).code == "STAFF_CONFIRM"
    assert judge(arrival((BEN, 3), (ADA, 2)), known({BEN: IN})).code == "PASSBACK"


@pytest.mark.parametrize("children", [((ADA, 3), (BEN, 1)), ((BEN, 1), (ADA, 3)), ((BEN, 1), (ADA, 7))])
def test_a_departure_of_whom_some_may_not_leave_asks_staff_and_nobody_leaves(children: tuple) -> None:
    verdict = judge(departure(*children), known(PRESENT))
    assert (verdict.code, verdict.allowed) == (Reason.STAFF_CONFIRM, ())
    assert (BEN, Reason.NOT_ALLOWED) in verdict.refused


def test_a_departure_of_whom_all_may_leave_opens_and_of_whom_none_may_answers_for_the_first() -> None:
    assert judge(departure((ADA, 3), (BEN, 3)), known(PRESENT)).allowed == (ADA, BEN)
    denied = a_list(rule(2, child=BEN))
    assert judge(departure((ADA, 1), (BEN, 3)), known(PRESENT, policy=denied)).code == "NOT_ALLOWED"
    assert judge(departure((BEN, 3), (ADA, 1)), known(PRESENT, policy=denied)).code == "CUSTODY"


@pytest.mark.parametrize("children", [((ADA, 3), (BEN, 2)), ((BEN, 2), (ADA, 3))])
def test_freshness_is_asked_after_the_children_so_one_who_may_enter_makes_an_arrival_wait(children: tuple) -> None:
    verdict = judge(arrival(*children, card=True), known())
    assert (verdict.code, verdict.allowed, verdict.refused) == ("STAFF_CONFIRM", (), ((BEN, Reason.NOT_ALLOWED),))


# --- (g) freshness, staff ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "arrives", "leaves"),
    [
        ({}, "OPEN", "OPEN"),
        ({"policy": None}, "STAFF_CONFIRM", "STAFF_CONFIRM"),
        ({"policy": a_list(iat=NOW - 86_400)}, "OPEN", "OPEN"),
        ({"policy": a_list(iat=NOW - 86_401)}, "OPEN", "STAFF_CONFIRM"),
        ({"policy": a_list(next_update=NOW - 4 * 86_400)}, "OPEN", "OPEN"),
        ({"policy": a_list(next_update=NOW - 4 * 86_400 - 1)}, "STAFF_CONFIRM", "OPEN"),
        ({"departures": "staff"}, "OPEN", "STAFF_CONFIRM"),
        ({"bus_up": False}, "OPEN", "OPEN"),
        ({"bus_up": False, "gates_at_site": 2}, "OPEN", "STAFF_CONFIRM"),
        ({"journal_ok": False}, "STAFF_CONFIRM", "STAFF_CONFIRM"),
        ({"clock": "holdover"}, "OPEN", "OPEN"),
        ({"clock": "untrusted"}, "STAFF_CONFIRM", "STAFF_CONFIRM"),
        ({"mode": Mode.EVACUATE}, "OPEN", "OPEN"),
        ({"mode": Mode.FREE}, "OPEN", "OPEN"),
    ],
)
def test_what_makes_staff_be_asked_though_every_child_may(changes: dict, arrives: str, leaves: str) -> None:
    assert judge(arrival(), known({}, **changes)).code == arrives
    assert judge(departure(), known(PRESENT, **changes)).code == leaves


def test_a_card_asks_staff_both_ways() -> None:
    assert (
        judge(arrival(card=True), known()).code == judge(departure(card=True), known(PRESENT)).code == "STAFF_CONFIRM"
    )


def test_with_an_untrusted_clock_hours_and_the_age_of_the_list_are_not_asked() -> None:
    shut, old = Hours(UTC, ((0, 1),)), a_list(iat=1, next_update=2)
    assert judge(arrival(), known(hours=shut, policy=old, clock="untrusted")).asks == ("clock",)


# --- flags ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({}, Flag(0)),
        ({"bus_up": False}, Flag(0)),
        ({"bus_up": False, "gates_at_site": 2}, Flag.REPLAY_BUS_DOWN),
        ({"policy": a_list(next_update=NOW)}, Flag(0)),
        ({"policy": a_list(next_update=NOW - 1)}, Flag.LIST_STALE),
        ({"policy": None}, Flag(0)),
        ({"clock": "holdover"}, Flag.CLOCK_UNSURE),
        ({"clock": "untrusted"}, Flag.CLOCK_UNSURE),
    ],
)
def test_an_acceptance_is_flagged_with_what_it_was_given_in_spite_of(changes: dict, flags: Flag) -> None:
    assert flags_of(known(**changes)) == flags


# --- what holds always ------------------------------------------------------------------------------------------

CHILDREN = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 7)), min_size=1, max_size=4, unique_by=lambda row: row[0]
)
RULES = st.lists(
    st.builds(
        CustodyRule,
        st.integers(1, 4),
        st.sampled_from([0, 500, 501]),
        st.integers(1, 7),
        st.integers(0, 5),
        st.integers(0, 9),
    )
)


@given(
    st.sampled_from([IN, OUT]), CHILDREN, st.dictionaries(st.integers(1, 4), st.sampled_from([IN, OUT])), RULES,
    st.integers(0, 9), st.sampled_from(["ntp", "holdover", "untrusted"]), st.booleans(),
)  # fmt: skip
@settings(max_examples=500)
def test_no_child_passes_against_permission_custody_or_presence(
    direction: int, children: list, presence: dict, rules: list, at: int, clock: str, journal_ok: bool
) -> None:
    policy = a_list(*rules, iat=0, next_update=9)
    circumstances = known(presence, at=at, policy=policy, clock=clock, journal_ok=journal_ok)
    verdict = judge(Request(500, direction, tuple(children)), circumstances)
    assert (verdict.code == Reason.OPEN) == bool(verdict.allowed)
    assert {*verdict.allowed} & {child for child, _ in verdict.refused} == set()
    if verdict.allowed:
        assert clock != "untrusted" and journal_ok
        assert direction == IN or len(verdict.allowed) == len(children)
    for child, perms in children:
        denied = [
            r
            for r in rules
            if r.child == child and r.holder in (0, 500) and r.bits & direction and r.from_ <= at < r.to
        ]
        if child in verdict.allowed:
            assert perms & direction and not perms & 4 and not denied and presence.get(child) != direction
            assert direction == IN or presence.get(child) == IN
