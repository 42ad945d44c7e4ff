"""Cameras: the newest frame only, a limit on every wait, one fault for every trouble."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera import (
    FRAME_FILE_HEADER,
    FRAME_FILE_MAGIC,
    CameraFault,
    FolderCamera,
    FrameFileCamera,
    open_camera,
    open_source,
)

Luma = NDArray[np.uint8]
PATIENCE_SECONDS = 5.0


class Clock:
    """Nanoseconds that move when told to."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000

    def __call__(self) -> int:
        return self.ns

    def pass_seconds(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)


def a_frame(shade: int, width: int = 64, height: int = 48) -> Luma:
    return np.full((height, width), shade, np.uint8)


def frame_file(luma: Luma, sequence: int, *, stride: int | None = None, captured_ns: int = 7) -> bytes:
    height, width = luma.shape
    row_bytes = stride or width
    rows = np.zeros((height, row_bytes), np.uint8)
    rows[:, :width] = luma
    head = FRAME_FILE_HEADER.pack(FRAME_FILE_MAGIC, width, height, row_bytes, 0, sequence, captured_ns)
    return head + rows.tobytes()


# A folder ----------------------------------------------------------------------------------------------------------


def test_a_folder_is_shown_picture_by_picture_at_its_pace(tmp_path: Path) -> None:
    for shade in (10, 20):
        cv2.imwrite(str(tmp_path / f"{shade}.png"), a_frame(shade))
    clock = Clock()
    camera = FolderCamera(tmp_path, monotonic_ns=clock)
    first = camera.latest()
    assert first is not None
    assert (int(first.luma[0, 0]), first.sequence, first.captured_ns) == (10, 1, clock.ns)
    assert camera.latest() is None
    clock.pass_seconds(0.2)
    second = camera.latest()
    assert second is not None
    assert int(second.luma[0, 0]) == 20
    clock.pass_seconds(60)
    assert camera.latest() is None


def test_a_picture_added_later_is_shown_and_a_broken_one_passed_over(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (tmp_path / "labels.jsonl").write_text("{}")
    clock = Clock()
    camera = FolderCamera(tmp_path, monotonic_ns=clock)
    assert camera.latest() is None
    cv2.imwrite(str(tmp_path / "m.png"), a_frame(30))
    frame = camera.latest()
    assert frame is not None
    assert int(frame.luma[0, 0]) == 30


def test_a_folder_that_is_not_there_or_goes_away_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(CameraFault) as missing:
        open_camera("folder", str(tmp_path / "nowhere"))
    assert missing.value.code == "CAMERA_MISSING"
    gone = tmp_path / "gone"
    gone.mkdir()
    camera = FolderCamera(gone)
    gone.rmdir()
    with pytest.raises(CameraFault) as fault:
        camera.latest()
    assert fault.value.code == "CAMERA_MISSING"


# The frame file ----------------------------------------------------------------------------------------------------


def test_a_frame_file_gives_each_frame_once_without_its_padding(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    path.write_bytes(frame_file(a_frame(9), 2, stride=80, captured_ns=123))
    camera = FrameFileCamera(path)
    frame = camera.latest()
    assert frame is not None
    assert frame.luma.shape == (48, 64)
    assert (int(frame.luma.max()), frame.sequence, frame.captured_ns) == (9, 1, 123)
    assert camera.latest() is None
    camera.close()
    camera.close()


def test_a_frame_that_is_being_written_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    path.write_bytes(frame_file(a_frame(9), 3))
    camera = FrameFileCamera(path)
    assert camera.latest() is None
    with path.open("r+b") as file:
        file.write(frame_file(a_frame(10), 4))
    assert camera.latest() is not None


def test_no_frame_is_ever_torn_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    path.write_bytes(frame_file(a_frame(0, 640, 480), 2))
    stop = threading.Event()

    def keep_writing() -> None:
        header, sequence = FRAME_FILE_HEADER.size, 2
        with path.open("r+b", buffering=0) as file:
            while not stop.is_set():
                whole = frame_file(a_frame(sequence // 2 % 256, 640, 480), sequence + 1)
                os.pwrite(file.fileno(), whole[:header], 0)
                os.pwrite(file.fileno(), whole[header : header + 150_000], header)
                os.pwrite(file.fileno(), whole[header + 150_000 :], header + 150_000)
                sequence += 2
                os.pwrite(file.fileno(), frame_file(a_frame(0, 640, 480), sequence)[:header], 0)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        camera, taken = FrameFileCamera(path), 0
        deadline = time.monotonic() + PATIENCE_SECONDS
        while taken < 20 and time.monotonic() < deadline:
            frame = camera.latest()
            if frame is not None:
                taken += 1
                assert frame.luma.min() == frame.luma.max()
    finally:
        stop.set()
        writer.join()
    assert taken == 20


def test_a_replaced_frame_file_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    path.write_bytes(frame_file(a_frame(1), 8))
    camera = FrameFileCamera(path)
    assert camera.latest() is not None
    other = tmp_path / "other"
    other.write_bytes(frame_file(a_frame(2, 32, 32), 2))
    other.rename(path)
    frame = camera.latest()
    assert frame is not None
    assert frame.luma.shape == (32, 32)


def test_a_frame_file_that_is_missing_or_still_empty_shows_nothing(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "frames"
    camera = FrameFileCamera(path, monotonic_ns=clock)
    assert camera.latest() is None
    path.write_bytes(bytes(4_096))
    for _ in range(3):
        assert camera.latest() is None
        clock.pass_seconds(60)


@pytest.mark.parametrize("spoiled", ["cut", "grown", "magic", "huge", "narrow"])
def test_a_frame_file_of_another_size_than_it_claims_is_first_waited_for_then_a_fault(
    tmp_path: Path, spoiled: str
) -> None:
    clock = Clock()
    path = tmp_path / "frames"
    good = frame_file(a_frame(1), 2)
    head = list(FRAME_FILE_HEADER.unpack(good[:64]))
    if spoiled == "huge":
        head[1:4] = (1 << 31, 1 << 31, 1 << 31)
    if spoiled == "narrow":
        head[3] = 8
    repacked = FRAME_FILE_HEADER.pack(*head) + good[64:]
    path.write_bytes({"cut": good[:-1], "grown": good + b"\0", "magic": b"X" + good[1:]}.get(spoiled, repacked))
    camera = FrameFileCamera(path, monotonic_ns=clock)
    assert camera.latest() is None
    clock.pass_seconds(3)
    with pytest.raises(CameraFault) as fault:
        camera.latest()
    assert fault.value.code == "CAMERA_FORMAT"


def test_a_frame_file_shortened_under_the_reader_does_not_kill_it(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    path.write_bytes(frame_file(a_frame(1, 640, 480), 2))
    camera = FrameFileCamera(path)
    assert camera.latest() is not None
    os.truncate(path, 100)
    assert camera.latest() is None
    path.write_bytes(frame_file(a_frame(2, 640, 480), 4))
    assert camera.latest() is not None


# Live sources, by whoever opens them in a process of their own (test_capture.py) ------------------------------------


def test_a_video_device_that_is_not_there_is_missing() -> None:
    with pytest.raises(CameraFault) as fault:
        open_source("v4l2", "/dev/video-of-no-one")
    assert fault.value.code == "CAMERA_MISSING"


@pytest.mark.parametrize("opened", [open_camera, open_source])
def test_a_source_nobody_knows_is_a_programmer_s_mistake(opened: Callable[[str, str], object]) -> None:
    with pytest.raises(ValueError, match="periscope"):
        opened("periscope", "")
