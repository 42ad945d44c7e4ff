"""The staff's desk: what tablets ask over the network, done one at a time in the loop's thread, between two frames.

Responsible for: handing a page's question to the loop and its answer back, bounded in number and in waiting; secrets of
tablets and shifts (only their hashes are kept); the digits for the screen; what open tablets are told.
Not responsible for: HTTP and cookies (web/tablet.py), who may what (shift.py, gate.py, tablet.py), the order of journal
and door (loop.py). Obeys: ARCHITECTURE "the only sequencer"; docs/tablet.md.
"""

from __future__ import annotations

import hashlib
import json
import queue
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from edge.decision import Decision, StaffAnswer
from edge.loop import Loop
from edge.shift import DIGITS, Shift, ShiftCode, Shifts
from edge.tablet import Act, Hand, name_of
from edge.web.board import Board
from protocols.passes import Credential
from protocols.reasons import Reason

ERRANDS_MAX = 32  # questions that wait for the loop; more are told to come again
ERRANDS_A_TURN_MAX = 4  # each may write to the disk: the camera is not kept waiting for more
PATIENCE_SECONDS = 3.0  # a question that the loop has not taken by then is not done any more
SECRET_BYTES = 32
TOPIC = "tablet"

Told = TypeVar("Told")
Json = dict[str, Any]


class Busy(Exception):
    """The loop did not take the question in time: nothing was done."""


class NoShift(Exception):
    """This tablet has no shift, or has one no more."""


@dataclass
class _Errand:
    """One question. Whoever takes `claim` first decides: the loop does it, or the page gives up."""

    run: Callable[[float], Any]
    claim: threading.Lock = field(default_factory=threading.Lock)
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = None


class Desk:
    """Of one gate. now: UTC seconds; saved: rows of saved state of before the start."""

    def __init__(
        self, loop: Loop, board: Board, now: Callable[[], float], *, shift_seconds: float,
        saved: Mapping[tuple[str, bytes], bytes],
    ) -> None:  # fmt: skip
        self._loop, self._board, self._now = loop, board, now
        self._shifts = Shifts(shift_seconds)
        self._shifts.restore(saved)
        self._errands: queue.Queue[_Errand] = queue.Queue(ERRANDS_MAX)
        self._said: Json = {}
        self.line = "{}"  # what open tablets see, as one line; replaced whole
        self.running: frozenset[bytes] = frozenset()  # hashes of the shifts that run; replaced whole
        loop.each_turn(self._turn)
        loop.each_second(self._each_second)
        loop.on_staff_pass(self._pass_shown)
        self._tell(now())

    # --- asked by the pages' threads ----------------------------------------------------------------------------

    def ask(self, tablet: str) -> ShiftCode:
        """A tablet asks for a shift."""
        return self._in_loop(lambda at: self._shifts.ask(_hash(tablet), at))

    def open(self, tablet: str, digits: str) -> tuple[ShiftCode, str]:
        """Return the code, and the new shift's secret where it is OPENED."""
        secret = new_secret()
        return self._in_loop(lambda at: (self._open(tablet, digits, secret, at), secret))

    def end(self, secret: str) -> None:
        self._in_loop(lambda at: self._end(secret, at))

    def shift(self, secret: str) -> Shift | None:
        """Return the shift that this secret opened, while it runs."""
        return self._in_loop(lambda at: self._find(secret, at)) if secret else None

    def runs(self, secret: str) -> bool:
        """Whether the shift of this secret ran a second ago: for streams, which must not wait."""
        return _hash(secret) in self.running

    def answer(self, secret: str, name: str, confirm: bool, direction: int | None) -> Decision:
        """Confirm or decline the request of that name. Raises NoShift, Busy."""

        def settle(shift: Shift, at: float) -> Decision:
            key = next((one.key for one in self._loop.gate.waiting(at) if name_of(one.key) == name), None)
            if key is None:
                return Decision(Reason.NOTHING_WAITS)
            said = StaffAnswer(confirm, shift.staff, direction, shift.powers, key)
            return self._loop.carry_out(self._loop.gate.staff(said, at), at)

        return self._with_shift(secret, settle)

    def act(self, secret: str, act: Act) -> Decision:
        """Enter a fact by hand. Raises NoShift, Busy."""

        def enter(shift: Shift, at: float) -> Decision:
            return self._loop.carry_out(self._loop.gate.by_hand(act, Hand(shift.staff, shift.powers), at), at)

        return self._with_shift(secret, enter)

    def _with_shift(self, secret: str, what: Callable[[Shift, float], Told]) -> Told:
        def run(at: float) -> Told:
            shift = self._find(secret, at)
            if shift is None:
                raise NoShift
            result = what(shift, at)
            self._tell(at)
            return result

        return self._in_loop(run)

    def _in_loop(self, run: Callable[[float], Told]) -> Told:
        errand = _Errand(run)
        try:
            self._errands.put_nowait(errand)
        except queue.Full:
            raise Busy from None
        if not errand.done.wait(PATIENCE_SECONDS) and errand.claim.acquire(blocking=False):
            raise Busy  # the loop will find it claimed, and leave it
        errand.done.wait()
        if errand.error is not None:
            raise errand.error
        return errand.result

    # --- in the loop's thread -----------------------------------------------------------------------------------

    def _turn(self) -> None:
        for _ in range(ERRANDS_A_TURN_MAX):
            try:
                errand = self._errands.get_nowait()
            except queue.Empty:
                return
            if not errand.claim.acquire(blocking=False):
                continue
            try:
                errand.result = errand.run(self._now())
            except Exception as error:
                errand.error = error  # whoever asked is told
            finally:
                errand.done.set()

    def _each_second(self, at: float) -> None:
        for token in self.running:
            self._shifts.find(token, at, self._loop.gate.roster.clock, self._loop.gate.roster.revocations)
        self._tell(at)

    def _pass_shown(self, credential: Credential, at: float) -> None:
        digits = self._shifts.pass_shown(credential, f"{secrets.randbelow(10**DIGITS):0{DIGITS}}", at)
        if digits is not None:
            self._loop.porch.show_digits(digits)
        self._tell(at)

    def _open(self, tablet: str, digits: str, secret: str, at: float) -> ShiftCode:
        code = self._shifts.open(_hash(tablet), digits, _hash(secret), at)
        if code in (ShiftCode.OPENED, ShiftCode.DIGITS_DEAD):
            self._loop.porch.hide_digits()
        if code is ShiftCode.DIGITS_DEAD:
            self._loop.cry("TABLET_DIGITS")
        self._keep(at)
        return code

    def _end(self, secret: str, at: float) -> None:
        self._shifts.end(_hash(secret))
        self._keep(at)

    def _find(self, secret: str, at: float) -> Shift | None:
        roster = self._loop.gate.roster
        return self._shifts.find(_hash(secret), at, roster.clock, roster.revocations)

    def _keep(self, at: float) -> None:
        changes = self._shifts.take_changes()
        if changes:
            self._loop.write((), changes)
        self.running = self._shifts.tokens
        self._tell(at)

    def _tell(self, at: float) -> None:
        """Say to open tablets what is so now, where it changed; nothing is worked out while none is open."""
        if self._shifts.tokens != self.running:
            self._keep(at)
            return
        said = self._loop.gate.on_tablet(at) if self.running else {}
        if said != self._said or not self.running:
            self._said = said
            self.line = json.dumps({**said, "now_ms": int(at * 1000)}, separators=(",", ":"))
            if said:
                self._board.tell(TOPIC, self.line)


def new_secret() -> str:
    return secrets.token_urlsafe(SECRET_BYTES)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
