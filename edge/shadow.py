"""The gate's shadow: what the operator wants it to be, what it is, and the way from one to the other and back.

PURE. Responsible for: taking a signed configuration (KF1), which settings it may change, its trial after the restart
that applies it, the health check, the last good one that returns by itself, what is reported.
Not responsible for: reading settings (config.py), restarting (appliance.py), signatures (protocols/documents.py).
Obeys: PROTOCOL P-4 (KF1, CONFIG_…), P-6 (up/rep); ADR 0017.

    nothing -> pending (trial) -> applied
                             \\-> rejected, and the last good one runs again
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edge.door_settings import Problem
from protocols.canonical import CanonicalError, decode, encode
from protocols.documents import Reader, load_gate_configuration
from protocols.envelope import DocumentRefused, Held, digest_of, uint, unpack

TRIAL_SECONDS = 20.0  # a camera begins within 4 s, a broker's session within 6: three times that
STEADY_SECONDS = 3.0  # all is well for so long without a break before a configuration counts as good
STARTS_MAX = 2  # a power cut may fall into a trial once; a second unfinished start is the configuration's fault
ERRORS_MAX = 8
ERROR_CHARACTERS_MAX = 120
TABLE = "shadow"
Change = tuple[str, bytes, bytes | None]

# What may be changed from afar: never who the gate is, its keys, its broker, its pins, nor what is wired to the door.
REMOTE: Mapping[str, frozenset[str]] = {
    "gate": frozenset(("hours", "timezone", "departures", "gates_at_site", "language")),
    "camera": frozenset(("source", "path")),
    "clock": frozenset(("assume",)),
    "updates": frozenset(("windows", "trial_seconds")),
    "door": frozenset(
        ("open_seconds", "open_seconds_longer", "longer_for", "lock_when_opened", "held_seconds", "held_seconds_longer",
         "pre_alarm_seconds", "exit_seconds", "unlocked_hours", "debounce_ms")
    ),
}  # fmt: skip

PENDING, APPLIED, REJECTED = "pending", "applied", "rejected"


@dataclass(frozen=True)
class Configuration:
    """A configuration that was taken: its JSON, and the version and hash that say which."""

    held: Held
    json: bytes

    @property
    def sections(self) -> Mapping[str, Mapping[str, Any]]:
        return json.loads(self.json)

    def stored(self, starts: int = 0) -> bytes:
        return encode([self.held.version, self.held.digest, self.json, starts])


@dataclass(frozen=True)
class Health:
    """What the gate knows of itself while it is on trial; None: it has no such part."""

    frames: bool
    journal: bool
    broker: bool | None

    @property
    def missing(self) -> tuple[str, ...]:
        told = (("CAMERA", self.frames), ("JOURNAL", self.journal), ("BROKER", self.broker))
        return tuple(name for name, well in told if well is False)


@dataclass(frozen=True)
class Step:
    """What to do: rows to keep first, then tell (code of the event), report, and restart into what is wanted."""

    changes: tuple[Change, ...] = ()
    code: str = ""
    alarm: bool = False
    restart: bool = False
    report: bool = False


class Shadow:
    """One gate's shadow. saved: rows of the last run. Every method returns what to do, or nothing to do."""

    def __init__(self, saved: Mapping[tuple[str, bytes], bytes] | None) -> None:
        rows = {key: value for (table, key), value in (saved or {}).items() if table == TABLE}
        self.good, _ = _read(rows.get(b"good"))
        self.trial, self.starts = _read(rows.get(b"trial"))
        self.held = _read(rows.get(b"newest"))[0]
        self._told = _read_told(rows.get(b"told"))
        self._began: float | None = None
        self._steady: float | None = None

    @property
    def wanted(self) -> Configuration | None:
        """The configuration to run with; None: the gate's own file."""
        return self.trial or self.good

    def begin(self) -> Step:
        """The process starts. A trial that has not ended in two starts is given up before it is tried again."""
        if self.trial is None:
            return Step()
        if self.starts >= STARTS_MAX:
            return self._give_up(("STARTS",), restart=False)
        self.starts += 1
        return Step(((TABLE, b"trial", self.trial.stored(self.starts)),))

    def unreadable(self, problems: Iterable[Problem]) -> Step:
        """What is wanted cannot be read by this version of the gate: the file's own settings run."""
        if self.trial is not None:
            return self._give_up(tuple(_told(one) for one in problems), restart=False)
        self.good = None
        return Step(((TABLE, b"good", None),), code="CONFIG_FORMAT", alarm=True, report=True)

    def desire(self, data: bytes, reader: Reader, check: Callable[[Mapping[str, Any]], list[Problem]]) -> Step:
        """A configuration came. check: what is wrong with these sections, for config.py knows."""
        try:
            document = load_gate_configuration(data, replace(reader, held=self.held.held if self.held else None))
        except DocumentRefused as refused:
            return Step(code=refused.code, alarm=True)
        assert document.held
        if self.held and self.held.held == document.held:
            return Step()  # a retained one comes again at each connection
        fresh = Configuration(document.held, document.json)
        errors = _problems(document.json, check)
        self.held = fresh
        newest = (TABLE, b"newest", fresh.stored())
        if errors:
            return self._tell(REJECTED, fresh, errors, "CONFIG_REJECTED", (newest,), alarm=True)  # a trial goes on
        on_trial, good = self.trial is not None, self.good.sections if self.good else {}
        if good == fresh.sections:
            return replace(self._accept(fresh, newest), restart=on_trial)
        self.trial, self.starts = fresh, 0
        changes = (newest, (TABLE, b"trial", fresh.stored()))
        return replace(self._tell(PENDING, fresh, (), "CONFIG_TRIAL", changes), restart=True)

    def judge(self, health: Health, moment: float) -> Step:
        """Once a second of a trial: good where all has been well for a while, given up where it takes too long."""
        if self.trial is None:
            return Step()
        self._began = moment if self._began is None else self._began
        if health.missing:
            self._steady = None
        elif self._steady is None:
            self._steady = moment
        if self._steady is not None and moment - self._steady >= STEADY_SECONDS:
            return self._accept(self.trial)
        if moment - self._began >= TRIAL_SECONDS:
            return self._give_up(health.missing or ("UNSTEADY",), restart=True)
        return Step()

    def report(self) -> bytes:
        """Return what up/rep says."""
        state, version, hash_, errors = self._told
        return json.dumps(
            {"v": 1, "state": state, "version": version, "hash": hash_, "errors": list(errors),
             "runs": self.good.held.version if self.good else 0, "trial": self.trial is not None},
            separators=(",", ":"),
        ).encode()  # fmt: skip

    def _accept(self, fresh: Configuration, *changes: Change) -> Step:
        self.good, self.trial = fresh, None
        rows = (*changes, (TABLE, b"good", fresh.stored()), (TABLE, b"trial", None))
        return self._tell(APPLIED, fresh, (), "CONFIG_OK", rows)

    def _give_up(self, errors: tuple[str, ...], *, restart: bool) -> Step:
        assert self.trial
        failed, self.trial, self._began, self._steady = self.trial, None, None, None
        told = self._tell(REJECTED, failed, errors, "CONFIG_ROLLED_BACK", ((TABLE, b"trial", None),), alarm=True)
        return replace(told, restart=restart)

    def _tell(
        self, state: str, about: Configuration, errors: tuple[str, ...], code: str, changes: tuple[Change, ...],
        *, alarm: bool = False,
    ) -> Step:  # fmt: skip
        self._told = (state, about.held.version, digest_of(about.json).hex(), errors[:ERRORS_MAX])
        told = (TABLE, b"told", json.dumps(self._told).encode())
        return Step((*changes, told), code=code, alarm=alarm, report=True)


def _problems(raw: bytes, check: Callable[[Mapping[str, Any]], list[Problem]]) -> tuple[str, ...]:
    """Return what is wrong with the JSON of a configuration: shape, settings that are not remote, values."""
    try:
        sections = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return ("it is not JSON",)
    if not isinstance(sections, dict) or not all(isinstance(one, dict) for one in sections.values()):
        return ("it is not sections of settings",)
    strange = [f"{section}.{key}" for section, settings in sections.items() for key in settings
               if key not in REMOTE.get(section, ())]  # fmt: skip
    strange += [section for section, settings in sections.items() if section not in REMOTE and not settings]
    if strange:
        return tuple(f"{ascii(name)[1:-1]}: cannot be set from afar"[:ERROR_CHARACTERS_MAX] for name in strange)
    return tuple(_told(one) for one in check(sections))


def _told(problem: Problem) -> str:
    return f"{problem.key}: {problem.what}"[:ERROR_CHARACTERS_MAX]


def _read(row: bytes | None) -> tuple[Configuration | None, int]:
    """Return a configuration as it was stored, and its starts; nothing where the row is not ours."""
    try:
        version, digest, raw, starts = unpack(decode(row or b""), 4)
        if type(digest) is not bytes or type(raw) is not bytes or not isinstance(json.loads(raw), dict):
            return None, 0
        return Configuration(Held(uint(version), digest), raw), uint(starts)
    except (CanonicalError, ValueError):
        return None, 0


def _read_told(row: bytes | None) -> tuple[str, int, str, tuple[str, ...]]:
    """Return state, version, hash and errors of the last report; a gate that was told nothing runs its own file."""
    try:
        state, version, hash_, errors = json.loads(row or b"")
    except (ValueError, TypeError):
        return APPLIED, 0, "", ()
    return str(state), int(version), str(hash_), tuple(str(one) for one in errors)
