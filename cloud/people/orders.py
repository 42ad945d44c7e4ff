"""Court orders: who must not collect a child; at once on one person's word, confirmed or lifted by two (I2, B4).

A service of this slice. An order is a court_order (who, why, evidence) and the escort_right of kind must_not_collect
that it makes: that row refuses every right beside it and reaches the gates by the policy list. Not responsible for: the
gate's answer (P-3 CUSTODY), nor what a hidden child looks like (app_children in the schema).
"""

from datetime import date, datetime, time, timedelta
from typing import LiteralString
from uuid import UUID
from zoneinfo import ZoneInfo

from cloud.audit import service as audit
from cloud.kit.db import RuleBroken, Transaction, many, one_or_none
from cloud.kit.errors import Refused
from cloud.kit.ids import new_id
from cloud.kit.jobs import happened
from cloud.kit.live import announce
from cloud.people.escorts import rights_changed, take_turn
from cloud.people.model import Order
from cloud.people.refusals import PeopleRefused

EVIDENCE_BYTES = 32  # SHA-256

REFUSALS = {
    "escort_right_once_a_person": "ORDER_ALREADY",
    "escort_right_added_by_who_may": "NOT_OF_THIS_SCHOOL",
    "escort_right_ended_by_who_may": "NOT_OF_THIS_SCHOOL",
    "court_order_by_the_school": "NOT_OF_THIS_SCHOOL",
    "court_order_confirmed_by_another": "ORDER_NEEDS_ANOTHER",
    "court_order_lifted_by_two": "ORDER_NEEDS_ANOTHER",
    "court_order_never_by_its_subject": "ORDER_NEEDS_ANOTHER",
    "court_order_only_moves_on": "ORDER_DONE",
}

ORDER: LiteralString = """
    SELECT o.id, o.child_id, c.given AS child_given, c.family AS child_family, o.person_id, p.given, p.family, o.hides,
           o.evidence, lower(r.period) AS starts, upper(r.period) AS ends,
           o.imposed_by, concat_ws(' ', i.given, i.family) AS imposed_by_name, o.imposed_at,
           o.confirmed_by, nullif(concat_ws(' ', k.given, k.family), '') AS confirmed_by_name, o.confirmed_at,
           o.lift_asked_by, nullif(concat_ws(' ', l.given, l.family), '') AS lift_asked_by_name, o.lift_asked_at,
           o.lifted_by, o.lifted_at
    FROM court_order o
    JOIN escort_right r ON r.district_id = o.district_id AND r.id = o.right_id
    JOIN child c ON c.district_id = o.district_id AND c.id = o.child_id
    JOIN person p ON p.district_id = o.district_id AND p.id = o.person_id
    JOIN person i ON i.district_id = o.district_id AND i.id = o.imposed_by
    LEFT JOIN person k ON k.district_id = o.district_id AND k.id = o.confirmed_by
    LEFT JOIN person l ON l.district_id = o.district_id AND l.id = o.lift_asked_by
    WHERE o.district_id = %(district)s"""


# --- reading --------------------------------------------------------------------------------------------------------


def order(tx: Transaction, district_id: UUID, order_id: UUID) -> Order:
    """Return one order. Raises PeopleRefused("ORDER_UNKNOWN"), also in a guardian's transaction."""
    found = one_or_none(tx, Order, ORDER + " AND o.id = %(id)s", {"district": district_id, "id": order_id})
    if found is None:
        raise PeopleRefused("ORDER_UNKNOWN")
    return found


def orders_of_child(tx: Transaction, district_id: UUID, child_id: UUID) -> list[Order]:
    """Return all orders for a child, newest first, over and lifted ones as well. A guardian's transaction sees none."""
    return many(
        tx, Order, ORDER + " AND o.child_id = %(child)s ORDER BY o.imposed_at DESC, o.id",
        {"district": district_id, "child": child_id},
    )  # fmt: skip


def orders_to_decide(tx: Transaction, district_id: UUID, school_id: UUID, now: datetime) -> list[Order]:
    """Return the orders of a school that wait for a second person: to be confirmed, or to be lifted. Oldest first."""
    return many(
        tx, Order,
        ORDER + """ AND r.period @> %(now)s AND o.lifted_by IS NULL
            AND (o.confirmed_by IS NULL OR o.lift_asked_by IS NOT NULL)
            AND EXISTS (SELECT FROM enrolment e WHERE e.district_id = o.district_id AND e.child_id = o.child_id
                           AND e.school_id = %(school)s AND e.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date)
            ORDER BY o.imposed_at, o.id""",
        {"district": district_id, "school": school_id, "now": now},
    )  # fmt: skip


# --- imposing -------------------------------------------------------------------------------------------------------


def impose_order(
    tx: Transaction, district_id: UUID, *, child_id: UUID, person_id: UUID, by: UUID, evidence: bytes, hides: bool,
    until: date | None, now: datetime,
) -> Order:  # fmt: skip
    """Forbid a person to collect a child from this moment, up to the end of a local day or for good.

    Running and coming rights are cut first, then the prohibition stands, all in this transaction with RightsChanged and
    OrderImposed. by: office or head of the child's school, never the person concerned. evidence: the document's
    SHA-256; the document stays with the office. hides: the person sees nothing of the child anywhere.

    Raises PeopleRefused: ORDER_ALREADY, ORDER_NO_EVIDENCE, ORDER_NEEDS_ANOTHER (by the person concerned),
    DATES_BACKWARDS, NOT_OF_THIS_SCHOOL; Refused("NOT_FOUND").
    """
    if len(evidence) != EVIDENCE_BYTES:
        raise PeopleRefused("ORDER_NO_EVIDENCE")
    timezone = _timezone(tx, district_id, child_id, person_id, now)
    ends = datetime.combine(until + timedelta(days=1), time(), ZoneInfo(timezone)) if until else None
    if ends is not None and ends <= now:
        raise PeopleRefused("DATES_BACKWARDS")
    order_id = new_id(now)
    values = {"district": district_id, "id": order_id, "child": child_id, "person": person_id, "by": by, "now": now,
              "right": new_id(now), "ends": ends, "evidence": evidence, "hides": hides}  # fmt: skip
    take_turn(tx, district_id, child_id)
    cut = _prohibit(tx, values)
    try:
        with tx.transaction():
            tx.execute(
                """INSERT INTO court_order (district_id, id, child_id, person_id, right_id, hides, evidence, imposed_by,
                                            imposed_at)
                   VALUES (%(district)s, %(id)s, %(child)s, %(person)s, %(right)s, %(hides)s, %(evidence)s, %(by)s,
                           %(now)s)""",
                values,
            )  # fmt: skip
    except RuleBroken as broken:
        raise _refused(broken) from broken
    rights_changed(tx, district_id, child_id, now)
    happened(tx, "OrderImposed", district_id, order=str(order_id))
    announce(tx, district_id, "day", [child_id])  # open pages of a family are drawn anew, without a child now hidden
    audit.record(tx, district_id, action="order.impose", by=by, thing="court_order", thing_id=order_id,
                 child_id=child_id, detail={"cut": cut, "hides": int(hides)}, now=now)  # fmt: skip
    return order(tx, district_id, order_id)


def _prohibit(tx: Transaction, values: dict[str, object]) -> int:
    """Cut what runs or is to begin, then insert the prohibition; return how many rights were cut.

    The child's turn is taken: a right that was being added stands by now, and is cut.
    """
    try:
        with tx.transaction():
            cut = tx.execute(
                """UPDATE escort_right SET period = period * tstzrange(NULL, %(now)s), ended_by = %(by)s,
                          ended_at = %(now)s
                   WHERE district_id = %(district)s AND child_id = %(child)s AND person_id = %(person)s
                     AND kind = 'may_collect' AND period && tstzrange(%(now)s, NULL)""",
                values,
            ).rowcount  # fmt: skip
            tx.execute(
                """INSERT INTO escort_right (district_id, id, child_id, person_id, kind, weekdays, period, evidence,
                                             origin, added_by, added_at)
                   VALUES (%(district)s, %(right)s, %(child)s, %(person)s, 'must_not_collect', 127,
                           tstzrange(%(now)s, %(ends)s), %(evidence)s, 'order', %(by)s, %(now)s)""",
                values,
            )  # fmt: skip
    except RuleBroken as broken:
        raise _refused(broken) from broken
    return cut


def _timezone(tx: Transaction, district_id: UUID, child_id: UUID, person_id: UUID, now: datetime) -> str:
    found = one_or_none(
        tx, str,
        """SELECT s.timezone FROM enrolment e
           JOIN school s ON s.district_id = e.district_id AND s.id = e.school_id
           JOIN person p ON p.district_id = e.district_id AND p.id = %(person)s
           WHERE e.district_id = %(district)s AND e.child_id = %(child)s
             AND e.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date ORDER BY s.id LIMIT 1""",
        {"district": district_id, "child": child_id, "person": person_id, "now": now},
    )  # fmt: skip
    if found is None:
        raise Refused("NOT_FOUND")
    return found


# --- what a second person does --------------------------------------------------------------------------------------


def confirm_order(tx: Transaction, district_id: UUID, *, order_id: UUID, by: UUID, now: datetime) -> Order:
    """Confirm what another imposed. Raises PeopleRefused: ORDER_UNKNOWN, ORDER_NEEDS_ANOTHER, ORDER_DONE,
    NOT_OF_THIS_SCHOOL."""
    _running(tx, district_id, order_id, now)
    return _step(
        tx, district_id, order_id, by, now, "order.confirm",
        """UPDATE court_order SET confirmed_by = %(by)s, confirmed_at = %(now)s
           WHERE district_id = %(district)s AND id = %(id)s""",
    )  # fmt: skip


def ask_lift(tx: Transaction, district_id: UUID, *, order_id: UUID, by: UUID, now: datetime) -> Order:
    """Ask that an order be lifted; it runs on.

    Raises PeopleRefused: ORDER_UNKNOWN, ORDER_DONE, ORDER_NEEDS_ANOTHER (by the person concerned), NOT_OF_THIS_SCHOOL.
    """
    _running(tx, district_id, order_id, now)
    return _step(
        tx, district_id, order_id, by, now, "order.ask_lift",
        """UPDATE court_order SET lift_asked_by = %(by)s, lift_asked_at = %(now)s
           WHERE district_id = %(district)s AND id = %(id)s""",
    )  # fmt: skip


def lift_order(tx: Transaction, district_id: UUID, *, order_id: UUID, by: UUID, now: datetime) -> Order:
    """Lift an order whose lifting another asked for. The rights that it cut do not come back by themselves.

    Raises PeopleRefused: ORDER_UNKNOWN, ORDER_NEEDS_ANOTHER (nobody asked, or the same person), NOT_OF_THIS_SCHOOL.
    """
    _running(tx, district_id, order_id, now)
    lifted = _step(
        tx, district_id, order_id, by, now, "order.lift",
        """UPDATE court_order SET lifted_by = %(by)s, lifted_at = %(now)s
           WHERE district_id = %(district)s AND id = %(id)s""",
        """UPDATE escort_right r SET period = period * tstzrange(NULL, %(now)s), ended_by = %(by)s, ended_at = %(now)s
           FROM court_order o WHERE o.district_id = %(district)s AND o.id = %(id)s
             AND r.district_id = o.district_id AND r.id = o.right_id""",
    )  # fmt: skip
    rights_changed(tx, district_id, lifted.child_id, now)
    return lifted


def _running(tx: Transaction, district_id: UUID, order_id: UUID, now: datetime) -> Order:
    """Return an order that runs, its row held until the end: two who decide at once stand in line."""
    tx.execute("SELECT FROM court_order WHERE district_id = %s AND id = %s FOR UPDATE", (district_id, order_id))
    found = order(tx, district_id, order_id)
    if found.state(now) in ("lifted", "over"):
        raise PeopleRefused("ORDER_UNKNOWN")
    return found


def _step(
    tx: Transaction, district_id: UUID, order_id: UUID, by: UUID, now: datetime, action: str, *updates: LiteralString
) -> Order:
    try:
        with tx.transaction():
            for update in updates:
                tx.execute(update, {"district": district_id, "id": order_id, "by": by, "now": now})
    except RuleBroken as broken:
        raise _refused(broken) from broken
    done = order(tx, district_id, order_id)
    audit.record(tx, district_id, action=action, by=by, thing="court_order", thing_id=order_id, child_id=done.child_id,
                 now=now)  # fmt: skip
    return done


def _refused(broken: RuleBroken) -> Exception:
    return PeopleRefused(REFUSALS[broken.constraint]) if broken.constraint in REFUSALS else broken
