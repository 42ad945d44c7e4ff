"""The worker: runs what follows from facts, what is due by the clock, and the publisher of documents.

Responsible for: one loop that takes jobs as they come (NOTIFY, and a look every second in case one was missed) and
survives a database that goes away. Not responsible for: what follows from what (reactions.py).
A worker killed at any point has done nothing by halves: a job and its deletion are one transaction (kit/jobs.py).
"""

import contextlib
import logging
import signal
import threading
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psycopg

from cloud.config import Settings
from cloud.downlink import Downlink
from cloud.kit import clock
from cloud.kit.broker import line_of
from cloud.kit.db import Database, DatabaseAway, Transaction
from cloud.kit.jobs import CHANNEL, Job, due, happened, run_next
from cloud.passes.keys import KeyRing, KeysRefused, load_ring
from cloud.reactions import CLOCK, World, react
from cloud.schools import service as schools

LOOK_SECONDS = 1.0
RETRY_SECONDS = 1.0
REFUSED = 4  # exit code: a signature or a right is missing
GLOBAL_FACTS = frozenset({"RetentionDue", "RevocationsDue"})  # due once for everybody, not once a district

log = logging.getLogger("portillon.worker")


@dataclass
class Worker:
    """One worker process."""

    database: Database
    keys_dir: Path
    stop: threading.Event = field(default_factory=threading.Event)
    ca_dir: Path | None = None

    def run(self) -> None:
        """Work until told to stop; a lost database is waited for."""
        while not self.stop.is_set():
            try:
                self._listen_and_work()
            except (DatabaseAway, psycopg.Error) as away:
                log.error("the database is away: %s", str(away).splitlines()[:1])
                self.stop.wait(RETRY_SECONDS)

    def _listen_and_work(self) -> None:
        with psycopg.connect(self.database.url, autocommit=True, connect_timeout=5) as listening:
            listening.execute(f"LISTEN {CHANNEL}")
            log.info("worker is ready")
            while not self.stop.is_set():
                self.settle()
                for _ in listening.notifies(timeout=LOOK_SECONDS, stop_after=1):
                    pass

    def settle(self) -> None:
        """Enter what is due by the clock, then run jobs until none is due."""
        for fact, every in CLOCK.items():
            if due(self.database, fact, every):
                self._enter(fact)
        while not self.stop.is_set() and run_next(self.database, self._run):
            pass

    def _enter(self, fact: str) -> None:
        with self.database.untenanted() as tx:
            targets = [None] if fact in GLOBAL_FACTS else [district_id for district_id, _ in schools.all_districts(tx)]
            for district_id in targets:
                happened(tx, fact, district_id)

    def _run(self, tx: Transaction, job: Job, now: datetime) -> None:
        react(tx, World(self._ring(now), self.ca_dir), job, now)

    def _ring(self, now: datetime) -> KeyRing:
        """Read anew for each job: a rotated key is used as soon as it is in force, and jobs are few."""
        return load_ring(self.keys_dir, now.timestamp())


def main(settings: Settings) -> None:
    """Run worker and publisher until SIGTERM or SIGINT. Ends with 4 when the keys are not usable."""
    settings.require("keys_dir")
    assert settings.keys_dir
    try:
        load_ring(settings.keys_dir, clock.now().timestamp())
    except KeysRefused as refused:
        log.error("%s: %s\n  try: %s", refused.code, refused.what, refused.what_to_do)
        raise SystemExit(REFUSED) from refused
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Database(settings.database_url, 3) as database:
        downlink = Downlink(database, line_of(settings), settings.keys_dir, stop=stop)
        publishing = threading.Thread(target=downlink.run, name="downlink")
        publishing.start()
        with contextlib.suppress(KeyboardInterrupt):
            Worker(database, settings.keys_dir, stop, settings.ca_dir).run()
        stop.set()
        publishing.join(timeout=5)
