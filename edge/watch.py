"""The camera as the loop holds it: opened again where it fails, judged whether it sees, its light set.

Responsible for: the newest frame or none; every trouble of a camera told as a fault, whatever it raised.
Not responsible for: reading (reader.py), how a source gives frames (camera.py, capture.py), who passes (gate.py).
Obeys: HOSTILE P39; ARCHITECTURE "an arrival", hop 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge.camera import Camera, CameraFault, Frame
from edge.exposure import Meter
from edge.frames import coarse_view
from edge.health import Health
from edge.lookout import BLIND_SECONDS, FROZEN, Lookout

LOOKOUT_SECONDS = 0.5  # how often the view is judged: twenty looks make the ten seconds of a blind camera
REOPEN_SECONDS = 2.0  # a faulty camera is opened again so often


class Watch:
    """One camera. is_open: whether it is opening hours; tell: called when the view becomes blind, or sees again."""

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        health: Health,
        is_open: Callable[[], bool],
        tell: Callable[[], None],
    ) -> None:
        self._open_camera, self._health, self._is_open, self._tell = open_camera, health, is_open, tell
        self._camera: Camera | None = None
        self._lookout, self._meter = Lookout(), Meter()
        self._open_due = self._lookout_due = self._thaw_due = 0.0
        self.last_frame: Frame | None = None

    def look(self, moment: float) -> Frame | None:
        """The newest frame, or None; a faulty camera is closed, told, and opened again later. moment: monotonic."""
        try:
            if self._camera is None:
                if moment < self._open_due:
                    return None
                self._camera, self._meter = self._open_camera(), Meter()
            frame = self._camera.latest()
        except CameraFault as fault:
            self._failed(f"{fault.code}: {fault}", moment)
            return None
        except Exception as error:  # a library's own: the door goes on, and the camera is tried again
            self._failed(f"CAMERA_BROKEN: {type(error).__name__}", moment)
            return None
        if frame is not None:
            self._health.fault("camera", None)
            self.last_frame = frame
            self._look_out(frame, moment)
        return frame

    def set_light(self, frame: Frame, corners: Sequence, moment: float) -> None:
        """The light of the next frames, from the code that was in view."""
        setting = self._meter.look(frame.luma, corners, moment)
        self._health.hint = self._meter.hint
        if setting is not None and self._camera is not None:
            self._camera.set_light(setting.exposure_us, setting.gain)

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def _failed(self, what: str, moment: float) -> None:
        self._health.fault("camera", what)
        self._open_due = moment + REOPEN_SECONDS
        if self._camera is not None:
            self._health.count("camera_restarts")
        try:
            self.close()
        except Exception as error:  # it is broken: what it says when it is closed changes nothing
            self._health.internal("camera_close", error)

    def _look_out(self, frame: Frame, moment: float) -> None:
        """Notice a camera that sees nothing: in opening hours a fault that the fleet hears at once.

        A frozen one is opened again at any hour: a library that hangs may give its last picture for ever.
        """
        if moment < self._lookout_due:
            return
        self._lookout_due = moment + LOOKOUT_SECONDS
        blind = self._lookout.look(coarse_view(frame.luma), moment)
        if blind == FROZEN and moment >= self._thaw_due:
            self._thaw_due = moment + BLIND_SECONDS
            self._failed("CAMERA_FROZEN: the same picture again and again", moment)
        view = blind if blind and self._in_hours() else None
        if view != self._health.view:
            self._health.view = view
            self._health.fault("view", f"CAMERA_{view}" if view else None)
            self._tell()

    def _in_hours(self) -> bool:
        try:
            return self._is_open()
        except (ValueError, OverflowError, OSError):
            return True  # a clock beyond any calendar: rather an alarm too much than a gate that ends by it
