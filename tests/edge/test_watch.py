"""A camera that fails in any way is told, closed and opened again; the gate goes on (ARCHITECTURE, hop 1)."""

from pathlib import Path

import numpy as np
import pytest

from edge.camera import CameraFault, Frame
from edge.health import Health
from edge.watch import REOPEN_SECONDS, Watch


class FailingCamera:
    """A small working camera whose library raises what it is told to, once; it may not even close."""

    def __init__(self, trouble: Exception | None) -> None:
        self._trouble = trouble

    def latest(self) -> Frame | None:
        if self._trouble is not None:
            raise self._trouble
        return Frame(np.full((72, 128), 90, np.uint8), 1, 1)

    def set_light(self, exposure_us: int, gain: float) -> None:
        pass

    def close(self) -> None:
        if self._trouble is not None:
            raise OSError("it does not answer")


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (CameraFault("CAMERA_STALLED", "no frame"), "CAMERA_STALLED: no frame"),
        (OSError("gone"), "CAMERA_BROKEN: OSError"),
    ],
)
def test_any_trouble_of_a_camera_is_told_and_it_is_opened_again(trouble: Exception, told: str, tmp_path: Path) -> None:
    health, lent = Health(tmp_path), [FailingCamera(trouble), FailingCamera(None)]
    watch = Watch(lambda: lent.pop(0), health, lambda: True, lambda: None)
    assert watch.look(100.0) is None
    assert health.fault_of("camera") == told
    assert health.counters["camera_restarts"] == 1
    assert watch.look(100.0 + REOPEN_SECONDS / 2) is None
    assert watch.look(100.0 + REOPEN_SECONDS) is not None
    assert health.fault_of("camera") is None


def test_a_camera_that_cannot_be_opened_is_tried_again_and_counts_no_restart(tmp_path: Path) -> None:
    health = Health(tmp_path)

    def missing() -> FailingCamera:
        raise CameraFault("CAMERA_MISSING", "/dev/video0")

    watch = Watch(missing, health, lambda: True, lambda: None)
    assert watch.look(1.0) is None
    assert health.fault_of("camera") == "CAMERA_MISSING: /dev/video0"
    assert "camera_restarts" not in health.counters
