"""What a gate cries in its heartbeat, as alarms of the fleet: refused documents and notes, forged passes, its disk.

PURE. Responsible for: which of a gate's counters (up/hb `alarms`, P-6) an operator hears of, by which code, and
whether one has risen since the heartbeat before. Not responsible for: what concerns children (REPLAY, CUSTODY: the
head hears of those), or keeping alarms (fleet/service). Hostile cases P14, P15, P31, P40, P42.
"""

from collections.abc import Mapping

CRIES_MAX = 64  # names in one heartbeat; our gates know 40
DOCUMENT_REFUSED, NOTE_REFUSED, PASS_FORGED = "DOCUMENT_REFUSED", "NOTE_REFUSED", "PASS_FORGED"
JOURNAL_FAILED, GATE_CLOCK = "JOURNAL_FAILED", "GATE_CLOCK"
PASSING = frozenset((DOCUMENT_REFUSED, NOTE_REFUSED, PASS_FORGED, JOURNAL_FAILED, GATE_CLOCK, "GATE_CLONED",
                    "BROKER_WRITE_DENIED", "BROKER_READ_DENIED", "CERTIFICATE_REFUSED",
                    "ROLLOUT_FAILED"))  # fmt: skip
# What these tell stands in up/rep or among the door's own states, and is shown from there.
ELSEWHERE = frozenset(("CONFIG_REJECTED", "CONFIG_ROLLED_BACK"))
PASSING_SECONDS = 86_400  # such an alarm is over a day after the last cry: nothing closes it otherwise

_WHOLE = {"RECEIPT_FUTURE": DOCUMENT_REFUSED, "JOURNAL": JOURNAL_FAILED, "GATE_CLOCK": GATE_CLOCK} | dict.fromkeys(
    ("BAD_ALG", "UNKNOWN_ISSUER", "ISSUER_REVOKED", "BAD_SIGNATURE", "ISSUER_WINDOW", "BAD_KEY"), PASS_FORGED
)
_FIRST_WORD = {"BUS": NOTE_REFUSED} | dict.fromkeys(
    ("LIST", "TRUST", "GATES", "MODE", "CONFIG", "COMMAND"), DOCUMENT_REFUSED
)


def risen(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return by alarm the counters that rose, with what they stand at. A counter that fell began anew with its gate."""
    alarms: dict[str, dict[str, int]] = {}
    for name, count in now.items():
        known = before.get(name, 0)
        alarm = _WHOLE.get(name) or _FIRST_WORD.get(name.partition("_")[0])
        if alarm is not None and name not in ELSEWHERE and count > (known if count >= known else 0):
            alarms.setdefault(alarm, {})[name] = count
    return alarms
