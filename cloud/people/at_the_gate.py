"""Whom staff at the gate meet: children of schools and the adults who bring and collect them, by name. A service.

Protected children are not among them, nor anybody's address. Not responsible for: numbers of a site (attendance), how
names reach a tablet (home/tablet_pages.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cloud.kit.db import Transaction, many


@dataclass(frozen=True)
class KnownChild:
    """A child of one of the schools, as the gate's staff call it."""

    id: UUID
    given: str
    family: str
    class_name: str


@dataclass(frozen=True)
class KnownAdult:
    """An adult who is a guardian of this child or may collect it now. relation: "" for an escort."""

    person_id: UUID
    given: str
    family: str
    child_id: UUID
    relation: str


def children_at_the_gate(
    tx: Transaction, district_id: UUID, schools: Sequence[UUID], now: datetime
) -> list[KnownChild]:
    """Return who is enrolled on the school's own day and not protected, by class and name."""
    return many(
        tx, KnownChild,
        """SELECT c.id, c.given, c.family, coalesce(k.name, '') AS class_name FROM enrolment e
           JOIN child c ON c.district_id = e.district_id AND c.id = e.child_id AND NOT c.protected
           JOIN school s ON s.district_id = e.district_id AND s.id = e.school_id
           LEFT JOIN class k ON k.district_id = e.district_id AND k.id = e.class_id
           WHERE e.district_id = %(district)s AND e.school_id = ANY (%(schools)s::uuid[])
             AND e.period @> (%(now)s::timestamptz AT TIME ZONE s.timezone)::date
           ORDER BY k.name, c.given, c.family, c.id""",
        {"district": district_id, "schools": list(schools), "now": now},
    )  # fmt: skip


def adults_at_the_gate(tx: Transaction, district_id: UUID, children: Sequence[UUID], now: datetime) -> list[KnownAdult]:
    """Return guardians on the day of a school of the child, and escorts whose right runs; one row for each pair."""
    return many(
        tx, KnownAdult,
        """WITH tie AS (
               SELECT g.child_id, g.person_id, g.relation FROM guardianship g
               WHERE g.district_id = %(district)s AND g.child_id = ANY (%(children)s::uuid[]) AND EXISTS (
                   SELECT FROM enrolment e JOIN school s ON s.district_id = e.district_id AND s.id = e.school_id
                   WHERE e.district_id = g.district_id AND e.child_id = g.child_id
                     AND e.period @> (%(now)s::timestamptz AT TIME ZONE s.timezone)::date
                     AND g.period @> (%(now)s::timestamptz AT TIME ZONE s.timezone)::date)
               UNION ALL
               SELECT child_id, person_id, '' FROM escort_right
               WHERE district_id = %(district)s AND child_id = ANY (%(children)s::uuid[])
                 AND kind = 'may_collect' AND period @> %(now)s::timestamptz
           )
           SELECT t.person_id, p.given, p.family, t.child_id, max(t.relation) AS relation
           FROM tie t JOIN person p ON p.district_id = %(district)s AND p.id = t.person_id
           GROUP BY t.person_id, p.given, p.family, t.child_id ORDER BY p.given, p.family, t.person_id, t.child_id""",
        {"district": district_id, "children": list(children), "now": now},
    )  # fmt: skip
