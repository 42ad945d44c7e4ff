"""The repository of releases: files that anybody may serve and that only their signatures make believed.

Responsible for: The Update Framework's four roles on disk, what waits for signatures, signing with one key at a time
(root and targets on a machine that is not the server), publishing what enough keys have signed, fresh stamps.
Not responsible for: what is in a release (releases.py), which gate takes it (updates.py), serving.
Root: three keys, two sign. Targets: signs a release. Snapshot and timestamp: the server's, they say what is newest.

    metadata/1.root.json 3.targets.json 7.snapshot.json timestamp.json
    targets/<sha256>.portillon-gate-0.2.0.tar.gz
    waiting/root.json targets.json     not yet signed by enough keys
"""

# pyright: reportPrivateImportUsage=false
# tuf.api.metadata is where the framework's own documents import its roles from; it names no __all__.

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api import metadata as tuf
from tuf.api.exceptions import RepositoryError
from tuf.api.serialization.json import JSONSerializer

from cloud.kit.errors import N_, Answer, Refused
from protocols.limits import RELEASE_BYTES_MAX
from protocols.releases import is_version, order_of, target_of, version_of

ROLES = ("root", "targets", "snapshot", "timestamp")
LIFETIMES = {
    "root": timedelta(days=365),
    "targets": timedelta(days=180),
    "snapshot": timedelta(days=14),
    "timestamp": timedelta(days=3),  # a frozen mirror is noticed after so long; the server stamps each day
}
ROOT_THRESHOLD = 2
KEY_BYTES_MAX = 4_096
_JSON = JSONSerializer(compact=False)


class ReleaseRefused(Refused):
    """A release, a key or a signature cannot be taken."""

    answers: ClassVar = {
        "RELEASE_KEY": Answer(400, N_("This key file cannot be used."), N_("Give the file that release key made.")),
        "RELEASE_FILE": Answer(400, N_("This file cannot be used."), N_("Look at its path, then make it again.")),
        "RELEASE_TAKEN": Answer(409, N_("This version is in the repository already."), N_("Choose a higher version.")),
        "RELEASE_SIGNATURES": Answer(
            409, N_("Not enough keys have signed."), N_("Have release sign run with the missing keys, then publish.")
        ),
        "RELEASE_STRANGER": Answer(403, N_("This key may not sign this."), N_("Use a key that the root names for it.")),
        "RELEASE_NO_ROOT": Answer(
            409, N_("The repository has no root yet."), N_("Run release root, sign twice, publish.")
        ),
        "RELEASE_FEW_KEYS": Answer(
            400, N_("The root needs at least three keys of which two sign."), N_("Make further keys with release key.")
        ),
        "RELEASE_UNKNOWN": Answer(404, N_("There is no such release."), N_("Look at release list.")),
    }


@dataclass(frozen=True)
class Listed:
    """One release of the repository. signed: it is published; else it waits for its signature."""

    version: str
    length: int
    sha256: str
    signed: bool


# --- keys -----------------------------------------------------------------------------------------------------------


def new_key(path: Path, passphrase: str = "") -> str:
    """Make a key: the secret in this file (mode 0600), the public half beside it (.pub). Returns its id."""
    key = Ed25519PrivateKey.generate()
    lock = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
        path.with_name(f"{path.name}.pub").write_bytes(public)
    except OSError as error:
        raise ReleaseRefused("RELEASE_KEY") from error
    return SSlibKey.from_crypto(key.public_key()).keyid


def _secret(path: Path, passphrase: str) -> CryptoSigner:
    try:
        key = serialization.load_pem_private_key(_read(path, "RELEASE_KEY"), passphrase.encode() or None)
    except (ValueError, TypeError) as error:
        raise ReleaseRefused("RELEASE_KEY") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ReleaseRefused("RELEASE_KEY")
    return CryptoSigner(key)


def _public(path: Path) -> SSlibKey:
    try:
        key = serialization.load_pem_public_key(_read(path, "RELEASE_KEY"))
    except ValueError as error:
        raise ReleaseRefused("RELEASE_KEY") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ReleaseRefused("RELEASE_KEY")
    return SSlibKey.from_crypto(key)


def _read(path: Path, code: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(KEY_BYTES_MAX + 1)
    except OSError as error:
        raise ReleaseRefused(code) from error
    if len(data) > KEY_BYTES_MAX:
        raise ReleaseRefused(code)
    return data


# --- signing, on any machine ----------------------------------------------------------------------------------------


def sign(waiting: Path, key: Path, passphrase: str = "") -> str:
    """Add one signature to a file that waits. Needs nothing but the two files. Returns the role that was signed."""
    document = _load(waiting)
    document.sign(_secret(key, passphrase), append=True)
    _store(waiting, document)
    return document.signed.type


def told_of(waiting: Path) -> list[str]:
    """Return lines that say what a waiting file would make true, for whoever is asked to sign it."""
    document = _load(waiting)
    signed = document.signed
    lines = [f"{signed.type} version {signed.version}, until {signed.expires:%Y-%m-%d}"]
    if isinstance(signed, tuf.Root):
        lines += [f"{role}: {signed.roles[role].threshold} of {sorted(signed.roles[role].keyids)}" for role in ROLES]
    if isinstance(signed, tuf.Targets):
        lines += [f"{name} {file.length} bytes sha256 {file.hashes['sha256']}" for name, file in signed.targets.items()]
    return [*lines, f"signatures: {len(document.signatures)}"]


# --- the repository -------------------------------------------------------------------------------------------------


class Repository:
    """One folder. now: aware UTC, for dates of expiry."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._metadata, self._targets, self._waiting = folder / "metadata", folder / "targets", folder / "waiting"

    def propose_root(
        self, roots: Sequence[Path], targets: Path, snapshot: Path, timestamp: Path, now: datetime,
        threshold: int = ROOT_THRESHOLD,
    ) -> Path:  # fmt: skip
        """Write the root that shall be next and return its file. Keys of before that are not named go.

        It counts once enough keys of the root before it and of its own have signed.
        """
        keys = {key.keyid: key for key in map(_public, roots)}
        if threshold < ROOT_THRESHOLD or len(keys) <= threshold:
            raise ReleaseRefused("RELEASE_FEW_KEYS")
        before = self._newest("root")
        root = tuf.Root(version=(before.signed.version if before else 0) + 1, expires=now + LIFETIMES["root"])
        for key in keys.values():
            root.add_key(key, "root")
        root.roles["root"].threshold = threshold
        for role, path in (("targets", targets), ("snapshot", snapshot), ("timestamp", timestamp)):
            root.add_key(_public(path), role)
        return self._propose(tuf.Metadata(root))

    def add(self, archive: Path, version: str, now: datetime) -> Path:
        """Take an archive in and write the list of releases that shall be next; returns its file."""
        name, targets = _name_of(version), self._releases()
        if name in targets:
            raise ReleaseRefused("RELEASE_TAKEN")
        if not archive.is_file() or archive.stat().st_size > RELEASE_BYTES_MAX:
            raise ReleaseRefused("RELEASE_FILE")
        file = tuf.TargetFile.from_file(name, str(archive), ["sha256"])
        self._targets.mkdir(parents=True, exist_ok=True)
        _put(self._targets / f"{file.hashes['sha256']}.{name}", archive.read_bytes())
        return self._propose_targets(targets | {name: file}, now)

    def withdraw(self, version: str, now: datetime) -> Path:
        """Write a list of releases without this one. Its archive may be deleted once that is published."""
        targets = self._releases()
        if targets.pop(_name_of(version), None) is None:
            raise ReleaseRefused("RELEASE_UNKNOWN")
        return self._propose_targets(targets, now)

    def publish(self, snapshot: Path, timestamp: Path, now: datetime) -> list[str]:
        """Put in place what enough keys have signed, then stamp. Returns the names of what was published."""
        published = []
        for role in ("root", "targets"):
            waiting = self._waiting / f"{role}.json"
            if waiting.is_file():
                document = _load(waiting)
                self._must_be_signed(document)
                name = f"{document.signed.version}.{role}.json"
                _put(self._metadata / name, document.to_bytes(_JSON))
                waiting.unlink()
                published.append(name)
        if self._newest("targets") is not None:
            published += self.stamp(snapshot, timestamp, now)
        return published

    def stamp(self, snapshot: Path, timestamp: Path, now: datetime) -> list[str]:
        """Say anew what is newest: each day, or gates hold the repository for frozen."""
        targets = self._newest("targets")
        if targets is None:
            raise ReleaseRefused("RELEASE_UNKNOWN")
        version = 1 + (before.signed.version if (before := self._newest("snapshot")) else 0)
        meta = {"targets.json": tuf.MetaFile(targets.signed.version)}
        snap = tuf.Metadata(tuf.Snapshot(version, expires=now + LIFETIMES["snapshot"], meta=meta))
        self._sign_own(snap, snapshot)
        _put(self._metadata / f"{version}.snapshot.json", snap.to_bytes(_JSON))
        last = self._read("timestamp.json")
        stamped = tuf.Metadata(
            tuf.Timestamp(
                1 + (last.signed.version if last else 0),
                expires=now + LIFETIMES["timestamp"],
                snapshot_meta=tuf.MetaFile.from_data(version, snap.to_bytes(_JSON), ["sha256"]),
            )
        )
        self._sign_own(stamped, timestamp)
        _put(self._metadata / "timestamp.json", stamped.to_bytes(_JSON))
        return [f"{version}.snapshot.json", "timestamp.json"]

    def listed(self) -> list[Listed]:
        """Return the releases, newest first, those that wait for a signature too."""
        found: dict[str, Listed] = {}
        newest = self._newest("targets")
        waiting = _load(self._waiting / "targets.json") if (self._waiting / "targets.json").is_file() else None
        for document in (waiting, newest):
            for name, file in document.signed.targets.items() if document else ():
                version = version_of(name)
                if version is not None:
                    found[version] = Listed(version, file.length, file.hashes["sha256"], document is newest)
        return sorted(found.values(), key=lambda one: order_of(one.version), reverse=True)

    def expiries(self) -> dict[str, datetime]:
        """Return until when each role counts, for the page of faults and for `release list`."""
        documents = {role: self._newest(role) for role in ROLES[:-1]} | {"timestamp": self._read("timestamp.json")}
        return {role: document.signed.expires for role, document in documents.items() if document}

    def root(self) -> bytes:
        """Return the first root: what a gate is given to begin with. Raises ReleaseRefused."""
        with suppress(OSError):
            return (self._metadata / "1.root.json").read_bytes()
        raise ReleaseRefused("RELEASE_NO_ROOT")

    def _releases(self) -> dict[str, Any]:
        """Return the releases of the list that waits, else of the one in force."""
        waiting = self._waiting / "targets.json"
        newest = _load(waiting) if waiting.is_file() else self._newest("targets")
        return dict(newest.signed.targets) if newest else {}

    def _propose_targets(self, targets: dict[str, Any], now: datetime) -> Path:
        before = self._newest("targets")
        version = (before.signed.version if before else 0) + 1
        return self._propose(tuf.Metadata(tuf.Targets(version, expires=now + LIFETIMES["targets"], targets=targets)))

    def _propose(self, document: Any) -> Path:
        path = self._waiting / f"{document.signed.type}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        _store(path, document)
        return path

    def _must_be_signed(self, document: Any) -> None:
        """Refuse what the root in force would not believe; a new root is signed by the old one's keys and its own."""
        root = self._newest("root")
        payload, signatures = document.signed_bytes, document.signatures
        if isinstance(document.signed, tuf.Root):
            before = root.signed if root else None
            if not document.signed.get_root_verification_result(before, payload, signatures):
                raise ReleaseRefused("RELEASE_SIGNATURES")
        elif root is None:
            raise ReleaseRefused("RELEASE_NO_ROOT")
        elif not root.signed.get_verification_result(document.signed.type, payload, signatures):
            raise ReleaseRefused("RELEASE_SIGNATURES")

    def _sign_own(self, document: Any, key: Path) -> None:
        root, signer = self._newest("root"), _secret(key, "")
        if root is None:
            raise ReleaseRefused("RELEASE_NO_ROOT")
        if signer.public_key.keyid not in root.signed.roles[document.signed.type].keyids:
            raise ReleaseRefused("RELEASE_STRANGER")
        document.sign(signer)

    def _newest(self, role: str) -> Any:
        versions = [int(path.name.split(".")[0]) for path in self._metadata.glob(f"*.{role}.json")]
        return self._read(f"{max(versions)}.{role}.json") if versions else None

    def _read(self, name: str) -> Any:
        path = self._metadata / name
        return _load(path) if path.is_file() else None


def _name_of(version: str) -> str:
    if not is_version(version):
        raise ReleaseRefused("RELEASE_FILE")
    return target_of(version)


def _load(path: Path) -> Any:
    try:
        return tuf.Metadata.from_file(str(path))
    except (RepositoryError, OSError, ValueError, UnverifiedSignatureError) as error:
        raise ReleaseRefused("RELEASE_FILE") from error


def _store(path: Path, document: Any) -> None:
    _put(path, document.to_bytes(_JSON))


def _put(path: Path, data: bytes) -> None:
    """Replace a file in one step: whoever reads the repository meanwhile sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(data)
    os.replace(new, path)
