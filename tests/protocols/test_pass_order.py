"""The order of P-3 (a) to (d): a pass with one fault answers it, a pass with two answers the first of them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from protocols.passes import PassRefused, Place, Revocations, verify
from protocols.trust import Role, TrustedKey, trust_of
from tests.protocols.faults import FAULTS, Fault
from tests.protocols.foreign import GATE, ISSUER, NOW, SITE, Family, Staff


def answer(faults: tuple[Fault, ...], kind: type[Family] = Family) -> str:
    made: dict[str, Any] = {}
    place: dict[str, Any] = {}
    for fault in faults:
        made |= fault.made
        place |= fault.place
    text = kind(**made).text()
    for fault in reversed(faults):
        text = fault.text(text)
    try:
        verify(text, the_place(**place))
    except PassRefused as refused:
        return refused.reason
    return "OPEN"


def the_place(clock: str = "ntp", floor: int = 0, **changes: Any) -> Place:
    sites, not_before = frozenset(changes.get("sites", {SITE})), changes.get("not_before", 0)
    keys = changes.get("keys", [TrustedKey(ISSUER.public, Role.ISSUER, sites, not_before)])
    listed = {name: frozenset(changes.get(name, ())) for name in ("ctis", "thumbs", "kids")}
    revocations = Revocations(holders=changes.get("holders", {}), **listed)
    return Place(SITE, NOW, trust_of(keys), revocations, GATE, clock, floor)


def compatible(pair: tuple[Fault, Fault]) -> bool:
    """Whether both can be wrong at once: no field wants two values."""
    first, second = pair
    return not (first.made.keys() & second.made.keys() or first.place.keys() & second.place.keys())


PAIRS = [pair for pair in itertools.combinations(FAULTS, 2) if compatible(pair)]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_pass_with_one_fault_answers_exactly_that(fault: Fault) -> None:
    assert answer((fault,)) == fault.code


def test_the_pass_without_a_fault_is_genuine() -> None:
    assert answer(()) == answer((), Staff) == "OPEN"


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_pass_with_this_fault_and_a_later_one_answers_the_first(fault: Fault) -> None:
    later = [pair for pair in PAIRS if pair[0] is fault]
    assert [f"{pair[1]}: {answer(pair)}" for pair in later if answer(pair) != fault.code] == []


def test_nearly_every_pair_of_faults_is_tried_and_each_code_stands_in_them() -> None:
    assert len(PAIRS) > 340
    tried = {fault.code for pair in PAIRS for fault in pair}
    assert len(tried) == 22 and tried == {fault.code for fault in FAULTS}


STAFF_HAS_NONE = {"CHILD_NOT_IN_PASS", "OTHER_GATE", "HOLDER_BLOCKED", "REVOKED", "DEVICE_REVOKED"}


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.code not in STAFF_HAS_NONE], ids=str)
def test_a_staff_pass_with_one_fault_answers_exactly_that(fault: Fault) -> None:
    assert answer((fault,), Staff) == fault.code


def test_a_revoked_staff_pass_and_a_revoked_staff_phone_are_refused() -> None:
    assert answer((Fault("REVOKED", place={"ctis": {b"cti-staf"}}),), Staff) == "REVOKED"
    assert answer((Fault("DEVICE_REVOKED", place={"thumbs": {Staff().phone.thumb}}),), Staff) == "DEVICE_REVOKED"
