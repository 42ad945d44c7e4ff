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


class Scope(IntEnum):
    """How far a permission reaches."""

    OWN = 1
    CLASS = 2
    SCHOOL = 3
    DISTRICT = 4


MAY: dict[Role, dict[Action, Scope]] = {
    Role.GUARDIAN: {Action.READ_CHILD: Scope.OWN, Action.HOLD_PASS: Scope.OWN},
    Role.ESCORT: {Action.HOLD_PASS: Scope.OWN},
    Role.TEACHER: {
        Action.READ_CHILD: Scope.CLASS, Action.READ_DAY_SHEET: Scope.SCHOOL, Action.RECORD_STAFF_FACT: Scope.CLASS,
    },
    Role.GATE_STAFF: {Action.READ_DAY_SHEET: Scope.SCHOOL, Action.RECORD_STAFF_FACT: Scope.SCHOOL},
    Role.OFFICE: {
        Action.READ_CHILD: Scope.SCHOOL, Action.READ_DAY_SHEET: Scope.SCHOOL, Action.RECORD_STAFF_FACT: Scope.SCHOOL,
        Action.READ_PEOPLE: Scope.SCHOOL, Action.CHANGE_PEOPLE: Scope.SCHOOL, Action.INVITE_PHONE: Scope.SCHOOL,
    },
    Role.HEAD: {
        Action.READ_CHILD: Scope.SCHOOL, Action.READ_DAY_SHEET: Scope.SCHOOL, Action.RECORD_STAFF_FACT: Scope.SCHOOL,
        Action.READ_PEOPLE: Scope.SCHOOL, Action.CHANGE_PEOPLE: Scope.SCHOOL, Action.INVITE_PHONE: Scope.SCHOOL,
        Action.READ_GATES: Scope.SCHOOL,
    },
    Role.DISTRICT_OFFICER: {Action.READ_PEOPLE: Scope.DISTRICT, Action.READ_GATES: Scope.DISTRICT},
    Role.AUDITOR: {
        Action.READ_CHILD: Scope.DISTRICT, Action.READ_DAY_SHEET: Scope.DISTRICT, Action.READ_PEOPLE: Scope.DISTRICT,
        Action.READ_GATES: Scope.DISTRICT, Action.READ_LEDGER: Scope.DISTRICT,
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
