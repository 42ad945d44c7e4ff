"""Many people at once, as an import sees them: who is known by which key, and links that begin and end by date.

A service of this slice. Responsible for: reads of a whole district by sourced_id, enrolments and guardianships that an
import begins, changes and ends. Not responsible for: what an import may override (standards/), a person's own acts
(escorts.py, corrections.py). What ended stays; a row that begins today ends tomorrow at the earliest.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from cloud.kit.db import Transaction, many, one, one_or_none
from cloud.kit.ids import new_id
from cloud.people.escorts import rights_changed
from cloud.people.model import Tie


@dataclass(frozen=True)
class KnownPerson:
    """An adult whom some import made or found."""

    id: UUID
    sourced_id: str
    given: str
    family: str
    language: str
    login_id: UUID | None


@dataclass(frozen=True)
class KnownChild:
    """A child whom some import made. mended: the fields that an accepted correction put right."""

    id: UUID
    sourced_id: str
    given: str
    family: str
    birth: date | None
    mended: list[str]


@dataclass(frozen=True)
class _Running:
    id: UUID
    class_id: UUID | None
    first: date
    last: date | None


def known_people(tx: Transaction, district_id: UUID) -> list[KnownPerson]:
    return many(
        tx, KnownPerson,
        """SELECT id, sourced_id, given, family, language, login_id FROM person
           WHERE district_id = %(district)s AND sourced_id IS NOT NULL""",
        {"district": district_id},
    )  # fmt: skip


def known_children(tx: Transaction, district_id: UUID) -> list[KnownChild]:
    return many(
        tx, KnownChild,
        """SELECT c.id, c.sourced_id, c.given, c.family, c.birth,
                  ARRAY(SELECT DISTINCT line->>'field' FROM correction k, jsonb_array_elements(k.changes) line
                         WHERE k.district_id = c.district_id AND k.child_id = c.id AND k.state = 'accepted') AS mended
           FROM child c WHERE c.district_id = %(district)s AND c.sourced_id IS NOT NULL""",
        {"district": district_id},
    )  # fmt: skip


def person_of_login(tx: Transaction, district_id: UUID, login_id: UUID) -> UUID | None:
    """Return the person of this district whom a login belongs to."""
    return one_or_none(
        tx, UUID, "SELECT id FROM person WHERE district_id = %(district)s AND login_id = %(login)s",
        {"district": district_id, "login": login_id},
    )  # fmt: skip


# --- enrolments -----------------------------------------------------------------------------------------------------


def put_enrolment(
    tx: Transaction, district_id: UUID, child_id: UUID, school_id: UUID, class_id: UUID | None, *, first_day: date,
    last_day: date | None, today: date,
) -> bool:  # fmt: skip
    """Let a child be at a school, in a class, until last_day (excluded); return whether anything changed.

    A running enrolment in another class ends today and goes on in this one: earlier days stay as they were.
    """
    values: dict[str, object] = {
        "district": district_id, "child": child_id, "school": school_id, "class": class_id, "first": first_day,
        "last": last_day, "today": today, "id": new_id(),
    }  # fmt: skip
    running = one_or_none(
        tx, _Running,
        """SELECT id, class_id, lower(period) AS first, upper(period) AS last FROM enrolment
           WHERE district_id = %(district)s AND child_id = %(child)s AND school_id = %(school)s
             AND (period @> %(today)s OR lower(period) > %(today)s) ORDER BY lower(period) LIMIT 1""", values,
    )  # fmt: skip
    if running is None:
        return _insert_enrolment(tx, values)
    values["running"] = running.id
    if running.class_id == class_id:
        return _set_end(tx, district_id, running, last_day)
    if running.first >= today:  # No day is lost where it has just begun.
        tx.execute(
            "UPDATE enrolment SET class_id = %(class)s WHERE district_id = %(district)s AND id = %(running)s", values
        )
        return True
    tx.execute(
        """UPDATE enrolment SET period = daterange(lower(period), %(today)s)
           WHERE district_id = %(district)s AND id = %(running)s""", values,
    )  # fmt: skip
    return _insert_enrolment(tx, {**values, "first": today})


def _insert_enrolment(tx: Transaction, values: dict[str, object]) -> bool:
    """Begin on the first day, or where the last enrolment of this school ended. An empty time is none."""
    return tx.execute(
        """INSERT INTO enrolment (district_id, id, child_id, school_id, class_id, period)
           SELECT %(district)s, %(id)s, %(child)s, %(school)s, %(class)s, daterange(begins, %(last)s)
             FROM (SELECT greatest(%(first)s::date, max(upper(period))) AS begins FROM enrolment
                    WHERE district_id = %(district)s AND child_id = %(child)s AND school_id = %(school)s) earlier
            WHERE %(last)s::date IS NULL OR begins < %(last)s""", values,
    ).rowcount > 0  # fmt: skip


def _set_end(tx: Transaction, district_id: UUID, running: _Running, last_day: date | None) -> bool:
    end = max(last_day, running.first + timedelta(days=1)) if last_day else None
    if end == running.last:
        return False
    tx.execute(
        """UPDATE enrolment SET period = daterange(lower(period), %(end)s)
           WHERE district_id = %(district)s AND id = %(id)s""",
        {"district": district_id, "id": running.id, "end": end},
    )  # fmt: skip
    return True


def end_enrolments(
    tx: Transaction, district_id: UUID, child_id: UUID, school_id: UUID, today: date, now: datetime
) -> int:
    """End what runs or is to begin at a school; return how many ended. today: excluded."""
    ended = tx.execute(
        """UPDATE enrolment SET period = daterange(lower(period), greatest(%(today)s::date, lower(period) + 1))
           WHERE district_id = %(district)s AND child_id = %(child)s AND school_id = %(school)s
             AND (upper_inf(period) OR upper(period) > greatest(%(today)s::date, lower(period) + 1))""",
        {"district": district_id, "child": child_id, "school": school_id, "today": today},
    ).rowcount  # fmt: skip
    if ended:
        rights_changed(tx, district_id, child_id, now)
    return ended


def end_teachers(tx: Transaction, district_id: UUID, person_id: UUID, class_id: UUID, today: date) -> int:
    """End a teacher's appointment to a class; return how many ended. today: excluded. What is to begin never does."""
    return tx.execute(
        """UPDATE class_teacher SET period = daterange(lower(period), greatest(
                  %(today)s::date, lower(period) + (lower(period) <= %(today)s)::int))
           WHERE district_id = %(district)s AND person_id = %(person)s AND class_id = %(class)s
             AND (upper_inf(period) OR upper(period) > greatest(
                  %(today)s::date, lower(period) + (lower(period) <= %(today)s)::int))""",
        {"district": district_id, "person": person_id, "class": class_id, "today": today},
    ).rowcount  # fmt: skip


# --- guardians ------------------------------------------------------------------------------------------------------


def put_tie(tx: Transaction, district_id: UUID, tie: Tie, today: date, now: datetime) -> bool:
    """Let a person be guardian of a child as the tie says; return whether anything changed."""
    values = {
        "district": district_id, "id": new_id(), "child": tie.child_id, "person": tie.person_id, "first": tie.first_day,
        "relation": tie.relation, "authority": tie.authority, "lives": tie.lives_with, "collect": tie.may_collect,
        "today": today,
    }  # fmt: skip
    changed = tx.execute(
        """UPDATE guardianship SET relation = %(relation)s, authority = %(authority)s, lives_with = %(lives)s,
                  may_collect = %(collect)s, may_read = %(authority)s, may_sign = %(authority)s
           WHERE district_id = %(district)s AND child_id = %(child)s AND person_id = %(person)s AND period @> %(today)s
             AND (relation, authority, lives_with, may_collect)
                 IS DISTINCT FROM (%(relation)s, %(authority)s, %(lives)s, %(collect)s)""", values,
    ).rowcount > 0  # fmt: skip
    added = tx.execute(
        """INSERT INTO guardianship (district_id, id, child_id, person_id, relation, authority, lives_with, may_collect,
                                     may_read, may_sign, period)
           SELECT %(district)s, %(id)s, %(child)s, %(person)s, %(relation)s, %(authority)s, %(lives)s, %(collect)s,
                  %(authority)s, %(authority)s, daterange(greatest(%(first)s::date, max(upper(g.period))), NULL)
             FROM guardianship g WHERE g.district_id = %(district)s AND g.child_id = %(child)s
              AND g.person_id = %(person)s
           HAVING NOT coalesce(bool_or(g.period @> %(today)s::date OR lower(g.period) > %(today)s), false)""", values,
    ).rowcount > 0  # fmt: skip
    if changed:
        rights_changed(tx, district_id, tie.child_id, now)
    return changed or added


def end_tie(
    tx: Transaction, district_id: UUID, child_id: UUID, person_id: UUID, today: date, now: datetime
) -> int:
    """End a guardianship, and the right that an import gave with it; return how many ended. today: excluded."""
    ended = tx.execute(
        """UPDATE guardianship SET period = daterange(lower(period), greatest(%(today)s::date, lower(period) + 1))
           WHERE district_id = %(district)s AND person_id = %(person)s AND child_id = %(child)s
             AND (upper_inf(period) OR upper(period) > greatest(%(today)s::date, lower(period) + 1))""",
        {"district": district_id, "child": child_id, "person": person_id, "today": today},
    ).rowcount  # fmt: skip
    if ended:
        end_imported_right(tx, district_id, child_id, person_id, now)
        rights_changed(tx, district_id, child_id, now)
    return ended


def end_imported_right(tx: Transaction, district_id: UUID, child_id: UUID, person_id: UUID, now: datetime) -> bool:
    """End a right to collect that an import gave; one that a person gave stays. Return whether there was one."""
    return tx.execute(
        """UPDATE escort_right SET period = period * tstzrange(NULL, %(now)s), ended_at = %(now)s
           WHERE district_id = %(district)s AND child_id = %(child)s AND person_id = %(person)s AND origin = 'import'
             AND kind = 'may_collect' AND ended_at IS NULL AND period && tstzrange(%(now)s, NULL)""",
        {"district": district_id, "child": child_id, "person": person_id, "now": now},
    ).rowcount > 0  # fmt: skip


def may_collect_now(tx: Transaction, district_id: UUID, child_id: UUID, person_id: UUID, now: datetime) -> bool:
    """Return whether a right to collect runs."""
    return one(
        tx, bool,
        """SELECT EXISTS (SELECT FROM escort_right WHERE district_id = %(district)s AND child_id = %(child)s
                             AND person_id = %(person)s AND kind = 'may_collect' AND period @> %(now)s)""",
        {"district": district_id, "child": child_id, "person": person_id, "now": now},
    )  # fmt: skip
