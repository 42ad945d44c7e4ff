"""One parent, several districts: joined by a proved address or a letter in the same hand; never by an office's word."""

from datetime import timedelta
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from cloud.identity import addresses, letters, passkeys
from cloud.identity import service as identity
from cloud.identity.addresses import PROOF_LIFETIME
from cloud.identity.doors import COOKIES
from cloud.identity.model import Actor, Door, Way
from cloud.identity.service import SignInRefused
from cloud.kit import clock
from cloud.kit.db import Database, RuleBroken, many, one
from cloud.kit.ids import new_id
from cloud.people import service as people
from cloud.people.model import Tie
from tests.cast import FIRST_DAY, Cast, a_district
from tests.conftest import PUBLIC_URL

ORIGIN = {"origin": PUBLIC_URL}
EMAIL = "aisel@mail.example"


@pytest.fixture
def here(database: Database) -> Cast:
    return a_district(database)


@pytest.fixture
def there(database: Database) -> Cast:
    return a_district(database, "neighbour", 202)


def imported(database: Database, cast: Cast, child: UUID, email: str | None = EMAIL, key: str = "imported") -> UUID:
    """A guardian as an office or an import writes her: an address that nobody proved, and a child."""
    now = clock.now()
    with database.tenant(cast.district) as tx:
        login = identity.make_login(tx, email, now) if email else None
        person = people.put_person(
            tx, cast.district, sourced_id=key, given="Әсел", family="", language="kk", login_id=login
        )
        people.tie_guardian(tx, cast.district, Tie(child, person, "mother", True, True, True, FIRST_DAY))
    return person


def by_letter(database: Database, cast: Cast, person: UUID, *, way: Way = Way.LETTER) -> str:
    """A session confined to the district that gave it out."""
    now = clock.now()
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, person, now)
        return identity.new_session(tx, login, Door.FAMILY, now, way=way, only_district=cast.district)


def actor_of(database: Database, token: str) -> Actor:
    with database.untenanted() as tx:
        actor = identity.actor_of(tx, Door.FAMILY, token, clock.now())
    assert actor
    return actor


def districts_of(database: Database, token: str) -> set[UUID]:
    return {place.district_id for place in actor_of(database, token).places}


def prove(database: Database, token: str, email: str = EMAIL, later: timedelta = timedelta()) -> str:
    with database.untenanted() as tx:
        link = addresses.new_proof(tx, actor_of(database, token), email, token, clock.now())
    try:
        with database.untenanted() as tx:
            addresses.prove(tx, link.removeprefix("/prove/"), token, clock.now() + later)
    except SignInRefused as refused:
        return refused.code
    return "proved"


def a_key(database: Database, token: str) -> UUID:
    """A passkey row tied to this session, as passkeys.finish_making leaves it."""
    actor, key = actor_of(database, token), new_id()
    with database.untenanted() as tx:
        tx.execute(
            "INSERT INTO passkey VALUES (%s, %s, 'family', %s, %s, %s, %s, 0, 'Phone', now(), now())",
            (key, actor.login_id, actor.only_district, key.bytes, bytes(32), bytes(77)),
        )
        tx.execute("UPDATE session SET passkey_id = %s, opened_by = 'passkey' WHERE token_hash = sha256(%s)",
                   (key, token.encode()))  # fmt: skip
    return key


def test_an_office_that_writes_anothers_address_joins_nobody(database: Database, here: Cast, there: Cast) -> None:
    parent, bait = imported(database, here, here.aigerim), imported(database, there, there.minh)
    logins = []
    for cast, person in ((here, parent), (there, bait)):
        with database.tenant(cast.district) as tx:
            logins.append(identity.login_of_person(tx, cast.district, person, clock.now()))
    assert logins[0] != logins[1]
    assert districts_of(database, by_letter(database, there, bait)) == {there.district}


def test_a_proved_address_brings_the_children_of_both_districts_without_linking_anything(
    database: Database, here: Cast, there: Cast
) -> None:
    parent = imported(database, here, here.aigerim)
    imported(database, there, there.minh)
    token = by_letter(database, here, parent)
    key = a_key(database, token)
    assert districts_of(database, token) == {here.district}
    assert prove(database, token) == "proved"
    assert districts_of(database, token) == {here.district, there.district}
    with database.untenanted() as tx:
        assert one(tx, int, "SELECT count(*) FROM login WHERE email = %s", (EMAIL,)) == 1
        assert one(tx, bool, "SELECT only_district IS NULL FROM passkey WHERE id = %s", (key,))


def test_an_import_after_the_proof_needs_no_hand_at_all(database: Database, here: Cast, there: Cast) -> None:
    token = by_letter(database, here, imported(database, here, here.aigerim))
    a_key(database, token)
    assert prove(database, token) == "proved"
    imported(database, there, there.minh)
    assert districts_of(database, token) == {here.district, there.district}


def test_what_an_office_gives_out_for_a_joined_login_stays_in_its_district(
    database: Database, here: Cast, there: Cast
) -> None:
    parent, bait = imported(database, here, here.aigerim), imported(database, there, there.minh)
    assert prove(database, by_letter(database, here, parent)) == "proved"
    thief = by_letter(database, there, bait)
    assert districts_of(database, thief) == {there.district}
    key = a_key(database, thief)
    with database.untenanted() as tx:
        assert one(tx, UUID, "SELECT only_district FROM passkey WHERE id = %s", (key,)) == there.district
    assert prove(database, thief, "office@there.example") == "LINK_UNKNOWN", "a mailbox of the office's own"
    assert districts_of(database, thief) == {there.district}
    with database.untenanted() as tx:
        assert one(tx, str, "SELECT email FROM login WHERE email_proved_at IS NOT NULL") == EMAIL


def test_a_confined_session_sees_and_ends_nothing_of_the_other_districts(
    database: Database, here: Cast, there: Cast
) -> None:
    parent, bait = imported(database, here, here.aigerim), imported(database, there, there.minh)
    own = by_letter(database, here, parent)
    key = a_key(database, own)
    assert prove(database, own) == "proved"
    thief = by_letter(database, there, bait)
    actor, now = actor_of(database, thief), clock.now()
    with database.untenanted() as tx:
        [session] = many(tx, UUID, "SELECT id FROM session WHERE token_hash = sha256(%s)", (own.encode(),))
        assert passkeys.passkeys_of(tx, actor) == []
        assert not passkeys.remove_passkey(tx, actor, key, thief, now)
        assert [one.is_this for one in identity.open_sessions(tx, actor, thief, now)] == [True]
        assert not identity.end_open_session(tx, actor, session, now)
        identity.sign_out_everywhere(tx, actor.login_id, now, actor.only_district)
    assert districts_of(database, own) == {here.district, there.district}


def test_a_proof_works_once_for_a_day_and_in_the_session_that_asked(
    database: Database, here: Cast, there: Cast
) -> None:
    parent = imported(database, here, here.aigerim)
    token, other = by_letter(database, here, parent), by_letter(database, here, parent)
    assert prove(database, token, later=PROOF_LIFETIME) == "LINK_UNKNOWN"
    with database.untenanted() as tx:
        link = addresses.new_proof(tx, actor_of(database, token), EMAIL, token, clock.now())
    secret = link.removeprefix("/prove/")
    for session, told in ((other, "no"), (token, "yes"), (token, "no")):
        try:
            with database.untenanted() as tx:
                addresses.prove(tx, secret, session, clock.now())
            said = "yes"
        except SignInRefused:
            said = "no"
        assert said == told


def test_two_persons_of_one_district_are_never_made_one(database: Database, here: Cast) -> None:
    first = imported(database, here, here.aigerim, EMAIL, "first")
    second = imported(database, here, here.minh, None, "second")
    token = by_letter(database, here, second)
    assert prove(database, by_letter(database, here, first)) == "proved"
    assert prove(database, token) == "proved", "the same mailbox"
    assert actor_of(database, token).person_id == second
    assert {place.person_id for place in actor_of(database, token).places} == {second}


def test_the_letter_of_a_second_district_joins_who_is_signed_in_and_sure(
    browser: TestClient, database: Database, here: Cast, there: Cast
) -> None:
    parent, again = (imported(database, cast, child, None)
                     for cast, child in ((here, here.aigerim), (there, there.minh)))  # fmt: skip
    token = by_letter(database, here, parent, way=Way.PASSKEY)
    browser.cookies.set(COOKIES[Door.FAMILY], token)
    with database.tenant(there.district) as tx:
        code = letters.new_letter(tx, there.district, again, Door.FAMILY, by=None, now=clock.now()).code
    first = browser.post("/letter", data={"code": code, "join": "yes"}, headers=ORIGIN)
    assert first.headers["location"].startswith("/step-up?next="), "not sure yet, and the letter is not used up"
    with database.untenanted() as tx:
        identity.make_sure(tx, token, clock.now())
    assert "checked" in browser.get("/letter").text
    assert browser.post("/letter", data={"code": code, "join": "yes"}, headers=ORIGIN).headers["location"] == "/family"
    assert districts_of(database, token) == {here.district, there.district}


def test_a_letter_of_a_third_district_does_not_widen_a_session_that_is_narrow(
    database: Database, here: Cast, there: Cast
) -> None:
    """An office of `there` and one of a third district together must not read what `here` keeps."""
    third = a_district(database, "third", 303)
    parent, bait = imported(database, here, here.aigerim), imported(database, there, there.minh)
    assert prove(database, by_letter(database, here, parent)) == "proved"
    thief = by_letter(database, there, bait, way=Way.PASSKEY)
    letter = by_letter(database, third, imported(database, third, third.minh, None))
    with database.untenanted() as tx:
        identity.make_sure(tx, thief, clock.now())
        assert not addresses.join_by_letter(tx, letter, thief, clock.now())
    assert districts_of(database, thief) == {there.district}


def test_an_address_is_proved_once_in_the_whole_deployment(database: Database, here: Cast, there: Cast) -> None:
    for cast, child in ((here, here.aigerim), (there, there.minh)):
        imported(database, cast, child)
    with pytest.raises(RuleBroken) as broken, database.untenanted() as tx:
        tx.execute("UPDATE login SET email_proved_at = now() WHERE email = %s", (EMAIL,))
    assert (broken.value.sqlstate, broken.value.constraint) == ("23505", "login_email_once")


def test_the_demonstration_shows_the_message_and_the_press_joins(
    demo: TestClient, database: Database, here: Cast, there: Cast
) -> None:
    parent = imported(database, here, here.aigerim)
    imported(database, there, there.minh)
    token = by_letter(database, here, parent, way=Way.DEMO)
    demo.cookies.set(COOKIES[Door.FAMILY], token)
    demo.post("/step-up/demo", data={"next": "/account"}, headers=ORIGIN)
    shown = demo.post("/account/family/address", data={"email": EMAIL}, headers=ORIGIN)
    link = shown.text.split('href="/prove/')[1].split('"')[0]
    assert demo.get(f"/prove/{link}").status_code == 200
    assert districts_of(database, token) == {here.district}, "looking proves nothing"
    assert demo.post(f"/prove/{link}", headers=ORIGIN).headers["location"] == "/family"
    assert districts_of(database, token) == {here.district, there.district}


def test_outside_a_demonstration_no_page_shows_the_message(
    browser: TestClient, database: Database, here: Cast
) -> None:
    token = by_letter(database, here, imported(database, here, here.aigerim))
    with database.untenanted() as tx:
        identity.make_sure(tx, token, clock.now())
    browser.cookies.set(COOKIES[Door.FAMILY], token)
    assert browser.post("/account/family/address", data={"email": EMAIL}, headers=ORIGIN).status_code == 404
