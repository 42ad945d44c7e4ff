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


# The whole matrix once more, written by hand from the need (FEATURES V1), not from the code: one letter a role and
# action. o own, c class, s school, d district, . never. A change of may.py that nobody meant is red here.
ACTIONS = (
    "read_child", "read_day_sheet", "record_staff_fact", "hold_pass", "invite_phone", "read_people", "change_people",
    "read_gates", "change_gates", "read_ledger", "read_file", "change_file", "propose_correction",
    "decide_correction", "manage_escorts", "veto_escort", "impose_order", "decide_order", "manage_custody",
    "print_card", "revoke_card", "read_access_log", "grant_role", "manage_calendar", "invite_login",
    "set_mode",
)
WANTED = {
    "guardian":         "o..o......o.o.oo....oo....",
    "escort":           "...o................o.....",
    "pupil":            "..........................",
    "public_verifier":  "..........................",
    "teacher":          "csc.......................",
    "gate_staff":       ".ss.......................",
    "day_care":         "sss.......................",
    "office":           "sss.sss...ss.ss.sssss..sss",
    "head":             "sss.ssss..ss.ss.ssssssssss",
    "district_officer": ".....d.d..............ddd.",
    "auditor":          "dd...d.d.dd..........d....",
    "operator":         ".......dd.................",
}  # fmt: skip
REACH = {".": None, "o": Scope.OWN, "c": Scope.CLASS, "s": Scope.SCHOOL, "d": Scope.DISTRICT}


def test_the_whole_matrix_is_as_it_was_meant() -> None:
    assert sorted(ACTIONS) == sorted(Action) and sorted(WANTED) == sorted(Role)
    letter_of = {scope: letter for letter, scope in REACH.items()}
    told = {role: "".join(letter_of[MAY[Role(role)].get(Action(action))] for action in ACTIONS) for role in WANTED}
    assert told == WANTED


@pytest.mark.parametrize(("role", "action"), MATRIX)
def test_nobody_reaches_into_the_neighbour_district(role: Role, action: Action) -> None:
    assert not may(an_actor(role), action, Thing(THERE, SCHOOL, CLASS, frozenset({ME})))


def test_an_operator_reads_no_child_and_an_auditor_changes_nothing() -> None:
    assert set(MAY[Role.OPERATOR]) == {Action.READ_GATES, Action.CHANGE_GATES}
    assert all(action.value.startswith("read_") for action in MAY[Role.AUDITOR])


def test_a_pupil_and_a_public_verifier_may_do_nothing_behind_a_door() -> None:
    assert not MAY[Role.PUPIL] and not MAY[Role.PUBLIC_VERIFIER]


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
