"""Districts, sites, schools and classes as the rest of the cloud sees them.

Every `put_…` is idempotent by the key of the source system. tx is always a transaction of the district,
but for the two lookups across districts, which take an untenanted one and give ids and slugs only.
"""

from datetime import datetime
from typing import ClassVar
from uuid import UUID
from zoneinfo import available_timezones

from cloud.kit.db import Database, Transaction
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.ids import new_id
from cloud.schools import queries
from cloud.schools.model import District, School, SchoolClass

__all__ = ["District", "School", "SchoolClass"]


class SchoolRefused(Refused):
    """A school that cannot be as it was described."""

    answers: ClassVar = {
        "TIMEZONE_UNKNOWN": Answer(
            400, N_("This time zone is not known."), N_("Use an IANA name such as Asia/Almaty.")
        ),
    }


def put_district(database: Database, slug: str, name: str, now: datetime) -> UUID:
    """Return the id of the district with this slug, made if new. Opens its own transactions: the id is the tenant."""
    with database.untenanted() as tx:
        district_id = queries.district_of_slug(tx, slug) or new_id(now)
    with database.tenant(district_id) as tx:
        queries.put_district(tx, district_id, slug, name, now)
    return district_id


def district_of_slug(tx: Transaction, slug: str) -> UUID | None:
    """Return the district of a slug. tx: untenanted will do."""
    return queries.district_of_slug(tx, slug)


def all_districts(tx: Transaction) -> list[tuple[UUID, str]]:
    """Return id and slug of every district, for processes that serve each in turn. tx: untenanted will do."""
    return [(row.id, row.slug) for row in queries.all_districts(tx)]


def district(tx: Transaction, district_id: UUID) -> District | None:
    return queries.district(tx, district_id)


def put_school(tx: Transaction, district_id: UUID, *, sourced_id: str, site: int, name: str, level: str,
               timezone: str, language: str) -> UUID:
    """Return the id of a school, made or brought up to date by its sourced_id; its site is made with it."""
    if timezone not in available_timezones():
        raise SchoolRefused("TIMEZONE_UNKNOWN", timezone=timezone)
    queries.put_site(tx, district_id, site, name)
    return queries.put_school(
        tx, district_id, School(new_id(), sourced_id, site, name, level, timezone, language, "live")
    )


def schools(tx: Transaction, district_id: UUID) -> list[School]:
    """Return all schools of the district, by name."""
    return queries.schools(tx, district_id)


def school(tx: Transaction, district_id: UUID, school_id: UUID) -> School:
    """Return one school. Raises Refused("NOT_FOUND"), also for the neighbour district's."""
    found = queries.school(tx, district_id, school_id)
    if found is None:
        raise Refused("NOT_FOUND")
    return found


def put_class(tx: Transaction, district_id: UUID, school_id: UUID, *, sourced_id: str, name: str) -> UUID:
    """Return the id of a class, made or renamed by its sourced_id."""
    return queries.put_class(tx, district_id, SchoolClass(new_id(), sourced_id, school_id, name))


def classes(tx: Transaction, district_id: UUID, school_id: UUID) -> list[SchoolClass]:
    """Return the classes of a school, by name."""
    return queries.classes(tx, district_id, school_id)
