"""What every signed document shares: its envelope, its number checks, and versions that only rise.

Loading answers in one order: shape, key, payload, site, future, rollback, fork. Obeys P-4.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from protocols import cose
from protocols.canonical import CanonicalError, Value, decode
from protocols.limits import DOCUMENT_AHEAD_SECONDS_MAX, DOCUMENT_BYTES_MAX, DOCUMENT_ITEMS_MAX, UINT32_MAX
from protocols.reasons import DocumentCode, DocumentKind

Loaded = TypeVar("Loaded")
_LARGE = {DocumentKind.KR1, DocumentKind.KK1, DocumentKind.KL1, DocumentKind.KE1, DocumentKind.KA1}  # P-1
FindKey = Callable[[bytes | None], bytes | None]  # kid -> raw public key of the right role, or None


class DocumentRefused(Exception):
    """A document was not loaded; the last good one is kept. `code` is LIST_KEY, MODE_FUTURE and so on."""

    def __init__(self, kind: DocumentKind, code: DocumentCode) -> None:
        self.code = code_of(kind, code)
        super().__init__(self.code)


@dataclass(frozen=True)
class Held:
    """Version and hash of the document that is held: what rollback and fork are judged against."""

    version: int
    digest: bytes


def code_of(kind: DocumentKind, code: DocumentCode) -> str:
    return f"{kind}_{code}"


def digest_of(data: bytes) -> bytes:
    """SHA-256 of a document's whole bytes."""
    return hashlib.sha256(data).digest()


def uint(value: Value, least: int = 0, most: int = UINT32_MAX) -> int:
    """Return `value` if it is an integer of that range. Raises ValueError (true and false are no integers)."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError("a number out of range")
    return value


def unpack(value: Value, size: int) -> list:
    """Return `value` if it is an array of `size`. Raises ValueError."""
    if type(value) is not list or len(value) != size:
        raise ValueError("an array of another length")
    return value


def sealed(kind: DocumentKind, data: bytes) -> bytes:
    """Return a document that was just made. Raises ValueError for one too large for anybody to load (P-1)."""
    bounds = _bounds(kind)
    decode(cose.read(decode(data, **bounds)).payload, **bounds)
    return data


def _bounds(kind: DocumentKind) -> dict[str, int]:
    return {"bytes_max": DOCUMENT_BYTES_MAX, "items_max": DOCUMENT_ITEMS_MAX} if kind in _LARGE else {}


def open_payload(data: bytes, kind: DocumentKind, find_key: FindKey) -> tuple[Value, bytes]:
    """Return the payload of a signed thing and its kid. Raises DocumentRefused: FORMAT, KEY, FORMAT."""
    large = _bounds(kind)
    try:
        signed = cose.read(decode(data, **large))
    except CanonicalError as error:
        raise DocumentRefused(kind, DocumentCode.FORMAT) from error
    public = find_key(signed.kid) if signed.alg == cose.ED25519 else None
    if public is None or not cose.verify_ed25519(public, signed, kind.name.encode()):
        raise DocumentRefused(kind, DocumentCode.KEY)
    try:
        return decode(signed.payload, **large), signed.kid or b""
    except CanonicalError as error:
        raise DocumentRefused(kind, DocumentCode.FORMAT) from error


def open_claims(data: bytes, kind: DocumentKind, labels: set[int], find_key: FindKey) -> tuple[dict, bytes]:
    """As `open_payload`, for a payload that is a map of exactly these labels."""
    claims, kid = open_payload(data, kind, find_key)
    if type(claims) is not dict or set(claims) != labels:
        raise DocumentRefused(kind, DocumentCode.FORMAT)
    return claims, kid


def shaped(kind: DocumentKind, load: Callable[[], Loaded]) -> Loaded:
    """Return what `load` makes of a payload; its ValueError becomes FORMAT."""
    try:
        return load()
    except (ValueError, TypeError) as error:
        raise DocumentRefused(kind, DocumentCode.FORMAT) from error


def version_check(
    kind: DocumentKind, iat: int, fresh: Held, now: float, held: Held | None, clock_trusted: bool = True
) -> None:
    """Raise DocumentRefused for a document from the future, an older one, or another of the same version."""
    if clock_trusted and iat > now + DOCUMENT_AHEAD_SECONDS_MAX:
        raise DocumentRefused(kind, DocumentCode.FUTURE)
    if held and fresh.version < held.version:
        raise DocumentRefused(kind, DocumentCode.ROLLBACK)
    if held and fresh.version == held.version and fresh.digest != held.digest:
        raise DocumentRefused(kind, DocumentCode.FORK)
