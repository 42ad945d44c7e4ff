"""What the camera adds to a line of /stream: the code that was judged, where it stood, and how long each step took.

PURE. Not responsible for: reading codes (reader.py), the line itself (web/board.py). No picture is kept.
"""

from __future__ import annotations

from edge.camera import Frame
from edge.reader import Code
from edge.web.board import Json
from protocols.passes import looks_like_pass


def picked(codes: list[Code]) -> Code:
    """The code that was judged, as far as one can point at it: the first pass in view, else the first of all."""
    return next((code for code in codes if code.text and looks_like_pass(code.text)), codes[0])


def mark(frame: Frame, at_ns: int, name: str) -> tuple[float, str]:
    """Milliseconds from the frame's capture to this step."""
    return round((at_ns - frame.captured_ns) / 1e6, 2), name


def shot_of(frame: Frame, shown: Code, timeline: list[tuple[float, str]]) -> Json:
    """What the camera adds to a line of /stream."""
    return {
        "frame_captured_ns": frame.captured_ns,
        "timeline": [list(step) for step in timeline],
        "corners": [list(corner) for corner in shown.corners],
        "frame_size": [int(frame.luma.shape[1]), int(frame.luma.shape[0])],
    }
