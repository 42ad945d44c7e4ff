"""A timeline is the seed's alone, has every kind, and comes back from the disk as it was."""

from collections import Counter

import pytest

from simulators.chaos_faults import BREAKERS, touched
from simulators.chaos_plan import KINDS, LONG, QUICK, Fault, from_lines, plan, to_lines
from simulators.evidence import unwritten_openings
from simulators.witness import GATE_POINTS, INGEST_POINTS

GATES = (11, 12, 21)


def test_the_same_seed_makes_the_same_faults_and_another_seed_others() -> None:
    assert plan(7, 200, GATES, LONG) == plan(7, 200, GATES, LONG) != plan(8, 200, GATES, LONG)


def test_a_run_with_as_many_faults_as_kinds_has_each_once() -> None:
    assert Counter(fault.kind for fault in plan(3, len(KINDS), GATES, QUICK)) == dict.fromkeys(KINDS, 1)


def test_every_kind_can_be_done_and_says_what_it_touches() -> None:
    assert set(BREAKERS) == set(KINDS)
    assert all(touched(fault) for fault in plan(1, 500, GATES, LONG))


def test_two_hundred_faults_kill_every_part_and_reach_for_every_named_point() -> None:
    timeline = plan(1, 2_000, GATES, LONG)
    killed = {fault.part for fault in timeline if fault.kind == "kill"}
    assert killed == {"gate-11", "gate-12", "gate-21", "broker", "ingest", "worker", "web", "database"}
    points = {fault.how for fault in timeline if fault.kind == "kill_at"}
    assert points == {*GATE_POINTS, *INGEST_POINTS, "segment"}


def test_a_timeline_that_was_kept_is_played_as_it_was() -> None:
    timeline = plan(5, 40, GATES, QUICK)
    assert from_lines(to_lines(timeline)) == timeline


@pytest.mark.parametrize("line", ["{", "[]", '{"number": 1}', to_lines([Fault(0, 0.0, "flood", "web", 1.0)]).strip()])
def test_a_line_that_is_no_fault_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        from_lines(line)


ROWS = {
    (11, 5, 0): {"kind": 5, "code": "BOOT"},
    (11, 5, 1): {"kind": 1, "code": "OPEN"},
    (11, 5, 2): {"kind": 9, "code": "CUSTODY"},
}


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (["start 1", "pin 17 output 0", "wrote 5 1", "pin 17 output 1", "pin 17 output 0"], (1, [])),
        (["start 1", "pin 17 output 1"], (1, ["opening 1"])),
        (["wrote 5 1", "pin 17 output 1", "pin 17 output 1"], (2, ["opening 2"])),
        (["wrote 5 2", "pin 17 output 1"], (1, ["opening 1"])),
        (["wrote 5 1", "start 2", "pin 17 output 1"], (1, ["opening 1"])),
        (["wrote 5 9", "pin 17 output 1"], (1, ["opening 1"])),
        (["pin 18 output 1", "pin 17 input 1"], (0, [])),
    ],
)
def test_an_opening_needs_a_row_of_its_own_on_the_disk_that_lets_somebody_in(
    record: list[str], found: tuple[int, list[str]]
) -> None:
    assert unwritten_openings(record, 11, ROWS) == found
