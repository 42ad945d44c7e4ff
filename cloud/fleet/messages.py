"""What goes down to one gate: entered here in a transaction, published by cloud/downlink.py, noted when sent.

A service of this slice. Responsible for: levels (retained, one for each leaf: the newest counts) and messages with an
end. The database refuses a retained command (gate_message_levels_alone). Not responsible for: what a message says or
who signed it. Rules: P-6 dn/cfg, dn/job, dn/cmd, dn/rsp.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cloud.kit import clock
from cloud.kit.db import Transaction, many
from protocols import topics

LEVELS = (topics.CONFIGURATION, topics.JOB)
SENT_AT_ONCE_MAX = 500  # unsent messages of a district that one look of the publisher takes


@dataclass(frozen=True)
class Down:
    """A message to a gate. expires_at: None for a level."""

    id: int
    gate: int
    site: int
    leaf: str
    body: bytes
    expires_at: datetime | None


def send_down(
    tx: Transaction, district_id: UUID, gate: int, leaf: str, body: bytes, *, retain: bool, expires_at: datetime | None
) -> None:
    """Enter a message to a gate. A level replaces the one before; an empty level makes the broker forget it.

    Raises RuleBroken: gate_message_levels_alone for a retained command, gate_message_ends for a message with no end.
    """
    tx.execute(
        """INSERT INTO gate_message (district_id, gate, leaf, body, retain, made_at, expires_at)
           VALUES (%(district_id)s, %(gate)s, %(leaf)s, %(body)s, %(retain)s, %(now)s, %(expires_at)s)
           ON CONFLICT (district_id, gate, leaf) WHERE retain
           DO UPDATE SET body = excluded.body, made_at = excluded.made_at, sent_at = NULL""",
        {"district_id": district_id, "gate": gate, "leaf": leaf, "body": body, "retain": retain,
         "now": clock.now(), "expires_at": expires_at},
    )  # fmt: skip


def levels(tx: Transaction, district_id: UUID, since: datetime) -> list[Down]:
    """Return the levels that were entered since then, of gates that are not revoked, oldest first."""
    return many(
        tx, Down,
        """SELECT m.id, m.gate, g.site, m.leaf, m.body, m.expires_at
           FROM gate_message m JOIN gate g USING (district_id, gate)
           WHERE m.district_id = %(district_id)s AND m.retain AND m.made_at >= %(since)s AND g.revoked_at IS NULL
           ORDER BY m.made_at""",
        {"district_id": district_id, "since": since},
    )  # fmt: skip


def unsent(tx: Transaction, district_id: UUID, now: datetime) -> list[Down]:
    """Return what waits to be sent once and has not ended, oldest first; locked until the transaction ends."""
    return many(
        tx, Down,
        """SELECT m.id, m.gate, g.site, m.leaf, m.body, m.expires_at
           FROM gate_message m JOIN gate g USING (district_id, gate)
           WHERE m.district_id = %(district_id)s AND NOT m.retain AND m.sent_at IS NULL AND m.expires_at > %(now)s
             AND g.revoked_at IS NULL
           ORDER BY m.id LIMIT %(most)s FOR UPDATE OF m SKIP LOCKED""",
        {"district_id": district_id, "now": now, "most": SENT_AT_ONCE_MAX},
    )  # fmt: skip


def note_sent(tx: Transaction, district_id: UUID, ids: list[int], now: datetime) -> None:
    """Note that these were given to the broker's connection."""
    tx.execute(
        """UPDATE gate_message SET sent_at = %(now)s
           WHERE district_id = %(district_id)s AND id = ANY (%(ids)s::bigint[])""",
        {"district_id": district_id, "ids": ids, "now": now},
    )
