"""Roles as people grant and end them: dated, by name of who granted and who ended, with a line in the audit log.

A service of this slice. Responsible for: who holds which role, from when to when; what the database says of a grant, in
words: nobody grants to themself or above, a school keeps a head. Not responsible for: who may come this far (may.py);
what the system grants from a file (service.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from cloud.audit import service as audit
from cloud.identity.model import Role
from cloud.kit.db import RuleBroken, Transaction, many, one_or_none
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.ids import new_id
from cloud.kit.jobs import happened

SCHOOL_ROLES = (Role.TEACHER, Role.GATE_STAFF, Role.DAY_CARE, Role.OFFICE, Role.HEAD)


class GrantRefused(Refused):
    """A role that cannot be granted or ended."""

    answers: ClassVar = {
        "ROLE_ALREADY": Answer(409, N_("This person holds this role already."), N_("Reload the page and look.")),
        "ROLE_OWN": Answer(403, N_("Nobody changes own roles."), N_("Ask another head or the district.")),
        "ROLE_ABOVE": Answer(403, N_("This role is not yours to give or take."), N_("Ask the district.")),
        "ROLE_LAST_HEAD": Answer(409, N_("A school always has a head."), N_("Name another head first.")),
        "ROLE_BACKWARDS": Answer(400, N_("The end lies before the beginning."), N_("Check the dates.")),
    }


RULES = {
    "role_grant_once": "ROLE_ALREADY", "role_grant_not_to_oneself": "ROLE_OWN", "role_grant_not_above": "ROLE_ABOVE",
    "role_grant_last_head": "ROLE_LAST_HEAD",
}
"""What a broken rule of the database is called for people."""


@dataclass(frozen=True)
class GrantedRole:
    """A role that runs or is to begin. last_day: included, None where it has no end."""

    id: UUID
    person_id: UUID
    role: Role
    class_id: UUID | None
    first_day: date
    last_day: date | None


def roles_of_school(tx: Transaction, district_id: UUID, school_id: UUID, day: date) -> list[GrantedRole]:
    """Return the roles at a school that have not ended by a local date."""
    return many(
        tx, GrantedRole,
        "SELECT id, person_id, role, class_id, lower(period) AS first_day,"
        " CASE WHEN upper_inf(period) THEN NULL ELSE upper(period) - 1 END AS last_day FROM role_grant"
        " WHERE district_id = %(district)s AND school_id = %(school)s AND period && daterange(%(day)s, NULL)"
        " ORDER BY person_id, role, lower(period), id",
        {"district": district_id, "school": school_id, "day": day},
    )  # fmt: skip


def give_role(
    tx: Transaction, district_id: UUID, *, person_id: UUID, role: Role, school_id: UUID | None, class_id: UUID | None,
    first_day: date, last_day: date | None, by: UUID, now: datetime,
) -> UUID:  # fmt: skip
    """Grant a role at a school, or with None in the whole district. last_day: included.

    Raises GrantRefused: ROLE_OWN, ROLE_ABOVE, ROLE_ALREADY, ROLE_BACKWARDS.
    """
    if last_day is not None and last_day < first_day:
        raise GrantRefused("ROLE_BACKWARDS")
    grant_id = new_id(now)
    with rules_of_roles(tx):
        tx.execute(
            "INSERT INTO role_grant (district_id, id, person_id, role, school_id, class_id, period, granted_by,"
            " granted_at) VALUES (%(district)s, %(id)s, %(person)s, %(role)s, %(school)s, %(class)s,"
            " daterange(%(first)s, %(last)s, '[]'), %(by)s, %(now)s)",
            {"district": district_id, "id": grant_id, "person": person_id, "role": role, "school": school_id,
             "class": class_id, "first": first_day, "last": last_day, "by": by, "now": now},
        )  # fmt: skip
    _note(tx, district_id, "role.grant", by, grant_id, role, now)
    return grant_id


def end_grant(
    tx: Transaction, district_id: UUID, *, grant_id: UUID, school_id: UUID | None, day: date, by: UUID, now: datetime
) -> None:
    """End a role at a school, or with None in the district, on a local date, that day excluded.

    One that has not begun by then never does. Raises Refused("NOT_FOUND") for another school's and for one that has
    ended, GrantRefused: ROLE_OWN, ROLE_ABOVE, ROLE_LAST_HEAD.
    """
    found = one_or_none(
        tx, GrantedRole,
        "SELECT id, person_id, role, class_id, lower(period) AS first_day, NULL::date AS last_day FROM role_grant"
        " WHERE district_id = %(district)s AND id = %(id)s AND school_id IS NOT DISTINCT FROM %(school)s"
        " AND period && daterange(%(day)s, NULL)",
        {"district": district_id, "id": grant_id, "school": school_id, "day": day},
    )  # fmt: skip
    if found is None:
        raise Refused("NOT_FOUND")
    if found.person_id == by:
        raise GrantRefused("ROLE_OWN")
    with rules_of_roles(tx):
        tx.execute(
            "UPDATE role_grant SET period = daterange(lower(period), greatest(lower(period), %(day)s::date)),"
            " ended_by = %(by)s WHERE district_id = %(district)s AND id = %(id)s",
            {"district": district_id, "id": grant_id, "day": day, "by": by},
        )
    happened(tx, "RoleEnded", district_id)
    _note(tx, district_id, "role.end", by, grant_id, found.role, now)


@contextmanager
def rules_of_roles(tx: Transaction) -> Iterator[None]:
    """Turn what the database says of a grant into words; the transaction goes on."""
    try:
        with tx.transaction():
            yield
    except RuleBroken as broken:
        if broken.constraint == "role_grant_in_class":
            raise Refused("NOT_FOUND") from broken
        if broken.constraint not in RULES:
            raise
        raise GrantRefused(RULES[broken.constraint]) from broken


def _note(tx: Transaction, district_id: UUID, action: str, by: UUID, grant_id: UUID, role: Role, now: datetime) -> None:
    audit.record(
        tx, district_id, action=action, by=by, thing="role_grant", thing_id=grant_id, detail={"role": str(role)},
        now=now,
    )  # fmt: skip
