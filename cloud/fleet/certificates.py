"""The gates' certificates: asked for, signed, renewed with the old key, taken back.

Responsible for: one row a certificate, who may ask for the next one, the answer to a renewal, the lists of what was
revoked, warnings before an end. Not responsible for: cryptography of certificates (authority.py), the first request
(claims.py), bringing lists to the broker (cloud/warden.py). Services take an open transaction and never commit it.
"""

import json
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cloud.fleet import claim_queries
from cloud.fleet.authority import Authority, Request, is_signed_by, issue_gate, read_request, revocations
from cloud.fleet.claim_queries import Certificate
from cloud.kit.db import RuleBroken, Transaction
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.jobs import happened
from protocols.claims import REQUEST_BYTES_MAX, answer_statement, renewal_statement
from protocols.topics import client_id

SERIAL_BYTES = 16
REQUESTS_A_DAY_MAX = 8  # of one gate: a roll-over and some mishaps; more is a fault or an attack
ASK = "certificate"  # which of the questions on up/req this is
SIGNATURE_BYTES_MAX = 80  # ECDSA on P-256, DER
LIST_RENEWED_AFTER = timedelta(days=30)  # a list lives 400 (authority.py)


class CertificateRefused(Refused):
    """A certificate is not given."""

    answers: ClassVar = {
        "RENEWAL_FORMAT": Answer(400, N_("This is no request for a certificate."), N_("Update the gate's program.")),
        "RENEWAL_SIGNATURE": Answer(400, N_("The old key did not sign this."), N_("Claim the gate anew.")),
        "RENEWAL_REVOKED": Answer(409, N_("This gate was revoked."), N_("Claim it anew.")),
        "RENEWAL_EXPIRED": Answer(409, N_("The old certificate has ended."), N_("Claim the gate anew.")),
        "RENEWAL_TOO_MANY": Answer(429, N_("This gate asks too often."), N_("Look at its log.")),
        "CERTIFICATE_KEY_TAKEN": Answer(409, N_("This key has a certificate already."),
                                        N_("Make a new key on the gate.")),
    }  # fmt: skip


def ask(tx: Transaction, district_id: UUID, gate: int, request: Request, why: str, now: datetime) -> None:
    """Enter a request, to be signed by whoever has the authority's key. Raises CertificateRefused for a used key."""
    try:
        with tx.transaction():
            claim_queries.insert_request(tx, district_id, gate, _serial(), request.public_key, request.der, why, now)
    except RuleBroken as broken:
        if broken.constraint == "gate_certificate_key_once":
            raise CertificateRefused("CERTIFICATE_KEY_TAKEN") from broken
        raise
    happened(tx, "CertificateAsked", district_id, gate=gate)


def of_gate(tx: Transaction, district_id: UUID, gate: int) -> list[Certificate]:
    """Return a gate's certificates, the newest first."""
    return claim_queries.certificates_of_gate(tx, district_id, gate)


def sign_waiting(tx: Transaction, district_id: UUID, authorities: Sequence[Authority], now: datetime) -> list[int]:
    """Sign what waits with the newest authority, and return the gates; nothing where no key is here."""
    if not authorities:
        return []
    signed = []
    for row in claim_queries.unsigned(tx, district_id):
        request = Request(bytes(row.request), bytes(row.public_key))
        made = issue_gate(authorities[0], request, client_id(row.site, row.gate), bytes(row.serial), now)
        claim_queries.set_signed(
            tx, district_id, bytes(row.serial), made.public_bytes(Encoding.DER), made.not_valid_before_utc,
            made.not_valid_after_utc,
        )  # fmt: skip
        signed.append(row.gate)
    return signed


def renew(
    tx: Transaction, district_id: UUID, gate: int, body: bytes, authorities: Sequence[Authority], services: bytes,
    sign: Callable[[bytes], bytes], now: datetime,
) -> bytes | None:  # fmt: skip
    """Return the answer (JSON) to a gate's request for its next certificate; None while nobody has signed it.

    The request is `{"v": 1, "ask": "certificate", "request", "signature"}`, hex; asked again, the answer is the same.
    services: the authorities (PEM) that the gate shall trust for the broker. sign: with the registry's key.
    """
    request, signature = read_renewal(body)
    held = of_gate(tx, district_id, gate)
    mine = next((one for one in held if bytes(one.public_key) == request.public_key), None)
    try:
        if mine is None:
            _require_right(held, request, signature, now)
            ask(tx, district_id, gate, request, "renewal", now)
            sign_waiting(tx, district_id, authorities, now)
            mine = next(one for one in of_gate(tx, district_id, gate) if bytes(one.public_key) == request.public_key)
        if mine.revoked_at:
            raise CertificateRefused("RENEWAL_REVOKED")
    except CertificateRefused as refused:
        return _answer({"request": request.der.hex(), "code": refused.code})
    if mine.body is None:
        return None
    certificate = as_pem(bytes(mine.body))
    signed = sign(answer_statement(request.der, certificate, services))
    return _answer({"request": request.der.hex(), "certificate": certificate.decode(), "ca": services.decode(),
                    "signature": signed.hex()})  # fmt: skip


def read_renewal(body: bytes) -> tuple[Request, bytes]:
    """Return the request and the old key's signature. Raises CertificateRefused("RENEWAL_FORMAT")."""
    try:
        told = json.loads(body) if len(body) <= 4 * REQUEST_BYTES_MAX else None
        assert isinstance(told, dict) and told.get("v") == 1 and told.get("ask") == ASK
        request, signature = bytes.fromhex(told["request"]), bytes.fromhex(told["signature"])
        assert len(signature) <= SIGNATURE_BYTES_MAX
        return read_request(request), signature
    except (ValueError, TypeError, KeyError, AssertionError, RecursionError, Refused) as error:
        raise CertificateRefused("RENEWAL_FORMAT") from error


def _require_right(held: Sequence[Certificate], request: Request, signature: bytes, now: datetime) -> None:
    """Raise unless the key of a certificate in force signed the request, and the gate does not ask all day."""
    if sum(now - one.requested_at < timedelta(days=1) for one in held) >= REQUESTS_A_DAY_MAX:
        raise CertificateRefused("RENEWAL_TOO_MANY")
    signers = [
        one for one in held
        if one.body and is_signed_by(
            bytes(one.public_key), signature, renewal_statement(client_id(one.site, one.gate), request.der)
        )
    ]  # fmt: skip
    if not signers:
        raise CertificateRefused("RENEWAL_SIGNATURE")
    if signers[0].revoked_at:
        raise CertificateRefused("RENEWAL_REVOKED")
    if signers[0].not_after is None or signers[0].not_after <= now:
        raise CertificateRefused("RENEWAL_EXPIRED")


def keep_lists(tx: Transaction, authorities: Iterable[Authority], now: datetime) -> None:
    """Sign and keep the list of each authority whose key is here: all serials in each, as none has two meanings."""
    claim_queries.wait_for_lists(tx)
    revoked = [(bytes(one.serial), one.revoked_at) for one in claim_queries.revoked(tx)]
    for authority in authorities:
        claim_queries.keep_list(tx, authority.id, revocations(authority, revoked, now), now)


def revocation_lists(tx: Transaction) -> bytes:
    """Return the newest list of every authority, end to end (PEM)."""
    return b"".join(bytes(one.body) for one in claim_queries.lists(tx))


def keep_lists_young(tx: Transaction, authorities: Iterable[Authority], now: datetime) -> None:
    """Sign anew each list that is over a month old, or missing: one that ended would shut every gate out."""
    claim_queries.wait_for_lists(tx)
    young = {bytes(one.authority) for one in claim_queries.lists(tx) if now - one.made_at < LIST_RENEWED_AFTER}
    keep_lists(tx, [one for one in authorities if one.id not in young], now)


def lists_end(tx: Transaction, trusted: Collection[bytes]) -> datetime | None:
    """Return when the first list of these authorities ends; None where none was signed yet."""
    kept = [x509.load_pem_x509_crl(bytes(one.body)) for one in claim_queries.lists(tx) if one.authority in trusted]
    return min((one.next_update_utc for one in kept if one.next_update_utc), default=None)


def as_pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def _serial() -> bytes:
    """Return 16 random bytes that make a positive number of a certificate."""
    return bytes((secrets.randbelow(0x7F) + 1,)) + secrets.token_bytes(SERIAL_BYTES - 1)


def _answer(told: dict[str, str]) -> bytes:
    return json.dumps({"v": 1, "re": ASK, **told}, separators=(",", ":")).encode()
