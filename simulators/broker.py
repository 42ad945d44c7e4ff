"""Start an MQTT 5 broker of our own on the loopback: for the demo, for a stack, for tests.

Responsible for: Mosquitto with a configuration written here, else the broker inside the `iotcore`
package; start, stop, kill and start again with the same data.
Not for: TLS and the access list of a real installation (firmware_config/), nor what is published.
Obeys PROTOCOL.md section 6 (receive maximum 64, packets of 128 KiB, sessions that survive) and
DEPENDENCIES.md, "broker". iotcore has no access list: it serves the demo on this machine only.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from simulators.processes import (
    ProcessId,
    WorldFault,
    end,
    free_port,
    identify,
    is_port_free,
    is_port_open,
    reap,
    spawn,
    tail,
    unprivileged,
    wait_until,
)

KINDS = ("auto", "mosquitto", "iotcore")
PACKET_BYTES_MAX = 256 * 1024  # twice what a segment or list may have, so that only Portillon's own bound speaks
INFLIGHT_MAX = 1000  # Mosquitto's default of 20 halves the rate of ingest (DEPENDENCIES.md)
PORT_SECONDS_MAX = 3.0
READY_SECONDS_MAX = 10.0


def start_broker(directory: Path, kind: str = "auto", port: int = 0, acl: Path | None = None) -> RunningBroker:
    """Start the broker of this directory; port 0 takes a free one. Raises WorldFault.

    acl: an access list in Mosquitto's form; iotcore cannot obey one and is then refused.
    """
    broker = RunningBroker(directory.absolute(), kind, port, acl)
    broker.start()
    return broker


class RunningBroker:
    """One broker: `url`, `port`, `pid`, `kind`; start, stop and kill it at will."""

    def __init__(
        self, directory: Path, kind: str = "auto", port: int = 0, acl: Path | None = None, settings: str = ""
    ) -> None:
        if kind not in KINDS:
            raise WorldFault(f"There is no broker kind {kind!r}.", f"Use one of {', '.join(KINDS)}.")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory = directory
        self.kind = _choose(kind)
        self.port = port or free_port()
        self.log = directory / f"{self.kind}.log"
        self._acl, self._settings = acl, settings
        self._process: ProcessId | None = None
        if acl is not None and self.kind == "iotcore":
            raise WorldFault("iotcore cannot obey an access list.", "Install mosquitto.")

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise WorldFault(f"The broker in {self.directory} was stopped.")
        return self._process.pid

    def start(self) -> None:
        """Start the broker and return when it accepts connections."""
        if self._process is not None:
            reap(self._process.pid)
            if self._process.is_alive():
                return
        wait_until(  # threads of a broker that was killed a moment ago may hold it a little longer
            lambda: is_port_free(self.port),
            PORT_SECONDS_MAX,
            f"Port {self.port} is taken, the broker cannot listen there",
            "Choose another port.",
        )
        child = spawn(self._command(), self.log)
        self._process = identify(child.pid)
        wait_until(
            lambda: child.poll() is not None or is_port_open(self.port),
            READY_SECONDS_MAX,
            f"The broker ({self.kind}) does not listen on port {self.port}",
            f"Read {self.log}.",
        )
        if child.poll() is not None:
            raise WorldFault(f"The broker ({self.kind}) ended at once:\n{tail(self.log)}\n", f"Read {self.log}.")

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)
        self._process = None

    def kill(self) -> None:
        """End the broker as a power cut would."""
        if self._process is not None:
            end(self._process, polite=signal.SIGKILL)
        self._process = None

    def _command(self) -> list[str]:
        if self.kind == "iotcore":
            settings = self.directory / "iotcore.toml"
            settings.write_text(_iotcore_settings(self.port))
            return [sys.executable, "-m", "simulators.broker", str(settings)]
        prefix, _ = unprivileged()
        settings = self.directory / "mosquitto.conf"
        settings.write_text(self._mosquitto_settings(is_root=os.geteuid() == 0 and not prefix))
        return [*prefix, _mosquitto() or "mosquitto", "-c", str(settings)]

    def _mosquitto_settings(self, is_root: bool) -> str:
        if self._settings:
            return self._settings + self._persistence() + ("user root\n" if is_root else "")
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            self._persistence().rstrip("\n"),
            "persistent_client_expiration 1d",
            f"max_inflight_messages {INFLIGHT_MAX}",
            "max_queued_messages 10000",
            f"max_packet_size {PACKET_BYTES_MAX}",
            "set_tcp_nodelay true",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
        ]
        lines += ["user root"] if is_root else []
        lines += [f"acl_file {self._acl}"] if self._acl else []
        return "\n".join(lines) + "\n"

    def _persistence(self) -> str:
        return (
            f"persistence true\npersistence_location {self.directory}/\n"
            "autosave_interval 1\nautosave_on_changes false\n"
        )


def _choose(kind: str) -> str:
    if kind in ("auto", "mosquitto") and _mosquitto():
        return "mosquitto"
    if kind in ("auto", "iotcore") and importlib.util.find_spec("iotcore") is not None:
        return "iotcore"
    raise WorldFault(
        f"No MQTT broker of kind {kind!r} was found.", "Install one: apt-get install mosquitto, or pip install iotcore."
    )


def _mosquitto() -> str | None:
    """Return Mosquitto 2 (1.x has neither MQTT 5 expiry nor these settings); Debian hides it in /usr/sbin."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        return None
    words = subprocess.run([found, "-h"], capture_output=True, text=True, check=False).stdout.split()
    return found if len(words) > 2 and words[2].startswith("2.") else None


def _iotcore_settings(port: int) -> str:
    return f"""id = 0

[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = {INFLIGHT_MAX}
max_segment_size = 104857600
max_segment_count = 10

[v5.1]
name = "portillon"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 10000
max_payload_size = {PACKET_BYTES_MAX}
max_inflight_count = 100
dynamic_filters = true
"""


def serve_iotcore(settings: str) -> None:
    """Be the broker of the iotcore package, in this process, until killed."""
    from iotcore.iotcore import IotCoreBroker  # installed only with the extra `simulators`

    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)  # it reports every packet as an error span
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    IotCoreBroker(config_path=settings).run_forever()


if __name__ == "__main__":
    serve_iotcore(sys.argv[1])
