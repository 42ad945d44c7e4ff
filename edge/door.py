"""PURE. The door: what its inputs say, what it was asked for, and what follows for the strike and for people.

Responsible for: the door's state (closed, open, forced, held open, tamper, fault) and its mode (locked, unlocked,
accessed, locked down, free); when the strike has power and until when; what is told, and when it is over.
Not responsible for: moving a pin (pins.py, which holds the deadline by itself), debouncing (inputs.py), writing what is
told (doorway.py), who may enter (gate.py).
Obeys: PROTOCOL P-5 (journal before strike: the caller has committed); docs/door.md holds the whole table, and a test
holds it against this file.

The way out is wired: exit button and fire alarm release the lock by themselves. Here they are only observed, so that
the gate knows why the door opens; a fire line that somebody cuts gives no power to the strike. Times are milliseconds
of a clock that never goes back; `now` is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

# Families close behind one another may keep the strike powered; longer than this in one run is nobody's access time.
UNLOCKED_MS_MAX = 30_000
HOLD_MS = 5_000  # a door that is to stay unlocked is unlocked for so long, again and again: a loop that hangs locks it
RELOCK_MS = 500  # after the door was opened: the latch has cleared its keeper
GRACE_MS = 1_000  # an opening is seen a moment late, and a door that falls shut may bounce


class Leaf(StrEnum):
    """Where the door leaf is; UNKNOWN until a contact says so, and for ever where none is wired."""

    UNKNOWN = "unknown"
    CLOSED = "closed"
    OPEN = "open"
    FORCED = "forced"
    HELD_OPEN = "held_open"


class Mode(StrEnum):
    """What the lock is for at this moment."""

    LOCKED = "locked"
    ACCESSED = "accessed"
    UNLOCKED = "unlocked"
    LOCKED_DOWN = "locked_down"
    FREE = "free"


class Level(StrEnum):
    """What the site orders (KM1): evacuate and free are one to a door."""

    NORMAL = "normal"
    LOCKDOWN = "lockdown"
    FREE = "free"


class Happening(StrEnum):
    """Everything that can happen to a door. RELEASED: opened by staff, by name, which a lockdown does not undo."""

    GRANTED = "granted"
    GRANTED_LONGER = "granted_longer"
    RELEASED = "released"
    EXIT = "exit"
    OPENED = "opened"
    CLOSED = "closed"
    FIRE = "fire"
    FIRE_OVER = "fire_over"
    TAMPER = "tamper"
    TAMPER_OVER = "tamper_over"
    FAULT = "fault"
    FAULT_OVER = "fault_over"
    SITE_NORMAL = "site_normal"
    SITE_LOCKDOWN = "site_lockdown"
    SITE_FREE = "site_free"
    HOURS_BEGIN = "hours_begin"
    HOURS_END = "hours_end"
    TIME = "time"


class Told(StrEnum):
    """What others hear of. Those with an `_over` stand until then; the rest are moments."""

    FORCED = "forced"
    FORCED_OVER = "forced_over"
    HELD_OPEN = "held_open"
    HELD_OPEN_OVER = "held_open_over"
    TAMPER = "tamper"
    TAMPER_OVER = "tamper_over"
    FAULT = "fault"
    FAULT_OVER = "fault_over"
    FIRE = "fire"
    FIRE_OVER = "fire_over"
    UNLOCKED = "unlocked"
    UNLOCKED_OVER = "unlocked_over"
    PRE_ALARM = "pre_alarm"
    NOT_OPENED = "not_opened"


@dataclass(frozen=True)
class Times:
    """What a site decided, in milliseconds. exit_observed: without it no opening can be called forced."""

    access: int = 3_000
    access_longer: int = 10_000
    held: int = 30_000
    held_longer: int = 60_000
    pre_alarm: int = 10_000
    exit: int = 5_000
    lock_when_opened: bool = True
    exit_observed: bool = True


@dataclass(frozen=True)
class Door:
    """One door. Moments are 0 where there is none; reason_until: an opening before it is no forced one."""

    leaf: Leaf = Leaf.UNKNOWN
    level: Level = Level.NORMAL
    fire: bool = False
    hours: bool = False
    tampered: bool = False
    faulty: bool = False
    since: int = 0
    until: int = 0
    longer: bool = False
    used: bool = False
    reason_until: int = 0
    held_at: int = 0
    warned: bool = False
    pulses: int = 0

    def mode(self, now: int) -> Mode:
        accessed = now < self.until
        if self.level is Level.FREE:
            return Mode.FREE
        if self.level is Level.LOCKDOWN:
            return Mode.ACCESSED if accessed else Mode.LOCKED_DOWN
        if self.hours:
            return Mode.UNLOCKED
        return Mode.ACCESSED if accessed else Mode.LOCKED

    def strike_ms(self, now: int) -> int:
        """For how long from now the strike is to have power, if nothing else happens; 0: none."""
        mode = self.mode(now)
        if mode in _STAYS_UNLOCKED:
            return HOLD_MS
        return self.until - now if mode is Mode.ACCESSED else 0

    @property
    def state(self) -> str:
        """One word: closed, open, forced, held_open, tamper, fault or unknown; the worst that is true."""
        if self.faulty:
            return "fault"
        return "tamper" if self.tampered else self.leaf.value

    @property
    def standing(self) -> frozenset[Told]:
        """What has been told and is not over."""
        found = {Told.FORCED: self.leaf is Leaf.FORCED, Told.HELD_OPEN: self.leaf is Leaf.HELD_OPEN}
        found |= {Told.TAMPER: self.tampered, Told.FAULT: self.faulty, Told.FIRE: self.fire, Told.UNLOCKED: self.hours}
        return frozenset(told for told, true in found.items() if true)


ALARMS = frozenset((Told.FORCED, Told.HELD_OPEN, Told.TAMPER, Told.FAULT))
_STAYS_UNLOCKED = frozenset((Mode.UNLOCKED, Mode.FREE))
_OPEN_LEAVES = frozenset((Leaf.OPEN, Leaf.FORCED, Leaf.HELD_OPEN))

# What changes only a fact of the door, whatever else it is.
_FACTS: dict[Happening, dict] = {
    Happening.FIRE: {"fire": True},
    Happening.FIRE_OVER: {"fire": False},
    Happening.TAMPER: {"tampered": True},
    Happening.TAMPER_OVER: {"tampered": False},
    Happening.FAULT: {"faulty": True},
    Happening.FAULT_OVER: {"faulty": False},
    Happening.SITE_NORMAL: {"level": Level.NORMAL},
    Happening.SITE_FREE: {"level": Level.FREE},
    Happening.HOURS_BEGIN: {"hours": True},
    Happening.HOURS_END: {"hours": False},
}


def step(door: Door, happening: Happening, now: int, times: Times) -> tuple[Door, tuple[Told, ...]]:
    """Return the door after what happened (and after the time that passed before it), and what is to be told."""
    before = door
    door, moments = _time_passes(door, now, times)
    door = _happens(door, happening, now, times)
    door = _settled(door, now, times)
    if door == before:
        return before, tuple(moments)  # so it is a hundred times a second
    began = [told for told in Told if told in door.standing - before.standing]
    ended = [Told(f"{told}_over") for told in Told if told in before.standing - door.standing]
    return door, (*moments, *began, *ended)


def _time_passes(door: Door, now: int, times: Times) -> tuple[Door, list[Told]]:
    moments = []
    if door.until and now >= door.until:
        if not door.used and door.leaf is Leaf.CLOSED and not _stays_open(door):
            moments.append(Told.NOT_OPENED)
        door = replace(door, since=0, until=0, longer=door.longer and door.leaf is Leaf.OPEN)
    if door.leaf is Leaf.OPEN and door.held_at:
        if now >= door.held_at:
            door = replace(door, leaf=Leaf.HELD_OPEN, held_at=0)
        elif now >= door.held_at - times.pre_alarm and not door.warned:
            moments.append(Told.PRE_ALARM)
            door = replace(door, warned=True)
    return door, moments


def _happens(door: Door, happening: Happening, now: int, times: Times) -> Door:
    if happening in _FACTS:
        if _stays_open(door):
            door = replace(door, reason_until=max(door.reason_until, now + GRACE_MS))
        return replace(door, **_FACTS[happening])
    match happening:
        case Happening.GRANTED | Happening.GRANTED_LONGER:
            longer = happening is Happening.GRANTED_LONGER
            return door if door.level is Level.LOCKDOWN else _granted(door, now, times, longer)
        case Happening.RELEASED:
            return _granted(door, now, times, longer=False)
        case Happening.EXIT:
            return replace(door, reason_until=max(door.reason_until, now + times.exit))
        case Happening.OPENED:
            return _opened(door, now, times)
        case Happening.CLOSED:
            expected = door.leaf in (Leaf.OPEN, Leaf.HELD_OPEN)
            reason = max(door.reason_until, now + GRACE_MS) if expected else door.reason_until
            longer = door.longer and now < door.until
            return replace(door, leaf=Leaf.CLOSED, held_at=0, warned=False, reason_until=reason, longer=longer)
        case Happening.SITE_LOCKDOWN:
            return _locked_down(door, now)
    return door


def _granted(door: Door, now: int, times: Times, longer: bool) -> Door:
    """Power for the access time. A second grant during the first lengthens it, never shortens it, up to the bound."""
    running = now < door.until
    since = door.since if running else now
    asked = now + (times.access_longer if longer else times.access)
    until = min(max(asked, door.until if running else 0), since + UNLOCKED_MS_MAX)
    longer = longer or running and door.longer
    reason = max(door.reason_until, until + GRACE_MS)
    door = replace(door, since=since, until=until, longer=longer, reason_until=reason, pulses=door.pulses + 1)
    if door.leaf in (Leaf.OPEN, Leaf.HELD_OPEN):
        return replace(door, leaf=Leaf.OPEN, used=True, held_at=0, warned=False)
    return replace(door, used=False)


def _opened(door: Door, now: int, times: Times) -> Door:
    """A door that opens for a reason is open; with none it is forced. What was open already stays what it is."""
    if door.leaf in _OPEN_LEAVES:
        return door
    expected = now < max(door.until, door.reason_until) or _stays_open(door) or not times.exit_observed
    leaf = Leaf.OPEN if expected or door.leaf is Leaf.UNKNOWN else Leaf.FORCED
    door = replace(door, leaf=leaf, held_at=0, warned=False)
    if now >= door.until:
        return door
    until = min(door.until, now + RELOCK_MS) if times.lock_when_opened else door.until
    return replace(door, used=True, until=until, reason_until=until + GRACE_MS)


def _locked_down(door: Door, now: int) -> Door:
    """Who was about to enter is locked out; a door that stands open in a lockdown is told at once."""
    if door.level is Level.LOCKDOWN:
        return door
    reason = now + GRACE_MS if now < door.until or _stays_open(door) else door.reason_until
    held = Leaf.HELD_OPEN if door.leaf is Leaf.OPEN and not door.fire else door.leaf
    return replace(door, level=Level.LOCKDOWN, since=0, until=0, reason_until=reason, leaf=held, held_at=0)


def _settled(door: Door, now: int, times: Times) -> Door:
    """Where the door may stand open no opening is an alarm; elsewhere the time it may stand open begins."""
    if _stays_open(door):
        leaf = Leaf.OPEN if door.leaf in _OPEN_LEAVES else door.leaf
        return replace(door, leaf=leaf, held_at=0, warned=False)
    if door.leaf is Leaf.OPEN and not door.held_at:
        return replace(door, held_at=now + (times.held_longer if door.longer else times.held))
    return door


def _stays_open(door: Door) -> bool:
    """Whether the door may stand open: unlocked hours, a free site, or a fire (whose release is wired) at any level."""
    if door.fire or door.level is Level.FREE:
        return True
    return door.hours and door.level is Level.NORMAL
