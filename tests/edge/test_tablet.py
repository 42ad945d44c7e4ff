"""What staff do on the tablet: taken in by hand, handed over, taken back, who is in now, what waits and why."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from edge.decision import Decision, StaffAnswer
from edge.tablet import ACT_CHILDREN_MAX, Act, Hand, HandOver, TakeBack, TakeIn, name_of
from protocols import passes
from protocols.documents import RULE_ASK, RULE_OUT, CustodyRule, Mode
from protocols.events import Detail, Event, Flag, Kind, Note
from protocols.limits import UINT32_MAX
from protocols.passes import IN, OUT
from protocols.reasons import DocumentKind, Reason
from tests.doorstep import NOW, SISTER, Doorstep, Phone, a_card, a_list

STAFF = 77
ALL = Hand(STAFF, 15)


class AtTheTablet(Doorstep):
    """A doorstep with a member of staff; what is decided is written, as the loop would."""

    seq = 0

    def act(self, act: Act, by: Hand = ALL, at: float = NOW) -> Decision:
        return self.wrote(self.keep(self.gate.by_hand(act, by, at)), at)

    def wrote(self, decision: Decision, at: float) -> Decision:
        places = [(1, self.seq + number) for number in range(len(decision.events))]
        self.seq += len(places)
        self.gate.tablet.wrote(decision, places, at)
        return decision

    def inside(self, at: float = NOW) -> list[int]:
        return [child for child, _ in self.gate.on_tablet(at)["present"]]

    def law(self, *rules: CustodyRule) -> None:
        self.keep(self.gate.document(DocumentKind.KR1, a_list(2, NOW, rules), NOW))


def test_a_child_is_taken_in_by_hand_in_one_step() -> None:
    door = AtTheTablet()
    decision = door.act(TakeIn((5,)))
    assert (decision.code, decision.strike, decision.acts) == ("DONE", False, ((5, IN),))
    (draft,) = decision.events
    assert draft.kind == Kind.STAFF_FACT
    assert draft.detail == {Detail.STAFF: STAFF, Detail.DIRECTION: IN, Detail.CHILDREN: [[5, 0]]}
    assert decision.seen == (bytes(8), 0, ((5, IN),))  # the sisters hear where the child is
    assert door.inside() == [5]


def test_a_class_comes_in_at_once_one_fact_a_child_and_who_is_in_stays_so() -> None:
    door = AtTheTablet()
    door.act(TakeIn((2,)))
    decision = door.act(TakeIn((1, 2, 3)))
    assert [draft.detail[Detail.CHILDREN] for draft in decision.events] == [[[1, 0]], [[3, 0]]]
    assert decision.refused == ((2, Reason.PASSBACK),)
    assert door.act(TakeIn((1, 2, 3))).code == Reason.PASSBACK
    assert door.inside() == [1, 2, 3]


def test_an_order_keeps_no_child_from_being_taken_in() -> None:
    door = AtTheTablet()
    door.law(CustodyRule(5, 0, 3, 0, UINT32_MAX))
    assert door.act(TakeIn((5,))).code == "DONE"


def test_a_child_handed_over_is_no_longer_inside_and_the_holder_stands_in_the_ledger() -> None:
    door = AtTheTablet()
    door.act(TakeIn((5,)))
    decision = door.act(HandOver((5,), holder=9))
    (draft,) = decision.events
    assert draft.kind == Kind.HANDED_OVER
    assert draft.detail == {
        Detail.STAFF: STAFF, Detail.DIRECTION: OUT, Detail.HOLDER: 9, Detail.CHILDREN: [[5, 0]],
    }  # fmt: skip
    assert door.inside() == []
    assert door.act(HandOver((5,), holder=9)).code == Reason.PASSBACK


DENIES = CustodyRule(5, 9, RULE_OUT, NOW - 60, NOW + 60)
ORDER = CustodyRule(5, 0, RULE_OUT | RULE_ASK, 0, UINT32_MAX)
OTHER_DAY = CustodyRule(5, 9, RULE_OUT | RULE_ASK, NOW - 60, NOW + 60)


@pytest.mark.parametrize(
    ("rule", "act", "code"),
    [
        (DENIES, HandOver((5,), 9), Reason.CUSTODY),
        (DENIES, HandOver((5,), 9, sure=True), Reason.CUSTODY),  # sure or not: the rule denies
        (DENIES, HandOver((5,), 8), "DONE"),
        (DENIES, HandOver((5,)), "NAME_WHO"),  # not to somebody without a name while a rule denies one
        (DENIES, HandOver((5, 6), 9), Reason.CUSTODY),  # nobody leaves where custody denies one of them
        (ORDER, HandOver((5,), 8), Reason.STAFF_CONFIRM),
        (ORDER, HandOver((5,), 8, sure=True), "DONE"),
        (ORDER, HandOver((5,), sure=True), "NAME_WHO"),
        (OTHER_DAY, HandOver((5,), 9), Reason.STAFF_CONFIRM),  # "not today": staff say that they read it
        (OTHER_DAY, HandOver((5,), 9, sure=True), "DONE"),
        (OTHER_DAY, HandOver((5,)), "DONE"),
        (replace(DENIES, to=NOW), HandOver((5,), 9), "DONE"),  # it ended
        (None, HandOver((7,), 9), Reason.STAFF_CONFIRM),  # not known to be in
        (None, HandOver((7,), 9, sure=True), "DONE"),
    ],
)
def test_custody_is_asked_at_every_handover(rule: CustodyRule | None, act: HandOver, code: str) -> None:
    door = AtTheTablet()
    door.act(TakeIn((5, 6)))
    door.law(*([rule] if rule else []))
    decision = door.act(act)
    assert (decision.code, bool(decision.events)) == (code, code == "DONE")
    assert door.inside() == ([5, 6] if code != "DONE" else [child for child in (5, 6) if child not in act.children])


@pytest.mark.parametrize(
    ("act", "needed"),
    [(TakeIn((1,)), passes.POWER_TAKE_IN), (HandOver((5,), 9), passes.POWER_RELEASE)],
)
def test_each_act_needs_its_own_power(act: Act, needed: int) -> None:
    for powers in range(16):
        door = AtTheTablet()
        door.act(TakeIn((5,)))
        decision = door.act(act, Hand(STAFF, powers))
        assert decision.code == ("DONE" if powers & needed else Reason.NOT_ALLOWED), powers
        assert bool(decision.events) == bool(powers & needed)


def test_nobody_is_handed_over_in_a_lockdown_and_everybody_may_be_taken_in() -> None:
    door = AtTheTablet()
    door.act(TakeIn((5,)))
    door.gate.mode(Mode.LOCKDOWN, NOW)
    assert door.act(HandOver((5,), 9)).code == Reason.LOCKDOWN
    assert door.act(TakeIn((6,))).code == "DONE"


def test_without_the_ledger_nothing_happens_by_hand() -> None:
    door = AtTheTablet()
    door.gate.journal(False, NOW)
    assert door.act(TakeIn((5,))) == Decision("JOURNAL")
    assert door.inside() == []


# --- taken back -----------------------------------------------------------------------------------------------------


def test_a_fact_taken_back_stays_in_the_ledger_and_a_correction_points_at_it() -> None:
    door = AtTheTablet()
    door.act(TakeIn((5, 6)))
    decision = door.act(TakeBack(1, 1))
    (draft,) = decision.events
    assert draft.kind == Kind.CORRECTION
    assert draft.detail == {Detail.STAFF: STAFF, Detail.CORRECTS: [1, 1], Detail.CHILDREN: [[6, 0]]}
    assert door.inside() == [5]
    assert door.act(TakeBack(1, 1)).code == "NO_SUCH_FACT"  # once


def test_a_handover_taken_back_puts_the_child_inside_again() -> None:
    door = AtTheTablet()
    door.act(TakeIn((5,)), at=NOW)
    door.act(HandOver((5,), 9), at=NOW + 10)
    door.act(TakeBack(1, 1), at=NOW + 20)
    assert door.gate.on_tablet(NOW + 20)["present"] == [[5, NOW * 1000]]


def test_an_arrival_by_phone_is_taken_back_and_the_phone_may_come_again() -> None:
    door, phone = AtTheTablet(), Phone(1, children=((5, 3),))
    door.wrote(door.scan(NOW, phone.shows(NOW)), NOW)
    assert door.act(TakeBack(1, 0), at=NOW + 5).code == "DONE"
    assert door.inside() == []
    assert door.scan(NOW + 12, phone.shows(NOW + 12)).code == Reason.OPEN


def test_what_moved_a_child_since_is_not_undone_with_the_fact() -> None:
    door = AtTheTablet()
    door.act(TakeIn((5,)))
    door.keep(door.gate.seen(Note(SISTER, bytes(8), 0, (NOW + 5) * 1000, ((5, OUT),)), NOW + 6))
    assert door.act(TakeBack(1, 0), at=NOW + 7).code == "DONE"
    assert door.inside(NOW + 7) == []
    assert door.act(TakeIn((5,)), at=NOW + 8).code == "DONE"  # it was out, not unknown


def test_the_sisters_hear_where_a_child_stands_whose_handover_was_taken_back() -> None:
    door, sister = AtTheTablet(), AtTheTablet()

    def hears(decision: Decision, at: float) -> None:
        assert decision.seen is not None
        thumb, iat, acts = decision.seen
        sister.keep(sister.gate.seen(Note(SISTER, thumb, iat, int(at * 1000), acts), at))

    hears(door.act(TakeIn((5,)), at=NOW), NOW)
    hears(door.act(HandOver((5,), 9), at=NOW + 10), NOW + 10)
    assert sister.inside(NOW + 10) == []
    taken_back = door.act(TakeBack(1, 1), at=NOW + 20)
    assert taken_back.seen == (bytes(8), 0, ((5, IN),))
    hears(taken_back, NOW + 20)
    assert sister.inside(NOW + 20) == [5]


@pytest.mark.parametrize(("act", "told"), [(TakeIn((5,)), OUT), (HandOver((5,), 9, sure=True), IN)])
def test_where_nothing_was_known_before_the_sisters_hear_the_opposite_of_what_is_taken_back(
    act: Act, told: int
) -> None:
    door = AtTheTablet()
    door.act(act)
    assert door.act(TakeBack(1, 0), at=NOW + 5).seen == (bytes(8), 0, ((5, told),))


def test_the_sisters_hear_nothing_of_a_child_that_was_moved_since_nor_of_yesterday() -> None:
    door = AtTheTablet()
    door.act(TakeIn((5,)))
    door.keep(door.gate.seen(Note(SISTER, bytes(8), 0, (NOW + 5) * 1000, ((5, OUT),)), NOW + 6))
    assert door.act(TakeBack(1, 0), at=NOW + 7).seen is None
    door.act(TakeIn((6,)), at=NOW + 8)
    assert door.act(TakeBack(1, 2), at=NOW + 86_400).seen is None, "it would set today's presence"


@pytest.mark.parametrize("wrong", [TakeBack(1, 99), TakeBack(2, 0), TakeBack(0, 0)])
def test_only_a_fact_of_this_gate_is_taken_back(wrong: TakeBack) -> None:
    door = AtTheTablet()
    door.act(TakeIn((5,)))
    assert door.act(wrong).code == "NO_SUCH_FACT"
    assert door.inside() == [5]


def test_taking_back_needs_the_power_that_the_fact_needed() -> None:
    door = AtTheTablet()
    door.act(TakeIn((5,)))
    door.act(HandOver((5,), 9))
    assert door.act(TakeBack(1, 1), Hand(STAFF, 15 - passes.POWER_RELEASE)).code == Reason.NOT_ALLOWED
    assert door.act(TakeBack(1, 0), Hand(STAFF, 15 - passes.POWER_TAKE_IN)).code == Reason.NOT_ALLOWED
    assert [fact["needs"] for fact in door.gate.on_tablet(NOW)["facts"]] == [8, 2]


# --- who is in, what waits ------------------------------------------------------------------------------------------


def test_the_evacuation_list_counts_phones_hands_and_sisters_and_forgets_yesterday() -> None:
    door = AtTheTablet()
    door.scan(NOW, Phone(1, children=((1, 3), (2, 3))).shows(NOW))
    door.act(TakeIn((3,)))
    door.keep(door.gate.seen(Note(SISTER, bytes(8), 0, NOW * 1000 + 500, ((4, IN), (2, OUT))), NOW + 1))
    assert door.inside(NOW + 1) == [1, 3, 4]
    assert door.inside(NOW + 86_400) == []


def test_the_evacuation_list_survives_a_restart() -> None:
    door = AtTheTablet()
    door.act(TakeIn((3, 4)))
    door.restart(NOW + 5)
    assert door.inside(NOW + 20) == [3, 4]


def test_the_tablet_reads_why_it_is_asked() -> None:
    """Story 2: the card asks on grandmother's day; on another day it also says "not today"."""
    door = AtTheTablet()
    door.act(TakeIn((5,)))
    door.scan(NOW + 1, a_card())
    (row,) = door.gate.on_tablet(NOW + 1)["waiting"]
    assert (row["what"], row["code"], row["direction"], row["holder"]) == ("card", "STAFF_CONFIRM", OUT, 9)
    assert (row["asks"], row["ends_ms"]) == (["card"], (NOW + 61) * 1000)
    child = {"child": 5, "code": "", "perms": 3, "is": IN, "not_today": False, "order": False}
    assert row["children"] == [child]
    door.law(OTHER_DAY, replace(ORDER, child=6))
    (row,) = door.gate.on_tablet(NOW + 2)["waiting"]
    assert row["children"] == [child | {"not_today": True}]
    door.keep(door.gate.document(DocumentKind.KR1, a_list(3, NOW, (ORDER,)), NOW))
    assert door.gate.on_tablet(NOW + 2)["waiting"][0]["children"] == [child | {"order": True}]


def test_the_tablet_names_the_request_that_it_answers() -> None:
    door = AtTheTablet(departures="staff")
    door.act(TakeIn((1, 5)))
    door.scan(NOW + 1, Phone(1).shows(NOW + 1, OUT))
    door.scan(NOW + 3, a_card())
    first, second = door.gate.waiting(NOW + 3)
    names = [row["id"] for row in door.gate.on_tablet(NOW + 3)["waiting"]]
    assert names == [name_of(first.key), name_of(second.key)] and len(set(names)) == 2
    decision = door.gate.staff(StaffAnswer(True, STAFF, key=first.key), NOW + 4)
    assert (decision.code, decision.acts) == (Reason.CONFIRMED, ((1, OUT),))
    assert [row["id"] for row in door.gate.on_tablet(NOW + 4)["waiting"]] == names[1:]


@pytest.mark.parametrize("confirm", [True, False])
def test_who_may_not_confirm_may_not_decline_either(confirm: bool) -> None:
    door = AtTheTablet()
    door.scan(NOW, a_card())
    decision = door.gate.staff(StaffAnswer(confirm, STAFF, powers=15 - passes.POWER_CONFIRM), NOW + 1)
    assert (decision.code, decision.strike) == (Reason.NOT_ALLOWED, False)
    assert len(door.gate.waiting(NOW + 1)) == 1


def test_the_largest_act_fits_into_the_ledger_with_the_largest_numbers() -> None:
    children = tuple(itertools.islice(itertools.count(UINT32_MAX, -1), ACT_CHILDREN_MAX))
    door = AtTheTablet()
    door.gate.roster.set_clock("holdover", NOW)
    decision = door.act(TakeIn(children), Hand(UINT32_MAX, 15))
    assert len(decision.events) == ACT_CHILDREN_MAX and decision.flags == Flag.CLOCK_UNSURE
    for draft in decision.events:
        Event(2**42, 2**40, 9, 2, draft.kind, draft.detail, draft.flags).encode()  # type: ignore[arg-type]
