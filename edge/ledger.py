"""The journal as the loop holds it: a decision's events and rows in one commit, and what waits while it fails.

Responsible for: the moment each event carries; what is not written does not happen (P-5); rows, and the gate's own
news (boot, clock, mode, door), that wait in memory for a journal that fails, bounded; the gap that tells of it.
Not responsible for: files and SQL (journal.py), what follows for the door (loop.py).
Obeys: PROTOCOL P-5; HOSTILE P42.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from edge.decision import NEWS, Decision, Draft
from edge.health import Health
from edge.journal import Change, Entry, Journal
from edge.journal_file import JournalFailed
from protocols.events import Clock, Detail, Event, Kind

UNSAVED_MAX = 4_096  # rows of state that wait for a journal that fails; the oldest goes first
NEWS_MAX = 64  # events that wait for it; the oldest goes first, and is counted in the gap

_CLOCKS = {"untrusted": Clock.UNTRUSTED, "holdover": Clock.HOLDOVER, "ntp": Clock.NTP}


class Written(NamedTuple):
    """What became of a decision: its places in the ledger, and when that was on the disk (monotonic ns)."""

    entries: list[Entry]
    at_ns: int


class Ledger:
    """Used by the loop's thread alone. clock: the clock's state now, as the gate believes it."""

    def __init__(self, journal: Journal, health: Health, clock: Callable[[], str]) -> None:
        self._journal, self._health, self._clock = journal, health, clock
        self._saved: dict[tuple[str, bytes], bytes] = dict(journal.saved() or {})
        self._unsaved: dict[tuple[str, bytes], bytes | None] = {}
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
        return None if self.state_lost and not saved else saved

    def row(self, table: str, key: bytes) -> bytes | None:
        return self._saved.get((table, key))

    def write(self, decision: Decision, at: float) -> Written | None:
        """Write events and changes in one commit; None where that failed (and then nothing of it happened)."""
        drafts = (*decision.later, *decision.events)
        if not (drafts or decision.changes) and (self.ok or not decision.strike):
            return Written([], time.monotonic_ns())
        if not self.ok:
            return self._waits(decision, at)
        changes = [(*key, value) for key, value in self._unsaved.items()] + list(decision.changes)
        events = [*self._news, *(self._event(draft, at) for draft in drafts)]
        began = time.monotonic_ns()
        try:
            entries = self._journal.commit(events, changes, int(at))
        except JournalFailed as failed:
            self.fails(failed)
            return self._waits(decision, at)
        except ValueError:
            self._health.count("alarm_EVENT_SIZE")  # an event over its size: our own fault, never the disk's
            return self._waits(replace(decision, events=(), later=()), at)
        done = time.monotonic_ns()
        self._health.committed((done - began) / 1e6)
        entries = entries[len(events) - len(decision.events) :]
        self._news.clear()
        self._keep(changes)
        return Written(entries, done)

    def fails(self, failed: JournalFailed) -> None:
        if self.ok:
            self._health.count("alarm_JOURNAL")
        self.ok = False
        self._health.fault("journal", str(failed))

    def mend(self) -> bool:
        """Open the journal again; whether it can be written now."""
        try:
            self._journal.recover()
        except JournalFailed as failed:
            self._health.fault("journal", str(failed))
            return False
        self.ok = True
        self._health.fault("journal", None)
        return True

    def gap(self) -> Draft:
        """What tells that the ledger was not written for a while; how much of the news had no room."""
        lost, self._news_lost = self._news_lost, 0
        return Draft(Kind.GAP, {Detail.COUNTS: {"news_lost": lost}} if lost else {})

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
