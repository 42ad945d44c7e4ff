"""The account page at each door, signing out here and everywhere, and what the browser is told to forget."""

from dataclasses import replace
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from cloud.config import Settings
from cloud.identity import service as identity
from cloud.identity.doors import COOKIES, browser_of
from cloud.identity.model import Door, Way
from cloud.kit import clock
from cloud.kit.db import Database, many, one
from cloud.kit.ids import new_id
from tests.cast import Cast, a_district
from tests.cloud.identity.conftest import a_house
from tests.conftest import PUBLIC_URL
from tests.mailbox import a_server

ORIGIN = {"origin": PUBLIC_URL}
AGENTS = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": "Firefox, Linux",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36":
        "Chrome, Android",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6"
    " Mobile/15E148 Safari/604.1": "Safari, iPhone",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
    " Edg/140.0": "Edge, Windows",
    "<script>alert(1)</script>" * 50: "", "": "",
}  # fmt: skip


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


def opened(database: Database, cast: Cast, person: str, door: Door, *, sure: bool = True, way: Way = Way.PASSKEY
           ) -> str:  # fmt: skip
    now = clock.now()
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, getattr(cast, person), now)
        token = identity.new_session(tx, login, door, now, way=way, browser="Firefox, Linux")
        if sure:
            identity.make_sure(tx, token, now)
    return token


def a_key(database: Database, cast: Cast, token: str, door: Door) -> UUID:
    key = new_id()
    with database.untenanted() as tx:
        actor = identity.actor_of(tx, door, token, clock.now())
        assert actor
        tx.execute(
            "INSERT INTO passkey VALUES (%s, %s, %s, %s, %s, %s, %s, 0, 'Phone', now(), now())",
            (key, actor.login_id, door, None if door is Door.FAMILY else cast.district, key.bytes, bytes(32),
             bytes(77)),
        )
    return key


@pytest.mark.parametrize(("person", "door"), [("mother", "family"), ("head", "school"), ("operator", "fleet")])
def test_an_account_shows_its_own_door(browser: TestClient, database: Database, cast: Cast, person: str, door: str
                                       ) -> None:  # fmt: skip
    token = opened(database, cast, person, Door(door))
    a_key(database, cast, token, Door(door))
    browser.cookies.set(COOKIES[Door(door)], token)
    told = browser.get("/account")
    assert told.status_code == 200
    assert "Phone" in told.text and "Firefox, Linux" in told.text
    assert ('id="password"' in told.text) == (door == "family"), "staff and operators have passkeys only"
    assert browser.get("/account?door=" + ("school" if door == "family" else "family")).status_code == 401


def test_nobody_has_an_account_without_a_door(browser: TestClient, cast: Cast) -> None:
    assert browser.get("/account").status_code == 401
    assert browser.get("/account?door=back").status_code == 400


def test_a_key_is_renamed_and_removed_and_the_last_one_of_staff_stays(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    token = opened(database, cast, "head", Door.SCHOOL)
    browser.cookies.set(COOKIES[Door.SCHOOL], token)
    first, second = (a_key(database, cast, token, Door.SCHOOL) for _ in range(2))
    base = "/account/school/passkeys"
    assert browser.post(f"{base}/{first}/name", data={"name": "Office"}, headers=ORIGIN).status_code == 303
    assert "Office" in browser.get("/account").text
    assert browser.post(f"{base}/{second}/remove", headers=ORIGIN).status_code == 303
    assert browser.post(f"{base}/{first}/remove", headers=ORIGIN).status_code == 409
    assert browser.post(f"{base}/{new_id()}/remove", headers=ORIGIN).status_code == 404
    with database.untenanted() as tx:
        assert many(tx, UUID, "SELECT id FROM passkey") == [first]


def test_removing_a_way_in_asks_for_a_proof(browser: TestClient, database: Database, cast: Cast) -> None:
    token = opened(database, cast, "mother", Door.FAMILY, sure=False)
    key = a_key(database, cast, token, Door.FAMILY)
    browser.cookies.set(COOKIES[Door.FAMILY], token)
    for path in (f"passkeys/{key}/remove", "password/remove", "address"):
        told = browser.post(f"/account/family/{path}", data={"email": "a@b.example"}, headers=ORIGIN)
        assert told.headers["location"].startswith("/step-up?next=")


def test_signing_out_elsewhere_and_everywhere_ends_sessions_on_the_server(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    own, elsewhere = (opened(database, cast, "mother", Door.FAMILY) for _ in range(2))
    browser.cookies.set(COOKIES[Door.FAMILY], own)
    with database.untenanted() as tx:
        other = one(tx, UUID, "SELECT id FROM session WHERE token_hash = sha256(%s)", (elsewhere.encode(),))
    assert browser.post(f"/account/family/sessions/{other}/end", headers=ORIGIN).status_code == 303
    assert browser.post(f"/account/family/sessions/{other}/end", headers=ORIGIN).status_code == 404
    with database.untenanted() as tx:
        assert identity.actor_of(tx, Door.FAMILY, elsewhere, clock.now()) is None
    told = browser.post("/account/family/sign-out-everywhere", headers=ORIGIN)
    assert (told.status_code, told.headers["clear-site-data"]) == (303, '"storage"')
    with database.untenanted() as tx:
        assert identity.actor_of(tx, Door.FAMILY, own, clock.now()) is None


def test_the_link_that_proves_an_address_comes_by_mail_in_the_readers_language_and_at_most_five_times(
    settings: Settings, database: Database, cast: Cast
) -> None:
    with a_server() as (box, address):
        told = replace(settings, smtp_url=f"smtp://{address}", mail_from="school@example.org")
        with TestClient(a_house(told, database), base_url=PUBLIC_URL, follow_redirects=False) as browser:
            browser.cookies.set(COOKIES[Door.FAMILY], opened(database, cast, "mother", Door.FAMILY))
            form = {"email": "New@Mail.example"}
            answer = browser.post("/account/family/address", data=form, headers=ORIGIN)
            assert answer.status_code == 200 and "/prove/" not in answer.text, "the link is in the mailbox alone"
            [line] = [line for line in box.text().splitlines() if line.startswith(PUBLIC_URL)]
            assert box.taken[0].rcpt_tos == ["new@mail.example"]
            assert browser.post(line.removeprefix(PUBLIC_URL), headers=ORIGIN).headers["location"] == "/family"
            asked = [browser.post("/account/family/address", data=form, headers=ORIGIN).status_code for _ in range(5)]
            assert asked == [200, 200, 200, 200, 429] and len(box.taken) == 5
    with database.untenanted() as tx:
        assert one(tx, bool, "SELECT email_proved_at IS NOT NULL FROM login WHERE email = 'new@mail.example'")


def test_a_mail_server_that_is_away_is_said_and_the_page_keeps_what_was_typed(
    settings: Settings, database: Database, cast: Cast
) -> None:
    told = replace(settings, smtp_url="smtp://127.0.0.1:1", mail_from="school@example.org")
    with TestClient(a_house(told, database), base_url=PUBLIC_URL, follow_redirects=False) as browser:
        browser.cookies.set(COOKIES[Door.FAMILY], opened(database, cast, "mother", Door.FAMILY))
        answer = browser.post("/account/family/address", data={"email": "a@b.example"}, headers=ORIGIN)
    assert answer.status_code == 503 and 'value="a@b.example"' in answer.text and "/prove/" not in answer.text


def test_nobody_ends_a_session_of_somebody_else(browser: TestClient, database: Database, cast: Cast) -> None:
    theirs = opened(database, cast, "stranger", Door.FAMILY)
    browser.cookies.set(COOKIES[Door.FAMILY], opened(database, cast, "mother", Door.FAMILY))
    with database.untenanted() as tx:
        session = one(tx, UUID, "SELECT id FROM session WHERE token_hash = sha256(%s)", (theirs.encode(),))
    assert browser.post(f"/account/family/sessions/{session}/end", headers=ORIGIN).status_code == 404
    with database.untenanted() as tx:
        assert identity.actor_of(tx, Door.FAMILY, theirs, clock.now())


def test_leaving_a_familys_door_clears_the_phone_and_a_shared_computer_of_staff_keeps_its_families(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    for person, door, way, cleared in (("mother", Door.FAMILY, Way.PASSKEY, True),
                                       ("head", Door.SCHOOL, Way.PASSKEY, False),
                                       ("head", Door.SCHOOL, Way.PAIRING, True)):
        browser.cookies.set(COOKIES[door], opened(database, cast, person, door, way=way))
        told = browser.post(f"/sign-out/{door}", headers=ORIGIN)
        assert ("clear-site-data" in told.headers) == cleared


@pytest.mark.parametrize(("agent", "words"), AGENTS.items(), ids=range(len(AGENTS)))
def test_a_browser_is_named_in_a_few_words_of_ours(agent: str, words: str) -> None:
    from starlette.requests import Request

    assert browser_of(Request({"type": "http", "headers": [(b"user-agent", agent.encode())]})) == words
