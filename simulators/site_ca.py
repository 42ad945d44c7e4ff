"""A site's own certificate authority, made for a demonstration or a test: it signs what staff's tablets call.

Responsible for: a root, and a certificate of a year for addresses of one gate, as PEM files.
Not for: an installation's authority, which the district keeps (docs/tablet.md), nor the broker's (broker.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simulators.clock import now

LIFE = timedelta(days=365)  # browsers refuse a server's certificate of more than 398 days


@dataclass(frozen=True)
class SiteCa:
    """certificate: what tablets install as a root, once."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def sign_for(self, directory: Path, *names: str) -> tuple[Path, Path]:
        """Write tablet.pem and tablet.key for these names or addresses; return their paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        built = _builder(names[0], key, self.certificate.subject).add_extension(alternatives, critical=False)
        certificate = built.add_extension(usage, critical=False).sign(self.key, hashes.SHA256())
        cert, secret = directory / "tablet.pem", directory / "tablet.key"
        cert.write_bytes(_pem(certificate) + _pem(self.certificate))
        secret.touch(mode=0o600)
        secret.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ))  # fmt: skip
        return cert, secret

    def write(self, path: Path) -> Path:
        path.write_bytes(_pem(self.certificate))
        return path


def new_site_ca(site: int) -> SiteCa:
    """Return the authority of a site, made just now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = f"Portillon site {site}"
    built = _builder(name, key, _name(name)).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return SiteCa(built.sign(key, hashes.SHA256()), key)


def _builder(name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name) -> x509.CertificateBuilder:
    begins = datetime.fromtimestamp(now(), UTC) - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
