"""A family's own children: who may collect them, why not, the weeks, what is wrong in the file, who read it.

Responsible for: `/family/children` and `/family/children/{id}` with their forms. What is shown is read in a guardian's
transaction, where row security leaves own children only: another family's child is not there (404). What is changed is
asked of identity/may.py first and then done in a transaction of staff, by this person's id; the database asks again.
Not responsible for: any rule. Phone first, 44 px, works without JavaScript. Words never say that a court has spoken.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from cloud.audit import service as audit
from cloud.identity.doors import FamilyActor, FamilySure
from cloud.identity.may import Action, Thing, may, require
from cloud.identity.model import Actor, Place
from cloud.kit import clock
from cloud.kit.db import Database, Transaction
from cloud.kit.errors import Refused
from cloud.kit.forms import Form, SentForm
from cloud.kit.web import Db, page, reader_of
from cloud.people import corrections, escorts, service
from cloud.people.model import ChildFile, ChildOfGuardian
from cloud.people.pages.asked import correction_asked, escort_asked, right_of, say_no
from cloud.people.pages.child_file import BLANK, LOG_LINES, Days, Said, told_of
from cloud.people.pages.child_forms import undone
from cloud.people.refusals import PeopleRefused

router = APIRouter()


@dataclass(frozen=True)
class Summary:
    """One child on the list: whose place are taken by whom, and whether somebody may be objected to."""

    child: ChildOfGuardian
    escorts: tuple[str, ...]
    to_consider: int


@dataclass(frozen=True)
class Own:
    """An own child's file, the district that it is of, and whom the family may choose by name."""

    place: Place
    file: ChildFile
    known: dict[UUID, str]

    def thing(self, action: Action) -> Thing:
        """Return what the action is about: rights are own of those with authority, reading of those who may read."""
        readers = frozenset(one.person_id for one in self.file.guardians if one.may_read)
        whose = readers if action in (Action.READ_FILE, Action.PROPOSE_CORRECTION) else self.file.holders_of_authority
        return Thing(self.place.district_id, people=whose)


@router.get("/family/children")
def children_page(request: Request, actor: FamilyActor, database: Db) -> HTMLResponse:
    found: list[Summary] = []
    for place in actor.places:
        with database.tenant(place.district_id, place.person_id) as tx:
            found += _summaries(tx, place)
    return page(request, "people/children.html", reader_of(request, actor.language), given=actor.given, children=found)


@router.get("/family/children/{child_id}")
def own_child_page(
    request: Request, actor: FamilyActor, database: Db, child_id: UUID, said: Said = "", undo: UUID | None = None,
    days: Days = 127,
) -> HTMLResponse:  # fmt: skip
    return _draw(request, database, actor, child_id, said=said, undo=undo, days=days)


@router.post("/family/children/{child_id}/escorts")
def name_escort(request: Request, actor: FamilySure, database: Db, child_id: UUID, form: SentForm) -> Response:
    own = _own(database, actor, child_id)
    require(actor, Action.MANAGE_ESCORTS, own.thing(Action.MANAGE_ESCORTS))
    with database.tenant(own.place.district_id) as tx:
        known = own.known.keys() | undone(tx, own.place.district_id, child_id, form)
    asked = escort_asked(form, known, actor.language)

    def act(tx: Transaction) -> None:
        assert asked
        who = {"child_id": child_id, "person": asked.person, "by": own.place.person_id, "why": asked.why}
        if asked.today:
            escorts.allow_today(tx, own.place.district_id, **who, now=clock.now())
        else:
            escorts.add_escort(tx, own.place.district_id, **who, weekdays=asked.weekdays, first_day=asked.first_day,
                               last_day=asked.last_day, now=clock.now())  # fmt: skip

    return _answered(request, database, actor, own, "escorts", form, act, "added")


@router.post("/family/children/{child_id}/escorts/{right_id}/remove")
def end_own_escort(request: Request, actor: FamilySure, database: Db, child_id: UUID, right_id: UUID) -> Response:
    own = _own(database, actor, child_id)
    require(actor, Action.MANAGE_ESCORTS, own.thing(Action.MANAGE_ESCORTS))
    right = right_of(own.file, right_id)

    def act(tx: Transaction) -> None:
        escorts.remove_escort(
            tx, own.place.district_id, child_id=child_id, right_id=right.id, by=own.place.person_id, now=clock.now()
        )

    said, form = f"removed&undo={right.person_id}&days={right.weekdays}", Form({"right": [str(right_id)]})
    return _answered(request, database, actor, own, "escorts", form, act, said)


@router.post("/family/children/{child_id}/escorts/{right_id}/veto")
def object_to_escort(request: Request, actor: FamilySure, database: Db, child_id: UUID, right_id: UUID) -> Response:
    own = _own(database, actor, child_id)
    require(actor, Action.VETO_ESCORT, own.thing(Action.VETO_ESCORT))
    right = right_of(own.file, right_id)

    def act(tx: Transaction) -> None:
        escorts.veto_escort(
            tx, own.place.district_id, child_id=child_id, right_id=right.id, by=own.place.person_id, now=clock.now()
        )

    return _answered(request, database, actor, own, "escorts", Form({"right": [str(right_id)]}), act, "objected")


@router.post("/family/children/{child_id}/corrections")
def propose_correction(request: Request, actor: FamilyActor, database: Db, child_id: UUID, form: SentForm) -> Response:
    own = _own(database, actor, child_id)
    require(actor, Action.PROPOSE_CORRECTION, own.thing(Action.PROPOSE_CORRECTION))
    wanted = correction_asked(form)

    def act(tx: Transaction) -> None:
        corrections.propose_correction(
            tx, own.place.district_id, child_id=child_id, by=own.place.person_id, wanted=wanted, now=clock.now()
        )

    return _answered(request, database, actor, own, "corrections", form, act, "proposed")


def _own(database: Database, actor: Actor, child_id: UUID) -> Own:
    """Return an own child's file, in whichever district it is. Raises Refused("NOT_FOUND") for everybody else's."""
    for place in actor.places:
        with database.tenant(place.district_id, place.person_id) as tx:
            try:
                file = service.child_file(tx, place.district_id, child_id, clock.now())
            except Refused as refused:
                if refused.code != "NOT_FOUND":
                    raise
                continue
            own = Own(place, file, _known(tx, place, file))
            if may(actor, Action.READ_FILE, own.thing(Action.READ_FILE)):
                return own
    raise Refused("NOT_FOUND")


def _known(tx: Transaction, place: Place, file: ChildFile) -> dict[UUID, str]:
    """Return adults whom this family knows by this child or its others, and who hold no right for this one."""
    today = clock.now().date()
    known = {one.person_id: _name(one.given, one.family) for one in file.guardians}
    for child in service.children_of_guardian(tx, place.district_id, place.person_id, today):
        rights = escorts.escorts_of_child(tx, place.district_id, child.id, clock.now())
        known |= {one.person_id: _name(one.given, one.family) for one in rights}
    holding = {one.person_id for one in file.escorts}
    return {person: name for person, name in known.items() if person not in holding}


def _summaries(tx: Transaction, place: Place) -> list[Summary]:
    now = clock.now()
    waiting = [right.child_id for right in escorts.rights_to_consider(tx, place.district_id, place.person_id, now)]
    children = {one.id: one for one in service.children_of_guardian(tx, place.district_id, place.person_id, now.date())}
    return [
        Summary(
            child,
            tuple(one.given for one in escorts.escorts_of_child(tx, place.district_id, child.id, now)),
            waiting.count(child.id),
        )
        for child in children.values()
    ]


def _draw(
    request: Request, database: Database, actor: Actor, child_id: UUID, *, forms: Mapping[str, Form] = BLANK,
    status: int = 200, **told: Any,
) -> HTMLResponse:  # fmt: skip
    own = _own(database, actor, child_id)
    here = own.file.schools[0]
    reader = reader_of(request, actor.language, here.timezone)
    with database.tenant(own.place.district_id, own.place.person_id) as tx:
        log = audit.readings_of_child(tx, own.place.district_id, child_id, LOG_LINES)
    values: dict[str, Any] = {"said": "", "undo": None, "days": 127, **told}
    return page(
        request,
        "people/own_child.html",
        reader,
        status,
        here=here,
        me=own.place.person_id,
        given=actor.given,
        known=own.known,
        manages=may(actor, Action.MANAGE_ESCORTS, own.thing(Action.MANAGE_ESCORTS)),
        sure=actor.is_sure(clock.now()),
        log=log,
        forms=forms,
        blank=Form(),
        **told_of(reader, own.file, here),
        **values,
    )


def _answered(
    request: Request, database: Database, actor: Actor, own: Own, part: str, form: Form,
    act: Callable[[Transaction], None], said: str,
) -> Response:  # fmt: skip
    """Do it in a transaction of staff and lead back; where it is refused, draw the page again with the reason."""
    status = 400
    if not form.problems:
        try:
            with database.tenant(own.place.district_id) as tx:
                act(tx)
            return RedirectResponse(f"/family/children/{own.file.id}?said={said}#{part}", status_code=303)
        except PeopleRefused as refused:
            status = say_no(form, refused)
    return _draw(request, database, actor, own.file.id, forms={part: form}, status=status)


def _name(given: str, family: str) -> str:
    return f"{given} {family}".strip()
