"""SQL of districts, sites, schools and classes. Private to schools/service.py."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cloud.kit.db import Transaction, many, one, one_or_none
from cloud.schools.model import District, School, SchoolClass


@dataclass(frozen=True)
class DistrictRow:
    """What the lookup across districts gives: no name."""

    id: UUID
    slug: str


def district_of_slug(tx: Transaction, slug: str) -> UUID | None:
    return one_or_none(tx, UUID, "SELECT district_of_slug(%(slug)s)", {"slug": slug})


def all_districts(tx: Transaction) -> list[DistrictRow]:
    return many(tx, DistrictRow, "SELECT id, slug FROM districts()")


def put_district(tx: Transaction, district_id: UUID, slug: str, name: str, now: datetime) -> None:
    tx.execute(
        "INSERT INTO district (id, slug, name, created_at) VALUES (%(id)s, %(slug)s, %(name)s, %(now)s)"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        {"id": district_id, "slug": slug, "name": name, "now": now},
    )


def district(tx: Transaction, district_id: UUID) -> District | None:
    return one_or_none(tx, District, "SELECT id, slug, name FROM district WHERE id = %(id)s", {"id": district_id})


def put_site(tx: Transaction, district_id: UUID, number: int, name: str) -> None:
    tx.execute(
        "INSERT INTO site (district_id, number, name) VALUES (%(district)s, %(number)s, %(name)s)"
        " ON CONFLICT (district_id, number) DO NOTHING",
        {"district": district_id, "number": number, "name": name},
    )


def put_school(tx: Transaction, district_id: UUID, school: School) -> UUID:
    return one(
        tx, UUID,
        "INSERT INTO school (district_id, id, sourced_id, site, name, level, timezone, language, state)"
        " VALUES (%(district)s, %(id)s, %(sourced)s, %(site)s, %(name)s, %(level)s, %(timezone)s, %(language)s,"
        " %(state)s)"
        " ON CONFLICT (district_id, sourced_id) DO UPDATE SET site = excluded.site, name = excluded.name,"
        " level = excluded.level, timezone = excluded.timezone, language = excluded.language RETURNING id",
        {"district": district_id, "id": school.id, "sourced": school.sourced_id, "site": school.site,
         "name": school.name, "level": school.level, "timezone": school.timezone, "language": school.language,
         "state": school.state},
    )


def schools(tx: Transaction, district_id: UUID) -> list[School]:
    return many(
        tx, School,
        "SELECT id, sourced_id, site, name, level, timezone, language, state FROM school"
        " WHERE district_id = %(district)s ORDER BY name, id",
        {"district": district_id},
    )


def school(tx: Transaction, district_id: UUID, school_id: UUID) -> School | None:
    return one_or_none(
        tx, School,
        "SELECT id, sourced_id, site, name, level, timezone, language, state FROM school"
        " WHERE district_id = %(district)s AND id = %(school)s",
        {"district": district_id, "school": school_id},
    )


def put_class(tx: Transaction, district_id: UUID, school_class: SchoolClass) -> UUID:
    return one(
        tx, UUID,
        "INSERT INTO class (district_id, id, sourced_id, school_id, name)"
        " VALUES (%(district)s, %(id)s, %(sourced)s, %(school)s, %(name)s)"
        " ON CONFLICT (district_id, sourced_id) DO UPDATE SET name = excluded.name RETURNING id",
        {"district": district_id, "id": school_class.id, "sourced": school_class.sourced_id,
         "school": school_class.school_id, "name": school_class.name},
    )


def classes(tx: Transaction, district_id: UUID, school_id: UUID) -> list[SchoolClass]:
    return many(
        tx, SchoolClass,
        "SELECT id, sourced_id, school_id, name FROM class"
        " WHERE district_id = %(district)s AND school_id = %(school)s ORDER BY name, id",
        {"district": district_id, "school": school_id},
    )
