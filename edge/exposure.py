"""How long to expose, and how much to amplify: from the code's own light and dark where one is in view.

PURE: a region in, the next setting out; the camera's adapter applies it, at most four times a second. Where no code has
been in view for a second, the middle of the view is what counts: a setting made for one family's bright screen would
else leave the next one's dim screen in the dark for ever. A phone's screen is far brighter than an
entrance, so the light of the whole picture says little about the light of the code. Time is worth more than gain
until a hand's smear would cost modules; then gain, until noise would. Obeys the wire's reader bounds in `camera`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]

EXPOSURE_MICROSECONDS_MIN = 100
EXPOSURE_MICROSECONDS_MAX = 4_000  # a hand at 0.3 m/s then smears under 2 modules
GAIN_MIN, GAIN_MAX = 1.0, 8.0  # sensors of the Raspberry Pi's cameras, analogue
LIGHT_WANTED = 190  # luma of the code's light modules: below clipping, with room for glare
LIGHT_TOLERANCE = 30  # no change within it: the picture should be calm
CLIPPED_LUMA = 250  # light modules at it have lost their edges: shorten at once
REGION_SIDE_MIN = 16  # pixels; less says nothing
STEP_MAX = 2.0  # brighter or darker by at most so much in one step
METER_SECONDS = 0.25  # a camera takes two or three frames to follow
CODE_KEPT_SECONDS = 1.0  # so long nothing is changed after a code has left
SHARP_MIN = 0.07  # see _sharpness; measured 0.08 to 0.11 at a defocus of 3 px, 0.02 to 0.06 beyond it


@dataclass(frozen=True)
class Setting:
    """exposure_us: microseconds; gain: 1 is none."""

    exposure_us: int = 2_000
    gain: float = 1.0

    @property
    def light(self) -> float:
        """What the product of both collects."""
        return self.exposure_us * self.gain


@dataclass(frozen=True)
class Advice:
    """setting: for the next frames. hint: None, "closer_or_farther" (out of focus) or "dimmer" (clipped glare)."""

    setting: Setting
    hint: str | None = None


def advise(region: Luma, now: Setting) -> Advice:
    """Return the next setting for a region that holds a code, or looks as if it did."""
    dark, light = (float(value) for value in np.percentile(region, (5, 95)))
    if light >= CLIPPED_LUMA:
        factor = 1 / STEP_MAX if dark > LIGHT_WANTED / 2 else LIGHT_WANTED / 255
    elif abs(light - LIGHT_WANTED) <= LIGHT_TOLERANCE:
        return Advice(now, _hint(region, dark, light))
    else:
        factor = LIGHT_WANTED / max(light, 1.0)
    return Advice(_scaled(now, min(max(factor, 1 / STEP_MAX), STEP_MAX)), _hint(region, dark, light))


def _scaled(now: Setting, factor: float) -> Setting:
    """Time first, gain for what time may not give; gain goes first when there is too much light."""
    wanted = now.light * factor
    exposure = min(max(wanted / GAIN_MIN, EXPOSURE_MICROSECONDS_MIN), EXPOSURE_MICROSECONDS_MAX)
    gain = min(max(wanted / exposure, GAIN_MIN), GAIN_MAX)
    return Setting(round(exposure), round(gain, 2))


def _hint(region: Luma, dark: float, light: float) -> str | None:
    if light >= CLIPPED_LUMA and dark > LIGHT_WANTED / 2:
        return "dimmer"
    return "closer_or_farther" if _sharpness(region) < SHARP_MIN else None


def _sharpness(region: Luma) -> float:
    """Variance of the discrete Laplacian over the contrast squared, at half size so that noise says little."""
    height, width = region.shape[0] // 2, region.shape[1] // 2
    pixels = region[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3))
    around = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:]
    dark, light = np.percentile(region, (5, 95))
    return float((pixels[1:-1, 1:-1] * 4 - around).var()) / max(light - dark, 1.0) ** 2


class Meter:
    """Follows one camera's light from its opening on.

    setting: what the camera was last told. hint: what the newest code that was judged says about the camera's place,
    its focus and its lamps (see Advice); for whoever sets the camera up, not for families.
    """

    def __init__(self) -> None:
        self.setting = Setting()
        self.hint: str | None = None
        self._told = False
        self._due = 0.0
        self._code_at = 0.0

    def look(self, luma: Luma, corners: Sequence[tuple[int, int]], at: float) -> Setting | None:
        """Return what the camera is to be told, or None. corners: of the code in view, or none; at: monotonic seconds.

        The first answer is where every camera starts, so that what was asked for is known from then on.
        """
        if corners:
            self._code_at = at
        if at < self._due:
            return None
        self._due = at + METER_SECONDS
        if not self._told:
            self._told = True
            return self.setting
        if not corners and at - self._code_at < CODE_KEPT_SECONDS:
            return None
        region = _inside(luma, corners) if corners else _middle(luma)
        if min(region.shape) < REGION_SIDE_MIN:
            return None
        before, advice = self.setting, advise(region, self.setting)
        self.setting = advice.setting
        if corners:
            self.hint = advice.hint
        return self.setting if self.setting != before else None


def _inside(luma: Luma, corners: Sequence[tuple[int, int]]) -> Luma:
    """The code and nothing around it, as far as an upright box can."""
    xs, ys = [max(x, 0) for x, _ in corners], [max(y, 0) for _, y in corners]
    return luma[min(ys) : max(ys), min(xs) : max(xs)]


def _middle(luma: Luma) -> Luma:
    """Where phones are held: the middle half of the view, every fourth pixel."""
    height, width = luma.shape
    return luma[height // 4 : height * 3 // 4 : 4, width // 4 : width * 3 // 4 : 4]
