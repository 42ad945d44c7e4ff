"""How often somebody may try to get in: counted for an account, a network address and a school.

Responsible for: the counters, kept as HMACs, so that the table names nobody; the windows and bounds. A try is counted
and committed before it is answered; what was right is forgiven. Not responsible for: what is tried.
"""

import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, ip_address, ip_network

from fastapi import Request

from cloud.kit.db import Transaction, one

WINDOW = timedelta(minutes=15)
IPV6_LINE_BITS = 64  # What one subscriber's line is given (RFC 6177): its addresses are one guesser.


class Kind(StrEnum):
    """What is counted."""

    ACCOUNT = "account"
    ADDRESS = "address"
    SCHOOL = "school"
    LETTER = "letter"
    CHALLENGE = "challenge"
    MAIL = "mail"


# NIST SP 800-63B-4, 3.2.2: at most 100 in a row for one account; ours is less, and a passkey still opens meanwhile.
# Mail is counted for who asks and for who receives: nobody's mailbox is filled from here.
# An address may be a whole school behind one router on the first morning; a school may have 500 families.
TRIES_MAX = {Kind.ACCOUNT: 10, Kind.ADDRESS: 50, Kind.SCHOOL: 200, Kind.LETTER: 30, Kind.CHALLENGE: 300,
             Kind.MAIL: 5}


def allow(tx: Transaction, secret: bytes, kind: Kind, what: str, now: datetime) -> bool:
    """Count a try and return whether it is within the bound. Commit it before the answer is given."""
    tries = one(
        tx, int,
        "INSERT INTO sign_in_try AS t (key_hash, tries, since) VALUES (%(key)s, 1, %(now)s)"
        " ON CONFLICT (key_hash) DO UPDATE SET"
        " tries = CASE WHEN t.since <= %(began)s THEN 1 ELSE least(t.tries + 1, 1000000) END,"
        " since = CASE WHEN t.since <= %(began)s THEN %(now)s ELSE t.since END RETURNING tries",
        {"key": _key(secret, kind, what), "now": now, "began": now - WINDOW},
    )
    return tries <= TRIES_MAX[kind]


def forgive(tx: Transaction, secret: bytes, counted: Iterable[tuple[Kind, str]]) -> None:
    """Take one try back from each counter: it was the right password."""
    for kind, what in counted:
        tx.execute(
            "UPDATE sign_in_try SET tries = greatest(tries - 1, 0) WHERE key_hash = %s", (_key(secret, kind, what),)
        )


def address_of(request: Request) -> str:
    """Return what stands for one guesser: an IPv4 address, or the /64 of an IPv6 one."""
    address = request.client.host if request.client else ""
    try:
        read = ip_address(address)
    except ValueError:
        return address
    if isinstance(read, IPv4Address):
        return str(read)
    return str(read.ipv4_mapped or ip_network((read.packed[:8] + bytes(8), IPV6_LINE_BITS)))


def _key(secret: bytes, kind: Kind, what: str) -> bytes:
    return hmac.digest(secret, f"sign-in {kind} {what}".encode("utf-8", "replace"), "sha256")
