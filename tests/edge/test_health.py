"""The gate's condition: measured, counted, told; never invented, never a stranger's words."""

import sys
from pathlib import Path

import pytest

from edge.health import (
    COUNTERS_MAX,
    REFERENCE_SECONDS_MAX,
    ClockAnswer,
    ClockWatch,
    Health,
    ask_chrony,
    percentile,
)
from edge.journal import open_journal
from tests.edge.line import until


def test_what_is_not_known_is_null(tmp_path: Path) -> None:
    told = Health(tmp_path).telemetry(open_journal(tmp_path / "journal.sqlite"), 1_800_000_000)
    assert (told["oldest_s"], told["frame_age_s"], told["read_ms"], told["commit_ms"]) == (None, None, None, None)
    assert told["disk_free_mb"] > 0
    assert told["restarts"] == {} and told["faults"] == []


def test_counters_are_bounded_whatever_is_counted(tmp_path: Path) -> None:
    health = Health(tmp_path)
    for number in range(1_000):
        health.count(f"alarm_{number}")
        health.count("alarm_0")
    assert len(health.counters) == COUNTERS_MAX
    assert health.counters["alarm_0"] == 1_001


def test_a_fault_is_told_once_until_it_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    health = Health(tmp_path)
    for _ in range(100):
        health.fault("camera", "CAMERA_STALLED: no frame")
    health.fault("camera", None)
    assert [record.message for record in caplog.records] == [
        '{"part": "camera", "fault": "CAMERA_STALLED: no frame"}',
        '{"part": "camera", "fault": null}',
    ]


def test_an_internal_error_tells_its_place_and_not_its_words(tmp_path: Path) -> None:
    health = Health(tmp_path)
    try:
        raise ValueError("\x1b[2J a text from a code")
    except ValueError as error:
        health.internal("loop", error)
    said = health.fault_of("loop") or ""
    assert "ValueError at test_health.py" in said and "\x1b" not in said and "a text" not in said


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ("A29FC87B,192.0.2.1,3,1795301249.5,0.000012,0,0,-1.2,0,0,0.01,0.001,64.2,Normal", "ntp"),
        ("A29FC87B,192.0.2.1,3,1795301249.5,0.000012,0,0,-1.2,0,0,0.01,0.494,64.2,Normal", "ntp"),
        ("A29FC87B,192.0.2.1,3,1795301249.5,0.000012,0,0,-1.2,0,0,0.01,0.496,64.2,Normal", "holdover"),
        ("A29FC87B,192.0.2.1,3,1795301249.5,0.000012,0,0,-1.2,0,0,1.2,0.001,64.2,Normal", "holdover"),
        ("00000000,,0,0,0.0,0,0,0,0,0,1,1,0,Not synchronised", "holdover"),
    ],
)
def test_chronys_word_is_the_clocks_state(line: str, state: str) -> None:
    answer = ask_chrony((sys.executable, "-c", f"print({line!r})"))
    assert answer is not None and answer.state == state


@pytest.mark.parametrize(
    "program", ["print('506 Cannot talk to daemon')", "print('')", "raise SystemExit(1)", "print('x,'*20)"]
)
def test_a_chrony_that_says_nothing_useful_is_no_answer(program: str) -> None:
    assert ask_chrony((sys.executable, "-c", program)) is None
    assert ask_chrony(("/nonexistent/chronyc",)) is None


def test_a_source_that_is_gone_is_a_holdover_although_chrony_goes_on_saying_normal(tmp_path: Path) -> None:
    watch, said = ClockWatch(Health(tmp_path), "untrusted"), ClockAnswer("ntp", 0.01, "1795301249.5")
    assert watch.judge(said, 100.0) == "ntp"
    assert watch.judge(said, 100.0 + REFERENCE_SECONDS_MAX) == "ntp"
    assert watch.judge(said, 101.0 + REFERENCE_SECONDS_MAX) == "holdover"
    assert watch.judge(ClockAnswer("ntp", 0.01, "1795308500.1"), 102.0 + REFERENCE_SECONDS_MAX) == "ntp"
    assert watch.judge(None, 103.0 + REFERENCE_SECONDS_MAX) == "untrusted"


def test_where_chrony_cannot_be_asked_the_configuration_is_taken(tmp_path: Path) -> None:
    health = Health(tmp_path)
    watch = ClockWatch(health, "untrusted")
    watch.start()
    until(lambda: health.clock)
    assert watch.state == "untrusted"
    watch.stop()


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert percentile([], 50) is None
    assert percentile([5], 95) == 5
    assert percentile(range(100), 95) == 95
