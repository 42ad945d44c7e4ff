"""Corrections of a child's file: a guardian proposes, the office decides, with a diff (FEATURES E2).

A service of this slice. Not responsible for: what the office changes by itself (people/service.py).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, LiteralString
from uuid import UUID

from cloud.audit import service as audit
from cloud.kit.db import RuleBroken, Transaction, many, one, one_or_none
from cloud.kit.errors import Refused
from cloud.kit.ids import new_id
from cloud.people.model import Change, Correction, is_writable
from cloud.people.refusals import PeopleRefused

FIELDS = ("given", "family", "birth", "address")
NAME_CHARACTERS_MAX = 100  # child_named
ADDRESS_CHARACTERS_MAX = 300  # child_address_length

REFUSALS = {
    "correction_decided_by_the_school": "NOT_OF_THIS_SCHOOL",
    "correction_decided_by_another": "NOT_OF_THIS_SCHOOL",
    "correction_decided_once": "CORRECTION_DECIDED",
}

CORRECTION: LiteralString = """
    SELECT k.id, k.child_id, c.given AS child_given, c.family AS child_family, k.proposed_by,
           concat_ws(' ', p.given, p.family) AS proposed_by_name, k.proposed_at, k.changes, k.state, k.decided_by,
           nullif(concat_ws(' ', d.given, d.family), '') AS decided_by_name, k.decided_at, k.reason
    FROM correction k
    JOIN child c ON c.district_id = k.district_id AND c.id = k.child_id
    JOIN person p ON p.district_id = k.district_id AND p.id = k.proposed_by
    LEFT JOIN person d ON d.district_id = k.district_id AND d.id = k.decided_by
    WHERE k.district_id = %(district)s"""


@dataclass(frozen=True)
class _Row(Correction):
    """A correction as the database has it: changes are JSON."""

    changes: Any

    def read(self) -> Correction:
        told = {field.name: getattr(self, field.name) for field in fields(Correction)}
        lines = tuple(Change(line["field"], line["before"], line["after"]) for line in self.changes)
        return Correction(**{**told, "changes": lines})


# --- proposing ------------------------------------------------------------------------------------------------------


def propose_correction(
    tx: Transaction, district_id: UUID, *, child_id: UUID, by: UUID, wanted: Mapping[str, str], now: datetime
) -> Correction:
    """Keep what a guardian says is right: field -> text (FIELDS; birth as ISO date). What is equal is left out.

    Raises PeopleRefused: CORRECTION_EMPTY, NAME_MISSING; Refused: BAD_INPUT (unknown field, no date, too long),
    NOT_FOUND (no guardian of this child), NOT_YOURS (the address, of a child who lives elsewhere).
    """
    current = _current(tx, district_id, child_id)
    cleaned = {name: _clean(name, text) for name, text in wanted.items()}
    if "address" in cleaned and not _lives_with(tx, district_id, child_id, by, now):
        raise Refused("NOT_YOURS")  # `before` would tell where the child lives.
    changes = [{"field": name, "before": current[name], "after": cleaned[name]}
               for name in FIELDS if name in cleaned and cleaned[name] != current[name]]  # fmt: skip
    if not changes:
        raise PeopleRefused("CORRECTION_EMPTY")
    correction_id = new_id(now)
    try:
        with tx.transaction():
            tx.execute(
                """INSERT INTO correction (district_id, id, child_id, proposed_by, proposed_at, changes)
                   VALUES (%(district)s, %(id)s, %(child)s, %(by)s, %(now)s, %(changes)s::jsonb)""",
                {"district": district_id, "id": correction_id, "child": child_id, "by": by, "now": now,
                 "changes": json.dumps(changes)},
            )  # fmt: skip
    except RuleBroken as broken:
        if broken.constraint == "correction_by_a_guardian":
            raise Refused("NOT_FOUND") from broken
        raise
    audit.record(tx, district_id, action="correction.propose", by=by, thing="correction", thing_id=correction_id,
                 child_id=child_id, now=now)  # fmt: skip
    return correction(tx, district_id, correction_id)


def _lives_with(tx: Transaction, district_id: UUID, child_id: UUID, by: UUID, now: datetime) -> bool:
    return one(
        tx, bool,
        """SELECT EXISTS (SELECT FROM guardianship WHERE district_id = %(district)s AND child_id = %(child)s
                             AND person_id = %(by)s AND lives_with
                             AND period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date)""",
        {"district": district_id, "child": child_id, "by": by, "now": now},
    )  # fmt: skip


def _clean(name: str, text: str) -> str:
    text = " ".join(text.split())
    if name not in FIELDS or not is_writable(text):
        raise Refused("BAD_INPUT")
    if name in ("given", "family"):
        if not text or len(text) > NAME_CHARACTERS_MAX:
            raise PeopleRefused("NAME_MISSING")
    elif name == "birth":
        try:
            text = date.fromisoformat(text).isoformat()
        except ValueError as error:
            raise Refused("BAD_INPUT") from error
    elif not text or len(text) > ADDRESS_CHARACTERS_MAX:
        raise Refused("BAD_INPUT")
    return text


@dataclass(frozen=True)
class _Current:
    given: str
    family: str
    birth: str
    address: str


def _current(tx: Transaction, district_id: UUID, child_id: UUID) -> dict[str, str]:
    """Return what the file says now, held until the end: two decisions stand in line."""
    found = one_or_none(
        tx, _Current,
        """SELECT c.given, c.family, coalesce(c.birth::text, '') AS birth,
                  coalesce((SELECT a.address FROM child_address a WHERE a.district_id = c.district_id
                               AND a.child_id = c.id), '') AS address
           FROM child c WHERE c.district_id = %(district)s AND c.id = %(child)s FOR UPDATE""",
        {"district": district_id, "child": child_id},
    )  # fmt: skip
    if found is None:
        raise Refused("NOT_FOUND")
    return dict(vars(found))


# --- deciding -------------------------------------------------------------------------------------------------------


def decide_correction(
    tx: Transaction, district_id: UUID, *, correction_id: UUID, accept: bool, by: UUID, reason: str = "", now: datetime
) -> Correction:
    """Take a proposal over into the file, or decline it. by: office or head of the child's school, not the proposer.

    Raises PeopleRefused: CORRECTION_UNKNOWN, CORRECTION_DECIDED, CORRECTION_STALE (the file no longer says `before`),
    NOT_OF_THIS_SCHOOL.
    """
    proposal = correction(tx, district_id, correction_id)
    current = _current(tx, district_id, proposal.child_id)
    if accept and proposal.state == "proposed" and any(
        current[change.field] != change.before for change in proposal.changes
    ):
        raise PeopleRefused("CORRECTION_STALE")
    values = {"district": district_id, "id": correction_id, "state": "accepted" if accept else "declined", "by": by,
              "now": now, "reason": reason[:300], "child": proposal.child_id}  # fmt: skip
    try:
        with tx.transaction():
            tx.execute(
                """UPDATE correction SET state = %(state)s, decided_by = %(by)s, decided_at = %(now)s,
                          reason = %(reason)s WHERE district_id = %(district)s AND id = %(id)s""", values,
            )  # fmt: skip
    except RuleBroken as broken:
        if broken.constraint in REFUSALS:
            raise PeopleRefused(REFUSALS[broken.constraint]) from broken
        raise
    if accept:
        _take_over(tx, values, {change.field: change.after for change in proposal.changes})
    audit.record(tx, district_id, action="correction.accept" if accept else "correction.decline", by=by,
                 thing="correction", thing_id=correction_id, child_id=proposal.child_id, now=now)  # fmt: skip
    return correction(tx, district_id, correction_id)


def _take_over(tx: Transaction, values: dict[str, Any], after: Mapping[str, str]) -> None:
    told = {**values, **{name: after.get(name) for name in FIELDS}}
    tx.execute(
        """UPDATE child SET given = coalesce(%(given)s, given), family = coalesce(%(family)s, family),
                  birth = coalesce(%(birth)s::date, birth) WHERE district_id = %(district)s AND id = %(child)s""", told,
    )  # fmt: skip
    if "address" in after:
        tx.execute(
            """INSERT INTO child_address (district_id, child_id, address)
               VALUES (%(district)s, %(child)s, %(address)s)
               ON CONFLICT (district_id, child_id) DO UPDATE SET address = excluded.address""", told,
        )  # fmt: skip


# --- reading --------------------------------------------------------------------------------------------------------


def correction(tx: Transaction, district_id: UUID, correction_id: UUID) -> Correction:
    """Return one proposal. Raises PeopleRefused("CORRECTION_UNKNOWN")."""
    found = one_or_none(
        tx, _Row, CORRECTION + " AND k.id = %(id)s", {"district": district_id, "id": correction_id}
    )
    if found is None:
        raise PeopleRefused("CORRECTION_UNKNOWN")
    return found.read()


def corrections_of_child(tx: Transaction, district_id: UUID, child_id: UUID) -> list[Correction]:
    """Return a child's proposals, newest first; in a guardian's transaction their own."""
    rows = many(
        tx, _Row, CORRECTION + " AND k.child_id = %(child)s ORDER BY k.proposed_at DESC, k.id",
        {"district": district_id, "child": child_id},
    )  # fmt: skip
    return [row.read() for row in rows]


def corrections_to_decide(tx: Transaction, district_id: UUID, school_id: UUID, now: datetime) -> list[Correction]:
    """Return what the office of a school has to decide, oldest first."""
    rows = many(
        tx, _Row,
        CORRECTION + """ AND k.state = 'proposed' AND EXISTS (
            SELECT FROM enrolment e WHERE e.district_id = k.district_id AND e.child_id = k.child_id
               AND e.school_id = %(school)s AND e.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date)
            ORDER BY k.proposed_at, k.id LIMIT 200""",
        {"district": district_id, "school": school_id, "now": now},
    )  # fmt: skip
    return [row.read() for row in rows]
