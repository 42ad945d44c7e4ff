"""Live pages: PostgreSQL's NOTIFY turned into a wake-up for every open page of this process.

Responsible for: `announce` inside the fact's transaction (so nobody hears of what was rolled back), and `Live`, one
LISTEN connection for a process, on the asyncio loop. A notice carries ids only; pages reread what they show.
NOTIFY may be missed around a restart: after each LISTEN reconnect every subscriber is told to reread all.
Not responsible for: what a page shows, nor who may see it.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from cloud.kit.db import Transaction

CHANNEL = "portillon_live"
IDS_MAX = 100  # more in one notice: an empty list, which means reread all (NOTIFY carries 8,000 bytes)
WAITING_MAX = 64  # notices waiting for one page; a page that is slower is told to reread all
RECONNECT_SECONDS = 0.5
SUBSCRIBERS_MAX = 2_000  # open pages of one process
SUBSCRIBERS_OF_ONE_MAX = 20  # of one login: a few phones and tabs, or an office that shares one; not the whole house


@dataclass(frozen=True)
class Notice:
    """Something changed. kind: day, gate or all; ids: children (text) or gate numbers; empty: reread all."""

    district_id: UUID | None
    kind: str
    ids: tuple[str | int, ...] = ()


REREAD = Notice(None, "all")


def announce(tx: Transaction, district_id: UUID, kind: str, ids: Sequence[UUID | int]) -> None:
    """Tell all live pages at COMMIT, and not before."""
    listed = [one if isinstance(one, int) else str(one) for one in ids]
    body = {"d": str(district_id), "k": kind, "ids": listed if len(listed) <= IDS_MAX else []}
    tx.execute("SELECT pg_notify(%s, %s)", (CHANNEL, json.dumps(body, separators=(",", ":"))))


def read_notice(payload: str) -> Notice:
    """Return what was announced; anything unreadable means reread all."""
    try:
        told = json.loads(payload)
        return Notice(UUID(told["d"]), str(told["k"]), tuple(told["ids"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return REREAD


class Live:
    """The hub of one process. `run()` is a task of the application's lifespan; pages use `subscribe()`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: set[asyncio.Queue[Notice]] = set()
        self._of: Counter[UUID] = Counter()

    async def run(self) -> None:
        """Listen for ever; a lost connection is made again and everybody rereads."""
        while True:
            with contextlib.suppress(psycopg.Error, OSError):  # the reason is on /health; here we only try again
                await self._listen()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=5)
        async with connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            self._tell(REREAD)
            async for notify in connection.notifies():
                self._tell(read_notice(notify.payload))

    def _tell(self, notice: Notice) -> None:
        for queue in self._waiting:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(REREAD)
            else:
                queue.put_nowait(notice)

    @contextlib.asynccontextmanager
    async def subscribe(self, login_id: UUID) -> AsyncIterator[asyncio.Queue[Notice]]:
        """Give a queue of notices for as long as a page of this login is open. Raises OverflowError when full."""
        if len(self._waiting) >= SUBSCRIBERS_MAX or self._of[login_id] >= SUBSCRIBERS_OF_ONE_MAX:
            raise OverflowError("too many open pages")
        queue: asyncio.Queue[Notice] = asyncio.Queue(WAITING_MAX)
        self._waiting.add(queue)
        self._of[login_id] += 1
        try:
            yield queue
        finally:
            self._waiting.discard(queue)
            self._of -= Counter({login_id: 1})  # forgets who has none left


def concerns(notice: Notice, district_id: UUID, kind: str, ids: set[Any]) -> bool:
    """Return whether a page of these ids must reread. An empty notice concerns everybody."""
    if notice.district_id is None:
        return True
    if notice.district_id != district_id or notice.kind != kind:
        return False
    return not notice.ids or not ids.isdisjoint(notice.ids)
