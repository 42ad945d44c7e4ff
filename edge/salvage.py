"""What is whole in a damaged journal: carried over into the new one with its own numbers, and still sent.

Responsible for: walking a damaged ledger by its chain and believing only what the chain proves; reading rows around
pages that cannot be read; carrying over in small steps beside a working gate.
Not responsible for: putting a file aside (journal_file.py), sending (sending.py), the gate's saved state: nothing
proves it, so it begins anew, but for what a signature proves (PROVEN).
Obeys: PROTOCOL P-5 (same identity, same head); ADR 0021; HOSTILE P22. An event that the chain does not prove is lost.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from edge.journal_file import BUSY_SECONDS, JournalFailed, Row, waiting_in
from protocols.chain import ZERO_HEAD, extend
from protocols.gaps import Hole

PROVEN = ("document",)  # tables of saved state whose rows are signed documents, checked again when they are loaded
STEP_EVENTS = 200  # carried over in one transaction: an arrival waits for one of them at most
MISSED_MAX = 4_096  # rows looked for one by one behind a page that cannot be read


@dataclass(frozen=True)
class Run:
    """Whole events of an epoch without a hole among them; the first is chained to `head`."""

    epoch: int
    first: int
    head: bytes


Piece = Row | Run | Hole


def whole(rows: Iterable[Row], anchors: Mapping[int, bytes]) -> Iterator[Piece]:
    """Yield what the chain proves of one epoch's rows: runs, their events, and the holes between them. PURE.

    rows: seq rising, some missing, some wrong. anchors: the head before an event, by its seq, where it is known. A row
    is whole if its bytes lead from a proven head to its own head, or to the next row's; a head that only the next row
    confirms is proven too, and its own row is not.
    """
    heads, end, since, begun = dict(anchors), min(anchors, default=0), 0, False
    for row, after in _pairs(rows):
        before = heads.get(row.seq)
        head = _proven_head(row, after, before)
        if head is not None and before is not None:
            if not begun or end != row.seq:
                if row.seq > end:
                    yield Hole(row.epoch, end, row.seq, before, since)
                yield Run(row.epoch, row.seq, before)
            yield row._replace(head=head)
            begun, end, since = True, row.seq + 1, max(0, row.recorded_at)
            heads[end] = head
        elif after is not None and after.seq == row.seq + 1 and _leads(row.head, after):
            heads[after.seq] = row.head
        heads.pop(row.seq, None)


def _pairs(rows: Iterable[Row]) -> Iterator[tuple[Row, Row | None]]:
    last: Row | None = None
    for row in rows:
        if last is not None:
            yield last, row
        last = row
    if last is not None:
        yield last, None


def _proven_head(row: Row, after: Row | None, before: bytes | None) -> bytes | None:
    if before is None:
        return None
    head = extend(before, row.bytes)
    if head == row.head:
        return head
    follows = after is not None and after.seq == row.seq + 1 and _leads(head, after)
    return head if follows else None  # the stored head was the changed one


def _leads(head: bytes, after: Row) -> bool:
    return extend(head, after.bytes) == after.head


# --- a damaged file -------------------------------------------------------------------------------------------------


class Damage:
    """A journal that was put aside, read as far as it can be. sqlite3.Error: it is gone; then no more."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        self.meta = dict(self._asked("SELECT key, value FROM meta"))

    def close(self) -> None:
        self._db.close()

    @property
    def boot(self) -> int:
        boot = self.meta.get("boot")
        return boot if type(boot) is int and 0 <= boot < 2**31 else 0

    @property
    def waiting(self) -> list[str]:
        """Names of the files that it had still to carry over itself."""
        return waiting_in(self.meta)

    def proven_state(self) -> list[tuple[str, bytes, bytes]]:
        """Return rows of saved state that a signature will prove."""
        return [row for tab in PROVEN for row in self._asked("SELECT tab, key, value FROM state WHERE tab = ?", tab)]

    def pieces(self) -> Iterator[Piece]:
        """Yield everything whole, epoch by epoch, and the holes that were known before: they are told again."""
        for epoch, first, following, head, since in self._asked(_HOLES):
            if all(type(number) is int for number in (epoch, first, following, since)) and _is_head(head):
                yield Hole(epoch, first, following, head, since)
        for epoch in self._epochs():
            yield from whole(self._rows(epoch), self._anchors(epoch))

    def _epochs(self) -> list[int]:
        """Epochs that have rows. Asked one after the other: a page that cannot be read hides only what lies behind."""
        known = {row[0] for row in self._asked("SELECT DISTINCT epoch FROM runs")} | {self.meta.get("epoch")}
        found = self._asked("SELECT epoch FROM events ORDER BY epoch LIMIT 1")
        while found:
            known.add(found[0][0])
            found = self._asked("SELECT epoch FROM events WHERE epoch > ? ORDER BY epoch LIMIT 1", found[0][0])
        return sorted(epoch for epoch in known if type(epoch) is int)

    def _anchors(self, epoch: int) -> dict[int, bytes]:
        known = self._asked("SELECT first_seq, head FROM runs WHERE epoch = ?", epoch) or [(0, ZERO_HEAD)]
        if epoch == self.meta.get("epoch"):
            known = [(self.meta.get("base_seq", 0), self.meta.get("base_head", ZERO_HEAD))]
        return {seq: head for seq, head in known if type(seq) is int and _is_head(head)}

    def _rows(self, epoch: int) -> Iterator[Row]:
        """Yield the rows in one stroke; behind a page that cannot be read, look for the next ones one by one."""
        seq = missed = 0
        while missed < MISSED_MAX:
            try:
                for row in self._db.execute(_MANY, (epoch, seq)):
                    if _is_row(row) and row[1] >= seq:
                        yield Row(*row)._replace(epoch=epoch)  # a changed epoch: the chain proves the place
                        seq, missed = row[1] + 1, 0
                return
            except (sqlite3.Error, UnicodeDecodeError):
                found: list = []
                while not found and missed < MISSED_MAX:
                    found = [row for row in self._asked(_ONE, epoch, seq) if _is_row(row)]
                    seq, missed = seq + 1, missed + 1
                for row in found:
                    yield Row(*row)._replace(epoch=epoch)

    def _asked(self, query: str, *values: object) -> list:
        try:
            return self._db.execute(query, values).fetchall()
        except (sqlite3.Error, OverflowError, UnicodeDecodeError):
            return []  # a page that cannot be read, or a table of a later version


_HOLES = "SELECT epoch, first_seq, next_seq, head, since FROM holes"
_COLUMNS = "SELECT epoch, seq, bytes, head, recorded_at, receipted FROM events"
_MANY = f"{_COLUMNS} WHERE epoch = ? AND seq >= ? ORDER BY seq"
_ONE = f"{_COLUMNS} WHERE epoch = ? AND seq = ?"


def _is_row(row: tuple) -> bool:
    _, seq, raw, head, recorded_at, receipted = row
    numbers = all(type(number) is int for number in (seq, recorded_at, receipted or 0))
    return numbers and type(raw) is bytes and _is_head(head)


def _is_head(head: object) -> bool:
    return type(head) is bytes and len(head) == len(ZERO_HEAD)


# --- carrying over --------------------------------------------------------------------------------------------------


class Salvage(threading.Thread):
    """Carries one file over in its own thread. carry: takes some pieces into the journal, in one transaction; may raise
    JournalFailed, and then everything is tried again later. done: everything was carried."""

    def __init__(
        self, damaged: Path, carry: Callable[[Salvage, list[Piece]], None], done: Callable[[Salvage], None]
    ) -> None:
        super().__init__(name="salvage", daemon=True)
        self.damaged, self._carry, self._done = damaged, carry, done
        self.stopping = threading.Event()

    def stop(self) -> None:
        self.stopping.set()
        if self.is_alive():
            self.join(5.0)

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._all()
                return
            except JournalFailed:
                self.stopping.wait(RETRY_SECONDS)

    def _all(self) -> None:
        try:
            damage = Damage(self.damaged)
        except sqlite3.Error:  # somebody took it away: the next one's turn
            self._done(self)
            return
        try:
            pieces = damage.pieces()
            while (some := list(islice(pieces, STEP_EVENTS))) and not self.stopping.is_set():
                self._carry(self, some)
            if not self.stopping.is_set():
                self._done(self)
        finally:
            damage.close()


RETRY_SECONDS = 5.0  # after a journal that could not be written
