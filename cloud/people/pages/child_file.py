"""The file of a child, as the office, the head and an auditor see it: all of it on one page.

Responsible for: `/school/children/{id}`: who may open it (a child of another school is not there), one line in the
access log for each opening, and drawing it, also with a form that was refused. Not responsible for: the forms' acts
(child_forms.py), what a family sees (family.py). A protected child is there only for those who may change files.
"""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from cloud.audit import service as audit
from cloud.identity.doors import SchoolActor, SchoolTx
from cloud.identity.may import Action, Thing, may
from cloud.identity.model import Actor
from cloud.kit import clock
from cloud.kit.db import Transaction
from cloud.kit.errors import Refused
from cloud.kit.forms import Form
from cloud.kit.i18n import Reader
from cloud.kit.web import page, reader_of
from cloud.people import orders, service
from cloud.people.model import ChildFile, EnrolledAt
from cloud.people.pages import words
from cloud.schools.bar import bar_of

router = APIRouter()

LOG_LINES = 30
BLANK: Mapping[str, Form] = {}
DOES = (
    Action.MANAGE_ESCORTS, Action.IMPOSE_ORDER, Action.DECIDE_ORDER, Action.MANAGE_CUSTODY, Action.DECIDE_CORRECTION,
    Action.CHANGE_FILE, Action.READ_ACCESS_LOG, Action.PRINT_CARD,
)  # fmt: skip

Said = Annotated[str, Query(max_length=20)]
Days = Annotated[int, Query(ge=1, le=127)]


@router.get("/school/children/{child_id}")
def child_page(
    request: Request, actor: SchoolActor, tx: SchoolTx, child_id: UUID, said: Said = "", undo: UUID | None = None,
    days: Days = 127,
) -> HTMLResponse:  # fmt: skip
    file = opened(tx, actor, child_id, Action.READ_FILE)
    answer = draw(request, tx, actor, file, said=said, undo=undo, days=days)
    audit.record(
        tx, actor.district_id, action="read_file", by=actor.person_id, thing="child", thing_id=child_id,
        child_id=child_id, now=clock.now(),
    )  # fmt: skip
    return answer


def opened(tx: Transaction, actor: Actor, child_id: UUID, action: Action) -> ChildFile:
    """Return the file where this actor may do this. Raises Refused: NOT_FOUND where it may not be read, NOT_YOURS."""
    file = service.child_file(tx, actor.district_id, child_id, clock.now(), protected_too=True)
    things = [_thing(actor, one) for one in file.schools]
    if not any(may(actor, Action.READ_FILE, thing) for thing in things):
        raise Refused("NOT_FOUND")
    if file.protected and not any(may(actor, Action.CHANGE_FILE, thing) for thing in things):
        raise Refused("NOT_FOUND")
    if not any(may(actor, action, thing) for thing in things):
        raise Refused("NOT_YOURS")
    return file


def draw(
    request: Request, tx: Transaction, actor: Actor, file: ChildFile, *, forms: Mapping[str, Form] = BLANK,
    status: int = 200, **told: Any,
) -> HTMLResponse:  # fmt: skip
    """Draw the file. forms: the form that was refused, by its part of the page."""
    here = next(one for one in file.schools if may(actor, Action.READ_FILE, _thing(actor, one)))
    reader, now = reader_of(request, actor.language, here.timezone), clock.now()
    does = {action for action in DOES if may(actor, action, _thing(actor, here))}
    values: dict[str, Any] = {"said": "", "undo": None, "days": 127, **told}
    return page(
        request,
        "people/child_file.html",
        reader,
        status,
        actor=actor,
        here=here,
        bar=bar_of(actor, here.school_id),
        given=actor.given,
        does=does,
        sure=actor.is_sure(now),
        orders=orders.orders_of_child(tx, actor.district_id, file.id) if Action.IMPOSE_ORDER in does else (),
        log=audit.readings_of_child(tx, actor.district_id, file.id, LOG_LINES)
        if Action.READ_ACCESS_LOG in does
        else None,
        forms=forms,
        blank=Form(),
        **told_of(reader, file, here),
        **values,
    )


def told_of(reader: Reader, file: ChildFile, here: EnrolledAt) -> dict[str, Any]:
    """Return what both doors draw of a file: places, weeks, and the words of states."""
    now = clock.now()
    today = clock.school_day(now, here.timezone)
    return {
        "file": file, "now": now, "today": today, "words": words, "age": words.age(file.birth, today),
        "places": words.places(reader, file, now), "free": words.free_places(file),
        "weeks": words.custody_weeks(file, today),
    }  # fmt: skip


def _thing(actor: Actor, at: EnrolledAt) -> Thing:
    return Thing(actor.district_id, at.school_id, at.class_id)
