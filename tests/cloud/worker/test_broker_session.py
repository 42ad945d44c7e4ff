"""The cloud's MQTT session: what is not acknowledged comes again, and no more than a bound is under way."""

import queue
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cloud.kit.broker import Broker, Message
from simulators.broker import RunningBroker, start_broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    running = start_broker(tmp_path / "broker")
    yield running
    running.stop()


def publish(broker: RunningBroker, count: int) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "sender", protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for number in range(count):
        client.publish("t/x", b"%d" % number, qos=1).wait_for_publish(5)
    client.disconnect()
    client.loop_stop()


def a_session(broker: RunningBroker, heard: "queue.Queue[Message]", name: str = "one") -> Broker:
    connected: queue.Queue[bool] = queue.Queue()
    session = Broker(broker.url, name, ["t/+"], heard.put, lambda: connected.put(True), receive_maximum=5)
    session.start()
    assert connected.get(timeout=5)
    time.sleep(0.2)
    return session


def test_what_is_acknowledged_makes_room_for_the_rest(broker: RunningBroker) -> None:
    heard: queue.Queue[Message] = queue.Queue()
    session = a_session(broker, heard)
    publish(broker, 20)
    time.sleep(0.5)
    assert heard.qsize() == 5, "the broker waits for us"
    told = []
    while len(told) < 20:
        message = heard.get(timeout=5)
        told.append(int(message.payload))
        session.acknowledge(message)
    assert told == list(range(20))
    session.stop()


def test_what_was_not_acknowledged_comes_again_to_the_next_process(broker: RunningBroker) -> None:
    heard: queue.Queue[Message] = queue.Queue()
    first = a_session(broker, heard)
    publish(broker, 3)
    first.acknowledge(heard.get(timeout=5))
    time.sleep(0.2)
    first.stop()
    again: queue.Queue[Message] = queue.Queue()
    second = a_session(broker, again)
    assert [int(again.get(timeout=5).payload) for _ in range(2)] == [1, 2]
    second.stop()


def test_a_broker_that_is_not_there_is_waited_for(broker: RunningBroker) -> None:
    broker.stop()
    connected: queue.Queue[bool] = queue.Queue()
    session = Broker(broker.url, "late", ["t/+"], lambda _: None, lambda: connected.put(True))
    session.start()
    time.sleep(0.5)
    assert not session.is_connected
    broker.start()
    assert connected.get(timeout=10)
    session.stop()
