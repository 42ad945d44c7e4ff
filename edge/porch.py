"""What people perceive at the door once a decision is written: lights, tone, screen.

Responsible for: what is shown and heard, for how long, and when the same answer is not flashed again.
Not responsible for: deciding, journaling (loop.py), the strike (doorway.py), patterns (feedback.py), pins (pins.py).
Obeys: UX "the gate's answer" (the result stays 3 s, the next scan replaces it); HOSTILE P8, P43 (green stays).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from edge.decision import Decision
from edge.door import Told
from edge.feedback import DIGITS, DOOR_TONES, IDLE, OUT_OF_ORDER, RESTING, RESULT_MS, Face, Feedback, feedback_for
from edge.pins import Pins
from edge.shift import DIGITS_SECONDS
from edge.web.board import Board
from protocols.documents import Mode
from protocols.events import Flag
from protocols.reasons import Reason, Signal

RED_AGAIN_SECONDS = 10.0  # the same refusal of the same text is not flashed again before


@dataclass
class _Shown:
    """What people see now, since when and until when (monotonic seconds)."""

    feedback: Feedback = IDLE
    code: str = ""
    text: str = ""
    since: float = 0.0
    until: float = 0.0


class Porch:
    """The people's side of the gate. Used by the loop alone."""

    def __init__(self, pins: Pins, board: Board) -> None:
        self._pins, self._board = pins, board
        self._shown = _Shown()

    def sound(self, told: list[Told]) -> None:
        """What the door itself says to who stands there."""
        for one in told:
            if one in DOOR_TONES:
                self._pins.buzzer.play(DOOR_TONES[one])

    def show(self, decision: Decision, text: str, *, offline: bool) -> bool:
        """Show a decision; False where it only goes on being what is shown already, or was a moment ago."""
        if decision.signal is Signal.NONE and decision.code != Reason.NOTHING_WAITS:
            return False
        moment = time.monotonic()
        if self._shown.feedback.face is Face.DIGITS and moment < self._shown.until:
            if not (decision.events or decision.strike):
                return False  # the staff's phone is still in view: its redraws do not take the digits away
        if decision.code == Reason.SAME_AS_BEFORE and self._stays_green(moment):
            self._go_on(moment)
            return decision.strike
        if not (decision.events or decision.strike) and self._is_repeat(decision, text, moment):
            if decision.signal in (Signal.GREEN, Signal.AMBER) and moment < self._shown.until:
                self._go_on(moment)
            return False
        feedback = feedback_for(
            Reason(decision.code),
            direction=decision.acts[0][1] if decision.acts else None,
            by=decision.by,
            offline=offline or Flag.REPLAY_BUS_DOWN in decision.flags,
        )
        self._shown = _Shown(feedback, str(decision.code), text, moment, moment + RESULT_MS / 1000)
        self._pins.lights.play(feedback.light, RESULT_MS)
        self._pins.buzzer.play(feedback.tone)
        self._board.show(feedback)
        return True

    def show_digits(self, digits: str) -> None:
        """Show what the staff member who stands here types on a tablet; the next answer replaces it."""
        feedback, moment = replace(DIGITS, digits=digits), time.monotonic()
        if feedback != self._shown.feedback:
            self._board.show(feedback)
        self._shown = _Shown(feedback, since=moment, until=moment + DIGITS_SECONDS)

    def hide_digits(self) -> None:
        """They were typed, or are worth nothing any more."""
        if self._shown.feedback.face is Face.DIGITS:
            self._shown.until = 0.0

    def fade(self, mode: Mode, *, broken: bool) -> None:
        """Where the last result has had its time: back to what the gate shows when nobody is there."""
        rest = RESTING.get(mode) or (OUT_OF_ORDER if broken else IDLE)
        if time.monotonic() >= self._shown.until and self._shown.feedback != rest:
            self._shown.feedback = rest
            self._pins.lights.base(rest.light)
            self._board.show(rest)

    def _stays_green(self, moment: float) -> bool:
        return self._shown.feedback.face is Face.OPEN and moment < self._shown.until

    def _go_on(self, moment: float) -> None:
        self._shown.until = moment + RESULT_MS / 1000
        self._pins.lights.extend(RESULT_MS)

    def _is_repeat(self, decision: Decision, text: str, moment: float) -> bool:
        """Whether this answer is on show, or was flashed for this very text a moment ago."""
        shown = self._shown
        if decision.code != shown.code:
            return False
        if moment < shown.until and decision.signal in (Signal.GREEN, Signal.AMBER):
            return True
        return text == shown.text and moment - shown.since < RED_AGAIN_SECONDS
