"""Answers: headers on every one, errors in the reader's language, static files kept for a year."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from cloud.config import Settings
from cloud.kit.errors import Refused
from cloud.kit.web import content_security_policy, furnish, static_url


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    furnish(app, replace(Settings(), public_url="https://school.test"))

    @app.get("/api/no")
    def no_for_programs() -> None:
        raise Refused("NOT_FOUND")

    @app.get("/no")
    def no_for_people() -> None:
        raise Refused("NOT_FOUND")

    @app.get("/number")
    def number(n: int) -> int:
        return n

    @app.post("/api/change")
    def change() -> str:
        return "changed"

    with TestClient(app, base_url="https://school.test") as opened:
        yield opened


def test_every_answer_carries_the_policy_even_an_error(client: TestClient) -> None:
    for path in ("/no", "/api/no", "/nothing", static_url("nothing.css")):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_no_inline_script_and_no_frame_is_allowed_outside_a_demonstration() -> None:
    policy = content_security_policy(Settings())
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    shown = content_security_policy(Settings(demo=True, demo_origin="http://127.0.0.1:9000"))
    assert "frame-ancestors 'self' http://127.0.0.1:9000;" in shown


def test_a_program_gets_a_code_and_a_person_gets_a_page(client: TestClient) -> None:
    told = client.get("/api/no")
    assert (told.status_code, told.json()["code"]) == (404, "NOT_FOUND")
    assert set(told.json()) == {"code", "message", "what_to_do"}
    page = client.get("/no", headers={"accept": "text/html", "accept-language": "fr-CA,fr;q=0.9"})
    assert page.status_code == 404
    assert '<html lang="fr">' in page.text


def test_a_bad_parameter_is_answered_by_a_code_not_by_the_framework(client: TestClient) -> None:
    told = client.get("/number", params={"n": "<script>"}, headers={"accept": "application/json"})
    assert (told.status_code, told.json()["code"]) == (400, "BAD_INPUT")
    assert "script" not in told.text


def test_an_unknown_method_is_answered_by_a_code(client: TestClient) -> None:
    told = client.post("/api/no")
    assert (told.status_code, told.json()["code"]) == (405, "METHOD")


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "https://school.test.evil.test", "http://school.test"])
def test_a_form_of_another_site_changes_nothing(client: TestClient, origin: str) -> None:
    told = client.post("/api/change", headers={"origin": origin})
    assert (told.status_code, told.json()["code"]) == (403, "BAD_ORIGIN")


def test_our_own_pages_and_programs_without_cookies_may_change(client: TestClient) -> None:
    assert client.post("/api/change", headers={"origin": "https://school.test"}).status_code == 200
    assert client.post("/api/change").status_code == 200


def test_a_browser_that_hides_its_origin_but_sends_cookies_is_refused(client: TestClient) -> None:
    headers = {"cookie": "__Host-family=x", "sec-fetch-site": "cross-site"}
    assert client.post("/api/change", headers=headers).status_code == 403


def test_a_static_file_is_kept_for_a_year_under_its_hash_and_not_under_another(client: TestClient) -> None:
    kept = client.get(static_url("css/base.css"))
    assert kept.status_code == 200
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert client.get("/static/000000000000/css/base.css").headers["cache-control"] == "no-cache"


def test_a_static_path_never_leaves_its_folder(client: TestClient) -> None:
    for path in ("../config.py", "%2e%2e/config.py", "..%2fconfig.py", "css/../../config.py"):
        assert client.get(static_url(path)).status_code == 404
