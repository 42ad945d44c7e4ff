"""The stream of a live page: what changed, when a notice concerns it, and nothing else."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import pytest

from cloud.kit.db import DatabaseAway
from cloud.kit.fragments import _events, about, event
from cloud.kit.live import REREAD, SUBSCRIBERS_OF_ONE_MAX, Live, Notice

DISTRICT, LOGIN = uuid4(), uuid4()


def streamed(drawings: Iterator[dict[str, str]], *notices: Notice) -> list[str]:
    """Return what a browser is sent, when these notices come one after the other, until the drawings end."""

    async def listen() -> list[str]:
        hub = Live("")
        sent: list[str] = []
        waiting = list(notices)

        def draw() -> dict[str, str]:
            try:
                return next(drawings)
            except StopIteration:
                raise DatabaseAway from None

        async for part in _events(hub, LOGIN, about(DISTRICT, "day"), draw):
            sent.append(part)
            if part.startswith(":") and waiting:
                hub._tell(waiting.pop(0))
        return sent

    return [part for part in asyncio.run(listen()) if part.startswith("event")]


def test_only_what_changed_is_sent_again() -> None:
    drawings = iter([{"a": "<p>1</p>", "b": "<p>x</p>"}, {"a": "<p>2</p>", "b": "<p>x</p>"}])
    notices = [Notice(DISTRICT, "day"), REREAD]
    assert streamed(drawings, *notices) == [event("<p>1</p>"), event("<p>x</p>"), event("<p>2</p>")]


def test_what_is_no_longer_the_readers_to_see_leaves_the_page() -> None:
    card = '<article class="card" id="child-1"><b id="x">Minh</b></article>'
    drawings = iter([{"1": card, "2": "<p id=\"child-2\">B</p>"}, {"2": "<p id=\"child-2\">B</p>"}])
    assert streamed(drawings, Notice(DISTRICT, "day"), REREAD)[2:] == [event('<div id="child-1" hidden></div>')]


def test_a_fragment_of_several_lines_is_one_event() -> None:
    assert event("<p>\na\n</p>\n") == "event: fragment\ndata: <p>\ndata: a\ndata: </p>\n\n"


def test_a_page_is_concerned_by_its_own_kind_and_district_and_by_reread() -> None:
    concerned = about(DISTRICT, "day")
    assert concerned(Notice(DISTRICT, "day", ("1",)))
    assert concerned(REREAD)
    assert not concerned(Notice(DISTRICT, "gate"))
    assert not concerned(Notice(uuid4(), "day"))


def test_a_house_that_is_full_ends_the_stream_quietly() -> None:
    class Full(Live):
        @asynccontextmanager
        async def subscribe(self, login_id):  # type: ignore[no-untyped-def, override]
            raise OverflowError
            yield

    async def listen() -> list[str]:
        return [part async for part in _events(Full(""), LOGIN, about(DISTRICT, "day"), dict)]

    assert asyncio.run(listen()) == ["retry: 1000\n\n"]


def test_one_login_cannot_fill_the_house() -> None:
    async def open_pages() -> bool:
        hub = Live("")
        async with AsyncExitStack() as pages:
            for _ in range(SUBSCRIBERS_OF_ONE_MAX):
                await pages.enter_async_context(hub.subscribe(LOGIN))
            with pytest.raises(OverflowError):
                await pages.enter_async_context(hub.subscribe(LOGIN))
            await pages.enter_async_context(hub.subscribe(uuid4()))
        async with hub.subscribe(LOGIN):  # those that were closed count no more
            return True

    assert asyncio.run(open_pages())
