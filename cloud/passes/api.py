"""What phones ask: pair by a code, fetch today's credentials.

Responsible for: JSON in and out, cookies, one transaction a step so that counters of wrong tries are committed before
the refusal is said. Not responsible for: the rules (service.py) or drawing the pass (the page). UX, the pass page.
"""

import base64
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from cloud.identity import service as identity
from cloud.identity.doors import actor_at, set_cookie
from cloud.identity.model import Actor, Door, HeldPhone
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.kit.errors import Refused
from cloud.kit.web import Db
from cloud.passes import service
from cloud.passes.issuing import ring_of
from cloud.passes.model import FoundCode, PassOffer, Phone
from cloud.people import service as people

router = APIRouter(prefix="/api")

PHONE_COOKIE = "__Host-phone"  # which of the person's two phones this is: its thumb, no secret
PHONE_COOKIE_SECONDS = 400 * 86_400  # browsers keep no cookie longer
BYTES32 = 44  # characters of 32 bytes in base64url, padding allowed
KTY_ED25519, KTY_P256 = 1, 2


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


class StartBody(_Body):
    """Eight digits, as typed: spaces and a hyphen are forgiven."""

    code: Annotated[str, Field(max_length=20)]


class KeyBody(_Body):
    """A phone's public key. kty 1: Ed25519, x alone; 2: P-256, x and the sign of y."""

    kty: int
    x: Annotated[str, Field(max_length=BYTES32)]
    y: bool | None = None


class FinishBody(StartBody):
    key: KeyBody
    proof: Annotated[str, Field(max_length=90)]


@router.post("/pair/start")
def pair_start(request: Request, database: Db, body: StartBody) -> dict[str, Any]:
    """Say what the phone must sign: `portillon-pair`, then the nonce, then the account."""
    now = clock.now()
    found = _found(request, database, body.code, now)
    with database.tenant(found.district_id) as tx:
        start = service.start_pairing(tx, found, now)
    if isinstance(start, str):
        raise service.PairRefused(start)
    return {"account": _text(start.account), "nonce": _text(start.nonce), "now_ms": _milliseconds(now)}


@router.post("/pair/finish")
def pair_finish(request: Request, response: Response, database: Db, body: FinishBody) -> dict[str, Any]:
    """Pair the phone that proved its key, open its session, and give it its first credentials."""
    now = clock.now()
    found = _found(request, database, body.code, now)
    with database.tenant(found.district_id) as tx:
        phone = service.finish_pairing(tx, found, _cose_key(body.key), _bytes(body.proof), now)
        if isinstance(phone, Phone):
            login_id = identity.login_of_person(tx, found.district_id, phone.person_id, now)
            door = Door.FAMILY if service.is_family(tx, found.district_id, phone.person_id, now) else Door.SCHOOL
            token = identity.new_session(tx, login_id, door, now, HeldPhone(found.district_id, phone.id))
    if isinstance(phone, str):
        raise service.PairRefused(phone)
    set_cookie(response, door, token)
    response.set_cookie(PHONE_COOKIE, phone.thumb.hex(), max_age=PHONE_COOKIE_SECONDS, path="/", secure=True,
                        httponly=True, samesite="lax")  # fmt: skip
    with database.untenanted() as tx:
        actor = identity.actor_of(tx, door, token, now)
    if actor is None:
        raise Refused("SIGN_IN")
    return _passes(request, database, actor, phone.thumb, now)


@router.get("/passes")
def passes(request: Request, database: Db) -> dict[str, Any]:
    """Return this phone's credentials, renewed where they are older than a day or rights changed."""
    actor = actor_at(request, Door.FAMILY) or actor_at(request, Door.SCHOOL)
    if actor is None:
        raise Refused("SIGN_IN")
    return _passes(request, database, actor, _thumb(request), clock.now())


@router.post("/phone/forget")
def forget_phone(request: Request, response: Response, database: Db) -> dict[str, str]:
    """Take this very phone away, as its holder asks on it: its place is free at once, its pass ends at the gates."""
    actor = actor_at(request, Door.FAMILY) or actor_at(request, Door.SCHOOL)
    if actor is None:
        raise Refused("SIGN_IN")
    thumb, now = _thumb(request), clock.now()
    for place in {(place.district_id, place.person_id): place for place in actor.places}.values():
        with database.tenant(place.district_id) as tx:
            phone = service.phone_of_thumb(tx, place.district_id, thumb)
            if phone and phone.person_id == place.person_id:
                service.revoke_phone(tx, place.district_id, place.person_id, phone.id, now, by=place.person_id)
    response.delete_cookie(PHONE_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return {"phone": "revoked"}


def _thumb(request: Request) -> bytes:
    try:
        return bytes.fromhex(request.cookies.get(PHONE_COOKIE, ""))
    except ValueError:
        return b""


def _found(request: Request, database: Database, typed: str, now: datetime) -> FoundCode:
    code = typed.replace(" ", "").replace("-", "")
    address = request.client.host if request.client else ""
    with database.untenanted() as tx:  # committed before the refusal: wrong guesses count
        found = service.find_code(tx, request.app.state.settings.secret, code, address, now)
    if isinstance(found, str):
        raise service.PairRefused(found)
    return found


def _passes(request: Request, database: Database, actor: Actor, thumb: bytes, now: datetime) -> dict[str, Any]:
    """Credentials of every district where this login is a person who holds this phone: one tenant at a time."""
    ring = ring_of(request, now)
    offers: list[PassOffer] = []
    state = "unknown"
    for place in {(place.district_id, place.person_id): place for place in actor.places}.values():
        with database.tenant(place.district_id) as tx:
            phone = service.phone_of_thumb(tx, place.district_id, thumb)
            if phone is None or phone.person_id != place.person_id:
                continue
            state = "revoked" if phone.revoked_at else "paired"
            if state == "paired":
                offers += service.offers(tx, ring, place.district_id, phone, now)
    with database.tenant(actor.district_id) as tx:
        person = people.person(tx, actor.district_id, actor.person_id)
    return {
        "now_ms": _milliseconds(now), "language": person.language, "phone": state,
        "person": {"name": f"{person.given} {person.family}".strip()}, "passes": list(_told(offers)),
    }  # fmt: skip


def _told(offers: Iterable[PassOffer]) -> Iterable[dict[str, Any]]:
    for offer in offers:
        children = [
            {"bit": child.bit, "name": child.name, "class": child.class_name, "perms": child.perms,
             "presence": child.presence, "since": child.since.isoformat() if child.since else None}
            for child in offer.children
        ]  # fmt: skip
        yield {
            "kind": offer.kind, "site": offer.site, "school": offer.school, "tz": offer.timezone,
            "credential": _text(offer.credential), "iat": int(offer.issued_at.timestamp()),
            "exp": int(offer.expires_at.timestamp()), "children": children,
        }  # fmt: skip


def _cose_key(key: KeyBody) -> dict[int, Any]:
    x = _bytes(key.x)
    if key.kty == KTY_ED25519:
        return {1: 1, -1: 6, -2: x}
    return {1: key.kty, -1: 1, -2: x, -3: key.y}


def _bytes(text: str) -> bytes:
    """base64url with or without padding; what is not becomes empty, which no key and no proof is."""
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _milliseconds(now: datetime) -> int:
    return int(now.timestamp() * 1000)
