"""The gate's ledger on disk: events, their hash chain, the gate's saved state, and the outbox (what has no receipt).

Responsible for: one transaction for a decision's events and changes, on the disk before it returns; what waits for a
receipt, of this ledger and of what was saved from damaged ones; 35 days of history; damage found, put aside in place.
Not responsible for: deciding (gate.py), sending (sending.py), checking a receipt's signature (sending.py), what of
damaged files is carried over (salvaging.py).
Obeys: PROTOCOL P-5 (identity, chain, journal before strike, receipt), P-3 (state that survives a restart); ADR 0021.

SQLite in WAL mode with synchronous=FULL: a commit that returned has survived a power cut. One connection, one lock
(journal_disk.py): the loop commits, the sender reads the outbox and marks receipts, the salvage carries over.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from edge.ballast import Ballast
from edge.classes import class_of
from edge.journal_disk import Disk
from edge.journal_file import JournalFailed
from edge.salvaging import KEEP_HOLE, Salvaging
from protocols.chain import ZERO_HEAD, extend
from protocols.events import Event
from protocols.gaps import Hole, hole_of
from protocols.limits import JOURNAL_DAYS_AFTER_RECEIPT

KEPT_SECONDS = JOURNAL_DAYS_AFTER_RECEIPT * 86_400
JOURNAL_BYTES_MAX = 64 * 1024 * 1024  # half a school year offline, 216,000 events
PURGE_ROWS_MAX = 5_000  # rows dropped in one transaction, so that a purge never delays an arrival
NEWER_SECONDS = 3_600  # a receipt that marks nothing still tells the cloud's time, so often
_ANY_MOMENT = 2**62  # UTC seconds: also what was receipted while the clock stood in another century
_ANY_SEQ = 2**63 - 1  # the largest number of SQLite
CHANGES_MAX = 4_096  # rows of saved state one decision may change

Change = tuple[str, bytes, bytes | None]


class Marked(StrEnum):
    """What became of a receipt."""

    MARKED = "MARKED"
    OTHER_EPOCH = "OTHER_EPOCH"
    UNKNOWN_SEQ = "UNKNOWN_SEQ"
    OTHER_HEAD = "OTHER_HEAD"


class Entry(NamedTuple):
    """One event as the ledger holds it."""

    seq: int
    bytes: bytes
    head: bytes


class Journal:
    """An open journal, owned by one process. Use `open_journal`; every method may raise JournalFailed."""

    def __init__(self, path: Path, lock_fd: int, bytes_max: int, ballast: Ballast | None) -> None:
        self.bytes_max = bytes_max
        self.created = False  # by this run: the state of the last one, if any, is lost
        self.salvaged: int | None = None  # events carried over, until a gap has told it
        self._lock_fd = lock_fd
        self._disk = Disk(path, ballast)
        self._salvaging = Salvaging(self._disk, self._carried_over)
        self._continue()
        self.boot = self._count_boot()
        self._salvaging.go_on()

    @property
    def path(self) -> Path:
        return self._disk.path

    @property
    def quarantined(self) -> Path | None:
        """The damaged file that this run put aside last."""
        return self._disk.quarantined

    @property
    def proven(self) -> Mapping[tuple[str, bytes], bytes]:
        """Signed documents that a damaged journal could still show at this start."""
        return self._disk.proven

    @property
    def damage(self) -> str | None:
        """What was found while running, until recover() has put the file aside."""
        return self._disk.damage

    def distrust(self, why: str) -> None:
        """What stands in the file is not what was written, though SQLite finds nothing: it is to be put aside."""
        self._disk.damage = why

    # --- what the loop uses -------------------------------------------------------------------------------------

    def commit(self, events: Sequence[Event], changes: Iterable[Change], recorded_at: int) -> list[Entry]:
        """Write events and changed state in one durable transaction; return the events' places in the chain.

        recorded_at: UTC seconds. When this returns, the door may move. Raises JournalFailed: nothing was written.
        """
        entries, rows, told = [], [], []
        head, seq = self._head, self._next_seq
        for event in events:
            raw = event.encode()
            head = extend(head, raw)
            entries.append(Entry(seq, raw, head))
            rows.append((self.epoch, seq, raw, head, recorded_at, str(class_of(event.kind, event.detail))))
            hole = hole_of(event)
            if hole is not None:
                told.append((self.epoch, seq, hole.epoch, hole.first))
            seq += 1
        changed = list(changes)

        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT INTO events (epoch, seq, bytes, head, recorded_at, class) VALUES (?, ?, ?, ?, ?, ?)", rows
            )
            db.executemany("UPDATE holes SET told_epoch = ?, told_seq = ? WHERE epoch = ? AND first_seq = ?", told)
            _write_changes(db, changed)

        self._disk.durably(work)
        self._head, self._next_seq = head, seq
        return entries

    def saved(self) -> Mapping[tuple[str, bytes], bytes] | None:
        """Return the state of the last run, or None where it was lost (a journal created anew)."""
        if self.created:
            return None
        with self._disk.reading() as db:
            return {(tab, key): value for tab, key, value in db.execute("SELECT tab, key, value FROM state")}

    def recover(self) -> None:
        """Open the file again after a failure, and write once; a damaged one is put aside and a new epoch begins.

        What was saved is not in a new file: its owner writes it again. Events of a commit that failed are taken out:
        where only the last sync failed, SQLite finds them whole, and the door did not open. Raises JournalFailed while
        that cannot be.
        """
        with self._disk.lock:
            self._recover()

    def _recover(self) -> None:
        epoch, next_seq = self.epoch, self._next_seq
        self._salvaging.pause()
        self._disk.open_again()
        self._disk.durably(lambda db: _take_out(db, epoch, next_seq))
        self._continue()
        self._disk.durably(
            lambda db: db.execute(
                "INSERT OR REPLACE INTO meta VALUES ('recovered_boot', ?), ('boot', ?)", (self.boot, self.boot)
            )
        )
        self._salvaging.go_on()

    def purge(self, now: int | None) -> int:
        """Drop events receipted 35 days ago, or the oldest receipted ones while the file is over its bound.

        now: UTC seconds, None where the clock is not synchronised: then nothing goes for its age. The age is counted
        to the newest receipt by the cloud's own time, so that a clock that jumps drops nothing. At most PURGE_ROWS_MAX
        at a call. What has no receipt is never dropped. Raises JournalFailed, also for damage that was found.
        """
        if self.damage is not None:
            raise JournalFailed("JOURNAL_DAMAGED", self.damage)
        if self._disk.ballast is not None:
            self._disk.ballast.make()
        before = -1 if now is None else min(now, self._newest_receipt) - KEPT_SECONDS
        if self.bytes_used() > self.bytes_max:
            before = _ANY_MOMENT
        return self._disk.durably(lambda db: self._purge_carried(db, before) or self._purge_own(db, before))

    def _purge_own(self, db: sqlite3.Connection, before: int) -> int:
        found = db.execute(
            "SELECT seq, head FROM (SELECT seq, head, receipted FROM events WHERE epoch = ? ORDER BY seq LIMIT ?)"
            " WHERE receipted <= ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
            (self.epoch, PURGE_ROWS_MAX, before, self._receipted_upto),
        ).fetchone()
        if found is None:
            return 0
        upto, head = found
        db.execute("INSERT OR REPLACE INTO meta VALUES ('base_seq', ?), ('base_head', ?)", (upto + 1, head))
        self._base = (upto + 1, head)
        return db.execute("DELETE FROM events WHERE epoch = ? AND seq <= ?", (self.epoch, upto)).rowcount

    def _purge_carried(self, db: sqlite3.Connection, before: int) -> int:
        """An earlier epoch goes as a whole, its newest events first, so that what still stands stays a chain."""
        old = db.execute(
            "SELECT epoch FROM runs GROUP BY epoch HAVING NOT EXISTS (SELECT 1 FROM events e WHERE e.epoch = runs.epoch"
            " AND (e.receipted IS NULL OR e.receipted > ?)) LIMIT 1",
            (before,),
        ).fetchone()
        if old is None or self._disk.waiting:
            return 0
        gone = db.execute(
            "DELETE FROM events WHERE epoch = ? AND seq IN"
            " (SELECT seq FROM events WHERE epoch = ? ORDER BY seq DESC LIMIT ?)",
            (*old, *old, PURGE_ROWS_MAX),
        ).rowcount
        if gone < PURGE_ROWS_MAX:
            db.execute("DELETE FROM runs WHERE epoch = ?", old)
            db.execute("DELETE FROM holes WHERE epoch = ? AND told_seq IS NOT NULL", old)
        return gone

    def filled(self) -> float:
        """Return which share of its bound the journal needs for what waits; 1 while it lives on its ballast."""
        if self.is_on_ballast:
            return 1.0
        kept = self._next_seq - self._base[0] + self._carried
        return self.bytes_used() / self.bytes_max * self.outbox_depth / max(kept, 1)

    @property
    def is_on_ballast(self) -> bool:
        """Return whether the disk was full and the reserve could not be taken again since."""
        return self._disk.ballast is not None and self._disk.ballast.freed

    def untold(self) -> list[Hole]:
        """Return the holes that no gap has told yet."""
        with self._disk.reading() as db:
            return [Hole(*row) for row in db.execute(
                "SELECT epoch, first_seq, next_seq, head, since FROM holes WHERE told_seq IS NULL ORDER BY epoch,"
                " first_seq LIMIT 8"
            )]  # fmt: skip

    # --- what the sender uses -----------------------------------------------------------------------------------

    def pending(self, after: int, limit: int, epoch: int | None = None) -> list[Entry]:
        """Return up to limit events with seq > after that have no receipt, oldest first. Without epoch: this ledger.

        Nothing of a commit that failed, though a file that was opened again may show it until recover() takes it out.
        """
        own = epoch in (None, self.epoch)
        with self._disk.reading() as db:
            rows = db.execute(
                "SELECT seq, bytes, head FROM events WHERE epoch = ? AND seq > ? AND seq < ? AND receipted IS NULL"
                " ORDER BY seq LIMIT ?",
                (self.epoch, max(after, self._receipted_upto), self._next_seq, limit) if own
                else (epoch, after, _ANY_SEQ, limit),
            ).fetchall()  # fmt: skip
        return [Entry(*row) for row in rows]

    def head_before(self, seq: int, epoch: int | None = None) -> bytes:
        """Return the head that event seq was chained to. Raises LookupError for a seq that was dropped."""
        with self._disk.reading() as db:
            return self._head_before(db, seq, self.epoch if epoch is None else epoch)

    def mark_receipted(self, epoch: int, upto: int, head: bytes, at: int) -> Marked:
        """Mark all events up to `upto`, only where our own head there is the receipt's. at: UTC seconds, its own."""
        with self._disk.lock:  # else recover() could put another ledger between the check and the mark
            return self._mark_checked(epoch, upto, head, at)

    def _mark_checked(self, epoch: int, upto: int, head: bytes, at: int) -> Marked:
        own = epoch == self.epoch
        if own and not 0 <= upto < self._next_seq:
            return Marked.UNKNOWN_SEQ
        with self._disk.reading() as db:
            if not own and not self.carries(epoch):
                return Marked.OTHER_EPOCH
            try:
                found = self._head_before(db, upto + 1, epoch)
            except LookupError:
                return Marked.UNKNOWN_SEQ
        if found != head:
            return Marked.OTHER_HEAD
        if not own or upto > self._receipted_upto or at > self._newest_receipt + NEWER_SECONDS:
            self._mark(epoch, upto, at)
        return Marked.MARKED

    def _mark(self, epoch: int, upto: int, at: int) -> None:
        own = epoch == self.epoch

        def work(db: sqlite3.Connection) -> int:
            if at > self._newest_receipt:
                db.execute("INSERT OR REPLACE INTO meta VALUES ('newest_receipt', ?)", (at,))
            return db.execute(
                "UPDATE events SET receipted = ? WHERE epoch = ? AND seq > ? AND seq <= ? AND receipted IS NULL",
                (at, epoch, self._receipted_upto if own else -1, upto),
            ).rowcount

        marked = self._disk.durably(work)
        self._newest_receipt = max(self._newest_receipt, at)
        if own:
            self._receipted_upto = max(self._receipted_upto, upto)
        else:
            self._carried_waiting -= marked

    def resync(self, from_seq: int) -> int:
        """Let all events from `from_seq` on go up again, and all that were carried over; return how many.

        What was dropped for its age or the bound is told as a hole. For a cloud that was restored from a backup (P46).
        """
        with self._disk.lock:
            return self._let_go_up_again(from_seq)

    def _let_go_up_again(self, from_seq: int) -> int:
        from_seq = max(0, min(from_seq, self._next_seq))
        base, base_head = self._base
        dropped = from_seq < base and from_seq <= self._receipted_upto

        def work(db: sqlite3.Connection) -> int:
            if dropped:
                db.execute(f"{KEEP_HOLE} VALUES (?, ?, ?, ?, ?)", (self.epoch, from_seq, base, base_head, 0))
            again = "UPDATE events SET receipted = NULL WHERE receipted IS NOT NULL AND"
            return (
                db.execute(f"{again} epoch = ? AND seq >= ?", (self.epoch, from_seq)).rowcount
                + db.execute(f"{again} epoch <> ?", (self.epoch,)).rowcount
            )

        count = self._disk.durably(work)
        self._receipted_upto = min(self._receipted_upto, max(from_seq, base) - 1)
        self._count_carried()
        if dropped:
            self.distrust("the cloud lacks what was dropped here: a new epoch tells the hole")
        return count

    def carries(self, epoch: int) -> bool:
        """Return whether events of this earlier epoch were carried over."""
        with self._disk.reading() as db:
            return db.execute("SELECT 1 FROM runs WHERE epoch = ?", (epoch,)).fetchone() is not None

    def outgoing(self) -> tuple[int, int] | None:
        """Return epoch and first seq of the next saved events to be sent; what stands behind a hole waits until the
        cloud has receipted the gap that tells it."""
        if not self._carried_waiting:
            return None
        with self._disk.reading() as db:
            return db.execute(
                "SELECT e.epoch, e.seq FROM events e WHERE e.epoch <> ? AND e.receipted IS NULL AND NOT EXISTS"
                " (SELECT 1 FROM holes h WHERE h.epoch = e.epoch AND h.next_seq <= e.seq"
                "  AND (h.told_seq IS NULL OR h.told_epoch = ? AND h.told_seq > ?)) ORDER BY e.epoch, e.seq LIMIT 1",
                (self.epoch, self.epoch, self._receipted_upto),
            ).fetchone()

    @property
    def receipted_upto(self) -> int:
        """The last seq of this ledger up to which everything has a receipt, -1 for none."""
        return self._receipted_upto

    @property
    def newest_receipt(self) -> int:
        """When the newest receipt was signed, UTC seconds by the cloud's clock, 0 for none."""
        return self._newest_receipt

    # --- what status, export and verify use ---------------------------------------------------------------------

    @property
    def first_seq(self) -> int:
        """The first event that is still kept."""
        return self._base[0]

    @property
    def next_seq(self) -> int:
        return self._next_seq

    @property
    def head(self) -> bytes:
        return self._head

    @property
    def outbox_depth(self) -> int:
        """Events without a receipt."""
        return self._next_seq - 1 - self._receipted_upto + self._carried_waiting

    def oldest_pending_at(self) -> int | None:
        """Return when the oldest event without a receipt was recorded (UTC seconds), None when all are receipted."""
        with self._disk.reading() as db:
            row = db.execute(
                "SELECT recorded_at FROM events WHERE epoch = ? AND seq = ?", (self.epoch, self._receipted_upto + 1)
            ).fetchone()
        return row[0] if row else None

    def bytes_used(self) -> int:
        """Return the size of what the journal holds, free pages not counted."""
        with self._disk.reading() as db:
            pages, free, size = (db.execute(f"PRAGMA {p}").fetchone()[0] for p in _SIZE_PRAGMAS)
        return (pages - free) * size

    def close(self) -> None:
        self._salvaging.close()
        self._disk.close()
        os.close(self._lock_fd)

    # --- inside -------------------------------------------------------------------------------------------------

    def _continue(self) -> None:
        """Read where the chain stands."""
        with self._disk.reading() as db:
            meta = dict(db.execute("SELECT key, value FROM meta"))
            self.epoch: int = meta["epoch"]
            self.created = self.created or meta["boot"] == 0
            self._base: tuple[int, bytes] = (meta.get("base_seq", 0), meta.get("base_head", ZERO_HEAD))
            self._newest_receipt: int = meta.get("newest_receipt", 0)
            last = db.execute(
                "SELECT seq, head FROM events WHERE epoch = ? ORDER BY seq DESC LIMIT 1", (self.epoch,)
            ).fetchone()
            self._next_seq, self._head = (last[0] + 1, last[1]) if last else self._base
            waiting = db.execute(
                "SELECT seq FROM events WHERE epoch = ? AND receipted IS NULL ORDER BY seq LIMIT 1", (self.epoch,)
            ).fetchone()
            self._receipted_upto: int = (waiting[0] if waiting else self._next_seq) - 1
        self._count_carried()

    def _count_carried(self) -> None:
        with self._disk.reading() as db:
            self._carried, self._carried_waiting = db.execute(
                "SELECT count(*), count(*) - count(receipted) FROM events WHERE epoch <> ?", (self.epoch,)
            ).fetchone()

    def _count_boot(self) -> int:
        def work(db: sqlite3.Connection) -> int:
            db.execute("UPDATE meta SET value = max(value, ?) + 1 WHERE key = 'boot'", (self._disk.last_boot,))
            return db.execute("SELECT value FROM meta WHERE key = 'boot'").fetchone()[0]

        return self._disk.durably(work)

    def _head_before(self, db: sqlite3.Connection, seq: int, epoch: int) -> bytes:
        own = epoch == self.epoch
        if own and seq == self._next_seq:
            return self._head
        row = db.execute("SELECT head FROM events WHERE epoch = ? AND seq = ?", (epoch, seq - 1)).fetchone()
        if row is None and not own:
            row = db.execute("SELECT head FROM runs WHERE epoch = ? AND first_seq = ?", (epoch, seq)).fetchone()
        if row is not None:
            return row[0]
        if own and seq == self._base[0]:
            return self._base[1]
        raise LookupError(seq)

    def _carried_over(self, is_last: bool) -> None:
        self._count_carried()
        if is_last:
            self.salvaged = self._carried


_SIZE_PRAGMAS = ("page_count", "freelist_count", "page_size")


def open_journal(path: Path, bytes_max: int = JOURNAL_BYTES_MAX, *, ballast: bool = False) -> Journal:
    """Open or create the journal at path, for this process alone. ballast: keep a reserve for a full disk beside it.

    A damaged file is renamed to journal.damaged-N.sqlite (Journal.quarantined says where), a new epoch begins, and what
    is whole is carried over while the gate works. Raises JournalFailed when the disk refuses, JOURNAL_IN_USE when
    another gate process holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock_fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalFailed("JOURNAL_FAILED", f"{path.parent} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Journal(path, lock_fd, bytes_max, Ballast(path.with_suffix(".ballast")) if ballast else None)
    except BlockingIOError:
        os.close(lock_fd)
        raise JournalFailed("JOURNAL_IN_USE", f"another gate process holds {path}") from None
    except BaseException:
        os.close(lock_fd)
        raise


def _take_out(db: sqlite3.Connection, epoch: int, from_seq: int) -> None:
    """Take out events from a seq on; a hole that one of them told is told again."""
    db.execute("DELETE FROM events WHERE epoch = ? AND seq >= ?", (epoch, from_seq))
    db.execute(
        "UPDATE holes SET told_epoch = NULL, told_seq = NULL WHERE told_epoch = ? AND told_seq >= ?", (epoch, from_seq)
    )


def _write_changes(db: sqlite3.Connection, changes: Iterable[Change]) -> None:
    for count, (tab, key, value) in enumerate(changes):
        if count >= CHANGES_MAX:
            raise ValueError(f"over {CHANGES_MAX} changes in one decision")
        if value is None:
            db.execute("DELETE FROM state WHERE tab = ? AND key = ?", (tab, key))
        else:
            db.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", (tab, key, value))
