"""The calendar of a school: terms, opening hours, and the dates that are not as their weekday says.

Responsible for: `/school/calendar` and its forms. Hours and dates belong to the school's office and head; terms to the
district, whose officers alone change them. Not responsible for: what the calendar means at the gate (passes).
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from cloud.identity.doors import SchoolActor, SchoolTx
from cloud.identity.may import Action, Thing, may, require
from cloud.identity.model import Actor
from cloud.kit import clock
from cloud.kit.db import Transaction
from cloud.kit.errors import N_
from cloud.kit.forms import NOT_ONE, WEEKDAYS, Form, SentForm
from cloud.kit.ids import new_id
from cloud.kit.web import page, reader_of
from cloud.schools import service
from cloud.schools.bar import bar_of, chosen_school
from cloud.schools.model import CalendarDate, OpeningHours, School
from cloud.schools.service import SchoolRefused

router = APIRouter(prefix="/school/calendar")

WEEKS_DRAWN = 8
NOTE_CHARACTERS_MAX = 100
KINDS = {"schoolYear": N_("school year"), "term": N_("term"), "gradingPeriod": N_("grading period")}
SAID = {
    "hours": N_("The hours are set."), "date": N_("The date is set."),
    "usual": N_("That date is as usual again."), "term": N_("The term is set."),
}  # fmt: skip
FIELD_OF = {"SESSION_BACKWARDS": "until", "HOURS_BACKWARDS": "form"}
BOTH = N_("Give both the beginning and the end, or neither.")
BLANK: Mapping[str, Form] = {}

Said = Annotated[str, Query(max_length=20)]
Wanted = Annotated[UUID | None, Query(alias="school")]


@router.get("")
def calendar_page(
    request: Request, actor: SchoolActor, tx: SchoolTx, wanted: Wanted = None, said: Said = ""
) -> HTMLResponse:
    here, _ = chosen_school(tx, actor, Action.MANAGE_CALENDAR, wanted)
    return _draw(request, tx, actor, here, said=said)


@router.post("/{school_id}/hours")
def set_hours(request: Request, actor: SchoolActor, tx: SchoolTx, school_id: UUID, form: SentForm) -> Response:
    here, _ = chosen_school(tx, actor, Action.MANAGE_CALENDAR, school_id)
    hours: list[OpeningHours] = []
    for weekday in range(WEEKDAYS):
        opens, closes = form.time_of_day(f"starts{weekday}"), form.time_of_day(f"ends{weekday}")
        if opens and closes:
            hours.append(OpeningHours(weekday, opens, closes))
        elif opens or closes:
            form.refuse(f"ends{weekday}", BOTH)

    def act() -> None:
        service.put_hours(tx, actor.district_id, here.id, hours)

    return _answered(request, tx, actor, here, "hours", form, act, "hours")


@router.post("/{school_id}/dates")
def set_date(request: Request, actor: SchoolActor, tx: SchoolTx, school_id: UUID, form: SentForm) -> Response:
    here, _ = chosen_school(tx, actor, Action.MANAGE_CALENDAR, school_id)
    day = form.day("date", required=True)
    what = form.typed("what")
    if what not in ("closed", "open", "usual"):
        form.refuse("what", NOT_ONE)
    note = form.text("note", required=False, characters_max=NOTE_CHARACTERS_MAX)

    def act() -> None:
        assert day
        if what == "usual":
            service.remove_calendar_date(tx, actor.district_id, here.id, day)
        else:
            service.put_calendar_date(tx, actor.district_id, here.id, CalendarDate(day, what == "open", note))

    return _answered(request, tx, actor, here, "dates", form, act, "usual" if what == "usual" else "date")


@router.post("/{school_id}/terms")
def set_term(request: Request, actor: SchoolActor, tx: SchoolTx, school_id: UUID, form: SentForm) -> Response:
    here, _ = chosen_school(tx, actor, Action.MANAGE_CALENDAR, school_id)
    require(actor, Action.MANAGE_CALENDAR, Thing(actor.district_id))
    kind, name = form.typed("kind"), form.name("name")
    if kind not in KINDS:
        form.refuse("kind", NOT_ONE)
    first, last = form.day("since", required=True), form.day("until", required=True)

    def act() -> None:
        assert first and last
        service.put_session(
            tx, actor.district_id, sourced_id=f"term-{new_id(clock.now())}", kind=kind, name=name, first_day=first,
            last_day=last,
        )  # fmt: skip

    return _answered(request, tx, actor, here, "terms", form, act, "term")


def _draw(
    request: Request, tx: Transaction, actor: Actor, here: School, *, forms: Mapping[str, Form] = BLANK,
    status: int = 200, said: str = "",
) -> HTMLResponse:  # fmt: skip
    today = clock.school_day(clock.now(), here.timezone)
    monday = today - timedelta(days=today.weekday())
    days = service.school_days(tx, actor.district_id, here.id, monday, WEEKDAYS * WEEKS_DRAWN)
    return page(
        request,
        "schools/calendar.html",
        reader_of(request, actor.language, here.timezone),
        status,
        school=here,
        choices=chosen_school(tx, actor, Action.MANAGE_CALENDAR, None)[1],
        bar=bar_of(actor, here.id),
        given=actor.given,
        today=today,
        weeks=[days[start : start + WEEKDAYS] for start in range(0, len(days), WEEKDAYS)],
        noted=[one for one in days if one.note and one.day >= today],
        hours={one.weekday: one for one in service.hours_of_school(tx, actor.district_id, here.id)},
        terms=service.sessions(tx, actor.district_id, today),
        may_set_terms=may(actor, Action.MANAGE_CALENDAR, Thing(actor.district_id)),
        kinds=KINDS,
        said=SAID.get(said, ""),
        forms=forms,
        blank=Form(),
    )


def _answered(
    request: Request, tx: Transaction, actor: Actor, here: School, part: str, form: Form, act: Callable[[], None],
    said: str,
) -> Response:  # fmt: skip
    """Do it and lead back; where it is refused, draw the calendar again with the words beside the field."""
    status = 400
    if not form.problems:
        try:
            with tx.transaction():
                act()
            return RedirectResponse(f"/school/calendar?school={here.id}&said={said}#{part}", status_code=303)
        except SchoolRefused as refused:
            form.refuse(FIELD_OF.get(refused.code, "form"), refused.answer.message)
            status = refused.answer.status
    return _draw(request, tx, actor, here, forms={part: form}, status=status)

