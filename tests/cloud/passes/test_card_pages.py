"""Pages of cards and phones: at the office, at home; who may not, what is said, and what a stranger's number gives."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from cloud.config import Settings
from cloud.identity import service as identity
from cloud.identity.doors import COOKIES
from cloud.identity.model import Door, Role
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.passes import service as passes
from cloud.passes.cards import service as cards
from cloud.passes.cards.model import Card, shown
from cloud.passes.keys import KeyRing, init_keys
from cloud.people import service as people
from tests.cast import FIRST_DAY, Cast, a_district
from tests.conftest import PUBLIC_URL
from tests.phones import an_ed25519_phone


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return init_keys(tmp_path / "root", tmp_path / "keys", int(clock.now().timestamp()))


@pytest.fixture
def web(settings: Settings, ring: KeyRing, tmp_path: Path) -> Iterator[TestClient]:
    from cloud.app import create_app

    app = create_app(replace(settings, keys_dir=tmp_path / "keys"))
    with TestClient(app, base_url=PUBLIC_URL, follow_redirects=False) as client:
        yield client


def at_the(door: Door, web: TestClient, database: Database, cast: Cast, person: UUID, *, sure: bool = True) -> None:
    """Sign a person in at a door; sure: with a proof of a moment ago."""
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, person, clock.now())
        token = identity.new_session(tx, login, door, clock.now())
        if sure:
            identity.make_sure(tx, token, clock.now())
    web.cookies.clear()
    web.cookies.set(COOKIES[door], token)


def only_card(database: Database, cast: Cast, person: UUID) -> Card:
    with database.tenant(cast.district) as tx:
        return cards.cards_of_person(tx, cast.district, person)[0]


def test_the_office_issues_prints_replaces_and_blocks_a_card(web: TestClient, database: Database, cast: Cast) -> None:
    at_the(Door.SCHOOL, web, database, cast, cast.head)
    path = f"/school/people/{cast.father}/cards"
    empty = web.get(path)
    assert empty.status_code == 200 and 'name="site" value="101"' in empty.text
    issued = web.post(path, data={"site": "101"})
    assert (issued.status_code, issued.headers["location"]) == (303, f"{path}?said=issued")
    first = only_card(database, cast, cast.father)
    assert shown(first.serial) in web.get(f"{path}?said=issued").text
    pdf = web.get(f"/school/cards/{first.serial}/card.pdf")
    assert (pdf.headers["content-type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    assert web.post(path, data={"site": "101"}).status_code == 409, "one runs already"
    assert web.post(f"/school/cards/{first.serial}/replace").status_code == 303
    second = only_card(database, cast, cast.father)
    assert web.post(f"/school/cards/{second.serial}/block").headers["location"] == f"{path}?said=revoked"
    assert web.get(f"/school/cards/{second.serial}/card.pdf").status_code == 409
    told = web.get(path).text
    assert shown(first.serial) in told and shown(second.serial) in told


def test_a_found_card_leads_to_its_holder_and_a_mistyped_number_is_said(
    web: TestClient, database: Database, cast: Cast, ring: KeyRing
) -> None:
    with database.tenant(cast.district) as tx:
        card = cards.issue_card(tx, ring, cast.district, cast.mother, cast.site, None, clock.now())
    at_the(Door.SCHOOL, web, database, cast, cast.head)
    listed = web.get("/school/cards")
    assert listed.status_code == 200 and shown(card.serial) in listed.text
    with database.tenant(cast.district) as tx:
        ended = cards.issue_card(tx, ring, cast.district, cast.father, cast.site, None, clock.now())
        cards.take_back(tx, cast.district, ended.serial, None, clock.now())
    assert shown(ended.serial) not in web.get("/school/cards").text
    found = web.get("/school/cards", params={"number": shown(card.serial).lower()})
    assert found.headers["location"] == f"/school/people/{cast.mother}/cards"
    for number in ("K7MP-2QXR-S", "K7MP-2QXR-T", "'; DROP", "\0", "9" * 5000):
        answer = web.get("/school/cards", params={"number": number})
        assert answer.status_code == 404 and 'aria-invalid="true"' in answer.text


def test_a_parent_reports_an_own_card_lost_without_a_proof_and_nobody_elses(
    web: TestClient, database: Database, cast: Cast, ring: KeyRing
) -> None:
    at_the(Door.FAMILY, web, database, cast, cast.father, sure=False)
    assert web.get("/family/cards").status_code == 200, "without any card too"
    with database.tenant(cast.district) as tx:
        own = cards.issue_card(tx, ring, cast.district, cast.father, cast.site, None, clock.now())
        others = cards.issue_card(tx, ring, cast.district, cast.mother, cast.site, None, clock.now())
    assert own.shown_serial in (told := web.get("/family/cards").text) and others.shown_serial not in told
    for serial in (others.serial, "AAAAAAAA", "%00", "x" * 200):
        assert web.post(f"/family/cards/{serial}/lost").status_code == 404
    assert web.post(f"/family/cards/{own.serial}/lost").headers["location"] == "/family/cards?said=lost"
    assert only_card(database, cast, cast.father).ended_why == "lost"
    assert only_card(database, cast, cast.mother).runs(clock.now())


def test_a_parent_reports_the_card_of_an_escort_lost_and_neither_the_other_parents_nor_after_the_right_ended(
    web: TestClient, database: Database, cast: Cast, ring: KeyRing
) -> None:
    now = clock.now()
    with database.tenant(cast.district) as tx:
        for escort in (cast.stranger, cast.teacher):
            people.give_escort_right(tx, cast.district, cast.aigerim, escort, now)
        lost, his, ended = (
            cards.issue_card(tx, ring, cast.district, person, cast.site, None, now)
            for person in (cast.stranger, cast.father, cast.teacher)
        )
        people.end_escort_right(tx, cast.district, cast.aigerim, cast.teacher, now)
    at_the(Door.FAMILY, web, database, cast, cast.mother, sure=False)
    told = web.get("/family/cards").text
    assert lost.shown_serial in told and his.shown_serial not in told and ended.shown_serial not in told
    for serial in (his.serial, ended.serial):
        assert web.post(f"/family/cards/{serial}/lost").status_code == 404
    assert web.post(f"/family/cards/{lost.serial}/lost").headers["location"] == "/family/cards?said=lost"
    assert only_card(database, cast, cast.stranger).ended_why == "lost"
    assert only_card(database, cast, cast.father).runs(now) and only_card(database, cast, cast.teacher).runs(now)


def test_to_give_a_card_or_a_phone_a_fresh_proof_is_asked_for_and_to_block_one_none(
    web: TestClient, database: Database, cast: Cast, ring: KeyRing
) -> None:
    with database.tenant(cast.district) as tx:
        card = cards.issue_card(tx, ring, cast.district, cast.father, cast.site, None, clock.now())
    at_the(Door.SCHOOL, web, database, cast, cast.head, sure=False)
    for path in (f"/school/people/{cast.mother}/cards", f"/school/cards/{card.serial}/replace",
                 f"/school/people/{cast.teacher}/phone"):  # fmt: skip
        answer = web.post(path, data={"site": "101"}, headers={"accept": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (403, "STEP_UP"), path
    printed = web.get(f"/school/cards/{card.serial}/card.pdf", headers={"accept": "application/json"})
    assert printed.json()["code"] == "STEP_UP"
    assert web.post(f"/school/cards/{card.serial}/lost").status_code == 303


def test_a_card_on_which_a_right_has_ended_is_shown_as_refused_and_replaced_by_one_that_says_less(
    web: TestClient, database: Database, cast: Cast, ring: KeyRing
) -> None:
    from cloud.people import service as people

    with database.tenant(cast.district) as tx:
        cards.issue_card(tx, ring, cast.district, cast.mother, cast.site, None, clock.now())
    at_the(Door.SCHOOL, web, database, cast, cast.head)
    path = f"/school/people/{cast.mother}/cards"
    refused = "a right on it has ended"
    with database.tenant(cast.district) as tx:
        tx.execute("UPDATE person SET language = 'en'")
    assert refused not in web.get(path).text
    with database.tenant(cast.district) as tx:
        assert people.end_escort_right(tx, cast.district, cast.timur, cast.mother, clock.now())
    assert refused in web.get(path).text
    old = only_card(database, cast, cast.mother)
    assert web.post(f"/school/cards/{old.serial}/replace").status_code == 303
    assert refused not in web.get(path).text


def test_who_does_not_work_in_an_office_finds_no_card(
    web: TestClient, database: Database, cast: Cast, ring: KeyRing
) -> None:
    there = a_district(database, "neighbour", 202)
    with database.tenant(cast.district) as tx:
        card = cards.issue_card(tx, ring, cast.district, cast.father, cast.site, None, clock.now())
    paths = (f"/school/people/{cast.father}/cards", f"/school/cards/{card.serial}/card.pdf")
    for person, district, status in ((cast.teacher, cast, 403), (there.head, there, 404)):
        at_the(Door.SCHOOL, web, database, district, person)
        assert [web.get(path).status_code for path in paths] == [status] * 2
        for act in ("replace", "lost", "block"):
            assert web.post(f"/school/cards/{card.serial}/{act}").status_code == status
        assert web.post(paths[0], data={"site": "101"}).status_code == status
        assert web.post(f"/school/people/{cast.father}/phone").status_code == status
    assert only_card(database, cast, cast.father).runs(clock.now())


def test_a_site_that_is_not_the_offices_own_gives_no_card(web: TestClient, database: Database, cast: Cast) -> None:
    at_the(Door.SCHOOL, web, database, cast, cast.head)
    for site in ("", "0", "202", "-1", "1e3", "９９", "4294967296", "9" * 50):
        assert web.post(f"/school/people/{cast.mother}/cards", data={"site": site}).status_code == 404


def test_the_office_invites_a_teachers_phone_and_takes_it_away(web: TestClient, database: Database, cast: Cast) -> None:
    at_the(Door.SCHOOL, web, database, cast, cast.head)
    shown_page = web.post(f"/school/people/{cast.teacher}/phone")
    code = "".join(filter(str.isdecimal, shown_page.text.split('<p class="digits">')[1].split("</p>")[0]))
    assert shown_page.headers["cache-control"] == "no-store"
    phone = an_ed25519_phone(9)
    web.cookies.clear()
    start = web.post("/api/pair/start", json={"code": code}).json()
    paired = web.post("/api/pair/finish", json={"code": code, "key": phone.key, "proof": phone.proof(start)})
    assert [offer["kind"] for offer in paired.json()["passes"]] == ["staff"]
    with database.tenant(cast.district) as tx:
        [held] = passes.phones_of(tx, cast.district, cast.teacher)
    at_the(Door.SCHOOL, web, database, cast, cast.head)
    remove = f"/school/people/{cast.teacher}/phones/{held.id}/remove"
    assert web.post(remove).headers["location"].endswith("?said=phone")
    with database.tenant(cast.district) as tx:
        assert passes.phones_of(tx, cast.district, cast.teacher) == []


def test_an_office_of_another_school_of_the_district_does_not_reach_here(
    web: TestClient, database: Database, cast: Cast
) -> None:
    from cloud.schools import service as schools

    with database.tenant(cast.district) as tx:
        other = schools.put_school(tx, cast.district, sourced_id="other", site=303, name="Other", level="primary",
                                   timezone="Asia/Almaty", language="ru")  # fmt: skip
        identity.grant_role(tx, cast.district, cast.stranger, Role.OFFICE, FIRST_DAY, school_id=other)
    at_the(Door.SCHOOL, web, database, cast, cast.stranger)
    for person in (cast.father, cast.teacher):
        assert web.get(f"/school/people/{person}/cards").status_code == 404
