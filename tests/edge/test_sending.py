"""What goes up and what a receipt does: a changed byte is never signed, a cloud that lacks something is heard once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from edge.health import Health
from edge.journal import Journal, open_journal
from edge.sending import ASKED_SECONDS, Sender
from protocols.chain import ZERO_HEAD
from protocols.events import Clock, Event, Kind, Receipt, Segment, build_receipt, load_segment
from protocols.gaps import MISSING
from tests.edge.line import GATE, GATE_KEY, NOW, PLACE, RECEIPT_KEY, receipt_trust


class Uplink:
    """A journal with its sender, and the cloud's end as a list of segments. No broker: time is told."""

    def __init__(self, directory: Path) -> None:
        self.journal: Journal = open_journal(directory / "journal.sqlite")
        self.health, self.sent, self.told = Health(directory), list[Segment](), list[int]()
        self.sender = Sender(
            PLACE, GATE_KEY, self.journal, self.health, trust=receipt_trust, publish=self._take, told=self.told.append
        )
        self.now = 0.0

    def _take(self, segment: bytes) -> int:
        self.sent.append(load_segment(segment, bytes(GATE_KEY.verify_key)))
        return len(self.sent)

    def write(self, count: int) -> None:
        for number in range(count):
            event = Event(NOW * 1000, number, 1, Clock.NTP, Kind.PHONE_PASS, {3: 7, 4: number})
            self.journal.commit([event], [], NOW)

    def seqs(self) -> list[int]:
        """What went up since the last question."""
        self.now += 1
        self.sender.turn(self.now)
        seqs = [segment.first_seq + n for segment in self.sent for n in range(len(segment.encoded))]
        self.sent.clear()
        return seqs

    def receipt(self, upto: int, *, now: int = NOW, key: SigningKey = RECEIPT_KEY, head: bytes | None = None,
                missing: int | None = None) -> None:  # fmt: skip
        head = self.journal.head_before(upto + 1) if head is None else head
        codes = () if missing is None else ((missing, MISSING),)
        told = Receipt(now, GATE, self.journal.epoch, upto, head, 64, codes)
        self.sender.take_receipt(build_receipt(key, told), self.now)


@pytest.fixture
def uplink(tmp_path: Path) -> Iterator[Uplink]:
    made = Uplink(tmp_path)
    yield made
    made.journal.close()


@pytest.fixture
def receipted(uplink: Uplink) -> Uplink:
    """Ten events that the cloud had receipted."""
    uplink.write(10)
    assert uplink.seqs() == list(range(10))
    uplink.receipt(9)
    assert uplink.journal.outbox_depth == 0
    return uplink


def test_a_restored_cloud_gets_everything_from_what_it_lacks_on(receipted: Uplink) -> None:
    receipted.receipt(3, missing=4, now=NOW + 1)
    assert receipted.seqs() == [4, 5, 6, 7, 8, 9]
    receipted.receipt(3, missing=4, now=NOW + 2 * ASKED_SECONDS)
    assert receipted.seqs() == [], "it is on its way"
    receipted.receipt(9, now=NOW + 2)
    assert (receipted.journal.outbox_depth, receipted.health.counters["resyncs"]) == (0, 1)


def test_a_cloud_that_holds_nothing_gets_everything(receipted: Uplink) -> None:
    receipted.receipt(0, head=ZERO_HEAD, missing=0, now=NOW + 1)
    assert receipted.seqs() == list(range(10))


def test_a_cloud_that_lacks_and_tells_another_tale_gets_everything_that_is_kept(receipted: Uplink) -> None:
    receipted.receipt(3, head=b"\x07" * 32, missing=4, now=NOW + 1)
    assert receipted.seqs() == list(range(10))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (lambda up: up.receipt(3, missing=4, now=NOW - 1), "receipt_OLD"),
        (lambda up: up.receipt(3, missing=4, now=NOW + 1, key=SigningKey(b"\x66" * 32)), "receipt_RECEIPT_KEY"),
        (lambda up: up.receipt(3, missing=7, now=NOW + 1), None),
        (lambda up: up.receipt(0, head=ZERO_HEAD, missing=5, now=NOW + 1), "receipt_OTHER_HEAD"),
    ],
)
def test_a_recorded_forged_or_crooked_word_of_what_is_missing_sends_nothing(
    receipted: Uplink, what: Callable[[Uplink], None], told: str | None
) -> None:
    what(receipted)
    assert receipted.seqs() == []
    assert receipted.health.counters.get("resyncs") is None
    assert told is None or receipted.health.counters[told] == 1


def test_the_word_is_believed_at_most_once_a_minute(receipted: Uplink) -> None:
    receipted.receipt(3, missing=4, now=NOW + 1)
    assert receipted.seqs() == [4, 5, 6, 7, 8, 9]
    receipted.receipt(9, now=NOW + 1)
    receipted.receipt(3, missing=4, now=NOW + 5)
    assert (receipted.seqs(), receipted.health.counters["receipt_OLD"]) == ([], 1)
    receipted.receipt(3, missing=4, now=NOW + 2 + ASKED_SECONDS)
    assert receipted.seqs() == [4, 5, 6, 7, 8, 9]


def test_an_event_that_the_chain_does_not_prove_is_never_signed(uplink: Uplink) -> None:
    uplink.write(5)
    uplink.journal._disk.connection.execute("UPDATE events SET bytes = x'80' WHERE seq = 3")  # as a dying card does it
    assert uplink.seqs() == []
    assert uplink.journal.damage == "seq 3: its bytes and its head disagree"
    assert not uplink.sender.has_unsent(uplink.now), "and nobody turns in vain"
    epoch = uplink.journal.epoch
    uplink.journal.recover()
    uplink.write(1)
    assert uplink.journal.epoch != epoch
    assert uplink.seqs()[0] == 0, "the new ledger first, whatever was carried over by now"


def test_an_event_whose_forerunner_is_missing_is_never_signed_and_keeps_no_turn_from_ending(uplink: Uplink) -> None:
    uplink.write(5)
    uplink.seqs()
    uplink.receipt(3)
    uplink.journal._disk.connection.execute("DELETE FROM events WHERE seq = 3")  # as a page that lost a row
    uplink.sender.reconnected()
    assert uplink.seqs() == []
    assert uplink.journal.damage == "seq 4: what it is chained to is missing"


def test_receipts_are_dated_by_the_cloud_whatever_the_gates_clock_says(uplink: Uplink) -> None:
    uplink.write(1)
    uplink.seqs()
    uplink.receipt(0, now=NOW + 77)
    assert (uplink.told, uplink.journal.newest_receipt) == ([NOW + 77], NOW + 77)
