"""Whatever is sent, nothing of ours breaks: no 500, by schemathesis over what is described and by a fuzzer of forms.

schemathesis reads /openapi.json; forms are read by our own code from text fields, which the schema does not tell, so
they are thrown at each POST with the field names that our pages use. `long` does both at length: on 22 November 2026
with test_two_districts.py 226 tests,
100 examples an address and 300 a function, none failed, 9 minutes of processor time.
"""

import re
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cloud.app import create_app
from cloud.config import Settings
from tests.cloud.wall.asking import UNHURRIED
from tests.cloud.wall.doors import STREAMS_END, addresses
from tests.cloud.wall.town import MARK, Town
from tests.conftest import PUBLIC_URL

FORMS = [one for one in addresses(create_app(Settings())) if one.method == "POST" and not one.path.startswith("/api/")]
NOT_SENT = ("everywhere", "/sign-out/{door}", "/end")  # they take the session away that the others ask with
ASKERS = ("mother", "office", "head", "officer", "operator")
EXAMPLES = 6  # for each address
AT_LENGTH = 100
WORDS = [
    "", " ", "a", "0", "1", "-1", "99999999999999999999", "yes", "on", "today", "days", "2026-02-30", "2026-12-01",
    "0000-00-00", "24:61", "07:30", "teacher", "schoolYear", "x" * 3000, "\x00", "\u202e", "e\u0301", "𓀀", "'; --",
    "%s", "{}", MARK, "null",
]  # fmt: skip
FIELD = re.compile(
    r'form\.(?:typed|text|name|day|chosen|ticked|one_id|time_of_day|file)\("([a-z_]+)"|name="([a-z_]+)"'
)
CLOUD = Path(__file__).parents[3] / "cloud"


def field_names() -> list[str]:
    """Return every field that a form of ours reads or draws."""
    files = [file for pattern in ("*/**/*.py", "*/**/*.html") for file in CLOUD.glob(pattern)]
    texts = [file.read_text(encoding="utf-8") for file in files]
    found = {name for text in texts for pair in FIELD.findall(text) for name in pair if name}
    return sorted(found | {f"{kind}{number}" for kind in ("starts", "ends", "week") for number in range(5)})


def ids(town: Town) -> dict[str, str]:
    known = {name: str(value) for name, value in town.here.ids.items()}
    return {**known, "token": "x" * 43, "secret": "x" * 43, "door": "family", "step": "confirm"}


def send_forms(client: TestClient, town: Town, examples: int, phases: list[Phase]) -> None:
    things, names = ids(town), field_names()
    values = st.one_of(st.sampled_from([*WORDS, *set(things.values())]), st.text(max_size=20))
    fields = st.dictionaries(st.sampled_from(names), st.lists(values, min_size=1, max_size=3), max_size=12)
    paths = [one.path for one in FORMS if not one.path.endswith(NOT_SENT)]

    @settings(max_examples=examples * len(paths), deadline=None, derandomize=examples == EXAMPLES, database=None,
              phases=phases, suppress_health_check=UNHURRIED)  # fmt: skip
    @given(st.sampled_from(paths), st.sampled_from(ASKERS), fields, st.none() | st.binary(max_size=60))
    def sent(path: str, name: str, form: dict[str, Any], raw: bytes | None) -> None:
        headers = {"origin": PUBLIC_URL, "accept": "text/html", **town.askers[name].headers}
        where = path.format_map(things)
        if raw is None:
            answer = client.post(where, data=form, headers=headers)
        else:
            kind = {"content-type": "multipart/form-data; boundary=x"}
            answer = client.post(where, content=b"--x\r\n" + raw, headers={**headers, **kind})
        assert answer.status_code < 500, (name, where, form, answer.text[:500])

    sent()


def test_no_form_breaks_anything(client: TestClient, town: Town) -> None:
    assert len(FORMS) > 25 and len(field_names()) > 20
    send_forms(client, town, EXAMPLES, [Phase.generate])


@pytest.mark.long
def test_no_form_breaks_anything_at_length(client: TestClient, town: Town) -> None:
    send_forms(client, town, AT_LENGTH, [Phase.generate, Phase.shrink])


def ask_the_schema(client: TestClient, town: Town, examples: int) -> None:
    """Let schemathesis ask every described operation, signed in as somebody of each door, with our ids now and then."""
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())  # from_asgi starts and stops the app
    things = ids(town)
    cookies = "; ".join(town.askers[name].headers["cookie"] for name in ("mother", "head", "operator"))
    asked = 0
    for described in schema.get_all_operations():
        operation: Any = cast(Any, described).ok()
        if operation.path.endswith(STREAMS_END):
            continue
        asked += 1

        @settings(max_examples=examples, deadline=None, derandomize=examples == EXAMPLES, database=None,
                  phases=[Phase.generate], suppress_health_check=UNHURRIED)  # fmt: skip
        @given(case=operation.as_strategy(), own=st.booleans())
        def call(case: Any, own: bool) -> None:
            if own:
                case.path_parameters = {name: things.get(name, "x") for name in case.path_parameters or {}}
            sent = case.as_transport_kwargs(base_url=PUBLIC_URL)
            sent["headers"] = {**dict(sent.get("headers") or {}), "cookie": cookies, "origin": PUBLIC_URL}
            answer = client.request(sent.pop("method"), sent.pop("url"), **_known(sent))
            assert answer.status_code < 500, (case.method, case.formatted_path, answer.text[:500])

        call()
    assert asked > 25


def _known(sent: dict[str, Any]) -> dict[str, Any]:
    """Keep what the test's client can send: schemathesis speaks the words of `requests`."""
    kept = {name: sent[name] for name in ("headers", "params", "json") if sent.get(name) is not None}
    body = sent.get("data")
    if isinstance(body, bytes | str):
        kept["content"] = body
    elif isinstance(body, dict):
        kept["data"] = {str(name): str(value) for name, value in body.items()}
    return kept


def test_no_described_operation_breaks(client: TestClient, town: Town) -> None:
    ask_the_schema(client, town, EXAMPLES)


@pytest.mark.long
def test_no_described_operation_breaks_at_length(client: TestClient, town: Town) -> None:
    ask_the_schema(client, town, AT_LENGTH)
