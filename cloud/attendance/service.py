"""Attendance: take the gates' ledgers in, derive the days, answer who is where.

The only door of this slice. `record_batch` is the one way in for facts: everything of a batch in one transaction, the
caller commits and only then gives receipts. A fact is never rejected (I3). Rules: P-5, MODEL (attendance_event).
Not responsible for: signatures (cloud/ingest.py), nor who may look (identity/may.py and row security).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from cloud.attendance import ledger_queries, queries
from cloud.attendance.again import Difference
from cloud.attendance.facts import (
    NOT_UNDERSTOOD,
    STAFF_KINDS,
    TIME_UNUSABLE,
    close_of,
    corrects,
    moment_of,
    school_day_of,
)
from cloud.attendance.ledger import Book, Placement, Standing, needs_history, place
from cloud.attendance.model import (
    DaySheet,
    Due,
    ExportedEvent,
    FamilyChild,
    Incident,
    NewFact,
    Recorded,
    Sent,
    SheetRow,
)
from cloud.attendance.recording import Move, Names, Row, columns, days_of, fact_of, moves_of, rows_of
from cloud.kit.clock import school_day as local_day
from cloud.kit.db import Transaction
from cloud.kit.ids import new_reference
from cloud.kit.live import announce
from protocols.canonical import decode
from protocols.chain import ZERO_HEAD
from protocols.events import Detail, Event, Segment
from protocols.gaps import MISSING, SEQ_MAX, Hole, hole_of
from protocols.limits import SEGMENT_EVENTS_MAX
from protocols.passes import IN, OUT
from protocols.reasons import HEAD_ALERTS, Reason

SILENT_AFTER = timedelta(minutes=5)  # a gate not heard for so long: whoever is missing is unknown, not absent (P44)
DRAWS_MAX = 20  # tries to find a free number of a site
CARDS_SECONDS, CARDS_IN_A_MINUTE_MAX = 60, 3  # HOSTILE P27: faster than families come through one door with cards
CARDS_TOO_FAST = "CARDS_TOO_FAST"  # an incident of the school, not an answer of a gate
EXPORT_ROWS = 1_000  # read at a time


# --- numbers of a site ----------------------------------------------------------------------------------------------


def ref_of(
    tx: Transaction, district_id: UUID, site: int, *, child_id: UUID | None = None, person_id: UUID | None = None
) -> int:
    """Return the number by which this site's passes and ledgers call a child or an adult; drawn on first use (P-2)."""
    if (child_id is None) == (person_id is None):
        raise ValueError("either a child or a person")
    for _ in range(DRAWS_MAX):
        known = queries.ref_of(tx, district_id, site, child_id, person_id)
        if known is not None:
            return known
        queries.insert_ref(tx, district_id, site, new_reference(), child_id, person_id)
    raise LookupError("no free number at this site")


def references_of_site(tx: Transaction, district_id: UUID, site: int) -> tuple[dict[UUID, int], dict[UUID, int]]:
    """Return the numbers of a site: of children and of adults, by id."""
    found = queries.refs_of_site(tx, district_id, site)
    children = {row.id: row.ref for row in found if row.kind == "child" and row.id}
    people = {row.id: row.ref for row in found if row.kind == "person" and row.id}
    return children, people


# --- taking facts in ------------------------------------------------------------------------------------------------


def record_batch(tx: Transaction, district_id: UUID, batch: Sequence[Sent], now: datetime) -> Recorded:
    """Store a batch of genuine segments and say what may be receipted after COMMIT. Raises what the database raises.

    Known events are counted as duplicates and receipted again; what lies beyond a gap is left out and not receipted;
    a fork is stored beside, marked. The ledgers' rows are locked until the end of the transaction.
    """
    recorded = Recorded()
    books = _books(tx, district_id, batch, now)
    placed = [_placed(books, sent.segment) for sent in batch]
    zones = {row.site: ZoneInfo(row.timezone) for row in queries.zones(tx, district_id)}
    made = _rows(batch, placed, _names(tx, district_id, batch), zones, recorded, now)
    if made.moves:
        recorded.before = _whereabouts(tx, district_id, made)
    with tx.pipeline():  # one round trip for all that follows; whatever is refused is raised at its end
        _insert(tx, district_id, made, now)
        _close_days(tx, district_id, recorded.facts)
        _keep_holes(tx, district_id, recorded, zones, now)
        grown = [
            ledger_queries.LedgerRow(gate, epoch, book.next_seq, book.head, book.forks)
            for (gate, epoch), book in sorted(books.items())
        ]
        ledger_queries.grow_ledgers(tx, grown, now)
        if recorded.children:
            announce(tx, district_id, "day", sorted(recorded.children))
    _note_dues(batch, placed, books, recorded)
    return recorded


def _books(tx: Transaction, district_id: UUID, batch: Sequence[Sent], now: datetime) -> dict[tuple[int, int], Book]:
    """Lock the ledgers of the batch and read as much of their history as its segments touch."""
    spans: dict[tuple[int, int], list[Segment]] = {}
    for sent in batch:
        spans.setdefault((sent.segment.gate, sent.segment.epoch), []).append(sent.segment)
    books = {
        (row.gate, row.epoch): Book(row.next_seq, row.head, forks=row.forks)
        for row in ledger_queries.open_ledgers(tx, district_id, sorted(spans), ZERO_HEAD, now)
    }
    for row in ledger_queries.holes(tx, district_id, sorted(spans)):
        hole = Hole(row.epoch, row.first_seq, row.next_seq, row.head)
        books[row.gate, row.epoch].holes.append(hole)
    for (gate, epoch), segments in spans.items():
        book, end, head = books[gate, epoch], books[gate, epoch].next_seq, books[gate, epoch].head
        for segment in segments:
            if not needs_history(Book(end, head), segment.first_seq, segment.head_before):
                end, head = segment.first_seq + len(segment.encoded), segment.heads[-1]
            elif segment.first_seq < SEQ_MAX:
                _read_history(tx, district_id, gate, epoch, segment, book)
    return books


def _read_history(tx: Transaction, district_id: UUID, gate: int, epoch: int, segment: Segment, book: Book) -> None:
    last = segment.first_seq + SEGMENT_EVENTS_MAX
    for row in ledger_queries.heads_between(tx, district_id, gate, epoch, segment.first_seq - 1, last):
        if row.fork:
            book.branches[row.seq, row.head] = row.fork
        else:
            book.main[row.seq] = row.head


def _placed(books: Mapping[tuple[int, int], Book], segment: Segment) -> Placement:
    if segment.first_seq >= SEQ_MAX:
        return Placement(Standing.GAP, range(0))
    book = books[segment.gate, segment.epoch]
    placement = place(book, segment.first_seq, segment.head_before, segment.heads)
    for position in placement.new:
        hole = hole_of(segment.events[position])
        if hole is not None and (segment.gate, hole.epoch) in books:
            books[segment.gate, hole.epoch].holes.append(hole)  # what stands behind it may come in this very batch
    return placement


def _names(tx: Transaction, district_id: UUID, batch: Sequence[Sent]) -> Names:
    """Return whom the numbers in this batch mean; the sets are small and go through one index."""
    numbers: set[int] = set()
    for sent in batch:
        for event in sent.segment.events:
            told = event.detail
            numbers.update(one for one in (told.get(Detail.HOLDER), told.get(Detail.STAFF)) if type(one) is int)
            rows = told.get(Detail.CHILDREN)
            if type(rows) is list:
                numbers.update(row[0] for row in rows if type(row) is list and row and type(row[0]) is int)
    wanted = sorted(number for number in numbers if 0 < number < 2**32)
    if not wanted:
        return Names()
    found = queries.refs_named(tx, district_id, sorted({sent.site for sent in batch}), wanted)
    return Names(
        {(row.site, row.ref): row.id for row in found if row.kind == "child" and row.id},
        {(row.site, row.ref): row.id for row in found if row.kind == "person" and row.id},
    )


@dataclass
class _Made:
    """Rows of a batch, by table, in the order of their columns."""

    receipts: list[Row] = field(default_factory=list)
    forks: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)


_UTC = ZoneInfo("UTC")
_KEPT = frozenset({Standing.NEW, Standing.DUPLICATE, Standing.FORK})


def _rows(
    batch: Sequence[Sent], placed: Sequence[Placement], names: Names, zones: Mapping[int, ZoneInfo],
    recorded: Recorded, now: datetime,
) -> _Made:  # fmt: skip
    """Return the rows of what is new, and write down in `recorded` what they are."""
    made = _Made()
    for sent, placement in zip(batch, placed, strict=True):
        segment, heads = sent.segment, sent.segment.heads
        recorded.duplicates += len(heads) - len(placement.new) if placement.standing in _KEPT else 0
        for position in placement.new:
            identity = (segment.gate, segment.epoch, segment.first_seq + position, heads[position])
            if placement.fork:
                made.forks.append((*identity, placement.fork))
            else:
                made.receipts.append(identity)
            fact = fact_of(sent.site, *identity[:3], segment.events[position], now)
            rows = rows_of(fact, segment.encoded[position], placement.fork, names, zones.get(sent.site, _UTC))
            recorded.facts.append(fact)
            made.events += rows
            made.moves += moves_of(fact, rows)
    recorded.stored = len(made.receipts) + len(made.forks)
    recorded.children = {move.child_id for move in made.moves}
    return made


def _insert(tx: Transaction, district_id: UUID, made: _Made, now: datetime) -> None:
    if made.receipts:
        ledger_queries.insert_receipts(tx, district_id, columns(("gate", "epoch", "seq", "head"), made.receipts), now)
    if made.forks:
        ledger_queries.insert_forks(tx, district_id, columns(("gate", "epoch", "seq", "head", "fork"), made.forks), now)
    if made.events:
        queries.insert_events(tx, district_id, columns(queries.EVENT_COLUMNS, made.events), now)
    if made.moves:
        queries.merge_days(tx, district_id, columns(queries.DAY_COLUMNS, days_of(made.moves)))


def _whereabouts(tx: Transaction, district_id: UUID, made: _Made) -> dict[tuple[int, int], int]:
    """Return where the children were before this batch, by their numbers: PASSBACK is judged again with it."""
    numbers = {row[12]: (row[2], row[11]) for row in made.events if row[12] is not None}
    first: dict[UUID, datetime] = {}
    for move in made.moves:
        first[move.child_id] = min(first.get(move.child_id, move.at), move.at)
    known = queries.presence(tx, district_id, sorted(numbers), sorted({move.school_day for move in made.moves}))
    return {
        numbers[row.child_id]: IN if row.state == "in" else OUT
        for row in known
        if row.state != "absent" and row.since <= first.get(row.child_id, row.since)
    }


def _close_days(tx: Transaction, district_id: UUID, facts: Iterable[NewFact]) -> None:
    """A gate says that its day is over: complete, as every seq up to that event is held (P-5)."""
    for fact in facts:
        day = close_of(fact.event)
        if day is not None:
            queries.close_day(tx, district_id, fact.gate, day, fact.epoch, fact.seq, fact.seq, True)


def _keep_holes(
    tx: Transaction, district_id: UUID, recorded: Recorded, zones: Mapping[int, ZoneInfo], now: datetime
) -> None:
    """A gate says what it lost: the days that may lack it are not complete (P22)."""
    for fact in recorded.facts:
        hole = hole_of(fact.event)
        if hole is None:
            continue
        zone = zones.get(fact.site, _UTC)
        last = school_day_of(fact.occurred_at, zone)
        first = school_day_of(moment_of(hole.since * 1000, fact.occurred_at)[0], zone)
        days = (min(first, last), last)
        ledger_queries.insert_hole(tx, district_id, fact.gate, hole, days, (fact.epoch, fact.seq), now)
        recorded.holes.append((fact.gate, hole.next - hole.first))


def _note_dues(
    batch: Sequence[Sent], placed: Sequence[Placement], books: Mapping[tuple[int, int], Book], recorded: Recorded
) -> None:
    """Write down what may be receipted: each ledger's end once, each branch by its own head, and so what was known.

    A gate of an older image does not have the ledger's end: its last own event that we hold is what it can mark (P21).
    """
    marked = _marked(recorded.facts)
    mains: set[tuple[int, int]] = set()
    for position, (sent, placement) in enumerate(zip(batch, placed, strict=True)):
        segment = sent.segment
        key = (segment.gate, segment.epoch)
        upto = segment.first_seq + len(segment.encoded) - 1
        if placement.standing == Standing.FORKS_SPENT:
            recorded.spent.append(position)
        elif placement.fork:
            recorded.dues.append(Due(*key, upto, segment.heads[-1], marked.get(key, ())))
            if placement.standing == Standing.FORK:
                recorded.forks.append(key)
        else:
            mains.add(key)
            if placement.standing == Standing.DUPLICATE and upto < books[key].next_seq - 1:
                recorded.dues.append(Due(*key, upto, segment.heads[-1]))
            if placement.standing == Standing.GAP:
                recorded.gaps.append(position)
                end = books[key].next_seq
                recorded.missing[position] = Due(*key, max(end - 1, 0), books[key].head, ((end, MISSING),))
    for key in sorted(mains):
        if books[key].next_seq:
            recorded.dues.append(Due(*key, books[key].next_seq - 1, books[key].head, marked.get(key, ())))


def _marked(facts: Iterable[NewFact]) -> dict[tuple[int, int], tuple[tuple[int, str], ...]]:
    found: dict[tuple[int, int], tuple[tuple[int, str], ...]] = {}
    for fact in facts:
        for mark, code in ((NOT_UNDERSTOOD, "EVENT_FORMAT"), (TIME_UNUSABLE, "EVENT_TIME")):
            if fact.reading.marks & mark:
                key = (fact.gate, fact.epoch)
                found[key] = (*found.get(key, ()), (fact.seq, code))[-SEGMENT_EVENTS_MAX:]
    return found


def dues_since(tx: Transaction, district_id: UUID, since: datetime) -> list[Due]:
    """Return a receipt for each ledger that grew since: what a process that died may have left unsaid."""
    return [Due(row.gate, row.epoch, row.next_seq - 1, row.head)
            for row in ledger_queries.recent_ledgers(tx, district_id, since)]  # fmt: skip


def raise_incidents(
    tx: Transaction, district_id: UUID, found: Iterable[tuple[NewFact, Difference]], now: datetime
) -> None:
    """Enter where the cloud decides otherwise than the gate: once for each event, code and child."""
    rows = [
        (fact.site, fact.gate, fact.epoch, fact.seq, one.code, one.child, one.gate_said, one.cloud_says)
        for fact, one in found
    ]
    if rows:
        queries.insert_incidents(tx, district_id, columns(queries.INCIDENT_COLUMNS, rows), now)


def enter_alert(
    tx: Transaction, district_id: UUID, gate: int, epoch: int, seq: int, occurred_at: datetime, now: datetime
) -> None:
    """Enter a refusal of which the head hears (P-3: revoked, blocked, custody), one incident a child. Idempotent."""
    rows = [
        (row.site, gate, epoch, seq, row.code, row.child_ref, row.code, row.code)
        for row in queries.refusals_of(tx, district_id, gate, epoch, seq, occurred_at)
        if row.code in HEAD_ALERTS
    ]
    if rows:
        queries.insert_incidents(tx, district_id, columns(queries.INCIDENT_COLUMNS, rows), now)


def watch_cards(
    tx: Transaction, district_id: UUID, site: int, gate: int, epoch: int, seq: int, occurred_at: datetime,
    now: datetime,
) -> None:  # fmt: skip
    """Enter an incident with the fourth card that staff confirm within a minute: children nobody saw (P27). Idempotent.

    One for a burst: the cards after it are beyond the fourth, until the site has been slower again.
    """
    counted = queries.cards_confirmed(tx, district_id, site, gate, epoch, seq, occurred_at, CARDS_SECONDS)
    if counted == CARDS_IN_A_MINUTE_MAX + 1:
        row = (site, gate, epoch, seq, CARDS_TOO_FAST, None, str(Reason.CONFIRMED), CARDS_TOO_FAST)
        queries.insert_incidents(tx, district_id, columns(queries.INCIDENT_COLUMNS, [row]), now)


def school_day(tx: Transaction, district_id: UUID, fact: NewFact) -> date:
    """Return the local date of the school to which a fact belongs."""
    zone = {row.site: row.timezone for row in queries.zones(tx, district_id)}.get(fact.site, "UTC")
    return local_day(fact.occurred_at, zone)


def incidents(tx: Transaction, district_id: UUID, site: int | None = None) -> list[Incident]:
    """Return what nobody has looked at yet, newest first."""
    return queries.incidents(tx, district_id, site)


def rebuild_day(tx: Transaction, district_id: UUID, school_day: date) -> int:
    """Derive a day anew from its events; return how many children it has. A corrected event counts no more."""
    corrected = {
        (row.gate, *pointed)
        for row in queries.corrections(tx, district_id, school_day)
        if (pointed := corrects(Event.from_value(decode(row.body)))) is not None
    }
    moves = [
        Move(row.child_id, row.school_day, row.occurred_at, row.direction, row.site, row.kind in STAFF_KINDS,
             row.person_id, row.staff_id, row.gate, row.epoch, row.seq)
        for row in queries.moves_of_day(tx, district_id, school_day)
        if (row.gate, row.epoch, row.seq) not in corrected
    ]  # fmt: skip
    queries.wipe_days(tx, district_id, school_day)
    rows = days_of(moves)
    if rows:
        queries.merge_days(tx, district_id, columns(queries.DAY_COLUMNS, rows))
        announce(tx, district_id, "day", [row[0] for row in rows])
    return len(rows)


# --- answering ------------------------------------------------------------------------------------------------------


def presence_of(
    tx: Transaction, district_id: UUID, children: Sequence[UUID], timezone: str, now: datetime
) -> dict[UUID, tuple[str, datetime | None]]:
    """Return in or out with its time for each child that was seen today; the others are unknown."""
    rows = queries.presence(tx, district_id, children, [local_day(now, timezone)])
    return {row.child_id: (row.state, row.since) for row in rows if row.state in ("in", "out")}


def day_sheet(tx: Transaction, district_id: UUID, school_id: UUID, school_day: date, now: datetime) -> DaySheet:
    """Return the day of a school, by class and name. Who is missing while a gate is silent is unknown (P44)."""
    rows = queries.sheet(tx, district_id, school_id, school_day)
    gates = queries.gates_heard(tx, district_id, school_id, school_day)
    silent = tuple(gate.name for gate in gates
                   if not gate.closed and (gate.last_seen is None or now - gate.last_seen > SILENT_AFTER
                                           or gate.state == "offline"))  # fmt: skip
    if silent:
        rows = [_unknown(row) if row.state == "expected" else row for row in rows]
    return DaySheet(school_id, school_day, tuple(rows), bool(gates) and all(gate.closed for gate in gates), silent)


def _unknown(row: SheetRow) -> SheetRow:
    return SheetRow(**{**vars(row), "state": "unknown"})


def family_today(tx: Transaction, district_id: UUID, person_id: UUID, now: datetime) -> list[FamilyChild]:
    """Return the children whose file this guardian may read, with today's facts in the order of their times."""
    children = queries.children_of(tx, district_id, person_id, now)
    days = {row.child_id: local_day(now, row.timezone) for row in children}
    if not children:
        return []
    facts = queries.facts_of(tx, district_id, sorted(days), sorted(set(days.values())))
    states = {row.child_id: row for row in queries.presence(tx, district_id, sorted(days), sorted(set(days.values())))}
    return [
        FamilyChild(
            row.child_id, row.given, row.school, row.timezone, row.class_name, days[row.child_id],
            states[row.child_id].state if row.child_id in states else "unknown",
            states[row.child_id].since if row.child_id in states else None,
            tuple(fact for fact in facts if fact.child_id == row.child_id),
        )
        for row in children
    ]  # fmt: skip


def export_events(tx: Transaction, district_id: UUID) -> Iterator[ExportedEvent]:
    """Yield every event of a district in the order of its ledgers, forks after what they fork from."""
    after = (0, -1, -1, -1)
    while True:
        page = queries.export(tx, district_id, after, EXPORT_ROWS)
        yield from page
        if len(page) < EXPORT_ROWS:
            return
        after = (page[-1].gate, page[-1].epoch, page[-1].seq, page[-1].fork)
