"""The tablet's pages on a whole gate over TLS: who may send what, what it does to door and ledger, what is refused."""

from __future__ import annotations

import json
import re
import sqlite3
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge.export import event_lines
from edge.journal_file import reading, rows
from edge.web.tablet import BODY_BYTES_MAX, WORDS
from protocols import cose
from protocols.events import Detail, Kind
from protocols.passes import INTENT_CONFIRM, OUT, DeviceKey, Revocations, present_staff
from protocols.topics import POLICY
from simulators.site_ca import new_site_ca
from tests.edge.household import Phone, RunningGate, Site, StaffPhone
from tests.edge.line import SITE, free_port, until

pytestmark = pytest.mark.serial
STAFF = 77


class House:
    """A gate with tablets, its family and its staff."""

    def __init__(self, directory: Path) -> None:
        self.site = Site()
        ca = new_site_ca(SITE)
        ca.sign_for(directory, "127.0.0.1")
        port = free_port()
        more = f'[tablet]\nlisten = "127.0.0.1:{port}"\ncert = "tablet.pem"\nkey = "tablet.key"\n'
        self.gate = RunningGate(directory, self.site, changed=lambda toml: toml.write_text(toml.read_text() + more))
        self.gate.take((POLICY, self.site.policy_list(1)))
        self.url = f"https://127.0.0.1:{port}"
        self.trust = ssl.create_default_context(cafile=ca.write(directory / "ca.pem"))
        self.staff, self.drawn_at = StaffPhone(self.site, staff=STAFF, powers=15), 0

    def tablet(self) -> Tablet:
        return Tablet(self)

    def shows_staff_pass(self) -> None:
        """Drawn ten seconds ahead, as a phone may: a gate that lost its state refuses what is older than its boot."""
        phone = self.staff
        sign = lambda message: phone.key.sign(message).signature  # noqa: E731
        self.drawn_at = max(int(time.time()) + 9, self.drawn_at + 1)
        self.gate.scene.show(
            present_staff(phone.credential, sign, cose.ED25519, iat=self.drawn_at, intent=INTENT_CONFIRM)
        )

    def digits(self) -> str:
        """What stands on the gate's own screen once the staff pass was shown."""
        self.gate.next_one()
        self.shows_staff_pass()
        face = until(lambda: "digits" in (shown := json.loads(self.gate.appliance.board._own_face)) and shown)
        self.gate.scene.clear()
        return face["digits"]

    def ledger(self, *kinds: Kind) -> list[dict[str, Any]]:
        with reading(self.gate.appliance.journal.path) as db:
            return [line for line in event_lines(11, rows(db)) if line["kind"] in kinds]


class Tablet:
    """A browser on the local network."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.client = httpx.Client(base_url=house.url, verify=house.trust, headers={"origin": house.url}, timeout=10)

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.client.post(f"/tablet/{path}", json={} if body is None else body, headers=headers)

    def act(self, name: str, **body: Any) -> dict[str, Any]:
        return self.post(f"act/{name}", body).json()

    def begin(self) -> Tablet:
        assert self.post("ask").json() == {"code": "ASKED"}
        assert self.post("open", {"digits": self.house.digits()}).json() == {"code": "OPENED"}
        return self

    def state(self) -> dict[str, Any]:
        """The first line of the stream."""
        with self.client.stream("GET", "/tablet/stream") as stream:
            return json.loads(next(line for line in stream.iter_lines() if line.startswith("data: "))[6:])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("tablet"))
    until(lambda: answers(made))
    yield made
    made.gate.stop()


@pytest.fixture(scope="module")
def tablet(house: House) -> Tablet:
    """One tablet whose shift runs."""
    return house.tablet().begin()


def answers(house: House) -> bool:
    try:
        return httpx.get(f"{house.url}/tablet", verify=house.trust, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


# --- opening --------------------------------------------------------------------------------------------------------


def test_a_shift_is_opened_by_the_pass_and_the_digits_and_the_cookie_stays_home(house: House) -> None:
    fresh = house.tablet()
    assert fresh.client.get("/tablet/me").json() == {"shift": None}
    asked = fresh.post("ask")
    assert "__Host-tablet=" in asked.headers["set-cookie"]
    digits = house.digits()
    assert len(digits) == 4
    assert fresh.post("open", {"digits": "0000" if digits != "0000" else "1111"}).json() == {"code": "WRONG_DIGITS"}
    opened = fresh.post("open", {"digits": digits})
    cookie = next(one for one in opened.headers.get_list("set-cookie") if one.startswith("__Host-shift="))
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"))
    assert fresh.client.get("/tablet/me").json()["shift"]["staff"] == STAFF
    assert house.tablet().post("open", {"digits": digits}).json() == {"code": "SHOW_PASS"}  # once
    assert fresh.post("end").json() == {"code": "ENDED"}
    assert fresh.client.get("/tablet/me").json() == {"shift": None}
    assert "__Host-shift" not in fresh.client.cookies


def test_the_digits_are_on_the_gates_own_screen_and_nowhere_else(house: House) -> None:
    fresh = house.tablet()
    fresh.post("ask")
    assert house.digits()
    assert json.loads(house.gate.appliance.board._face).keys() == {"face", "words", "seconds", "offline"}
    page = fresh.client.get("/tablet").text + str(fresh.client.get("/tablet/me").json())
    assert json.loads(house.gate.appliance.board._own_face)["digits"] not in page


NO_SHIFT = [
    ("answer", {"id": "0" * 16, "confirm": True}),
    ("act/take-in", {"children": [5]}),
    ("act/hand-over", {"children": [5], "holder": 9}),
    ("act/take-back", {"epoch": 1, "seq": 1}),
]


@pytest.mark.parametrize(("path", "body"), NO_SHIFT)
@pytest.mark.parametrize("cookie", ["", "x" * 43, "x" * 5_000, "é"])
def test_without_a_shift_nothing_is_done(house: House, path: str, body: dict, cookie: str) -> None:
    stranger = house.tablet()
    before = house.gate.appliance.journal.next_seq
    answer = stranger.post(path, body, **({"cookie": f"__Host-shift={cookie}".encode()} if cookie else {}))  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()) == (401, {"code": "NO_SHIFT"})
    assert stranger.client.get("/tablet/stream").status_code == 401
    assert house.gate.appliance.journal.next_seq == before


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_page_cannot_send_in_the_shifts_name(house: House, tablet: Tablet, headers: dict[str, str]) -> None:
    before = house.gate.appliance.journal.next_seq
    answer = tablet.post("act/take-in", {"children": [600]}, **headers)
    assert (answer.status_code, answer.json()) == (403, {"code": "NOT_THIS_PAGE"})
    form = tablet.client.post("/tablet/act/take-in", data={"children": "600"})
    assert (form.status_code, form.json()) == (400, {"code": "FORMAT"})
    assert house.gate.appliance.journal.next_seq == before


WRONG = [
    b"", b"{", b"[]", b"null", b'"x"', b"[" * 3_000, b"\xff", b"{}" + b" " * BODY_BYTES_MAX,
    b'{"children": []}', b'{"children": [0]}', b'{"children": [-1]}', b'{"children": [1.5]}', b'{"children": [true]}',
    b'{"children": ["5"]}', b'{"children": [4294967296]}', b'{"children": [5, 5]}', b'{"children": {"5": 1}}',
    b'{"children": [[5]]}', json.dumps({"children": list(range(1, 66))}).encode(), b'{"children": [NaN]}',
]  # fmt: skip


@pytest.mark.parametrize("raw", WRONG, ids=range(len(WRONG)))
def test_a_body_of_another_shape_does_nothing(house: House, tablet: Tablet, raw: bytes) -> None:
    before = house.gate.appliance.journal.next_seq
    answer = tablet.client.post("/tablet/act/take-in", content=raw, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, {"code": "FORMAT"})
    assert house.gate.appliance.journal.next_seq == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("act/hand-over", {"children": [5], "holder": -1}),
        ("act/hand-over", {"children": [5], "holder": None}),
        ("act/hand-over", {"children": [5], "holder": 9, "sure": 1}),
        ("act/take-back", {"epoch": "1", "seq": 1}),
        ("act/take-back", {"epoch": 1, "seq": 2**60}),
        ("act/free-everybody", {"children": [5]}),
        ("answer", {"id": 5, "confirm": True}),
        ("answer", {"id": "x", "confirm": "yes"}),
        ("answer", {"id": "x", "confirm": True, "direction": 3}),
        ("open", {"digits": 1234}),
        ("open", {"digits": "1" * 99}),
        ("open", {}),
    ],
)
def test_a_value_out_of_range_does_nothing(tablet: Tablet, path: str, body: dict) -> None:
    answer = tablet.post(path, body)
    assert (answer.status_code, answer.json()) == (400, {"code": "FORMAT"})


# --- a shift's work -------------------------------------------------------------------------------------------------


def test_a_departure_is_confirmed_on_the_tablet_and_the_door_opens_by_name(house: House, tablet: Tablet) -> None:
    tablet.act("take-in", children=[31])
    phone = Phone(house.site, holder=9, children=[(31, 7)])  # perms 4: staff must confirm
    pulses = house.gate.pulses
    house.gate.next_one()
    assert house.gate.answer_to(phone.text(time.time() + 9, direction=OUT))["code"] == "STAFF_CONFIRM"
    house.gate.scene.clear()
    (row,) = until(lambda: tablet.state()["waiting"])
    assert (row["what"], row["holder"], row["children"][0]["child"]) == ("phone", 9, 31)
    answer = tablet.post("answer", {"id": row["id"], "confirm": True}).json()
    assert answer == {"code": "CONFIRMED", "acts": [[31, OUT]], "refused": []}
    until(lambda: house.gate.pulses == pulses + 1)
    assert house.gate.appliance.board.history[-1]["code"] == "CONFIRMED"
    fact = house.ledger(Kind.PHONE_PASS)[-1]
    assert (fact["code"], fact["detail"][str(int(Detail.STAFF))]) == ("CONFIRMED", STAFF)
    assert tablet.post("answer", {"id": row["id"], "confirm": True}).json()["code"] == "NOTHING_WAITS"  # a retry


def test_what_staff_decline_stays_shut(house: House, tablet: Tablet) -> None:
    phone = Phone(house.site, holder=10, children=[(32, 7)])
    pulses = house.gate.pulses
    house.gate.next_one()
    assert house.gate.answer_to(phone.text(time.time() + 9))["code"] == "STAFF_CONFIRM"
    house.gate.scene.clear()
    (row,) = until(lambda: tablet.state()["waiting"])
    assert tablet.post("answer", {"id": row["id"], "confirm": False}).json()["code"] == "DECLINED"
    assert house.gate.pulses == pulses and tablet.state()["waiting"] == []


def test_a_class_by_hand_a_handover_and_what_is_taken_back(house: House, tablet: Tablet) -> None:
    children = list(range(101, 131))
    assert len(tablet.act("take-in", children=children)["acts"]) == 30
    assert {child for child, _ in tablet.state()["present"]} >= set(children)
    assert tablet.act("hand-over", children=[101], holder=9)["code"] == "DONE"
    assert tablet.act("hand-over", children=[101], holder=9)["code"] == "PASSBACK"
    fact = house.ledger(Kind.HANDED_OVER)[-1]
    back = tablet.act("take-back", epoch=fact["epoch"], seq=fact["seq"])
    assert back["code"] == "DONE"
    assert 101 in {child for child, _ in tablet.state()["present"]}
    assert len(house.ledger(Kind.STAFF_FACT)) >= 30 and len(house.ledger(Kind.CORRECTION)) == 1
    assert tablet.act("take-back", epoch=fact["epoch"], seq=fact["seq"])["code"] == "NO_SUCH_FACT"


def test_two_tablets_that_take_the_same_child_in_write_one_fact(house: House, tablet: Tablet) -> None:
    codes: list[str] = []
    threads = [
        threading.Thread(target=lambda: codes.append(tablet.act("take-in", children=[707])["code"])) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["DONE", *["PASSBACK"] * 5]


def test_a_disk_that_fails_writes_nothing_and_takes_nobody_in(house: House, tablet: Tablet) -> None:
    loop = house.gate.appliance.loop
    blocker = sqlite3.connect(house.gate.appliance.journal.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        assert tablet.act("take-in", children=[808])["code"] == "JOURNAL"
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    until(lambda: loop._ledger.ok)
    assert 808 not in {child for child, _ in tablet.state()["present"]}
    assert tablet.act("take-in", children=[808])["code"] == "DONE"


def test_a_shift_whose_pass_is_revoked_ends_at_once_and_its_stream_too(house: House) -> None:
    house.staff = StaffPhone(house.site, staff=78, powers=15)
    other = house.tablet().begin()
    lost = Revocations(thumbs=frozenset({DeviceKey(bytes(house.staff.key.verify_key)).thumb}))
    ended = threading.Event()

    def follow() -> None:
        with other.client.stream("GET", "/tablet/stream") as stream:
            for line in stream.iter_lines():
                if line == "event: ended":
                    ended.set()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    time.sleep(0.2)
    house.gate.take((POLICY, house.site.policy_list(2, revocations=lost)))
    until(lambda: other.client.get("/tablet/me").json() == {"shift": None})
    assert other.act("take-in", children=[909])["code"] == "NO_SHIFT"
    assert ended.wait(8)
    house.staff = StaffPhone(house.site, staff=STAFF, powers=15)


# --- pages ----------------------------------------------------------------------------------------------------------


def test_every_answer_forbids_what_the_page_does_not_use(house: House) -> None:
    fresh = house.tablet()
    for path in (
        "/tablet",
        "/tablet/me",
        "/static/tablet/tablet.js",
        "/tablet/words/fr.json",
        "/nowhere",
        "/tablet/stream",
    ):
        headers = fresh.client.get(path).headers
        told = headers["content-security-policy"]
        assert told.startswith("default-src 'none'") and "frame-ancestors 'none'" in told, path
        assert "unsafe" not in told and "http" not in told
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"


def test_the_tablet_speaks_five_languages_with_the_same_keys_and_places() -> None:
    places = {key: sorted(set(re.findall(r"\{\w+\}", said))) for key, said in WORDS["en"].items()}
    for language, said in WORDS.items():
        assert said.keys() == WORDS["en"].keys(), language
        assert all(said.values()), language
        assert {key: sorted(set(re.findall(r"\{\w+\}", text))) for key, text in said.items()} == places, language


@pytest.mark.parametrize("asked", ["xx", "../fr", "<script>alert(1)</script>"])
def test_an_unknown_language_is_never_echoed(house: House, asked: str) -> None:
    page = house.tablet().client.get("/tablet", params={"lang": asked})
    assert page.status_code == 200 and "alert(1)" not in page.text and 'lang="en"' in page.text
    assert house.tablet().client.get("/tablet/words/xx.json").status_code == 404


def test_plain_http_gets_no_page(house: House) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(house.url.replace("https", "http") + "/tablet", timeout=3)
