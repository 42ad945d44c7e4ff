"""Pages of printed cards and paired phones: what the office gives out, and what a family has.

Responsible for: `/school/people/{id}/cards` (cards and phones of one adult: issue, print, replace, block, invite a
phone, take one away), `/school/cards` (all that run; a found one by its number), `/family/cards` (own ones
and those of who collects one's children; lost ones).
What gives a card or a phone asks for a fresh proof of who is there; what blocks one does not: it must be quick.
Not responsible for: any rule of cards (service.py) nor the pass page on a phone (cloud/passes/pages.py).
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from cloud.identity.doors import FamilyActor, FamilyTx, SchoolActor, SchoolSure, SchoolTx
from cloud.identity.may import Action, Thing, may, require
from cloud.identity.model import Actor
from cloud.kit import clock
from cloud.kit.db import Database, Transaction
from cloud.kit.errors import N_, Refused
from cloud.kit.forms import SentForm
from cloud.kit.web import Configured, Db, page, reader_of
from cloud.passes import service as passes
from cloud.passes.cards import service as cards
from cloud.passes.cards.model import TYPED_CHARACTERS_MAX, Card, CardPlace, typed_serial
from cloud.passes.issuing import ring_of
from cloud.passes.model import Phone
from cloud.people import service as people
from cloud.people.model import Person
from cloud.schools.bar import bar_of, schools_of
from cloud.schools.model import School

router = APIRouter()

ENDED = {
    "lost": N_("Lost"), "replaced": N_("Replaced by another card"), "revoked": N_("Blocked by the office"),
    "over": N_("Its year is over"), "": N_("Blocked"),
}  # fmt: skip
SAID = {
    "issued": N_("The card is issued. Print it now: it can be printed for a day."),
    "replaced": N_("The old card has ended. Print the new one now."),
    "lost": N_("The card is blocked. No gate takes it from now on."),
    "revoked": N_("The card is blocked. No gate takes it from now on."),
    "phone": N_("The phone is removed. No gate takes its pass from now on."),
}
Said = Annotated[str, Query(max_length=20)]


# --- the office: one adult's cards and phones -----------------------------------------------------------------------


@router.get("/school/people/{person_id}/cards")
def person_page(request: Request, actor: SchoolActor, tx: SchoolTx, person_id: UUID, said: Said = "") -> HTMLResponse:
    return _Desk(tx, actor, person_id, Action.PRINT_CARD).draw(request, said=said)


@router.post("/school/people/{person_id}/cards")
def issue_card(
    request: Request, actor: SchoolSure, tx: SchoolTx, person_id: UUID, form: SentForm
) -> Response:
    desk, now = _Desk(tx, actor, person_id, Action.PRINT_CARD), clock.now()
    site = _site(form.typed("site"))
    if site not in desk.sites:
        raise Refused("NOT_FOUND")
    try:
        cards.issue_card(tx, ring_of(request, now), actor.district_id, person_id, site, actor.person_id, now)
    except cards.CardRefused as refused:
        return desk.draw(request, refused=refused)
    return _back(person_id, "issued")


@router.get("/school/cards/{serial}/card.pdf")
def print_card(actor: SchoolSure, tx: SchoolTx, serial: str) -> Response:
    card, _ = _card_at_desk(tx, actor, serial, Action.PRINT_CARD)
    pdf = cards.print_card(tx, actor.district_id, card.serial, actor.person_id, clock.now())
    named = {"content-disposition": f'inline; filename="card-{card.shown_serial}.pdf"'}
    return Response(pdf, media_type="application/pdf", headers=named)


@router.post("/school/cards/{serial}/replace")
def replace_card(request: Request, actor: SchoolSure, tx: SchoolTx, serial: str) -> Response:
    card, desk = _card_at_desk(tx, actor, serial, Action.PRINT_CARD)
    now = clock.now()
    try:
        with tx.transaction():  # a card that cannot be given anew is not ended either
            cards.replace_card(tx, ring_of(request, now), actor.district_id, card.serial, actor.person_id, now)
    except cards.CardRefused as refused:
        return desk.draw(request, refused=refused)
    return _back(card.person_id, "replaced")


@router.post("/school/cards/{serial}/lost")
def card_is_lost(actor: SchoolActor, tx: SchoolTx, serial: str) -> Response:
    card, _ = _card_at_desk(tx, actor, serial, Action.REVOKE_CARD)
    cards.report_lost(tx, actor.district_id, card.serial, actor.person_id, clock.now())
    return _back(card.person_id, "lost")


@router.post("/school/cards/{serial}/block")
def block_card(actor: SchoolActor, tx: SchoolTx, serial: str) -> Response:
    card, _ = _card_at_desk(tx, actor, serial, Action.REVOKE_CARD)
    cards.take_back(tx, actor.district_id, card.serial, actor.person_id, clock.now())
    return _back(card.person_id, "revoked")


@router.get("/school/cards")
def find_card(request: Request, actor: SchoolActor, tx: SchoolTx, number: str = "") -> Response:
    """List the cards that run, and lead from the number on a found one to its holder; a wrong number is said."""
    schools = _schools(tx, actor, Action.REVOKE_CARD)
    serial = typed_serial(number)
    found = _found(tx, actor, schools, serial) if serial else None
    if found:
        return RedirectResponse(f"/school/people/{found.person_id}/cards", 303)
    problem = "" if not number else N_("No card has this number.") if serial else N_("This number is mistyped.")
    return page(
        request, "passes/find_card.html", reader_of(request, actor.language), 404 if problem else 200,
        given=actor.given, school=schools[0], bar=bar_of(actor, schools[0].id), problem=problem, now=clock.now(),
        typed=number[:TYPED_CHARACTERS_MAX],
        running=[card for site in sorted({school.site for school in schools})
                 for card in cards.running_cards(tx, actor.district_id, site, clock.now())],
    )  # fmt: skip


@router.post("/school/people/{person_id}/phone")
def invite_phone(
    request: Request, actor: SchoolSure, tx: SchoolTx, settings: Configured, person_id: UUID
) -> HTMLResponse:
    """Show eight digits once: whoever types them within ten minutes pairs a phone as this person."""
    desk, now = _Desk(tx, actor, person_id, Action.INVITE_PHONE), clock.now()
    code = passes.new_pairing_code(
        tx, settings.secret, actor.district_id, person_id, now, by=actor.person_id
    )
    return desk.draw(request, code=f"{code[:4]} {code[4:]}")


@router.post("/school/people/{person_id}/phones/{phone_id}/remove")
def remove_phone(actor: SchoolActor, tx: SchoolTx, person_id: UUID, phone_id: UUID) -> Response:
    _Desk(tx, actor, person_id, Action.INVITE_PHONE)
    passes.revoke_phone(tx, actor.district_id, person_id, phone_id, clock.now(), by=actor.person_id)
    return _back(person_id, "phone")


class _Desk:
    """An adult as the offices of the actor's schools see them. Raises Refused("NOT_FOUND") for anybody else."""

    def __init__(self, tx: Transaction, actor: Actor, person_id: UUID, action: Action) -> None:
        self.tx, self.actor, self.now = tx, actor, clock.now()
        self.person: Person = people.person(tx, actor.district_id, person_id)
        self.schools = _schools(tx, actor, action)
        self.sites = {school.site for school in self.schools}
        given = cards.cards_of_person(tx, actor.district_id, person_id)
        self.cards = [card for card in given if card.site in self.sites]
        self.places: list[CardPlace] = [
            place for place in cards.places_for_card(tx, actor.district_id, person_id, self.now)
            if place.site in self.sites
        ]  # fmt: skip
        self.works = {member.school_id for school in self.schools
                      for member in people.staff_of_school(tx, actor.district_id, school.id)
                      if member.person_id == person_id}  # fmt: skip
        if not (self.cards or self.places or self.works):
            raise Refused("NOT_FOUND")
        self.phones: list[Phone] = passes.phones_of(tx, actor.district_id, person_id)

    def draw(
        self, request: Request, *, said: str = "", code: str = "", refused: Refused | None = None
    ) -> HTMLResponse:
        school = self.schools[0]
        things = [Thing(self.actor.district_id, one.id) for one in self.schools]
        return page(
            request, "passes/person_cards.html", reader_of(request, self.actor.language, school.timezone),
            refused.answer.status if refused else 200, given=self.actor.given, school=school,
            bar=bar_of(self.actor, school.id), person=self.person, cards=self.cards, places=self.places,
            dead=cards.refused_at_gates(self.tx, self.actor.district_id, self.cards, self.now),
            phones=self.phones, works=bool(self.works), now=self.now, said=SAID.get(said, ""), ended=ENDED, code=code,
            refused=refused.answer if refused else None, sure=self.actor.is_sure(self.now),
            invites=any(may(self.actor, Action.INVITE_PHONE, thing) for thing in things),
            address=request.app.state.settings.public_url,
        )  # fmt: skip


def _schools(tx: Transaction, actor: Actor, action: Action) -> list[School]:
    found = schools_of(tx, actor, action)
    if not found:
        raise Refused("NOT_YOURS")
    return found


def _found(tx: Transaction, actor: Actor, schools: list[School], serial: str) -> Card | None:
    try:
        card = cards.card_of_serial(tx, actor.district_id, serial)
    except Refused:
        return None
    return card if card.site in {school.site for school in schools} else None


def _card_at_desk(tx: Transaction, actor: Actor, serial: str, action: Action) -> tuple[Card, _Desk]:
    card = _found(tx, actor, _schools(tx, actor, action), serial)
    if card is None:
        raise Refused("NOT_FOUND")
    return card, _Desk(tx, actor, card.person_id, action)


def _site(typed: str) -> int:
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= 10 else 0


def _back(person_id: UUID, said: str) -> RedirectResponse:
    return RedirectResponse(f"/school/people/{person_id}/cards?said={said}", 303)


# --- the family: own cards ------------------------------------------------------------------------------------------


@router.get("/family/cards")
def family_page(
    request: Request, actor: FamilyActor, tx: FamilyTx, database: Db, said: Said = ""
) -> HTMLResponse:
    own = cards.cards_of_person(tx, actor.district_id, actor.person_id)
    zone = own[0].timezone if own else "UTC"
    return page(
        request, "passes/family_cards.html", reader_of(request, actor.language, zone), given=actor.given, cards=own,
        chosen=_cards_of_chosen(tx, database, actor), now=clock.now(), said=SAID.get(said, ""), ended=ENDED,
    )  # fmt: skip


@router.post("/family/cards/{serial}/lost")
def own_card_is_lost(actor: FamilyActor, tx: FamilyTx, database: Db, serial: str) -> Response:
    """Block an own card at once, or that of an escort: no proof is asked for, for the finder may be quick too."""
    chosen = [card for card in _cards_of_chosen(tx, database, actor) if card.serial == serial]
    # Row security: of the others', only the actor's own is there.
    card = chosen[0] if chosen else cards.card_of_serial(tx, actor.district_id, serial)
    owners = frozenset({actor.person_id if chosen else card.person_id})
    require(actor, Action.REVOKE_CARD, Thing(actor.district_id, people=owners))
    with database.tenant(actor.district_id) as writing:
        cards.report_lost(writing, actor.district_id, card.serial, actor.person_id, clock.now())
    return RedirectResponse("/family/cards?said=lost", 303)


def _cards_of_chosen(tx: Transaction, database: Database, actor: Actor) -> list[Card]:
    """Return the running cards of who may collect this parent's children and is no parent of theirs."""
    now = clock.now()
    chosen = people.escorts_chosen_for(tx, actor.district_id, actor.person_id, now)
    with database.tenant(actor.district_id) as reading:
        held = [cards.cards_of_person(reading, actor.district_id, person) for person in chosen]
    return [card for each in held for card in each if card.runs(now)]
