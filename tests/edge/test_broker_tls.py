"""The gate and its broker know each other by certificates: a real Mosquitto with mutual TLS, and one of strangers."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.broker import Broker, Inbox
from edge.config import BrokerSettings
from edge.health import Health
from edge.journal import open_journal
from edge.tls import CertificatesUnusable
from tests.edge.line import GATE_KEY, NOW, PLACE, Mosquitto, receipt_trust, until

pytestmark = pytest.mark.serial
FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
UNTIL = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


@dataclass
class Authority:
    """A certificate authority, and what it signs as PEM files."""

    directory: Path
    name: str

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        builder = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, None), critical=True)
        self.certificate = builder.sign(self._key, hashes.SHA256())
        self.file = self.directory / f"{self.name}.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, common_name: str, until: datetime.datetime = UNTIL) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]), key, until)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        cert_file, key_file = (self.directory / f"{self.name}-{common_name}.{end}" for end in ("crt", "key"))
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        for file in (cert_file, key_file):
            file.chmod(0o644)  # Mosquitto reads them as its own user
        return cert_file, key_file

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, until: datetime.datetime = UNTIL
    ) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        return builder.serial_number(x509.random_serial_number()).not_valid_before(FROM).not_valid_after(until)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "site-authority")


@pytest.fixture
def secured(tmp_path: Path, authority: Authority) -> Iterator[Mosquitto]:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o005 == 0:  # pytest's own folders, which Mosquitto's user may not pass
            folder.chmod(0o755)
    certificate, key = authority.issue("broker")
    lines = (
        f"cafile {authority.file}\ncertfile {certificate}\nkeyfile {key}\n"
        "require_certificate true\nuse_identity_as_username true\nallow_anonymous false\n"
    )
    broker = Mosquitto(tmp_path, lines)
    yield broker
    broker.kill()


class SecureLine:
    """A gate's broker over TLS, with its own journal."""

    def __init__(self, directory: Path, port: int, ca: Path, certificate: Path, key: Path) -> None:
        self.journal, self.health = open_journal(directory / "data" / "journal.sqlite"), Health(directory)
        self.broker = Broker(
            BrokerSettings(f"mqtts://127.0.0.1:{port}", ca, certificate, key),
            PLACE,
            GATE_KEY,
            self.journal,
            Inbox(),
            self.health,
            trust=receipt_trust,
            birth=dict,
            now=lambda: NOW,
            session="0" * 32,
        )
        self.broker.start()

    def close(self) -> None:
        self.broker.stop()
        self.journal.close()


def test_a_gate_with_its_certificate_is_let_in(tmp_path: Path, authority: Authority, secured: Mosquitto) -> None:
    line = SecureLine(tmp_path, secured.port, authority.file, *authority.issue("101-11"))
    until(lambda: line.broker.up)
    assert line.health.fault_of("broker") is None
    line.close()


def test_a_certificate_of_a_stranger_is_refused_and_reported(
    tmp_path: Path, authority: Authority, secured: Mosquitto
) -> None:
    line = SecureLine(tmp_path, secured.port, authority.file, *Authority(tmp_path, "stranger").issue("101-11"))
    until(lambda: line.health.fault_of("broker"))
    assert not line.broker.up
    line.close()


def test_a_certificate_that_has_ended_is_refused_and_the_next_one_let_in_without_a_restart(
    tmp_path: Path, authority: Authority, secured: Mosquitto
) -> None:
    ended = authority.issue("101-11", FROM + datetime.timedelta(days=90))
    line = SecureLine(tmp_path, secured.port, authority.file, *ended)
    until(lambda: line.health.fault_of("broker"))
    assert not line.broker.up
    for old, new in zip(ended, authority.issue("101-11-next"), strict=True):
        new.replace(old)
    line.broker.use_certificate()
    until(lambda: line.broker.up)
    assert line.health.fault_of("broker") is None
    line.close()


def test_files_that_went_bad_leave_the_line_as_it_was(tmp_path: Path, authority: Authority, secured: Mosquitto) -> None:
    chain, key = authority.issue("101-11")
    line = SecureLine(tmp_path, secured.port, authority.file, chain, key)
    until(lambda: line.broker.up)
    chain.write_bytes(b"no certificate")
    with pytest.raises(CertificatesUnusable):
        line.broker.use_certificate()
    assert line.broker.up
    line.close()


def test_a_broker_of_a_stranger_is_not_spoken_to(tmp_path: Path, authority: Authority, secured: Mosquitto) -> None:
    stranger = Authority(tmp_path, "stranger")
    line = SecureLine(tmp_path, secured.port, stranger.file, *authority.issue("101-11"))
    until(lambda: line.health.fault_of("broker"))
    assert not line.broker.up
    line.close()


def test_files_that_are_no_certificates_say_what_to_type(tmp_path: Path, authority: Authority) -> None:
    certificate, _ = authority.issue("101-11")
    (tmp_path / "other.key").write_text("no key at all")
    with pytest.raises(CertificatesUnusable, match=r"\[broker\]"):
        SecureLine(tmp_path, 1, authority.file, certificate, tmp_path / "other.key")
