"""The whole line with a real broker, a real database and real signatures: a segment goes in, a receipt comes out."""

import base64
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from cloud.fleet import service as fleet
from cloud.ingest import Ingest
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.passes.keys import KeyRing, init_keys
from protocols import topics
from protocols.events import Kind, Receipt, load_receipt
from protocols.gaps import missing_from
from simulators.broker import RunningBroker, start_broker
from tests.cast import Cast, a_district
from tests.conftest import Clone
from tests.gates import Ledger, a_gate, an_arrival, an_event, number_of

PATIENCE_SECONDS = 10.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    running = start_broker(tmp_path_factory.mktemp("broker"))
    yield running
    running.stop()


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return init_keys(tmp_path / "root", tmp_path / "keys", int(clock.now().timestamp()))


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


@pytest.fixture
def gate(database: Database, cast: Cast) -> Ledger:
    return a_gate(database, cast)


@pytest.fixture
def ingest(database: Database, broker: RunningBroker, ring: KeyRing) -> Iterator[Ingest]:
    running = an_ingest(database, broker, ring)
    yield running
    halt(running)


def an_ingest(database: Database, broker: RunningBroker, ring: KeyRing) -> Ingest:
    ingest = Ingest(database, broker.url, ring)
    ingest.thread = threading.Thread(target=ingest.run)  # type: ignore[attr-defined]
    ingest.thread.start()  # type: ignore[attr-defined]
    wait_for(lambda: ingest.broker.is_connected)
    time.sleep(0.2)
    return ingest


def halt(ingest: Ingest) -> None:
    ingest.stop.set()
    ingest.thread.join(timeout=5)  # type: ignore[attr-defined]


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


@dataclass
class Line:
    """A gate's end of the wire: publishes bytes, hears receipts."""

    broker: RunningBroker
    ring: KeyRing
    site: int = 101
    gate: int = 11
    receipts: "queue.Queue[Receipt]" = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, f"{self.site}-{self.gate}", protocol=mqtt.MQTTv5)
        ready = threading.Event()
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_message = lambda _c, _d, heard: self.receipts.put(
            load_receipt(bytes(heard.payload), self.ring.trust, self.site)
        )
        self.client.connect("127.0.0.1", self.broker.port)
        self.client.loop_start()
        self.client.subscribe(
            topics.down("demo", self.site, self.gate, topics.RECEIPT), options=SubscribeOptions(qos=1)
        )
        assert ready.wait(5)

    def send(self, payload: bytes, leaf: str = topics.EVENTS, *, topic: str = "", retain: bool = False) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        self.client.publish(
            topic or topics.up("demo", self.site, self.gate, leaf), payload, qos=1, retain=retain,
            properties=properties,
        ).wait_for_publish(5)  # fmt: skip

    def receipt(self, seconds: float = PATIENCE_SECONDS) -> Receipt:
        return self.receipts.get(timeout=seconds)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def forget_session(broker: RunningBroker, client: str) -> None:
    """Have the broker forget who will not come back: else its share of the messages waits for it."""
    last = mqtt.Client(CallbackAPIVersion.VERSION2, client, protocol=mqtt.MQTTv5)
    known = threading.Event()
    last.on_connect = lambda *_: known.set()
    last.connect("127.0.0.1", broker.port, clean_start=True)
    last.loop_start()
    assert known.wait(5)
    last.disconnect()
    last.loop_stop()


@pytest.fixture
def line(broker: RunningBroker, ring: KeyRing) -> Iterator[Line]:
    opened = Line(broker, ring)
    yield opened
    opened.close()


def ask(clone: Clone, query: str) -> list[tuple]:
    with psycopg.connect(clone.owner_url) as owner:
        return owner.execute(query).fetchall()  # type: ignore[arg-type]


def test_a_segment_is_committed_before_its_receipt_and_the_receipt_carries_its_head(
    database: Database, cast: Cast, gate: Ledger, ingest: Ingest, line: Line, clone: Clone
) -> None:
    mother, aigerim = number_of(database, cast, person=cast.mother), number_of(database, cast, child=cast.aigerim)
    gate.write(an_event(Kind.BOOT, clock.now()), an_arrival(mother, aigerim, at=clock.now()))
    line.send(gate.sealed())
    receipt = line.receipt()
    assert (receipt.gate, receipt.epoch, receipt.upto, receipt.head) == (11, 1, 1, gate.head(2))
    assert ask(clone, "SELECT count(*) FROM ingest_receipt") == [(2,)]
    assert ask(clone, "SELECT state FROM attendance_day") == [("in",)]
    assert ask(clone, "SELECT count(*) FROM attendance_incident") == [(0,)]


def test_the_same_segment_twice_is_stored_once_and_receipted_twice(
    gate: Ledger, ingest: Ingest, line: Line, clone: Clone
) -> None:
    gate.write(*[an_event(Kind.DOOR, mono_ms=n) for n in range(64)])
    line.send(gate.sealed())
    first = line.receipt()
    line.send(gate.sealed())
    assert line.receipt().head == first.head == gate.head(64)
    assert ask(clone, "SELECT count(*) FROM attendance_event") == [(64,)]


def test_a_segment_that_overtook_another_waits_for_it(gate: Ledger, ingest: Ingest, line: Line, clone: Clone) -> None:
    gate.write(*[an_event(Kind.DOOR, mono_ms=n) for n in range(4)])
    line.send(gate.sealed(2, 2))
    line.send(gate.sealed(0, 2))
    wait_for(lambda: line.receipt().upto == 3)
    assert ask(clone, "SELECT count(*) FROM gate_alarm") == [(0,)]


def test_a_gap_that_stays_is_an_alarm_and_never_receipted(
    gate: Ledger, ingest: Ingest, line: Line, clone: Clone
) -> None:
    gate.write(*[an_event(Kind.DOOR, mono_ms=n) for n in range(4)])
    line.send(gate.sealed(0, 1))
    line.send(gate.sealed(2, 2))
    wait_for(lambda: ask(clone, "SELECT code FROM gate_alarm") == [("LEDGER_GAP",)])
    told = line.receipt()
    while not told.codes:
        told = line.receipt()
        assert told.upto == 0
    assert (told.head, missing_from(told)) == (gate.head(1), 1), "the gate hears what the cloud lacks"
    line.send(gate.sealed(0, 4))
    wait_for(lambda: line.receipt().upto == 3)


def test_a_fork_rings_the_alarm_and_both_gates_are_answered(
    gate: Ledger, ingest: Ingest, line: Line, clone: Clone
) -> None:
    gate.write(an_event(Kind.BOOT), an_event(Kind.DOOR))
    twin = gate.copied(1)
    twin.write(an_event(Kind.DOOR, mono_ms=9))
    line.send(gate.sealed())
    assert line.receipt().head == gate.head(2)
    line.send(twin.sealed())
    assert line.receipt().head == twin.head(2)
    assert ask(clone, "SELECT code FROM gate_alarm") == [("LEDGER_FORK",)]
    assert ask(clone, "SELECT seq, fork FROM attendance_event ORDER BY seq, fork") == [(0, 0), (1, 0), (1, 1)]


def refused(clone: Clone, ingest: Ingest, line: Line, code: str) -> None:
    wait_for(lambda: ask(clone, "SELECT code FROM dead_letter") == [(code,)])
    assert line.receipts.empty()
    assert ask(clone, "SELECT count(*) FROM attendance_event") == [(0,)]


def test_a_segment_signed_by_another_key_goes_to_the_dead_letters_with_an_alarm(
    database: Database, cast: Cast, gate: Ledger, ingest: Ingest, line: Line, clone: Clone
) -> None:
    other = a_gate(database, cast, 12, seed=12)
    gate.write(an_event(Kind.DOOR))
    line.send(gate.sealed(key=other.key))
    refused(clone, ingest, line, "SEGMENT_KEY")
    assert ask(clone, "SELECT gate, code FROM gate_alarm") == [(11, "SEGMENT_SIGNATURE")]


def test_a_gate_nobody_registered_is_not_believed(gate: Ledger, ingest: Ingest, line: Line, clone: Clone) -> None:
    gate.write(an_event(Kind.DOOR))
    line.send(gate.sealed(), topic=topics.up("demo", 101, 999, topics.EVENTS))
    refused(clone, ingest, line, "GATE_UNKNOWN")


def test_a_revoked_gate_is_not_believed_any_more(
    database: Database, cast: Cast, gate: Ledger, ingest: Ingest, line: Line, clone: Clone
) -> None:
    with database.tenant(cast.district) as tx:
        fleet.revoke_gate(tx, cast.district, 11, clock.now())
    gate.write(an_event(Kind.DOOR))
    line.send(gate.sealed())
    refused(clone, ingest, line, "GATE_REVOKED")


@pytest.mark.parametrize("place", [("demo", 102), ("elsewhere", 101)])
def test_a_gate_at_another_place_than_its_own_is_not_believed(
    gate: Ledger, ingest: Ingest, line: Line, clone: Clone, place: tuple[str, int]
) -> None:
    gate.write(an_event(Kind.DOOR))
    line.send(gate.sealed(), topic=topics.up(*place, 11, topics.EVENTS))
    refused(clone, ingest, line, "GATE_ELSEWHERE")


def test_a_segment_of_one_gate_sent_by_another_of_the_same_key_holder_is_refused(
    gate: Ledger, ingest: Ingest, line: Line, clone: Clone
) -> None:
    gate.write(an_event(Kind.DOOR))
    gate.gate = 13
    line.send(gate.sealed())
    refused(clone, ingest, line, "SEGMENT_GATE")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "SEGMENT_FORMAT"),
        (b"\x00" * 100, "SEGMENT_FORMAT"),
        (b"\x9f" * 5_000, "SEGMENT_FORMAT"),
        (b'{"v":1}', "SEGMENT_FORMAT"),
        (b"\x84" + b"\xff" * 60_000, "SEGMENT_FORMAT"),
        (b"x" * 70_000, "SEGMENT_SIZE"),
    ],
)
def test_rubbish_is_kept_with_a_code_and_stops_nobody(
    gate: Ledger, ingest: Ingest, line: Line, clone: Clone, payload: bytes, code: str
) -> None:
    line.send(payload)
    refused(clone, ingest, line, code)
    gate.write(an_event(Kind.DOOR))
    line.send(gate.sealed())
    assert line.receipt().upto == 0


def test_a_good_segment_in_one_batch_with_a_bad_one_is_taken(
    database: Database, cast: Cast, gate: Ledger, ingest: Ingest, line: Line, clone: Clone
) -> None:
    gate.write(*[an_event(Kind.DOOR, mono_ms=n) for n in range(40)])
    for seq in range(40):
        line.client.publish(topics.up("demo", 101, 11, topics.EVENTS), b"rubbish %d" % seq, qos=1)
        line.client.publish(topics.up("demo", 101, 11, topics.EVENTS), gate.sealed(seq, 1), qos=1)
    wait_for(lambda: line.receipt().upto == 39)
    wait_for(lambda: ask(clone, "SELECT count(*) FROM dead_letter") == [(40,)])


def test_birth_telemetry_and_will_reach_the_fleet_and_a_stale_will_does_not(
    database: Database, cast: Cast, gate: Ledger, ingest: Ingest, line: Line, clone: Clone
) -> None:
    def state() -> tuple:
        return ask(clone, "SELECT state, session, telemetry ->> 'outbox' FROM gate")[0]

    birth = {"v": 1, "state": "online", "session": "ab" * 8, "boot": 3, "firmware": "0.1.0", "documents": {"KR1": 1}}
    line.send(json.dumps(birth).encode(), topics.STATE, retain=True)
    wait_for(lambda: state() == ("online", "ab" * 8, None))
    line.send(json.dumps({"v": 1, "session": "ab" * 8, "outbox": 7, "x": "\x1b[2J"}).encode(), topics.TELEMETRY)
    wait_for(lambda: state()[2] == "7")
    line.send(json.dumps({"v": 1, "state": "offline", "session": "00" * 8}).encode(), topics.STATE)
    line.send(b"{" * 9, topics.STATE)
    wait_for(lambda: ask(clone, "SELECT code FROM dead_letter") == [("REPORT_FORMAT",)])
    assert state()[0] == "online", "a will of an old session is ignored"
    line.send(json.dumps({"v": 1, "state": "offline", "session": "ab" * 8}).encode(), topics.STATE)
    wait_for(lambda: state()[0] == "offline")
    line.send(b"", topics.STATE, retain=True)


def test_a_gate_that_went_and_came_back_while_its_birth_still_waited_is_online(
    database: Database, broker: RunningBroker, ring: KeyRing, gate: Ledger, line: Line, clone: Clone
) -> None:
    birth = {"v": 1, "state": "online", "session": "ab" * 8, "boot": 3, "firmware": "0.1.0", "documents": {"KR1": 1}}
    online, will = json.dumps(birth).encode(), json.dumps({"v": 1, "state": "offline", "session": "ab" * 8}).encode()
    ingest = Ingest(database, broker.url, ring)
    ingest.broker.start()

    def settled(wanted: tuple[str, str | None]) -> bool:
        ingest.settle()
        return ask(clone, "SELECT state, telemetry ->> 'outbox' FROM gate") == [wanted]

    wait_for(lambda: (line.send(online, topics.STATE), settled(("online", None)))[1])
    for said in (online, will, online):
        line.send(said, topics.STATE)
    line.send(json.dumps({"v": 1, "session": "ab" * 8, "outbox": 7}).encode(), topics.TELEMETRY)
    time.sleep(0.3)  # all wait by now; were it too short, less would be asked
    wait_for(lambda: settled(("online", "7")))
    ingest.broker.stop()


def test_what_came_while_ingest_was_away_is_taken_when_it_is_back(
    database: Database, broker: RunningBroker, ring: KeyRing, gate: Ledger, line: Line, clone: Clone
) -> None:
    first = an_ingest(database, broker, ring)
    halt(first)
    gate.write(an_event(Kind.DOOR))
    line.send(gate.sealed())
    second = an_ingest(database, broker, ring)
    assert line.receipt().head == gate.head(1)
    halt(second)


def test_a_receipt_that_was_never_sent_is_sent_after_the_next_start(
    database: Database, cast: Cast, broker: RunningBroker, ring: KeyRing, gate: Ledger, line: Line
) -> None:
    from cloud.attendance.model import Sent
    from cloud.attendance.service import record_batch

    gate.write(an_event(Kind.DOOR))
    with database.tenant(cast.district) as tx:  # as if killed between COMMIT and receipt
        record_batch(tx, cast.district, [Sent(101, gate.segment())], clock.now())
    running = an_ingest(database, broker, ring)
    assert line.receipt().head == gate.head(1)
    halt(running)


def test_a_segment_that_the_database_refuses_is_kept_and_its_neighbours_are_taken(
    database: Database, cast: Cast, gate: Ledger, ingest: Ingest, line: Line, clone: Clone
) -> None:
    other = a_gate(database, cast, 12, seed=12)
    for ledger in (gate, other):
        ledger.write(an_event(Kind.DOOR))
    with psycopg.connect(clone.owner_url) as owner:  # a row that must not be there: as after a botched restore
        owner.execute("INSERT INTO ingest_receipt VALUES (%s, 11, 1, 0, %s, now())", (cast.district, bytes(32)))
    second = Line(line.broker, line.ring, gate=12)
    line.client.publish(topics.up("demo", 101, 11, topics.EVENTS), gate.sealed(), qos=1)
    line.client.publish(topics.up("demo", 101, 12, topics.EVENTS), other.sealed(), qos=1)
    assert second.receipt().head == other.head(1)
    second.close()
    wait_for(lambda: ask(clone, "SELECT gate, code FROM dead_letter") == [(11, "STORE_REFUSED")])
    assert line.receipts.empty()


def test_two_processes_share_the_work_and_store_everything_once(
    database: Database, broker: RunningBroker, ring: KeyRing, ingest: Ingest, gate: Ledger, line: Line, clone: Clone
) -> None:
    second = Ingest(database, broker.url, ring, name="2")
    thread = threading.Thread(target=second.run)
    thread.start()
    wait_for(lambda: second.broker.is_connected)
    time.sleep(0.3)
    gate.write(*[an_event(Kind.DOOR, mono_ms=n) for n in range(100)])
    until = time.monotonic() + 20
    upto = -1
    while upto < 99:  # the gate sends again what is not receipted
        assert time.monotonic() < until
        for seq in range(upto + 1, 100, 5):
            line.client.publish(topics.up("demo", 101, 11, topics.EVENTS), gate.sealed(seq, 5), qos=1)
        time.sleep(1)
        while not line.receipts.empty():
            upto = max(upto, line.receipt().upto)
    second.stop.set()
    thread.join(5)
    forget_session(broker, "portillon-ingest-2")
    assert ask(clone, "SELECT count(*), count(DISTINCT seq) FROM attendance_event") == [(100, 100)]
    assert ask(clone, "SELECT count(*) FROM ledger_fork") == [(0,)]
    assert ingest.counts.events and second.counts.events, "both worked"


def test_what_a_gate_asks_or_answers_waits_for_the_worker_bounded_and_only_from_its_own_place(
    database: Database, cast: Cast, gate: Ledger, ingest: Ingest, line: Line, clone: Clone
) -> None:
    line.send(b"from another place", topic="portillon/1/demo/999/11/up/req")
    line.send(b"a stranger", topic="portillon/1/demo/101/4000000/up/req")
    line.send(b"x" * 20_000, topics.REQUEST)
    wait_for(lambda: ("REPORT_SIZE",) in ask(clone, "SELECT code FROM dead_letter"))
    for number in range(40):
        line.send(b"question %d" % number, topics.REQUEST)
    line.send(b"{}", topics.REPORTED)
    wait_for(lambda: ("REPORT_FLOOD",) in ask(clone, "SELECT code FROM dead_letter"))
    time.sleep(0.3)
    jobs = ask(clone, "SELECT fact, what ->> 'leaf', what ->> 'body' FROM job WHERE fact = 'GateSaid' ORDER BY id")
    assert len(jobs) == 32
    assert jobs[0] == ("GateSaid", "up/req", base64.b64encode(b"question 0").decode())
