"""May this actor do this to that thing? The only place that answers. Pure; the table is the documentation.

A scope says how far a role reaches: OWN children, own CLASS, own SCHOOL, the DISTRICT. An action that is not in
the table of a role is refused. An operator reads no child, an auditor changes nothing (FEATURES V1).
"""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from uuid import UUID

from cloud.identity.model import Actor, Held, Role
from cloud.kit.errors import Refused


class Action(StrEnum):
    """What can be asked for."""

    READ_CHILD = "read_child"
    READ_DAY_SHEET = "read_day_sheet"
    RECORD_STAFF_FACT = "record_staff_fact"
    HOLD_PASS = "hold_pass"
    INVITE_PHONE = "invite_phone"
    READ_PEOPLE = "read_people"
    CHANGE_PEOPLE = "change_people"
    READ_GATES = "read_gates"
    CHANGE_GATES = "change_gates"
    READ_LEDGER = "read_ledger"
    READ_FILE = "read_file"
    CHANGE_FILE = "change_file"
    PROPOSE_CORRECTION = "propose_correction"
    DECIDE_CORRECTION = "decide_correction"
    MANAGE_ESCORTS = "manage_escorts"
    VETO_ESCORT = "veto_escort"
    IMPOSE_ORDER = "impose_order"
    DECIDE_ORDER = "decide_order"
    MANAGE_CUSTODY = "manage_custody"
    PRINT_CARD = "print_card"
    REVOKE_CARD = "revoke_card"
    READ_ACCESS_LOG = "read_access_log"
    GRANT_ROLE = "grant_role"
    MANAGE_CALENDAR = "manage_calendar"
    INVITE_LOGIN = "invite_login"
    SET_MODE = "set_mode"


class Scope(IntEnum):
    """How far a permission reaches."""

    OWN = 1
    CLASS = 2
    SCHOOL = 3
    DISTRICT = 4


# What the office does for families; the head does it too, and decides what two people must decide.
OFFICE_WORK = (
    Action.READ_CHILD, Action.READ_DAY_SHEET, Action.RECORD_STAFF_FACT, Action.READ_PEOPLE, Action.CHANGE_PEOPLE,
    Action.INVITE_PHONE, Action.READ_FILE, Action.CHANGE_FILE, Action.DECIDE_CORRECTION, Action.MANAGE_ESCORTS,
    Action.IMPOSE_ORDER, Action.DECIDE_ORDER, Action.MANAGE_CUSTODY, Action.PRINT_CARD, Action.REVOKE_CARD,
    Action.MANAGE_CALENDAR, Action.INVITE_LOGIN, Action.SET_MODE,
)  # fmt: skip

MAY: dict[Role, dict[Action, Scope]] = {
    # `people` of a Thing are those for whom it is their own: for rights, those who hold parental authority.
    Role.GUARDIAN: dict.fromkeys(
        (Action.READ_CHILD, Action.HOLD_PASS, Action.READ_FILE, Action.PROPOSE_CORRECTION, Action.MANAGE_ESCORTS,
         Action.VETO_ESCORT, Action.REVOKE_CARD, Action.READ_ACCESS_LOG), Scope.OWN,
    ),  # fmt: skip
    Role.ESCORT: {Action.HOLD_PASS: Scope.OWN, Action.REVOKE_CARD: Scope.OWN},
    Role.PUPIL: {},  # Nothing yet: a pupil's own pages come with an age that the district sets.
    Role.PUBLIC_VERIFIER: {},  # Holds a signed paper and no login: what it proves needs no permission.
    Role.TEACHER: {
        Action.READ_CHILD: Scope.CLASS, Action.READ_DAY_SHEET: Scope.SCHOOL, Action.RECORD_STAFF_FACT: Scope.CLASS,
    },
    Role.GATE_STAFF: {Action.READ_DAY_SHEET: Scope.SCHOOL, Action.RECORD_STAFF_FACT: Scope.SCHOOL},
    Role.DAY_CARE: {  # Hands children over in the afternoon as the gate's staff does, at its own school.
        Action.READ_CHILD: Scope.SCHOOL, Action.READ_DAY_SHEET: Scope.SCHOOL, Action.RECORD_STAFF_FACT: Scope.SCHOOL,
    },
    Role.OFFICE: dict.fromkeys(OFFICE_WORK, Scope.SCHOOL),
    Role.HEAD: dict.fromkeys(
        (*OFFICE_WORK, Action.READ_GATES, Action.GRANT_ROLE, Action.READ_ACCESS_LOG), Scope.SCHOOL
    ),
    Role.DISTRICT_OFFICER: dict.fromkeys(
        (Action.READ_PEOPLE, Action.READ_GATES, Action.GRANT_ROLE, Action.MANAGE_CALENDAR, Action.INVITE_LOGIN),
        Scope.DISTRICT,
    ),
    Role.AUDITOR: {
        Action.READ_CHILD: Scope.DISTRICT, Action.READ_DAY_SHEET: Scope.DISTRICT, Action.READ_PEOPLE: Scope.DISTRICT,
        Action.READ_GATES: Scope.DISTRICT, Action.READ_LEDGER: Scope.DISTRICT, Action.READ_FILE: Scope.DISTRICT,
        Action.READ_ACCESS_LOG: Scope.DISTRICT,
    },
    Role.OPERATOR: {Action.READ_GATES: Scope.DISTRICT, Action.CHANGE_GATES: Scope.DISTRICT},
}


@dataclass(frozen=True)
class Thing:
    """What is asked about: where it belongs. people: those for whom it is their own (guardians, escorts)."""

    district_id: UUID
    school_id: UUID | None = None
    class_id: UUID | None = None
    people: frozenset[UUID] = field(default_factory=frozenset)


def may(actor: Actor, action: Action, thing: Thing) -> bool:
    """Return whether the actor may do this. Raises nothing; a thing of another district is never reached."""
    for place in actor.places:
        if place.district_id != thing.district_id:
            continue
        if any(_reaches(held, action, thing, place.person_id) for held in place.roles):
            return True
    return False


def require(actor: Actor, action: Action, thing: Thing) -> None:
    """Raise Refused("NOT_YOURS") unless the actor may. For pages and routes."""
    if not may(actor, action, thing):
        raise Refused("NOT_YOURS")


def _reaches(held: Held, action: Action, thing: Thing, person_id: UUID) -> bool:
    scope = MAY[held.role].get(action)
    if scope is None:
        return False
    if scope is Scope.OWN:
        return person_id in thing.people
    if scope is Scope.DISTRICT:
        return True
    if held.school_id is None or held.school_id != thing.school_id:
        return False
    return scope is Scope.SCHOOL or (held.class_id is not None and held.class_id == thing.class_id)
