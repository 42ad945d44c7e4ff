"""A stack, end to end: a morning is stored to the last child; parts are killed by pid and started again; all goes down.

The stack is the one of `portillon-sim stack up`; each part is a process of its own (INTERFACES, "stack up").
"""

import json
import os
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.district import Sizes
from simulators.morning import play_morning, read_ledger, wait_for_ledger
from simulators.parts import command_path, gate_status
from simulators.processes import WorldFault, began_at, is_port_free, wait_until
from simulators.stack import Stack, Wishes

FAMILIES = 40


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        stack.up(Wishes(sizes=Sizes(gates=2, families=FAMILIES)))
        yield stack
    finally:
        stack.down()


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command_path("portillon-sim"), *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_twenty_arrivals_open_and_all_of_them_are_stored(stack: Stack) -> None:
    summary = play_morning(stack, 20, seed=5).summary()
    assert (summary["opened"], summary["stored"], summary["refused"]) == (20, 20, {})
    assert (summary["lost"], summary["duplicates"], summary["phantoms"]) == (0, 0, 0)
    assert summary["pages_told"] == summary["pages_watched"] == 20


def test_the_cloud_holds_what_the_gates_journals_say_word_for_word(stack: Stack) -> None:
    ledger = wait_for_ledger(stack)
    in_cloud = {}
    for line in stack.cloud("events", "export", "--json").splitlines():
        event = json.loads(line)
        in_cloud[event["gate"], event["epoch"], event["seq"]] = event
    assert ledger.at_gates and set(ledger.at_gates) <= set(in_cloud)
    for fact, event in ledger.at_gates.items():
        assert (event["kind"], event["code"]) == (in_cloud[fact]["kind"], in_cloud[fact]["code"])


def test_the_stack_names_every_part_with_its_pid_log_and_config(stack: Stack) -> None:
    parts = stack.describe()["parts"]
    assert {part["kind"] for part in parts} == {"database", "broker", "web", "ingest", "worker", "gate", "lens"}
    assert all(part["alive"] and Path(part["log"]).exists() for part in parts)
    assert all(part.get("url") or part.get("port") for part in parts if part["kind"] in ("web", "broker", "database"))
    assert all(Path(part["config"]).exists() for part in parts if part["kind"] == "gate")


def test_no_process_is_given_a_key_that_it_does_not_need(stack: Stack) -> None:
    held = {
        process: {key.stem for key in (stack.directory / "keys" / process).glob("*.key")}
        for process in ("web", "ingest", "worker")
    }
    assert held["ingest"] == {"receipt"}
    assert held["web"] == {"issuer"}
    assert not list(stack.directory.glob("keys/**/root.key")) and (stack.directory / "root" / "root.key").exists()


@pytest.mark.parametrize("name", ["gate-12", "broker", "ingest", "web", "worker", "database"])
def test_a_part_killed_by_its_pid_starts_again(stack: Stack, name: str) -> None:
    old_pid = stack.parts[name].pid
    os.kill(old_pid, signal.SIGKILL)
    started = simulate("stack", "start", name, "--dir", str(stack.directory), "--json")
    assert started.returncode == 0, started.stderr
    assert json.loads(started.stdout)["pid"] != old_pid
    stack.parts = Stack(stack.directory).parts
    assert stack.parts[name].is_alive()


def test_after_all_these_deaths_the_data_is_there_and_a_morning_still_loses_nothing(stack: Stack) -> None:
    for part in stack.gates:
        wait_until(lambda url=part.url: gate_status(url).get("broker") == "up", 30, f"{part.name} finds no broker")
    summary = play_morning(stack, 6, seed=6).summary()
    assert (summary["opened"], summary["stored"], summary["lost"], summary["duplicates"]) == (6, 6, 0, 0)
    codes = Counter(event["code"] for event in read_ledger(stack).at_gates.values())
    assert codes["OPEN"] == 26


def test_status_exits_1_and_names_the_part_that_is_not_running(stack: Stack) -> None:
    os.kill(stack.parts["ingest"].pid, signal.SIGKILL)
    wait_until(lambda: not stack.parts["ingest"].is_alive(), 10, "ingest does not die")
    status = simulate("stack", "status", "--dir", str(stack.directory), "--json")
    assert status.returncode == 1
    assert [part["name"] for part in json.loads(status.stdout)["parts"] if not part["alive"]] == ["ingest"]
    stack.start("ingest")


def test_a_taken_port_is_named_with_what_to_type(stack: Stack) -> None:
    gate = stack.parts["gate-11"]
    gate.stop()
    wait_until(lambda: is_port_free(gate.port), 10, "the port is not given back")
    with _Squatter(gate.port), pytest.raises(WorldFault, match=f"Port {gate.port}.*ss -ltnp"):
        stack.start("gate-11")
    stack.start("gate-11")


def test_more_arrivals_than_families_are_refused_in_words(stack: Stack) -> None:
    with pytest.raises(WorldFault, match="families are still out today, 1000 shall come"):
        play_morning(stack, 1000, seed=1)


def test_a_morning_where_there_is_no_stack_exits_3_and_says_what_to_type(tmp_path: Path) -> None:
    played = simulate("morning", "--dir", str(tmp_path / "none"), "--arrivals", "1")
    assert played.returncode == 3
    assert "portillon-sim stack up" in played.stderr


def test_the_second_start_keeps_everything_and_down_leaves_no_process(stack: Stack) -> None:
    pids = [part.pid for part in stack.parts.values()]
    down = simulate("stack", "down", "--dir", str(stack.directory), "--json")
    assert len(json.loads(down.stdout)["stopped"]) == len(pids)
    assert [pid for pid in pids if began_at(pid) is not None] == []
    again = Stack(stack.directory)
    again.up(Wishes())
    stack.parts = again.parts
    opened = [event for event in read_ledger(again).at_gates.values() if event["code"] == "OPEN"]
    assert len(opened) == 26


class _Squatter:
    """Another program that listens on a port."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen()

    def __enter__(self) -> "_Squatter":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
