"""The cloud judges each pass again by the gate's own rules: it raises an incident and never rejects the fact."""

import pytest

from cloud.attendance.again import Knowledge, differences
from cloud.attendance.facts import read_event
from protocols.documents import CustodyRule
from protocols.events import Detail, Event, Kind
from tests.cast import NOW
from tests.gates import an_arrival, an_event

AT = NOW.timestamp()
MOTHER, CHILD = 5, 7
BOTH = Knowledge({(MOTHER, CHILD): 3})
NO_ORDER: tuple[CustodyRule, ...] = ()
ORDER = (CustodyRule(CHILD, MOTHER, 2, 0, 2**32 - 1),)


def found(event: Event, known: Knowledge, where: int | None = None) -> list[tuple[str, str, str]]:
    reading = read_event(event)
    return [(one.code, one.gate_said, one.cloud_says)
            for one in differences(reading, event.kind, AT, known, {CHILD: where}.get)]  # fmt: skip


def refused(code: str, direction: int = 2) -> Event:
    detail = {Detail.HOLDER: MOTHER, Detail.DIRECTION: direction, Detail.CHILDREN: [[CHILD, 3]], Detail.CODE: code,
              Detail.NOT_TAKEN: [[CHILD, code]]}  # fmt: skip
    return an_event(Kind.REFUSAL, detail=detail)


def confirmed(direction: int = 2) -> Event:
    detail = {Detail.HOLDER: MOTHER, Detail.DIRECTION: direction, Detail.CHILDREN: [[CHILD, 3]]}
    return an_event(Kind.PHONE_PASS, detail={**detail, Detail.CODE: "CONFIRMED", Detail.STAFF: 9})


def test_what_the_cloud_would_have_allowed_is_no_incident() -> None:
    assert found(an_arrival(MOTHER, CHILD), BOTH) == []
    assert found(an_arrival(MOTHER, CHILD, direction=2), BOTH, where=1) == []


def test_a_child_taken_by_someone_with_no_right_is_an_incident() -> None:
    assert found(an_arrival(MOTHER, CHILD), Knowledge()) == [("TAKEN_AGAINST_RULE", "OPEN", "NOT_ALLOWED")]


def test_a_child_taken_against_an_order_is_an_incident_even_when_staff_confirmed() -> None:
    known = Knowledge(BOTH.perms, {CHILD: ORDER})
    assert found(an_arrival(MOTHER, CHILD, direction=2), known) == [("TAKEN_AGAINST_RULE", "OPEN", "CUSTODY")]
    assert found(confirmed(), known) == [("TAKEN_AGAINST_RULE", "CONFIRMED", "CUSTODY")]
    assert found(confirmed(), Knowledge({}, {CHILD: ORDER})) == [("TAKEN_AGAINST_RULE", "CONFIRMED", "CUSTODY")]


def test_what_staff_took_upon_themselves_is_no_incident() -> None:
    assert found(confirmed(), Knowledge()) == []
    assert found(confirmed(direction=1), BOTH, where=1) == []


@pytest.mark.parametrize("code", ["NOT_ALLOWED", "CUSTODY"])
def test_a_family_refused_without_a_rule_is_an_incident(code: str) -> None:
    assert found(refused(code), BOTH, where=1) == [("REFUSED_WITHOUT_RULE", code, "OPEN")]


@pytest.mark.parametrize("code", ["STALE", "REPLAY", "CLOSED", "PASSBACK", "REVOKED", ""])
def test_what_only_the_gate_can_know_is_not_judged_again(code: str) -> None:
    assert found(refused(code), BOTH) == []


def test_a_child_that_came_in_twice_is_an_incident() -> None:
    assert found(an_arrival(MOTHER, CHILD), BOTH, where=1) == [("TAKEN_AGAINST_RULE", "OPEN", "PASSBACK")]


def test_an_event_of_another_kind_is_not_judged() -> None:
    assert found(an_event(Kind.DOOR), BOTH) == []
    assert found(an_event(Kind.STAFF_FACT, detail={Detail.CHILDREN: [[CHILD, 3]], Detail.DIRECTION: 1}), BOTH) == []
