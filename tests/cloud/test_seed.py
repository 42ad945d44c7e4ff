"""A district from JSON: all mistakes at once, the same again changes nothing, links that open."""

import json
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from nacl.signing import SigningKey

from cloud.config import Settings
from cloud.kit import clock
from cloud.kit.db import Database, one
from cloud.seed import SeedRefused, load, read_district


def a_file(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "district": {"slug": "demo", "name": "Demo"},
        "schools": [{
            "key": "s1", "name": "Балапан", "timezone": "Asia/Almaty", "language": "kk", "level": "kindergarten",
            "site": 101, "classes": [{"key": "c1", "name": "Күнбағыс", "teacher": "t1"}],
            "gates": [{"gate": 11, "name": "front", "public_key": SigningKey(bytes(32)).verify_key.encode().hex()}],
        }],
        "staff": [
            {"key": "t1", "given": "Мадина", "family": "О", "email": "T1@demo.example", "school": "s1",
             "role": "teacher", "powers": 1},
            {"key": "h1", "given": "Élodie", "family": "D", "email": "h1@demo.example", "school": "s1",
             "role": "head", "powers": 15},
        ],
        "children": [
            {"key": "k1", "given": "Айгерім", "family": "С", "birth": "2022-05-17", "school": "s1", "class": "c1"},
            {"key": "k2", "given": "Тимур", "family": "С", "birth": "2021-01-03", "school": "s1", "class": "c1"},
        ],
        "guardians": [
            {"key": "g1", "given": "Әсел", "family": "С", "email": "g1@demo.example", "language": "kk",
             "children": [{"child": key, "relation": "mother", "may_collect": True, "lives_with": True,
                           "authority": True} for key in ("k1", "k2")], "wants": "phone"},
            {"key": "g2", "given": "Мадина", "family": "О", "email": "t1@demo.example", "language": "kk",
             "children": [{"child": "k1", "relation": "aunt", "may_collect": True, "lives_with": False,
                           "authority": True}], "wants": "card"},
        ],
        "operators": [{"key": "o1", "email": "o1@demo.example", "name": "Sam"}],
    }
    return whole | changes


def loaded(database: Database, settings: Settings, whole: dict[str, Any]) -> dict[str, Any]:
    return load(database, settings, read_district(json.dumps(whole).encode()), clock.now())


def test_a_district_gives_codes_links_and_numbers(database: Database, settings: Settings) -> None:
    answer = loaded(database, settings, a_file())
    assert set(answer) == {"district", "pairing", "links", "holders"}
    assert set(answer["links"]) == {"t1", "h1", "g1", "g2", "o1"}
    assert set(answer["pairing"]) == {"g1", "t1", "h1"}
    assert len(answer["pairing"]["g1"]) == 8
    assert set(answer["holders"]["g1"]) == {"101"}


def test_the_same_file_again_changes_no_row(database: Database, settings: Settings) -> None:
    first = loaded(database, settings, a_file())
    counted = ("district", "site", "school", "class", "person", "staff", "role_grant", "class_teacher", "child",
               "enrolment", "guardianship", "escort_right", "gate", "site_ref")

    def counts() -> list[int]:
        from uuid import UUID

        from psycopg import sql

        with database.tenant(UUID(first["district"])) as tx:
            found = [tx.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()
                     for name in counted]
        return [row[0] for row in found if row]

    before = counts()
    again = loaded(database, settings, a_file())
    assert counts() == before
    assert (again["district"], again["holders"]) == (first["district"], first["holders"])


def test_who_is_teacher_and_guardian_with_one_address_is_one_person(database: Database, settings: Settings) -> None:
    from uuid import UUID

    district = UUID(loaded(database, settings, a_file())["district"])
    with database.tenant(district) as tx:
        assert one(tx, int, "SELECT count(*) FROM person") == 4
        assert one(tx, int, "SELECT count(*) FROM login") == 4


def test_each_link_opens_its_own_door(browser: TestClient, database: Database, settings: Settings) -> None:
    links = loaded(database, settings, a_file())["links"]
    pressed = {"origin": settings.public_url}
    first_pages = {
        key: browser.post(links[key], headers=pressed).headers["location"] for key in ("g1", "g2", "t1", "o1")
    }
    assert first_pages == {"g1": "/family", "g2": "/family", "t1": "/school/day", "o1": "/fleet/gates"}


def test_a_demonstration_link_may_be_opened_again(database: Database, settings: Settings) -> None:
    from cloud.app import create_app

    links = loaded(database, replace(settings, demo=True), a_file())["links"]
    with TestClient(create_app(settings), base_url=settings.public_url, follow_redirects=False) as client:
        assert [client.get(links["g1"]).status_code for _ in range(3)] == [303, 303, 303]


def test_all_mistakes_of_a_file_are_listed_and_nothing_is_written(database: Database) -> None:
    whole = a_file(extra=1)
    whole["schools"][0]["site"] = 0
    whole["staff"][0]["powers"] = 99
    whole["children"][0]["birth"] = "yesterday"
    whole["guardians"][0]["language"] = "de"
    with pytest.raises(SeedRefused) as refused:
        read_district(json.dumps(whole).encode())
    text = str(refused.value)
    for place in ("extra", "schools.0.site", "staff.0.powers", "children.0.birth", "guardians.0.language"):
        assert place in text


def test_keys_that_lead_nowhere_are_listed() -> None:
    whole = a_file()
    whole["staff"][0]["school"] = whole["children"][0]["class"] = whole["guardians"][0]["children"][0]["child"] = "?"
    whole["operators"][0]["key"] = "g1"
    with pytest.raises(SeedRefused) as refused:
        read_district(json.dumps(whole).encode())
    for words in ("staff t1: no school", "child k1: no class", "guardian g1: no child", "'g1' is used twice"):
        assert words in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b'{"district": null}', b"[" * 100_000])
def test_rubbish_is_refused_with_words_not_a_traceback(data: bytes) -> None:
    with pytest.raises(SeedRefused):
        read_district(data)
