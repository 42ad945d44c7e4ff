"""The gate's local pages: what they show, to whom, and with which headers."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from edge.feedback import IDLE, Words, feedback_for
from edge.screen import SENTENCES
from edge.web.board import VIEWERS_MAX, Board
from edge.web.pages import Pages, PortTaken, build
from protocols.reasons import Reason
from tests.edge.line import until

pytestmark = pytest.mark.serial
STATIC = Path(__file__).parents[2] / "edge" / "web"


def a_board() -> Board:
    return Board(lambda: {"healthy": True, "outbox": 3}, lambda: b"\xff\xd8jpeg")


def client(
    board: Board | None = None,
    *,
    host: str = "127.0.0.1",
    asked: str = "http://127.0.0.1",
    picture: bool = False,
    loopback: bool = True,
) -> TestClient:
    app = build(board or a_board(), language="fr", picture=picture, loopback_only=loopback)
    return TestClient(app, base_url=asked, client=(host, 50_000))


class Server:
    """The real server on a free port."""

    def __init__(self, board: Board) -> None:
        app = build(board, language="en", picture=True, loopback_only=True)
        self.pages = Pages(app, "127.0.0.1", 0)
        self.pages.start()
        self.url = f"http://127.0.0.1:{self.pages.port}"


@pytest.fixture
def board() -> Board:
    return a_board()


@pytest.fixture
def server(board: Board) -> Iterator[Server]:
    made = Server(board)
    until(lambda: answers(made.url))
    yield made
    made.pages.stop()


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(f"{url}/healthz", timeout=1).status == 200
    except OSError:
        return False


def listen(url: str, lines: list[dict[str, Any]]) -> None:
    """Follow a stream until its server goes away."""
    try:
        with httpx.stream("GET", url, timeout=10) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    lines.append(json.loads(line[6:]))
    except httpx.HTTPError:
        pass


def listening(url: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    threading.Thread(target=listen, args=(url, lines), daemon=True).start()
    return lines


def test_decisions_are_streamed_as_they_happen(server: Server, board: Board) -> None:
    lines = listening(f"{server.url}/stream")
    until(lambda: board._viewers)
    board.decided({"code": "OPEN", "seq": 4})
    assert until(lambda: lines)[0] == {"code": "OPEN", "seq": 4}  # a sign of life may follow at once


def test_the_screen_begins_with_what_is_shown_now(server: Server, board: Board) -> None:
    board.show(feedback_for(Reason.OPEN, direction=1))
    lines = listening(f"{server.url}/screen/stream")
    first = until(lambda: lines)[0]
    assert (first["face"], first["words"]) == ("open", "welcome")


def test_the_screens_stream_carries_no_code_and_no_child(board: Board) -> None:
    custody = [Board(dict, lambda: None) for _ in range(2)]
    for one, code in zip(custody, (Reason.CUSTODY, Reason.REVOKED), strict=True):
        one.show(feedback_for(code))
    assert custody[0]._face == custody[1]._face
    assert set(json.loads(custody[0]._face)) == {"face", "words", "seconds", "offline"}


def test_a_server_with_open_streams_stops_at_once(board: Board) -> None:
    made = Server(board)
    until(lambda: answers(made.url))
    for path in ("/stream", "/screen/stream"):
        listening(made.url + path)
    until(lambda: len(board._viewers) == 2)
    began = time.monotonic()
    made.pages.stop()
    assert time.monotonic() - began < 3


def test_viewers_are_bounded_and_a_gone_one_makes_room(server: Server, board: Board) -> None:
    for _ in range(VIEWERS_MAX):
        listening(f"{server.url}/stream")
    until(lambda: len(board._viewers) == VIEWERS_MAX)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{server.url}/stream", timeout=3)
    assert caught.value.code == 503


@pytest.mark.parametrize("path", ["/status", "/stream", "/picture.jpg"])
def test_codes_and_pictures_are_for_this_machine_alone(path: str) -> None:
    assert client(host="192.168.1.20", loopback=False).get(path).status_code == 403
    assert client(asked="http://evil.example").get(path).status_code == 403


def test_the_screen_is_for_anyone_who_can_see_the_door() -> None:
    answer = client(host="192.168.1.20", asked="http://192.168.1.10:8081", loopback=False).get("/screen")
    assert answer.status_code == 200
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_a_picture_is_shown_only_where_the_configuration_says_so() -> None:
    assert client(picture=False).get("/picture.jpg").status_code == 404
    assert client(picture=True).get("/picture.jpg").headers["content-type"] == "image/jpeg"


def test_the_health_answer_follows_the_gates() -> None:
    assert client().get("/healthz").json() == {"ok": True}
    assert client(Board(lambda: {"healthy": False}, lambda: None)).get("/healthz").status_code == 503


@pytest.mark.parametrize("language", ["fr", "en", "ru", "kk", "vi"])
def test_the_screen_speaks_the_language_asked_for(language: str) -> None:
    page = client().get(f"/screen?lang={language}").text
    assert f'lang="{language}"' in page
    words = client().get(f"/words/{language}.json").json()
    assert set(words) == {key.value for key in Words}
    assert words["show_code"] == list(SENTENCES[language][Words.SHOW_CODE])


@pytest.mark.parametrize("asked", ["xx", "../fr", "<script>", "fr%00"])
def test_an_unknown_language_falls_back_and_is_never_echoed(asked: str) -> None:
    page = client().get("/screen", params={"lang": asked})
    assert page.status_code == 200 and 'lang="fr"' in page.text and "<script>alert" not in page.text
    assert client().get(f"/words/{asked}.json").status_code == 404


def test_every_answer_forbids_what_it_does_not_use() -> None:
    for path in ("/screen", "/static/screen.css", "/static/screen.js", "/words/fr.json", "/nowhere"):
        headers = client().get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'"), path
        assert "require-trusted-types-for 'script'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_the_page_holds_no_inline_script_and_no_inline_style() -> None:
    page = (STATIC / "screen.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|javascript:", page)
    assert "innerHTML" not in (STATIC / "static" / "screen.js").read_text()


def test_a_static_path_cannot_leave_its_folder() -> None:
    for path in ("/static/../pages.py", "/static/%2e%2e/pages.py", "/static/..%2fpages.py"):
        assert client().get(path).status_code in (400, 403, 404)


def test_a_taken_port_is_known_before_the_gate_starts(server: Server) -> None:
    with pytest.raises(PortTaken, match="another port"):
        Pages(build(a_board(), language="fr", picture=False, loopback_only=True), "127.0.0.1", server.pages.port)


def test_a_slow_viewer_loses_the_oldest_lines_and_holds_nobody_up(board: Board) -> None:
    import asyncio

    async def watch_slowly() -> list[str]:
        viewer = board.watch("decisions")
        for number in range(1_000):
            board.decided({"n": number})
        taken = []
        while (line := await viewer.take(0.05)) is not None:
            taken.append(line)
        board.leave(viewer)
        return taken

    taken = asyncio.run(watch_slowly())
    assert len(taken) == 64 and json.loads(taken[-1]) == {"n": 999}
    assert board._viewers == []


def test_nobody_there_means_the_idle_face() -> None:
    assert json.loads(a_board()._face)["face"] == IDLE.face.value
