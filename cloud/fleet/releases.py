"""A release made: our own packages for the gate, as they lie here, in one archive of plain files.

Responsible for: what goes in, `release.json`, the same bytes from the same sources. Not responsible for: signatures
(repository.py). Libraries do not go in: they are the card's, and a release names the least versions that it needs.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path

from cloud.fleet.repository import ReleaseRefused
from protocols.releases import DESCRIPTION, START, Release, describe, is_version, read_description
from protocols.releases import ReleaseRefused as Unreadable

PACKAGES = ("edge", "protocols")
PYTHON = (3, 11)
DESCRIPTION_BYTES_MAX = 16_384
LEFT_OUT = ("__pycache__",)
_START = b'''"""What Python runs when it is given this folder: the gate's program."""

from edge.cli import main

if __name__ == "__main__":
    main()
'''


def make_release(source: Path, version: str, archive: Path) -> Release:
    """Write the archive of a version from a checkout. Raises ReleaseRefused."""
    if not is_version(version):
        raise ReleaseRefused("RELEASE_FILE")
    release = Release(version, PYTHON, _libraries(source))
    files = {DESCRIPTION: describe(release), START: _START, **dict(_sources(source))}
    try:
        archive.write_bytes(packed(files))
    except OSError as error:
        raise ReleaseRefused("RELEASE_FILE") from error
    return release


def version_in(archive: Path) -> str:
    """Return the version that an archive says it is. Raises ReleaseRefused."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            member = tar.getmember(DESCRIPTION)
            file = tar.extractfile(member)
            if file is None or member.size > DESCRIPTION_BYTES_MAX:
                raise ReleaseRefused("RELEASE_FILE")
            return read_description(file.read()).version
    except (OSError, tarfile.TarError, KeyError, EOFError, zlib.error, Unreadable) as error:
        raise ReleaseRefused("RELEASE_FILE") from error


def packed(files: dict[str, bytes]) -> bytes:
    """Return an archive of these files, sorted, without times and owners."""
    tarred, zipped = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), 0o600
            tar.addfile(member, io.BytesIO(files[name]))
    with gzip.GzipFile(fileobj=zipped, mode="wb", mtime=0, filename="") as file:
        file.write(tarred.getvalue())
    return zipped.getvalue()


def _sources(source: Path) -> Iterator[tuple[str, bytes]]:
    for package in PACKAGES:
        if not (source / package / "__init__.py").is_file():
            raise ReleaseRefused("RELEASE_FILE")
        for path in sorted((source / package).rglob("*")):
            parts = path.relative_to(source).parts
            if path.is_file() and not any(part in LEFT_OUT or part.startswith(".") for part in parts):
                yield "/".join(parts), path.read_bytes()


def _libraries(source: Path) -> dict[str, str]:
    """Return the least versions of what `pyproject.toml` says the gate needs on every machine."""
    try:
        project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
        wanted = [*project["dependencies"], *project["optional-dependencies"]["edge"]]
    except (OSError, KeyError, ValueError) as error:
        raise ReleaseRefused("RELEASE_FILE") from error
    plain = (requirement.partition(">=") for requirement in wanted if ";" not in requirement)
    return {name.partition("[")[0].strip().lower(): _numbers(least) for name, sign, least in plain if sign}


def _numbers(least: str) -> str:
    """Return the plain numbers that a version begins with: 2.0.1 of 2.0.1.post3."""
    found = re.match(r"\d+(\.\d+)*", least)
    return found.group() if found else "0"
