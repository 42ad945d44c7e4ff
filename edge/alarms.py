"""How often the gate may write and cry: rubbish must not wear out the disk or the operator.

PURE. Counts what is not recorded. Obeys P-3, Events.
"""

from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable

from protocols.limits import ALERT_SECONDS, ANSWERS_REMEMBERED_MAX, HEAD_ALERT_SECONDS, REFUSALS_PER_MINUTE_MAX
from protocols.reasons import ALERTS, FLEET_ALARMS, HEAD_ALERTS, Reason

_MINUTE_SECONDS = 60


class Alarms:
    """What was cried and recorded lately, and how much was only counted."""

    def __init__(self) -> None:
        self._cried: OrderedDict[Hashable, float] = OrderedDict()
        self._refusals: OrderedDict[bytes, list[float]] = OrderedDict()
        self._counts: Counter[str] = Counter()

    def unread(self, reason: Reason, at: float) -> tuple[str, ...]:
        """Count what failed before its issuer was known; alarms: at most one an hour and code."""
        self._counts[reason] += 1
        return self._once((reason,), at, ALERT_SECONDS, [reason] if reason in ALERTS else [])

    def refused(self, reason: Reason, at: float) -> tuple[str, ...]:
        """Alarms of an answer: attacks each time, the fleet once an hour and code."""
        if reason in ALERTS:
            return (reason,)
        return self._once((reason,), at, ALERT_SECONDS, [reason] if reason in FLEET_ALARMS else [])

    def for_head(self, reasons: Iterable[tuple[int, Reason]], holder: int, at: float) -> tuple[str, ...]:
        """What the head hears of children: once in 10 minutes for a holder and child."""
        told = [self._once((holder, child), at, HEAD_ALERT_SECONDS, [r]) for child, r in reasons if r in HEAD_ALERTS]
        return tuple(dict.fromkeys(alarm for alarms in told for alarm in alarms))

    def may_record(self, credential: bytes, code: str, at: float) -> bool:
        """Whether one more refusal of this credential is written down: 6 a minute, the rest counted."""
        recent = [moment for moment in self._refusals.get(credential, []) if abs(at - moment) < _MINUTE_SECONDS]
        allowed = len(recent) < REFUSALS_PER_MINUTE_MAX
        if allowed:
            recent.append(at)
        else:
            self._counts[code] += 1
        _keep(self._refusals, credential, recent)
        return allowed

    def take_counts(self) -> dict[str, int]:
        """Return and forget what was counted and not recorded, by code."""
        counts = dict(self._counts)
        self._counts.clear()
        return counts

    def _once(self, key: Hashable, at: float, seconds: float, alarms: list[Reason]) -> tuple[str, ...]:
        last = self._cried.get(key)
        if not alarms or last is not None and abs(at - last) < seconds:
            return ()
        _keep(self._cried, key, at)
        return tuple(alarms)


def _keep(rows: OrderedDict, key: Hashable, value: object) -> None:
    rows[key] = value
    rows.move_to_end(key)
    while len(rows) > ANSWERS_REMEMBERED_MAX:
        rows.popitem(last=False)
