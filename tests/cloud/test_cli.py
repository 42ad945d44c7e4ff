"""`portillon-cloud` as people meet it: exit codes, what happened, why, what to type."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Clone

COMMAND = Path(sys.executable).parent / "portillon-cloud"
ABSENT = "postgresql://portillon_app@127.0.0.1:1/none"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    secret = tmp_path / "secret"
    secret.write_text("11" * 32)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTILLON_")}
    return kept | {"PORTILLON_SECRET_FILE": str(secret), "NO_COLOR": "1"}


def ran(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=60)


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("command", ["serve", "migrate", "doctor"])
def test_a_database_that_is_not_there_is_said_with_what_to_type(environment: dict[str, str], command: str) -> None:
    told = ran(environment | {"PORTILLON_DATABASE_URL": ABSENT, "PORTILLON_DATABASE_OWNER_URL": ABSENT}, command)
    assert "Traceback" not in told.stderr
    assert "PORTILLON_DATABASE_URL" in told.stderr + told.stdout
    assert told.returncode == (1 if command == "doctor" else 3)


def test_five_wrong_settings_are_all_listed(environment: dict[str, str]) -> None:
    wrong = {"PORTILLON_DATABASE_URL": "x", "PORTILLON_LISTEN": "x", "PORTILLON_DEMO": "x", "PORTILLON_POOL_SIZE": "x",
             "PORTILLON_BROKER_URL": "x"}
    told = ran(environment | wrong, "serve")
    assert told.returncode == 2
    assert all(name in told.stderr for name in wrong)


def test_every_setting_is_listed_even_with_wrong_ones(environment: dict[str, str]) -> None:
    told = ran(environment | {"PORTILLON_DEMO": "x"}, "doctor", "--settings", "--json")
    assert told.returncode == 0
    assert all(setting["meaning"] for setting in json.loads(told.stdout))


def test_a_port_that_is_taken_is_said_with_what_to_type(clone: Clone, environment: dict[str, str]) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        told = ran(environment | {"PORTILLON_DATABASE_URL": clone.url, "PORTILLON_LISTEN": taken}, "serve")
    assert told.returncode == 3
    assert taken in told.stderr
    assert "PORTILLON_LISTEN" in told.stderr


def test_a_role_that_passes_the_wall_is_refused(clone: Clone, environment: dict[str, str]) -> None:
    told = ran(environment | {"PORTILLON_DATABASE_URL": clone.owner_url}, "serve")
    assert told.returncode == 4
    assert "portillon_app" in told.stderr


def test_an_empty_database_is_migrated_once(empty_database: Clone, environment: dict[str, str]) -> None:
    owner = environment | {"PORTILLON_DATABASE_OWNER_URL": empty_database.owner_url}
    first, second = ran(owner, "migrate"), ran(owner, "migrate")
    assert (first.returncode, second.returncode) == (0, 0)
    assert "0001_who_and_where" in first.stdout
    assert second.stdout == ""


def test_the_server_answers_and_stops_at_once_when_told(clone: Clone, environment: dict[str, str]) -> None:
    address = f"127.0.0.1:{a_free_port()}"
    given = environment | {"PORTILLON_DATABASE_URL": clone.url, "PORTILLON_LISTEN": address}
    server = subprocess.Popen([COMMAND, "serve"], env=given, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        assert server.stderr.readline().strip() == f"listening on http://{address}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=10)
    assert server.returncode in (0, -signal.SIGTERM)


def test_a_district_file_that_is_not_there_or_wrong_is_refused(clone: Clone, environment: dict[str, str], tmp_path: Path
                                                               ) -> None:
    given = environment | {"PORTILLON_DATABASE_URL": clone.url}
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"district": {"slug": "UPPER"}}')
    for file, words in ((wrong, "district.slug"), (tmp_path / "none.json", "No such file")):
        told = ran(given, "seed", str(file))
        assert told.returncode == 1
        assert words in told.stderr
        assert "Traceback" not in told.stderr
