"""The fast lane: MQTT in, signatures, one transaction a batch and district, COMMIT, receipts out.

Responsible for: believing a segment only with the registered key of its gate, at its place; batching; a receipt after
COMMIT and never before; judging each pass again; dead letters; broker and database that come and go. Rules: P-5, P-6.
Not responsible for: what a fact means (attendance), nor its consequences (reactions.py, by a job entered with it).

Threads, not asyncio: paho brings a thread of its own, and the rest is one straight line a batch (verify, commit, sign,
publish), where asyncio would only add a second way to wait. Order within a gate is kept because one thread does it all;
more throughput is another process (`ingest --name 2`, a shared subscription).
"""

import logging
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
from nacl.signing import SigningKey

from cloud.attendance import service as attendance
from cloud.attendance.again import Knowledge, differences
from cloud.attendance.model import Due, NewFact, Recorded, Sent
from cloud.config import Settings
from cloud.fleet import saying
from cloud.fleet import service as fleet
from cloud.fleet.model import GateIdentity
from cloud.fleet.reports import ReportRefused, read_state, read_telemetry
from cloud.kit import clock
from cloud.kit.broker import Broker, Line, Message, line_of
from cloud.kit.db import Database, DatabaseAway, RuleBroken, Transaction
from cloud.kit.turns import Turns
from cloud.passes import service as passes
from cloud.passes.keys import KeyRing, KeysRefused, load_ring
from cloud.reactions import facts_recorded
from protocols import topics
from protocols.envelope import DocumentRefused
from protocols.events import Kind, Receipt, build_receipt, load_segment
from protocols.limits import DOCUMENT_BYTES_MAX, IN_FLIGHT_EVENTS_MAX, RECEIPT_EXPIRY_SECONDS
from protocols.passes import IN, OUT
from protocols.trust import Role

BATCH_SEGMENTS_MAX = 256  # at most 16,384 events in one transaction
RECEIVE_MAXIMUM = 1_000  # messages the broker may leave unacknowledged with us: the bound of the inbox
INBOX_MAX = 4_000  # QoS 0 telemetry is dropped beyond it; QoS 1 never comes to it
WAITING_MAX = 2 * IN_FLIGHT_EVENTS_MAX  # of one gate: what it may have in flight, and as much sent again
IN_TURN = 8  # messages of one gate in a batch: a storm of one delays the others by no more than these
WAIT_SECONDS = 0.5  # the loop looks around at least so often
PARKED_SECONDS = 2.0  # a segment that came too early waits so long for the one before it
PARKED_MAX = 1_000
RETRY_SECONDS = (0.1, 1.0)  # waits between tries of a database that is away
CONNECT_SECONDS = 1.0  # how long one try may take
SITES_KNOWN_MAX = 2_000
KNOWLEDGE_SECONDS = 5.0  # rights and orders of a site, as the second judgement knows them
JUST_NOW = timedelta(minutes=2)  # an event younger than this is judged by the rights of this moment
SAID_AGAIN = timedelta(minutes=10)  # receipts of ledgers that grew since are sent again after each connection
RING_SECONDS = 60.0  # a rotated receipt key is noticed within a minute
GROUP = "$share/ingest/"
REFUSED = 4  # exit code: a signature or a right is missing

log = logging.getLogger("portillon.ingest")


@dataclass(frozen=True)
class Genuine:
    """A message whose signature and place are right."""

    message: Message
    gate: GateIdentity
    sent: Sent


@dataclass
class Counts:
    """What this process did. Read by tests and by the bench."""

    segments: int = 0
    events: int = 0
    duplicates: int = 0
    receipts: int = 0
    dead: int = 0
    batches: int = 0
    surplus: int = 0


@dataclass
class _Parked:
    message: Message
    until: float


@dataclass
class Ingest:
    """One ingest process. `run` until `stop` is set; `settle` is one round, for tests and for the bench."""

    database: Database
    broker_url: str | Line
    ring: KeyRing
    name: str = "1"
    keys_dir: Path | None = None
    counts: Counts = field(default_factory=Counts)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._inbox: queue.Queue[Message | None] = queue.Queue(INBOX_MAX)
        self._turns: Turns[Message] = Turns(WAITING_MAX, IN_TURN)
        self._parked: list[_Parked] = []
        self._knowledge: dict[tuple[UUID, int, datetime], tuple[float, Knowledge]] = {}
        self._last_chance: set[int] = set()
        self._ring_until = time.monotonic() + RING_SECONDS
        shared = (topics.EVENTS, topics.TELEMETRY, *saying.ONCE)
        filters = [*(GROUP + topics.up_filter(leaf) for leaf in shared),
                   *(topics.up_filter(leaf) for leaf in (topics.STATE, topics.REPORTED))]  # fmt: skip
        self.broker = Broker(self.broker_url, f"portillon-ingest-{self.name}", filters, self._heard,
                             lambda: self._put(None), receive_maximum=RECEIVE_MAXIMUM)  # fmt: skip

    def run(self) -> None:
        """Take messages until told to stop. Nothing that happens to broker or database ends it."""
        self.broker.start()
        try:
            while not self.stop.is_set():
                self.settle()
        finally:
            self.broker.stop()

    def settle(self) -> None:
        """Wait for messages, then see a batch through: stored, committed, receipted, acknowledged."""
        batch = self._gather()
        if not batch:
            return
        wait, most = RETRY_SECONDS
        while not self.stop.is_set():
            try:
                self._see_through(batch)
                return
            except DatabaseAway as away:
                log.error("the database is away, %d messages wait: %s", len(batch), str(away).splitlines()[:1])
                self.stop.wait(wait)
                wait = min(wait * 2, most)

    def _heard(self, message: Message) -> None:
        self._put(message)

    def _put(self, item: Message | None) -> None:
        try:
            self._inbox.put_nowait(item)
        except queue.Full:  # only telemetry can get here: receive maximum bounds the rest
            log.warning("inbox full, a message without acknowledgement was dropped")

    def _gather(self) -> list[Message]:
        """Return what is next: parked segments first, then a few of each gate, in the order of arrival."""
        self._let_wait(0.0 if self._turns else 0.05 if self._parked else WAIT_SECONDS)
        batch = self._turns.take(BATCH_SEGMENTS_MAX)
        now = time.monotonic()
        self._last_chance = {id(parked.message) for parked in self._parked if parked.until <= now}
        if batch or self._last_chance:
            batch = [parked.message for parked in self._parked] + batch
            self._parked = []
        return batch

    def _let_wait(self, seconds: float) -> None:
        """Empty the inbox into the turns, waiting so long for its first. A segment without a place is sent again."""
        heard: list[Message | None] = []
        try:
            heard.append(self._inbox.get(timeout=seconds) if seconds else self._inbox.get_nowait())
            while len(heard) < INBOX_MAX:
                heard.append(self._inbox.get_nowait())
        except queue.Empty:
            pass
        for item in heard:
            if item is None:
                self._say_again()
            elif not self._turns.put(item.topic, item, once=item.payload if _is_segment(item) else None):
                self.counts.surplus += 1
                self.broker.acknowledge(item)

    def _see_through(self, batch: Sequence[Message]) -> None:
        now = clock.now()
        segments = [one for one in batch if _is_segment(one)]
        genuine = self._verified(segments, now)
        by_district: dict[UUID, list[Genuine]] = {}
        for one in genuine:
            by_district.setdefault(one.gate.district_id, []).append(one)
        for district_id, rows in by_district.items():
            self._record(district_id, rows, now)
        self._take_reports([one for one in batch if not _is_segment(one)], now)
        parked = {id(one.message) for one in self._parked}
        for message in batch:
            if id(message) not in parked:
                self.broker.acknowledge(message)
        self.counts.batches += 1

    # --- believing ----------------------------------------------------------------------------------------------

    def _verified(self, segments: Sequence[Message], now: datetime) -> list[Genuine]:
        places = [topics.parse(message.topic) for message in segments]
        with self.database.untenanted() as tx:
            known = fleet.gates_by_number(tx, [place.gate for place in places if place and place.gate])
        genuine, refused = [], []
        for message, place in zip(segments, places, strict=True):
            gate = known.get(place.gate or 0) if place else None
            code = _refusal(message, place, gate)
            if not code and gate:
                try:
                    segment = load_segment(message.payload, gate.public_key)
                    code = "" if segment.gate == gate.gate else "SEGMENT_GATE"
                    if not code:
                        genuine.append(Genuine(message, gate, Sent(gate.site, segment)))
                except DocumentRefused as error:
                    code = str(error.code)
            if code:
                refused.append((message, place.gate if place else None, gate, code))
        self._keep_dead(refused, now)
        return genuine

    def _keep_dead(
        self, refused: Sequence[tuple[Message, int | None, GateIdentity | None, str]], now: datetime
    ) -> None:
        for message, number, gate, code in refused:
            log.warning("dead letter %s from gate %s", code, number)
            with self.database.untenanted() as tx:
                fleet.keep_dead_letter(tx, number, code, message.payload, now)
            if gate and code == "SEGMENT_KEY":
                with self.database.tenant(gate.district_id) as tx:
                    fleet.raise_alarm(tx, gate.district_id, gate.gate, "SEGMENT_SIGNATURE", now)
            self.counts.dead += 1

    # --- storing ------------------------------------------------------------------------------------------------

    def _record(self, district_id: UUID, rows: Sequence[Genuine], now: datetime) -> None:
        """One transaction for the district; if a row is refused, one a segment, so that it stops nobody else."""
        try:
            recorded = self._commit(district_id, rows, now)
        except (RuleBroken, psycopg.DataError) as broken:
            if len(rows) == 1:
                log.error("the database refused a segment of gate %s: %s", rows[0].gate.gate, broken)
                self._keep_dead([(rows[0].message, rows[0].gate.gate, rows[0].gate, "STORE_REFUSED")], now)
                return
            for row in rows:
                self._record(district_id, [row], now)
            return
        missing = self._park(rows, recorded, now)
        self._keep_dead([(rows[position].message, rows[position].gate.gate, rows[position].gate, "LEDGER_FORKS")
                         for position in recorded.spent], now)  # fmt: skip
        self.counts.segments += len(rows)
        self.counts.events += recorded.stored
        self.counts.duplicates += recorded.duplicates
        self._receipt(rows[0].gate.district, {row.gate.gate: row.gate.site for row in rows}, [*recorded.dues, *missing])

    def _commit(self, district_id: UUID, rows: Sequence[Genuine], now: datetime) -> Recorded:
        """Everything that a batch means for one district, committed when this returns."""
        with self.database.tenant(district_id) as tx:
            recorded = attendance.record_batch(tx, district_id, [row.sent for row in rows], now)
            fleet.note_seen(tx, district_id, sorted({row.gate.gate for row in rows}), now)
            for gate, epoch in recorded.forks:
                fleet.raise_alarm(tx, district_id, gate, "LEDGER_FORK", now, {"epoch": epoch})
            for gate, lost in recorded.holes:
                fleet.raise_alarm(tx, district_id, gate, "LEDGER_GAP", now, {"lost": lost})
            self._judge_again(tx, district_id, recorded, now)
            if recorded.facts:
                facts_recorded(tx, district_id, recorded.facts)
        return recorded

    def _judge_again(self, tx: Transaction, district_id: UUID, recorded: Recorded, now: datetime) -> None:
        """Ask the gate's own rules once more with the cloud's knowledge; where they differ, an incident (P-3)."""
        presence, found = dict(recorded.before), []
        for fact in sorted(recorded.facts, key=lambda one: (one.occurred_at, one.gate, one.seq)):
            if fact.event.kind == Kind.DOUBLE_USE:
                fleet.raise_alarm(tx, district_id, fact.gate, "DOUBLE_USE", now)
            if not fact.reading.children:
                continue
            known = self._known(tx, district_id, fact.site, _as_of(fact.occurred_at, now))
            at, before = fact.occurred_at.timestamp(), _before(presence, fact.site)
            found += [(fact, one) for one in differences(fact.reading, fact.event.kind, at, known, before)]
            _follow(presence, fact)
        attendance.raise_incidents(tx, district_id, found, now)

    def _known(self, tx: Transaction, district_id: UUID, site: int, at: datetime) -> Knowledge:
        """Rights and orders as they were then: a gate that was offline is not blamed for what was ordered later."""
        key = (district_id, site, at.replace(second=0, microsecond=0))
        until, known = self._knowledge.get(key, (0.0, Knowledge()))
        if until < time.monotonic():
            known = Knowledge(*passes.knowledge_of_site(tx, district_id, site, at))
            if len(self._knowledge) >= SITES_KNOWN_MAX:
                self._knowledge.clear()
            self._knowledge[key] = (time.monotonic() + KNOWLEDGE_SECONDS, known)
        return known

    def _park(self, rows: Sequence[Genuine], recorded: Recorded, now: datetime) -> list[Due]:
        """Let segments that came too early wait a moment (several consumers, a resend); then it is a gap, and said:
        to the fleet, and to the gate by the receipts that this returns, so that it sends what is lacking (P46)."""
        missing: dict[tuple[int, int], Due] = {}
        for position in recorded.gaps:
            message, gate = rows[position].message, rows[position].gate
            if id(message) in self._last_chance or len(self._parked) >= PARKED_MAX:
                log.warning("gap in the ledger of gate %s: a segment was not taken", gate.gate)
                with self.database.tenant(gate.district_id) as tx:
                    fleet.raise_alarm(tx, gate.district_id, gate.gate, "LEDGER_GAP", now)
                if position in recorded.missing:
                    missing[gate.gate, recorded.missing[position].epoch] = recorded.missing[position]
            else:
                self._parked.append(_Parked(message, time.monotonic() + PARKED_SECONDS))
        return list(missing.values())

    # --- answering ----------------------------------------------------------------------------------------------

    def _receipt(self, district: str, sites: dict[int, int], dues: Sequence[Due]) -> None:
        """Sign and send receipts of what is committed. A lost one is no harm: the gate asks again."""
        now = int(clock.now().timestamp())
        key = self._receipt_key(now)
        for due in dues:
            told = Receipt(now, due.gate, due.epoch, due.upto, due.head, IN_FLIGHT_EVENTS_MAX, due.codes)
            topic = topics.down(district, sites[due.gate], due.gate, topics.RECEIPT)
            self.broker.publish(topic, build_receipt(key, told), expiry_seconds=RECEIPT_EXPIRY_SECONDS)
            self.counts.receipts += 1

    def _receipt_key(self, now: int) -> SigningKey:
        if self.keys_dir and time.monotonic() > self._ring_until:
            self._ring_until = time.monotonic() + RING_SECONDS
            self.ring = load_ring(self.keys_dir, now)
        return self.ring.signing_key(Role.RECEIPT, now)

    def _say_again(self) -> None:
        """After each connection: a process that died may have committed without saying so. Gates drain at once."""
        try:
            with self.database.untenanted() as tx:
                sites = fleet.sites_with_gates(tx)
            for district_id, district in {(site.district_id, site.district) for site in sites}:
                with self.database.tenant(district_id) as tx:
                    dues = attendance.dues_since(tx, district_id, clock.now() - SAID_AGAIN)
                    gates = fleet.gates_by_number(tx, {due.gate for due in dues})
                live = [due for due in dues if due.gate in gates and not gates[due.gate].revoked]
                self._receipt(district, {gate.gate: gate.site for gate in gates.values()}, live)
        except DatabaseAway:
            log.error("the database is away; receipts follow with the gates' resends")

    def _take_reports(self, messages: Sequence[Message], now: datetime) -> None:
        """up/st, up/hb go to the fleet, what a gate asks or answers becomes a job: of an approved gate at its place."""
        for message in messages:
            place = topics.parse(message.topic)
            with self.database.untenanted() as tx:
                gate = fleet.gates_by_number(tx, [place.gate]).get(place.gate) if place and place.gate else None
            if not message.payload or gate is None or _elsewhere(place, gate) or gate.revoked or not gate.approved:
                continue
            try:
                with self.database.tenant(gate.district_id) as tx:
                    if place and place.leaf in saying.LEAVES:
                        saying.gate_said(tx, gate.district_id, gate.gate, place.leaf, message.payload, now)
                    elif message.topic.endswith("/" + topics.STATE):
                        fleet.apply_state(tx, gate.district_id, gate.gate, read_state(message.payload), now)
                    else:
                        fleet.apply_telemetry(tx, gate.district_id, gate.gate, read_telemetry(message.payload), now)
            except ReportRefused as refused:
                self._keep_dead([(message, gate.gate, None, refused.code)], now)
            except (RuleBroken, psycopg.DataError) as broken:
                log.warning("a report of gate %s was refused by the database: %s", gate.gate, broken)
                self._keep_dead([(message, gate.gate, None, "REPORT_FORMAT")], now)


def _is_segment(message: Message) -> bool:
    """A segment said twice is one segment; of all else the last word counts, though it was said before."""
    return message.topic.endswith("/" + topics.EVENTS)


def _refusal(message: Message, place: topics.Topic | None, gate: GateIdentity | None) -> str:
    """Return why a message is not even opened, or ""."""
    if place is None or not place.gate:
        return "TOPIC_FORMAT"
    if gate is None:
        return "GATE_UNKNOWN"
    if _elsewhere(place, gate):
        return "GATE_ELSEWHERE"
    if gate.revoked:
        return "GATE_REVOKED"
    if not gate.approved:
        return "GATE_NOT_APPROVED"
    return "SEGMENT_SIZE" if len(message.payload) > DOCUMENT_BYTES_MAX else ""


def _elsewhere(place: topics.Topic | None, gate: GateIdentity) -> bool:
    return place is None or (place.district, place.site) != (gate.district, gate.site)


def _as_of(occurred_at: datetime, now: datetime) -> datetime:
    """Return the moment whose rights count: now for what just happened, the hour of it for what comes late."""
    return now if now - occurred_at < JUST_NOW else occurred_at.replace(minute=59, second=59, microsecond=0)


def _before(presence: dict[tuple[int, int], int], site: int) -> Callable[[int], int | None]:
    return lambda child: presence.get((site, child))


def _follow(presence: dict[tuple[int, int], int], fact: NewFact) -> None:
    for child in fact.reading.children:
        if child.moved:
            presence[fact.site, child.child] = IN if fact.reading.direction == IN else OUT


def main(settings: Settings, name: str = "1") -> None:
    """Run ingest until SIGTERM or SIGINT. Ends with 4 when the receipt key is not here."""
    assert settings.keys_dir
    try:
        ring = load_ring(settings.keys_dir, clock.now().timestamp())
        ring.signing_key(Role.RECEIPT, clock.now().timestamp())
    except KeysRefused as refused:
        log.error("%s: %s\n  try: %s", refused.code, refused.what, refused.what_to_do)
        raise SystemExit(REFUSED) from refused
    with Database(settings.database_url, 2, connect_seconds=CONNECT_SECONDS) as database:
        ingest = Ingest(database, line_of(settings), ring, name, settings.keys_dir)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ingest.stop.set())
        log.info("ingest %s is ready", name)
        ingest.run()
