"""What the fleet knows of its gates, and what is wrong with each.

PURE. Responsible for: rows of the registry, faults derived from reports, the order "worst first".
Not responsible for: children or passes: an operator sees none (UX, one correction). Rules: P-6 up/st and up/hb.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from cloud.fleet.cries import PASSING, PASSING_SECONDS
from protocols.limits import TELEMETRY_SECONDS, WILL_DELAY_SECONDS

TELEMETRY_MISSED_MAX = 3  # reports in a row that may be lost (QoS 0) before a gate counts as silent
OUTBOX_OLD_SECONDS = 120  # an event that waits longer than this for its receipt is worth a look
FRAME_OLD_SECONDS = 10  # hostile case P39: a blind camera in opening hours
DISK_LOW_MB = 200  # the gate's journal of 35 days fits into a third of it
HOT_CELSIUS = 80  # a Raspberry Pi begins to throttle here

DOOR_ALARMS = frozenset(("DOOR_FORCED", "DOOR_HELD_OPEN", "DOOR_TAMPER", "DOOR_FAULT", "DOOR_FIRE"))  # docs/door.md
CERTIFICATE_REFUSED = "CERTIFICATE_REFUSED"

# Worst first: what keeps families waiting, then what loses evidence, then what can wait for tomorrow.
SEVERITY = (
    "DOOR_FORCED", "DOOR_FIRE", "DOOR_TAMPER",
    "LEDGER_FORK", "GATE_CLONED", "SEGMENT_SIGNATURE", "BROKER_WRITE_DENIED", "BROKER_READ_DENIED", "LEDGER_GAP",
    "DOUBLE_USE", "JOURNAL_FAILED", "CERTIFICATE_ENDED", "GATE_OFFLINE", "CAMERA_BLIND",
    "DOOR_FAULT", "DOOR_HELD_OPEN", "ROLLOUT_FAILED", "CONFIG_REJECTED",
    "GATE_SILENT", "CLOCK_UNTRUSTED", "GATE_CLOCK", "PASS_FORGED", "NOTE_REFUSED", "DOCUMENT_REFUSED", "OUTBOX_OLD",
    "DISK_LOW", "CERTIFICATE_7_DAYS", "UPDATE_WENT_BACK", "CERTIFICATE_14_DAYS", "CERTIFICATE_30_DAYS",
    "DOCUMENTS_OLD", "TOO_HOT", "GATE_NOT_APPROVED", "GATE_NEVER_SEEN",
    "CERTIFICATE_REFUSED", "GATE_REVOKED",
)  # fmt: skip


@dataclass(frozen=True)
class GateIdentity:
    """What ingest must know before it believes a segment. approved and revoked: now."""

    gate: int
    district_id: UUID
    district: str
    site: int
    public_key: bytes
    approved: bool
    revoked: bool


@dataclass(frozen=True)
class SiteWithGates:
    """One site to which signed documents are published."""

    district_id: UUID
    district: str
    site: int


@dataclass(frozen=True)
class Gate:
    """One row of the registry. Times are aware UTC, by the cloud's clock."""

    district_id: UUID
    gate: int
    site: int
    name: str
    public_key: bytes
    registered_at: datetime
    approved_at: datetime | None
    revoked_at: datetime | None
    session: str | None
    state: str
    state_at: datetime | None
    last_seen: datetime | None
    reported: Mapping[str, Any]
    telemetry: Mapping[str, Any]
    telemetry_at: datetime | None
    site_name: str = ""
    configuration: Mapping[str, Any] = field(default_factory=dict)  # what it says that it is, up/rep


@dataclass(frozen=True)
class Alarm:
    """An open alarm of a gate. times: how often it was raised since raised_at."""

    gate: int
    code: str
    times: int
    raised_at: datetime
    last_at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GateLine:
    """One line of the console. faults: codes, worst first; empty when all is well. None: not reported."""

    gate: int
    name: str
    site: int
    site_name: str
    online: bool
    last_seen: datetime | None
    outbox: int | None
    oldest_s: float | None
    frame_age_s: float | None
    read_ms: tuple[float, float] | None
    temperature_c: float | None
    disk_free_mb: float | None
    clock: str | None
    firmware: str | None
    mode: str | None
    documents: Mapping[str, int]
    faults: tuple[str, ...]
    hint: str | None = None  # what the newest code in view says of the camera's place: closer_or_farther, dimmer
    configuration: Mapping[str, Any] = field(default_factory=dict)  # state, version, runs, hash, errors (up/rep)


def line_of(gate: Gate, alarms: Iterable[Alarm], current: Mapping[str, int], now: datetime) -> GateLine:
    """Return the console's line. current: newest version of each document of the gate's site."""
    told = gate.telemetry
    return GateLine(
        gate=gate.gate,
        name=gate.name,
        site=gate.site,
        site_name=gate.site_name,
        online=gate.state == "online",
        last_seen=gate.last_seen,
        outbox=told.get("outbox"),
        oldest_s=told.get("oldest_s"),
        frame_age_s=told.get("frame_age_s"),
        read_ms=tuple(told["read_ms"]) if told.get("read_ms") else None,
        temperature_c=told.get("temperature_c"),
        disk_free_mb=told.get("disk_free_mb"),
        clock=told.get("clock"),
        firmware=gate.reported.get("firmware"),
        mode=gate.reported.get("mode"),
        documents=gate.reported.get("documents") or {},
        faults=faults_of(gate, alarms, current, now),
        hint=told.get("hint"),
        configuration=gate.configuration,
    )


def faults_of(gate: Gate, alarms: Iterable[Alarm], current: Mapping[str, int], now: datetime) -> tuple[str, ...]:
    """Return the codes of all that is wrong with a gate now, worst first."""
    if gate.revoked_at:
        knocks = {alarm.code for alarm in alarms} & {CERTIFICATE_REFUSED}
        return _by_severity({"GATE_REVOKED"} | knocks)
    found = {alarm.code for alarm in alarms if _stands(alarm, now)}
    if gate.approved_at is None:
        found.add("GATE_NOT_APPROVED")
    if gate.state == "never":
        return _by_severity(found | {"GATE_NEVER_SEEN"})
    if gate.state == "offline":
        return _by_severity(found | {"GATE_OFFLINE"})
    held = gate.reported.get("documents") or {}
    if any(held.get(domain, 0) < version for domain, version in current.items()):
        found.add("DOCUMENTS_OLD")
    return _by_severity(found | _faults_of_telemetry(gate, now))


def _stands(alarm: Alarm, now: datetime) -> bool:
    return alarm.code not in PASSING or (now - alarm.last_at).total_seconds() <= PASSING_SECONDS


def _faults_of_telemetry(gate: Gate, now: datetime) -> set[str]:
    silent_seconds = TELEMETRY_SECONDS * TELEMETRY_MISSED_MAX + WILL_DELAY_SECONDS
    heard = gate.telemetry_at or gate.state_at
    if heard and (now - heard).total_seconds() > silent_seconds:
        return {"GATE_SILENT"}
    told = gate.telemetry
    tests = {
        "OUTBOX_OLD": _over(told.get("oldest_s"), OUTBOX_OLD_SECONDS),
        "CAMERA_BLIND": bool(told.get("view")) or _over(told.get("frame_age_s"), FRAME_OLD_SECONDS),
        "TOO_HOT": _over(told.get("temperature_c"), HOT_CELSIUS),
        "DISK_LOW": _over(-told["disk_free_mb"] if told.get("disk_free_mb") is not None else None, -DISK_LOW_MB),
        "CLOCK_UNTRUSTED": told.get("clock") == "untrusted",
        "CONFIG_REJECTED": gate.configuration.get("state") == "rejected",
    }
    return {code for code, wrong in tests.items() if wrong} | set(told.get("door") or ()) & DOOR_ALARMS


def _over(value: float | None, bound: float) -> bool:
    return value is not None and value > bound


def _by_severity(codes: Iterable[str]) -> tuple[str, ...]:
    place = {code: index for index, code in enumerate(SEVERITY)}
    return tuple(sorted(codes, key=lambda code: (place.get(code, len(SEVERITY)), code)))


def worst_first(lines: Iterable[GateLine]) -> tuple[GateLine, ...]:
    """Return the lines as an operator wants them: the gravest fault on top, the healthy ones last, by number."""
    place = {code: index for index, code in enumerate(SEVERITY)}
    healthy = len(SEVERITY) + 1

    def rank(line: GateLine) -> tuple[int, int, int]:
        return (place.get(line.faults[0], len(SEVERITY)) if line.faults else healthy, -len(line.faults), line.gate)

    return tuple(sorted(lines, key=rank))
