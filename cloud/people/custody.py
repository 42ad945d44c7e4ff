"""Custody calendars: on which days a child is with which guardian, by a cycle of weeks and with exceptions (B3).

A service of this slice; per child and person, never on the person. The gate learns it through the policy list
(cloud/passes/policy.py): outside their days a guardian's pass asks staff, or is refused where the calendar denies.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import LiteralString
from uuid import UUID

from cloud.audit import service as audit
from cloud.kit.clock import school_day
from cloud.kit.db import RuleBroken, Transaction, many, one_or_none
from cloud.kit.errors import Refused
from cloud.kit.ids import new_id
from cloud.people.escorts import rights_changed
from cloud.people.model import CustodyCalendar, CustodyException
from cloud.people.refusals import PeopleRefused

WEEKS_MAX = 8  # custody_calendar_of_weeks
WEEKDAYS_MASK_MAX = 127
REFUSALS = {
    "custody_calendar_by_the_school": "NOT_OF_THIS_SCHOOL",
    "custody_exception_by_the_school": "NOT_OF_THIS_SCHOOL",
}

CALENDAR: LiteralString = """
    SELECT k.child_id, k.person_id, p.given, p.family, k.cycle, k.first_monday, k.denies, lower(k.period) AS first_day,
           upper(k.period) AS last_day
    FROM custody_calendar k JOIN person p ON p.district_id = k.district_id AND p.id = k.person_id
    WHERE k.district_id = %(district)s AND k.child_id = %(child)s AND k.period @> %(day)s"""


def put_custody(
    tx: Transaction, district_id: UUID, *, child_id: UUID, person_id: UUID, cycle: Sequence[int], first_monday: date,
    denies: bool = False, by: UUID, now: datetime,
) -> CustodyCalendar:  # fmt: skip
    """Set the calendar of a child and a guardian from today on; the one before ends yesterday.

    cycle: a weekday mask (bit 0 Monday) for each of 1 to 8 weeks, week one being that of first_monday. denies: because
    an order says so, else staff are asked. by: office or head of the child's school.

    Raises PeopleRefused: CYCLE_WRONG, NOT_OF_THIS_SCHOOL; Refused("NOT_FOUND") where the person is no guardian.
    """
    weeks = [int(week) for week in cycle]
    if not 1 <= len(weeks) <= WEEKS_MAX or first_monday.weekday() != 0:
        raise PeopleRefused("CYCLE_WRONG")
    if not all(0 <= week <= WEEKDAYS_MASK_MAX for week in weeks):
        raise PeopleRefused("CYCLE_WRONG")
    today = _today(tx, district_id, child_id, person_id, now)
    values = {"district": district_id, "id": new_id(now), "child": child_id, "person": person_id, "cycle": weeks,
              "first": first_monday, "denies": denies, "day": today, "by": by, "now": now}  # fmt: skip
    _end(tx, values)
    _write(
        tx,
        """INSERT INTO custody_calendar (district_id, id, child_id, person_id, cycle, first_monday, denies, period,
                                         set_by, set_at)
           VALUES (%(district)s, %(id)s, %(child)s, %(person)s, %(cycle)s::smallint[], %(first)s, %(denies)s,
                   daterange(%(day)s, NULL), %(by)s, %(now)s)""", values,
    )  # fmt: skip
    _told(tx, district_id, child_id, person_id, by, "custody.put", {"weeks": len(weeks), "denies": int(denies)}, now)
    [calendar] = [one for one in custody_of_child(tx, district_id, child_id, today) if one.person_id == person_id]
    return calendar


def end_custody(
    tx: Transaction, district_id: UUID, *, child_id: UUID, person_id: UUID, by: UUID, now: datetime
) -> bool:
    """End a calendar: from today on rights alone decide. Return whether one ran.

    Raises PeopleRefused("NOT_OF_THIS_SCHOOL"), Refused("NOT_FOUND").
    """
    today = _today(tx, district_id, child_id, person_id, now)
    ended = _end(tx, {"district": district_id, "child": child_id, "person": person_id, "day": today, "by": by,
                      "now": now})  # fmt: skip
    if ended:
        _told(tx, district_id, child_id, person_id, by, "custody.end", {}, now)
    return ended > 0


def put_custody_exception(
    tx: Transaction, district_id: UUID, *, child_id: UUID, person_id: UUID, day: date, has_child: bool | None, by: UUID,
    now: datetime,
) -> None:  # fmt: skip
    """Say that on one local date the child is, or is not, with this guardian; None takes the exception back.

    Raises PeopleRefused: NOT_OF_THIS_SCHOOL, DATES_BACKWARDS (a day before today); Refused("NOT_FOUND").
    """
    if day < _today(tx, district_id, child_id, person_id, now):
        raise PeopleRefused("DATES_BACKWARDS")
    values = {"district": district_id, "child": child_id, "person": person_id, "day": day, "has": bool(has_child),
              "by": by, "now": now}  # fmt: skip
    _write(
        tx,
        """INSERT INTO custody_exception (district_id, child_id, person_id, day, has_child, set_by, set_at)
           VALUES (%(district)s, %(child)s, %(person)s, %(day)s, %(has)s, %(by)s, %(now)s)
           ON CONFLICT (district_id, child_id, person_id, day)
           DO UPDATE SET has_child = excluded.has_child, set_by = excluded.set_by, set_at = excluded.set_at""", values,
    )  # fmt: skip
    if has_child is None:  # Written first, so that the database has said whether this person may.
        tx.execute(
            """DELETE FROM custody_exception WHERE district_id = %(district)s AND child_id = %(child)s
                 AND person_id = %(person)s AND day = %(day)s""", values,
        )  # fmt: skip
    detail: dict[str, str | int] = {"day": day.isoformat(), "has": "" if has_child is None else int(has_child)}
    _told(tx, district_id, child_id, person_id, by, "custody.exception", detail, now)


def custody_of_child(tx: Transaction, district_id: UUID, child_id: UUID, day: date) -> list[CustodyCalendar]:
    """Return the calendars that hold on a local date, by name of the guardian."""
    return many(
        tx, CustodyCalendar, CALENDAR + " ORDER BY p.family, p.given, p.id",
        {"district": district_id, "child": child_id, "day": day},
    )  # fmt: skip


def exceptions_of_child(tx: Transaction, district_id: UUID, child_id: UUID, first_day: date) -> list[CustodyException]:
    """Return the exceptions from a day on, by day."""
    return many(
        tx, CustodyException,
        """SELECT child_id, person_id, day, has_child FROM custody_exception WHERE district_id = %(district)s
             AND child_id = %(child)s AND day >= %(day)s ORDER BY day, person_id""",
        {"district": district_id, "child": child_id, "day": first_day},
    )  # fmt: skip


def custody_of_site(
    tx: Transaction, district_id: UUID, site: int, now: datetime
) -> tuple[list[CustodyCalendar], list[CustodyException]]:
    """Return calendars and exceptions of a site's children from yesterday on: what its policy list is made of."""
    values = {"district": district_id, "site": site, "day": now.date() - timedelta(days=2)}
    calendars = many(
        tx, CustodyCalendar,
        """SELECT k.child_id, k.person_id, '' AS given, '' AS family, k.cycle, k.first_monday, k.denies,
                  lower(k.period) AS first_day, upper(k.period) AS last_day
           FROM custody_calendar k
           WHERE k.district_id = %(district)s AND k.period && daterange(%(day)s, NULL) AND EXISTS (
               SELECT FROM enrolment e JOIN school s ON s.district_id = e.district_id AND s.id = e.school_id
               WHERE e.district_id = k.district_id AND e.child_id = k.child_id AND s.site = %(site)s)
           ORDER BY k.id""", values,
    )  # fmt: skip
    if not calendars:
        return [], []
    exceptions = many(
        tx, CustodyException,
        """SELECT child_id, person_id, day, has_child FROM custody_exception
           WHERE district_id = %(district)s AND day BETWEEN %(day)s AND %(day)s + 14
             AND child_id = ANY (%(children)s)""",
        {**values, "children": [one.child_id for one in calendars]},
    )  # fmt: skip
    return calendars, exceptions


def _today(tx: Transaction, district_id: UUID, child_id: UUID, person_id: UUID, now: datetime) -> date:
    """Return the local date at the school of a child whose guardian this person is, else Refused("NOT_FOUND")."""
    timezone = one_or_none(
        tx, str,
        """SELECT s.timezone FROM enrolment e
           JOIN school s ON s.district_id = e.district_id AND s.id = e.school_id
           JOIN guardianship g ON g.district_id = e.district_id AND g.child_id = e.child_id
                              AND g.person_id = %(person)s
                              AND g.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date
           WHERE e.district_id = %(district)s AND e.child_id = %(child)s
             AND e.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date ORDER BY s.id LIMIT 1""",
        {"district": district_id, "child": child_id, "person": person_id, "now": now},
    )  # fmt: skip
    if timezone is None:
        raise Refused("NOT_FOUND")
    return school_day(now, timezone)


def _end(tx: Transaction, values: dict[str, object]) -> int:
    """End what runs today or is to begin; one that was set today never held: its period is empty."""
    return _write(
        tx,
        """UPDATE custody_calendar SET period = period * daterange(NULL, %(day)s), set_by = %(by)s, set_at = %(now)s
           WHERE district_id = %(district)s AND child_id = %(child)s AND person_id = %(person)s
             AND period && daterange(%(day)s, NULL)""", values,
    )  # fmt: skip


def _write(tx: Transaction, statement: LiteralString, values: dict[str, object]) -> int:
    try:
        with tx.transaction():
            return tx.execute(statement, values).rowcount
    except RuleBroken as broken:
        if broken.constraint in REFUSALS:
            raise PeopleRefused(REFUSALS[broken.constraint]) from broken
        raise


def _told(
    tx: Transaction, district_id: UUID, child_id: UUID, person_id: UUID, by: UUID, action: str,
    detail: Mapping[str, str | int], now: datetime,
) -> None:  # fmt: skip
    rights_changed(tx, district_id, child_id, now)
    audit.record(tx, district_id, action=action, by=by, thing="custody_calendar", thing_id=person_id, child_id=child_id,
                 detail=detail, now=now)  # fmt: skip
