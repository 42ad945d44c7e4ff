"""The account page: passkeys, the password, the address, where somebody is signed in; and the first passkey.

Responsible for: what people do with their own ways in, at each door. What takes a way in away, or adds one, asks for a
proof of the last ten minutes. Not responsible for: the rules (passkeys.py, passwords.py, addresses.py).
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from cloud.identity import addresses, passkeys, passwords, service
from cloud.identity.doors import COOKIES, actor_at, clear_cookie, enrolling_at, still_at, sure_at
from cloud.identity.model import FIRST_PAGE, NEXT_CHARACTERS_MAX, Actor, Door, Way, door_of_path, own_path
from cloud.kit import clock
from cloud.kit.db import Transaction
from cloud.kit.errors import N_, Refused
from cloud.kit.forms import Form, SentForm
from cloud.kit.web import Configured, Db, Tx, page, reader_of

router = APIRouter()

Next = Annotated[str, Query(max_length=NEXT_CHARACTERS_MAX)]

WAYS = {
    Way.LINK: N_("by a link"), Way.DEMO: N_("by the demonstration's link"), Way.LETTER: N_("by a letter"),
    Way.PAIRING: N_("by a pairing code"), Way.PASSKEY: N_("by a passkey"), Way.PASSWORD: N_("by a password"),
}
DOORS = {Door.FAMILY: N_("Families"), Door.SCHOOL: N_("School"), Door.FLEET: N_("Operators")}
NOT_AN_ADDRESS = N_("Please give an e-mail address, for example name@example.org.")


@router.get("/account")
def account_page(request: Request, settings: Configured, tx: Tx, door: Door | None = None, said: str = "") -> Response:
    return _draw(request, settings.demo, tx, _own(request, door), Form(), said=said)


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
            return _draw(request, settings.demo, tx, actor, form, status=400)
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
def ask_for_proof(request: Request, settings: Configured, tx: Tx, form: SentForm) -> Response:
    """Make the link that proves an address. Without a mail server it is shown in a demonstration only."""
    actor, email = sure_at(request, Door.FAMILY), passwords.normal_email(form.typed("email"))
    if not settings.demo:
        raise Refused("NOT_FOUND")
    if not email:
        form.refuse("email", NOT_AN_ADDRESS)
        return _draw(request, settings.demo, tx, actor, form, status=400)
    link = addresses.new_proof(tx, actor, email, request.cookies[COOKIES[Door.FAMILY]], clock.now())
    return _draw(request, settings.demo, tx, actor, form, link=link)


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


def _draw(request: Request, demo: bool, tx: Transaction, actor: Actor, form: Form, *, said: str = "", link: str = "",
          status: int = 200) -> Response:  # fmt: skip
    now, token = clock.now(), request.cookies[COOKIES[actor.door]]
    email, proved = addresses.address_of(tx, actor.login_id)
    return page(
        request, "identity/account.html", reader_of(request, actor.language), status=status, form=form, actor=actor,
        door=actor.door, doors={each: DOORS[each] for each in Door if actor_at(request, each)}, ways=WAYS,
        door_names=DOORS, said=said, passkeys=passkeys.passkeys_of(tx, actor), sure=actor.is_sure(now),
        may_make=passkeys.may_make(tx, actor, now), has_password=passwords.has_password(tx, actor.login_id),
        email=email, proved=proved, demo=demo, link=link, sessions=service.open_sessions(tx, actor, token, now),
    )  # fmt: skip


def _back(door: Door, said: str) -> Response:
    return RedirectResponse(f"/account?door={door}&said={said}", status_code=303)
