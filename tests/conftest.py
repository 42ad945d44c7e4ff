"""What every test may ask for: a real database of its own, the application on it, a cast of families.

One server a test process (PORTILLON_TEST_DATABASE=wheel|system|timescale, else what is there), one migrated template,
one clone a test. Whoever asks for a database carries the marker `database` by itself, and whole stacks `serial`.
"""

import gc
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Playwright, sync_playwright
from psycopg import sql

from cloud.config import Settings
from cloud.kit.db import Database
from cloud.kit.migrate import migrate
from simulators.database import RunningDatabase, start_database

TEMPLATE = "portillon_template"
PUBLIC_URL = "https://school.test"
# A clone is a thousand small files: to make and drop one takes 33 ms of a processor in memory, 218 on a disk (ext4).
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 2 * 2**30  # three servers side by side use a tenth of it each


@dataclass(frozen=True)
class Clone:
    """One test's database: `url` as the application's role, `owner_url` as the superuser."""

    name: str
    url: str
    owner_url: str


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "database_server" in getattr(item, "fixturenames", ()):
            item.add_marker("database")
        if item.nodeid.startswith(("tests/faults/", "tests/journeys/")):
            item.add_marker("serial")


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not look at it again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDatabase]:
    """A PostgreSQL server of this test process."""
    kind = os.environ.get("PORTILLON_TEST_DATABASE", "auto")
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN
    folder = MEMORY if roomy else tmp_path_factory.getbasetemp()
    with tempfile.TemporaryDirectory(prefix="portillon-", dir=folder) as directory:
        server = start_database(Path(directory), kind, durable=False)
        yield server
        server.stop()


@pytest.fixture(scope="session")
def migrated_template(database_server: RunningDatabase) -> str:
    """A migrated database that nobody may enter, to be cloned."""
    with psycopg.connect(database_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        migrate(database_server.database_url(TEMPLATE))
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(TEMPLATE)))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (TEMPLATE,))
    return TEMPLATE


@pytest.fixture
def empty_database(database_server: RunningDatabase) -> Iterator[Clone]:
    """A database with nothing in it."""
    yield from _made(database_server, "template0")


@pytest.fixture
def clone(database_server: RunningDatabase, migrated_template: str) -> Iterator[Clone]:
    """A migrated database of this test alone."""
    yield from _made(database_server, migrated_template)


def _made(server: RunningDatabase, template: str) -> Iterator[Clone]:
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(  # files, not a log of every block
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        yield Clone(name, server.app_url(name), server.database_url(name))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database(clone: Clone) -> Iterator[Database]:
    """The pool of the application's role on a migrated database."""
    with Database(clone.url, 10) as opened:
        yield opened


@pytest.fixture
def settings(clone: Clone) -> Settings:
    """Settings of a demonstration-free cloud on this test's database."""
    return replace(
        Settings(), database_url=clone.url, database_owner_url=clone.owner_url, public_url=PUBLIC_URL,
        secret=bytes(range(32)),
    )


@pytest.fixture
def browser(settings: Settings) -> Iterator[TestClient]:
    """A client of the whole application that keeps cookies and does not follow redirects."""
    from cloud.app import create_app

    with TestClient(create_app(settings), base_url=PUBLIC_URL, follow_redirects=False) as client:
        yield client


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """What drives Chromium: one a test process, since it will not start twice in one."""
    with sync_playwright() as running:
        yield running
