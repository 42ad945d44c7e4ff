"""The journal as the loop holds it: a decision's events and rows in one commit, and what waits while it fails.

Responsible for: the moment each event carries; what is not written does not happen (P-5); rows, and the gate's own
news (boot, clock, mode, door), that wait in memory for a journal that fails, bounded; the classes that are left out
while there is no room; a damaged journal replaced at once; the gaps that tell of all this.
Not responsible for: files and SQL (journal.py), what follows for the door (loop.py).
Obeys: PROTOCOL P-5; ADR 0021; HOSTILE P42.
"""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from edge.classes import SHARES, Class, class_of, has_room
from edge.decision import NEWS, Decision, Draft
from edge.health import Health
from edge.journal import CHANGES_MAX, Change, Entry, Journal
from edge.journal_file import JournalFailed
from protocols.events import Clock, Detail, Event, Kind
from protocols.reasons import Reason

UNSAVED_MAX = 4_096  # rows of state that wait for a journal that fails; the oldest goes first
NEWS_MAX = 64  # events that wait for it; the oldest goes first, and is counted in the gap
TELL_SECONDS = 3_600.0  # what is left out for want of room is told so often while that lasts, and at its end
_LEFT_OUT = ("ledger", b"left_out")  # a row of saved state: how many of each class, not told yet

_CLOCKS = {"untrusted": Clock.UNTRUSTED, "holdover": Clock.HOLDOVER, "ntp": Clock.NTP}


class Written(NamedTuple):
    """What became of a decision: its places in the ledger, and when that was on the disk (monotonic ns)."""

    entries: list[Entry]
    at_ns: int


class Ledger:
    """Used by the loop's thread alone. clock: the clock's state now, as the gate believes it."""

    def __init__(self, journal: Journal, health: Health, clock: Callable[[], str]) -> None:
        self._journal, self._health, self._clock = journal, health, clock
        self._saved: dict[tuple[str, bytes], bytes] = dict(journal.saved() or journal.proven)
        self._left_out: Counter[str] = _counted(self._saved.get(_LEFT_OUT))
        self._told_at = time.monotonic()
        self._unsaved: dict[tuple[str, bytes], bytes | None] = {}
        self._doubtful: set[tuple[str, bytes]] = set()  # rows of a commit that failed: on the disk or not
        self._news: deque[Event] = deque()
        self._news_lost = 0
        self._boot_ns = time.monotonic_ns()
        self.state_lost = journal.saved() is None
        self.ok = True

    def saved(self) -> dict[tuple[str, bytes], bytes] | None:
        """The rows as the disk knows them, with those that only wait for it; None where the state was lost."""
        saved = dict(self._saved)
        for key, value in self._unsaved.items():
            saved.pop(key, None)
            if value is not None:
                saved[key] = value
        return None if self.state_lost and saved.keys() <= self._journal.proven.keys() else saved

    def row(self, table: str, key: bytes) -> bytes | None:
        return self._saved.get((table, key))

    def write(self, decision: Decision, at: float) -> Written | None:
        """Write events and changes in one commit; None where that failed (and then nothing of it happened)."""
        drafts = (*decision.later, *decision.events)
        if not (drafts or decision.changes) and (self.ok or not decision.strike):
            return Written([], time.monotonic_ns())
        if not self.ok:
            return self._waits(decision, at)
        later, own = ([draft for draft in some if decision.strike or self._has_room(draft)]
                      for some in (decision.later, decision.events))  # fmt: skip
        changes = [(*key, value) for key, value in self._unsaved.items()] + list(decision.changes)
        if len(later) + len(own) < len(drafts):
            changes.append((*_LEFT_OUT, json.dumps(self._left_out).encode()))
        events = [*self._news, *(self._event(draft, at) for draft in (*later, *own))]
        began = time.monotonic_ns()
        try:
            entries = self._commit(events, changes, int(at))
        except JournalFailed as failed:
            self._doubtful.update((table, key) for table, key, _ in changes)
            self.fails(failed)
            return self._waits(decision, at)
        except ValueError:
            self._health.count("alarm_EVENT_SIZE")  # an event over its size: our own fault, never the disk's
            return self._waits(replace(decision, events=(), later=()), at)
        done = time.monotonic_ns()
        self._health.committed((done - began) / 1e6)
        entries = entries[len(events) - len(own) :]
        self._news.clear()
        self._keep(changes)
        return Written(entries, done)

    def _commit(self, events: list[Event], changes: list[Change], recorded_at: int) -> list[Entry]:
        """A journal found damaged is put aside here and now: whoever stands at the door does not wait for it."""
        try:
            return self._journal.commit(events, changes, recorded_at)
        except JournalFailed as failed:
            if failed.code != "JOURNAL_DAMAGED" or not self.mend():
                raise
        return self._journal.commit(events, changes, recorded_at)

    def _has_room(self, draft: Draft) -> bool:
        """Whether it is written; what is left out is counted by its class, and the count survives a restart."""
        kept_as = class_of(draft.kind, draft.detail)
        try:
            if kept_as not in SHARES or has_room(kept_as, self._journal.filled(), left_out=kept_as in self._left_out):
                return True
        except JournalFailed:
            return True  # it cannot be read: the commit says so, and what waits for the journal is kept
        self._left_out[kept_as] += 1
        return False

    def fails(self, failed: JournalFailed) -> None:
        if self.ok:
            self._health.count("alarm_JOURNAL")
        self.ok = False
        self._health.fault("journal", str(failed))

    def mend(self) -> bool:
        """Open the journal again; whether it can be written now. A new one in a damaged one's stead gets all rows."""
        epoch = self._journal.epoch
        try:
            self._journal.recover()
            keys = list(self._saved if self._journal.epoch != epoch else self._doubtful)
            for start in range(0, len(keys), CHANGES_MAX):
                rows = [(*key, self._saved.get(key)) for key in keys[start : start + CHANGES_MAX]]
                self._journal.commit([], rows, 0)
        except JournalFailed as failed:
            self._health.fault("journal", str(failed))
            return False
        if self._journal.epoch != epoch and self._journal.quarantined is not None:
            self._health.count("alarm_JOURNAL")
            self._health.fault("ledger", f"the journal was damaged and put aside: {self._journal.quarantined.name}")
        self._doubtful.clear()
        self.ok = True
        self._health.fault("journal", None)
        return True

    def look(self) -> None:
        """Notice damage that others found, and tell of a disk that was full."""
        if self.ok and self._journal.damage is not None:
            self.fails(JournalFailed("JOURNAL_DAMAGED", self._journal.damage))
        self._health.fault("disk", "full: the journal lives on its reserve" if self._journal.is_on_ballast else None)

    def gap(self) -> Draft:
        """What tells that the ledger was not written for a while; how much of the news had no room."""
        lost, self._news_lost = self._news_lost, 0
        return Draft(Kind.GAP, {Detail.COUNTS: {"news_lost": lost}} if lost else {})

    def gaps(self) -> Decision | None:
        """What is missing in the ledger and not told yet: holes, what was left out or saved from a damaged journal."""
        drafts = [Draft(Kind.GAP, {Detail.HOLE: hole.told()}) for hole in self._journal.untold()]
        changes: tuple[Change, ...] = ()
        if self._journal.salvaged is not None:
            drafts.append(Draft(Kind.GAP, {Detail.COUNTS: {"salvaged": self._journal.salvaged}}))
        if self._left_out and self._is_time_to_tell():
            drafts.append(Draft(Kind.GAP, {Detail.COUNTS: {str(name): n for name, n in self._left_out.items()}}))
            changes = ((*_LEFT_OUT, None),)
        return Decision(Reason.OK, events=tuple(drafts), changes=changes) if drafts else None

    def told(self, gaps: Decision) -> None:
        """They are on the disk: they are not told again."""
        self._journal.salvaged = None
        if gaps.changes:
            self._left_out.clear()
            self._told_at = time.monotonic()

    def _is_time_to_tell(self) -> bool:
        filled = self._journal.filled()
        room = all(has_room(Class(kept_as), filled, left_out=True) for kept_as in self._left_out)
        return room or time.monotonic() - self._told_at >= TELL_SECONDS

    def forget(self, table: str, key: bytes) -> None:
        """This row is not to wait: what it goes with was not written."""
        self._unsaved.pop((table, key), None)

    def _waits(self, decision: Decision, at: float) -> None:
        """The gate's news keep their moment; rows wait too, but for those of what did not happen."""
        for draft in (*decision.events, *decision.later):
            if draft.kind in NEWS and not decision.strike:
                self._news.append(self._event(draft, at))
                if len(self._news) > NEWS_MAX:
                    self._news.popleft()
                    self._news_lost += 1
        if not (decision.strike or decision.is_staffs):
            self._unsaved.update({(table, key): value for table, key, value in decision.changes})
            while len(self._unsaved) > UNSAVED_MAX:
                self._unsaved.pop(next(iter(self._unsaved)))

    def _event(self, draft: Draft, at: float) -> Event:
        return Event(
            at_ms=max(0, int(at * 1000)),
            mono_ms=(time.monotonic_ns() - self._boot_ns) // 1_000_000,
            boot=self._journal.boot,
            clock=_CLOCKS[self._clock()],
            kind=draft.kind,
            detail=draft.detail,
            flags=draft.flags,
        )

    def _keep(self, changes: Iterable[Change]) -> None:
        """The disk has these now."""
        self._unsaved.clear()
        for table, key, value in changes:
            if value is None:
                self._saved.pop((table, key), None)
            else:
                self._saved[table, key] = value


def _counted(row: bytes | None) -> Counter[str]:
    """What was left out before a restart; nothing where the row is not ours."""
    try:
        return Counter({Class(name): int(count) for name, count in json.loads(row or b"{}").items()})
    except (ValueError, TypeError, AttributeError):
        return Counter()
