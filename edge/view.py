"""What is in view of the camera: which one text, if any, is the pass that is being shown.

PURE. Not here: what the text says. Obeys P-3 (a): other symbols are ignored, staff before families, one code at a
time, and a text unchanged in view for 30 s is ignored until it leaves.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from protocols import passes
from protocols.limits import STROBE_SECONDS, SYMBOLS_PER_FRAME_MAX, TAPED_SECONDS, VIEW_GAP_SECONDS, VIEW_LEFT_SECONDS
from protocols.reasons import Reason


@dataclass(frozen=True)
class Symbol:
    """One symbol in a frame. spot: its centre and size in pixels, where the camera's library tells them."""

    text: str
    format: str = "QRCode"
    append: bool = False  # part of a structured append; cameras' libraries do not show it
    spot: tuple[float, float, float] | None = None


@dataclass
class _Sighted:
    first_at: float
    last_at: float


class View:
    """Follows texts from frame to frame."""

    def __init__(self) -> None:
        self._sighted: dict[str, _Sighted] = {}
        self._strobe: tuple[bytes, tuple[float, float, float], float] | None = None

    def pick(self, symbols: Iterable[Symbol], at: float) -> Symbol | Reason:
        """Return the symbol to judge, or NOT_A_PASS, or SHOW_ONE_CODE."""
        shown = [symbol for symbol in symbols if _is_pass(symbol)][:SYMBOLS_PER_FRAME_MAX]
        self._follow({symbol.text for symbol in shown}, at)
        fresh = {symbol.text: symbol for symbol in shown if not self._is_taped(symbol.text, at)}
        staff = [text for text in fresh if text.startswith(passes.STAFF[:2])]
        candidates = staff or list(fresh)
        if not candidates:
            return Reason.NOT_A_PASS
        return fresh[candidates[0]] if len(candidates) == 1 else Reason.SHOW_ONE_CODE

    def strobes(self, credential: bytes, symbol: Symbol, at: float) -> bool:
        """Whether another credential was shown at the same spot less than a second ago (hostile case P9)."""
        if symbol.spot is None:
            return False
        before, self._strobe = self._strobe, (credential, symbol.spot, at)
        if before is None or before[0] == credential or at - before[2] >= STROBE_SECONDS:
            return False
        (x, y, size), (x0, y0, size0) = symbol.spot, before[1]
        return max(abs(x - x0), abs(y - y0)) < max(size, size0) / 2

    def _follow(self, texts: set[str], at: float) -> None:
        for text in [text for text in self._sighted if text not in texts]:
            if at - self._sighted[text].last_at >= VIEW_LEFT_SECONDS:
                del self._sighted[text]
        for text in texts:
            sighted = self._sighted.get(text)
            if sighted is None or not 0 <= at - sighted.last_at <= VIEW_GAP_SECONDS:
                self._sighted[text] = _Sighted(at, at)
            else:
                sighted.last_at = at

    def _is_taped(self, text: str, at: float) -> bool:
        return at - self._sighted[text].first_at >= TAPED_SECONDS


def _is_pass(symbol: Symbol) -> bool:
    return symbol.format == "QRCode" and not symbol.append and passes.looks_like_pass(symbol.text)
