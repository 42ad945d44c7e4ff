"""A real Mosquitto on a free port, and the cloud's end of the line as far as a gate can tell: keys and receipts."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from nacl.signing import SigningKey
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.config import Place
from protocols import topics
from protocols.events import Receipt, Segment, build_receipt, load_segment
from protocols.trust import Role, Trust, TrustedKey, trust_of

DISTRICT, SITE, GATE = "demo", 101, 11
NOW = 1_800_000_000
GATE_KEY = SigningKey(b"\x11" * 32)
RECEIPT_KEY = SigningKey(b"\x12" * 32)
PLACE = Place(DISTRICT, SITE, GATE, "UTC", ((0, 86_400),), "staff", 1, "en")
MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


def until(holds: Callable[[], Any], seconds: float = 8.0) -> Any:
    """Wait for something that another thread or process brings about; return it."""
    ends = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.01)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Mosquitto:
    """A broker process on 127.0.0.1 that remembers nothing over a restart."""

    def __init__(self, directory: Path, extra: str = "allow_anonymous true\n", port: int = 0) -> None:
        self.port = port or free_port()
        self._file = directory / "mosquitto.conf"
        self._file.write_text(f"listener {self.port} 127.0.0.1\nmax_inflight_messages 1000\n{extra}")
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(self._file)], stderr=subprocess.DEVNULL)
        until(self._answers)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Cloud:
    """Ingest as a gate sees it: verifies each segment, and answers with receipts when told to."""

    def __init__(self, port: int, *, answers: bool = True, key: SigningKey = RECEIPT_KEY) -> None:
        self.answers, self.key = answers, key
        self.segments: list[Segment] = []
        self.received: list[tuple[str, bytes, bool]] = []
        self._lock = threading.Lock()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_message = self._on_message
        self._subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_connect = self._on_connect
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._subscribed.wait(5)

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(f"{topics.PREFIX}/#", options=SubscribeOptions(qos=1, noLocal=True))

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        with self._lock:
            self.received.append((message.topic, bytes(message.payload), message.retain))
        topic = topics.parse(message.topic)
        if topic is not None and topic.leaf == topics.EVENTS:
            segment = load_segment(bytes(message.payload), bytes(GATE_KEY.verify_key))
            self.segments.append(segment)
            if self.answers:
                self.receipt(segment)

    def receipt(self, segment: Segment, **changed: Any) -> None:
        upto = segment.first_seq + len(segment.encoded) - 1
        fields: dict[str, Any] = {"now": NOW, "gate": segment.gate, "epoch": segment.epoch, "upto": upto, "credit": 64}
        fields |= {"head": segment.heads[-1]} | changed
        self.publish_down(topics.RECEIPT, build_receipt(self.key, Receipt(**fields)))

    def publish_down(self, leaf: str, payload: bytes, *, retain: bool = False) -> None:
        self.client.publish(topics.down(DISTRICT, SITE, GATE, leaf), payload, qos=1, retain=retain)

    def seqs(self) -> list[int]:
        """Every seq received, in the order of arrival, repeats included."""
        return [s.first_seq + n for s in list(self.segments) for n in range(len(s.encoded))]

    def payloads(self, leaf: str) -> list[bytes]:
        with self._lock:
            return [payload for topic, payload, _ in self.received if topic.endswith(leaf)]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def receipt_trust() -> Trust:
    return trust_of([TrustedKey(bytes(RECEIPT_KEY.verify_key), Role.RECEIPT)])
