"""Live pages hear of a fact when it is committed, never of one rolled back, and reread after a lost connection."""

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest

from cloud.kit.db import Database
from cloud.kit.live import REREAD, Live, Notice, announce, concerns, read_notice
from tests.conftest import Clone

DISTRICT, CHILD, LOGIN = UUID(int=1), UUID(int=7), UUID(int=9)


def with_live(clone: Clone, act: Any) -> Any:
    """Run a hub and `act(live, queue)` on one loop."""

    async def play() -> Any:
        live = Live(clone.url)
        listening = asyncio.create_task(live.run())
        try:
            async with live.subscribe(LOGIN) as queue:
                assert await heard(queue) == REREAD, "the first LISTEN rereads all"
                return await act(live, queue)
        finally:
            listening.cancel()

    return asyncio.run(play())


async def heard(queue: "asyncio.Queue[Notice]", seconds: float = 5) -> Notice:
    return await asyncio.wait_for(queue.get(), seconds)


def tell(database: Database, *, fail: bool = False) -> None:
    with database.untenanted() as tx:
        announce(tx, DISTRICT, "day", [CHILD])
        if fail:
            raise ZeroDivisionError


def test_a_page_hears_of_a_fact_when_it_is_committed(database: Database, clone: Clone) -> None:
    async def act(_live: Live, queue: "asyncio.Queue[Notice]") -> Notice:
        await asyncio.to_thread(tell, database)
        return await heard(queue)

    assert with_live(clone, act) == Notice(DISTRICT, "day", (str(CHILD),))


def test_nobody_hears_of_what_was_rolled_back(database: Database, clone: Clone) -> None:
    async def act(_live: Live, queue: "asyncio.Queue[Notice]") -> int:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(tell, database, fail=True)
        await asyncio.sleep(0.3)
        return queue.qsize()

    assert with_live(clone, act) == 0


def test_after_a_lost_connection_every_page_rereads(database: Database, clone: Clone) -> None:
    async def act(_live: Live, queue: "asyncio.Queue[Notice]") -> Notice:
        await asyncio.to_thread(cut, clone)
        return await heard(queue)

    assert with_live(clone, act) == REREAD


def cut(clone: Clone) -> None:
    with psycopg.connect(clone.owner_url, autocommit=True) as owner:
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")


def test_a_page_that_does_not_keep_up_is_told_to_reread(database: Database, clone: Clone) -> None:
    async def act(_live: Live, queue: "asyncio.Queue[Notice]") -> list[Notice]:
        for _ in range(80):
            await asyncio.to_thread(tell, database)
        await asyncio.sleep(0.5)
        return [queue.get_nowait() for _ in range(queue.qsize())]

    told = with_live(clone, act)
    assert len(told) <= 64 and REREAD in told


@pytest.mark.parametrize("payload", ["", "[]", "{}", '{"d":"x","k":"day","ids":[]}', '{"d":1}'])
def test_an_unreadable_notice_means_reread(payload: str) -> None:
    assert read_notice(payload) == REREAD


def test_a_page_rereads_only_for_its_own() -> None:
    notice = Notice(DISTRICT, "day", (str(CHILD),))
    assert concerns(notice, DISTRICT, "day", {str(CHILD)})
    assert not concerns(notice, DISTRICT, "gate", {str(CHILD)})
    assert not concerns(notice, UUID(int=2), "day", {str(CHILD)})
    assert not concerns(notice, DISTRICT, "day", {"other"})
    assert concerns(Notice(DISTRICT, "day"), DISTRICT, "day", set()) and concerns(REREAD, DISTRICT, "day", set())
