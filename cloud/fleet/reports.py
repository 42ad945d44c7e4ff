"""What a gate says of itself over MQTT, turned into values that may be trusted to have a shape.

PURE. Responsible for: up/st and up/hb (P-6). Unknown members are ignored, an unknown major version and every wrong
shape are refused with a code, nothing crashes. Not responsible for: whether the gate may say it (cloud/ingest.py).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cloud.fleet.cries import CRIES_MAX

REPORT_BYTES_MAX = 8_192  # our own gates send under 600 bytes
TEXT_CHARACTERS_MAX = 40
NUMBER_MAX = 2**53  # what JSON readers agree on
DOCUMENTS_MAX = 16
STATES = ("online", "offline")


class ReportRefused(Exception):
    """The report cannot be used. code: REPORT_SIZE, REPORT_FORMAT or REPORT_VERSION."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class StateReport:
    """up/st. reported: what the console shows (boot, firmware, documents, mode)."""

    state: str
    session: str
    reported: Mapping[str, Any]


@dataclass(frozen=True)
class TelemetryReport:
    """up/hb. values: known members of the right type, absent ones left out."""

    session: str
    values: Mapping[str, Any]


def read_state(payload: bytes) -> StateReport:
    """Return a birth or a will. Raises ReportRefused."""
    told = _read(payload)
    if told.get("state") not in STATES:
        raise ReportRefused("REPORT_FORMAT")
    reported = _known(told, {"boot": _number, "firmware": _text, "documents": _documents, "mode": _text})
    return StateReport(told["state"], _session(told), reported)


def read_telemetry(payload: bytes) -> TelemetryReport:
    """Return a heartbeat. Raises ReportRefused."""
    told = _read(payload)
    numbers = ("outbox", "oldest_s", "frame_age_s", "temperature_c", "disk_free_mb", "commit_ms", "offset_ms")
    shapes: dict[str, Callable[[Any], Any]] = dict.fromkeys(numbers, _number)
    shapes |= {"clock": _text, "view": _text, "read_ms": _pair, "restarts": _counts, "alarms": _cries}
    return TelemetryReport(_session(told), _known(told, shapes))


def _read(payload: bytes) -> dict[str, Any]:
    if len(payload) > REPORT_BYTES_MAX:
        raise ReportRefused("REPORT_SIZE")
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ReportRefused("REPORT_FORMAT") from error
    if not isinstance(told, dict):
        raise ReportRefused("REPORT_FORMAT")
    if told.get("v") != 1 or isinstance(told["v"], bool):
        raise ReportRefused("REPORT_VERSION")
    return told


def _session(told: Mapping[str, Any]) -> str:
    session = _text(told.get("session"))
    if not session:
        raise ReportRefused("REPORT_FORMAT")
    return session[:32]


def _known(told: Mapping[str, Any], shapes: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    values = {name: shape(told.get(name)) for name, shape in shapes.items()}
    return {name: value for name, value in values.items() if value is not None}


def _number(value: Any) -> float | int | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and -NUMBER_MAX <= value <= NUMBER_MAX
    return value if good else None  # NaN compares false and goes too


def _text(value: Any) -> str | None:
    """Printable ASCII only: the console shows it, and a screen must not obey it (hostile case P20)."""
    good = isinstance(value, str) and len(value) <= TEXT_CHARACTERS_MAX and value.isascii() and value.isprintable()
    return value if good else None


def _pair(value: Any) -> list[float | int] | None:
    if not isinstance(value, list) or len(value) != 2 or any(_number(item) is None for item in value):
        return None
    return value


def _documents(value: Any, most: int = DOCUMENTS_MAX) -> dict[str, int] | None:
    if not isinstance(value, dict):
        return None
    good = {
        name: version
        for name, version in list(value.items())[:most]
        if _text(name) and isinstance(version, int) and not isinstance(version, bool) and 0 <= version < 2**32
    }
    return good


def _counts(value: Any) -> dict[str, int] | None:
    return _documents(value)


def _cries(value: Any) -> dict[str, int] | None:
    return _documents(value, CRIES_MAX)
