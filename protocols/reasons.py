"""Reason codes shared by gate, cloud and pages: what an answer is called, and how it is signalled.

Never text for people: words are chosen at the edge, in the reader's language, from these codes.
Obeys PROTOCOL sections 3 (verdicts) and 4 (documents).
"""

from enum import StrEnum


class Reason(StrEnum):
    """The gate's answers, in the order of the table in P-3."""

    NOT_A_PASS = "NOT_A_PASS"
    TOO_LONG = "TOO_LONG"
    UNKNOWN_VERSION = "UNKNOWN_VERSION"
    FORMAT = "FORMAT"
    SHOW_ONE_CODE = "SHOW_ONE_CODE"
    BAD_ALG = "BAD_ALG"
    UNKNOWN_ISSUER = "UNKNOWN_ISSUER"
    ISSUER_REVOKED = "ISSUER_REVOKED"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    ISSUER_WINDOW = "ISSUER_WINDOW"
    OTHER_SITE = "OTHER_SITE"
    GATE_CLOCK = "GATE_CLOCK"
    NOT_YET_VALID = "NOT_YET_VALID"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"
    HOLDER_BLOCKED = "HOLDER_BLOCKED"
    DEVICE_REVOKED = "DEVICE_REVOKED"
    BAD_KEY = "BAD_KEY"
    CHILD_NOT_IN_PASS = "CHILD_NOT_IN_PASS"
    OTHER_GATE = "OTHER_GATE"
    SAME_AS_BEFORE = "SAME_AS_BEFORE"
    CLOCK_SKEW = "CLOCK_SKEW"
    FUTURE = "FUTURE"
    STALE = "STALE"
    REPLAY = "REPLAY"
    LOCKDOWN = "LOCKDOWN"
    CLOSED = "CLOSED"
    NOT_ALLOWED = "NOT_ALLOWED"
    CUSTODY = "CUSTODY"
    PASSBACK = "PASSBACK"
    STAFF_CONFIRM = "STAFF_CONFIRM"
    CONFIRMED = "CONFIRMED"
    DECLINED = "DECLINED"
    NOTHING_WAITS = "NOTHING_WAITS"
    OPEN = "OPEN"
    OK = "OK"  # a step that asks for no verdict (a bus, a clock, a note)


class Signal(StrEnum):
    """What people at the door perceive: colour, light and tone follow from it (UX, the gate's answer)."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    NEUTRAL_RED = "neutral_red"  # "Please see the office", alike for all its codes: it tells nobody anything
    NONE = "none"


SIGNAL: dict[Reason, Signal] = {
    **dict.fromkeys(Reason, Signal.RED),
    **dict.fromkeys((Reason.OPEN, Reason.CONFIRMED, Reason.SAME_AS_BEFORE), Signal.GREEN),
    **dict.fromkeys((Reason.SHOW_ONE_CODE, Reason.GATE_CLOCK, Reason.CLOCK_SKEW, Reason.STAFF_CONFIRM), Signal.AMBER),
    **dict.fromkeys((Reason.REVOKED, Reason.HOLDER_BLOCKED, Reason.DEVICE_REVOKED), Signal.NEUTRAL_RED),
    **dict.fromkeys((Reason.NOT_ALLOWED, Reason.CUSTODY, Reason.PASSBACK), Signal.NEUTRAL_RED),
    **dict.fromkeys((Reason.NOTHING_WAITS, Reason.OK), Signal.NONE),
}

# Codes whose row in P-3 says "alert": somebody may be attacking. They name themselves among the alarms.
ALERTS = frozenset(
    {
        Reason.BAD_ALG,
        Reason.UNKNOWN_ISSUER,
        Reason.ISSUER_REVOKED,
        Reason.BAD_SIGNATURE,
        Reason.ISSUER_WINDOW,
        Reason.BAD_KEY,
        Reason.CHILD_NOT_IN_PASS,
        Reason.OTHER_GATE,
        Reason.REPLAY,
    }
)
# Codes of which the head hears, silently: at most once in 10 minutes for a holder and child (P-3).
HEAD_ALERTS = frozenset({Reason.REVOKED, Reason.HOLDER_BLOCKED, Reason.DEVICE_REVOKED, Reason.CUSTODY})
# The operator of the fleet hears of these.
FLEET_ALARMS = frozenset({Reason.GATE_CLOCK})

DOUBLE_USE = "DOUBLE_USE"  # one presentation at two gates (event kind 16)

# Answers that wait 60 s for staff (P-3, Waiting). CUSTODY and LOCKDOWN do not: the office decides.
WAITING = frozenset({Reason.STAFF_CONFIRM, Reason.CLOSED, Reason.PASSBACK, Reason.NOT_ALLOWED})


class DocumentCode(StrEnum):
    """How loading a document of P-4 ends; its kind goes before it: LIST_OK, TRUST_FORK, MODE_FUTURE."""

    OK = "OK"
    FORMAT = "FORMAT"
    KEY = "KEY"
    SITE = "SITE"
    FUTURE = "FUTURE"
    ROLLBACK = "ROLLBACK"
    FORK = "FORK"
    EXPIRED = "EXPIRED"  # a mode or a command past its end


class DocumentKind(StrEnum):
    """Prefix of a document's codes, by domain (P-4); the last three are the ledger's and the bus's (P-5, P-6)."""

    KR1 = "LIST"
    KK1 = "TRUST"
    KL1 = "GATES"
    KF1 = "CONFIG"
    KM1 = "MODE"
    KX1 = "COMMAND"
    KE1 = "SEGMENT"
    KA1 = "RECEIPT"
    KS1 = "BUS"
