"""The warden: rights follow the registry, made only where it changed, and the broker is told until it has heard."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.fleet import authority
from cloud.fleet import service as fleet
from cloud.kit import clock
from cloud.kit.broker import Line
from cloud.kit.db import Database
from cloud.warden import ACL_FILE, GATES_FILE, Warden
from tests.cast import Cast, a_district
from tests.gates import a_gate

MAKE_ACL = """test ! -e {folder}/broken || exit 1
echo made >> {folder}/made
cat
"""
BROKER = "import signal, sys; print(signal.sigwait([signal.SIGHUP, signal.SIGTERM]).name, flush=True)"


@pytest.fixture
def cast(database: Database) -> Cast:
    cast = a_district(database)
    a_gate(database, cast, 11, seed=11)
    return cast


@pytest.fixture
def warden(database: Database, cast: Cast, tmp_path: Path) -> Warden:
    authority.init(tmp_path / "ca", authority.GATES, clock.now())
    make_acl = tmp_path / "make-acl"
    make_acl.write_text(MAKE_ACL.format(folder=tmp_path))
    return Warden(database, Line("mqtt://127.0.0.1:1"), tmp_path / "ca", tmp_path, make_acl, tmp_path / "log",
                  tmp_path / "pid")  # fmt: skip


@pytest.fixture
def broker() -> Iterator[subprocess.Popen[str]]:
    """A process that says which signal reached it: signals are all that the warden sends to Mosquitto by its number."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    try:  # the mask is the child's too: SIGHUP waits for it, and does not kill it while it starts
        process = subprocess.Popen(["python3", "-c", BROKER], stdout=subprocess.PIPE, text=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    yield process
    process.kill()
    process.wait()


def times_made(warden: Warden) -> int:
    return len((warden.folder / "made").read_text().split())


def test_rights_are_made_once_and_again_only_where_the_registry_changed(
    database: Database, cast: Cast, warden: Warden
) -> None:
    for _ in range(5):
        warden.look()
    assert times_made(warden) == 1
    assert (warden.folder / ACL_FILE).read_text() == "demo 101 11\n" and (warden.folder / GATES_FILE).exists()
    a_gate(database, cast, 12, seed=12)
    (warden.folder / "broken").touch()
    warden.look()
    assert (warden.folder / ACL_FILE).read_text() == "demo 101 11\n"
    (warden.folder / "broken").unlink()
    warden.look()
    assert times_made(warden) == 2, "what was not made is tried again"
    assert (warden.folder / ACL_FILE).read_text() == "demo 101 11\ndemo 101 12\n"
    (warden.folder / ACL_FILE).write_text("somebody's own\n")
    warden.look()
    assert times_made(warden) == 2 and (warden.folder / ACL_FILE).read_text() == "demo 101 11\ndemo 101 12\n"


@pytest.mark.parametrize("pid", ["", "no number", "999999999"])
def test_a_broker_that_could_not_be_told_is_told_later_and_the_log_says_why_once(
    database: Database, cast: Cast, warden: Warden, broker: subprocess.Popen[str], pid: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    if pid:
        warden.pid_file.write_text(pid)
    with database.tenant(cast.district) as tx:
        fleet.revoke_gate(tx, cast.district, 11, clock.now())
    for _ in range(3):
        warden.look()
    told = [line.message for line in caplog.records if "does not read its rights" in line.message]
    assert len(told) == 1, told
    warden.pid_file.write_text(str(broker.pid))
    warden.look()
    assert broker.stdout and broker.stdout.readline() == "SIGHUP\n"
    assert not warden.is_unread
