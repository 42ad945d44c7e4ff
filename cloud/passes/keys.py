"""Keys by role, as files: made, read, rotated, revoked, and the trust list that the offline root signs.

Responsible for: `<role>.key` (64 hex digits of an Ed25519 seed, mode 0600), `<role>.next.key`, `root.pub`, `trust.kk1`
and `trust.request` (public: what the root is asked to sign). The root key lives in another folder, on another machine.
A process finds only the roles it was given (ingest: receipt). Rules: P-1 (no key has two roles, a new key is published
8 days before its first use), P31-P33. Not responsible for: the policy list that names a revoked issuer.
"""

import json
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from protocols.cose import kid_of
from protocols.envelope import DocumentRefused
from protocols.limits import ISSUER_NOTICE_SECONDS, UINT32_MAX
from protocols.trust import Role, Trust, TrustedKey, build_trust_list, load_trust_list

CLOUD_ROLES = (Role.ISSUER, Role.POLICY, Role.REGISTRY, Role.CONTROL, Role.COMMAND, Role.RECEIPT)
TRUST_FILE, ROOT_FILE, ROOT_KEY_FILE, REQUEST_FILE = "trust.kk1", "root.pub", "root.key", "trust.request"
OVERLAP_SECONDS = 30 * 86_400  # a retired key goes on verifying what it signed: credentials 8 days, and reserve
RING_SECONDS = 60.0  # a rotated key is noticed within a minute
CLOCK_MARGIN_SECONDS = 120  # a first key is good from a little before its making: gates' clocks differ


class KeysRefused(Exception):
    """Keys are missing, readable by others, or used twice. code; what: a file or role, never a key's bytes."""

    def __init__(self, code: str, what: str, what_to_do: str) -> None:
        super().__init__(f"{code}: {what}. {what_to_do}")
        self.code, self.what, self.what_to_do = code, what, what_to_do


@dataclass(frozen=True)
class KeyRing:
    """The keys that this process may use. Roles it was not given are simply absent."""

    keys: tuple[tuple[Role, SigningKey], ...]
    trust: Trust
    trust_bytes: bytes
    root_public: bytes

    def signing_key(self, role: Role, now: float, *, without: Collection[bytes] = ()) -> SigningKey:
        """Return the newest key of this role whose window has begun. Raises KeysRefused("KEY_MISSING").

        without: numbers of keys that were revoked, though the root has not signed the list that ends them yet.
        """
        fitting = [(self.trust.keys[kid].not_before, key) for kid, key in self._known(role)
                   if self.trust.keys[kid].covers(now) and kid not in without]  # fmt: skip
        if not fitting:
            raise KeysRefused("KEY_MISSING", f"no {role} key is in force here", "See `portillon-cloud keys list`.")
        return max(fitting, key=lambda pair: pair[0])[1]

    def has(self, role: Role) -> bool:
        return any(True for _ in self._known(role))

    def _known(self, role: Role) -> Iterable[tuple[bytes, SigningKey]]:
        for owned, key in self.keys:
            kid = kid_of(bytes(key.verify_key))
            if owned == role and self.trust.find(kid, role):
                yield kid, key


def load_ring(keys_dir: Path, now: float) -> KeyRing:
    """Read every key this process was given. Raises KeysRefused for a file others can read or a key of two roles."""
    root_public = _read_public(keys_dir / ROOT_FILE)
    trust_bytes = _read(keys_dir / TRUST_FILE)
    try:
        trust = load_trust_list(trust_bytes, root_public, now)
    except DocumentRefused as refused:
        raise KeysRefused(refused.code, TRUST_FILE, "Sign it again: `portillon-cloud keys sign-root`.") from refused
    keys = tuple((role, _read_secret(file)) for role in CLOUD_ROLES for file in _files(keys_dir, role))
    seen: dict[bytes, Role] = {}
    for role, key in keys:
        public = bytes(key.verify_key)
        if seen.setdefault(public, role) != role or public == root_public:
            raise KeysRefused(
                "KEY_TWO_ROLES", f"{seen[public]} and {role}", "Make a new key: `portillon-cloud keys rotate`."
            )
    return KeyRing(keys, trust, trust_bytes, root_public)


_rings: dict[Path, tuple[float, KeyRing]] = {}


def ring_in(keys_dir: Path, now: float) -> KeyRing:
    """Return the keys of this process, read again after a minute: rotation needs no restart. Raises KeysRefused."""
    read_at, ring = _rings.get(keys_dir, (0.0, None))
    if ring is None or not 0 <= now - read_at <= RING_SECONDS:
        ring = load_ring(keys_dir, now)
        _rings[keys_dir] = (now, ring)
    return ring


def init_keys(root_dir: Path, keys_dir: Path, now: int) -> KeyRing:
    """Make the root and one key of every role, and the first trust list. Raises KeysRefused where any exists."""
    for folder in (root_dir, keys_dir):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    wanted = [root_dir / ROOT_KEY_FILE, *(keys_dir / f"{role}.key" for role in CLOUD_ROLES)]
    for file in wanted:
        if file.exists():
            raise KeysRefused("KEY_EXISTS", str(file), "Nothing was changed. Use `portillon-cloud keys rotate`.")
    root = _make_secret(root_dir / ROOT_KEY_FILE)
    begins = now - CLOCK_MARGIN_SECONDS
    trusted = [TrustedKey(bytes(_make_secret(keys_dir / f"{role}.key").verify_key), role, not_before=begins)
               for role in CLOUD_ROLES]  # fmt: skip
    public = bytes(root.verify_key).hex().encode()
    for folder in (root_dir, keys_dir):
        _write_public(folder / ROOT_FILE, public)
    _write_public(keys_dir / TRUST_FILE, build_trust_list(root, 1, now, trusted))
    return load_ring(keys_dir, now)


def rotate_key(keys_dir: Path, role: Role, now: int) -> TrustedKey:
    """Make the next key of a role and ask for a trust list that names it: first used after 8 days' notice (P-1)."""
    following = keys_dir / f"{role}.next.key"
    if following.exists():
        ring = load_ring(keys_dir, now)
        coming = ring.trust.keys.get(kid_of(bytes(_read_secret(following).verify_key)))
        if coming is None or coming.not_before > now:
            raise KeysRefused("KEY_WAITS", f"the next {role} key", "It is not in force yet; let it begin first.")
        following.replace(keys_dir / f"{role}.key")
    begins = now + ISSUER_NOTICE_SECONDS
    made = TrustedKey(bytes(_make_secret(following).verify_key), role, not_before=begins)
    kept = [replace(key, not_after=min(key.not_after, begins + OVERLAP_SECONDS)) if key.role == role else key
            for key in _wanted(keys_dir, now)]  # fmt: skip
    _write_request(keys_dir, [*kept, made], now)
    return made


def revoke_key(keys_dir: Path, kid: bytes, now: int) -> TrustedKey:
    """Ask for a trust list in which this key ends now. An issuer's kid goes on the policy lists as well (P32)."""
    wanted = _wanted(keys_dir, now)
    found = next((key for key in wanted if key.kid == kid), None)
    if found is None:
        raise KeysRefused("KEY_UNKNOWN", kid.hex(), "See `portillon-cloud keys list`.")
    ended = replace(found, not_after=max(found.not_before, now))
    _write_request(keys_dir, [ended if key.kid == kid else key for key in wanted], now)
    return ended


def sign_request(root_dir: Path, request: Path, out: Path, now: int) -> int:
    """Sign what the server asks for, on the root's machine; return the version. Raises KeysRefused."""
    root = _read_secret(root_dir / ROOT_KEY_FILE)
    try:
        asked = json.loads(_read(request))
        keys = [_trusted(row) for row in asked["keys"]]
        version = int(asked["version"])
        signed = build_trust_list(root, version, now, keys)
    except (ValueError, KeyError, TypeError) as error:
        raise KeysRefused("REQUEST_FORMAT", str(request), "Make it again: `portillon-cloud keys rotate`.") from error
    _write_public(out, signed)
    return version


def _wanted(keys_dir: Path, now: int) -> list[TrustedKey]:
    """The keys of the request that waits for the root, else those of the list in force."""
    waiting = keys_dir / REQUEST_FILE
    in_force = load_ring(keys_dir, now).trust
    if waiting.exists():
        asked = json.loads(_read(waiting))
        if asked["version"] > (in_force.held.version if in_force.held else 0):
            return [_trusted(row) for row in asked["keys"]]
    return list(in_force.keys.values())


def _write_request(keys_dir: Path, keys: Iterable[TrustedKey], now: int) -> None:
    in_force = load_ring(keys_dir, now).trust
    version = (in_force.held.version if in_force.held else 0) + 1
    rows = [{"kid": key.kid.hex(), "public": key.public.hex(), "role": str(key.role), "sites": sorted(key.sites),
             "not_before": key.not_before, "not_after": key.not_after} for key in keys]  # fmt: skip
    _write_public(keys_dir / REQUEST_FILE, json.dumps({"version": version, "keys": rows}, indent=1).encode())


def _trusted(row: dict[str, Any]) -> TrustedKey:
    key = TrustedKey(bytes.fromhex(row["public"]), Role(row["role"]), frozenset(row["sites"]),
                     int(row["not_before"]), min(int(row["not_after"]), UINT32_MAX))  # fmt: skip
    if key.kid.hex() != row["kid"]:
        raise ValueError("a kid that is not its key's")
    return key


def _files(keys_dir: Path, role: Role) -> list[Path]:
    return [file for file in (keys_dir / f"{role}.key", keys_dir / f"{role}.next.key") if file.exists()]


def _make_secret(file: Path) -> SigningKey:
    key = SigningKey.generate()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(bytes(key).hex().encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    return key


def _read_secret(file: Path) -> SigningKey:
    try:
        if file.stat().st_mode & 0o077:
            raise KeysRefused("KEY_MODE", f"{file} can be read by others", f"Type: chmod 600 {file}")
        return SigningKey(bytes.fromhex(_read(file).decode("ascii").strip()))
    except FileNotFoundError as error:
        raise KeysRefused("KEY_MISSING", str(file), "Type: portillon-cloud keys init") from error
    except ValueError as error:
        raise KeysRefused("KEY_FORMAT", str(file), "It must hold 64 hex digits.") from error


def _read_public(file: Path) -> bytes:
    try:
        return bytes.fromhex(_read(file).decode("ascii").strip())
    except ValueError as error:
        raise KeysRefused("KEY_FORMAT", str(file), "It must hold 64 hex digits.") from error


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise KeysRefused("KEY_MISSING", str(file), "Type: portillon-cloud keys init") from error


def _write_public(file: Path, data: bytes) -> None:
    """Replace the file at once or not at all: a publisher may be reading it."""
    waiting = file.with_name(file.name + ".new")
    waiting.write_bytes(data)
    waiting.replace(file)
