"""Live parts of pages: server-sent events that carry HTML fragments, which js/live.js swaps by id (UX, "One stack").

Responsible for: one stream of one open page. It draws when a notice concerns the page, at least every 30 seconds
(a notice may be missed), and sends what changed. A drawing that is refused (signed out meanwhile) ends the stream.
Not responsible for: notices (kit/live.py), what a page shows, nor who may see it.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from uuid import UUID

from fastapi import Request
from fastapi.responses import StreamingResponse

from cloud.kit.db import DatabaseAway
from cloud.kit.errors import Refused
from cloud.kit.live import Live, Notice

REREAD_SECONDS = 30
GATHER_SECONDS = 0.05  # Notices of one moment are drawn together: eight arrivals in a second are not eight pages.
STREAM_SECONDS_MAX = 15 * 60  # The browser comes back at once, with its cookie.
RETRY_MS = 1000

Draw = Callable[[], Mapping[str, str]]


def stream(
    request: Request, login_id: UUID, concerned: Callable[[Notice], bool], draw: Draw
) -> StreamingResponse:
    """Answer with a stream. draw: fragments by the id of their root element; it runs in a thread of its own.

    draw asks first whether the reader is still signed in (identity/doors.py): a stream outlives a sign-out.
    """
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    events = _events(request.app.state.live, login_id, concerned, draw)
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


def about(district_id: UUID, kind: str) -> Callable[[Notice], bool]:
    """Return the test of a page that shows everything of one kind in a district."""
    return lambda notice: notice.district_id in (None, district_id) and notice.kind in (kind, "all")


async def _events(
    live: Live, login_id: UUID, concerned: Callable[[Notice], bool], draw: Draw
) -> AsyncIterator[str]:
    sent: Mapping[str, str] = {}
    ends = asyncio.get_running_loop().time() + STREAM_SECONDS_MAX
    yield f"retry: {RETRY_MS}\n\n"
    with suppress(DatabaseAway, OverflowError, Refused):  # The stream ends, and the browser asks again in a second.
        async with live.subscribe(login_id) as queue:
            while asyncio.get_running_loop().time() < ends:
                drawn = await asyncio.to_thread(draw)
                for place, html in drawn.items():
                    if sent.get(place) != html:
                        yield event(html)
                for place in sent.keys() - drawn.keys():
                    yield event(_emptied(sent[place]))
                sent = drawn
                yield ": here\n\n"
                await _something(queue, concerned)


def _emptied(html: str) -> str:
    """Return what takes the place of a part that is no longer the reader's to see: nothing, under the same id."""
    root = re.search(r'id="([\w-]+)"', html)
    return f'<div id="{root[1]}" hidden></div>' if root else ""


def event(html: str) -> str:
    """Return one server-sent event with a fragment."""
    return "event: fragment\n" + "".join(f"data: {line}\n" for line in html.strip().splitlines()) + "\n"


async def _something(queue: asyncio.Queue[Notice], concerned: Callable[[Notice], bool]) -> None:
    """Return when a notice concerns the page, or after REREAD_SECONDS."""
    try:
        async with asyncio.timeout(REREAD_SECONDS):
            while not concerned(await queue.get()):
                pass
    except TimeoutError:
        return
    await asyncio.sleep(GATHER_SECONDS)
    while not queue.empty():
        queue.get_nowait()
