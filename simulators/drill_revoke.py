"""The drill `revoke`: a gate is stolen; the broker refuses it within seconds, its sisters believe it no longer.

Responsible for: the operator's one command, what the stolen gate and its copied certificate meet from then on, what the
fleet's list says; a gate that reads and writes outside its topics, meanwhile. Not for: the stack (secured.py).
"""

from __future__ import annotations

import ssl
import threading
import time
import tomllib
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from protocols import topics
from protocols.limits import SESSION_EXPIRY_SECONDS
from simulators.drill import Drill, Json
from simulators.parts import Part
from simulators.processes import WorldFault
from simulators.secured import Secured

ANSWER_SECONDS = 3.0
REFUSED_SECONDS = 15.0
STRANGE_GATE = 4_000_000_000  # of the same site, in no registry


def play(drill: Drill) -> Json:
    """Revoke the last gate of the stack. Raises WorldFault where a step goes otherwise."""
    secured = drill.stack.secured
    if secured is None:
        raise WorldFault("This stack has no certificates.", "Make one with `stack up --mtls`.")
    part = max(drill.stack.gates, key=drill.stack.gate_number)
    gate = drill.stack.gate_number(part)
    line = Path(part.config).parent / "certificate" / "gate.pem"
    drill.must(drill.gate(gate).get("broker") == "up", "the gate was not there")
    _stray(drill, secured, part, line)
    drill.until(
        lambda: set(_faults(drill, gate)) >= {"BROKER_WRITE_DENIED", "BROKER_READ_DENIED"},
        "nobody heard of a gate outside its topics",
    )  # fmt: skip
    drill.tell("it wrote and read outside its topics: refused, and told to the fleet")
    drill.until(lambda: drill.gate(gate).get("broker") == "up", "the gate did not come back")
    began = time.monotonic()
    drill.stack.cloud("gate", "revoke", str(gate))
    drill.tell(f"gate {gate} is revoked")
    drill.until(lambda: drill.gate(gate).get("broker") == "down", "a revoked gate stayed", REFUSED_SECONDS)
    off_s = round(time.monotonic() - began, 1)
    drill.until(lambda: not is_let_in(secured, line), "its certificate opens the broker", REFUSED_SECONDS)
    drill.tell(f"pushed off the broker after {off_s} s; its certificate is refused in the handshake")
    drill.until(lambda: "CERTIFICATE_REFUSED" in _faults(drill, gate), "nobody heard of the refused certificate")
    drill.tell("the fleet's list tells of the refused certificate")
    others = [drill.stack.gate_number(one) for one in drill.stack.gates if one is not part]
    drill.must(all(drill.gate(one).get("broker") == "up" for one in others), "another gate was shut out")
    drill.must(drill.gate(gate).get("door") is not None, "the revoked gate's door went with it")
    return {"gate": gate, "pushed_off_s": off_s, "others_up": len(others), "faults": _faults(drill, gate)}


def is_let_in(secured: Secured, line: Path) -> bool:
    """Return whether the broker lets somebody in who holds this certificate and key. It pushes the gate itself off.

    The gate's session is left as it was: what is sent to the gate before it is back waits for it.
    """
    client, connected, gone = _client(secured, line)
    kept = Properties(PacketTypes.CONNECT)
    kept.SessionExpiryInterval = SESSION_EXPIRY_SECONDS
    try:
        client.connect("127.0.0.1", secured.gates_port, clean_start=False, properties=kept)
        client.loop_start()
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline and not connected.is_set() and not gone.is_set():
            time.sleep(0.02)
    except (OSError, ssl.SSLError):
        return False
    finally:
        client.disconnect()
        client.loop_stop()
    return connected.is_set()


def _stray(drill: Drill, secured: Secured, part: Part, line: Path) -> None:
    """With the gate's own certificate: write a sister's event, listen to the whole district."""
    place = tomllib.loads(Path(part.config).read_text())["gate"]
    client, connected, _gone = _client(secured, line)
    client.connect("127.0.0.1", secured.gates_port)
    client.loop_start()
    try:
        drill.must(connected.wait(ANSWER_SECONDS), "its own certificate was refused")
        client.subscribe(f"portillon/1/{place['district']}/#", qos=1)
        strange = topics.up(place["district"], place["site"], STRANGE_GATE, topics.EVENTS)
        client.publish(strange, b"x", qos=1)
        time.sleep(0.5)
    finally:
        client.disconnect()
        client.loop_stop()


def _client(secured: Secured, line: Path) -> tuple[mqtt.Client, threading.Event, threading.Event]:
    connected, gone = threading.Event(), threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "probe", protocol=mqtt.MQTTv5, reconnect_on_failure=False)
    client.tls_set(str(secured.broker / "services-ca.pem"), str(line), str(line))
    client.on_connect = lambda *words: (gone if words[3].is_failure else connected).set()
    client.on_disconnect = lambda *_: gone.set()
    client.on_connect_fail = lambda *_: gone.set()
    return client, connected, gone


def _faults(drill: Drill, gate: int) -> list[str]:
    return next(row["faults"] for row in drill.operator("gate", "list") if row["gate"] == gate)
