"""Which releases are genuine and fresh, and their archives fetched: The Update Framework's client, and a download.

Responsible for: metadata against the operator's root (rotation, thresholds, expiry, rollback, freeze, mix-and-match),
kept so that a power cut loses none of what was learned; an archive fetched in pieces that go on where they broke off.
Not responsible for: what a genuine archive holds (versions.py), when (update.py). Whoever serves the files is believed
nothing: neither their bytes nor how many.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import urllib3
from tuf.api import exceptions
from tuf.api.metadata import TargetFile  # pyright: ignore[reportPrivateImportUsage] - where its documents have it
from tuf.ngclient import Updater
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from edge.update import RepositoryAway, UpdateRefused
from edge.versions import CHUNK_BYTES, Disk
from protocols.limits import RELEASE_BYTES_MAX
from protocols.releases import target_of

METADATA_BYTES_MAX = 512 * 1_024  # each file; ours are under 4 KB
ROOTS_MAX = 64  # new roots since this gate last looked
SECONDS_MAX = urllib3.Timeout(connect=10.0, read=30.0)  # of one exchange; a slow line goes on at the next try
_LIMITS = UpdaterConfig(
    max_root_rotations=ROOTS_MAX,
    max_delegations=1,
    root_max_length=METADATA_BYTES_MAX,
    timestamp_max_length=16_384,
    snapshot_max_length=METADATA_BYTES_MAX,
    targets_max_length=METADATA_BYTES_MAX,
)


class MetadataRefused(UpdateRefused):
    """What is offered is not to be believed.

    code: EXPIRED, ROLLBACK, SIGNATURE, HASH, METADATA, NO_RELEASE or TOO_LONG.
    """


class Releases:
    """One repository. work: a folder of this gate's own, on the partition that lasts."""

    def __init__(self, url: str, root: bytes, work: Path, disk: Disk | None = None) -> None:
        self._url, self._root, self._work = url.rstrip("/"), root, work
        self._disk, self._kept = disk or Disk(), work / "metadata"
        self._web = _Web()

    def find(self, version: str) -> TargetFile:
        """Return the signed length and hashes of a release. Raises RepositoryAway, MetadataRefused, OSError."""
        self._work.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._work.glob("metadata-*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=self._work, prefix="metadata-") as scratch:
            trying = Path(scratch)
            if self._kept.is_dir():
                shutil.copytree(self._kept, trying, symlinks=True, dirs_exist_ok=True)
            try:
                return self._look(trying, target_of(version))
            finally:
                self._keep(trying)  # also of a failed look: a newer timestamp that was seen is not forgotten

    def fetch(self, target: TargetFile, archive: Path, go_on: Callable[[], bool] = lambda: True) -> None:
        """Have the whole archive in the file, verified, to last. Raises RepositoryAway, MetadataRefused, OSError.

        go_on: asked after each piece; a download that may not go on breaks off.
        A piece that is there already is not fetched again; one that turns out wrong is thrown away.
        """
        if target.length > RELEASE_BYTES_MAX:
            raise MetadataRefused("TOO_LONG", f"{target.length} bytes")
        have = archive.stat().st_size if archive.exists() else 0
        if have > target.length:
            archive.unlink()
            have = 0
        if have < target.length:
            self._web.append(f"{self._url}/targets/{_hashed(target)}", archive, have, target.length, go_on)
        try:
            with archive.open("rb") as file:
                target.verify_length_and_hashes(file)
        except exceptions.LengthOrHashMismatchError as error:
            archive.unlink()
            if have:  # the power may have gone while the first piece was written
                raise RepositoryAway("the piece that was there is damaged: all of it is fetched again") from error
            raise MetadataRefused("HASH", str(error)) from error
        self._disk.settle(archive)
        self._disk.settle(archive.parent)

    def _look(self, folder: Path, name: str) -> TargetFile:
        try:
            client = Updater(
                str(folder), f"{self._url}/metadata", fetcher=self._web, config=_LIMITS, bootstrap=self._root
            )
            found = client.get_targetinfo(name)
        except exceptions.DownloadLengthMismatchError as error:
            raise MetadataRefused("TOO_LONG", str(error)) from error
        except exceptions.DownloadError as error:
            raise RepositoryAway(str(error)) from error
        except exceptions.RepositoryError as error:
            raise MetadataRefused(_code_of(error), str(error)) from error
        except ValueError as error:
            raise MetadataRefused("METADATA", str(error)) from error
        if found is None:
            raise MetadataRefused("NO_RELEASE", name)
        return found

    def _keep(self, learned: Path) -> None:
        """Take over what was learned, file by file, each whole or not at all after a power cut."""
        for file in sorted(learned.rglob("*.json")):
            place = self._kept / file.relative_to(learned)
            if file.is_symlink() or place.is_file() and place.read_bytes() == file.read_bytes():
                continue
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = place.with_suffix(".new")
            self._disk.write(new, file.read_bytes())
            self._disk.rename(new, place)
            self._disk.settle(place.parent)


def _hashed(target: TargetFile) -> str:
    """Where a repository with consistent snapshots keeps a target."""
    return f"{next(iter(target.hashes.values()))}.{target.path}"


def _code_of(error: exceptions.RepositoryError) -> str:
    table = {
        exceptions.ExpiredMetadataError: "EXPIRED",
        exceptions.BadVersionNumberError: "ROLLBACK",
        exceptions.UnsignedMetadataError: "SIGNATURE",
        exceptions.LengthOrHashMismatchError: "HASH",
    }
    return next((code for kind, code in table.items() if isinstance(error, kind)), "METADATA")


class _Web(FetcherInterface):
    """HTTP with bounds: no redirects, no retries of its own, no more bytes than were signed for.

    Each file has a connection of its own: five small files a night, and none is reused that a server has closed.
    """

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(timeout=SECONDS_MAX, retries=False, maxsize=1)

    def _fetch(self, url: str) -> Iterator[bytes]:
        answer = self._ask(url, {})
        if answer.status != 200:
            answer.close()
            raise exceptions.DownloadHTTPError(f"{url} answers {answer.status}", answer.status)
        return self._stream(answer)

    def append(self, url: str, archive: Path, have: int, length: int, go_on: Callable[[], bool]) -> None:
        """Fetch what is missing from `have` on. Raises RepositoryAway, MetadataRefused where more comes than should."""
        try:
            answer = self._ask(url, {"Range": f"bytes={have}-"} if have else {})
            if answer.status not in (200, 206):
                answer.close()
                raise RepositoryAway(f"{url} answers {answer.status}")
            resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            self._write(self._stream(answer), archive, have if resumed else 0, length, go_on)
        except exceptions.DownloadError as error:
            raise RepositoryAway(str(error)) from error

    def _write(self, pieces: Iterator[bytes], archive: Path, have: int, length: int, go_on: Callable[[], bool]) -> None:
        with archive.open("r+b" if have else "wb") as file:
            file.seek(have)
            for piece in pieces:
                have += len(piece)
                if have > length:
                    file.truncate(0)
                    raise MetadataRefused("TOO_LONG", f"over {length} bytes")
                file.write(piece)
                if not go_on():
                    break
        if have < length:
            raise RepositoryAway(f"{have} of {length} bytes came")

    def _ask(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request("GET", url, headers=headers, preload_content=False, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise exceptions.DownloadError(f"{url}: {type(error).__name__}") from error

    def _stream(self, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        try:
            yield from answer.stream(CHUNK_BYTES, decode_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise exceptions.DownloadError(type(error).__name__) from error
        finally:
            answer.close()
