"""The publisher: what the broker retains is what was signed, also after rubbish, amnesia and restarts."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from cloud.downlink import Downlink
from cloud.fleet import service as fleet
from cloud.kit import clock
from cloud.kit.db import Database, RuleBroken
from cloud.passes.keys import KeyRing, Role, init_keys, load_ring, rotate_key, sign_request
from cloud.worker import Worker
from protocols.documents import Reader, load_gate_list, load_policy_list
from protocols.trust import load_trust_list
from simulators.broker import RunningBroker, start_broker
from tests.cast import Cast, a_district
from tests.gates import a_gate

PATIENCE_SECONDS = 60.0  # a bound for what is awaited; only a failure lasts so long


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    running = start_broker(tmp_path / "broker")
    yield running
    running.stop()


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return init_keys(tmp_path / "root", tmp_path / "keys", int(clock.now().timestamp()))


@pytest.fixture
def cast(database: Database, ring: KeyRing, tmp_path: Path) -> Cast:
    """The cast with one gate, its documents signed."""
    cast = a_district(database)
    a_gate(database, cast)
    Worker(database, tmp_path / "keys").settle()
    return cast


@pytest.fixture
def downlink(database: Database, cast: Cast, broker: RunningBroker, tmp_path: Path) -> Iterator[Downlink]:
    link = Downlink(database, broker.url, tmp_path / "keys")
    link.broker.start()
    yield link
    link.broker.stop()


class Retained:
    """What a gate that connects now is told."""

    def __init__(self, broker: RunningBroker) -> None:
        self.held: dict[str, bytes] = {}
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "101-11", protocol=mqtt.MQTTv5)
        self.client.on_message = lambda _c, _d, heard: self.held.update({heard.topic: bytes(heard.payload)})
        self.client.on_connect = self._subscribe
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()

    def _subscribe(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe("portillon/1/demo/101/_/dn/+", options=SubscribeOptions(qos=1))

    def leaf(self, name: str) -> bytes:
        return self.held.get(f"portillon/1/demo/101/_/dn/{name}", b"")

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def retained(broker: RunningBroker) -> Iterator[Retained]:
    listening = Retained(broker)
    yield listening
    listening.close()


def wait_until(condition: Callable[[], object], meanwhile: Callable[[], None] = lambda: None) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until, "not published in time"
        meanwhile()
        time.sleep(0.05)


def look_until(link: Downlink, condition: Callable[[], object]) -> None:
    wait_until(condition, link.look)


def forget(broker: RunningBroker) -> None:
    """A power cut after which the broker knows nothing: without this it may know what it saved the second before."""
    broker.kill()
    for saved in broker.directory.glob("mosquitto.db*"):
        saved.unlink()
    broker.start()


def test_a_gate_that_connects_finds_the_three_lists_of_its_site(
    downlink: Downlink, retained: Retained, ring: KeyRing
) -> None:
    look_until(downlink, lambda: len(retained.held) == 3)
    reader = Reader(ring.trust, 101, clock.now().timestamp())
    assert load_policy_list(retained.leaf("rl"), reader).version == 1
    assert list(load_gate_list(retained.leaf("gates"), reader).gates) == [11]
    assert load_trust_list(retained.leaf("keys"), ring.root_public, clock.now().timestamp()).held


@pytest.mark.parametrize("rubbish", [b"", b"{}", b"\x00" * 100_000])
def test_rubbish_in_the_place_of_a_list_is_replaced(downlink: Downlink, retained: Retained, rubbish: bytes) -> None:
    look_until(downlink, lambda: len(retained.held) == 3)
    good = retained.leaf("rl")
    retained.client.publish("portillon/1/demo/101/_/dn/rl", rubbish, qos=1, retain=True).wait_for_publish(5)
    wait_until(lambda: retained.leaf("rl") == rubbish)
    look_until(downlink, lambda: retained.leaf("rl") == good)


def test_a_broker_that_forgot_everything_is_told_again(
    downlink: Downlink, retained: Retained, broker: RunningBroker
) -> None:
    look_until(downlink, lambda: len(retained.held) == 3)
    retained.held.clear()
    forget(broker)
    look_until(downlink, lambda: len(retained.held) == 3)


def test_a_publisher_that_starts_again_repeats_nothing(
    database: Database, downlink: Downlink, retained: Retained, broker: RunningBroker, tmp_path: Path
) -> None:
    look_until(downlink, lambda: len(retained.held) == 3)
    again = Downlink(database, broker.url, tmp_path / "keys", name="2")
    sent: list[str] = []
    publish = again.broker.publish
    again.broker.publish = lambda topic, *rest, **more: (sent.append(topic), publish(topic, *rest, **more))[1]  # type: ignore
    again.broker.start()
    look_until(again, lambda: again.broker.is_connected)
    until = time.monotonic() + 2
    while time.monotonic() < until:
        again.look()
        time.sleep(0.05)
    again.broker.stop()
    assert sent == []


def test_a_rotated_key_is_published_and_an_older_trust_list_is_not(
    downlink: Downlink, retained: Retained, ring: KeyRing, tmp_path: Path
) -> None:
    now = int(clock.now().timestamp())
    look_until(downlink, lambda: retained.leaf("keys") == ring.trust_bytes)
    rotate_key(tmp_path / "keys", Role.ISSUER, now)
    sign_request(tmp_path / "root", tmp_path / "keys" / "trust.request", tmp_path / "keys" / "trust.kk1", now)
    fresh = load_ring(tmp_path / "keys", now)
    look_until(downlink, lambda: retained.leaf("keys") == fresh.trust_bytes)
    (tmp_path / "keys" / "trust.kk1").write_bytes(ring.trust_bytes)
    for _ in range(10):
        downlink.look()
        time.sleep(0.05)
    assert retained.leaf("keys") == fresh.trust_bytes


def send(database: Database, cast: Cast, leaf: str, body: bytes, expires_at: datetime | None = None) -> None:
    with database.tenant(cast.district) as tx:
        fleet.send_down(tx, cast.district, 11, leaf, body, retain=expires_at is None, expires_at=expires_at)


@contextmanager
def a_gate_that_hears(broker: RunningBroker, name: str) -> Iterator[list[mqtt.MQTTMessage]]:
    """What gate 11 is told on its own leaves from now on."""
    told: list[mqtt.MQTTMessage] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
    client.on_message = lambda _c, _d, message: told.append(message)

    def subscribe(client: mqtt.Client, *_: object) -> None:
        client.subscribe("portillon/1/demo/101/11/dn/+", options=SubscribeOptions(qos=1))

    client.on_connect = subscribe
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    try:
        yield told
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.fixture
def heard(broker: RunningBroker) -> Iterator[list[mqtt.MQTTMessage]]:
    with a_gate_that_hears(broker, "gate-11") as told:
        yield told


def last_of(heard: list[mqtt.MQTTMessage]) -> bytes:
    return bytes(heard[-1].payload) if heard else b""


def finds_retained(broker: RunningBroker, body: bytes) -> bool:
    """Whether a gate that connects now is told this first, and as a level."""
    with a_gate_that_hears(broker, "gate-11-again") as found:
        wait_until(lambda: found)
        return (bytes(found[0].payload), found[0].retain) == (body, True)


def test_the_newest_level_of_a_gate_is_retained_and_a_forgetful_broker_is_told_again(
    database: Database, cast: Cast, downlink: Downlink, broker: RunningBroker, heard: list[mqtt.MQTTMessage]
) -> None:
    send(database, cast, "dn/cfg", b"one")
    look_until(downlink, lambda: last_of(heard) == b"one")
    send(database, cast, "dn/cfg", b"two")
    look_until(downlink, lambda: last_of(heard) == b"two")
    assert finds_retained(broker, b"two")
    heard.clear()
    forget(broker)
    look_until(downlink, lambda: last_of(heard) == b"two")
    assert finds_retained(broker, b"two")


def test_an_older_level_that_a_broker_saved_is_replaced_by_the_newest(
    database: Database, cast: Cast, downlink: Downlink, retained: Retained, broker: RunningBroker,
    heard: list[mqtt.MQTTMessage],
) -> None:  # fmt: skip
    send(database, cast, "dn/cfg", b"two")
    look_until(downlink, lambda: last_of(heard) == b"two")
    retained.client.publish("portillon/1/demo/101/11/dn/cfg", b"one", qos=1, retain=True).wait_for_publish(5)
    wait_until(lambda: last_of(heard) == b"one")
    look_until(downlink, lambda: last_of(heard) == b"two")
    assert finds_retained(broker, b"two")


def test_a_message_with_an_end_is_sent_once_not_retained_and_not_after_its_end(
    database: Database, cast: Cast, downlink: Downlink, heard: list[mqtt.MQTTMessage]
) -> None:
    send(database, cast, "dn/cmd", b"too late", clock.now() - timedelta(seconds=1))
    send(database, cast, "dn/cmd", b"open", clock.now() + timedelta(seconds=15))
    look_until(downlink, lambda: heard)
    send(database, cast, "dn/rsp", b"answer", clock.now() + timedelta(seconds=60))
    look_until(downlink, lambda: len(heard) == 2)
    downlink.look()
    assert [(bytes(m.payload), m.retain) for m in heard] == [(b"open", False), (b"answer", False)]
    assert 0 < heard[0].properties.MessageExpiryInterval <= 15  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("leaf", "retain", "ends", "constraint"),
    [
        ("dn/cmd", True, False, "gate_message_levels_alone"), ("dn/rsp", True, False, "gate_message_levels_alone"),
        ("dn/cfg", False, True, "gate_message_levels_alone"), ("dn/cmd", False, False, "gate_message_ends"),
        ("dn/ack", False, True, "gate_message_leaf"),
    ],
)  # fmt: skip
def test_the_database_refuses_a_retained_command(
    database: Database, cast: Cast, leaf: str, retain: bool, ends: bool, constraint: str
) -> None:
    expires_at = clock.now() + timedelta(seconds=10) if ends else None
    with pytest.raises(RuleBroken) as broken, database.tenant(cast.district) as tx:
        fleet.send_down(tx, cast.district, 11, leaf, b"x", retain=retain, expires_at=expires_at)
    assert (broken.value.sqlstate, broken.value.constraint) == ("23514", constraint)
