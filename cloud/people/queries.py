"""SQL of children, persons, staff, guardianships and enrolments. Private to people/service.py."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from cloud.kit.db import Transaction, many, one, one_or_none
from cloud.people.model import (
    ChildInClass,
    ChildOfGuardian,
    EnrolledAt,
    GuardianOfChild,
    Person,
    StaffMember,
    Tie,
)


@dataclass(frozen=True)
class ChildWithAddress:
    """A child's own row and address, as far as this reader may see it."""

    id: UUID
    given: str
    family: str
    birth: date | None
    protected: bool
    address: str


def put_person(tx: Transaction, district_id: UUID, person_id: UUID, sourced_id: str, given: str, family: str,
               language: str, login_id: UUID | None) -> UUID:
    return one(
        tx, UUID,
        "INSERT INTO person (district_id, id, sourced_id, login_id, given, family, language)"
        " VALUES (%(district)s, %(id)s, %(sourced)s, %(login)s, %(given)s, %(family)s, %(language)s)"
        " ON CONFLICT (district_id, sourced_id) DO UPDATE SET given = excluded.given, family = excluded.family,"
        " language = excluded.language, login_id = coalesce(excluded.login_id, person.login_id) RETURNING id",
        {"district": district_id, "id": person_id, "sourced": sourced_id, "login": login_id, "given": given,
         "family": family, "language": language},
    )


def person(tx: Transaction, district_id: UUID, person_id: UUID) -> Person | None:
    return one_or_none(
        tx, Person,
        "SELECT id, given, family, language FROM person WHERE district_id = %(district)s AND id = %(person)s",
        {"district": district_id, "person": person_id},
    )


def put_staff(tx: Transaction, district_id: UUID, person_id: UUID, school_id: UUID, powers: int) -> None:
    tx.execute(
        "INSERT INTO staff (district_id, person_id, school_id, powers)"
        " VALUES (%(district)s, %(person)s, %(school)s, %(powers)s)"
        " ON CONFLICT (district_id, person_id, school_id) DO UPDATE SET powers = excluded.powers",
        {"district": district_id, "person": person_id, "school": school_id, "powers": powers},
    )


def staff_of_school(tx: Transaction, district_id: UUID, school_id: UUID) -> list[StaffMember]:
    return many(
        tx, StaffMember,
        "SELECT s.person_id, p.given, p.family, s.school_id, s.powers FROM staff s"
        " JOIN person p ON p.district_id = s.district_id AND p.id = s.person_id"
        " WHERE s.district_id = %(district)s AND s.school_id = %(school)s ORDER BY p.family, p.given, p.id",
        {"district": district_id, "school": school_id},
    )


def put_child(tx: Transaction, district_id: UUID, child_id: UUID, sourced_id: str, given: str, family: str,
              birth: date | None, over_corrections: bool) -> UUID:
    """Write a child by its key. over_corrections: also the fields that an accepted correction put right."""
    return one(
        tx, UUID,
        "INSERT INTO child (district_id, id, sourced_id, given, family, birth)"
        " VALUES (%(district)s, %(id)s, %(sourced)s, %(given)s, %(family)s, %(birth)s)"
        " ON CONFLICT (district_id, sourced_id) DO UPDATE SET"
        " given = CASE WHEN %(over)s OR NOT is_mended(child, 'given') THEN excluded.given ELSE child.given END,"
        " family = CASE WHEN %(over)s OR NOT is_mended(child, 'family') THEN excluded.family ELSE child.family END,"
        " birth = CASE WHEN %(over)s OR NOT is_mended(child, 'birth') THEN excluded.birth ELSE child.birth END"
        " RETURNING id",
        {"district": district_id, "id": child_id, "sourced": sourced_id, "given": given, "family": family,
         "birth": birth, "over": over_corrections},
    )


def enrolled_class(tx: Transaction, district_id: UUID, child_id: UUID, school_id: UUID, day: date
                   ) -> tuple[UUID, UUID | None] | None:
    return tx.execute(
        "SELECT id, class_id FROM enrolment WHERE district_id = %(district)s AND child_id = %(child)s"
        " AND school_id = %(school)s AND period @> %(day)s",
        {"district": district_id, "child": child_id, "school": school_id, "day": day},
    ).fetchone()


def end_enrolment(tx: Transaction, district_id: UUID, enrolment_id: UUID, last_day: date) -> None:
    """End on a day (excluded); an enrolment that began on that very day never was and is moved to be so."""
    tx.execute(
        "UPDATE enrolment SET period = daterange(lower(period), %(last)s)"
        " WHERE district_id = %(district)s AND id = %(id)s AND lower(period) < %(last)s",
        {"district": district_id, "id": enrolment_id, "last": last_day},
    )


def change_class(tx: Transaction, district_id: UUID, enrolment_id: UUID, class_id: UUID | None) -> None:
    tx.execute(
        "UPDATE enrolment SET class_id = %(class)s WHERE district_id = %(district)s AND id = %(id)s",
        {"district": district_id, "id": enrolment_id, "class": class_id},
    )


def insert_enrolment(tx: Transaction, district_id: UUID, enrolment_id: UUID, child_id: UUID, school_id: UUID,
                     class_id: UUID | None, first_day: date) -> None:
    tx.execute(
        "INSERT INTO enrolment (district_id, id, child_id, school_id, class_id, period)"
        " VALUES (%(district)s, %(id)s, %(child)s, %(school)s, %(class)s, daterange(%(first)s, NULL))",
        {"district": district_id, "id": enrolment_id, "child": child_id, "school": school_id, "class": class_id,
         "first": first_day},
    )


def children_of_school(tx: Transaction, district_id: UUID, school_id: UUID, day: date, protected_too: bool
                       ) -> list[ChildInClass]:
    return many(
        tx, ChildInClass,
        "SELECT c.id, c.given, c.family, e.school_id, e.class_id, k.name AS class_name FROM enrolment e"
        " JOIN child c ON c.district_id = e.district_id AND c.id = e.child_id"
        " LEFT JOIN class k ON k.district_id = e.district_id AND k.id = e.class_id"
        " WHERE e.district_id = %(district)s AND e.school_id = %(school)s AND e.period @> %(day)s"
        " AND (%(protected)s OR NOT c.protected) ORDER BY k.name, c.given, c.family, c.id",
        {"district": district_id, "school": school_id, "day": day, "protected": protected_too},
    )


def find_children(tx: Transaction, district_id: UUID, school_id: UUID, words: list[str], now: datetime,
                  protected_too: bool, class_id: UUID | None) -> list[ChildInClass]:
    """words: folded as model.folded() does; the same is done to names here."""
    return many(
        tx, ChildInClass,
        "SELECT c.id, c.given, c.family, e.school_id, e.class_id, k.name AS class_name FROM enrolment e"
        " JOIN child c ON c.district_id = e.district_id AND c.id = e.child_id"
        " LEFT JOIN class k ON k.district_id = e.district_id AND k.id = e.class_id"
        " WHERE e.district_id = %(district)s AND e.school_id = %(school)s"
        " AND e.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date AND (%(protected)s OR NOT c.protected)"
        " AND (%(class)s::uuid IS NULL OR e.class_id = %(class)s)"
        " AND NOT EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word"
        " WHERE strpos(translate(regexp_replace(normalize(lower(c.given || ' ' || c.family), NFKD),"
        " '[\\u0300-\\u036f]', '', 'g'), 'đøłı', 'doli'), word) = 0)"
        " ORDER BY c.family, c.given, c.id LIMIT 50",
        {"district": district_id, "school": school_id, "now": now, "words": words, "protected": protected_too,
         "class": class_id},
    )


def child_with_address(tx: Transaction, district_id: UUID, child_id: UUID) -> ChildWithAddress | None:
    return one_or_none(
        tx, ChildWithAddress,
        "SELECT c.id, c.given, c.family, c.birth, c.protected, coalesce(a.address, '') AS address FROM child c"
        " LEFT JOIN child_address a ON a.district_id = c.district_id AND a.child_id = c.id"
        " WHERE c.district_id = %(district)s AND c.id = %(child)s",
        {"district": district_id, "child": child_id},
    )


def places_of_child(tx: Transaction, district_id: UUID, child_id: UUID, now: datetime) -> list[EnrolledAt]:
    return many(
        tx, EnrolledAt,
        "SELECT e.school_id, s.name AS school_name, s.site, s.timezone, e.class_id, k.name AS class_name"
        " FROM enrolment e JOIN school s ON s.district_id = e.district_id AND s.id = e.school_id"
        " LEFT JOIN class k ON k.district_id = e.district_id AND k.id = e.class_id"
        " WHERE e.district_id = %(district)s AND e.child_id = %(child)s"
        " AND e.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date ORDER BY s.id",
        {"district": district_id, "child": child_id, "now": now},
    )


def is_guardian_asking(tx: Transaction) -> bool:
    return one(tx, bool, "SELECT app_person() IS NOT NULL")


def works_for_school_of(tx: Transaction, district_id: UUID, child_id: UUID, by: UUID, now: datetime) -> bool:
    return one(tx, bool, "SELECT works_for_school_of(%s, %s, %s, %s)", (district_id, child_id, by, now))


def protect_child(tx: Transaction, district_id: UUID, child_id: UUID, protected: bool) -> None:
    tx.execute(
        "UPDATE child SET protected = %(protected)s WHERE district_id = %(district)s AND id = %(child)s",
        {"district": district_id, "child": child_id, "protected": protected},
    )


def put_address(tx: Transaction, district_id: UUID, child_id: UUID, address: str) -> None:
    tx.execute(
        "INSERT INTO child_address (district_id, child_id, address) VALUES (%(district)s, %(child)s, %(address)s)"
        " ON CONFLICT (district_id, child_id) DO UPDATE SET address = excluded.address",
        {"district": district_id, "child": child_id, "address": address},
    )


def _tie_values(district_id: UUID, tie: Tie) -> dict[str, object]:
    return {
        "district": district_id, "child": tie.child_id, "person": tie.person_id, "relation": tie.relation,
        "authority": tie.authority, "lives": tie.lives_with, "collect": tie.may_collect, "first": tie.first_day,
    }


def change_guardianship(tx: Transaction, district_id: UUID, tie: Tie) -> bool:
    """Bring the running tie of the same child and person up to date; return whether anything in it was different."""
    return tx.execute(
        "UPDATE guardianship SET relation = %(relation)s, authority = %(authority)s, lives_with = %(lives)s,"
        " may_collect = %(collect)s, may_read = %(authority)s, may_sign = %(authority)s"
        " WHERE district_id = %(district)s AND child_id = %(child)s AND person_id = %(person)s"
        " AND period @> %(first)s AND (relation, authority, lives_with, may_collect)"
        " IS DISTINCT FROM (%(relation)s, %(authority)s, %(lives)s, %(collect)s)",
        _tie_values(district_id, tie),
    ).rowcount > 0


def is_tied(tx: Transaction, district_id: UUID, tie: Tie) -> bool:
    return one(
        tx, bool,
        "SELECT EXISTS (SELECT FROM guardianship WHERE district_id = %(district)s AND child_id = %(child)s"
        " AND person_id = %(person)s AND period @> %(first)s)",
        _tie_values(district_id, tie),
    )


def insert_guardianship(tx: Transaction, district_id: UUID, guardianship_id: UUID, tie: Tie) -> None:
    tx.execute(
        "INSERT INTO guardianship (district_id, id, child_id, person_id, relation, authority, lives_with,"
        " may_collect, may_read, may_sign, period)"
        " VALUES (%(district)s, %(id)s, %(child)s, %(person)s, %(relation)s, %(authority)s, %(lives)s,"
        " %(collect)s, %(authority)s, %(authority)s, daterange(%(first)s, NULL))",
        {"id": guardianship_id, **_tie_values(district_id, tie)},
    )


def guardians_of_child(tx: Transaction, district_id: UUID, child_id: UUID, day: date) -> list[GuardianOfChild]:
    return many(
        tx, GuardianOfChild,
        "SELECT g.child_id, g.person_id, p.given, p.family, p.language, g.relation, g.authority, g.may_collect,"
        " g.may_read, g.lives_with, g.may_sign, lower(g.period) AS first_day,"
        " CASE WHEN upper_inf(g.period) THEN NULL ELSE upper(g.period) - 1 END AS last_day FROM guardianship g"
        " JOIN person p ON p.district_id = g.district_id AND p.id = g.person_id"
        " WHERE g.district_id = %(district)s AND g.child_id = %(child)s AND g.period @> %(day)s"
        " ORDER BY g.authority DESC, p.family, p.given, p.id",
        {"district": district_id, "child": child_id, "day": day},
    )


def children_of_guardian(tx: Transaction, district_id: UUID, person_id: UUID, day: date) -> list[ChildOfGuardian]:
    return many(
        tx, ChildOfGuardian,
        "SELECT c.id, c.given, c.family, g.relation, g.authority, g.may_collect, s.id AS school_id,"
        " s.name AS school_name, s.site, s.timezone, e.class_id, k.name AS class_name"
        " FROM guardianship g JOIN child c ON c.district_id = g.district_id AND c.id = g.child_id"
        " JOIN enrolment e ON e.district_id = g.district_id AND e.child_id = g.child_id AND e.period @> %(day)s"
        " JOIN school s ON s.district_id = e.district_id AND s.id = e.school_id"
        " LEFT JOIN class k ON k.district_id = e.district_id AND k.id = e.class_id"
        " WHERE g.district_id = %(district)s AND g.person_id = %(person)s AND g.period @> %(day)s AND g.may_read"
        " AND NOT is_hidden_from(g.district_id, g.child_id, g.person_id, now())"
        " ORDER BY c.birth DESC NULLS LAST, c.given, c.id",
        {"district": district_id, "person": person_id, "day": day},
    )


def put_teacher(tx: Transaction, district_id: UUID, class_id: UUID, person_id: UUID, first_day: date,
                last_day: date | None) -> bool:  # fmt: skip
    """Cut what goes beyond last_day, then begin on the first day, or where it ended before. An empty time is none."""
    values = {"district": district_id, "class": class_id, "person": person_id, "first": first_day, "last": last_day}
    cut = tx.execute(
        "UPDATE class_teacher SET period = daterange(lower(period),"
        " greatest(%(last)s::date, lower(period) + (lower(period) <= %(last)s)::int))"
        " WHERE district_id = %(district)s AND class_id = %(class)s AND person_id = %(person)s"
        " AND %(last)s::date IS NOT NULL"
        " AND (upper_inf(period) OR upper(period)"
        " > greatest(%(last)s::date, lower(period) + (lower(period) <= %(last)s)::int))", values,
    ).rowcount  # fmt: skip
    begun = tx.execute(
        "INSERT INTO class_teacher (district_id, class_id, person_id, period)"
        " SELECT %(district)s, %(class)s, %(person)s, daterange(begins, %(last)s) FROM ("
        " SELECT greatest(%(first)s::date, max(upper(period))) AS begins"
        " FROM class_teacher WHERE district_id = %(district)s AND class_id = %(class)s AND person_id = %(person)s"
        ") earlier WHERE %(last)s::date IS NULL OR begins < %(last)s ON CONFLICT DO NOTHING", values,
    ).rowcount  # fmt: skip
    return cut + begun > 0


def teachers_of_class(tx: Transaction, district_id: UUID, class_id: UUID, day: date) -> list[Person]:
    return many(
        tx, Person,
        "SELECT p.id, p.given, p.family, p.language FROM class_teacher t"
        " JOIN person p ON p.district_id = t.district_id AND p.id = t.person_id"
        " WHERE t.district_id = %(district)s AND t.class_id = %(class)s AND t.period @> %(day)s"
        " ORDER BY p.family, p.given, p.id",
        {"district": district_id, "class": class_id, "day": day},
    )
