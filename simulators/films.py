"""A phone that arrives at the gate, frame by frame: it comes in fast and out of focus, settles, and shakes as hands do.

Responsible for: films of one arrival, repeatable from a seed; whole folders of them, each frame with its label. Not
responsible for: what a frame looks like (optics.py), how many frames a gate needs (edge/reader.py, bench/read.py).
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from simulators.optics import FRAMES_MAX, Luma, View, held, made_up_text, png, preset, view_of

FRAMES_PER_SECOND = 10.0  # what a gate reads of its camera at least
EXPOSURE_MS = 4.0  # the longest that a gate exposes (edge/exposure.py)
ARRIVAL_FRAMES = 16  # how long a film is: within so many frames every pass is to be read


def stream(
    source: str | Luma,
    seed: int,
    *,
    settled: View | None = None,
    frame_count: int = ARRIVAL_FRAMES,
    frames_per_second: float = FRAMES_PER_SECOND,
    exposure_ms: float = EXPOSURE_MS,
) -> Iterator[tuple[View, Luma]]:
    """Yield a phone's arrival: the look and the frame. settled: how it is held in the end; by itself a good morning.

    The smear of each frame is the speed times the exposure (a screen too dim for 4 ms needs more: say so).
    """
    chance = random.Random(f"{seed}:stream")
    rest = settled or held(chance)
    side = chance.choice((-1, 1))
    settle_seconds, focus_seconds = chance.uniform(0.2, 0.4), chance.uniform(0.2, 0.5)
    start_defocus, wobble = chance.uniform(2.5, 6.0), [chance.uniform(0, 6.28) for _ in range(4)]
    x_last, y_last = rest.offset_x_px + side * 700.0, rest.offset_y_px + 200.0
    shake_px = chance.uniform(1.0, 5.0)
    for index in range(frame_count):
        seconds = index / frames_per_second
        away = math.exp(-seconds / settle_seconds)
        x = rest.offset_x_px + side * 650 * away + shake_px * math.sin(2 * math.pi * 3.1 * seconds + wobble[0])
        y = rest.offset_y_px + 180 * away + shake_px * math.sin(2 * math.pi * 4.3 * seconds + wobble[1])
        speed = math.hypot(x - x_last, y - y_last) * frames_per_second
        view = replace(
            rest,
            offset_x_px=x,
            offset_y_px=y,
            rotation_deg=rest.rotation_deg + 25 * side * away + 0.8 * math.sin(6.28 * 2.3 * seconds + wobble[2]),
            tilt_y_deg=rest.tilt_y_deg + 20 * away,
            defocus_px=rest.defocus_px + start_defocus * math.exp(-seconds / focus_seconds),
            motion_px=rest.motion_px + speed * exposure_ms / 1000.0,
            motion_deg=math.degrees(math.atan2(y - y_last, x - x_last)),
        )
        x_last, y_last = x, y
        yield view, view_of(source, view, seed * 4099 + index)


def write_films(
    directory: Path,
    count: int,
    seed: int,
    distortions: Sequence[str] | None = None,
    texts: Sequence[str] | None = None,
    frame_count: int = ARRIVAL_FRAMES,
) -> int:
    """Write `count` arrivals as PNG with `labels.jsonl` beside them; return how many frames. Names sort by time.

    A label is file, text, distortion, arrival (from 0), frame (from 0), seconds, view. The phone settles in the
    distortions in turn; in a good view where none is asked for. Raises ValueError for one that does not exist.
    """
    kinds = tuple(distortions or ("clean",))
    for kind in kinds:
        preset(kind, 0)
    directory.mkdir(parents=True, exist_ok=True)
    written = 0
    with (directory / "labels.jsonl").open("w", encoding="utf-8") as labels:
        for arrival in range(count):
            one = seed * 1_000_003 + arrival
            kind = kinds[arrival % len(kinds)]
            text = texts[arrival % len(texts)] if texts else made_up_text(one)
            film = stream(text, one, settled=preset(kind, one), frame_count=min(frame_count, FRAMES_MAX - written))
            for index, (view, frame) in enumerate(film):
                name = f"{seed}-{arrival:05d}-{index:03d}-{kind}.png"
                (directory / name).write_bytes(png(frame))
                label = {"file": name, "text": text, "distortion": kind, "arrival": arrival, "frame": index}
                label |= {"seconds": round(index / FRAMES_PER_SECOND, 3), "view": asdict(view)}
                labels.write(json.dumps(label) + "\n")
                written += 1
    return written
