"""The SQL of the audit log. Private to cloud/audit/service.py; all of it runs in a tenant."""

from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from cloud.audit.model import AuditLine, District, End, KeptLine, Line
from cloud.kit.db import Transaction, many, one, one_or_none


def lock(tx: Transaction, district_id: UUID) -> None:
    """One writer at a time for a district, until the end of the transaction."""
    tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('audit ' || %s::text, 0))", (district_id,))


def start(tx: Transaction, district_id: UUID) -> End | None:
    return one_or_none(tx, End, "SELECT n, head FROM audit_start WHERE district_id = %s", (district_id,))


def end(tx: Transaction, district_id: UUID) -> End | None:
    return one_or_none(
        tx, End, "SELECT n, head FROM audit_log WHERE district_id = %s ORDER BY n DESC LIMIT 1", (district_id,)
    )


def role_of(tx: Transaction, person_id: UUID | None, child_id: UUID | None, now: datetime) -> str:
    return one(tx, str, "SELECT audit_role(%s, %s, %s)", (person_id, child_id, now))


def insert(tx: Transaction, line: Line, head: bytes) -> None:
    tx.execute(
        """INSERT INTO audit_log (district_id, n, at, by_person, role, action, thing, thing_id, child_id, detail, head)
           VALUES (%(district_id)s, %(n)s, %(at)s, %(by_person)s, %(role)s, %(action)s, %(thing)s, %(thing_id)s,
                   %(child_id)s, %(detail)s, %(head)s)""",
        {**vars(line), "detail": Jsonb(dict(line.detail)), "head": head},
    )


def lines_after(tx: Transaction, district_id: UUID, n: int, limit: int) -> list[KeptLine]:
    return many(
        tx, KeptLine,
        """SELECT district_id, n, at, by_person, role, action, thing, thing_id, child_id, detail, head FROM audit_log
           WHERE district_id = %(district_id)s AND n > %(n)s ORDER BY n LIMIT %(limit)s""",
        {"district_id": district_id, "n": n, "limit": limit},
    )  # fmt: skip


def lines_of_child(tx: Transaction, district_id: UUID, child_id: UUID, limit: int) -> list[AuditLine]:
    return many(
        tx, AuditLine,
        """SELECT l.n, l.at, l.by_person, coalesce(trim(p.given || ' ' || p.family), '') AS name, l.role, l.action,
                  l.thing, l.thing_id, l.detail
           FROM audit_log l LEFT JOIN audit_names(%(child_id)s) p ON p.person_id = l.by_person
           WHERE l.district_id = %(district_id)s AND l.child_id = %(child_id)s ORDER BY l.n DESC LIMIT %(limit)s""",
        {"district_id": district_id, "child_id": child_id, "limit": limit},
    )  # fmt: skip


def purge(tx: Transaction, before: datetime) -> int:
    return one(tx, int, "SELECT purge_audit(%s)", (before,))


def districts(tx: Transaction) -> list[District]:
    return many(tx, District, "SELECT id, slug FROM districts()")
