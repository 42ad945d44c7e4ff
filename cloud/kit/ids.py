"""Identifiers made by us: UUIDv7 for rows, secrets for links and sessions, uint32 references for the wire.

UUIDv7 (RFC 9562) is made here because PostgreSQL has it only from version 18 and Python from 3.14.
"""

import hashlib
import secrets
from datetime import datetime
from uuid import UUID

from cloud.kit import clock

TOKEN_BYTES = 32  # 256 random bits: cannot be guessed, needs no salt when hashed.
REFERENCE_MAX = 2**32 - 1  # PROTOCOL 2: uint32 from 1.


def new_id(at: datetime | None = None) -> UUID:
    """Return a UUIDv7: 48 bits of milliseconds, the rest random. at: aware; now when not given."""
    milliseconds = int((at or clock.now()).timestamp() * 1000)
    value = milliseconds << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return UUID(int=value)


def new_token() -> str:
    """Return a secret for a link or a cookie: 43 characters, safe in an address."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> bytes:
    """Return what the database keeps of a token. The token itself is stored nowhere."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def new_reference() -> int:
    """Return a random uint32 from 1 (PROTOCOL 2). Whether it is free only the database knows."""
    return 1 + secrets.randbelow(REFERENCE_MAX)
