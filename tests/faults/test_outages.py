"""One stack, broken twice: by an outsider who knows only the commands, then by the outages of a real building.

The outsider kills and freezes by pid and counts by the two exports. In an outage (a cut line, a clock nobody vouches
for, a full card, a cloud away) the gate answers as PROTOCOL section 3 says. When it is over nothing is lost.
"""

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.gatehouse import Arrival, Gatehouse
from simulators.morning import choose_comers, play_morning, wait_for_ledger
from simulators.outage import outage, play_outage
from simulators.parts import gate_status
from simulators.phone import HeldPass, Phone
from simulators.processes import WorldFault, wait_until
from simulators.stack import Stack
from tests.faults.driver import ARRIVALS, COMMAND_SECONDS_MAX, Driver

KINDS = {"gate", "broker", "ingest", "worker", "web", "database"}  # and what a stack may need besides
DRAIN_SECONDS_MAX = 10.0


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    driver = Driver(tmp_path_factory.mktemp("driver"))
    try:
        yield driver
    finally:
        driver.down()


@pytest.fixture(scope="module")
def stack(driver: Driver) -> Stack:
    """The outsider's stack, as he left it, for those who know more."""
    return Stack(Path(driver.directory))


@pytest.fixture
def well(stack: Stack) -> Stack:
    """The stack, its gate hearing the broker again after the outage of the test before."""
    gate = stack.parts["gate-11"]
    wait_until(lambda: gate_status(gate.url).get("broker") == "up", 30, "the gate finds no broker")
    wait_until(lambda: gate_status(gate.url).get("outbox") == 0, 30, "the outbox is not drained")
    return stack


def test_a_stack_names_its_parts_so_that_anybody_can_break_them(driver: Driver) -> None:
    assert {part["kind"] for part in driver.parts.values()} >= KINDS
    assert all(part["pid"] and Path(part["log"]).exists() for part in driver.parts.values())
    assert all(
        part.get("url") or part.get("port") for part in driver.parts.values() if part["kind"] in ("web", "broker")
    )
    assert all(Path(gate["config"]).exists() for gate in driver.gates())


def test_killed_frozen_and_started_again_under_arrivals_nothing_is_lost_doubled_or_invented(driver: Driver) -> None:
    morning = driver.morning()
    driver.wait_for_arrivals(4)  # families have refreshed their passes while the cloud was there
    for victim in ("gate-11", "broker", "ingest", "worker", "database"):
        driver.kill(victim)
        time.sleep(0.5)
        driver.start(victim)
    driver.kill("broker", signal.SIGSTOP)
    time.sleep(2)
    driver.kill("broker", signal.SIGCONT)
    began = time.monotonic()
    waiting = {gate["name"]: gate for gate in driver.gates()}
    while waiting and time.monotonic() - began < 5 * DRAIN_SECONDS_MAX:
        waiting = {name: gate for name, gate in waiting.items() if driver.status(gate)["outbox"]}
        time.sleep(0.05)
    drained = time.monotonic() - began
    told, errors = morning.communicate(timeout=COMMAND_SECONDS_MAX)
    assert morning.returncode == 0, errors
    summary = json.loads(told)
    assert (summary["lost"], summary["duplicates"], summary["phantoms"]) == (0, 0, 0), summary
    assert summary["arrivals"] == ARRIVALS and drained <= DRAIN_SECONDS_MAX, drained
    assert driver.all_run()


def test_the_two_exports_say_the_same_of_every_event(driver: Driver) -> None:
    at_gates, in_cloud = driver.at_gates(), driver.in_cloud()
    counted = Counter((line["gate"], line["epoch"], line["seq"]) for line in in_cloud)
    assert set(at_gates) == set(counted) and set(counted.values()) == {1}
    assert all(line["receipted"] for line in at_gates.values())
    for line in in_cloud:
        own = at_gates[line["gate"], line["epoch"], line["seq"]]
        assert all(line[key] == own[key] for key in ("kind", "code", "head"))
        assert abs(line["at"] - own["at"]) < 0.001
    opened = [line for line in at_gates.values() if line["code"] == "OPEN"]
    assert len(opened) == ARRIVALS


def test_doors_open_while_the_line_is_cut_and_all_is_stored_when_it_is_joined_again(well: Stack) -> None:
    with outage(well, "net"):
        arrivals = played(well, prepared(well, 3))
        assert gate_status(well.parts["gate-11"].url)["outbox"] >= 3
    assert arrivals == ["OPEN"] * 3
    assert wait_for_ledger(well, 30).lost == []


def test_doors_open_while_ingest_worker_and_pages_are_dead(well: Stack) -> None:
    comers = prepared(well, 2)
    with outage(well, "cloud"):
        assert played(well, comers) == ["OPEN"] * 2
    ledger = wait_for_ledger(well, 30)
    assert (ledger.lost, ledger.duplicates, ledger.phantoms) == ([], [], [])


def test_a_full_card_asks_staff_and_pulses_no_door(well: Stack) -> None:
    with outage(well, "disk"):
        assert played(well, prepared(well, 1)) == ["STAFF_CONFIRM"]
    assert wait_for_ledger(well, 30).lost == []


def test_a_clock_that_nobody_vouches_for_asks_staff(well: Stack) -> None:
    comers = prepared(well, 1)
    with outage(well, "clock"):
        assert played(well, comers) == ["STAFF_CONFIRM"]


def test_after_all_outages_a_morning_is_whole_again(well: Stack) -> None:
    summary = play_morning(well, 3, seed=77).summary()
    assert (summary["opened"], summary["stored"], summary["lost"], summary["duplicates"]) == (3, 3, 0, 0)


def test_an_outage_tells_what_it_hit_and_how_soon_it_was_back(well: Stack) -> None:
    told = play_outage(well, "power", 0.5)
    assert (told["outage"], told["parts"]) == ("power", ["gate-11"])
    assert 0 < told["back_ms"] < 45_000


def test_an_unknown_outage_is_refused_with_those_there_are(stack: Stack) -> None:
    with pytest.raises(WorldFault, match="Use one of net, broker, cloud, db, power, clock, disk"):
        play_outage(stack, "flood", 1.0)


def prepared(stack: Stack, count: int) -> list[tuple[Phone, HeldPass]]:
    """Phones that refreshed their passes while the cloud was there."""
    return choose_comers(stack, count, seed=count)


def played(stack: Stack, comers: list[tuple[Phone, HeldPass]]) -> list[str]:
    """The codes that these adults meet at the gate, one after the other."""
    part = stack.parts["gate-11"]
    house = Gatehouse(11, part.url, stack.camera(11))
    house.open()
    try:
        arrivals = [Arrival(phone, held, 11) for phone, held in comers]
        return [house.receive(arrival, "clean", 40 + place).code for place, arrival in enumerate(arrivals)]
    finally:
        house.close()
