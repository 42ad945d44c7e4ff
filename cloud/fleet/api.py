"""What a gate without a name asks over HTTPS: to be one, and whether it is.

Responsible for: JSON in and out, the bounds of an address (tries, claims that wait), one transaction a step. Not
responsible for: the rules (claims.py). Nobody signs in here: a claim proves its own keys, and an operator who stands
before the gate decides.
"""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request

from cloud.config import Settings
from cloud.fleet import authority, claims
from cloud.identity.tries import Kind, address_of, allow, forgive
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.kit.errors import Refused
from cloud.kit.web import Configured, Db
from cloud.schools import service as schools

router = APIRouter(prefix="/api/gates")

ROOT_FILE, TRUST_FILE = "root.pub", "trust.kk1"  # of PORTILLON_KEYS_DIR; what they are says cloud/passes/keys.py


@router.post("/{district}/claims", status_code=201)
def claim(request: Request, database: Db, settings: Configured, district: str, said: dict[str, Any]) -> dict[str, str]:
    """Take a claim. The answer's token is the gate's own and comes once."""
    now = clock.now()
    with database.untenanted() as tx:  # committed before the answer: each claim counts
        allowed = allow(tx, settings.secret, Kind.CHALLENGE, f"claim {address_of(request)}", now)
    if not allowed:
        raise Refused("TOO_MANY")
    district_id = _district(database, district)
    with database.tenant(district_id) as tx:
        made = claims.claim(tx, district_id, district, said, settings.secret, now)
        if not allow(tx, settings.secret, *_taken_from(request), now):
            raise Refused("TOO_MANY")  # nothing is kept of it, neither claim nor count
    return {"claim": str(made.id), "token": made.token, "expires_at": made.expires_at.isoformat(),
            "fingerprint": made.fingerprint}  # fmt: skip


@router.get("/{district}/claims/{claim_id}")
def told(request: Request, database: Db, settings: Configured, district: str, claim_id: UUID) -> dict[str, Any]:
    """Say how a claim stands, to the gate that made it (`Authorization: Bearer TOKEN`)."""
    now = clock.now()
    district_id = _district(database, district)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token) <= 100:
        raise claims.ClaimRefused("CLAIM_UNKNOWN")
    with database.tenant(district_id) as tx:
        answer = claims.told(tx, district_id, claim_id, token, now)
        if answer["state"] == "approved":
            forgive(tx, settings.secret, [_taken_from(request)])
    return {**answer, **_files(settings)} if answer["state"] == "approved" else answer


def _taken_from(request: Request) -> tuple[Kind, str]:
    """Return the counter of claims that an address has waiting: a window of tries is as long as a claim lives.

    30, as letters are: a van full of gates behind one line, and far from what fills a district (claims.WAITING_MAX).
    """
    return Kind.LETTER, f"claim taken {address_of(request)}"


def _district(database: Database, slug: str) -> UUID:
    with database.untenanted() as tx:
        found = schools.district_of_slug(tx, slug)
    if found is None:
        raise claims.ClaimRefused("CLAIM_DISTRICT")
    return found


def _files(settings: Settings) -> dict[str, str]:
    """Return what every gate holds beside its own: the root's public key, the trust list, who the broker is."""
    if settings.keys_dir is None or settings.ca_dir is None or not settings.gates_broker_url:
        raise claims.ClaimRefused("CLAIM_NOT_SET_UP")
    trust = settings.keys_dir / TRUST_FILE
    return {
        "root": (settings.keys_dir / ROOT_FILE).read_text().strip(),
        "trust": trust.read_bytes().hex() if trust.exists() else "",
        "ca": authority.bundle(settings.ca_dir, authority.SERVICES).decode(),
        "broker": settings.gates_broker_url,
    }
