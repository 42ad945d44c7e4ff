"""The gate's local pages: the screen beside the door, and its condition for who stands at the machine.

Responsible for: /screen (words and faces, for anyone who can see the door), /status, /stream, /healthz, /picture.jpg
(for this machine alone: they carry codes and references), and their headers.
Not responsible for: deciding or moving anything: there is no way in here.
Obeys: UX "the gate's answer" and the CSP of "one stack"; contract of /stream in edge/loop.py.
"""

from __future__ import annotations

import html
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.feedback import Words
from edge.screen import SENTENCES, say
from edge.settings import is_loopback
from edge.web.board import Board, TooManyViewers

HERE = Path(__file__).parent
PAGE = (HERE / "screen.html").read_text(encoding="utf-8")
HEARTBEAT_SECONDS = 10.0  # an `alive` event on a silent stream, so that both ends notice a dead one
STOP_SECONDS = 3.0
_PRIVATE = ("/status", "/stream", "/picture.jpg")


class PortTaken(Exception):
    """Another program listens there."""


class CertificateUnusable(Exception):
    """The certificate of a page, or its key, cannot be used."""


def _check_tls(cert: Path, key: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, "")
    except (OSError, ValueError) as error:
        raise CertificateUnusable(f"{cert} and {key} are no certificate with its key: {error}") from error


def build(board: Board, *, language: str, picture: bool, loopback_only: bool) -> Starlette:
    """Return the pages. loopback_only: the server is not reachable from elsewhere, so this machine may frame them."""

    def screen(request: Request) -> Response:
        chosen = request.query_params.get("lang", language)
        chosen = chosen if chosen in SENTENCES else language
        said = say(Words.SHOW_CODE, chosen)
        page = PAGE.replace("{lang}", chosen).replace("{title}", html.escape(said.title))
        return HTMLResponse(page.replace("{line}", html.escape(said.line)))

    def words(request: Request) -> Response:
        sentences = SENTENCES.get(request.path_params["language"])
        if sentences is None:
            return JSONResponse({"code": "NO_SUCH_LANGUAGE", "what_to_do": "fr, en, ru, kk or vi"}, 404)
        return JSONResponse({key.value: said for key, said in sentences.items()})

    def status(_request: Request) -> Response:
        return JSONResponse(board.status())

    def healthz(_request: Request) -> Response:
        ok = board.status()["healthy"]
        return JSONResponse({"ok": ok}, 200 if ok else 503)

    def last_picture(_request: Request) -> Response:
        jpeg = board.picture() if picture else None
        if jpeg is None:
            return PlainTextResponse("no picture", 404)
        return Response(jpeg, media_type="image/jpeg")

    async def stream(_request: Request) -> Response:
        return _stream_of(board, "decisions")

    async def faces(request: Request) -> Response:
        """Digits that open a shift are shown to who stands before the gate, so on its own screen alone."""
        return _stream_of(board, "own_faces" if _from_this_machine(request) else "faces")

    routes = [
        Route("/", screen),
        Route("/screen", screen),
        Route("/screen/stream", faces),
        Route("/words/{language}.json", words),
        Route("/status", status),
        Route("/stream", stream),
        Route("/healthz", healthz),
        Route("/picture.jpg", last_picture),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    return Starlette(routes=routes, middleware=[Middleware(_Guard, loopback_only=loopback_only)])


class _Guard:
    """Headers of every answer; what is private is for this machine, asked for by an address of this machine."""

    def __init__(self, app: ASGIApp, loopback_only: bool) -> None:
        self._app = app
        ancestors = "http://127.0.0.1:* http://localhost:*" if loopback_only else "'none'"
        self._headers = {
            "Content-Security-Policy": (
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
                f"base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}; require-trusted-types-for 'script'"
            ),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        app = self._app
        if scope["type"] == "http" and scope["path"] in _PRIVATE and not _from_this_machine(Request(scope)):
            what = {"code": "THIS_MACHINE_ONLY", "what_to_do": "ask on the gate itself: portillon-gate status"}
            app = JSONResponse(what, 403)
        await app(scope, receive, guarded)


def _from_this_machine(request: Request) -> bool:
    """True for a client on this machine that also calls it so (a name pointed here by a stranger is another host)."""
    client = request.client
    return client is not None and is_loopback(client.host) and is_loopback(request.url.hostname or "")


def _stream_of(board: Board, topic: str) -> Response:
    try:
        viewer = board.watch(topic)
    except TooManyViewers:
        return JSONResponse({"code": "TOO_MANY_VIEWERS", "what_to_do": "close another page of this gate"}, 503)

    async def lines() -> AsyncIterator[str]:
        try:
            yield ": portillon\n\n"
            while True:
                line = await viewer.take(HEARTBEAT_SECONDS)
                yield "event: alive\ndata: {}\n\n" if line is None else f"data: {line}\n\n"
        finally:
            board.leave(viewer)

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


class Pages:
    """The pages in a thread of their own, on a port that is bound before the gate starts."""

    def __init__(self, app: Starlette, host: str, port: int, tls: tuple[Path, Path] | None = None) -> None:
        """tls: certificate chain and key, PEM. Raises PortTaken, CertificateUnusable."""
        if tls is not None:
            _check_tls(*tls)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=64)
        except OSError as error:
            raise PortTaken(
                f"{host}:{port} cannot be listened on ({error.strerror}): "
                'another port as listen under [web], or listen = "" for no pages'
            ) from error
        cert, key = tls or (None, None)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            limit_concurrency=64,
            server_header=False,
            ssl_certfile=cert,
            ssl_keyfile=key,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="pages", daemon=True
        )

    @property
    def port(self) -> int:
        return self._socket.getsockname()[1]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        self._socket.close()
