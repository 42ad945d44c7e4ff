"""Passwords: long, not common, argon2id; unknown addresses answer and cost the same; tries are counted three ways."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from cloud.identity import passwords
from cloud.identity import service as identity
from cloud.identity.doors import COOKIES
from cloud.identity.model import Actor, Door, Way
from cloud.identity.passwords import HASHERS_MAX, TOO_COMMON, TOO_LONG, TOO_SHORT, WAITING_MAX, normal_email, problem_of
from cloud.identity.service import SignInRefused
from cloud.identity.tries import TRIES_MAX, WINDOW, Kind, allow
from cloud.kit import clock
from cloud.kit.db import Database, RuleBroken, one
from cloud.kit.errors import Refused
from tests.cast import Cast, a_district
from tests.conftest import PUBLIC_URL

ORIGIN = {"origin": PUBLIC_URL}
WORDS = "three calm geese swim"
HASHED = passwords.hash_password(WORDS)
EMAIL = "mother@demo.example"


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


def session_of(database: Database, cast: Cast, person: UUID, *, way: Way = Way.LETTER, confined: bool = True
               ) -> tuple[str, Actor]:  # fmt: skip
    now = clock.now()
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, person, now)
        only = cast.district if confined else None
        token = identity.new_session(tx, login, Door.FAMILY, now, way=way, only_district=only)
        actor = identity.actor_of(tx, Door.FAMILY, token, now)
    assert actor
    return token, actor


def a_password(database: Database, cast: Cast, person: UUID, email: str = EMAIL) -> None:
    token, actor = session_of(database, cast, person)
    with database.untenanted() as tx:
        passwords.set_password(tx, actor, email, HASHED, token, clock.now())


def sign_in(browser: TestClient, email: str, password: str, next: str = "") -> Response:
    return browser.post("/sign-in", data={"email": email, "password": password, "next": next}, headers=ORIGIN)


@pytest.mark.parametrize(("password", "problem"), [
    ("short enough", TOO_SHORT), ("x" * 201, TOO_LONG), ("passwordpassword", TOO_COMMON),
    ("123456789012345", TOO_COMMON), ("Qwerty1234567890!", TOO_COMMON), ("йцукен12345678901", TOO_COMMON),
    ("aaaaaaaaaaaaaaaaaaaa", TOO_COMMON),
    ("aidana.s.aidana.s.1", TOO_COMMON), ("motdepasse2026!!", TOO_COMMON), (WORDS, ""), ("тыныш қаз жүзеді бүгін", ""),
    ("con vịt bơi chậm rãi", ""), ("correct horse battery staple", ""), ("x9#" * 5 + "Kv2", ""),
])  # fmt: skip
def test_a_new_password_is_long_and_uncommon_and_nothing_else_is_asked(password: str, problem: str) -> None:
    assert problem_of(password, "aidana.s@mail.example") == problem


@pytest.mark.parametrize(
    "typed", ["", "x", "a@b", "a b@c.de", "a@b@c.de", "a\n@c.de", "x" * 300 + "@c.de", "\u202ea@c.de"]
)
def test_what_is_no_address_is_none(typed: str) -> None:
    assert normal_email(typed) == ""


def test_an_address_and_a_password_open_the_familys_door_as_far_as_they_were_made(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    a_password(database, cast, cast.mother)
    entered = sign_in(browser, " Mother@Demo.example ", WORDS, "/family/matters")
    assert (entered.status_code, entered.headers["location"]) == (303, "/family/matters")
    assert browser.get("/family/matters").status_code == 200, "a password just typed is a proof"
    with database.untenanted() as tx:
        actor = identity.actor_of(tx, Door.FAMILY, browser.cookies[COOKIES[Door.FAMILY]], clock.now())
        kept = one(tx, str, "SELECT hash FROM password")
    assert actor and (actor.way, actor.only_district) == (Way.PASSWORD, cast.district)
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_the_same_characters_typed_another_way_are_the_same_password(database: Database, cast: Cast) -> None:
    hashed = passwords.hash_password("le café est déjà fermé")
    decomposed = "le cafe\u0301 est de\u0301ja\u0300 ferme\u0301"
    kept = [passwords.Kept(cast.mother, None, hashed)]
    assert passwords.fitting(kept, decomposed) is kept[0]
    assert passwords.fitting(kept, "le cafe est deja ferme") is None


def test_unknown_and_wrong_answer_alike_and_do_the_same_work(
    browser: TestClient, database: Database, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    a_password(database, cast, cast.mother)
    pages = {sign_in(browser, email, "wrong but long enough").text.replace(email, "")
             for email in (EMAIL, "nobody@demo.example", "father@demo.example")}  # fmt: skip
    assert len(pages) == 1
    assert "do not fit together" in pages.pop()
    assert WORDS not in caplog.text
    worked: list[str] = []
    with counted_verifications(worked):
        for email in (EMAIL, "nobody@demo.example", "no address"):
            sign_in(browser, email, "wrong but long enough")
    assert len(worked) == 3 * passwords.CANDIDATES


@contextmanager
def counted_verifications(worked: list[str]) -> Iterator[None]:
    """Watch argon2 itself: the library's hasher, not ours, is wrapped, and still does all its work."""
    hasher, verify = type(passwords.HASHER), type(passwords.HASHER).verify

    def watched(self: object, kept: str, password: str) -> bool:
        worked.append(kept)
        return verify(self, kept, password)  # pyright: ignore[reportArgumentType]

    hasher.verify = watched  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        hasher.verify = verify


def test_an_account_is_closed_to_passwords_after_ten_wrong_ones_also_for_the_right_one(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    a_password(database, cast, cast.mother)
    with database.untenanted() as tx:
        for _ in range(TRIES_MAX[Kind.ACCOUNT] - 1):
            assert allow(tx, bytes(range(32)), Kind.ACCOUNT, EMAIL, clock.now())
    assert sign_in(browser, EMAIL, "wrong but long enough").status_code == 403
    told = sign_in(browser, EMAIL, WORDS)
    assert (told.status_code, "passkey" in told.text) == (429, True)
    assert sign_in(browser, "father@demo.example", "wrong but long enough").status_code == 403
    with database.untenanted() as tx:
        assert allow(tx, bytes(range(32)), Kind.ACCOUNT, EMAIL, clock.now() + WINDOW), "the next quarter of an hour"


def test_tries_are_counted_for_the_address_and_for_the_school_and_before_the_answer(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    a_password(database, cast, cast.mother)
    sign_in(browser, EMAIL, "wrong but long enough")
    with database.untenanted() as tx:
        assert one(tx, int, "SELECT count(*) FROM sign_in_try WHERE tries = 1") == 3
        for kind, what in ((Kind.SCHOOL, str(cast.school)), (Kind.ADDRESS, "testclient")):
            for _ in range(TRIES_MAX[kind] - 1):
                allow(tx, bytes(range(32)), kind, what, clock.now())
        tx.execute("DELETE FROM sign_in_try WHERE tries < 60")
    assert sign_in(browser, EMAIL, WORDS).status_code == 429, "the school has had enough"
    with database.untenanted() as tx:
        tx.execute("DELETE FROM sign_in_try")
    assert sign_in(browser, EMAIL, WORDS).status_code == 303
    with database.untenanted() as tx:
        assert one(tx, int, "SELECT sum(tries) FROM sign_in_try") == 0, "a right one is forgiven"


def test_hashing_waits_in_a_short_line_and_more_are_sent_away() -> None:
    held = threading.Event()
    inside = threading.Semaphore(0)

    def occupy() -> None:
        with passwords._place():
            inside.release()
            held.wait(10)

    crowd = [threading.Thread(target=occupy) for _ in range(HASHERS_MAX + WAITING_MAX)]
    for one_of_them in crowd:
        one_of_them.start()
    for _ in range(HASHERS_MAX):
        inside.acquire(timeout=5)
    while passwords._line._value:  # until all of them wait
        pass
    with pytest.raises(SignInRefused) as refused:
        passwords.hash_password(WORDS)
    held.set()
    for one_of_them in crowd:
        one_of_them.join(10)
    assert (refused.value.code, refused.value.answer.status) == ("SIGN_IN_BUSY", 503)
    assert passwords.hash_password(WORDS).startswith("$argon2id$")


def test_a_confined_session_changes_no_proved_address_and_no_password_that_reaches_further(
    database: Database, cast: Cast
) -> None:
    a_password(database, cast, cast.mother)
    with database.untenanted() as tx:
        tx.execute("UPDATE password SET only_district = NULL")
    token, actor = session_of(database, cast, cast.mother)
    with pytest.raises(Refused) as refused, database.untenanted() as tx:
        passwords.set_password(tx, actor, EMAIL, HASHED, token, clock.now())
    assert refused.value.code == "NOT_YOURS"
    with database.untenanted() as tx:
        assert not passwords.remove_password(tx, actor, token, clock.now())
        tx.execute("UPDATE password SET only_district = %s", (cast.district,))
        tx.execute("UPDATE login SET email_proved_at = now() WHERE email = %s", (EMAIL,))
    with pytest.raises(Refused), database.untenanted() as tx:
        passwords.set_password(tx, actor, "other@demo.example", HASHED, token, clock.now())


def test_a_changed_password_ends_what_the_old_one_opened(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    a_password(database, cast, cast.mother)
    sign_in(browser, EMAIL, WORDS)
    thief = browser.cookies[COOKIES[Door.FAMILY]]
    sign_in(browser, EMAIL, WORDS)
    told = browser.post("/account/family/password", headers=ORIGIN,
                        data={"email": EMAIL, "password": "another four calm words"})  # fmt: skip
    assert told.headers["location"] == "/account?door=family&said=password"
    with database.untenanted() as tx:
        assert identity.actor_of(tx, Door.FAMILY, thief, clock.now()) is None
    assert browser.get("/account").status_code == 200
    assert sign_in(browser, EMAIL, WORDS).status_code == 403


def test_a_password_is_set_by_form_with_its_problems_beside_the_field(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    token, _ = session_of(database, cast, cast.stranger)
    browser.cookies.set(COOKIES[Door.FAMILY], token)
    bad = browser.post("/account/family/password", data={"email": "x", "password": "short"}, headers=ORIGIN)
    assert bad.status_code == 400
    assert 'id="password-password-problem"' in bad.text and 'id="password-email-problem"' in bad.text
    assert 'value="short"' not in bad.text, "a password is never drawn"
    good = browser.post("/account/family/password", headers=ORIGIN, data={"email": "hoa@x.example", "password": WORDS})
    assert good.status_code == 303
    old, _ = session_of(database, cast, cast.father, way=Way.PASSKEY)
    browser.cookies.set(COOKIES[Door.FAMILY], old)
    told = browser.post("/account/family/password", headers=ORIGIN, data={"email": "o@x.example", "password": WORDS})
    assert told.headers["location"].startswith("/step-up?next=")


def test_a_password_is_a_proof_in_its_own_session_and_another_persons_is_not(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    a_password(database, cast, cast.mother)
    token, _ = session_of(database, cast, cast.mother)
    browser.cookies.set(COOKIES[Door.FAMILY], token)
    assert 'action="/step-up/password"' in browser.get("/step-up?next=/family/matters").text
    for password, status in (("wrong but long enough", 403), (WORDS, 303)):
        told = browser.post("/step-up/password", data={"password": password, "next": "/family/matters"}, headers=ORIGIN)
        assert told.status_code == status
    assert browser.get("/family/matters").status_code == 200
    token, _ = session_of(database, cast, cast.father)
    browser.cookies.set(COOKIES[Door.FAMILY], token)
    told = browser.post("/step-up/password", data={"password": WORDS, "next": "/family/matters"}, headers=ORIGIN)
    assert (told.status_code, browser.get("/family/matters").status_code) == (403, 303)


def test_the_database_keeps_argon2id_and_nothing_else(database: Database, cast: Cast) -> None:
    _, actor = session_of(database, cast, cast.mother)
    with pytest.raises(RuleBroken) as broken, database.untenanted() as tx:
        tx.execute("INSERT INTO password VALUES (%s, NULL, %s, now())", (actor.login_id, WORDS))
    assert (broken.value.sqlstate, broken.value.constraint) == ("23514", "password_argon2id")
    assert timedelta(minutes=15) == WINDOW
