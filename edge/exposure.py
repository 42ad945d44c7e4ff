"""How long to expose, and how much to amplify: from the code's own light and dark where one is in view.

PURE: a region in, the next setting out; the camera's adapter applies it. A phone's screen is far brighter than an
entrance, so the light of the whole picture says little about the light of the code. Time is worth more than gain
until a hand's smear would cost modules; then gain, until noise would. Obeys the wire's reader bounds in `camera`.
"""

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
STEP_MAX = 2.0  # brighter or darker by at most so much in one step
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
