"""How many events a second ingest takes (verified, committed, receipted), beside what it is made of.

Real PostgreSQL with fsync, real broker, `portillon-cloud ingest` as a process of its own; the same rows and segments
in one run: signatures alone, the whole line, plain COPY alone. Prints one JSON document (see bench/run.py); `--json
PATH` keeps it as well. Not responsible for: the gate's side, whose journal is measured with the edge.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import paho.mqtt.client as mqtt
import psycopg
from nacl.signing import SigningKey
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from cloud.attendance.service import ref_of
from cloud.fleet.service import register_gate
from cloud.kit.db import Database
from cloud.kit.migrate import migrate
from cloud.passes.keys import KeyRing, init_keys
from cloud.people import service as people
from cloud.people.model import Tie
from cloud.schools import service as schools
from protocols import chain, cose, topics
from protocols.canonical import decode
from protocols.events import Clock, Detail, Event, Kind, build_segment, load_receipt
from protocols.limits import DOCUMENT_BYTES_MAX, DOCUMENT_ITEMS_MAX
from simulators.broker import start_broker
from simulators.database import RunningDatabase, start_database

GATES, EVENTS_PER_GATE, SEGMENT = 20, 960, 32
CHILDREN = 200
SITE = 101
SINGLES = 100  # events sent one by one, for the time from publish to receipt
LARGE = {"bytes_max": DOCUMENT_BYTES_MAX, "items_max": DOCUMENT_ITEMS_MAX}
WINDOW = 400  # segments under way: what broker and ingest hold at once
PATIENCE_SECONDS = 120.0


@dataclass
class Gate:
    number: int
    key: SigningKey
    events: list[bytes]
    segments: list[bytes]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", type=Path, help="keep the document here as well")
    arguments.add_argument("--database", default="auto", help="auto, system, wheel or timescale")
    told = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="portillon-bench-") as folder:
        document = measure(Path(folder), told.database)
    text = json.dumps(document)
    if told.json:
        told.json.write_text(text + "\n", encoding="utf-8")
    print(text)


def measure(folder: Path, kind: str) -> dict[str, Any]:
    server, broker = start_database(folder / "db", kind), start_broker(folder / "broker")
    try:
        with psycopg.connect(server.url, autocommit=True) as owner:
            owner.execute("CREATE DATABASE bench")
        migrate(server.database_url("bench"))
        ring = init_keys(folder / "root", folder / "keys", int(time.time()))
        gates = a_morning(server)
        events = GATES * EVENTS_PER_GATE
        alone = signatures(gates)
        whole, single_ms = line(server, broker.url, broker.port, folder, ring, gates)
        copied = plain_copy(server)
    finally:
        broker.stop()
        server.stop()
    rate = events / whole
    return {
        "title": "Ingest",
        "note": f"{events:,} arrivals of {GATES} gates in segments of {SEGMENT}, {os.cpu_count()} cores, PostgreSQL"
        f" {server.kind}, fsync on, {broker.kind}. One event alone, publish to receipt: p50 {single_ms[0]:.1f} ms,"
        f" p95 {single_ms[1]:.1f} ms",
        "columns": ["", "events/s", "of ingest"],
        "rows": [
            ["ingest: verified, committed, receipted", round(rate), 1.0],
            [f"signatures alone, one a segment of {SEGMENT}", round(events / alone), round(events / alone / rate, 1)],
            ["signatures alone, were there one an event", round(events / alone / SEGMENT),
             round(events / alone / SEGMENT / rate, 1)],
            ["plain COPY of the same rows, no key, no index", round(copied), round(copied / rate, 1)],
        ],
    }  # fmt: skip


def a_morning(server: RunningDatabase) -> list[Gate]:
    """A district with children and gates, and each gate's ledger, signed."""
    now = datetime.now(UTC)
    with Database(server.app_url("bench"), 2) as database:
        district = schools.put_district(database, "bench", "Bench", now)
        with database.tenant(district) as tx:
            school = schools.put_school(tx, district, sourced_id="s", site=SITE, name="School", level="kindergarten",
                                        timezone="Asia/Almaty", language="en")  # fmt: skip
            pairs = []
            for number in range(CHILDREN):
                child = people.put_child(
                    tx, district, sourced_id=f"c{number}", given=f"C{number}", family="", birth=None
                )
                people.enrol(tx, district, child, school, None, date(2020, 1, 1))
                parent = people.put_person(tx, district, sourced_id=f"p{number}", given="P", family="", language="en")
                people.tie_guardian(tx, district, Tie(child, parent, "mother", True, True, True, date(2020, 1, 1)))
                pairs.append((ref_of(tx, district, SITE, person_id=parent), ref_of(tx, district, SITE, child_id=child)))
            gates = [Gate(number, SigningKey.generate(), [], []) for number in range(1, GATES + 1)]
            for gate in gates:
                register_gate(tx, district, SITE, gate.number, f"gate {gate.number}", bytes(gate.key.verify_key), now)
    for gate in gates:
        write(gate, pairs, now - timedelta(hours=1))
    return gates


def write(gate: Gate, pairs: list[tuple[int, int]], begin: datetime) -> None:
    """Families of its own come and go through each gate, as they may: nothing here raises an incident."""
    own = pairs[gate.number % GATES :: GATES]
    for number in range(EVENTS_PER_GATE):
        holder, child = own[number % len(own)]
        detail = {Detail.HOLDER: holder, Detail.DIRECTION: 1 + number // len(own) % 2, Detail.CODE: "OPEN",
                  Detail.CHILDREN: [[child, 3]], Detail.THUMB: bytes(8), Detail.CTI: bytes(8),
                  Detail.PRESENTATION_IAT: 1_790_000_000, Detail.POLICY_VERSION: 1}  # fmt: skip
        at = int((begin + timedelta(seconds=3 * number)).timestamp() * 1000)
        gate.events.append(Event(at, number, 1, Clock.NTP, Kind.PHONE_PASS, detail).encode())
    heads = [chain.ZERO_HEAD, *chain.heads(chain.ZERO_HEAD, gate.events)]
    gate.segments = [
        build_segment(gate.key, gate.number, 1, first, heads[first], gate.events[first : first + SEGMENT])
        for first in range(0, EVENTS_PER_GATE, SEGMENT)
    ]


def signatures(gates: list[Gate]) -> float:
    """Seconds for the signatures of all segments alone."""
    signed = [
        (bytes(gate.key.verify_key), cose.read(decode(segment, **LARGE)))
        for gate in gates for segment in gate.segments
    ]  # fmt: skip
    begun = time.perf_counter()
    assert all(cose.verify_ed25519(public, one, b"KE1") for public, one in signed)
    return time.perf_counter() - begun


def line(server: RunningDatabase, url: str, port: int, folder: Path, ring: KeyRing,
         gates: list[Gate]) -> tuple[float, tuple[float, float]]:  # fmt: skip
    """Seconds from the first publication to the last receipt; then p50 and p95 of single events, in ms."""
    (folder / "secret").write_text("22" * 32)
    environment = {
        **os.environ, "PORTILLON_DATABASE_URL": server.app_url("bench"), "PORTILLON_BROKER_URL": url,
        "PORTILLON_KEYS_DIR": str(folder / "keys"), "PORTILLON_SECRET_FILE": str(folder / "secret"),
    }  # fmt: skip
    ingest = subprocess.Popen([Path(sys.executable).parent / "portillon-cloud", "ingest"], env=environment)
    sender = Sender(port, ring)
    try:
        extra = write_singles(gates[0])
        until = time.monotonic() + PATIENCE_SECONDS
        while not sender.send(gates[0].number, gates[0].segments[0], SEGMENT - 1, 2.0):  # until ingest listens
            assert time.monotonic() < until, "ingest does not answer"
        begun = time.perf_counter()
        sender.flood(gates)
        whole = time.perf_counter() - begun
        spans = sorted(sender.timed(gates[0].number, segment, upto) for segment, upto in extra)
        return whole, (spans[len(spans) // 2], spans[len(spans) * 95 // 100])
    finally:
        sender.close()
        ingest.terminate()
        ingest.wait(10)


def write_singles(gate: Gate) -> list[tuple[bytes, int]]:
    """One event a segment, after the gate's others."""
    head, made = chain.heads(chain.ZERO_HEAD, gate.events)[-1], []
    for number in range(SINGLES):
        event = Event(int(time.time() * 1000), number, 1, Clock.NTP, Kind.DOOR).encode()
        made.append((build_segment(gate.key, gate.number, 1, EVENTS_PER_GATE + number, head, [event]),
                     EVENTS_PER_GATE + number))  # fmt: skip
        head = chain.extend(head, event)
    return made


class Sender:
    """All gates' end of the wire on one connection: publishes in a window, waits for receipts."""

    def __init__(self, port: int, ring: KeyRing) -> None:
        self.ring, self.upto, self.told = ring, {}, threading.Condition()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "bench", protocol=mqtt.MQTTv5)
        self.client.max_inflight_messages_set(1_000)
        self.client.on_message = self._receipted
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe("portillon/1/bench/+/+/dn/ack", options=SubscribeOptions(qos=1))

    def _receipted(self, _client: object, _data: object, heard: mqtt.MQTTMessage) -> None:
        receipt = load_receipt(bytes(heard.payload), self.ring.trust, SITE)
        with self.told:
            self.upto[receipt.gate] = max(receipt.upto, self.upto.get(receipt.gate, -1))
            self.told.notify_all()

    def send(self, gate: int, segment: bytes, upto: int, seconds: float = PATIENCE_SECONDS) -> bool:
        self.client.publish(topics.up("bench", SITE, gate, topics.EVENTS), segment, qos=1)
        with self.told:
            return self.told.wait_for(lambda: self.upto.get(gate, -1) >= upto, seconds)

    def timed(self, gate: int, segment: bytes, upto: int) -> float:
        begun = time.perf_counter()
        assert self.send(gate, segment, upto)
        return (time.perf_counter() - begun) * 1_000

    def flood(self, gates: list[Gate]) -> None:
        for position in range(len(gates[0].segments)):
            for gate in gates:
                topic = topics.up("bench", SITE, gate.number, topics.EVENTS)
                self.client.publish(topic, gate.segments[position], qos=1)
            self._wait((position + 1) * len(gates) - WINDOW)
        self._wait(len(gates) * len(gates[0].segments))

    def _wait(self, segments: int) -> None:
        with self.told:
            assert self.told.wait_for(lambda: self._done() >= segments, PATIENCE_SECONDS), "ingest stands still"

    def _done(self) -> int:
        return sum((upto + 1) // SEGMENT for upto in self.upto.values())

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def plain_copy(server: RunningDatabase) -> float:
    """Rows a second of COPY alone, of the rows that ingest stored, into a table with neither key nor index."""
    with psycopg.connect(server.database_url("bench")) as owner:
        with owner.cursor().copy("COPY (SELECT * FROM attendance_event) TO STDOUT") as out:
            rows = b"".join(bytes(block) for block in out)
        owner.execute("CREATE TABLE plain (LIKE attendance_event)")
        owner.commit()
        begun = time.perf_counter()
        with owner.cursor().copy("COPY plain FROM STDIN") as into:
            into.write(rows)
        owner.commit()
        seconds = time.perf_counter() - begun
        count = owner.execute("SELECT count(*) FROM plain").fetchone()
    assert count
    return count[0] / seconds


if __name__ == "__main__":
    main()
