"""The shadow as a running gate holds it: heard on dn/cfg, kept in the journal, judged each second, told on up/rep.

Responsible for: the order (kept on the disk, then acted on), what the health check looks at, a configuration that
lacked its key and is judged again under a new trust list.
Not responsible for: what is decided (shadow.py), restarting (appliance.py).
Obeys: PROTOCOL P-4 (KF1), P-6 (dn/cfg, up/rep).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.broker import Broker
from edge.config import ConfigProblems, GateConfig, load_config
from edge.door_settings import Problem
from edge.health import Health
from edge.journal import Journal
from edge.loop import Loop
from edge.shadow import Health as Well
from edge.shadow import Shadow, Step
from protocols import topics
from protocols.reasons import DocumentCode

_MAY_BE_GOOD_LATER = (f"_{DocumentCode.KEY}", f"_{DocumentCode.FUTURE}")


def settle(shadow: Shadow, config: GateConfig, journal: Journal, at: float) -> tuple[GateConfig, list[Step]]:
    """Return what the gate runs with, and what there is to tell of it. Raises JournalFailed."""
    steps = [shadow.begin()]
    effective = config
    if shadow.wanted is not None:
        try:
            effective = _over(config, shadow.wanted.sections)
        except ConfigProblems as wrong:
            steps.append(shadow.unreadable(wrong.problems))
            effective = _over(config, shadow.wanted.sections) if shadow.wanted else config
    changes = [change for step in steps for change in step.changes]
    if changes:
        journal.commit([], changes, int(at))
    return effective, steps


def problems_of(file: Path, sections: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with these sections over this file."""
    try:
        load_config(file, sections)
    except ConfigProblems as wrong:
        return wrong.problems
    return []


def _over(config: GateConfig, sections: Mapping[str, Any]) -> GateConfig:
    """The file with these sections over it; what a doorkeeper leaves out (supervision.py) stays as it is."""
    over = load_config(config.file, sections)
    return replace(over, broker=config.broker, web=config.web, tablet=config.tablet, scanner=config.scanner)


class Desired:
    """Used by the loop's thread. again: asks for the restart that a new configuration needs."""

    def __init__(
        self, shadow: Shadow, config: GateConfig, loop: Loop, health: Health, broker: Broker | None,
        again: Callable[[], None], steps: list[Step],
    ) -> None:  # fmt: skip
        self._shadow, self._file, self._loop, self._health = shadow, config.file, loop, health
        self._broker, self._again = broker, again
        self._untold = [step for step in steps if step.code]
        self._restart = False
        self._unvouched: tuple[bytes, object] | None = None
        loop.on(topics.CONFIGURATION, self.take)
        loop.each_second(self.turn)
        self._say()

    @property
    def shadow(self) -> Shadow:
        return self._shadow

    def take(self, payload: bytes, at: float) -> None:
        """A configuration came."""
        if not payload:
            return  # the level was cleared: what runs goes on
        roster = self._loop.gate.roster
        self._unvouched = None
        step = self._shadow.desire(payload, roster.reader(at), lambda sections: problems_of(self._file, sections))
        if step.code.endswith(_MAY_BE_GOOD_LATER):
            self._unvouched = payload, (roster.trust.held, roster.clock)
        self._do(step, at)

    def turn(self, at: float) -> None:
        """Each second: what waits, and the trial."""
        for step in self._untold:
            self._loop.tell(step.code, at, alarm=step.alarm)
        self._untold = []
        if self._restart:
            if self._loop.writes:  # what waits for the disk is on it by now: a restart finds it there
                self._again()
            return
        roster = self._loop.gate.roster
        if self._unvouched and self._unvouched[1] != (roster.trust.held, roster.clock):
            self.take(self._unvouched[0], at)
        if self._shadow.trial is not None:
            self._do(self._shadow.judge(self._well(), time.monotonic()), at)

    def _well(self) -> Well:
        health = self._health
        camera = health.frames > 0 and health.fault_of("camera") is None
        journal = health.commit_ms() is not None and health.fault_of("journal") is None
        return Well(camera, journal, None if self._broker is None else self._broker.up)

    def _do(self, step: Step, at: float) -> None:
        """Keep it, tell it, then restart into it; where the disk fails the rows wait, and the restart with them."""
        if step.changes:
            self._loop.write((), step.changes)
        if step.code:
            self._loop.tell(step.code, at, alarm=step.alarm)
        if step.report:
            self._say()
        self._restart = self._restart or step.restart

    def _say(self) -> None:
        if self._broker is not None:
            self._broker.say(topics.REPORTED, self._shadow.report(), retain=True)
