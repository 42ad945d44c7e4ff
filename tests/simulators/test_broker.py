"""The brokers that demo, stack and tests stand on, spoken to over MQTT 5."""

from __future__ import annotations

import queue
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from simulators.broker import RunningBroker, start_broker
from simulators.processes import WorldFault, wait_until

KINDS = ["mosquitto", "iotcore"]


def start_or_skip(directory: Path, kind: str) -> RunningBroker:
    try:
        return start_broker(directory, kind)
    except WorldFault as fault:
        if "was found" in str(fault):
            pytest.skip(str(fault))
        raise


class Client:
    """A guest of the broker with a session that outlives its connection."""

    def __init__(self, port: int, name: str) -> None:
        self.heard: queue.Queue[bytes] = queue.Queue()
        self.subscribed: queue.Queue[bool] = queue.Queue()
        self.connected: queue.Queue[bool] = queue.Queue()
        self.mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        self.mqtt.on_connect = lambda *_: self.connected.put(True)
        self.mqtt.on_subscribe = lambda *_: self.subscribed.put(True)
        self.mqtt.on_message = lambda _client, _data, message: self.heard.put(bytes(message.payload))
        self.mqtt.reconnect_delay_set(1, 1)
        lasting = Properties(PacketTypes.CONNECT)
        lasting.SessionExpiryInterval = 300
        self.mqtt.connect("127.0.0.1", port, clean_start=False, properties=lasting)
        self.mqtt.loop_start()
        self.connected.get(timeout=10)

    def subscribe(self, topic: str) -> None:
        self.mqtt.subscribe(topic, qos=1)
        self.subscribed.get(timeout=10)

    def stop(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_packet_of_128_kib_passes_the_broker(kind: str, tmp_path: Path) -> None:
    broker = start_or_skip(tmp_path / "b", kind)
    guest = Client(broker.port, "guest")
    try:
        guest.subscribe("big")
        guest.mqtt.publish("big", b"x" * (128 * 1024), qos=1)
        assert len(guest.heard.get(timeout=10)) == 128 * 1024
    finally:
        guest.stop()
        broker.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_broker_starts_again_at_once_on_its_port(kind: str, tmp_path: Path) -> None:
    broker = start_or_skip(tmp_path / "b", kind)
    guest = Client(broker.port, "guest")
    try:
        for _ in range(2):
            broker.kill()
            broker.start()
            guest.connected.get(timeout=10)
            guest.subscribe("word")
            guest.mqtt.publish("word", b"again", qos=1)
            assert guest.heard.get(timeout=10) == b"again"
    finally:
        guest.stop()
        broker.stop()


def test_mosquitto_keeps_a_retained_list_through_a_kill(tmp_path: Path) -> None:
    broker = start_or_skip(tmp_path / "b", "mosquitto")
    cloud = Client(broker.port, "cloud")
    cloud.mqtt.publish("list", b"retained", qos=1, retain=True).wait_for_publish(10)
    cloud.stop()
    kept = broker.directory / "mosquitto.db"
    wait_until(lambda: kept.exists() and b"retained" in kept.read_bytes(), 10, "nothing was written to the disk")
    broker.kill()
    broker.start()
    gate = Client(broker.port, "gate")
    try:
        gate.subscribe("list")
        assert gate.heard.get(timeout=10) == b"retained"
    finally:
        gate.stop()
        broker.stop()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    first = start_or_skip(tmp_path / "a", "auto")
    try:
        with pytest.raises(WorldFault, match=f"Port {first.port} is taken"):
            start_broker(tmp_path / "b", "auto", port=first.port)
    finally:
        first.stop()


def test_an_access_list_is_obeyed_or_refused_never_ignored(tmp_path: Path) -> None:
    with pytest.raises(WorldFault, match="iotcore cannot obey an access list"):
        RunningBroker(tmp_path / "b", "iotcore", acl=tmp_path / "acl")
