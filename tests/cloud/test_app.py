"""The whole application from outside: health with its repairs, metrics without names, nothing open by mistake."""

import importlib
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.types import ASGIApp

from cloud.app import create_app
from cloud.cli import server_config
from cloud.config import Settings
from cloud.health import KEPT, Examined
from cloud.identity import service as identity
from cloud.identity.doors import COOKIES
from cloud.identity.model import Door
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.kit.metrics import SECONDS
from cloud.kit.web import BODY_BYTES_MAX, CLOUD
from tests.cast import NOW, a_district
from tests.conftest import PUBLIC_URL

PUBLIC = {
    "/", "/health", "/metrics", "/privacy-at-the-gate", "/pass", "/pass/sw.js", "/pass/manifest.webmanifest",
    "/sign-out/family", "/rules", "/sign-in", "/letter", "/api/passkeys/enter/start",
}


def test_health_names_each_fault_with_its_repair(browser: TestClient) -> None:
    told = browser.get("/health", headers={"accept": "application/json"})
    checks = {check["name"]: check for check in told.json()["checks"]}
    assert told.status_code == 503
    assert checks["database"]["ok"]
    assert checks["migrations"]["ok"]
    assert "keys init" in checks["keys"]["repair"]
    assert all(check["ok"] or check["repair"] for check in checks.values())


@pytest.fixture
def slow_broker() -> Iterator[str]:
    """An address where nobody answers: its only place for who waits is taken, so that each look lasts a second."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.socket() as first, socket.socket() as rest:
        for waiting in (first, rest):
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"mqtt://127.0.0.1:{server.getsockname()[1]}"


def test_health_looks_once_a_second_however_many_ask(settings: Settings, database: Database) -> None:
    moments = [NOW]
    examined = Examined(settings, database, lambda: moments[-1])
    first = examined.checks(NOW)
    assert examined.checks(NOW + timedelta(milliseconds=999)) is first
    second = examined.checks(NOW + timedelta(seconds=1))
    assert second is not first
    moments.append(NOW - timedelta(seconds=60))
    assert examined.checks(moments[-1]) is not second, "a clock that was put back keeps nothing"


def test_a_look_as_long_as_it_is_kept_serves_all_who_asked_before_its_end(
    settings: Settings, database: Database, slow_broker: str
) -> None:
    examined, began = Examined(replace(settings, broker_url=slow_broker), database), clock.now()
    with ThreadPoolExecutor(8) as askers:
        told = list(askers.map(lambda number: examined.checks(began + number * KEPT / 7), range(8)))
    assert clock.now() - began >= KEPT, "it was a long look"
    assert all(one is told[0] for one in told)


def test_a_proxy_is_believed_where_the_settings_name_it_and_nowhere_else(settings: Settings) -> None:
    async def shown(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["client"][0].encode()})

    for named, proxy, seen in (
        (("10.0.0.7", "10.1.0.0/24"), "10.0.0.7", "203.0.113.9"), (("10.1.0.0/24",), "10.1.0.3", "203.0.113.9"),
        (("10.0.0.7",), "127.0.0.1", "127.0.0.1"), ((), "10.0.0.7", "10.0.0.7"),
    ):  # fmt: skip
        served = server_config(replace(settings, trusted_proxies=named), shown)
        served.load()
        client = TestClient(cast(ASGIApp, served.loaded_app), client=(proxy, 1))
        assert client.get("/", headers={"x-forwarded-for": "203.0.113.9"}).text == seen, (named, proxy)


def test_health_is_a_page_for_people(browser: TestClient) -> None:
    page = browser.get("/health", headers={"accept": "text/html", "accept-language": "ru"})
    assert page.headers["content-type"].startswith("text/html")
    assert '<html lang="ru"' in page.text


def test_health_answers_while_the_database_is_away(settings: Settings) -> None:
    absent = replace(settings, database_url="postgresql://portillon_app@127.0.0.1:1/none")
    with TestClient(create_app(absent), base_url=PUBLIC_URL) as client:
        told = client.get("/health", headers={"accept": "application/json"}).json()
    assert told["checks"][0]["name"] == "database"
    assert not told["checks"][0]["ok"]


def test_keys_that_others_may_read_are_a_fault(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "trust.kk1").write_bytes(b"x")
    (tmp_path / "issuer.key").write_text("00" * 32)
    (tmp_path / "issuer.key").chmod(0o644)
    with TestClient(create_app(replace(settings, keys_dir=tmp_path)), base_url=PUBLIC_URL) as client:
        checks = client.get("/health", headers={"accept": "application/json"}).json()["checks"]
    assert [check["found"] for check in checks if check["name"] == "keys"] == ["others may read issuer.key"]


def test_metrics_know_routes_and_never_what_was_asked_for(browser: TestClient) -> None:
    browser.get("/enter/a-very-secret-token")
    browser.get("/no-such-page-12345")
    told = browser.get("/metrics").text
    assert 'route="/enter/{token}"' in told
    assert "secret-token" not in told
    assert "12345" not in told
    assert SECONDS is not None


def every_route() -> list[tuple[str, str]]:
    """Return method and path of each route of ours, places filled with something harmless."""
    found = []
    for file in sorted(CLOUD.glob("*/api.py")) + sorted(CLOUD.glob("*/pages.py")):
        router = importlib.import_module(f"cloud.{file.parent.name}.{file.stem}").router
        for route in (route for route in router.routes if isinstance(route, APIRoute)):
            path = re.sub(r"\{door\}", "family", route.path)
            found += [(method, re.sub(r"\{[^}]*\}", "1", path)) for method in sorted(route.methods or ())]
    return found


def test_every_route_but_the_public_ones_asks_to_sign_in(browser: TestClient, database: Database) -> None:
    cast_of = a_district(database)
    with database.tenant(cast_of.district) as tx:
        login = identity.login_of_person(tx, cast_of.district, cast_of.teacher, NOW)
        wrong_door = identity.new_session(tx, login, Door.SCHOOL, clock.now())
    cookies = ("", "; ".join(f"{name}=forged" for name in COOKIES.values()),
               f"{COOKIES[Door.FAMILY]}={wrong_door}; {COOKIES[Door.FLEET]}={wrong_door}")
    routes = every_route()
    assert len(routes) > 12
    for method, path in routes:
        if path in PUBLIC:
            continue
        for cookie in cookies:
            headers = {"cookie": cookie, "accept": "application/json", "origin": PUBLIC_URL}
            answer = browser.request(method, path, headers=headers)
            assert answer.status_code in (400, 401, 404), (method, path, answer.status_code)


def test_a_body_that_is_too_large_is_not_read(browser: TestClient) -> None:
    pieces = (b"x" * 1024 for _ in range(BODY_BYTES_MAX // 1024 + 1))
    for content in (b"x" * (BODY_BYTES_MAX + 1), pieces):  # announced, and sent in pieces without a length
        told = browser.post("/api/pair/start", content=content, headers={"origin": PUBLIC_URL})
        assert (told.status_code, told.json()["code"]) == (413, "TOO_LARGE")


def test_jobs_that_nobody_takes_are_a_fault_with_its_command(browser: TestClient, database: Database) -> None:
    with database.untenanted() as tx:
        tx.execute("INSERT INTO job (fact, run_at) VALUES ('Forgotten', %s)", (NOW - timedelta(days=1000),))
    checks = browser.get("/health", headers={"accept": "application/json"}).json()["checks"]
    assert [check["repair"] for check in checks if check["name"] == "jobs"] == ["portillon-cloud work"]
