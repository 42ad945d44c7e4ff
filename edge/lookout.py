"""Whether the camera sees at all: covered, blinded, black or frozen for ten seconds is a fault, whoever passes or not.

PURE: a coarse view in, a state out; `at` (monotonic seconds) is an argument. A working sensor is never still: its
noise moves a few of the coarse view's pixels by a step or two in each frame, so a view that repeats to the pixel is
a picture, not a camera. Not here: whose opening hours it is (the loop), what is done about it (health, the console).
Obeys HOSTILE P39; thresholds measured on the views of the optics simulator.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]

BLIND_SECONDS = 10.0  # P39: so long a blind view is a fault
BLACK_LUMA_MAX = 12  # 99 of 100 pixels at most: an unlit entrance at night stands above it
SATURATED_LUMA_MIN = 250  # 99 of 100 pixels at least: a lamp into the lens
COVERED_SPREAD_MAX = 3.0  # standard deviation: a hand, tape or paint leaves no edge and no gradient

BLACK, SATURATED, COVERED, FROZEN = "BLACK", "SATURATED", "COVERED", "FROZEN"


@dataclass
class Lookout:
    """Follows one camera. `state` is None while it sees."""

    _frozen: bytes = b""
    _suspect: str | None = None
    _since: float = 0.0

    def look(self, coarse: Luma, at: float) -> str | None:
        """Return BLACK, SATURATED, COVERED or FROZEN once the view has been so for ten seconds, else None."""
        suspect = self._judge(coarse)
        if suspect != self._suspect:
            self._suspect, self._since = suspect, at
        return suspect if suspect and at - self._since >= BLIND_SECONDS else None

    def _judge(self, coarse: Luma) -> str | None:
        pixels = coarse.tobytes()
        same, self._frozen = pixels == self._frozen, pixels
        if np.percentile(coarse, 99) <= BLACK_LUMA_MAX:
            return BLACK
        if np.percentile(coarse, 1) >= SATURATED_LUMA_MIN:
            return SATURATED
        if float(coarse.std()) <= COVERED_SPREAD_MAX:
            return COVERED
        return FROZEN if same else None
