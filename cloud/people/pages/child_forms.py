"""The forms of a child's file, as the office and the head send them.

Responsible for: one route a form: who may (opened), what was typed (asked.py), the service, and back to the file; a
refusal draws the file again with words beside the field. What takes from people or gives to them asks for a fresh
proof of who is there (SchoolSure). Not responsible for: any rule; a family's forms (family.py).
"""

from collections.abc import Callable
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from cloud.identity.doors import SchoolActor, SchoolSure, SchoolTx
from cloud.identity.may import Action
from cloud.identity.model import Actor
from cloud.kit import clock
from cloud.kit.db import Transaction
from cloud.kit.errors import Refused
from cloud.kit.forms import Form, SentForm
from cloud.people import corrections, custody, escorts, orders, service
from cloud.people.model import ChildFile
from cloud.people.pages.asked import REASON_CHARACTERS_MAX, cycle_asked, escort_asked, one_of, right_of, say_no
from cloud.people.pages.child_file import draw, opened
from cloud.people.refusals import PeopleRefused

router = APIRouter(prefix="/school/children/{child_id}", include_in_schema=True)

Step = Literal["confirm", "ask-lift", "lift"]
STEPS = {"confirm": orders.confirm_order, "ask-lift": orders.ask_lift, "lift": orders.lift_order}
SAID_OF_STEP = {"confirm": "confirmed", "ask-lift": "lift_asked", "lift": "lifted"}


@router.post("/escorts")
def add_escort(request: Request, actor: SchoolSure, tx: SchoolTx, child_id: UUID, form: SentForm) -> Response:
    file = opened(tx, actor, child_id, Action.MANAGE_ESCORTS)
    known = {one.person_id for one in (*file.guardians, *file.escorts)} | undone(tx, actor.district_id, child_id, form)
    asked = escort_asked(form, known, actor.language)

    def act() -> None:
        assert asked
        who = {"child_id": child_id, "person": asked.person, "by": actor.person_id, "why": asked.why}
        if asked.today:
            escorts.allow_today(tx, actor.district_id, **who, now=clock.now())
        else:
            escorts.add_escort(tx, actor.district_id, **who, weekdays=asked.weekdays, first_day=asked.first_day,
                               last_day=asked.last_day, now=clock.now())  # fmt: skip

    return _answered(request, tx, actor, file, "escorts", form, act, "added")


@router.post("/escorts/{right_id}/remove")
def remove_escort(request: Request, actor: SchoolSure, tx: SchoolTx, child_id: UUID, right_id: UUID) -> Response:
    file = opened(tx, actor, child_id, Action.MANAGE_ESCORTS)
    right = right_of(file, right_id)

    def act() -> None:
        escorts.remove_escort(
            tx, actor.district_id, child_id=child_id, right_id=right_id, by=actor.person_id, now=clock.now()
        )

    said = f"removed&undo={right.person_id}&days={right.weekdays}"
    return _answered(request, tx, actor, file, "escorts", Form({"right": [str(right_id)]}), act, said)


@router.post("/orders")
def impose_order(request: Request, actor: SchoolSure, tx: SchoolTx, child_id: UUID, form: SentForm) -> Response:
    file = opened(tx, actor, child_id, Action.IMPOSE_ORDER)
    person_id = one_of(form, "person", {one.person_id for one in (*file.guardians, *file.escorts)})
    until, document = form.day("until"), form.hash_of_file("document")

    def act() -> None:
        assert person_id
        orders.impose_order(
            tx, actor.district_id, child_id=child_id, person_id=person_id, by=actor.person_id, evidence=document,
            hides=form.ticked("hides"), until=until, now=clock.now(),
        )  # fmt: skip

    return _answered(request, tx, actor, file, "orders", form, act, "imposed")


@router.post("/orders/{order_id}/{step}")
def decide_order(
    request: Request, actor: SchoolSure, tx: SchoolTx, child_id: UUID, order_id: UUID, step: Step
) -> Response:
    file = opened(tx, actor, child_id, Action.DECIDE_ORDER)
    if orders.order(tx, actor.district_id, order_id).child_id != child_id:
        raise Refused("NOT_FOUND")

    def act() -> None:
        STEPS[step](tx, actor.district_id, order_id=order_id, by=actor.person_id, now=clock.now())

    form = Form({"order": [str(order_id)]})
    return _answered(request, tx, actor, file, "orders", form, act, SAID_OF_STEP[step])


@router.post("/custody")
def put_custody(request: Request, actor: SchoolSure, tx: SchoolTx, child_id: UUID, form: SentForm) -> Response:
    file = opened(tx, actor, child_id, Action.MANAGE_CUSTODY)
    person_id = one_of(form, "person", {one.person_id for one in file.guardians})
    cycle, first_monday = cycle_asked(form)

    def act() -> None:
        assert person_id and first_monday
        custody.put_custody(
            tx, actor.district_id, child_id=child_id, person_id=person_id, cycle=cycle, first_monday=first_monday,
            denies=form.ticked("denies"), by=actor.person_id, now=clock.now(),
        )  # fmt: skip

    return _answered(request, tx, actor, file, "custody", form, act, "custody")


@router.post("/custody/day")
def put_custody_day(request: Request, actor: SchoolSure, tx: SchoolTx, child_id: UUID, form: SentForm) -> Response:
    file = opened(tx, actor, child_id, Action.MANAGE_CUSTODY)
    person_id = one_of(form, "person", {one.person_id for one in file.calendars})
    day = form.day("date", required=True)
    has_child = {"with": True, "without": False}.get(form.typed("what"))

    def act() -> None:
        assert person_id and day
        custody.put_custody_exception(
            tx, actor.district_id, child_id=child_id, person_id=person_id, day=day, has_child=has_child,
            by=actor.person_id, now=clock.now(),
        )  # fmt: skip

    return _answered(request, tx, actor, file, "custody_day", form, act, "custody_day")


@router.post("/custody/{person_id}/end")
def end_custody(request: Request, actor: SchoolSure, tx: SchoolTx, child_id: UUID, person_id: UUID) -> Response:
    file = opened(tx, actor, child_id, Action.MANAGE_CUSTODY)
    if person_id not in {one.person_id for one in file.calendars}:
        raise Refused("NOT_FOUND")

    def act() -> None:
        custody.end_custody(
            tx, actor.district_id, child_id=child_id, person_id=person_id, by=actor.person_id, now=clock.now()
        )

    return _answered(request, tx, actor, file, "custody", Form({"end": ["yes"]}), act, "custody_ended")


@router.post("/corrections/{correction_id}")
def decide_correction(
    request: Request, actor: SchoolActor, tx: SchoolTx, child_id: UUID, correction_id: UUID, form: SentForm
) -> Response:
    file = opened(tx, actor, child_id, Action.DECIDE_CORRECTION)
    if correction_id not in {one.id for one in file.corrections}:
        raise Refused("NOT_FOUND")
    reason = form.text("reason", required=False, characters_max=REASON_CHARACTERS_MAX)

    def act() -> None:
        corrections.decide_correction(
            tx, actor.district_id, correction_id=correction_id, accept=form.typed("answer") == "accept",
            by=actor.person_id, reason=reason, now=clock.now(),
        )  # fmt: skip

    return _answered(request, tx, actor, file, "corrections", form, act, "decided")


@router.post("/protect")
def protect(request: Request, actor: SchoolSure, tx: SchoolTx, child_id: UUID, form: SentForm) -> Response:
    file = opened(tx, actor, child_id, Action.CHANGE_FILE)
    protected = form.typed("protected") == "yes"

    def act() -> None:
        service.protect_child(
            tx, actor.district_id, child_id=child_id, protected=protected, by=actor.person_id, now=clock.now()
        )

    return _answered(request, tx, actor, file, "protect", form, act, "protected" if protected else "unprotected")


def _answered(
    request: Request, tx: Transaction, actor: Actor, file: ChildFile, part: str, form: Form, act: Callable[[], None],
    said: str,
) -> Response:  # fmt: skip
    """Do it and lead back to the file; where it is refused, draw the file again with the words beside the field."""
    status = 400
    if not form.problems:
        try:
            with tx.transaction():  # A refusal in the middle leaves nothing, and the file can still be read.
                act()
            return RedirectResponse(f"/school/children/{file.id}?said={said}#{part}", status_code=303)
        except PeopleRefused as refused:
            status = say_no(form, refused)
    return draw(request, tx, actor, file, forms={part: form}, status=status)


def undone(tx: Transaction, district_id: UUID, child_id: UUID, form: Form) -> set[UUID]:
    """Return whom the form gives back a right that ended within the hour, which is what "undo" offers."""
    person_id = form.one_id("person") if form.ticked("undo") else None
    if person_id and escorts.may_come_back(tx, district_id, child_id, person_id, clock.now()):
        return {person_id}
    return set()
