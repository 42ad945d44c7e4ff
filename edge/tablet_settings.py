"""The [tablet] and [scanner] of gate.toml: where staff's tablets find this gate, and a hand scanner on its USB.

Responsible for: their settings with defaults, and what two of them together get wrong.
Not responsible for: reading the file (config.py), single forms (settings.py), shifts (shift.py), reading (scanner.py).
Obeys: docs/tablet.md (no tablet without TLS: without it a browser has no WebCrypto, and the network reads along).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge.door_settings import Problem
from edge.settings import (
    Setting,
    Wrong,
    a_path_or_nothing,
    a_text,
    an_address,
    an_integer,
    is_loopback,
    one_of,
    shown,
    some_seconds,
)

SHIFT_HOURS_MAX = 12.0
SERIAL, KEYBOARD, NONE = "serial", "keyboard", "none"
BAUD_RATES = (1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200)


@dataclass(frozen=True)
class TabletSettings:
    """listen: (host, port), None where there are no tablets. cloud: the origin that brings names, "" for none."""

    listen: tuple[str, int] | None = None
    cert: Path | None = None
    key: Path | None = None
    cloud: str = ""
    shift_hours: float = 10.0


@dataclass(frozen=True)
class ScannerSettings:
    """A hand scanner: how it speaks, and the device's path."""

    kind: str = NONE
    path: str = ""
    baud: int = 9_600


def an_origin(value: object) -> str:
    """Read the origin of a page: https://host, or http on this machine for tests and demonstrations."""
    text = a_text(value, "https://school.example")
    if text == "":
        return text
    try:
        parts = urlsplit(text)
        good = parts.scheme == "https" or parts.scheme == "http" and is_loopback(parts.hostname or "")
        good = good and bool(parts.hostname) and parts.port != 0 and text.isascii() and text == text.lower()
        good = good and text == f"{parts.scheme}://{parts.netloc}" and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good:
        raise Wrong(f"{shown(text)} is not the origin of a page", '"https://school.example", or "" for none')
    return text


def a_baud_rate(value: object) -> int:
    number = an_integer(1, 1_000_000, 9_600)(value)
    if number not in BAUD_RATES:
        raise Wrong(f"{number} is no baud rate of a scanner", f"one of {', '.join(map(str, BAUD_RATES))}")
    return number


TABLET = {
    "listen": Setting(an_address, ""),
    "cert": Setting(a_path_or_nothing("tablet.pem"), ""),
    "key": Setting(a_path_or_nothing("tablet.key"), ""),
    "cloud": Setting(an_origin, ""),
    "shift_hours": Setting(some_seconds(1, SHIFT_HOURS_MAX, 10.0), 10.0),
}
SCANNER = {
    "kind": Setting(one_of(NONE, SERIAL, KEYBOARD), NONE),
    "path": Setting(a_path_or_nothing("/dev/portillon-scanner"), ""),
    "baud": Setting(a_baud_rate, 9_600),
}


def tablet_problems(values: Mapping[tuple[str, str], Any], base: Path) -> Iterator[Problem]:
    """Yield what is wrong with settings that are right one by one."""
    if values.get(("tablet", "listen")) is not None:
        for key in ("cert", "key"):
            name = values.get(("tablet", key))
            if name == "":
                yield Problem(f"tablet.{key}", "is needed with listen", f'{key} = "tablet.pem" under [tablet]')
            elif name and not (base / name).is_file():
                yield Problem(f"tablet.{key}", f"{base / name} is not a file", "the path of a PEM file")
    if values.get(("scanner", "kind")) in (SERIAL, KEYBOARD) and values.get(("scanner", "path")) == "":
        yield Problem("scanner.path", "is needed with a scanner", 'path = "/dev/portillon-scanner" under [scanner]')


def as_tablet(values: Mapping[str, Any], base: Path) -> TabletSettings:
    """Return the checked section; paths are relative to the file."""
    cert, key = (base / values[name] if values[name] else None for name in ("cert", "key"))
    return TabletSettings(values["listen"], cert, key, values["cloud"], values["shift_hours"])
