"""Working hours of staff: when each member works, by weekday, in the school's own time. A service of this slice.

Notifications and the day's lists follow them. Not responsible for: who is staff (people/service.py), roles (identity).
"""

from collections.abc import Sequence
from uuid import UUID

from cloud.kit.db import Transaction
from cloud.people.model import WorkingHours


def put_working_hours(
    tx: Transaction, district_id: UUID, school_id: UUID, person_id: UUID, hours: Sequence[WorkingHours]
) -> None:
    """Set a member's weekly hours at a school; a weekday not given is free. Two spans of a day may not overlap.

    Raises PeopleRefused("DATES_BACKWARDS") where one ends before it starts or two overlap; Refused("NOT_FOUND") for
    one who is not staff of this school.
    """
    raise NotImplementedError


def working_hours(tx: Transaction, district_id: UUID, school_id: UUID) -> list[WorkingHours]:
    """Return the hours of all staff of a school, by person and weekday."""
    raise NotImplementedError
