"""The office's list of people: what needs somebody first, then the classes, their children, and a search.

Responsible for: `/school/people`. Not responsible for: who is found (people/service.py; accents and capitals count for
nothing there) and who is protected (found only by those who may change files). Obeys UX details 7 and 20.
"""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from cloud.identity.doors import SchoolActor, SchoolTx
from cloud.identity.may import Action, Thing, may
from cloud.identity.model import Actor
from cloud.kit import clock
from cloud.kit.db import Transaction
from cloud.kit.forms import Form
from cloud.kit.i18n import Reader
from cloud.kit.web import page, reader_of
from cloud.people import corrections, orders, service
from cloud.people.model import ChildInClass
from cloud.schools import service as schools
from cloud.schools.bar import bar_of, chosen_school
from cloud.schools.model import School

router = APIRouter()

WORDS_CHARACTERS_MAX = 100  # A name has no more; what is longer is cut, not refused: one may paste a line.


@dataclass(frozen=True)
class Need:
    """One thing that waits for the office. part: where on the child's file it is answered."""

    child_id: UUID
    who: str
    icon: str
    words: str
    part: str


@router.get("/school/people")
def people_page(
    request: Request,
    actor: SchoolActor,
    tx: SchoolTx,
    q: str = "",
    school: UUID | None = None,
    chosen: Annotated[UUID | None, Query(alias="class")] = None,
) -> HTMLResponse:
    here, choices = chosen_school(tx, actor, Action.READ_PEOPLE, school)
    reader = reader_of(request, actor.language, here.timezone)
    words = Form({"q": [q[:WORDS_CHARACTERS_MAX]]}).text("q", required=False)
    return page(
        request,
        "people/people.html",
        reader,
        school=here,
        choices=choices,
        bar=bar_of(actor, here.id),
        given=actor.given,
        typed=q[:WORDS_CHARACTERS_MAX],
        chosen=chosen,
        classes=schools.classes(tx, actor.district_id, here.id),
        needs=needs_of(tx, actor, here, reader),
        found=_found(tx, actor, here, words, chosen) if words or chosen else None,
        opens=may(actor, Action.READ_FILE, Thing(actor.district_id, here.id)),
    )


def needs_of(tx: Transaction, actor: Actor, school: School, reader: Reader) -> list[Need]:
    """Return what waits for this actor at a school: orders first, then proposals, then objections that may come."""
    thing, now, needs = Thing(actor.district_id, school.id), clock.now(), []
    if may(actor, Action.DECIDE_ORDER, thing):
        needs += [
            Need(order.child_id, _name(order.child_given, order.child_family), "lock",
                 reader.gettext("An order waits for a second person"), "orders")
            for order in orders.orders_to_decide(tx, actor.district_id, school.id, now)
        ]  # fmt: skip
    if may(actor, Action.DECIDE_CORRECTION, thing):
        needs += [
            Need(one.child_id, _name(one.child_given, one.child_family), "pencil",
                 reader.gettext("%(who)s proposes a correction") % {"who": one.proposed_by_name}, "corrections")
            for one in corrections.corrections_to_decide(tx, actor.district_id, school.id, now)
        ]  # fmt: skip
    return needs


def _found(
    tx: Transaction, actor: Actor, school: School, words: str, class_id: UUID | None
) -> list[ChildInClass]:
    protected_too = may(actor, Action.CHANGE_FILE, Thing(actor.district_id, school.id))
    return service.find_children(
        tx, actor.district_id, school.id, words, clock.now(), protected_too=protected_too, class_id=class_id
    )


def _name(given: str, family: str) -> str:
    return f"{given} {family}".strip()
