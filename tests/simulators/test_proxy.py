"""A line between a gate and a real broker: what it doubles, swaps, delays, cuts and swallows; else it is fair."""

import queue
import threading
import time
from collections.abc import Iterator

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from simulators.broker import RunningBroker, start_broker
from simulators.packets import NotMqtt, Publish, acknowledged, read_publish, sent_again, take_packet
from simulators.proxy import FAIR, Passed, Proxy, Weather

PATIENCE_SECONDS = 30.0  # a bound for what is awaited; only a failure lasts so long
GATE = 11
A_PUBLISH = bytes.fromhex("320d0003612f62000700") + b"hello"


class Session:
    """A client: what it heard, and what it was told of its publications."""

    def __init__(self, port: int, name: str, topic: str) -> None:
        self.heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.acknowledged: list[int] = []
        self.lost = threading.Event()
        self.ready = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: (client.subscribe(topic, qos=1), None)[1]
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = lambda _client, _data, message: self.heard.put(bytes(message.payload))
        self.client.on_publish = lambda _client, _data, mid, *_: self.acknowledged.append(mid)
        self.client.on_disconnect = lambda *_: self.lost.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(PATIENCE_SECONDS)

    def say(self, topic: str, *bodies: bytes) -> None:
        for body in bodies:
            self.client.publish(topic, body, qos=1)

    def hears(self, count: int) -> list[bytes]:
        return [self.heard.get(timeout=PATIENCE_SECONDS) for _ in range(count)]

    def hears_nothing(self, seconds: float = 0.4) -> bool:
        time.sleep(seconds)
        return self.heard.empty()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    running = start_broker(tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def proxy(broker: RunningBroker) -> Iterator[Proxy]:
    proxy = Proxy([GATE], broker.port)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def gate(proxy: Proxy) -> Iterator[Session]:
    """A client over the line."""
    session = Session(proxy.ports[GATE], "gate", "down")
    yield session
    proxy.change(GATE)
    session.close()


@pytest.fixture
def cloud(broker: RunningBroker) -> Iterator[Session]:
    session = Session(broker.port, "cloud", "up")
    yield session
    session.close()


def test_a_fair_line_carries_both_ways_and_tells_who_watches(proxy: Proxy, gate: Session, cloud: Session) -> None:
    passed: queue.SimpleQueue[Passed] = queue.SimpleQueue()
    proxy.watchers.append(passed.put)
    gate.say("up", b"one", b"two")
    cloud.say("down", b"three")
    assert cloud.hears(2) == [b"one", b"two"] and gate.hears(1) == [b"three"]
    told = [passed.get(timeout=PATIENCE_SECONDS) for _ in range(3)]  # a watcher is told after the other end has it
    proxy.watchers.clear()
    said = sorted((one.gate, one.direction, one.publish.topic, one.publish.payload) for one in told)
    assert said == [(GATE, "down", "down", b"three"), (GATE, "up", "up", b"one"), (GATE, "up", "up", b"two")]


def test_a_doubled_publish_comes_twice_and_is_acknowledged_once(proxy: Proxy, gate: Session, cloud: Session) -> None:
    proxy.change(GATE, up=Weather(duplicate=True), down=Weather(duplicate=True))
    gate.say("up", b"one")
    cloud.say("down", b"two")
    assert cloud.hears(2) == [b"one"] * 2 and gate.hears(2) == [b"two"] * 2
    assert cloud.hears_nothing() and len(gate.acknowledged) == 1 and not gate.lost.is_set()


def test_reordered_publications_overtake_one_another_and_the_last_one_comes_too(
    proxy: Proxy, gate: Session, cloud: Session
) -> None:
    proxy.change(GATE, up=Weather(reorder=True))
    gate.say("up", b"1", b"2", b"3")
    assert cloud.hears(3) == [b"2", b"1", b"3"]


def test_a_delayed_publish_comes_late(proxy: Proxy, gate: Session, cloud: Session) -> None:
    proxy.change(GATE, up=Weather(delay_ms=600))
    began = time.monotonic()
    gate.say("up", b"late")
    assert cloud.hears(1) == [b"late"] and time.monotonic() - began >= 0.3


def test_one_direction_may_be_swallowed_and_the_line_is_new_afterwards(
    proxy: Proxy, gate: Session, cloud: Session
) -> None:
    proxy.change(GATE, up=Weather(swallow=True))
    gate.say("up", b"kept by nobody yet")
    cloud.say("down", b"heard")
    assert gate.hears(1) == [b"heard"] and cloud.hears_nothing()
    proxy.change(GATE)
    assert gate.lost.wait(PATIENCE_SECONDS), "a connection that lost something does not go on as if nothing was"
    assert cloud.hears(1) == [b"kept by nobody yet"], "paho sends again what was not acknowledged"


def test_a_cut_leaves_half_a_packet_and_ends_the_connection(proxy: Proxy, gate: Session, cloud: Session) -> None:
    before = proxy.counts["cut"]
    proxy.change(GATE, up=Weather(cut_after=1))
    gate.say("up", b"first", b"second")
    assert gate.lost.wait(PATIENCE_SECONDS) and proxy.counts["cut"] > before
    proxy.change(GATE, FAIR)
    heard = cloud.hears(2)
    assert {b"first", b"second"} <= {*heard, *([] if cloud.hears_nothing() else cloud.hears(1))}


def test_a_broker_that_is_away_is_met_as_without_a_line(proxy: Proxy) -> None:
    nowhere = Proxy([GATE], 1)
    nowhere.start()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "nobody", protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", nowhere.ports[GATE])
    assert client.loop(2.0) != mqtt.MQTT_ERR_SUCCESS or client.loop(2.0) != mqtt.MQTT_ERR_SUCCESS
    nowhere.stop()


def test_packets_are_cut_where_they_end_and_read_as_they_are() -> None:
    buffer = bytearray(A_PUBLISH + b"\xc0\x00" + A_PUBLISH[:4])
    first, second, third = take_packet(buffer), take_packet(buffer), take_packet(buffer)
    assert (first, second, third) == (A_PUBLISH, b"\xc0\x00", None) and bytes(buffer) == A_PUBLISH[:4]
    assert first and read_publish(first) == Publish("a/b", 1, 7, False, b"hello")
    assert first and sent_again(first)[0] == 0x3A and acknowledged(bytes.fromhex("40020007")) == 7


@pytest.mark.parametrize("rubbish", [b"\x30\xff\xff\xff\xff\x01", b"\x30\xff\xff\xff\x7f" + b"x" * 9])
def test_what_is_no_packet_is_refused_before_it_is_kept(rubbish: bytes) -> None:
    with pytest.raises(NotMqtt):
        take_packet(bytearray(rubbish))
