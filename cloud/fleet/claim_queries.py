"""SQL of claims and certificates. Private to cloud/fleet/claims.py and cloud/fleet/certificates.py."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cloud.kit.db import Transaction, many, one, one_or_none


@dataclass(frozen=True)
class Claim:
    """One gate that asked for a name. request: DER."""

    district_id: UUID
    id: UUID
    token_hash: bytes
    public_key: bytes
    request: bytes
    state: str
    claimed_at: datetime
    expires_at: datetime
    gate: int | None


@dataclass(frozen=True)
class Certificate:
    """One certificate of a gate; body (DER) and its dates are None until it is signed."""

    gate: int
    site: int
    serial: bytes
    public_key: bytes
    request: bytes
    why: str
    requested_at: datetime
    body: bytes | None
    not_before: datetime | None
    not_after: datetime | None
    revoked_at: datetime | None


def waiting(tx: Transaction, district_id: UUID) -> list[Claim]:
    return many(
        tx, Claim,
        """SELECT district_id, id, token_hash, public_key, request, state, claimed_at, expires_at, gate
           FROM gate_claim WHERE district_id = %s AND state = 'waiting' ORDER BY claimed_at""",
        (district_id,),
    )  # fmt: skip


def end_expired(tx: Transaction, district_id: UUID, now: datetime) -> None:
    tx.execute(
        """UPDATE gate_claim SET state = 'expired', decided_at = %(now)s
           WHERE district_id = %(district_id)s AND state = 'waiting' AND expires_at <= %(now)s""",
        {"district_id": district_id, "now": now},
    )


def insert_claim(tx: Transaction, row: dict[str, Any]) -> None:
    tx.execute(
        """INSERT INTO gate_claim (district_id, id, code_hash, token_hash, public_key, request, claimed_at, expires_at)
           VALUES (%(district_id)s, %(id)s, %(code_hash)s, %(token_hash)s, %(public_key)s, %(request)s, %(now)s,
                   %(expires_at)s)""",
        row,
    )


def count_waiting(tx: Transaction, district_id: UUID) -> int:
    return one(
        tx, int, "SELECT count(*)::int FROM gate_claim WHERE district_id = %s AND state = 'waiting'", (district_id,)
    )


def is_gate_key(tx: Transaction, district_id: UUID, public_key: bytes) -> bool:
    return one(
        tx, bool, "SELECT EXISTS (SELECT FROM gate WHERE district_id = %s AND public_key = %s)",
        (district_id, public_key),
    )  # fmt: skip


def claim_of_code(tx: Transaction, district_id: UUID, code_hash: bytes) -> Claim | None:
    return one_or_none(
        tx, Claim,
        """SELECT district_id, id, token_hash, public_key, request, state, claimed_at, expires_at, gate
           FROM gate_claim WHERE district_id = %s AND code_hash = %s FOR UPDATE""",
        (district_id, code_hash),
    )  # fmt: skip


def claim_of_id(tx: Transaction, district_id: UUID, claim_id: UUID) -> Claim | None:
    return one_or_none(
        tx, Claim,
        """SELECT district_id, id, token_hash, public_key, request, state, claimed_at, expires_at, gate
           FROM gate_claim WHERE district_id = %s AND id = %s""",
        (district_id, claim_id),
    )  # fmt: skip


def decide(
    tx: Transaction, district_id: UUID, claim_id: UUID, state: str, gate: int | None, by: UUID | None, now: datetime
) -> int:
    return tx.execute(
        """UPDATE gate_claim SET state = %(state)s, gate = %(gate)s, decided_by = %(by)s, decided_at = %(now)s
           WHERE district_id = %(district_id)s AND id = %(id)s AND state = 'waiting'""",
        {"district_id": district_id, "id": claim_id, "state": state, "gate": gate, "by": by, "now": now},
    ).rowcount


# --- certificates --------------------------------------------------------------------------------------------------

_OF_GATE = """SELECT c.gate, g.site, c.serial, c.public_key, c.request, c.why, c.requested_at, c.body, c.not_before,
                     c.not_after, c.revoked_at
              FROM gate_certificate c JOIN gate g ON g.district_id = c.district_id AND g.gate = c.gate """


def insert_request(
    tx: Transaction, district_id: UUID, gate: int, serial: bytes, public_key: bytes, request: bytes, why: str,
    now: datetime,
) -> None:  # fmt: skip
    tx.execute(
        """INSERT INTO gate_certificate (district_id, serial, gate, public_key, request, why, requested_at)
           VALUES (%(district_id)s, %(serial)s, %(gate)s, %(public_key)s, %(request)s, %(why)s, %(now)s)""",
        {"district_id": district_id, "serial": serial, "gate": gate, "public_key": public_key, "request": request,
         "why": why, "now": now},
    )  # fmt: skip


def certificates_of_gate(tx: Transaction, district_id: UUID, gate: int) -> list[Certificate]:
    """Return a gate's certificates, the newest first."""
    return many(
        tx, Certificate, _OF_GATE + "WHERE c.district_id = %s AND c.gate = %s ORDER BY c.requested_at DESC, c.serial",
        (district_id, gate),
    )  # fmt: skip


def unsigned(tx: Transaction, district_id: UUID) -> list[Certificate]:
    """Return what waits for a signature, of gates that are not revoked."""
    return many(
        tx, Certificate,
        _OF_GATE + """WHERE c.district_id = %s AND c.body IS NULL AND c.revoked_at IS NULL AND g.revoked_at IS NULL
                      ORDER BY c.requested_at FOR UPDATE OF c SKIP LOCKED""",
        (district_id,),
    )  # fmt: skip


def set_signed(
    tx: Transaction, district_id: UUID, serial: bytes, body: bytes, not_before: datetime, not_after: datetime
) -> None:
    tx.execute(
        """UPDATE gate_certificate SET body = %(body)s, not_before = %(not_before)s, not_after = %(not_after)s
           WHERE district_id = %(district_id)s AND serial = %(serial)s AND body IS NULL""",
        {"district_id": district_id, "serial": serial, "body": body, "not_before": not_before,
         "not_after": not_after},
    )  # fmt: skip


def revoke_all(tx: Transaction, district_id: UUID, gate: int, now: datetime) -> None:
    tx.execute(
        """UPDATE gate_certificate SET revoked_at = %(now)s
           WHERE district_id = %(district_id)s AND gate = %(gate)s AND revoked_at IS NULL""",
        {"district_id": district_id, "gate": gate, "now": now},
    )


@dataclass(frozen=True)
class Revoked:
    serial: bytes
    revoked_at: datetime


def revoked(tx: Transaction) -> list[Revoked]:
    """Return every signed certificate that was taken back, of all districts; those that have ended since too."""
    return many(tx, Revoked, "SELECT serial, revoked_at FROM revoked_certificates()")


@dataclass(frozen=True)
class Ends:
    gate: int
    not_after: datetime


def ends(tx: Transaction, district_id: UUID) -> list[Ends]:
    """Return when the last certificate of each gate ends."""
    return many(
        tx, Ends,
        """SELECT gate, max(not_after) AS not_after FROM gate_certificate
           WHERE district_id = %s AND revoked_at IS NULL AND body IS NOT NULL GROUP BY gate""",
        (district_id,),
    )  # fmt: skip


# --- lists of what was revoked -------------------------------------------------------------------------------------


def keep_list(tx: Transaction, authority: bytes, body: bytes, now: datetime) -> None:
    tx.execute(
        """INSERT INTO revocation_list (authority, body, made_at) VALUES (%(authority)s, %(body)s, %(now)s)
           ON CONFLICT (authority) DO UPDATE SET body = excluded.body, made_at = excluded.made_at""",
        {"authority": authority, "body": body, "now": now},
    )


def wait_for_lists(tx: Transaction) -> None:
    """Hold the lists for this transaction: of two signers the later one reads what the earlier one wrote."""
    tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('revocation lists', 0))")


@dataclass(frozen=True)
class RevocationList:
    authority: bytes
    body: bytes
    made_at: datetime


def lists(tx: Transaction) -> list[RevocationList]:
    return many(tx, RevocationList, "SELECT authority, body, made_at FROM revocation_list ORDER BY authority")
