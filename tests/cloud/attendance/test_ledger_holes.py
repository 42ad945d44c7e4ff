"""What a gate lost and says so, what a restored cloud lacks, and a card put back: nothing waits for ever."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from cloud.attendance import service as attendance
from cloud.attendance.model import Recorded, Sent
from cloud.kit.db import Database
from protocols.chain import ZERO_HEAD
from protocols.events import Detail, Event, Kind
from protocols.gaps import MISSING, Hole, hole_of
from tests.cast import NOW, Cast, a_district
from tests.conftest import Clone
from tests.gates import Ledger, a_gate, an_event


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


@pytest.fixture
def gate(database: Database, cast: Cast) -> Ledger:
    ledger = a_gate(database, cast)
    ledger.write(*[an_event(Kind.DOOR, mono_ms=n) for n in range(8)])
    return ledger


@pytest.fixture
def anew(gate: Ledger) -> Iterator[Ledger]:
    """The journal that the gate made anew after its card was damaged."""
    yield Ledger(gate.site, gate.gate, gate.key, epoch=2)


def record(database: Database, cast: Cast, *segments: object) -> Recorded:
    with database.tenant(cast.district) as tx:
        return attendance.record_batch(tx, cast.district, [Sent(cast.site, one) for one in segments], NOW)  # type: ignore[arg-type]


def a_gap(gate: Ledger, first: int, following: int, **changed: object) -> Event:
    hole = Hole(gate.epoch, first, following, gate.head(following), int(NOW.timestamp()) - 86_400)
    return an_event(Kind.GAP, detail={Detail.HOLE: Hole(**{**vars(hole), **changed}).told()})  # type: ignore[arg-type]


def seqs(clone: Clone) -> list[int]:
    with psycopg.connect(clone.owner_url) as owner:
        return [
            row[0] for row in owner.execute("SELECT seq FROM ingest_receipt WHERE gate = 11 AND epoch = 1 ORDER BY seq")
        ]


def test_behind_a_hole_that_the_gate_told_the_ledger_goes_on_and_the_hole_stays_open(
    database: Database, cast: Cast, gate: Ledger, anew: Ledger, clone: Clone
) -> None:
    record(database, cast, gate.segment(0, 3))
    assert record(database, cast, gate.segment(5, 3)).gaps == [0], "nobody has told anything yet"
    anew.write(a_gap(gate, 3, 5))
    recorded = record(database, cast, anew.segment(), gate.segment(5, 3))
    assert (recorded.gaps, recorded.holes, recorded.forks) == ([], [(11, 2)], [])
    assert [(due.epoch, due.upto, due.head) for due in recorded.dues if due.epoch == 1] == [(1, 7, gate.head(8))]
    assert seqs(clone) == [0, 1, 2, 5, 6, 7]
    again = record(database, cast, gate.segment(5, 2), gate.segment(0, 3))
    assert (again.stored, again.forks, again.gaps) == (0, [], []), "known when it comes again"


def test_the_days_of_a_hole_are_never_complete(database: Database, cast: Cast, gate: Ledger, anew: Ledger) -> None:
    def complete(days_ago: int) -> bool:
        day = NOW.date() - timedelta(days=days_ago)
        with database.tenant(cast.district) as tx:
            return attendance.day_sheet(tx, cast.district, cast.school, day, NOW).complete

    for days_ago in (2, 1, 0):
        at = NOW - timedelta(days=days_ago)
        anew.write(an_event(Kind.DAY_CLOSE, at, {Detail.SCHOOL_DAY: at.date().isoformat()}))
    record(database, cast, anew.segment())
    assert [complete(days_ago) for days_ago in (2, 1, 0)] == [True, True, True]
    anew.write(a_gap(gate, 3, 5))
    record(database, cast, anew.segment())
    assert [complete(days_ago) for days_ago in (2, 1, 0)] == [True, False, False]


@pytest.mark.parametrize(
    "told",
    [None, [], [1, 3, 5, b"x" * 32], [1, 5, 3, b"x" * 32, 0], [1, -1, 3, b"x" * 32, 0], [1, 3, 5, b"x" * 31, 0],
     [True, 3, 5, "x" * 32, 0], [2**32, 3, 5, b"x" * 32, 0], [1, 3, 2**63, b"x" * 32, 0], [1, 3, 5, b"x" * 32, -1]],
)  # fmt: skip
def test_a_gap_that_tells_nothing_readable_is_a_fact_and_opens_nothing(
    database: Database, cast: Cast, gate: Ledger, anew: Ledger, clone: Clone, told: object
) -> None:
    event = an_event(Kind.GAP, detail={Detail.HOLE: told})
    assert hole_of(event) is None
    anew.write(event)
    recorded = record(database, cast, gate.segment(0, 3), anew.segment(), gate.segment(5, 3))
    assert (recorded.stored, recorded.gaps, recorded.holes) == (4, [2], [])


def test_a_hole_with_another_head_lets_nothing_through(
    database: Database, cast: Cast, gate: Ledger, anew: Ledger, clone: Clone
) -> None:
    anew.write(a_gap(gate, 3, 5, head=b"\x07" * 32))
    recorded = record(database, cast, gate.segment(0, 3), anew.segment(), gate.segment(5, 3))
    assert recorded.gaps == [2] and seqs(clone) == [0, 1, 2]


def test_another_gate_cannot_tell_a_hole_of_this_one(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    other = a_gate(database, cast, 12, seed=12)
    other.write(a_gap(gate, 3, 5))
    recorded = record(database, cast, gate.segment(0, 3), other.segment(), gate.segment(5, 3))
    assert recorded.gaps == [2] and seqs(clone) == [0, 1, 2]


def test_what_was_held_all_the_same_is_not_leapt_over(
    database: Database, cast: Cast, gate: Ledger, anew: Ledger, clone: Clone
) -> None:
    record(database, cast, gate.segment(0, 6))
    anew.write(a_gap(gate, 3, 5))
    recorded = record(database, cast, anew.segment(), gate.segment(5, 3))
    assert recorded.forks == [] and seqs(clone) == list(range(8))


def test_a_hole_is_kept_as_told_by_the_database_too(
    database: Database, cast: Cast, gate: Ledger, anew: Ledger, clone: Clone
) -> None:
    anew.write(a_gap(gate, 3, 5))
    record(database, cast, anew.segment())
    with psycopg.connect(clone.owner_url) as owner:
        for statement in ("UPDATE ledger_hole SET next_seq = 4", "DELETE FROM ledger_hole"):
            with pytest.raises(psycopg.errors.RestrictViolation) as refused, owner.transaction():
                owner.execute(statement)
            assert (refused.value.sqlstate, refused.value.diag.constraint_name) == ("23001", "ledger_hole_append_only")
        with pytest.raises(psycopg.errors.CheckViolation) as refused, owner.transaction():
            owner.execute(
                "INSERT INTO ledger_hole SELECT district_id, gate, epoch, 9, 9, head, from_day, to_day, told_epoch,"
                " told_seq, received_at FROM ledger_hole"
            )
        assert (refused.value.sqlstate, refused.value.diag.constraint_name) == ("23514", "ledger_hole_span")


def test_what_comes_beyond_the_end_of_a_restored_cloud_is_answered_with_what_it_lacks(
    database: Database, cast: Cast, gate: Ledger
) -> None:
    record(database, cast, gate.segment(0, 3))
    recorded = record(database, cast, gate.segment(6, 2))
    [told] = recorded.missing.values()
    assert (told.upto, told.head, told.codes) == (2, gate.head(3), ((3, MISSING),))


def test_a_cloud_that_holds_nothing_asks_from_the_first_event(database: Database, cast: Cast, gate: Ledger) -> None:
    [told] = record(database, cast, gate.segment(6, 2)).missing.values()
    assert (told.upto, told.head, told.codes) == (0, ZERO_HEAD, ((0, MISSING),))


def test_a_card_put_back_is_receipted_for_what_it_has_in_common(database: Database, cast: Cast, gate: Ledger) -> None:
    """P21: its own receipts were lost with the newer card; the ledger's end is nothing it could mark."""
    record(database, cast, gate.segment())
    card = gate.copied(5)
    card.write(an_event(Kind.BOOT, mono_ms=99))
    recorded = record(database, cast, card.segment(2, 3), card.segment(5, 1))
    assert [(due.upto, due.head) for due in recorded.dues if due.upto < 7] == [(4, card.head(5)), (5, card.head(6))]
    assert recorded.forks == [(11, 1)]
    mixed = gate.copied(5)
    mixed.write(an_event(Kind.BOOT, mono_ms=77))
    recorded = record(database, cast, mixed.segment(2))
    assert [(due.upto, due.head) for due in recorded.dues] == [(5, mixed.head(6))], "in one segment too"
