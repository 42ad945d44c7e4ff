"""Working hours of staff: when each member works, by weekday, in the school's own time. A service of this slice.

Notifications and the day's lists follow them. Not responsible for: who is staff (people/service.py), roles (identity).
"""

from collections.abc import Sequence
from uuid import UUID

from cloud.kit.db import RuleBroken, Transaction, many
from cloud.kit.errors import Refused
from cloud.people.model import WorkingHours
from cloud.people.refusals import PeopleRefused


def put_working_hours(
    tx: Transaction, district_id: UUID, school_id: UUID, person_id: UUID, hours: Sequence[WorkingHours]
) -> None:
    """Set a member's weekly hours at a school; a weekday not given is free. Two spans of a day may not overlap.

    Raises PeopleRefused("DATES_BACKWARDS") where one ends before it starts or two overlap; Refused("NOT_FOUND") for
    one who is not staff of this school, Refused("BAD_INPUT") for a day of no week.
    """
    values = {"district": district_id, "school": school_id, "person": person_id}
    if not all(0 <= one.weekday <= 6 and one.person_id == person_id for one in hours):
        raise Refused("BAD_INPUT")
    try:
        with tx.transaction():
            tx.execute(
                """DELETE FROM staff_hours WHERE district_id = %(district)s AND school_id = %(school)s
                     AND person_id = %(person)s""", values,
            )  # fmt: skip
            for one in hours:
                tx.execute(
                    """INSERT INTO staff_hours (district_id, school_id, person_id, weekday, starts, ends)
                       VALUES (%(district)s, %(school)s, %(person)s, %(weekday)s, %(starts)s, %(ends)s)""",
                    {**values, "weekday": one.weekday, "starts": one.starts, "ends": one.ends},
                )  # fmt: skip
    except RuleBroken as broken:
        if broken.constraint == "staff_hours_of_staff":
            raise Refused("NOT_FOUND") from broken
        raise PeopleRefused("DATES_BACKWARDS") from broken


def working_hours(tx: Transaction, district_id: UUID, school_id: UUID) -> list[WorkingHours]:
    """Return the hours of all staff of a school, by person and weekday."""
    return many(
        tx, WorkingHours,
        """SELECT person_id, weekday, starts, ends FROM staff_hours
           WHERE district_id = %(district)s AND school_id = %(school)s ORDER BY person_id, weekday, starts""",
        {"district": district_id, "school": school_id},
    )  # fmt: skip
