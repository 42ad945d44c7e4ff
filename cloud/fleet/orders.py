"""Commands to one gate: given by name, signed for fifteen seconds, answered once, in the audit log.

A service of this slice. Responsible for: what may be asked, one row for each with its answer. A command is never
retained (the database refuses it) and its nonce is good once. Not responsible for: signing (cloud/reactions.py has the
key), carrying it out (edge/commands.py). Rules: P-4 KX1, P-6 dn/cmd and up/rsp.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from psycopg.types.json import Jsonb

from cloud.audit import service as audit
from cloud.fleet.reports import CommandAnswer
from cloud.kit.db import Transaction, many, one_or_none
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.jobs import happened
from cloud.kit.live import announce
from protocols.limits import COMMAND_SECONDS_MAX

OPERATIONS = ("open", "identify", "snapshot", "selftest", "reboot", "restart", "resync", "renew")
NONCE_BYTES = 8
ARGUMENTS_MAX = 4
NOT_ANSWERED_AFTER = timedelta(seconds=60)  # P-6: an answer lives so long


class OrderRefused(Refused):
    """A command cannot be given."""

    answers: ClassVar = {
        "GATE_UNKNOWN": Answer(404, N_("No gate has this number here."), N_("Look at the list of gates.")),
        "COMMAND_UNKNOWN": Answer(400, N_("Gates know no such command."), N_("Choose one of the list.")),
        "COMMAND_ARGUMENTS": Answer(400, N_("The command lacks a number."), N_("Write it as name=number.")),
    }


@dataclass(frozen=True)
class Order:
    """A command and its answer. outcome: done, refused, expired, failed; None: not answered (yet)."""

    nonce: bytes
    gate: int
    operation: str
    arguments: Mapping[str, Any]
    asked_at: datetime
    expires_at: datetime
    outcome: str | None
    answered_at: datetime | None
    took_ms: int | None
    told: Mapping[str, Any]


def give(
    tx: Transaction, district_id: UUID, gate: int, operation: str, arguments: Mapping[str, int], now: datetime, *,
    by: UUID | None = None,
) -> bytes:  # fmt: skip
    """Ask a gate to do something within fifteen seconds; return the command's nonce. Raises OrderRefused."""
    if operation not in OPERATIONS:
        raise OrderRefused("COMMAND_UNKNOWN")
    if len(arguments) > ARGUMENTS_MAX or not all(0 <= value < 2**53 for value in arguments.values()):
        raise OrderRefused("COMMAND_ARGUMENTS")
    known = one_or_none(
        tx, int,
        """SELECT gate FROM gate WHERE district_id = %s AND gate = %s AND approved_at IS NOT NULL
             AND revoked_at IS NULL""",
        (district_id, gate),
    )  # fmt: skip
    if known is None:
        raise OrderRefused("GATE_UNKNOWN")
    nonce = secrets.token_bytes(NONCE_BYTES)
    tx.execute(
        """INSERT INTO gate_command (district_id, nonce, gate, operation, arguments, by_person, asked_at, expires_at)
           VALUES (%(district_id)s, %(nonce)s, %(gate)s, %(operation)s, %(arguments)s, %(by)s, %(now)s, %(ends)s)""",
        {"district_id": district_id, "nonce": nonce, "gate": gate, "operation": operation,
         "arguments": Jsonb(dict(arguments)), "by": by, "now": now,
         "ends": now + timedelta(seconds=COMMAND_SECONDS_MAX)},
    )  # fmt: skip
    happened(tx, "CommandGiven", district_id, nonce=nonce.hex())
    audit.record(tx, district_id, action="gate.command", by=by, thing="gate", thing_id=UUID(int=gate),
                 detail={"gate": gate, "operation": operation, "nonce": nonce.hex()}, now=now)  # fmt: skip
    return nonce


def order_of(tx: Transaction, district_id: UUID, nonce: bytes) -> Order | None:
    """Return one command with its answer."""
    return one_or_none(
        tx, Order,
        """SELECT nonce, gate, operation, arguments, asked_at, expires_at, outcome, answered_at, took_ms, told
           FROM gate_command WHERE district_id = %(district_id)s AND nonce = %(nonce)s""",
        {"district_id": district_id, "nonce": nonce},
    )  # fmt: skip


def last_orders(tx: Transaction, district_id: UUID, most: int = 3) -> dict[int, list[Order]]:
    """Return the last commands of every gate, newest first."""
    rows = many(
        tx, Order,
        """SELECT nonce, gate, operation, arguments, asked_at, expires_at, outcome, answered_at, took_ms, told FROM (
               SELECT c.*, row_number() OVER (PARTITION BY gate ORDER BY asked_at DESC) AS place FROM gate_command c
               WHERE district_id = %(district_id)s) newest
           WHERE place <= %(most)s ORDER BY gate, asked_at DESC""",
        {"district_id": district_id, "most": most},
    )  # fmt: skip
    found: dict[int, list[Order]] = {}
    for row in rows:
        found.setdefault(row.gate, []).append(row)
    return found


def answered(tx: Transaction, district_id: UUID, gate: int, answer: CommandAnswer, now: datetime) -> bool:
    """Keep a gate's answer to a command of its own, once. Return whether it was one."""
    taken = tx.execute(
        """UPDATE gate_command SET outcome = %(state)s, answered_at = %(now)s, took_ms = %(took_ms)s, told = %(told)s
           WHERE district_id = %(district_id)s AND nonce = %(nonce)s AND gate = %(gate)s AND outcome IS NULL""",
        {"district_id": district_id, "nonce": answer.nonce, "gate": gate, "state": answer.state, "now": now,
         "took_ms": answer.took_ms, "told": Jsonb(dict(answer.told))},
    )  # fmt: skip
    if taken.rowcount == 1:
        announce(tx, district_id, "gate", [gate])
    return taken.rowcount == 1
