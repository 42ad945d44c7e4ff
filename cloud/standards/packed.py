"""The files of a roster from a folder or a .zip, as bytes, each and all of them bounded.

Responsible for: what is not to be trusted in an archive: names that lead elsewhere, bombs, passwords, doubled members.
Not responsible for: what stands in the files (sheets.py).
"""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from cloud.standards.model import Problem, RosterRefused

FILE_BYTES_MAX = 128 * 1024 * 1024  # enrollments of a million pupils have about 100 MB
SET_BYTES_MAX = 256 * 1024 * 1024
MEMBERS_MAX = 64  # OneRoster 1.2 knows 21 files
LARGE = "split the district, or ask for a smaller export"
AGAIN = "export it again, and do not pack it by hand"


def read_set(path: Path) -> dict[str, bytes]:
    """Return every .csv of a folder or a .zip by its name. Raises RosterRefused."""
    if path.is_dir():
        return _bounded((file.name, file) for file in sorted(path.iterdir()) if file.suffix.lower() == ".csv")
    if not path.is_file():
        raise _refused("SET_MISSING", path.name, "", "give a folder or a .zip that holds manifest.csv")
    try:
        with zipfile.ZipFile(path) as archive:
            return _bounded_members(archive)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError) as error:
        raise _refused("ZIP_BROKEN", path.name, type(error).__name__, AGAIN) from error


def _bounded(files: Iterator[tuple[str, Path]]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, file in files:
        if not stat.S_ISREG(file.stat().st_mode):
            raise _refused("SET_MISSING", name, "not a file", "give the files themselves")
        with file.open("rb") as opened:
            found[name] = opened.read(FILE_BYTES_MAX + 1)
        _within(found, name)
    return found


def _bounded_members(archive: zipfile.ZipFile) -> dict[str, bytes]:
    members = [one for one in archive.infolist() if not one.is_dir()]
    if len(members) > MEMBERS_MAX:
        raise _refused("SET_TOO_LARGE", "", f"{len(members)} files", f"{MEMBERS_MAX} files at most")
    found: dict[str, bytes] = {}
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        name = parts[-1] if parts else ""
        if not name.lower().endswith(".csv") or parts[0] == "__MACOSX":
            continue
        if len(parts) > 2 or ".." in parts or member.filename.startswith("/") or member.flag_bits & 1:
            raise _refused("ZIP_UNSAFE", name, member.filename, "pack the files themselves, without a password")
        if name in found:
            raise _refused("ZIP_UNSAFE", name, "twice in the archive", AGAIN)
        with archive.open(member) as opened:  # What the archive says of sizes is not believed: it is counted.
            found[name] = opened.read(FILE_BYTES_MAX + 1)
        _within(found, name)
    return found


def _within(found: dict[str, bytes], name: str) -> None:
    if len(found[name]) > FILE_BYTES_MAX or sum(map(len, found.values())) > SET_BYTES_MAX:
        raise _refused("SET_TOO_LARGE", name, f"over {FILE_BYTES_MAX // 1024 // 1024} MiB", LARGE)


def _refused(code: str, file: str, found: str, to_type: str) -> RosterRefused:
    return RosterRefused([Problem(code, file, 0, "", found, to_type)])
