"""The gate's ledger on disk: events, their hash chain, the gate's saved state, and the outbox (what has no receipt).

Responsible for: one transaction for a decision's events and changes, on the disk before it returns; what waits for a
receipt; 35 days of history; damage found at start.
Not responsible for: deciding (gate.py), sending (broker.py), checking a receipt's signature (broker.py).
Obeys: PROTOCOL P-5 (identity, chain, journal before strike, receipt), P-3 (state that survives a restart).

SQLite in WAL mode with synchronous=FULL: a commit that returned has survived a power cut. One connection, one lock:
the loop commits, the broker's thread reads the outbox and marks receipts. Errors of SQLite become JournalFailed.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from edge.journal_file import (
    BUSY_SECONDS,
    Damaged,
    JournalFailed,
    check_whole,
    prepare,
    put_aside,
    translated,
)
from protocols.chain import ZERO_HEAD, extend
from protocols.events import Event, Kind
from protocols.limits import JOURNAL_DAYS_AFTER_RECEIPT

KEPT_SECONDS = JOURNAL_DAYS_AFTER_RECEIPT * 86_400
JOURNAL_BYTES_MAX = 64 * 1024 * 1024  # half a school year offline, 216,000 events
PURGE_ROWS_MAX = 5_000  # rows dropped in one transaction, so that a purge never delays an arrival
_ANY_MOMENT = 2**62  # UTC seconds: also what was receipted while the clock stood in another century
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


_ATTENDANCE = frozenset((1, 2, 3, 4, 14, 15, 16))
_TELEMETRY = frozenset((Kind.HEALTH,))
_ALARMS = frozenset((7, 9, 10))


def class_of(kind: int) -> str:
    """Return what the event is kept as: attendance, alarm, audit or telemetry."""
    if kind in _ATTENDANCE:
        return "attendance"
    if kind in _TELEMETRY:
        return "telemetry"
    return "alarm" if kind in _ALARMS else "audit"


class Journal:
    """An open journal, owned by one process. Use `open_journal`; every method may raise JournalFailed."""

    def __init__(self, path: Path, lock_fd: int, bytes_max: int) -> None:
        self.path = path
        self.bytes_max = bytes_max
        self.quarantined: Path | None = None
        self.created = False  # by this run: the state of the last one, if any, is lost
        self._lock_fd = lock_fd
        self._lock = threading.Lock()
        self._connection = self._open_orput_aside()
        self._continue()
        self.boot = self._count_boot()

    # --- what the loop uses -------------------------------------------------------------------------------------

    def commit(self, events: Sequence[Event], changes: Iterable[Change], recorded_at: int) -> list[Entry]:
        """Write events and changed state in one durable transaction; return the events' places in the chain.

        recorded_at: UTC seconds. When this returns, the door may move. Raises JournalFailed: nothing was written.
        """
        entries: list[Entry] = []
        head, seq = self._head, self._next_seq
        rows = []
        for event in events:
            raw = event.encode()
            head = extend(head, raw)
            entries.append(Entry(seq, raw, head))
            rows.append((self.epoch, seq, raw, head, recorded_at, class_of(int(event.kind))))
            seq += 1
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO events (epoch, seq, bytes, head, recorded_at, class) VALUES (?, ?, ?, ?, ?, ?)", rows
            )
            _write_changes(db, changes)
        self._head, self._next_seq = head, seq
        return entries

    def saved(self) -> Mapping[tuple[str, bytes], bytes] | None:
        """Return the state of the last run, or None where it was lost (a journal created anew)."""
        if self.created:
            return None
        with self._reading() as db:
            return {(tab, key): value for tab, key, value in db.execute("SELECT tab, key, value FROM state")}

    def recover(self) -> None:
        """Close and open the file again after a failure, and write once. Raises JournalFailed while it cannot."""
        with self._lock:
            self._connection.close()
            try:
                self._connection = self._connect()
            except Damaged as damage:
                raise JournalFailed("JOURNAL_FAILED", f"damaged: {damage}; the next start puts it aside") from damage
            self._continue()
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('recovered_boot', ?)", (self.boot,))

    def purge(self, now: int) -> int:
        """Drop receipted events older than 35 days, or the oldest receipted ones while the file is over its bound.

        now: UTC seconds. At most PURGE_ROWS_MAX at a call. What has no receipt is never dropped.
        """
        over = self.bytes_used() > self.bytes_max
        before = _ANY_MOMENT if over else now - KEPT_SECONDS
        with self._transaction() as db:
            found = db.execute(
                "SELECT seq, head FROM (SELECT seq, head, receipted FROM events WHERE epoch = ? ORDER BY seq LIMIT ?)"
                " WHERE receipted <= ? ORDER BY seq DESC LIMIT 1",
                (self.epoch, PURGE_ROWS_MAX, before),
            ).fetchone()
            if found is None:
                return 0
            upto, head = found
            db.execute("INSERT OR REPLACE INTO meta VALUES ('base_seq', ?), ('base_head', ?)", (upto + 1, head))
            return db.execute("DELETE FROM events WHERE epoch = ? AND seq <= ?", (self.epoch, upto)).rowcount

    # --- what the broker uses -----------------------------------------------------------------------------------

    def pending(self, after: int, limit: int) -> list[Entry]:
        """Return up to limit events with seq > after that have no receipt, oldest first."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT seq, bytes, head FROM events WHERE epoch = ? AND seq > ? AND receipted IS NULL"
                " ORDER BY seq LIMIT ?",
                (self.epoch, max(after, self._receipted_upto), limit),
            ).fetchall()
        return [Entry(*row) for row in rows]

    def head_before(self, seq: int) -> bytes:
        """Return the head that event seq was chained to. Raises LookupError for a seq that was dropped."""
        with self._reading() as db:
            return self._head_before(db, seq)

    def mark_receipted(self, epoch: int, upto: int, head: bytes, at: int) -> Marked:
        """Mark all events up to `upto`, only where our own head there is the receipt's. at: UTC seconds."""
        if epoch != self.epoch:
            return Marked.OTHER_EPOCH
        if not 0 <= upto < self._next_seq:
            return Marked.UNKNOWN_SEQ
        with self._reading() as db:
            try:
                own = self._head_before(db, upto + 1)
            except LookupError:
                return Marked.UNKNOWN_SEQ
        if own != head:
            return Marked.OTHER_HEAD
        if upto > self._receipted_upto:
            with self._transaction() as db:
                db.execute(
                    "UPDATE events SET receipted = ? WHERE epoch = ? AND seq > ? AND seq <= ? AND receipted IS NULL",
                    (at, self.epoch, self._receipted_upto, upto),
                )
            self._receipted_upto = upto
        return Marked.MARKED

    # --- what status, export and verify use ---------------------------------------------------------------------

    @property
    def next_seq(self) -> int:
        return self._next_seq

    @property
    def head(self) -> bytes:
        return self._head

    @property
    def outbox_depth(self) -> int:
        """Events without a receipt."""
        return self._next_seq - 1 - self._receipted_upto

    def oldest_pending_at(self) -> int | None:
        """Return when the oldest event without a receipt was recorded (UTC seconds), None when all are receipted."""
        with self._reading() as db:
            row = db.execute(
                "SELECT recorded_at FROM events WHERE epoch = ? AND seq = ?", (self.epoch, self._receipted_upto + 1)
            ).fetchone()
        return row[0] if row else None

    def bytes_used(self) -> int:
        """Return the size of what the journal holds, free pages not counted."""
        with self._reading() as db:
            pages, free, size = (db.execute(f"PRAGMA {p}").fetchone()[0] for p in _SIZE_PRAGMAS)
        return (pages - free) * size

    def close(self) -> None:
        with self._lock:
            self._connection.close()
            os.close(self._lock_fd)

    # --- inside -------------------------------------------------------------------------------------------------

    def _open_orput_aside(self) -> sqlite3.Connection:
        try:
            connection = self._connect()
            check_whole(connection)
            return connection
        except Damaged:
            self.quarantined = put_aside(self.path)
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=32
            )
            try:
                prepare(connection)
            except BaseException:
                connection.close()
                raise
            return connection
        except sqlite3.Error as error:
            raise translated(error) from error

    def _continue(self) -> None:
        """Read where the chain stands."""
        try:
            db = self._connection
            meta = dict(db.execute("SELECT key, value FROM meta"))
            self.epoch: int = meta["epoch"]
            self.created = self.created or meta["boot"] == 0
            last = db.execute(
                "SELECT seq, head FROM events WHERE epoch = ? ORDER BY seq DESC LIMIT 1", (self.epoch,)
            ).fetchone()
            base_seq, base_head = meta.get("base_seq", 0), meta.get("base_head", ZERO_HEAD)
            self._next_seq, self._head = (last[0] + 1, last[1]) if last else (base_seq, base_head)
            waiting = db.execute(
                "SELECT seq FROM events WHERE epoch = ? AND receipted IS NULL ORDER BY seq LIMIT 1", (self.epoch,)
            ).fetchone()
            self._receipted_upto: int = (waiting[0] if waiting else self._next_seq) - 1
        except sqlite3.Error as error:
            raise translated(error) from error

    def _count_boot(self) -> int:
        with self._transaction() as db:
            db.execute("UPDATE meta SET value = value + 1 WHERE key = 'boot'")
            return db.execute("SELECT value FROM meta WHERE key = 'boot'").fetchone()[0]

    def _head_before(self, db: sqlite3.Connection, seq: int) -> bytes:
        if seq == self._next_seq:
            return self._head
        row = db.execute("SELECT head FROM events WHERE epoch = ? AND seq = ?", (self.epoch, seq - 1)).fetchone()
        if row is not None:
            return row[0]
        base = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('base_seq', 'base_head')"))
        if seq == base.get("base_seq", 0):
            return base.get("base_head", ZERO_HEAD)
        raise LookupError(seq)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            db = self._connection
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except sqlite3.Error as error:
                _roll_back(db)
                raise translated(error) from error
            except BaseException:
                _roll_back(db)
                raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise translated(error) from error


_SIZE_PRAGMAS = ("page_count", "freelist_count", "page_size")


def open_journal(path: Path, bytes_max: int = JOURNAL_BYTES_MAX) -> Journal:
    """Open or create the journal at path, for this process alone.

    A damaged file is renamed to journal.damaged-N.sqlite (Journal.quarantined says where) and a new epoch begins.
    Raises JournalFailed when the disk refuses, JOURNAL_IN_USE when another gate process holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock_fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalFailed("JOURNAL_FAILED", f"{path.parent} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Journal(path, lock_fd, bytes_max)
    except BlockingIOError:
        os.close(lock_fd)
        raise JournalFailed("JOURNAL_IN_USE", f"another gate process holds {path}") from None
    except BaseException:
        os.close(lock_fd)
        raise


def _write_changes(db: sqlite3.Connection, changes: Iterable[Change]) -> None:
    for count, (tab, key, value) in enumerate(changes):
        if count >= CHANGES_MAX:
            raise ValueError(f"over {CHANGES_MAX} changes in one decision")
        if value is None:
            db.execute("DELETE FROM state WHERE tab = ? AND key = ?", (tab, key))
        else:
            db.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", (tab, key, value))


def _roll_back(db: sqlite3.Connection) -> None:
    try:
        if db.in_transaction:
            db.execute("ROLLBACK")
    except sqlite3.Error:
        pass  # the failure that brought us here is the one to report; the connection is opened again by recover()
