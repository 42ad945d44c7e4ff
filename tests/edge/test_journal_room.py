"""A journal with little room: what goes first, what is told of it, a reserve for the full disk, the version before."""

import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.ballast import BALLAST_BYTES, Ballast
from edge.classes import SHARES, Class, class_of, has_room
from edge.decision import Decision, Draft
from edge.door import Told
from edge.health import Health
from edge.journal import Journal, open_journal
from edge.journal_file import reading, rows, verify_chain
from edge.ledger import Ledger
from protocols.events import Clock, Detail, Event, Kind
from protocols.gaps import Hole
from protocols.reasons import Reason

NOW = 1_800_000_000


def an_event(number: int) -> Event:
    return Event(NOW * 1000 + number, number, 1, Clock.NTP, Kind.PHONE_PASS, {3: 7, 4: number})


def a_ledger(journal: Journal, directory: Path) -> Ledger:
    return Ledger(journal, Health(directory), lambda: "ntp")


def decided(*drafts: Draft, strike: bool = False) -> Decision:
    return Decision(Reason.OPEN if strike else Reason.OK, events=drafts, strike=strike)


ARRIVAL = Draft(Kind.PHONE_PASS, {3: 7})
HEALTH = Draft(Kind.HEALTH, {Detail.COUNTS: {"NOT_A_PASS": 3}})
USUAL = Draft(Kind.DOOR, {Detail.DOOR: Told.NOT_OPENED.value})
FORCED = Draft(Kind.DOOR, {Detail.DOOR: Told.FORCED.value})


def test_what_the_door_does_by_itself_and_health_may_go_and_nothing_else() -> None:
    may_go = {(kind, told) for kind in Kind for told in (None, *Told)
              if class_of(kind, {Detail.DOOR: told} if told else {}) in SHARES}  # fmt: skip
    usual = {Told.PRE_ALARM, Told.NOT_OPENED, Told.UNLOCKED, Told.UNLOCKED_OVER}
    assert may_go == {(Kind.HEALTH, told) for told in (None, *Told)} | {(Kind.DOOR, told) for told in usual}


def test_health_goes_first_then_the_door_and_the_edge_is_not_crossed_with_every_event() -> None:
    assert [has_room(Class.TELEMETRY, filled, left_out=False) for filled in (0.74, 0.76)] == [True, False]
    assert [has_room(Class.DOOR, filled, left_out=False) for filled in (0.76, 0.86)] == [True, False]
    assert [has_room(Class.TELEMETRY, filled, left_out=True) for filled in (0.74, 0.67)] == [False, True]
    assert all(has_room(kept, 9.9, left_out=False) for kept in (Class.ATTENDANCE, Class.ALARM, Class.AUDIT))


def test_a_full_journal_leaves_out_health_and_tells_how_much_when_there_is_room_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite", bytes_max=65_536)
    ledger = a_ledger(journal, tmp_path)
    journal.commit([an_event(n) for n in range(600)], [], NOW)
    assert journal.filled() > 1
    for _ in range(3):
        ledger.write(decided(HEALTH, USUAL), NOW)
    written = ledger.write(decided(FORCED, ARRIVAL, strike=True), NOW)
    assert written is not None and [entry.seq for entry in written.entries] == [600, 601]
    assert ledger.gaps() is None, "it lasts: told each hour, and at its end"
    journal.close()
    journal = open_journal(journal.path, bytes_max=65_536)
    ledger = a_ledger(journal, tmp_path)  # a restart forgets none of it
    journal.mark_receipted(journal.epoch, 601, journal.head, NOW)
    gaps = ledger.gaps()
    assert gaps is not None and ledger.write(gaps, NOW) is not None
    ledger.told(gaps)
    assert gaps.events == (Draft(Kind.GAP, {Detail.COUNTS: {"telemetry": 3, "door": 3}}),)
    assert (ledger.gaps(), ledger.row("ledger", b"left_out")) == (None, None)
    assert ledger.write(decided(HEALTH), NOW) is not None and journal.next_seq == 604
    with reading(journal.path) as db:
        assert verify_chain(db).ok, "what is left out is never numbered"
    journal.close()


def test_a_journal_found_damaged_under_an_arrival_is_replaced_before_the_door_has_to_wait(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = open_journal(path)
    ledger = a_ledger(journal, tmp_path)
    ledger.write(Decision(Reason.OK, changes=(("presence", b"\0\0\0\1", b"in"),)), NOW)
    journal.commit([an_event(n) for n in range(2_000)], [], NOW)
    journal._disk.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    journal._disk.connection.execute("PRAGMA cache_size = 1")
    epoch, raw = journal.epoch, bytearray(path.read_bytes())
    raw[4096:] = b"\xa5" * (len(raw) - 4096)
    with path.open("r+b") as file:  # under the open file, as a dying card does it
        file.write(raw)
    written = ledger.write(decided(ARRIVAL, strike=True), NOW)
    assert written is not None and [entry.seq for entry in written.entries] == [0]
    assert (journal.epoch != epoch, ledger.ok) == (True, True)
    journal.close()
    again = open_journal(path)
    assert (again.saved() or {})["presence", b"\0\0\0\1"] == b"in", "what the gate knew is written again"
    again.close()


# --- clocks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [0, NOW - 30 * 86_400, NOW + 30 * 86_400, 2**32 - 1, 2**32 + 7])
def test_a_clock_that_jumps_drops_nothing_and_loses_nothing(tmp_path: Path, now: int) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    ledger = a_ledger(journal, tmp_path)
    for at in (NOW, now, NOW):
        assert ledger.write(decided(ARRIVAL), at) is not None
    journal.mark_receipted(journal.epoch, 2, journal.head, NOW)
    assert journal.purge(now) == 0 and journal.purge(None) == 0
    with reading(journal.path) as db:
        events = [Event.from_value(_decoded(row.bytes)) for row in rows(db)]
    assert [event.at_ms for event in events] == [NOW * 1000, now * 1000, NOW * 1000]
    assert [event.mono_ms for event in events] == sorted(event.mono_ms for event in events)
    assert {(event.boot, event.clock) for event in events} == {(1, Clock.NTP)}
    journal.close()


def _decoded(raw: bytes) -> object:
    from protocols.canonical import decode

    return decode(raw)


# --- resync ---------------------------------------------------------------------------------------------------------


def test_resync_lets_what_is_kept_go_up_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    journal.commit([an_event(n) for n in range(10)], [], NOW)
    journal.mark_receipted(journal.epoch, 9, journal.head, NOW)
    assert journal.resync(4) == 6
    assert ([entry.seq for entry in journal.pending(-1, 64)], journal.outbox_depth) == ([4, 5, 6, 7, 8, 9], 6)
    assert (journal.resync(-5), journal.resync(10**9)) == (4, 0)
    journal.close()
    again = open_journal(tmp_path / "journal.sqlite")
    assert again.outbox_depth == 10
    again.close()


def test_what_was_dropped_before_a_resync_is_told_as_a_hole_from_a_new_epoch(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    journal.commit([an_event(n) for n in range(10)], [], NOW)
    journal.mark_receipted(journal.epoch, 5, journal.head_before(6), NOW)
    journal.mark_receipted(journal.epoch, 7, journal.head_before(8), NOW + 40 * 86_400)
    assert journal.purge(NOW + 40 * 86_400) == 6
    epoch, head = journal.epoch, journal.head_before(6)
    journal.resync(2)
    assert journal.damage is not None, "its own ledger cannot tell what the cloud cannot read up to"
    journal.recover()
    _salvaged(journal)
    [hole] = journal.untold()
    assert (hole.epoch, hole.first, hole.next, hole.head) == (epoch, 2, 6, head)
    assert [entry.seq for entry in journal.pending(-1, 64, epoch)] == [6, 7, 8, 9]
    journal.close()


def test_a_receipt_that_comes_while_the_journal_is_opened_again_moves_no_other_ledgers_window(tmp_path: Path) -> None:
    """What the first ledger had receipted says nothing of the one that takes its place: its first events go up."""
    journal = open_journal(tmp_path / "journal.sqlite")
    journal.commit([an_event(n) for n in range(10)], [], NOW)
    journal.distrust("its bytes and its head disagree")
    recovery = threading.Thread(target=journal.recover)

    class Slow(int):
        """A moment whose comparison lets the other thread go first, where nothing keeps it out."""

        def __gt__(self, other: int) -> bool:
            if recovery.ident is None:
                recovery.start()
            recovery.join(0.5)
            return int(self) > other

    epoch = journal.epoch
    journal.mark_receipted(epoch, 9, journal.head, Slow(NOW))
    recovery.join()
    assert journal.epoch != epoch
    journal.commit([an_event(99)], [], NOW)
    assert (journal.receipted_upto, [entry.seq for entry in journal.pending(-1, 64)]) == (-1, [0])
    journal.close()


def test_a_gap_whose_commit_failed_has_told_no_hole(tmp_path: Path) -> None:
    """Only the last sync failed: SQLite finds the commit whole, the gate takes it out, and the hole is told again."""
    journal = open_journal(tmp_path / "journal.sqlite")
    hole = Hole(5, 2, 6, bytes(32), NOW)
    with sqlite3.connect(journal.path) as db:
        db.execute("INSERT INTO holes (epoch, first_seq, next_seq, head, since) VALUES (?, ?, ?, ?, ?)", hole_row(hole))
    db.close()
    journal.commit([an_event(0)], [], NOW)
    before = journal._next_seq, journal._head
    journal.commit([a_gap_of(hole)], [], NOW)
    journal._next_seq, journal._head = before  # as the failed sync leaves it
    assert journal.untold() == []
    journal.recover()
    assert journal.next_seq == 1
    assert journal.untold() == [hole]
    journal.commit([a_gap_of(hole)], [], NOW)
    journal.recover()
    assert journal.untold() == [], "what is on the disk and was told stays told"
    journal.close()


def hole_row(hole: Hole) -> tuple:
    return (hole.epoch, hole.first, hole.next, hole.head, hole.since)


def a_gap_of(hole: Hole) -> Event:
    return Event(NOW * 1000, 1, 1, Clock.NTP, Kind.GAP, {Detail.HOLE: hole.told()})


def test_a_journal_that_cannot_be_measured_fails_as_one_that_cannot_be_written(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.sqlite")
    ledger = a_ledger(journal, tmp_path)
    journal._disk.connection.close()
    assert ledger.write(decided(USUAL), NOW) is None
    assert not ledger.ok
    assert ledger.mend()
    assert ledger.write(decided(ARRIVAL, strike=True), NOW) is not None
    with reading(journal.path) as db:
        assert len(list(rows(db))) == 2, "what the door told has waited"
    journal.close()


def _salvaged(journal: Journal) -> None:
    from tests.edge.line import until

    until(lambda: journal.salvaged is not None)


# --- the version before ---------------------------------------------------------------------------------------------

SCHEMA_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE events (
    epoch INTEGER NOT NULL, seq INTEGER NOT NULL, bytes BLOB NOT NULL, head BLOB NOT NULL CHECK (length(head) = 32),
    recorded_at INTEGER NOT NULL, class TEXT NOT NULL, receipted INTEGER,
    PRIMARY KEY (epoch, seq)
) WITHOUT ROWID;
CREATE TABLE state (tab TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (tab, key)) WITHOUT ROWID;
"""


def test_a_journal_of_the_version_before_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    made = open_journal(tmp_path / "model" / "journal.sqlite")
    made.commit([an_event(n) for n in range(5)], [("phone", b"a", b"1")], NOW)
    epoch, head = made.epoch, made.head
    made.close()
    with sqlite3.connect(path) as old:
        old.executescript(SCHEMA_1)
        old.execute("ATTACH ? AS model", (str(made.path),))
        for table, columns in (("events", "epoch, seq, bytes, head, recorded_at, class, receipted"), ("state", "*")):
            old.execute(f"INSERT INTO {table} SELECT {columns} FROM model.{table}")
        old.executemany("INSERT INTO meta VALUES (?, ?)", [("schema", 1), ("epoch", epoch), ("boot", 3)])
        old.execute("PRAGMA user_version = 1")
    old.close()
    journal = open_journal(path)
    assert (journal.epoch, journal.head, journal.boot, journal.outbox_depth) == (epoch, head, 4, 5)
    assert journal.saved() == {("phone", b"a"): b"1"} and journal.quarantined is None
    journal.commit([an_event(9)], [], NOW)
    journal.close()


def test_the_version_before_reads_and_continues_a_journal_of_this_one(tmp_path: Path) -> None:
    """The statements are those of schema 1's program, as it was released."""
    journal = open_journal(tmp_path / "journal.sqlite")
    journal.commit([an_event(n) for n in range(5)], [("phone", b"a", b"1")], NOW)
    journal.mark_receipted(journal.epoch, 1, journal.head_before(2), NOW)
    epoch, head = journal.epoch, journal.head
    journal.close()
    old = sqlite3.connect(journal.path, isolation_level=None)
    assert old.execute("PRAGMA user_version").fetchone() == (1,)
    meta = dict(old.execute("SELECT key, value FROM meta"))
    assert {"epoch", "boot", "schema"} <= meta.keys() and meta["epoch"] == epoch
    last = old.execute("SELECT seq, head FROM events WHERE epoch = ? ORDER BY seq DESC LIMIT 1", (epoch,)).fetchone()
    assert last == (4, head)
    waits = "SELECT seq FROM events WHERE epoch = ? AND receipted IS NULL ORDER BY seq LIMIT 1"
    assert old.execute(waits, (epoch,)).fetchone() == (2,)
    assert old.execute("SELECT tab, key, value FROM state").fetchall() == [("phone", b"a", b"1")]
    old.execute("BEGIN IMMEDIATE")
    old.execute("UPDATE meta SET value = value + 1 WHERE key = 'boot'")
    row = (epoch, 5, an_event(5).encode(), _head_after(head, an_event(5).encode()), NOW, "attendance")
    old.executemany("INSERT INTO events (epoch, seq, bytes, head, recorded_at, class) VALUES (?, ?, ?, ?, ?, ?)", [row])
    old.execute("COMMIT")
    old.close()
    again = open_journal(journal.path)
    assert (again.next_seq, again.boot, again.quarantined) == (6, 3, None)
    again.close()


def _head_after(head: bytes, raw: bytes) -> bytes:
    from protocols.chain import extend

    return extend(head, raw)


# --- a full disk ----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB, mounted for this test."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    if os.geteuid() != 0 or mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root and the right to mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def test_a_full_disk_gets_the_ballast_and_the_gate_writes_on(small_disk: Path) -> None:
    journal = open_journal(small_disk / "journal.sqlite", ballast=True)
    ledger = a_ledger(journal, small_disk)
    ballast = Ballast(small_disk / "journal.ballast")
    journal.purge(None)
    assert ballast.held
    journal.commit([an_event(n) for n in range(300)], [], NOW)
    filler = small_disk / "somebody-elses-log"
    with filler.open("wb") as file, pytest.raises(OSError):
        while True:
            file.write(bytes(65_536))
            file.flush()
    for number in range(3_000):
        assert ledger.write(decided(ARRIVAL, strike=True), NOW + number) is not None, number
    assert journal.is_on_ballast and not ballast.held
    ledger.look()
    assert (ledger.write(decided(HEALTH), NOW) or None) is not None and journal.next_seq == 3_300, "health goes first"
    journal.purge(None)
    assert journal.is_on_ballast, "no room for it yet"
    filler.unlink()
    journal.purge(None)
    assert (ballast.held, journal.is_on_ballast) == (True, False)
    assert ledger.write(decided(HEALTH), NOW) is not None and journal.next_seq == 3_301
    journal.close()


def test_a_ballast_that_has_no_room_is_not_held_and_takes_none(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "none" / "journal.ballast")
    assert (ballast.make(), ballast.held, ballast.free()) == (False, False, False)
    ballast = Ballast(tmp_path / "journal.ballast")
    assert ballast.make() and (tmp_path / "journal.ballast").stat().st_size == BALLAST_BYTES
    assert (ballast.free(), ballast.freed, ballast.make(), ballast.freed) == (True, True, True, False)
    ballast.free()


# --- a slow and failing disk ----------------------------------------------------------------------------------------


def test_a_disk_that_fails_to_sync_opens_nothing_and_works_again_when_it_is_well(tmp_path: Path) -> None:
    """The shim of simulators/shim.c under a process of its own: EIO, then ENOSPC, then half a second for each sync."""
    from simulators.shim import Orders, Shim

    shim = Shim(tmp_path / "orders")
    script = f"""
        import errno, sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path.cwd())!r})
        from simulators.shim import Orders, Shim
        from tests.edge.test_journal_room import ARRIVAL, NOW, Decision, Reason, a_ledger, decided
        from edge.journal import open_journal
        shim = Shim(Path({str(tmp_path / "orders")!r}))
        journal = open_journal(Path({str(tmp_path / "journal.sqlite")!r}))
        ledger = a_ledger(journal, Path({str(tmp_path)!r}))
        print(ledger.write(decided(ARRIVAL, strike=True), NOW) is not None)
        for number in (errno.EIO, errno.ENOSPC):
            shim.order(Orders(sync_errno=number))
            in_vain = Decision(Reason.OPEN, events=(ARRIVAL,), strike=True, changes=(("presence", b"c", b"in"),))
            print(ledger.write(in_vain, NOW) is not None, ledger.ok, ledger.mend())
            shim.mend()
            print(ledger.mend(), ledger.write(decided(ARRIVAL, strike=True), NOW) is not None, journal.quarantined)
        shim.order(Orders(sync_delay_ms=500))
        began = time.monotonic()
        print(ledger.write(decided(ARRIVAL, strike=True), NOW) is not None, time.monotonic() - began >= 0.5)
    """
    shim.order(Orders())
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **shim.settings},
    )  # fmt: skip
    expected = ["True", "False False False", "True True None", "False False False", "True True None", "True True"]
    assert done.stdout.splitlines() == expected, done.stderr
    again = open_journal(tmp_path / "journal.sqlite")
    assert (again.next_seq, again.quarantined) == (4, None), "what the door did not open for is not in the ledger"
    assert again.saved() == {}
    again.close()
