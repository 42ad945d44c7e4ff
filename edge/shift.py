"""A shift: a tablet opened by a staff pass shown to the gate and the four digits that only its own screen shows.

PURE. Responsible for: who asks for a shift, the digits (one use, a minute, few tries), the shifts that run and when
they end. Not responsible for: judging the pass (gate.py), randomness and hashes (desk.py), cookies (web/tablet.py),
what a shift may do (tablet.py, gate.py). Obeys: docs/tablet.md; the shift outlives a restart, the digits do not.

A tablet is known by the hash of a secret of its own, a shift by the hash of another: neither secret is ever kept here.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edge.memory import Change
from edge.roster import UNTRUSTED
from protocols.canonical import CanonicalError, decode, encode
from protocols.passes import Credential, Revocations

ASKING_SECONDS = 120.0  # a tablet that asked waits so long for a staff pass
ASKING_MAX = 3  # tablets that ask at once: with TRIES_MAX it bounds what guessing is worth (5 in 10,000)
ASKS_PER_MINUTE_MAX = 12  # of the whole network; more is a machine
DIGITS = 4
DIGITS_SECONDS = 60.0
TRIES_MAX = 5  # wrong digits of all tablets together, for one pass that was shown
SHIFTS_MAX = 8  # tablets of one gate; the oldest shift ends for a ninth
TABLE = "shift"  # of saved state


class ShiftCode(StrEnum):
    """What opening a shift answers."""

    ASKED = "ASKED"
    TOO_MANY_ASK = "TOO_MANY_ASK"
    OPENED = "OPENED"
    SHOW_PASS = "SHOW_PASS"  # no digits stand on the screen for this tablet: ask, then show the pass
    WRONG_DIGITS = "WRONG_DIGITS"
    DIGITS_DEAD = "DIGITS_DEAD"  # too many wrong tries: the pass has to be shown again


@dataclass(frozen=True)
class Shift:
    """One open tablet. token: SHA-256 of its secret; began_at, ends_at: UTC seconds."""

    token: bytes
    staff: int
    powers: int
    cti: bytes
    thumb: bytes
    issuer: bytes
    began_at: int
    ends_at: int

    def as_value(self) -> list:
        return [self.staff, self.powers, self.cti, self.thumb, self.issuer, self.began_at, self.ends_at]

    def is_revoked(self, revocations: Revocations) -> bool:
        """Whether the pass that opened it counts no more: then the shift does not either."""
        return self.cti in revocations.ctis or self.thumb in revocations.thumbs or self.issuer in revocations.kids


@dataclass
class _Shown:
    """Digits that stand on the gate's screen, and for whose pass."""

    digits: str
    credential: Credential
    at: float
    wrong: int = 0


@dataclass
class Shifts:
    """The shifts of one gate. seconds: how long one lasts at most. Every method takes UTC seconds."""

    seconds: float
    _open: dict[bytes, Shift] = field(default_factory=dict)
    _asking: dict[bytes, float] = field(default_factory=dict)
    _asked: list[float] = field(default_factory=list)
    _shown: _Shown | None = None
    _changes: dict[bytes, bytes | None] = field(default_factory=dict)

    def restore(self, saved: Mapping[tuple[str, bytes], bytes]) -> None:
        """Take back the shifts of before a restart: a power cut takes no tablet away."""
        for (table, token), value in saved.items():
            if table == TABLE:
                try:
                    shift = Shift(token, *decode(value))
                except (CanonicalError, TypeError):
                    self._changes[token] = None  # of another version: that shift is opened anew
                else:
                    self._open[token] = shift

    # --- opening ------------------------------------------------------------------------------------------------

    def ask(self, tablet: bytes, at: float) -> ShiftCode:
        """A tablet asks for a shift; asking again is the same question."""
        self._forget(at)
        if tablet in self._asking:
            return ShiftCode.ASKED
        if len(self._asking) >= ASKING_MAX or len(self._asked) >= ASKS_PER_MINUTE_MAX:
            return ShiftCode.TOO_MANY_ASK
        self._asking[tablet] = at
        self._asked.append(at)
        return ShiftCode.ASKED

    def pass_shown(self, credential: Credential, digits: str, at: float) -> str | None:
        """Return the digits to show for a staff pass that was judged just now; None where no tablet asks.

        The same pass shown again keeps its digits, so that a redraw does not change them under the typing hand.
        """
        self._forget(at)
        if not self._asking:
            return None
        shown = self._shown
        if shown is None or shown.credential.cti != credential.cti:
            self._shown = shown = _Shown(digits, credential, at)
        return shown.digits

    def open(self, tablet: bytes, typed: str, token: bytes, at: float) -> ShiftCode:
        """Open a shift for the tablet that asked and whose digits are right. token: hash of the secret it is given."""
        self._forget(at)
        shown = self._shown
        if tablet not in self._asking or shown is None:
            return ShiftCode.SHOW_PASS
        if not hmac.compare_digest(typed.encode(), shown.digits.encode()):
            shown.wrong += 1
            if shown.wrong < TRIES_MAX:
                return ShiftCode.WRONG_DIGITS
            self._shown = None
            return ShiftCode.DIGITS_DEAD
        self._shown = None
        del self._asking[tablet]
        self._begin(shown.credential, token, at)
        return ShiftCode.OPENED

    def _begin(self, credential: Credential, token: bytes, at: float) -> None:
        ends = min(int(at + self.seconds), credential.exp)
        shift = Shift(token, credential.holder, credential.powers, credential.cti, credential.thumb,
                      credential.issuer, int(at), ends)  # fmt: skip
        self._open[token] = shift
        self._changes[token] = encode(shift.as_value())
        while len(self._open) > SHIFTS_MAX:
            self.end(next(iter(self._open)))

    # --- open ---------------------------------------------------------------------------------------------------

    def find(self, token: bytes, at: float, clock: str, revocations: Revocations) -> Shift | None:
        """Return the shift of this token while it runs; one that is over is forgotten.

        With an untrusted clock nothing can be said of its end: it runs on, since only the tablet can let people in.
        """
        shift = self._open.get(token)
        if shift is None:
            return None
        over = clock != UNTRUSTED and not shift.began_at - self.seconds <= at < shift.ends_at
        if over or shift.is_revoked(revocations):
            self.end(token)
            return None
        return shift

    def end(self, token: bytes) -> None:
        if self._open.pop(token, None) is not None:
            self._changes[token] = None

    @property
    def tokens(self) -> frozenset[bytes]:
        """The hashes of all that are open, as far as anybody looked."""
        return frozenset(self._open)

    def take_changes(self) -> tuple[Change, ...]:
        """Return the rows of saved state that changed since the last call."""
        changes = tuple((TABLE, token, value) for token, value in self._changes.items())
        self._changes.clear()
        return changes

    def _forget(self, at: float) -> None:
        """Drop what is over; a clock that jumped ends it as well."""
        self._asked = [moment for moment in self._asked if 0 <= at - moment < 60]
        for tablet in [one for one, since in self._asking.items() if not 0 <= at - since < ASKING_SECONDS]:
            del self._asking[tablet]
        if self._shown is not None and not 0 <= at - self._shown.at < DIGITS_SECONDS:
            self._shown = None
