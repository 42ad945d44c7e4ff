"""The journal's file: its tables, opening and creating it, damage found and put aside, its chains checked.

Responsible for: what is on the disk and whether it can be continued; reading it beside a running gate.
Not responsible for: what is written into it (journal.py), what is saved from a damaged one (salvage.py).
Obeys: PROTOCOL P-5 (a new epoch when the journal is created anew; the chain).

Schemas only add. `user_version` names the oldest reader that may open the file, meta's `schema` who wrote it: a gate
that goes back to its last version after a failed update must find a journal that it can read and continue.
"""

from __future__ import annotations

import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from protocols.chain import ZERO_HEAD, extend

SCHEMA_VERSION = 2
OLDEST_READER = 1  # a gate of schema 1 reads and continues this file; it leaves runs and holes alone
QUARANTINED_MAX = 3  # damaged journals kept aside to be looked at, besides those that wait to be carried over
WAITING_MAX = 8  # damaged journals that wait to be carried over; beyond, the oldest is given up
_ASIDE = re.compile(r"[^/]+\.damaged-[0-9]{1,9}\.sqlite")
_NO_END = 2**62
BUSY_SECONDS = 2.0  # another process (journal export) may hold the file this long

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    epoch INTEGER NOT NULL, seq INTEGER NOT NULL, bytes BLOB NOT NULL, head BLOB NOT NULL CHECK (length(head) = 32),
    recorded_at INTEGER NOT NULL, class TEXT NOT NULL, receipted INTEGER,
    PRIMARY KEY (epoch, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
    tab TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (tab, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
    epoch INTEGER NOT NULL, first_seq INTEGER NOT NULL, head BLOB NOT NULL CHECK (length(head) = 32),
    PRIMARY KEY (epoch, first_seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holes (
    epoch INTEGER NOT NULL, first_seq INTEGER NOT NULL, next_seq INTEGER NOT NULL,
    head BLOB NOT NULL CHECK (length(head) = 32), since INTEGER NOT NULL, told_epoch INTEGER, told_seq INTEGER,
    PRIMARY KEY (epoch, first_seq)
) WITHOUT ROWID;
"""


class JournalFailed(Exception):
    """The journal cannot be opened or written. code: JOURNAL_FULL, _DAMAGED, _READONLY, _BUSY, _IN_USE, _SCHEMA or
    _FAILED."""

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


def prepare(db: sqlite3.Connection, waiting: Callable[[], Sequence[str]] = tuple) -> None:
    """Make the file ready to be written; a new one remembers which files wait to be carried over. Raises Damaged."""
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        oldest_reader = db.execute("PRAGMA user_version").fetchone()[0]
        if oldest_reader == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            _create(db, waiting())
            return
        (schema,) = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() or (None,)
        if type(schema) is not int or not 0 < oldest_reader <= schema:
            raise Damaged(f"no writer of schema {schema} asks for readers of {oldest_reader}")
        if oldest_reader > SCHEMA_VERSION:
            raise JournalFailed("JOURNAL_SCHEMA", f"written by a later version of the gate (schema {oldest_reader})")
        if schema < SCHEMA_VERSION:
            _extend(db)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if is_damage(error):
            raise Damaged(str(error)) from error
        raise


def _create(db: sqlite3.Connection, waiting: Sequence[str]) -> None:
    epoch = secrets.randbelow(2**32 - 1) + 1  # P-5: a new epoch when the journal is created anew
    meta: list[tuple[str, int | str]] = [("schema", SCHEMA_VERSION), ("epoch", epoch), ("boot", 0)]
    meta += [(f"salvage-{number}" if number else "salvage", name) for number, name in enumerate(waiting)]
    db.execute("BEGIN IMMEDIATE")
    _make_tables(db)
    db.executemany("INSERT INTO meta VALUES (?, ?)", meta)
    db.execute(f"PRAGMA user_version = {OLDEST_READER}")
    db.execute("COMMIT")


def waiting_in(meta: Mapping[str, object]) -> list[str]:
    """Return names of the damaged files that this journal has still to carry over, oldest first."""
    keys = sorted(key for key in meta if type(key) is str and key.startswith("salvage"))
    return [name for key in keys if type(name := meta[key]) is str and _ASIDE.fullmatch(name)]


def _extend(db: sqlite3.Connection) -> None:
    """A journal of the version before gets what it lacks; its rows stay as they are."""
    db.execute("BEGIN IMMEDIATE")
    _make_tables(db)
    db.execute("INSERT OR REPLACE INTO meta VALUES ('schema', ?)", (SCHEMA_VERSION,))
    db.execute("COMMIT")


def _make_tables(db: sqlite3.Connection) -> None:
    for statement in SCHEMA.split(";"):
        if statement.strip():
            db.execute(statement)


def check_whole(db: sqlite3.Connection) -> None:
    """Raise Damaged unless pages are sound and the chain of what waits for a receipt holds."""
    try:
        answer = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if answer != "ok":
            raise Damaged(answer)
        if not _is_sound(dict(db.execute("SELECT key, value FROM meta"))):
            raise Damaged("meta has lost its rows")
        found = verify_chain(db, only_pending=True)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if is_damage(error):
            raise Damaged(str(error)) from error
        raise translated(error) from error
    except (TypeError, ValueError) as error:  # a number where bytes should be
        raise Damaged(f"rows of another shape: {error}") from error
    if not found.ok:
        raise Damaged(f"seq {found.bad_seq}: {found.why}")


def _is_sound(meta: Mapping[str, object]) -> bool:
    """Return whether meta says where the chain stands."""
    numbers = [meta.get("epoch"), meta.get("boot"), meta.get("base_seq", 0), meta.get("newest_receipt", 0)]
    base_head = meta.get("base_head", ZERO_HEAD)
    sound = "schema" in meta and all(type(number) is int and 0 <= number < _NO_END for number in numbers)
    return sound and type(base_head) is bytes and len(base_head) == len(ZERO_HEAD)


def verify_chain(db: sqlite3.Connection, *, only_pending: bool = False) -> Verification:
    """Walk the chain from its first kept event (or from the first without a receipt) and check every head."""
    meta = dict(db.execute("SELECT key, value FROM meta"))
    epoch, first, head = meta["epoch"], meta.get("base_seq", 0), meta.get("base_head", ZERO_HEAD)
    if only_pending:
        row = db.execute(
            "SELECT seq, head FROM events WHERE epoch = ? AND receipted IS NOT NULL ORDER BY seq DESC LIMIT 1", (epoch,)
        ).fetchone()
        first, head = (row[0] + 1, row[1]) if row else (first, head)
    return _walked(db, epoch, first, head, None)


def verify_carried(db: sqlite3.Connection) -> list[Verification]:
    """Walk what was saved from earlier journals, each run by itself: before a run, or between two, events are lost."""
    if not _has_runs(db):
        return []
    runs = db.execute("SELECT epoch, first_seq, head FROM runs ORDER BY epoch, first_seq").fetchall()
    found = []
    for (epoch, first, head), after in zip(runs, [*runs, (None, _NO_END)][1:], strict=True):
        found.append(_walked(db, epoch, first, head, after[1] if after[0] == epoch else _NO_END))
    return found


class KnownHole(NamedTuple):
    """Events first_seq to next_seq - 1 of an epoch are lost. told: a gap in the ledger says so."""

    epoch: int
    first_seq: int
    next_seq: int
    told: bool


def holes_of(db: sqlite3.Connection) -> list[KnownHole]:
    """Return what was lost with damaged journals, or dropped before a cloud asked for it again."""
    if not _has_runs(db):
        return []
    found = db.execute("SELECT epoch, first_seq, next_seq, told_seq IS NOT NULL FROM holes ORDER BY epoch, first_seq")
    return [KnownHole(epoch, first, following, bool(told)) for epoch, first, following, told in found]


def _has_runs(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone() is not None


def _walked(db: sqlite3.Connection, epoch: int, first: int, head: bytes, end: int | None) -> Verification:
    """end: where the next run begins, None for a ledger that has no holes."""
    seq = first
    found = db.execute(
        "SELECT seq, bytes, head FROM events WHERE epoch = ? AND seq >= ? AND seq < ? ORDER BY seq",
        (epoch, first, _NO_END if end is None else end),
    )
    for found_seq, raw, found_head in found:
        if found_seq != seq and end is not None:
            break  # a hole: the next run begins behind it
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
    """Move a damaged journal and its WAL aside; return where it is now."""
    number = 1 + max(map(_number_of, asides(path)), default=0)
    aside = path.with_name(f"{path.stem}.damaged-{number}.sqlite")
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(aside.with_name(aside.name + suffix))
    return aside


def drop_asides(path: Path, waiting: Sequence[str]) -> None:
    """Delete old damaged journals: all but the newest few, and those that wait to be carried over."""
    for old in asides(path)[:-QUARANTINED_MAX]:
        for suffix in ("", "-wal", "-shm") if old.name not in waiting else ():
            old.with_name(old.name + suffix).unlink(missing_ok=True)


def asides(path: Path) -> list[Path]:
    """Return the damaged journals that were put aside, the newest last."""
    found = path.parent.glob(f"{path.stem}.damaged-*.sqlite")
    return sorted((aside for aside in found if _ASIDE.fullmatch(aside.name)), key=_number_of)


def _number_of(aside: Path) -> int:
    return int(aside.stem.rsplit("-", 1)[1])


def is_damage(error: Exception) -> bool:
    """Return whether the content is wrong or cannot be read any more, as against the disk or a lock refusing."""
    if isinstance(error, UnicodeDecodeError):
        return True  # text that is none, in a row or in SQLite's own message about the schema
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code in _UNREADABLE or code & 0xFF in _WRONG or "no such" in str(error)


_WRONG = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_UNREADABLE = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)  # a bad block of the card stays bad


def translated(error: Exception) -> JournalFailed:
    if is_damage(error):
        return JournalFailed("JOURNAL_DAMAGED", str(error))
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    named = {
        sqlite3.SQLITE_FULL: "JOURNAL_FULL",
        sqlite3.SQLITE_READONLY: "JOURNAL_READONLY",
        sqlite3.SQLITE_BUSY: "JOURNAL_BUSY",
    }
    return JournalFailed(named.get(code, "JOURNAL_FAILED"), str(error))
