"""A damaged journal: what its chain proves is carried over and sent, what it does not prove is never believed."""

import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.export import event_lines
from edge.journal import Journal, Marked, open_journal
from edge.journal_file import JournalFailed, Row, holes_of, reading, rows, verify_carried, verify_chain
from edge.salvage import Hole, Run, whole
from protocols.chain import ZERO_HEAD, extend
from protocols.events import Clock, Detail, Event, Kind
from protocols.ledger import check_ledger
from tests.edge.line import until

NOW = 1_800_000_000


def an_event(number: int) -> Event:
    return Event(NOW * 1000 + number, number, 1, Clock.NTP, Kind.PHONE_PASS, {3: 7, 4: number})


def a_ledger(count: int, first: int = 0) -> list[Row]:
    made, head = [], ZERO_HEAD
    for seq in range(count):
        raw = an_event(seq).encode()
        head = extend(head, raw)
        made.append(Row(5, seq, raw, head, NOW + seq, None))
    return made[first:]


def flipped(data: bytes, at: int) -> bytes:
    raw = bytearray(data)
    raw[at % len(raw)] ^= 1 + at % 255
    return bytes(raw)


# --- what the chain proves ------------------------------------------------------------------------------------------


def test_a_whole_ledger_is_one_run() -> None:
    rows = a_ledger(5)
    assert list(whole(rows, {0: ZERO_HEAD})) == [Run(5, 0, ZERO_HEAD), *rows]


def test_a_changed_byte_costs_its_own_event_and_the_hole_is_known() -> None:
    rows = a_ledger(5)
    rows[2] = rows[2]._replace(bytes=flipped(rows[2].bytes, 9))
    assert list(whole(rows, {0: ZERO_HEAD})) == [
        Run(5, 0, ZERO_HEAD), *rows[:2], Hole(5, 2, 3, rows[2].head, NOW + 1), Run(5, 3, rows[2].head), *rows[3:],
    ]  # fmt: skip


def test_a_changed_head_costs_nothing_where_the_next_event_proves_the_right_one() -> None:
    rows = a_ledger(5)
    good = list(rows)
    rows[2] = rows[2]._replace(head=flipped(rows[2].head, 3))
    assert list(whole(rows, {0: ZERO_HEAD})) == [Run(5, 0, ZERO_HEAD), *good]


def test_behind_lost_rows_one_event_more_is_lost_that_nothing_proves() -> None:
    rows = a_ledger(8)
    pieces = list(whole(rows[:2] + rows[4:], {0: ZERO_HEAD}))
    assert pieces == [
        Run(5, 0, ZERO_HEAD), *rows[:2], Hole(5, 2, 5, rows[4].head, NOW + 1), Run(5, 5, rows[4].head), *rows[5:],
    ]  # fmt: skip


def test_a_last_event_that_does_not_prove_itself_is_lost() -> None:
    rows = a_ledger(3)
    rows[2] = rows[2]._replace(head=bytes(32))
    assert [piece for piece in whole(rows, {0: ZERO_HEAD}) if isinstance(piece, Row)] == rows[:2]


def test_a_ledger_whose_beginning_was_purged_begins_at_its_base() -> None:
    rows = a_ledger(6)
    assert list(whole(rows[3:], {3: rows[2].head})) == [Run(5, 3, rows[2].head), *rows[3:]]


@given(
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from(["bytes", "head", "gone"]), st.integers(0, 500)), max_size=6)
)
def test_whatever_is_changed_or_lost_only_what_was_written_comes_back(damage: list[tuple[int, str, int]]) -> None:
    good = {row.seq: row for row in a_ledger(12)}
    rows = dict(good)
    for seq, what, at in damage:
        if what == "gone":
            rows.pop(seq, None)
        elif seq in rows:
            rows[seq] = rows[seq]._replace(**{what: flipped(getattr(rows[seq], what), at)})
    pieces = list(whole([rows[seq] for seq in sorted(rows)], {0: ZERO_HEAD}))
    saved = [piece for piece in pieces if isinstance(piece, Row)]
    assert all(row == good[row.seq] for row in saved)
    missing = {seq for hole in pieces if isinstance(hole, Hole) for seq in range(hole.first, hole.next)}
    assert not missing & {row.seq for row in saved}
    if saved:
        assert missing | {row.seq for row in saved} == set(range(saved[-1].seq + 1)), "each event is saved or missing"


# --- a real file ----------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def write(journal: Journal, count: int) -> list[bytes]:
    return [entry.bytes for n in range(count) for entry in journal.commit([an_event(n)], [], NOW + n)]


def change_a_byte_of(path: Path, event: bytes) -> None:
    raw = bytearray(path.read_bytes())
    where = raw.index(event)
    raw[where + len(event) - 3] ^= 1
    path.write_bytes(raw)


def carried(journal: Journal, epoch: int) -> Iterator[int]:
    until(lambda: journal.salvaged is not None)
    with reading(journal.path) as db:
        return iter([row[0] for row in db.execute("SELECT seq FROM events WHERE epoch = ? ORDER BY seq", (epoch,))])


def test_what_is_whole_is_carried_over_with_its_numbers_and_its_receipts(path: Path) -> None:
    journal = open_journal(path)
    written = write(journal, 10)
    journal.mark_receipted(journal.epoch, 2, journal.head_before(3), NOW)
    journal.commit([], [("document", b"KR1", b"signed"), ("presence", b"\0c", b"in")], NOW)
    epoch = journal.epoch
    journal.close()
    change_a_byte_of(path, written[6])
    journal = open_journal(path)
    assert (journal.epoch != epoch, journal.saved(), journal.boot) == (True, None, 2)
    assert journal.proven == {("document", b"KR1"): b"signed"}, "documents prove themselves, presence does not"
    assert list(carried(journal, epoch)) == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert [entry.seq for entry in journal.pending(-1, 64, epoch)] == [3, 4, 5, 7, 8, 9]
    with reading(path) as db:
        assert all(found.ok for found in (verify_chain(db), *verify_carried(db)))
    journal.close()


def test_what_stands_behind_a_hole_is_sent_when_the_cloud_knows_of_the_hole(path: Path) -> None:
    journal = open_journal(path)
    written = write(journal, 10)
    epoch = journal.epoch
    journal.close()
    change_a_byte_of(path, written[6])
    journal = open_journal(path)
    until(lambda: journal.salvaged is not None)
    assert journal.outgoing() == (epoch, 0)
    assert journal.mark_receipted(epoch, 5, journal.head_before(6, epoch), NOW) is Marked.MARKED
    assert journal.outgoing() is None, "nobody has told the hole"
    [hole] = journal.untold()
    assert (hole.epoch, hole.first, hole.next, hole.since) == (epoch, 6, 7, NOW + 5)
    gap = Event(NOW * 1000, 1, 1, Clock.NTP, Kind.GAP, {Detail.HOLE: hole.told()})
    journal.commit([gap], [], NOW)
    assert (journal.untold(), journal.outgoing()) == ([], None), "told, and not receipted"
    journal.mark_receipted(journal.epoch, 0, journal.head, NOW)
    assert journal.outgoing() == (epoch, 7)
    assert journal.mark_receipted(epoch, 9, journal.head_before(10, epoch), NOW) is Marked.MARKED
    assert (journal.outgoing(), journal.outbox_depth) == (None, 0)
    journal.close()


def test_an_outsider_reads_the_exported_ledger_with_its_hole(path: Path) -> None:
    journal = open_journal(path)
    written = write(journal, 10)
    journal.close()
    change_a_byte_of(path, written[6])
    journal = open_journal(path)
    until(lambda: journal.salvaged is not None)
    [hole] = journal.untold()
    journal.commit([Event(NOW * 1000, 1, 1, Clock.NTP, Kind.GAP, {Detail.HOLE: hole.told()})], [], NOW)
    with reading(path) as db:
        lines = [json.dumps(line) for line in event_lines(11, rows(db))]
        assert [(known.first_seq, known.next_seq, known.told) for known in holes_of(db)] == [(6, 7, True)]
    assert check_ledger(lines, []).lost == {(11, hole.epoch): 1}
    journal.close()


def test_a_salvage_that_was_cut_short_goes_on_at_the_next_start(path: Path) -> None:
    journal = open_journal(path)
    written = write(journal, 6)
    epoch = journal.epoch
    journal.close()
    change_a_byte_of(path, written[5])
    journal = open_journal(path)
    until(lambda: journal.salvaged is not None)
    journal.close()
    with sqlite3.connect(path) as db:  # as a power cut in the middle of it leaves it
        db.execute("DELETE FROM events WHERE epoch = ? AND seq > 2", (epoch,))
        db.execute("INSERT INTO meta VALUES ('salvage', 'journal.damaged-1.sqlite')")
    db.close()
    journal = open_journal(path)
    assert list(carried(journal, epoch)) == [0, 1, 2, 3, 4]
    journal.close()


def test_damage_found_while_running_is_put_aside_in_place(path: Path) -> None:
    journal = open_journal(path)
    write(journal, 5)
    epoch, boot = journal.epoch, journal.boot
    journal.distrust("seq 3: its bytes and its head disagree")
    with pytest.raises(JournalFailed, match="JOURNAL_DAMAGED"):
        journal.purge(NOW)
    journal.recover()
    assert (journal.epoch != epoch, journal.boot, journal.damage) == (True, boot, None)
    assert journal.commit([an_event(9)], [], NOW)[0].seq == 0
    assert list(carried(journal, epoch)) == [0, 1, 2, 3, 4]
    journal.close()
    again = open_journal(path)
    assert (again.boot, again.epoch, again.quarantined) == (boot + 1, journal.epoch, None)
    again.close()


def test_pages_that_cannot_be_read_hide_only_themselves(path: Path) -> None:
    journal = open_journal(path)
    for start in range(0, 2_000, 500):
        journal.commit([an_event(start + n) for n in range(500)], [], NOW)
    epoch = journal.epoch
    journal.close()
    raw = bytearray(path.read_bytes())
    page = raw.index(an_event(1_000).encode()) // 4096
    raw[page * 4096 : page * 4096 + 4096] = b"\xa5" * 4096
    path.write_bytes(raw)
    journal = open_journal(path)
    assert journal.quarantined is not None
    seqs = list(carried(journal, epoch))
    assert len(seqs) > 1_900 and 1_000 not in seqs and {0, 1_999} <= set(seqs)
    [hole] = journal.untold()
    assert set(range(hole.first, hole.next)) == set(range(2_000)) - set(seqs)
    journal.close()


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(12, 300))])
def test_bytes_flipped_anywhere_never_stop_the_journal_and_never_forge_an_event(path: Path, seed: int) -> None:
    luck = random.Random(seed)
    journal = open_journal(path)
    journal.commit([an_event(n) for n in range(300)], [], NOW)
    journal.mark_receipted(journal.epoch, 99, journal.head_before(100), NOW)
    epoch = journal.epoch
    if luck.random() < 0.5:
        journal.close()
    files = [file for file in (path, path.with_name(path.name + "-wal")) if file.exists() and file.stat().st_size]
    damaged = path.parent / "copy"
    damaged.mkdir()
    for file in files:
        raw = bytearray(file.read_bytes())
        for _ in range(luck.randint(1, 20)):
            raw[luck.randrange(len(raw))] ^= luck.randint(1, 255)
        if luck.random() < 0.3:
            del raw[luck.randrange(len(raw)) :]
        (damaged / file.name).write_bytes(raw)
    after = open_journal(damaged / path.name)
    try:
        after.commit([an_event(999)], [], NOW)
    except JournalFailed:  # damage that shows only now: put aside in place, and written again
        after.recover()
        after.commit([an_event(999)], [], NOW)
    if after.quarantined is not None:
        until(lambda: after.salvaged is not None)
    genuine = {an_event(n).encode() for n in (*range(300), 999)}
    for entry in after.pending(-1, 400, epoch):
        try:
            proven = extend(after.head_before(entry.seq, epoch), entry.bytes) == entry.head
        except LookupError:  # a key was changed where no check at the start looks: the sender signs nothing of it
            proven = False
        assert not proven or entry.bytes in genuine
    after.close()
