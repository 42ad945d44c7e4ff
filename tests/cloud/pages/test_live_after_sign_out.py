"""A live page outlives nobody's sign-out, and is woken by what concerns its reader only."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import Request

from cloud.app import create_app
from cloud.attendance.pages import day_stream, family_stream
from cloud.config import Settings
from cloud.fleet.pages import gates_stream
from cloud.identity import service as identity
from cloud.identity.doors import COOKIES, still_at
from cloud.identity.model import Door, Role
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.kit.live import REREAD, Live, Notice
from tests.cast import FIRST_DAY, Cast, a_district

SECONDS = 10
PAGES: list[tuple[str, Door, Callable[..., Any]]] = [
    ("mother", Door.FAMILY, family_stream), ("head", Door.SCHOOL, day_stream), ("operator", Door.FLEET, gates_stream),
]  # fmt: skip


def asked_by(settings: Settings, database: Database, cast: Cast, person: str, door: Door) -> tuple[Request, str]:
    """A request of a signed-in browser, and the token in its cookie."""
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, getattr(cast, person), clock.now())
        token = identity.new_session(tx, login, door, clock.now())
    app = create_app(settings)
    app.state.database = database
    cookie = f"{COOKIES[door]}={token}".encode()
    return Request({"type": "http", "app": app, "method": "GET", "path": "/", "headers": [(b"cookie", cookie)]}), token


async def drawn(parts: Any) -> list[str]:
    """Return what is sent until the page is drawn; nothing when the stream has ended."""
    sent: list[str] = []
    async with asyncio.timeout(SECONDS):
        async for part in parts:
            sent.append(part)
            if part.startswith(":"):
                break
    return sent


@pytest.mark.parametrize(("person", "door", "page"), PAGES, ids=[str(door) for _, door, _ in PAGES])
def test_a_stream_ends_when_its_reader_has_signed_out(
    settings: Settings, database: Database, person: str, door: Door, page: Callable[..., Any]
) -> None:
    request, token = asked_by(settings, database, a_district(database), person, door)

    async def read() -> list[str]:
        parts = (await page(request, still_at(request, door))).body_iterator
        assert await drawn(parts), "it is drawn while the session lasts"
        with database.untenanted() as tx:
            identity.sign_out(tx, token, clock.now())
        request.app.state.live._tell(REREAD)
        return await drawn(parts)

    assert asyncio.run(read()) == []


def test_a_day_sheet_ends_with_the_role_that_opened_it(settings: Settings, database: Database) -> None:
    cast = a_district(database)
    request, _ = asked_by(settings, database, cast, "head", Door.SCHOOL)

    async def read() -> list[str]:
        parts = (await day_stream(request, still_at(request, Door.SCHOOL))).body_iterator
        assert await drawn(parts)
        with database.tenant(cast.district) as tx:
            identity.grant_role(tx, cast.district, cast.teacher, Role.HEAD, FIRST_DAY, school_id=cast.school)
            assert identity.end_role(tx, cast.district, cast.head, Role.HEAD, clock.now().date())
        request.app.state.live._tell(REREAD)
        return await drawn(parts)

    assert asyncio.run(read()) == []


def test_a_family_is_woken_by_its_own_children_only(settings: Settings, database: Database) -> None:
    cast = a_district(database)
    request, _ = asked_by(settings, database, cast, "mother", Door.FAMILY)
    live: Live = request.app.state.live

    async def read() -> tuple[bool, bool]:
        parts = (await family_stream(request, still_at(request, Door.FAMILY))).body_iterator
        await drawn(parts)
        waiting = asyncio.create_task(drawn(parts))
        await asyncio.sleep(0.1)  # until it waits
        woken = []
        for child in (cast.minh, cast.timur):
            live._tell(Notice(cast.district, "day", (str(child),)))
            woken.append(bool((await asyncio.wait({waiting}, timeout=0.5))[0]))
        return woken[0], woken[1]

    assert asyncio.run(read()) == (False, True)
