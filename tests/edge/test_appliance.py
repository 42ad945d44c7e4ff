"""The gate put together: what closes first when it stops."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge.camera import Camera, Frame
from tests.edge.household import RunningGate, Site
from tests.edge.line import until

pytestmark = pytest.mark.serial
CLOSING_SECONDS = 3.0


class SlowToClose(Camera):
    """A camera whose library takes its time to let go."""

    def set_light(self, exposure_us: int, gain: float) -> None:
        del exposure_us, gain

    def latest(self) -> Frame | None:
        return None

    def close(self) -> None:
        time.sleep(CLOSING_SECONDS)


def test_a_gate_that_stops_locks_first_however_long_the_rest_takes(tmp_path: Path) -> None:
    gate = RunningGate(tmp_path, Site())
    try:
        gate.appliance.loop._watch._camera = SlowToClose()
        gate.appliance.pins.strike.pulse(20_000)
        assert bool(gate.strike.state)
        gate._stop.set()
        until(lambda: not gate.strike.state, CLOSING_SECONDS / 2)
        assert gate._thread.is_alive()  # the camera is still closing
    finally:
        gate.stop()
