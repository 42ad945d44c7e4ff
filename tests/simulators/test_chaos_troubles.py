"""Chaos is not green where something died, was lost or never happened; and not red for what is by design."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from protocols.trust import Role, TrustedKey, build_trust_list
from simulators.chaos import MUST_BE_ZERO, MUST_HAPPEN, Run, Wanted, _one, ended_threads, problems_of
from simulators.chaos_faults import Ground
from simulators.chaos_plan import Fault
from simulators.evidence import Findings, Lookout
from simulators.parts import Part, gate_status
from simulators.processes import free_port, wait_until
from simulators.proxy import Proxy
from simulators.shim import Shim
from simulators.stack import Stack

SOUND: dict[str, Any] = {
    **dict.fromkeys((*MUST_BE_ZERO, *MUST_HAPPEN), 0), **dict.fromkeys(MUST_HAPPEN, 90),
    "quick": False, "drain_s": 0.5, "answered_after": {"gate-11": 1, "gate-12": 2}, "troubles": [],
    "storms": [{"sent": 4_000, "probes": 60, "others_p99_ms_before": 200.0, "others_p99_ms": 390.0}],
}  # fmt: skip
STORM = SOUND["storms"][0]
SECONDS_MAX = 20.0
# What stands for a gate here: it answers where it is given a port; it ends after so many seconds, or when the orders of
# its shim are no longer zeros, with last words in its log.
A_GATE = """
import http.server, pathlib, sys, threading, time
port, seconds, orders, *words = sys.argv[1:]
until = time.monotonic() + float(seconds)
class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"healthy": true}')
    def log_message(self, *words):
        pass
if int(port):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
print("it runs", flush=True)
while time.monotonic() < until and not any(pathlib.Path(orders).read_bytes()):
    time.sleep(0.02)
print(*words, flush=True)
"""


# --- the summary ------------------------------------------------------------------------------------------------


def test_a_run_in_which_all_held_has_no_problem() -> None:
    assert problems_of(SOUND) == []


def test_every_count_of_an_outsider_is_judged() -> None:
    neither = {"stored", "details", "decided", "openings", "receipts"}  # `stored` is `decided` where nothing is lost
    assert set(Findings.__dataclass_fields__) - neither <= set(MUST_BE_ZERO)
    assert neither - {"stored", "details"} <= set(MUST_HAPPEN)


@pytest.mark.parametrize("name", MUST_BE_ZERO)
def test_one_of_what_must_not_be_is_a_problem(name: str) -> None:
    assert problems_of(SOUND | {name: 1}) == [f"{name} 1"]


@pytest.mark.parametrize("name", MUST_HAPPEN)
def test_nothing_of_what_must_happen_is_a_problem(name: str) -> None:
    assert problems_of(SOUND | {name: 0}) == [f"{name} 0: it did not happen"]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"answered_after": {"gate-11": 1, "gate-12": 0}}, "gate-12 answered nobody after the last fault"),
        ({"drain_s": 10.1}, "the outboxes were empty only 10.1 s after the last fault"),
        ({"rss_max_mb": 601.0}, "a part held 601.0 MB"),
        ({"storms": [STORM | {"others_p99_ms": 401.0}]}, "in a storm others waited 401.0 ms, before 200.0 ms"),
        ({"storms": [STORM | {"sent": 0}]}, "a storm sent nothing"),
        ({"troubles": ["gate-11 was dead"]}, "gate-11 was dead"),
    ],
)
def test_what_did_not_hold_is_said_in_words(changed: dict[str, Any], problem: str) -> None:
    assert problems_of(SOUND | changed) == [problem]


def test_a_thread_of_the_crowd_that_ended_is_named() -> None:
    alive = ["MainThread", "spot-11", "stream-11", "stream-12"]
    assert ended_threads([11, 12], alive) == ["the crowd's thread spot-12 ended by itself"]
    assert ended_threads([11], alive) == []


# --- deaths -----------------------------------------------------------------------------------------------------


class World:
    """A stack of one part that is no gate but behaves as told, and a run of chaos on it."""

    def __init__(self, directory: Path) -> None:
        self.stack = Stack(directory)
        self.part = Part("gate-11", "gate", log=str(directory / "gate-11.log"))
        self.stack.parts[self.part.name] = self.part
        self.ground = Ground(self.stack, Proxy([11], free_port()), Lookout(self.stack), 1)
        self.orders = directory / "orders"
        self.ground.shims["gate-11"] = Shim(self.orders)
        self.run = Run(Wanted(directory), self.stack, self.ground.proxy, lambda _words: None)

    def has_a_gate(self, *words: str, seconds: float = 60.0, serves: bool = False, minds: bool = True) -> None:
        """Start a gate. serves: it answers already; minds: it ends as soon as its clock or disk is touched."""
        port, orders = free_port(), str(self.orders) if minds else "/dev/null"
        self.part.url = f"http://127.0.0.1:{port}"
        self.part.command = self.a_gate(port if serves else 0, seconds, orders, *words)
        self.part.launch()
        wait_until(lambda: "it runs" in Path(self.part.log).read_text(), SECONDS_MAX, "the gate does not start")
        if serves:
            wait_until(lambda: gate_status(self.part.url), SECONDS_MAX, "the gate does not answer")
        self.part.command = self.a_gate(port, 60.0, "/dev/null")  # once started again, it serves and lives

    def a_gate(self, port: int, seconds: float, orders: str, *words: str) -> list[str]:
        return [sys.executable, "-c", A_GATE, str(port), str(seconds), orders, *words]

    def dies(self) -> int:
        """Return the pid of the gate once it has died by itself."""
        wait_until(lambda: not self.part.is_alive(), SECONDS_MAX, "the gate does not die")
        return self.part.pid

    def meets(self, kind: str, how: str = "", seconds: float = 2.0) -> list[str]:
        """Let the gate meet one fault; return what trouble came of it."""
        _one(self.run, self.ground, Fault(7, 0.0, kind, "gate-11", seconds, how))
        return self.run.troubles


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    root, keys = SigningKey.generate(), tmp_path / "keys" / "all"
    keys.mkdir(parents=True)
    (keys / "root.pub").write_text(bytes(root.verify_key).hex())
    cloud = TrustedKey(bytes(SigningKey.generate().verify_key), Role.RECEIPT)
    (keys / "trust.kk1").write_bytes(build_trust_list(root, 1, int(time.time()) - 60, [cloud]))
    (tmp_path / "district.json").write_text('{"district": {"slug": "demo"}, "schools": []}')
    world = World(tmp_path)
    yield world
    world.part.stop()


@pytest.mark.parametrize(("kind", "how"), [("clock", "+1h"), ("slow_disk", "20")])
def test_a_gate_that_dies_of_a_clock_or_of_a_slow_disk_is_trouble(world: World, kind: str, how: str) -> None:
    world.has_a_gate("JOURNAL_FAILED: disk I/O error")
    first = world.part.pid
    (trouble,) = world.meets(kind, how)
    assert trouble.startswith(f"fault 7 ({kind} gate-11): gate-11 was dead though nobody killed it")
    assert trouble.endswith("JOURNAL_FAILED: disk I/O error") and world.ground.ended_by_design == []
    assert world.part.is_alive() and world.part.pid != first, "the run goes on with a gate"


@pytest.mark.parametrize("serves", [False, True])
@pytest.mark.parametrize("kind", ["failing_disk", "full_disk"])
def test_a_gate_that_ends_on_a_broken_disk_and_says_so_is_started_again_without_trouble(
    world: World, kind: str, serves: bool
) -> None:
    world.has_a_gate("JOURNAL_FAILED: disk I/O error", serves=serves)
    assert world.meets(kind) == []
    (ended,) = world.ground.ended_by_design
    assert "JOURNAL_FAILED: disk I/O error" in ended
    assert world.part.is_alive()


def test_a_gate_that_ends_only_after_its_disk_is_whole_again_is_waited_for(world: World) -> None:
    world.has_a_gate("JOURNAL_FAILED: disk I/O error", seconds=2)
    assert world.meets("failing_disk", seconds=0.1) == [] and len(world.ground.ended_by_design) == 1


def test_a_gate_that_dies_of_something_else_on_a_failing_disk_is_trouble(world: World) -> None:
    world.has_a_gate("TypeError: 'NoneType' object is not iterable")
    (trouble,) = world.meets("failing_disk")
    assert trouble.endswith("TypeError: 'NoneType' object is not iterable") and world.ground.ended_by_design == []


def test_a_gate_that_was_starting_on_a_full_disk_may_have_no_room_for_its_reason(world: World) -> None:
    world.has_a_gate("lost sys.stderr")
    assert world.meets("full_disk") == [] and len(world.ground.ended_by_design) == 1


def test_a_gate_that_ran_and_dies_of_a_full_disk_without_its_reason_is_trouble(world: World) -> None:
    world.has_a_gate("lost sys.stderr", serves=True)
    assert len(world.meets("full_disk")) == 1 and world.ground.ended_by_design == []


@pytest.mark.parametrize("kind", ["failing_disk", "full_disk", "slow_disk", "clock"])
def test_a_gate_that_lives_on_is_left_alone(world: World, kind: str) -> None:
    world.has_a_gate(serves=True, minds=False)
    first, how = world.part.pid, {"slow_disk": "20", "clock": "-1h"}.get(kind, "")
    assert world.meets(kind, how, seconds=0.1) == [] == world.ground.ended_by_design
    assert world.part.pid == first


@pytest.mark.parametrize("kind", ["kill", "hang", "failing_disk", "full_disk", "mute_up"])
def test_a_gate_that_was_dead_before_a_fault_is_trouble_and_not_the_faults_doing(world: World, kind: str) -> None:
    world.has_a_gate("JOURNAL_FAILED: disk I/O error", seconds=0)
    first = world.dies()
    (trouble,) = world.meets(kind, seconds=0.1)
    assert trouble.startswith("gate-11 was dead though nobody killed it")
    assert world.part.is_alive() and world.part.pid != first and world.ground.ended_by_design == []


def test_pages_that_were_started_while_their_database_was_away_are_started_again_without_trouble(world: World) -> None:
    said = "the database cannot be reached\n  why: connection refused\n  try: start PostgreSQL"
    world.part.kind = "web"
    world.has_a_gate(said, seconds=0)
    world.dies()
    assert world.meets("kill", seconds=0.1) == [] and "connection refused" in world.ground.ended_by_design[0]


@pytest.mark.parametrize(("kind", "said"), [("web", "KeyError: 'child'"), ("gate", "the database cannot be reached")])
def test_nothing_else_that_is_found_dead_is_forgiven(world: World, kind: str, said: str) -> None:
    world.part.kind = kind
    world.has_a_gate(said, seconds=0)
    world.dies()
    (trouble,) = world.meets("kill", seconds=0.1)
    assert trouble.endswith(said) and world.ground.ended_by_design == []


@pytest.mark.parametrize("point", ["before-commit", "segment"])
def test_a_gate_that_dies_before_it_comes_to_the_named_point_is_trouble(world: World, point: str) -> None:
    world.has_a_gate("KeyError: 'children'", seconds=1)
    (trouble,) = world.meets("kill_at", point)
    assert trouble.endswith("KeyError: 'children'") and world.part.is_alive()
    assert world.ground.counts == {"points_missed": 1}


def test_a_gate_that_dies_at_the_named_point_is_started_again_without_trouble(world: World) -> None:
    world.has_a_gate()
    first, armed = world.part.pid, world.ground.witness(world.part) / "armed"

    def reach() -> None:  # as simulators/witness.py does in the watched process
        wait_until(armed.exists, SECONDS_MAX, "no point is armed")
        armed.unlink()
        world.part.process.signal(signal.SIGKILL)

    reaching = threading.Thread(target=reach)
    reaching.start()
    assert world.meets("kill_at", "after-commit", seconds=0.1) == []
    reaching.join()
    assert world.ground.counts == {"points_reached": 1} and world.part.is_alive() and world.part.pid != first
