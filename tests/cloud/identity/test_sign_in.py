"""Links, sessions and doors: one use, three doors that do not see each other, hashes only."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from fastapi import FastAPI, Response
from fastapi.testclient import TestClient

from cloud.identity import service as identity
from cloud.identity.doors import (
    COOKIES,
    FamilyActor,
    FamilyTx,
    FleetActor,
    FleetTx,
    SchoolActor,
    set_cookie,
)
from cloud.identity.model import (
    DEMO_LINK_LIFETIME,
    LINK_LIFETIME,
    SESSION_LIFETIME,
    Door,
    Role,
)
from cloud.identity.service import SignInRefused
from cloud.kit import clock
from cloud.kit.db import Database, many, one
from tests.cast import FIRST_DAY, NOW, Cast, a_district
from tests.conftest import PUBLIC_URL


def a_link(database: Database, cast: Cast, person: str, door: Door, *, demo: bool = False) -> str:
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, getattr(cast, person), NOW)
        return identity.new_link(tx, login, door, NOW, demo=demo).removeprefix("/enter/")


def opened(database: Database, cast: Cast, person: str, door: Door) -> str:
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, getattr(cast, person), NOW)
        return identity.new_session(tx, login, door, clock.now())


def test_a_link_lets_in_once(database: Database) -> None:
    token = a_link(database, a_district(database), "mother", Door.FAMILY)
    with database.untenanted() as tx:
        assert identity.enter(tx, token, NOW).door is Door.FAMILY
        with pytest.raises(SignInRefused) as refused:
            identity.enter(tx, token, NOW)
    assert refused.value.code == "LINK_UNKNOWN"


def test_two_browsers_with_one_link_have_one_winner(database: Database) -> None:
    token = a_link(database, a_district(database), "mother", Door.FAMILY)

    def enter(_: int) -> str:
        try:
            with database.untenanted() as tx:
                identity.enter(tx, token, NOW)
        except SignInRefused as refused:
            return refused.code
        return "in"

    with ThreadPoolExecutor(4) as browsers:
        assert sorted(browsers.map(enter, range(4))) == ["LINK_UNKNOWN"] * 3 + ["in"]


def test_a_link_dies_after_ten_minutes_and_a_demonstration_link_after_a_day(database: Database) -> None:
    cast = a_district(database)
    plain, demo = (a_link(database, cast, "mother", Door.FAMILY, demo=demo) for demo in (False, True))
    with database.untenanted() as tx:
        with pytest.raises(SignInRefused):
            identity.enter(tx, plain, NOW + LINK_LIFETIME)
        for _ in range(2):
            identity.enter(tx, demo, NOW + DEMO_LINK_LIFETIME - timedelta(seconds=1))
        with pytest.raises(SignInRefused):
            identity.enter(tx, demo, NOW + DEMO_LINK_LIFETIME)


def test_an_unknown_a_used_and_an_expired_link_answer_alike(browser: TestClient, database: Database) -> None:
    cast = a_district(database)
    used = a_link(database, cast, "mother", Door.FAMILY)
    with database.untenanted() as tx:
        identity.enter(tx, used, NOW)
    answers = {browser.get(f"/enter/{token}", headers={"accept": "application/json"}).text
               for token in (used, "x" * 43, "%00", "'; DROP TABLE login; --")}
    assert len(answers) == 1
    assert "LINK_UNKNOWN" in answers.pop()


def test_tokens_are_stored_nowhere(database: Database) -> None:
    cast = a_district(database)
    token = a_link(database, cast, "mother", Door.FAMILY)
    with database.untenanted() as tx:
        entered = identity.enter(tx, token, NOW)
        stored = many(tx, bytes, "SELECT token_hash FROM session UNION ALL SELECT token_hash FROM sign_in_link")
    assert len(stored) == 2
    assert token.encode() not in stored
    assert entered.token.encode() not in stored


def test_a_session_opens_its_own_door_only(database: Database) -> None:
    cast = a_district(database)
    token = opened(database, cast, "teacher", Door.SCHOOL)
    with database.untenanted() as tx:
        actor = identity.actor_of(tx, Door.SCHOOL, token, clock.now())
        assert actor is not None
        assert actor.person_id == cast.teacher
        assert {held.role for held in actor.roles} == {Role.TEACHER}
        assert actor.schools() == (cast.school,)
        assert identity.actor_of(tx, Door.FAMILY, token, clock.now()) is None
        assert identity.actor_of(tx, Door.FLEET, token, clock.now()) is None


def test_a_login_without_a_role_at_the_door_is_not_let_in(database: Database) -> None:
    cast = a_district(database)
    for person, door in (("mother", Door.SCHOOL), ("teacher", Door.FAMILY), ("head", Door.FLEET),
                         ("operator", Door.SCHOOL), ("operator", Door.FAMILY)):
        token = opened(database, cast, person, door)
        with database.untenanted() as tx:
            assert identity.actor_of(tx, door, token, clock.now()) is None


def test_a_session_ends_by_time_by_sign_out_and_everywhere(database: Database) -> None:
    cast = a_district(database)
    first, second = (opened(database, cast, "mother", Door.FAMILY) for _ in range(2))
    now = clock.now()
    with database.untenanted() as tx:
        late = now + SESSION_LIFETIME[Door.FAMILY] + timedelta(seconds=1)
        assert identity.actor_of(tx, Door.FAMILY, first, late) is None
        identity.sign_out(tx, first, now)
        assert identity.actor_of(tx, Door.FAMILY, first, now) is None
        actor = identity.actor_of(tx, Door.FAMILY, second, now)
        assert actor is not None
        identity.sign_out_everywhere(tx, actor.login_id, now)
        assert identity.actor_of(tx, Door.FAMILY, second, now) is None


def test_a_role_that_ended_opens_nothing(database: Database) -> None:
    cast = a_district(database)
    token = opened(database, cast, "operator", Door.FLEET)
    with database.tenant(cast.district) as tx:
        identity.end_role(tx, cast.district, cast.operator, Role.OPERATOR, FIRST_DAY + timedelta(days=1))
        assert identity.actor_of(tx, Door.FLEET, token, clock.now()) is None


def test_one_parent_in_two_districts_has_one_login_and_two_places(database: Database) -> None:
    here, there = a_district(database), a_district(database, "neighbour", 202)
    with database.tenant(here.district) as tx:
        login = identity.login_of_person(tx, here.district, here.mother, NOW)
    with database.tenant(there.district) as tx:
        tx.execute("UPDATE person SET login_id = %s WHERE id = %s", (login, there.mother))
        token = identity.new_session(tx, login, Door.FAMILY, clock.now())
        actor = identity.actor_of(tx, Door.FAMILY, token, clock.now())
    assert actor is not None
    assert {(place.district_id, place.person_id) for place in actor.places} == {
        (here.district, here.mother), (there.district, there.mother)}


def test_the_browser_gets_a_host_cookie_and_goes_to_its_page(browser: TestClient, database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, cast.mother, NOW)
        link = identity.new_link(tx, login, Door.FAMILY, clock.now())
    answer = browser.post(link, params={"next": "/pass"}, headers={"origin": PUBLIC_URL})
    assert (answer.status_code, answer.headers["location"]) == (303, "/pass")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-family=")
    for part in ("HttpOnly", "Path=/", "SameSite=lax", "Secure"):
        assert part in cookie
    assert "Domain" not in cookie


@pytest.mark.parametrize("elsewhere", ["//evil.test", "https://evil.test", "/\\evil.test", "javascript:alert(1)"])
def test_a_link_never_leads_to_another_site(browser: TestClient, database: Database, elsewhere: str) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, cast.mother, NOW)
        link = identity.new_link(tx, login, Door.FAMILY, clock.now())
    answer = browser.post(link, params={"next": elsewhere}, headers={"origin": PUBLIC_URL})
    assert answer.headers["location"] == "/family"


def test_looking_at_a_link_uses_nothing_up(browser: TestClient, database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, cast.mother, NOW)
        link = identity.new_link(tx, login, Door.FAMILY, clock.now())
    for _ in range(3):  # a mail scanner, a preview, a person
        seen = browser.get(link, params={"next": "/pass"})
        assert (seen.status_code, "set-cookie" in seen.headers) == (200, False)
        assert '<form method="post">' in seen.text
        assert link not in seen.text, "the secret stands in the address only"
    assert browser.post(link, headers={"origin": PUBLIC_URL}).status_code == 303
    told = [browser.request(method, link, headers={"origin": PUBLIC_URL}).status_code for method in ("GET", "POST")]
    assert told == [404, 404]


def test_another_site_cannot_sign_somebody_in(browser: TestClient, database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, cast.mother, NOW)
        link = identity.new_link(tx, login, Door.FAMILY, clock.now())
    answer = browser.post(link, headers={"origin": "https://evil.test"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_a_demonstration_link_lets_in_at_once(browser: TestClient, database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, cast.mother, NOW)
        link = identity.new_link(tx, login, Door.FAMILY, clock.now(), demo=True)
    assert [browser.get(link).headers["location"] for _ in range(2)] == ["/family", "/family"]


def test_signing_out_ends_the_session_on_the_server_too(browser: TestClient, database: Database) -> None:
    cast = a_district(database)
    token = opened(database, cast, "mother", Door.FAMILY)
    browser.cookies.set(COOKIES[Door.FAMILY], token)
    answer = browser.post("/sign-out/family", headers={"origin": str(browser.base_url).rstrip("/")})
    assert answer.status_code == 303
    with database.untenanted() as tx:
        assert identity.actor_of(tx, Door.FAMILY, token, clock.now()) is None


def doors_of_a_house(database: Database) -> FastAPI:
    from cloud.config import Settings
    from cloud.kit.web import furnish

    app = FastAPI()
    furnish(app, Settings())
    app.state.database = database

    @app.get("/api/family")
    def family(actor: FamilyActor, tx: FamilyTx) -> int:
        return one(tx, int, "SELECT count(*) FROM child")

    @app.get("/api/school")
    def school(actor: SchoolActor) -> str:
        return actor.given

    @app.get("/api/fleet")
    def fleet(actor: FleetActor, tx: FleetTx) -> int:
        return one(tx, int, "SELECT count(*) FROM child")

    @app.get("/api/cookie")
    def cookie(response: Response) -> str:
        set_cookie(response, Door.FAMILY, "x")
        return "set"

    return app


def test_each_door_sees_what_row_security_lets_through(database: Database) -> None:
    cast = a_district(database)
    client = TestClient(doors_of_a_house(database), base_url="https://school.test")
    told = (("mother", Door.FAMILY, 2), ("operator", Door.FLEET, 0), ("head", Door.SCHOOL, "Élodie"))
    for person, door, expected in told:
        headers = {"cookie": f"{COOKIES[door]}={opened(database, cast, person, door)}"}
        assert client.get(f"/api/{door}", headers=headers).json() == expected


def test_a_door_without_its_cookie_asks_to_sign_in(database: Database) -> None:
    cast = a_district(database)
    client = TestClient(doors_of_a_house(database), base_url="https://school.test")
    teacher = opened(database, cast, "teacher", Door.SCHOOL)
    for cookie in ("", f"{COOKIES[Door.SCHOOL]}={teacher}", f"{COOKIES[Door.FAMILY]}={teacher}",
                   f"{COOKIES[Door.FAMILY]}={'x' * 5000}", "__Host-family"):
        told = client.get("/api/family", headers={"cookie": cookie})
        assert (told.status_code, told.json()["code"]) == (401, "SIGN_IN")
