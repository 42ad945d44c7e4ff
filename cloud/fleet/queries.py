"""The fleet's SQL. Private to cloud/fleet/service.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from cloud.fleet.model import Alarm, Gate, GateIdentity, SiteWithGates
from cloud.kit.db import Transaction, many, one_or_none


@dataclass(frozen=True)
class DocumentVersion:
    """The newest version of one document of one site."""

    site: int
    domain: str
    version: int


def insert_gate(
    tx: Transaction, district_id: UUID, site: int, gate: int, name: str, public_key: bytes, now: datetime
) -> None:
    tx.execute(
        """INSERT INTO gate (district_id, gate, site, name, public_key, registered_at, approved_at)
           VALUES (%(district_id)s, %(gate)s, %(site)s, %(name)s, %(public_key)s, %(now)s, %(now)s)
           ON CONFLICT (district_id, gate) DO UPDATE SET name = excluded.name
           WHERE gate.public_key = excluded.public_key AND gate.site = excluded.site""",
        {"district_id": district_id, "gate": gate, "site": site, "name": name, "public_key": public_key, "now": now},
    )


def gate_of(tx: Transaction, district_id: UUID, gate: int) -> Gate | None:
    return one_or_none(
        tx, Gate,
        """SELECT g.district_id, g.gate, g.site, g.name, g.public_key, g.registered_at, g.approved_at, g.revoked_at,
                  g.session, g.state, g.state_at, g.last_seen, g.reported, g.telemetry, g.telemetry_at,
                  coalesce(s.name, '') AS site_name, g.configuration
           FROM gate g LEFT JOIN site s ON s.district_id = g.district_id AND s.number = g.site
           WHERE g.district_id = %(district_id)s AND g.gate = %(gate)s""",
        {"district_id": district_id, "gate": gate},
    )  # fmt: skip


def gates(tx: Transaction, district_id: UUID, site: int | None) -> list[Gate]:
    return many(
        tx, Gate,
        """SELECT g.district_id, g.gate, g.site, g.name, g.public_key, g.registered_at, g.approved_at, g.revoked_at,
                  g.session, g.state, g.state_at, g.last_seen, g.reported, g.telemetry, g.telemetry_at,
                  coalesce(s.name, '') AS site_name, g.configuration
           FROM gate g LEFT JOIN site s ON s.district_id = g.district_id AND s.number = g.site
           WHERE g.district_id = %(district_id)s AND (%(site)s::bigint IS NULL OR g.site = %(site)s)
           ORDER BY g.gate""",
        {"district_id": district_id, "site": site},
    )  # fmt: skip


def by_number(tx: Transaction, numbers: Sequence[int]) -> list[GateIdentity]:
    return many(
        tx, GateIdentity,
        """SELECT gate, district_id, district, site, public_key, approved, revoked
           FROM gates_by_number(%(numbers)s::bigint[])""",
        {"numbers": list(numbers)},
    )  # fmt: skip


def sites(tx: Transaction) -> list[SiteWithGates]:
    return many(tx, SiteWithGates, "SELECT district_id, district, site FROM sites_with_gates()")


@dataclass(frozen=True)
class Sessions:
    """The session of a gate and those before it, [session, UTC seconds of its end] each."""

    session: str | None
    past_sessions: list[Any]


def sessions(tx: Transaction, district_id: UUID, gate: int) -> Sessions | None:
    return one_or_none(
        tx, Sessions, "SELECT session, past_sessions FROM gate WHERE district_id = %s AND gate = %s FOR UPDATE",
        (district_id, gate),
    )  # fmt: skip


def set_past_sessions(tx: Transaction, district_id: UUID, gate: int, past: Sequence[tuple[str, float]]) -> None:
    tx.execute(
        "UPDATE gate SET past_sessions = %s WHERE district_id = %s AND gate = %s", (Jsonb(past), district_id, gate)
    )


def set_state(
    tx: Transaction, district_id: UUID, gate: int, state: str, session: str, reported: Mapping[str, Any], now: datetime
) -> bool:
    """Return whether it was taken: a will of another session than the current one is not (P-6 up/st)."""
    changed = tx.execute(
        """UPDATE gate SET state = %(state)s, session = %(session)s, state_at = %(now)s,
                  last_seen = CASE WHEN %(state)s = 'online' THEN %(now)s ELSE last_seen END,
                  reported = CASE WHEN %(state)s = 'online' THEN %(reported)s ELSE reported END
           WHERE district_id = %(district_id)s AND gate = %(gate)s
             AND (%(state)s = 'online' OR session = %(session)s)""",
        {"district_id": district_id, "gate": gate, "state": state, "session": session,
         "reported": Jsonb(reported), "now": now},
    )  # fmt: skip
    return changed.rowcount == 1


def set_telemetry(
    tx: Transaction, district_id: UUID, gate: int, values: Mapping[str, Any], now: datetime
) -> Mapping[str, Any]:
    """Keep a heartbeat; return the one before."""
    row = tx.execute(
        """UPDATE gate SET telemetry = %(values)s, telemetry_at = %(now)s, last_seen = %(now)s
           FROM (SELECT telemetry FROM gate
                 WHERE district_id = %(district_id)s AND gate = %(gate)s FOR UPDATE) AS before
           WHERE district_id = %(district_id)s AND gate = %(gate)s RETURNING before.telemetry""",
        {"district_id": district_id, "gate": gate, "values": Jsonb(values), "now": now},
    ).fetchone()
    return row[0] if row else {}


def set_seen(tx: Transaction, district_id: UUID, gates_seen: Sequence[int], now: datetime) -> None:
    """Note that gates were heard; not more often than every ten seconds, as it is a row version each time."""
    tx.execute(
        """UPDATE gate SET last_seen = %(now)s
           WHERE district_id = %(district_id)s AND gate = ANY (%(gates)s::bigint[])
             AND (last_seen IS NULL OR last_seen < %(now)s::timestamptz - interval '10 seconds')""",
        {"district_id": district_id, "gates": sorted(gates_seen), "now": now},
    )


def set_approved(tx: Transaction, district_id: UUID, gate: int, now: datetime) -> int:
    return tx.execute(
        """UPDATE gate SET approved_at = coalesce(approved_at, %(now)s)
           WHERE district_id = %(district_id)s AND gate = %(gate)s AND revoked_at IS NULL""",
        {"district_id": district_id, "gate": gate, "now": now},
    ).rowcount


def set_revoked(tx: Transaction, district_id: UUID, gate: int, now: datetime) -> int:
    return tx.execute(
        """UPDATE gate SET revoked_at = coalesce(revoked_at, %(now)s)
           WHERE district_id = %(district_id)s AND gate = %(gate)s""",
        {"district_id": district_id, "gate": gate, "now": now},
    ).rowcount


def raise_alarm(
    tx: Transaction, district_id: UUID, gate: int, code: str, detail: Mapping[str, Any], now: datetime
) -> None:
    tx.execute(
        """INSERT INTO gate_alarm (district_id, gate, code, detail, raised_at, last_at)
           VALUES (%(district_id)s, %(gate)s, %(code)s, %(detail)s, %(now)s, %(now)s)
           ON CONFLICT (district_id, gate, code) WHERE closed_at IS NULL
           DO UPDATE SET times = gate_alarm.times + 1, last_at = excluded.last_at, detail = excluded.detail""",
        {"district_id": district_id, "gate": gate, "code": code, "detail": Jsonb(detail), "now": now},
    )


def close_alarm(tx: Transaction, district_id: UUID, gate: int, code: str, now: datetime) -> None:
    tx.execute(
        """UPDATE gate_alarm SET closed_at = %(now)s
           WHERE district_id = %(district_id)s AND gate = %(gate)s AND code = %(code)s AND closed_at IS NULL""",
        {"district_id": district_id, "gate": gate, "code": code, "now": now},
    )


def open_alarms(tx: Transaction, district_id: UUID) -> list[Alarm]:
    return many(
        tx, Alarm,
        """SELECT gate, code, times, raised_at, last_at, detail FROM gate_alarm
           WHERE district_id = %(district_id)s AND closed_at IS NULL ORDER BY gate, raised_at""",
        {"district_id": district_id},
    )  # fmt: skip


def newest_documents(tx: Transaction, district_id: UUID) -> list[DocumentVersion]:
    return many(
        tx, DocumentVersion,
        """SELECT site, domain, max(version) AS version FROM site_document
           WHERE district_id = %(district_id)s GROUP BY site, domain""",
        {"district_id": district_id},
    )  # fmt: skip


def keep_dead_letter(tx: Transaction, gate: int | None, code: str, sha256: bytes, body: bytes, now: datetime) -> None:
    tx.execute(
        "SELECT keep_dead_letter(%(gate)s::bigint, %(code)s, %(sha256)s, %(body)s, %(now)s)",
        {"gate": gate, "code": code, "sha256": sha256, "body": body, "now": now},
    )
