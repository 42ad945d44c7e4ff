"""The account page: passkeys, the password, the address, where somebody is signed in; and the first passkey.

Responsible for: what people do with their own ways in, at each door. What takes a way in away, or adds one, asks for a
proof of the last ten minutes. Not responsible for: the rules (passkeys.py, passwords.py, addresses.py).
"""

import logging
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from cloud.config import Settings
from cloud.identity import addresses, passkeys, passwords, service, tries
from cloud.identity.doors import COOKIES, actor_at, clear_cookie, enrolling_at, still_at, sure_at
from cloud.identity.model import FIRST_PAGE, NEXT_CHARACTERS_MAX, Actor, Door, Way, door_of_path, own_path
from cloud.identity.tries import Kind
from cloud.kit import clock
from cloud.kit.db import Transaction
from cloud.kit.errors import N_, Refused
from cloud.kit.forms import Form, SentForm
from cloud.kit.i18n import Reader
from cloud.kit.mail import Mail, MailRefused, send
from cloud.kit.web import Configured, Db, Tx, page, reader_of

log = logging.getLogger("portillon.identity")
router = APIRouter()

Next = Annotated[str, Query(max_length=NEXT_CHARACTERS_MAX)]

WAYS = {
    Way.LINK: N_("by a link"), Way.DEMO: N_("by the demonstration's link"), Way.LETTER: N_("by a letter"),
    Way.PAIRING: N_("by a pairing code"), Way.PASSKEY: N_("by a passkey"), Way.PASSWORD: N_("by a password"),
}
DOORS = {Door.FAMILY: N_("Families"), Door.SCHOOL: N_("School"), Door.FLEET: N_("Operators")}
NOT_SENT = N_("The message could not be sent. Please try again in a few minutes.")
PROOF_SUBJECT = N_("Is this your e-mail address?")
PROOF_TEXT = N_(
    "Somebody who is signed in at the school's pages gave this address as their own. If it was you, open this link in"
    " the same browser within a day and press the button:\n\n%(link)s\n\n"
    "If it was not you, do nothing: nothing happens.\n"
)
NOT_AN_ADDRESS = N_("Please give an e-mail address, for example name@example.org.")


@router.get("/account")
def account_page(request: Request, settings: Configured, tx: Tx, door: Door | None = None, said: str = "") -> Response:
    return _draw(request, settings, tx, _own(request, door), Form(), said=said)


@router.get("/account/first-passkey")
def first_passkey_page(request: Request, tx: Tx, next: Next = "") -> Response:
    """Offer a passkey after a letter or a link. The school's and the fleet's doors open after it only."""
    door = door_of_path(next)
    actor = enrolling_at(request, door)
    return page(
        request, "identity/first_passkey.html", reader_of(request, actor.language), door=door, given=actor.given,
        next=own_path(next) or FIRST_PAGE[door], may_make=passkeys.may_make(tx, actor, clock.now()),
        must=actor.door is not Door.FAMILY, by_phone=actor.way is Way.PAIRING,
    )  # fmt: skip


@router.post("/account/{door}/passkeys/{key_id}/name")
def name_passkey(request: Request, tx: Tx, door: Door, key_id: UUID, form: SentForm) -> Response:
    if not passkeys.name_passkey(tx, still_at(request, door), key_id, form.typed("name")):
        raise Refused("NOT_FOUND")
    return _back(door, "named")


@router.post("/account/{door}/passkeys/{key_id}/remove")
def remove_passkey(request: Request, tx: Tx, door: Door, key_id: UUID) -> Response:
    actor = sure_at(request, door)
    if not passkeys.remove_passkey(tx, actor, key_id, request.cookies[COOKIES[door]], clock.now()):
        raise Refused("NOT_FOUND")
    return _back(door, "removed")


@router.post("/account/family/password")
def set_password(request: Request, database: Db, settings: Configured, form: SentForm) -> Response:
    """Set or change the password of a family's login; hashed with no transaction open."""
    now, actor = clock.now(), still_at(request, Door.FAMILY)
    with database.untenanted() as tx:
        if not passkeys.may_make(tx, actor, now):
            raise Refused("STEP_UP")
    email, password = passwords.normal_email(form.typed("email")), form.typed("password")
    if not email:
        form.refuse("email", NOT_AN_ADDRESS)
    if problem := passwords.problem_of(password, email):
        form.refuse("password", problem)
    if form.problems:
        with database.untenanted() as tx:
            return _draw(request, settings, tx, actor, form, status=400)
    hashed = passwords.hash_password(password)
    with database.untenanted() as tx:
        passwords.set_password(tx, actor, email, hashed, request.cookies[COOKIES[Door.FAMILY]], now)
    return _back(Door.FAMILY, "password")


@router.post("/account/family/password/remove")
def remove_password(request: Request, tx: Tx) -> Response:
    actor = sure_at(request, Door.FAMILY)
    if not passwords.remove_password(tx, actor, request.cookies[COOKIES[Door.FAMILY]], clock.now()):
        raise Refused("NOT_FOUND")
    return _back(Door.FAMILY, "removed")


@router.post("/account/family/address")
def ask_for_proof(request: Request, settings: Configured, database: Db, form: SentForm) -> Response:
    """Send the link that proves an address, once it is committed; a demonstration without mail shows it instead."""
    actor, email, now = sure_at(request, Door.FAMILY), passwords.normal_email(form.typed("email")), clock.now()
    if not settings.demo and not settings.smtp_url:
        raise Refused("NOT_FOUND")
    if not email:
        form.refuse("email", NOT_AN_ADDRESS)
        with database.untenanted() as tx:
            return _draw(request, settings, tx, actor, form, status=400)
    with database.untenanted() as tx:
        counted = [tries.allow(tx, settings.secret, Kind.MAIL, who, now) for who in (str(actor.login_id), email)]
    if not all(counted):
        raise service.SignInRefused("SIGN_IN_TOO_MANY")
    with database.untenanted() as tx:
        link = addresses.new_proof(tx, actor, email, request.cookies[COOKIES[Door.FAMILY]], now)
    sent = bool(settings.smtp_url)
    if sent and not _sent(settings, reader_of(request, actor.language), email, link):
        form.refuse("email", NOT_SENT)
        sent = False
    with database.untenanted() as tx:
        shown = "" if settings.smtp_url else link
        return _draw(request, settings, tx, actor, form, link=shown, sent=sent, status=503 if form.problems else 200)


def _sent(settings: Settings, reader: Reader, email: str, link: str) -> bool:
    """Send the link in the reader's language; return whether the mail server took it."""
    text = reader.gettext(PROOF_TEXT) % {"link": settings.public_url + link}
    try:
        send(settings, Mail(email, reader.gettext(PROOF_SUBJECT), text))
    except MailRefused as refused:
        log.error("a message was not sent: %s", refused)
        return False
    return True


@router.post("/account/{door}/sessions/{session_id}/end")
def end_session(request: Request, tx: Tx, door: Door, session_id: UUID) -> Response:
    if not service.end_open_session(tx, still_at(request, door), session_id, clock.now()):
        raise Refused("NOT_FOUND")
    return _back(door, "ended")


@router.post("/account/{door}/sign-out-everywhere")
def sign_out_everywhere(request: Request, tx: Tx, door: Door) -> Response:
    """End every session of this login that this one may speak of, here and elsewhere, at every door."""
    actor = still_at(request, door)
    service.sign_out_everywhere(tx, actor.login_id, clock.now(), actor.only_district)
    answer = RedirectResponse("/", status_code=303)
    clear_cookie(answer, door)
    if door is Door.FAMILY:
        answer.headers["Clear-Site-Data"] = '"storage"'
    return answer


def proves_by_passkey(tx: Transaction, actor: Actor) -> bool:
    """Return whether this session has a passkey to prove with."""
    return bool(passkeys.passkeys_of(tx, actor))


def _own(request: Request, door: Door | None) -> Actor:
    """Return who is signed in at this door, or at the first that is open. Raises Refused("SIGN_IN")."""
    wanted = [door] if door else [each for each in Door if actor_at(request, each)]
    if not wanted:
        raise Refused("SIGN_IN")
    return still_at(request, wanted[0])


def _draw(request: Request, settings: Settings, tx: Transaction, actor: Actor, form: Form, *, said: str = "",
          link: str = "", sent: bool = False, status: int = 200) -> Response:  # fmt: skip
    now, token = clock.now(), request.cookies[COOKIES[actor.door]]
    email, proved = addresses.address_of(tx, actor.login_id)
    return page(
        request, "identity/account.html", reader_of(request, actor.language), status=status, form=form, actor=actor,
        door=actor.door, doors={each: DOORS[each] for each in Door if actor_at(request, each)}, ways=WAYS,
        door_names=DOORS, said=said, passkeys=passkeys.passkeys_of(tx, actor), sure=actor.is_sure(now),
        may_make=passkeys.may_make(tx, actor, now), has_password=passwords.has_password(tx, actor.login_id),
        email=email, proved=proved, may_prove=settings.demo or bool(settings.smtp_url), link=link, sent=sent,
        sessions=service.open_sessions(tx, actor, token, now),
    )  # fmt: skip


def _back(door: Door, said: str) -> Response:
    return RedirectResponse(f"/account?door={door}&said={said}", status_code=303)
