"""What a gate says of itself over MQTT, turned into values that may be trusted to have a shape.

PURE. Responsible for: up/st and up/hb (P-6). Unknown members are ignored, an unknown major version and every wrong
shape are refused with a code, nothing crashes. Not responsible for: whether the gate may say it (cloud/ingest.py).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cloud.fleet.cries import CRIES_MAX

REPORT_BYTES_MAX = 8_192  # our own gates send under 600 bytes
TEXT_CHARACTERS_MAX = 40
NUMBER_MAX = 2**53  # what JSON readers agree on
DOCUMENTS_MAX = 16
STATES = ("online", "offline")
CONFIGURATION_STATES = ("applied", "rejected", "pending")
OUTCOMES = ("done", "refused", "expired", "failed")
NONCE = re.compile(r"[0-9a-f]{16}")
WORDS_MAX = 16
ERRORS_MAX = 8
ERROR_CHARACTERS_MAX = 120
CODE = re.compile(r"[A-Z][A-Z0-9_]{1,39}")
HASH = re.compile(r"[0-9a-f]{64}")


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


@dataclass(frozen=True)
class ConfigurationReport:
    """up/rep. state: applied, rejected or pending; version: the newest that came; runs: the one in force (0: none)."""

    state: str
    version: int
    runs: int
    values: Mapping[str, Any]

    @property
    def first_error(self) -> str | None:
        """Return the first error where it is a code (CAMERA), else CONFIG_VALUES."""
        errors = self.values.get("errors") or [""]
        return errors[0] if CODE.fullmatch(errors[0]) else "CONFIG_VALUES"


@dataclass(frozen=True)
class CommandAnswer:
    """up/rsp. state: done, refused, expired or failed; told: small numbers and words of the operation."""

    nonce: bytes
    state: str
    took_ms: int | None
    told: Mapping[str, Any]


def read_answer(payload: bytes) -> CommandAnswer:
    """Return a gate's answer to a command. Raises ReportRefused."""
    told = _read(payload)
    nonce, state, took_ms = told.get("nonce"), told.get("state"), _number(told.get("took_ms"))
    if not isinstance(nonce, str) or not NONCE.fullmatch(nonce) or state not in OUTCOMES:
        raise ReportRefused("REPORT_FORMAT")
    return CommandAnswer(bytes.fromhex(nonce), state, int(took_ms) if took_ms is not None else None,
                         _words(told.get("told")))  # fmt: skip


def read_configuration(payload: bytes) -> ConfigurationReport:
    """Return what a gate says of its configuration. Raises ReportRefused."""
    told = _read(payload)
    state, version, runs = told.get("state"), _revision(told.get("version")), _revision(told.get("runs", 0))
    if state not in CONFIGURATION_STATES or version is None or runs is None:
        raise ReportRefused("REPORT_FORMAT")
    values = _known(told, {"state": _text, "version": _number, "runs": _number, "hash": _hash, "errors": _errors})
    return ConfigurationReport(state, version, runs, values)


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
    numbers = ("outbox", "oldest_s", "frame_age_s", "temperature_c", "disk_free_mb", "commit_ms", "offset_ms",
               "certificate_days")  # fmt: skip
    shapes: dict[str, Callable[[Any], Any]] = dict.fromkeys(numbers, _number)
    shapes |= {"clock": _text, "view": _text, "read_ms": _pair, "restarts": _counts, "alarms": _cries,
               "hint": _text, "door": _errors}  # fmt: skip
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


def _revision(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 else None


def _hash(value: Any) -> str | None:
    return value if isinstance(value, str) and HASH.fullmatch(value) else None


def _words(value: Any) -> dict[str, Any]:
    """A few numbers and short printable words, by name."""
    rows = list(value.items())[:WORDS_MAX] if isinstance(value, dict) else []
    kept = {name: one if _number(one) is not None or isinstance(one, bool) else _short(one) for name, one in rows
            if _text(name)}  # fmt: skip
    return {name: one for name, one in kept.items() if one is not None}


def _short(value: Any) -> str | None:
    good = isinstance(value, str) and value.isascii() and value.isprintable()
    return value[:ERROR_CHARACTERS_MAX] if good else None


def _errors(value: Any) -> list[str] | None:
    """Printable ASCII, a few, short: they stand on the operator's page (hostile case P20)."""
    if not isinstance(value, list):
        return None
    told = [one for one in value[:ERRORS_MAX] if isinstance(one, str) and one.isascii() and one.isprintable()]
    return [one[:ERROR_CHARACTERS_MAX] for one in told]


def _counts(value: Any) -> dict[str, int] | None:
    return _documents(value)


def _cries(value: Any) -> dict[str, int] | None:
    return _documents(value, CRIES_MAX)
