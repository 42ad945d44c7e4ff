"""A live camera in a process of its own: a library that hangs cannot be stopped from inside, its process can.

Responsible for: the child (`main` below) that holds the library and keeps the newest frame in a shared
memory file; the parent's side, a `Camera` that notices a child which is silent or dead, ends it, and lets nothing of
it lie about. Not responsible for: the libraries (camera.py), opening a faulty camera again and counting that (loop.py).
Obeys: ARCHITECTURE, an arrival, hop 1; HOSTILE P39.

The file is /dev/shm/portillon-<gate>-<generation>, laid out and read as camera.FrameFileCamera says (size checked
against the header, sequence odd while it is written). It is written by system calls: no mapping that a shortened file
turns into a signal, and the kernel's lock on the file is the barrier between luma and sequence. Each child has a new
generation, so one that cannot even be killed writes where nobody looks. Lines to the child's input are light to set;
the end of that input is the end of the gate, and of the child. Its last line says why it went.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

from edge.camera import (
    CAPTURE_SECONDS_MAX,
    CLOSE_SECONDS_MAX,
    FRAME_FILE_HEADER,
    FRAME_FILE_MAGIC,
    START_SECONDS_MAX,
    Camera,
    CameraFault,
    Frame,
    FrameFileCamera,
    Luma,
    MonotonicNs,
    Source,
    open_camera,
    open_source,
)
from edge.versions import PLACE

SHARED_MEMORY = Path("/dev/shm")
OWN_PROCESS = ("v4l2", "picamera2")  # the sources with a library that can hang
CHILD_START_SECONDS_MAX = START_SECONDS_MAX + 4.0  # an interpreter and OpenCV come first
POLITE_SECONDS_MAX = 1.0  # for a child to close its camera and go
KILL_SECONDS_MAX = 0.5  # after each signal; a process in the kernel's hands may outlast both
LIGHT_LINE_BYTES_MAX = 64
LAST_WORDS_BYTES_MAX = 1_024
_LAST_WORDS = re.compile(r"(CAMERA_[A-Z]+) (.+)")
_GENERATIONS = count(1)
# The child runs the very version that started it, wherever that lies (versions.py).
_CHILD = "import sys; sys.path.insert(0, sys.argv.pop(1)); from edge.capture import main; sys.exit(main())"


def open_apart(source: str, path: str, gate: int) -> Camera:
    """Open the camera that gate.toml names, a live one in its own process. Raises CameraFault."""
    return CaptureProcess(source, path, gate) if source in OWN_PROCESS else open_camera(source, path)


# The gate's side ---------------------------------------------------------------------------------------------------


class CaptureProcess:
    """One child and its frames. The fault it raises is its last word: close it, and open another."""

    def __init__(
        self,
        source: str,
        path: str,
        gate: int,
        *,
        capture_seconds_max: float = CAPTURE_SECONDS_MAX,
        start_seconds_max: float = CHILD_START_SECONDS_MAX,
        monotonic_ns: MonotonicNs = time.monotonic_ns,
    ) -> None:
        self._seconds_max, self._monotonic_ns = capture_seconds_max, monotonic_ns
        _unlink_former_lives(gate)
        self.file = SHARED_MEMORY / f"portillon-{gate}-{next(_GENERATIONS)}"
        try:
            os.close(os.open(self.file, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self.process = subprocess.Popen(
                [sys.executable, "-c", _CHILD, str(PLACE), source, path, str(self.file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the gate, which then ends its child
            )
        except OSError as error:
            self.file.unlink(missing_ok=True)
            raise CameraFault("CAMERA_BROKEN", f"no process for the camera: {error.strerror}") from error
        assert self.process.stdin is not None and self.process.stdout is not None
        os.set_blocking(self.process.stdin.fileno(), False)
        os.set_blocking(self.process.stdout.fileno(), False)
        self._frames = FrameFileCamera(self.file, monotonic_ns=monotonic_ns)
        self._deadline_ns = monotonic_ns() + int(start_seconds_max * 1e9)
        self._closed = False

    def latest(self) -> Frame | None:
        if self._closed:
            return None
        if self.process.poll() is not None:
            raise self._last_words()
        frame = self._frames.latest()
        now = self._monotonic_ns()
        if frame is not None:
            self._deadline_ns = now + int(self._seconds_max * 1e9)
        elif now > self._deadline_ns:
            self._kill()
            raise CameraFault("CAMERA_STALLED", f"no frame for {self._seconds_max:g} s; its process was ended")
        return frame

    def set_light(self, exposure_us: int, gain: float) -> None:
        """Dropped where the child does not listen: what it then is, latest() will say."""
        assert self.process.stdin is not None
        if not self._closed:
            try:
                os.write(self.process.stdin.fileno(), f"{exposure_us} {gain:.2f}\n".encode())
            except OSError:
                return

    def close(self) -> None:
        """Ask the child to go, then make it; its memory is unlinked either way."""
        if self._closed:
            return
        self._closed = True
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        if not self._gone_within(POLITE_SECONDS_MAX):
            self._kill()
        self.process.stdout.close()
        self._frames.close()
        self.file.unlink(missing_ok=True)

    def _kill(self) -> None:
        self.process.terminate()
        if not self._gone_within(KILL_SECONDS_MAX):
            self.process.kill()
            self._gone_within(KILL_SECONDS_MAX)

    def _gone_within(self, seconds: float) -> bool:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _last_words(self) -> CameraFault:
        assert self.process.stdout is not None
        try:
            said = os.read(self.process.stdout.fileno(), LAST_WORDS_BYTES_MAX).decode("utf-8", "replace")
        except OSError:
            said = ""
        if found := _LAST_WORDS.match(said):
            return CameraFault(found[1], found[2])
        return CameraFault("CAMERA_BROKEN", f"the camera's process ended ({self.process.returncode})")


def _unlink_former_lives(gate: int) -> None:
    """What a killed gate left. One gate has one process (its journal is locked), so nobody alive loses anything."""
    for left in SHARED_MEMORY.glob(f"portillon-{gate}-*"):
        try:
            left.unlink()
        except OSError:
            continue  # another user's: the next generation has another name


# The child ---------------------------------------------------------------------------------------------------------


class FrameWriter:
    """Keeps one frame in the file that the parent made, under its sequence lock."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._shape: tuple[int, ...] = ()
        self._sequence = 0

    def write(self, luma: Luma, captured_ns: int) -> None:
        """luma: contiguous; all of one shape. Raises CameraFault CAMERA_FORMAT on another one."""
        if not self._shape:
            os.ftruncate(self._file, FRAME_FILE_HEADER.size + luma.nbytes)
            self._shape = luma.shape
        if luma.shape != self._shape:
            raise CameraFault("CAMERA_FORMAT", f"a frame of shape {luma.shape} after those of {self._shape}")
        self._put_header(captured_ns)
        if os.pwrite(self._file, luma.data, FRAME_FILE_HEADER.size) != luma.nbytes:
            raise CameraFault("CAMERA_BROKEN", f"no room for a frame in {SHARED_MEMORY}")
        self._put_header(captured_ns)

    def _put_header(self, captured_ns: int) -> None:
        self._sequence += 1
        height, width = self._shape
        head = FRAME_FILE_HEADER.pack(FRAME_FILE_MAGIC, width, height, width, 0, self._sequence, captured_ns)
        os.pwrite(self._file, head, 0)


class _Orders:
    """What the parent says: light, and (by closing the pipe, or by dying) that it is over."""

    def __init__(self) -> None:
        self.light: tuple[int, float] | None = None
        self.over = threading.Event()
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def _listen(self) -> None:
        with os.fdopen(os.dup(0), "rb") as lines:
            while line := lines.readline(LIGHT_LINE_BYTES_MAX):
                exposure_us, gain = line.split()
                self.light = int(exposure_us), float(gain)
        self.over.set()
        time.sleep(CLOSE_SECONDS_MAX)
        os._exit(1)  # the library hangs, and nobody is left to end this process


def capture(source: str, path: str, file: Path) -> None:
    """Keep the newest frame in the file until the parent has had enough. Raises CameraFault."""
    orders, writer = _Orders(), FrameWriter(file)
    camera = open_source(source, path)
    try:
        while not orders.over.is_set():
            _keep_newest(camera, writer, orders)
    finally:
        camera.close()


def _keep_newest(camera: Source, writer: FrameWriter, orders: _Orders) -> None:
    light, orders.light = orders.light, None
    try:
        if light is not None:
            camera.set_light(*light)
        luma, captured_ns = camera.grab(CAPTURE_SECONDS_MAX)
    except CameraFault:
        raise
    except Exception as error:  # whatever a camera's library throws, the gate must hear one thing
        raise CameraFault("CAMERA_BROKEN", f"{type(error).__name__} in the camera's library") from error
    writer.write(luma, captured_ns)


def main() -> int:
    """The child's entry: SOURCE PATH FILE. What libraries print goes to standard error; ours is the last word only."""
    last_words = os.dup(1)
    os.dup2(2, 1)
    source, path, file = sys.argv[1:]
    try:
        capture(source, path, Path(file))
    except CameraFault as fault:
        said = f"{fault.code} {fault}"
    except OSError as error:
        said = f"CAMERA_BROKEN its shared memory: {error.strerror}"
    else:
        return 0
    os.write(last_words, said.encode()[:LAST_WORDS_BYTES_MAX])
    return 1
