"""What a decision is made of: the answer, its ledger drafts, and the answers that are remembered for repeats.

PURE values; `gate` fills them in, `loop` acts on them. Obeys P-3.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from edge.memory import Change, Stand
from edge.sight import Key, Sight
from protocols import rules
from protocols.events import NO_FLAGS, Detail, Flag, Kind
from protocols.limits import ANSWERS_REMEMBERED_MAX
from protocols.passes import Credential
from protocols.reasons import SIGNAL, Reason, Signal

# Told by the gate of itself: true whether the journal can be written or not, so it is written when it can be again.
NEWS = frozenset((Kind.BOOT, Kind.CLOCK_SET, Kind.MODE, Kind.DOOR, Kind.DOUBLE_USE))
_STAFFS = frozenset((Kind.STAFF_FACT, Kind.CORRECTION, Kind.HANDED_OVER))
_SIGNALS = {str(reason): signal for reason, signal in SIGNAL.items()}  # a document's code has none
ALL_POWERS = 15  # the tablet's, opened for a shift by a member of staff


@dataclass(frozen=True)
class GateSettings:
    """What a site decided about this gate. departures: "staff" keeps them for staff, "pass" lets a pass open."""

    gate: int
    site: int
    hours: rules.Hours
    departures: str = "staff"
    gates_at_site: int = 1


@dataclass(frozen=True)
class Draft:
    """A ledger event without its moment, which the journal adds."""

    kind: Kind
    detail: dict
    flags: Flag = NO_FLAGS


@dataclass(frozen=True)
class Decision:
    """What to do. acts: (child, direction) that took place; refused: other children with codes; by: seconds off."""

    code: str
    strike: bool = False
    acts: tuple[tuple[int, int], ...] = ()
    refused: tuple[tuple[int, Reason], ...] = ()
    flags: Flag = NO_FLAGS
    events: tuple[Draft, ...] = ()
    alarms: tuple[str, ...] = ()
    by: int | None = None
    asks: tuple[str, ...] = ()  # why staff are asked, for staff to see
    seen: tuple[bytes, int, tuple[tuple[int, int], ...]] | None = None  # thumb, iat, acts: for the sisters
    changes: tuple[Change, ...] = ()  # rows to keep, in the same commit as the events
    later: tuple[Draft, ...] = ()  # news, to be written when the journal can be again
    before: tuple[Stand | None, ...] = ()  # where the children of acts stood, so that staff can take it back
    staff: Credential | None = None  # whose staff pass this was: genuine, of now, not replayed

    @property
    def is_staffs(self) -> bool:
        """Whether staff entered it by hand: nothing of it is kept unless its event is on the disk."""
        return any(draft.kind in _STAFFS for draft in self.events)

    @property
    def signal(self) -> Signal:
        return _SIGNALS.get(str(self.code), Signal.NONE)


@dataclass(frozen=True)
class StaffAnswer:
    """What staff say to what waits. staff: reference; direction: chosen for a card; key: which, None the newest."""

    confirm: bool
    staff: int
    direction: int | None = None
    powers: int = ALL_POWERS
    key: Key | None = None


@dataclass
class Answers:
    """The last answers by name: a repeat is no event and no alarm."""

    rows: OrderedDict[bytes, tuple[float, Decision]] = field(default_factory=OrderedDict)

    def give(self, name: bytes, decision: Decision, at: float) -> None:
        if name:
            self.rows[name] = (at, decision)
            self.rows.move_to_end(name)
            while len(self.rows) > ANSWERS_REMEMBERED_MAX:
                self.rows.popitem(last=False)

    def within(self, name: bytes, seconds: float, at: float) -> Decision | None:
        """The answer given to that name at most so long ago, once more: nothing happens."""
        if name not in self.rows or abs(at - self.rows[name][0]) > seconds:
            return None
        given = self.rows[name][1]
        code = Reason.SAME_AS_BEFORE if given.code == Reason.OPEN else given.code
        return Decision(code, refused=given.refused, by=given.by, asks=given.asks)


def draft_of(sight: Sight, decision: Decision, staff: int | None, policy_version: int | None) -> Draft:
    """The one ledger event of an answer: a pass that opened, a card that was confirmed, or a refusal."""
    taken = {child for child, _ in decision.acts}
    optional = {
        Detail.NOT_TAKEN: [[child, str(code)] for child, code in decision.refused if child not in taken] or None,
        Detail.STAFF: staff,
        Detail.POLICY_VERSION: policy_version,
    }
    detail = sight.detail() | {Detail.CODE: str(decision.code)}
    detail |= {key: value for key, value in optional.items() if value is not None}
    return Draft(_kind_of(sight, decision), detail, decision.flags)


def _kind_of(sight: Sight, decision: Decision) -> Kind:
    if decision.code not in (Reason.OPEN, Reason.CONFIRMED):
        return Kind.REFUSAL
    return Kind.CARD_CONFIRMED if sight.is_card else Kind.PHONE_PASS
