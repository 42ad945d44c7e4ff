"""Every route of the application × everybody: nobody, each role, the same role next door, another family.

The expectations stand in expectations.py, a line a route; a route that has none makes this red, and so does a line
for a route that is gone.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from cloud.app import create_app
from cloud.config import Settings
from tests.cloud.wall.doors import NO, NOTHING, SIGN_IN, STREAMS_END, YES, Address, addresses, word_of
from tests.cloud.wall.expectations import EXPECTED, NEIGHBOURS, Line
from tests.cloud.wall.town import Town
from tests.conftest import PUBLIC_URL

ENDS_SESSIONS = ("", "/account/{door}/sign-out-everywhere", "/sign-out/{door}")  # these come last, in this order


def in_order(address: Address) -> tuple[bool, int, str]:
    last = ENDS_SESSIONS.index(address.path) if address.path in ENDS_SESSIONS else 0
    return address.method != "GET", last, address.path


ROUTES = sorted(addresses(create_app(Settings())), key=in_order)
TOLD_BY_COUNT = (YES, NO, NOTHING, SIGN_IN, "429")


def everybody(town: Town) -> Iterator[tuple[str, dict[str, str]]]:
    """Who asks and with which cookie; those who will be refused come first, so that nothing changes under them."""
    yield "nobody", {}
    for name, asker in town.askers.items():
        if not name.startswith("neighbour_") or name.removeprefix("neighbour_") in NEIGHBOURS:
            yield name, asker.headers


def asked(client: TestClient, address: Address, line: Line, town: Town, headers: dict[str, str]) -> str:
    known = {name: str(value) for name, value in town.here.ids.items()}
    things = {"token": "x" * 43, "secret": "x" * 43, "door": "fleet", "step": "confirm", **known,
              **{word: known[thing] for word, thing in line.things.items()}}  # fmt: skip
    path = address.path.format_map(things)
    fields = {name: value.format_map(things) for name, value in line.form.items()}
    return word_of(client.request(
        address.method, path, headers={"accept": "text/html", "origin": PUBLIC_URL, **headers},
        data=fields or None, json=line.json,
    ))  # fmt: skip


def test_every_route_has_a_line_and_every_line_a_route() -> None:
    assert {str(address) for address in ROUTES} == set(EXPECTED)


@pytest.mark.parametrize("address", ROUTES, ids=str)
def test_each_role_gets_the_answer_that_the_design_gives_it(address: Address, client: TestClient, town: Town) -> None:
    line = EXPECTED[str(address)]
    line = replace(line, names_a_thing="_id}" in address.path or "{serial}" in address.path)
    expected = {name: line.words.get("*") or line.word(name) for name, _ in everybody(town)}
    order = sorted(everybody(town), key=lambda one: expected[one[0]] == YES)
    if address.path.endswith(STREAMS_END):  # it answers for ever; who opens one is asked in tests/cloud/pages
        order = [one for one in order if expected[one[0]] != YES]
        expected = {name: expected[name] for name, _ in order}
    answers = {name: asked(client, address, line, town, headers) for name, headers in order}
    if line.counted:
        answers = {name: expected[name] if word in TOLD_BY_COUNT else word for name, word in answers.items()}
    if line.once and YES in answers.values():
        answers |= {name: YES for name, word in answers.items() if name in line.may and word == NOTHING}
    for name, word in answers.items():  # whom neither role nor district lets in may be told either
        role = name.removeprefix("neighbour_")
        if name != role and role not in line.may and {word, expected[name]} == {NO, NOTHING}:
            answers[name] = expected[name]
    assert answers == expected
