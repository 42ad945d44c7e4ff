"""A file that only takes up room: given back to a full disk, so that the journal writes on while somebody is called.

Responsible for: the file of fixed size beside the journal, freed at once when the disk is full, made again when there
is room for it and as much again. Not responsible for: noticing a full disk (journal.py), telling of it (ledger.py).
Obeys: PROTOCOL P-5 (journal before strike: a full disk must not keep families waiting).
"""

from __future__ import annotations

import os
from pathlib import Path

BALLAST_BYTES = 8 * 1024 * 1024  # some 20,000 events: a week of a busy gate, with SQLite's own log


class Ballast:
    """One file. Nothing here raises: a disk that cannot hold it is told by `held`."""

    def __init__(self, path: Path, size: int = BALLAST_BYTES) -> None:
        self._path, self._size = path, size
        self.freed = False  # in a need that lasts: it could not be made again since

    @property
    def held(self) -> bool:
        """Return whether the file stands with all its bytes on the disk (a sparse one would free nothing)."""
        try:
            return self._path.stat().st_blocks * 512 >= self._size
        except OSError:
            return False

    def free(self) -> bool:
        """Give the room back; return whether there was any."""
        held = self.held
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return False
        self.freed = self.freed or held
        return held

    def make(self) -> bool:
        """Take the room where the disk has it twice over; return whether it is held now."""
        if self.held:
            return True
        try:
            disk = os.statvfs(self._path.parent)
            if disk.f_bavail * disk.f_frsize < 2 * self._size:
                return False
            self._write()
        except OSError:
            self.free()
            return False
        self.freed = not self.held
        return self.held

    def _write(self) -> None:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, self._size)
        finally:
            os.close(file)
