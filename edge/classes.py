"""What an event is kept as, and which classes are left out first when the journal has no room.

PURE. Responsible for: attendance, alarms and audit are always written; what the door did by itself and health are told
as numbers while there is no room. Not responsible for: measuring the room (journal.py), telling the gap (ledger.py).
Obeys: PROTOCOL P-5 (the chain has no holes: what is left out is never numbered; a gap of kind 7 says how much it was).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from edge.door import Told
from protocols.events import Detail, Kind


class Class(StrEnum):
    """Kept in the journal's column `class`; the first three are never left out."""

    ATTENDANCE = "attendance"
    ALARM = "alarm"
    AUDIT = "audit"
    DOOR = "door"
    TELEMETRY = "telemetry"


_ATTENDANCE = frozenset(
    (Kind.PHONE_PASS, Kind.CARD_CONFIRMED, Kind.STAFF_FACT, Kind.CORRECTION, Kind.COLLECTOR_ADMITTED, Kind.HANDED_OVER,
     Kind.DOUBLE_USE)
)  # fmt: skip
_ALARMS = frozenset((Kind.GAP, Kind.REFUSAL))
_USUAL_AT_THE_DOOR = frozenset((Told.PRE_ALARM, Told.NOT_OPENED, Told.UNLOCKED, Told.UNLOCKED_OVER))
SHARES = {Class.TELEMETRY: 0.75, Class.DOOR: 0.85}  # of the journal's bound: left out from there on
ROOM_AGAIN = 0.9  # of that share: written again from there on, so that the edge is not crossed with every event


def class_of(kind: int, detail: Mapping[int, Any]) -> Class:
    """Return what the event is kept as."""
    if kind in _ATTENDANCE:
        return Class.ATTENDANCE
    if kind == Kind.HEALTH:
        return Class.TELEMETRY
    if kind == Kind.DOOR:
        return Class.DOOR if detail.get(Detail.DOOR) in _USUAL_AT_THE_DOOR or Detail.PULSE_MS in detail else Class.ALARM
    return Class.ALARM if kind in _ALARMS else Class.AUDIT


def has_room(kept_as: Class, filled: float, *, left_out: bool) -> bool:
    """Return whether an event of this class is written. filled: share of the bound; left_out: the last one was."""
    share = SHARES.get(kept_as)
    return share is None or filled < (share * ROOM_AGAIN if left_out else share)
