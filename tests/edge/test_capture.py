"""A camera in its own process: real children that load a small working program named picamera2, and real shared memory.

The program hangs, or grows deaf to SIGTERM, when a file in its folder says so.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.appliance import Appliance
from edge.camera import CAPTURE_SECONDS_MAX, FRAME_FILE_HEADER, FRAME_FILE_MAGIC, CameraFault, Frame, FrameFileCamera
from edge.capture import SHARED_MEMORY, CaptureProcess, FrameWriter, open_apart
from edge.config import load_config
from tests.edge.household import Site, write_gate
from tests.edge.line import GATE, until

GATE_OF_TESTS = 3_000_000_000 + os.getpid()  # shared memory is the whole machine's
PATIENCE_SECONDS = 30.0

LIBRARY = """
import os, pathlib, signal, time
import numpy as np

HERE = pathlib.Path(__file__).parent


class Request:
    def __init__(self, shade): self.shade = shade
    def make_array(self, name): return np.full((1080, 1280), self.shade, np.uint8)
    def get_metadata(self): return {"SensorTimestamp": time.monotonic_ns()}
    def release(self): pass


class Picamera2:
    def __init__(self, camera_num=0):
        if (HERE / "missing").exists():
            raise RuntimeError("no camera")
        if (HERE / "deaf").exists():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.camera_controls = {"ExposureTime": 0, "AnalogueGain": 0, "AeEnable": 0}
        self.shade = 0
        print("a library that talks to standard output")

    def create_video_configuration(self, **options): return options
    def configure(self, configuration): pass
    def start(self): pass
    def close(self): pass
    def stop(self): (HERE / "stopped").touch()
    def set_controls(self, controls): (HERE / "controls").write_text(repr(controls))

    def capture_request(self, wait=None):
        while (HERE / "hang").exists():
            time.sleep(0.05)
        time.sleep(0.02)
        self.shade = self.shade % 250 + 1
        return Request(self.shade)
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the camera library that children will import."""
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "picamera2.py").write_text(LIBRARY)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.fixture
def cameras(library: Path) -> Iterator[Callable[..., CaptureProcess]]:
    """Opens cameras, and closes them after the test; nothing of them may then be left."""
    opened: list[CaptureProcess] = []

    def open_one(capture_seconds_max: float = CAPTURE_SECONDS_MAX) -> CaptureProcess:
        camera = CaptureProcess(
            "picamera2",
            "",
            GATE_OF_TESTS,
            capture_seconds_max=capture_seconds_max,
            start_seconds_max=PATIENCE_SECONDS,
        )
        opened.append(camera)
        return camera

    yield open_one
    for camera in opened:
        camera.close()
    assert not memory_of(GATE_OF_TESTS)
    assert all(camera.process.returncode is not None for camera in opened)


def memory_of(gate: int) -> list[str]:
    return sorted(file.name for file in SHARED_MEMORY.glob(f"portillon-{gate}-*"))


def next_frame(camera: CaptureProcess) -> Frame:
    ends = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends:
        if (frame := camera.latest()) is not None:
            return frame
        time.sleep(0.002)
    raise AssertionError("no frame")


def fault_of(camera: CaptureProcess) -> CameraFault:
    with pytest.raises(CameraFault) as fault:
        while True:
            next_frame(camera)
    return fault.value


@pytest.mark.serial
def test_frames_of_the_child_arrive_new_and_whole_and_it_closes_its_camera(
    cameras: Callable[..., CaptureProcess], library: Path
) -> None:
    camera = cameras()
    first, second = next_frame(camera), next_frame(camera)
    assert first.luma.shape == (720, 1280)
    assert first.luma.min() == first.luma.max() < second.luma.min() == second.luma.max()
    assert second.sequence > first.sequence
    assert 0 < second.captured_ns - first.captured_ns < 10e9
    assert (camera.file.stat().st_mode & 0o777) == 0o600
    camera.close()
    camera.close()
    assert camera.latest() is None
    assert camera.process.returncode == 0
    assert (library / "stopped").exists()
    assert not camera.file.exists()


@pytest.mark.serial
def test_light_goes_through_to_the_library(cameras: Callable[..., CaptureProcess], library: Path) -> None:
    camera = cameras()
    next_frame(camera)
    camera.set_light(1_500, 2.5)
    until(lambda: next_frame(camera) and (library / "controls").exists(), PATIENCE_SECONDS)
    assert (library / "controls").read_text() == "{'ExposureTime': 1500, 'AnalogueGain': 2.5, 'AeEnable': False}"


@pytest.mark.serial
@pytest.mark.parametrize(("deaf", "ended_by"), [(False, signal.SIGTERM), (True, signal.SIGKILL)])
def test_a_child_that_gives_no_frame_is_noticed_and_ended_and_the_next_one_sees(
    cameras: Callable[..., CaptureProcess], library: Path, deaf: bool, ended_by: signal.Signals
) -> None:
    if deaf:
        (library / "deaf").touch()
    camera = cameras(capture_seconds_max=1.0)
    next_frame(camera)
    (library / "hang").touch()
    assert fault_of(camera).code == "CAMERA_STALLED"
    assert camera.process.returncode == -ended_by
    camera.set_light(1_000, 1.0)  # says nothing to nobody
    camera.close()
    (library / "hang").unlink()
    another = cameras()
    assert another.file != camera.file
    assert next_frame(another).luma.any()


@pytest.mark.serial
def test_a_child_that_is_killed_is_a_fault_at_once(cameras: Callable[..., CaptureProcess]) -> None:
    camera = cameras()
    next_frame(camera)
    os.kill(camera.process.pid, signal.SIGKILL)
    fault = fault_of(camera)
    assert (fault.code, str(fault)) == ("CAMERA_BROKEN", "the camera's process ended (-9)")


@pytest.mark.serial
@pytest.mark.parametrize("hangs", [False, True])
def test_a_child_does_not_outlive_its_gate_whatever_its_library_does(
    cameras: Callable[..., CaptureProcess], library: Path, hangs: bool
) -> None:
    camera = cameras()
    next_frame(camera)
    if hangs:
        (library / "hang").touch()
        time.sleep(0.5)  # the call that was under way comes back, the next one does not
    assert camera.process.stdin is not None
    camera.process.stdin.close()  # as the kernel does for a gate that was killed
    assert camera.process.wait(PATIENCE_SECONDS) == int(hangs)


@pytest.mark.serial
def test_what_the_library_said_in_the_child_is_heard_by_the_gate(
    cameras: Callable[..., CaptureProcess], library: Path
) -> None:
    (library / "missing").touch()
    fault = fault_of(cameras())
    assert fault.code == "CAMERA_MISSING"
    assert "not connected" in str(fault)


@pytest.mark.serial
def test_a_gate_replaces_a_stalled_camera_and_counts_it_in_its_telemetry(tmp_path: Path, library: Path) -> None:
    config = write_gate(tmp_path, Site())
    config.write_text(re.sub(r'source = "frames"\npath = ".*"', 'source = "picamera2"', config.read_text()))
    gate = Appliance(load_config(config), time.time)
    try:
        until(lambda: gate.loop.step() or (library / "controls").exists(), PATIENCE_SECONDS)  # light goes all the way
        (library / "hang").touch()
        until(lambda: gate.loop.step() or gate.health.fault_of("camera"), PATIENCE_SECONDS)
        (library / "hang").unlink()
        until(lambda: gate.loop.step() or not gate.health.fault_of("camera"), PATIENCE_SECONDS)
        assert gate.health.telemetry(gate.journal, time.time())["restarts"]["camera_restarts"] >= 1
        assert len(memory_of(GATE)) == 1
    finally:
        gate.close()
    assert not memory_of(GATE)


@pytest.mark.serial
def test_memory_of_a_former_life_is_unlinked_and_that_of_other_gates_is_not(
    cameras: Callable[..., CaptureProcess],
) -> None:
    former = SHARED_MEMORY / f"portillon-{GATE_OF_TESTS}-former"
    neighbour = SHARED_MEMORY / f"portillon-{GATE_OF_TESTS}0-1"
    former.write_bytes(b"a life ago")
    neighbour.write_bytes(b"mine")
    try:
        camera = cameras()
        assert memory_of(GATE_OF_TESTS) == [camera.file.name]
        assert neighbour.exists()
    finally:
        neighbour.unlink()


def test_sources_without_a_library_need_no_process(tmp_path: Path) -> None:
    camera = open_apart("frames", str(tmp_path / "frame"), GATE_OF_TESTS)
    assert isinstance(camera, FrameFileCamera)
    assert not memory_of(GATE_OF_TESTS)


def a_memory(tmp_path: Path) -> tuple[Path, FrameWriter]:
    file = tmp_path / "memory"
    file.touch()
    return file, FrameWriter(file)


def test_memory_that_is_new_shows_nothing_yet_and_then_its_frame(tmp_path: Path) -> None:
    file, writer = a_memory(tmp_path)
    camera = FrameFileCamera(file)
    assert camera.latest() is None
    writer.write(np.full((48, 64), 9, np.uint8), 7)
    frame = camera.latest()
    assert frame is not None and (frame.sequence, frame.captured_ns) == (1, 7)
    assert camera.latest() is None


def test_memory_left_torn_by_a_writer_that_died_is_not_taken(tmp_path: Path) -> None:
    file, writer = a_memory(tmp_path)
    writer.write(np.full((48, 64), 9, np.uint8), 7)
    data = bytearray(file.read_bytes())
    data[: FRAME_FILE_HEADER.size] = FRAME_FILE_HEADER.pack(FRAME_FILE_MAGIC, 64, 48, 64, 0, 3, 8)
    file.write_bytes(data)
    assert FrameFileCamera(file).latest() is None


@pytest.mark.parametrize("bytes_more", [-1, 1])
def test_memory_of_another_size_than_its_header_says_is_not_taken_and_then_a_fault(
    tmp_path: Path, bytes_more: int
) -> None:
    file, writer = a_memory(tmp_path)
    writer.write(np.full((48, 64), 9, np.uint8), 7)
    os.truncate(file, file.stat().st_size + bytes_more)
    seconds = iter([0, 1, 3])
    camera = FrameFileCamera(file, monotonic_ns=lambda: int(next(seconds) * 1e9))
    assert camera.latest() is None
    assert camera.latest() is None
    with pytest.raises(CameraFault) as fault:
        camera.latest()
    assert fault.value.code == "CAMERA_FORMAT"


def test_a_camera_that_changes_its_picture_s_size_is_a_fault_not_a_torn_frame(tmp_path: Path) -> None:
    _, writer = a_memory(tmp_path)
    writer.write(np.full((48, 64), 9, np.uint8), 7)
    with pytest.raises(CameraFault) as fault:
        writer.write(np.full((64, 48), 9, np.uint8), 8)
    assert fault.value.code == "CAMERA_FORMAT"


def test_memory_behind_a_link_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        FrameWriter(tmp_path / "link")
