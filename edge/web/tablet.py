"""The staff's tablet, over HTTPS on the local network: opened for a shift, it works with the internet down.

Responsible for: the page and its words, the cookies of a tablet and of its shift, what a body may hold, who may send
one, and their headers. Not responsible for: what a shift may do, the door (desk.py and behind it); names: they stay
on the tablet (static/tablet/names.js).
Obeys: docs/tablet.md; UX "one stack" (CSP, small modules, no third party); HOSTILE P35.

Who may send: this page alone. SameSite=Strict keeps the cookie at home, `Origin` and `Sec-Fetch-Site` are checked, and
a body must call itself JSON, which no form can.
"""

from __future__ import annotations

import html
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.config import LANGUAGES, GateConfig
from edge.decision import Decision
from edge.desk import TOPIC, Busy, Desk, NoShift, new_secret
from edge.loop import Loop
from edge.shift import ShiftCode
from edge.tablet import ACT_CHILDREN_MAX, Act, HandOver, TakeBack, TakeIn
from edge.web.board import Board, TooManyViewers
from edge.web.pages import HERE, Pages
from protocols.envelope import uint

WORDS: dict[str, dict[str, str]] = {  # the tablet's sentences: one file a language, the same keys in each
    language: json.loads((HERE / "words" / f"{language}.json").read_text(encoding="utf-8")) for language in LANGUAGES
}
PAGE = (HERE / "tablet.html").read_text(encoding="utf-8")
BODY_BYTES_MAX = 2_048  # 64 numbers of ten digits and their names
HEARTBEAT_SECONDS = 5.0  # an `alive` event on a silent stream: the page says so when it misses three
TABLET_COOKIE, SHIFT_COOKIE = "__Host-tablet", "__Host-shift"
ASK_COOKIE_SECONDS = 600
SHIFT_COOKIE_SECONDS = 13 * 3_600  # longer than any shift: when it ends the gate decides
SECRET_CHARACTERS_MAX = 64

Json = dict[str, Any]


class _Wrong(Exception):
    """A body that says nothing that can be done."""


def build_tablet(desk: Desk, board: Board, *, gate: int, site: int, language: str, cloud: str) -> Starlette:
    """Return the tablet's pages. cloud: the origin that may hand names over to the page, "" for none."""

    def page(request: Request) -> Response:
        chosen = request.query_params.get("lang") or _preferred(request) or language
        chosen = chosen if chosen in WORDS else language
        told = PAGE.replace("{lang}", chosen).replace("{title}", html.escape(WORDS[chosen]["title"]))
        return HTMLResponse(told.replace("{gate}", str(gate)).replace("{site}", str(site)).replace("{cloud}", cloud))

    def words(request: Request) -> Response:
        said = WORDS.get(request.path_params["language"])
        return JSONResponse(said) if said else JSONResponse({"code": "NO_SUCH_LANGUAGE"}, 404)

    def answer(request: Request, body: Json) -> Response:
        name, confirm, direction = body.get("id"), body.get("confirm"), body.get("direction")
        if type(name) is not str or type(confirm) is not bool or direction not in (None, 1, 2):
            raise _Wrong
        return _told(desk.answer(_secret(request, SHIFT_COOKIE), name, confirm, direction))

    def act(request: Request, body: Json) -> Response:
        return _told(desk.act(_secret(request, SHIFT_COOKIE), _act_of(request.path_params["act"], body)))

    async def stream(request: Request) -> Response:
        secret = _secret(request, SHIFT_COOKIE)
        if not desk.runs(secret):
            return JSONResponse({"code": "NO_SHIFT"}, 401)
        return _stream(desk, board, secret)

    routes = [
        Route("/", lambda _request: RedirectResponse("/tablet")),
        Route("/tablet", page),
        Route("/tablet/words/{language}.json", words),
        Route("/tablet/stream", stream),
        *_shift_routes(desk),
        Route("/tablet/answer", _posted(answer), methods=["POST"]),
        Route("/tablet/act/{act}", _posted(act), methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_Headers)])


def _shift_routes(desk: Desk) -> list[Route]:
    """Asking for a shift, opening it, whose it is, ending it."""

    def me(request: Request) -> Response:
        shift = desk.shift(_secret(request, SHIFT_COOKIE))
        if shift is None:
            return JSONResponse({"shift": None})
        told = {"staff": shift.staff, "powers": shift.powers, "ends_ms": shift.ends_at * 1000}
        return JSONResponse({"shift": told})

    def ask(request: Request, _body: Json) -> Response:
        tablet = _secret(request, TABLET_COOKIE) or new_secret()
        code = desk.ask(tablet)
        answer = JSONResponse({"code": code}, 200 if code is ShiftCode.ASKED else 429)
        _set_cookie(answer, TABLET_COOKIE, tablet, ASK_COOKIE_SECONDS)
        return answer

    def open_(request: Request, body: Json) -> Response:
        digits = body.get("digits")
        if type(digits) is not str or len(digits) > 16:
            raise _Wrong
        code, secret = desk.open(_secret(request, TABLET_COOKIE), digits)
        answer = JSONResponse({"code": code}, 200 if code is ShiftCode.OPENED else 403)
        if code is ShiftCode.OPENED:
            _set_cookie(answer, SHIFT_COOKIE, secret, SHIFT_COOKIE_SECONDS)
            answer.delete_cookie(TABLET_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
        return answer

    def end(request: Request, _body: Json) -> Response:
        desk.end(_secret(request, SHIFT_COOKIE))
        answer = JSONResponse({"code": "ENDED"})
        answer.delete_cookie(SHIFT_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
        return answer

    return [
        Route("/tablet/me", me),
        Route("/tablet/ask", _posted(ask), methods=["POST"]),
        Route("/tablet/open", _posted(open_), methods=["POST"]),
        Route("/tablet/end", _posted(end), methods=["POST"]),
    ]


def open_tablet(
    config: GateConfig, loop: Loop, board: Board, now: Callable[[], float], saved: Mapping[tuple[str, bytes], bytes]
) -> Pages | None:
    """Return the tablet's pages, not started yet; None where gate.toml has no [tablet].

    Raises PortTaken, CertificateUnusable: the gate goes on without tablets.
    """
    settings, place = config.tablet, config.gate
    if settings.listen is None or settings.cert is None or settings.key is None:
        return None
    desk = Desk(loop, board, now, shift_seconds=settings.shift_hours * 3_600, saved=saved)
    told = {"gate": place.gate, "site": place.site, "language": place.language, "cloud": settings.cloud}
    return Pages(build_tablet(desk, board, **told), *settings.listen, (settings.cert, settings.key))


def _posted(handler: Callable[[Request, Json], Response]) -> Callable[[Request], Awaitable[Response]]:
    """A body of our own page, small and JSON; what else comes is answered with a code and nothing is done."""

    async def route(request: Request) -> Response:
        if not _is_own(request):
            return JSONResponse({"code": "NOT_THIS_PAGE"}, 403)
        try:
            body = await _body_of(request)
            return await run_in_threadpool(handler, request, body)
        except (_Wrong, ValueError, RecursionError):
            return JSONResponse({"code": "FORMAT"}, 400)
        except NoShift:
            return JSONResponse({"code": "NO_SHIFT"}, 401)
        except Busy:
            return JSONResponse({"code": "BUSY"}, 503)

    return route


def _is_own(request: Request) -> bool:
    """Whether the browser says that this very origin sends (P35); a browser that says nothing is not believed."""
    own = f"https://{request.headers.get('host', '')}"
    return (
        request.headers.get("origin") == own and request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
    )


async def _body_of(request: Request) -> Json:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise _Wrong
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > BODY_BYTES_MAX:
            raise _Wrong
    body = json.loads(raw)
    if type(body) is not dict:
        raise _Wrong
    return body


def _act_of(name: str, body: Json) -> Act:
    if name == "take-in":
        return TakeIn(_children(body))
    if name == "hand-over":
        sure = body.get("sure", False)
        if type(sure) is not bool:
            raise _Wrong
        return HandOver(_children(body), uint(body.get("holder", 0), 0), sure)
    if name == "take-back":
        return TakeBack(uint(body.get("epoch"), 0), uint(body.get("seq"), 0, 2**53))
    raise _Wrong


def _children(body: Json) -> tuple[int, ...]:
    """One to 64 numbers of children, each once."""
    rows = body.get("children")
    if type(rows) is not list or not 1 <= len(rows) <= ACT_CHILDREN_MAX:
        raise _Wrong
    children = tuple(uint(child, 1) for child in rows)
    if len(set(children)) != len(children):
        raise _Wrong
    return children


def _told(decision: Decision) -> Response:
    return JSONResponse({
        "code": str(decision.code),
        "acts": [list(act) for act in decision.acts],
        "refused": [[child, str(code)] for child, code in decision.refused],
    })  # fmt: skip


def _stream(desk: Desk, board: Board, secret: str) -> Response:
    try:
        viewer = board.watch(TOPIC)
    except TooManyViewers:
        return JSONResponse({"code": "TOO_MANY_VIEWERS"}, 503)
    viewer.put(desk.line)

    async def lines() -> AsyncIterator[str]:
        try:
            while desk.runs(secret):
                line = await viewer.take(HEARTBEAT_SECONDS)
                if not desk.runs(secret):
                    break
                yield "event: alive\ndata: {}\n\n" if line is None else f"data: {line}\n\n"
            yield "event: ended\ndata: {}\n\n"
        finally:
            board.leave(viewer)

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _secret(request: Request, cookie: str) -> str:
    value = request.cookies.get(cookie, "")
    return value if len(value) <= SECRET_CHARACTERS_MAX else ""


def _set_cookie(answer: Response, name: str, value: str, seconds: int) -> None:
    answer.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="strict")


def _preferred(request: Request) -> str:
    """The first language of the browser that the gate speaks."""
    told = request.headers.get("accept-language", "")[:200]
    wanted = (part.strip()[:2].lower() for part in told.split(","))
    return next((one for one in wanted if one in WORDS), "")


class _Headers:
    """Headers of every answer: nothing but this page's own files, in no frame."""

    _TOLD = {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
            "trusted-types 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Cache-Control": "no-store",
    }

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._TOLD)
            await send(message)

        await self._app(scope, receive, told)
