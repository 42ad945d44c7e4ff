"""The whole matrix of `may`: every role with every action, near and far."""

import pytest

from cloud.identity.may import MAY, Action, Scope, Thing, may, require
from cloud.identity.model import Actor, Door, Held, Place, Role
from cloud.kit.errors import Refused
from cloud.kit.ids import new_id

HERE, THERE = new_id(), new_id()
SCHOOL, OTHER_SCHOOL, CLASS, OTHER_CLASS, ME = (new_id() for _ in range(5))


def an_actor(role: Role, *, school: bool = True, in_class: bool = True) -> Actor:
    held = Held(role, SCHOOL if school else None, CLASS if in_class else None)
    return Actor(Door.SCHOOL, new_id(), (Place(HERE, ME, "A", "B", "en", (held,)),))


MATRIX = [(role, action) for role in Role for action in Action]


@pytest.mark.parametrize(("role", "action"), MATRIX)
def test_every_role_reaches_exactly_as_far_as_the_table_says(role: Role, action: Action) -> None:
    scope = MAY[role].get(action)
    things = {
        Scope.OWN: Thing(HERE, OTHER_SCHOOL, OTHER_CLASS, frozenset({ME})),
        Scope.CLASS: Thing(HERE, SCHOOL, CLASS),
        Scope.SCHOOL: Thing(HERE, SCHOOL, OTHER_CLASS),
        Scope.DISTRICT: Thing(HERE, OTHER_SCHOOL, OTHER_CLASS),
    }
    expected = {
        Scope.OWN: scope in (Scope.OWN, Scope.DISTRICT),
        Scope.CLASS: scope in (Scope.CLASS, Scope.SCHOOL, Scope.DISTRICT),
        Scope.SCHOOL: scope in (Scope.SCHOOL, Scope.DISTRICT),
        Scope.DISTRICT: scope is Scope.DISTRICT,
    }
    assert {reach: may(an_actor(role), action, thing) for reach, thing in things.items()} == expected


@pytest.mark.parametrize(("role", "action"), MATRIX)
def test_nobody_reaches_into_the_neighbour_district(role: Role, action: Action) -> None:
    assert not may(an_actor(role), action, Thing(THERE, SCHOOL, CLASS, frozenset({ME})))


def test_an_operator_reads_no_child_and_an_auditor_changes_nothing() -> None:
    assert set(MAY[Role.OPERATOR]) == {Action.READ_GATES, Action.CHANGE_GATES}
    assert all(action.value.startswith("read_") for action in MAY[Role.AUDITOR])


def test_a_school_role_without_a_school_reaches_nothing() -> None:
    actor = an_actor(Role.HEAD, school=False, in_class=False)
    assert not may(actor, Action.READ_CHILD, Thing(HERE, SCHOOL, CLASS))
    assert not may(actor, Action.READ_CHILD, Thing(HERE, None, None))


def test_every_role_has_a_line_in_the_table() -> None:
    assert set(MAY) == set(Role)


def test_what_may_not_be_is_refused_by_a_code() -> None:
    require(an_actor(Role.HEAD), Action.READ_CHILD, Thing(HERE, SCHOOL, CLASS))
    with pytest.raises(Refused) as refused:
        require(an_actor(Role.OPERATOR), Action.READ_CHILD, Thing(HERE, SCHOOL, CLASS))
    assert (refused.value.code, refused.value.answer.status) == ("NOT_YOURS", 403)
