"""Children, guardians, escorts and staff as the rest of the cloud sees them.

Every `put_…` is idempotent by the key of the source system or by what it ties. Whether the actor may ask is the
caller's question to identity/may.py; whether the row may exist is the database's (I1, I2, I13).
"""

from datetime import date, datetime
from uuid import UUID

from cloud.kit.db import RuleBroken, Transaction
from cloud.kit.errors import Refused
from cloud.kit.ids import new_id
from cloud.kit.jobs import happened
from cloud.people import queries
from cloud.people.model import (
    ESCORT_SLOTS,
    ChildFile,
    ChildInClass,
    ChildOfGuardian,
    EscortOfChild,
    GuardianOfChild,
    Person,
    StaffMember,
    Tie,
)
from cloud.people.refusals import PeopleRefused

__all__ = ["PeopleRefused"]


def put_person(tx: Transaction, district_id: UUID, *, sourced_id: str, given: str, family: str, language: str,
               login_id: UUID | None = None) -> UUID:
    """Return the id of a person, made or brought up to date by sourced_id. A login once given stays."""
    return queries.put_person(tx, district_id, new_id(), sourced_id, given, family, language, login_id)


def person(tx: Transaction, district_id: UUID, person_id: UUID) -> Person:
    """Return a person. Raises Refused("NOT_FOUND"), also for one whom the asking guardian may not see."""
    found = queries.person(tx, district_id, person_id)
    if found is None:
        raise Refused("NOT_FOUND")
    return found


def put_staff(tx: Transaction, district_id: UUID, person_id: UUID, school_id: UUID, powers: int) -> None:
    """Say that a person works at a school, and what the gate lets them do there."""
    queries.put_staff(tx, district_id, person_id, school_id, powers)


def staff_of_school(tx: Transaction, district_id: UUID, school_id: UUID) -> list[StaffMember]:
    return queries.staff_of_school(tx, district_id, school_id)


def put_child(tx: Transaction, district_id: UUID, *, sourced_id: str, given: str, family: str,
              birth: date | None) -> UUID:
    """Return the id of a child, made or brought up to date by sourced_id."""
    return queries.put_child(tx, district_id, new_id(), sourced_id, given, family, birth)


def enrol(tx: Transaction, district_id: UUID, child_id: UUID, school_id: UUID, class_id: UUID | None,
          first_day: date) -> None:
    """Put a child into a class from a day on; a running enrolment in another class of the school ends there."""
    running = queries.enrolled_class(tx, district_id, child_id, school_id, first_day)
    if running is None:
        queries.insert_enrolment(tx, district_id, new_id(), child_id, school_id, class_id, first_day)
        return
    enrolment_id, class_before = running
    if class_before != class_id:
        queries.end_enrolment(tx, district_id, enrolment_id, first_day)
        if queries.enrolled_class(tx, district_id, child_id, school_id, first_day) is None:
            queries.insert_enrolment(tx, district_id, new_id(), child_id, school_id, class_id, first_day)
        else:  # It began this very day: the class is corrected, no day is lost.
            queries.change_class(tx, district_id, enrolment_id, class_id)


def children_of_school(tx: Transaction, district_id: UUID, school_id: UUID, day: date) -> list[ChildInClass]:
    """Return who is enrolled on a local date, by class and first name: whom the day sheet expects."""
    return queries.children_of_school(tx, district_id, school_id, day)


def child_file(
    tx: Transaction, district_id: UUID, child_id: UUID, now: datetime, *, protected_too: bool = False
) -> ChildFile:
    """Return all that the file of an enrolled child says. In a guardian's transaction: what row security leaves.

    protected_too: whether this reader may open a protected child's file: pages ask may(actor, CHANGE_FILE, …), which
    office and head of the school may; a guardian may always open their own. Staff pages write the access log.
    Raises Refused("NOT_FOUND"), also for a child enrolled nowhere and for a protected one.
    """
    raise NotImplementedError


def find_children(
    tx: Transaction, district_id: UUID, school_id: UUID, words: str, now: datetime, *, protected_too: bool = False
) -> list[ChildInClass]:
    """Return at most 50 children of a school whose names hold every word, by name; no words: all, up to the bound.

    protected_too: as child_file; without it a protected child is in no answer, whatever is searched for.
    """
    raise NotImplementedError


def protect_child(
    tx: Transaction, district_id: UUID, *, child_id: UUID, protected: bool, by: UUID, now: datetime
) -> None:
    """Hide a child's identity from every list and search below office and head, or end that. by: office or head.

    Raises PeopleRefused("NOT_OF_THIS_SCHOOL"), Refused("NOT_FOUND").
    """
    raise NotImplementedError


def tie_guardian(tx: Transaction, district_id: UUID, tie: Tie) -> None:
    """Make a person guardian of a child, or bring the running tie up to date. Collecting is a separate right."""
    if queries.change_guardianship(tx, district_id, tie):
        _rights_changed(tx, district_id, tie.child_id, tie.first_day)
    elif not queries.is_tied(tx, district_id, tie):
        queries.insert_guardianship(tx, district_id, new_id(), tie)


def guardians_of_child(tx: Transaction, district_id: UUID, child_id: UUID, day: date) -> list[GuardianOfChild]:
    """Return the guardians on a local date, those with parental authority first."""
    return queries.guardians_of_child(tx, district_id, child_id, day)


def children_of_guardian(tx: Transaction, district_id: UUID, person_id: UUID, day: date) -> list[ChildOfGuardian]:
    """Return the enrolled children whose file this guardian may read, youngest first; one row a school."""
    return queries.children_of_guardian(tx, district_id, person_id, day)


def give_escort_right(tx: Transaction, district_id: UUID, child_id: UUID, person_id: UUID, now: datetime, *,
                      weekdays: int = 127) -> UUID:
    """Let a person collect a child from now on, in the lowest free slot of five (I1).

    Raises PeopleRefused: ESCORTS_FULL, or ESCORT_FORBIDDEN where a prohibition runs (I2). A right that runs already is
    returned. Two sessions that race for one slot: the loser tries the next free one.
    """
    running = queries.running_right(tx, district_id, child_id, person_id, now)
    if running is not None:
        return running
    taken = set(queries.taken_slots(tx, district_id, child_id, now))
    for slot in (slot for slot in ESCORT_SLOTS if slot not in taken):
        right_id = new_id(now)
        try:
            with tx.transaction():
                queries.insert_right(tx, district_id, right_id, child_id, person_id, slot, weekdays, now)
        except RuleBroken as broken:
            if broken.constraint == "escort_right_never_against_order":
                raise PeopleRefused("ESCORT_FORBIDDEN") from broken
            if broken.constraint != "escort_right_five_at_most":
                raise
            continue
        return right_id
    raise PeopleRefused("ESCORTS_FULL")


def end_escort_right(tx: Transaction, district_id: UUID, child_id: UUID, person_id: UUID, now: datetime) -> bool:
    """End a running right at this moment; its slot is free from then on. Return whether one ran."""
    ended = queries.end_right(tx, district_id, child_id, person_id, now) > 0
    if ended:
        _rights_changed(tx, district_id, child_id, now.date())
    return ended


def escorts_of_child(tx: Transaction, district_id: UUID, child_id: UUID, now: datetime) -> list[EscortOfChild]:
    """Return who may collect the child at this moment, by slot. Weekdays are the caller's to apply."""
    return queries.escorts_of_child(tx, district_id, child_id, now)


def appoint_teacher(tx: Transaction, district_id: UUID, class_id: UUID, person_id: UUID, first_day: date) -> None:
    """Give a class its teacher from a day on; appointing twice changes nothing."""
    queries.put_teacher(tx, district_id, class_id, person_id, first_day)


def teachers_of_class(tx: Transaction, district_id: UUID, class_id: UUID, day: date) -> list[Person]:
    return queries.teachers_of_class(tx, district_id, class_id, day)


def _rights_changed(tx: Transaction, district_id: UUID, child_id: UUID, day: date) -> None:
    """Say, in the same transaction, that the lists of the child's sites are to be compiled anew.

    For rights that shrank or changed: a right that is new takes nothing from a credential that a gate may meet.
    """
    for site in queries.sites_of_child(tx, district_id, child_id, day):
        happened(tx, "RightsChanged", district_id, site=site)
