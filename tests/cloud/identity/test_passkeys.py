"""Passkeys without a browser: an authenticator that follows the rules, and one that breaks each of them."""

import hashlib
import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import cbor2
import pytest
from fastapi.testclient import TestClient
from httpx import Response

from cloud.identity import passkeys
from cloud.identity import service as identity
from cloud.identity.doors import COOKIES
from cloud.identity.model import FIRST_KEY_LIFETIME, Door, HeldPhone, Way
from cloud.identity.passkeys import CHALLENGE_LIFETIME, PASSKEYS_MAX, Purpose
from cloud.identity.service import SignInRefused
from cloud.kit import clock
from cloud.kit.db import Database, RuleBroken, many, one
from cloud.kit.ids import new_id, token_hash
from cloud.people import service as people
from cloud.people.model import Tie
from tests.cast import FIRST_DAY, Cast, a_district
from tests.cloud.identity.authenticator import PRESENT, Authenticator, bytes_of, text_of
from tests.conftest import PUBLIC_URL

ORIGIN = {"origin": PUBLIC_URL}
HOST = "school.test"


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


def an_authenticator(**lies: Any) -> Authenticator:
    return Authenticator(**{"host": HOST, "origin": PUBLIC_URL, **lies})


def sign_in_as(browser: TestClient, database: Database, cast: Cast, person: str, door: Door = Door.FAMILY, *,
               way: Way = Way.LETTER, confined: bool = True, since: timedelta = timedelta()) -> str:  # fmt: skip
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, getattr(cast, person), clock.now())
        district = cast.district if confined else None
        token = identity.new_session(tx, login, door, clock.now() - since, way=way, only_district=district)
    browser.cookies.set(COOKIES[door], token)
    return token


def ask(browser: TestClient, path: str, body: object = None) -> Response:
    return browser.post(f"/api/passkeys/{path}", json=body, headers=ORIGIN)


def make(browser: TestClient, key: Authenticator, door: Door = Door.FAMILY) -> Response:
    started = ask(browser, f"{door}/make/start")
    if started.status_code != 200:
        return started
    return ask(browser, f"{door}/make/finish", {"credential": key.make(started.json()), "name": "Phone"})


def enter(browser: TestClient, key: Authenticator) -> Response:
    return ask(browser, "enter/finish", key.sign(ask(browser, "enter/start").json()))


def prove(browser: TestClient, key: Authenticator, door: Door = Door.FAMILY) -> Response:
    return ask(browser, f"{door}/prove/finish", key.sign(ask(browser, f"{door}/prove/start").json()))


def code_of(answer: Response) -> str:
    return answer.json().get("code", "") if answer.status_code != 200 else ""


def a_holder(browser: TestClient, database: Database, cast: Cast, person: str = "mother") -> Authenticator:
    """Somebody who made a key after a letter, and then signed out."""
    key = an_authenticator()
    sign_in_as(browser, database, cast, person)
    assert make(browser, key).status_code == 200
    browser.cookies.clear()
    return key


def test_a_key_made_after_a_letter_signs_in_and_is_a_proof(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    key = a_holder(browser, database, cast)
    entered = enter(browser, key)
    assert (entered.status_code, entered.json()) == (200, {"next": "/family"})
    assert browser.get("/family").status_code == 200
    with database.untenanted() as tx:
        actor = identity.actor_of(tx, Door.FAMILY, browser.cookies[COOKIES[Door.FAMILY]], clock.now())
    assert actor and actor.is_sure(clock.now()) and actor.way is Way.PASSKEY
    assert actor.only_district == cast.district, "what a letter began reaches no further than the letter"


def test_a_school_opens_to_a_passkey_made_after_a_letter_and_to_nothing_less(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    sign_in_as(browser, database, cast, "head", Door.SCHOOL)
    assert browser.get("/school/day").headers["location"] == "/account/first-passkey?next=%2Fschool%2Fday"
    key = an_authenticator()
    assert make(browser, key, Door.SCHOOL).status_code == 200
    assert browser.get("/school/day").status_code == 200
    browser.cookies.clear()
    assert enter(browser, key).json() == {"next": "/school/day"}
    assert browser.get("/school/day").status_code == 200


def test_the_options_ask_for_a_kept_key_and_a_finger_and_name_no_credential(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    sign_in_as(browser, database, cast, "mother")
    made = ask(browser, "family/make/start").json()
    assert made["authenticatorSelection"]["residentKey"] == "required"
    assert made["authenticatorSelection"]["userVerification"] == "required"
    assert made["attestation"] == "none"
    entered = ask(browser, "enter/start").json()
    assert (entered["userVerification"], entered["allowCredentials"], entered["rpId"]) == ("required", [], HOST)


LIES: dict[str, dict[str, Any]] = {
    "another origin": {"origin": "https://evil.test"}, "another port": {"origin": PUBLIC_URL + ":8443"},
    "no protection": {"origin": "http://school.test"}, "another host": {"host": "evil.test"},
    "no finger": {"flags": PRESENT}, "nobody there": {"flags": 0},
}  # fmt: skip


def test_no_key_is_made_by_an_authenticator_that_lies(browser: TestClient, database: Database, cast: Cast) -> None:
    sign_in_as(browser, database, cast, "mother")
    told = {name: code_of(make(browser, an_authenticator(**lie))) for name, lie in LIES.items()}
    assert told == dict.fromkeys(LIES, "PASSKEY_REFUSED")
    with database.untenanted() as tx:
        assert one(tx, int, "SELECT count(*) FROM passkey") == 0


def test_nobody_enters_by_an_authenticator_that_lies(browser: TestClient, database: Database, cast: Cast) -> None:
    key = a_holder(browser, database, cast)
    told = {name: code_of(enter(browser, replace(key, **lie))) for name, lie in LIES.items()}
    assert told == dict.fromkeys(LIES, "PASSKEY_REFUSED")
    assert "__Host-family" not in browser.cookies
    assert enter(browser, key).status_code == 200


def test_a_challenge_is_answered_once_by_its_own_session_and_for_its_own_purpose(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    key = a_holder(browser, database, cast)
    options = ask(browser, "enter/start").json()
    answer = key.sign(options)
    assert ask(browser, "enter/finish", answer).status_code == 200
    assert code_of(ask(browser, "enter/finish", answer)) == "PASSKEY_REFUSED", "again"
    assert code_of(ask(browser, "family/prove/finish", key.sign(ask(browser, "enter/start").json()))) \
        == "PASSKEY_REFUSED", "made for entering, used for proving"
    own = ask(browser, "family/prove/start").json()
    sign_in_as(browser, database, cast, "mother", way=Way.PASSKEY)
    assert code_of(ask(browser, "family/prove/finish", key.sign(own))) == "PASSKEY_REFUSED", "of another session"


def test_a_challenge_that_we_did_not_give_or_that_is_old_is_refused(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    key = a_holder(browser, database, cast)
    invented = {"challenge": text_of(secrets.token_bytes(32))}
    assert code_of(ask(browser, "enter/finish", key.sign(invented))) == "PASSKEY_REFUSED"
    party, now = passkeys.relying_party(PUBLIC_URL), clock.now()
    with database.untenanted() as tx:
        answer = key.sign(passkeys.start_entering(tx, party, now))
        with pytest.raises(SignInRefused):
            passkeys.take_challenge(tx, Purpose.ENTER, answer, None, now + CHALLENGE_LIFETIME)
        passkeys.take_challenge(tx, Purpose.ENTER, answer, None, now + CHALLENGE_LIFETIME - timedelta(seconds=1))


def test_a_refused_answer_has_used_its_challenge_up(browser: TestClient, database: Database, cast: Cast) -> None:
    key = a_holder(browser, database, cast)
    options = ask(browser, "enter/start").json()
    key.flags = PRESENT
    assert code_of(ask(browser, "enter/finish", key.sign(options))) == "PASSKEY_REFUSED"
    with database.untenanted() as tx:
        assert one(tx, int, "SELECT count(*) FROM passkey_challenge") == 0


def test_a_counter_that_went_back_or_stood_still_is_refused_by_code_and_database(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    key = a_holder(browser, database, cast)
    key.counter = 7
    assert enter(browser, key).status_code == 200
    for copied in (7, 6, 0):
        key.counter = copied
        assert code_of(enter(browser, key)) == "PASSKEY_REFUSED"
    key.counter = 8
    assert enter(browser, key).status_code == 200
    for column, value in (("counter", 7), ("public_key", bytes(77)), ("door", "school")):
        with pytest.raises(RuleBroken) as broken, database.untenanted() as tx:
            tx.execute(f"UPDATE passkey SET {column} = %s", (value,))  # pyright: ignore[reportArgumentType]
        assert (broken.value.sqlstate, broken.value.constraint) == ("23001", "passkey_only_forward")


def test_a_key_that_never_counts_is_welcome_each_time(browser: TestClient, database: Database, cast: Cast) -> None:
    key = an_authenticator(counter=0)  # synchronised passkeys of phones say 0 for ever
    sign_in_as(browser, database, cast, "mother")
    assert make(browser, key).status_code == 200
    for _ in range(2):
        key.counter = 0
        assert enter(browser, key).status_code == 200


def test_another_persons_key_proves_nothing_and_another_handle_opens_nothing(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    mothers, strangers = a_holder(browser, database, cast), a_holder(browser, database, cast, "stranger")
    assert enter(browser, mothers).status_code == 200
    assert code_of(prove(browser, strangers)) == "PASSKEY_REFUSED"
    assert prove(browser, mothers).status_code == 200
    mothers.handle = strangers.handle
    assert code_of(enter(browser, mothers)) == "PASSKEY_REFUSED"
    mothers.credential = strangers.credential  # her signature under the other's name
    assert code_of(enter(browser, mothers)) == "PASSKEY_REFUSED"


def test_a_key_of_the_familys_door_proves_nothing_at_the_schools(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    with database.tenant(cast.district) as tx:
        people.tie_guardian(tx, cast.district, Tie(cast.minh, cast.head, "aunt", True, True, True, FIRST_DAY))
    key = a_holder(browser, database, cast, "head")
    sign_in_as(browser, database, cast, "head", Door.SCHOOL, way=Way.PASSKEY)
    assert code_of(prove(browser, key, Door.SCHOOL)) == "PASSKEY_REFUSED"
    assert enter(browser, key).json() == {"next": "/family"}


def test_one_authenticator_makes_one_key_and_nobody_takes_anothers(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    key = a_holder(browser, database, cast)
    sign_in_as(browser, database, cast, "stranger")
    assert code_of(make(browser, key)) == "PASSKEY_KNOWN"
    sign_in_as(browser, database, cast, "mother")
    excluded = ask(browser, "family/make/start").json()["excludeCredentials"]
    assert [bytes_of(one["id"]) for one in excluded] == [key.credential]


def test_a_browser_is_told_no_key_of_another_district_of_the_same_login(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    there = a_district(database, "neighbour", 202)
    a_holder(browser, database, cast)
    with database.untenanted() as tx:
        tx.execute("UPDATE passkey SET only_district = %s", (there.district,))
    sign_in_as(browser, database, cast, "mother")
    assert ask(browser, "family/make/start").json()["excludeCredentials"] == []


def test_ten_keys_are_the_most(browser: TestClient, database: Database, cast: Cast) -> None:
    sign_in_as(browser, database, cast, "mother")
    answers = [code_of(make(browser, an_authenticator())) for _ in range(PASSKEYS_MAX + 1)]
    assert answers == [""] * PASSKEYS_MAX + ["PASSKEY_TOO_MANY"]


def test_a_session_that_is_open_for_long_makes_no_key(browser: TestClient, database: Database, cast: Cast) -> None:
    for way, since, told in (
        (Way.LETTER, FIRST_KEY_LIFETIME, "PASSKEY_TOO_LATE"), (Way.LETTER, FIRST_KEY_LIFETIME / 2, ""),
        (Way.LINK, timedelta(), ""), (Way.DEMO, timedelta(), "PASSKEY_TOO_LATE"),
        (Way.PASSKEY, timedelta(), "PASSKEY_TOO_LATE"), (Way.PASSWORD, timedelta(), "PASSKEY_TOO_LATE"),
    ):  # fmt: skip
        sign_in_as(browser, database, cast, "mother", way=way, since=since)
        assert code_of(ask(browser, "family/make/start")) == told, way


def paired(database: Database, cast: Cast, person: str, door: Door) -> str:
    now = clock.now()
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, getattr(cast, person), now)
        phone = new_id()
        tx.execute(
            "INSERT INTO pass_key (district_id, id, person_id, slot, cose_key, thumb, paired_at)"
            " VALUES (%s, %s, %s, 1, %s, %s, %s)",
            (cast.district, phone, getattr(cast, person), bytes(40), secrets.token_bytes(8), now),
        )
        return identity.new_session(tx, login, door, now, HeldPhone(cast.district, phone))


def test_a_pairing_code_makes_a_familys_first_key_and_never_one_of_staff(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    browser.cookies.set(COOKIES[Door.SCHOOL], paired(database, cast, "head", Door.SCHOOL))
    assert code_of(ask(browser, "school/make/start")) == "PASSKEY_TOO_LATE"
    browser.cookies.set(COOKIES[Door.FAMILY], paired(database, cast, "mother", Door.FAMILY))
    assert make(browser, an_authenticator()).status_code == 200
    browser.cookies.set(COOKIES[Door.FAMILY], paired(database, cast, "stranger", Door.FAMILY))
    a_holder(browser, database, cast, "father")
    browser.cookies.set(COOKIES[Door.FAMILY], paired(database, cast, "father", Door.FAMILY))
    assert code_of(ask(browser, "family/make/start")) == "PASSKEY_TOO_LATE", "there is a key already"


GARBAGE: dict[str, Any] = {
    "no CBOR": b"\xff\x00rubbish", "empty": b"", "a bomb of arrays": b"\x81" * 5_000, "endless": b"\x9f" * 100,
    "a wrong shape": cbor2.dumps([1, 2, 3]), "no data": cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": b""}),
    "a huge length": b"\x5b" + b"\xff" * 8,
    "another format": cbor2.dumps({"fmt": "x", "attStmt": {}, "authData": b"y"}),
}  # fmt: skip


def test_garbage_from_an_authenticator_is_a_plain_no(browser: TestClient, database: Database, cast: Cast) -> None:
    sign_in_as(browser, database, cast, "mother")
    for name, garbage in GARBAGE.items():
        answer = an_authenticator().make(ask(browser, "family/make/start").json())
        answer["response"]["attestationObject"] = text_of(garbage)
        told = ask(browser, "family/make/finish", {"credential": answer})
        assert (told.status_code, code_of(told)) == (403, "PASSKEY_REFUSED"), name
    key = a_holder(browser, database, cast)
    for name, garbage in GARBAGE.items():
        for part in ("authenticatorData", "signature"):
            answer = key.sign(ask(browser, "enter/start").json())
            answer["response"][part] = text_of(garbage[:900])
            assert code_of(ask(browser, "enter/finish", answer)) == "PASSKEY_REFUSED", (name, part)


BODIES: list[Any] = [
    None, [], {}, {"id": "x"}, {"id": "x", "rawId": "x", "type": "public-key", "response": {}},
    {"id": "x", "rawId": "x" * 2_000, "type": "public-key", "response": {"clientDataJSON": "x"}},
    {"id": "x", "rawId": "x", "type": "public-key", "response": {"clientDataJSON": "x" * 5_000}},
    {"id": 1, "rawId": [], "type": {}, "response": "x"},
]  # fmt: skip
CLIENTS = ["", "é", "AAAA", text_of(b"[]"), text_of(b'{"challenge":7}'), text_of(b"[" * 1_500),
           text_of(b'{"challenge":"!"}')]  # fmt: skip


def test_what_is_no_answer_is_a_plain_no(browser: TestClient) -> None:
    for body in BODIES:
        assert code_of(ask(browser, "enter/finish", body)) == "BAD_INPUT"
    for client in CLIENTS:
        body = {"id": "x", "rawId": "é", "type": "public-key", "response": {"clientDataJSON": client}}
        assert code_of(ask(browser, "enter/finish", body)) == "PASSKEY_REFUSED"


def test_challenges_for_strangers_are_bounded(browser: TestClient, cast: Cast, database: Database) -> None:
    with database.untenanted() as tx:
        tx.execute("INSERT INTO sign_in_try SELECT sha256(i::text::bytea), 1, now() FROM generate_series(1, 3) i")
    assert ask(browser, "enter/start").status_code == 200
    with database.untenanted() as tx:
        tx.execute("UPDATE sign_in_try SET tries = 300")
    assert code_of(ask(browser, "enter/start")) == "SIGN_IN_TOO_MANY"


def test_a_removed_key_opens_nothing_and_ends_what_it_opened(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    key = a_holder(browser, database, cast)
    assert enter(browser, key).status_code == 200
    opened = browser.cookies[COOKIES[Door.FAMILY]]
    now = clock.now()
    with database.untenanted() as tx:
        actor = identity.actor_of(tx, Door.FAMILY, opened, now)
        assert actor
        [held] = passkeys.passkeys_of(tx, actor)
        assert passkeys.name_passkey(tx, actor, held.id, "  Old\nphone\u202e ")
        assert [kept.name for kept in passkeys.passkeys_of(tx, actor)] == ["Old phone"]
        assert not passkeys.remove_passkey(tx, actor, UUID(int=0), "another", now)
        assert passkeys.remove_passkey(tx, actor, held.id, "another", now)
        assert identity.actor_of(tx, Door.FAMILY, opened, now) is None
    browser.cookies.clear()
    assert code_of(enter(browser, key)) == "PASSKEY_REFUSED"


def test_nobody_names_or_removes_anothers_key(browser: TestClient, database: Database, cast: Cast) -> None:
    a_holder(browser, database, cast)
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, cast.stranger, clock.now())
        token = identity.new_session(tx, login, Door.FAMILY, clock.now())
        actor = identity.actor_of(tx, Door.FAMILY, token, clock.now())
        [held] = many(tx, UUID, "SELECT id FROM passkey")
        assert actor
        assert not passkeys.name_passkey(tx, actor, held, "Mine")
        assert not passkeys.remove_passkey(tx, actor, held, token, clock.now())


def test_no_challenge_and_no_key_of_a_person_is_stored_in_clear(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    options = ask(browser, "enter/start").json()
    with database.untenanted() as tx:
        kept = many(tx, bytes, "SELECT challenge_hash FROM passkey_challenge")
    assert kept == [hashlib.sha256(bytes_of(options["challenge"])).digest()]
    assert token_hash("x") not in kept
