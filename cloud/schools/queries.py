"""SQL of districts, sites, schools, classes, sessions, days and hours. Private to schools/service.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from cloud.kit.db import Transaction, many, one, one_or_none
from cloud.schools.model import AcademicSession, CalendarDate, District, OpeningHours, School, SchoolClass


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


def free_site_number(tx: Transaction) -> int:
    return one(tx, int, "SELECT free_site_number()")


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


def put_session(tx: Transaction, district_id: UUID, session: AcademicSession) -> UUID:
    return one(
        tx, UUID,
        "INSERT INTO academic_session (district_id, id, sourced_id, kind, name, period)"
        " VALUES (%(district)s, %(id)s, %(sourced)s, %(kind)s, %(name)s, daterange(%(first)s, %(last)s, '[]'))"
        " ON CONFLICT (district_id, sourced_id) DO UPDATE SET kind = excluded.kind, name = excluded.name,"
        " period = excluded.period RETURNING id",
        {"district": district_id, "id": session.id, "sourced": session.sourced_id, "kind": session.kind,
         "name": session.name, "first": session.first_day, "last": session.last_day},
    )


def sessions(tx: Transaction, district_id: UUID, day: date) -> list[AcademicSession]:
    return many(
        tx, AcademicSession,
        "SELECT id, sourced_id, kind, name, lower(period) AS first_day, upper(period) - 1 AS last_day"
        " FROM academic_session WHERE district_id = %(district)s AND upper(period) > %(day)s"
        " ORDER BY lower(period), upper(period) DESC, id",
        {"district": district_id, "day": day},
    )


def put_hours(tx: Transaction, district_id: UUID, school_id: UUID, hours: Sequence[OpeningHours]) -> None:
    tx.execute(
        "DELETE FROM opening_hours WHERE district_id = %(district)s AND school_id = %(school)s",
        {"district": district_id, "school": school_id},
    )
    for span in hours:
        tx.execute(
            "INSERT INTO opening_hours (district_id, school_id, weekday, opens, closes)"
            " VALUES (%(district)s, %(school)s, %(weekday)s, %(opens)s, %(closes)s)",
            {"district": district_id, "school": school_id, "weekday": span.weekday, "opens": span.opens,
             "closes": span.closes},
        )


def hours_of_school(tx: Transaction, district_id: UUID, school_id: UUID) -> list[OpeningHours]:
    return many(
        tx, OpeningHours,
        "SELECT weekday, opens, closes FROM opening_hours"
        " WHERE district_id = %(district)s AND school_id = %(school)s ORDER BY weekday",
        {"district": district_id, "school": school_id},
    )


def put_calendar_date(tx: Transaction, district_id: UUID, school_id: UUID, said: CalendarDate) -> None:
    tx.execute(
        "INSERT INTO calendar_date (district_id, school_id, day, open, note)"
        " VALUES (%(district)s, %(school)s, %(day)s, %(open)s, %(note)s)"
        " ON CONFLICT (district_id, school_id, day) DO UPDATE SET open = excluded.open, note = excluded.note",
        {"district": district_id, "school": school_id, "day": said.day, "open": said.open, "note": said.note},
    )


def remove_calendar_date(tx: Transaction, district_id: UUID, school_id: UUID, day: date) -> bool:
    return tx.execute(
        "DELETE FROM calendar_date WHERE district_id = %(district)s AND school_id = %(school)s AND day = %(day)s",
        {"district": district_id, "school": school_id, "day": day},
    ).rowcount > 0


def calendar_dates(tx: Transaction, district_id: UUID, school_id: UUID, first_day: date, last_day: date
                   ) -> list[CalendarDate]:
    return many(
        tx, CalendarDate,
        "SELECT day, open, note FROM calendar_date WHERE district_id = %(district)s AND school_id = %(school)s"
        " AND day BETWEEN %(first)s AND %(last)s ORDER BY day",
        {"district": district_id, "school": school_id, "first": first_day, "last": last_day},
    )
