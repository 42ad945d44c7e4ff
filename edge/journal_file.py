"""The journal's file: its tables, opening and creating it, damage found and put aside, its chain checked.

Responsible for: what is on the disk and whether it can be continued; reading it beside a running gate.
Not responsible for: what is written into it (journal.py).
Obeys: PROTOCOL P-5 (a new epoch when the journal is created anew; the chain).
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from protocols.chain import ZERO_HEAD, extend

SCHEMA_VERSION = 1
QUARANTINED_MAX = 3  # damaged journals kept aside for salvage
BUSY_SECONDS = 2.0  # another process (journal export) may hold the file this long

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE events (
    epoch INTEGER NOT NULL, seq INTEGER NOT NULL, bytes BLOB NOT NULL, head BLOB NOT NULL CHECK (length(head) = 32),
    recorded_at INTEGER NOT NULL, class TEXT NOT NULL, receipted INTEGER,
    PRIMARY KEY (epoch, seq)
) WITHOUT ROWID;
CREATE TABLE state (tab TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (tab, key)) WITHOUT ROWID;
"""


class JournalFailed(Exception):
    """The journal cannot be opened or written. code: JOURNAL_FULL, _READONLY, _BUSY, _IN_USE, _SCHEMA or _FAILED."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(f"{code}: {what}")
        self.code = code


class Damaged(Exception):
    """What is on the disk is not a journal that can be continued."""


class Row(NamedTuple):
    """One event as it is exported: entry plus bookkeeping. Times are UTC seconds; receipted is None until it is."""

    epoch: int
    seq: int
    bytes: bytes
    head: bytes
    recorded_at: int
    receipted: int | None


@dataclass(frozen=True)
class Verification:
    """Result of walking the whole chain: ok, or the first seq that is wrong and why."""

    ok: bool
    epoch: int
    first_seq: int
    events: int
    head: bytes
    bad_seq: int | None = None
    why: str | None = None


def prepare(db: sqlite3.Connection) -> None:
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            _create(db)
        elif version != SCHEMA_VERSION:
            raise JournalFailed("JOURNAL_SCHEMA", f"written by another version of the gate (schema {version})")
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            raise Damaged(str(error)) from error
        raise


def _create(db: sqlite3.Connection) -> None:
    epoch = secrets.randbelow(2**32 - 1) + 1  # P-5: a new epoch when the journal is created anew
    meta = [("schema", SCHEMA_VERSION), ("epoch", epoch), ("boot", 0)]
    db.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA.split(";"):
        if statement.strip():
            db.execute(statement)
    db.executemany("INSERT INTO meta VALUES (?, ?)", meta)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    db.execute("COMMIT")


def check_whole(db: sqlite3.Connection) -> None:
    """Raise Damaged unless pages are sound and the chain of what waits for a receipt holds."""
    try:
        answer = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if answer != "ok":
            raise Damaged(answer)
        meta = dict(db.execute("SELECT key, value FROM meta"))
        if not {"epoch", "boot", "schema"} <= meta.keys():
            raise Damaged("meta has lost its rows")
        found = verify_chain(db, only_pending=True)
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            raise Damaged(str(error)) from error
        raise translated(error) from error
    if not found.ok:
        raise Damaged(f"seq {found.bad_seq}: {found.why}")


def verify_chain(db: sqlite3.Connection, *, only_pending: bool = False) -> Verification:
    """Walk the chain from its first kept event (or from the first without a receipt) and check every head."""
    meta = dict(db.execute("SELECT key, value FROM meta"))
    epoch, first, head = meta["epoch"], meta.get("base_seq", 0), meta.get("base_head", ZERO_HEAD)
    if only_pending:
        row = db.execute(
            "SELECT seq, head FROM events WHERE epoch = ? AND receipted IS NOT NULL ORDER BY seq DESC LIMIT 1", (epoch,)
        ).fetchone()
        first, head = (row[0] + 1, row[1]) if row else (first, head)
    seq = first
    rows = db.execute("SELECT seq, bytes, head FROM events WHERE epoch = ? AND seq >= ? ORDER BY seq", (epoch, first))
    for found_seq, raw, found_head in rows:
        if found_seq != seq:
            return Verification(False, epoch, first, seq - first, head, seq, "events are missing")
        head = extend(head, raw)
        if head != found_head:
            return Verification(False, epoch, first, seq - first, head, seq, "its bytes and its head disagree")
        seq += 1
    return Verification(True, epoch, first, seq - first, head)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a journal to look at it, beside a running gate; nothing can be written. Raises JournalFailed."""
    if not path.is_file():
        raise JournalFailed("JOURNAL_FAILED", f"there is no journal at {path}")
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
    except sqlite3.Error as error:
        raise translated(error) from error
    try:
        yield db
    except sqlite3.Error as error:
        raise translated(error) from error
    finally:
        db.close()


def rows(db: sqlite3.Connection) -> Iterator[Row]:
    """Return every event kept, oldest first."""
    query = "SELECT epoch, seq, bytes, head, recorded_at, receipted FROM events ORDER BY epoch, seq"
    return (Row(*row) for row in db.execute(query))


def put_aside(path: Path) -> Path:
    """Move a damaged journal and its WAL aside, keeping the newest few; return where it is now."""
    number = 1 + max((int(p.stem.rsplit("-", 1)[1]) for p in _quarantined(path)), default=0)
    aside = path.with_name(f"{path.stem}.damaged-{number}.sqlite")
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(aside.with_name(aside.name + suffix))
    for old in sorted(_quarantined(path), key=lambda p: int(p.stem.rsplit("-", 1)[1]))[:-QUARANTINED_MAX]:
        for suffix in ("", "-wal", "-shm"):
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    return aside


def _quarantined(path: Path) -> list[Path]:
    found = path.parent.glob(f"{path.stem}.damaged-*.sqlite")
    return [p for p in found if p.stem.rsplit("-", 1)[1].isdigit()]


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Return whether the content is wrong, as against the disk or a lock refusing."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    return primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "no such table" in str(error)


def translated(error: sqlite3.Error) -> JournalFailed:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    named = {
        sqlite3.SQLITE_FULL: "JOURNAL_FULL",
        sqlite3.SQLITE_READONLY: "JOURNAL_READONLY",
        sqlite3.SQLITE_BUSY: "JOURNAL_BUSY",
    }
    return JournalFailed(named.get(code, "JOURNAL_FAILED"), str(error))
