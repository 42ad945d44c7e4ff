"""One connection to the journal's file, one lock, durable transactions; a damaged file put aside in place.

Responsible for: opening the file or beginning a new one in its stead; a transaction that is on the disk when it
returns; giving up the ballast where the disk is full; noticing damage while running.
Not responsible for: what is written (journal.py), the tables (journal_file.py), what of a damaged file is whole
(salvage.py). Obeys: PROTOCOL P-5 (journal before strike). Errors of SQLite become JournalFailed here and nowhere else.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from edge.ballast import Ballast
from edge.journal_file import (
    BUSY_SECONDS,
    WAITING_MAX,
    Damaged,
    JournalFailed,
    asides,
    check_whole,
    drop_asides,
    prepare,
    put_aside,
    translated,
    waiting_in,
)
from edge.salvage import Damage

Done = TypeVar("Done")


class Disk:
    """The file at `path`, open. Every method may raise JournalFailed."""

    def __init__(self, path: Path, ballast: Ballast | None) -> None:
        self.path, self.ballast = path, ballast
        self.quarantined: Path | None = None
        self.damage: str | None = None  # found while running; open_again() puts the file aside
        self.proven: dict[tuple[str, bytes], bytes] = {}  # signed documents that a damaged file could still show
        self.last_boot = 0  # of a file that was put aside
        self.waiting: list[str] = []  # names of damaged files that are still to be carried over into this one
        self.lock = threading.RLock()  # held by whoever needs several steps in one
        self.connection = self._open_or_put_aside()

    def open_again(self) -> None:
        """Close and open after a failure; a damaged file is put aside and a new one begins."""
        with self.lock:
            self.connection.close()
            try:
                if self.damage is not None:
                    raise Damaged(self.damage)
                self.connection = self._connect()
            except Damaged:
                self.connection = self._begin_anew()
            self.damage = None

    def close(self) -> None:
        with self.lock:
            self.connection.close()

    def durably(self, work: Callable[[sqlite3.Connection], Done]) -> Done:
        """Do the work in one transaction; where the disk is full, once more on what the ballast gives back."""
        try:
            with self._transaction() as db:
                return work(db)
        except JournalFailed as failed:
            if failed.code != "JOURNAL_FULL" or self.ballast is None or not self.ballast.free():
                raise
        with self._transaction() as db:
            return work(db)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self.lock:
            db = self.connection
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except (sqlite3.Error, UnicodeDecodeError) as error:
                _roll_back(db)
                raise self._failed(error) from error
            except BaseException:
                _roll_back(db)
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with self.lock:
            try:
                yield self.connection
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise self._failed(error) from error

    def _failed(self, error: Exception) -> JournalFailed:
        failed = translated(error)
        if failed.code == "JOURNAL_DAMAGED":
            self.damage = str(error)
        return failed

    # --- opening ------------------------------------------------------------------------------------------------

    def _open_or_put_aside(self) -> sqlite3.Connection:
        try:
            connection = self._connect()
            try:
                check_whole(connection)
            except BaseException:
                connection.close()
                raise
            return connection
        except Damaged:
            return self._begin_anew()

    def _begin_anew(self) -> sqlite3.Connection:
        """Put the damaged file aside; the new one begins with the signed documents that the old one can still show."""
        try:
            self.quarantined = put_aside(self.path)
            connection = self._connect()
            drop_asides(self.path, waiting_in(dict(connection.execute("SELECT key, value FROM meta"))))
            self._take_over(self.quarantined, connection)
        except OSError as error:
            raise JournalFailed("JOURNAL_FAILED", f"it cannot be put aside: {error.strerror}") from error
        except sqlite3.Error as error:
            raise translated(error) from error
        except Damaged as damage:  # a file made a moment ago: the disk itself
            raise JournalFailed("JOURNAL_FAILED", f"a new one is damaged too: {damage}") from damage
        return connection

    def _take_over(self, damaged: Path, connection: sqlite3.Connection) -> None:
        if not damaged.exists():
            return
        try:
            damage = Damage(damaged)
        except sqlite3.Error:
            return  # not even the beginning can be read
        rows, self.last_boot = damage.proven_state(), damage.boot
        damage.close()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
        self.proven = {(tab, key): value for tab, key, value in rows}

    def _to_salvage(self) -> list[str]:
        """Name what a journal made now has to carry over: the newest damaged one, and what that one had not yet."""
        found = asides(self.path)
        if not found:
            return []
        named = {found[-1].name, *self.waiting}
        try:
            damage = Damage(found[-1])
            named.update(damage.waiting)
            damage.close()
        except sqlite3.Error:
            pass  # not even the beginning can be read: what this run knew of it is named
        return [aside.name for aside in found if aside.name in named][-WAITING_MAX:]

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=32
            )
            try:
                prepare(connection, self._to_salvage)
            except BaseException:
                connection.close()
                raise
            return connection
        except sqlite3.Error as error:
            failed = translated(error)
            if failed.code == "JOURNAL_DAMAGED":
                raise Damaged(str(error)) from error
            raise failed from error


def _roll_back(db: sqlite3.Connection) -> None:
    try:
        if db.in_transaction:
            db.execute("ROLLBACK")
    except sqlite3.Error:
        pass  # the failure that brought us here is the one to report; the file is opened again by open_again()
