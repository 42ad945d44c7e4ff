"""The gate's line to the broker: its outbox goes up, receipts, documents and notes come down.

Responsible for: one MQTT 5 session (P-6) that reconnects for ever; sending segments until a receipt of ours covers
them; handing everything heard to a bounded Inbox; saying why a broker refuses.
Not responsible for: judging documents and notes (gate.py, in the loop), which events go when (sending.py), storing
them (journal.py). The door never waits for anything here.
Obeys: PROTOCOL P-5 (receipts), P-6 (topics, session, will); HOSTILE P14 to P17.

Two threads: paho's reads and writes the socket and only puts things into queues; ours does the rest.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import paho.mqtt.client as mqtt
from nacl.signing import SigningKey
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.config import BrokerSettings, Place
from edge.health import Health
from edge.journal import Journal
from edge.journal_file import JournalFailed
from edge.sending import PUBACKS_MAX, Sender
from edge.tls import context_of, is_refusal, read_again
from protocols import topics
from protocols.limits import (
    PACKET_BYTES_MAX,
    RECEIVE_MAXIMUM,
    SEEN_EXPIRY_SECONDS,
    SESSION_EXPIRY_SECONDS,
    TELEMETRY_EXPIRY_SECONDS,
    TELEMETRY_SECONDS,
    WILL_DELAY_SECONDS,
)
from protocols.trust import Trust

KEEPALIVE_SECONDS = 20
RECONNECT_SECONDS = (1, 2)  # DEPENDENCIES: else a 20 s outage drains in 11 s
QUEUED_MAX = 256  # publications paho may hold; ours are bounded by the window
NOTES_MAX = 256  # sisters' notes waiting for the loop; the oldest goes first
ORDERS_MAX = 16  # commands, and answers to our requests
RECEIPTS_MAX = 256
CHANCE = random.SystemRandom()  # jitter needs no seed
IDLE_SECONDS = 1.0  # our thread looks around at least so often
# Of a CONNACK: it is us, or our certificate, whom the broker does not want; all else may be over at the next attempt.
UNWANTED = (0x85, 0x86, 0x87, 0x8A, 0x8C)  # client identifier, user name, not authorized, banned, authentication
CUT_OFF = 0x80  # how paho calls a connection that the other end closed, with a TLS alert or without a word
NEVER_RETAINED = (topics.COMMAND, topics.RESPONSE)


class Heard(NamedTuple):
    """Something for the loop: a leaf of topics.py, "seen", "bus" (up) or "receipt" (at: the cloud's clock)."""

    what: str
    payload: bytes = b""
    gate: int | None = None
    up: bool = False
    at: int = 0


class Publication(NamedTuple):
    """Something to be sent once there is a connection. expiry: seconds, None for ever."""

    topic: str
    payload: bytes
    retain: bool
    expiry: int | None


class Inbox:
    """What waits for the loop, bounded whatever is sent: the newest of each document, some notes, some orders."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._levels: dict[str, Heard] = {}
        self._notes: deque[Heard] = deque(maxlen=NOTES_MAX)
        self._orders: deque[Heard] = deque(maxlen=ORDERS_MAX)
        self.dropped = 0

    def put(self, heard: Heard) -> None:
        with self._lock:
            if heard.what == "seen":
                self.dropped += len(self._notes) == NOTES_MAX
                self._notes.append(heard)
            elif heard.what in NEVER_RETAINED:
                self.dropped += len(self._orders) == ORDERS_MAX
                self._orders.append(heard)
            else:
                self._levels.pop(heard.what, None)
                self._levels[heard.what] = heard

    def take(self, notes_max: int = 32) -> list[Heard]:
        """Return what waits, documents before notes, at most notes_max notes at a time."""
        with self._lock:
            heard = [*self._levels.values(), *self._orders]
            self._levels.clear()
            self._orders.clear()
            while self._notes and notes_max > 0:
                heard.append(self._notes.popleft())
                notes_max -= 1
            return heard


class Broker:
    """One gate's session. start() returns at once; nothing raised by a broker or a payload leaves this class."""

    def __init__(
        self,
        settings: BrokerSettings,
        place: Place,
        key: SigningKey,
        journal: Journal,
        inbox: Inbox,
        health: Health,
        *,
        trust: Callable[[], Trust],
        birth: Callable[[], dict[str, Any]],
        now: Callable[[], float],
        session: str,
    ) -> None:
        self._settings, self._place, self._journal = settings, place, journal
        self._inbox, self._health = inbox, health
        self._birth, self._now = birth, now
        self._session = session
        self._sender = Sender(
            place,
            key,
            journal,
            health,
            trust=trust,
            publish=self._publish_segment,
            told=lambda at: inbox.put(Heard("receipt", at=at)),
        )
        self._woken = threading.Condition()
        self._stopping = False
        self._events: deque[tuple[str, Any]] = deque(maxlen=PUBACKS_MAX)
        self._receipts: deque[bytes] = deque(maxlen=RECEIPTS_MAX)
        self._publications: deque[Publication] = deque(maxlen=NOTES_MAX)
        self._notes: deque[tuple[float, bytes]] = deque(maxlen=NOTES_MAX)  # our own, with when they were told
        self._telemetry_at = 0.0
        self._up = False
        self._answered = False  # this connection has its CONNACK
        self._refused = False
        self._tls = context_of(settings) if settings.tls else None
        self._client = self._new_client()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    # --- what the loop uses -------------------------------------------------------------------------------------

    def start(self) -> None:
        self._connect()
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye (offline, retained) and close; returns within 3 s."""
        with self._woken:
            self._stopping = True
            self._woken.notify()
        if self._thread.is_alive():
            self._thread.join(2.0)
        if self._client.is_connected():
            last = self._publish(topics.STATE, self._state("offline"), qos=1, retain=True)
            if last is not None:
                _wait_published(last)
        self._client.disconnect()
        self._client.loop_stop()

    def wake(self) -> None:
        """New events are in the journal."""
        with self._woken:
            self._woken.notify()

    def tell_sisters(self, note: bytes) -> None:
        """Publish a KS1 to the other gates of the site; where the broker is not there, when it is, for two minutes."""
        self._notes.append((time.monotonic(), note))
        if self._up:
            self._publish_note(note, SEEN_EXPIRY_SECONDS)

    def _publish_note(self, note: bytes, expiry_seconds: int) -> None:
        own = topics.seen(self._place.district, self._place.site, self._place.gate)
        self._publications.append(Publication(own, note, False, expiry_seconds))
        self.wake()

    def say(self, leaf: str, payload: bytes, *, retain: bool = False, expiry: int | None = None) -> None:
        """Publish on one of the gate's own leaves (topics.UP), from any thread; kept until there is a connection.

        expiry: seconds. At most 256 wait; the oldest goes first.
        """
        self._publications.append(Publication(self._topic(leaf), payload, retain, expiry))
        self.wake()

    def _tell_sisters_again(self, now: float) -> None:
        """All notes of the last two minutes: what two gates did alone, one of them hears of now (P10)."""
        for told_at, note in list(self._notes):
            left = int(SEEN_EXPIRY_SECONDS - (now - told_at))
            if left > 0:
                self._publish_note(note, left)

    def announce(self) -> None:
        """Publish the birth again: documents or the mode have changed."""
        self._push("announce", None)

    def use_certificate(self) -> None:
        """Read the certificate's files again and connect with them. Raises CertificatesUnusable."""
        if self._tls is not None:
            read_again(self._tls, self._settings)
            self._up = self._refused = False  # what asks from now on is told of the new connection
            self._push("certificate", None)

    @property
    def up(self) -> bool:
        return self._up

    @property
    def refused(self) -> bool:
        """Whether the last attempt failed because one end does not want the other; not where the way there is cut."""
        return self._refused

    def _connect(self) -> None:
        """Let paho's thread connect, and reconnect for ever."""
        self._client.connect_async(
            self._settings.host,
            self._settings.port,
            keepalive=KEEPALIVE_SECONDS,
            clean_start=False,
            properties=_connect_properties(),
        )
        self._client.loop_start()

    # --- paho's thread: queue and return ------------------------------------------------------------------------

    def _new_client(self) -> mqtt.Client:
        place = self._place
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=topics.client_id(place.site, place.gate),
            protocol=mqtt.MQTTv5,
            reconnect_on_failure=True,
        )
        client.reconnect_delay_set(*RECONNECT_SECONDS)
        client.max_inflight_messages_set(RECEIVE_MAXIMUM)
        client.max_queued_messages_set(QUEUED_MAX)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail, client.on_subscribe = self._on_connect_fail, self._on_subscribe
        client.on_message, client.on_publish = self._on_message, self._on_publish
        will = Properties(PacketTypes.WILLMESSAGE)
        will.WillDelayInterval = WILL_DELAY_SECONDS
        client.will_set(self._topic(topics.STATE), self._state("offline"), qos=1, retain=True, properties=will)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        return client

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self._answered, self._refused = True, reason.value in UNWANTED
        if reason.is_failure:
            self._push("refused", str(reason))
            return
        place = self._place
        down = [topics.down(place.district, place.site, place.gate, leaf) for leaf in topics.DOWN]
        site = [topics.site_down(place.district, place.site, leaf) for leaf in topics.SITE_DOWN]
        notes = topics.seen_filter(place.district, place.site)
        options = SubscribeOptions(qos=1)
        client.subscribe([(topic, options) for topic in (*down, *site, notes)])
        self._push("connected", None)

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any) -> None:
        denied = sum(reason.is_failure for reason in reasons)
        self._push("subscribed", f"the broker denies {denied} of our topics" if denied else None)

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if not self._answered:  # TLS 1.3: a certificate is refused once we believe to be connected
            self._refused = reason.value == CUT_OFF
        self._answered = False
        self._push("disconnected", str(reason))

    def _on_connect_fail(self, _client: Any, _data: Any) -> None:
        self._refused = is_refusal(sys.exception())  # paho calls this where it has caught the error
        self._push("unreachable", None)

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self._push("puback", (mid, reason.value))

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = topics.parse(message.topic)
        except UnicodeDecodeError:
            topic = None
        place, payload = self._place, bytes(message.payload)
        if topic is None or (topic.district, topic.site) != (place.district, place.site):
            self._health.count("bus_foreign")
        elif topic.leaf == "seen":
            if topic.gate != place.gate:
                self._inbox.put(Heard("seen", payload, topic.gate))
        elif topic.gate not in (None, place.gate):
            self._health.count("bus_foreign")
        elif topic.leaf == topics.RECEIPT:
            self._receipts.append(payload)
            self.wake()
        elif topic.leaf in NEVER_RETAINED and message.retain:
            self._health.count("bus_retained_command")  # P-6: a retained command does not exist
        else:
            self._inbox.put(Heard(topic.leaf, payload))

    def _push(self, what: str, value: Any) -> None:
        self._events.append((what, value))
        self.wake()

    # --- our thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._once(time.monotonic())
                self._health.fault("outbox", None)
            except JournalFailed as failed:
                self._health.fault("outbox", failed.code)
                time.sleep(IDLE_SECONDS)
            except Exception as error:  # a fault of ours must not silence the gate: it is told, and tried again
                self._health.internal("outbox", error)
                time.sleep(IDLE_SECONDS)
            with self._woken:
                if not (self._stopping or self._events or self._receipts):
                    self._woken.wait(self._seconds_idle(time.monotonic()))

    def _seconds_idle(self, now: float) -> float:
        """For how long there is nothing to do but to listen. With no line nothing is due, whatever waits to be said."""
        if not self._up:
            return IDLE_SECONDS
        if self._publications or self._sender.has_unsent(now):
            return 0.0
        due = self._sender.next_due()
        return IDLE_SECONDS if due is None else min(max(0.01, due - now), IDLE_SECONDS)

    def _once(self, now: float) -> None:
        while self._events:
            self._happened(*self._events.popleft(), now)
        while self._receipts:
            self._sender.take_receipt(self._receipts.popleft(), now)
        self._keep_client_alive()
        if not self._up:
            return
        while self._publications:
            said = self._publications.popleft()
            self._client.publish(said.topic, said.payload, 1, said.retain, _expiring(said.expiry))
        self._sender.turn(now)
        if now >= self._telemetry_at:
            self._telemetry_at = now + TELEMETRY_SECONDS * CHANCE.uniform(0.9, 1.1)
            self._publish(topics.TELEMETRY, self._telemetry(), qos=0, expiry=TELEMETRY_EXPIRY_SECONDS)

    def tell_health_soon(self) -> None:
        """Send the next heartbeat now: something is wrong, or well again."""
        self._telemetry_at = 0.0

    def _happened(self, what: str, value: Any, now: float) -> None:
        if what == "puback":
            mid, reason = value
            self._sender.acknowledged(mid, reason, now)
        elif what == "subscribed":
            self._health.fault("broker", value)
            self._set_up(True)
            self._tell_sisters_again(now)
        elif what == "connected":
            self._sender.reconnected()
            self._publish(topics.STATE, self._state("online"), qos=1, retain=True)
        elif what == "announce" and self._up:
            self._publish(topics.STATE, self._state("online"), qos=1, retain=True)
        elif what == "certificate":
            self._inbox.put(Heard("bus", up=False))
            self._client.disconnect()
            self._client.loop_stop()
            self._connect()
        elif what == "refused":
            self._health.fault("broker", f"the broker refuses us: {value}")
        elif what == "unreachable":
            self._health.fault("broker", f"no broker at {self._settings.host}:{self._settings.port}")
        elif what == "disconnected":
            self._set_up(False)
            if self._health.fault_of("broker") is None:
                self._health.fault("broker", f"the broker went away: {value}")

    def _set_up(self, up: bool) -> None:
        if up != self._up:
            self._up = up
            self._inbox.put(Heard("bus", up=up))

    def _keep_client_alive(self) -> None:
        """Start paho's thread again where an error has killed it, on a new socket: the old one may repeat it."""
        thread = self._client._thread  # paho offers no question for it (None once it died); else the gate is silent
        if self._stopping or thread is not None and thread.is_alive():
            return
        self._health.count("mqtt_restarts")
        self._set_up(False)
        self._client.loop_stop()
        self._connect()

    def _publish_segment(self, segment: bytes) -> int | None:
        info = self._publish(topics.EVENTS, segment, qos=1)
        return None if info is None else info.mid

    def _publish(
        self, leaf: str, payload: bytes | str, *, qos: int, retain: bool = False, expiry: int | None = None
    ) -> mqtt.MQTTMessageInfo | None:
        info = self._client.publish(self._topic(leaf), payload, qos, retain, _expiring(expiry))
        return info if info.rc == mqtt.MQTT_ERR_SUCCESS else None

    def _topic(self, leaf: str) -> str:
        return topics.up(self._place.district, self._place.site, self._place.gate, leaf)

    def _state(self, state: str) -> str:
        return json.dumps({"v": 1, "state": state, "session": self._session, **self._birth()}, separators=(",", ":"))

    def _telemetry(self) -> str:
        return json.dumps(
            {"v": 1, "session": self._session, **self._health.telemetry(self._journal, self._now())},
            separators=(",", ":"),
        )


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = SESSION_EXPIRY_SECONDS
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    properties.MaximumPacketSize = PACKET_BYTES_MAX
    return properties


def _expiring(seconds: int | None) -> Properties | None:
    if seconds is None:
        return None
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = seconds
    return properties


def _wait_published(info: mqtt.MQTTMessageInfo) -> None:
    try:
        info.wait_for_publish(1.0)
    except (ValueError, RuntimeError):
        pass  # the connection went while saying goodbye; the will says it for us
