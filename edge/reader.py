"""Codes in a frame: fast path, region kept from frame to frame, ladder of treatments, one budget of time.

Responsible for: `Reader.read` (a still: the whole ladder) and `Reader.watch` (video: motion gate, one pass, one step of
the ladder a frame); saying exactly what a symbol is and what its bytes are; `read_image` for `portillon-gate read`.
Not responsible for: what a text means (protocols/passes.py), which symbols count (edge/gate.py), capture (camera.py).
Obeys: P-3 (a), *View*: true QR codes only, bytes as strict ASCII; HOSTILE P1 to P7 and P38.

The decoder is zxing-cpp. It returns Micro QR and rMQR to whoever asks for QR codes, so a symbol's format is always
looked at; its `.text` transcodes, so a pass is taken from `.bytes` alone; a structured append is never joined. What it
cannot read is measured module by module (modules.py, symbol.py): cracks, smear, moire, a missing quiet zone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zxingcpp
from numpy.typing import NDArray

from edge import frames, modules, symbol
from edge.frames import Luma, Region
from edge.pictures import PictureRefused, load_picture
from protocols.limits import SYMBOLS_PER_FRAME_MAX

FRAME_BUDGET_MS = 40.0  # video: 20 frames a second with half of the time left for the rest of the loop
IMAGE_BUDGET_MS = 400.0  # a still: the whole ladder on the largest region
SHRUNK_PASS_PIXELS_MIN = 1_500_000  # smaller pictures are not looked at shrunk: a quarter of the time, 1 read in 150
PLACE_PIXELS_MIN = 400_000  # in a smaller picture the busiest place is not worth looking for before it is looked at
WHOLE_EVERY = 4  # frames of a film of which one is looked at whole: a second pass in view is told within half a second
FAR_REGION_SIDE = 260  # pixels: 65 modules of under 3 pixels, which the decoder reads at twice the size
FRAME_PIXELS_FAST_MAX = 4_000_000  # a larger picture is looked at shrunk before it is looked at whole
QR_ONLY = zxingcpp.BarcodeFormats(
    zxingcpp.BarcodeFormat.QRCode
)  # 8 times faster than every format, with the same reads
CODE_SIDE_MIN = 80  # pixels; a failed symbol smaller than this is more often a chance pattern than a pass
REGION_FRAMES_KEPT = 15  # frames for which the place of the last code is looked at before the busiest place
STILL_FRAMES_TRIED = 6  # frames of a scene that does not move in which every step is tried before it is left alone
REST_FRAMES = 20  # a still scene that nothing was read in is looked at again this often

Corners = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Code:
    """One symbol. `text` is its bytes as strict ASCII, or None; `transcoded` is for showing only, never for deciding.

    format: the decoder's name ("QRCode", "MicroQRCode", "RMQRCode"); "QRCodeGS1" for FNC1 in first position.
    corners: pixels of the frame from the symbol's own top left, clockwise.
    """

    text: str | None
    raw: bytes
    format: str
    corners: Corners
    transcoded: str = ""

    @property
    def is_qr_code(self) -> bool:
        return self.format == "QRCode"


class _Unread(NamedTuple):
    """A symbol that the decoder saw and could not read. version: 0 where it could not tell."""

    corners: Corners
    version: int


class _Look(NamedTuple):
    """What the ladder climbs over: a frame, the likeliest place in it, a symbol there that was not read."""

    luma: Luma
    region: Region
    unread: _Unread | None
    is_whole: bool  # the decoder has seen all of the frame, not this place alone


class Reader:
    """Reads frames of one camera. Keeps the place of the last code and a coarse view: nothing that grows."""

    def __init__(self, budget_ms: float = FRAME_BUDGET_MS, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._budget_seconds = budget_ms / 1000.0
        self._monotonic = monotonic
        self._coarse: Luma | None = None
        self._last_region: Region | None = None
        self._last_texts: set[bytes] = set()
        self._region_age = 0
        self._frames = 0
        self._next_step = 0
        self._still_frames = 0

    def read(self, luma: Luma) -> list[Code]:
        """Every code of the busiest place of a still, by the whole ladder, within the budget. Keeps nothing."""
        deadline = self._monotonic() + self._budget_seconds
        codes, look = _first_pass(luma, _likely_place(luma))
        if codes or look is None:
            return codes
        slowest = 0.0
        for step in _ladder(look):
            began = self._monotonic()
            if began + slowest > deadline:
                break
            codes = step(look)
            if codes:
                return codes
            slowest = max(slowest, self._monotonic() - began)
        return []

    def watch(self, luma: Luma) -> list[Code]:
        """Codes in a film's newest frame: two passes and one step of the ladder at most; none where nothing moves.

        The whole frame is looked at where the place shows nothing (the next phone is held elsewhere), when a text is
        new, and every fourth frame: a second pass must not hide behind the first (P-3: one code at a time).
        """
        deadline = self._monotonic() + self._budget_seconds
        if self._rests(luma):
            return []
        self._frames += 1
        self._region_age += 1
        kept = self._last_region if self._region_age <= REGION_FRAMES_KEPT else None
        whole = self._frames % WHOLE_EVERY == 0
        place = None if whole else kept or _likely_place(luma)
        codes, look = _first_pass(luma, place)
        if not codes and place is not None:
            whole, codes = True, _whole_pass(luma)[0]
        if not codes and look is not None and self._monotonic() < deadline:
            codes = self._one_step(look)
        texts = {code.raw for code in codes}
        if codes and not whole and texts != self._last_texts:
            codes += [code for code in _whole_pass(luma)[0] if code.raw not in texts]
            del codes[SYMBOLS_PER_FRAME_MAX:]
        if codes:
            self._last_region, self._region_age = _bounds(codes[0].corners).grown(0.12, luma), 0
            self._last_texts = {code.raw for code in codes}
            self._still_frames = 0
        return codes

    def _rests(self, luma: Luma) -> bool:
        """True while the scene has not moved since the whole ladder found nothing in it."""
        coarse = frames.coarse_view(luma)
        still = self._coarse is not None and not frames.moved(self._coarse, coarse)
        if not still:
            self._coarse, self._still_frames = coarse, 0
            return False
        self._still_frames += 1
        tried_all = self._still_frames > STILL_FRAMES_TRIED
        return tried_all and self._still_frames % REST_FRAMES != 0

    def _one_step(self, look: _Look) -> list[Code]:
        """The next step over the likeliest place. A step that worked stays the first to be tried."""
        codes = FILM_LADDER[self._next_step](look)
        if not codes:
            self._next_step = (self._next_step + 1) % len(FILM_LADDER)
        return codes


# The ladder: each step takes a look and returns what it read -------------------------------------------------------

Step = Callable[[_Look], list[Code]]


def _treat(treatment: frames.Treatment) -> Step:
    """The decoder again, over the treated region."""

    def step(look: _Look) -> list[Code]:
        crop, shrink = frames.shrunk_to_bound(look.region.of(look.luma), frames.REGION_PIXELS_MAX)
        treated, scale = treatment(crop)
        return _decode(treated, 1.0 / (scale * shrink), (look.region.left, look.region.top))[0]

    return step


def _measure(look: _Look) -> list[Code]:
    """Our own measuring of the modules, with the least sure codewords as erasures.

    Bands are the worst for finding a symbol, so its grid is found where rows are levelled; then its modules are
    believed as they stand there, as they stand in a neighbourhood that is levelled both ways, and as they are.
    """
    if look.unread is not None and 0 < look.unread.version < symbol.VERSION_MIN:
        return []
    crop, shrink = frames.shrunk_to_bound(look.region.of(look.luma), frames.MEASURED_PIXELS_MAX)
    picture, _ = frames.rows_levelled(crop)
    origin = np.array((look.region.left, look.region.top), np.float32)
    near = None if look.unread is None else (np.array(look.unread.corners, np.float32) - origin) * np.float32(shrink)
    grid = modules.find_grid(picture, near)
    if grid is None:
        return []
    a, b, c, d = ((round(float(x)), round(float(y))) for x, y in grid.corners / shrink + origin)
    for treatment in (None, frames.levelled, frames.plain):
        beliefs = modules.equalised(treatment(crop)[0] if treatment else picture, grid)
        if code := _believed(beliefs, (a, b, c, d)):
            return [code]
    return []


def _believed(beliefs: symbol.Beliefs, corners: Corners) -> Code | None:
    """What the modules say: by the decoder, in a sixth of the time; else by ours, which repairs twice as many."""
    drawn = np.pad(np.where(beliefs > 0, np.uint8(0), np.uint8(255)), 4, constant_values=255)
    found = zxingcpp.read_barcodes(drawn, formats=QR_ONLY, is_pure=True, try_downscale=False, try_invert=False)
    if found and found[0].valid:
        return _code(found[0], corners)
    raw = symbol.decode(beliefs)
    if raw is None:
        return None
    return Code(raw.decode("ascii") if raw.isascii() else None, raw, "QRCode", corners, raw.decode("latin-1"))


def _whole(look: _Look) -> list[Code]:
    """The whole frame, where only the busiest place was looked at and there is no sign of a code in it."""
    return [] if look.is_whole or look.unread is not None else _whole_pass(look.luma)[0]


# In the order that paid: what a step reads of the frames that are left, for its milliseconds. Of 122 frames of every
# distortion that the first pass left, measuring reads 109 in 12 ms each, twice the size 24 in 3 ms, any other fewer
# than 16; after measuring, twice the size reads two far ones and the others none: they are for what is no pass.
LADDER: tuple[Step, ...] = (
    _whole,
    _measure,
    _treat(frames.half),
    _treat(frames.doubled),
    _treat(frames.sharpened),
    _treat(frames.amplified),
)
FAR_LADDER: tuple[Step, ...] = (
    _treat(frames.doubled),
    _measure,
    _whole,
    _treat(frames.half),
    _treat(frames.sharpened),
    _treat(frames.amplified),
)
# In a film each frame gets one step, and what a cheap step reads the next, sharper frame mostly gives for nothing.
FILM_LADDER: tuple[Step, ...] = (_measure,)


def _ladder(look: _Look) -> tuple[Step, ...]:
    return FAR_LADDER if look.region.side < FAR_REGION_SIDE else LADDER


def _likely_place(luma: Luma) -> Region | None:
    """The one place where a code may be; None where the frame is small, half of it is busy, or more than one place."""
    if luma.size < PLACE_PIXELS_MIN or luma.size > FRAME_PIXELS_FAST_MAX:
        return None
    places = frames.busiest_regions(luma)
    return places[0] if len(places) == 1 and places[0].area * 2 < luma.size else None


def read_image(path: Path | str, budget_ms: float = IMAGE_BUDGET_MS) -> dict[str, Any]:
    """Return the line that `portillon-gate read` prints for one file: codes, or `error` with a code. Raises nothing."""
    line: dict[str, Any] = {"file": str(path), "ms": 0.0, "codes": []}
    try:
        luma = load_picture(Path(path))
    except PictureRefused as refused:
        return line | {"error": {"code": refused.code, "message": str(refused)}}
    began = time.monotonic()
    codes = Reader(budget_ms).read(luma)
    line["ms"] = round((time.monotonic() - began) * 1000.0, 2)
    line["codes"] = [
        {
            "text": code.text if code.text is not None else code.transcoded,
            "format": code.format,
            "corners": [list(corner) for corner in code.corners],
        }
        for code in codes
    ]
    return line


# One pass of the decoder -------------------------------------------------------------------------------------------


def _first_pass(luma: Luma, place: Region | None) -> tuple[list[Code], _Look | None]:
    """The codes of that place, or of the whole frame; where there are none, what is left to look at."""
    is_whole = place is None
    if place is None:
        codes, unread = _whole_pass(luma)
    else:
        codes, unread = _decode(np.ascontiguousarray(place.of(luma)), 1.0, (place.left, place.top))
    if codes:
        return codes, None
    if place is None:
        place = next(iter(frames.busiest_regions(luma)), None)
    largest = max(unread, key=lambda one: _bounds(one.corners).side, default=None)
    if largest is not None and (side := _bounds(largest.corners).side) >= CODE_SIDE_MIN:
        if largest.version or place is None or side * 3 > place.side * 2:  # without a version it may be chance
            return [], _Look(luma, _bounds(largest.corners).grown(0.12, luma), largest, is_whole)
    return [], None if place is None else _Look(luma, place, None, is_whole)


def _whole_pass(luma: Luma) -> tuple[list[Code], list[_Unread]]:
    """The codes of a whole frame, and the symbols in it that could not be read."""
    shrunk, scale = _shrunk(luma)
    codes, unread = _decode(shrunk, 1.0 / scale, (0, 0))
    if not codes and scale < 1.0:
        codes, unread = _decode(np.ascontiguousarray(luma), 1.0, (0, 0))
    return codes, unread


def _shrunk(luma: Luma) -> tuple[Luma, float]:
    if luma.size <= FRAME_PIXELS_FAST_MAX:
        return luma, 1.0
    every = int(np.ceil((luma.size / FRAME_PIXELS_FAST_MAX) ** 0.5))
    return np.ascontiguousarray(luma[::every, ::every]), 1.0 / every


def _decode(luma: Luma, scale: float, origin: tuple[int, int]) -> tuple[list[Code], list[_Unread]]:
    """One call of the decoder; positions come back in the frame's pixels. At most 8 symbols (P38)."""
    symbols = zxingcpp.read_barcodes(
        luma,
        formats=QR_ONLY,
        text_mode=zxingcpp.TextMode.Plain,
        return_errors=True,
        try_downscale=luma.size > SHRUNK_PASS_PIXELS_MIN,
    )
    codes: list[Code] = []
    unread: list[_Unread] = []
    for found in symbols:
        corners = _corners(found.position, scale, origin)
        if not found.valid:
            extra: Any = found.extra
            version = str((extra or {}).get("Version", ""))
            unread.append(_Unread(corners, int(version) if version.isdigit() else 0))
        elif len(codes) < SYMBOLS_PER_FRAME_MAX:
            codes.append(_code(found, corners))
    return codes, unread


def _code(found: Any, corners: Corners) -> Code:
    raw = bytes(found.bytes)
    gs1 = found.content_type == zxingcpp.ContentType.GS1
    return Code(
        text=raw.decode("ascii") if raw.isascii() and not gs1 else None,
        raw=raw,
        format="QRCodeGS1" if gs1 and found.format == zxingcpp.BarcodeFormat.QRCode else found.format.name,
        corners=corners,
        transcoded=found.text,
    )


def _corners(position: Any, scale: float, origin: tuple[int, int]) -> Corners:
    points = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    a, b, c, d = ((round(p.x * scale) + origin[0], round(p.y * scale) + origin[1]) for p in points)
    return a, b, c, d


def _bounds(corners: Corners) -> Region:
    points: NDArray[np.int64] = np.array(corners)
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return Region(int(left), int(top), int(right), int(bottom))
