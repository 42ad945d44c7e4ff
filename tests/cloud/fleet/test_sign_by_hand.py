"""`gate sign --requests FOLDER`: certificates for gates that cannot reach the web, however often it is brought."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner, Result

from cloud.cli import app
from cloud.fleet import authority, certificates
from cloud.fleet import service as fleet
from cloud.kit import clock
from cloud.kit.db import Database
from edge.certificate import new_key, request_for
from tests.cast import Cast, a_district
from tests.conftest import Clone
from tests.gates import a_gate


@pytest.fixture
def cast(database: Database) -> Cast:
    cast = a_district(database)
    for gate in (11, 12, 13):
        a_gate(database, cast, gate, seed=gate)
    return cast


class Stick:
    """A folder of requests and one of authorities, carried to a machine that reaches the database."""

    def __init__(self, folder: Path, url: str) -> None:
        self.requests, self.ca, self.url = folder / "requests", folder / "ca", url
        self.requests.mkdir()
        authority.init(self.ca, authority.GATES, clock.now())

    def bring(self, gate: int | str, request: bytes = b"") -> bytes:
        request = request or request_for(new_key(), "gate")
        (self.requests / f"{gate}.csr").write_bytes(request)
        return request

    def sign(self) -> Result:
        arguments = ["gate", "sign", "--ca-dir", str(self.ca), "--requests", str(self.requests)]
        return CliRunner().invoke(app, arguments, env={"PORTILLON_DATABASE_URL": self.url, "COLUMNS": "200"})

    def signed(self, gate: int) -> bytes:
        """Return the certificate that lies beside a request, which it must be for."""
        file = self.requests / f"{gate}.pem"
        request = authority.read_request((self.requests / f"{gate}.csr").read_bytes())
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert spki == request.public_key
        return file.read_bytes()


@pytest.fixture
def stick(cast: Cast, clone: Clone, tmp_path: Path) -> Stick:
    return Stick(tmp_path, clone.url)


def test_a_folder_is_signed_again_when_a_request_is_added(database: Database, cast: Cast, stick: Stick) -> None:
    stick.bring(11)
    ran = stick.sign()
    assert (ran.exit_code, ran.stdout.split()) == (0, ["11"])
    first = stick.signed(11)
    stick.bring(12)
    ran = stick.sign()
    assert (ran.exit_code, ran.stdout.split()) == (0, ["12"])
    assert stick.signed(11) == first and stick.signed(12)
    (stick.requests / "11.pem").unlink()
    assert stick.sign().exit_code == 0 and stick.signed(11) == first, "one that was lost lies there again"
    with database.tenant(cast.district) as tx:
        assert [len(certificates.of_gate(tx, cast.district, gate)) for gate in (11, 12)] == [1, 1]


def test_each_request_gets_its_own_certificate_though_a_newer_one_waits(
    database: Database, cast: Cast, stick: Stick
) -> None:
    by_hand = stick.bring(11)
    other = authority.read_request(request_for(new_key(), "gate"))
    with database.tenant(cast.district) as tx:
        certificates.ask(tx, cast.district, 11, authority.read_request(by_hand), "hand", clock.now())
        certificates.ask(tx, cast.district, 11, other, "claim", clock.now())
    assert stick.sign().exit_code == 0 and stick.signed(11)


def test_a_key_of_another_gate_and_a_gate_that_was_revoked_get_no_certificate(
    database: Database, cast: Cast, stick: Stick
) -> None:
    request = stick.bring(11)
    assert stick.sign().exit_code == 0
    stick.bring(12, request)
    ran = stick.sign()
    assert isinstance(ran.exception, certificates.CertificateRefused)
    assert ran.exception.code == "CERTIFICATE_KEY_TAKEN" and not (stick.requests / "12.pem").exists()
    (stick.requests / "12.csr").unlink()
    (stick.requests / "11.pem").unlink()
    with database.tenant(cast.district) as tx:
        fleet.revoke_gate(tx, cast.district, 11, clock.now())
    assert stick.sign().exit_code == 0 and not (stick.requests / "11.pem").exists()


@pytest.mark.parametrize("name", ["door", "11 (copy)", "1.1", "-11", "\u0661\u0661"])
def test_a_file_that_names_no_gate_is_said_before_anything_is_asked(
    database: Database, cast: Cast, stick: Stick, name: str
) -> None:
    stick.bring(11)
    stick.bring(name)
    ran = stick.sign()
    assert ran.exit_code == 2 and "--requests" in ran.stderr and f"{name}.csr" in ran.stderr
    with database.tenant(cast.district) as tx:
        assert certificates.of_gate(tx, cast.district, 11) == []
