"""kill -9 of gate, broker, ingest and database in turn, in the middle of a morning of 200 arrivals.

Every decision is stored exactly once, nothing is invented, and the outboxes are empty again within ten seconds of the
last start (issue of the main job; PROTOCOL section 5: journal before strike, receipt after COMMIT, resend until then).
"""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from simulators.district import Sizes
from simulators.gatehouse import Arrival
from simulators.morning import Morning, play_morning
from simulators.parts import gate_status
from simulators.processes import wait_until
from simulators.stack import Stack, Wishes

ARRIVALS = 200
DRAIN_SECONDS_MAX = 10.0
STEP_SECONDS_MAX = 240.0
VICTIMS = ((30, "gate-11"), (70, "broker"), (110, "ingest"), (150, "database"))  # after so many answers


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("kills"))
    try:
        stack.up(Wishes(sizes=Sizes(gates=6, families=ARRIVALS + 20)))
        yield stack
    finally:
        stack.down()


class Crowd:
    """A morning that plays in the background, and how many have had their answer."""

    def __init__(self, stack: Stack) -> None:
        self.answered: list[Arrival] = []
        self.morning: Morning | None = None
        self._thread = threading.Thread(target=self._play, args=(stack,))
        self._thread.start()

    def _play(self, stack: Stack) -> None:
        self.morning = play_morning(stack, ARRIVALS, seed=9, heard=self.answered.append)

    def wait_for(self, answers: int) -> None:
        wait_until(
            lambda: len(self.answered) >= answers or not self._thread.is_alive(),
            STEP_SECONDS_MAX,
            f"only {len(self.answered)} of {answers} were answered",
        )

    def end(self) -> Morning:
        self._thread.join(timeout=STEP_SECONDS_MAX)
        assert self.morning is not None, "the morning did not come to its end"
        return self.morning


def drained_after(stack: Stack) -> float:
    """Return the seconds until each gate had, once, nothing that waits for a receipt."""
    began = time.monotonic()
    waiting = {part.name: part for part in stack.gates}
    while waiting and time.monotonic() - began < 6 * DRAIN_SECONDS_MAX:
        for name, part in list(waiting.items()):
            if gate_status(part.url).get("outbox") == 0:
                del waiting[name]
        time.sleep(0.05)
    return time.monotonic() - began


def test_every_decision_of_200_arrivals_is_stored_once_though_every_part_is_killed_in_turn(stack: Stack) -> None:
    crowd = Crowd(stack)
    for answers, victim in VICTIMS:
        crowd.wait_for(answers)
        os.kill(stack.parts[victim].pid, signal.SIGKILL)
        time.sleep(1.0)  # families go on coming while it is dead
        stack.start(victim)
    drained = drained_after(stack)
    morning = crowd.end()
    summary = morning.summary()
    assert (summary["lost"], summary["duplicates"], summary["phantoms"]) == (0, 0, 0), summary
    opened = [event for event in morning.ledger.at_gates.values() if event["code"] == "OPEN"]
    assert summary["opened"] == ARRIVALS, summary
    assert len(opened) == ARRIVALS, Counter(event["code"] for event in morning.ledger.at_gates.values())
    assert set(morning.ledger.in_cloud.values()) == {1}
    assert drained <= DRAIN_SECONDS_MAX, f"the outboxes were empty only {drained:.1f} s after the last start"
