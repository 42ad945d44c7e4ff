"""Jobs: a fact is entered in its own transaction, and later every consequence of it is run, at least once.

Responsible for: `happened` (the only way a slice makes something follow), taking the next job and running it inside the
transaction that deletes it, tries and waits, what is due by the clock. Not responsible for: what follows from what (one
table, cloud/reactions.py) nor the process that runs it (cloud/worker.py). Consequences must be idempotent.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from cloud.kit import clock
from cloud.kit.db import Database, DatabaseAway, RuleBroken, Transaction, one_or_none

CHANNEL = "portillon_jobs"
TRIES_MAX = 12  # with doubled waits: about two hours, then somebody must look (doctor, /health)
WAIT_SECONDS_MAX = 1_800
FAULT_CHARACTERS_MAX = 300

log = logging.getLogger("portillon.jobs")


@dataclass(frozen=True)
class Job:
    """A fact whose consequences are due. what: ids and numbers only."""

    id: int
    fact: str
    district_id: UUID | None
    what: Mapping[str, Any]
    tries: int


Run = Callable[[Transaction, Job, datetime], None]  # in the tenant's transaction, if the job has a district


def happened(tx: Transaction, fact: str, district_id: UUID | None, **what: Any) -> None:
    """Enter a fact in the transaction that makes it true. fact: past tense, as in reactions.py (`PhoneRevoked`)."""
    tx.execute(
        "INSERT INTO job (fact, district_id, what, run_at) VALUES (%s, %s, %s::jsonb, %s)",
        (fact, district_id, json.dumps(what), clock.now()),
    )
    tx.execute("SELECT pg_notify(%s, '')", (CHANNEL,))


def run_next(database: Database, run: Run) -> bool:
    """Run the next job that is due, with its deletion in one transaction; return whether there was one."""
    with database.untenanted() as tx:
        now = clock.now()
        job = one_or_none(
            tx, Job,
            """SELECT id, fact, district_id, what, tries FROM job WHERE failed_at IS NULL AND run_at <= %s
               ORDER BY run_at, id LIMIT 1 FOR UPDATE SKIP LOCKED""",
            (now,),
        )  # fmt: skip
        if job is None:
            return False
        try:
            with tx.transaction():
                if job.district_id:
                    tx.execute("SELECT set_config('app.district', %s, true), set_config('app.person', '', true)",
                               (str(job.district_id),))  # fmt: skip
                run(tx, job, now)
                tx.execute("DELETE FROM job WHERE id = %s", (job.id,))
        except (psycopg.OperationalError, psycopg.InterfaceError, DatabaseAway):
            raise
        except Exception as fault:  # any fault of a consequence: kept with the job, tried again, never swallowed
            _put_off(tx, job, fault, now)
        return True


def due(database: Database, fact: str, every: timedelta) -> bool:
    """Return whether something is due by the clock, and take it: of several workers one gets it."""
    with database.untenanted() as tx:
        now = clock.now()
        tx.execute("INSERT INTO schedule (fact, ran_at) VALUES (%s, 'epoch') ON CONFLICT DO NOTHING", (fact,))
        taken = tx.execute("UPDATE schedule SET ran_at = %s WHERE fact = %s AND ran_at <= %s", (now, fact, now - every))
        return taken.rowcount == 1


def _put_off(tx: Transaction, job: Job, fault: Exception, now: datetime) -> None:
    tries = job.tries + 1
    kind = f"{type(fault).__name__} {fault.constraint if isinstance(fault, RuleBroken) else ''}".strip()
    log.error("job %s (%s) failed, try %d: %s", job.id, job.fact, tries, kind, exc_info=fault if tries == 1 else None)
    wait = timedelta(seconds=min(2**tries, WAIT_SECONDS_MAX))
    tx.execute(
        """UPDATE job SET tries = %(tries)s, run_at = %(run_at)s, last_fault = %(fault)s,
                  failed_at = CASE WHEN %(tries)s >= %(most)s THEN %(now)s::timestamptz END WHERE id = %(id)s""",
        {"tries": tries, "run_at": now + wait, "fault": kind[:FAULT_CHARACTERS_MAX], "most": TRIES_MAX, "now": now,
         "id": job.id},
    )  # fmt: skip
