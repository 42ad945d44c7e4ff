"""Whether one gate is two: sessions of a gate that take turns, and certificates that come to their end.

PURE. Responsible for: which sessions a gate's newer ones replaced (a bounded history), when their coming back says that
a card was copied, the alarms of a certificate's last days. Not responsible for: forks of a ledger, which say the same
more surely but later (attendance, alarm LEDGER_FORK). Rules: P24; P-6 up/st (a session is made anew at each start).
"""

from collections.abc import Sequence
from datetime import datetime

CLONED = "GATE_CLONED"
PAST_MAX = 8  # the table keeps no more
WINDOW_SECONDS = 600
# A start makes a session that never was. Two that take turns come back and back; what ingest hears twice after a crash
# of its own comes back once or twice.
RETURNS = 3

# Days before the end -> the alarm; a gate renews 36 days before, so each says that renewing has failed for long.
ENDING = ((0, "CERTIFICATE_ENDED"), (7, "CERTIFICATE_7_DAYS"), (14, "CERTIFICATE_14_DAYS"), (30, "CERTIFICATE_30_DAYS"))

Past = Sequence[tuple[str, float]]  # (session, UTC seconds when another replaced it), the oldest first


def followed(past: Past, current: str | None, session: str, at: float) -> list[tuple[str, float]]:
    """Return the history once `session` is the current one."""
    if current is None or current == session:
        return [*past]
    return [*past, (current, at)][-PAST_MAX:]


def is_cloned(past: Past, session: str, at: float) -> bool:
    """Return whether sessions of the last ten minutes, the current one included, came back too often."""
    recent = [one for one, since in past if at - since <= WINDOW_SECONDS] + [session]
    return len(recent) - len(set(recent)) >= RETURNS


def ending(not_after: datetime, now: datetime) -> str | None:
    """Return the alarm of a certificate that ends then, None where there is time."""
    seconds = (not_after - now).total_seconds()
    return next((code for days, code in ENDING if seconds <= days * 86_400), None)
