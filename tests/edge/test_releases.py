"""A gate believes a release for its signatures, their number and their age, and whoever serves it nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata

from cloud.fleet.repository import sign
from edge.releases import METADATA_BYTES_MAX, MetadataRefused, Releases, RepositoryAway
from edge.versions import Disk
from tests.edge.mirror import LONG_AGO, NOW, Mirror, Operator, a_release, an_operator


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return an_operator(tmp_path_factory.mktemp("operator"))


@pytest.fixture
def operator(made: Operator, tmp_path: Path) -> Operator:
    """A copy of the same repository, for this test to change."""
    folder = tmp_path / "operator"
    shutil.copytree(made.folder, folder)
    operator = object.__new__(Operator)
    operator.folder, operator.keys = folder, {name: folder / path.name for name, path in made.keys.items()}
    operator.repository = type(made.repository)(folder / "repository")
    return operator


@pytest.fixture
def mirror(operator: Operator) -> Iterator[Mirror]:
    serving = Mirror(operator.repository.folder)
    yield serving
    serving.close()


@pytest.fixture
def gate(operator: Operator, mirror: Mirror, tmp_path: Path) -> Releases:
    return Releases(mirror.url, operator.repository.root(), tmp_path / "update")


def refused(gate: Releases, version: str = "0.3.0") -> str:
    with pytest.raises(MetadataRefused) as caught:
        gate.find(version)
    return caught.value.code


def newest(operator: Operator, role: str) -> Path:
    found = operator.repository.folder.glob(f"metadata/*.{role}.json")
    return max(found, key=lambda path: int(path.name.split(".")[0]))


def test_a_release_that_is_signed_is_found_and_fetched(gate: Releases, tmp_path: Path) -> None:
    target = gate.find("0.3.0")
    gate.fetch(target, tmp_path / "archive")
    assert (tmp_path / "archive").read_bytes() == a_release("0.3.0")


def test_a_release_that_nobody_signed_is_not_there(gate: Releases) -> None:
    assert refused(gate, "9.9.9") == "NO_RELEASE"


def test_what_was_learned_needs_no_second_download(gate: Releases, mirror: Mirror) -> None:
    gate.find("0.3.0")
    mirror.asked.clear()
    gate.find("0.2.0")
    assert [path for path, _ in mirror.asked] == ["metadata/2.root.json", "metadata/timestamp.json"]


# --- rollback, freeze, mix and match ----------------------------------------------------------------------------------


def test_an_older_timestamp_than_was_seen_is_a_rollback(gate: Releases, operator: Operator, mirror: Mirror) -> None:
    old = (operator.repository.folder / "metadata" / "timestamp.json").read_bytes()
    operator.stamp()
    gate.find("0.3.0")
    mirror.lies["metadata/timestamp.json"] = old
    assert refused(gate) == "ROLLBACK"


def test_a_snapshot_with_older_releases_is_a_rollback_though_its_keys_signed_it(
    gate: Releases, operator: Operator
) -> None:
    gate.find("0.3.0")
    newest(operator, "targets").unlink()  # the operator's server was restored from a backup of before 0.3.0
    operator.stamp()
    assert refused(gate) == "ROLLBACK"


def test_what_was_seen_of_a_failed_look_is_not_forgotten(gate: Releases, operator: Operator, mirror: Mirror) -> None:
    old = (operator.repository.folder / "metadata" / "timestamp.json").read_bytes()
    operator.stamp()
    mirror.lies[f"metadata/{newest(operator, 'snapshot').name}"] = b"{}"
    assert refused(gate) == "HASH"
    mirror.lies.clear()
    mirror.lies["metadata/timestamp.json"] = old
    assert refused(gate) == "ROLLBACK"


def test_a_frozen_repository_is_noticed_when_its_stamp_has_expired(gate: Releases, operator: Operator) -> None:
    operator.stamp(NOW - timedelta(days=4))
    assert refused(gate) == "EXPIRED"


def test_an_expired_snapshot_and_an_expired_list_of_releases_are_refused(gate: Releases, operator: Operator) -> None:
    operator.release("0.4.0", now=NOW - timedelta(days=200))
    operator.stamp()  # fresh stamps over an old list
    assert refused(gate, "0.4.0") == "EXPIRED"


def test_an_expired_root_is_refused_and_its_successor_mends_that(gate: Releases, operator: Operator) -> None:
    operator.root(now=LONG_AGO)
    operator.stamp()
    assert refused(gate) == "EXPIRED"
    operator.root()
    operator.stamp()
    assert gate.find("0.3.0").length


@pytest.mark.parametrize("role", ["snapshot", "targets"])
def test_files_of_two_moments_do_not_go_together(gate: Releases, operator: Operator, mirror: Mirror, role: str) -> None:
    old = newest(operator, role).read_bytes()
    operator.release("0.4.0")
    mirror.lies[f"metadata/{newest(operator, role).name}"] = old
    assert refused(gate, "0.4.0") in ("HASH", "ROLLBACK")


def test_an_archive_of_another_release_is_refused_by_its_hash(
    gate: Releases, mirror: Mirror, operator: Operator, tmp_path: Path
) -> None:
    target = gate.find("0.3.0")
    other = gate.find("0.2.0")
    bytes_of_other = (operator.repository.folder / "targets" / f"{other.hashes['sha256']}.{other.path}").read_bytes()
    assert len(bytes_of_other) == target.length
    mirror.lies[f"targets/{target.hashes['sha256']}.{target.path}"] = bytes_of_other
    with pytest.raises(MetadataRefused) as caught:
        gate.fetch(target, tmp_path / "archive")
    assert caught.value.code == "HASH" and not (tmp_path / "archive").exists()


# --- keys -------------------------------------------------------------------------------------------------------------


def resigned(path: Path, key: Path) -> bytes:
    """Return a document with all its signatures replaced by one of this key."""
    document = Metadata.from_file(str(path))
    document.signatures.clear()
    again = path.with_name("resigned")
    document.to_file(str(again))
    sign(again, key)
    return again.read_bytes()


@pytest.mark.parametrize(("role", "key"), [
    ("timestamp", "stranger"), ("timestamp", "snapshot"), ("timestamp", "targets"), ("timestamp", "a"),
])  # fmt: skip
def test_a_stamp_of_another_role_s_key_is_refused(
    gate: Releases, operator: Operator, mirror: Mirror, role: str, key: str
) -> None:
    path = operator.repository.folder / "metadata" / f"{role}.json"
    mirror.lies[f"metadata/{role}.json"] = resigned(path, operator.keys[key])
    assert refused(gate) == "SIGNATURE"


@pytest.mark.parametrize("key", ["timestamp", "snapshot", "stranger"])
def test_keys_of_the_server_cannot_sign_a_release(gate: Releases, operator: Operator, mirror: Mirror, key: str) -> None:
    path = newest(operator, "targets")
    mirror.lies[f"metadata/{path.name}"] = resigned(path, operator.keys[key])
    assert refused(gate) == "SIGNATURE"


@pytest.mark.parametrize("signers", ["a", "aa", "ax", "xy"])
def test_one_root_key_changes_nothing(gate: Releases, operator: Operator, mirror: Mirror, signers: str) -> None:
    names = {"a": "a", "x": "stranger", "y": "timestamp"}
    online = operator.public("stranger")
    waiting = operator.repository.propose_root(
        [operator.public(name) for name in ("stranger", "d", "a")], online, online, online, NOW
    )
    for signer in signers:
        sign(waiting, operator.keys[names[signer]])
    mirror.lies["metadata/2.root.json"] = waiting.read_bytes()
    assert refused(gate) == "SIGNATURE"


def test_a_root_is_rotated_by_two_old_keys_and_two_new_ones(gate: Releases, operator: Operator) -> None:
    gate.find("0.3.0")
    operator.root("bcd", signed_by="bcd")
    operator.stamp()
    operator.root("bcd", signed_by="cd")  # what the first rotation took away signs no more
    operator.stamp()
    assert gate.find("0.3.0").length
    assert gate.find("0.2.0").length  # and it is remembered over a restart


def test_after_a_rotation_the_keys_of_before_are_worth_nothing(
    gate: Releases, operator: Operator, mirror: Mirror
) -> None:
    stolen = operator.repository.folder / "metadata" / "timestamp.json"
    operator.keys["timestamp"], thief = operator.keys["stranger"], operator.keys["timestamp"]
    operator.root(timestamp="stranger")
    gate.find("0.3.0")
    mirror.lies["metadata/timestamp.json"] = resigned(stolen, thief)
    assert refused(gate) == "SIGNATURE"


def test_a_gate_that_begins_with_the_first_root_follows_every_rotation(
    operator: Operator, mirror: Mirror, tmp_path: Path
) -> None:
    first = operator.repository.root()
    for holders in ("abd", "bcd", "abc"):
        operator.root(holders, signed_by="abcd")
    operator.stamp()
    assert Releases(mirror.url, first, tmp_path / "late").find("0.3.0").length


# --- sizes, shapes, lines that break ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["metadata/timestamp.json", "metadata/2.root.json"])
def test_endless_metadata_is_cut_off(gate: Releases, mirror: Mirror, name: str) -> None:
    mirror.lies[name] = b" " * (METADATA_BYTES_MAX + 2)
    assert refused(gate) == "TOO_LONG"


@pytest.mark.parametrize("rubbish", [b"\0" * 9, b"[]", b"{}", b'{"signed": {}}', b"[" * 5_000, b"null"])
def test_rubbish_for_metadata_is_refused(gate: Releases, mirror: Mirror, rubbish: bytes) -> None:
    mirror.lies["metadata/timestamp.json"] = rubbish
    assert refused(gate) in ("METADATA", "TOO_LONG")


def test_a_changed_byte_anywhere_in_the_stamp_is_refused(gate: Releases, operator: Operator, mirror: Mirror) -> None:
    told = json.loads((operator.repository.folder / "metadata" / "timestamp.json").read_bytes())
    told["signed"]["version"] += 1
    mirror.lies["metadata/timestamp.json"] = json.dumps(told).encode()
    assert refused(gate) == "SIGNATURE"


def test_a_download_goes_on_where_it_broke_off(gate: Releases, mirror: Mirror, tmp_path: Path) -> None:
    target, archive = gate.find("0.3.0"), tmp_path / "archive"
    mirror.breaks_after = 100
    for _ in range(2):
        with pytest.raises(RepositoryAway):
            gate.fetch(target, archive)
    assert archive.stat().st_size == 200
    mirror.breaks_after = None
    gate.fetch(target, archive)
    assert [wanted for path, wanted in mirror.asked if path.startswith("targets/")] == ["", "bytes=100-", "bytes=200-"]


class Remembering(Disk):
    """A disk that knows what was made to last."""

    def __init__(self) -> None:
        self.settled: list[Path] = []

    def settle(self, path: Path) -> None:
        super().settle(path)
        self.settled.append(path)


def test_what_was_verified_lasts_before_it_counts(operator: Operator, mirror: Mirror, tmp_path: Path) -> None:
    disk = Remembering()
    gate = Releases(mirror.url, operator.repository.root(), tmp_path / "update", disk)
    target, archive = gate.find("0.3.0"), tmp_path / "archive"
    disk.settled.clear()
    gate.fetch(target, archive)
    assert disk.settled == [archive, tmp_path]


def test_a_server_without_ranges_is_asked_for_all_of_it(gate: Releases, mirror: Mirror, tmp_path: Path) -> None:
    target, archive = gate.find("0.3.0"), tmp_path / "archive"
    mirror.knows_ranges = False
    archive.write_bytes(b"x" * 50)
    gate.fetch(target, archive)
    assert archive.stat().st_size == target.length


def test_a_piece_that_is_damaged_is_thrown_away_and_fetched_anew(
    gate: Releases, mirror: Mirror, tmp_path: Path
) -> None:
    target, archive = gate.find("0.3.0"), tmp_path / "archive"
    archive.write_bytes(b"\0" * 50)  # what a power cut may leave
    with pytest.raises(RepositoryAway):
        gate.fetch(target, archive)
    gate.fetch(target, archive)
    assert archive.stat().st_size == target.length


def test_an_archive_longer_than_signed_is_cut_off(
    gate: Releases, mirror: Mirror, operator: Operator, tmp_path: Path
) -> None:
    target = gate.find("0.3.0")
    mirror.lies[f"targets/{target.hashes['sha256']}.{target.path}"] = b"x" * (target.length + 1)
    with pytest.raises(MetadataRefused) as caught:
        gate.fetch(target, tmp_path / "archive")
    assert caught.value.code == "TOO_LONG" and (tmp_path / "archive").stat().st_size == 0


def test_a_server_that_is_away_or_sends_elsewhere_is_asked_again_later(
    gate: Releases, mirror: Mirror, operator: Operator, tmp_path: Path
) -> None:
    target = gate.find("0.3.0")
    (operator.repository.folder / "targets" / f"{target.hashes['sha256']}.{target.path}").unlink()
    with pytest.raises(RepositoryAway):
        gate.fetch(target, tmp_path / "archive")
    mirror.close()
    with pytest.raises(RepositoryAway):
        gate.find("0.3.0")
