"""A week of frames in one process: does anything grow, is a frozen camera noticed and opened again, is that counted.

Responsible for: frames of which no two are alike, made cheaply (one of some scenes, shifted by a hand's shake, under
another part of the sensor's noise, numbered in a corner; the digest of each is kept and all are compared at the end); a
camera that freezes, stalls and breaks in turn; the gate's own watch, reader, health and journal over it; figures. Time
is counted, not waited for: ten frames a second. Not here: a camera's own process (tests/edge/test_capture.py).

    python -m bench.soak --frames 100000
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.camera import CameraFault, Frame
from edge.health import Health
from edge.journal import open_journal
from edge.reader import Reader
from edge.watch import Watch
from simulators import optics

Luma = NDArray[np.uint8]

FRAME_SECONDS = 0.1
SCENE_FRAMES = 16  # so long one phone stands there, or nobody
SHAKE_PX = 6
TROUBLES = ("frozen", "stalled", "broken")
FROZEN_FRAMES_MAX = 400  # past it a frozen camera was not noticed
PROGRESS_FRAMES = 5_000  # a line on standard error so often
SAMPLES = 200  # looks at the memory
WARM_UP_SHARE = 0.1  # of the frames; caches fill, the allocator settles
START = 1_800_000_000  # of the journal, UTC seconds


class Scenes:
    """Frame after frame, none like another. Holds some scenes and one noise, nothing that grows."""

    def __init__(self, seed: int) -> None:
        nobody = optics.View(offset_x_px=5_000.0)
        self._scenes = [frame for _, _, _, frame in optics.frames(2 * len(optics.DISTORTIONS), seed)]
        self._scenes += [optics.view_of("", nobody, seed + one) for one in range(4)]
        height, width = self._scenes[0].shape
        self._noise = np.random.default_rng(seed).integers(0, 5, (height + 256, width + 256), np.uint8)

    def frame(self, number: int) -> Luma:
        chance = np.random.default_rng(number)
        scene = self._scenes[number // SCENE_FRAMES % len(self._scenes)]
        x, y = (int(shift) for shift in chance.integers(-SHAKE_PX, SHAKE_PX + 1, 2))
        left, top = (int(start) for start in chance.integers(0, 256, 2))
        height, width = scene.shape
        seen = cv2.add(np.roll(scene, (y, x), (0, 1)), self._noise[top : top + height, left : left + width])
        seen[0, :8] = np.frombuffer(number.to_bytes(8, "little"), np.uint8)
        return np.asarray(seen, np.uint8)


class SoakCamera:
    """One life of a camera, from its opening to its trouble."""

    def __init__(self, scenes: Scenes, first: int, frames: int, trouble: str) -> None:
        self._scenes, self._next, self._end, self._trouble = scenes, first, first + frames, trouble
        self._last = Frame(scenes.frame(first), first, 0)

    def latest(self) -> Frame:
        if self._next < self._end:
            self._last = Frame(self._scenes.frame(self._next), self._next, 0)
            self._next += 1
        elif self._trouble == "stalled":
            raise CameraFault("CAMERA_STALLED", "no frame for 2 s")
        elif self._trouble == "broken":
            raise OSError("the cable was pulled")
        return self._last

    def set_light(self, exposure_us: int, gain: float) -> None:
        """These frames are as they are."""

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class Figures:
    """slope: of the process's memory after warming up, by least squares. ms: of this process, frames made and all."""

    frames: int
    distinct: int
    with_a_code: int
    troubles: int
    restarts_told: int
    memory_mb_warm: float
    memory_mb_end: float
    slope_mb_per_100_000: float
    cpu_ms_a_frame: float


class Soak:
    """The gate's own parts over such a camera. life: frames between two troubles."""

    def __init__(self, data: Path, seed: int, life: int) -> None:
        self._scenes, self._life = Scenes(seed), life
        self._data, self._health, self._reader = data, Health(data), Reader()
        self._watch = Watch(self._open, self._health, lambda: True, lambda: None)
        self._opened = self._number = self._with_a_code = 0

    def run(self, frames: int) -> Figures:
        """Raises RuntimeError where a frozen camera goes unnoticed."""
        digests, memory = np.zeros(frames, np.uint64), np.zeros((SAMPLES, 2))
        moment, frozen_frames, began = 0.0, 0, time.process_time()
        while self._number < frames:
            moment += FRAME_SECONDS
            frame = self._watch.look(moment)
            if frame is None:
                continue
            codes = self._reader.watch(frame.luma)
            self._watch.set_light(frame, codes[0].corners if codes else (), moment)
            if frame.sequence < self._number:
                frozen_frames += 1
                if frozen_frames > FROZEN_FRAMES_MAX:
                    raise RuntimeError(f"frozen since frame {frame.sequence}, and nobody noticed")
                continue
            frozen_frames = 0
            self._with_a_code += bool(codes)
            digests[self._number] = zlib.crc32(frame.luma.data) << 32 | zlib.adler32(frame.luma.data)
            self._number += 1
            memory[self._number * SAMPLES // (frames + 1)] = self._number, _memory_mb()
            if self._number % PROGRESS_FRAMES == 0:
                print(f"soak: {self._number} frames, {_memory_mb():.1f} MB, {self._opened} lives", file=sys.stderr)
        return self._figures(digests, memory, time.process_time() - began)

    def _open(self) -> SoakCamera:
        trouble = TROUBLES[self._opened % len(TROUBLES)]
        self._opened += 1
        return SoakCamera(self._scenes, self._number, self._life, trouble)

    def _figures(self, digests: NDArray[np.uint64], memory: NDArray[np.float64], spent: float) -> Figures:
        journal = open_journal(self._data / "journal.sqlite")
        told = self._health.telemetry(journal, START)["restarts"].get("camera_restarts", 0)
        journal.close()
        warm = memory[int(SAMPLES * WARM_UP_SHARE) :]
        slope = float(np.polyfit(warm[:, 0], warm[:, 1], 1)[0])
        return Figures(
            frames=len(digests),
            distinct=len(np.unique(digests)),
            with_a_code=self._with_a_code,
            troubles=self._opened - 1,
            restarts_told=told,
            memory_mb_warm=round(float(warm[0, 1]), 1),
            memory_mb_end=round(float(warm[-1, 1]), 1),
            slope_mb_per_100_000=round(slope * 100_000, 2),
            cpu_ms_a_frame=round(1000.0 * spent / len(digests), 2),
        )


def soak(frames: int, *, seed: int = 4, life: int = 5_000) -> Figures:
    """Run that many distinct frames through the gate's eye, with a camera that fails every `life` frames."""
    with tempfile.TemporaryDirectory() as data:
        return Soak(Path(data), seed, life).run(frames)


def _memory_mb() -> float:
    """What of this process is in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    options = argparse.ArgumentParser(description="A week of frames in one process.")
    options.add_argument("--frames", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=4)
    chosen = options.parse_args()
    print(json.dumps(asdict(soak(chosen.frames, seed=chosen.seed))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
