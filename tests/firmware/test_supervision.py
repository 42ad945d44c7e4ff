"""What systemd hears of a gate: only work that was done; and how a gate that cannot hold becomes a doorkeeper."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.supervision import HELD_SECONDS, HUNGRY_SECONDS, Supervision
from tests.edge.household import Scene, Site, write_gate
from tests.edge.line import until
from tests.edge.test_cli import COMMAND, PLAIN, gate_command, ready


class Systemd:
    """The supervisor's end of the line: a datagram socket, as sd_notify(3) describes it."""

    def __init__(self, directory: Path) -> None:
        self.address = str(directory / "notify")
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._line.bind(self.address)
        self._line.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        while True:
            try:
                self.heard += self._line.recv(4_096).decode().split("\n")
            except BlockingIOError:
                return self.heard

    def close(self) -> None:
        self._line.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    listening = Systemd(tmp_path)
    yield listening
    listening.close()


class Hands:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.moment = 1_000.0

    def __call__(self) -> float:
        return self.moment


def start(config: Path, systemd: Systemd) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "run", "--config", str(config), "--doorkeeper-after", "3"],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**PLAIN, "NOTIFY_SOCKET": systemd.address},
    )  # fmt: skip


def test_time_that_passes_feeds_nothing_and_work_feeds_once_a_second(systemd: Systemd) -> None:
    hands = Hands()
    supervision = Supervision(systemd.address, monotonic=hands)
    hands.moment += HUNGRY_SECONDS
    assert supervision.hungry and systemd.listen() == []
    for _ in range(5):
        supervision.worked()
    assert systemd.listen() == ["WATCHDOG=1"] and not supervision.hungry
    hands.moment += 1
    supervision.worked()
    assert systemd.listen() == ["WATCHDOG=1"] * 2


@pytest.mark.parametrize("address", [None, "", "/nowhere/at/all", "@nobody-listens-here"])
def test_a_gate_that_nobody_supervises_goes_on(address: str | None) -> None:
    supervision = Supervision(address)
    supervision.ready()
    supervision.worked()
    supervision.stopping()


def test_a_start_has_held_when_work_is_done_a_minute_later_and_not_before(tmp_path: Path) -> None:
    hands, count = Hands(), tmp_path / "starts"
    first = Supervision(None, count, 3, monotonic=hands)
    hands.moment += HELD_SECONDS - 1
    first.worked()
    assert count.read_text() == "1\n"
    hands.moment += 1
    first.worked()
    assert not count.exists()


def test_a_fourth_start_after_three_that_did_not_hold_is_a_doorkeepers_until_somebody_stops_it(tmp_path: Path) -> None:
    hands, count = Hands(), tmp_path / "starts"
    assert [Supervision(None, count, 3, monotonic=hands).doorkeeper for _ in range(3)] == [False] * 3
    fourth = Supervision(None, count, 3, monotonic=hands)
    assert fourth.doorkeeper and fourth.failed_starts == 3
    hands.moment += 10 * HELD_SECONDS
    fourth.worked()
    assert count.exists()  # that a doorkeeper holds says nothing of the whole gate
    fourth.stopping()
    assert not Supervision(None, count, 3, monotonic=hands).doorkeeper


@pytest.mark.parametrize("rubbish", [b"", b"\xff\xfe", b"-3", b"99999", b"3 3", b"\0" * 4_096, "³".encode()])
def test_a_count_that_is_rubbish_counts_as_none(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / "starts").write_bytes(rubbish)
    supervision = Supervision(None, tmp_path / "starts", 3)
    assert supervision.failed_starts == 0 and not supervision.doorkeeper


def test_a_count_that_cannot_be_written_keeps_no_door_shut(tmp_path: Path) -> None:
    (tmp_path / "starts").mkdir()  # root writes into any folder; a folder in its place refuses everybody
    supervision = Supervision(None, tmp_path / "starts", 3)
    supervision.stopping()
    assert not supervision.doorkeeper


@pytest.mark.serial
def test_a_running_gate_says_ready_then_feeds_from_its_frames_then_that_it_stops(
    tmp_path: Path, systemd: Systemd
) -> None:
    config, scene = write_gate(tmp_path, Site()), Scene(tmp_path / "camera.frame")
    process = start(config, systemd)
    ready(process)
    until(lambda: (scene.clear(), systemd.listen().count("WATCHDOG=1") >= 2)[1])
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    told = systemd.listen()
    assert told.index("READY=1") < told.index("STOPPING=1") and "STATUS=whole" in told
    assert not (tmp_path / "data" / "starts").exists()


@pytest.mark.serial
def test_a_hung_gate_feeds_no_more(tmp_path: Path, systemd: Systemd) -> None:
    config, scene = write_gate(tmp_path, Site()), Scene(tmp_path / "camera.frame")
    process = start(config, systemd)
    ready(process)
    until(lambda: (scene.clear(), "WATCHDOG=1" in systemd.listen())[1])
    process.send_signal(signal.SIGSTOP)
    heard = len(systemd.listen())
    for _ in range(20):
        scene.clear()
    assert len(systemd.listen()) == heard
    process.kill()
    process.wait()


@pytest.mark.serial
def test_a_gate_whose_pages_cannot_start_is_a_doorkeeper_at_its_fourth_start(tmp_path: Path, systemd: Systemd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = write_gate(tmp_path, Site(), listen=f"127.0.0.1:{taken.getsockname()[1]}")
        scene = Scene(tmp_path / "camera.frame")
        for _ in range(3):
            assert gate_command("run", "--config", config, "--doorkeeper-after", "3").returncode == 1
        process = start(config, systemd)
        try:
            assert process.stderr is not None and "doorkeeper" in process.stderr.readline()
            ready(process)
            until(lambda: (scene.clear(), {"STATUS=doorkeeper", "WATCHDOG=1"} <= set(systemd.listen()))[1])
        finally:
            process.kill()
            process.wait()
    assert "BOOT" in {json.loads(line)["code"] for line in exported(config)}
    assert os.path.exists(tmp_path / "data" / "starts")


def exported(config: Path) -> list[str]:
    return gate_command("journal", "export", "--config", config).stdout.splitlines()
