"""How one setting of gate.toml is read: a value of TOML in, a trusted value out, or Wrong with what to type instead.

Responsible for: types, ranges and forms of single settings.
Not responsible for: which settings there are, files, what two settings say together (config.py).
Obeys: PROTOCOL P-2 (ids are integers from 1), P-6 (district in a topic); HOSTILE P17.
"""

from __future__ import annotations

import difflib
import ipaddress
import itertools
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

ID_MAX = 2**32 - 1  # P-2: uint32 from 1
DISTRICT = re.compile(r"[a-z0-9-]{1,32}\Z")  # P-6
PIN_MAX = 27  # BCM numbers of the 40-pin header
PIN_NOT_WIRED = -1


class Wrong(Exception):
    def __init__(self, what: str, what_to_type: str) -> None:
        super().__init__(what)
        self.what, self.what_to_type = what, what_to_type


REQUIRED: Any = object()


class Setting(NamedTuple):
    """How one setting is read; the default is a value as it would stand in the file."""

    read: Callable[[Any], Any]
    default: Any = REQUIRED


def shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


def a_text(value: object, example: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise Wrong(f"{shown(value)} is not a text", f'a text such as "{example}"')
    return value


def an_integer(low: int, high: int, example: int, says: str = "") -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong(f"{shown(value)} is not a whole number", f"{example}, with no quotes")
        if not low <= value <= high:
            raise Wrong(f"{value} is outside {low} to {high}", f"a whole number such as {example}{says}")
        return value

    return read


def one_of(*choices: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in choices or not isinstance(value, str):
            near = difflib.get_close_matches(str(value), choices, 1)
            hint = f'"{near[0]}"' if near else " or ".join(f'"{c}"' for c in choices)
            raise Wrong(f"{shown(value)} is not one of {', '.join(choices)}", hint)
        return value

    return read


def yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise Wrong(f"{shown(value)} is neither true nor false", "true or false, with no quotes")
    return value


def a_district(value: object) -> str:
    text = a_text(value, "demo")
    if not DISTRICT.match(text):
        raise Wrong(f"{shown(text)} cannot stand in a topic", '1 to 32 of a-z, 0-9 and "-", such as "demo"')
    return text


def a_timezone(value: object) -> str:
    text = a_text(value, "Asia/Almaty")
    try:
        ZoneInfo(text)
    except (OSError, ValueError, LookupError):
        raise Wrong(f"{shown(text)} is no IANA time zone", 'a name such as "Asia/Almaty" or "UTC"') from None
    return text


_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24):([0-5]\d)\Z")


def some_hours(value: object) -> tuple[tuple[int, int], ...]:
    example = 'a list such as ["07:00-19:00"]; at most 8 spans, each ending after it began'
    if not isinstance(value, list) or not 1 <= len(value) <= 8:
        raise Wrong(f"{shown(value)} is not a list of spans", example)
    spans = []
    for span in value:
        found = _HOURS.match(span) if isinstance(span, str) else None
        if found is None:
            raise Wrong(f"{shown(span)} is not HH:MM-HH:MM", example)
        first, first_minute, last, last_minute = map(int, found.groups())
        begins, ends = first * 3600 + first_minute * 60, last * 3600 + last_minute * 60
        if not begins < ends <= 86_400:
            raise Wrong(f"{shown(span)} does not end after it began, on the same day", example)
        spans.append((begins, ends))
    spans.sort()
    if any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans)):
        raise Wrong("two spans overlap", example)
    return tuple(spans)


def some_hours_or_none(value: object) -> tuple[tuple[int, int], ...]:
    return () if value == [] else some_hours(value)


def some_ids(most: int, largest: int) -> Callable[[object], tuple[int, ...]]:
    """Read a list of numbers from 1, as passes carry them."""

    def read(value: object) -> tuple[int, ...]:
        if (
            not isinstance(value, list)
            or len(value) > most
            or not all(type(one) is int and 1 <= one <= largest for one in value)
        ):
            raise Wrong(f"{shown(value)} is not a list of numbers", f"a list such as [7, 12], of at most {most}; or []")
        return tuple(value)

    return read


def a_path(example: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        text = a_text(value, example)
        if not text or len(text) > 1024:
            raise Wrong(f"{shown(text)} names no file", f'a path such as "{example}"')
        return text

    return read


def a_path_or_nothing(example: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        return "" if value == "" else a_path(example)(value)

    return read


def is_loopback(host: str) -> bool:
    """Return whether host is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def a_broker_url(value: object) -> str:
    text = a_text(value, "mqtts://broker.example:8883")
    example = '"mqtts://broker.example:8883", "mqtt://127.0.0.1:1883", or "" for none'
    if text == "":
        return text
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("mqtt", "mqtts") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or parts.path not in ("", "/") or parts.query or parts.fragment or text != text.strip():
        raise Wrong(f"{shown(text)} is not the address of a broker", example)
    if parts.username is not None or parts.password is not None:
        raise Wrong("a password does not belong into an address", "certificates: [broker] ca, cert and key")
    return text.rstrip("/")


def an_address(value: object) -> tuple[str, int] | None:
    text = a_text(value, "127.0.0.1:8081")
    if text == "":
        return None
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or not re.fullmatch(r"(\[[0-9a-f:]+\]|[0-9A-Za-z.-]+):\d{1,5}", text):
        raise Wrong(f"{shown(text)} is not HOST:PORT", '"127.0.0.1:8081", or "" to switch the pages off')
    return host, port


def some_seconds(low: float, high: float, example: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Wrong(f"{shown(value)} is not a number of seconds", f"{example}, with no quotes")
        if not low <= value <= high:
            raise Wrong(f"{value} is outside {low} to {high} seconds", f"{example}")
        return float(value)

    return read
