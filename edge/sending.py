"""The journal's events on their way up: which segment goes when, and what a receipt does.

Responsible for: segments signed and handed to the broker's client, of this ledger and of what was carried over from
damaged ones; receipts believed and marked; sending again what a restored cloud says it lacks (P46); never sending what
the chain does not prove.
Not responsible for: the session (broker.py), the window's arithmetic (outbox.py), storing (journal.py).
Obeys: PROTOCOL P-5 (receipts, resend, credit); ADR 0021. Used by the broker's thread alone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nacl.signing import SigningKey

from edge.config import Place
from edge.health import Health
from edge.journal import Entry, Journal, Marked
from edge.outbox import Flight, Outbox
from protocols.chain import extend
from protocols.envelope import DocumentRefused
from protocols.events import Receipt, build_segment, fitting, load_receipt
from protocols.gaps import missing_from
from protocols.limits import SEGMENT_EVENTS_MAX
from protocols.trust import Trust

PUBACKS_MAX = 1_024
FULL_SECONDS = 1.0  # a broker that acknowledges nothing has filled its client: so long nothing new is given to it
LOOK_SECONDS = 1.0  # carried events are looked for so often
ASKED_SECONDS = 60  # by the cloud's clock: so soon it is not believed to have lost something again
NO_MATCHING_SUBSCRIBERS = 0x10
CHANCE = random.SystemRandom()  # jitter needs no seed


@dataclass
class Line:
    """One ledger on its way: its epoch and the window over it."""

    epoch: int
    outbox: Outbox


class Sender:
    """publish: hands a segment to the client; its message id, or None where it cannot be taken now. told: hears the
    cloud's time of each good receipt."""

    def __init__(
        self,
        place: Place,
        key: SigningKey,
        journal: Journal,
        health: Health,
        *,
        trust: Callable[[], Trust],
        publish: Callable[[bytes], int | None],
        told: Callable[[int], None],
    ) -> None:
        self._place, self._key, self._journal, self._health = place, key, journal, health
        self._trust, self._publish, self._told = trust, publish, told
        self._own = Line(journal.epoch, Outbox(journal.receipted_upto))
        self._carried: Line | None = None
        self._look_at = 0.0
        self._firsts: dict[int, tuple[int, int]] = {}  # message id -> epoch and first seq of the segment it carries
        self._full_until = 0.0
        self._asked_at = 0  # when the receipt was signed that last said what the cloud lacks

    # --- what the broker uses -----------------------------------------------------------------------------------

    def turn(self, now: float) -> None:
        """Send what is due again and what is new. now: monotonic seconds. Raises JournalFailed."""
        self._follow()
        if self._journal.damage is not None:
            return  # nothing is sent from a file that is to be put aside
        self._look_for_carried(now)
        for line in self._lines():
            for flight in line.outbox.due(now):
                self._send_again(line, flight)
                line.outbox.sent_again(flight, now, CHANCE.random())  # also where the client was full: later again
            self._send_new(line, now)

    def has_unsent(self, now: float) -> bool:
        """Return whether an event that was never sent could go now."""
        own = self._own.outbox
        if now < self._full_until or self._journal.damage is not None:
            return False
        return own.next_seq < self._journal.next_seq and own.room(now) > 0

    def next_due(self) -> float | None:
        return min((due for line in self._lines() if (due := line.outbox.next_due()) is not None), default=None)

    def reconnected(self) -> None:
        self._firsts.clear()
        for line in self._lines():
            line.outbox.reconnected()

    def acknowledged(self, mid: int, reason: int, now: float) -> None:
        """The broker took a segment, or says that nobody subscribes to it: then it goes again soon."""
        epoch, first = self._firsts.pop(mid, (None, 0))
        if reason == NO_MATCHING_SUBSCRIBERS:
            for line in self._lines():
                if line.epoch == epoch:
                    line.outbox.unheard(first, now)

    def take_receipt(self, payload: bytes, now: float) -> None:
        """Mark what a good receipt covers. Raises JournalFailed."""
        try:
            receipt = load_receipt(payload, self._trust(), self._place.site)
        except DocumentRefused as refused:
            self._health.count(f"receipt_{refused.code}")
            return
        if receipt.gate != self._place.gate:
            self._health.count("receipt_OTHER_GATE")
            return
        missing = missing_from(receipt)
        if missing is not None:
            self._send_from(receipt, missing)
            return
        marked = self._journal.mark_receipted(receipt.epoch, receipt.upto, receipt.head, receipt.now)
        if marked is not Marked.MARKED:
            self._health.count(f"receipt_{marked}")
            return
        for line in self._lines():
            if line.epoch == receipt.epoch:
                line.outbox.receipted(receipt.upto, receipt.credit, now)
        self._told(receipt.now)

    # --- inside -------------------------------------------------------------------------------------------------

    def _lines(self) -> Iterator[Line]:
        yield self._own
        if self._carried is not None:
            yield self._carried

    def _follow(self) -> None:
        """The journal was made anew, or told to send again: the window follows it."""
        if self._own.epoch != self._journal.epoch:
            self._own, self._carried = Line(self._journal.epoch, Outbox(self._journal.receipted_upto)), None
            self._firsts.clear()
        elif self._journal.receipted_upto < self._own.outbox.receipted_upto:
            self._own.outbox.rewound(self._journal.receipted_upto)
            self._carried = None

    def _look_for_carried(self, now: float) -> None:
        line = self._carried
        if now < self._look_at or line is not None and (line.outbox.flights or self._next(line, 1)):
            return
        found = self._journal.outgoing()
        self._look_at = now + LOOK_SECONDS if found is None else now
        self._carried = None if found is None else Line(found[0], Outbox(found[1] - 1))

    def _send_from(self, receipt: Receipt, missing: int) -> None:
        """The cloud lacks what it had receipted: it was restored from a backup. An old receipt says nothing."""
        journal = self._journal
        if receipt.now < max(journal.newest_receipt, self._asked_at + ASKED_SECONDS):
            self._health.count("receipt_OLD")
            return
        own = receipt.epoch == journal.epoch
        if own and missing > journal.receipted_upto or not own and not journal.carries(receipt.epoch):
            return  # it is on its way, or was never ours
        self._asked_at = receipt.now
        self._health.count("resyncs")
        journal.resync(self._common(missing, receipt.head) if own else journal.next_seq)

    def _common(self, missing: int, head: bytes) -> int:
        """Where both ledgers agree: at `missing`, or else not before our first kept event (a card put back, too)."""
        try:
            return missing if self._journal.head_before(missing) == head else self._journal.first_seq
        except LookupError:
            return missing  # dropped here: it will be told as a hole

    def _send_new(self, line: Line, now: float) -> None:
        while now >= self._full_until and (room := line.outbox.room(now)) > 0:
            entries = self._next(line, min(room, SEGMENT_EVENTS_MAX))
            if not entries or not self._send(line, entries):
                return
            line.outbox.sent(entries[0].seq, entries[-1].seq, now, CHANCE.random())

    def _next(self, line: Line, limit: int) -> list[Entry]:
        """Return the next events of a line without a hole, as many as fit into one segment."""
        first = line.outbox.next_seq
        entries = self._journal.pending(first - 1, limit, line.epoch)
        return _fitting([entry for number, entry in enumerate(entries) if entry.seq == first + number])

    def _send_again(self, line: Line, flight: Flight) -> None:
        self._health.count("resent")
        entries = self._journal.pending(flight.first - 1, flight.events, line.epoch)
        if entries:
            self._send(line, _fitting(entries))

    def _send(self, line: Line, entries: list[Entry]) -> bool:
        """Sign and publish one segment; False where the client cannot take it, or the chain does not prove it."""
        first = entries[0].seq
        head = self._head_before(first, line.epoch)
        if head is None or not self._is_proven(head, entries):
            return False
        encoded = [entry.bytes for entry in entries]
        mid = self._publish(build_segment(self._key, self._place.gate, line.epoch, first, head, encoded))
        if mid is None:
            self._full_until = time.monotonic() + FULL_SECONDS
            return False
        if len(self._firsts) > PUBACKS_MAX:
            self._firsts.clear()
        self._firsts[mid] = line.epoch, first
        return True

    def _head_before(self, first: int, epoch: int) -> bytes | None:
        """None where what the event is chained to is missing: the file is put aside, unless it just was."""
        try:
            return self._journal.head_before(first, epoch)
        except LookupError:
            if self._own.epoch == self._journal.epoch:
                self._journal.distrust(f"seq {first}: what it is chained to is missing")
            return None

    def _is_proven(self, head: bytes, entries: list[Entry]) -> bool:
        """A byte that changed on the card is never signed: the journal is put aside, and what is whole goes up."""
        for entry in entries:
            head = extend(head, entry.bytes)
            if head != entry.head:
                self._journal.distrust(f"seq {entry.seq}: its bytes and its head disagree")
                return False
        return True


def _fitting(entries: list[Entry]) -> list[Entry]:
    """Return the first entries that fit into one segment."""
    return entries[: fitting([entry.bytes for entry in entries])]
