"""SQL of what imports said last time. Private to standards/service.py."""

import json
from datetime import datetime
from uuid import UUID

from cloud.kit.db import Transaction, many
from cloud.standards.model import Kept, Said

LOCK = "import of a roster"


def lock(tx: Transaction, district_id: UUID) -> None:
    """Let one import of a district after another in."""
    tx.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{LOCK} {district_id}",))


def kept_rows(tx: Transaction, district_id: UUID) -> list[Kept]:
    return many(
        tx, Kept, "SELECT kind, key, said, is_gone FROM roster_row WHERE district_id = %(district)s",
        {"district": district_id},
    )  # fmt: skip


def kept_ids(tx: Transaction, district_id: UUID, kind: str) -> dict[str, UUID]:
    """Return key -> row of what was written under the key of somebody else, or under its own."""
    return dict(tx.execute(
        """SELECT key, row_id FROM roster_row
           WHERE district_id = %(district)s AND kind = %(kind)s AND row_id IS NOT NULL""",
        {"district": district_id, "kind": kind},
    ).fetchall())  # fmt: skip


def keep_row(tx: Transaction, district_id: UUID, said: Said, row_id: UUID | None, now: datetime) -> None:
    tx.execute(
        """INSERT INTO roster_row (district_id, kind, key, row_id, said, is_gone, said_at)
           VALUES (%(district)s, %(kind)s, %(key)s, %(row)s, %(said)s::jsonb, %(gone)s, %(now)s)
           ON CONFLICT ON CONSTRAINT roster_row_pkey DO UPDATE SET
                  row_id = coalesce(excluded.row_id, roster_row.row_id), said = excluded.said,
                  is_gone = excluded.is_gone, said_at = excluded.said_at""",
        {"district": district_id, "kind": said.kind, "key": said.key, "row": row_id, "said": json.dumps(said.digests),
         "gone": said.is_gone, "now": now},
    )  # fmt: skip
