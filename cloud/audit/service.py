"""The audit log: record a line, tell a child's lines to those who may know, walk the chain.

Responsible for: one line for every read of a file by staff and every change of rights, orders, roles and cards, in the
transaction of the act itself; numbers without a gap, under a lock of the district. The database keeps lines from being
changed; `verify` finds what a superuser did all the same. Not responsible for: who may read (identity/may.py), nor the
words that a page finds for an action. Rules: FEATURES S4, INTEGRITY I17 (the end of a chain is kept elsewhere too).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from cloud.audit import queries
from cloud.audit.model import FIRST_HEAD, AuditLine, District, End, KeptLine, Line, Verified
from cloud.kit.db import Transaction

KEPT = timedelta(days=3 * 365)  # how long a line stays: the rule is told in cloud/retention.py
BATCH_LINES = 1_000  # read at once when a chain is walked


def record(
    tx: Transaction, district_id: UUID, *, action: str, by: UUID | None, thing: str, thing_id: UUID,
    child_id: UUID | None = None, detail: Mapping[str, str | int] | None = None, role: str | None = None,
    now: datetime,
) -> None:  # fmt: skip
    """Write a line in this transaction: it stands if the act does. Call it last: the district's writers wait for you.

    action: what was done, "read_file", "card.issue". thing: a table's or subject's name; "court_order" and actions with
    "order" in them are never told to guardians. by None: the system. role None: derived from the person's roles now.
    detail: codes, numbers and ids. Not in a guardian's transaction, which writes nothing.
    """
    queries.lock(tx, district_id)
    before = queries.end(tx, district_id) or queries.start(tx, district_id) or End(0, FIRST_HEAD)
    role = role or queries.role_of(tx, by, child_id, now)
    line = Line(district_id, before.n + 1, now, by, role, action, thing, thing_id, child_id, detail or {})
    queries.insert(tx, line, line.head_after(before.head))


def readings_of_child(tx: Transaction, district_id: UUID, child_id: UUID, limit: int = 100) -> list[AuditLine]:
    """Return who read or changed this child's file, newest first. For a guardian row security leaves own children."""
    return queries.lines_of_child(tx, district_id, child_id, limit)


def verify(tx: Transaction, district_id: UUID, known: End | None = None) -> Verified:
    """Walk the whole chain of a district. known: an end that was kept elsewhere and must still be in it."""
    begun = queries.start(tx, district_id) or End(0, FIRST_HEAD)
    end, walked = begun, 0
    while lines := queries.lines_after(tx, district_id, end.n, BATCH_LINES):
        for line in lines:
            why = _fault(line, end, known)
            if why:
                return Verified(walked, end, end.n + 1, why)
            end, walked = End(line.n, line.head), walked + 1
    if known and known.n > end.n:
        return Verified(walked, end, end.n + 1, "CUT")
    return Verified(walked, end)


def districts(tx: Transaction) -> list[District]:
    """Return all districts, for a walk along every chain. tx: untenanted."""
    return queries.districts(tx)


def purge(tx: Transaction, now: datetime) -> int:
    """Delete the lines that are older than they may be kept, of every district; return how many went."""
    return queries.purge(tx, now - KEPT)


def _fault(line: KeptLine, end: End, known: End | None) -> str:
    if line.n != end.n + 1:
        return "HOLE"
    head = line.head_after(end.head)
    if head != line.head or (known and known.n == line.n and known.head != head):
        return "HEAD"
    return ""
