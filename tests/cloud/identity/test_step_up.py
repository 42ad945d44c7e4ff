"""Step-up: what matters asks for a proof of the last ten minutes; a demonstration's link gives it by one press."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from cloud.identity import service as identity
from cloud.identity.doors import COOKIES
from cloud.identity.model import SURE_LIFETIME, Door, Way, door_of_path, own_path
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.kit.errors import Refused
from tests.cast import Cast, a_district
from tests.conftest import PUBLIC_URL

ORIGIN = {"origin": PUBLIC_URL}


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


def opened(database: Database, cast: Cast, person: str, door: Door, way: Way = Way.PASSKEY) -> str:
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, getattr(cast, person), clock.now())
        return identity.new_session(tx, login, door, clock.now(), way=way)


def test_a_page_that_matters_leads_to_a_proof_and_back(demo: TestClient, database: Database, cast: Cast) -> None:
    demo.cookies.set(COOKIES[Door.FAMILY], opened(database, cast, "mother", Door.FAMILY))
    asked = demo.get("/family/matters?child=1")
    assert (asked.status_code, asked.headers["location"]) == (303, "/step-up?next=%2Ffamily%2Fmatters%3Fchild%3D1")
    sent = demo.post("/family/matters", headers={**ORIGIN, "referer": f"{PUBLIC_URL}/family/children/7"})
    assert (sent.status_code, sent.headers["location"]) == (303, "/step-up?next=%2Ffamily%2Fchildren%2F7")


def test_a_program_is_told_to_step_up_by_its_code(demo: TestClient, database: Database, cast: Cast) -> None:
    demo.cookies.set(COOKIES[Door.FAMILY], opened(database, cast, "mother", Door.FAMILY))
    told = demo.get("/api/matters")
    assert (told.status_code, told.json()["code"]) == (403, "STEP_UP")


@pytest.mark.parametrize(("person", "door"), [("mother", "family"), ("head", "school"), ("operator", "fleet")])
def test_a_proof_counts_at_its_door_and_for_this_session_alone(
    demo: TestClient, database: Database, cast: Cast, person: str, door: str
) -> None:
    first, second = (opened(database, cast, person, Door(door)) for _ in range(2))
    with database.untenanted() as tx:
        identity.make_sure(tx, first, clock.now())
    codes = [demo.get(f"/{door}/matters", headers={"cookie": f"__Host-{door}={token}"}).status_code
             for token in (first, second)]
    assert codes == [200, 303]


def test_a_proof_is_forgotten_after_ten_minutes_and_with_the_session(database: Database, cast: Cast) -> None:
    token, now = opened(database, cast, "mother", Door.FAMILY), clock.now()
    with database.untenanted() as tx:
        identity.make_sure(tx, token, now)
        actor = identity.actor_of(tx, Door.FAMILY, token, now)
        assert actor is not None
        assert actor.is_sure(now + SURE_LIFETIME - timedelta(seconds=1))
        assert not actor.is_sure(now + SURE_LIFETIME)
        identity.sign_out(tx, token, now)
        with pytest.raises(Refused) as refused:
            identity.make_sure(tx, token, now)
    assert refused.value.code == "SIGN_IN"


def test_one_press_is_a_proof_for_a_demonstration_link_only(demo: TestClient, database: Database, cast: Cast) -> None:
    for way, status, after in ((Way.PASSKEY, 303, 303), (Way.LINK, 303, 303), (Way.DEMO, 303, 200)):
        demo.cookies.clear()
        demo.cookies.set(COOKIES[Door.FAMILY], opened(database, cast, "mother", Door.FAMILY, way))
        pressed = demo.post("/step-up/demo", data={"next": "/family/matters"}, headers=ORIGIN)
        assert (pressed.status_code, demo.get("/family/matters").status_code) == (status, after)
        assert ("/step-up/demo" in demo.get("/step-up?next=/family/matters").text) == (way is Way.DEMO)


def test_outside_a_demonstration_no_press_is_a_proof(browser: TestClient, database: Database, cast: Cast) -> None:
    token = opened(database, cast, "mother", Door.FAMILY, Way.DEMO)
    browser.cookies.set(COOKIES[Door.FAMILY], token)
    browser.post("/step-up/demo", data={"next": "/family"}, headers=ORIGIN)
    with database.untenanted() as tx:
        actor = identity.actor_of(tx, Door.FAMILY, token, clock.now())
    assert actor is not None and actor.sure_until is None
    assert "/step-up/demo" not in browser.get("/step-up?next=/family").text


def test_a_link_alone_does_not_open_the_schools_pages(demo: TestClient, database: Database, cast: Cast) -> None:
    for way, status in ((Way.LINK, 303), (Way.LETTER, 303), (Way.PAIRING, 303), (Way.DEMO, 200), (Way.PASSKEY, 200)):
        token = opened(database, cast, "head", Door.SCHOOL, way)
        told = demo.get("/school/day", headers={"cookie": f"{COOKIES[Door.SCHOOL]}={token}"})
        assert told.status_code == status
        assert told.headers.get("location", "").startswith("/account/first-passkey?next=") == (status == 303)


@pytest.mark.parametrize(
    "path", ["//evil.test", "https://evil.test", "/\\evil.test", "javascript:alert(1)", "/a\nb", ""]
)
def test_the_way_back_never_leads_to_another_site(path: str) -> None:
    assert own_path(path) == ""


@pytest.mark.parametrize(("path", "door"), [
    ("/school/day?x=1", "school"), ("/school?x", "school"), ("/fleet/gates", "fleet"), ("/family", "family"),
    ("/schools", "family"), ("", "family"), ("/../school", "family"),
    ("/account?door=school", "school"), ("/account?door=back", "family"), ("/family?door=school", "family"),
])  # fmt: skip
def test_the_door_of_a_page_is_its_first_word(path: str, door: str) -> None:
    assert door_of_path(path) is Door(door)
