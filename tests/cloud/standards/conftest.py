"""One database of a module of imports; each test has a district of its own in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.kit.db import Database
from simulators.database import RunningDatabase
from tests.cloud.standards.region import Region
from tests.conftest import Clone, _made


@pytest.fixture(scope="module")
def place(database_server: RunningDatabase, migrated_template: str) -> Iterator[Clone]:
    yield from _made(database_server, migrated_template)


@pytest.fixture(scope="module")
def pool(place: Clone) -> Iterator[Database]:
    with Database(place.url, 4) as opened:
        yield opened


@pytest.fixture
def region(pool: Database, tmp_path: Path) -> Region:
    return Region(pool, tmp_path)
