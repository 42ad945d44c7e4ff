"""What is drawn over a phone's picture before it is photographed: words on its page, cracks, a finger, a reflection.

Responsible for: drawing each of them into the screen's luma (0 black to 1 white), in place, from a given chance.
Not responsible for: which of them a view has and how strong (simulators/optics.py).
"""

from __future__ import annotations

import math
import random

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


def write_words(phone: Plane, card_top: int, per_module: int, page: float) -> None:
    """Lines like text above and below the card, so that the code is not the only thing with edges."""
    words = random.Random(per_module * 7919 + card_top)
    ink = 0.8 if page < 0.5 else 0.15
    width = phone.shape[1]
    for row in range(4 * per_module, max(4 * per_module, card_top - 2 * per_module), 4 * per_module):
        at = 6 * per_module
        while at < width - 12 * per_module:
            word = words.randint(2, 7) * per_module
            if words.random() < 0.5:
                phone[row : row + per_module, at : min(at + word, width - 6 * per_module)] = ink
            at += word + per_module


def crack(screen: Plane, per_module: float, centre: tuple[float, float], chance: random.Random) -> None:
    """A star of broken lines from one blow: bright edges beside dark ones, and the picture shifted along them."""
    reach = 30 * per_module
    x, y = (centre[i] + chance.uniform(-0.9, 0.9) * reach for i in (0, 1))
    for _ in range(chance.randint(3, 6)):
        angle, length = chance.uniform(0, 2 * math.pi), chance.uniform(0.5, 2.0) * reach
        points, px, py = [(round(x), round(y))], x, y
        for _ in range(6):
            angle += chance.uniform(-0.35, 0.35)
            px, py = px + math.cos(angle) * length / 6, py + math.sin(angle) * length / 6
            points.append((round(px), round(py)))
        line = np.array(points, np.int32)
        thick = max(1, round(per_module * chance.uniform(0.25, 0.8)))
        cv2.polylines(screen, [line], False, chance.choice((0.9, 0.75, 0.2)), thick, cv2.LINE_AA)
        cv2.polylines(screen, [line + thick], False, 0.1, max(1, thick // 2), cv2.LINE_AA)


def finger(screen: Plane, share: float, per_module: float, centre: tuple[float, float], chance: random.Random) -> None:
    """A fingertip over one side of the code, as a hand holds a phone: rounded, anywhere along it."""
    half = 32.5 * per_module
    side = chance.choice((-1, 1))
    depth = share * 2 * half
    along = centre[1] + chance.uniform(-0.7, 0.7) * half
    radius = (round(depth + 10 * per_module), round(chance.uniform(5, 8) * per_module))
    at = (round(centre[0] + side * (half + 10 * per_module)), round(along))
    cv2.ellipse(screen, at, radius, chance.uniform(-8, 8), 0, 360, 0.52, -1, cv2.LINE_AA)
    cv2.ellipse(screen, at, (radius[0] - 2, radius[1] - 2), 0, 0, 360, 0.6, -1, cv2.LINE_AA)


def glare(
    screen: Plane,
    strength: float,
    radius_modules: float,
    per_module: float,
    centre: tuple[float, float],
    chance: random.Random,
) -> None:
    """A lamp's reflection: a soft bright ellipse somewhere on the code."""
    reach = 22 * per_module
    x, y = (centre[i] + chance.uniform(-1, 1) * reach for i in (0, 1))
    radius = radius_modules * per_module
    stretch = chance.uniform(1.0, 1.8)
    rows = (np.arange(screen.shape[0], dtype=np.float32)[:, None] - y) / (radius * stretch)
    columns = (np.arange(screen.shape[1], dtype=np.float32)[None, :] - x) / radius
    screen += strength * 1.3 * np.exp(-(rows * rows + columns * columns))
