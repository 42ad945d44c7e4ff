"""Told as stories: the cloud's database restored from last night's backup (P46), a gate's card from an old image (P21),
a card with a changed byte (P22). Real journals, a real broker, an ingest process, a real database really put back."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.decision import Decision, Draft
from edge.health import Health
from edge.journal import Journal, open_journal
from edge.ledger import Ledger
from protocols.events import Clock, Event, Kind
from protocols.reasons import Reason
from simulators.database import RunningDatabase
from tests.conftest import Clone
from tests.edge.line import until
from tests.schoolhouse import Schoolhouse


@pytest.fixture
def school(clone: Clone, tmp_path: Path) -> Iterator[Schoolhouse]:
    opened = Schoolhouse.open(tmp_path, clone)
    opened.start()
    yield opened
    opened.close()


def write(journal: Journal, count: int, word: int = 0) -> None:
    now = int(time.time())
    for number in range(count):
        event = Event(now * 1000, word * 1_000 + number, journal.boot, Clock.NTP, Kind.PHONE_PASS, {3: 7, 4: number})
        journal.commit([event], [], now)


def drained(journal: Journal) -> Callable[[], bool]:
    return lambda: journal.outbox_depth == 0


def test_p46_a_cloud_restored_from_last_nights_backup_asks_and_gets_everything_again(
    school: Schoolhouse, database_server: RunningDatabase, tmp_path: Path
) -> None:
    journal, health = open_journal(tmp_path / "gate" / "journal.sqlite"), Health(tmp_path)
    line = school.line(journal, health)
    write(journal, 80)
    until(drained(journal), 30)
    school.stop()
    school.copy_database(database_server, school.clone.name, "last_night")
    school.start()
    write(journal, 70, word=1)  # the day that the backup does not have
    until(drained(journal), 30)
    assert school.ask("SELECT next_seq FROM ledger") == [(150,)]

    school.stop()
    school.copy_database(database_server, "last_night", school.clone.name)
    assert school.ask("SELECT next_seq FROM ledger") == [(80,)]
    school.start()
    time.sleep(1.1)  # a receipt of the same second as the last one could be an old one
    write(journal, 5, word=2)
    line.wake()
    until(lambda: school.ask("SELECT next_seq, head FROM ledger") == [(155, journal.head)], 30)
    until(drained(journal), 30)
    assert school.ask("SELECT count(*), count(DISTINCT seq) FROM ingest_receipt") == [(155, 155)]
    assert school.ask("SELECT count(*) FROM ledger_fork") == [(0,)]
    assert health.counters["resyncs"] == 1
    journal.close()


def test_p21_a_card_put_back_from_an_old_image_forks_and_its_window_empties_all_the_same(
    school: Schoolhouse, tmp_path: Path
) -> None:
    path = tmp_path / "gate" / "journal.sqlite"
    journal = open_journal(path)
    line = school.line(journal, Health(tmp_path))
    write(journal, 20)
    until(drained(journal), 30)
    line.stop()
    write(journal, 30)  # nobody hears of these before the image is taken
    journal.close()
    shutil.copytree(path.parent, tmp_path / "image")
    journal = open_journal(path)
    line = school.line(journal, Health(tmp_path))
    write(journal, 40, word=1)
    until(drained(journal), 30)
    line.stop()
    journal.close()
    assert school.ask("SELECT next_seq, forks FROM ledger") == [(90, 0)]

    card = open_journal(tmp_path / "image" / "journal.sqlite")
    assert card.outbox_depth == 30, "its receipts are on the card that was taken out"
    school.line(card, Health(tmp_path))
    write(card, 25, word=2)
    until(drained(card), 30)
    assert school.ask("SELECT next_seq, forks FROM ledger") == [(90, 1)]
    assert school.ask("SELECT count(*), min(seq), max(seq) FROM ledger_fork") == [(25, 50, 74)]
    assert school.ask("SELECT head FROM ledger_fork WHERE seq = 74") == [(card.head,)]
    assert school.ask("SELECT code FROM gate_alarm") == [("LEDGER_FORK",)]
    card.close()


def test_a_card_with_a_changed_byte_loses_that_one_event_and_everybody_knows_which(
    school: Schoolhouse, tmp_path: Path
) -> None:
    path = tmp_path / "gate" / "journal.sqlite"
    journal = open_journal(path)
    write(journal, 60)
    raw = journal.pending(40, 1)[0].bytes
    epoch = journal.epoch
    journal.close()
    data = bytearray(path.read_bytes())
    data[data.index(raw) + len(raw) - 2] ^= 1
    path.write_bytes(data)

    health = Health(tmp_path)
    journal = open_journal(path)
    ledger = Ledger(journal, health, lambda: "ntp")
    line = school.line(journal, health)
    arrival = Decision(Reason.OPEN, events=(Draft(Kind.PHONE_PASS, {3: 7}),), strike=True)
    assert ledger.write(arrival, time.time()) is not None, "the door works at once"

    def told_and_drained() -> bool:
        gaps = ledger.gaps()
        if gaps is not None and ledger.write(gaps, time.time()) is not None:
            ledger.told(gaps)
            line.wake()
        return journal.salvaged is None and not journal.untold() and journal.outbox_depth == 0

    until(lambda: journal.salvaged is not None, 30)
    until(told_and_drained, 30)
    seqs = [seq for (seq,) in school.ask(f"SELECT seq FROM ingest_receipt WHERE epoch = {epoch} ORDER BY seq")]
    assert seqs == [seq for seq in range(60) if seq != 41]
    assert school.ask("SELECT epoch, first_seq, next_seq FROM ledger_hole") == [(epoch, 41, 42)]
    assert school.ask("SELECT code FROM gate_alarm") == [("LEDGER_GAP",)]
    assert school.ask("SELECT count(*) FROM ledger_fork") == [(0,)]
    journal.close()
