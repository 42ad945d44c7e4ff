"""The gate's certificate for its broker: keys and requests made here, what comes back judged, when the next one is due.

PURE: bytes in, bytes or a refusal out. Responsible for: P-256 keys and certificate requests, reading the certificate
that is held, the renewal that the old key signs, judging an answer, how many days are left.
Not responsible for: files and the line (renewal.py), the first certificate's way (claim.py), who signs (the cloud).
Obeys: PROTOCOL P-6 (common name = client id = SITE-GATE).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocols.claims import RENEW_AT, answer_statement, renewal_statement

ASK = "certificate"
ANSWER_BYTES_MAX = 64 * 1024
DAY_SECONDS = 86_400
LIFE_DAYS_MAX = 92  # ours have 90; a longer one is not what the operator agreed to


class CertificateRefused(Exception):
    """A certificate or an answer is not taken. code: CERTIFICATE_FORMAT, _KEY, _NAME, _LIFE, _SIGNATURE, _FOREIGN, or
    the cloud's own word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Held:
    """What the certificate in use says. from and until: UTC seconds."""

    name: str
    not_before: float
    not_after: float
    public_key: bytes

    def renew_at(self) -> float:
        """Return the moment after which the next one is asked for: 60 % of its life."""
        return self.not_before + RENEW_AT * (self.not_after - self.not_before)

    def days_left(self, at: float) -> int:
        """Return whole days until it ends, 0 where it has ended."""
        return max(0, int((self.not_after - at) // DAY_SECONDS))


@dataclass(frozen=True)
class Renewed:
    """What an accepted answer holds. line: certificate and key (PEM), one file; authorities: of the broker (PEM)."""

    line: bytes
    authorities: bytes
    held: Held


# --- keys and requests ---------------------------------------------------------------------------------------------


def new_key() -> bytes:
    """Return a new P-256 key (PEM, no password: the file's mode protects it)."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def request_for(key: bytes, name: str) -> bytes:
    """Return the certificate request (DER) of a key. name counts for nothing: the registry says who a gate is."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(_private(key), hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def renewal(old_key: bytes, name: str, request: bytes) -> bytes:
    """Return what goes up on up/req: the request, signed with the key of the certificate in use."""
    signature = _private(old_key).sign(renewal_statement(name, request), ec.ECDSA(hashes.SHA256()))
    told = {"v": 1, "ask": ASK, "request": request.hex(), "signature": signature.hex()}
    return json.dumps(told, separators=(",", ":")).encode()


# --- judging -------------------------------------------------------------------------------------------------------


def read_held(certificate: bytes) -> Held:
    """Return what a certificate (PEM, the first of the file) says. Raises CertificateRefused("CERTIFICATE_FORMAT")."""
    try:
        read = x509.load_pem_x509_certificate(certificate)
        names = read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name, key = str(names[0].value), read.public_key()
        if len(names) != 1 or not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("a gate's certificate has one name and a P-256 key")
    except (ValueError, IndexError, TypeError) as error:
        raise CertificateRefused("CERTIFICATE_FORMAT") from error
    return Held(name, read.not_valid_before_utc.timestamp(), read.not_valid_after_utc.timestamp(), _spki(key))


def judge(certificate: bytes, key: bytes, name: str, at: float) -> Held:
    """Return what a new certificate says, if it is this key's, this gate's and in force. Raises CertificateRefused."""
    held = read_held(certificate)
    if held.public_key != _spki(_private(key).public_key()):
        raise CertificateRefused("CERTIFICATE_KEY")
    if held.name != name:
        raise CertificateRefused("CERTIFICATE_NAME")
    if not held.not_before <= at < held.not_after or held.not_after - held.not_before > LIFE_DAYS_MAX * DAY_SECONDS:
        raise CertificateRefused("CERTIFICATE_LIFE")
    return held


def judge_answer(
    body: bytes, key: bytes, request: bytes, name: str, is_registrys: Callable[[bytes, bytes], bool], at: float
) -> Renewed | None:
    """Return what dn/rsp brought for this request, None where it answers something else. Raises CertificateRefused.

    is_registrys: whether a signature over a statement is the registry's, by the trust list in force: the authorities in
    the answer decide which broker is believed, so a broker alone cannot change them.
    """
    told = _told(body)
    if told.get("re") != ASK or told.get("request") != request.hex():
        return None
    if "code" in told:
        code = told["code"]
        raise CertificateRefused(code if isinstance(code, str) and code.isascii() and len(code) < 40 else "CERTIFICATE")
    try:
        certificate, authorities = told["certificate"].encode(), told["ca"].encode()
        signature = bytes.fromhex(told["signature"])
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise CertificateRefused("CERTIFICATE_FORMAT") from error
    if not is_registrys(signature, answer_statement(request, certificate, authorities)):
        raise CertificateRefused("CERTIFICATE_SIGNATURE")
    held = judge(certificate, key, name, at)
    require_authorities(authorities)
    return Renewed(certificate + key, authorities, held)


def require_authorities(data: bytes) -> None:
    """Raise CertificateRefused("CERTIFICATE_FOREIGN") unless these are certificates of authorities (PEM)."""
    try:
        found = x509.load_pem_x509_certificates(data)
        good = all(one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca for one in found)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise CertificateRefused("CERTIFICATE_FOREIGN") from error
    if not found or not good:
        raise CertificateRefused("CERTIFICATE_FOREIGN")


def until(held: Held) -> str:
    """Return the day on which a certificate ends, for a log."""
    return datetime.fromtimestamp(held.not_after, UTC).date().isoformat()


def _told(body: bytes) -> dict:
    try:
        told = json.loads(body) if len(body) <= ANSWER_BYTES_MAX else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or told.get("v") != 1:
        raise CertificateRefused("CERTIFICATE_FORMAT")
    return told


def _private(key: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        read = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise CertificateRefused("CERTIFICATE_FORMAT") from error
    if not isinstance(read, ec.EllipticCurvePrivateKey):
        raise CertificateRefused("CERTIFICATE_FORMAT")
    return read


def _spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
