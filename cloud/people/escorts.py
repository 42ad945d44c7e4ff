"""Who may collect a child: added, for today only, removed, objected to. Five at any instant (I1).

A service of this slice beside people/service.py. Whether the actor may ask is the caller's question to identity/may.py;
that the adder holds authority for this child or works in its office, and that a slot is free, the database says again.
Responsible for: escort_right of kind may_collect and its line in the access log. Not responsible for: orders.
"""

from datetime import date, datetime
from uuid import UUID

from cloud.kit.db import Transaction
from cloud.people.model import EscortRight, NewPerson


def escorts_of_child(tx: Transaction, district_id: UUID, child_id: UUID, now: datetime) -> list[EscortRight]:
    """Return the rights that run or are to begin, by slot; ended and vetoed ones are not among them."""
    raise NotImplementedError


def add_escort(
    tx: Transaction, district_id: UUID, *, child_id: UUID, person: UUID | NewPerson, by: UUID, weekdays: int = 127,
    first_day: date | None = None, last_day: date | None = None, why: str = "", now: datetime,
) -> EscortRight:  # fmt: skip
    """Let a person collect a child, in the lowest free slot of five, on weekdays, between two school days (inclusive).

    person: known here, or a name that the family writes; a name already tied to this child is that person. by: a holder
    of parental authority for the child, or office or head of its school. Where another holder of authority was not
    asked, the right carries veto_until; whether it runs until then is the district's choice (district.escort_waits).

    Raises PeopleRefused: ESCORTS_FULL, ESCORT_FORBIDDEN, ESCORT_ALREADY, ESCORT_NOT_YOURS, ESCORT_VETOED,
    DATES_BACKWARDS, NO_WEEKDAY, NAME_MISSING; Refused("NOT_FOUND") for a person or child of nobody here.
    """
    raise NotImplementedError


def allow_today(
    tx: Transaction, district_id: UUID, *, child_id: UUID, person: UUID | NewPerson, by: UUID, why: str = "",
    now: datetime,
) -> EscortRight:  # fmt: skip
    """Let a person collect the child today: the right ends when the school closes (with no hours known: at midnight).

    No veto: it would be over before it is read; the other guardian sees it. Raises as add_escort, and CLOSED_TODAY.
    """
    raise NotImplementedError


def remove_escort(
    tx: Transaction, district_id: UUID, *, child_id: UUID, right_id: UUID, by: UUID, now: datetime
) -> None:
    """End a right at this moment; its slot is free. That of a holder of authority only its holder or the office ends.

    Raises PeopleRefused: ESCORT_UNKNOWN (also over already), ESCORT_NOT_YOURS.
    """
    raise NotImplementedError


def veto_escort(tx: Transaction, district_id: UUID, *, child_id: UUID, right_id: UUID, by: UUID, now: datetime) -> None:
    """Object to a right that another holder of authority added: it ends, and only the office adds that person again.

    Raises PeopleRefused: ESCORT_UNKNOWN, ESCORT_NOT_YOURS (own, or without authority), ESCORT_VETO_OVER.
    """
    raise NotImplementedError


def rights_to_consider(tx: Transaction, district_id: UUID, person_id: UUID, now: datetime) -> list[EscortRight]:
    """Return rights for this guardian's children that another guardian added and to which this one may still object."""
    raise NotImplementedError
