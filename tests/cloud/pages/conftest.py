"""A district with an office and a neighbour before one running application; tests ask its pages over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from cloud.app import create_app
from cloud.config import Settings
from cloud.identity import service as identity
from cloud.identity.doors import COOKIES
from cloud.identity.model import Door, Role
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.people import service as people
from cloud.people.escorts import escorts_of_child
from simulators.database import RunningDatabase
from tests.cast import FIRST_DAY, Cast, a_district
from tests.conftest import PUBLIC_URL
from tests.conftest import _made as made_clone


@dataclass
class House:
    """A district with an office and a neighbour, before one running application."""

    client: TestClient
    database: Database
    cast: Cast
    neighbour: Cast
    clerk: UUID
    auditor: UUID
    officer: UUID

    def ask(self, method: str, path: str, who: str | UUID, door: str = "school", *, sure: bool = True,
            origin: str = PUBLIC_URL, **told: Any) -> Response:  # fmt: skip
        person = who if isinstance(who, UUID) else getattr(self.cast, who)
        with self.database.tenant(self.cast.district) as tx:
            login = identity.login_of_person(tx, self.cast.district, person, clock.now())
            token = identity.new_session(tx, login, Door(door), clock.now())
            if sure:
                identity.make_sure(tx, token, clock.now())
        self.client.cookies.clear()
        headers = {"cookie": f"{COOKIES[Door(door)]}={token}", "accept": "text/html", "origin": origin,
                   "accept-language": "en"}  # fmt: skip
        return self.client.request(method, path, headers=headers, **told)

    def get(self, path: str, who: str | UUID, door: str = "school", **told: Any) -> Response:
        return self.ask("GET", path, who, door, **told)

    def post(self, path: str, who: str | UUID, door: str = "school", **told: Any) -> Response:
        return self.ask("POST", path, who, door, **told)

    def escorts(self, child: UUID) -> list[str]:
        with self.database.tenant(self.cast.district) as tx:
            return [right.given for right in escorts_of_child(tx, self.cast.district, child, clock.now())]


@pytest.fixture(scope="module")
def house(database_server: RunningDatabase, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
          ) -> Iterator[House]:  # fmt: skip
    with contextmanager(made_clone)(database_server, migrated_template) as clone, Database(clone.url, 10) as database:
        settings = replace(
            Settings(), database_url=clone.url, database_owner_url=clone.owner_url, public_url=PUBLIC_URL,
            secret=bytes(range(32)),
        )
        cast, neighbour = a_district(database), a_district(database, "next", 202)
        with database.tenant(cast.district) as tx:
            clerk = people.put_person(
                tx, cast.district, sourced_id="clerk", given="Ольга", family="Ким", language="en"
            )
            people.put_staff(tx, cast.district, clerk, cast.school, 7)
            identity.grant_role(tx, cast.district, clerk, Role.OFFICE, FIRST_DAY, school_id=cast.school)
            auditor, officer = (
                people.put_person(tx, cast.district, sourced_id=role, given=role, family="", language="en")
                for role in (Role.AUDITOR, Role.DISTRICT_OFFICER)
            )
            identity.grant_role(tx, cast.district, auditor, Role.AUDITOR, FIRST_DAY)
            identity.grant_role(tx, cast.district, officer, Role.DISTRICT_OFFICER, FIRST_DAY)
            tx.execute("UPDATE person SET language = 'en'")
        with TestClient(create_app(settings), base_url=PUBLIC_URL, follow_redirects=False) as client:
            yield House(client, database, cast, neighbour, clerk, auditor, officer)
