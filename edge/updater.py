"""Updates as a running gate does them: orders in, one step at a time in a thread of its own, every change told.

Responsible for: what a start finishes (`settle`), the facts that the machine asks for, doing its steps, up/job.
Not responsible for: what comes next (update.py), the disk (versions.py), what is genuine (releases.py), starting the
other version: it ends this program, and whoever holds the gate up starts the launcher again (firmware_config).
Obeys: PROTOCOL P-6 (dn/job, up/job); the door never waits for anything here.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from edge import update as machine
from edge.broker import Broker
from edge.config import GateConfig
from edge.door import Mode as DoorMode
from edge.health import Health
from edge.journal import Journal
from edge.loop import Loop
from edge.update import Condition, Now, RepositoryAway, Step, Trial, Update, UpdateRefused
from edge.update_settings import UpdateSettings, read_root
from edge.versions import FIRMWARE, Versions
from protocols import topics
from protocols.releases import ENDED, ReleaseRefused, UpdateState, build_told, read_order, target_of
from protocols.rules import Hours

TURN_SECONDS = 0.5
QUIET_SECONDS = 60.0  # since somebody was last let in
ORDERS_MAX = 16  # heard and not yet looked at; an order is retained and comes again
QUIET_MODES = ("normal", "holiday")  # of the site: nobody changes a program in a lockdown


def settle(versions: Versions) -> Update:
    """Finish what the last run of the gate left, before anything else is opened. Raises AnotherVersion.

    A disk that cannot be written leaves all as it is: the door opens all the same.
    """
    before = versions.update()
    update, step = machine.at_start(before, versions.found(FIRMWARE))
    try:
        if step is Step.COMMIT:
            versions.commit(update)
        elif step is Step.BACK:
            versions.go_back(update)
        elif step is Step.UNMARK:
            versions.unmark()
        if update != before:
            versions.keep(update)
        if update.state in (UpdateState.IDLE, *ENDED):
            versions.tidy()
    except OSError:
        return update
    if step is Step.BACK and update.version == FIRMWARE:
        raise AnotherVersion(f"{FIRMWARE} went back")
    return update


@dataclass(frozen=True)
class Parts:
    """What the updater looks at; owned by others."""

    loop: Loop
    health: Health
    journal: Journal
    broker: Broker


class AnotherVersion(Exception):
    """This program is not the version that is due: end, and let the launcher start that."""


class Updater:
    """One thread. again: ends this program, so that the launcher starts what is due."""

    def __init__(
        self, config: GateConfig, versions: Versions, update: Update, parts: Parts, again: Callable[[], None],
        now: Callable[[], float],
    ) -> None:  # fmt: skip
        self._settings: UpdateSettings = config.updates
        self._versions, self._update, self._parts = versions, update, parts
        self._again, self._now = again, now
        self._windows = Hours(ZoneInfo(config.gate.timezone), self._settings.windows)
        self._orders: queue.Queue[bytes] = queue.Queue(ORDERS_MAX)
        self._began = self._tried_at = self._moved_at = time.monotonic()
        self._tried_at -= machine.RETRY_SECONDS
        self._moved_at -= QUIET_SECONDS
        self._pulses, self._was_up = 0, False
        self._first_seq = parts.journal.next_seq  # of this very start: the boot event
        self._releases: Any = None
        self._genuine = ""  # the version whose archive this very program has verified: what it reads is what it wrote
        self._verdict: tuple[Step, Update] | None = None  # of the trial: said once, and done until the disk takes it
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="updates", daemon=True)
        parts.loop.on(topics.JOB, self.hear)

    @property
    def told(self) -> dict[str, Any]:
        """Return what the status page shows."""
        update = self._update
        return {"running": FIRMWARE, "version": update.version, "state": str(update.state), "code": update.code}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Return within 2 s; what is cut off then goes on at the next start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def hear(self, payload: bytes, _at: float) -> None:
        """Take an order (dn/job), in the loop's thread."""
        try:
            self._orders.put_nowait(payload)
        except queue.Full:
            self._parts.health.count("job_too_many")

    # --- our thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.wait(TURN_SECONDS):
            try:
                self._turn()
                self._parts.health.fault("updates", None)
            except OSError as error:
                self._parts.health.fault("updates", f"the disk: {error.strerror}")
            except Exception as error:  # an update that trips must not end the thread that would take it back
                self._parts.health.internal("updates", error)

    def _turn(self) -> None:
        self._say_on_connection()
        if self._update.state is UpdateState.TRIAL:
            self._judge()  # orders wait: one that came now would be lost with the version that goes
            return
        while not self._orders.empty():
            self._take(self._orders.get_nowait())
        step = machine.next_step(self._update, self._facts())
        if step is not None:
            self._do(step)

    def _take(self, payload: bytes) -> None:
        if not payload:
            return  # the level was cleared
        try:
            order = read_order(payload)
        except ReleaseRefused as refused:
            self._parts.health.count(f"alarm_{refused.code}")
            return
        update = machine.ordered(self._update, order, FIRMWARE)
        if update is not None:
            self._become(update)

    def _facts(self) -> Now:
        moment, loop = time.monotonic(), self._parts.loop
        if loop.doorway.pulses != self._pulses:
            self._pulses, self._moved_at = loop.doorway.pulses, moment
        mode = loop.birth()["mode"]
        shut = loop.doorway.mode is DoorMode.LOCKED and mode in QUIET_MODES
        return Now(
            in_window=self._windows.contain(self._now()),
            clock_believed=self._parts.health.clock != "untrusted",
            quiet=shut and moment - self._moved_at >= QUIET_SECONDS,
            waited_seconds=moment - self._tried_at,
        )

    def _may_go_on(self) -> bool:
        facts = self._facts()
        return facts.in_window and not self._stop.is_set() and self._orders.empty()

    def _do(self, step: Step) -> None:
        """One step. What may go better later is tried again; what cannot is told as failed."""
        update = self._update
        archive = self._versions.work / target_of(update.version)
        try:
            if step is Step.FETCH:
                self._fetch(update.version)
                self._genuine = update.version
            elif step is Step.INSTALL:
                self._versions.install(archive, update.version)
            elif step is Step.SWITCH:
                trial = machine.done(update, step, condition=self._condition())
                self._versions.switch(trial)
                self._update = trial
                self._say()
                self._again()
                return
        except RepositoryAway:
            self._tried_at = time.monotonic()
            self._become(machine.broke_off(update))
        except UpdateRefused as refused:
            if refused.code == machine.ARCHIVE and self._genuine != update.version:
                self._become(machine.fetched_again(update))  # what was verified before a start is not what lies there
            else:
                self._become(machine.failed(update, refused.code))
        else:
            self._become(machine.done(update, step))

    def _fetch(self, version: str) -> None:
        from edge.releases import Releases  # a gate that takes no updates starts without its libraries

        if self._releases is None:
            try:
                self._releases = Releases(self._settings.url, read_root(self._settings), self._versions.work)
            except (OSError, ValueError) as error:
                raise UpdateRefused("METADATA", f"{self._settings.root}: {error}") from error
        target = self._releases.find(version)
        if not self._versions.room_for(target.length):
            raise UpdateRefused(machine.PLACE, f"{target.length} bytes and their tree do not fit")
        self._releases.fetch(target, self._versions.work / target_of(version), self._may_go_on)

    def _judge(self) -> None:
        """End a trial once it can be judged, on the disk first: what the disk refuses is done again next turn."""
        self._verdict = self._verdict or self._judged()
        if self._verdict is None:
            return
        step, update = self._verdict
        if step is Step.COMMIT:
            self._versions.commit(update)
        else:
            self._versions.go_back(update)
        self._update, self._verdict = update, None
        self._say()
        if step is Step.COMMIT:
            self._versions.tidy()
        else:
            self._again()

    def _judged(self) -> tuple[Step, Update] | None:
        health, journal = self._parts.health, self._parts.journal
        trial = Trial(
            seconds=time.monotonic() - self._began,
            seconds_max=self._settings.trial_seconds,
            condition=self._condition(),
            frames=health.frames,
            receipted=journal.receipted_upto >= self._first_seq,
        )
        step, code = machine.judge(self._update, trial)
        if step is None:
            return None
        stays = step is Step.COMMIT
        return step, machine.done(self._update, step) if stays else machine.went_back(self._update, code)

    def _condition(self) -> Condition:
        faults = {part for part in self._parts.health.faults if part != "updates"}
        return Condition(tuple(sorted(faults)), dict(self._parts.loop.birth()["documents"]))

    # --- telling ------------------------------------------------------------------------------------------------

    def _become(self, update: Update) -> None:
        changed = (update.job, update.state) != (self._update.job, self._update.state)
        self._versions.keep(update)
        self._update = update
        if changed:
            self._say()

    def _say_on_connection(self) -> None:
        """Say it again on each connection: whoever heard it last may have lost it, and hearing it twice is no harm."""
        up = self._parts.broker.up
        if up and not self._was_up:
            self._say()
        self._was_up = up

    def _say(self) -> None:
        told = machine.told(self._update, FIRMWARE)
        if told is not None:
            self._parts.broker.say(topics.JOB_STATE, build_told(told))
