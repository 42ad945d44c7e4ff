"""A symbol's modules, measured one by one where the decoder found none: for cracks, missing quiet zones, bands, moire.

Responsible for: finding the four corners of a QR code in a region by its texture, its three finder patterns and its
alignment patterns by correlation, its version by its timing pattern; one belief for each module (edge/symbol.py reads
them). PURE: arrays in, arrays out; no clock; a few milliseconds, bounded by the region's size.
Not responsible for: when this is tried (edge/reader.py); mirrored symbols and versions under 7, which the ordinary
decoder reads well.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.symbol import VERSION_MAX, VERSION_MIN, Beliefs, alignment_centres, patterns, side_of

Luma = NDArray[np.uint8]
Plane = NDArray[np.float32]
Matrix = NDArray[Any]  # three by three

SCALE = 4  # pixels a module in rectified pictures
FINDER_SCALE = 2  # the same where finder patterns are looked for: seven modules wide, they need no more
MARGIN = 6  # modules around the symbol in rectified pictures
GUESSED_SIDE = 65  # modules, version 12: what most passes are; the finder search forgives a fifth more or less
FINDER_LIKENESS_MIN = 0.42  # correlation with a finder pattern, of the worst of the three
TIMING_LIKENESS_SURE = 0.7  # correlation with both timing patterns above which no other version is thought of
VERSIONS_TRIED = 2
EQUALISER_REACH = 3  # half modules to each side of a module's middle
EQUALISER_RIDGE = 0.01
PATTERN_LIKENESS_MIN = 0.35  # of all known modules; chance stays under 0.15
PATTERN_LIKENESS_SURE = 0.6  # above it no other version is tried


class Grid(NamedTuple):
    """Where a symbol lies: module coordinates (0 to side, column first) to pixels of the picture it was found in."""

    version: int
    to_picture: Matrix
    inverted: bool

    @property
    def corners(self) -> NDArray[np.float32]:
        side = side_of(self.version)
        return _mapped(self.to_picture, np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float64))


def find_grid(picture: Luma, corners: NDArray[np.float32] | None = None) -> Grid | None:
    """Find a symbol's grid. corners: four of a symbol that was seen and not read, if there is one."""
    for outline in (corners, textured_outline(picture)):
        found = _through_outline(picture, outline) if outline is not None else None
        grid = _settled(picture, *found) if found else None
        if grid is not None:
            return grid
    for outline, centres in searched_finders(picture):
        grid = _settled(picture, centres, outline, False)
        if grid is not None:
            return grid
    return None


def _through_outline(
    picture: Luma, outline: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], bool] | None:
    found = _finders(picture, outline)
    return _finders(picture, found[1]) if found else None  # the second time from what was found the first time


def _settled(picture: Luma, centres: NDArray[np.float32], outline: NDArray[np.float32], inverted: bool) -> Grid | None:
    """From three finder patterns to the grid that agrees best with every known module, or None."""
    best, likeness = None, 0.0
    for grid in _likeliest_versions(picture, centres, outline, inverted):
        tried, fit = _aligned(picture, grid, reach=4.0, last_only=True)
        if fit > likeness:
            best, likeness = tried, fit
        if fit > PATTERN_LIKENESS_SURE:
            break
    if best is None:
        return None
    best, likeness = _aligned(picture, best, reach=1.5, last_only=False)
    return best if likeness >= PATTERN_LIKENESS_MIN else None


def measure(picture: Luma, grid: Grid) -> Beliefs:
    """One belief a module: darkness against the middle of its own neighbourhood's dark and light."""
    side = side_of(grid.version)
    values = _sampled(picture, grid.to_picture, side)
    window = np.ones((9, 9), np.uint8)
    high = cv2.blur(cv2.dilate(cv2.blur(values, (2, 2)), window), (7, 7))
    low = cv2.blur(cv2.erode(cv2.blur(values, (2, 2)), window), (7, 7))
    beliefs = (high + low - 2.0 * values) / np.maximum(high - low, 6.0)
    beliefs = np.clip(beliefs, -1.0, 1.0).astype(np.float32)
    return -beliefs if grid.inverted else beliefs


def equalised(picture: Luma, grid: Grid) -> Beliefs:
    """Beliefs through a filter learnt from the modules that are known: undoes smear and defocus, whatever their shape.

    Half-module samples, 7 by 7 around each module; ridge regression on some 500 known modules.
    """
    side = side_of(grid.version)
    reach = EQUALISER_REACH
    padded = np.pad(_levelled_samples(picture, grid, side), 2 * reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 2, 2 * reach + 2))
    first = 2 * reach - reach
    around = windows[first : first + 2 * side : 2, first : first + 2 * side : 2].reshape(side * side, -1)
    known = patterns(grid.version).reshape(-1).astype(np.float32)
    at = np.flatnonzero(known)
    lessons = around[at]
    scale = EQUALISER_RIDGE * len(at)
    weights = np.linalg.solve(
        lessons.T @ lessons + scale * np.eye(lessons.shape[1], dtype=np.float32), lessons.T @ known[at]
    )
    return np.clip(around @ weights, -1.0, 1.0).astype(np.float32).reshape(side, side)


def _levelled_samples(picture: Luma, grid: Grid, side: int) -> Plane:
    """Two by two samples a module, each against its neighbourhood's dark and light."""
    fine = np.array([[0.5, 0, 0.25], [0, 0.5, 0.25], [0, 0, 1.0]])
    flat = cv2.warpPerspective(
        picture, grid.to_picture @ fine, (2 * side, 2 * side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)  # fmt: skip
    window = np.ones((17, 17), np.uint8)
    high = cv2.blur(cv2.dilate(flat, window), (15, 15))
    low = cv2.blur(cv2.erode(flat, window), (15, 15))
    return _plane((high + low - 2.0 * flat) / np.maximum(high - low, 6.0))


# The outline -------------------------------------------------------------------------------------------------------


def textured_outline(picture: Luma) -> NDArray[np.float32] | None:
    """Four corners around the part that is full of edges, clockwise from any of them."""
    half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    edges = cv2.morphologyEx(half, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).astype(np.float32)
    reach = max(5, min(edges.shape) // 24 | 1)
    level = np.minimum(edges, 2.0 * float(np.mean(edges)) + 1.0)  # one strong edge is not a texture
    dense = cv2.blur(level, (reach, reach))
    height, width = dense.shape
    middle = float(np.median(dense[height // 3 : height - height // 3, width // 3 : width - width // 3]))
    mask = (dense > 0.55 * middle).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((reach, reach), np.uint8))
    count, names, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    outlines, _ = cv2.findContours((names == largest).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return _quadrilateral(2 * np.asarray(cv2.convexHull(max(outlines, key=cv2.contourArea)), np.int32))


def _quadrilateral(hull: NDArray[np.int32]) -> NDArray[np.float32] | None:
    """The four corners nearest to a hull; a turned rectangle where no four corners are near."""
    length, area = cv2.arcLength(hull, True), cv2.contourArea(hull)
    if area < 40 * 40:
        return None
    for share in (0.03, 0.05, 0.08):
        simple = cv2.approxPolyDP(hull, share * length, True)
        if len(simple) == 4 and cv2.contourArea(simple) > 0.88 * area:
            return _clockwise(simple.reshape(4, 2).astype(np.float32))
    return _clockwise(cv2.boxPoints(cv2.minAreaRect(hull)).astype(np.float32))


def _clockwise(points: NDArray[np.float32]) -> NDArray[np.float32]:
    centre = points.mean(0)
    return points[np.argsort(np.arctan2(points[:, 1] - centre[1], points[:, 0] - centre[0]))]


# Finder patterns ---------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _finder_pictures() -> tuple[Plane, ...]:
    """What the symbol's corners look like, rectified: a finder pattern with its two separators; clockwise."""
    pattern = patterns(VERSION_MIN)[:8, :8].astype(np.float32) * -1.0
    scale = FINDER_SCALE
    large = _plane(cv2.GaussianBlur(np.kron(pattern, np.ones((scale, scale))), (0, 0), scale * 0.45))
    return tuple(np.ascontiguousarray(np.rot90(large, -turns)) for turns in range(4))


def _finders(
    picture: Luma, outline: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], bool] | None:
    """Centres of the three finder patterns (top left, top right, bottom left), the outline from the symbol's own top
    left, and whether dark and light are swapped."""
    scale = FINDER_SCALE
    span = GUESSED_SIDE * scale
    ideal = np.array([[0, 0], [span, 0], [span, span], [0, span]], np.float32) + MARGIN * scale
    rectify = cv2.getPerspectiveTransform(outline.astype(np.float32), ideal)
    whole = span + 2 * MARGIN * scale
    flat = cv2.warpPerspective(picture, rectify, (whole, whole), borderMode=cv2.BORDER_REPLICATE)
    flat = cv2.GaussianBlur(flat, (3, 3), 0).astype(np.float32)
    window = (2 * MARGIN + 8) * scale
    far = whole - window
    places, scores = [], []
    for turns, (left, top) in enumerate(((0, 0), (far, 0), (far, far), (0, far))):
        likeness = _plane(
            cv2.matchTemplate(
                flat[top : top + window, left : left + window], _finder_pictures()[turns], cv2.TM_CCOEFF_NORMED
            )
        )
        low, high, low_at, high_at = cv2.minMaxLoc(likeness)
        scores.append((high, low))
        high_peak, low_peak = _peak(likeness, *high_at), _peak(-likeness, *low_at)
        places.append([(left + at[0], top + at[1]) for at in (high_peak, low_peak)])
    sums = [sorted((score[side] * sign for score in scores), reverse=True) for side, sign in ((0, 1), (1, -1))]
    inverted = sum(sums[1][:3]) > sum(sums[0][:3]) + 0.15
    side = int(inverted)
    likenesses = [abs(score[side]) for score in scores]
    bare = int(np.argmin(likenesses))  # the corner without a finder pattern is the bottom right
    if sorted(likenesses)[1] < FINDER_LIKENESS_MIN:
        return None
    # the middle of a finder pattern lies 3.5 modules from its outer corner, wherever the template's separators are
    inside = [(3.5, 3.5), (4.5, 3.5), (4.5, 4.5), (3.5, 4.5)]
    middles = [
        (places[corner][side][0] + inside[corner][0] * scale, places[corner][side][1] + inside[corner][1] * scale)
        for corner in ((bare + 2) % 4, (bare + 3) % 4, (bare + 1) % 4)
    ]
    centres = _mapped(np.linalg.inv(rectify), np.array(middles, np.float64))
    turned = np.roll(outline, -((bare + 2) % 4), axis=0)
    return centres, _outline_through(centres, turned), inverted


def _outline_through(centres: NDArray[np.float32], outline: NDArray[np.float32]) -> NDArray[np.float32]:
    """The outline moved so that its three finder corners fit the centres that were found; the fourth stays."""
    far = GUESSED_SIDE - 3.5
    known = np.array([[3.5, 3.5], [far, 3.5], [3.5, far], [GUESSED_SIDE, GUESSED_SIDE]], np.float32)
    matrix = cv2.getPerspectiveTransform(known, np.vstack((centres, outline[2:3])).astype(np.float32))
    side = float(GUESSED_SIDE)
    return _mapped(matrix, np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float64))


# Finder patterns, where no outline was to be trusted --------------------------------------------------------------

SEARCH_MODULE_PX = (2.4, 3.0, 3.7, 4.6, 5.7)  # what a module may measure; each a quarter more than the last
SEARCH_SCALE = 1.5  # pixels a module in the picture that is searched
SEARCH_LIKENESS_MIN = 0.5
SEARCH_CANDIDATES_MAX = 18
SEARCH_TRIPLES_MAX = 2


@lru_cache(maxsize=1)
def _finder_any_way() -> Plane:
    """A finder pattern with light around it, blurred over the turns at which a phone is held."""
    size = 40
    ring = np.maximum(np.abs(np.arange(size) - 19.5)[:, None], np.abs(np.arange(size) - 19.5)[None, :]) / 4.0
    sharp = np.where(((ring > 1.5) & (ring < 2.5)) | (ring > 3.5), 1.0, -1.0).astype(np.float32)
    turned = [
        cv2.warpAffine(sharp, cv2.getRotationMatrix2D((19.5, 19.5), turn, 1.0), (size, size), borderValue=1.0)
        for turn in (-14, -5, 5, 14)
    ]
    mean = np.mean(np.array(turned), axis=0)[2:38, 2:38]
    side = round(9 * SEARCH_SCALE)
    return np.asarray(cv2.resize(mean, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def searched_finders(picture: Luma) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """(outline, centres) of the likeliest three patterns that stand as finder patterns do; likeliest first."""
    spots = _likeliest_spots(picture)
    triples: list[tuple[float, int, int, int]] = []
    for corner in range(len(spots)):
        arms = spots[:, :2] - spots[corner, :2]
        lengths = np.hypot(arms[:, 0], arms[:, 1]) / np.sqrt(spots[:, 2] * spots[corner, 2])
        near = [i for i in range(len(spots)) if i != corner and 36 < lengths[i] < 96]
        for i in near:
            for j in near:
                cross = arms[i, 0] * arms[j, 1] - arms[i, 1] * arms[j, 0]
                across = np.hypot(*arms[i]) * np.hypot(*arms[j])
                if cross < 0.8 * across or not 0.75 < lengths[i] / lengths[j] < 1.33:
                    continue
                triples.append((float(spots[[corner, i, j], 3].sum()), corner, i, j))
    found = []
    for _, corner, i, j in sorted(triples, reverse=True)[:SEARCH_TRIPLES_MAX]:
        centres = spots[[corner, i, j], :2].astype(np.float32)
        fourth = centres[1] + centres[2] - centres[0]
        grow = np.float32(GUESSED_SIDE / (GUESSED_SIDE - 7.0))
        square = np.array([centres[0], centres[1], fourth, centres[2]], np.float32)
        found.append(((square - square.mean(0)) * grow + square.mean(0), centres))
    return found


def _likeliest_spots(picture: Luma) -> NDArray[np.float64]:
    """Rows of (x, y, pixels a module, likeness): the best places at the best size, none on top of another."""
    spots: list[tuple[float, float, float, float]] = []
    soft, half = cv2.GaussianBlur(picture, (3, 3), 0), 4.5 * SEARCH_SCALE
    for module in SEARCH_MODULE_PX:
        shrink = SEARCH_SCALE / module
        small = cv2.resize(soft, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_LINEAR)
        if min(small.shape) < 60:
            continue
        likeness = cv2.matchTemplate(small.astype(np.float32), _finder_any_way(), cv2.TM_CCOEFF_NORMED)
        peaks = (likeness >= cv2.dilate(likeness, np.ones((9, 9), np.uint8))) & (likeness > SEARCH_LIKENESS_MIN)
        for y, x in np.argwhere(peaks):
            spots.append(((x + half) / shrink, (y + half) / shrink, module, float(likeness[y, x])))
    chosen: list[tuple[float, float, float, float]] = []
    for spot in sorted(spots, key=lambda one: -one[3]):
        if all(np.hypot(spot[0] - other[0], spot[1] - other[1]) > 4 * spot[2] for other in chosen):
            chosen.append(spot)
        if len(chosen) == SEARCH_CANDIDATES_MAX:
            break
    return np.array(chosen, np.float64).reshape(-1, 4)


# Version and grid --------------------------------------------------------------------------------------------------


def _likeliest_versions(
    picture: Luma, centres: NDArray[np.float32], outline: NDArray[np.float32], inverted: bool
) -> list[Grid]:
    """Grids of the versions whose timing patterns fit best between the finder patterns, and of the usual one."""
    seen = np.vstack((centres, outline[2:3])).astype(np.float32)
    matrices, points = [], []
    lines, signs = _timing_lines()
    for index, version in enumerate(_VERSIONS):
        side = side_of(version)
        far = side - 3.5
        known = np.array([[3.5, 3.5], [far, 3.5], [3.5, far], [side, side]], np.float32)
        matrices.append(cv2.getPerspectiveTransform(known, seen))
        points.append(_mapped(matrices[-1], lines[index].reshape(-1, 2)))
    at = np.concatenate(points).reshape(len(_VERSIONS) * 2 * len(_SHIFTS), -1, 2)
    values = cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    rest = values.astype(np.float32)
    rest -= cv2.blur(rest, (9, 1), borderType=cv2.BORDER_REPLICATE)
    rest *= signs != 0
    fits = (rest * signs).sum(1) / (np.linalg.norm(rest, axis=1) * np.linalg.norm(signs, axis=1) + 1e-6)
    fit = (fits if not inverted else -fits).reshape(len(_VERSIONS), 2, len(_SHIFTS)).max(2).mean(1)
    order = [int(index) for index in np.argsort(-fit)[:VERSIONS_TRIED]]
    usual = _VERSIONS.index((GUESSED_SIDE - 17) // 4)
    if fit[order[0]] < TIMING_LIKENESS_SURE and usual not in order:
        order.append(usual)
    return [Grid(_VERSIONS[index], np.asarray(matrices[index], np.float64), inverted) for index in order]


_VERSIONS = range(VERSION_MIN, VERSION_MAX + 1)
_SHIFTS = (
    -1.2,
    -0.6,
    0.0,
    0.6,
    1.2,
)  # modules; the fourth corner is not known yet, so the line between two patterns may be bent


@lru_cache(maxsize=1)
def _timing_lines() -> tuple[NDArray[np.float64], Plane]:
    """For each version the module coordinates of both timing patterns, five shifts each, and what they must show."""
    longest = side_of(VERSION_MAX) - 16
    count_of_lines = 2 * len(_SHIFTS)
    lines = np.zeros((len(_VERSIONS), count_of_lines, longest, 2))
    signs = np.zeros((len(_VERSIONS), count_of_lines, longest), np.float32)
    for index, version in enumerate(_VERSIONS):
        count = side_of(version) - 16
        along = np.minimum(np.arange(longest), count - 1) + 8.5
        for number, shift in enumerate(_SHIFTS):
            lines[index, number, :, 0] = lines[index, number + len(_SHIFTS), :, 1] = along
            lines[index, number, :, 1] = lines[index, number + len(_SHIFTS), :, 0] = 6.5 + shift
        signs[index, :, :count] = np.where(np.arange(count) % 2 == 0, -1.0, 1.0)
    return lines, signs.reshape(len(_VERSIONS) * count_of_lines, longest)


def _aligned(picture: Luma, grid: Grid, *, reach: float, last_only: bool) -> tuple[Grid, float]:
    """The grid bent to the alignment patterns within `reach` modules of where it says they are, and its likeness.

    reach: so that a pattern's window begins at a whole pixel of the rectified picture.
    """
    side = side_of(grid.version)
    centres = alignment_centres(grid.version)
    far = side - 3.5
    if last_only:
        known, chosen = [(3.5, 3.5), (far, 3.5), (3.5, far)], [(*centres[-1], 5)]
    else:
        finders = [(3, 3, 7), (3, side - 4, 7), (side - 4, 3, 7)]
        known, chosen = [], [*((row, column, 5) for row, column in centres), *finders]
    near = _rectified(picture, grid, chosen, reach)
    places = [_pattern_near(near, row, column, modules, reach) for row, column, modules in chosen]
    found = [at for at, place in enumerate(places) if place is not None]
    likeness = _likeness(picture, grid)
    if len(known) + len(found) < 4:
        return grid, likeness
    shown = [*known, *(place for place in places if place is not None)]
    true = [*known, *((chosen[at][1] + 0.5, chosen[at][0] + 0.5) for at in found)]
    seen = _mapped(grid.to_picture, np.array(shown, np.float64)).astype(np.float64)
    matrix, _ = cv2.findHomography(np.array(true, np.float64), seen, cv2.RANSAC if len(true) > 5 else 0, 2.5)
    if matrix is None:
        return grid, likeness
    bent = grid._replace(to_picture=np.asarray(matrix, np.float64))
    bent_likeness = _likeness(picture, bent)
    return (bent, bent_likeness) if bent_likeness >= likeness else (grid, likeness)


class _Rectified(NamedTuple):
    """A part of the symbol as the grid says it lies. left, top: modules."""

    luma: Plane
    left: float
    top: float


def _rectified(picture: Luma, grid: Grid, patterns_at: list[tuple[int, int, int]], reach: float) -> _Rectified:
    """The part that holds the windows of these patterns (row, column, modules); light as dark where inverted."""
    margin = 3.5 + reach
    top, left = (min(place[axis] for place in patterns_at) + 0.5 - margin for axis in (0, 1))
    bottom, right = (max(place[axis] for place in patterns_at) + 0.5 + margin for axis in (0, 1))
    shift = np.array([[1 / SCALE, 0, left], [0, 1 / SCALE, top], [0, 0, 1]])
    flat = cv2.warpPerspective(
        picture, grid.to_picture @ shift, (round((right - left) * SCALE), round((bottom - top) * SCALE)),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return _Rectified(_plane(255 - flat if grid.inverted else flat), left, top)


@lru_cache(maxsize=2)
def _pattern_picture(modules: int) -> Plane:
    """An alignment pattern (5 modules) or the inside of a finder pattern with its separator (9), rectified."""
    ring = np.maximum(np.abs(np.arange(-4, 5))[:, None], np.abs(np.arange(-4, 5))[None, :])
    half = modules // 2
    if modules == 5:
        pattern = np.where(ring == 1, 1.0, -1.0)
    else:
        pattern = np.where((ring == 2) | (ring == 4), 1.0, -1.0)
    cut = pattern[4 - half : 5 + half, 4 - half : 5 + half].astype(np.float32)
    return _plane(cv2.GaussianBlur(np.kron(cut, np.ones((SCALE, SCALE))), (0, 0), SCALE * 0.45))


def _pattern_near(near: _Rectified, row: int, column: int, modules: int, reach: float) -> tuple[float, float] | None:
    """Where the pattern around that module really is (column first), or None where nothing is like it."""
    margin = modules / 2 + reach
    first = (column + 0.5 - margin, row + 0.5 - margin)
    x, y = round((first[0] - near.left) * SCALE), round((first[1] - near.top) * SCALE)
    span = round(2 * margin * SCALE)
    likeness = cv2.matchTemplate(near.luma[y : y + span, x : x + span], _pattern_picture(modules), cv2.TM_CCOEFF_NORMED)
    _, high, _, at = cv2.minMaxLoc(likeness)
    if high < 0.5:
        return None
    across, down = _peak(_plane(likeness), *at)
    return column + 0.5 - reach + across / SCALE, row + 0.5 - reach + down / SCALE


def _peak(likeness: Plane, x: int, y: int) -> tuple[float, float]:
    """A peak's place between the samples, by a parabola each way."""

    def between(before: float, at: float, after: float) -> float:
        bend = before - 2 * at + after
        return 0.0 if abs(bend) < 1e-6 else min(max(0.5 * (before - after) / bend, -0.5), 0.5)

    height, width = likeness.shape
    across = between(*likeness[y, x - 1 : x + 2].tolist()) if 0 < x < width - 1 else 0.0
    down = between(*likeness[y - 1 : y + 2, x].tolist()) if 0 < y < height - 1 else 0.0
    return x + across, y + down


# Samples -----------------------------------------------------------------------------------------------------------


def _plane(values: NDArray[Any]) -> Plane:
    return np.asarray(values, np.float32)


def _mapped(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float32]:
    return cv2.perspectiveTransform(points.reshape(1, -1, 2), matrix)[0].astype(np.float32)


def _sampled(picture: Luma, matrix: Matrix, side: int) -> Plane:
    """The mean luma of the middle of each module, from four by four samples in it."""
    fine = np.array([[0.25, 0, 0.125], [0, 0.25, 0.125], [0, 0, 1.0]])
    size = side * 4
    flat = cv2.warpPerspective(
        picture, matrix @ fine, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    blocks = flat.reshape(side, 4, side, 4).astype(np.float32)
    return np.ascontiguousarray(blocks[:, 1:3, :, 1:3].mean(axis=(1, 3)) * 0.7 + blocks.mean(axis=(1, 3)) * 0.3)


@lru_cache(maxsize=VERSION_MAX)
def _known_modules(version: int) -> tuple[NDArray[np.float64], Plane]:
    """Middles of the known modules, and +1 where they are dark, -1 where light."""
    known = patterns(version)
    rows, columns = np.nonzero(known)
    return np.column_stack((columns, rows)).astype(np.float64) + 0.5, known[rows, columns].astype(np.float32)


def _likeness(picture: Luma, grid: Grid) -> float:
    """How well the known modules agree with what is seen there: correlation, each block of forty by itself."""
    middles, known = _known_modules(grid.version)
    at = _mapped(grid.to_picture, middles)
    seen = cv2.remap(picture, at[:, :1], at[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    blocks = len(known) // 40
    values = -seen.ravel()[: blocks * 40].astype(np.float32).reshape(blocks, 40)
    signs = known[: blocks * 40].reshape(blocks, 40)
    values = values - values.mean(1, keepdims=True)
    signs = signs - signs.mean(1, keepdims=True)
    each = (values * signs).sum(1) / (np.linalg.norm(values, axis=1) * np.linalg.norm(signs, axis=1) + 1e-3)
    return float(-each.mean() if grid.inverted else each.mean())
