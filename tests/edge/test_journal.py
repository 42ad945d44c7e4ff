"""The gate's ledger: one durable transaction before the strike, a chain that shows every change, damage survived."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from edge.classes import class_of
from edge.journal import Journal, Marked, open_journal
from edge.journal_file import JournalFailed, reading, rows, verify_chain
from protocols.chain import ZERO_HEAD, heads
from protocols.events import Clock, Event, Kind

NOW = 1_800_000_000


def an_event(number: int = 0, kind: Kind = Kind.PHONE_PASS) -> Event:
    return Event(NOW * 1000 + number, number, 1, Clock.NTP, kind, {3: 7, 4: number})


def commit(journal: Journal, count: int) -> None:
    for number in range(count):
        journal.commit([an_event(number)], [], NOW)


def test_events_are_numbered_from_zero_and_chained(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    entries = journal.commit([an_event(1), an_event(2)], [], NOW) + journal.commit([an_event(3)], [], NOW)
    assert [e.seq for e in entries] == [0, 1, 2]
    assert [e.head for e in entries] == heads(ZERO_HEAD, [e.bytes for e in entries])
    assert journal.head == entries[-1].head
    assert journal.head_before(0) == ZERO_HEAD
    assert journal.head_before(2) == entries[1].head


def test_a_new_run_continues_the_chain_and_counts_its_boot(tmp_path: Path) -> None:
    first = open_journal(tmp_path / "journal.sqlite")
    commit(first, 3)
    epoch, head, boot = first.epoch, first.head, first.boot
    first.close()
    second = open_journal(tmp_path / "journal.sqlite")
    assert (second.epoch, second.head, second.next_seq, second.boot) == (epoch, head, 3, boot + 1)


def test_a_journal_created_anew_has_another_epoch_and_no_saved_state(tmp_path: Path) -> None:
    one, two = open_journal(tmp_path / "a" / "journal.sqlite"), open_journal(tmp_path / "b" / "journal.sqlite")
    assert one.epoch != two.epoch
    assert 1 <= one.epoch < 2**32
    assert one.saved() is None


def test_state_is_saved_with_the_events_and_given_back(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    journal.commit([an_event()], [("phone", b"a", b"1"), ("phone", b"b", b"2")], NOW)
    journal.commit([], [("phone", b"a", None), ("presence", b"\0c", b"in")], NOW)
    journal.close()
    assert open_journal(tmp_path / "journal.sqlite").saved() == {("phone", b"b"): b"2", ("presence", b"\0c"): b"in"}


def test_a_failed_transaction_leaves_neither_events_nor_state(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    too_many = [("phone", number.to_bytes(4, "big"), b"") for number in range(5_000)]
    with pytest.raises(ValueError, match="changes"):
        journal.commit([an_event()], too_many, NOW)
    assert (journal.next_seq, journal.head) == (0, ZERO_HEAD)
    journal.commit([an_event()], [("phone", b"a", b"1")], NOW)
    assert journal.next_seq == 1


def test_what_a_failed_sync_left_in_the_file_is_not_sent_before_it_is_taken_out(tmp_path: Path) -> None:
    """Seen in chaos: sent in between, its number given to another event afterwards, it stood in the cloud for ever."""
    journal = open_journal(tmp_path / "journal.sqlite")
    commit(journal, 2)
    before = journal._next_seq, journal._head
    commit(journal, 1)
    journal._next_seq, journal._head = before  # as the failed sync leaves it
    assert [entry.seq for entry in journal.pending(-1, 64)] == [0, 1]
    journal.recover()
    assert [entry.seq for entry in journal.pending(-1, 64)] == [0, 1]
    journal.close()


def test_a_receipt_marks_only_where_our_own_head_agrees(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    entries = [journal.commit([an_event(n)], [], NOW)[0] for n in range(5)]
    assert journal.mark_receipted(journal.epoch, 2, entries[1].head, NOW) is Marked.OTHER_HEAD
    assert journal.mark_receipted(journal.epoch + 1, 2, entries[2].head, NOW) is Marked.OTHER_EPOCH
    assert journal.mark_receipted(journal.epoch, 5, entries[4].head, NOW) is Marked.UNKNOWN_SEQ
    assert journal.outbox_depth == 5
    assert journal.mark_receipted(journal.epoch, 2, entries[2].head, NOW) is Marked.MARKED
    assert [e.seq for e in journal.pending(-1, 64)] == [3, 4]
    assert journal.outbox_depth == 2
    journal.close()
    assert [e.seq for e in open_journal(tmp_path / "journal.sqlite").pending(-1, 64)] == [3, 4]


def test_a_receipt_delivered_twice_or_late_changes_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    entries = [journal.commit([an_event(n)], [], NOW)[0] for n in range(4)]
    for upto in (3, 3, 1):
        assert journal.mark_receipted(journal.epoch, upto, entries[upto].head, NOW) is Marked.MARKED
    assert journal.outbox_depth == 0
    assert journal.oldest_pending_at() is None


def test_receipted_events_are_kept_35_days_and_what_waits_for_ever(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    entries = [journal.commit([an_event(n)], [], NOW)[0] for n in range(6)]
    journal.mark_receipted(journal.epoch, 3, entries[3].head, NOW)
    journal.mark_receipted(journal.epoch, 4, entries[4].head, NOW + 35 * 86_400)
    assert journal.purge(NOW + 35 * 86_400 - 1) == 0
    assert journal.purge(None) == 0, "without a synchronised clock nothing goes for its age"
    assert journal.purge(NOW + 35 * 86_400) == 4
    assert journal.purge(NOW + 400 * 86_400) == 0
    assert [e.seq for e in journal.pending(-1, 64)] == [5]
    assert journal.head_before(4) == entries[3].head
    with pytest.raises(LookupError):
        journal.head_before(2)
    journal.close()
    again = open_journal(tmp_path / "journal.sqlite")
    assert (again.next_seq, again.head) == (6, entries[5].head)
    with reading(again.path) as db:
        found = verify_chain(db)
    assert (found.ok, found.first_seq, found.events) == (True, 4, 2)


def test_a_journal_whose_every_event_was_purged_goes_on_where_it_was(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    entries = [journal.commit([an_event(n)], [], NOW)[0] for n in range(3)]
    journal.mark_receipted(journal.epoch, 2, entries[2].head, NOW)
    journal.mark_receipted(journal.epoch, 2, entries[2].head, NOW + 40 * 86_400)
    assert journal.purge(NOW + 40 * 86_400) == 3
    journal.close()
    again = open_journal(tmp_path / "journal.sqlite")
    assert (again.next_seq, again.head, again.outbox_depth) == (3, entries[2].head, 0)
    assert again.commit([an_event(9)], [], NOW)[0].seq == 3


def test_a_journal_over_its_size_drops_receipted_events_first(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite", bytes_max=16_384)
    journal.commit([an_event(n) for n in range(400)], [], NOW)
    journal.mark_receipted(journal.epoch, 299, journal.head_before(300), NOW)
    assert journal.purge(NOW + 1) == 300
    assert journal.outbox_depth == 100


def test_receipts_marked_in_another_century_do_not_hold_the_journal_over_its_size(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite", bytes_max=16_384)
    journal.commit([an_event(n) for n in range(400)], [], NOW)
    journal.mark_receipted(journal.epoch, 299, journal.head_before(300), 2**32 - 1)
    assert journal.purge(NOW) == 300


def test_half_a_school_year_offline_fits_its_bound(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    count = 20_000
    for start in range(0, count, 500):
        journal.commit([a_full_event(start + n) for n in range(500)], [], NOW)
    assert journal.bytes_used() / count * 216_000 <= 64 * 1024 * 1024


def a_full_event(number: int) -> Event:
    """A phone pass with two children, as the decision core writes it."""
    detail = {1: bytes(8), 2: bytes(8), 3: 4_000_000_000, 4: NOW, 5: 1, 6: [[4_000_000_000, 3], [4_000_000_001, 3]]}
    return Event(NOW * 1000 + number, number, 1, Clock.NTP, Kind.PHONE_PASS, {**detail, 10: NOW, 11: 9})


@pytest.mark.parametrize(
    "damage", [b"", b"not a database at all, just text" * 400, b"SQLite format 3\0" + b"\xff" * 8192]
)
def test_a_damaged_file_is_put_aside_and_the_gate_goes_on(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "journal.sqlite"
    old = open_journal(path)
    commit(old, 3)
    epoch = old.epoch
    old.close()
    path.write_bytes(damage)
    new = open_journal(path)
    assert new.epoch != epoch
    assert new.commit([an_event()], [], NOW)[0].seq == 0
    assert new.saved() is None
    if damage:
        assert new.quarantined is not None and new.quarantined.read_bytes() == damage


def test_a_flipped_byte_in_an_event_that_waits_is_found_at_start(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = open_journal(path)
    entries = [journal.commit([an_event(n)], [], NOW)[0] for n in range(3)]
    journal.close()
    raw = bytearray(path.read_bytes())
    where = raw.index(entries[1].bytes)
    raw[where + len(entries[1].bytes) - 3] ^= 1
    path.write_bytes(raw)
    with reading(path) as db:
        found = verify_chain(db)
    assert (found.ok, found.bad_seq) == (False, 1)
    assert open_journal(path).quarantined is not None


def test_only_the_newest_damaged_journals_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    for _ in range(5):
        open_journal(path).close()
        path.write_bytes(b"rubbish" * 5_000)
    open_journal(path).close()
    kept = sorted(p.name for p in tmp_path.glob("*.damaged-*.sqlite"))
    assert kept == ["journal.damaged-3.sqlite", "journal.damaged-4.sqlite", "journal.damaged-5.sqlite"]


def test_a_torn_wal_loses_only_what_was_never_committed(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    victim = run_and_kill(tmp_path, "for n in range(8): journal.commit([an_event(n)], [], NOW)")
    assert victim == -signal.SIGKILL
    wal = path.with_name("journal.sqlite-wal")
    torn = wal.read_bytes()
    assert len(torn) > 4096
    wal.write_bytes(torn + b"\x37\x7f" + os.urandom(3_000))  # a frame that was being written
    journal = open_journal(path)
    assert journal.quarantined is None
    assert [e.seq for e in journal.pending(-1, 64)] == list(range(8))


def test_a_wal_cut_short_keeps_a_whole_prefix(tmp_path: Path) -> None:
    run_and_kill(tmp_path, "for n in range(8): journal.commit([an_event(n)], [], NOW)")
    wal = tmp_path / "journal.sqlite-wal"
    wal.write_bytes(wal.read_bytes()[:-5_000])
    journal = open_journal(tmp_path / "journal.sqlite")
    kept = [e.seq for e in journal.pending(-1, 64)]
    assert kept == list(range(len(kept))) and len(kept) < 8
    with reading(journal.path) as db:
        assert verify_chain(db).ok


def test_what_was_committed_survives_kill_9(tmp_path: Path) -> None:
    run_and_kill(tmp_path, "journal.commit([an_event(1)], [('phone', b'a', b'1')], NOW)")
    journal = open_journal(tmp_path / "journal.sqlite")
    assert (journal.next_seq, journal.boot) == (1, 2)
    assert journal.saved() == {("phone", b"a"): b"1"}


def test_a_full_disk_fails_the_commit_and_a_free_one_mends_it(tmp_path: Path) -> None:
    script = """
        import resource
        used = path.with_name("journal.sqlite-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (used + 100, resource.RLIM_INFINITY))
        try:
            journal.commit([an_event(1)], [("phone", b"a", b"1")], NOW)
        except JournalFailed as failed:
            print(failed.code, journal.next_seq)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        journal.recover()
        print(journal.commit([an_event(1)], [], NOW)[0].seq, journal.saved())
    """
    done = subprocess.run([sys.executable, "-c", program(tmp_path, script)], capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert lines[0] in ("JOURNAL_FULL 0", "JOURNAL_FAILED 0"), done.stderr
    assert lines[1].startswith("0 ")


def test_a_journal_that_another_program_locks_fails_within_its_bound(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalFailed) as caught:
        journal.commit([an_event()], [], NOW)
    assert caught.value.code == "JOURNAL_BUSY"
    other.execute("ROLLBACK")
    assert journal.commit([an_event()], [], NOW)[0].seq == 0


def test_two_gates_never_share_a_journal(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    with pytest.raises(JournalFailed) as caught:
        open_journal(tmp_path / "journal.sqlite")
    assert caught.value.code == "JOURNAL_IN_USE"
    journal.close()
    open_journal(tmp_path / "journal.sqlite").close()


def test_a_directory_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalFailed, match="cannot be written"):
        open_journal(tmp_path / "file" / "journal.sqlite")


def test_a_journal_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    journal.close()
    db = sqlite3.connect(tmp_path / "journal.sqlite")
    db.execute("PRAGMA user_version = 9")
    db.execute("UPDATE meta SET value = 9 WHERE key = 'schema'")
    db.commit()
    db.close()
    with pytest.raises(JournalFailed) as caught:
        open_journal(tmp_path / "journal.sqlite")
    assert caught.value.code == "JOURNAL_SCHEMA"


def test_whoever_looks_beside_a_running_gate_writes_nothing(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    commit(journal, 3)
    with reading(journal.path) as db:
        assert [row.seq for row in rows(db)] == [0, 1, 2]
        with pytest.raises(sqlite3.OperationalError):
            db.execute("DELETE FROM events")
    with pytest.raises(JournalFailed), reading(tmp_path / "none.sqlite"):
        pass


def test_commits_are_synchronous_and_in_wal_mode(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    asked = journal._disk.connection.execute
    assert asked("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert asked("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_every_kind_of_event_has_a_class() -> None:
    assert {class_of(kind, {}) for kind in Kind} == {"attendance", "alarm", "audit", "telemetry"}


def program(directory: Path, script: str) -> str:
    head = f"""
        from pathlib import Path
        from edge.journal import open_journal
        from edge.journal_file import JournalFailed
        from protocols.events import Clock, Event, Kind
        NOW = {NOW}
        def an_event(number):
            return Event(NOW * 1000 + number, number, 1, Clock.NTP, Kind.PHONE_PASS, {{3: 7, 4: number}})
        path = Path({str(directory / "journal.sqlite")!r})
        journal = open_journal(path)
    """
    return textwrap.dedent(head) + textwrap.dedent(script)


def run_and_kill(directory: Path, script: str) -> int:
    """Run a program on the journal, then kill -9 it: nothing is closed, the WAL stays."""
    ending = "\nimport os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    return subprocess.run([sys.executable, "-c", program(directory, script) + ending], timeout=60).returncode
