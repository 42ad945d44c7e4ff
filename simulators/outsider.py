"""Somebody on the broker who has no business there: rubbish, monsters, forged receipts, a gate gone mad.

Responsible for: a session of its own with the broker and what it publishes, chosen by a seed; the time from a segment
to its receipt, seen from outside.
Not for: when (chaos.py), nor what must come of it (docs/faults.md). Obeys PROTOCOL.md section 6 as little as it can.
"""

from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from nacl.signing import SigningKey
from paho.mqtt.enums import CallbackAPIVersion

from protocols import topics
from protocols.chain import ZERO_HEAD
from protocols.events import Note, Receipt, build_note, build_receipt, build_segment
from protocols.limits import IN_FLIGHT_EVENTS_MAX
from simulators.clock import monotonic_ns, now
from simulators.processes import WorldFault

CONNECT_SECONDS_MAX = 10.0
OVERSIZED_BYTES = 200 * 1024  # over Portillon's own bound (128 KiB), under the broker's (256 KiB)
MONSTER_BYTES = 300 * 1024  # over the broker's
PROBE_SECONDS = 0.05
PROBE_ANSWER_SECONDS_MAX = 5.0
INFLIGHT_MAX = 200
STORM_RATE = 500  # segments a second: eight times all that a gate may have in flight, every second
STORM_PAUSE_SECONDS = 0.005
STRANGER_GATE = 4_000_000_000  # in no registry
NOTES = 300


@dataclass(frozen=True)
class Place:
    """Where a gate stands."""

    district: str
    site: int
    gate: int

    def up(self, leaf: str) -> str:
        return topics.up(self.district, self.site, self.gate, leaf)

    def down(self, leaf: str) -> str:
        return topics.down(self.district, self.site, self.gate, leaf)

    def of_site(self, leaf: str) -> str:
        return topics.site_down(self.district, self.site, leaf)


class Outsider:
    """One session. Used in a block; the broker may end it at any time, and it comes back."""

    def __init__(self, broker_url: str, seed: int) -> None:
        address = urlsplit(broker_url)
        self._chance = random.Random(f"portillon-outsider-{seed}")
        self._heard: queue.SimpleQueue[mqtt.MQTTMessage] = queue.SimpleQueue()
        self._connected = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, f"outsider-{seed}-{monotonic_ns()}", protocol=mqtt.MQTTv5
        )
        self._client.max_inflight_messages_set(INFLIGHT_MAX)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda *_: self._connected.set()
        self._client.on_message = lambda _client, _data, message: self._heard.put(message)
        self._client.connect_async(address.hostname or "127.0.0.1", address.port or 1883, keepalive=10)

    def __enter__(self) -> Outsider:
        self._client.loop_start()
        if not self._connected.wait(CONNECT_SECONDS_MAX):
            self._client.loop_stop()
            raise WorldFault("The outsider finds no broker.")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    # --- rubbish ------------------------------------------------------------------------------------------------

    def poison(self, how: str, place: Place, sample: bytes | None) -> None:
        """Publish rubbish of one sort. sample: a genuine segment of this gate, None where none was seen."""
        leaves = {"policy": topics.POLICY, "trust": topics.TRUST, "gates": topics.GATES, "mode": topics.MODE}
        if how == "segment":
            for body in self._false_segments(place, sample):
                self._publish(place.up(topics.EVENTS), body)
            self._publish(Place(place.district, place.site, STRANGER_GATE).up(topics.EVENTS), sample or b"x")
        elif how in ("state", "telemetry"):
            for body in self._false_reports():
                self._publish(place.up(topics.STATE if how == "state" else topics.TELEMETRY), body)
        elif how in leaves:
            self._publish(place.of_site(leaves[how]), self._chance.choice(list(self._rubbish())), retain=True)
        elif how == "empty_documents":
            for leaf in topics.SITE_DOWN:
                self._publish(place.of_site(leaf), b"", retain=True)
        elif how == "seen":
            self._false_notes(place)
        elif how == "topic":
            for topic in _FALSE_TOPICS:
                self._publish(topic, b"x")
        else:
            raise WorldFault(f"There is no poison {how!r}.")

    def oversize(self, place: Place) -> None:
        """Publish what is over Portillon's bound, then what is over the broker's, which ends this session."""
        for topic, retain in (
            (place.up(topics.EVENTS), False),
            (place.up(topics.TELEMETRY), False),
            (place.down(topics.RECEIPT), False),
            (place.of_site(topics.POLICY), True),
        ):
            self._publish(topic, self._chance.randbytes(OVERSIZED_BYTES), retain=retain)
        self._publish(place.up(topics.EVENTS), self._chance.randbytes(MONSTER_BYTES))

    def forge_receipts(self, place: Place, epoch: int, upto: int, head: bytes, replayed: bytes | None) -> None:
        """Say that everything is stored, with every word right but the signature."""
        stranger = SigningKey.generate()
        for last in (upto, upto + 1_000):
            told = Receipt(int(now()), place.gate, epoch, last, head, IN_FLIGHT_EVENTS_MAX)
            self._publish(place.down(topics.RECEIPT), build_receipt(stranger, told))
        for body in (b"", b"x", *([replayed] if replayed else [])):
            self._publish(place.down(topics.RECEIPT), body)

    def _rubbish(self) -> list[bytes]:
        chance = self._chance
        return [chance.randbytes(chance.randrange(1, 2_000)), b"{}", b"\x00" * 512, b'{"v": 1', b"\x84\x43\xa1\x01\x26"]

    def _false_segments(self, place: Place, sample: bytes | None) -> list[bytes]:
        stranger = SigningKey.generate()
        bodies = [*self._rubbish(), build_segment(stranger, place.gate, 7, 0, ZERO_HEAD, [b"\xf6"])]
        if sample:
            at = self._chance.randrange(len(sample))
            bodies += [sample[:at] + bytes([sample[at] ^ 1]) + sample[at + 1 :], sample[:-1], sample + b"\x00", sample]
        return bodies

    def _false_reports(self) -> list[bytes]:
        deep = b"[" * 50_000
        wrong = json.dumps({"v": 1, "session": "\u0000", "state": 9, "boot": 2**70, "outbox": "x" * 70_000}).encode()
        return [*self._rubbish(), deep, wrong, b"null", b"1e999", json.dumps({"v": 2}).encode(), b"\xff\xfe"]

    def _false_notes(self, place: Place) -> None:
        stranger = SigningKey.generate()
        own = topics.seen(place.district, place.site, STRANGER_GATE)
        for number in range(NOTES):
            thumb, at_ms = number.to_bytes(8, "big"), int(now() * 1000)
            note = Note(self._chance.choice((place.gate, STRANGER_GATE)), thumb, 2**32 - 1, at_ms, ((number + 1, 1),))
            self._publish(own, build_note(stranger, note))

    def _publish(self, topic: str, body: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, body, qos=1, retain=retain)

    # --- a gate gone mad ----------------------------------------------------------------------------------------

    def storm(self, place: Place, segment: bytes, seconds: float, stop: threading.Event) -> int:
        """Send one genuine segment of this gate again and again, STORM_RATE a second; return how often."""
        sent, began = 0, time.monotonic()
        while time.monotonic() < began + seconds and not stop.is_set():
            for _ in range(int((time.monotonic() - began) * STORM_RATE) - sent):
                self._publish(place.up(topics.EVENTS), segment)
                sent += 1
            time.sleep(STORM_PAUSE_SECONDS)
        return sent

    def probe(self, place: Place, segment: bytes, seconds: float, is_receipt: Callable[[bytes], bool]) -> list[float]:
        """Ask for the receipt of a stored segment of another gate, over and over; return the answers' times in ms."""
        self._client.subscribe(place.down(topics.RECEIPT), qos=1)
        times, until = [], time.monotonic() + seconds
        time.sleep(PROBE_SECONDS)
        while time.monotonic() < until:
            while not self._heard.empty():
                self._heard.get()
            asked_ns = monotonic_ns()
            self._publish(place.up(topics.EVENTS), segment)
            answered = self._await(is_receipt)
            times.append((monotonic_ns() - asked_ns) / 1e6 if answered else PROBE_ANSWER_SECONDS_MAX * 1e3)
            time.sleep(PROBE_SECONDS)
        return times

    def _await(self, is_wanted: Callable[[bytes], bool]) -> bool:
        until = time.monotonic() + PROBE_ANSWER_SECONDS_MAX
        while (left := until - time.monotonic()) > 0:
            try:
                if is_wanted(bytes(self._heard.get(timeout=left).payload)):
                    return True
            except queue.Empty:
                break
        return False

    def retained(self, topic_filter: str, seconds: float) -> dict[str, bytes]:
        """Return what the broker keeps under a filter, as far as it tells within so many seconds."""
        self._client.subscribe(topic_filter, qos=1)
        held, until = {}, time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                message = self._heard.get(timeout=left)
            except queue.Empty:
                break
            held[message.topic] = bytes(message.payload)
        return held


_FALSE_TOPICS = (
    "portillon/1/demo/101/11/up/evil",
    "portillon/1/demo/0/11/up/ev",
    "portillon/1/demo/101/99999999999/up/ev",
    "portillon/2/demo/101/11/up/ev",
    "portillon/1/DEMO/101/11/up/ev",
    "portillon/1/demo/101/_/seen/0",
    "portillon/1/demo/101/_/dn/évil",
    "portillon/1//101/11/up/st",
    "/".join(["portillon"] * 100),
)
