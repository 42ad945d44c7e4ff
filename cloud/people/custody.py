"""Custody calendars: on which days a child is with which guardian, by a cycle of weeks and with exceptions (B3).

A service of this slice; per child and person, never on the person. The gate learns it through the policy list
(cloud/passes/policy.py): outside their days a guardian's pass asks staff, or is refused where the calendar denies.
"""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from cloud.kit.db import Transaction
from cloud.people.model import CustodyCalendar, CustodyException


def put_custody(
    tx: Transaction, district_id: UUID, *, child_id: UUID, person_id: UUID, cycle: Sequence[int], first_monday: date,
    denies: bool = False, by: UUID, now: datetime,
) -> CustodyCalendar:  # fmt: skip
    """Set the calendar of a child and a guardian from today on; the one before ends yesterday.

    cycle: a weekday mask (bit 0 Monday) for each of 1 to 8 weeks, week one being that of first_monday. denies: because
    an order says so, else staff are asked. by: office or head of the child's school.

    Raises PeopleRefused: CYCLE_WRONG, NOT_OF_THIS_SCHOOL; Refused("NOT_FOUND") where the person is no guardian.
    """
    raise NotImplementedError


def end_custody(
    tx: Transaction, district_id: UUID, *, child_id: UUID, person_id: UUID, by: UUID, now: datetime
) -> bool:
    """End a calendar today: rights alone decide from now on. Return whether one ran."""
    raise NotImplementedError


def put_custody_exception(
    tx: Transaction, district_id: UUID, *, child_id: UUID, person_id: UUID, day: date, has_child: bool | None, by: UUID,
    now: datetime,
) -> None:  # fmt: skip
    """Say that on one local date the child is, or is not, with this guardian; None takes the exception back.

    Raises PeopleRefused: NOT_OF_THIS_SCHOOL, DATES_BACKWARDS (a day before today); Refused("NOT_FOUND").
    """
    raise NotImplementedError


def custody_of_child(tx: Transaction, district_id: UUID, child_id: UUID, day: date) -> list[CustodyCalendar]:
    """Return the calendars that hold on a local date, by name of the guardian."""
    raise NotImplementedError


def exceptions_of_child(tx: Transaction, district_id: UUID, child_id: UUID, first_day: date) -> list[CustodyException]:
    """Return the exceptions from a day on, by day."""
    raise NotImplementedError
