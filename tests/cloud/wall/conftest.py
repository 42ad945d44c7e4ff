"""One town a module: two districts, somebody of every role, the whole application on it."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg import sql

from cloud.app import create_app
from cloud.config import Settings
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.passes.keys import KeyRing, init_keys
from simulators.database import RunningDatabase
from tests.cloud.wall.town import Town, build_town
from tests.conftest import PUBLIC_URL, Clone


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, KeyRing]:
    """The folder of the cloud's keys, and what is in it."""
    folder = tmp_path_factory.mktemp("wall")
    return folder / "keys", init_keys(folder / "root", folder / "keys", int(clock.now().timestamp()) - 60)


@pytest.fixture(scope="module")
def place(database_server: RunningDatabase, migrated_template: str) -> Iterator[Clone]:
    """A migrated database of this module."""
    name = f"wall_{secrets.token_hex(6)}"
    with psycopg.connect(database_server.url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(migrated_template))
        )
        yield Clone(name, database_server.app_url(name), database_server.database_url(name))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def pool(place: Clone) -> Iterator[Database]:
    """The pool of the application's role."""
    with Database(place.url, 10) as opened:
        yield opened


@pytest.fixture(scope="module")
def town(place: Clone, pool: Database, keys: tuple[Path, KeyRing]) -> Town:
    return build_town(pool, place.owner_url, keys[1])


@pytest.fixture(scope="module")
def client(place: Clone, town: Town, keys: tuple[Path, KeyRing]) -> Iterator[TestClient]:
    """The whole application, once a module; who asks is said with each request."""
    settings = replace(
        Settings(), database_url=place.url, database_owner_url=place.owner_url, public_url=PUBLIC_URL,
        secret=bytes(range(32)), keys_dir=keys[0],
    )  # fmt: skip
    with TestClient(create_app(settings), base_url=PUBLIC_URL, follow_redirects=False) as client:
        yield client
