"""PURE. A decision becomes what people perceive: screen, light, tone, and which words.

Responsible for: the table of UX.md "the gate's answer"; every reason code has words, a light and a tone.
Not responsible for: the words themselves (screen.py), driving lamps (pins.py).
Obeys: UX "the gate's answer"; PROTOCOL P-3 (signals; all neutral red alike).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge.door import Told
from protocols.documents import Mode
from protocols.reasons import SIGNAL, Reason, Signal

RESULT_MS = 3_000  # UX: the result stays 3 s, the next scan replaces it


class Colour(StrEnum):
    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    WHITE = "white"


Lamps = frozenset[Colour]
DARK: Lamps = frozenset()


@dataclass(frozen=True)
class Light:
    """A light pattern: steps (lamps, milliseconds), repeated or ending in the steady lamps `then`."""

    steps: tuple[tuple[Lamps, int], ...]
    then: Lamps = DARK
    repeat: bool = False


@dataclass(frozen=True)
class Tone:
    """Notes (hertz, milliseconds); 0 hertz is a pause."""

    notes: tuple[tuple[int, int], ...] = ()


class Face(StrEnum):
    """What the screen looks like: colour and shape."""

    IDLE = "idle"
    READING = "reading"
    OPEN = "open"
    ASK = "ask"
    REFUSED = "refused"
    OUT_OF_ORDER = "out_of_order"
    DIGITS = "digits"


class Words(StrEnum):
    """Keys of the gate's few sentences, in the order in which screen.py says them."""

    SHOW_CODE = "show_code"
    HOLD_STILL = "hold_still"
    WELCOME = "welcome"
    GOODBYE = "goodbye"
    MOMENT = "moment"
    ONE_CODE = "one_code"
    PHONE_CLOCK = "phone_clock"
    GATE_CLOCK = "gate_clock"
    OFFICE = "office"
    OPEN_AGAIN = "open_again"
    NOT_A_PASS = "not_a_pass"
    NOT_KNOWN = "not_known"
    OTHER_SCHOOL = "other_school"
    OTHER_GATE = "other_gate"
    CLOSED = "closed"
    LOCKDOWN = "lockdown"
    EVACUATE = "evacuate"
    DOOR_OPEN = "door_open"
    DECLINED = "declined"
    NOTHING_WAITS = "nothing_waits"
    RING = "ring"
    DIGITS = "digits"


def _lamps(*colours: Colour) -> Lamps:
    return frozenset(colours)


_GREEN, _AMBER, _RED, _WHITE = (_lamps(c) for c in (Colour.GREEN, Colour.AMBER, Colour.RED, Colour.WHITE))

LIGHT_IDLE = Light(((_WHITE, 2_000), (DARK, 2_000)), repeat=True)
LIGHT_READING = Light((), then=_WHITE)
LIGHT_OPEN = Light((), then=_GREEN)
LIGHT_OPEN_OFFLINE = Light(((_GREEN, 600), (_GREEN | _WHITE, 200)), then=_GREEN)
LIGHT_ASK = Light(((_AMBER, 500), (DARK, 500)), repeat=True)  # 1 Hz
LIGHT_REFUSED = Light(((_RED, 200), (DARK, 200)) * 3, then=_RED)  # 2.5 Hz: nothing flashes above 3 a second
LIGHT_OUT_OF_ORDER = Light(((_RED, 200), (DARK, 4_800)), repeat=True)
LIGHT_NONE = Light(())

TONE_NONE = Tone()
TONE_TICK = Tone(((2_000, 20),))
TONE_OPEN = Tone(((880, 120), (1_320, 180)))
TONE_ASK = Tone(((660, 150), (0, 80), (660, 150)))
TONE_REFUSED = Tone(((220, 600),))
TONE_CLOSE_THE_DOOR = Tone(((1_760, 80), (0, 120)) * 3)
TONE_HELD_OPEN = Tone(((1_760, 80), (0, 120)) * 10)
TONE_FORCED = Tone(((880, 250), (660, 250)) * 6)


@dataclass(frozen=True)
class Feedback:
    """Everything perceived at once. offline: the small cloud-off mark. seconds: for "your phone is N s ahead"."""

    face: Face
    words: Words
    light: Light
    tone: Tone
    offline: bool = False
    seconds: int | None = None
    digits: str = ""  # what opens a shift on a tablet: on the gate's own screen and nowhere else


# What the door itself says, to whoever stands there; the rest of what it tells is for the office (docs/door.md).
DOOR_TONES: dict[Told, Tone] = {
    Told.PRE_ALARM: TONE_CLOSE_THE_DOOR,
    Told.HELD_OPEN: TONE_HELD_OPEN,
    Told.FORCED: TONE_FORCED,
}

IDLE = Feedback(Face.IDLE, Words.SHOW_CODE, LIGHT_IDLE, TONE_NONE)
READING = Feedback(Face.READING, Words.HOLD_STILL, LIGHT_READING, TONE_TICK)
OUT_OF_ORDER = Feedback(Face.OUT_OF_ORDER, Words.RING, LIGHT_OUT_OF_ORDER, TONE_NONE)

# What the gate shows when nobody is there, by the mode of its site; in the others it is idle.
RESTING: dict[Mode, Feedback] = {
    Mode.LOCKDOWN: Feedback(Face.REFUSED, Words.LOCKDOWN, Light((), then=_RED), TONE_NONE),
    Mode.EVACUATE: Feedback(Face.OPEN, Words.EVACUATE, LIGHT_OPEN, TONE_NONE),
    Mode.FREE: Feedback(Face.OPEN, Words.DOOR_OPEN, LIGHT_OPEN, TONE_NONE),
}
DIGITS = Feedback(Face.DIGITS, Words.DIGITS, LIGHT_NONE, TONE_NONE)

_BY_SIGNAL: dict[Signal, tuple[Face, Light, Tone]] = {
    Signal.GREEN: (Face.OPEN, LIGHT_OPEN, TONE_OPEN),
    Signal.AMBER: (Face.ASK, LIGHT_ASK, TONE_ASK),
    Signal.RED: (Face.REFUSED, LIGHT_REFUSED, TONE_REFUSED),
    Signal.NEUTRAL_RED: (Face.REFUSED, LIGHT_REFUSED, TONE_REFUSED),
    Signal.NONE: (Face.IDLE, LIGHT_NONE, TONE_NONE),
}

# Neutral red is not in this table: it says one sentence for all its codes, so that it tells nobody anything.
_WORDS: dict[Reason, Words] = {
    Reason.NOT_A_PASS: Words.NOT_A_PASS,
    Reason.TOO_LONG: Words.NOT_A_PASS,
    Reason.UNKNOWN_VERSION: Words.OPEN_AGAIN,
    Reason.FORMAT: Words.OPEN_AGAIN,
    Reason.SHOW_ONE_CODE: Words.ONE_CODE,
    Reason.BAD_ALG: Words.NOT_KNOWN,
    Reason.UNKNOWN_ISSUER: Words.NOT_KNOWN,
    Reason.ISSUER_REVOKED: Words.NOT_KNOWN,
    Reason.BAD_SIGNATURE: Words.NOT_KNOWN,
    Reason.ISSUER_WINDOW: Words.NOT_KNOWN,
    Reason.OTHER_SITE: Words.OTHER_SCHOOL,
    Reason.GATE_CLOCK: Words.GATE_CLOCK,
    Reason.NOT_YET_VALID: Words.OPEN_AGAIN,
    Reason.EXPIRED: Words.OPEN_AGAIN,
    Reason.BAD_KEY: Words.NOT_KNOWN,
    Reason.CHILD_NOT_IN_PASS: Words.NOT_KNOWN,
    Reason.OTHER_GATE: Words.OTHER_GATE,
    Reason.SAME_AS_BEFORE: Words.WELCOME,
    Reason.CLOCK_SKEW: Words.PHONE_CLOCK,
    Reason.FUTURE: Words.OPEN_AGAIN,
    Reason.STALE: Words.OPEN_AGAIN,
    Reason.REPLAY: Words.OPEN_AGAIN,
    Reason.LOCKDOWN: Words.LOCKDOWN,
    Reason.CLOSED: Words.CLOSED,
    Reason.STAFF_CONFIRM: Words.MOMENT,
    Reason.CONFIRMED: Words.WELCOME,
    Reason.DECLINED: Words.DECLINED,
    Reason.NOTHING_WAITS: Words.NOTHING_WAITS,
    Reason.OPEN: Words.WELCOME,
    Reason.OK: Words.SHOW_CODE,
}


def feedback_for(
    code: Reason, *, direction: int | None = None, by: int | None = None, offline: bool = False
) -> Feedback:
    """Return what people perceive of this code.

    direction: 1 in, 2 out, None for staff who enter or where nothing moved. by: seconds a phone is ahead.
    """
    signal = SIGNAL[code]
    face, light, tone = _BY_SIGNAL[signal]
    if signal is Signal.NEUTRAL_RED:
        return Feedback(face, Words.OFFICE, light, tone)
    words = _WORDS[code]
    if words is Words.WELCOME and direction == 2:
        words = Words.GOODBYE
    if code is Reason.SAME_AS_BEFORE:
        tone = TONE_NONE  # green stays; nobody is called twice
    if face is Face.OPEN and offline:
        light = LIGHT_OPEN_OFFLINE
    shown = by if words is Words.PHONE_CLOCK else None
    return Feedback(face, words, light, tone, offline and face is Face.OPEN, shown)
