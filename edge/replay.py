"""Runs a scenario through the real decision core, in virtual time: one answer a step.

PURE but for nothing: lines in, dictionaries out. The format is the one of INTERFACES (Scenario). A malformed line
answers FORMAT with what `at` it had; never a traceback.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from edge.decision import Decision, GateSettings, StaffAnswer
from edge.gate import Gate
from edge.roster import HOLDOVER, NTP, UNTRUSTED, Roster
from edge.view import Symbol
from protocols.documents import Mode
from protocols.envelope import uint
from protocols.events import Flag, Note
from protocols.limits import THUMB_BYTES
from protocols.reasons import ALERTS, DOUBLE_USE, HEAD_ALERTS, DocumentKind, Reason
from protocols.rules import Hours
from protocols.trust import Role, Trust, TrustedKey

_FLAGS = {Flag.REPLAY_BUS_DOWN: "replay_bus_down", Flag.LIST_STALE: "list_stale", Flag.CLOCK_UNSURE: "clock_unsure"}
_CLOCKS = (NTP, HOLDOVER, UNTRUSTED)
_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Scenario:
    """The header: a gate, its site, its keys. Times are UTC seconds."""

    gate: int
    site: int
    zone: ZoneInfo
    spans: tuple[tuple[int, int], ...]
    boot: float
    floor: float
    clock: str = HOLDOVER
    departures: str = "staff"
    gates: int = 1
    trust: Trust = field(default_factory=Trust)


def replay(lines: Iterable[str]) -> Iterator[dict]:
    """Yield one answer a step. A header that cannot be read is answered with FORMAT, and ends it."""
    numbered = iter(line for line in lines if line.strip())
    try:
        stage = _Stage(_scenario(json.loads(next(numbered, ""))))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield _answer(None, Decision(Reason.FORMAT))
        return
    for line in numbered:
        yield stage.play(line)


class _Stage:
    """The gate of a scenario, and what a restart keeps of it."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._disk: dict[tuple[str, bytes], bytes] = {}
        self._mode, self._bus_up, self._journal_ok = Mode.NORMAL, True, True
        self.gate = self._boot(scenario.boot)
        self._keep(self.gate.boot(scenario.boot))

    def _boot(self, at: float) -> Gate:
        scenario = self.scenario
        roster = Roster(
            scenario.site,
            scenario.gate,
            trust=scenario.trust,
            clock=scenario.clock,
            floor=scenario.floor,
            saved=self._disk,
        )
        hours = Hours(scenario.zone, scenario.spans)
        settings = GateSettings(scenario.gate, scenario.site, hours, scenario.departures, scenario.gates)
        return Gate(settings, roster, saved=self._disk, boot_at=at)

    def play(self, line: str) -> dict:
        at = None
        try:
            step = json.loads(line)
            at = _moment(step["at"])
            decision = self._step(step, at)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return _answer(at, Decision(Reason.FORMAT))
        self._keep(decision)
        return _answer(at, decision)

    def _step(self, step: dict, at: float) -> Decision:
        gate = self.gate
        match next(name for name in (*_STEPS, "") if name in step or not name):
            case "scan":
                return gate.scan([_symbol(row) for row in _list(step["scan"])], at)
            case "policy":
                return gate.document(DocumentKind.KR1, bytes.fromhex(step["policy"]), at)
            case "seen":
                return gate.seen(_note(step["seen"]), at)
            case "bus":
                self._bus_up = _one_of(step["bus"], ("up", "down")) == "up"
                return gate.bus(self._bus_up, at)
            case "restart":
                return self._restart(_bool(step["restart"]["keep_state"]), at)
            case "clock":
                gate.roster.set_clock(_one_of(step["clock"], _CLOCKS), at)  # a scenario's world, not this gate's news
                return Decision(Reason.OK)
            case "mode":
                self._mode = Mode[_one_of(step["mode"], ("normal", "lockdown", "evacuate", "free")).upper()]
                return gate.mode(self._mode, at)
            case "journal":
                self._journal_ok = _one_of(step["journal"], ("ok", "failing")) == "ok"
                return gate.journal(self._journal_ok, at)
            case "staff":
                return gate.staff(_staff_answer(step["staff"]), at)
        raise ValueError("no such step")

    def _restart(self, keep_state: bool, at: float) -> Decision:
        if not keep_state:
            self._disk.clear()
            self._mode, self._bus_up, self._journal_ok = Mode.NORMAL, True, True
        clock = self.gate.roster.clock
        self.gate = self._boot(at)
        if keep_state:
            self.gate.roster.set_clock(clock, at)
            self.gate.mode(self._mode, at)
            self.gate.bus(self._bus_up, at)
            self.gate.journal(self._journal_ok, at)
        return self.gate.boot(at)

    def _keep(self, decision: Decision) -> None:
        """The disk of a scenario: rows as the journal would keep them."""
        for table, key, value in decision.changes:
            if value is None:
                self._disk.pop((table, key), None)
            else:
                self._disk[table, key] = value


_STEPS = ("scan", "policy", "seen", "bus", "restart", "clock", "mode", "journal", "staff")


def _answer(at: float | None, decision: Decision) -> dict:
    answer: dict[str, Any] = {
        "at": at,
        "code": str(decision.code),
        "strike": decision.strike,
        "acts": [list(act) for act in decision.acts],
        "refused": [[child, str(code)] for child, code in decision.refused],
        "flags": [name for flag, name in _FLAGS.items() if flag in decision.flags],
        "events": len(decision.events),
        "alarms": [alarm for alarm in decision.alarms if _is_told(alarm)],
    }
    return answer if decision.by is None else answer | {"by": decision.by}


def _is_told(alarm: str) -> bool:
    return alarm == DOUBLE_USE or alarm.startswith(DocumentKind.KR1) or alarm in ALERTS | HEAD_ALERTS


# --- reading ----------------------------------------------------------------------------------------------------


def _scenario(header: dict) -> Scenario:
    zone = header.get("tz", "UTC")
    spans = tuple((uint(a, 0, _DAY_SECONDS), uint(b, 0, _DAY_SECONDS)) for a, b in header.get("hours", [[0, 86_400]]))
    boot = _moment(header["boot"])
    return Scenario(
        gate=uint(header["gate"], 1),
        site=uint(header["site"], 1),
        zone=_zone(zone),
        spans=spans,
        boot=boot,
        floor=_moment(header.get("floor", 0)),
        clock=_one_of(header.get("clock", HOLDOVER), _CLOCKS),
        departures=_one_of(header.get("departures", "staff"), ("staff", "pass")),
        gates=uint(header.get("gates", 1), 1),
        trust=_trust(header.get("trust", [])),
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except OSError as error:  # ZoneInfoNotFoundError is a KeyError; a folder's name is an OSError
        raise ValueError("no such time zone") from error


def _trust(rows: list) -> Trust:
    """The keys of a header. As a gate would: two keys of one kid refuse the list whole; a strange role is no key's."""
    keys = [key for row in rows if (key := _trusted_key(row))]
    by_kid = {key.kid: key for key in keys}
    return Trust(by_kid) if len(by_kid) == len(keys) else Trust()


def _trusted_key(row: dict) -> TrustedKey | None:
    if row["role"] not in list(Role):
        return None
    key = TrustedKey(
        bytes.fromhex(row["pub"]),
        Role(row["role"]),
        frozenset(uint(site, 1) for site in row.get("sites", [])),
        uint(row.get("not_before", 0)),
        uint(row.get("not_after", 2**32 - 1)),
    )
    return key if bytes.fromhex(row.get("kid", key.kid.hex())) == key.kid else None


def _symbol(row: dict) -> Symbol:
    text, kind, append = row["text"], row.get("format", "QRCode"), row.get("append", False)
    if type(text) is not str or type(kind) is not str:
        raise ValueError("a symbol's text and format are text")
    return Symbol(text, kind, _bool(append))


def _note(row: dict) -> Note:
    thumb = bytes.fromhex(row["thumb"])
    if len(thumb) != THUMB_BYTES:
        raise ValueError("a thumb of another length")
    acts = tuple((uint(child, 1), uint(direction, 1, 2)) for child, direction in row.get("acts", []))
    return Note(uint(row["gate"], 1), thumb, uint(row["iat"]), 0, acts)


def _staff_answer(row: dict) -> StaffAnswer:
    direction = row.get("direction")
    chosen = None if direction is None else uint(direction, 1, 2)
    return StaffAnswer(_bool(row["confirm"]), uint(row.get("staff", 1), 1), chosen)


def _moment(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < 2**33:
        raise ValueError("a moment is UTC seconds")
    return value


def _one_of(value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError("not one of the words allowed")
    return value


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("true or false")
    return value


def _list(value: Any) -> list:
    if type(value) is not list:
        raise ValueError("a list")
    return value
