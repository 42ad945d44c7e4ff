"""Hostile cases of the ledger: a gate's real journal and the cloud's real tables: P19, P21 to P24, P28."""

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from cloud.attendance import service as attendance
from cloud.attendance.model import Recorded, Sent
from cloud.kit.db import Database
from cloud.people import service as people
from edge.decision import Decision, Draft
from edge.health import Health
from edge.journal import Journal, Marked, open_journal
from edge.ledger import Ledger as GateLedger
from protocols.events import Detail, Event, Kind, Segment, build_segment, load_segment
from protocols.reasons import Reason
from tests.cast import NOW, Cast, a_district
from tests.conftest import Clone
from tests.gates import Ledger, a_gate, an_arrival, an_event, number_of

SECONDS = int(NOW.timestamp())
ROBERT = "Robert'); DROP TABLE attendance_event;--"


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


@pytest.fixture
def gate(database: Database, cast: Cast) -> Ledger:
    return a_gate(database, cast)


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Path]:
    """Where a gate's journal lies on its card."""
    yield tmp_path / "card" / "journal.sqlite"


def record(database: Database, cast: Cast, *segments: Segment) -> Recorded:
    with database.tenant(cast.district) as tx:
        return attendance.record_batch(tx, cast.district, [Sent(cast.site, one) for one in segments], NOW)


def sent(gate: Ledger, journal: Journal, first: int = 0) -> Segment:
    """What the gate's broker would send of its journal from an event on."""
    entries = journal.pending(first - 1, 64)
    events = [entry.bytes for entry in entries]
    data = build_segment(gate.key, gate.gate, journal.epoch, first, journal.head_before(first), events)
    return load_segment(data, bytes(gate.key.verify_key))


def write(journal: Journal, *events: Event) -> None:
    journal.commit(events, [], SECONDS)


def doors(*mono_ms: int) -> list[Event]:
    return [an_event(Kind.DOOR, mono_ms=one) for one in mono_ms]


def stored(clone: Clone, *columns: str) -> list[tuple]:
    wanted = sql.SQL(", ").join(sql.Identifier(name) for name in columns or ("seq", "fork"))
    with psycopg.connect(clone.owner_url) as owner:
        return owner.execute(
            sql.SQL("SELECT {} FROM attendance_event ORDER BY epoch, seq, fork").format(wanted)
        ).fetchall()


def test_p19_names_and_details_written_as_sql_are_only_text(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    with database.tenant(cast.district) as tx:
        child = people.put_child(
            tx, cast.district, sourced_id="'; DROP TABLE child;--", given=ROBERT, family='"; SELECT 1', birth=NOW.date()
        )
        people.enrol(tx, cast.district, child, cast.school, cast.sunflowers, NOW.date())
    detail = {Detail.CODE: "OPEN'; DROP TABLE child;--", Detail.CHILDREN: [["1 OR 1=1", 3]], Detail.HOLDER: "0; --"}
    gate.write(an_arrival(number_of(database, cast, person=cast.mother), number_of(database, cast, child=child)))
    gate.write(an_event(Kind.PHONE_PASS, detail=detail))
    record(database, cast, gate.segment())
    with database.tenant(cast.district) as tx:
        sheet = attendance.day_sheet(tx, cast.district, cast.school, NOW.date(), NOW)
    assert [(row.given, row.state) for row in sheet.rows if row.given == ROBERT] == [(ROBERT, "present")]
    assert len(sheet.rows) == 4, "nobody was dropped and nobody else was shown"
    assert [row[1] for row in stored(clone, "seq", "code")] == ["OPEN", ""]


def test_p21_a_card_put_back_to_last_month_is_a_fork_both_sides_of_which_are_kept_and_drain(
    database: Database, cast: Cast, gate: Ledger, clone: Clone, card: Path
) -> None:
    journal = open_journal(card)
    write(journal, *doors(1, 2, 3))
    journal.close()
    image = card.parent.with_name("image")
    shutil.copytree(card.parent, image)
    journal = open_journal(card)
    write(journal, *doors(4, 5))
    record(database, cast, sent(gate, journal))
    put_back = open_journal(image / "journal.sqlite")
    write(put_back, *doors(40, 50, 60))
    recorded = record(database, cast, sent(gate, put_back))
    assert (recorded.forks, recorded.stored) == ([(11, put_back.epoch)], 3)
    assert stored(clone) == [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (4, 0), (4, 1), (5, 1)]
    for due in recorded.dues:
        put_back.mark_receipted(due.epoch, due.upto, due.head, SECONDS)
    assert put_back.outbox_depth == 0, "and its window is free for what comes next"


def test_p22_a_hundred_events_cut_out_before_they_went_up_are_missing_and_never_joined(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    mother, child = number_of(database, cast, person=cast.mother), number_of(database, cast, child=cast.aigerim)
    gate.write(*doors(*range(30)), *[an_arrival(mother, child, at=NOW + timedelta(seconds=n)) for n in range(130)])
    close = an_event(Kind.DAY_CLOSE, detail={Detail.SCHOOL_DAY: NOW.date().isoformat()})
    gate.write(close)
    record(database, cast, gate.segment(0, 30))
    beyond = record(database, cast, gate.segment(130))
    assert (beyond.stored, beyond.gaps) == (0, [0])
    forged = build_segment(gate.key, gate.gate, gate.epoch, 30, gate.head(30), gate.events[130:])
    joined = record(database, cast, load_segment(forged, bytes(gate.key.verify_key)))
    assert joined.stored == 31, "a gate that numbers anew is believed as far as its own chain goes"
    true = record(database, cast, gate.segment(30, 20))
    assert true.forks == [(11, gate.epoch)], "and the true events beside it are a fork that cries"
    with database.tenant(cast.district) as tx:
        sheet = attendance.day_sheet(tx, cast.district, cast.school, NOW.date(), NOW)
    assert not sheet.complete, "a day of which two tales are told is not paid for"


def test_p22_a_journal_cut_short_on_its_card_never_goes_on_under_the_numbers_that_it_lost(
    database: Database, cast: Cast, gate: Ledger, card: Path
) -> None:
    journal = open_journal(card)
    write(journal, *doors(*range(20)))
    record(database, cast, sent(gate, journal))
    epoch = journal.epoch
    journal.close()
    with sqlite3.connect(card) as db:
        db.execute("DELETE FROM events WHERE seq BETWEEN 5 AND 14")
    db.close()
    after = open_journal(card)
    write(after, *doors(99))
    assert after.epoch != epoch, "numbers that may have been used are not used again"
    recorded = record(database, cast, sent(gate, after))
    assert (recorded.forks, recorded.gaps) == ([], [])
    assert recorded.stored == after.next_seq


def test_p23_a_clock_set_back_by_a_month_leaves_the_order_of_the_numbers_and_says_how_it_was_believed(
    database: Database, cast: Cast, gate: Ledger, clone: Clone, card: Path, tmp_path: Path
) -> None:
    clock = ["ntp"]
    ledger = GateLedger(journal := open_journal(card), Health(tmp_path), lambda: clock[0])
    for state, at in (("ntp", SECONDS), ("untrusted", SECONDS - 30 * 86_400), ("holdover", SECONDS - 60)):
        clock[0] = state
        written = ledger.write(Decision(Reason.OK, events=(Draft(Kind.DOOR, {}),)), at)
        assert written is not None
    record(database, cast, sent(gate, journal))
    rows = stored(clone, "seq", "clock", "occurred_at")
    assert [row[:2] for row in rows] == [(0, 2), (1, 0), (2, 1)]
    assert [row[2] for row in rows] == [NOW, NOW - timedelta(days=30), NOW - timedelta(seconds=60)]


def test_p24_two_gates_of_one_image_are_a_fork_that_alarms_and_both_are_receipted(
    database: Database, cast: Cast, gate: Ledger, clone: Clone, card: Path
) -> None:
    journal = open_journal(card)
    write(journal, *doors(1))
    journal.close()
    shutil.copytree(card.parent, image := card.parent.with_name("image"))
    twins = [open_journal(card), open_journal(image / "journal.sqlite")]
    for number, twin in enumerate(twins):
        write(twin, an_event(Kind.BOOT, mono_ms=10 + number), *doors(20 + number))
    first, second = (record(database, cast, sent(gate, twin)) for twin in twins)
    assert (first.forks, second.forks) == ([], [(11, twins[0].epoch)])
    for twin, recorded in zip(twins, (first, second), strict=True):
        marked = [twin.mark_receipted(due.epoch, due.upto, due.head, SECONDS) for due in recorded.dues]
        assert Marked.MARKED in marked and twin.outbox_depth == 0
    assert stored(clone) == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_p28_what_staff_entered_with_no_camera_is_a_kind_of_its_own_with_a_name(
    database: Database, cast: Cast, gate: Ledger, clone: Clone
) -> None:
    mother, aigerim = number_of(database, cast, person=cast.mother), number_of(database, cast, child=cast.aigerim)
    timur, teacher = number_of(database, cast, child=cast.timur), number_of(database, cast, person=cast.teacher)
    by_hand = {Detail.DIRECTION: 1, Detail.CHILDREN: [[timur, 0]], Detail.STAFF: teacher}
    gate.write(an_arrival(mother, aigerim), an_event(Kind.STAFF_FACT, detail=by_hand))
    record(database, cast, gate.segment())
    assert stored(clone, "kind", "moved", "staff_id") == [
        (int(Kind.PHONE_PASS), True, None), (int(Kind.STAFF_FACT), True, cast.teacher),
    ]  # fmt: skip
    with database.tenant(cast.district) as tx:
        sheet = attendance.day_sheet(tx, cast.district, cast.school, NOW.date(), NOW)
    assert [row.given for row in sheet.rows if row.state == "present"] == ["Айгерім", "Тимур"]
