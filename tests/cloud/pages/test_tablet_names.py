"""Names for the tablet: who may fetch them, whom they name, where the link leads, for which site it opens."""

import base64
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloud.config import SettingsRefused, read_settings
from cloud.home.tablet_pages import seal
from cloud.kit import clock
from cloud.people import service as people
from tests.cloud.pages.conftest import House
from tests.gates import number_of

TABLET = "https://192.168.1.20:8443"


def opened(link: str, site: int) -> dict[str, Any]:
    told = link.partition("#names=")[2]
    raw = base64.urlsafe_b64decode(told + "=" * (-len(told) % 4))
    return json.loads(zlib.decompress(AESGCM(raw[:32]).decrypt(raw[32:44], raw[44:], b"portillon-names/1/%d" % site)))


@pytest.fixture
def with_tablet(house: House) -> Iterator[House]:
    """The operator has named the tablet of the cast's site."""
    state = house.client.app.state  # type: ignore[attr-defined]
    tablets = ((house.cast.site, TABLET), (house.cast.site + 1, "https://192.168.1.99:8443"))
    before, state.settings = state.settings, replace(state.settings, tablets=tablets)
    yield house
    state.settings = before


def test_the_office_fetches_names_that_open_on_this_sites_tablet_alone(with_tablet: House) -> None:
    house = with_tablet
    aigerim = number_of(house.database, house.cast, child=house.cast.aigerim)
    mother = number_of(house.database, house.cast, person=house.cast.mother)
    page = house.post(f"/school/tablet/{house.cast.school}", "head")
    assert page.status_code == 200 and page.headers["cache-control"] == "no-store"
    (link,) = re.findall(r'href="(https://[^"]+)"', page.text)
    assert link.startswith(f"{TABLET}/tablet#names=")
    names = opened(link, house.cast.site)
    assert aigerim in [row[0] for row in names["children"]]
    adult = next(row for row in names["adults"] if row[0] == mother)
    assert aigerim in [child for child, _ in adult[2]] and adult[1]
    with pytest.raises(InvalidTag):
        opened(link, house.cast.site + 1)


def test_a_protected_child_is_a_number_on_every_tablet(with_tablet: House) -> None:
    house, now = with_tablet, clock.now()
    number = number_of(house.database, house.cast, child=house.cast.aigerim)
    with house.database.tenant(house.cast.district) as tx:
        people.protect_child(
            tx, house.cast.district, child_id=house.cast.aigerim, protected=True, by=house.cast.head, now=now
        )
    try:
        page = house.post(f"/school/tablet/{house.cast.school}", "head")
        names = opened(re.findall(r'href="(https://[^"]+)"', page.text)[0], house.cast.site)
        assert number not in [row[0] for row in names["children"]]
        assert number not in [child for row in names["adults"] for child, _ in row[2]]
    finally:
        with house.database.tenant(house.cast.district) as tx:
            people.protect_child(
                tx, house.cast.district, child_id=house.cast.aigerim, protected=False, by=house.cast.head, now=now
            )


def test_a_fresh_proof_is_asked_for_and_each_fetching_is_written_down(with_tablet: House) -> None:
    house = with_tablet
    refused = house.post(f"/school/tablet/{house.cast.school}", "head", sure=False)
    assert "#names=" not in refused.text and refused.status_code in (303, 403)
    house.post(f"/school/tablet/{house.cast.school}", "head")
    with house.database.tenant(house.cast.district) as tx:
        lines = tx.execute("SELECT count(*) FROM audit_log WHERE action = 'names.tablet'").fetchone()
    assert lines and lines[0] >= 1


@pytest.mark.parametrize("who", ["teacher", "mother"])
def test_who_records_no_staff_facts_for_the_school_gets_no_names(with_tablet: House, who: str) -> None:
    answer = with_tablet.post(f"/school/tablet/{with_tablet.cast.school}", who)
    assert answer.status_code != 200 and "#names=" not in answer.text


def test_without_an_address_that_the_operator_named_there_is_no_link(house: House) -> None:
    page = house.post(f"/school/tablet/{house.cast.school}", "head")
    assert page.status_code == 200 and "#names=" not in page.text


@pytest.mark.parametrize(
    "wrong",
    ["http://192.168.1.20", "101=http://a.example", "101=https://", "x=https://a.example", "101=https://a.example/x",
     "101=https://user@a.example", "101=javascript:alert(1)"],
)  # fmt: skip
def test_names_go_to_https_origins_only(wrong: str) -> None:
    with pytest.raises(SettingsRefused, match="PORTILLON_TABLETS"):
        read_settings({"PORTILLON_TABLETS": wrong})


def test_two_seals_of_the_same_names_share_no_key() -> None:
    assert seal(101, {"v": 1})[:43] != seal(101, {"v": 1})[:43]
