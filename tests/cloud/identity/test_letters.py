"""Activation letters: readable, once, 21 days, one district, never for somebody above the writer; tries are bounded."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from cloud.identity import letters
from cloud.identity import service as identity
from cloud.identity.doors import COOKIES
from cloud.identity.letters import LETTER_LIFETIME, LETTERS, check_letter, grouped, normal_code
from cloud.identity.model import Door, Role, Way
from cloud.identity.service import SignInRefused
from cloud.kit import clock
from cloud.kit.db import Database, RuleBroken, many, one
from cloud.kit.ids import new_id
from cloud.people import service as people
from tests.cast import FIRST_DAY, Cast, a_district
from tests.conftest import PUBLIC_URL

ORIGIN = {"origin": PUBLIC_URL}
codes = st.text(LETTERS, min_size=19, max_size=19).map(lambda code: code + check_letter(code))


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


def a_letter(database: Database, cast: Cast, person: UUID, door: Door = Door.FAMILY, by: UUID | None = None) -> str:
    with database.tenant(cast.district) as tx:
        return letters.new_letter(tx, cast.district, person, door, by=by, now=clock.now()).code


def use(database: Database, code: str, later: timedelta = timedelta()) -> str:
    try:
        with database.untenanted() as tx:
            found = letters.find_letter(tx, code, clock.now() + later)
        with database.tenant(found.district_id) as tx:
            return letters.use_letter(tx, found, clock.now() + later).token
    except SignInRefused as refused:
        return refused.code


@given(codes, st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789"), st.integers(0, 19))
def test_a_code_is_read_in_any_grouping_and_one_wrong_letter_is_noticed(code: str, wrong: str, place: int) -> None:
    assert normal_code(grouped(code)) == normal_code(f"  {grouped(code).lower().replace('-', ' ')} ") == code
    mistyped = code[:place] + wrong.upper() + code[place + 1:]
    assert normal_code(mistyped) == (code if mistyped == code else "")


@pytest.mark.parametrize("typed", ["", "A" * 20 + "O", "0" * 20, "A" * 10_000, "ABCD", "é" * 20, "\x00" * 20, "ﬀ" * 10])
def test_what_is_no_code_is_not_even_looked_up(typed: str) -> None:
    assert normal_code(typed) == ""


def test_a_letter_opens_its_door_once_and_its_code_is_stored_nowhere(database: Database, cast: Cast) -> None:
    code = a_letter(database, cast, cast.mother)
    assert re.fullmatch(r"([2-9A-HJ-NP-Z]{4}-){4}[2-9A-HJ-NP-Z]{4}", code)
    token = use(database, code)
    with database.tenant(cast.district) as tx:
        actor = identity.actor_of(tx, Door.FAMILY, token, clock.now())
        assert actor and (actor.way, actor.only_district, actor.person_id) == (Way.LETTER, cast.district, cast.mother)
        assert not actor.is_sure(clock.now())
        assert code.replace("-", "").encode() not in many(tx, bytes, "SELECT code_hash FROM activation_letter")
    assert use(database, code) == "LETTER_UNKNOWN"


def test_a_letter_ends_after_21_days_and_when_another_is_written(database: Database, cast: Cast) -> None:
    first = a_letter(database, cast, cast.mother)
    assert use(database, first, LETTER_LIFETIME) == "LETTER_UNKNOWN"
    second = a_letter(database, cast, cast.mother)
    assert use(database, first) == "LETTER_UNKNOWN"
    assert len(use(database, second, LETTER_LIFETIME - timedelta(minutes=1))) == 43


def test_two_who_use_one_letter_at_once_have_one_winner(database: Database, cast: Cast) -> None:
    code = a_letter(database, cast, cast.mother)
    with ThreadPoolExecutor(4) as at_once:
        told = sorted(at_once.map(lambda _: use(database, code), range(4)))
    assert told.count("LETTER_UNKNOWN") == 3


def test_nobody_writes_a_letter_for_somebody_above_or_for_themself(database: Database, cast: Cast) -> None:
    with database.tenant(cast.district) as tx:
        clerk = people.put_person(tx, cast.district, sourced_id="clerk", given="Clerk", family="", language="en")
        nobody = people.put_person(tx, cast.district, sourced_id="new", given="New", family="", language="en")
        identity.grant_role(tx, cast.district, clerk, Role.OFFICE, FIRST_DAY, school_id=cast.school)
    for writer, person, door in ((clerk, cast.head, Door.SCHOOL), (clerk, cast.teacher, Door.SCHOOL),
                                 (cast.head, cast.operator, Door.FLEET), (clerk, nobody, Door.SCHOOL),
                                 (cast.head, nobody, Door.SCHOOL), (cast.mother, cast.mother, Door.FAMILY)):
        with pytest.raises(SignInRefused) as refused:
            a_letter(database, cast, person, door, writer)
        assert refused.value.code == "LETTER_ABOVE"
    for writer, person, door in ((cast.head, cast.teacher, Door.SCHOOL), (cast.head, clerk, Door.SCHOOL),
                                 (clerk, cast.mother, Door.FAMILY), (None, cast.operator, Door.FLEET)):
        assert a_letter(database, cast, person, door, writer)


def test_a_letter_ends_when_its_person_rises_above_its_writer(database: Database, cast: Cast) -> None:
    code = a_letter(database, cast, cast.teacher, Door.SCHOOL, cast.head)
    with database.tenant(cast.district) as tx:
        identity.grant_role(tx, cast.district, cast.teacher, Role.GATE_STAFF, FIRST_DAY, school_id=cast.school)
        assert one(tx, int, "SELECT count(*) FROM activation_letter WHERE ended_at IS NULL") == 1
        identity.grant_role(tx, cast.district, cast.teacher, Role.DISTRICT_OFFICER, FIRST_DAY)
    assert use(database, code) == "LETTER_UNKNOWN"


RULES = (
    ("life", "23514", {"days": 22}), ("life", "23514", {"days": -1}), ("hashed", "23514", {"hash": b"x"}),
    ("door", "23514", {"door": "back"}), ("for_person", "23503", {"person": new_id()}),
    ("not_above", "23001", {"by": "teacher", "door": "school", "person": "head"}),
    ("not_to_oneself", "23514", {"by": "mother"}),
)


def test_the_database_knows_the_rules_of_letters_by_itself(database: Database, cast: Cast) -> None:
    for rule, state, wrong in RULES:
        told = {"person": "mother", "door": "family", "hash": bytes(32), "by": None, "days": 1, **wrong}
        who = {name: getattr(cast, value) if isinstance(value, str) else value
               for name, value in told.items() if name in ("person", "by")}  # fmt: skip
        with pytest.raises(RuleBroken) as broken, database.tenant(cast.district) as tx:
            tx.execute(
                "INSERT INTO activation_letter (district_id, id, person_id, door, code_hash, issued_by, issued_at,"
                " expires_at) VALUES (%s, %s, %s, %s, %s, %s, now(), now() + make_interval(days => %s))",
                (cast.district, new_id(), who["person"], told["door"], told["hash"], who["by"], told["days"]),
            )
        assert (broken.value.sqlstate, broken.value.constraint) == (state, f"activation_letter_{rule}")


def test_a_typed_letter_leads_to_a_passkey_and_wrong_ones_are_bounded(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    code = a_letter(database, cast, cast.head, Door.SCHOOL)
    wrong = browser.post("/letter", data={"code": code[:-1] + ("2" if code[-1] != "2" else "3")}, headers=ORIGIN)
    assert (wrong.status_code, "This code is not known." in wrong.text) == (404, True)
    opened = browser.post("/letter", data={"code": code.lower()}, headers=ORIGIN)
    assert (opened.status_code, opened.headers["location"]) == (303, "/account/first-passkey?next=/school/day")
    assert 'data-passkey="make"' in browser.get("/account/first-passkey?next=/school/day").text
    assert browser.get("/school/day").status_code == 303
    with database.untenanted() as tx:
        tx.execute("UPDATE sign_in_try SET tries = 30")
    fresh = a_letter(database, cast, cast.mother)
    assert browser.post("/letter", data={"code": fresh}, headers=ORIGIN).status_code == 429


def as_staff(browser: TestClient, database: Database, cast: Cast, person: UUID) -> None:
    now = clock.now()
    with database.tenant(cast.district) as tx:
        token = identity.new_session(tx, identity.login_of_person(tx, cast.district, person, now), Door.SCHOOL, now)
        identity.make_sure(tx, token, now)
    browser.cookies.set(COOKIES[Door.SCHOOL], token)


def test_the_head_prints_a_letter_in_the_readers_language_and_it_opens(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    as_staff(browser, database, cast, cast.head)
    path = f"/school/people/{cast.mother}/letter"
    assert browser.get(path).status_code == 200
    printed = browser.post(path, data={"door": "family"}, headers=ORIGIN)
    assert (printed.status_code, printed.headers["content-language"]) == (200, "kk")
    found = re.search(r'letter-code">([^<]+)<', printed.text)
    assert found and len(use(database, found[1])) == 43
    with database.tenant(cast.district) as tx:
        assert many(tx, str, "SELECT action FROM audit_log") == ["letter.print"]
    assert browser.post(path, data={"door": "fleet"}, headers=ORIGIN).status_code == 400


def test_a_letter_is_not_printed_for_strangers_neighbours_or_by_a_teacher(
    browser: TestClient, database: Database, cast: Cast
) -> None:
    there = a_district(database, "neighbour", 202)
    as_staff(browser, database, cast, cast.head)
    for person in (there.mother, cast.operator, new_id()):
        told = browser.post(f"/school/people/{person}/letter", data={"door": "family"}, headers=ORIGIN)
        assert told.status_code == 404
    as_staff(browser, database, cast, cast.teacher)
    assert browser.get(f"/school/people/{cast.mother}/letter").status_code == 404
