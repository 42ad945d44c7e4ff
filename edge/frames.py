"""What can be done to a frame so that a decoder sees more: where to look, and the treatments of that place.

Responsible for: the part of a frame that is most like a QR code, the treatments of the
ladder, the coarse view that notices motion. PURE: arrays in, arrays out; no decoder, no clock.
Not responsible for: when to do what (edge/reader.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

cv2.setNumThreads(1)  # crops are small: threads wait for each other longer than they work, and the door needs a core

Luma = NDArray[np.uint8]

REGION_PIXELS_MAX = 640 * 640  # a region larger than this is shrunk before any treatment, so that each step is bounded
MEASURED_PIXELS_MAX = 420 * 420  # the same for measuring modules, which needs no more than four pixels for each
THIN = 3  # pixels that are one where dark and light of a neighbourhood are sought
REGION_SIDE_MIN = 48  # pixels; less cannot hold a version 1 symbol that anything reads
COARSE_SIDE = 180  # samples along a frame's shorter side where the busiest place is looked for
COARSE_CELL = 6  # samples a cell's side: a few modules, so that a cell of a code has edges of both directions
RIVAL_SHARE = 1 / 3  # of the busiest place's weight: a second one so busy may hold a second code
MOTION_STRIDE = 16  # pixels between the samples of the coarse view
MOTION_STEP = 12  # luma steps of one sample that are more than noise


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a frame, in pixels, right and bottom excluded."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, luma: Luma) -> Luma:
        return luma[self.top : self.bottom, self.left : self.right]

    def grown(self, share: float, luma: Luma) -> Region:
        """The same place with a margin on each side, inside the frame."""
        x, y = int((self.right - self.left) * share) + 8, int((self.bottom - self.top) * share) + 8
        height, width = luma.shape
        return Region(
            max(0, self.left - x), max(0, self.top - y), min(width, self.right + x), min(height, self.bottom + y)
        )

    def overlaps(self, other: Region) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def joined(self, other: Region) -> Region:
        """The smallest place that holds both."""
        return Region(
            min(self.left, other.left), min(self.top, other.top),
            max(self.right, other.right), max(self.bottom, other.bottom),
        )  # fmt: skip

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def side(self) -> int:
        return min(self.right - self.left, self.bottom - self.top)


def coarse_view(luma: Luma) -> Luma:
    """A copy of every 16th pixel of every 16th row: enough to notice that something moved."""
    return np.ascontiguousarray(luma[::MOTION_STRIDE, ::MOTION_STRIDE])


def moved(before: Luma, after: Luma) -> bool:
    """Whether more than 1 sample in 200 differs by more than noise does."""
    if before.shape != after.shape:
        return True
    changed = int(np.count_nonzero(cv2.absdiff(before, after) > MOTION_STEP))
    return changed * 200 > before.size


def busiest_regions(luma: Luma) -> list[Region]:
    """Where edges of both directions are densest: a QR code has as many across as along. Busiest first.

    Mostly one; more where others are nearly as busy; none on an empty frame.
    """
    height, width = luma.shape
    if min(height, width) < 4 * REGION_SIDE_MIN:
        return [Region(0, 0, width, height)] if min(height, width) >= REGION_SIDE_MIN // 2 else []
    step = max(2, min(height, width) // COARSE_SIDE)
    dense = _dense_cells(luma, step)
    cells = dense.size
    peak = float(np.partition(dense.ravel(), cells - 1 - cells // 80)[cells - 1 - cells // 80])
    if peak < 1.0:
        return []
    count, names, boxes, _ = cv2.connectedComponentsWithStats((dense > 0.5 * peak).astype(np.uint8))
    weights = np.bincount(names.ravel(), weights=dense.ravel(), minlength=count)[1:]
    order = [int(at) for at in np.argsort(-weights) if weights[at] > RIVAL_SHARE * weights.max()]
    found: list[Region] = []
    for at in order:
        place = _symbols_place([int(v) * COARSE_CELL * step for v in boxes[1 + at][:4]], luma)
        if found and place.overlaps(found[0]):
            found[0] = found[0].joined(place)  # bands cut one code into places
        elif place.side >= REGION_SIDE_MIN:
            found.append(place)
    return found


def _dense_cells(luma: Luma, step: int) -> NDArray[np.float32]:
    """For each cell the lesser of its edges across and along, every step-th pixel looked at."""
    height, width = luma.shape
    thin = cv2.resize(luma, (width // step, height // step), interpolation=cv2.INTER_NEAREST)
    across = cv2.absdiff(thin[:-1, 1:], thin[:-1, :-1])
    along = cv2.absdiff(thin[1:, :-1], thin[:-1, :-1])
    size = (across.shape[1] // COARSE_CELL, across.shape[0] // COARSE_CELL)
    both = cv2.min(
        cv2.resize(across, size, interpolation=cv2.INTER_AREA), cv2.resize(along, size, interpolation=cv2.INTER_AREA)
    )
    return np.asarray(cv2.blur(both.astype(np.float32), (3, 3)), np.float32)


def _symbols_place(box: list[int], luma: Luma) -> Region:
    """A symbol is nearly square: what is not is a part of one (bands cut it), which part is not known."""
    left, top, wide, high = box
    height, width = luma.shape
    aside, above = max(0, high - wide * 5 // 4), max(0, wide - high * 5 // 4)
    return Region(
        max(0, left - aside), max(0, top - above), min(width, left + wide + aside), min(height, top + high + above)
    ).grown(0.12, luma)


def shrunk_to_bound(crop: Luma, pixels_max: int) -> tuple[Luma, float]:
    """The crop with at most that many pixels, contiguous, and by how much it was shrunk (1.0: not at all)."""
    if crop.size <= pixels_max:
        return np.ascontiguousarray(crop), 1.0
    scale = (pixels_max / crop.size) ** 0.5
    return _resized(crop, scale), scale


# Treatments: each takes a crop and returns it treated, with the scale that the treatment changed ---------------------

Treatment = Callable[[Luma], tuple[Luma, float]]


def _resized(crop: Luma, scale: float) -> Luma:
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(crop, None, fx=scale, fy=scale, interpolation=how), np.uint8)


def plain(crop: Luma) -> tuple[Luma, float]:
    """As it is."""
    return crop, 1.0


def half(crop: Luma) -> tuple[Luma, float]:
    """Averages noise and fine moire away; the cheapest step."""
    return _resized(crop, 0.5), 0.5


def softened(crop: Luma) -> tuple[Luma, float]:
    """Takes noise and the screen's grid away."""
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), 1.0), np.uint8), 1.0


def doubled(crop: Luma) -> tuple[Luma, float]:
    """Twice as large: the decoder's block thresholds then follow bands and its grid hits small modules."""
    return _resized(crop, 2.0), 2.0


def sharpened(crop: Luma) -> tuple[Luma, float]:
    """Against motion and defocus: what a wide blur took away is put back three times, over a softened crop."""
    soft = cv2.GaussianBlur(crop, (0, 0), 1.0)
    return np.asarray(cv2.addWeighted(soft, 4.0, cv2.GaussianBlur(soft, (0, 0), 3.0), -3.0, 0), np.uint8), 1.0


def amplified(crop: Luma) -> tuple[Luma, float]:
    """Gain of five around the middle: dim screens, fog, over-exposure."""
    middle = float(np.median(crop[::4, ::4]))
    return np.asarray(cv2.convertScaleAbs(crop, alpha=5.0, beta=128.0 - 5.0 * middle), np.uint8), 1.0


def levelled(crop: Luma) -> tuple[Luma, float]:
    """Each neighbourhood stretched between its own dark and light: glare's edge, moire, shadows of a finger."""
    return _stretched(crop, 15, 15), 1.0


def rows_levelled(crop: Luma) -> tuple[Luma, float]:
    """The same with places three rows high: undoes the bands that a pulsed screen leaves on a rolling shutter."""
    return _stretched(crop, 81, 3), 1.0


def _stretched(crop: Luma, width: int, height: int) -> Luma:
    """Places so wide and high. Their dark and light are sought in a picture a third as wide: each column of three at
    its darkest or lightest."""
    soft = cv2.GaussianBlur(crop, (3, 3), 0)
    thin = (-(-crop.shape[1] // THIN), crop.shape[0])
    column = np.ones((1, THIN), np.uint8)
    block, window = np.ones((height, width // THIN), np.uint8), (width // THIN, max(1, height - 2))
    light = cv2.resize(cv2.dilate(soft, column), thin, interpolation=cv2.INTER_NEAREST)
    dark = cv2.resize(cv2.erode(soft, column), thin, interpolation=cv2.INTER_NEAREST)
    size = (crop.shape[1], crop.shape[0])
    high = cv2.resize(cv2.blur(cv2.dilate(light, block), window), size)
    low = cv2.resize(cv2.blur(cv2.erode(dark, block), window), size)
    span = np.maximum(cv2.subtract(high, low), np.uint8(8))
    return np.asarray(cv2.divide(cv2.subtract(soft, low), span, scale=255.0), np.uint8)
