"""What a gate remembers of phones, cards and children, and what of it must survive a restart.

PURE. Every change is also a row (table, key, value) that the journal keeps without understanding it, in the same
commit as the events; `saved` rows bring it all back. Bounded: the oldest is forgotten first. Obeys P-3 (State that
survives a restart, Presence, Consumed).
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from protocols.canonical import decode, encode
from protocols.limits import PHONES_REMEMBERED_MAX, PRESENCE_REMEMBERED_MAX, SAME_REQUEST_SECONDS
from protocols.rules import NOBODY_BEFORE, Before

_IN = 1  # P-2: direction and presence are told by the same numbers
Saved = Mapping[tuple[str, bytes], bytes]
Change = tuple[str, bytes, bytes | None]


@dataclass(frozen=True)
class Acceptance:
    """The last time a phone or a card was accepted here. `stamps`: where its children stood right afterwards."""

    digest: bytes
    iat: int
    at_ms: int
    direction: int
    asked: tuple[int, ...]
    taken: tuple[int, ...]
    stamps: tuple[int, ...]
    pulsed_again: bool = False
    double_used: bool = False

    def as_value(self) -> list:
        return [
            self.digest, self.iat, self.at_ms, self.direction, list(self.asked), list(self.taken), list(self.stamps),
            self.pulsed_again, self.double_used,
        ]  # fmt: skip

    @classmethod
    def from_value(cls, value: list) -> "Acceptance":
        digest, iat, at_ms, direction, asked, taken, stamps, *flags = value
        return cls(digest, iat, at_ms, direction, tuple(asked), tuple(taken), tuple(stamps), *flags)

    def is_within(self, seconds: float, at: float) -> bool:
        return abs(at * 1000 - self.at_ms) <= seconds * 1000


@dataclass(frozen=True)
class Phone:
    """consumed: last iat used here; noted: highest iat a sister told of."""

    consumed: int = 0
    noted: int = 0
    acceptance: Acceptance | None = None

    @property
    def was_here(self) -> bool:
        return self.consumed > 0 or self.acceptance is not None


@dataclass(frozen=True)
class Stand:
    """Where a child is (1 in, 2 out), on which local day, a stamp that changes with every move, and when it was."""

    state: int
    day: int
    stamp: int
    at_ms: int = 0


class Memory:
    """Phones, cards, children; and the rows that changed since they were last taken.

    A phone that only sisters told of stands apart until it is seen here: however many they name, none of those that
    this gate has accepted is forgotten for them (hostile case P16).
    """

    def __init__(self, saved: Saved | None = None) -> None:
        self._phones: OrderedDict[bytes, Phone] = OrderedDict()
        self._told_of: OrderedDict[bytes, Phone] = OrderedDict()
        self._cards: OrderedDict[bytes, Acceptance] = OrderedDict()
        self._children: OrderedDict[int, Stand] = OrderedDict()
        self._changes: dict[tuple[str, bytes], bytes | None] = {}
        self._stamp = 0
        for (table, key), value in (saved or {}).items():
            self._restore(table, key, value)

    def _restore(self, table: str, key: bytes, value: bytes) -> None:
        if table == "phone":
            consumed, noted, acceptance = decode(value)
            phone = Phone(consumed, noted, Acceptance.from_value(acceptance) if acceptance else None)
            (self._phones if phone.was_here else self._told_of)[key] = phone
        elif table == "card":
            self._cards[key] = Acceptance.from_value(decode(value))
        elif table == "child":
            stand = Stand(*decode(value))
            self._children[int.from_bytes(key, "big")] = stand
            self._stamp = max(self._stamp, stand.stamp)

    # --- phones -------------------------------------------------------------------------------------------------

    def phone(self, thumb: bytes) -> Phone:
        return self._phones.get(thumb) or self._told_of.get(thumb, Phone())

    def consume(self, thumb: bytes, iat: int) -> None:
        self._set_phone(thumb, consumed=max(iat, self.phone(thumb).consumed))

    def forget_beyond(self, thumb: bytes, iat: int) -> Phone:
        """Return the phone without what it used beyond iat: that was said to a clock which nobody vouched for."""
        phone = self.phone(thumb)
        if max(phone.consumed, phone.noted) > iat:
            consumed, noted = (0 if used > iat else used for used in (phone.consumed, phone.noted))
            self._set_phone(thumb, consumed=consumed, noted=noted)
        return self.phone(thumb)

    def note(self, thumb: bytes, iat: int) -> None:
        self._set_phone(thumb, noted=max(iat, self.phone(thumb).noted))

    def accept_phone(self, thumb: bytes, acceptance: Acceptance) -> None:
        self._set_phone(thumb, acceptance=acceptance)

    def _set_phone(self, thumb: bytes, **changed: Any) -> None:
        phone = replace(self.phone(thumb), **changed)
        acceptance = phone.acceptance.as_value() if phone.acceptance else None
        self._put("phone", thumb, encode([phone.consumed, phone.noted, acceptance]))
        known = self._phones if phone.was_here or thumb in self._phones else self._told_of
        if known is self._phones:
            self._told_of.pop(thumb, None)
        _set_bounded(known, thumb, phone, PHONES_REMEMBERED_MAX, lambda key: self._put("phone", key, None))

    # --- cards --------------------------------------------------------------------------------------------------

    def card(self, cti: bytes) -> Acceptance | None:
        return self._cards.get(cti)

    def accept_card(self, cti: bytes, acceptance: Acceptance) -> None:
        self._put("card", cti, encode(acceptance.as_value()))
        _set_bounded(self._cards, cti, acceptance, PHONES_REMEMBERED_MAX, lambda key: self._put("card", key, None))

    # --- children -----------------------------------------------------------------------------------------------

    def presence(self, child: int, day: int) -> int | None:
        """1 in, 2 out, None: not known on that local day (its ordinal)."""
        stand = self._children.get(child)
        return stand.state if stand and stand.day == day else None

    def moved_after(self, child: int, at_ms: int) -> bool:
        """Whether something is known of this child that is not older than that moment (UTC)."""
        stand = self._children.get(child)
        return stand is not None and stand.at_ms >= at_ms

    def move(self, child: int, state: int, day: int, at_ms: int) -> None:
        self._stamp += 1
        stand = Stand(state, day, self._stamp, at_ms)
        self._put("child", _child_key(child), encode([state, day, self._stamp, at_ms]))
        _set_bounded(
            self._children, child, stand, PRESENCE_REMEMBERED_MAX, lambda key: self._put("child", _child_key(key), None)
        )

    def stands(self, children: Iterable[int], day: int) -> tuple[Stand | None, ...]:
        """Where each child stands on that local day, None where that is not known."""
        found = (self._children.get(child) for child in children)
        return tuple(stand if stand and stand.day == day else None for stand in found)

    def put_back(self, child: int, stand: Stand | None) -> None:
        """A move that was none: the child stands where it stood, by a stamp of its own; None: not known today."""
        if stand is not None:
            self.move(child, stand.state, stand.day, stand.at_ms)
        elif self._children.pop(child, None) is not None:
            self._put("child", _child_key(child), None)

    def inside(self, day: int) -> list[tuple[int, int]]:
        """Everybody who is in on that local day, with since when (UTC ms), in the order of their numbers."""
        rows = list(self._children.items())
        return sorted((child, stand.at_ms) for child, stand in rows if stand.day == day and stand.state == _IN)

    def stamps(self, children: Iterable[int]) -> tuple[int, ...]:
        return tuple(stand.stamp if (stand := self._children.get(child)) else 0 for child in children)

    def before(self, acceptance: Acceptance | None, asked: Iterable[int], direction: int, at: float) -> Before:
        """Whom the acceptance of a moment ago covers, if the same is asked and nothing moved them (P-3 f)."""
        if acceptance is None or not acceptance.is_within(SAME_REQUEST_SECONDS, at) or not acceptance.taken:
            return NOBODY_BEFORE
        same = acceptance.direction == direction and set(acceptance.asked) == set(asked)
        if not same or self.stamps(acceptance.taken) != acceptance.stamps:
            return NOBODY_BEFORE
        return Before(frozenset(acceptance.taken), frozenset(acceptance.asked) - frozenset(acceptance.taken))

    # --- rows ---------------------------------------------------------------------------------------------------

    def _put(self, table: str, key: bytes, value: bytes | None) -> None:
        self._changes[table, key] = value

    def take_changes(self) -> tuple[Change, ...]:
        """Return the rows that changed since the last call."""
        changes = tuple((table, key, value) for (table, key), value in self._changes.items())
        self._changes.clear()
        return changes


def _child_key(child: int) -> bytes:
    return child.to_bytes(4, "big")


def _set_bounded(rows: OrderedDict, key: Any, value: Any, most: int, forget: Any) -> None:
    rows[key] = value
    rows.move_to_end(key)
    while len(rows) > most:
        oldest, _ = rows.popitem(last=False)
        forget(oldest)
