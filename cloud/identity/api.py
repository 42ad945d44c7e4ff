"""What browsers ask without a page: enter by a link, sign out, and the steps of a passkey.

Responsible for: JSON in and out, cookies, one transaction a step, so that a challenge is used up and a try is counted
before anything is refused. Not responsible for: the rules (service.py, passkeys.py), nor the pages (pages.py).
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from cloud.identity import passkeys, service, tries
from cloud.identity.doors import (
    COOKIES,
    TOKEN_CHARACTERS_MAX,
    actor_at,
    browser_of,
    clear_cookie,
    enrolling_at,
    set_cookie,
    still_at,
)  # fmt: skip
from cloud.identity.model import FIRST_PAGE, NEXT_CHARACTERS_MAX, Door, Way, own_path
from cloud.identity.passkeys import Purpose
from cloud.kit import clock
from cloud.kit.web import Configured, Db, Tx, page

router = APIRouter()

Token = Annotated[str, Path(max_length=TOKEN_CHARACTERS_MAX)]
Next = Annotated[str, Query(max_length=NEXT_CHARACTERS_MAX)]
Base64Url = Annotated[str, Field(max_length=1_500)]  # A credential's id has 1,023 bytes at most (WebAuthn 5.8.3).
Attested = Annotated[str, Field(max_length=16_000)]  # With no attestation wanted, under 1 KB; some phones send more.


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


class SignedBody(_Body):
    """What an authenticator gave, as base64url. Some parts are sent when a key is made, others when it signs."""

    clientDataJSON: Annotated[str, Field(max_length=3_000)]
    attestationObject: Attested | None = None
    authenticatorData: Base64Url | None = None
    signature: Base64Url | None = None
    userHandle: Annotated[str, Field(max_length=100)] | None = None


class AnswerBody(_Body):
    """A browser's PublicKeyCredential as JSON."""

    id: Base64Url
    rawId: Base64Url
    type: Annotated[str, Field(max_length=20)]
    response: SignedBody


class MadeBody(_Body):
    credential: AnswerBody
    name: Annotated[str, Field(max_length=200)] = ""


# --- links and leaving ----------------------------------------------------------------------------------------------


@router.get("/enter/{token}", include_in_schema=False)
def ask_to_enter(request: Request, tx: Tx, token: Token, next: Next = "") -> Response:
    """Show a button where the link works once; a demonstration's link lets in at once, as often as it is opened."""
    if service.link_is_reusable(tx, token, clock.now()):
        return enter(request, tx, token, next)
    return page(request, "identity/enter.html")


@router.post("/enter/{token}", include_in_schema=False)
def enter(request: Request, tx: Tx, token: Token, next: Next = "") -> Response:
    """Open the door that a link names and go to its first page, or to `next`, a path of this site."""
    entered = service.enter(tx, token, clock.now(), browser_of(request))
    answer = RedirectResponse(own_path(next) or FIRST_PAGE[entered.door], status_code=303)
    set_cookie(answer, entered.door, entered.token)
    return answer


@router.post("/sign-out/{door}", include_in_schema=False)
def sign_out(request: Request, tx: Tx, door: Door) -> RedirectResponse:
    """End this browser's session at one door. What a family's phone keeps, its key and its pass, goes with it (P34)."""
    token = request.cookies.get(COOKIES[door], "")
    answer = RedirectResponse("/", status_code=303)
    actor = actor_at(request, door)
    if actor and (door is Door.FAMILY or actor.way is Way.PAIRING):
        answer.headers["Clear-Site-Data"] = '"storage"'
    if token:
        service.sign_out(tx, token, clock.now())
    clear_cookie(answer, door)
    return answer


# --- passkeys -------------------------------------------------------------------------------------------------------


@router.post("/api/passkeys/enter/start")
def start_entering(request: Request, database: Db, settings: Configured) -> dict[str, Any]:
    """Give what a browser needs to sign in by a passkey. Challenges are rows, so their number is bounded by address."""
    now = clock.now()
    with database.untenanted() as tx:
        allowed = tries.allow(tx, settings.secret, tries.Kind.CHALLENGE, tries.address_of(request), now)
    if not allowed:
        raise service.SignInRefused("SIGN_IN_TOO_MANY")
    with database.untenanted() as tx:
        return passkeys.start_entering(tx, passkeys.relying_party(settings.public_url), now)


@router.post("/api/passkeys/enter/finish")
def finish_entering(request: Request, response: Response, database: Db, settings: Configured, body: AnswerBody,
                    next: Next = "") -> dict[str, str]:  # fmt: skip
    """Open the door of the key that answered; say where to go."""
    now, answer = clock.now(), _told(body)
    with database.untenanted() as tx:
        passkeys.take_challenge(tx, Purpose.ENTER, answer, None, now)
    with database.untenanted() as tx:
        party = passkeys.relying_party(settings.public_url)
        entered = passkeys.finish_entering(tx, party, answer, now, browser_of(request))
    set_cookie(response, entered.door, entered.token)
    return {"next": own_path(next) or FIRST_PAGE[entered.door]}


@router.post("/api/passkeys/{door}/prove/start")
def start_proving(request: Request, tx: Tx, settings: Configured, door: Door) -> dict[str, Any]:
    actor = still_at(request, door)
    token, party = request.cookies[COOKIES[door]], passkeys.relying_party(settings.public_url)
    return passkeys.start_proving(tx, party, actor, token, clock.now())


@router.post("/api/passkeys/{door}/prove/finish")
def finish_proving(request: Request, database: Db, settings: Configured, door: Door, body: AnswerBody,
                   next: Next = "") -> dict[str, str]:  # fmt: skip
    """Count the session as sure; say where to go."""
    actor, token, now, answer = still_at(request, door), request.cookies[COOKIES[door]], clock.now(), _told(body)
    with database.untenanted() as tx:
        passkeys.take_challenge(tx, Purpose.PROVE, answer, token, now)
    with database.untenanted() as tx:
        passkeys.finish_proving(tx, passkeys.relying_party(settings.public_url), actor, token, answer, now)
    return {"next": own_path(next) or FIRST_PAGE[door]}


@router.post("/api/passkeys/{door}/make/start")
def start_making(request: Request, tx: Tx, settings: Configured, door: Door) -> dict[str, Any]:
    actor = enrolling_at(request, door)
    token, party = request.cookies[COOKIES[door]], passkeys.relying_party(settings.public_url)
    return passkeys.start_making(tx, party, actor, token, clock.now())


@router.post("/api/passkeys/{door}/make/finish")
def finish_making(request: Request, database: Db, settings: Configured, door: Door, body: MadeBody,
                  next: Next = "") -> dict[str, str]:  # fmt: skip
    """Keep the new key; say where to go."""
    actor, token, now = enrolling_at(request, door), request.cookies[COOKIES[door]], clock.now()
    answer = _told(body.credential)
    with database.untenanted() as tx:
        passkeys.take_challenge(tx, Purpose.MAKE, answer, token, now)
    with database.untenanted() as tx:
        party = passkeys.relying_party(settings.public_url)
        passkeys.finish_making(tx, party, actor, token, answer, body.name or browser_of(request), now)
    return {"next": own_path(next) or FIRST_PAGE[door]}


def _told(body: AnswerBody) -> dict[str, Any]:
    return body.model_dump(exclude_none=True)
