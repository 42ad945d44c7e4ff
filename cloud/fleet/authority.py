"""The fleet's two certificate authorities, as files, and what they sign.

Responsible for: `gates` (signs the gates' client certificates; the broker trusts it) and `services` (signs the broker's
and the cloud's own; gates trust it): `<kind>-<n>.pem` and `<kind>-<n>.key` in one folder. Every certificate there is
trusted, the highest number whose key is there signs: a roll-over is a second pair beside the first, and later the first
is dropped. The folder may lie on a stick: without a key here requests wait (docs/adr/0018-claims-and-certificates.md).
Not responsible for: the registry (certificates.py), the Ed25519 keys of documents (passes/keys.py).
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import ClassVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud.kit.errors import N_, Answer, Refused
from protocols.claims import CERTIFICATE_DAYS, REQUEST_BYTES_MAX

GATES, SERVICES = "gates", "services"
AUTHORITY_DAYS = 10 * 365
SERVICE_DAYS = 825  # the broker and the cloud's own processes: renewed by hand, with the key on a stick
LIST_DAYS = 400  # a list of revocations that ended would shut every gate out; a new one each revocation and each month
CLOCK_MARGIN = timedelta(minutes=10)  # a gate without a battery may be behind when its certificate comes
NAME = re.compile(r"[a-z][a-z0-9.-]{0,59}")


class AuthorityRefused(Refused):
    """Something cannot be signed: no key here, a request that is none."""

    answers: ClassVar = {
        "CA_KEY_MISSING": Answer(409, N_("The key of the gates' authority is not here."),
                                 N_("Run `portillon-cloud gate sign --ca-dir` where it is.")),
        "CA_MISSING": Answer(409, N_("There is no authority for certificates here."),
                             N_("Make one: portillon-cloud gate ca init.")),
        "CA_EXISTS": Answer(409, N_("This authority exists already."), N_("Use `gate ca next` for the next one.")),
        "REQUEST_FORMAT": Answer(400, N_("This is no certificate request of a gate."),
                                 N_("Make a new key on the gate: P-256, signed by itself.")),
    }  # fmt: skip


@dataclass(frozen=True)
class Authority:
    """One certificate authority that may sign here."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def id(self) -> bytes:
        """SHA-256 of its public key: what its list of revocations is kept under."""
        return _key_digest(self.certificate.public_key())


@dataclass(frozen=True)
class Request:
    """A certificate request that proved its key. der: as it came; public_key: SubjectPublicKeyInfo, DER."""

    der: bytes
    public_key: bytes


def read_request(data: bytes) -> Request:
    """Return a request (PEM or DER) of a P-256 key that signed it. Raises AuthorityRefused("REQUEST_FORMAT").

    Names and extensions in it count for nothing: who a gate is says the registry.
    """
    if not 0 < len(data) <= 2 * REQUEST_BYTES_MAX:
        raise AuthorityRefused("REQUEST_FORMAT")
    try:
        pem = data.lstrip().startswith(b"-----BEGIN")
        request = x509.load_pem_x509_csr(data) if pem else x509.load_der_x509_csr(data)
        key = request.public_key()
        good = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        good = good and request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise AuthorityRefused("REQUEST_FORMAT") from error
    der = request.public_bytes(serialization.Encoding.DER)
    if not good or len(der) > REQUEST_BYTES_MAX:
        raise AuthorityRefused("REQUEST_FORMAT")
    return Request(der, _spki(key))


def is_signed_by(public_key: bytes, signature: bytes, statement: bytes) -> bool:
    """Return whether the holder of this P-256 key (SubjectPublicKeyInfo, DER) signed the statement."""
    try:
        key = serialization.load_der_public_key(public_key)
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(signature, statement, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError, AssertionError, UnsupportedAlgorithm):
        return False
    return True


# --- signing -------------------------------------------------------------------------------------------------------


def issue_gate(authority: Authority, request: Request, name: str, serial: bytes, now: datetime) -> x509.Certificate:
    """Return a client certificate of 90 days. name: SITE-GATE, its only name and the broker's user."""
    key = serialization.load_der_public_key(request.public_key)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    builder = _builder(authority, key, name, now, timedelta(days=CERTIFICATE_DAYS))
    builder = builder.serial_number(int.from_bytes(serial, "big")).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
    )
    return builder.sign(authority.key, hashes.SHA256())


def issue_service(authority: Authority, name: str, hosts: Iterable[str], now: datetime) -> tuple[bytes, bytes]:
    """Return certificate and key (PEM) of the broker or of a process of the cloud, made here."""
    if not NAME.fullmatch(name):
        raise AuthorityRefused("REQUEST_FORMAT")
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = _builder(authority, key.public_key(), name, now, timedelta(days=SERVICE_DAYS))
    if names := [_host(host) for host in hosts]:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    signed = builder.serial_number(x509.random_serial_number()).sign(authority.key, hashes.SHA256())
    return pem(signed), _key_pem(key)


def revocations(authority: Authority, revoked: Iterable[tuple[bytes, datetime]], now: datetime) -> bytes:
    """Return the list (PEM) of what this authority takes back: serials and since when."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.certificate.subject)
    builder = builder.last_update(now - CLOCK_MARGIN).next_update(now + timedelta(days=LIST_DAYS))
    for serial, since in revoked:
        number = int.from_bytes(serial, "big")
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(number).revocation_date(since).build()
        )
    builder = builder.add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _builder(
    authority: Authority, key: ec.EllipticCurvePublicKey, name: str, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    since = now.astimezone(UTC).replace(microsecond=0)
    builder = x509.CertificateBuilder().subject_name(_named(name)).issuer_name(authority.certificate.subject)
    return (
        builder.public_key(key)
        .not_valid_before(since - CLOCK_MARGIN)
        .not_valid_after(since + life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
    )  # fmt: skip


# --- files ---------------------------------------------------------------------------------------------------------


def init(folder: Path, kind: str, now: datetime) -> None:
    """Make the first authority of a kind. Raises AuthorityRefused("CA_EXISTS")."""
    if _numbers(folder, kind):
        raise AuthorityRefused("CA_EXISTS")
    _make(folder, kind, 1, now)


def make_next(folder: Path, kind: str, now: datetime) -> int:
    """Make the next authority beside the one in force, and return its number: both are trusted, the new one signs."""
    numbers = _numbers(folder, kind)
    if not numbers:
        raise AuthorityRefused("CA_MISSING")
    _make(folder, kind, numbers[-1] + 1, now)
    return numbers[-1] + 1


def drop(folder: Path, kind: str, number: int) -> None:
    """Trust an authority no longer. Raises AuthorityRefused("CA_MISSING"), also for the only one."""
    numbers = _numbers(folder, kind)
    if number not in numbers or len(numbers) == 1:
        raise AuthorityRefused("CA_MISSING")
    (folder / f"{kind}-{number}.key").unlink(missing_ok=True)
    (folder / f"{kind}-{number}.pem").unlink()


def bundle(folder: Path, kind: str) -> bytes:
    """Return the certificates of all trusted authorities of a kind (PEM), the newest first; b"" where there is none."""
    return b"".join((folder / f"{kind}-{number}.pem").read_bytes() for number in reversed(_numbers(folder, kind)))


def signing(folder: Path, kind: str) -> list[Authority]:
    """Return the authorities whose keys are here, the newest first."""
    found = []
    for number in reversed(_numbers(folder, kind)):
        key_file = folder / f"{kind}-{number}.key"
        if key_file.exists():
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            found.append(Authority(x509.load_pem_x509_certificate(_read(folder, kind, number)), key))
    return found


def trusted(folder: Path, kind: str) -> list[bytes]:
    """Return the ids of all authorities that are trusted, also those whose keys lie elsewhere."""
    certificates = (x509.load_pem_x509_certificate(_read(folder, kind, number)) for number in _numbers(folder, kind))
    return [_key_digest(one.public_key()) for one in certificates]


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _make(folder: Path, kind: str, number: int, now: datetime) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"portillon {kind} {number}")
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    since = now.astimezone(UTC).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since - CLOCK_MARGIN)
        .not_valid_after(since + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_secret(folder / f"{kind}-{number}.key", _key_pem(key))
    (folder / f"{kind}-{number}.pem").write_bytes(pem(certificate))


def write_secret(file: Path, data: bytes) -> None:
    """Write a key that only its owner may read; an existing file is never overwritten."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)


def _numbers(folder: Path, kind: str) -> list[int]:
    names = (re.fullmatch(rf"{kind}-([1-9][0-9]{{0,3}})\.pem", file.name) for file in folder.glob(f"{kind}-*.pem"))
    return sorted(int(name[1]) for name in names if name)


def _read(folder: Path, kind: str, number: int) -> bytes:
    return (folder / f"{kind}-{number}.pem").read_bytes()


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _spki(key: object) -> bytes:
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _key_digest(key: object) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(_spki(key))
    return digest.finalize()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
