"""Claims: a gate with new keys asks for a name, and an operator who stands before it gives it one.

Responsible for: taking a claim that proves its two keys, finding it by the code on the gate's screen, approving it by
its fingerprint, what the gate is told then. Not responsible for: signing certificates (certificates.py), HTTP (api.py),
tries of an address or a login (identity/tries.py, asked by the pages). Rules: P36 (keys that are no points), P37.
Services take an open transaction and never commit it.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from cloud.audit import service as audit
from cloud.fleet import certificates, claim_queries, service
from cloud.fleet.authority import Request, read_request
from cloud.fleet.claim_queries import Claim
from cloud.kit.db import RuleBroken, Transaction
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.ids import new_id, new_token, token_hash
from cloud.schools import service as schools
from protocols.claims import (
    CLAIM_SECONDS,
    CODE_CHARACTERS_MAX,
    CODE_WORDS,
    claim_statement,
    fingerprint,
    plain_code,
)
from protocols.cose import is_valid_ed25519

WAITING_MAX = 100  # claims of a district at once: three vans full of gates; one address has 30 at most (api.py)


class ClaimRefused(Refused):
    """A claim is not taken, not found or not to be approved."""

    answers: ClassVar = {
        "CLAIM_DISTRICT": Answer(404, N_("There is no such district."), N_("Check the district in claim.toml.")),
        "CLAIM_FORMAT": Answer(400, N_("This is no claim of a gate."), N_("Update the gate's program.")),
        "CLAIM_PROOF": Answer(400, N_("The gate did not prove its keys."), N_("Begin the claim again on the gate.")),
        "BAD_KEY": Answer(400, N_("This is not a usable public key."), N_("Make a new key on the gate.")),
        "CLAIM_CODE_TAKEN": Answer(409, N_("This code was used before."), N_("Begin the claim again on the gate.")),
        "CLAIM_KEY_TAKEN": Answer(409, N_("Another gate claims with this key."),
                                  N_("A card was copied: begin the claim again on one of the gates.")),
        "GATE_KEY_TAKEN": Answer(409, N_("Another gate has this key."), N_("Make a new key on the gate.")),
        "CLAIMS_FULL": Answer(429, N_("Too many gates wait for a name."), N_("Approve or refuse those that wait.")),
        "CLAIM_UNKNOWN": Answer(404, N_("No gate shows this code."), N_("Read the four words on its screen again.")),
        "CLAIM_EXPIRED": Answer(409, N_("This code has run out."), N_("The gate shows a new one by itself.")),
        "CLAIM_USED": Answer(409, N_("This code was used already."), N_("Look at the list of gates.")),
        "CLAIM_NOT_WANTED": Answer(409, N_("This claim was refused."), N_("Begin the claim again on the gate.")),
        "CLAIM_FINGERPRINT": Answer(409, N_("The fingerprint is another one."),
                                    N_("Do not approve: compare with the gate's screen again.")),
        "CLAIM_NOT_SET_UP": Answer(503, N_("The cloud cannot give gates a name yet."),
                                   N_("Set PORTILLON_KEYS_DIR, PORTILLON_CA_DIR and PORTILLON_GATES_BROKER_URL.")),
        "CLAIM_SITE": Answer(400, N_("The district has no such site."), N_("Choose one of its sites.")),
    }  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A claim that was taken. token: the gate's own secret, given once."""

    id: UUID
    token: str
    expires_at: datetime
    fingerprint: str


@dataclass(frozen=True)
class Found:
    """What an operator sees of a claim."""

    id: UUID
    fingerprint: str
    claimed_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Site:
    """A place where the gate may stand. language, timezone: of its first school."""

    number: int
    name: str
    timezone: str
    language: str


def claim(
    tx: Transaction, district_id: UUID, district: str, said: dict[str, Any], secret: bytes, now: datetime
) -> Made:
    """Take a claim: `{"v": 1, "code", "public_key", "request", "proof"}`, bytes as hex. Raises ClaimRefused."""
    code, public_key, request, proof = _read(said)
    if not is_valid_ed25519(public_key):
        raise ClaimRefused("BAD_KEY")
    try:
        VerifyKey(public_key).verify(claim_statement(district, code, request.der), proof)
    except (CryptoError, ValueError) as error:
        raise ClaimRefused("CLAIM_PROOF") from error
    claim_queries.end_expired(tx, district_id, now)
    if claim_queries.count_waiting(tx, district_id) >= WAITING_MAX:
        raise ClaimRefused("CLAIMS_FULL")
    if claim_queries.is_gate_key(tx, district_id, public_key):
        raise ClaimRefused("GATE_KEY_TAKEN")
    token, claim_id, expires_at = new_token(), new_id(now), now + timedelta(seconds=CLAIM_SECONDS)
    row = {
        "district_id": district_id, "id": claim_id, "code_hash": _code_hash(secret, district_id, code),
        "token_hash": token_hash(token), "public_key": public_key, "request": request.der, "now": now,
        "expires_at": expires_at,
    }  # fmt: skip
    try:
        with tx.transaction():
            claim_queries.insert_claim(tx, row)
    except RuleBroken as broken:
        code_of = {"gate_claim_code_once": "CLAIM_CODE_TAKEN", "gate_claim_key_once": "CLAIM_KEY_TAKEN"}
        if broken.constraint in code_of:
            raise ClaimRefused(code_of[broken.constraint]) from broken
        raise
    return Made(claim_id, token, expires_at, fingerprint(public_key, request.der))


def find(tx: Transaction, district_id: UUID, code: str, secret: bytes, now: datetime) -> Found:
    """Return the claim whose code an operator read from a screen. Raises ClaimRefused."""
    return _found(_waiting(tx, district_id, code, secret, now))


def approve(
    tx: Transaction, district_id: UUID, code: str, seen: str, *, site: int, gate: int, name: str, secret: bytes,
    by: UUID | None, now: datetime,
) -> str:  # fmt: skip
    """Give the gate its number at a site, and ask for its certificate. seen: the fingerprint that was compared.

    Raises ClaimRefused and GateRefused (a number or key that another gate has). Returns the fingerprint.
    """
    claimed = _waiting(tx, district_id, code, secret, now)
    found = _found(claimed)
    if "".join(seen.lower().split()) != found.fingerprint.replace(" ", ""):
        raise ClaimRefused("CLAIM_FINGERPRINT")
    if site not in {one.number for one in sites(tx, district_id)}:
        raise ClaimRefused("CLAIM_SITE")
    service.register_gate(tx, district_id, site, gate, name, claimed.public_key, now)
    certificates.ask(tx, district_id, gate, read_request(claimed.request), "claim", now)
    claim_queries.decide(tx, district_id, claimed.id, "approved", gate, by, now)
    audit.record(tx, district_id, action="gate.approve", by=by, thing="gate_claim", thing_id=claimed.id,
                 detail={"gate": gate, "site": site}, now=now)  # fmt: skip
    return found.fingerprint


def refuse(tx: Transaction, district_id: UUID, code: str, *, secret: bytes, by: UUID | None, now: datetime) -> None:
    """Say no to a claim: the fingerprint differs, or nobody knows this gate."""
    claimed = _waiting(tx, district_id, code, secret, now)
    claim_queries.decide(tx, district_id, claimed.id, "refused", None, by, now)
    audit.record(tx, district_id, action="gate.refuse", by=by, thing="gate_claim", thing_id=claimed.id, now=now)


def waiting(tx: Transaction, district_id: UUID, now: datetime) -> list[Found]:
    """Return the claims that wait, oldest first. Their codes stand on the gates' screens only."""
    return [_found(one) for one in claim_queries.waiting(tx, district_id) if one.expires_at > now]


def sites(tx: Transaction, district_id: UUID) -> list[Site]:
    """Return the district's sites, by number, with the names of their schools."""
    found: dict[int, Site] = {}
    for school in schools.schools(tx, district_id):
        known = found.get(school.site)
        name = f"{known.name}, {school.name}" if known else school.name
        first = known or Site(school.site, name, school.timezone, school.language)
        found[school.site] = Site(school.site, name, first.timezone, first.language)
    return [found[number] for number in sorted(found)]


def told(tx: Transaction, district_id: UUID, claim_id: UUID, token: str, now: datetime) -> dict[str, Any]:
    """Return what the gate that asks is told: its state, and once all is ready its place and certificate.

    Raises ClaimRefused("CLAIM_UNKNOWN") also for another gate's token: neither is told that the claim is there.
    """
    claimed = claim_queries.claim_of_id(tx, district_id, claim_id)
    if claimed is None or not hmac.compare_digest(bytes(claimed.token_hash), token_hash(token)):
        raise ClaimRefused("CLAIM_UNKNOWN")
    state = "expired" if claimed.state == "waiting" and claimed.expires_at <= now else claimed.state
    if state != "approved" or claimed.gate is None:
        return {"state": state}
    signed = next((one for one in certificates.of_gate(tx, district_id, claimed.gate)
                   if bytes(one.request) == bytes(claimed.request)), None)  # fmt: skip
    if signed is None or signed.body is None:
        return {"state": "signing", "gate": claimed.gate}
    place = next(site for site in sites(tx, district_id) if site.number == signed.site)
    return {
        "state": "approved", "site": signed.site, "gate": signed.gate, "timezone": place.timezone,
        "language": place.language, "certificate": certificates.as_pem(bytes(signed.body)).decode(),
        "gates_at_site": len(service.gate_entries(tx, district_id, signed.site)),
    }  # fmt: skip


def _read(said: dict[str, Any]) -> tuple[str, bytes, Request, bytes]:
    if said.get("v") != 1 or isinstance(said.get("v"), bool):
        raise ClaimRefused("CLAIM_FORMAT")
    texts = [said.get(name) for name in ("code", "public_key", "request", "proof")]
    if not all(isinstance(text, str) for text in texts):
        raise ClaimRefused("CLAIM_FORMAT")
    code, public_key, request, proof = (str(text) for text in texts)
    words = plain_code(code[: CODE_CHARACTERS_MAX + 1])
    if len(words) > CODE_CHARACTERS_MAX or len(words.split("-")) != CODE_WORDS or not words.isascii():
        raise ClaimRefused("CLAIM_FORMAT")
    try:
        return words, bytes.fromhex(public_key), read_request(bytes.fromhex(request)), bytes.fromhex(proof)
    except ValueError as error:
        raise ClaimRefused("CLAIM_FORMAT") from error


def _waiting(tx: Transaction, district_id: UUID, code: str, secret: bytes, now: datetime) -> Claim:
    """Return the claim of a code, locked. A code of another district is unknown here."""
    words = plain_code(code[: CODE_CHARACTERS_MAX + 1])
    found = claim_queries.claim_of_code(tx, district_id, _code_hash(secret, district_id, words))
    if found is None:
        raise ClaimRefused("CLAIM_UNKNOWN")
    if found.state == "waiting" and found.expires_at > now:
        return found
    why = {"approved": "CLAIM_USED", "refused": "CLAIM_NOT_WANTED"}
    raise ClaimRefused(why.get(found.state, "CLAIM_EXPIRED"))


def _found(claimed: Claim) -> Found:
    seen = fingerprint(bytes(claimed.public_key), bytes(claimed.request))
    return Found(claimed.id, seen, claimed.claimed_at, claimed.expires_at)


def _code_hash(secret: bytes, district_id: UUID, code: str) -> bytes:
    return hmac.digest(secret, b"gate claim " + district_id.bytes + code.encode("utf-8", "replace"), "sha256")
