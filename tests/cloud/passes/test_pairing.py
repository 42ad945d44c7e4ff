"""Pairing a phone: proof of possession, two phones, five tries, ten minutes; and everything hostile (P36, P37)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from fastapi.testclient import TestClient
from httpx import Response

from cloud.config import Settings
from cloud.identity import service as identity
from cloud.identity.doors import COOKIES
from cloud.identity.model import Door, Role
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.passes import service as passes
from cloud.passes.keys import init_keys
from cloud.passes.service import LINE_GUESSES_MAX
from cloud.people import service as people
from cloud.people.model import Tie
from tests.cast import FIRST_DAY, Cast, a_district
from tests.conftest import PUBLIC_URL, Clone
from tests.phones import Phone, a_p256_phone, an_ed25519_phone, text


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


@pytest.fixture
def phone_settings(settings: Settings, tmp_path: Path) -> Settings:
    init_keys(tmp_path / "root", tmp_path / "keys", int(clock.now().timestamp()))
    return replace(settings, keys_dir=tmp_path / "keys")


@pytest.fixture
def api(phone_settings: Settings) -> Iterator[TestClient]:
    from cloud.app import create_app

    with TestClient(create_app(phone_settings), base_url=PUBLIC_URL) as client:
        yield client


def a_code(database: Database, settings: Settings, cast: Cast, person: UUID) -> str:
    with database.tenant(cast.district) as tx:
        return passes.new_pairing_code(tx, settings.secret, cast.district, person, clock.now())


def finish(api: TestClient, code: str, phone: Phone, **changes: object) -> Response:
    start = api.post("/api/pair/start", json={"code": code})
    body = {"code": code, "key": phone.key, "proof": phone.proof(start.json()) if start.is_success else ""}
    return api.post("/api/pair/finish", json={**body, **changes})


def code_of(answer: Response) -> str:
    return answer.json()["code"]


@pytest.mark.parametrize("phone", [an_ed25519_phone(1), a_p256_phone()], ids=["ed25519", "p256"])
def test_a_phone_that_proves_its_key_gets_its_passes_and_a_session(
    api: TestClient, database: Database, settings: Settings, cast: Cast, phone: Phone
) -> None:
    answer = finish(api, a_code(database, settings, cast, cast.mother), phone)
    assert answer.status_code == 200, answer.text
    [offer] = answer.json()["passes"]
    assert (offer["site"], offer["kind"], offer["tz"]) == (101, "family", "Asia/Almaty")
    names = {child["name"] for child in offer["children"]}
    assert names == {"Айгерім", "Тимур"}
    assert [child["bit"] for child in offer["children"]] == [0, 1]
    assert {child["perms"] for child in offer["children"]} == {3}
    assert {child["presence"] for child in offer["children"]} == {"unknown"}
    assert offer["exp"] - offer["iat"] == 7 * 86_400
    again = api.get("/api/passes").json()
    assert again["phone"] == "paired"
    assert again["passes"][0]["credential"] == offer["credential"], "the same one all day"


def test_a_credential_is_one_that_a_gate_opens_for(
    api: TestClient, database: Database, settings: Settings, phone_settings: Settings, cast: Cast
) -> None:
    from cloud.passes.keys import load_ring
    from protocols.passes import Place, present, verify
    from tests.phones import octets

    phone = an_ed25519_phone(3)
    [offer] = finish(api, a_code(database, settings, cast, cast.father), phone).json()["passes"]
    now = int(clock.now().timestamp())
    assert phone_settings.keys_dir
    trust = load_ring(phone_settings.keys_dir, now).trust
    shown = present(octets(offer["credential"]), phone.sign, -19, iat=now, direction=1, childmask=1)
    verified = verify(shown, Place(101, now, trust))
    assert len(verified.children) == 1 and verified.children[0][1] == 3


@pytest.mark.parametrize("code", ["00000000", "1234", "abcdefgh", "１２３４５６７８", "'; DROP", "9" * 20])
def test_an_unknown_code_says_nothing_but_that(api: TestClient, cast: Cast, code: str) -> None:
    answer = api.post("/api/pair/start", json={"code": code})
    assert (answer.status_code, code_of(answer)) == (404, "PAIR_CODE_UNKNOWN")


def test_a_used_code_and_an_expired_one_answer_like_an_unknown_one(
    api: TestClient, database: Database, settings: Settings, cast: Cast, clone: Clone
) -> None:
    used = a_code(database, settings, cast, cast.mother)
    assert finish(api, used, an_ed25519_phone(1)).status_code == 200
    assert code_of(finish(api, used, an_ed25519_phone(2))) == "PAIR_CODE_UNKNOWN"
    expired = a_code(database, settings, cast, cast.father)
    with psycopg.connect(clone.owner_url) as owner:
        owner.execute("UPDATE pairing_code SET issued_at = issued_at - interval '1 hour',"
                      " expires_at = expires_at - interval '1 hour'")  # fmt: skip
    assert code_of(finish(api, expired, an_ed25519_phone(2))) == "PAIR_CODE_UNKNOWN"


def test_a_new_code_ends_the_one_before(api: TestClient, database: Database, settings: Settings, cast: Cast) -> None:
    first = a_code(database, settings, cast, cast.mother)
    second = a_code(database, settings, cast, cast.mother)
    assert code_of(finish(api, first, an_ed25519_phone(1))) == "PAIR_CODE_UNKNOWN"
    assert finish(api, second, an_ed25519_phone(1)).status_code == 200


def test_twenty_unknown_codes_from_one_address_close_it_for_a_while(
    api: TestClient, database: Database, settings: Settings, cast: Cast
) -> None:
    for guess in range(LINE_GUESSES_MAX):
        assert code_of(api.post("/api/pair/start", json={"code": f"{guess:08}"})) == "PAIR_CODE_UNKNOWN"
    code = a_code(database, settings, cast, cast.mother)
    answer = api.post("/api/pair/start", json={"code": code})
    assert (answer.status_code, code_of(answer)) == (429, "PAIR_TOO_MANY_TRIES"), "even for a good one"


@pytest.mark.parametrize(
    ("addresses", "last"),
    [
        ([f"2001:db8:1:2::{n:x}" for n in range(21)], "PAIR_TOO_MANY_TRIES"),
        ([f"2001:db8:1:{n:x}::1" for n in range(21)], "PAIR_CODE_UNKNOWN"),
        (["203.0.113.7", "::ffff:203.0.113.7"] * 11, "PAIR_TOO_MANY_TRIES"),
        ([f"203.0.113.{n}" for n in range(21)], "PAIR_CODE_UNKNOWN"),
        (["a unix socket"] * 21, "PAIR_TOO_MANY_TRIES"),
    ],
)
def test_all_addresses_of_one_line_are_one_guesser(database: Database, addresses: list[str], last: str) -> None:
    for address in addresses:
        with database.untenanted() as tx:
            found = passes.find_code(tx, bytes(32), "00000000", address, clock.now())
    assert found == last


def test_guesses_of_all_lines_together_have_a_bound_and_an_end(database: Database) -> None:
    now = clock.now()

    def guess(line: int, at: datetime) -> object:
        with database.untenanted() as tx:
            return passes.find_code(tx, bytes(32), "00000000", f"203.0.{line // 256}.{line % 256}", at)

    assert {guess(line, now) for line in range(3)} == {"PAIR_CODE_UNKNOWN"}
    with database.untenanted() as tx:  # as if the other lines had guessed too
        tx.execute("UPDATE pairing_guess SET guesses = %s WHERE guesses = 3", (passes.ALL_GUESSES_MAX - 1,))
    assert guess(3, now) == "PAIR_CODE_UNKNOWN"
    assert guess(4, now) == "PAIR_TOO_MANY_TRIES"
    assert guess(4, now + timedelta(minutes=11)) == "PAIR_CODE_UNKNOWN"


def test_guesses_made_at_once_are_counted_one_by_one(api: TestClient, cast: Cast) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda n: code_of(api.post("/api/pair/start", json={"code": f"{n:08}"})), range(27))
    assert sorted(answers) == ["PAIR_CODE_UNKNOWN"] * 20 + ["PAIR_TOO_MANY_TRIES"] * 7


def test_good_codes_are_no_guesses_however_many(
    api: TestClient, database: Database, settings: Settings, cast: Cast
) -> None:
    code = a_code(database, settings, cast, cast.mother)
    for _ in range(12):
        assert api.post("/api/pair/start", json={"code": code}).status_code == 200


def test_five_wrong_proofs_end_a_code(api: TestClient, database: Database, settings: Settings, cast: Cast) -> None:
    code = a_code(database, settings, cast, cast.mother)
    for _ in range(5):
        assert code_of(finish(api, code, an_ed25519_phone(1), proof=text(bytes(64)))) == "BAD_PROOF"
    assert code_of(finish(api, code, an_ed25519_phone(1))) == "PAIR_TOO_MANY_TRIES"


@pytest.mark.parametrize("proof", ["", "!!", text(bytes(63)), text(bytes(64)), text(b"\xff" * 64)])
def test_a_key_without_proof_is_not_paired(
    api: TestClient, database: Database, settings: Settings, cast: Cast, clone: Clone, proof: str
) -> None:
    code = a_code(database, settings, cast, cast.mother)
    for phone in (an_ed25519_phone(1), a_p256_phone()):
        assert code_of(finish(api, code, phone, proof=proof)) == "BAD_PROOF"
    with psycopg.connect(clone.owner_url) as owner:
        assert owner.execute("SELECT count(*) FROM pass_key").fetchone() == (0,)


def test_a_proof_for_one_code_does_not_serve_another(
    api: TestClient, database: Database, settings: Settings, cast: Cast
) -> None:
    phone = an_ed25519_phone(1)
    start = api.post("/api/pair/start", json={"code": a_code(database, settings, cast, cast.mother)}).json()
    other = a_code(database, settings, cast, cast.father)
    assert code_of(finish(api, other, phone, proof=phone.proof(start))) == "BAD_PROOF"


ORDER_8_POINT = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")


@pytest.mark.parametrize(
    "key",
    [
        {"kty": 1, "x": text(bytes(32))},
        {"kty": 1, "x": text(b"\x01" + bytes(31))},
        {"kty": 1, "x": text(ORDER_8_POINT)},
        {"kty": 1, "x": text(b"\xee" + b"\xff" * 30 + b"\x7f")},
        {"kty": 1, "x": text(bytes(31))},
        {"kty": 1, "x": "€"},
        {"kty": 1, "x": ""},
        {"kty": 2, "x": text(b"\xff" * 32), "y": True},
        {"kty": 2, "x": text(bytes(32))},
        {"kty": 2, "x": text((5).to_bytes(32, "big")), "y": None},
        {"kty": 3, "x": text(bytes(32)), "y": True},
        {"kty": -1, "x": text(bytes(32))},
    ],
)
def test_a_key_that_is_no_valid_point_is_refused_at_enrolment(
    api: TestClient, database: Database, settings: Settings, cast: Cast, clone: Clone, key: dict
) -> None:
    answer = finish(api, a_code(database, settings, cast, cast.mother), an_ed25519_phone(1), key=key)
    assert (answer.status_code, code_of(answer)) == (400, "BAD_KEY")
    with psycopg.connect(clone.owner_url) as owner:
        assert owner.execute("SELECT count(*) FROM pass_key").fetchone() == (0,)


def test_a_third_phone_is_refused_and_its_code_stays_good(
    api: TestClient, database: Database, settings: Settings, cast: Cast
) -> None:
    for seed in (1, 2):
        assert finish(api, a_code(database, settings, cast, cast.mother), an_ed25519_phone(seed)).status_code == 200
    code = a_code(database, settings, cast, cast.mother)
    answer = finish(api, code, an_ed25519_phone(3))
    assert (answer.status_code, code_of(answer)) == (409, "PAIR_TOO_MANY_PHONES")
    with database.tenant(cast.district) as tx:
        [first, _] = passes.phones_of(tx, cast.district, cast.mother)
        assert passes.revoke_phone(tx, cast.district, cast.mother, first.id, clock.now())
    assert finish(api, code, an_ed25519_phone(3)).status_code == 200


def test_two_phones_racing_for_the_second_place_leave_one_outside(
    api: TestClient, database: Database, settings: Settings, cast: Cast, clone: Clone
) -> None:
    finish(api, a_code(database, settings, cast, cast.mother), an_ed25519_phone(1))
    code = a_code(database, settings, cast, cast.mother)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda seed: finish(api, code, an_ed25519_phone(seed)), range(2, 6)))
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]
    with psycopg.connect(clone.owner_url) as owner:
        assert owner.execute("SELECT count(*) FROM pass_key WHERE revoked_at IS NULL").fetchone() == (2,)


def test_the_database_itself_keeps_a_person_at_two_phones(database: Database, cast: Cast) -> None:
    from cloud.kit.db import RuleBroken
    from cloud.kit.ids import new_id

    with pytest.raises(RuleBroken) as broken, database.tenant(cast.district) as tx:
        for number in (1, 2, 2):
            tx.execute("INSERT INTO pass_key VALUES (%s, %s, %s, %s, %s, %s, now())",
                       (cast.district, new_id(), cast.mother, number, bytes(40), new_id().bytes[8:]))  # fmt: skip
    assert (broken.value.sqlstate, broken.value.constraint) == ("23505", "pass_key_two_phones")


def test_one_phone_cannot_be_two_people(api: TestClient, database: Database, settings: Settings, cast: Cast) -> None:
    phone = an_ed25519_phone(1)
    assert finish(api, a_code(database, settings, cast, cast.mother), phone).status_code == 200
    answer = finish(api, a_code(database, settings, cast, cast.father), phone)
    assert (answer.status_code, code_of(answer)) == (409, "KEY_IN_USE")


def test_a_revoked_phone_gets_no_passes_and_cannot_come_back_with_the_same_key(
    api: TestClient, database: Database, settings: Settings, cast: Cast
) -> None:
    phone = an_ed25519_phone(1)
    finish(api, a_code(database, settings, cast, cast.mother), phone)
    with database.tenant(cast.district) as tx:
        [held] = passes.phones_of(tx, cast.district, cast.mother)
        passes.revoke_phone(tx, cast.district, cast.mother, held.id, clock.now())
    told = api.get("/api/passes").json()
    assert (told["phone"], told["passes"]) == ("revoked", [])
    assert code_of(finish(api, a_code(database, settings, cast, cast.mother), phone)) == "BAD_KEY"


def test_a_phone_taken_away_is_told_so_and_reads_no_page(
    api: TestClient, database: Database, settings: Settings, cast: Cast
) -> None:
    finish(api, a_code(database, settings, cast, cast.mother), an_ed25519_phone(1))
    assert api.get("/family").status_code == 200
    with database.tenant(cast.district) as tx:
        [held] = passes.phones_of(tx, cast.district, cast.mother)
        passes.revoke_phone(tx, cast.district, cast.mother, held.id, clock.now())
    assert [api.get(path).status_code for path in ("/family", "/family/stream")] == [401, 401]
    assert api.get("/api/passes").json()["phone"] == "revoked"


def test_a_second_phone_goes_on_when_the_first_is_taken_away(
    api: TestClient, database: Database, settings: Settings, cast: Cast
) -> None:
    for seed in (1, 2):
        finish(api, a_code(database, settings, cast, cast.mother), an_ed25519_phone(seed))
    with database.tenant(cast.district) as tx:
        [first, _] = passes.phones_of(tx, cast.district, cast.mother)
        passes.revoke_phone(tx, cast.district, cast.mother, first.id, clock.now())
    assert api.get("/family").status_code == 200


def test_a_code_of_one_district_opens_no_page_of_another_though_the_login_is_one(
    api: TestClient, database: Database, settings: Settings, cast: Cast
) -> None:
    neighbour = a_district(database, "neighbour", 202)
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, cast.mother, clock.now())
    with database.tenant(neighbour.district) as tx:  # its office writes this address beside somebody of its own
        tx.execute("UPDATE person SET login_id = %s WHERE id = %s", (login, neighbour.mother))
    finish(api, a_code(database, settings, neighbour, neighbour.mother), an_ed25519_phone(1))
    with database.untenanted() as tx:
        actor = identity.actor_of(tx, Door.FAMILY, api.cookies[COOKIES[Door.FAMILY]], clock.now())
    assert actor and [place.district_id for place in actor.places] == [neighbour.district]
    page = api.get("/family").text
    assert str(neighbour.aigerim) in page and str(cast.aigerim) not in page


def test_a_teacher_whose_role_ended_gets_no_staff_pass_though_still_a_parent(
    api: TestClient, database: Database, settings: Settings, cast: Cast
) -> None:
    with database.tenant(cast.district) as tx:
        people.tie_guardian(tx, cast.district, Tie(cast.minh, cast.teacher, "aunt", True, True, True, FIRST_DAY))
    finish(api, a_code(database, settings, cast, cast.teacher), an_ed25519_phone(1))
    assert [offer["kind"] for offer in api.get("/api/passes").json()["passes"]] == ["family", "staff"]
    with database.tenant(cast.district) as tx:
        assert identity.end_role(tx, cast.district, cast.teacher, Role.TEACHER, clock.now().date())
    assert [offer["kind"] for offer in api.get("/api/passes").json()["passes"]] == ["family"]


def test_a_browser_that_never_paired_gets_no_credential(api: TestClient, cast: Cast) -> None:
    assert api.get("/api/passes").status_code == 401


def test_a_code_of_one_district_pairs_nobody_of_another(
    api: TestClient, database: Database, settings: Settings, cast: Cast
) -> None:
    neighbour = a_district(database, "neighbour", 202)
    [offer] = finish(api, a_code(database, settings, neighbour, neighbour.mother), an_ed25519_phone(1)).json()["passes"]
    assert offer["site"] == 202
    with database.tenant(cast.district) as tx:
        assert tx.execute("SELECT count(*) FROM pass_key").fetchone() == (0,)


def test_a_credential_older_than_a_day_is_renewed_and_so_is_one_whose_rights_changed(
    api: TestClient, database: Database, settings: Settings, cast: Cast, clone: Clone
) -> None:
    from cloud.people import service as people

    phone = an_ed25519_phone(1)
    first = finish(api, a_code(database, settings, cast, cast.father), phone).json()["passes"][0]
    with database.tenant(cast.district) as tx:
        people.give_escort_right(tx, cast.district, cast.timur, cast.father, clock.now() - timedelta(seconds=1))
    second = api.get("/api/passes").json()["passes"][0]
    assert len(second["children"]) == 2 and second["credential"] != first["credential"]
    with psycopg.connect(clone.owner_url) as owner:
        owner.execute(
            "UPDATE credential SET issued_at = issued_at - interval '25 hours',"
            " expires_at = expires_at - interval '25 hours'"
        )
    third = api.get("/api/passes").json()["passes"][0]
    assert third["credential"] != second["credential"] and third["iat"] >= second["iat"]


def test_staff_who_pair_get_a_pass_with_their_powers(
    api: TestClient, database: Database, settings: Settings, cast: Cast
) -> None:
    answer = finish(api, a_code(database, settings, cast, cast.teacher), a_p256_phone())
    assert answer.status_code == 200, answer.text
    [offer] = answer.json()["passes"]
    assert (offer["kind"], offer["site"], offer["children"]) == ("staff", 101, [])
    assert api.get("/api/passes").json()["passes"][0]["credential"] == offer["credential"]


def test_a_phone_that_is_told_to_forget_its_pass_frees_its_place_and_no_other_phone(
    api: TestClient, database: Database, settings: Settings, cast: Cast
) -> None:
    finish(api, a_code(database, settings, cast, cast.mother), an_ed25519_phone(1))
    api.cookies.clear()
    assert api.post("/api/phone/forget").status_code == 401
    finish(api, a_code(database, settings, cast, cast.mother), an_ed25519_phone(2))
    session, own = api.cookies[COOKIES[Door.FAMILY]], api.cookies["__Host-phone"]
    api.cookies.clear()

    def forget(thumb: str) -> Response:
        told = f"{COOKIES[Door.FAMILY]}={session}; __Host-phone={thumb}"
        return api.post("/api/phone/forget", headers={"cookie": told})

    assert [forget(thumb).status_code for thumb in ("00" * 8, "zz", "")] == [200] * 3
    with database.tenant(cast.district) as tx:
        assert len(passes.phones_of(tx, cast.district, cast.mother)) == 2, "a thumb of nobody takes nothing away"
    assert forget(own).json() == {"phone": "revoked"}
    with database.tenant(cast.district) as tx:
        [left] = passes.phones_of(tx, cast.district, cast.mother)
    assert left.slot == 1


def test_signing_out_on_a_phone_frees_its_place_and_ends_its_pass_at_the_gates(
    api: TestClient, database: Database, settings: Settings, phone_settings: Settings, cast: Cast
) -> None:
    from cloud.worker import Worker

    for seed in (31, 32):
        assert finish(api, a_code(database, settings, cast, cast.mother), an_ed25519_phone(seed)).status_code == 200
    told = api.post("/sign-out/family", headers={"origin": PUBLIC_URL}, follow_redirects=False)
    assert told.headers["clear-site-data"] == '"storage"'
    assert phone_settings.keys_dir
    Worker(database, phone_settings.keys_dir).settle()
    with database.tenant(cast.district) as tx:
        assert len(passes.phones_of(tx, cast.district, cast.mother)) == 1
        revoked = passes.policy_content(tx, cast.district, cast.site, clock.now()).revocations
        assert len(revoked.thumbs) == 1
    assert finish(api, a_code(database, settings, cast, cast.mother), an_ed25519_phone(33)).status_code == 200
