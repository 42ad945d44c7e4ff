"""Each pass judged again by the rules that the gate used, with what the cloud knows: where they differ, an incident.

PURE. The fact stands whatever comes out (I3, P-3 "who decides what"). Not judged again: what only the gate knows (its
view, replays, the bus, its hours), nor what staff took upon themselves, except where an order forbids it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC

from cloud.attendance.facts import PASS_KINDS, TAKEN, Reading
from protocols.documents import CustodyRule, PolicyList
from protocols.passes import IN, OUT
from protocols.reasons import Reason
from protocols.rules import Circumstances, Hours, Presence, Request, custody_says, judge_child

ALWAYS = Hours(UTC)  # opening hours are the gate's configuration: they are not judged again here
RIGHTS_REFUSALS = frozenset({Reason.NOT_ALLOWED, Reason.CUSTODY})


@dataclass(frozen=True)
class Knowledge:
    """What the cloud knows of a site, by its numbers: perms of (holder, child), and custody rules of a child."""

    perms: Mapping[tuple[int, int], int] = field(default_factory=dict)
    custody: Mapping[int, tuple[CustodyRule, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """The gate said one thing of a child, the cloud says another. code names the incident."""

    code: str
    child: int
    gate_said: str
    cloud_says: str


def differences(reading: Reading, kind: int, at: float, known: Knowledge, presence: Presence) -> list[Difference]:
    """Return where the cloud decides otherwise. presence: where a child was before this event."""
    if kind not in PASS_KINDS or reading.direction not in (IN, OUT):
        return []
    found = []
    for fact in reading.children:
        verdict = _verdict(fact.child, reading, at, known, presence)
        if fact.moved and _forbidden(verdict, fact.code):
            found.append(Difference("TAKEN_AGAINST_RULE", fact.child, fact.code, verdict))
        elif not fact.moved and fact.code in RIGHTS_REFUSALS and verdict not in RIGHTS_REFUSALS:
            found.append(Difference("REFUSED_WITHOUT_RULE", fact.child, fact.code, verdict))
    return found


def _verdict(child: int, reading: Reading, at: float, known: Knowledge, presence: Presence) -> Reason:
    rules = known.custody.get(child, ())
    policy = PolicyList(site=0, version=0, iat=int(at), next_update=int(at), custody=rules) if rules else None
    circumstances = Circumstances(at, ALWAYS, presence, policy)
    request = Request(reading.holder, reading.direction, ((child, 0),))
    if custody_says(child, request, circumstances) == Reason.CUSTODY:  # before the right, which an order takes away
        return Reason.CUSTODY
    return judge_child(child, known.perms.get((reading.holder, child), 0), request, circumstances)


def _forbidden(verdict: Reason, gate_code: str) -> bool:
    """Staff may let pass what a right lacks or presence doubts; an order binds them too (I3, I20)."""
    if gate_code == Reason.CONFIRMED:
        return verdict == Reason.CUSTODY
    return verdict in RIGHTS_REFUSALS or verdict == Reason.PASSBACK and gate_code in TAKEN
