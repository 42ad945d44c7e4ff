"""Who may collect a child: added, for today only, removed, objected to. Five at any instant (I1).

A service of this slice beside people/service.py. Whether the actor may ask is the caller's question to identity/may.py;
that the adder holds authority for this child or works in its office, and that a slot is free, the database says again.
Responsible for: escort_right of kind may_collect and its line in the access log. Not responsible for: orders.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import LiteralString, NoReturn
from uuid import UUID
from zoneinfo import ZoneInfo

from cloud.audit import service as audit
from cloud.kit.db import RuleBroken, Transaction, many, one, one_or_none
from cloud.kit.errors import Refused
from cloud.kit.ids import new_id
from cloud.kit.jobs import happened
from cloud.people.model import ESCORT_SLOTS, EscortRight, NewPerson, is_writable
from cloud.people.refusals import PeopleRefused
from cloud.schools import service as schools

NAME_CHARACTERS_MAX = 100  # person_named
WHY_CHARACTERS_MAX = 200  # escort_right_why_short
UNDO = timedelta(hours=1)  # how long a page offers to take a removal back

# What the database refuses, in our words; the sixth is found by having no slot left.
REFUSALS = {
    "escort_right_five_at_most": "ESCORTS_FULL",
    "escort_right_never_against_order": "ESCORT_FORBIDDEN",
    "escort_right_once_a_person": "ESCORT_ALREADY",
    "escort_right_added_by_who_may": "ESCORT_NOT_YOURS",
    "escort_right_not_after_veto": "ESCORT_VETOED",
    "escort_right_ended_by_who_may": "ESCORT_NOT_YOURS",
    "escort_right_vetoed_in_time": "ESCORT_VETO_OVER",
}

RIGHT: LiteralString = """
    SELECT r.id, r.child_id, r.person_id, p.given, p.family, r.slot, r.weekdays, lower(r.period) AS starts,
           upper(r.period) AS ends, r.one_time, r.origin, r.added_by, a.given AS added_by_given,
           a.family AS added_by_family, r.added_at, r.why, r.veto_until,
           EXISTS (SELECT FROM guardianship g WHERE g.district_id = r.district_id AND g.child_id = r.child_id
                      AND g.person_id = r.person_id AND g.authority
                      AND g.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date) AS guardian
    FROM escort_right r
    JOIN person p ON p.district_id = r.district_id AND p.id = r.person_id
    LEFT JOIN person a ON a.district_id = r.district_id AND a.id = r.added_by
    WHERE r.district_id = %(district)s AND r.kind = 'may_collect'
      AND r.period && tstzrange(%(now)s, NULL)"""


@dataclass(frozen=True)
class _Wish:
    """A right that somebody wants, before the database has said yes."""

    child_id: UUID
    person_id: UUID
    by: UUID | None
    origin: str
    weekdays: int
    starts: datetime
    ends: datetime | None
    why: str = ""
    one_time: bool = False
    veto_until: datetime | None = None


@dataclass(frozen=True)
class _Place:
    """Where a child's day is held, and what its district says of objections."""

    school_id: UUID
    timezone: str
    escort_veto_hours: int
    escort_waits: bool


# --- reading --------------------------------------------------------------------------------------------------------


def escorts_of_child(tx: Transaction, district_id: UUID, child_id: UUID, now: datetime) -> list[EscortRight]:
    """Return the rights that run or are to begin, by slot; ended and vetoed ones are not among them."""
    return many(
        tx, EscortRight, RIGHT + " AND r.child_id = %(child)s ORDER BY r.slot, lower(r.period)",
        {"district": district_id, "child": child_id, "now": now},
    )  # fmt: skip


def rights_to_consider(tx: Transaction, district_id: UUID, person_id: UUID, now: datetime) -> list[EscortRight]:
    """Return rights for this guardian's children that another guardian added and to which this one may still object."""
    return many(
        tx, EscortRight,
        RIGHT + """ AND r.veto_until > %(now)s AND r.added_by <> %(person)s
            AND decides_for(r.district_id, r.child_id, %(person)s, %(now)s) ORDER BY r.veto_until""",
        {"district": district_id, "person": person_id, "now": now},
    )  # fmt: skip


def escorts_chosen_for(tx: Transaction, district_id: UUID, guardian_id: UUID, now: datetime) -> list[UUID]:
    """Return who may collect children that this guardian decides for, and is no guardian of them: whose lost card a
    parent may block, since a grandmother with a card may have no phone of her own."""
    rights = many(
        tx, EscortRight, RIGHT + " AND decides_for(r.district_id, r.child_id, %(person)s, %(now)s)",
        {"district": district_id, "person": guardian_id, "now": now},
    )  # fmt: skip
    return sorted({right.person_id for right in rights if not right.guardian})


def may_come_back(tx: Transaction, district_id: UUID, child_id: UUID, person_id: UUID, now: datetime) -> bool:
    """Return whether this person's right for the child was ended within the last hour: what a page may offer to undo.

    Undoing is adding anew, with all that add_escort asks. tx: staff's.
    """
    return one(
        tx, bool,
        """SELECT EXISTS (SELECT FROM escort_right WHERE district_id = %(district)s AND child_id = %(child)s
                             AND person_id = %(person)s AND kind = 'may_collect' AND NOT vetoed
                             AND ended_at > %(since)s AND ended_at <= %(now)s)""",
        {"district": district_id, "child": child_id, "person": person_id, "now": now, "since": now - UNDO},
    )  # fmt: skip


# --- adding ---------------------------------------------------------------------------------------------------------


def add_escort(
    tx: Transaction, district_id: UUID, *, child_id: UUID, person: UUID | NewPerson, by: UUID, weekdays: int = 127,
    first_day: date | None = None, last_day: date | None = None, why: str = "", now: datetime,
) -> EscortRight:  # fmt: skip
    """Let a person collect a child, in the lowest free slot of five, on weekdays, between two school days (inclusive).

    person: known here, or a name that the family writes; a name already tied to this child is that person. by: a holder
    of parental authority for the child, or office or head of its school. Where another holder of authority was not
    asked, the right carries veto_until; whether it runs until then is the district's choice (district.escort_waits).

    Raises PeopleRefused: ESCORTS_FULL, ESCORT_FORBIDDEN, ESCORT_ALREADY, ESCORT_NOT_YOURS, ESCORT_VETOED,
    DATES_BACKWARDS, NO_WEEKDAY, NAME_MISSING; Refused("NOT_FOUND") for a person or child of nobody here.
    """
    if not 1 <= weekdays <= 127:
        raise PeopleRefused("NO_WEEKDAY")
    place = _place_of(tx, district_id, child_id, now)
    zone = ZoneInfo(place.timezone)
    starts = max(now, _midnight(first_day, zone)) if first_day else now
    ends = _midnight(last_day + timedelta(days=1), zone) if last_day else None
    if ends is not None and ends <= starts:
        raise PeopleRefused("DATES_BACKWARDS")
    origin = _origin(tx, district_id, child_id, by, now)
    take_turn(tx, district_id, child_id)
    person_id = _person(tx, district_id, child_id, person)
    veto_until = None
    if origin == "family" and place.escort_veto_hours and _others_decide(tx, district_id, child_id, person_id, by, now):
        veto_until = now + timedelta(hours=place.escort_veto_hours)
        starts = max(starts, veto_until) if place.escort_waits else starts
    if ends is not None and ends <= starts:
        raise PeopleRefused("DATES_BACKWARDS")
    wish = _Wish(child_id, person_id, by, origin, weekdays, starts, ends, why[:WHY_CHARACTERS_MAX], False, veto_until)
    return _added(tx, district_id, wish, now)


def allow_today(
    tx: Transaction, district_id: UUID, *, child_id: UUID, person: UUID | NewPerson, by: UUID, why: str = "",
    now: datetime,
) -> EscortRight:  # fmt: skip
    """Let a person collect the child today: the right ends when the school closes (with no hours known: at midnight).

    No veto: it would be over before it is read; the other guardian sees it. Raises as add_escort, and CLOSED_TODAY.
    """
    place = _place_of(tx, district_id, child_id, now)
    ends = schools.closes_at(tx, district_id, place.school_id, now)
    if ends is None:
        raise PeopleRefused("CLOSED_TODAY")
    origin = _origin(tx, district_id, child_id, by, now)
    take_turn(tx, district_id, child_id)
    person_id = _person(tx, district_id, child_id, person)
    wish = _Wish(child_id, person_id, by, origin, 127, now, ends, why[:WHY_CHARACTERS_MAX], True)
    return _added(tx, district_id, wish, now)


def give_escort_right(tx: Transaction, district_id: UUID, child_id: UUID, person_id: UUID, now: datetime, *,
                      weekdays: int = 127) -> UUID:
    """Let a person collect a child from now on, as an import says: nobody of the family or the school is named.

    Raises PeopleRefused: ESCORTS_FULL, or ESCORT_FORBIDDEN where a prohibition runs (I2). A right that runs already is
    returned.
    """
    take_turn(tx, district_id, child_id)
    running = one_or_none(
        tx, UUID,
        """SELECT id FROM escort_right WHERE district_id = %(district)s AND child_id = %(child)s
             AND person_id = %(person)s AND kind = 'may_collect' AND period @> %(now)s""",
        {"district": district_id, "child": child_id, "person": person_id, "now": now},
    )  # fmt: skip
    return running or _in_a_slot(tx, district_id, _Wish(child_id, person_id, None, "import", weekdays, now, None), now)


def import_escort(tx: Transaction, district_id: UUID, child_id: UUID, person_id: UUID, now: datetime) -> bool:
    """Let a person collect as an import says, unless somebody decided otherwise; return whether they may.

    What a person ended, and whom an order concerned, no file brings back. Raises PeopleRefused("ESCORTS_FULL").
    """
    decided = one(
        tx, bool,
        """SELECT EXISTS (SELECT FROM escort_right WHERE district_id = %(district)s AND child_id = %(child)s
                             AND person_id = %(person)s
                             AND (kind = 'must_not_collect' OR ended_by IS NOT NULL))""",
        {"district": district_id, "child": child_id, "person": person_id},
    )  # fmt: skip
    if not decided:
        give_escort_right(tx, district_id, child_id, person_id, now)
    return not decided


def _added(tx: Transaction, district_id: UUID, wish: _Wish, now: datetime) -> EscortRight:
    right_id = _in_a_slot(tx, district_id, wish, now)
    rights_changed(tx, district_id, wish.child_id, now)
    made = _right(tx, district_id, wish.child_id, right_id, now)
    detail: dict[str, str | int] = {"slot": made.slot, "weekdays": wish.weekdays, "origin": wish.origin}
    audit.record(tx, district_id, action="escort.allow_today" if wish.one_time else "escort.add", by=wish.by,
                 thing="escort_right", thing_id=right_id, child_id=wish.child_id, detail=detail, now=now)  # fmt: skip
    return made


def take_turn(tx: Transaction, district_id: UUID, child_id: UUID) -> None:
    """Wait until no other transaction is changing who may collect this child, and keep others waiting until this ends.

    Without it two that insert at once would wait for each other in the exclusion constraints: a deadlock.
    """
    tx.execute("SELECT FROM child WHERE district_id = %s AND id = %s FOR NO KEY UPDATE", (district_id, child_id))


def _in_a_slot(tx: Transaction, district_id: UUID, wish: _Wish, now: datetime) -> UUID:
    """Insert in the lowest slot that is free for the whole time. The child's turn is taken."""
    values = {"district": district_id, "now": now, **vars(wish)}
    taken = set(many(
        tx, int,
        """SELECT slot FROM escort_right WHERE district_id = %(district)s AND child_id = %(child_id)s
             AND kind = 'may_collect' AND period && tstzrange(%(starts)s, %(ends)s)""", values,
    ))  # fmt: skip
    free = [slot for slot in ESCORT_SLOTS if slot not in taken]
    if not free:
        _refuse_full(tx, values)
    right_id = new_id(now)
    try:
        with tx.transaction():
            _insert(tx, {"id": right_id, "slot": free[0], **values})
    except RuleBroken as broken:
        raise _refused(broken) from broken
    return right_id


def _insert(tx: Transaction, values: dict[str, object]) -> None:
    tx.execute(
        """INSERT INTO escort_right (district_id, id, child_id, person_id, kind, slot, weekdays, period, origin,
                                     added_by, added_at, why, one_time, veto_until)
           VALUES (%(district)s, %(id)s, %(child_id)s, %(person_id)s, 'may_collect', %(slot)s, %(weekdays)s,
                   tstzrange(%(starts)s, %(ends)s), %(origin)s, %(by)s, %(now)s, %(why)s, %(one_time)s,
                   %(veto_until)s)""",
        values,
    )  # fmt: skip


def _refuse_full(tx: Transaction, values: dict[str, object]) -> NoReturn:
    """With five slots taken nothing is inserted: say what would have been refused in any slot first."""
    kinds = many(
        tx, str,
        """SELECT kind FROM escort_right WHERE district_id = %(district)s AND child_id = %(child_id)s
             AND person_id = %(person_id)s AND period && tstzrange(%(starts)s, %(ends)s)""", values,
    )  # fmt: skip
    if "must_not_collect" in kinds:
        raise PeopleRefused("ESCORT_FORBIDDEN")
    raise PeopleRefused("ESCORT_ALREADY" if kinds else "ESCORTS_FULL")


def _place_of(tx: Transaction, district_id: UUID, child_id: UUID, now: datetime) -> _Place:
    found = one_or_none(
        tx, _Place,
        """SELECT s.id AS school_id, s.timezone, d.escort_veto_hours, d.escort_waits
           FROM enrolment e JOIN school s ON s.district_id = e.district_id AND s.id = e.school_id
           JOIN district d ON d.id = e.district_id
           WHERE e.district_id = %(district)s AND e.child_id = %(child)s
             AND e.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date
           ORDER BY s.id LIMIT 1""",
        {"district": district_id, "child": child_id, "now": now},
    )  # fmt: skip
    if found is None:
        raise Refused("NOT_FOUND")
    return found


def _origin(tx: Transaction, district_id: UUID, child_id: UUID, by: UUID, now: datetime) -> str:
    """Return as what a person adds: a holder of authority is family, wherever else they work."""
    values = (district_id, child_id, by, now)
    if one(tx, bool, "SELECT decides_for(%s, %s, %s, %s)", values):
        return "family"
    if one(tx, bool, "SELECT works_for_school_of(%s, %s, %s, %s)", values):
        return "office"
    raise PeopleRefused("ESCORT_NOT_YOURS")


def _others_decide(
    tx: Transaction, district_id: UUID, child_id: UUID, person_id: UUID, by: UUID, now: datetime
) -> bool:
    """Whether another holder of authority is to be asked. About a holder of authority nobody of the family is."""
    deciders = many(
        tx, UUID,
        """SELECT g.person_id FROM guardianship g WHERE g.district_id = %(district)s AND g.child_id = %(child)s
             AND decides_for(g.district_id, g.child_id, g.person_id, %(now)s)
             AND g.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date""",
        {"district": district_id, "child": child_id, "now": now},
    )  # fmt: skip
    return person_id not in deciders and bool(set(deciders) - {by})


def _person(tx: Transaction, district_id: UUID, child_id: UUID, person: UUID | NewPerson) -> UUID:
    """Return who is meant. A name that is tied to this child already is that person, also one who must not collect."""
    if isinstance(person, UUID):
        if one_or_none(tx, UUID, "SELECT id FROM person WHERE district_id = %s AND id = %s", (district_id, person)):
            return person
        raise Refused("NOT_FOUND")
    given, family = " ".join(person.given.split()), " ".join(person.family.split())
    if not given or not family or max(len(given), len(family)) > NAME_CHARACTERS_MAX or not is_writable(given + family):
        raise PeopleRefused("NAME_MISSING")
    values = {"district": district_id, "child": child_id, "given": given, "family": family, "id": new_id(),
              "language": person.language}  # fmt: skip
    known = one_or_none(
        tx, UUID,
        """SELECT p.id FROM person p JOIN (
               SELECT person_id, kind = 'must_not_collect' AS first FROM escort_right
               WHERE district_id = %(district)s AND child_id = %(child)s
               UNION ALL SELECT person_id, false FROM guardianship
               WHERE district_id = %(district)s AND child_id = %(child)s
           ) t ON t.person_id = p.id
           WHERE p.district_id = %(district)s AND lower(p.given) = lower(%(given)s)
             AND lower(p.family) = lower(%(family)s) ORDER BY t.first DESC, p.id LIMIT 1""", values,
    )  # fmt: skip
    return known or one(
        tx, UUID,
        """INSERT INTO person (district_id, id, given, family, language)
           VALUES (%(district)s, %(id)s, %(given)s, %(family)s, %(language)s) RETURNING id""", values,
    )  # fmt: skip


# --- ending ---------------------------------------------------------------------------------------------------------


def remove_escort(
    tx: Transaction, district_id: UUID, *, child_id: UUID, right_id: UUID, by: UUID, now: datetime
) -> None:
    """End a right at this moment; its slot is free. That of a holder of authority only its holder or the office ends.

    Raises PeopleRefused: ESCORT_UNKNOWN (also over already), ESCORT_NOT_YOURS.
    """
    _right(tx, district_id, child_id, right_id, now)
    _end(tx, district_id, child_id, right_id, by, False, now)


def veto_escort(tx: Transaction, district_id: UUID, *, child_id: UUID, right_id: UUID, by: UUID, now: datetime) -> None:
    """Object to a right that another holder of authority added: it ends, and only the office adds that person again.

    Raises PeopleRefused: ESCORT_UNKNOWN, ESCORT_NOT_YOURS (own, or without authority), ESCORT_VETO_OVER.
    """
    right = _right(tx, district_id, child_id, right_id, now)
    decides = one(tx, bool, "SELECT decides_for(%s, %s, %s, %s)", (district_id, child_id, by, now))
    if by == right.added_by or not decides:
        raise PeopleRefused("ESCORT_NOT_YOURS")
    if not right.may_be_vetoed_by(by, now):
        raise PeopleRefused("ESCORT_VETO_OVER")
    _end(tx, district_id, child_id, right_id, by, True, now)


def end_escort_right(tx: Transaction, district_id: UUID, child_id: UUID, person_id: UUID, now: datetime) -> bool:
    """End a running right at this moment, as an import says; its slot is free from then on. Return whether one ran."""
    ended = tx.execute(
        """UPDATE escort_right SET period = period * tstzrange(NULL, %(now)s), ended_at = %(now)s
           WHERE district_id = %(district)s AND child_id = %(child)s AND person_id = %(person)s
             AND kind = 'may_collect' AND period @> %(now)s""",
        {"district": district_id, "child": child_id, "person": person_id, "now": now},
    ).rowcount  # fmt: skip
    if ended:
        rights_changed(tx, district_id, child_id, now)
    return ended > 0


def _end(
    tx: Transaction, district_id: UUID, child_id: UUID, right_id: UUID, by: UUID, vetoed: bool, now: datetime
) -> None:
    try:
        with tx.transaction():
            tx.execute(
                """UPDATE escort_right SET period = period * tstzrange(NULL, %(now)s), ended_by = %(by)s,
                          ended_at = %(now)s, vetoed = %(vetoed)s
                   WHERE district_id = %(district)s AND child_id = %(child)s AND id = %(id)s""",
                {"district": district_id, "child": child_id, "id": right_id, "by": by, "now": now, "vetoed": vetoed},
            )  # fmt: skip
    except RuleBroken as broken:
        raise _refused(broken) from broken
    rights_changed(tx, district_id, child_id, now)
    audit.record(tx, district_id, action="escort.veto" if vetoed else "escort.remove", by=by, thing="escort_right",
                 thing_id=right_id, child_id=child_id, now=now)  # fmt: skip


def _right(tx: Transaction, district_id: UUID, child_id: UUID, right_id: UUID, now: datetime) -> EscortRight:
    found = one_or_none(
        tx, EscortRight, RIGHT + " AND r.child_id = %(child)s AND r.id = %(id)s",
        {"district": district_id, "child": child_id, "id": right_id, "now": now},
    )  # fmt: skip
    if found is None:
        raise PeopleRefused("ESCORT_UNKNOWN")
    return found


def _refused(broken: RuleBroken) -> Exception:
    return PeopleRefused(REFUSALS[broken.constraint]) if broken.constraint in REFUSALS else broken


def rights_changed(tx: Transaction, district_id: UUID, child_id: UUID, now: datetime) -> None:
    """Say, in the same transaction, that the lists of the child's sites are to be compiled anew."""
    sites = many(
        tx, int,
        """SELECT DISTINCT s.site FROM enrolment e
           JOIN school s ON s.district_id = e.district_id AND s.id = e.school_id
           WHERE e.district_id = %(district)s AND e.child_id = %(child)s
             AND e.period && daterange((%(now)s::timestamptz AT TIME ZONE 'UTC')::date, NULL) ORDER BY s.site""",
        {"district": district_id, "child": child_id, "now": now},
    )  # fmt: skip
    for site in sites:
        happened(tx, "RightsChanged", district_id, site=site)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)
