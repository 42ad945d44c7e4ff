"""The page on which an operator gives a gate its name: the four words on its screen, then its fingerprint.

Responsible for: `/fleet/claim`, forms, tries of an operator counted before they are answered. Changing needs proof of
who is there (FleetSure). Not responsible for: the rules (claims.py), the list of gates (pages.py).
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from cloud.fleet import claims
from cloud.fleet.service import GateRefused
from cloud.identity.doors import FleetSure
from cloud.identity.may import Action, Thing, require
from cloud.identity.model import Actor
from cloud.identity.tries import Kind, allow, forgive
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.kit.errors import Refused
from cloud.kit.forms import Form, SentForm
from cloud.kit.web import Configured, Db, page, reader_of
from protocols.claims import CODE_CHARACTERS_MAX
from protocols.limits import UINT32_MAX

router = APIRouter()

Code = Annotated[str, Query(max_length=CODE_CHARACTERS_MAX)]
FIRST_NUMBER, NUMBER_MAX = 1, min(UINT32_MAX, 999_999_999)  # what Form.number reads


@router.get("/fleet/claim")
def claim_page(request: Request, actor: FleetSure, database: Db, settings: Configured, code: Code = "") -> Response:
    """Ask for the words, or show the gate that shows them. A scanned code brings them along."""
    require(actor, Action.CHANGE_GATES, Thing(actor.district_id))
    form = Form({"code": [code]} if code else None)
    _count(database, settings.secret, actor, code)
    return _drawn(request, actor, database, settings.secret, form)


@router.post("/fleet/claim/approve")
def approve(request: Request, actor: FleetSure, database: Db, settings: Configured, form: SentForm) -> Response:
    """Give the gate its number, site and name."""
    require(actor, Action.CHANGE_GATES, Thing(actor.district_id))
    _count(database, settings.secret, actor, form.typed("code"))
    site, gate = form.number("site", FIRST_NUMBER, NUMBER_MAX), form.number("gate", FIRST_NUMBER, NUMBER_MAX)
    name = form.name("name")
    if not form.ticked("same"):
        form.refuse("form", claims.ClaimRefused("CLAIM_FINGERPRINT").answer.what_to_do)
    if form.problems:
        return _drawn(request, actor, database, settings.secret, form, 400)
    try:
        with database.tenant(actor.district_id) as tx:
            claims.approve(
                tx, actor.district_id, form.typed("code"), form.typed("fingerprint"), site=site, gate=gate, name=name,
                secret=settings.secret, by=actor.person_id, now=clock.now(),
            )  # fmt: skip
    except (claims.ClaimRefused, GateRefused) as refused:
        form.refuse("gate" if isinstance(refused, GateRefused) else "form", refused.answer.message)
        return _drawn(request, actor, database, settings.secret, form, refused.answer.status)
    _forgive(database, settings.secret, actor)
    return RedirectResponse("/fleet/gates", status_code=303)


@router.post("/fleet/claim/refuse")
def refuse(request: Request, actor: FleetSure, database: Db, settings: Configured, form: SentForm) -> Response:
    """Say no to the gate that shows these words."""
    require(actor, Action.CHANGE_GATES, Thing(actor.district_id))
    _count(database, settings.secret, actor, form.typed("code"))
    try:
        with database.tenant(actor.district_id) as tx:
            claims.refuse(tx, actor.district_id, form.typed("code"), secret=settings.secret, by=actor.person_id,
                          now=clock.now())  # fmt: skip
    except claims.ClaimRefused as refused:
        form.refuse("form", refused.answer.message)
        return _drawn(request, actor, database, settings.secret, form, refused.answer.status)
    _forgive(database, settings.secret, actor)
    return RedirectResponse("/fleet/gates", status_code=303)


def _count(database: Database, secret: bytes, actor: Actor, words: str) -> None:
    """Count words for this login, before anything is done or told about them. Raises Refused("TOO_MANY")."""
    with database.untenanted() as tx:
        allowed = not words or allow(tx, secret, *_tries_of(actor), clock.now())
    if not allowed:
        raise Refused("TOO_MANY")


def _forgive(database: Database, secret: bytes, actor: Actor) -> None:
    """The words were a gate's."""
    with database.untenanted() as tx:
        forgive(tx, secret, [_tries_of(actor)])


def _tries_of(actor: Actor) -> tuple[Kind, str]:
    return Kind.ACCOUNT, f"claim code {actor.login_id}"


def _drawn(
    request: Request, actor: Actor, database: Database, secret: bytes, form: Form, status: int = 200
) -> Response:
    """Draw the page. Words were counted for this login; the right ones are forgiven."""
    found, words = None, form.typed("code")
    with database.tenant(actor.district_id) as tx:
        sites = claims.sites(tx, actor.district_id)
        try:
            found = claims.find(tx, actor.district_id, words, secret, clock.now()) if words else None
        except claims.ClaimRefused as refused:
            form.refuse("code", refused.answer.message)
            status = max(status, refused.answer.status)
    if found:
        _forgive(database, secret, actor)
    told: dict[str, Any] = {"actor": actor, "form": form, "found": found,
                            "site_options": [(one.number, one.name) for one in sites]}  # fmt: skip
    return page(request, "fleet/claim.html", reader_of(request, actor.language), status=status, **told)
