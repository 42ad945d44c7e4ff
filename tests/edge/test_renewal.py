"""The next certificate on a real line: kept where the broker takes it, put back where one end refuses the other."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from cloud.fleet import authority as fleet
from cloud.kit import clock
from edge.appliance import Appliance
from edge.certificate import ASK, new_key, request_for
from edge.config import BrokerSettings, load_config
from edge.renewal import Renewal
from protocols.claims import answer_statement
from protocols.trust import Role, Trust, TrustedKey, trust_of
from tests.edge.household import Site, write_gate
from tests.edge.line import PLACE, Mosquitto, until
from tests.edge.test_broker_tls import Authority, SecureLine

pytestmark = pytest.mark.serial
REGISTRY = SigningKey(b"\x15" * 32)
NAME = "101-11"
REFUSED = "the broker does not take the new certificate: the old one is back"


def registrys_trust() -> Trust:
    return trust_of([TrustedKey(bytes(REGISTRY.verify_key), Role.REGISTRY)])


class Bench:
    """A gate's line by certificates of the fleet's authority, and whoever answers its requests."""

    def __init__(self, directory: Path) -> None:
        directory.chmod(0o755)
        self.services = Authority(directory, "services")
        self.gates, self.strangers = directory / "gates", directory / "strangers"
        for folder in (self.gates, self.strangers):
            fleet.init(folder, fleet.GATES, clock.now())
        (directory / "gates-ca.pem").write_bytes(fleet.bundle(self.gates, fleet.GATES))
        (directory / "gates-ca.pem").chmod(0o644)
        certificate, key = self.services.issue("broker")
        self.broker = Mosquitto(directory, (
            f"cafile {directory / 'gates-ca.pem'}\ncertfile {certificate}\nkeyfile {key}\n"
            "require_certificate true\nuse_identity_as_username true\nallow_anonymous false\n"
        ))  # fmt: skip
        self.folder = directory / "certificate"
        self.folder.mkdir()
        first = new_key()
        self.put("ca.pem", self.services.file.read_bytes())
        self.put("gate.pem", self.issued(self.gates, request_for(first, NAME)) + first)
        line, ca = self.folder / "gate.pem", self.folder / "ca.pem"
        self.line = SecureLine(directory, self.broker.port, ca, line, line)
        (directory / "gate").mkdir()
        self.gate = Appliance(load_config(write_gate(directory / "gate", Site())), time.time)
        self.renewal = self.begun(BrokerSettings(f"mqtts://127.0.0.1:{self.broker.port}", ca, line, line))
        until(lambda: self.line.broker.up)
        self.before = self.files()

    def begun(self, settings: BrokerSettings) -> Renewal:
        return Renewal(settings, PLACE, self.line.broker, self.gate.loop, self.line.health, registrys_trust)

    def put(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)

    def files(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.folder.iterdir()}

    def issued(self, by: Path, request: bytes) -> bytes:
        signer = fleet.signing(by, fleet.GATES)[0]
        made = fleet.issue_gate(signer, fleet.read_request(request), NAME, bytes(range(1, 17)), clock.now())
        return fleet.pem(made)

    def answer(self, *, by: Path | None = None, authorities: bytes | None = None) -> None:
        """The gate asks, and hears what the registry signed."""
        self.renewal.wanted()
        self.renewal.turn(time.time())
        request = (self.folder / "next.csr").read_bytes()
        certificate = self.issued(by or self.gates, request)
        authorities = authorities or self.services.file.read_bytes()
        signature = REGISTRY.sign(answer_statement(request, certificate, authorities)).signature
        told = {"v": 1, "re": ASK, "request": request.hex(), "certificate": certificate.decode()}
        told |= {"ca": authorities.decode(), "signature": signature.hex()}
        self.renewal.hear(json.dumps(told).encode(), time.time())

    def minute_passes(self) -> None:
        assert self.renewal._trial_ends is not None
        self.renewal._trial_ends = time.monotonic() - 1.0

    def close(self) -> None:
        self.line.close()
        self.gate.close()
        self.broker.kill()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """In a folder of its own: each pytest that starts shuts its own folders again, and Mosquitto's user must pass."""
    with tempfile.TemporaryDirectory(prefix="portillon-test-") as folder:
        made = Bench(Path(folder))
        yield made
        made.close()


def test_a_certificate_that_the_broker_takes_is_kept_and_nothing_else_stays(bench: Bench) -> None:
    bench.answer()
    until(lambda: bench.line.broker.up)
    bench.renewal.turn(time.time())
    after = bench.files()
    assert after.keys() == {"gate.pem", "ca.pem"} and after["gate.pem"] != bench.before["gate.pem"]
    assert bench.line.health.fault_of("certificate") is None


def test_a_certificate_that_the_broker_refuses_is_put_back_after_a_minute_and_the_line_is_up_again(
    bench: Bench,
) -> None:
    more = bench.services.file.read_bytes() + fleet.bundle(bench.strangers, fleet.GATES)
    bench.answer(by=bench.strangers, authorities=more)
    until(lambda: bench.line.broker.refused)
    bench.renewal.turn(time.time())
    assert bench.files().keys() >= {"gate.pem.before", "ca.pem.before"}  # the broker may hear of it a little later
    bench.minute_passes()
    bench.renewal.turn(time.time())
    assert bench.files() == bench.before
    assert bench.line.health.fault_of("certificate") == REFUSED
    until(lambda: bench.line.broker.up)


def test_authorities_that_did_not_sign_the_brokers_certificate_are_put_back_too(bench: Bench) -> None:
    bench.answer(authorities=fleet.bundle(bench.strangers, fleet.GATES))
    until(lambda: bench.line.broker.refused)
    bench.minute_passes()
    bench.renewal.turn(time.time())
    assert bench.files() == bench.before
    until(lambda: bench.line.broker.up)


def test_a_line_that_is_down_says_nothing_of_the_new_certificate(bench: Bench) -> None:
    bench.broker.kill()
    until(lambda: not bench.line.broker.up)
    bench.line.broker._up = True  # it broke a moment after the request went out
    bench.answer()
    until(lambda: bench.line.health.fault_of("broker"))
    time.sleep(1.5)  # an attempt or two
    bench.minute_passes()
    bench.renewal.turn(time.time())
    assert "gate.pem.before" in bench.files() and not bench.line.broker.refused
    bench.broker.start()
    until(lambda: bench.line.broker.up)
    bench.renewal.turn(time.time())
    assert bench.files().keys() == {"gate.pem", "ca.pem"}
    assert bench.files()["gate.pem"] != bench.before["gate.pem"]


def test_a_trial_that_a_power_cut_broke_off_is_judged_after_the_next_start(bench: Bench) -> None:
    bench.answer(by=bench.strangers)
    until(lambda: bench.line.broker.refused)
    bench.renewal = bench.begun(bench.renewal._settings)
    bench.minute_passes()
    bench.renewal.turn(time.time())
    assert bench.files().keys() == {"gate.pem", "ca.pem"}
    assert bench.files()["gate.pem"] == bench.before["gate.pem"]
    until(lambda: bench.line.broker.up)
