"""The other outages of a real building: a cut line, a clock nobody vouches for, a full card, a cloud away.

In each the gate answers as PROTOCOL section 3 says, and when it is over nothing is lost.
"""

from collections.abc import Iterator

import pytest

from simulators.district import Sizes
from simulators.gatehouse import Arrival, Gatehouse
from simulators.morning import choose_comers, play_morning, wait_for_ledger
from simulators.outage import outage, play_outage
from simulators.parts import gate_status
from simulators.phone import HeldPass, Phone
from simulators.processes import WorldFault, wait_until
from simulators.stack import Stack, Wishes


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("outages"))
    try:
        stack.up(Wishes(sizes=Sizes(gates=1, families=30)))
        yield stack
    finally:
        stack.down()


@pytest.fixture
def well(stack: Stack) -> Stack:
    """The stack, its gate hearing the broker again after the outage of the test before."""
    gate = stack.parts["gate-11"]
    wait_until(lambda: gate_status(gate.url).get("broker") == "up", 30, "the gate finds no broker")
    wait_until(lambda: gate_status(gate.url).get("outbox") == 0, 30, "the outbox is not drained")
    return stack


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
