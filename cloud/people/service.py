"""Children, guardians, escorts and staff as the rest of the cloud sees them.

Every `put_…` is idempotent by the key of the source system or by what it ties. Whether the actor may ask is the
caller's question to identity/may.py; whether the row may exist is the database's (I1, I2, I13).
"""

from datetime import UTC, date, datetime, time
from uuid import UUID

from cloud.audit import service as audit
from cloud.kit.clock import school_day
from cloud.kit.db import Transaction
from cloud.kit.errors import Refused
from cloud.kit.ids import new_id
from cloud.people import corrections, custody, queries
from cloud.people.escorts import (
    end_escort_right,
    escorts_chosen_for,
    escorts_of_child,
    give_escort_right,
    import_escort,
    rights_changed,
)
from cloud.people.model import (
    ChildFile,
    ChildInClass,
    ChildOfGuardian,
    GuardianOfChild,
    Person,
    StaffMember,
    Tie,
    folded,
    is_writable,
)
from cloud.people.refusals import PeopleRefused

__all__ = [
    "PeopleRefused", "end_escort_right", "escorts_chosen_for", "escorts_of_child", "give_escort_right", "import_escort",
]  # fmt: skip

WORDS_MAX = 5  # of a search; more are not looked for
ADDRESS_CHARACTERS_MAX = 300  # child_address_length


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
              birth: date | None, over_corrections: bool = False) -> UUID:
    """Return the id of a child, made or brought up to date by sourced_id.

    What an accepted correction put right stays, but with over_corrections: the caller has looked at it (standards/).
    """
    return queries.put_child(tx, district_id, new_id(), sourced_id, given, family, birth, over_corrections)


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


def children_of_school(
    tx: Transaction, district_id: UUID, school_id: UUID, day: date, *, protected_too: bool = False
) -> list[ChildInClass]:
    """Return who is enrolled on a local date, by class and first name. protected_too: as child_file."""
    return queries.children_of_school(tx, district_id, school_id, day, protected_too)


def child_file(
    tx: Transaction, district_id: UUID, child_id: UUID, now: datetime, *, protected_too: bool = False
) -> ChildFile:
    """Return all that the file of an enrolled child says. In a guardian's transaction: what row security leaves.

    protected_too: whether this reader may open a protected child's file: pages ask may(actor, CHANGE_FILE, …), which
    office and head of the school may; a guardian may always open their own. Staff pages write the access log.
    Raises Refused("NOT_FOUND"), also for a child enrolled nowhere and for a protected one.
    """
    child = queries.child_with_address(tx, district_id, child_id)
    places = queries.places_of_child(tx, district_id, child_id, now)
    if child is None or not places or (child.protected and not (protected_too or queries.is_guardian_asking(tx))):
        raise Refused("NOT_FOUND")
    today = school_day(now, places[0].timezone)
    return ChildFile(
        child.id, child.given, child.family, child.birth, child.protected, child.address, tuple(places),
        tuple(queries.guardians_of_child(tx, district_id, child_id, today)),
        tuple(escorts_of_child(tx, district_id, child_id, now)),
        tuple(custody.custody_of_child(tx, district_id, child_id, today)),
        tuple(custody.exceptions_of_child(tx, district_id, child_id, today)),
        tuple(corrections.corrections_of_child(tx, district_id, child_id)),
    )


def find_children(
    tx: Transaction, district_id: UUID, school_id: UUID, words: str, now: datetime, *, protected_too: bool = False,
    class_id: UUID | None = None,
) -> list[ChildInClass]:  # fmt: skip
    """Return at most 50 children of a school whose names hold every word, by name; no words: all, up to the bound.

    Accents and capitals do not matter: "loic" finds Loïc, "duc" Đức, "елена" Елёна. class_id: of this class only.
    protected_too: as child_file; without it a protected child is in no answer, whatever is searched for.
    """
    wanted = [folded(word) for word in words.split() if is_writable(word)][:WORDS_MAX]
    return queries.find_children(tx, district_id, school_id, wanted, now, protected_too, class_id)


def protect_child(
    tx: Transaction, district_id: UUID, *, child_id: UUID, protected: bool, by: UUID, now: datetime
) -> None:
    """Hide a child's identity from every list and search below office and head, or end that. by: office or head.

    Raises PeopleRefused("NOT_OF_THIS_SCHOOL"), Refused("NOT_FOUND").
    """
    _require_school(tx, district_id, child_id, by, now)
    queries.protect_child(tx, district_id, child_id, protected)
    audit.record(tx, district_id, action="child.protect" if protected else "child.unprotect", by=by, thing="child",
                 thing_id=child_id, child_id=child_id, now=now)  # fmt: skip


def put_address(tx: Transaction, district_id: UUID, *, child_id: UUID, address: str, by: UUID, now: datetime) -> None:
    """Write where a child lives, as the office knows it.

    Raises PeopleRefused("NOT_OF_THIS_SCHOOL"), Refused("NOT_FOUND"), Refused("BAD_INPUT") where empty or too long.
    """
    address = " ".join(address.split())
    if not address or len(address) > ADDRESS_CHARACTERS_MAX or not is_writable(address):
        raise Refused("BAD_INPUT")
    _require_school(tx, district_id, child_id, by, now)
    queries.put_address(tx, district_id, child_id, address)
    audit.record(tx, district_id, action="child.address", by=by, thing="child", thing_id=child_id, child_id=child_id,
                 now=now)  # fmt: skip


def _require_school(tx: Transaction, district_id: UUID, child_id: UUID, by: UUID, now: datetime) -> None:
    if not queries.places_of_child(tx, district_id, child_id, now):
        raise Refused("NOT_FOUND")
    if not queries.works_for_school_of(tx, district_id, child_id, by, now):
        raise PeopleRefused("NOT_OF_THIS_SCHOOL")


def tie_guardian(tx: Transaction, district_id: UUID, tie: Tie) -> None:
    """Make a person guardian of a child, or bring the running tie up to date. Collecting is a separate right."""
    if queries.change_guardianship(tx, district_id, tie):
        rights_changed(tx, district_id, tie.child_id, datetime.combine(tie.first_day, time(), UTC))
    elif not queries.is_tied(tx, district_id, tie):
        queries.insert_guardianship(tx, district_id, new_id(), tie)


def guardians_of_child(tx: Transaction, district_id: UUID, child_id: UUID, day: date) -> list[GuardianOfChild]:
    """Return the guardians on a local date, those with parental authority first."""
    return queries.guardians_of_child(tx, district_id, child_id, day)


def children_of_guardian(tx: Transaction, district_id: UUID, person_id: UUID, day: date) -> list[ChildOfGuardian]:
    """Return the enrolled children whose file this guardian may read, youngest first; one row a school."""
    return queries.children_of_guardian(tx, district_id, person_id, day)


def appoint_teacher(tx: Transaction, district_id: UUID, class_id: UUID, person_id: UUID, first_day: date,
                    last_day: date | None = None) -> bool:  # fmt: skip
    """Give a class its teacher from a day on, until last_day (excluded), or with None without an end.

    Appointing again changes the end, or nothing. Return whether anything changed.
    """
    return queries.put_teacher(tx, district_id, class_id, person_id, first_day, last_day)


def teachers_of_class(tx: Transaction, district_id: UUID, class_id: UUID, day: date) -> list[Person]:
    return queries.teachers_of_class(tx, district_id, class_id, day)
