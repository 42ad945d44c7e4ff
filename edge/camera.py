"""Frames for the reader, from whatever takes them: one small port and an adapter for each source.

Responsible for: the newest frame only (never a queue), a time limit on every capture, and one error, `CameraFault`,
into which every library's own troubles are translated. Sources: a folder of pictures, V4L2 by OpenCV, the Raspberry
Pi's camera by Picamera2 (imported nowhere else), the frame file that a simulator maps.
Not responsible for: reading codes (edge/reader.py), starting a faulty camera again (edge/loop.py), the process in which
a gate keeps a live camera (edge/capture.py).
Obeys: ARCHITECTURE, an arrival, hop 1; STYLE ("libraries' errors are translated once, at the adapter").
"""

from __future__ import annotations

import importlib
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.pictures import PictureRefused, load_picture

Luma = NDArray[np.uint8]
MonotonicNs = Callable[[], int]

FRAME_SIZE = (1280, 720)  # pixels; the reader's frontier (2.3 to 3.5 px a module) was measured on it
CAPTURE_SECONDS_MAX = 2.0  # a camera that gives no frame for so long has stalled (reported upstream after 11 to 13 h)
START_SECONDS_MAX = 8.0  # the first frame may take longer: sensor, tuning files, focus
CLOSE_SECONDS_MAX = 2.0  # a stalled library may never answer its own stop()
EXPOSURE_MICROSECONDS_MAX = 4_000  # a hand at 0.3 m/s then smears under 2 modules
PICTURES_PER_SECOND = 10.0  # a folder of pictures is shown at this pace
BAD_FILE_SECONDS_MAX = 2.0  # a frame file may be seen half made; for longer it is a fault
FRAME_SIDE_MAX = 8_192  # pixels, of a frame file's header


@dataclass(frozen=True, slots=True)
class Frame:
    """One look. luma: height x width, uint8, owned by whoever holds the frame. captured_ns: CLOCK_MONOTONIC."""

    luma: Luma
    sequence: int
    captured_ns: int


class CameraFault(Exception):
    """The camera cannot be used. code: CAMERA_MISSING, CAMERA_LIBRARY, CAMERA_STALLED, CAMERA_FORMAT, CAMERA_BROKEN."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class Camera(Protocol):
    """What the loop holds."""

    def latest(self) -> Frame | None:
        """The newest frame not given before, or None. Never waits for one. Raises CameraFault."""
        ...

    def set_light(self, exposure_us: int, gain: float) -> None:
        """Expose the next frames so long, amplified so much, where this camera can. Never waits, never raises."""
        ...

    def close(self) -> None:
        """Give everything back. May be called twice."""
        ...


def open_camera(source: str, path: str, *, monotonic_ns: MonotonicNs = time.monotonic_ns) -> Camera:
    """Open a camera that is files only, frames or folder; capture.open_apart opens any. Raises CameraFault."""
    match source:
        case "frames":
            return FrameFileCamera(Path(path), monotonic_ns=monotonic_ns)
        case "folder":
            return FolderCamera(Path(path), monotonic_ns=monotonic_ns)
    raise ValueError(f"no such camera source: {source}")


def open_source(source: str, path: str, *, monotonic_ns: MonotonicNs = time.monotonic_ns) -> Source:
    """Open a live camera's library. source: v4l2 or picamera2. Raises CameraFault."""
    match source:
        case "v4l2":
            return V4L2Source(path)
        case "picamera2":
            return Picamera2Source(int(path or 0), monotonic_ns)  # "" is the first camera
    raise ValueError(f"no such camera source: {source}")


# A folder of pictures ----------------------------------------------------------------------------------------------


class FolderCamera:
    """Shows a folder's pictures in the order of their names, then those that are added with a later name."""

    def __init__(
        self,
        folder: Path,
        *,
        pictures_per_second: float = PICTURES_PER_SECOND,
        monotonic_ns: MonotonicNs = time.monotonic_ns,
    ) -> None:
        if not folder.is_dir():
            raise CameraFault("CAMERA_MISSING", f"{folder} is not a folder")
        self._folder = folder
        self._interval_ns = int(1e9 / pictures_per_second)
        self._monotonic_ns = monotonic_ns
        self._shown = ""
        self._next_ns = monotonic_ns()
        self._sequence = 0
        self.unreadable = 0  # pictures passed over because they could not be decoded

    def latest(self) -> Frame | None:
        now = self._monotonic_ns()
        if now < self._next_ns:
            return None
        try:
            waiting = [entry.name for entry in os.scandir(self._folder) if entry.name > self._shown and entry.is_file()]
        except OSError as error:
            raise CameraFault("CAMERA_MISSING", f"{self._folder} cannot be listed") from error
        for name in sorted(waiting):
            self._shown = name
            try:
                luma = load_picture(self._folder / name)
            except PictureRefused as refused:
                self.unreadable += refused.code != "PICTURE_FORMAT"  # labels and notes may lie beside the pictures
                continue
            self._sequence += 1
            self._next_ns = now + self._interval_ns
            return Frame(luma, self._sequence, now)
        return None

    def set_light(self, exposure_us: int, gain: float) -> None:
        """Pictures were exposed long ago."""

    def close(self) -> None:
        """Nothing is held open between two pictures."""


# The simulator's frame file ----------------------------------------------------------------------------------------

FRAME_FILE_MAGIC = b"PTLFRAM1"
FRAME_FILE_HEADER = struct.Struct(
    "<8s4I2Q24x"
)  # 64 bytes: magic, width, height, stride, reserved, sequence, captured_ns


class FrameFileCamera:
    """The frame that another process keeps in a mapped file, under a sequence lock (odd while it is being written).

    The file is read, not mapped: a writer that shortens a mapped file would kill whoever reads it (SIGBUS).
    A missing file is a camera that shows nothing yet; a file that stays wrong is a fault.
    """

    def __init__(self, path: Path, *, monotonic_ns: MonotonicNs = time.monotonic_ns) -> None:
        self._path = path
        self._monotonic_ns = monotonic_ns
        self._file: int | None = None
        self._inode: tuple[int, int] | None = None
        self._sequence = -1
        self._wrong_since_ns: int | None = None

    def latest(self) -> Frame | None:
        if not self._opened():
            return None
        for _ in range(3):  # a writer at 60 frames a second leaves 15 ms between two writes; a copy takes 0.2 ms
            header = self._header()
            if header is None:
                return None if self._unwritten() else self._wrong()
            width, height, stride, sequence, captured_ns = header
            self._wrong_since_ns = None
            if sequence == self._sequence:
                return None
            if sequence % 2 == 0:
                luma = self._copy(width, height, stride)
                if luma is not None and self._header() == header:
                    self._sequence = sequence
                    return Frame(luma, sequence // 2, captured_ns)
        return None

    def set_light(self, exposure_us: int, gain: float) -> None:
        """Whoever writes the file exposes its frames."""

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = self._inode = None

    def _opened(self) -> bool:
        """Keep the file open; open it anew when another one took its name."""
        try:
            status = os.stat(self._path)
            if self._inode != (status.st_dev, status.st_ino):
                self.close()
                self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                self._inode, self._sequence = (status.st_dev, status.st_ino), -1
        except FileNotFoundError:
            self.close()
            return False
        except OSError as error:
            raise CameraFault("CAMERA_MISSING", f"{self._path}: {error.strerror}") from error
        return True

    def _header(self) -> tuple[int, int, int, int, int] | None:
        """(width, height, stride, sequence, captured_ns), or None where header and size of the file do not agree."""
        assert self._file is not None
        data = os.pread(self._file, FRAME_FILE_HEADER.size, 0)
        if len(data) < FRAME_FILE_HEADER.size:
            return None
        magic, width, height, stride, _, sequence, captured_ns = FRAME_FILE_HEADER.unpack(data)
        sane = 0 < width <= stride <= FRAME_SIDE_MAX and 0 < height <= FRAME_SIDE_MAX
        size = FRAME_FILE_HEADER.size + height * stride
        if magic != FRAME_FILE_MAGIC or not sane or os.fstat(self._file).st_size != size:
            return None
        return width, height, stride, sequence, captured_ns

    def _unwritten(self) -> bool:
        """A file that its writer has made and put nothing into yet is a camera that shows nothing yet."""
        assert self._file is not None
        return not any(os.pread(self._file, FRAME_FILE_HEADER.size, 0))

    def _copy(self, width: int, height: int, stride: int) -> Luma | None:
        assert self._file is not None
        data = np.empty(height * stride, np.uint8)
        if os.preadv(self._file, [data.data], FRAME_FILE_HEADER.size) != data.nbytes:
            return None
        return data.reshape(height, stride)[:, :width]

    def _wrong(self) -> None:
        now = self._monotonic_ns()
        if self._wrong_since_ns is None:
            self._wrong_since_ns = now
        elif now - self._wrong_since_ns > BAD_FILE_SECONDS_MAX * 1e9:
            raise CameraFault("CAMERA_FORMAT", f"{self._path} is not a frame file, or not of the size it claims")


# Live cameras ------------------------------------------------------------------------------------------------------


class Source(Protocol):
    """A camera's library, behind three calls made from one thread."""

    def grab(self, wait_seconds: float) -> tuple[Luma, int]:
        """Wait for the next frame; return its luma, owned by the caller, and when it was captured (ns)."""
        ...

    def set_light(self, exposure_us: int, gain: float) -> None: ...

    def close(self) -> None: ...


# linux/v4l2-controls.h: V4L2_EXPOSURE_MANUAL, and the unit of V4L2_CID_EXPOSURE_ABSOLUTE
V4L2_EXPOSURE_MANUAL, V4L2_EXPOSURE_STEP_US = 1, 100


class V4L2Source:
    """A USB or MIPI camera by OpenCV. path: /dev/videoN, or its number."""

    def __init__(self, path: str, *, size: tuple[int, int] = FRAME_SIZE) -> None:
        name: str | int = int(path) if path.isdecimal() else path
        self._capture: Any = cv2.VideoCapture(name, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise CameraFault("CAMERA_MISSING", f"no video capture at {path}")
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._gain_of_none = max(float(self._capture.get(cv2.CAP_PROP_GAIN)), 1.0)

    def grab(self, wait_seconds: float) -> tuple[Luma, int]:
        """OpenCV's own limit is 10 s; the shorter one is the CaptureProcess's, which watches from outside."""
        taken, picture = self._capture.read()
        captured_ns = time.monotonic_ns()
        if not taken or picture is None:
            raise CameraFault("CAMERA_STALLED", "the video device gave no frame")
        luma = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        return np.ascontiguousarray(luma, np.uint8), captured_ns

    def set_light(self, exposure_us: int, gain: float) -> None:
        """As far as the driver follows: its gain has a scale of its own, taken as 1 where it stood at the start."""
        self._capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, V4L2_EXPOSURE_MANUAL)
        self._capture.set(cv2.CAP_PROP_EXPOSURE, max(1, round(exposure_us / V4L2_EXPOSURE_STEP_US)))
        self._capture.set(cv2.CAP_PROP_GAIN, round(self._gain_of_none * gain))

    def close(self) -> None:
        self._capture.release()


# libcamera's control values, by number so that libcamera need not be imported
AF_MODE_CONTINUOUS, AF_RANGE_MACRO, AF_SPEED_FAST = 2, 1, 1


class Picamera2Source:
    """The Raspberry Pi's camera: luma of a YUV420 stream, always a frame captured after the call (queue=False)."""

    def __init__(
        self, number: int = 0, monotonic_ns: MonotonicNs = time.monotonic_ns, *, size: tuple[int, int] = FRAME_SIZE
    ) -> None:
        try:
            library = importlib.import_module("picamera2")
        except ImportError as error:
            raise CameraFault("CAMERA_LIBRARY", "python3-picamera2 is not installed (apt, Raspberry Pi OS)") from error
        self._monotonic_ns = monotonic_ns
        self._size = size
        try:
            self._camera: Any = library.Picamera2(number)
        except (RuntimeError, IndexError) as error:
            raise CameraFault("CAMERA_MISSING", f"camera {number} is not connected, or in use") from error
        try:
            self._configure()
        except RuntimeError as error:
            self._camera.close()
            raise CameraFault("CAMERA_BROKEN", "the camera refused its configuration") from error

    def _configure(self) -> None:
        wanted = {
            "ExposureTime": EXPOSURE_MICROSECONDS_MAX,  # fixed; the gain stays automatic
            "AfMode": AF_MODE_CONTINUOUS,
            "AfRange": AF_RANGE_MACRO,
            "AfSpeed": AF_SPEED_FAST,
        }
        known = self._camera.camera_controls  # a fixed-focus module has no Af controls
        configuration = self._camera.create_video_configuration(
            main={"format": "YUV420", "size": self._size},
            controls={name: value for name, value in wanted.items() if name in known},
            buffer_count=4,
            queue=False,
            display=None,
            encode=None,
        )
        self._camera.configure(configuration)
        self._camera.start()

    def grab(self, wait_seconds: float) -> tuple[Luma, int]:
        try:
            request = self._camera.capture_request(wait=wait_seconds)
        except TimeoutError as error:
            raise CameraFault("CAMERA_STALLED", f"no frame for {wait_seconds:g} s") from error
        try:
            planes = request.make_array("main")
            exposed_ns = int(request.get_metadata().get("SensorTimestamp", 0))
        finally:
            request.release()
        width, height = self._size
        if planes.ndim != 2 or planes.shape[0] < height or planes.shape[1] < width:
            raise CameraFault("CAMERA_FORMAT", f"a YUV420 frame of shape {planes.shape}")
        return np.ascontiguousarray(planes[:height, :width], np.uint8), self._on_our_clock(exposed_ns)

    def set_light(self, exposure_us: int, gain: float) -> None:
        """Both fixed: the library's own exposure follows the whole picture, of which a phone is the brightest part."""
        wanted = {"ExposureTime": exposure_us, "AnalogueGain": gain, "AeEnable": False}
        known = self._camera.camera_controls
        self._camera.set_controls({name: value for name, value in wanted.items() if name in known})

    def _on_our_clock(self, exposed_ns: int) -> int:
        """The sensor stamps CLOCK_BOOTTIME, which is ours as long as the computer never slept; else the time now."""
        now = self._monotonic_ns()
        return exposed_ns if 0 <= now - exposed_ns < 1_000_000_000 else now

    def close(self) -> None:
        """Stopping a stalled camera may hang: only ever called in the process of its own (edge/capture.py)."""
        try:
            self._camera.stop()
        finally:
            self._camera.close()
