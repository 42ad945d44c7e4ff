"""A release of the gate's program: its name, what it says of itself, the order to take it, the answer of a gate.

PURE. Responsible for: versions and their order, `release.json` inside a release, `dn/job` and `up/job` (P-6).
Not responsible for: signatures and freshness of releases (The Update Framework: edge/releases.py,
cloud/fleet/repository.py), the archive's bytes, what a gate does with it (edge/update.py).
Rule: unknown members are ignored, an unknown major version and every wrong shape are refused with a code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from protocols.limits import JOB_BYTES_MAX, RELEASE_LIBRARIES_MAX, UINT32_MAX

DESCRIPTION = "release.json"  # beside the packages, in the top folder of a release
START = "__main__.py"  # what Python runs when it is given the folder
NO_VERSION = ""  # an order that takes back the one before

_VERSION = re.compile(r"(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})\.(0|[1-9]\d{0,4})")
_LIBRARY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LEAST = re.compile(r"[0-9][0-9.]{0,31}")
_CODE = re.compile(r"[A-Z_]{0,32}")


class ReleaseRefused(Exception):
    """It cannot be used. code: JOB_SIZE, JOB_FORMAT, JOB_VERSION, RELEASE_FORMAT."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class UpdateState(StrEnum):
    """Where a gate is with an update, as `up/job` says it."""

    IDLE = "idle"
    DOWNLOADING = "downloading"
    VERIFIED = "verified"
    INSTALLED = "installed"
    TRIAL = "trial"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


ENDED = (UpdateState.COMMITTED, UpdateState.ROLLED_BACK, UpdateState.FAILED)


@dataclass(frozen=True)
class Release:
    """What a release says of itself. libraries: lower-case name -> least version that must be installed."""

    version: str
    python: tuple[int, int]
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """Take this version. job: rises with each order; version "": take back what was not begun."""

    job: int
    version: str


@dataclass(frozen=True)
class Told:
    """What a gate says of an update. code: why it did not come to its end, else empty. running: what answers."""

    job: int
    version: str
    state: UpdateState
    code: str = ""
    running: str = ""


def is_version(text: object) -> bool:
    return isinstance(text, str) and _VERSION.fullmatch(text) is not None


def order_of(version: str) -> tuple[int, ...]:
    """Return what sorts versions: 0.10.0 comes after 0.9.0. Raises ValueError for anything else."""
    if not is_version(version):
        raise ValueError("a version is three numbers with points")
    return tuple(map(int, version.split(".")))


def target_of(version: str) -> str:
    """Return the name of a release in the repository."""
    return f"portillon-gate-{version}.tar.gz"


def version_of(target: str) -> str | None:
    """Return the version that a target's name carries, None for another target."""
    text = target.removeprefix("portillon-gate-").removesuffix(".tar.gz")
    return text if is_version(text) and target == target_of(text) else None


def describe(release: Release) -> bytes:
    told = {"v": 1, "version": release.version, "python": list(release.python), "libraries": dict(release.libraries)}
    return json.dumps(told, indent=1, sort_keys=True).encode()


def read_description(data: bytes) -> Release:
    """Return what `release.json` says. Raises ReleaseRefused("RELEASE_FORMAT")."""
    told = _object(data, "RELEASE_FORMAT")
    version, python, libraries = told.get("version"), told.get("python"), told.get("libraries", {})
    if told.get("v") != 1 or not isinstance(version, str) or not is_version(version):
        raise ReleaseRefused("RELEASE_FORMAT")
    if not isinstance(python, list) or len(python) != 2 or not all(type(one) is int and one >= 0 for one in python):
        raise ReleaseRefused("RELEASE_FORMAT")
    if not isinstance(libraries, dict) or len(libraries) > RELEASE_LIBRARIES_MAX:
        raise ReleaseRefused("RELEASE_FORMAT")
    for name, least in libraries.items():
        if not _LIBRARY.fullmatch(name) or not isinstance(least, str) or not _LEAST.fullmatch(least):
            raise ReleaseRefused("RELEASE_FORMAT")
    return Release(version, (python[0], python[1]), libraries)


def build_order(order: Order) -> bytes:
    """Return the body of dn/job."""
    return json.dumps({"v": 1, "job": order.job, "version": order.version}, separators=(",", ":")).encode()


def read_order(payload: bytes) -> Order:
    """Return an order. Raises ReleaseRefused."""
    told = _job(payload)
    version = told.get("version")
    if version != NO_VERSION and not is_version(version):
        raise ReleaseRefused("JOB_FORMAT")
    return Order(told["job"], str(version))


def build_told(told: Told) -> bytes:
    """Return the body of up/job."""
    body = {"v": 1, "job": told.job, "version": told.version, "state": str(told.state), "running": told.running}
    return json.dumps(body | ({"code": told.code} if told.code else {}), separators=(",", ":")).encode()


def read_told(payload: bytes) -> Told:
    """Return what a gate says of an update. Raises ReleaseRefused."""
    told = _job(payload)
    version, state, code, running = (told.get(name, "") for name in ("version", "state", "code", "running"))
    if not is_version(version) or state not in tuple(UpdateState) or not isinstance(code, str):
        raise ReleaseRefused("JOB_FORMAT")
    if not _CODE.fullmatch(code) or (running != "" and not is_version(running)):
        raise ReleaseRefused("JOB_FORMAT")
    return Told(told["job"], version, UpdateState(state), code, running)


def _job(payload: bytes) -> dict[str, Any]:
    if len(payload) > JOB_BYTES_MAX:
        raise ReleaseRefused("JOB_SIZE")
    told = _object(payload, "JOB_FORMAT")
    if told.get("v") != 1 or isinstance(told["v"], bool):
        raise ReleaseRefused("JOB_VERSION")
    if type(told.get("job")) is not int or not 1 <= told["job"] <= UINT32_MAX:
        raise ReleaseRefused("JOB_FORMAT")
    return told


def _object(data: bytes, code: str) -> dict[str, Any]:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ReleaseRefused(code) from error
    if not isinstance(told, dict):
        raise ReleaseRefused(code)
    return told
