"""What is on the wire and when it goes again: a window, a backoff, credit, and everything anew on reconnect."""

from hypothesis import given
from hypothesis import strategies as st

from edge.outbox import PAUSE_SECONDS, UNHEARD_SECONDS, Outbox
from protocols.limits import IN_FLIGHT_EVENTS_MAX, RESEND_SECONDS, RESEND_SECONDS_MAX


def test_at_most_64_events_are_in_flight() -> None:
    outbox = Outbox(-1)
    outbox.sent(0, 39, now=0, jitter=0)
    assert outbox.room(0) == 24
    outbox.sent(40, 63, now=0, jitter=0)
    assert outbox.room(0) == 0
    outbox.receipted(39, credit=64, now=1)
    assert outbox.room(1) == 40


def test_a_silent_cloud_is_asked_again_ever_more_slowly() -> None:
    outbox = Outbox(-1)
    outbox.sent(0, 0, now=0, jitter=0)
    now, gaps = 0.0, []
    for _ in range(10):
        due = outbox.next_due()
        assert due is not None
        gaps.append(due - now)
        now = due
        [flight] = outbox.due(now)
        outbox.sent_again(flight, now, jitter=0)
    assert gaps[:4] == [RESEND_SECONDS, 6, 12, 24]
    assert max(gaps) == RESEND_SECONDS_MAX


def test_with_the_worst_jitter_five_minutes_stay_the_longest_wait() -> None:
    outbox = Outbox(-1)
    outbox.sent(0, 0, now=0, jitter=1)
    for _ in range(12):
        [flight] = outbox.flights
        outbox.sent_again(flight, 0, jitter=1)
    assert outbox.next_due() == RESEND_SECONDS_MAX


def test_nobody_subscribed_means_soon_again() -> None:
    outbox = Outbox(-1)
    outbox.sent(0, 3, now=0, jitter=0)
    outbox.unheard(0, now=0.1)
    assert outbox.next_due() == 0.1 + UNHEARD_SECONDS


def test_credit_zero_pauses_until_a_receipt_or_a_while() -> None:
    outbox = Outbox(-1)
    outbox.sent(0, 9, now=0, jitter=0)
    outbox.receipted(4, credit=0, now=1)
    assert outbox.room(2) == 0
    assert outbox.due(PAUSE_SECONDS) == []
    assert outbox.room(1 + PAUSE_SECONDS) == 1
    outbox.receipted(4, credit=0, now=40)
    assert outbox.room(41) == 0
    outbox.receipted(4, credit=64, now=42)
    assert outbox.room(42) == 59


def test_a_reconnect_sends_everything_without_a_receipt_again() -> None:
    outbox = Outbox(-1)
    outbox.sent(0, 63, now=0, jitter=0)
    outbox.receipted(9, credit=64, now=1)
    outbox.reconnected()
    assert (outbox.next_seq, outbox.room(1), outbox.flights) == (10, 64, [])


def test_a_receipt_for_part_of_a_segment_leaves_the_rest_in_flight() -> None:
    outbox = Outbox(-1)
    outbox.sent(0, 9, now=0, jitter=0)
    outbox.receipted(4, credit=64, now=1)
    [flight] = outbox.flights
    assert (flight.first, flight.last) == (5, 9)


@given(
    st.lists(
        st.tuples(st.sampled_from(["send", "receipt", "credit", "again", "reconnect", "later"]), st.integers(0, 70))
    )
)
def test_whatever_happens_the_window_is_never_exceeded(steps: list[tuple[str, int]]) -> None:
    outbox, now, sent = Outbox(-1), 0.0, -1
    for step, number in steps:
        if step == "send" and (room := outbox.room(now)):
            last = outbox.next_seq + min(room, number + 1) - 1
            outbox.sent(outbox.next_seq, last, now, 0.5)
            sent = max(sent, last)
        elif step == "receipt":
            outbox.receipted(min(number, sent), 64, now)
        elif step == "credit":
            outbox.receipted(-1, 0, now)
        elif step == "again":
            for flight in outbox.due(now):
                outbox.sent_again(flight, now, 0.5)
        elif step == "reconnect":
            outbox.reconnected()
        now += number
        assert sum(f.events for f in outbox.flights) <= IN_FLIGHT_EVENTS_MAX
        assert all(f.first <= f.last for f in outbox.flights)
        assert outbox.next_seq <= sent + 1
