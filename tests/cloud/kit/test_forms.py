"""What a person types becomes text, days and ids at one edge; what cannot be a name is refused beside its field."""

from datetime import date, time
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from cloud.config import Settings
from cloud.kit.forms import Form, SentForm
from cloud.kit.web import BODY_BYTES_MAX, furnish

SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def typed(text: str) -> Form:
    return Form({"field": [text]})


@pytest.mark.parametrize(
    "name", ["Айгерім", "Minh Đức", "O'Brien", "=HYPERLINK(1)", "محمّد‌رضا", "Lê", "<script>", "' OR 1=1 --"]
)
def test_a_name_in_any_script_is_a_name(name: str) -> None:
    form = typed(name)
    assert form.name("field") == name
    assert not form.problems


@pytest.mark.parametrize(
    "name", ["Ann\u202egnp.exe", "A\x00", "\u2066x", "a\x1b[31m", "\ud800", "\ufeff", "x" * 101, "", " \t\n "]
)
def test_what_nobody_is_called_is_refused_beside_its_field(name: str) -> None:
    form = typed(name)
    assert form.name("field") == ""
    assert set(form.problems) == {"field"}


def test_a_name_is_one_line_and_one_form_of_its_letters() -> None:
    assert typed("  Zoe\u0308 \n Durand ").name("field") == "Zoë Durand"


@pytest.mark.parametrize("day", ["2026-02-30", "tomorrow", "2026-9-1", "0001-01-01", "9999-12-31", "2026-09-01T10:00"])
def test_a_day_that_is_none_is_refused(day: str) -> None:
    form = typed(day)
    assert form.day("field") is None
    assert set(form.problems) == {"field"}


def test_a_day_may_be_left_open_and_a_required_one_may_not() -> None:
    assert typed("2026-09-01").day("field") == date(2026, 9, 1)
    form = typed("")
    assert form.day("field") is None and not form.problems
    form.day("field", required=True)
    assert form.problems


@pytest.mark.parametrize("clock", ["24:00", "7:30", "07:60", "07.30", "0730", "-1:00", "٠٧:٣٠", "07:30:00"])
def test_a_time_that_is_none_is_refused(clock: str) -> None:
    form = typed(clock)
    assert form.time_of_day("field") is None and form.problems
    assert typed("07:30").time_of_day("field") == time(7, 30)


def test_weekdays_are_a_mask_and_none_at_all_is_refused() -> None:
    assert Form({"day": ["0", "4", "9", "x"]}).weekdays("day") == 0b10001
    form = Form({"day": ["7"]})
    assert form.weekdays("day") == 0 and form.problems


def test_an_id_that_is_none_is_refused() -> None:
    assert typed("018f3b6e-0000-7000-8000-000000000001").one_id("field") == UUID("018f3b6e-0000-7000-8000-000000000001")
    form = typed("1; DROP TABLE child")
    assert form.one_id("field") is None and form.problems


@pytest.mark.parametrize("typed_number", ["0", "9", "-1", "1e3", "٣", "", "9" * 5000])
def test_a_number_out_of_bounds_is_refused(typed_number: str) -> None:
    form = typed(typed_number)
    assert form.number("field", 1, 8) == 1 and form.problems
    assert typed("8").number("field", 1, 8) == 8


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    furnish(app, Settings())

    def sent(form: SentForm) -> dict[str, str]:
        return {"given": form.typed("given"), "document": form.hash_of_file("document").hex()}

    app.add_api_route("/orders", sent, methods=["POST"])
    app.add_api_route("/other", sent, methods=["POST"])
    return TestClient(app)


def test_of_a_file_only_its_hash_is_known_and_an_empty_one_is_none(client: TestClient) -> None:
    answer = client.post("/orders", data={"given": "Ann"}, files={"document": ("order.pdf", b"abc")})
    assert answer.json() == {"given": "Ann", "document": SHA256_OF_ABC}
    empty = client.post("/orders", data={"given": "Ann"}, files={"document": ("empty.pdf", b"")})
    assert empty.json()["document"] == ""


def test_a_file_goes_only_where_one_is_asked_for(client: TestClient) -> None:
    file = {"document": ("order.pdf", bytes(BODY_BYTES_MAX + 1))}
    assert client.post("/orders", files=file).status_code == 200
    assert client.post("/other", files=file).status_code == 413


@pytest.mark.parametrize(
    ("body", "media_type"),
    [(b"\xff\xfe=%%%&&&=", "application/x-www-form-urlencoded"), (b"--x\r\nrubbish", "multipart/form-data; boundary=x"),
     (b"rubbish", "multipart/form-data"), (b"{}", "application/json"), (b"\x00", "text/plain"),
     (b"&".join(b"a=1" for _ in range(5000)), "application/x-www-form-urlencoded")],
)  # fmt: skip
def test_a_body_that_is_no_form_is_never_a_fault(client: TestClient, body: bytes, media_type: str) -> None:
    assert client.post("/other", content=body, headers={"content-type": media_type}).status_code in (200, 400)
