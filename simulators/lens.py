"""What a gate's camera sees: frames written into a mapped file that the gate reads as its camera.

Responsible for: the file's format and its seqlock, a projector that repeats the current picture some
15 times a second, and the idle view for gates at which nobody stands.
Not for: what is in the picture (optics.py) and reading it (the gate).

Format (the gate's `camera.source = "frames"`): 64 bytes of header, little-endian `<8s I I I I Q Q` and
zeros: magic PTLFRAM1, width, height, stride, reserved, sequence, captured_ns (CLOCK_MONOTONIC); then
height * stride bytes of luma. The sequence is odd while a frame is being written, even when it is whole.
"""

from __future__ import annotations

import argparse
import fcntl
import mmap
import os
import signal
import struct
import threading
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from simulators.clock import monotonic_ns
from simulators.optics import FRAME_HEIGHT_PX, FRAME_WIDTH_PX, View, made_up_text, view_of

Luma = NDArray[np.uint8]

MAGIC = b"PTLFRAM1"
HEADER_BYTES = 64
SEQUENCE_AT = 24
FRAMES_PER_SECOND = 15.0
IDLE_FRAMES_PER_SECOND = 5.0  # a gate at which nobody stands need not cost a core
OUT_OF_SIGHT_PX = 5000.0
GRAINS = 5  # a sensor never gives the same frame twice; a gate takes one that does for broken
_HEADER = struct.Struct("<8sIIIIQQ")


class LensTaken(Exception):
    """Another process shows pictures to this gate."""


class Lens:
    """The writing end of one gate's camera. One writer at a time: it holds a lock on the file."""

    def __init__(self, path: Path, width: int = FRAME_WIDTH_PX, height: int = FRAME_HEIGHT_PX) -> None:
        self.path = path
        self.width, self.height = width, height
        size = HEADER_BYTES + width * height
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(self._file).st_size != size:
            os.ftruncate(self._file, size)
        self._map = mmap.mmap(self._file, size)
        self._sequence = self._read_sequence() & ~1

    def lock(self, *, wait: bool) -> None:
        """Become the only writer. Raises LensTaken when wait is False and another one writes."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise LensTaken(str(self.path)) from error
        self._sequence = self._read_sequence() & ~1

    def unlock(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def show(self, frame: Luma) -> int:
        """Write one frame and return when it was captured, in CLOCK_MONOTONIC nanoseconds."""
        assert frame.shape == (self.height, self.width), "a frame of another size than the lens"
        self._write_sequence(self._sequence + 1)
        self._map[HEADER_BYTES:] = frame.tobytes()
        captured_ns = monotonic_ns()
        _HEADER.pack_into(self._map, 0, MAGIC, self.width, self.height, self.width, 0, self._sequence + 1, captured_ns)
        self._write_sequence(self._sequence + 2)
        self._sequence += 2
        return captured_ns

    def close(self) -> None:
        self._map.close()
        os.close(self._file)

    def _read_sequence(self) -> int:
        return int.from_bytes(self._map[SEQUENCE_AT : SEQUENCE_AT + 8], "little")

    def _write_sequence(self, sequence: int) -> None:
        self._map[SEQUENCE_AT : SEQUENCE_AT + 8] = sequence.to_bytes(8, "little")


class Grain:
    """The sensor's noise over a picture that stands still: another one each time."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        chance = np.random.default_rng(0)
        self._layers = [chance.integers(0, 4, shape, np.uint8) for _ in range(GRAINS)]
        self._turn = 0

    def on(self, frame: Luma) -> Luma:
        self._turn = (self._turn + 1) % GRAINS
        return np.asarray(cv2.add(frame, self._layers[self._turn]), np.uint8)


class Projector:
    """Repeats the current picture into a lens, as a camera that looks at something goes on looking."""

    def __init__(self, lens: Lens, idle: Luma) -> None:
        self._lens = lens
        self._idle = idle
        self._film: list[Luma] = [idle]
        self._changed = threading.Event()
        self._shown = threading.Event()
        self._stop = threading.Event()
        self._first_ns = 0
        self._turn = threading.Lock()
        self._grain = Grain(idle.shape)
        self._thread = threading.Thread(target=self._run, name=f"lens-{lens.path.stem}", daemon=True)

    def start(self) -> None:
        self._lens.lock(wait=True)
        self._thread.start()

    def show(self, frames: Iterable[Luma]) -> int:
        """Show frames one after the other and stay on the last; return when its first frame was captured."""
        film = list(frames)
        with self._turn:
            self._film = film
            self._shown.clear()
        self._changed.set()
        self._shown.wait(timeout=5)
        return self._first_ns

    def clear(self) -> int:
        """Show what the camera sees when nobody stands there."""
        return self.show([self._idle])

    @property
    def current(self) -> Luma:
        return self._film[0]

    def stop(self) -> None:
        self._stop.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)
        self._lens.unlock()

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._turn:
                self._changed.clear()
                frame = self._film[0]
                if len(self._film) > 1:
                    self._film = self._film[1:]
                captured_ns = self._lens.show(frame if not self._shown.is_set() else self._grain.on(frame))
                if not self._shown.is_set():
                    self._first_ns = captured_ns
                    self._shown.set()
            self._changed.wait(1 / FRAMES_PER_SECOND)


def idle_view(seed: int) -> Luma:
    """Return the entrance with nobody in it."""
    return view_of(made_up_text(seed), View(offset_x_px=OUT_OF_SIGHT_PX), seed)


def keep_idle(paths: Iterable[Path], stop: threading.Event) -> None:
    """Show the idle view at every gate at which no other process shows something, until stopped."""
    lenses = [Lens(path) for path in paths]
    idle = idle_view(0)
    grain = Grain(idle.shape)
    while not stop.wait(1 / IDLE_FRAMES_PER_SECOND):
        for lens in lenses:
            try:
                lens.lock(wait=False)
            except LensTaken:
                continue  # a morning or a tour is playing there
            lens.show(grain.on(idle))
            lens.unlock()


def main() -> None:
    """Run as a part of a stack: `python -m simulators.lens FILE...`."""
    parser = argparse.ArgumentParser(description="Show an empty entrance to the cameras of a stack.")
    parser.add_argument("files", nargs="+", type=Path)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    keep_idle(parser.parse_args().files, stop)


if __name__ == "__main__":
    main()
