"""The versions of this program side by side on the gate's disk, and which of them starts next.

Responsible for: the folder `versions`, the links `current` and `previous`, the mark of a version on trial, the kept
state of the update; every change by single durable steps in an order that survives a power cut at any of them.
Not responsible for: when (update.py), what is genuine (releases.py), reading the links at a start (firmware_config,
`launch`). Layout under paths.data:

    versions/0.2.0/        a release: __main__.py, release.json, edge/, protocols/
    current, previous      links to them; where there is none, the program of the card
    trial                  how often the version on trial may still start; there only while one is
    update/                state.json, archives on their way, metadata (releases.py)
"""

from __future__ import annotations

import contextlib
import gzip
import importlib.metadata
import os
import shutil
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from edge import update as machine
from edge.update import Found, Update, UpdateRefused
from protocols.limits import (
    RELEASE_BYTES_MAX,
    RELEASE_FILES_MAX,
    RELEASE_PATH_CHARACTERS_MAX,
    RELEASE_TREE_BYTES_MAX,
)
from protocols.releases import DESCRIPTION, START, Release, ReleaseRefused, is_version, read_description

CARD_VERSION = "0.1.0"  # of the program that came with the card: what runs where no release.json lies beside it
PLACE = Path(__file__).resolve().parent.parent  # the folder this program was started from
TRIAL_STARTS = 2  # a third failed start would make a doorkeeper (supervision.py) of the version before
SPARE_BYTES = 64 * 1_024 * 1_024  # stays free whatever is installed: the journal's
CHUNK_BYTES = 64 * 1_024


class ArchiveRefused(UpdateRefused):
    """A release cannot be installed. code: ARCHIVE, OTHER_VERSION, LIBRARIES, PLACE."""


def running_version() -> str:
    """Return the version of the program that asks."""
    try:
        return read_description((PLACE / DESCRIPTION).read_bytes()).version
    except (OSError, ReleaseRefused):
        return CARD_VERSION


FIRMWARE = running_version()


class Disk:
    """Single durable steps. Each is whole or not there after a power cut; `settle` makes what lies there last."""

    def write(self, path: Path, data: bytes) -> None:
        """Write a file that is not there yet, or that may be torn."""
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        os.replace(old, new)

    def link(self, path: Path, target: str) -> None:
        os.symlink(target, path)

    def folder(self, path: Path) -> None:
        path.mkdir(mode=0o700)

    def erase(self, path: Path) -> None:
        """Erase a file, a link or a whole folder; nothing where it is not there."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def settle(self, path: Path) -> None:
        """Make the names in a folder last, or the bytes of a file that was written in pieces."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Versions:
    """The versions of one gate. Used by one thread at a time."""

    def __init__(self, base: Path, disk: Disk | None = None) -> None:
        self._base, self._disk = base, disk or Disk()
        self._versions, self.work = base / "versions", base / "update"
        self._current, self._previous, self._trial = base / "current", base / "previous", base / "trial"
        self._state = self.work / "state.json"

    # --- what is there ------------------------------------------------------------------------------------------

    def update(self) -> Update:
        try:
            return machine.from_bytes(self._state.read_bytes())
        except OSError:
            return Update()

    def found(self, running: str) -> Found:
        return Found(running, _named(self._current), os.path.lexists(self._trial))

    def room_for(self, release_bytes: int) -> bool:
        """Whether an archive and its tree fit, with what stays free for the journal. Our own trees pack to a fifth."""
        self.prepare()
        return shutil.disk_usage(self._base).free >= SPARE_BYTES + release_bytes * 8

    # --- steps --------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Have the folders."""
        for folder in (self._versions, self.work):
            if not folder.is_dir():
                self._disk.folder(folder)
                self._disk.settle(self._base)

    def keep(self, update: Update) -> None:
        """Remember where the update is: the new state or the old one, never half of it."""
        self.prepare()
        self._put(self._state, machine.as_bytes(update))

    def install(self, archive: Path, version: str) -> None:
        """Unpack a genuine archive beside what runs. Raises ArchiveRefused, OSError."""
        self.prepare()
        new, tree = self._versions / "new", self._versions / version
        if version in (_named(self._current), _named(self._previous)):
            raise ArchiveRefused("OTHER_VERSION", f"{version} is in use")
        self._disk.erase(new)
        self._disk.erase(tree)
        self._disk.settle(self._versions)
        self._disk.folder(new)
        try:
            self._unpack(archive, new)
            _must_fit(new, version)
        except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeError, ReleaseRefused) as error:
            raise ArchiveRefused("ARCHIVE", str(error) or type(error).__name__) from error
        self._disk.rename(new, tree)
        self._disk.settle(self._versions)

    def switch(self, update: Update) -> None:
        """Have the next start be the new version's, on trial. update: as it is on trial.

        The way back is on the disk first, then what is meant, then the mark, and the switch itself last.
        """
        old = _named(self._current)
        if not (self._versions / update.version / START).is_file():
            raise ArchiveRefused("OTHER_VERSION", f"{update.version} is not installed")
        self._point(self._previous, old)
        self.keep(update)
        self._put(self._trial, b"%d\n" % TRIAL_STARTS)
        self._point(self._current, update.version)

    def commit(self, update: Update) -> None:
        """The version on trial stays: that is decided where the mark goes."""
        self.unmark()
        self.keep(update)

    def unmark(self) -> None:
        self._disk.erase(self._trial)
        self._disk.settle(self._base)

    def go_back(self, update: Update) -> None:
        """Have the next start be the version before. update: as it went back."""
        self.keep(update)
        self._point(self._current, _named(self._previous))
        self.unmark()

    def tidy(self) -> None:
        """Erase versions that are neither current nor previous, and archives."""
        kept = {_named(self._current), _named(self._previous)}
        for tree in sorted(self._versions.iterdir()) if self._versions.is_dir() else ():
            if tree.name not in kept:
                self._disk.erase(tree)
        for archive in sorted(self.work.glob("*.tar.gz")):
            self._disk.erase(archive)

    def _point(self, link: Path, version: str) -> None:
        """Have a link name a version, in one step; "" takes it away: the program of the card."""
        if not version:
            self._disk.erase(link)
        else:
            new = link.with_name(f"{link.name}.new")
            self._disk.erase(new)
            self._disk.link(new, f"versions/{version}")
            self._disk.rename(new, link)
        self._disk.settle(self._base)

    def _put(self, path: Path, data: bytes) -> None:
        new = path.with_name(f"{path.name}.new")
        self._disk.write(new, data)
        self._disk.rename(new, path)
        self._disk.settle(path.parent)

    def _unpack(self, archive: Path, tree: Path) -> None:
        """Write every file of an archive and make it last, folders from the deepest up."""
        folders = {tree}
        for path, data in read_archive(archive):
            where = tree / path
            for folder in reversed(where.relative_to(tree).parents[:-1]):
                if tree / folder not in folders:
                    self._disk.folder(tree / folder)
                    folders.add(tree / folder)
            self._disk.write(where, data)
        for folder in sorted(folders, key=lambda one: len(one.parts), reverse=True):
            self._disk.settle(folder)


def read_archive(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the files of a release: plain files in plain folders and nothing else, within bounds.

    Raises ArchiveRefused, and what tarfile and zlib raise of a damaged file.
    """
    if not archive.is_file() or archive.stat().st_size > RELEASE_BYTES_MAX:
        raise ArchiveRefused("ARCHIVE", "not there, or too large")
    seen: set[PurePosixPath] = set()
    total = 0
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if member.isdir() or not member.isreg():
                raise ArchiveRefused("ARCHIVE", f"{member.name!a} is no plain file")
            total += member.size
            if not _is_plain(member.name) or path in seen or len(seen) >= RELEASE_FILES_MAX:
                raise ArchiveRefused("ARCHIVE", f"{member.name!a} may not be there")
            if total > RELEASE_TREE_BYTES_MAX:
                raise ArchiveRefused("ARCHIVE", "unpacks to too much")
            seen.add(path)
            file = tar.extractfile(member)
            assert file is not None, "a plain file has contents"
            with contextlib.closing(file):
                yield path, file.read()
        assert tar.fileobj is not None
        while padding := tar.fileobj.read(CHUNK_BYTES):  # to the end: there gzip compares its sum of all bytes
            total += len(padding)
            if total > RELEASE_TREE_BYTES_MAX:
                raise ArchiveRefused("ARCHIVE", "unpacks to too much")


def _is_plain(name: str) -> bool:
    """Whether a name is a relative path of plain names: no way out of its folder, nothing hidden."""
    parts = name.split("/")
    plain = name.isascii() and name.isprintable() and "\\" not in name and len(name) <= RELEASE_PATH_CHARACTERS_MAX
    return plain and all(part and not part.startswith(".") for part in parts)


def _must_fit(tree: Path, version: str) -> None:
    """Refuse a tree that is not the version that was ordered, or that this machine cannot run."""
    try:
        release = read_description((tree / DESCRIPTION).read_bytes())
    except OSError as error:
        raise ArchiveRefused("ARCHIVE", f"no {DESCRIPTION}") from error
    if release.version != version or not (tree / START).is_file():
        raise ArchiveRefused("OTHER_VERSION", f"it says {release.version}")
    if missing := lacking(release):
        raise ArchiveRefused("LIBRARIES", ", ".join(missing))


def lacking(release: Release) -> list[str]:
    """Return what this machine has not, or only older: "tuf >= 7.0"."""
    missing = [] if sys.version_info[:2] >= release.python else [f"python >= {release.python[0]}.{release.python[1]}"]
    for name, least in sorted(release.libraries.items()):
        try:
            have = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            have = ""
        if _numbers(have) < _numbers(least):
            missing.append(f"{name} >= {least}")
    return missing


def _numbers(version: str) -> list[int]:
    return [int("".join(filter(str.isdigit, part)) or 0) for part in version.split(".")] if version else []


def _named(link: Path) -> str:
    """Return the version that a link names, "" where there is none or its folder is not there."""
    try:
        version = Path(os.readlink(link)).name
    except OSError:
        return ""
    return version if is_version(version) and (link / START).is_file() else ""
