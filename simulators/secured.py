"""A stack whose broker asks everybody for a certificate, as firmware_config sets it up: `stack up --mtls`.

Responsible for: authorities and certificates of such a stack, made by Portillon's own commands; the broker's settings
out of firmware_config with their paths and ports moved; the warden beside it; each gate's first certificate.
Not for: the order in which parts start (stack.py); a gate that claims its name (drill_claim.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from simulators.parts import Part, command_path
from simulators.processes import free_port, wait_until

FIRMWARE = Path(__file__).parent.parent / "firmware_config" / "broker"
PLACE = "/etc/mosquitto/portillon"
LOG = "/run/mosquitto/portillon.log"
Cloud = Callable[..., object]  # a command of portillon-cloud with the stack's settings
SERVICES = {"ingest": "cloud-ingest", "worker": "cloud-worker", "warden": "cloud-warden"}
WRITTEN_SECONDS_MAX = 20.0


class Secured:
    """The certificates of one stack, in `keys/ca` and `broker/tls` of its directory."""

    def __init__(self, directory: Path, gates_port: int, services_port: int) -> None:
        self.ca = directory / "keys" / "ca"
        self.public = directory / "keys" / "ca-public"  # what web and broker see: certificates, no key of an authority
        self.broker = directory / "broker" / "tls"
        self.log = directory / "broker" / "portillon.log"
        self.pid_file = directory / "broker" / "mosquitto.pid"
        self.gates_port, self.services_port = gates_port, services_port

    @classmethod
    def planned(cls, directory: Path) -> Secured:
        return cls(directory, free_port(), free_port())

    @property
    def gates_url(self) -> str:
        return f"mqtts://127.0.0.1:{self.gates_port}"

    def make(self, cloud: Cloud) -> None:
        """Make both authorities, and the certificates of the broker and of the cloud's processes."""
        ca = ("--ca-dir", str(self.ca))
        self.ca.mkdir(mode=0o700)
        cloud("gate", "ca", "init", *ca)
        self.broker.mkdir(parents=True, mode=0o700)
        cloud("gate", "ca", "services", "--out", str(self.ca), "--host", "127.0.0.1", *ca)
        (self.ca / "broker.pem").rename(self.broker / "broker.pem")
        self.publish()

    def publish(self) -> None:
        """Give web and broker the certificates of the authorities as they are now."""
        shutil.rmtree(self.public, ignore_errors=True)
        self.public.mkdir(mode=0o700)
        for file in (*self.ca.glob("gates-*.pem"), *self.ca.glob("services-*.pem")):
            shutil.copy2(file, self.public)
        services = sorted(self.ca.glob("services-*.pem"))
        (self.broker / "services-ca.pem").write_bytes(b"".join(file.read_bytes() for file in services))

    def settings(self, process: str) -> dict[str, str]:
        """Return what a process of the cloud is told of certificates."""
        told = {"PORTILLON_GATES_BROKER_URL": self.gates_url, "PORTILLON_CA_DIR": str(self.public)}
        if process in ("worker", "warden", "all"):
            told["PORTILLON_CA_DIR"] = str(self.ca)
        if process in SERVICES:
            told["PORTILLON_BROKER_URL"] = f"mqtts://127.0.0.1:{self.services_port}"
            told["PORTILLON_BROKER_CA"] = str(self.broker / "services-ca.pem")
            told["PORTILLON_BROKER_CERT"] = str(self.ca / f"{SERVICES[process]}.pem")
        return told

    def warden(self, settings: dict[str, str], log: str) -> Part:
        argv = [command_path("portillon-cloud"), "warden", "--dir", str(self.broker), "--make-acl",
                str(FIRMWARE / "make-acl"), "--log", str(self.log), "--pid-file", str(self.pid_file)]  # fmt: skip
        return Part("warden", "warden", argv, settings, log)

    def wait_written(self) -> None:
        """Return when the warden has written what the broker reads at its start."""
        files = [self.broker / name for name in ("acl", "gates-ca.pem", "revoked.pem")]
        wait_until(
            lambda: all(file.exists() for file in files), WRITTEN_SECONDS_MAX, "The warden wrote no rights",
            "Read logs/warden.log.",
        )  # fmt: skip

    def broker_settings(self) -> str:
        """Return firmware_config's mosquitto.conf for this directory and these ports."""
        text = (FIRMWARE / "mosquitto.conf").read_text().replace(PLACE, str(self.broker)).replace(LOG, str(self.log))
        text = text.replace("listener 8883", f"listener {self.gates_port} 127.0.0.1")
        text = text.replace("listener 8884 ", f"listener {self.services_port} ")
        return text + f"pid_file {self.pid_file}\nset_tcp_nodelay true\n"

    def enrol(self, cloud: Cloud, gates: dict[int, Path]) -> None:
        """Give gates of the registry their first certificates by hand: each key is made in the gate's own folder."""
        requests = self.ca / "requests"
        requests.mkdir()
        keys = {gate: ec.generate_private_key(ec.SECP256R1()) for gate in gates}
        for gate, key in keys.items():
            made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
            (requests / f"{gate}.csr").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        cloud("gate", "sign", "--requests", str(requests), "--ca-dir", str(self.ca))
        for gate, folder in gates.items():
            secret = keys[gate].private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            certificate = folder / "certificate"
            certificate.mkdir(mode=0o700)
            (certificate / "gate.pem").touch(mode=0o600)
            (certificate / "gate.pem").write_bytes((requests / f"{gate}.pem").read_bytes() + secret)
            shutil.copy2(self.broker / "services-ca.pem", certificate / "ca.pem")


def with_certificates(gate_toml: str) -> str:
    """Return a gate.toml whose line to the broker is by certificate."""
    lines = 'ca = "certificate/ca.pem"\ncert = "certificate/gate.pem"\nkey = "certificate/gate.pem"\n\n[door]'
    return gate_toml.replace("\n[door]", lines, 1)
