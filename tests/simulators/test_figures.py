"""What a morning counts: percentiles by nearest rank, and what is lost, doubled or invented between two exports."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from simulators.demo import MORNING_HOUR, morning_zone
from simulators.gatehouse import Arrival
from simulators.morning import Ledger, Morning, percentiles
from simulators.phone import HeldPass, make_phone

HELD = HeldPass(101, b"", ({"bit": 0, "name": "Аружан", "presence": "out"},))


def an_arrival(code: str, seq: int = 7, strike_ms: int | None = 30) -> Arrival:
    decision = {"code": code, "gate": 11, "epoch": 1, "seq": seq, "frame_captured_ns": 1_000_000_000}
    if strike_ms is not None:
        decision["strike_ns"] = 1_000_000_000 + strike_ms * 1_000_000
    return Arrival(make_phone("mother-1"), HELD, 11, first_frame_ns=990_000_000, decision=decision)


@pytest.mark.parametrize(
    ("values", "p50", "p95"),
    [([], None, None), ([4.0], 4.0, 4.0), ([1.0, 2.0], 1.0, 2.0), (list(map(float, range(1, 101))), 50.0, 95.0)],
)
def test_percentiles_are_values_that_were_measured(values: list[float], p50: float | None, p95: float | None) -> None:
    assert percentiles(values) == {"p50": p50, "p95": p95}


def test_what_only_a_gate_holds_is_lost_and_what_only_the_cloud_holds_is_invented() -> None:
    ledger = Ledger({(11, 1, 0): {}, (11, 1, 1): {}}, Counter({(11, 1, 0): 2, (12, 1, 0): 1}))
    assert ledger.lost == [(11, 1, 1)]
    assert ledger.duplicates == [(11, 1, 0)]
    assert ledger.phantoms == [(12, 1, 0)]


def test_the_time_at_the_gate_begins_with_the_first_frame_that_shows_the_code_even_if_a_later_one_was_read() -> None:
    assert an_arrival("OPEN", strike_ms=30).gate_ms == 40.0


def test_a_refused_arrival_is_counted_by_its_code_and_has_no_time() -> None:
    morning = Morning([an_arrival("OPEN"), an_arrival("PASSBACK", strike_ms=None)], ledger=Ledger({}, Counter()))
    summary = morning.summary()
    assert (summary["opened"], summary["refused"], summary["stored"]) == (1, {"PASSBACK": 1}, 0)
    assert summary["gate_ms"] == {"p50": 40.0, "p95": 40.0}


def test_an_arrival_without_an_answer_is_named_so() -> None:
    assert Arrival(make_phone("father-1"), HELD, 11).code == "NO_ANSWER"


@pytest.mark.parametrize("hour", range(24))
def test_the_demo_plays_where_it_is_morning_at_any_hour(hour: int) -> None:
    at = datetime(2026, 3, 5, hour, 30, tzinfo=UTC)
    local = at.astimezone(ZoneInfo(morning_zone(at.timestamp())))
    assert abs(local.hour + local.minute / 60 - MORNING_HOUR) <= 1.5
