"""The tour's own small web server, on the loopback only.

Responsible for: the page, its stream of facts, its pictures, its three buttons, and headers that let it
frame this demo's pages and nothing else.
Not for: what the buttons do (stage.py), nor the framed pages (the cloud's and the gates' own).
"""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from simulators.processes import WorldFault
from simulators.tour.stage import Stage

HERE = Path(__file__).parent
FILES = {"tour.css": "text/css", "tour.js": "text/javascript", "icon.svg": "image/svg+xml"}
ALIVE_SECONDS = 10.0
GATES_SHOWN = 2
STOP_SECONDS = 3.0


@dataclass(frozen=True)
class Link:
    """One way into the demo. who: parent, gate, teacher, head or operator."""

    who: str
    url: str


class Tour:
    """The page of one demo: `url`, start, stop."""

    def __init__(self, stage: Stage, links: list[Link], port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._socket = listen_at(port)
        config = uvicorn.Config(
            build(stage, links, self.url),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
            lifespan="off",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="tour", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=STOP_SECONDS)
        self._socket.close()


def listen_at(port: int) -> socket.socket:
    """Return a socket of the loopback at which a visitor may knock already: who comes before the page waits for it.

    Raises WorldFault where another program has the port.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise WorldFault(
            f"Port {port}, on which the tour page shall be, is taken.",
            f"Stop what listens there (`ss -ltnp 'sport = :{port}'`), or use `--fresh --port 0`.",
        ) from error
    return listener


def build(stage: Stage, links: list[Link], origin: str) -> Starlette:
    """Return the application. origin: the only one whose buttons are obeyed."""
    headers = _headers(links)

    def page(_request: Request) -> Response:
        return Response(_page(stage, links), media_type="text/html", headers=headers)

    def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in FILES:
            return PlainTextResponse("no such file", 404)
        return Response((HERE / name).read_bytes(), media_type=FILES[name], headers=headers)

    def picture(request: Request) -> Response:
        jpeg = stage.picture(request.path_params["number"])
        if jpeg is None:
            return PlainTextResponse("that picture is gone", 404)
        return Response(jpeg, media_type="image/jpeg", headers={**headers, "cache-control": "max-age=600"})

    async def facts(_request: Request) -> Response:
        listener = stage.listen()
        if listener is None:
            return PlainTextResponse("too many tours are open", 503)
        return StreamingResponse(_facts(stage, listener), media_type="text/event-stream", headers=headers)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/links", lambda _request: JSONResponse([asdict(link) for link in links], headers=headers)),
            Route("/facts", facts),
            Route("/picture/{number:int}", picture),
            *(
                Route(f"/{name}", _button(act, origin, headers), methods=["POST"])
                for name, act in (("play", stage.play), ("cut", stage.cut), ("copy", stage.copy))
            ),
            Route("/{name}", file),
        ]
    )


def _headers(links: list[Link]) -> dict[str, str]:
    framed = sorted({"/".join(link.url.split("/")[:3]) for link in links})
    return {
        "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self'; frame-src {' '.join(framed)}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }


def _page(stage: Stage, links: list[Link]) -> str:
    text = (HERE / "tour.html").read_text(encoding="utf-8")
    text = text.replace("{gates}", " ".join(str(house.number) for house in stage.houses[:GATES_SHOWN]))
    for link in links:
        text = text.replace("{" + link.who + "}", escape(link.url))
    return text


def _button(act: Callable[[], bool], origin: str, headers: dict[str, str]) -> Callable[[Request], Awaitable[Response]]:
    async def press(request: Request) -> Response:
        if request.headers.get("origin") != origin:
            return JSONResponse({"code": "OTHER_ORIGIN", "what_to_do": f"Use {origin}."}, 403, headers=headers)
        done = await asyncio.to_thread(act)
        return JSONResponse({"on": done}, headers=headers)

    return press


async def _facts(stage: Stage, listener: queue.Queue[str]) -> AsyncIterator[str]:
    try:
        yield ": the tour\n\n"
        while True:
            try:
                line = await asyncio.to_thread(listener.get, True, ALIVE_SECONDS)
                yield f"data: {line}\n\n"
            except queue.Empty:
                yield ": alive\n\n"
    finally:
        stage.leave(listener)
