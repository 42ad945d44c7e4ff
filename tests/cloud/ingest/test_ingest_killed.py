"""Kill -9 of ingest, database and broker while segments come: every event stored once, none receipted before COMMIT."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from cloud.kit import clock
from cloud.kit.db import Database
from cloud.kit.migrate import migrate
from cloud.passes.keys import KeyRing, init_keys
from protocols import topics
from protocols.events import Kind, load_receipt
from simulators.broker import RunningBroker, start_broker
from simulators.database import RunningDatabase, start_database
from tests.cast import a_district
from tests.gates import Ledger, a_gate, an_event

pytestmark = [pytest.mark.serial, pytest.mark.database]

SEGMENTS, EVENTS = 60, 5  # 300 events, more than a morning of one gate
PATIENCE_SECONDS = 60.0


@dataclass
class World:
    server: RunningDatabase
    broker: RunningBroker
    ring: KeyRing
    ledger: Ledger
    owner_url: str
    environment: dict[str, str]

    def start_ingest(self) -> subprocess.Popen:
        command = [str(Path(sys.executable).parent / "portillon-cloud"), "ingest"]
        return subprocess.Popen(command, env=self.environment, stderr=subprocess.DEVNULL)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    server = start_database(tmp_path / "database", os.environ.get("PORTILLON_TEST_DATABASE", "auto"))
    broker = start_broker(tmp_path / "broker")
    with psycopg.connect(server.url, autocommit=True) as owner:
        owner.execute("CREATE DATABASE kills")
    migrate(server.database_url("kills"))
    ring = init_keys(tmp_path / "root", tmp_path / "keys", int(clock.now().timestamp()))
    with Database(server.app_url("kills"), 2) as database:
        ledger = a_gate(database, a_district(database))
    (tmp_path / "secret").write_text("11" * 32)
    environment = {
        **os.environ, "PORTILLON_DATABASE_URL": server.app_url("kills"), "PORTILLON_BROKER_URL": broker.url,
        "PORTILLON_KEYS_DIR": str(tmp_path / "keys"), "PORTILLON_SECRET_FILE": str(tmp_path / "secret"),
    }  # fmt: skip
    yield World(server, broker, ring, ledger, server.database_url("kills"), environment)
    broker.stop()
    server.stop()


class Sender:
    """The gate's end: sends what is not receipted again and again; checks each receipt against the database."""

    def __init__(self, world: World) -> None:
        self.world, self.upto, self.early = world, -1, 0
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "101-11", protocol=mqtt.MQTTv5)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._subscribe
        self.client.on_message = self._receipted
        self.client.connect("127.0.0.1", world.broker.port)
        self.client.loop_start()

    def _subscribe(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe(topics.down("demo", 101, 11, topics.RECEIPT), options=SubscribeOptions(qos=1))

    def _receipted(self, _client: object, _data: object, heard: mqtt.MQTTMessage) -> None:
        receipt = load_receipt(bytes(heard.payload), self.world.ring.trust, 101)
        assert receipt.head == self.world.ledger.head(receipt.upto + 1)
        self.early += self._stored() <= receipt.upto
        self.upto = max(self.upto, receipt.upto)

    def _stored(self) -> int:
        for _ in range(100):
            try:
                with psycopg.connect(self.world.owner_url, connect_timeout=2) as owner:
                    row = owner.execute("SELECT count(*) FROM ingest_receipt").fetchone()
                    return row[0] if row else 0
            except psycopg.OperationalError:
                time.sleep(0.2)
        raise AssertionError("the database did not come back")

    def run(self) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        total = SEGMENTS * EVENTS
        while self.upto < total - 1:
            assert time.monotonic() < until, f"receipted up to {self.upto} only"
            first = self.upto + 1
            for seq in range(first, min(first + 64, total), EVENTS):
                self.send(seq)
                time.sleep(0.02)
            time.sleep(0.3)

    def send(self, seq: int) -> None:
        self.client.publish(topics.up("demo", 101, 11, topics.EVENTS), self.world.ledger.sealed(seq, EVENTS), qos=1)

    def until(self, upto: int, again: Callable[[], None] = lambda: None) -> bool:
        """Wait for a receipt up to there, doing something every second."""
        begun = time.monotonic()
        while self.upto < upto and time.monotonic() - begun < PATIENCE_SECONDS:
            again()
            time.sleep(1)
        return self.upto >= upto

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_every_event_is_stored_once_whatever_is_killed(world: World) -> None:
    world.ledger.write(*[an_event(Kind.DOOR, mono_ms=n) for n in range(SEGMENTS * EVENTS)])
    ingests = [world.start_ingest()]
    sender = Sender(world)

    def kill() -> None:
        for turn in range(2):
            time.sleep(1.5)
            ingests[-1].send_signal(signal.SIGKILL)
            ingests[-1].wait()
            ingests.append(world.start_ingest())
            time.sleep(1.5)
            if turn == 0:
                world.server.kill()
                time.sleep(0.5)
                world.server.start()
            else:
                world.broker.kill()
                time.sleep(0.5)
                world.broker.start()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        sender.run()
    finally:
        killer.join()
        sender.close()
        ingests[-1].terminate()
        assert ingests[-1].wait(timeout=10) == 0
    assert sender.early == 0, "a receipt came before its COMMIT"
    with psycopg.connect(world.owner_url) as owner:
        rows = owner.execute("SELECT count(*), count(DISTINCT seq), max(seq) FROM attendance_event").fetchone()
        assert rows == (300, 300, 299)
        assert owner.execute("SELECT next_seq, forks FROM ledger").fetchone() == (300, 0)
        heads = owner.execute("SELECT head FROM ingest_receipt ORDER BY seq").fetchall()
    assert [bytes(head) for (head,) in heads] == [world.ledger.head(n + 1) for n in range(300)]


def test_a_database_that_is_away_is_waited_for_and_nothing_is_receipted_meanwhile(world: World) -> None:
    world.ledger.write(*[an_event(Kind.DOOR, mono_ms=n) for n in range(10)])
    ingest = world.start_ingest()
    sender = Sender(world)
    try:
        assert sender.until(4, lambda: sender.send(0)), "ingest takes segments"
        world.server.kill()
        sender.send(5)
        time.sleep(2)
        assert sender.upto == 4
        assert ingest.poll() is None, "it waits"
        world.server.start()
        begun = time.monotonic()
        assert sender.until(9), "taken without being sent again"
        assert time.monotonic() - begun < 10
        assert sender.early == 0
    finally:
        sender.close()
        ingest.terminate()
        assert ingest.wait(timeout=10) == 0
