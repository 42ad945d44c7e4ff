"""What staff do on the tablet, by name: take a child in by hand, hand over, take back; and what the tablet shows.

PURE. Responsible for: kinds 3, 15 and 4 with their powers and custody; who is in now; rows of what waits. Not
responsible for: answering what waits (gate.py), shifts (shift.py), names: a gate has none. Obeys P-3 (an arrival is
never refused, a release is), P-5 (kinds 3, 4, 15; one fact a child, so that each can be taken back by itself).
"""

import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from edge.decision import Decision, Draft
from edge.memory import Memory, Stand
from edge.sight import Key
from edge.waiting import Waiting
from protocols import rules
from protocols.canonical import encode
from protocols.documents import RULE_ASK, Mode
from protocols.events import Detail, Kind
from protocols.limits import THUMB_BYTES, WAIT_SECONDS
from protocols.passes import IN, OUT, POWER_CONFIRM, POWER_RELEASE, POWER_TAKE_IN
from protocols.reasons import Reason

ACT_CHILDREN_MAX = 64  # children in one act: two classes, and one commit of 64 events
FACTS_SECONDS = 12 * 3_600
FACTS_MAX = 64  # facts of today that can still be taken back on the tablet; older ones in the office
_NO_PHONE = bytes(THUMB_BYTES)


class HandCode(StrEnum):
    """Answers of the tablet that no pass has; the others are Reasons."""

    DONE = "DONE"
    JOURNAL = "JOURNAL"  # nothing was written, so nothing happened
    NAME_WHO = "NAME_WHO"  # a decision about this child: not without saying who takes it
    NO_SUCH_FACT = "NO_SUCH_FACT"


@dataclass(frozen=True)
class Hand:
    """Who acts: the staff member's reference and powers."""

    staff: int
    powers: int


@dataclass(frozen=True)
class TakeIn:
    """Children who came in with no pass: one, or a whole class."""

    children: tuple[int, ...]


@dataclass(frozen=True)
class HandOver:
    """Children who leave with a holder; 0: nobody that has a number. sure: staff read why the gate asks."""

    children: tuple[int, ...]
    holder: int = 0
    sure: bool = False


@dataclass(frozen=True)
class TakeBack:
    """A fact that was none: it stays in the ledger, and a correction points at it."""

    epoch: int
    seq: int


Act = TakeIn | HandOver | TakeBack


@dataclass(frozen=True)
class Fact:
    """Something that moved children at this gate. before, after: where each stood, None where not known that day."""

    epoch: int
    seq: int
    kind: Kind
    direction: int
    children: tuple[int, ...]
    at_ms: int
    staff: int
    before: tuple[Stand | None, ...]
    after: tuple[int, ...]

    @property
    def needs(self) -> int:
        """The power to take it back: that of writing it."""
        if self.direction == OUT:
            return POWER_RELEASE
        return POWER_TAKE_IN if self.kind == Kind.STAFF_FACT else POWER_CONFIRM


class Tablet:
    """The staff's side of one gate's mind: shares its memory of children."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._facts: deque[Fact] = deque(maxlen=FACTS_MAX)

    def decide(self, act: Act, by: Hand, known: rules.Circumstances, day: int) -> Decision:
        """Return what becomes of an act; its events and changes are kept by the caller, in one commit."""
        match act:
            case TakeIn():
                return self._take_in(act, by, known, day)
            case HandOver():
                return self._hand_over(act, by, known, day)
            case TakeBack():
                return self._take_back(act, by, day)

    def _take_in(self, act: TakeIn, by: Hand, known: rules.Circumstances, day: int) -> Decision:
        """An arrival of a child is never refused: whoever is not in already, is in."""
        if not by.powers & POWER_TAKE_IN:
            return Decision(Reason.NOT_ALLOWED)
        here = tuple((child, Reason.PASSBACK) for child in act.children if known.presence(child) == IN)
        come = tuple(child for child in act.children if known.presence(child) != IN)
        if not come:
            return Decision(Reason.PASSBACK, refused=here)
        return self._moved(Kind.STAFF_FACT, come, IN, by, known, day, refused=here)

    def _hand_over(self, act: HandOver, by: Hand, known: rules.Circumstances, day: int) -> Decision:
        """All leave or none: power, lockdown, custody, presence; where a rule asks, staff say that they read it."""
        if not by.powers & POWER_RELEASE:
            return Decision(Reason.NOT_ALLOWED)
        if known.mode == Mode.LOCKDOWN:
            return Decision(Reason.LOCKDOWN)
        codes = tuple((child, code) for child in act.children if (code := _why_not(child, act.holder, known)))
        worst = next(
            (one for one in (Reason.CUSTODY, HandCode.NAME_WHO, Reason.PASSBACK) if one in dict(codes).values()), None
        )
        if worst is not None:
            return Decision(worst, refused=codes)
        if codes and not act.sure:
            return Decision(Reason.STAFF_CONFIRM, refused=codes)
        return self._moved(Kind.HANDED_OVER, act.children, OUT, by, known, day, holder=act.holder)

    def _moved(
        self, kind: Kind, children: tuple[int, ...], direction: int, by: Hand, known: rules.Circumstances, day: int,
        *, holder: int = 0, refused: tuple = (),
    ) -> Decision:  # fmt: skip
        at_ms = max(0, int(known.at * 1000))
        who: dict = {Detail.STAFF: by.staff, Detail.DIRECTION: direction}
        who |= {Detail.HOLDER: holder} if holder else {}
        before = self._memory.stands(children, day)
        for child in children:
            self._memory.move(child, direction, day, at_ms)
        flags = rules.flags_of(known)
        events = tuple(Draft(kind, who | {Detail.CHILDREN: [[child, 0]]}, flags) for child in children)
        acts = tuple((child, direction) for child in children)
        return Decision(
            HandCode.DONE,
            acts=acts,
            refused=refused,
            flags=flags,
            events=events,
            seen=(_NO_PHONE, 0, acts),
            before=before,
        )

    def _take_back(self, act: TakeBack, by: Hand, day: int) -> Decision:
        """Correct a fact of this gate. Presence goes back where nothing has moved the child since, and sisters hear."""
        fact = next((one for one in self._facts if (one.epoch, one.seq) == (act.epoch, act.seq)), None)
        if fact is None:
            return Decision(HandCode.NO_SUCH_FACT)
        if not by.powers & fact.needs:
            return Decision(Reason.NOT_ALLOWED)
        self._facts.remove(fact)
        acts = self._put_back(fact, day)
        detail = {
            Detail.STAFF: by.staff,
            Detail.CORRECTS: [act.epoch, act.seq],
            Detail.CHILDREN: [[child, 0] for child in fact.children],
        }
        told = (_NO_PHONE, 0, acts) if acts else None
        return Decision(HandCode.DONE, events=(Draft(Kind.CORRECTION, detail),), seen=told)

    def _put_back(self, fact: Fact, day: int) -> tuple[tuple[int, int], ...]:
        """Return what the sisters are to believe of each child that stands again where it stood.

        A note cannot say "not known": it says the opposite of the direction taken back. Of another day it says nothing.
        """
        acts = []
        for child, stand, stamp in zip(fact.children, fact.before, fact.after, strict=True):
            if self._memory.stamps((child,)) != (stamp,):
                continue
            if self._memory.presence(child, day) is not None:
                acts.append((child, stand.state if stand else IN + OUT - fact.direction))
            self._memory.put_back(child, stand)
        return tuple(acts)

    # --- what is remembered and shown ---------------------------------------------------------------------------

    def wrote(self, decision: Decision, places: Iterable[tuple[int, int]], at: float) -> None:
        """Remember what a decision that is on the disk moved. places: (epoch, seq) of its events, in their order."""
        moving = (Kind.PHONE_PASS, Kind.CARD_CONFIRMED, Kind.STAFF_FACT, Kind.HANDED_OVER)
        before = dict(zip((child for child, _ in decision.acts), decision.before, strict=False))
        for draft, (epoch, seq) in zip(decision.events, places, strict=False):
            named = [row[0] for row in draft.detail.get(Detail.CHILDREN, ())]
            taken = tuple(child for child, _ in decision.acts if child in named)
            if draft.kind in moving and taken:
                self._facts.append(Fact(
                    epoch, seq, draft.kind, draft.detail[Detail.DIRECTION], taken, int(at * 1000),
                    draft.detail.get(Detail.STAFF, 0), tuple(before.get(child) for child in taken),
                    self._memory.stamps(taken),
                ))  # fmt: skip

    def facts(self, at: float) -> list[dict[str, Any]]:
        """What can be taken back, newest first: of the last hours, since tomorrow it is the office's."""
        return [
            {"epoch": fact.epoch, "seq": fact.seq, "kind": int(fact.kind), "direction": fact.direction,
             "children": list(fact.children), "at_ms": fact.at_ms, "staff": fact.staff, "needs": fact.needs}
            for fact in reversed(self._facts) if abs(at * 1000 - fact.at_ms) < FACTS_SECONDS * 1000
        ]  # fmt: skip

    def present(self, day: int) -> list[list[int]]:
        """The evacuation list: [child, since (UTC ms)] of everybody who is in now, as far as this gate knows."""
        return [[child, since_ms] for child, since_ms in self._memory.inside(day)]


def waiting_rows(requests: Iterable[Waiting], known: rules.Circumstances) -> list[dict[str, Any]]:
    """What waits, oldest first, as the tablet shows it: numbers and codes."""
    return [_waiting_row(request, known) for request in requests]


def name_of(key: Key) -> str:
    """A request's name on the tablet: it tells nothing and stays through redraws."""
    who, direction, children = key
    return hashlib.sha256(encode([who, direction, sorted(children)])).hexdigest()[:16]


def _waiting_row(request: Waiting, known: rules.Circumstances) -> dict[str, Any]:
    sight, codes = request.sight, dict(request.refused)
    asked = rules.Request(sight.holder, sight.direction, sight.children, sight.is_card)
    return {
        "id": name_of(request.key),
        "code": str(request.code),
        "what": "card" if sight.is_card else "phone" if sight.children else "staff",
        "holder": sight.holder,
        "direction": sight.direction,
        "children": [
            {"child": child, "code": str(codes.get(child, "")), "perms": perms, "is": known.presence(child) or 0,
             "not_today": _asks_of(child, sight.holder, asked, known), "order": _asks_of(child, 0, asked, known)}
            for child, perms in sight.children
        ],
        "asks": list(rules.why_ask(asked, known)) if sight.children else ["clock"],
        "since_ms": int(request.first_at * 1000),
        "ends_ms": int((request.first_at + WAIT_SECONDS) * 1000),
    }  # fmt: skip


def _asks_of(child: int, holder: int, asked: rules.Request, known: rules.Circumstances) -> bool:
    """Whether a rule about this child asks staff now: one for this holder (another day), or for all (an order)."""
    return any(
        rule.child == child and rule.holder == holder and rule.bits & RULE_ASK and rule.bits & asked.direction
        and rule.from_ <= known.at < rule.to
        for rule in (known.policy.custody if known.policy else ())
    )  # fmt: skip


def _why_not(child: int, holder: int, known: rules.Circumstances) -> Any:
    """The code that keeps a child from being handed over to this holder, STAFF_CONFIRM where staff must be sure."""
    said = rules.custody_says(child, rules.Request(holder, OUT, ()), known)
    if said == Reason.CUSTODY:
        return said
    if not holder and _is_watched(child, known):
        return HandCode.NAME_WHO
    presence = known.presence(child)
    if presence == OUT:
        return Reason.PASSBACK
    return said or (None if presence == IN else Reason.STAFF_CONFIRM)


def _is_watched(child: int, known: rules.Circumstances) -> bool:
    """Whether a rule that runs denies somebody this child, or asks about everybody: then who takes it has a name."""
    return any(
        rule.child == child and rule.bits & OUT and (rule.holder == 0 or not rule.bits & RULE_ASK)
        and (rule.from_ <= known.at < rule.to or known.clock == "untrusted")
        for rule in (known.policy.custody if known.policy else ())
    )  # fmt: skip
