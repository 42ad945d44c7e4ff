"""Which damaged journals are still to be carried over into this one, and in what order: one after the other.

Responsible for: the list, kept in the new journal's meta; one salvage at a time, oldest file first, begun again
when the journal was opened again; carrying pieces over in durable steps.
Not responsible for: what of a file is whole (salvage.py), putting files aside (journal_file.py).
Obeys: PROTOCOL P-5; ADR 0021. A file leaves the list when everything in it is on the disk here, and not before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from edge.classes import class_of
from edge.journal_disk import Disk
from edge.journal_file import Row, waiting_in
from edge.salvage import Piece, Run, Salvage
from protocols.canonical import decode
from protocols.events import Event
from protocols.gaps import Hole

KEEP_HOLE = "INSERT OR IGNORE INTO holes (epoch, first_seq, next_seq, head, since)"
_KEEP_RUN = "INSERT OR IGNORE INTO runs VALUES (?, ?, ?)"
_KEEP_EVENT = (
    "INSERT OR IGNORE INTO events (epoch, seq, bytes, head, recorded_at, receipted, class) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
# A file that took over another one's events may have lost some that the other still shows: they are no hole.
_KEEP_HOLE_OF_NOTHING = (
    f"{KEEP_HOLE} SELECT ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM events WHERE epoch = ? AND seq >= ? AND seq < ?)"
)


class Salvaging:
    """Used under the disk's lock. carried: hears that a file was carried over, and whether it was the last."""

    def __init__(self, disk: Disk, carried: Callable[[bool], None]) -> None:
        self._disk, self._carried = disk, carried
        self._salvage: Salvage | None = None
        self._closed = False

    def go_on(self) -> None:
        """Carry over what is whole of the next file on the list, beside the working gate."""
        with self._disk.lock:
            with self._disk.reading() as db:
                waiting = waiting_in(dict(db.execute("SELECT key, value FROM meta")))
            self._disk.waiting = waiting
            if self._closed or not waiting or self._salvage is not None:
                return
            self._salvage = Salvage(self._disk.path.with_name(waiting[0]), self._carry, self._done)
            self._salvage.start()

    def pause(self) -> None:
        """Carry nothing over from now on; go_on() begins again with the first file on the list."""
        with self._disk.lock:
            if self._salvage is not None:
                self._salvage.stopping.set()
            self._salvage = None

    def close(self) -> None:
        with self._disk.lock:
            salvage, self._closed = self._salvage, True
        if salvage is not None:
            salvage.stop()

    # --- in the salvage's thread --------------------------------------------------------------------------------

    def _carry(self, salvage: Salvage, pieces: Sequence[Piece]) -> None:
        with self._disk.lock:
            if salvage is self._salvage:  # else it was begun again, perhaps into another file
                self._disk.durably(lambda db: _keep(db, pieces))

    def _done(self, salvage: Salvage) -> None:
        with self._disk.lock:
            if salvage is not self._salvage:
                return
            self._disk.durably(lambda db: _take_off(db, salvage.damaged.name))
            self._salvage = None
            self.go_on()
            self._carried(self._salvage is None)


def _keep(db: sqlite3.Connection, pieces: Sequence[Piece]) -> None:
    for piece in pieces:
        if isinstance(piece, Run):
            db.execute(_KEEP_RUN, (piece.epoch, piece.first, piece.head))
        elif isinstance(piece, Hole):
            row = (piece.epoch, piece.first, piece.next, piece.head, piece.since)
            db.execute(_KEEP_HOLE_OF_NOTHING, (*row, piece.epoch, piece.first, piece.next))
        else:
            db.execute(_KEEP_EVENT, (*piece, _class_of(piece)))


def _take_off(db: sqlite3.Connection, name: str) -> None:
    db.execute("DELETE FROM meta WHERE key GLOB 'salvage*' AND value = ?", (name,))


def _class_of(row: Row) -> str:
    try:
        event = Event.from_value(decode(row.bytes))
    except ValueError:
        return str(class_of(0, {}))
    return str(class_of(event.kind, event.detail))
