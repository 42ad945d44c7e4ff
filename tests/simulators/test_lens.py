"""The mapped file that a gate takes for its camera: whole frames only, one writer at a time."""

from __future__ import annotations

import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from simulators.lens import HEADER_BYTES, Lens, LensTaken, Projector
from simulators.processes import wait_until


def header(path: Path) -> tuple[bytes, int, int, int, int, int, int]:
    return struct.unpack("<8sIIIIQQ", path.read_bytes()[:40])


def grey(level: int) -> np.ndarray:
    return np.full((6, 8), level, np.uint8)


def test_the_file_is_as_the_gate_expects_it(tmp_path: Path) -> None:
    lens = Lens(tmp_path / "camera", 8, 6)
    captured_ns = lens.show(grey(7))
    assert header(tmp_path / "camera") == (b"PTLFRAM1", 8, 6, 8, 0, 2, captured_ns)
    assert (tmp_path / "camera").read_bytes()[HEADER_BYTES:] == bytes([7]) * 48
    lens.close()


def test_the_sequence_goes_on_when_another_writer_takes_over(tmp_path: Path) -> None:
    first, second = Lens(tmp_path / "camera", 8, 6), Lens(tmp_path / "camera", 8, 6)
    first.lock(wait=True)
    first.show(grey(1))
    with pytest.raises(LensTaken):
        second.lock(wait=False)
    first.show(grey(2))
    first.unlock()
    second.lock(wait=False)
    second.show(grey(3))
    assert header(tmp_path / "camera")[5] == 6


def test_a_reader_never_sees_half_a_frame(tmp_path: Path) -> None:
    lens = Lens(tmp_path / "camera", 640, 480)
    frames = [np.full((480, 640), level, np.uint8) for level in (10, 200)]
    lens.show(frames[0])
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for frame in frames:
                lens.show(frame)

    writer = threading.Thread(target=write)
    writer.start()
    accepted = torn = 0
    reader = np.memmap(tmp_path / "camera", np.uint8, "r")
    deadline = time.monotonic() + 20
    while accepted < 20 and time.monotonic() < deadline:
        before = int.from_bytes(reader[24:32].tobytes(), "little")
        copy = reader[HEADER_BYTES:].copy()
        after = int.from_bytes(reader[24:32].tobytes(), "little")
        if before == after and before % 2 == 0:
            accepted += 1
            torn += copy.min() != copy.max()
    stop.set()
    writer.join()
    assert (accepted, torn) == (20, 0)


def test_a_projector_tells_when_its_picture_was_first_seen_and_goes_on_showing_it(tmp_path: Path) -> None:
    projector = Projector(Lens(tmp_path / "camera", 8, 6), grey(0))
    projector.start()
    try:
        before = time.monotonic_ns()
        first_ns = projector.show([grey(5), grey(6)])
        assert before <= first_ns <= time.monotonic_ns()
        sequence = header(tmp_path / "camera")[5]
        wait_until(lambda: header(tmp_path / "camera")[5] > sequence + 4, 5, "the picture is not repeated")
        seen = set((tmp_path / "camera").read_bytes()[HEADER_BYTES:])
        assert seen <= {6, 7, 8, 9} and len(seen) > 1  # the second picture, with a sensor's grain
    finally:
        projector.stop()
