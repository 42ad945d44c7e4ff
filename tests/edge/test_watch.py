"""A camera that fails in any way is told, closed and opened again; the gate goes on (ARCHITECTURE, hop 1)."""

from pathlib import Path

import numpy as np
import pytest

from edge.camera import CameraFault, Frame
from edge.health import Health
from edge.watch import REOPEN_SECONDS, Watch
from simulators.optics import View, made_up_text, view_of


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


def test_a_camera_that_repeats_its_picture_is_opened_again_every_ten_seconds_and_each_time_counted(
    tmp_path: Path,
) -> None:
    health, opened, told = Health(tmp_path), [], []
    still = view_of(made_up_text(1), View(), 1)

    class FrozenCamera(FailingCamera):
        def latest(self) -> Frame:
            return Frame(still, 1, 1)

    def open_one() -> FrozenCamera:
        opened.append(1)
        return FrozenCamera(None)

    watch = Watch(open_one, health, lambda: True, lambda: told.append(health.view))
    for half_seconds in range(60):
        watch.look(100.0 + half_seconds / 2)
    assert len(opened) == 3
    assert health.counters["camera_restarts"] == 2
    assert told == ["FROZEN"]
    assert health.fault_of("view") == "CAMERA_FROZEN"


def test_what_a_code_says_about_the_lens_is_told_until_a_sharp_one_is_seen(tmp_path: Path) -> None:
    health = Health(tmp_path)
    watch = Watch(lambda: FailingCamera(None), health, lambda: True, lambda: None)
    corners = ((500, 220), (780, 220), (780, 500), (500, 500))
    told = []
    for moment, defocus_px in enumerate((0.0, 6.0, 6.0, 0.0)):
        luma = view_of(made_up_text(1), View(defocus_px=defocus_px), 1)
        watch.set_light(Frame(luma, moment, moment), corners, float(moment))
        told.append(health.hint)
    assert told == [None, "closer_or_farther", "closer_or_farther", None]


def test_a_camera_that_cannot_be_opened_is_tried_again_and_counts_no_restart(tmp_path: Path) -> None:
    health = Health(tmp_path)

    def missing() -> FailingCamera:
        raise CameraFault("CAMERA_MISSING", "/dev/video0")

    watch = Watch(missing, health, lambda: True, lambda: None)
    assert watch.look(1.0) is None
    assert health.fault_of("camera") == "CAMERA_MISSING: /dev/video0"
    assert "camera_restarts" not in health.counters
