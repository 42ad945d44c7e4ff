"""Is everything there that the cloud needs? One answer for `/health` and for `portillon-cloud doctor`.

Responsible for: database, its role, migrations, jobs, revocations, broker, keys; each fault with its repair (UX.md).
Not responsible for: the gates' health (fleet). Shows no secret and no address, for the page is public.
"""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from cloud.config import Settings
from cloud.fleet.authority import GATES, trusted
from cloud.fleet.certificates import lists_end
from cloud.kit import clock, migrate
from cloud.kit.db import Database, DatabaseAway, TenantRefused, one

KEPT = timedelta(seconds=1)
BROKER_SECONDS = 1.0  # A broker on the same network answers in milliseconds.
JOB_SECONDS_MAX = 60  # A worker takes a job within a second; a minute survives its restart.
BROKER_PORTS = {"mqtt": 1883, "mqtts": 8883}
LISTS_LEFT = timedelta(days=60)  # The broker refuses every gate once a list has ended: time to fetch a stick.
KEY_MODE_REFUSED = 0o077  # Nobody but the owner reads a private key.


@dataclass(frozen=True)
class Check:
    """One thing looked at. repair: what to type when it is not well, else ''."""

    name: str
    ok: bool
    found: str
    repair: str = ""


class Examined:
    """What was found, kept for a second: /health is public, and each look costs the database and the broker."""

    def __init__(self, settings: Settings, database: Database, now: Callable[[], datetime] = clock.now) -> None:
        self._settings, self._database, self._now = settings, database, now
        self._looking = threading.Lock()
        self._ended_at: datetime | None = None
        self._checks: list[Check] = []

    def checks(self, asked_at: datetime) -> list[Check]:
        """Return every check, at most a second old when it was asked for; of many who ask at once one looks.

        A look serves all who asked before its end, however long it took: else each who waited would look again.
        """
        with self._looking:
            if not self._is_fresh(asked_at):
                self._checks, self._ended_at = examine(self._settings, self._database), self._now()
            return self._checks

    def _is_fresh(self, asked_at: datetime) -> bool:
        """A clock that was put back since the last look keeps nothing."""
        return self._ended_at is not None and self._ended_at <= self._now() and asked_at < self._ended_at + KEPT


def examine(settings: Settings, database: Database) -> list[Check]:
    """Return every check, in the order in which things depend on each other. Raises nothing."""
    return [*_database(settings, database), _broker(settings), _keys(settings)]


def _database(settings: Settings, database: Database) -> list[Check]:
    try:
        database.refuse_strong_role()
        with database.untenanted() as tx:
            waiting = migrate.state(tx)
    except DatabaseAway:
        return [Check("database", False, "cannot be reached", "start PostgreSQL; check PORTILLON_DATABASE_URL")]
    except TenantRefused as error:
        return [Check("database", False, str(error), "use the role portillon_app in PORTILLON_DATABASE_URL")]
    answers = Check("database", True, "answers")
    if waiting:
        found = f"{len(waiting)} not applied, next {waiting[0]}"
        return [answers, Check("migrations", False, found, "portillon-cloud migrate")]
    return [answers, Check("migrations", True, "up to date"), _jobs(database), *_revocations(settings, database)]


def _jobs(database: Database) -> Check:
    """What follows from facts: a job that is long overdue means that no worker runs; one given up wants a human."""
    try:
        with database.untenanted() as tx:
            overdue = one(
                tx, int, "SELECT count(*) FROM job WHERE failed_at IS NULL AND run_at < %s",
                (clock.now() - timedelta(seconds=JOB_SECONDS_MAX),),
            )
            given_up = one(tx, int, "SELECT count(*) FROM job WHERE failed_at IS NOT NULL")
    except DatabaseAway:
        return Check("jobs", False, "the database went away", "start PostgreSQL; check PORTILLON_DATABASE_URL")
    if overdue:
        return Check("jobs", False, f"{overdue} wait for over {JOB_SECONDS_MAX} s", "portillon-cloud work")
    if given_up:
        repair = "read the worker's log, then UPDATE job SET failed_at = NULL, tries = 0, run_at = now()"
        return Check("jobs", False, f"{given_up} were tried too often", repair)
    return Check("jobs", True, "none waits")


def _broker(settings: Settings) -> Check:
    address = urlsplit(settings.broker_url)
    try:
        port = address.port or BROKER_PORTS.get(address.scheme, 1883)
        with socket.create_connection((address.hostname or "", port), timeout=BROKER_SECONDS):
            return Check("broker", True, "answers")
    except (OSError, ValueError):
        return Check("broker", False, "cannot be reached", "start Mosquitto; check PORTILLON_BROKER_URL")


def _revocations(settings: Settings, database: Database) -> list[Check]:
    """When the lists of revoked certificates end: the worker signs them each month, or somebody with a stick does."""
    try:
        with database.untenanted() as tx:
            ends = lists_end(tx, trusted(settings.ca_dir, GATES)) if settings.ca_dir else None
    except DatabaseAway:
        return [Check("revocations", False, "the database went away", "start PostgreSQL; check PORTILLON_DATABASE_URL")]
    if ends is None:
        return []
    found = f"the lists end on {ends:%Y-%m-%d}"
    if ends - clock.now() > LISTS_LEFT:
        return [Check("revocations", True, found)]
    repair = "portillon-cloud gate sign --ca-dir DIR, where the key of the gates' authority is"
    return [Check("revocations", False, f"{found}; then the broker refuses every gate", repair)]


def _keys(settings: Settings) -> Check:
    making = "portillon-cloud keys init --root-dir DIR --keys-dir DIR; set PORTILLON_KEYS_DIR"
    if settings.keys_dir is None:
        return Check("keys", False, "PORTILLON_KEYS_DIR is not set", making)
    if not (settings.keys_dir / "trust.kk1").exists():
        return Check("keys", False, "there is no trust list", making)
    loose = [key.name for key in settings.keys_dir.glob("*.key") if key.stat().st_mode & KEY_MODE_REFUSED]
    if loose:
        return Check("keys", False, f"others may read {', '.join(sorted(loose))}", "chmod 600 *.key in the keys folder")
    return Check("keys", True, "present")
