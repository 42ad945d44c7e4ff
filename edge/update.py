"""What a gate does next with an update: a state and what is known in, the next step out. A table read from the top.

PURE. Responsible for: which step may begin now, what a start after a power cut means, when a version on trial is kept
or goes, which orders count. Not responsible for: doing a step (updater.py), the disk (versions.py), signatures
(releases.py), choosing what starts (firmware_config, `launch`).
Rules: never in hours when families come; one step at a time; what is not certain goes back to what was.

    idle -> downloading -> verified -> installed -> trial -> committed
                 \\------------\\-----------\\         \\--> rolled_back
                  `-> failed (nothing was switched)      verified -> downloading where the archive was damaged since
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum

from protocols.releases import ENDED, Order, Told, UpdateState, is_version, order_of

ARCHIVE, DOWNGRADE, PLACE, CRASHED, SELFTEST, NO_FRAME, NOT_RECEIPTED, WITHDRAWN, TRIES = (
    "ARCHIVE", "DOWNGRADE", "PLACE", "CRASHED", "SELFTEST", "NO_FRAME", "NOT_RECEIPTED", "WITHDRAWN", "TRIES",
)  # fmt: skip
TRIES_MAX = 200  # of one order: downloads that broke off, one a minute: two nights
RETRY_SECONDS = 60.0
STATE_BYTES_MAX = 16_384


class RepositoryAway(Exception):
    """The files cannot be had now; later they may."""


class UpdateRefused(Exception):
    """It cannot be had or installed, now or later. code: what up/job says."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


class Step(Enum):
    """What the shell does now."""

    FETCH = "fetch"  # metadata, then the archive, as far as it comes
    INSTALL = "install"  # unpack beside what runs
    SWITCH = "switch"  # the next start is the new version's, on trial
    COMMIT = "commit"  # the version on trial stays
    BACK = "back"  # the next start is the version before
    UNMARK = "unmark"  # no version is on trial


@dataclass(frozen=True)
class Condition:
    """What a gate could do: faults by part, versions of the documents it holds. Compared before and after a switch."""

    faults: tuple[str, ...] = ()
    documents: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Update:
    """The one update a gate knows of. before: its condition when it last switched. tries: downloads that broke off."""

    job: int = 0
    version: str = ""
    state: UpdateState = UpdateState.IDLE
    code: str = ""
    tries: int = 0
    before: Condition = field(default_factory=Condition)


@dataclass(frozen=True)
class Now:
    """What is known at this moment. quiet: no family is served, the door is shut and the mode is a plain day's."""

    in_window: bool = False
    clock_believed: bool = False
    quiet: bool = False
    waited_seconds: float = RETRY_SECONDS  # since the last try that broke off


@dataclass(frozen=True)
class Trial:
    """How the version on trial does. receipted: an event of this very start has the cloud's receipt."""

    seconds: float
    seconds_max: float
    condition: Condition
    frames: int
    receipted: bool


@dataclass(frozen=True)
class Found:
    """What a start finds on the disk. on_trial: the mark is there. current: what the link names, "" for none."""

    running: str
    current: str
    on_trial: bool


def ordered(update: Update, order: Order, running: str) -> Update | None:
    """Return the update that an order makes of this one, None where the order changes nothing.

    An order with a lower or the same job is old. What is on trial is judged first: the order comes again (retained).
    """
    if order.job <= update.job or update.state is UpdateState.TRIAL:
        return None
    if not order.version:
        unfinished = update.state not in (UpdateState.IDLE, *ENDED)
        taken_back = replace(update, job=order.job, state=UpdateState.FAILED, code=WITHDRAWN)
        return taken_back if unfinished else replace(update, job=order.job)
    new = Update(order.job, order.version, UpdateState.DOWNLOADING)
    if order.version == running:
        return replace(new, state=UpdateState.COMMITTED)
    if order_of(order.version) < order_of(running):
        return replace(new, state=UpdateState.FAILED, code=DOWNGRADE)
    return new


def next_step(update: Update, now: Now) -> Step | None:
    """Return what may begin now, None for nothing. A version on trial is judged by `judge`."""
    if not (now.in_window and now.clock_believed and now.quiet):
        return None
    if update.state is UpdateState.DOWNLOADING:
        return Step.FETCH if now.waited_seconds >= RETRY_SECONDS else None
    return {UpdateState.VERIFIED: Step.INSTALL, UpdateState.INSTALLED: Step.SWITCH}.get(update.state)


def judge(update: Update, trial: Trial) -> tuple[Step | None, str]:
    """Return COMMIT, or BACK with its code, or None while it is too early to say."""
    worse = self_test(update.before, trial.condition)
    if not worse and trial.frames and trial.receipted:
        return Step.COMMIT, ""
    if trial.seconds < trial.seconds_max:
        return None, ""
    return Step.BACK, SELFTEST if worse else NOT_RECEIPTED if trial.frames else NO_FRAME


def self_test(before: Condition, after: Condition) -> tuple[str, ...]:
    """Return what the new version does worse: faults that were not there, documents lost or older."""
    faults = [part for part in after.faults if part not in before.faults]
    lost = [name for name, version in before.documents.items() if after.documents.get(name, 0) < version]
    return (*faults, *sorted(lost))


def done(update: Update, step: Step, *, condition: Condition | None = None) -> Update:
    """Return the update after a step that succeeded. condition: of the gate before it switches."""
    states = {
        Step.FETCH: UpdateState.VERIFIED,
        Step.INSTALL: UpdateState.INSTALLED,
        Step.SWITCH: UpdateState.TRIAL,
        Step.COMMIT: UpdateState.COMMITTED,
        Step.BACK: UpdateState.ROLLED_BACK,
    }
    return replace(update, state=states[step], before=condition or update.before)


def broke_off(update: Update) -> Update:
    """Return the update after a download that broke off: it goes on where it was, but not for ever."""
    tried = replace(update, tries=update.tries + 1)
    return failed(tried, TRIES) if tried.tries >= TRIES_MAX else tried


def fetched_again(update: Update) -> Update:
    """Return the update whose archive was damaged on the disk after it was verified; that counts as a try."""
    return broke_off(replace(update, state=UpdateState.DOWNLOADING))


def failed(update: Update, code: str) -> Update:
    """Return the update after a step that cannot succeed: nothing was switched, nothing will be."""
    return replace(update, state=UpdateState.FAILED, code=code)


def went_back(update: Update, code: str) -> Update:
    return replace(update, state=UpdateState.ROLLED_BACK, code=code)


def at_start(update: Update, found: Found) -> tuple[Update, Step | None]:
    """Return what a start means for the update, and what must be finished: COMMIT, BACK, UNMARK or nothing.

    Every place where the power can go has its row here; tests/edge/test_versions.py cuts at each.
    """
    ours = found.running == update.version
    if update.state is UpdateState.TRIAL and ours:
        return (update, None) if found.on_trial else (done(update, Step.COMMIT), Step.COMMIT)
    if update.state is UpdateState.TRIAL and found.current == update.version:
        return went_back(update, CRASHED), Step.BACK  # the launcher went back: it crashed or hung too often
    if update.state is UpdateState.TRIAL:
        return replace(update, state=UpdateState.INSTALLED), Step.UNMARK  # cut before the switch
    if update.state is UpdateState.COMMITTED and ours and found.on_trial:
        return update, Step.UNMARK
    if found.on_trial or update.state is UpdateState.ROLLED_BACK and (ours or found.current == update.version):
        return update, Step.BACK
    return update, None


def told(update: Update, running: str) -> Told | None:
    """Return what up/job says, None where there is nothing to say."""
    if not update.job or not update.version:
        return None
    return Told(update.job, update.version, update.state, update.code, running)


def as_bytes(update: Update) -> bytes:
    return json.dumps({"v": 1, **asdict(update)}, default=dict).encode()


def from_bytes(data: bytes) -> Update:
    """Return what was kept; what cannot be read counts as no update: then what runs goes on running."""
    try:
        kept = json.loads(data) if len(data) <= STATE_BYTES_MAX else {}
        before = kept["before"]
        update = Update(
            int(kept["job"]),
            str(kept["version"]),
            UpdateState(kept["state"]),
            str(kept["code"]),
            int(kept["tries"]),
            Condition(tuple(map(str, before["faults"])), {str(k): int(v) for k, v in before["documents"].items()}),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Update()
    return update if update.version == "" or is_version(update.version) else Update()
