"""Staff of a school: who works here, in which dated roles, what the gate lets them do, and when they work.

Responsible for: `/school/staff` and `/school/staff/{person}` with their forms. Roles are granted and ended by those who
may (the head), with a fresh proof of who is there; nobody changes own roles. Not responsible for: the invitation of a
phone (home/phones.py), nor roles of the whole district.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from cloud.audit import service as audit
from cloud.identity import grants
from cloud.identity.doors import SchoolActor, SchoolSure, SchoolTx
from cloud.identity.grants import SCHOOL_ROLES, GrantedRole, GrantRefused
from cloud.identity.may import Action, Thing, may, require
from cloud.identity.model import Actor, Role
from cloud.kit import clock
from cloud.kit.db import Transaction
from cloud.kit.errors import N_, Refused
from cloud.kit.forms import NOT_ONE, WEEKDAYS, Form, SentForm
from cloud.kit.web import page, reader_of
from cloud.people import service
from cloud.people import staff as hours_service
from cloud.people.model import StaffMember, WorkingHours
from cloud.people.pages import words
from cloud.people.pages.asked import one_of, say_no
from cloud.people.pages.child_file import BLANK, Said
from cloud.people.refusals import PeopleRefused
from cloud.schools import service as schools
from cloud.schools.bar import bar_of, chosen_school
from cloud.schools.model import School

router = APIRouter(prefix="/school/staff")

# PROTOCOL 2: what a staff pass is believed for.
POWERS = (
    (1, N_("confirm at the gate")), (2, N_("take a child in by hand")), (4, N_("enter")), (8, N_("release a child")),
)  # fmt: skip
FIELD_OF = {"ROLE_BACKWARDS": "until", "DATES_BACKWARDS": "form"}
ONLY_ONE_END = N_("Give both the beginning and the end, or neither.")


@router.get("")
def staff_page(request: Request, actor: SchoolActor, tx: SchoolTx, school: UUID | None = None) -> HTMLResponse:
    here, choices = chosen_school(tx, actor, Action.READ_PEOPLE, school)
    roles = _roles(tx, actor, here)
    return page(
        request,
        "people/staff.html",
        reader_of(request, actor.language, here.timezone),
        school=here,
        choices=choices,
        bar=bar_of(actor, here.id),
        given=actor.given,
        members=_members(tx, actor, here),
        roles={person: _narrowest(roles, person) for person in {one.person_id for one in roles}},
        classes={one.id: one.name for one in schools.classes(tx, actor.district_id, here.id)},
        words=words,
        powers=POWERS,
    )


@router.get("/{person_id}")
def member_page(
    request: Request, actor: SchoolActor, tx: SchoolTx, person_id: UUID, said: Said = ""
) -> HTMLResponse:
    here, member = _member(tx, actor, person_id, Action.READ_PEOPLE)
    return _draw(request, tx, actor, here, member, said=said)


@router.post("/{person_id}/roles")
def grant_role(request: Request, actor: SchoolSure, tx: SchoolTx, person_id: UUID, form: SentForm) -> Response:
    here, member = _member(tx, actor, person_id, Action.GRANT_ROLE)
    role = form.typed("role")
    if role not in SCHOOL_ROLES:
        form.refuse("role", NOT_ONE)
    known = {one.id for one in schools.classes(tx, actor.district_id, here.id)}
    class_id = one_of(form, "class", known) if form.typed("class") else None
    first, last = form.day("since"), form.day("until")

    def act() -> None:
        grants.give_role(
            tx, actor.district_id, person_id=person_id, role=Role(role), school_id=here.id, class_id=class_id,
            first_day=first or _today(here), last_day=last, by=actor.person_id, now=clock.now(),
        )  # fmt: skip

    return _answered(request, tx, actor, here, member, "roles", form, act, "granted")


@router.post("/{person_id}/roles/{grant_id}/end")
def end_role(request: Request, actor: SchoolSure, tx: SchoolTx, person_id: UUID, grant_id: UUID) -> Response:
    here, member = _member(tx, actor, person_id, Action.GRANT_ROLE)
    if (grant_id, person_id) not in {(one.id, one.person_id) for one in _roles(tx, actor, here)}:
        raise Refused("NOT_FOUND")

    def act() -> None:
        grants.end_grant(
            tx, actor.district_id, grant_id=grant_id, school_id=here.id, day=_today(here), by=actor.person_id,
            now=clock.now(),
        )  # fmt: skip

    return _answered(request, tx, actor, here, member, "roles", Form({"grant": [str(grant_id)]}), act, "ended")


@router.post("/{person_id}/powers")
def set_powers(request: Request, actor: SchoolSure, tx: SchoolTx, person_id: UUID, form: SentForm) -> Response:
    here, member = _member(tx, actor, person_id, Action.GRANT_ROLE)
    powers = sum(power for power, _ in POWERS if str(power) in form.chosen("power"))

    def act() -> None:
        service.put_staff(tx, actor.district_id, person_id, here.id, powers)
        audit.record(
            tx, actor.district_id, action="staff.powers", by=actor.person_id, thing="person", thing_id=person_id,
            detail={"before": member.powers, "after": powers}, now=clock.now(),
        )  # fmt: skip

    return _answered(request, tx, actor, here, member, "powers", form, act, "powers")


@router.post("/{person_id}/hours")
def set_hours(request: Request, actor: SchoolActor, tx: SchoolTx, person_id: UUID, form: SentForm) -> Response:
    here, member = _member(tx, actor, person_id, Action.CHANGE_PEOPLE)
    hours: list[WorkingHours] = []
    for weekday in range(WEEKDAYS):
        starts, ends = form.time_of_day(f"starts{weekday}"), form.time_of_day(f"ends{weekday}")
        if starts and ends:
            hours.append(WorkingHours(person_id, weekday, starts, ends))
        elif starts or ends:
            form.refuse(f"ends{weekday}", ONLY_ONE_END)

    def act() -> None:
        hours_service.put_working_hours(tx, actor.district_id, here.id, person_id, hours)

    return _answered(request, tx, actor, here, member, "hours", form, act, "hours")


def _members(tx: Transaction, actor: Actor, school: School) -> list[StaffMember]:
    return service.staff_of_school(tx, actor.district_id, school.id)


def _roles(tx: Transaction, actor: Actor, school: School) -> list[GrantedRole]:
    return grants.roles_of_school(tx, actor.district_id, school.id, _today(school))


def _narrowest(roles: list[GrantedRole], person_id: UUID) -> list[GrantedRole]:
    """Return a person's roles, without the school-wide one of which a class is named as well."""
    mine = [one for one in roles if one.person_id == person_id]
    in_class = {one.role for one in mine if one.class_id}
    return [one for one in mine if one.class_id or one.role not in in_class]


def _member(tx: Transaction, actor: Actor, person_id: UUID, action: Action) -> tuple[School, StaffMember]:
    """Return a member of staff and the school, where the actor may do this. Raises Refused: NOT_FOUND, NOT_YOURS."""
    _, choices = chosen_school(tx, actor, Action.READ_PEOPLE, None)
    for school in choices:
        for member in _members(tx, actor, school):
            if member.person_id == person_id:
                require(actor, action, Thing(actor.district_id, school.id))
                return school, member
    raise Refused("NOT_FOUND")


def _draw(
    request: Request, tx: Transaction, actor: Actor, here: School, member: StaffMember, *,
    forms: Mapping[str, Form] = BLANK, status: int = 200, **told: Any,
) -> HTMLResponse:  # fmt: skip
    thing = Thing(actor.district_id, here.id)
    hours = hours_service.working_hours(tx, actor.district_id, here.id)
    return page(
        request,
        "people/member.html",
        reader_of(request, actor.language, here.timezone),
        status,
        school=here,
        member=member,
        bar=bar_of(actor, here.id),
        given=actor.given,
        me=actor.person_id,
        may_grant=may(actor, Action.GRANT_ROLE, thing),
        may_change=may(actor, Action.CHANGE_PEOPLE, thing),
        may_invite=may(actor, Action.INVITE_PHONE, thing),
        sure=actor.is_sure(clock.now()),
        roles=[one for one in _roles(tx, actor, here) if one.person_id == member.person_id],
        classes=schools.classes(tx, actor.district_id, here.id),
        hours={one.weekday: one for one in hours if one.person_id == member.person_id},
        school_roles=SCHOOL_ROLES,
        powers=POWERS,
        words=words,
        today=_today(here),
        forms=forms,
        blank=Form(),
        **{"said": "", **told},
    )


def _answered(
    request: Request, tx: Transaction, actor: Actor, here: School, member: StaffMember, part: str, form: Form,
    act: Callable[[], None], said: str,
) -> Response:  # fmt: skip
    """Do it and lead back; where it is refused, draw the member's page again with the words beside the field."""
    status = 400
    if not form.problems:
        try:
            with tx.transaction():
                act()
            return RedirectResponse(f"/school/staff/{member.person_id}?said={said}#{part}", status_code=303)
        except (PeopleRefused, GrantRefused) as refused:
            status = say_no(form, refused, FIELD_OF)
    return _draw(request, tx, actor, here, member, forms={part: form}, status=status)


def _today(school: School) -> date:
    return clock.school_day(clock.now(), school.timezone)
