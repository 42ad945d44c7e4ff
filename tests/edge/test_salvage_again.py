"""Damage while a salvage is under way: each file that is not carried over yet stays on the list, and its turn comes."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.journal import Journal, open_journal
from edge.journal_disk import Disk
from edge.journal_file import WAITING_MAX, prepare, reading, verify_carried, waiting_in
from protocols.chain import ZERO_HEAD
from tests.edge.line import until
from tests.edge.test_salvage import NOW, an_event, change_a_byte_of, write

MANY = 8_000  # forty steps of a salvage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def seqs(path: Path, epoch: int) -> list[int]:
    with reading(path) as db:
        return [row[0] for row in db.execute("SELECT seq FROM events WHERE epoch = ? ORDER BY seq", (epoch,))]


def salvaged(journal: Journal) -> None:
    until(lambda: journal.salvaged is not None)


def stopped_in_its_salvage(path: Path, seqs_carried: int) -> None:
    """A journal that a power cut stopped while it carried over journal.damaged-1.sqlite."""
    with sqlite3.connect(path) as db:
        own = db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
        db.execute("DELETE FROM events WHERE epoch <> ? AND seq >= ?", (own, seqs_carried))
        db.execute("INSERT OR REPLACE INTO meta VALUES ('salvage', 'journal.damaged-1.sqlite')")
    db.close()


def twice_damaged(path: Path) -> tuple[int, int]:
    """A first journal put aside, a second one stopped in its salvage and damaged too; their epochs."""
    first = open_journal(path)
    written = write(first, 10)
    first.close()
    change_a_byte_of(path, written[9])
    second = open_journal(path)
    salvaged(second)
    events = [entry.bytes for n in range(50, 55) for entry in second.commit([an_event(n)], [], NOW)]
    second.close()
    stopped_in_its_salvage(path, 4)
    change_a_byte_of(path, events[4])
    return first.epoch, second.epoch


def test_a_journal_damaged_in_its_salvage_leaves_both_files_to_the_next_one(path: Path) -> None:
    first, second = twice_damaged(path)
    third = open_journal(path)
    salvaged(third)
    assert (seqs(path, first), seqs(path, second)) == (list(range(9)), list(range(4)))
    assert third.salvaged == 9 + 4
    third.close()
    again = open_journal(path)
    assert (again.salvaged, again.quarantined) == (None, None), "nothing is left to be carried over"
    again.close()


def test_a_salvage_begins_again_in_the_journal_that_takes_the_place_of_its_own(path: Path) -> None:
    journal = open_journal(path)
    journal.commit([an_event(n) for n in range(MANY)], [], NOW)
    first = journal.epoch
    journal.distrust("its bytes and its head disagree")
    journal.recover()
    until(lambda: seqs(path, first))
    second = journal.epoch
    journal.commit([an_event(n) for n in range(50, 55)], [], NOW)
    with held(path) as blocker:  # the salvage stands in the middle of a step, and goes on beside the recovery
        assert len(seqs(path, first)) < MANY
        journal.distrust("its bytes and its head disagree, again")
        recovery = threading.Thread(target=journal.recover)
        recovery.start()
        time.sleep(0.3)
        blocker.execute("ROLLBACK")
        recovery.join()
    salvaged(journal)
    assert (seqs(path, first), seqs(path, second)) == (list(range(MANY)), list(range(5)))
    assert [journal.head_before(0, epoch) for epoch in (first, second)] == [ZERO_HEAD, ZERO_HEAD]
    with reading(path) as db:
        assert all(found.ok for found in verify_carried(db))
    journal.close()


def test_a_file_that_waits_to_be_carried_over_is_not_deleted_for_newer_ones(path: Path) -> None:
    journal = open_journal(path)
    write(journal, 10)
    first = journal.epoch
    journal.distrust("its bytes and its head disagree")
    for _ in range(5):
        journal.recover()
        salvaged(journal)
        journal.close()
        stopped_in_its_salvage(path, 4)
        journal = open_journal(path)
        assert journal.path.with_name("journal.damaged-1.sqlite").exists()
        journal.distrust("its bytes and its head disagree, again")
    journal.recover()
    salvaged(journal)
    assert seqs(path, first) == list(range(10))
    kept = {aside.name for aside in path.parent.glob("*.damaged-*.sqlite")}
    assert kept <= {f"journal.damaged-{number}.sqlite" for number in (1, 4, 5, 6)}
    journal.close()


def test_a_hole_is_not_told_where_another_file_shows_its_events(path: Path) -> None:
    """The second journal carried the first one's events over, and lost one of them with its own damage."""
    journal = open_journal(path)
    written = write(journal, 10)
    first = journal.epoch
    journal.distrust("its bytes and its head disagree")
    journal.recover()
    salvaged(journal)
    journal.close()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO meta VALUES ('salvage', 'journal.damaged-1.sqlite')")
        db.execute("UPDATE meta SET value = NULL WHERE key = 'boot'")
    db.close()
    change_a_byte_of(path, written[6])
    journal = open_journal(path)
    salvaged(journal)
    assert (seqs(path, first), journal.untold()) == (list(range(10)), [])
    journal.close()


@pytest.mark.parametrize("instead", ["nothing", "a folder"])
def test_a_file_that_somebody_took_away_keeps_no_other_one_waiting(path: Path, instead: str) -> None:
    journal = open_journal(path)
    write(journal, 10)
    first = journal.epoch
    journal.distrust("its bytes and its head disagree")
    journal.recover()
    salvaged(journal)
    journal.close()
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM events")
        db.execute("INSERT INTO meta VALUES ('salvage', 'journal.damaged-0.sqlite')")
        db.execute("INSERT INTO meta VALUES ('salvage-1', 'journal.damaged-1.sqlite')")
    db.close()
    taken = path.with_name("journal.damaged-0.sqlite")
    if instead == "a folder":
        taken.mkdir()
    journal = open_journal(path)
    salvaged(journal)
    assert seqs(path, first) == list(range(10))
    assert not taken.is_file(), "and none is made in its place"
    journal.close()


def test_a_list_that_grows_for_ever_gives_up_the_oldest_file(path: Path) -> None:
    for number in range(1, WAITING_MAX + 3):
        path.with_name(f"journal.damaged-{number}.sqlite").write_bytes(b"")
    newest = path.with_name(f"journal.damaged-{WAITING_MAX + 2}.sqlite")
    with sqlite3.connect(newest) as db:
        prepare(db, lambda: [f"journal.damaged-{number}.sqlite" for number in range(1, WAITING_MAX + 2)])
    db.close()
    disk = Disk(path, None)
    with disk.reading() as opened:
        waiting = waiting_in(dict(opened.execute("SELECT key, value FROM meta")))
    assert waiting == [f"journal.damaged-{number}.sqlite" for number in range(3, WAITING_MAX + 3)]
    disk.close()


@contextmanager
def held(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, locked by another program that has it open."""
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    yield blocker
    blocker.close()
