"""PURE. Which events are on the wire, which are to be sent again, and when.

Responsible for: at most 64 events in flight, resend after 3 s x 2^n with jitter up to 5 min, all again on reconnect,
credit 0 pauses, a publication that nobody subscribed to is sent again soon.
Not responsible for: the journal that holds the events, the broker that carries them, signatures of receipts.
Obeys: PROTOCOL P-5 (receipt; PUBACK is not one), DEPENDENCIES "Traps" (No matching subscribers).

Times are seconds of a clock that never goes back; `now` and `jitter` (0 to 1) are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.limits import IN_FLIGHT_EVENTS_MAX, RESEND_SECONDS, RESEND_SECONDS_MAX

UNHEARD_SECONDS = 0.5  # nobody was subscribed (ingest starts later than the broker): soon, then slower
UNHEARD_SECONDS_MAX = 5.0
PAUSE_SECONDS = 30.0  # with credit 0: one event is tried again after this, lest a lost receipt pause for ever
JITTER = 0.25  # a resend comes up to a quarter later, so that gates do not march in step


@dataclass
class Flight:
    """One segment on the wire: events first to last, both included."""

    first: int
    last: int
    due_at: float
    sent: int = 1
    unheard: int = 0

    @property
    def events(self) -> int:
        return self.last - self.first + 1


class Outbox:
    """The window over the journal. receipted: the last seq that has a receipt, -1 for none."""

    def __init__(self, receipted: int) -> None:
        self.flights: list[Flight] = []
        self.credit = IN_FLIGHT_EVENTS_MAX
        self._receipted = receipted
        self._next = receipted + 1
        self._resumes_at = 0.0

    @property
    def next_seq(self) -> int:
        """The first event that was never sent."""
        return self._next

    @property
    def receipted_upto(self) -> int:
        """The last event that has a receipt."""
        return self._receipted

    def room(self, now: float) -> int:
        """Return how many new events may be sent now."""
        self._resume(now)
        return max(0, min(self.credit, IN_FLIGHT_EVENTS_MAX) - sum(f.events for f in self.flights))

    def due(self, now: float) -> list[Flight]:
        """Return what is to be sent again now, oldest first; nothing while paused."""
        self._resume(now)
        return [f for f in self.flights if f.due_at <= now] if self.credit else []

    def next_due(self) -> float | None:
        """Return when something has to be done next, None if only a new event or a receipt can change anything."""
        if not self.credit:
            return self._resumes_at
        return min((f.due_at for f in self.flights), default=None)

    def sent(self, first: int, last: int, now: float, jitter: float) -> None:
        """New events first to last went out."""
        self.flights.append(Flight(first, last, now + _delay(0, jitter)))
        self._next = last + 1

    def sent_again(self, flight: Flight, now: float, jitter: float) -> None:
        flight.due_at = now + _delay(flight.sent, jitter)
        flight.sent += 1

    def unheard(self, first: int, now: float) -> None:
        """The broker said that nobody subscribes to what carried `first`: send it again soon."""
        for flight in self.flights:
            if flight.first == first:
                soon = min(UNHEARD_SECONDS * 2**flight.unheard, UNHEARD_SECONDS_MAX)
                flight.due_at = min(flight.due_at, now + soon)
                flight.unheard = min(flight.unheard + 1, 10)

    def receipted(self, upto: int, credit: int, now: float) -> None:
        """A good receipt covers everything up to `upto`; the cloud takes `credit` more."""
        self._receipted = max(self._receipted, upto)
        self._next = max(self._next, upto + 1)
        self.flights = [f for f in self.flights if f.last > upto]
        for flight in self.flights:
            flight.first = max(flight.first, upto + 1)
        self.credit = credit
        self._resumes_at = now + PAUSE_SECONDS if credit == 0 else 0.0

    def reconnected(self) -> None:
        """Everything without a receipt goes out again, from the oldest."""
        self.flights = []
        self._next = self._receipted + 1
        self.credit = IN_FLIGHT_EVENTS_MAX

    def rewound(self, receipted: int) -> None:
        """What lies behind `receipted` has no receipt any more: a restored cloud asks for it again."""
        self._receipted = receipted
        self.reconnected()

    def _resume(self, now: float) -> None:
        if not self.credit and now >= self._resumes_at:
            self.credit = 1 + sum(f.events for f in self.flights)


def _delay(attempt: int, jitter: float) -> float:
    return min(RESEND_SECONDS * 2 ** min(attempt, 10) * (1 + JITTER * jitter), RESEND_SECONDS_MAX)
