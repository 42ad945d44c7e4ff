"""A gate claims over HTTPS, an operator finds it by its words and approves its fingerprint; tries are counted."""

from typing import Any

from fastapi.testclient import TestClient
from httpx import Response

from cloud.fleet import claims
from cloud.fleet import service as fleet
from cloud.kit import clock
from tests.claimants import Claimant
from tests.cloud.pages.conftest import House
from tests.cloud.wall.doors import SIGN_IN, STEP_UP, word_of

SAME = {"same": "yes", "site": "101", "gate": "21", "name": "main door"}


def claimed(client: TestClient, gate: Claimant, district: str = "demo", **changed: Any) -> Response:
    client.cookies.clear()
    return client.post(f"/api/gates/{district}/claims", json=gate.said(district, **changed))


def asked(client: TestClient, made: dict[str, str], token: str = "") -> Response:
    client.cookies.clear()
    headers = {"authorization": f"Bearer {token or made['token']}"}
    return client.get(f"/api/gates/demo/claims/{made['claim']}", headers=headers)


def test_an_operator_finds_a_gate_by_its_words_and_approves_what_its_screen_shows(house: House) -> None:
    gate = Claimant()
    made = claimed(house.client, gate).json()
    assert made["fingerprint"] == gate.fingerprint
    assert asked(house.client, made).json() == {"state": "waiting"}
    found = house.get("/fleet/claim?code=moon-river-lamp-otter", "operator", "fleet")
    assert found.status_code == 200 and gate.fingerprint in found.text and "New gate" in found.text
    told = {**SAME, "code": gate.code, "fingerprint": gate.fingerprint}
    blind = {name: value for name, value in told.items() if name != "same"}
    unticked = house.post("/fleet/claim/approve", "operator", "fleet", data=blind)
    assert unticked.status_code == 400 and "compare with the gate" in unticked.text
    other = house.post("/fleet/claim/approve", "operator", "fleet", data={**told, "fingerprint": "0000"})
    assert other.status_code == 409 and "fingerprint is another one" in other.text
    done = house.post("/fleet/claim/approve", "operator", "fleet", data=told)
    assert (done.status_code, done.headers["location"]) == (303, "/fleet/gates")
    assert asked(house.client, made).json() == {"state": "signing", "gate": 21}
    with house.database.tenant(house.cast.district) as tx:
        assert fleet.gate_of(tx, house.cast.district, 21).name == "main door"
    again = house.post("/fleet/claim/approve", "operator", "fleet", data=told)
    assert again.status_code == 409 and "used already" in again.text


def test_who_proved_nothing_anew_and_who_is_no_operator_approve_nothing(house: House) -> None:
    gate = Claimant("sun-river-lamp-otter")
    claimed(house.client, gate)
    told = {**SAME, "code": gate.code, "fingerprint": gate.fingerprint}
    unsure = house.post("/fleet/claim/approve", "operator", "fleet", sure=False, data=told)
    assert word_of(unsure) == STEP_UP
    assert word_of(house.post("/fleet/claim/approve", "head", data=told)) == SIGN_IN
    refused = house.post("/fleet/claim/refuse", "operator", "fleet", data={"code": gate.code})
    assert refused.status_code == 303
    with house.database.tenant(house.cast.district) as tx:
        assert claims.waiting(tx, house.cast.district, clock.now()) == []


def test_words_are_guessed_ten_times_and_no_more(house: House) -> None:
    claimed(house.client, Claimant("oak-river-lamp-otter"))
    words = [f"fir-river-lamp-w{number}" for number in range(11)]
    codes = [house.get(f"/fleet/claim?code={one}", "operator", "fleet").status_code for one in words]
    guessed = codes.count(404)  # what this operator typed wrong before counts as well
    assert codes == [404] * guessed + [429] * (11 - guessed) and 8 <= guessed <= 10


def test_who_guessed_too_often_approves_and_refuses_nothing_though_the_words_are_right(house: House) -> None:
    gate = Claimant("yew-river-lamp-otter")
    made = claimed(house.client, gate).json()
    wrong = {"code": "fir-river-lamp-otter"}
    told = [house.post("/fleet/claim/refuse", "operator", "fleet", data=wrong).status_code for _ in range(12)]
    assert set(told) <= {404, 429} and told[-1] == 429, "a guess by this form counts too"
    right = {**SAME, "code": gate.code, "fingerprint": gate.fingerprint, "gate": "22"}
    for path in ("/fleet/claim/approve", "/fleet/claim/refuse"):
        assert house.post(path, "operator", "fleet", data=right).status_code == 429
    assert asked(house.client, made).json() == {"state": "waiting"}


def test_a_claim_that_cannot_be_is_answered_with_its_code_and_never_with_a_500(house: House) -> None:
    client, gate = house.client, Claimant("elm-river-lamp-otter")
    assert claimed(client, gate, "nowhere").json()["code"] == "CLAIM_DISTRICT"
    assert claimed(client, gate, "next", proof="00" * 64).json()["code"] == "CLAIM_PROOF"
    made = claimed(client, gate).json()
    assert claimed(client, Claimant("elm-river-lamp-otter")).json()["code"] == "CLAIM_CODE_TAKEN"
    assert asked(client, made, "x" * 43).json()["code"] == "CLAIM_UNKNOWN"
    assert client.get(f"/api/gates/demo/claims/{made['claim']}").json()["code"] == "CLAIM_UNKNOWN"
    assert client.get("/api/gates/demo/claims/7").status_code == 400
    for body in (b"", b"[]", b"7", b"null", b"\xff", b"[" * 20_000, b'{"v":' + b"9" * 5_000 + b"}"):
        answer = client.post("/api/gates/demo/claims", content=body, headers={"content-type": "application/json"})
        assert 400 <= answer.status_code < 500, body[:20]
