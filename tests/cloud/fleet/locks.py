"""Two at once, in a known order: the one that comes second is seen to wait."""

import time

from cloud.kit.db import Database, one

WAITED_SECONDS_MAX = 5.0


def until_one_waits(database: Database) -> None:
    """Return once a transaction of this database waits for a lock of another one."""
    until = time.monotonic() + WAITED_SECONDS_MAX
    while time.monotonic() < until:
        with database.untenanted() as tx:
            if one(tx, bool, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
                             " AND wait_event_type = 'Lock')"):  # fmt: skip
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")
