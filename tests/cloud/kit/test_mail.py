"""Mail goes to a real SMTP server, over TLS or not at all, and says nothing to a log."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cloud.config import Settings
from cloud.kit.mail import Mail, MailRefused, send
from tests.mailbox import a_server

WORD = "of-mail"
MAIL = Mail("mother@example.org", "Ваш адрес?", "Откройте: https://school.test/prove/abc\n")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that is its own authority, with its key in one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True).sign(key, hashes.SHA256())
    )  # fmt: skip
    file = tmp_path_factory.mktemp("mail") / "mail.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))  # fmt: skip
    return file


def told(address: str, certificate: Path | None = None, user: str = "") -> Settings:
    return replace(
        Settings(), smtp_url=f"smtp://{user}{address}", smtp_ca=certificate, mail_from="school@example.org",
        smtp_password=WORD,
    )  # fmt: skip


def test_a_message_arrives_whole_over_tls_and_as_whom_it_says(certificate: Path) -> None:
    seen: list[bytes] = []

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        seen.append(data.login + b":" + data.password)
        assert session.ssl, "a password goes over TLS only"
        return AuthResult(success=True)

    with a_server(certificate, authenticator=authenticate, auth_required=True) as (box, address):
        send(told(address, certificate, "school%40x@"), MAIL)
    assert seen == [b"school@x:" + WORD.encode()]
    assert box.text() == MAIL.text
    assert (box.taken[0].mail_from, box.taken[0].rcpt_tos) == ("school@example.org", [MAIL.to])
    content = box.taken[0].content
    assert isinstance(content, bytes) and b"Auto-Submitted: auto-generated" in content


def test_a_server_on_this_machine_may_do_without_tls() -> None:
    with a_server() as (box, address):
        send(told(address), MAIL)
    assert box.text() == MAIL.text


def test_a_server_whose_certificate_nobody_knows_gets_nothing(certificate: Path) -> None:
    with a_server(certificate) as (box, address):
        with pytest.raises(MailRefused, match="SSLCertVerificationError"):
            send(told(address), MAIL)
        assert box.taken == []


def test_a_server_elsewhere_that_offers_no_tls_gets_nothing() -> None:
    """127.0.0.2 is no name of this machine for us, so it stands for a server elsewhere."""
    with a_server(host="127.0.0.2") as (box, address):
        with pytest.raises(MailRefused, match="SMTPNotSupportedError"):
            send(told(address), MAIL)
        assert box.taken == []


@pytest.mark.parametrize(("mail", "why"), [
    (replace(MAIL, to="nobody@example.org"), "SMTPRecipientsRefused"),
    (replace(MAIL, to="a@b.example\r\nBcc: c@d.example"), "ValueError"),
    (replace(MAIL, subject="x\r\nBcc: c@d.example"), "ValueError"),
])  # fmt: skip
def test_what_a_server_or_the_form_of_a_message_refuses_is_said_without_the_address(mail: Mail, why: str) -> None:
    with a_server() as (box, address):
        with pytest.raises(MailRefused, match=why) as refused:
            send(told(address), mail)
        assert box.taken == []
    assert "example" not in str(refused.value)


def test_a_server_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(MailRefused, match="ConnectionRefusedError"):
        send(told("127.0.0.1:1"), MAIL)
