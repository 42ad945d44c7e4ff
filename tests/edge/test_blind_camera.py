"""A camera that is covered while the school is open is told to the fleet within seconds (hostile case P39)."""

import time
from pathlib import Path

import pytest

from tests.edge.household import RunningGate, Site, until

pytestmark = pytest.mark.serial


def test_p39_a_covered_camera_is_a_fault_and_uncovering_it_mends_it(tmp_path: Path) -> None:
    gate = RunningGate(tmp_path, Site())
    health = gate.appliance.health
    try:
        began = time.monotonic()
        until(lambda: gate.scene.cover(3) or health.view, seconds=20)
        assert time.monotonic() - began >= 10
        assert health.view == "BLACK"
        assert health.fault_of("view") == "CAMERA_BLACK"
        until(lambda: gate.scene.show("not a pass") or health.view is None)
        assert health.fault_of("view") is None
    finally:
        gate.stop()
