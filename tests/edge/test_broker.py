"""The gate's line to a real Mosquitto: drained by good receipts alone, bounded, and never a reason to stop the door."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from edge.broker import NOTES_MAX, ORDERS_MAX, Broker, Heard, Inbox
from edge.config import BrokerSettings
from edge.health import Health
from edge.journal import Journal, open_journal
from protocols import topics
from protocols.events import Clock, Event, Kind
from protocols.trust import Role, TrustedKey, trust_of
from tests.edge.line import (
    DISTRICT,
    GATE,
    GATE_KEY,
    NOW,
    PLACE,
    SITE,
    Cloud,
    Mosquitto,
    free_port,
    receipt_trust,
    until,
)

pytestmark = pytest.mark.serial


class Line:
    """A journal and its broker, as the loop would hold them."""

    def __init__(self, directory: Path, port: int, *, start: bool = True) -> None:
        self.journal: Journal = open_journal(directory / "data" / "journal.sqlite")
        self.inbox, self.health = Inbox(), Health(directory)
        self.trust = receipt_trust()
        self.broker = Broker(
            BrokerSettings(f"mqtt://127.0.0.1:{port}", None, None, None),
            PLACE,
            GATE_KEY,
            self.journal,
            self.inbox,
            self.health,
            trust=lambda: self.trust,
            birth=lambda: {"boot": self.journal.boot, "firmware": "0.1.0", "documents": {}, "mode": "normal"},
            now=lambda: NOW,
            session="00112233445566778899aabbccddeeff",
        )
        if start:
            self.broker.start()

    def write(self, count: int, at_once: int = 1) -> None:
        for start in range(0, count, at_once):
            events = [an_event(start + n) for n in range(min(at_once, count - start))]
            self.journal.commit(events, [], NOW)
            self.broker.wake()

    def heard(self, what: str) -> list[Heard]:
        found: list[Heard] = []
        until(lambda: found.extend(h for h in self.inbox.take() if h.what == what) or found)
        return found


def an_event(number: int) -> Event:
    return Event(NOW * 1000 + number, number, 1, Clock.NTP, Kind.PHONE_PASS, {3: 7, 4: number})


@pytest.fixture
def line(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Line]:
    made = Line(tmp_path, mosquitto.port)
    yield made
    made.broker.stop()
    made.journal.close()


@pytest.fixture
def cloud(mosquitto: Mosquitto) -> Iterator[Callable[..., Cloud]]:
    made: list[Cloud] = []

    def make(**kept: object) -> Cloud:
        made.append(Cloud(mosquitto.port, **kept))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_every_event_arrives_and_its_receipt_empties_the_outbox(line: Line, cloud: Callable[..., Cloud]) -> None:
    ingest = cloud()
    line.write(200)
    until(lambda: line.journal.outbox_depth == 0)
    assert sorted(set(ingest.seqs())) == list(range(200))
    assert {s.epoch for s in ingest.segments} == {line.journal.epoch}
    assert line.heard("receipt")[0].at == NOW


def test_a_backlog_drains_in_segments_of_64(line: Line, cloud: Callable[..., Cloud]) -> None:
    line.write(3_000, at_once=500)
    began = time.monotonic()
    ingest = cloud()
    until(lambda: line.journal.outbox_depth == 0, 20)
    assert max(len(s.encoded) for s in ingest.segments) == 64
    assert time.monotonic() - began < 15


def test_an_ingest_that_subscribes_late_is_sent_again_soon(line: Line, cloud: Callable[..., Cloud]) -> None:
    until(lambda: line.broker.up)
    line.write(3)
    time.sleep(0.5)
    ingest = cloud()
    began = time.monotonic()
    until(lambda: line.journal.outbox_depth == 0)
    assert time.monotonic() - began < 2.5
    assert sorted(set(ingest.seqs())) == [0, 1, 2]


def test_at_most_64_events_are_on_the_wire_without_a_receipt(line: Line, cloud: Callable[..., Cloud]) -> None:
    ingest = cloud(answers=False)
    line.write(300, at_once=50)
    until(lambda: len(ingest.seqs()) >= 64)
    time.sleep(0.5)
    assert sorted(ingest.seqs()) == list(range(64))
    assert line.journal.outbox_depth == 300


def test_puback_alone_empties_nothing(line: Line, cloud: Callable[..., Cloud]) -> None:
    ingest = cloud(answers=False)
    line.write(5)
    until(lambda: len(ingest.seqs()) == 5)
    time.sleep(0.3)
    assert line.journal.outbox_depth == 5
    ingest.receipt(ingest.segments[-1])
    until(lambda: line.journal.outbox_depth == 0)


def test_a_forged_receipt_changes_nothing(line: Line, cloud: Callable[..., Cloud]) -> None:
    stranger = SigningKey(b"\x66" * 32)
    ingest = cloud(key=stranger)
    line.write(3)
    until(lambda: line.health.counters.get("receipt_RECEIPT_KEY"))
    assert line.journal.outbox_depth == 3
    line.trust = trust_of([TrustedKey(bytes(stranger.verify_key), Role.ISSUER)])
    ingest.receipt(ingest.segments[0])
    until(lambda: line.health.counters.get("receipt_RECEIPT_KEY", 0) >= 2)
    assert line.journal.outbox_depth == 3


def test_a_receipt_with_another_head_gate_or_epoch_changes_nothing(line: Line, cloud: Callable[..., Cloud]) -> None:
    ingest = cloud(answers=False)
    line.write(1)
    segment = until(lambda: list(ingest.segments))[0]
    ingest.receipt(segment, head=bytes(32))
    ingest.receipt(segment, gate=GATE + 1)
    ingest.receipt(segment, epoch=segment.epoch ^ 1)
    ingest.receipt(segment, upto=10)
    names = ("receipt_OTHER_HEAD", "receipt_OTHER_GATE", "receipt_OTHER_EPOCH", "receipt_UNKNOWN_SEQ")
    until(lambda: all(line.health.counters.get(name) for name in names))
    assert line.journal.outbox_depth == 1
    ingest.receipt(segment)
    until(lambda: line.journal.outbox_depth == 0)


def test_rubbish_on_every_topic_neither_stops_nor_grows_the_gate(line: Line, cloud: Callable[..., Cloud]) -> None:
    ingest = cloud()
    until(lambda: line.broker.up)
    rubbish = [b"", b"\0", b"{}", b"\xd2\x84", b"A" * 100_000, bytes(range(256)) * 200]
    for payload in rubbish:
        for leaf in (topics.RECEIPT, topics.CONFIGURATION, topics.COMMAND):
            ingest.publish_down(leaf, payload)
        for leaf in topics.SITE_DOWN:
            ingest.client.publish(topics.site_down(DISTRICT, SITE, leaf), payload, qos=1)
        ingest.client.publish(topics.seen(DISTRICT, SITE, 12), payload, qos=1)
    heard = []
    until(lambda: heard.extend(line.inbox.take()) or any(h.what == "seen" and len(h.payload) > 50_000 for h in heard))
    line.write(3)
    until(lambda: line.journal.outbox_depth == 0)
    assert {h.what for h in heard} >= {*topics.SITE_DOWN, topics.CONFIGURATION, topics.COMMAND, "seen"}


def test_a_flood_of_notes_stays_within_its_bound(line: Line, cloud: Callable[..., Cloud]) -> None:
    ingest = cloud()
    until(lambda: line.broker.up)
    for number in range(5_000):
        ingest.client.publish(topics.seen(DISTRICT, SITE, 12), number.to_bytes(4, "big") * 50, qos=0)
    line.write(5)
    until(lambda: line.journal.outbox_depth == 0, 15)
    assert line.inbox.dropped > 0
    assert len(line.inbox.take(notes_max=100_000)) <= NOTES_MAX + 10


def test_only_the_newest_of_each_document_waits_for_the_loop() -> None:
    inbox = Inbox()
    for number in range(1_000):
        inbox.put(Heard(topics.POLICY, b"%d" % number))
        inbox.put(Heard(topics.COMMAND, b"%d" % number))
    heard = inbox.take()
    assert [h.payload for h in heard if h.what == topics.POLICY] == [b"999"]
    assert len([h for h in heard if h.what == topics.COMMAND]) == ORDERS_MAX


def test_a_retained_command_is_not_heard(mosquitto: Mosquitto, tmp_path: Path, cloud: Callable[..., Cloud]) -> None:
    ingest = cloud()
    ingest.publish_down(topics.COMMAND, b"open", retain=True)
    time.sleep(0.2)
    line = Line(tmp_path, mosquitto.port)
    until(lambda: line.health.counters.get("bus_retained_command"))
    assert not [h for h in line.inbox.take() if h.what == topics.COMMAND]
    line.broker.stop()


def test_a_broker_that_forgets_everything_costs_nothing(line: Line, mosquitto: Mosquitto) -> None:
    ingest = Cloud(mosquitto.port, answers=False)
    line.write(10)
    until(lambda: len(ingest.seqs()) == 10)
    mosquitto.kill()
    until(lambda: not line.broker.up)
    line.write(5)
    mosquitto.start()
    answering = Cloud(mosquitto.port)
    until(lambda: line.journal.outbox_depth == 0, 10)
    assert sorted(set(answering.seqs())) == list(range(15))
    assert [h.up for h in line.heard("bus")][-1] is True
    ingest.close()
    answering.close()


def test_birth_and_death_are_retained_and_carry_one_session(line: Line, cloud: Callable[..., Cloud]) -> None:
    watcher = cloud()
    until(lambda: watcher.payloads(topics.STATE))
    line.broker.stop()
    states = until(lambda: watcher.payloads(topics.STATE) if len(watcher.payloads(topics.STATE)) > 1 else None)
    first, last = json.loads(states[0]), json.loads(states[-1])
    assert (first["state"], last["state"]) == ("online", "offline")
    assert first["session"] == last["session"] == "00112233445566778899aabbccddeeff"
    assert (first["v"], first["boot"], first["mode"]) == (1, 1, "normal")


def test_telemetry_says_what_is_known_and_null_for_the_rest(
    cloud: Callable[..., Cloud], mosquitto: Mosquitto, tmp_path: Path
) -> None:
    watcher = cloud()
    line = Line(tmp_path, mosquitto.port)
    told = json.loads(until(lambda: watcher.payloads(topics.TELEMETRY))[0])
    assert {"v", "session", "outbox", "oldest_s", "frame_age_s", "read_ms", "temperature_c", "disk_free_mb"} <= set(
        told
    )
    assert {"commit_ms", "clock", "offset_ms", "restarts"} <= set(told)
    assert (told["v"], told["frame_age_s"], told["read_ms"]) == (1, None, None)
    line.broker.stop()


def test_a_note_reaches_the_sisters_and_never_its_own_gate(line: Line, cloud: Callable[..., Cloud]) -> None:
    sister = cloud()
    until(lambda: line.broker.up)
    line.broker.tell_sisters(b"note")
    assert until(lambda: sister.payloads(f"seen/{GATE}")) == [b"note"]
    time.sleep(0.2)
    assert not [h for h in line.inbox.take() if h.what == "seen"]


def test_notes_of_the_last_two_minutes_go_out_when_the_broker_is_there(
    tmp_path: Path, mosquitto: Mosquitto, cloud: Callable[..., Cloud]
) -> None:
    alone, sister = Line(tmp_path, mosquitto.port, start=False), cloud()
    for note in (b"too old", b"alone", b"alone too"):
        alone.broker.tell_sisters(note)
    alone.broker._notes[0] = (time.monotonic() - 120, b"too old")
    alone.broker.start()
    assert until(lambda: len(sister.payloads(f"seen/{GATE}")) == 2)
    assert sister.payloads(f"seen/{GATE}") == [b"alone", b"alone too"]
    alone.broker.stop()


def test_a_broker_that_refuses_says_why_and_is_tried_again(tmp_path: Path) -> None:
    refusing = Mosquitto(tmp_path, "allow_anonymous false\n")
    line = Line(tmp_path, refusing.port)
    line.write(3)
    said = until(lambda: line.health.fault_of("broker"))
    assert "Not authorized" in said
    refusing.kill()
    (tmp_path / "mosquitto.conf").write_text(f"listener {refusing.port} 127.0.0.1\nallow_anonymous true\n")
    refusing.start()
    until(lambda: line.broker.up, 10)
    until(lambda: line.health.fault_of("broker") is None)
    line.broker.stop()
    refusing.kill()


def test_no_broker_at_all_is_a_fault_and_nothing_more(tmp_path: Path) -> None:
    line = Line(tmp_path, free_port())
    line.write(3)
    assert "no broker at 127.0.0.1" in until(lambda: line.health.fault_of("broker"))
    assert line.journal.outbox_depth == 3
    began = time.monotonic()
    line.broker.stop()
    assert time.monotonic() - began < 4


def test_a_broker_that_speaks_rubbish_does_not_silence_the_gate_for_good(tmp_path: Path) -> None:
    port = free_port()
    impostor = socket.create_server(("127.0.0.1", port))
    answered = threading.Event()
    threading.Thread(target=speak_rubbish, args=(impostor, answered), daemon=True).start()
    line = Line(tmp_path, port)
    assert answered.wait(10)
    line.write(2)
    impostor.close()
    broker = Mosquitto(tmp_path, "allow_anonymous true\n", port=port)
    ingest = Cloud(port)
    until(lambda: line.journal.outbox_depth == 0, 15)
    line.broker.stop()
    ingest.close()
    broker.kill()


def test_a_network_thread_that_died_in_the_middle_of_a_session_is_replaced(
    line: Line, cloud: Callable[..., Cloud], monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: line.broker.up)
    monkeypatch.setattr(threading, "excepthook", lambda _died: None)
    client: Any = line.broker._client
    heard, client.on_message = client.on_message, lambda *_: 1 / 0
    ingest = cloud()
    ingest.client.publish(topics.site_down(DISTRICT, SITE, topics.MODE), b"anything", qos=1)
    until(lambda: client._thread is None)
    client.on_message = heard
    line.write(3)
    until(lambda: line.journal.outbox_depth == 0, 15)
    until(lambda: line.broker.up)
    assert line.health.counters["mqtt_restarts"] == 1


def test_a_broker_that_acknowledges_nothing_does_not_keep_the_gate_busy(tmp_path: Path) -> None:
    impostor = socket.create_server(("127.0.0.1", 0))
    line = Line(tmp_path, impostor.getsockname()[1])
    client = accept_session(impostor)
    until(lambda: line.broker.up)
    line.broker._client._max_queued_messages = 1  # its birth, never acknowledged, fills it
    line.write(60)
    began = time.process_time()
    time.sleep(1.5)
    assert time.process_time() - began < 0.5
    impostor.close()
    client.close()
    line.broker.stop()


def accept_session(server: socket.socket) -> socket.socket:
    """Answer one client's CONNECT and SUBSCRIBE as a broker does, and nothing after."""
    client, _ = server.accept()
    client.recv(4_096)
    client.sendall(b"\x20\x03\x00\x00\x00")
    heard = b""
    while (at := heard.find(b"\x82")) < 0 or len(heard) < at + 5:
        heard += client.recv(4_096)
    head = 3 if heard[at + 1] & 0x80 else 2  # bytes before the packet's number
    mid = heard[at + head : at + head + 2]
    client.sendall(b"\x90\x04" + mid + b"\x00\x00")
    return client


RUBBISH = (
    b"\x20\x09\x00\x00\x06\x22\xff",  # a CONNACK cut short in its properties
    b"\x20\x05\x00\x00\x02\xfe\xfe",  # a CONNACK with a property that does not exist
    b"\xff" * 64,
)


def speak_rubbish(server: socket.socket, answered: threading.Event) -> None:
    """Accept three clients and answer each with a packet that no MQTT library can read."""
    for rubbish in RUBBISH:
        try:
            client, _ = server.accept()
        except OSError:
            return
        client.recv(1024)
        client.sendall(rubbish)
        client.close()
    answered.set()


@pytest.mark.parametrize("topic", ["portillon/1/demo/101/12/dn/ack", "portillon/1/demo/102/11/dn/ack", "a/b", "$SYS/x"])
def test_a_message_for_somebody_else_is_not_taken(line: Line, topic: str) -> None:
    from paho.mqtt.client import MQTTMessage

    message = MQTTMessage(topic=topic.encode())
    message.payload = b"x"
    line.broker._on_message(line.broker._client, None, message)
    assert line.health.counters.get("bus_foreign") == 1


def test_what_is_said_before_there_is_a_connection_is_sent_when_there_is_one(
    tmp_path: Path, mosquitto: Mosquitto, cloud: Callable[..., Cloud]
) -> None:
    ingest = cloud()
    line = Line(tmp_path, mosquitto.port, start=False)
    line.broker.say(topics.REPORTED, b"a level", retain=True)
    line.broker.say(topics.REQUEST, b"a request", expiry=60)
    line.broker.start()
    until(lambda: ingest.payloads(topics.REPORTED) == [b"a level"] and ingest.payloads(topics.REQUEST))
    late = cloud()
    until(lambda: (topics.up(DISTRICT, SITE, GATE, topics.REPORTED), b"a level", True) in late.received)
    assert late.payloads(topics.REQUEST) == []
    line.broker.stop()
    line.journal.close()
    with pytest.raises(ValueError, match="no such leaf"):
        line.broker.say(topics.COMMAND, b"a gate commands nobody")


def test_with_no_line_what_waits_to_be_said_keeps_no_processor_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(tmp_path, free_port(), start=False)
    turns: list[float] = []
    once = line.broker._once
    monkeypatch.setattr(line.broker, "_once", lambda now: (turns.append(now), once(now)))
    line.broker.say(topics.REPORTED, b"a level", retain=True)
    line.write(1)
    line.broker.start()
    until(lambda: len(turns) > 2)  # it looks around now and then
    line.broker.stop()
    line.journal.close()
    assert len(turns) < 20 * (1 + turns[-1] - turns[0])


def test_answers_and_levels_of_the_cloud_are_heard(line: Line, cloud: Callable[..., Cloud]) -> None:
    until(lambda: line.broker.up)
    ingest = cloud()
    for leaf in (topics.RESPONSE, topics.CONFIGURATION, topics.JOB):
        ingest.publish_down(leaf, leaf.encode())
    heard: list[Heard] = []
    until(lambda: heard.extend(line.inbox.take()) or {h.what for h in heard} >= {topics.JOB, topics.CONFIGURATION})
    until(lambda: heard.extend(line.inbox.take()) or topics.RESPONSE in {h.what for h in heard})
    assert {h.payload for h in heard if h.what == topics.JOB} == {b"dn/job"}
