"""Chaos: faults from a seed to a whole stack while families come; an outsider's counts are all 0 (docs/faults.md).

`make test` plays each kind of fault once, short and close together; `make test-long` two hundred, as long as real ones.
"""

import json
from pathlib import Path

import pytest

from simulators.chaos import DRAIN_SECONDS_MAX, PLAYED, TIMELINE, Wanted, problems_of, run_chaos
from simulators.chaos_plan import KINDS, from_lines

KEYS = {"faults", "seed", "by_kind", "arrivals", "decided", "stored", "lost", "duplicates", "phantoms", "drain_s",
        "rss_max_mb", "seconds", "answered_after", "ended_by_design"}  # fmt: skip


def test_every_kind_of_fault_once_loses_doubles_and_invents_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "chaos"
    summary = run_chaos(Wanted(directory, faults=len(KINDS), seed=1, quick=True))
    assert problems_of(summary) == [], json.dumps(summary, indent=1)
    assert KEYS <= summary.keys() and summary["by_kind"] == dict.fromkeys(KINDS, 1)
    assert summary["decided"] == summary["stored"] >= 20 and summary["openings"] >= 10
    assert summary["line"]["swallowed"] and summary["receipts"] > summary["decided"]
    assert from_lines((directory / TIMELINE).read_text()), "it can be played again"
    assert len((directory / PLAYED).read_text().splitlines()) == len(KINDS)


@pytest.mark.long
def test_two_hundred_faults_lose_double_and_invent_nothing(tmp_path: Path) -> None:
    summary = run_chaos(Wanted(tmp_path / "chaos", faults=200, seed=1))
    figures = {name: value for name, value in summary.items() if name in KEYS}
    print(f"\nchaos: {json.dumps(figures)} storms {json.dumps(summary['storms'])}")
    assert problems_of(summary) == [], json.dumps(summary, indent=1)
    assert summary["lost"] == summary["duplicates"] == summary["phantoms"] == 0
    assert summary["drain_s"] <= DRAIN_SECONDS_MAX
