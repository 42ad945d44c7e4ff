"""The SQL of passes. Private to cloud/passes/service.py. All but guesses and finding a code runs in a tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from cloud.kit.db import Transaction, many, one, one_or_none
from cloud.passes.model import FoundCode, Issued, PairingCode, Phone, Right, SignedDocument, StaffRight
from cloud.passes.policy import EscortRow

# --- pairing ------------------------------------------------------------------------------------------------------


def count_guess(tx: Transaction, address_hash: bytes, now: datetime, window_began: datetime) -> int:
    """Count a guess of this address and return how many it made in the window; others of it wait until COMMIT."""
    return one(
        tx, int,
        """INSERT INTO pairing_guess (address_hash, guesses, since) VALUES (%(address_hash)s, 1, %(now)s)
           ON CONFLICT (address_hash) DO UPDATE SET
               guesses = CASE WHEN pairing_guess.since <= %(began)s THEN 1
                              ELSE least(pairing_guess.guesses + 1, 10000) END,
               since = CASE WHEN pairing_guess.since <= %(began)s THEN %(now)s ELSE pairing_guess.since END
           RETURNING guesses""",
        {"address_hash": address_hash, "now": now, "began": window_began},
    )  # fmt: skip


def guesses_since(tx: Transaction, address_hash: bytes, window_began: datetime) -> int:
    """Return how many guesses were counted in the window, without counting one and without waiting."""
    counted = one_or_none(
        tx, int, "SELECT guesses FROM pairing_guess WHERE address_hash = %s AND since > %s",
        (address_hash, window_began),
    )  # fmt: skip
    return counted or 0


def forgive_guess(tx: Transaction, address_hash: bytes) -> None:
    """The code was a good one: it was no guess."""
    tx.execute("UPDATE pairing_guess SET guesses = greatest(guesses - 1, 0) WHERE address_hash = %s", (address_hash,))


def find_code(tx: Transaction, code_hash: bytes, now: datetime) -> FoundCode | None:
    return one_or_none(tx, FoundCode, "SELECT district_id, id FROM pairing_code_district(%s, %s)", (code_hash, now))


def end_codes_of(tx: Transaction, district_id: UUID, person_id: UUID, now: datetime) -> None:
    tx.execute(
        """UPDATE pairing_code SET used_at = %(now)s
           WHERE district_id = %(district_id)s AND person_id = %(person_id)s AND used_at IS NULL""",
        {"district_id": district_id, "person_id": person_id, "now": now},
    )


def end_expired_code(tx: Transaction, district_id: UUID, code_hash: bytes, now: datetime) -> None:
    """Free a number that was drawn again: its old row is over, though nobody used it."""
    tx.execute(
        """UPDATE pairing_code SET used_at = %(now)s
           WHERE district_id = %(district_id)s AND code_hash = %(code_hash)s AND used_at IS NULL
             AND expires_at <= %(now)s""",
        {"district_id": district_id, "code_hash": code_hash, "now": now},
    )


def insert_code(tx: Transaction, district_id: UUID, id: UUID, person_id: UUID, code_hash: bytes, nonce: bytes,
                now: datetime, expires_at: datetime) -> None:  # fmt: skip
    tx.execute(
        """INSERT INTO pairing_code (district_id, id, person_id, code_hash, nonce, issued_at, expires_at)
           VALUES (%(district_id)s, %(id)s, %(person_id)s, %(code_hash)s, %(nonce)s, %(now)s, %(expires_at)s)""",
        {"district_id": district_id, "id": id, "person_id": person_id, "code_hash": code_hash, "nonce": nonce,
         "now": now, "expires_at": expires_at},
    )  # fmt: skip


def code_locked(tx: Transaction, district_id: UUID, id: UUID) -> PairingCode | None:
    """Return the code and hold it until the end: two phones that type it at once stand in line."""
    return one_or_none(
        tx, PairingCode,
        """SELECT id, person_id, nonce, tries, expires_at, used_at FROM pairing_code
           WHERE district_id = %(district_id)s AND id = %(id)s FOR UPDATE""",
        {"district_id": district_id, "id": id},
    )  # fmt: skip


def count_try(tx: Transaction, district_id: UUID, id: UUID) -> None:
    tx.execute(
        "UPDATE pairing_code SET tries = tries + 1 WHERE district_id = %(district_id)s AND id = %(id)s",
        {"district_id": district_id, "id": id},
    )


def use_code(tx: Transaction, district_id: UUID, id: UUID, now: datetime) -> None:
    tx.execute(
        "UPDATE pairing_code SET used_at = %(now)s WHERE district_id = %(district_id)s AND id = %(id)s",
        {"district_id": district_id, "id": id, "now": now},
    )


# --- phones -------------------------------------------------------------------------------------------------------


def phone_of_thumb(tx: Transaction, district_id: UUID, thumb: bytes) -> Phone | None:
    return one_or_none(
        tx, Phone,
        """SELECT id, person_id, slot, cose_key, thumb, paired_at, revoked_at FROM pass_key
           WHERE district_id = %(district_id)s AND thumb = %(thumb)s""",
        {"district_id": district_id, "thumb": thumb},
    )  # fmt: skip


def phones_of(tx: Transaction, district_id: UUID, person_id: UUID) -> list[Phone]:
    return many(
        tx, Phone,
        """SELECT id, person_id, slot, cose_key, thumb, paired_at, revoked_at FROM pass_key
           WHERE district_id = %(district_id)s AND person_id = %(person_id)s AND revoked_at IS NULL
           ORDER BY paired_at, id""",
        {"district_id": district_id, "person_id": person_id},
    )  # fmt: skip


def insert_phone(tx: Transaction, district_id: UUID, id: UUID, person_id: UUID, slot: int, cose_key: bytes,
                 thumb: bytes, now: datetime) -> None:  # fmt: skip
    tx.execute(
        """INSERT INTO pass_key (district_id, id, person_id, slot, cose_key, thumb, paired_at)
           VALUES (%(district_id)s, %(id)s, %(person_id)s, %(slot)s, %(cose_key)s, %(thumb)s, %(now)s)""",
        {"district_id": district_id, "id": id, "person_id": person_id, "slot": slot, "cose_key": cose_key,
         "thumb": thumb, "now": now},
    )  # fmt: skip


def holder_of_phone(tx: Transaction, district_id: UUID, phone_id: UUID) -> UUID | None:
    return one_or_none(
        tx, UUID, "SELECT person_id FROM pass_key WHERE district_id = %(district)s AND id = %(phone)s",
        {"district": district_id, "phone": phone_id},
    )  # fmt: skip


def revoke_phone(tx: Transaction, district_id: UUID, person_id: UUID, id: UUID, now: datetime) -> int:
    return tx.execute(
        """UPDATE pass_key SET revoked_at = %(now)s WHERE district_id = %(district_id)s
             AND person_id = %(person_id)s AND id = %(id)s AND revoked_at IS NULL""",
        {"district_id": district_id, "person_id": person_id, "id": id, "now": now},
    ).rowcount


# --- rights and credentials -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RightRow(Right):
    """A right with the adult it belongs to."""

    person_id: UUID


def rights(tx: Transaction, district_id: UUID, now: datetime, *, person_id: UUID | None = None,
           site: int | None = None) -> list[RightRow]:  # fmt: skip
    """Return who may bring and collect whom now. Only a running right lets collect; guardians may always bring.

    A running order takes the pick-up away, and the whole child where it hides them from the person.
    """
    return many(
        tx, RightRow,
        """WITH tie AS (
               SELECT child_id, person_id, false AS pick_up FROM guardianship
               WHERE district_id = %(district_id)s AND period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date
                 AND (%(person_id)s::uuid IS NULL OR person_id = %(person_id)s)
               UNION ALL
               SELECT child_id, person_id, true FROM escort_right
               WHERE district_id = %(district_id)s AND kind = 'may_collect' AND period @> %(now)s::timestamptz
                 AND (%(person_id)s::uuid IS NULL OR person_id = %(person_id)s)
           ), held AS (SELECT child_id, person_id, bool_or(pick_up) AS pick_up FROM tie GROUP BY child_id, person_id)
           SELECT h.person_id, s.site, s.name AS school, s.timezone, c.id AS child_id, c.given,
                  coalesce(k.name, '') AS class_name, true AS drop_off,
                  h.pick_up AND NOT EXISTS (
                      SELECT 1 FROM escort_right o WHERE o.district_id = %(district_id)s AND o.child_id = h.child_id
                        AND o.person_id = h.person_id AND o.kind = 'must_not_collect'
                        AND o.period @> %(now)s::timestamptz) AS pick_up
           FROM held h
           JOIN child c ON c.district_id = %(district_id)s AND c.id = h.child_id
           JOIN enrolment e ON e.district_id = c.district_id AND e.child_id = c.id
                           AND e.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date
           JOIN school s ON s.district_id = e.district_id AND s.id = e.school_id
           LEFT JOIN class k ON k.district_id = e.district_id AND k.id = e.class_id
           WHERE (%(site)s::bigint IS NULL OR s.site = %(site)s)
             AND NOT EXISTS (
                 SELECT 1 FROM court_order t JOIN escort_right o ON o.district_id = t.district_id AND o.id = t.right_id
                 WHERE t.district_id = %(district_id)s AND t.child_id = h.child_id AND t.person_id = h.person_id
                   AND t.hides AND o.period @> %(now)s::timestamptz)
           ORDER BY s.site, c.given, c.id""",
        {"district_id": district_id, "now": now, "person_id": person_id, "site": site},
    )  # fmt: skip


def staff_rights(tx: Transaction, district_id: UUID, person_id: UUID, now: datetime) -> list[StaffRight]:
    """Return the powers of who holds a role there on the school's own date: a row of staff has no end of its own."""
    return many(
        tx, StaffRight,
        """SELECT s.site, min(s.name) AS school, min(s.timezone) AS timezone, bit_or(t.powers)::int AS powers
           FROM staff t JOIN school s ON s.district_id = t.district_id AND s.id = t.school_id
           WHERE t.district_id = %(district_id)s AND t.person_id = %(person_id)s AND t.powers > 0
             AND EXISTS (SELECT 1 FROM role_grant g WHERE g.district_id = t.district_id AND g.person_id = t.person_id
                           AND (g.school_id IS NULL OR g.school_id = t.school_id)
                           AND g.period @> (%(now)s::timestamptz AT TIME ZONE s.timezone)::date)
           GROUP BY s.site ORDER BY s.site""",
        {"district_id": district_id, "person_id": person_id, "now": now},
    )  # fmt: skip


def newest_credential(tx: Transaction, district_id: UUID, pass_key_id: UUID, site: int, kind: str,
                      rights: Sequence[Sequence[int]], not_before: datetime) -> Issued | None:  # fmt: skip
    """Return a credential that a gate still takes: not revoked, nor its issuer, nor older than its holder's block."""
    return one_or_none(
        tx, Issued,
        """SELECT cti, kind, person_id, pass_key_id, site, holder, rights, body, issued_at, expires_at FROM credential c
           WHERE district_id = %(district_id)s AND pass_key_id = %(pass_key_id)s AND site = %(site)s
             AND kind = %(kind)s AND rights = %(rights)s AND issued_at > %(not_before)s AND revoked_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM revoked_issuer i WHERE i.kid = c.kid)
             AND (kind = 'staff' OR NOT EXISTS (
                 SELECT 1 FROM holder_block b WHERE b.district_id = c.district_id AND b.site = c.site
                    AND b.person_id = c.person_id AND b.not_before > c.issued_at))
           ORDER BY issued_at DESC LIMIT 1""",
        {"district_id": district_id, "pass_key_id": pass_key_id, "site": site, "kind": kind,
         "rights": Jsonb(rights), "not_before": not_before},
    )  # fmt: skip


def insert_credential(tx: Transaction, district_id: UUID, issued: Issued, kid: bytes) -> None:
    tx.execute(
        """INSERT INTO credential (district_id, cti, kind, person_id, pass_key_id, site, holder, rights, kid, body,
                                   issued_at, expires_at)
           VALUES (%(district_id)s, %(cti)s, %(kind)s, %(person_id)s, %(pass_key_id)s, %(site)s, %(holder)s,
                   %(rights)s, %(kid)s, %(body)s, %(issued_at)s, %(expires_at)s)""",
        {"district_id": district_id, "cti": issued.cti, "kind": issued.kind, "person_id": issued.person_id,
         "pass_key_id": issued.pass_key_id, "site": issued.site, "holder": issued.holder,
         "rights": Jsonb(issued.rights), "kid": kid, "body": issued.body, "issued_at": issued.issued_at,
         "expires_at": issued.expires_at},
    )  # fmt: skip


def insert_card(tx: Transaction, district_id: UUID, serial: str, issued: Issued, by: UUID | None,
                replaces: str | None) -> None:  # fmt: skip
    tx.execute(
        """INSERT INTO card (district_id, serial, cti, person_id, site, issued_at, issued_by, replaces)
           VALUES (%(district_id)s, %(serial)s, %(cti)s, %(person_id)s, %(site)s, %(issued_at)s, %(by)s,
                   %(replaces)s)""",
        {"district_id": district_id, "serial": serial, "cti": issued.cti, "person_id": issued.person_id,
         "site": issued.site, "issued_at": issued.issued_at, "by": by, "replaces": replaces},
    )  # fmt: skip


def revoke_credential(tx: Transaction, district_id: UUID, cti: bytes, now: datetime) -> int | None:
    """End a credential, and the printed card of it; return its site, or None: unknown or ended before."""
    tx.execute(
        """UPDATE card SET revoked_at = coalesce(revoked_at, %(now)s)
           WHERE district_id = %(district_id)s AND cti = %(cti)s""",
        {"district_id": district_id, "cti": cti, "now": now},
    )
    return one_or_none(
        tx, int,
        """UPDATE credential SET revoked_at = %(now)s
           WHERE district_id = %(district_id)s AND cti = %(cti)s AND revoked_at IS NULL RETURNING site""",
        {"district_id": district_id, "cti": cti, "now": now},
    )  # fmt: skip


def block_holder(tx: Transaction, district_id: UUID, site: int, person_id: UUID, now: datetime) -> None:
    tx.execute(
        """INSERT INTO holder_block (district_id, site, person_id, not_before, blocked_at)
           VALUES (%(district_id)s, %(site)s, %(person_id)s, %(now)s, %(now)s)
           ON CONFLICT (district_id, site, person_id) DO UPDATE SET not_before = excluded.not_before,
               blocked_at = excluded.blocked_at""",
        {"district_id": district_id, "site": site, "person_id": person_id, "now": now},
    )


# --- what a policy list says ----------------------------------------------------------------------------------------


def revoked_ctis(tx: Transaction, district_id: UUID, site: int, now: datetime) -> list[bytes]:
    return many(
        tx, bytes,
        """SELECT cti FROM credential WHERE district_id = %(district_id)s AND site = %(site)s
             AND revoked_at IS NOT NULL AND expires_at > %(now)s""",
        {"district_id": district_id, "site": site, "now": now},
    )  # fmt: skip


def live_credentials(tx: Transaction, district_id: UUID, site: int, now: datetime) -> list[Issued]:
    return many(
        tx, Issued,
        """SELECT cti, kind, person_id, pass_key_id, site, holder, rights, body, issued_at, expires_at FROM credential
           WHERE district_id = %(district_id)s AND site = %(site)s AND kind <> 'staff'
             AND revoked_at IS NULL AND expires_at > %(now)s""",
        {"district_id": district_id, "site": site, "now": now},
    )  # fmt: skip


def staff_ctis_beyond_powers(tx: Transaction, district_id: UUID, site: int, now: datetime) -> list[bytes]:
    """Return staff credentials that say more than their holder may do there now: a role ended, powers shrank."""
    return many(
        tx, bytes,
        """SELECT c.cti FROM credential c
           WHERE c.district_id = %(district_id)s AND c.site = %(site)s AND c.kind = 'staff'
             AND c.revoked_at IS NULL AND c.expires_at > %(now)s
             AND (c.rights -> 0 ->> 1)::int & ~coalesce((
                 SELECT bit_or(t.powers)::int FROM staff t
                 JOIN school s ON s.district_id = t.district_id AND s.id = t.school_id AND s.site = c.site
                 WHERE t.district_id = c.district_id AND t.person_id = c.person_id AND EXISTS (
                     SELECT 1 FROM role_grant g WHERE g.district_id = t.district_id AND g.person_id = t.person_id
                        AND (g.school_id IS NULL OR g.school_id = t.school_id)
                        AND g.period @> (%(now)s::timestamptz AT TIME ZONE s.timezone)::date)), 0) <> 0""",
        {"district_id": district_id, "site": site, "now": now},
    )  # fmt: skip


def revoked_thumbs(tx: Transaction, district_id: UUID, site: int, now: datetime) -> list[bytes]:
    """Phones taken away whose credentials for this site may still be shown."""
    return many(
        tx, bytes,
        """SELECT p.thumb FROM pass_key p WHERE p.district_id = %(district_id)s AND p.revoked_at IS NOT NULL
             AND EXISTS (SELECT 1 FROM credential c WHERE c.district_id = p.district_id AND c.pass_key_id = p.id
                           AND c.site = %(site)s AND c.expires_at > %(now)s)""",
        {"district_id": district_id, "site": site, "now": now},
    )  # fmt: skip


@dataclass(frozen=True)
class Block:
    ref: int
    not_before: datetime


def blocks(tx: Transaction, district_id: UUID, site: int) -> list[Block]:
    return many(
        tx, Block,
        """SELECT r.ref, b.not_before FROM holder_block b
           JOIN site_ref r ON r.district_id = b.district_id AND r.site = b.site AND r.person_id = b.person_id
           WHERE b.district_id = %(district_id)s AND b.site = %(site)s""",
        {"district_id": district_id, "site": site},
    )  # fmt: skip


def revoked_issuers(tx: Transaction) -> list[bytes]:
    return many(tx, bytes, "SELECT kid FROM revoked_issuer")


def insert_revoked_issuer(tx: Transaction, kid: bytes, now: datetime) -> None:
    tx.execute("INSERT INTO revoked_issuer (kid, revoked_at) VALUES (%s, %s) ON CONFLICT DO NOTHING", (kid, now))


def escort_rows(tx: Transaction, district_id: UUID, site: int, now: datetime) -> list[EscortRow]:
    """Rights and orders for the children of a site that touch the horizon, but for rights that hold all the time."""
    return many(
        tx, EscortRow,
        """SELECT DISTINCT r.child_id, r.person_id, r.kind, r.weekdays, lower(r.period) AS starts,
                  upper(r.period) AS ends, coalesce(t.hides, false) AS hides,
                  EXISTS (SELECT 1 FROM guardianship g WHERE g.district_id = r.district_id
                             AND g.child_id = r.child_id AND g.person_id = r.person_id
                             AND g.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date) AS guardian
           FROM escort_right r
           JOIN enrolment e ON e.district_id = r.district_id AND e.child_id = r.child_id
           JOIN school s ON s.district_id = e.district_id AND s.id = e.school_id AND s.site = %(site)s
           LEFT JOIN court_order t ON t.district_id = r.district_id AND t.right_id = r.id
           WHERE r.district_id = %(district_id)s
             AND r.period && tstzrange(%(now)s, %(now)s::timestamptz + interval '12 days')
             AND (r.kind = 'must_not_collect' OR r.weekdays <> 127 OR NOT upper_inf(r.period)
                  OR lower(r.period) > %(now)s
                  OR EXISTS (SELECT 1 FROM custody_calendar k WHERE k.district_id = r.district_id
                                AND k.child_id = r.child_id AND k.person_id = r.person_id))""",
        {"district_id": district_id, "site": site, "now": now},
    )  # fmt: skip


def timezone_of_site(tx: Transaction, district_id: UUID, site: int) -> str | None:
    return one_or_none(
        tx, str,
        """SELECT timezone FROM school WHERE district_id = %(district_id)s AND site = %(site)s
           ORDER BY id LIMIT 1""",
        {"district_id": district_id, "site": site},
    )  # fmt: skip


# --- documents ------------------------------------------------------------------------------------------------------


def newest_document(tx: Transaction, district_id: UUID, site: int, domain: str) -> SignedDocument | None:
    return one_or_none(
        tx, SignedDocument,
        """SELECT district_id, site, domain, version, signed_at, content, body FROM site_document
           WHERE district_id = %(district_id)s AND site = %(site)s AND domain = %(domain)s
           ORDER BY version DESC LIMIT 1""",
        {"district_id": district_id, "site": site, "domain": domain},
    )  # fmt: skip


def insert_document(tx: Transaction, document: SignedDocument) -> None:
    tx.execute(
        """INSERT INTO site_document (district_id, site, domain, version, signed_at, content, body)
           VALUES (%(district_id)s, %(site)s, %(domain)s, %(version)s, %(signed_at)s, %(content)s, %(body)s)""",
        vars(document),
    )


def lock_documents(tx: Transaction, site: int, domain: str) -> None:
    """One writer of versions at a time for a site and domain, until the end of the transaction."""
    tx.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s || %s::text, 0))", (domain, site))


def keep_trust_list(tx: Transaction, version: int, body: bytes, now: datetime) -> bytes:
    """Return the bytes held under this version, which are the first ones that came."""
    tx.execute("INSERT INTO trust_list (version, body, loaded_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
               (version, body, now))  # fmt: skip
    row: Any = one_or_none(tx, bytes, "SELECT body FROM trust_list WHERE version = %s", (version,))
    return row


def newest_trust_version(tx: Transaction) -> int:
    return one_or_none(tx, int, "SELECT coalesce(max(version), 0) FROM trust_list") or 0
