"""What pages decide by themselves: order, figures, words of faults."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from cloud.attendance.model import DaySheet, SheetRow
from cloud.attendance.pages import figures, grouped
from cloud.fleet.model import SEVERITY, GateLine
from cloud.fleet.pages import FAULTS, summary_of, tone_of

SEEN = datetime(2026, 9, 1, 3, 0, tzinfo=UTC)
GATE = GateLine(
    gate=11, name="front", site=101, site_name="Балапан", online=True, last_seen=SEEN, outbox=0, oldest_s=0,
    frame_age_s=0.1, read_ms=(11, 29), temperature_c=47, disk_free_mb=9000, clock="ntp", firmware="0.1.0",
    mode="normal", documents={}, faults=(),
)  # fmt: skip


def a_row(given: str, state: str, of_class: UUID | None = None) -> SheetRow:
    return SheetRow(
        uuid4(), given, "", of_class, "Lilas" if of_class else None, state, None, None, None, None, None, None, None,
        None, "",
    )  # fmt: skip


def test_who_needs_me_comes_first_then_names_as_they_are_written() -> None:
    lilas = uuid4()
    rows = [
        a_row("Timur", "present", lilas), a_row("Chloé", "left", lilas), a_row("Minh", "expected", lilas),
        a_row("Adina", "present", lilas), a_row("Dana", "unknown", lilas),
    ]  # fmt: skip
    (group,) = grouped(rows)
    assert [row.given for row in group.lines] == ["Dana", "Minh", "Adina", "Timur", "Chloé"]
    assert group.present == 2


def test_a_child_in_no_class_is_on_the_sheet_all_the_same() -> None:
    groups = grouped([a_row("Minh", "expected"), a_row("Adina", "present", uuid4())])
    assert [group.name for group in groups] == ["", "Lilas"]


def test_the_figures_count_each_state_of_the_chosen_rows_only() -> None:
    rows = (a_row("Minh", "expected"), a_row("Adina", "present"), a_row("Dana", "present"))
    sheet = DaySheet(uuid4(), SEEN.date(), rows, False, ())
    assert figures(sheet, rows[1:]) == {"unknown": 0, "expected": 0, "present": 2, "left": 0, "absent": 0}


def test_every_fault_the_fleet_knows_has_words_and_a_repair() -> None:
    assert set(FAULTS) == set(SEVERITY)
    assert all(fault.words and fault.repair and fault.tone in ("warn", "bad") for fault in FAULTS.values())


def test_a_gate_is_as_bad_as_its_worst_fault_and_an_unknown_code_is_bad() -> None:
    assert tone_of(GATE) == "good"
    assert tone_of(replace(GATE, faults=("TOO_HOT",))) == "warn"
    assert tone_of(replace(GATE, faults=("TOO_HOT", "CAMERA_BLIND"))) == "bad"
    assert tone_of(replace(GATE, faults=("SOMETHING_NEW",))) == "bad"


def test_a_gate_with_two_faults_needs_somebody_once() -> None:
    lines = (replace(GATE, faults=("TOO_HOT", "DISK_LOW")), GATE, replace(GATE, online=False, outbox=None))
    summary = summary_of(lines)
    assert (summary.need_you, summary.online, summary.gates, summary.waiting) == (1, 2, 3, 0)
