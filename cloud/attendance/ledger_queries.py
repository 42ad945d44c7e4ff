"""The SQL of the gates' ledgers: how far each is held, forks and holes. Private to cloud/attendance/service.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from cloud.kit.db import Transaction, many
from protocols.gaps import Hole


@dataclass(frozen=True)
class LedgerRow:
    gate: int
    epoch: int
    next_seq: int
    head: bytes
    forks: int


@dataclass(frozen=True)
class HeadRow:
    gate: int
    epoch: int
    seq: int
    head: bytes
    fork: int


def open_ledgers(tx: Transaction, district_id: UUID, keys: Sequence[tuple[int, int]], zero: bytes,
                 now: datetime) -> list[LedgerRow]:  # fmt: skip
    """Return the ledgers, new ones made, each locked until COMMIT. keys: sorted, so that two batches never deadlock."""
    gates, epochs = [gate for gate, _ in keys], [epoch for _, epoch in keys]
    asked = {"district_id": district_id, "gates": gates, "epochs": epochs, "zero": zero, "now": now}
    tx.execute(
        """INSERT INTO ledger (district_id, gate, epoch, next_seq, head, updated_at)
           SELECT %(district_id)s, k.gate, k.epoch, 0, %(zero)s, %(now)s
           FROM unnest(%(gates)s::bigint[], %(epochs)s::bigint[]) AS k (gate, epoch)
           WHERE NOT EXISTS (SELECT 1 FROM ledger l WHERE l.gate = k.gate AND l.epoch = k.epoch)
           ON CONFLICT (gate, epoch) DO NOTHING""",
        asked,
    )
    return many(
        tx, LedgerRow,
        """SELECT l.gate, l.epoch, l.next_seq, l.head, l.forks FROM ledger l
           JOIN unnest(%(gates)s::bigint[], %(epochs)s::bigint[]) AS k (gate, epoch)
             ON l.gate = k.gate AND l.epoch = k.epoch
           WHERE l.district_id = %(district_id)s ORDER BY l.gate, l.epoch FOR UPDATE OF l""",
        asked,
    )  # fmt: skip


def heads_between(tx: Transaction, district_id: UUID, gate: int, epoch: int, first: int, last: int) -> list[HeadRow]:
    """Return the heads held from one seq to another, of the ledger (fork 0) and of its branches."""
    return many(
        tx, HeadRow,
        """SELECT gate, epoch, seq, head, 0 AS fork FROM ingest_receipt
           WHERE district_id = %(district_id)s AND gate = %(gate)s AND epoch = %(epoch)s
             AND seq BETWEEN %(first)s AND %(last)s
           UNION ALL
           SELECT gate, epoch, seq, head, fork FROM ledger_fork
           WHERE district_id = %(district_id)s AND gate = %(gate)s AND epoch = %(epoch)s
             AND seq BETWEEN %(first)s AND %(last)s""",
        {"district_id": district_id, "gate": gate, "epoch": epoch, "first": first, "last": last},
    )  # fmt: skip


@dataclass(frozen=True)
class HoleRow:
    gate: int
    epoch: int
    first_seq: int
    next_seq: int
    head: bytes


def holes(tx: Transaction, district_id: UUID, keys: Sequence[tuple[int, int]]) -> list[HoleRow]:
    """Return what the gates of these ledgers told to be lost."""
    return many(
        tx, HoleRow,
        """SELECT h.gate, h.epoch, h.first_seq, h.next_seq, h.head FROM ledger_hole h
           JOIN unnest(%(gates)s::bigint[], %(epochs)s::bigint[]) AS k (gate, epoch)
             ON h.gate = k.gate AND h.epoch = k.epoch
           WHERE h.district_id = %(district_id)s ORDER BY h.first_seq""",
        {"district_id": district_id, "gates": [gate for gate, _ in keys], "epochs": [epoch for _, epoch in keys]},
    )  # fmt: skip


def insert_hole(tx: Transaction, district_id: UUID, gate: int, hole: Hole, days: tuple[date, date],
                told: tuple[int, int], now: datetime) -> None:  # fmt: skip
    """Enter what a gate told to be lost. days: the first and the last it may touch; told: epoch and seq of the gap."""
    tx.execute(
        """INSERT INTO ledger_hole (district_id, gate, epoch, first_seq, next_seq, head, from_day, to_day, told_epoch,
                                    told_seq, received_at)
           VALUES (%(district_id)s, %(gate)s, %(epoch)s, %(first)s, %(next)s, %(head)s, %(from_day)s, %(to_day)s,
                   %(told_epoch)s, %(told_seq)s, %(now)s)
           ON CONFLICT (gate, epoch, first_seq, next_seq, head) DO NOTHING""",
        {"district_id": district_id, "gate": gate, "epoch": hole.epoch, "first": hole.first, "next": hole.next,
         "head": hole.head, "from_day": days[0], "to_day": days[1], "told_epoch": told[0], "told_seq": told[1],
         "now": now},
    )  # fmt: skip


def grow_ledgers(tx: Transaction, rows: Sequence[LedgerRow], now: datetime) -> None:
    tx.execute(
        """UPDATE ledger l SET next_seq = n.next_seq, head = n.head, forks = n.forks, updated_at = %(now)s
           FROM unnest(%(gates)s::bigint[], %(epochs)s::bigint[], %(seqs)s::bigint[], %(heads)s::bytea[],
                       %(forks)s::smallint[]) AS n (gate, epoch, next_seq, head, forks)
           WHERE l.gate = n.gate AND l.epoch = n.epoch""",
        {"gates": [row.gate for row in rows], "epochs": [row.epoch for row in rows],
         "seqs": [row.next_seq for row in rows], "heads": [row.head for row in rows],
         "forks": [row.forks for row in rows], "now": now},
    )  # fmt: skip


def recent_ledgers(tx: Transaction, district_id: UUID, since: datetime) -> list[LedgerRow]:
    return many(
        tx, LedgerRow,
        """SELECT gate, epoch, next_seq, head, forks FROM ledger
           WHERE district_id = %(district_id)s AND updated_at >= %(since)s AND next_seq > 0
           ORDER BY updated_at DESC LIMIT 1000""",
        {"district_id": district_id, "since": since},
    )  # fmt: skip


def insert_receipts(tx: Transaction, district_id: UUID, columns: Mapping[str, list[Any]], now: datetime) -> None:
    tx.execute(
        """INSERT INTO ingest_receipt (district_id, gate, epoch, seq, head, received_at)
           SELECT %(district_id)s, r.gate, r.epoch, r.seq, r.head, %(now)s
           FROM unnest(%(gate)s::bigint[], %(epoch)s::bigint[], %(seq)s::bigint[], %(head)s::bytea[])
             AS r (gate, epoch, seq, head)""",
        {**columns, "district_id": district_id, "now": now},
    )


def insert_forks(tx: Transaction, district_id: UUID, columns: Mapping[str, list[Any]], now: datetime) -> None:
    tx.execute(
        """INSERT INTO ledger_fork (district_id, gate, epoch, seq, head, fork, received_at)
           SELECT %(district_id)s, r.gate, r.epoch, r.seq, r.head, r.fork, %(now)s
           FROM unnest(%(gate)s::bigint[], %(epoch)s::bigint[], %(seq)s::bigint[], %(head)s::bytea[],
                       %(fork)s::smallint[]) AS r (gate, epoch, seq, head, fork)
           ON CONFLICT (gate, epoch, seq, head) DO NOTHING""",
        {**columns, "district_id": district_id, "now": now},
    )
