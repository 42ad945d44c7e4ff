"""The SQL of printed cards. Private to cloud/passes/cards/service.py; all of it runs in a tenant."""

from datetime import datetime
from uuid import UUID

from cloud.kit.db import Transaction, many, one_or_none
from cloud.passes.cards.model import Card


def cards(
    tx: Transaction, district_id: UUID, *, person_id: UUID | None = None, serial: str | None = None,
    running_at: int | None = None,
) -> list[Card]:  # fmt: skip
    """Return cards, newest first. running_at: the site where they run. For a guardian row security leaves own ones."""
    return many(
        tx, Card,
        """SELECT k.serial, k.cti, k.person_id, p.given, p.family, p.language, k.site,
                  coalesce(s.name, '') AS school, coalesce(s.timezone, 'UTC') AS timezone, k.issued_at, c.expires_at,
                  k.printed_at, k.revoked_at, coalesce(k.ended_why, '') AS ended_why, k.replaces, c.body
           FROM card k
           JOIN credential c ON c.district_id = k.district_id AND c.cti = k.cti
           JOIN person p ON p.district_id = k.district_id AND p.id = k.person_id
           LEFT JOIN LATERAL (SELECT string_agg(name, ', ' ORDER BY name) AS name, min(timezone) AS timezone FROM school
                              WHERE district_id = k.district_id AND site = k.site) s ON true
           WHERE k.district_id = %(district_id)s
             AND (%(person_id)s::uuid IS NULL OR k.person_id = %(person_id)s)
             AND (%(serial)s::text IS NULL OR k.serial = %(serial)s)
             AND (%(site)s::bigint IS NULL OR (k.site = %(site)s AND k.revoked_at IS NULL))
           ORDER BY k.issued_at DESC, k.serial""",
        {"district_id": district_id, "person_id": person_id, "serial": serial, "site": running_at},
    )  # fmt: skip


def serial_of(tx: Transaction, district_id: UUID, cti: bytes) -> str | None:
    return one_or_none(tx, str, "SELECT serial FROM card WHERE district_id = %s AND cti = %s", (district_id, cti))


def end_card(tx: Transaction, district_id: UUID, serial: str, why: str, by: UUID | None, now: datetime) -> bool:
    """End a card that runs; return whether it did. Of two who end it at once the second finds it ended."""
    ended = tx.execute(
        """UPDATE card SET revoked_at = %(now)s, ended_why = %(why)s, ended_by = %(by)s
           WHERE district_id = %(district_id)s AND serial = %(serial)s AND revoked_at IS NULL""",
        {"district_id": district_id, "serial": serial, "why": why, "by": by, "now": now},
    )
    return ended.rowcount == 1


def end_over(tx: Transaction, district_id: UUID, person_id: UUID, site: int, now: datetime) -> None:
    """End the card whose time is over, so that the next one may run."""
    tx.execute(
        """UPDATE card SET revoked_at = %(now)s, ended_why = 'over' FROM credential c
           WHERE card.district_id = %(district_id)s AND card.person_id = %(person_id)s AND card.site = %(site)s
             AND card.revoked_at IS NULL AND c.district_id = card.district_id AND c.cti = card.cti
             AND c.expires_at <= %(now)s""",
        {"district_id": district_id, "person_id": person_id, "site": site, "now": now},
    )


def note_printed(tx: Transaction, district_id: UUID, serial: str, now: datetime) -> None:
    tx.execute(
        "UPDATE card SET printed_at = %(now)s WHERE district_id = %(district_id)s AND serial = %(serial)s",
        {"district_id": district_id, "serial": serial, "now": now},
    )


def children_of_card(tx: Transaction, district_id: UUID, cti: bytes) -> list[UUID]:
    """Return the children whom a card names, by the numbers of its site."""
    return many(
        tx, UUID,
        """SELECT r.child_id FROM credential c
           JOIN site_ref r ON r.district_id = c.district_id AND r.site = c.site AND r.kind = 'child'
                          AND r.ref IN (SELECT (row -> 0)::bigint FROM jsonb_array_elements(c.rights) row)
           WHERE c.district_id = %(district_id)s AND c.cti = %(cti)s AND r.child_id IS NOT NULL ORDER BY r.child_id""",
        {"district_id": district_id, "cti": cti},
    )  # fmt: skip
