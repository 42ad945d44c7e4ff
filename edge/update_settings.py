"""The settings of [updates]: where releases come from, when a gate may change its program, how long a trial lasts.

Responsible for: their forms, and what they say together with the hours of the site.
Not responsible for: the file (config.py), updates themselves (update.py).
Rule: never in hours when families come; whoever serves the files is believed nothing (releases.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge.door_settings import Problem
from edge.settings import Setting, Wrong, a_path_or_nothing, a_text, is_loopback, shown, some_hours, some_seconds

ROOT_BYTES_MAX = 65_536  # a root with a dozen keys is 4 KB


@dataclass(frozen=True)
class UpdateSettings:
    """url "": this gate takes no updates. windows: seconds of the local day. root: the operator's first root.json."""

    url: str
    root: Path | None
    windows: tuple[tuple[int, int], ...]
    trial_seconds: float


def a_repository(value: object) -> str:
    text = a_text(value, "https://portillon.example/updates")
    example = '"https://portillon.example/updates", or "" for none'
    try:
        parts = urlsplit(text)
        good = text == "" or parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or parts.query or parts.fragment or parts.username is not None or text != text.strip():
        raise Wrong(f"{shown(text)} is not the address of a repository", example)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise Wrong("http without TLS leaves this machine", example)
    return text.rstrip("/")


UPDATES: Mapping[str, Setting] = {
    "url": Setting(a_repository, ""),
    "root": Setting(a_path_or_nothing("update-root.json"), ""),
    "windows": Setting(some_hours, ["01:00-04:00"]),
    "trial_seconds": Setting(some_seconds(10.0, 600.0, 300.0), 300.0),
}


def update_problems(values: Mapping[tuple[str, str], Any]) -> Iterator[Problem]:
    """Yield what [updates] and the hours of the site together can get wrong."""
    if values.get(("updates", "url")) and values.get(("updates", "root")) == "":
        yield Problem("updates.root", "is needed with an address", 'root = "update-root.json", as the operator gave it')
    windows = values.get(("updates", "windows"), ())
    for section, key in (("gate", "hours"), ("door", "unlocked_hours")):
        if values.get(("updates", "url")) and _overlap(windows, values.get((section, key), ())):
            yield Problem("updates.windows", f"overlap {section}.{key}: families come then", 'such as ["01:00-04:00"]')


def as_updates(section: dict[str, Any], base: Path) -> UpdateSettings:
    """Return the section as settings. base: the folder of gate.toml."""
    return UpdateSettings(**{**section, "root": base / section["root"] if section["root"] else None})


def _overlap(some: tuple[tuple[int, int], ...], others: tuple[tuple[int, int], ...]) -> bool:
    return any(begins < ended and began < ends for begins, ends in some for began, ended in others)


def read_root(settings: UpdateSettings) -> bytes:
    """Return the operator's first root. Raises OSError, ValueError."""
    assert settings.root is not None, "config.py refuses an address without a root"
    with settings.root.open("rb") as file:
        data = file.read(ROOT_BYTES_MAX + 1)
    if not 0 < len(data) <= ROOT_BYTES_MAX:
        raise ValueError("it is not a root")
    return data
