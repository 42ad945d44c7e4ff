"""Facts come in once, in order, and whatever happens: duplicates, gaps, forks, strangers, nonsense."""

from dataclasses import astuple
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from cloud.attendance import service as attendance
from cloud.attendance.model import Recorded, Sent
from cloud.kit.db import Database
from protocols.events import Detail, Kind
from tests.cast import NOW, Cast, a_district
from tests.conftest import Clone
from tests.gates import Ledger, a_gate, an_arrival, an_event, number_of


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


@pytest.fixture
def gate(database: Database, cast: Cast) -> Ledger:
    return a_gate(database, cast)


def record(database: Database, cast: Cast, *segments: object, now: datetime = NOW) -> Recorded:
    batch = [Sent(cast.site, segment) for segment in segments]  # type: ignore[arg-type]
    with database.tenant(cast.district) as tx:
        return attendance.record_batch(tx, cast.district, batch, now)


def stored(clone: Clone) -> list[tuple]:
    with psycopg.connect(clone.owner_url) as owner:
        return owner.execute(
            "SELECT gate, epoch, seq, fork, part, kind, code, moved, marks FROM attendance_event ORDER BY 1,2,3,4,5"
        ).fetchall()


def family(database: Database, cast: Cast) -> tuple[int, int, int]:
    """Numbers of the mother and her two children."""
    return (number_of(database, cast, person=cast.mother), number_of(database, cast, child=cast.aigerim),
            number_of(database, cast, child=cast.timur))  # fmt: skip


def test_an_arrival_is_stored_once_and_due_for_a_receipt(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    gate.write(an_event(Kind.BOOT), an_arrival(*family(database, cast)))
    recorded = record(database, cast, gate.segment())
    assert [astuple(due) for due in recorded.dues] == [(11, 1, 1, gate.head(2), ())]
    assert stored(clone) == [(11, 1, 0, 0, 0, 5, "", False, 0), (11, 1, 1, 0, 0, 1, "OPEN", True, 0),
                             (11, 1, 1, 0, 1, 1, "OPEN", True, 0)]  # fmt: skip
    assert recorded.children == {cast.aigerim, cast.timur}


def test_the_same_segment_again_is_receipted_again_and_stored_no_more(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    gate.write(an_arrival(*family(database, cast)), an_event(Kind.DOOR))
    record(database, cast, gate.segment())
    again = record(database, cast, gate.segment(), gate.segment(1))
    assert (again.stored, again.duplicates) == (0, 3)
    assert [(due.upto, due.head) for due in again.dues] == [(1, gate.head(2))]
    assert len(stored(clone)) == 3


def test_a_segment_that_overlaps_what_is_known_adds_only_its_tail(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    gate.write(*[an_event(Kind.DOOR, mono_ms=n) for n in range(5)])
    record(database, cast, gate.segment(0, 3))
    recorded = record(database, cast, gate.segment(1, 4))
    assert (recorded.stored, recorded.duplicates) == (2, 2)
    assert [due.upto for due in recorded.dues] == [4]
    assert [row[2] for row in stored(clone)] == [0, 1, 2, 3, 4]


def test_what_lies_beyond_a_gap_is_not_stored_and_the_receipt_names_the_last_before_it(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    gate.write(*[an_event(Kind.DOOR, mono_ms=n) for n in range(6)])
    record(database, cast, gate.segment(0, 2))
    recorded = record(database, cast, gate.segment(4, 2))
    assert recorded.gaps == [0] and recorded.stored == 0
    assert [(due.upto, due.head) for due in recorded.dues] == [(1, gate.head(2))]
    assert len(stored(clone)) == 2
    assert record(database, cast, gate.segment(2, 2), gate.segment(4, 2)).stored == 4


def test_a_gap_at_the_very_beginning_gets_no_receipt(database: Database, cast: Cast, gate: Ledger) -> None:
    gate.write(*[an_event(Kind.DOOR, mono_ms=n) for n in range(3)])
    recorded = record(database, cast, gate.segment(1))
    assert recorded.gaps == [0] and recorded.dues == []


def test_a_fork_is_kept_beside_and_receipted_by_its_own_head(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    gate.write(*[an_event(Kind.DOOR, mono_ms=n) for n in range(3)])
    twin = gate.copied(2)
    twin.write(an_event(Kind.DOOR, mono_ms=77), an_event(Kind.DOOR, mono_ms=78))
    record(database, cast, gate.segment())
    recorded = record(database, cast, twin.segment())
    assert recorded.forks == [(11, 1)]
    assert [(due.upto, due.head) for due in recorded.dues] == [(3, twin.head(4))]
    assert [row[2:4] for row in stored(clone)] == [(0, 0), (1, 0), (2, 0), (2, 1), (3, 1)]
    more = record(database, cast, twin.segment(2), gate.segment())
    assert (more.stored, more.forks) == (0, [])
    twin.write(an_event(Kind.DOOR, mono_ms=79))
    assert record(database, cast, twin.segment(4)).stored == 1, "a branch goes on growing"
    gate.write(an_event(Kind.DOOR, mono_ms=80))
    assert record(database, cast, gate.segment(3)).stored == 1, "and so does the ledger"
    assert [row[2:4] for row in stored(clone)][-2:] == [(3, 1), (4, 1)]


def test_a_third_copy_of_the_card_is_a_branch_of_its_own(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    gate.write(an_event(Kind.BOOT))
    record(database, cast, gate.segment())
    for mono_ms in (5, 6):
        twin = gate.copied(0)
        twin.write(an_event(Kind.BOOT, mono_ms=mono_ms))
        record(database, cast, twin.segment())
    assert [row[2:4] for row in stored(clone)] == [(0, 0), (0, 1), (0, 2)]


def test_a_child_nobody_knows_is_stored_and_marked(database: Database, cast: Cast, gate: Ledger, clone: Clone) -> None:
    gate.write(an_arrival(4_000_000_000, 4_000_000_001))
    recorded = record(database, cast, gate.segment())
    assert recorded.children == set()
    assert stored(clone) == [(11, 1, 0, 0, 0, 1, "OPEN", True, 3)]


def test_an_event_whose_detail_is_nonsense_is_stored_and_named_in_the_receipt(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    poison = {
        Detail.HOLDER: "x",
        Detail.CHILDREN: [[1], "y", [0, 1], [2, None]],
        Detail.CODE: "\x1b[2J",
        Detail.DIRECTION: 9,
    }
    gate.write(an_event(Kind.PHONE_PASS, detail=poison), an_event(Kind.DOOR))
    recorded = record(database, cast, gate.segment())
    assert recorded.dues[0].codes == ((0, "EVENT_FORMAT"),)
    assert [row[8] & 8 for row in stored(clone)] == [8, 0]


@pytest.mark.parametrize("at_ms", [0, 2**63, 2**64 - 1, 4_102_444_800_000])
def test_a_time_that_cannot_be_is_replaced_and_marked(
    database: Database, cast: Cast, gate: Ledger, clone: Clone, at_ms: int
) -> None:
    event = an_event(Kind.DOOR)
    gate.write(type(event)(at_ms, 1, 1, event.clock, event.kind, {}))
    assert record(database, cast, gate.segment()).dues[0].codes == ((0, "EVENT_TIME"),)
    with psycopg.connect(clone.owner_url) as owner:
        assert owner.execute("SELECT occurred_at = received_at, marks FROM attendance_event").fetchone() == (True, 4)


def test_the_day_follows_the_newest_move_even_when_the_older_one_comes_later(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    other = a_gate(database, cast, 12, seed=12)
    mother, aigerim, _ = family(database, cast)
    other.write(an_arrival(mother, aigerim, at=NOW + timedelta(hours=8), direction=2))
    gate.write(an_arrival(mother, aigerim, at=NOW))
    record(database, cast, other.segment(), now=NOW + timedelta(hours=9))
    record(database, cast, gate.segment(), now=NOW + timedelta(hours=9))
    with psycopg.connect(clone.owner_url) as owner:
        row = owner.execute("SELECT state, since, first_in, last_out, gate FROM attendance_day").fetchone()
    assert row == ("out", NOW + timedelta(hours=8), NOW, NOW + timedelta(hours=8), 12)


def test_a_day_rebuilt_from_its_events_is_the_day_that_was_kept(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    mother, aigerim, timur = family(database, cast)
    gate.write(an_arrival(mother, aigerim, timur), an_arrival(mother, timur, at=NOW + timedelta(hours=5), direction=2))
    record(database, cast, gate.segment(), now=NOW + timedelta(hours=6))

    def days() -> list[tuple]:
        with psycopg.connect(clone.owner_url) as owner:
            return owner.execute("SELECT * FROM attendance_day ORDER BY child_id").fetchall()

    before = days()
    with database.tenant(cast.district) as tx:
        assert attendance.rebuild_day(tx, cast.district, NOW.date()) == 2
    assert days() == before


def test_an_arrival_just_after_local_midnight_belongs_to_the_local_day(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    late = datetime(2026, 8, 31, 19, 30, tzinfo=UTC)  # 1 September, 00:30 in Almaty
    gate.write(an_arrival(*family(database, cast), at=late))
    record(database, cast, gate.segment())
    with psycopg.connect(clone.owner_url) as owner:
        days = owner.execute("SELECT DISTINCT school_day FROM attendance_event").fetchall()
    assert [str(day) for (day,) in days] == ["2026-09-01"]


def test_the_neighbour_district_sees_nothing_of_it(database: Database, cast: Cast, gate: Ledger) -> None:
    neighbour = a_district(database, "neighbour", 202)
    gate.write(an_arrival(*family(database, cast)))
    record(database, cast, gate.segment())
    with database.tenant(neighbour.district) as tx:
        for table in ("attendance_event", "attendance_day", "ledger", "ingest_receipt", "site_ref", "gate"):
            assert tx.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_a_guardian_sees_the_facts_of_own_children_only(database: Database, cast: Cast, gate: Ledger) -> None:
    minh = number_of(database, cast, child=cast.minh)
    gate.write(an_arrival(*family(database, cast)), an_arrival(number_of(database, cast, person=cast.stranger), minh))
    record(database, cast, gate.segment())
    with database.tenant(cast.district, cast.stranger) as tx:
        seen = tx.execute("SELECT DISTINCT child_id FROM attendance_event").fetchall()
        assert seen == [(cast.minh,)]
        [child] = attendance.family_today(tx, cast.district, cast.stranger, NOW)
    assert (child.given, child.state, [fact.fact for fact in child.facts]) == ("Minh Đức", "in", ["11:1:1"])


def test_the_sheet_shows_who_came_with_whom_and_who_is_not_known(database: Database, cast: Cast, gate: Ledger) -> None:
    mother, aigerim, _ = family(database, cast)
    gate.write(an_arrival(mother, aigerim))
    record(database, cast, gate.segment())
    with database.tenant(cast.district) as tx:
        sheet = attendance.day_sheet(tx, cast.district, cast.school, NOW.date(), NOW)
    states = {row.given: (row.state, row.by_given, row.fact) for row in sheet.rows}
    assert states["Айгерім"] == ("present", "Әсел", "11:1:0")
    assert states["Тимур"][0] == "unknown", "the gate was never heard, so nobody is missing for sure"
    assert sheet.silent_gates == ("gate 11",) and not sheet.complete


def test_a_day_is_complete_when_each_gate_closed_it_and_not_if_a_pass_came_later(
    database: Database, cast: Cast, gate: Ledger
) -> None:
    def complete() -> bool:
        with database.tenant(cast.district) as tx:
            return attendance.day_sheet(tx, cast.district, cast.school, NOW.date(), NOW).complete

    mother, aigerim, timur = family(database, cast)
    close = an_event(Kind.DAY_CLOSE, detail={Detail.SCHOOL_DAY: NOW.date().isoformat()})
    gate.write(an_arrival(mother, aigerim), close, an_event(Kind.HEALTH))
    record(database, cast, gate.segment(0, 1))
    assert not complete()
    record(database, cast, gate.segment(1, 2))
    assert complete()
    gate.write(an_arrival(mother, timur))
    record(database, cast, gate.segment(3))
    assert not complete(), "the gate closed its day too early"
    gate.write(close)
    record(database, cast, gate.segment(4))
    assert complete()
