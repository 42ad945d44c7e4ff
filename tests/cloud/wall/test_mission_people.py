"""Facts of the mission about people, each as a test that bears its number: rules, five escorts, who read, one account.

S1.19 (a pass that is not good) stands in tests/edge/test_mission_gate.py, S1.20 (a new region) in
tests/cloud/standards/test_new_region.py, S1.21 (a printed card at the same gate) in
tests/journeys/test_stories.py, the race of S1.18 in test_races.py.
"""

from dataclasses import replace

from fastapi.testclient import TestClient

from cloud.config import Settings
from cloud.identity import service as identity
from cloud.identity.doors import COOKIES
from cloud.identity.model import Door
from cloud.kit import clock
from cloud.kit.db import Database, many
from cloud.seed import load, read_district
from tests.cast import NOW, Cast, a_district
from tests.conftest import PUBLIC_URL

HTML = {"accept": "text/html", "accept-language": "en", "origin": PUBLIC_URL}


def cookie(database: Database, cast: Cast, person: str, door: Door) -> dict[str, str]:
    """Somebody who came with a passkey and has just proved who they are."""
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, getattr(cast, person), NOW)
        token = identity.new_session(tx, login, door, clock.now())
        tx.execute(
            "UPDATE session SET sure_until = now() + interval '1 hour', opened_by = 'passkey' WHERE login_id = %s",
            (login,),
        )
    return {**HTML, "cookie": f"{COOKIES[door]}={token}"}


def test_s1_8_anybody_reads_the_rules_without_signing_in(browser: TestClient) -> None:
    told = browser.get("/rules", headers=HTML)
    assert told.status_code == 200
    assert "five" in told.text.lower()


def test_s1_18_a_sixth_escort_is_refused_on_the_page_parents_counted(browser: TestClient, database: Database) -> None:
    cast = a_district(database)
    mother = cookie(database, cast, "mother", Door.FAMILY)
    path = f"/family/children/{cast.aigerim}/escorts"
    form = {"family": "Test", "how": "days", "day": ["0", "1"]}
    answers = [browser.post(path, headers=mother, data={"given": f"Aunt {n}", **form}) for n in range(4)]
    assert [answer.status_code for answer in answers] == [303, 303, 303, 409]


def test_s3_8_a_parent_sees_who_opened_the_file(browser: TestClient, database: Database) -> None:
    cast = a_district(database)
    mother = cookie(database, cast, "mother", Door.FAMILY)
    path = f"/family/children/{cast.aigerim}"
    assert "Durand" not in browser.get(path, headers=mother).text
    head = cookie(database, cast, "head", Door.SCHOOL)
    assert browser.get(f"/school/children/{cast.aigerim}", headers=head).status_code == 200
    assert "Durand" in browser.get(path, headers=mother).text


def test_s3_9_pupils_classes_staff_and_days_each_have_a_screen(browser: TestClient, database: Database) -> None:
    cast = a_district(database)
    head = cookie(database, cast, "head", Door.SCHOOL)
    pupils = browser.get(f"/school/people?class={cast.sunflowers}", headers=head)
    assert pupils.status_code == 200 and "Айгерім" in pupils.text and "Күнбағыс" in pupils.text
    for path in ("/school/staff", "/school/calendar", "/school/day"):
        assert browser.get(path, headers=head).status_code == 200, path


def test_s5_2_siblings_in_two_districts_stand_in_one_account(browser: TestClient, database: Database) -> None:
    here, there = a_district(database), a_district(database, "neighbour", 202)
    with database.tenant(here.district) as tx:
        login = identity.login_of_person(tx, here.district, here.mother, NOW)
    with database.tenant(there.district) as tx:
        tx.execute("UPDATE person SET login_id = %s WHERE id = %s", (login, there.stranger))
    page = browser.get("/family/children", headers=cookie(database, here, "mother", Door.FAMILY))
    assert page.status_code == 200
    assert all(f"/family/children/{child}" in page.text for child in (here.aigerim, here.timur, there.minh))
    assert f"/family/children/{there.aigerim}" not in page.text


def test_s5_8_an_import_finds_its_guardians_by_their_address_without_a_link_made_by_hand(
    database: Database, settings: Settings
) -> None:
    described = read_district(
        b'{"district": {"slug": "demo", "name": "D"}, "schools": [{"key": "s", "name": "S", "timezone": "Asia/Almaty",'
        b' "language": "kk", "level": "primary", "site": 101}], "children": [{"key": "a", "given": "A", "family": "B",'
        b' "school": "s"}, {"key": "b", "given": "C", "family": "B", "school": "s"}], "guardians": ['
        b'{"key": "g1", "given": "G", "family": "B", "email": "G@example.org", "language": "kk",'
        b' "children": [{"child": "a", "relation": "mother", "may_collect": true}]},'
        b'{"key": "g2", "given": "G", "family": "B", "email": "g@example.org", "language": "kk",'
        b' "children": [{"child": "b", "relation": "mother", "may_collect": true}]}]}'
    )
    told = load(database, replace(settings, demo=True), described, clock.now())
    with database.tenant(told["district"]) as tx:
        assert many(tx, int, "SELECT count(*) FROM person") == [1]
        assert many(tx, int, "SELECT count(*) FROM guardianship") == [2]
