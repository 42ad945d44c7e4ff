"""Two districts in one database: nothing that is asked as ours ever names the other, whoever asks and however.

Every page and every public function of services and queries, with ids, numbers and words of both districts. All words
of the neighbour carry one mark (town.py), so that a leak shows as itself.
"""

from collections.abc import Iterable
from dataclasses import is_dataclass
from types import GeneratorType
from typing import Any
from uuid import UUID

import psycopg
import pytest
from fastapi.testclient import TestClient
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cloud.app import create_app
from cloud.config import Settings
from cloud.kit.db import Database, RuleBroken
from cloud.kit.errors import Refused
from cloud.passes.keys import KeyRing
from tests.cloud.wall.asking import NOT_ASKED, UNHURRIED, Arguments, asked_functions, name_of
from tests.cloud.wall.doors import STREAMS_END, addresses
from tests.cloud.wall.town import MARK, Town
from tests.conftest import PUBLIC_URL, Clone

EXAMPLES = 3  # for each function and district named; `long` asks a hundred times as often
FUNCTIONS = {name_of(function): function for function in asked_functions()}
PAGES = [one for one in addresses(create_app(Settings())) if one.method == "GET"]
ASKERS = ("mother", "father", "teacher", "head", "officer", "auditor", "operator")
IN_NO_PAGE = ("/enter/", "/openapi.json", STREAMS_END)

# An argument that no row can hold is refused by the driver or by PostgreSQL; what matters is that nothing comes out.
REFUSED = (Refused, RuleBroken, psycopg.Error, LookupError, ValueError, AssertionError)


@pytest.fixture(scope="module")
def theirs(place: Clone, town: Town) -> frozenset[str]:
    """Every id that the neighbour district has and ours has not, as text."""
    ids: dict[str, set[str]] = {"here": set(), "there": set()}
    with psycopg.connect(place.owner_url) as owner:
        tables = owner.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name = 'district_id'"
        ).fetchall()
        for (table,) in tables:
            for side, things in (("here", town.here), ("there", town.there)):
                rows = owner.execute(
                    f'SELECT to_jsonb(t) FROM "{table}" t WHERE district_id = %s'.encode(), (things.cast.district,)
                )
                ids[side] |= {value for (row,) in rows for value in row.values() if _is_id(value)}
    assert ids["there"] - ids["here"]
    return frozenset(ids["there"] - ids["here"])


def _is_id(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


@pytest.fixture(scope="module")
def arguments(town: Town, keys: tuple[Any, KeyRing]) -> Arguments:
    return Arguments(town, keys[1])


def told(answer: Any) -> Iterable[str]:
    """Yield every text, id and number that an answer holds, however deep."""
    if isinstance(answer, GeneratorType | list | tuple | set | frozenset):
        for one in answer:
            yield from told(one)
    elif isinstance(answer, dict):
        yield from told(list(answer.items()))
    elif is_dataclass(answer):
        yield from told(vars(answer))
    else:
        yield str(answer)


def check(answer: Any, theirs: frozenset[str], given: object) -> None:
    said = {str(one) for one in told(given)}  # what was asked with may be said again
    leaked = [one for one in told(answer) if one not in said and (one in theirs or MARK in _without(one, said))]
    assert not leaked, leaked


def _without(text: str, said: Iterable[str]) -> str:
    for one in said:
        text = text.replace(one, "") if one else text
    return text


def ask(name: str, database: Database, town: Town, arguments: Arguments, theirs: frozenset[str], data: Any) -> None:
    """Ask one function as our district, naming ours and then the neighbour; nothing of it stays."""
    function = FUNCTIONS[name]
    given = data.draw(arguments.of(function))
    for named in (town.here.cast.district, town.there.cast.district):
        try:
            with database.tenant(town.here.cast.district) as tx, tx.transaction(force_rollback=True):
                check(function(tx, named, **given), theirs, (given, named))
        except REFUSED as refused:
            check(str(refused), theirs, (given, named))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_no_function_tells_anything_of_the_other_district(
    name: str, pool: Database, town: Town, arguments: Arguments, theirs: frozenset[str]
) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
              suppress_health_check=UNHURRIED)  # fmt: skip
    @given(st.data())
    def asked(data: Any) -> None:
        ask(name, pool, town, arguments, theirs, data)

    asked()


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_no_function_tells_anything_of_the_other_district_at_length(
    name: str, pool: Database, town: Town, arguments: Arguments, theirs: frozenset[str]
) -> None:
    @settings(max_examples=100 * EXAMPLES, deadline=None, database=None, suppress_health_check=UNHURRIED)
    @given(st.data())
    def asked(data: Any) -> None:
        ask(name, pool, town, arguments, theirs, data)

    asked()


def test_every_function_that_is_not_asked_is_still_there() -> None:
    assert len(FUNCTIONS) > 80
    for name in NOT_ASKED:
        module, _, function = name.rpartition(".")
        assert hasattr(__import__(module, fromlist=[function]), function), name


def test_no_page_of_ours_shows_anything_of_the_other_district(
    client: TestClient, town: Town, theirs: frozenset[str]
) -> None:
    """With our ids and with theirs in the address, asked by everybody of ours."""
    shown = 0
    for address in PAGES:
        if any(part in address.path for part in IN_NO_PAGE):
            continue
        for side in (town.here, town.there) if "{" in address.path else (town.here,):
            things = {name: str(value) for name, value in side.ids.items()}
            path = address.path.format_map({**things, "token": "x", "secret": "x", "door": "family", "step": "confirm"})
            for name in ASKERS:
                cookie = town.askers[name].headers
                answer = client.get(f"{path}?q={MARK}", headers={"accept": "text/html", **cookie})
                leaked = [one for one in theirs if one in answer.text and one not in path]
                asked_again = answer.text.count(f'value="{MARK}"')
                assert not leaked, f"{name} at {path}: {leaked}"
                assert answer.text.count(MARK) == asked_again, f"{name} at {path}"
                shown += answer.status_code == 200
    assert shown > 60


def test_a_form_of_ours_with_their_ids_finds_nothing(client: TestClient, town: Town) -> None:
    theirs = town.there.ids
    for name, path, fields in (
        ("office", f"/school/children/{theirs['child_id']}/escorts", {"person": str(theirs["father"]), "day": "1"}),
        ("office", f"/school/children/{town.here.ids['child_id']}/orders/{theirs['order_id']}/confirm", {}),
        ("mother", f"/family/children/{theirs['child_id']}/escorts", {"given": "X", "day": "1"}),
        ("head", f"/school/staff/{theirs['person_id']}/roles", {"role": "teacher"}),
    ):
        headers = {"origin": PUBLIC_URL, "accept": "text/html", **town.askers[name].headers}
        assert client.post(path, data=fields, headers=headers).status_code == 404, path
    own = f"/school/children/{town.here.ids['child_id']}/escorts"
    headers = {"origin": PUBLIC_URL, "accept": "text/html", **town.askers["office"].headers}
    told_no = client.post(own, data={"person": str(theirs["father"]), "how": "days", "day": "1"}, headers=headers)
    assert told_no.status_code in (400, 404, 409), "a person of the neighbour is nobody here"
