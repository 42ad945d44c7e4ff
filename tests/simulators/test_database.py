"""The databases that demo, stack and tests stand on: made, killed, started again, told apart."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from simulators.broker import start_broker
from simulators.database import RunningDatabase, start_database
from simulators.processes import WorldFault, identify, unprivileged

KINDS = ["system", "wheel", "timescale"]


def start_or_skip(directory: Path, kind: str) -> RunningDatabase:
    if kind == "timescale" and os.geteuid() != 0:
        pytest.skip("a Debian folder needs root for chroot")
    if kind == "system" and not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        pytest.skip("this machine has no PostgreSQL of its own")
    return start_database(directory, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_database_starts_again_at_once_and_keeps_what_was_committed(kind: str, tmp_path: Path) -> None:
    database = start_or_skip(tmp_path / "d", kind)
    try:
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (word text)")
            connection.execute("INSERT INTO kept VALUES ('жұлдыз')")
        holding = psycopg.connect(database.url)  # a client that stays open must not block the restart
        for _ in range(3):
            os.kill(database.pid, signal.SIGKILL)
            database.start()
        holding.close()
        with psycopg.connect(database.url) as connection:
            assert connection.execute("SELECT upper(word) FROM kept").fetchone() == ("ЖҰЛДЫЗ",)
    finally:
        database.stop()


def test_a_directory_remembers_its_kind_of_database(tmp_path: Path) -> None:
    start_database(tmp_path / "d", "wheel").stop()
    with pytest.raises(WorldFault, match="holds a database of kind 'wheel'"):
        start_database(tmp_path / "d", "system")
    again = start_database(tmp_path / "d", "auto")
    try:
        assert again.kind == "wheel"
    finally:
        again.stop()


def test_a_long_directory_name_still_gets_a_socket_that_fits(tmp_path: Path) -> None:
    database = start_database(tmp_path / ("long" * 30), "wheel", durable=False)
    try:
        with psycopg.connect(database.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        database.stop()


@pytest.fixture
def only_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Leave these commands alone on the PATH: without `unshare` root makes no user namespace, as in most containers."""

    def leave(*names: str) -> None:
        (tmp_path / "bin").mkdir()
        for name in names:
            (tmp_path / "bin" / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        unprivileged.cache_clear()

    yield leave
    unprivileged.cache_clear()


def test_where_root_has_no_user_namespace_servers_run_as_another_user_in_a_closed_folder(
    tmp_path: Path, only_these: Callable[..., None]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    only_these("setpriv", "true")
    database, broker = start_database(closed / "d", "wheel", durable=False), start_broker(closed / "b", "mosquitto")
    try:
        with psycopg.connect(database.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert all(os.stat(f"/proc/{server.pid}").st_uid != 0 for server in (database, broker))
        os.kill(database.pid, signal.SIGKILL)
        database.start()
    finally:
        broker.stop()
        database.stop()


def test_where_root_can_be_nobody_else_it_is_told_so(
    only_these: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only_these("true")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(WorldFault, match="Run this as an ordinary user, or set PORTILLON_DATABASE_URL"):
        start_database(tmp_path / "d", "wheel")


def test_a_stopped_database_leaves_no_process_behind(tmp_path: Path) -> None:
    database = start_database(tmp_path / "d", "wheel", durable=False)
    process = identify(database.pid)
    database.stop()
    assert process is not None and not process.is_alive()


def test_an_unknown_kind_is_refused_with_the_kinds_there_are(tmp_path: Path) -> None:
    with pytest.raises(WorldFault, match="Use one of auto, system, wheel, timescale"):
        start_database(tmp_path / "d", "oracle")


def test_a_database_that_cannot_start_names_its_log(tmp_path: Path) -> None:
    start_database(tmp_path / "d", "wheel", durable=False).stop()
    (tmp_path / "d" / "cluster" / "data" / "global" / "pg_control").unlink()
    with pytest.raises(WorldFault, match="postgres.log"):
        start_database(tmp_path / "d", "wheel", durable=False)
