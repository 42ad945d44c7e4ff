"""One MQTT 5 session of the cloud, reconnecting for ever. Used by ingest and by the publisher of documents.

Responsible for: the address, the session (clean start 0, so the broker keeps what comes while we are away), manual
acknowledgement (a message is acked when it is safe, not when it is read), reconnects within two seconds.
Not responsible for: topics (protocols/topics.py) nor what a message means. Rules: P-6. Threads: paho reads and writes
on its own; callbacks run there and must only put things into queues.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from cloud.config import Settings
from protocols.limits import PACKET_BYTES_MAX, SESSION_EXPIRY_SECONDS

PORTS = {"mqtt": 1883, "mqtts": 8883}
KEEPALIVE_SECONDS = 20
RECONNECT_SECONDS = (1, 2)  # paho's own default lets a 20 s outage last 31
TAKE_OVER_SECONDS = 5.0  # for a broker to say who it takes us for
QUEUED_MAX = 10_000  # publications held while the broker is away; receipts are made again on resends

log = logging.getLogger("portillon.broker")


@dataclass(frozen=True)
class Line:
    """Where the broker is, and who we are to it. cert: certificate and key in one file (PEM); None: by name only."""

    url: str
    ca: Path | None = None
    cert: Path | None = None


def line_of(settings: Settings) -> Line:
    """Return the line of this process."""
    return Line(settings.broker_url, settings.broker_ca, settings.broker_cert)


@dataclass(frozen=True)
class Message:
    """Something heard. session: which connection it came by; an ack on a later one would hit another message."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    session: int


class Broker:
    """A session. `heard` and `connected` run on paho's thread."""

    def __init__(
        self, line: str | Line, client_id: str, filters: Sequence[str], heard: Callable[[Message], None],
        connected: Callable[[], None] = lambda: None, *, receive_maximum: int = 1_000,
    ) -> None:  # fmt: skip
        line = line if isinstance(line, Line) else Line(line)
        address = urlsplit(line.url)
        self._where = (address.hostname or "127.0.0.1", address.port or PORTS.get(address.scheme, 1883))
        self._filters, self._heard, self._connected = list(filters), heard, connected
        self._receive_maximum = receive_maximum
        self._session = 0
        self._complained = False
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5, manual_ack=True)
        self._client.reconnect_delay_set(*RECONNECT_SECONDS)
        self._client.max_queued_messages_set(QUEUED_MAX)
        self._client.max_inflight_messages_set(receive_maximum)
        if address.scheme == "mqtts":
            self._client.tls_set(ca_certs=_text(line.ca), certfile=_text(line.cert))
        if address.username:
            self._client.username_pw_set(address.username, address.password)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = lambda *_: self._complain("no answer")
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect in the background and stay connected; a broker that is not there is tried again and again."""
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_EXPIRY_SECONDS
        properties.ReceiveMaximum = self._receive_maximum
        properties.MaximumPacketSize = PACKET_BYTES_MAX
        self._client.connect_async(*self._where, keepalive=KEEPALIVE_SECONDS, clean_start=False, properties=properties)
        self._client.loop_start()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected()

    def acknowledge(self, message: Message) -> None:
        """Say that a message is safe. One of an earlier connection comes again by itself."""
        if message.qos and message.session == self._session:
            self._client.ack(message.mid, message.qos)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, expiry_seconds: int | None = None) -> None:
        """Send at QoS 1, now or when the broker is back."""
        properties = Properties(PacketTypes.PUBLISH)
        if expiry_seconds is not None:
            properties.MessageExpiryInterval = expiry_seconds
        self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)

    def _on_connect(self, client: mqtt.Client, _data: object, _flags: object, reason: object, _told: object) -> None:
        if getattr(reason, "is_failure", False):
            self._complain(str(reason))
            return
        self._session += 1
        self._complained = False
        log.info("connected to the broker at %s:%s", *self._where)
        for topic_filter in self._filters:
            client.subscribe(topic_filter, options=SubscribeOptions(qos=1))
        self._connected()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self._heard(Message(message.topic, bytes(message.payload), message.mid, message.qos, self._session))

    def _complain(self, why: str) -> None:
        if not self._complained:
            self._complained = True
            log.error("the broker at %s:%s does not take us: %s; trying again. Check PORTILLON_BROKER_URL",
                      *self._where, why)  # fmt: skip


def _text(file: Path | None) -> str | None:
    return str(file) if file else None


def take_over(line: Line, client_id: str) -> bool:
    """Connect under another client's name and leave at once: a broker ends the connection that had it.

    Returns whether the broker let us. Raises OSError where it cannot be reached. Blocks up to five seconds.
    """
    answered, address = threading.Event(), urlsplit(line.url)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5)
    if address.scheme == "mqtts":
        client.tls_set(ca_certs=_text(line.ca), certfile=_text(line.cert))
    taken: list[bool] = []

    def let_in(_client: mqtt.Client, _data: object, _flags: object, reason: object, _told: object) -> None:
        taken.append(not getattr(reason, "is_failure", True))
        answered.set()

    client.on_connect = let_in
    client.connect(address.hostname or "127.0.0.1", address.port or PORTS.get(address.scheme, 1883))
    client.loop_start()
    answered.wait(TAKE_OVER_SECONDS)
    client.disconnect()
    client.loop_stop()
    return any(taken)
