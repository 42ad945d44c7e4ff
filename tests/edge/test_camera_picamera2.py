"""The Picamera2 adapter against a fake module that has picamera2's published signatures and nothing more.

The signatures are those of picamera2 0.3.3x (`picamera2/picamera2.py`, BSD-2-Clause, names and defaults only); a call
that the real library would not take fails here.
"""

from __future__ import annotations

import sys
import threading
import time
import types
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera import EXPOSURE_MICROSECONDS_MAX, CameraFault, Picamera2Source, open_source

STRIDE = 1_344  # the library pads rows to a multiple of 64


class CompletedRequest:
    """One frame lent by the camera: must be released, exactly once."""

    def __init__(self, camera: Picamera2, shade: int) -> None:
        self._camera = camera
        self._shade = shade
        self.released = 0

    def make_array(self, name: str) -> NDArray[np.uint8]:
        assert name == "main"
        width, height = self._camera.configured["main"]["size"]
        planes = np.full((height * 3 // 2, STRIDE), 128, np.uint8)
        planes[:height, :width] = self._shade
        return planes if self._camera.shape_ok else planes[:10]

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": time.monotonic_ns() - 5_000_000, "ExposureTime": 4_000}

    def release(self) -> None:
        self.released += 1
        self._camera.lent -= 1


class Picamera2:
    """The published signatures; every parameter by its published name."""

    frames_until_stall = 3
    shape_ok = True
    has_autofocus = True
    connected = True
    made: ClassVar[list[Picamera2]] = []

    def __init__(self, camera_num: int = 0, verbose_console: Any = None, tuning: Any = None) -> None:
        if not self.connected:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.calls: list[str] = []
        self.controls: dict[str, Any] = {}
        self.camera_num = camera_num
        self.configured: dict[str, Any] = {}
        self.lent = 0
        self.most_lent = 0
        self._given = 0
        self._lock = threading.Lock()
        Picamera2.made.append(self)

    @property
    def camera_controls(self) -> dict[str, tuple[Any, Any, Any]]:
        known = {"ExposureTime": (1, 66_666, 20_000), "AnalogueGain": (1.0, 16.0, 1.0), "AeEnable": (False, True, None)}
        focus = {"AfMode": (0, 2, 0), "AfRange": (0, 2, 0), "AfSpeed": (0, 1, 0)}
        return known | focus if self.has_autofocus else known

    def create_video_configuration(
        self,
        main: dict[str, Any] = {},  # noqa: B006
        lores: Any = None,
        raw: Any = {},  # noqa: B006
        transform: Any = None,
        colour_space: Any = None,
        buffer_count: int = 6,
        controls: dict[str, Any] = {},  # noqa: B006
        display: str | None = "main",
        encode: str | None = "main",
        queue: bool = True,
        sensor: Any = {},  # noqa: B006
        use_case: str = "video",
    ) -> dict[str, Any]:
        for name in controls:
            if name not in self.camera_controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        return {"main": main, "controls": controls, "buffer_count": buffer_count, "queue": queue, "display": display}

    def configure(self, camera_config: Any = "preview") -> None:
        self.configured = camera_config
        self.calls.append("configure")

    def start(self, config: Any = None, show_preview: Any = False) -> None:
        self.calls.append("start")

    def capture_request(self, wait: Any = None, signal_function: Any = None, flush: Any = None) -> CompletedRequest:
        assert isinstance(wait, float), "a wait without a limit may last for ever"
        with self._lock:
            if self._given >= self.frames_until_stall:
                raise TimeoutError
            self._given += 1
            self.lent += 1
            self.most_lent = max(self.most_lent, self.lent)
        return CompletedRequest(self, 40 + self._given)

    def set_controls(self, controls: dict[str, Any]) -> None:
        assert controls.keys() <= self.camera_controls.keys()
        self.controls = controls

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Picamera2]]:
    """A fresh fake of the module `picamera2`."""
    fresh = type("Picamera2", (Picamera2,), {})
    Picamera2.made.clear()
    module = types.ModuleType("picamera2")
    module.Picamera2 = fresh  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    yield fresh


def test_it_asks_for_luma_fresh_frames_a_short_exposure_and_macro_focus(library: type[Picamera2]) -> None:
    source = Picamera2Source(1)
    (camera,) = Picamera2.made
    assert camera.camera_num == 1
    assert camera.configured["main"] == {"format": "YUV420", "size": (1280, 720)}
    assert camera.configured["queue"] is False
    assert camera.configured["buffer_count"] >= 3
    assert camera.configured["controls"]["ExposureTime"] <= EXPOSURE_MICROSECONDS_MAX == 4_000
    assert (camera.configured["controls"]["AfMode"], camera.configured["controls"]["AfRange"]) == (2, 1)
    assert camera.calls == ["configure", "start"]
    source.close()


def test_a_module_without_focus_motor_is_not_asked_to_focus(library: type[Picamera2]) -> None:
    library.has_autofocus = False
    Picamera2Source(0).close()
    assert set(Picamera2.made[0].configured["controls"]) == {"ExposureTime"}


def test_frames_are_the_luma_without_padding_and_every_request_is_released(library: type[Picamera2]) -> None:
    source = Picamera2Source(0)
    luma, captured_ns = source.grab(1.0)
    assert luma.shape == (720, 1280)
    assert luma.min() == luma.max() == 41
    assert luma.flags.c_contiguous
    assert 0 <= time.monotonic_ns() - captured_ns < 1_000_000_000
    source.grab(1.0)
    assert (Picamera2.made[0].lent, Picamera2.made[0].most_lent) == (0, 1)
    source.close()


def test_light_is_set_as_told_and_the_library_s_own_exposure_is_off(library: type[Picamera2]) -> None:
    source = Picamera2Source(0)
    source.set_light(1_200, 3.0)
    assert Picamera2.made[0].controls == {"ExposureTime": 1_200, "AnalogueGain": 3.0, "AeEnable": False}
    source.close()


def test_a_camera_that_stalls_after_hours_is_one_fault_and_is_closed(library: type[Picamera2]) -> None:
    source = open_source("picamera2", "")
    for _ in range(library.frames_until_stall):
        source.grab(1.0)
    with pytest.raises(CameraFault) as fault:
        source.grab(1.0)
    assert fault.value.code == "CAMERA_STALLED"
    source.close()
    assert Picamera2.made[0].calls[-2:] == ["stop", "close"]


def test_a_frame_of_the_wrong_shape_is_a_fault_and_its_request_is_released(library: type[Picamera2]) -> None:
    library.shape_ok = False
    source = Picamera2Source(0)
    with pytest.raises(CameraFault) as fault:
        source.grab(1.0)
    assert fault.value.code == "CAMERA_FORMAT"
    assert Picamera2.made[0].lent == 0
    source.close()


def test_no_camera_on_the_cable_is_missing(library: type[Picamera2]) -> None:
    library.connected = False
    with pytest.raises(CameraFault) as fault:
        open_source("picamera2", "0")
    assert fault.value.code == "CAMERA_MISSING"


def test_no_library_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraFault) as fault:
        open_source("picamera2", "")
    assert fault.value.code == "CAMERA_LIBRARY"
    assert "python3-picamera2" in str(fault.value)
