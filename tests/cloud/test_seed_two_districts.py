"""Siblings in two schools of two districts, in one account, without a link made by hand (MISSION S5.2, S5.8)."""

import json
from typing import Any
from uuid import UUID

from cloud.config import Settings
from cloud.identity import service as identity
from cloud.identity.model import Door
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.people import service as people
from cloud.seed import load, read_district


def a_town(slug: str, site: int, child: str) -> dict[str, Any]:
    return {
        "district": {"slug": slug, "name": slug.title()},
        "schools": [{"key": "s", "name": "School", "timezone": "America/Montreal", "language": "fr", "site": site,
                     "level": "kindergarten", "classes": [{"key": "c", "name": "Lilas"}]}],
        "children": [{"key": "k", "given": child, "family": "Tremblay", "school": "s", "class": "c"}],
        "guardians": [{"key": "g", "given": "Chloé", "family": "Tremblay", "email": "Chloe@Example.org",
                       "language": "fr", "children": [{"child": "k", "relation": "mother", "may_collect": True}]}],
    }  # fmt: skip


def imported(database: Database, settings: Settings, slug: str, site: int, child: str) -> UUID:
    described = read_district(json.dumps(a_town(slug, site, child)).encode())
    return UUID(load(database, settings, described, clock.now())["district"])


def children_seen(database: Database, login: UUID) -> list[str]:
    """What the family's door shows, a district at a time."""
    with database.untenanted() as tx:
        token = identity.new_session(tx, login, Door.FAMILY, clock.now())
        actor = identity.actor_of(tx, Door.FAMILY, token, clock.now())
    found: list[str] = []
    for place in actor.places if actor else ():
        with database.tenant(place.district_id, place.person_id) as tx:
            told = people.children_of_guardian(tx, place.district_id, place.person_id, clock.now().date())
            found += [child.given for child in told]
    return sorted(found)


def login_in(database: Database, district: UUID) -> UUID:
    with database.tenant(district) as tx:
        row = tx.execute("SELECT login_id FROM person WHERE sourced_id = 'g'").fetchone()
    assert row
    return row[0]


def test_an_import_finds_the_account_of_who_proved_the_address(database: Database, settings: Settings) -> None:
    first = imported(database, settings, "laval", 301, "Élise")
    mine = login_in(database, first)
    with database.untenanted() as tx:
        tx.execute("UPDATE login SET email_proved_at = %s WHERE id = %s", (clock.now(), mine))
    second = imported(database, settings, "gatineau", 302, "Noé")
    assert login_in(database, second) == mine
    assert children_seen(database, mine) == ["Noé", "Élise"]
    imported(database, settings, "gatineau", 302, "Noé")
    assert children_seen(database, mine) == ["Noé", "Élise"], "imported again, nothing twice"


def test_an_address_that_nobody_proved_joins_no_other_districts_family(database: Database, settings: Settings) -> None:
    first = imported(database, settings, "laval", 301, "Élise")
    second = imported(database, settings, "gatineau", 302, "Noé")
    assert login_in(database, first) != login_in(database, second)
    assert children_seen(database, login_in(database, second)) == ["Noé"]
