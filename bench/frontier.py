"""Where reading ends: the share of frames read as one thing gets worse, for whoever chooses a camera and a lens.

Responsible for: the table of docs/camera.md. Frames are hand-held views of simulators/optics.py with one field changed,
each read once, as a still, within the budget of one frame (40 ms of this thread). Not here: peers (bench/read.py).

    python -m bench.frontier --frames 20
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace

from edge.reader import Reader
from simulators.optics import View, made_up_text, preset, view_of

AXES: dict[str, tuple[float, ...]] = {
    "module, pixels": (4.0, 3.2, 2.8, 2.4, 2.1, 1.8, 1.5),
    "defocus, pixels": (2.0, 3.0, 4.0, 5.0, 6.0, 8.0),
    "motion, modules": (0.5, 1.0, 1.5, 2.0, 2.5, 3.0),
    "light, 1 is well exposed": (0.35, 0.2, 0.1, 0.08, 0.06, 0.04),
}


def seen(axis: str, value: float, seed: int) -> View:
    """A hand-held look with this one thing so bad, and nothing else spoiled."""
    held = preset("clean", seed)
    match axis.split(",")[0]:
        case "module":
            return replace(held, module_px=value, defocus_px=0.3, motion_px=0.0)
        case "defocus":
            return replace(held, defocus_px=value, motion_px=0.0)
        case "motion":
            return replace(held, motion_px=value * held.module_px, defocus_px=0.3)
    return replace(held, light=value, noise=4.0)


def share_read(axis: str, value: float, count: int, seed: int) -> float:
    read = 0
    for one in range(seed, seed + count):
        text = made_up_text(one)
        frame = view_of(text, seen(axis, value, one), one)
        read += any(code.text == text for code in Reader(monotonic=time.thread_time).read(frame))
    return read / count


def main() -> int:
    options = argparse.ArgumentParser(description="Where reading ends.")
    options.add_argument("--frames", type=int, default=20, help="frames a point")
    options.add_argument("--seed", type=int, default=7_000)
    chosen = options.parse_args()
    for axis, values in AXES.items():
        shares = [share_read(axis, value, chosen.frames, chosen.seed) for value in values]
        print(f"| {axis} | " + " | ".join(f"{value:g}" for value in values) + " |")
        print("| read | " + " | ".join(f"{share:.0%}" for share in shares) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
