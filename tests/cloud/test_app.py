"""The whole application from outside: health with its repairs, metrics without names, nothing open by mistake."""

from dataclasses import replace
from pathlib import Path

from fastapi.testclient import TestClient

from cloud.app import create_app
from cloud.config import Settings
from cloud.identity.doors import COOKIES
from cloud.kit.metrics import SECONDS
from tests.conftest import PUBLIC_URL


def test_health_names_each_fault_with_its_repair(browser: TestClient) -> None:
    told = browser.get("/health", headers={"accept": "application/json"})
    checks = {check["name"]: check for check in told.json()["checks"]}
    assert told.status_code == 503
    assert checks["database"]["ok"]
    assert checks["migrations"]["ok"]
    assert "keys init" in checks["keys"]["repair"]
    assert all(check["ok"] or check["repair"] for check in checks.values())


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


def test_pages_of_every_door_ask_to_sign_in(browser: TestClient) -> None:
    for path in ("/family", "/school/day", "/fleet/gates", "/api/passes"):
        for cookie in ("", "; ".join(f"{name}=forged" for name in COOKIES.values())):
            answer = browser.get(path, headers={"cookie": cookie, "accept": "text/html"})
            assert answer.status_code in (401, 303), path
