"""Court orders: who must not collect a child; at once on one person's word, confirmed or lifted by two (I2, B4).

A service of this slice. An order is a court_order (who, why, evidence) and the escort_right of kind must_not_collect
that it makes: that row refuses every right beside it and reaches the gates by the policy list. Not responsible for: the
gate's answer (P-3 CUSTODY), nor what a hidden child looks like (app_children in the schema).
"""

from datetime import date, datetime
from uuid import UUID

from cloud.kit.db import Transaction
from cloud.people.model import Order


def impose_order(
    tx: Transaction, district_id: UUID, *, child_id: UUID, person_id: UUID, by: UUID, evidence: bytes, hides: bool,
    until: date | None, now: datetime,
) -> Order:  # fmt: skip
    """Forbid a person to collect a child from this moment, up to the end of a local day or for good.

    Running and coming rights are cut first, then the prohibition stands, all in this transaction with RightsChanged and
    OrderImposed. by: office or head of the child's school, never the person concerned. evidence: the document's
    SHA-256; the document stays with the office. hides: the person sees nothing of the child anywhere.

    Raises PeopleRefused: ORDER_ALREADY, ORDER_NO_EVIDENCE, DATES_BACKWARDS, NOT_OF_THIS_SCHOOL; Refused("NOT_FOUND").
    """
    raise NotImplementedError


def confirm_order(tx: Transaction, district_id: UUID, *, order_id: UUID, by: UUID, now: datetime) -> Order:
    """Confirm what another imposed. Raises PeopleRefused: ORDER_UNKNOWN, ORDER_NEEDS_ANOTHER, ORDER_DONE,
    NOT_OF_THIS_SCHOOL."""
    raise NotImplementedError


def ask_lift(tx: Transaction, district_id: UUID, *, order_id: UUID, by: UUID, now: datetime) -> Order:
    """Ask that an order be lifted; it runs on. Raises PeopleRefused: ORDER_UNKNOWN, ORDER_DONE, NOT_OF_THIS_SCHOOL."""
    raise NotImplementedError


def lift_order(tx: Transaction, district_id: UUID, *, order_id: UUID, by: UUID, now: datetime) -> Order:
    """Lift an order whose lifting another asked for. The rights that it cut do not come back by themselves.

    Raises PeopleRefused: ORDER_UNKNOWN, ORDER_NEEDS_ANOTHER (nobody asked, or the same person), NOT_OF_THIS_SCHOOL.
    """
    raise NotImplementedError


def order(tx: Transaction, district_id: UUID, order_id: UUID) -> Order:
    """Return one order. Raises PeopleRefused("ORDER_UNKNOWN"), also in a guardian's transaction."""
    raise NotImplementedError


def orders_of_child(tx: Transaction, district_id: UUID, child_id: UUID) -> list[Order]:
    """Return all orders for a child, newest first, over and lifted ones as well. A guardian's transaction sees none."""
    raise NotImplementedError


def orders_to_decide(tx: Transaction, district_id: UUID, school_id: UUID, now: datetime) -> list[Order]:
    """Return the orders of a school that wait for a second person: to be confirmed, or to be lifted. Oldest first."""
    raise NotImplementedError
