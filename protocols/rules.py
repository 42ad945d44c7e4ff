"""The rules of children, permission, custody, hours, presence and freshness: one verdict for gate and cloud.

The gate asks before the door; the cloud asks again at ingest, with what it knows, and raises an alarm where it differs.
Not here: who holds the pass (`passes`), replays, what is in view, the door (the gate). PURE. Obeys P-3 (e) to (g).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from protocols.documents import RULE_ASK, Mode, PolicyList
from protocols.events import NO_FLAGS, Flag
from protocols.limits import ARRIVAL_LIST_GRACE_SECONDS, DEPARTURE_LIST_AGE_SECONDS_MAX
from protocols.passes import IN, OUT, STAFF_MUST_CONFIRM
from protocols.reasons import Reason

Presence = Callable[[int], int | None]  # child -> IN, OUT, or None: not known today


@dataclass(frozen=True)
class Hours:
    """When a site takes arrivals: spans of seconds of the local wall clock's day, end excluded."""

    zone: tzinfo
    spans: tuple[tuple[int, int], ...] = ((0, 86_400),)

    def school_day(self, at: float) -> date:
        """The local date of the site at `at` (UTC seconds)."""
        return datetime.fromtimestamp(at, self.zone).date()

    def contain(self, at: float) -> bool:
        local = datetime.fromtimestamp(at, self.zone)
        second = local.hour * 3600 + local.minute * 60 + local.second
        return any(start <= second < end for start, end in self.spans)


@dataclass(frozen=True)
class Request:
    """Who asks for what: a holder, for these children with their perms, in one direction."""

    holder: int
    direction: int
    children: tuple[tuple[int, int], ...]
    card: bool = False


@dataclass(frozen=True)
class Circumstances:
    """What is known where and when the request is judged. at: UTC seconds. clock: ntp, holdover, untrusted."""

    at: float
    hours: Hours
    presence: Presence
    policy: PolicyList | None
    clock: str = "ntp"
    mode: Mode = Mode.NORMAL
    departures: str = "staff"  # or "pass": a pass alone may open for a departure
    gates_at_site: int = 1
    bus_up: bool = True
    journal_ok: bool = True


@dataclass(frozen=True)
class Before:
    """The children a phone was accepted for a moment ago and who have not moved since, and those refused then."""

    accepted: frozenset[int] = frozenset()
    refused: frozenset[int] = frozenset()


NOBODY_BEFORE = Before()


@dataclass(frozen=True)
class Verdict:
    """code OPEN lets `allowed` through. refused: the other children with their codes. asks: why staff are asked."""

    code: Reason
    allowed: tuple[int, ...] = ()
    refused: tuple[tuple[int, Reason], ...] = ()
    asks: tuple[str, ...] = ()


def judge(request: Request, known: Circumstances, before: Before = NOBODY_BEFORE) -> Verdict:
    """Return the verdict on a family's request (P-3 e to g). Raises nothing."""
    closed = judge_site(request.direction, known)
    if closed:
        return Verdict(closed)
    codes = [(child, judge_child(child, perms, request, known, before)) for child, perms in request.children]
    if _same_as_before(codes, before):
        return Verdict(Reason.SAME_AS_BEFORE)
    if before.accepted:  # somebody else is asked for, or denied meanwhile: judge all anew
        return judge(request, known)
    refused = tuple((child, code) for child, code in codes if code != Reason.OPEN)
    code = _combined(request.direction, [code for _, code in codes])
    asks = why_ask(request, known) if code in (Reason.OPEN, Reason.STAFF_CONFIRM) else ()
    if asks:  # (g) comes after (f): it makes an OPEN ask, it never turns a child's own code into another
        return Verdict(Reason.STAFF_CONFIRM, (), refused, asks)
    allowed = tuple(child for child, code in codes if code == Reason.OPEN) if code == Reason.OPEN else ()
    return Verdict(code, allowed, refused)


def judge_site(direction: int, known: Circumstances) -> Reason | None:
    """LOCKDOWN or CLOSED, or None (P-3 e). A late departure is not closed: it asks staff."""
    if known.mode == Mode.LOCKDOWN:
        return Reason.LOCKDOWN
    shut = known.mode == Mode.HOLIDAY or known.clock != "untrusted" and not known.hours.contain(known.at)
    if direction == IN and shut:
        return Reason.CLOSED
    return None


def judge_child(
    child: int, perms: int, request: Request, known: Circumstances, before: Before = NOBODY_BEFORE
) -> Reason:
    """The code of one child (P-3 f): permission, custody that denies, same as before, presence, what asks."""
    if not perms & request.direction:
        return Reason.NOT_ALLOWED
    if custody_says(child, request, known) == Reason.CUSTODY:
        return Reason.CUSTODY
    if child in before.accepted:
        return Reason.SAME_AS_BEFORE
    presence = known.presence(child)
    if presence == request.direction:
        return Reason.PASSBACK
    if custody_says(child, request, known) or perms & STAFF_MUST_CONFIRM:
        return Reason.STAFF_CONFIRM
    if request.direction == OUT and presence != IN:
        return Reason.STAFF_CONFIRM
    return Reason.OPEN


def custody_says(child: int, request: Request, known: Circumstances) -> Reason | None:
    """CUSTODY where a rule denies, STAFF_CONFIRM where one asks. An untrusted clock counts each denial as running."""
    asked = None
    for rule in known.policy.custody if known.policy else ():
        if rule.child != child or rule.holder not in (0, request.holder) or not rule.bits & request.direction:
            continue
        runs, asks = rule.from_ <= known.at < rule.to, bool(rule.bits & RULE_ASK)
        if not asks and (runs or known.clock == "untrusted"):
            return Reason.CUSTODY
        if asks and runs:
            asked = Reason.STAFF_CONFIRM
    return asked


def why_ask(request: Request, known: Circumstances) -> tuple[str, ...]:
    """Why staff must confirm although every child may (P-3 g); empty: a pass alone will do."""
    timely, policy, leaving = known.clock != "untrusted", known.policy, request.direction == OUT
    reasons = {
        "no_list": policy is None,
        "old_list": bool(policy) and timely and _too_old(policy, leaving, known.at),
        "card": request.card,
        "departures": leaving and known.departures == "staff",
        "late_departure": leaving and timely and not known.hours.contain(known.at),
        "bus_down": leaving and known.gates_at_site > 1 and not known.bus_up,
        "journal": not known.journal_ok,
        "clock": not timely,
    }
    return tuple(reason for reason, asked in reasons.items() if asked)


def flags_of(known: Circumstances) -> Flag:
    """What OPEN and CONFIRMED are flagged with (P-3, Flags)."""
    flags = NO_FLAGS
    if known.gates_at_site > 1 and not known.bus_up:
        flags |= Flag.REPLAY_BUS_DOWN
    if known.policy and known.at > known.policy.next_update:
        flags |= Flag.LIST_STALE
    if known.clock != "ntp":
        flags |= Flag.CLOCK_UNSURE
    return flags


def _too_old(policy: PolicyList, leaving: bool, at: float) -> bool:
    if leaving:
        return at - policy.iat > DEPARTURE_LIST_AGE_SECONDS_MAX
    return at > policy.next_update + ARRIVAL_LIST_GRACE_SECONDS


def _same_as_before(codes: list[tuple[int, Reason]], before: Before) -> bool:
    same = [code == Reason.SAME_AS_BEFORE or child in before.refused for child, code in codes]
    return all(same) and any(code == Reason.SAME_AS_BEFORE for _, code in codes)


def _combined(direction: int, codes: list[Reason]) -> Reason:
    """Arrival: whoever may, enters. Departure: all leave or none (P-3, Several children)."""
    if direction == IN:
        return Reason.OPEN if Reason.OPEN in codes else codes[0]
    if all(code == codes[0] for code in codes):
        return codes[0]
    may = {Reason.OPEN, Reason.STAFF_CONFIRM}
    return Reason.STAFF_CONFIRM if may & set(codes) else codes[0]
