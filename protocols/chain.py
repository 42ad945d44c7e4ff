"""The hash chain of a gate's ledger: one head stands for everything before it. Obeys P-5."""

import hashlib
from collections.abc import Iterable

from protocols.limits import HEAD_BYTES

ZERO_HEAD = bytes(HEAD_BYTES)


def extend(head: bytes, event: bytes) -> bytes:
    """Return the head after one event: SHA-256(previous head ‖ event bytes)."""
    return hashlib.sha256(head + event).digest()


def heads(before: bytes, events: Iterable[bytes]) -> list[bytes]:
    """Return the head after each of the events."""
    chain = []
    for event in events:
        before = extend(before, event)
        chain.append(before)
    return chain
