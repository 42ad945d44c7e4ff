"""Half a school year without a line: it fits the journal, and drains through the real line without a lost receipt.

A real journal and sender, a real Mosquitto, `portillon-cloud ingest` as a process of its own, a real database. The
ordinary run drains some 3,000 events, `long` all 216,000: 90 school days of 2,400 events, as one busy gate writes them.
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest

from cloud.kit import clock
from edge.health import Health
from edge.journal import JOURNAL_BYTES_MAX, Journal, open_journal
from protocols.events import Clock, Detail, Event, Kind
from tests.conftest import Clone
from tests.edge.line import until
from tests.schoolhouse import Schoolhouse

SCHOOL_DAYS, EVENTS_A_DAY = 90, 2_400  # 216,000: half a school year of a busy gate
OPEN_SECONDS = 10 * 3_600  # of a school day: what "real time" is to a gate, nights and holidays left out
FASTER_MIN = 50


@pytest.fixture
def school(clone: Clone, tmp_path: Path) -> Iterator[Schoolhouse]:
    opened = Schoolhouse.open(tmp_path, clone)
    opened.start_apart()
    yield opened
    opened.close()


@pytest.mark.parametrize("days", [pytest.param(1, id="a-day"), pytest.param(SCHOOL_DAYS, marks=pytest.mark.long)])
def test_what_was_written_offline_fits_and_drains_without_a_lost_or_late_receipt(
    school: Schoolhouse, tmp_path: Path, days: int
) -> None:
    journal = open_journal(tmp_path / "data" / "journal.sqlite")
    written = write_days(journal, days)
    size = journal.bytes_used()
    assert size / written <= JOURNAL_BYTES_MAX / (SCHOOL_DAYS * EVENTS_A_DAY)
    health = Health(tmp_path)
    school.line(journal, health)
    until(lambda: journal.outbox_depth < written, seconds=30)  # until ingest listens, what nobody hears goes out again
    began, unheard = time.monotonic(), health.counters.get("resent", 0)
    until(lambda: journal.outbox_depth == 0, seconds=30 + written / 100)
    seconds = time.monotonic() - began
    assert school.ask("SELECT count(*), max(seq) FROM ingest_receipt") == [(written, written - 1)]
    assert school.ask("SELECT next_seq, head, forks FROM ledger") == [(journal.next_seq, journal.head, 0)]
    assert health.counters.get("resent", 0) == unheard, "a receipt came later than its resend"
    faster = days * OPEN_SECONDS / seconds
    print(
        f"\noffline {days} school days: {written} events in {size / 2**20:.1f} of {JOURNAL_BYTES_MAX / 2**20:.0f} MiB"
        f" ({size / written:.0f} bytes each), drained in {seconds:.1f} s, {written / seconds:.0f} events/s,"
        f" {faster:.0f} x real time; lost 0, sent again 0"
    )
    assert faster >= FASTER_MIN


def write_days(journal: Journal, days: int) -> int:
    """Write so many school days; return how many events they are."""
    for day in range(days):
        morning = clock.now().replace(hour=2, minute=0, second=0) - timedelta(days=2 * (days - day))
        events = a_day(int(morning.timestamp() * 1000), (morning.date()).isoformat())
        while some := list(islice(events, 400)):
            journal.commit(some, [], int(morning.timestamp()))
    return journal.next_seq


def a_day(morning_ms: int, date: str) -> Iterator[Event]:
    """A day of a gate: of each ten events five passes, a handover, a refusal, two of the door and one of health."""
    mix = (Kind.PHONE_PASS, Kind.DOOR, Kind.PHONE_PASS, Kind.COLLECTOR_ADMITTED, Kind.HANDED_OVER,
           Kind.PHONE_PASS, Kind.REFUSAL, Kind.PHONE_PASS, Kind.DOOR, Kind.HEALTH)  # fmt: skip
    for number in range(EVENTS_A_DAY - 1):
        kind, at = mix[number % len(mix)], morning_ms + number * (OPEN_SECONDS * 1000 // EVENTS_A_DAY)
        yield Event(at, at - morning_ms, 1, Clock.HOLDOVER, kind, detail_of(kind, number, at // 1000))
    yield Event(morning_ms + OPEN_SECONDS * 1000, 0, 1, Clock.HOLDOVER, Kind.DAY_CLOSE, {Detail.SCHOOL_DAY: date})


def detail_of(kind: Kind, number: int, at: int) -> dict:
    if kind is Kind.HEALTH:
        return {Detail.COUNTS: {"NOT_A_PASS": 7}}
    if kind is Kind.DOOR:
        return {Detail.DOOR: "closed" if number % 2 else "opened"}
    family = 4_000_000_000 + number % 600
    children = [[family + 1_000, 3], [family + 2_000, 3]][: 1 + number % 2]
    shown = {Detail.CTI: bytes(8), Detail.THUMB: number.to_bytes(8, "big"), Detail.HOLDER: family,
             Detail.CREDENTIAL_IAT: at, Detail.DIRECTION: 1, Detail.CHILDREN: children, Detail.PRESENTATION_IAT: at,
             Detail.POLICY_VERSION: 9}  # fmt: skip
    if kind is Kind.REFUSAL:
        return shown | {Detail.CODE: "NOT_ALLOWED"}
    return shown | {Detail.CODE: "OPEN"}
