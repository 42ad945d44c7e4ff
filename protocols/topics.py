"""The only place an MQTT topic is spelled or parsed. Ids come from configuration or the registry, never from a pass.

`portillon/1/{district}/{site}/{gate}/…`; `_` in the gate's place means the site. Obeys P-6.
"""

import re
from dataclasses import dataclass

from protocols.limits import DISTRICT_CHARACTERS_MAX, UINT32_MAX

PREFIX = "portillon/1"

# gate -> cloud
STATE, EVENTS, TELEMETRY, REPORTED, ANSWER, REQUEST, JOB_STATE = (
    "up/st", "up/ev", "up/hb", "up/rep", "up/rsp", "up/req", "up/job",
)  # fmt: skip
UP = (STATE, EVENTS, TELEMETRY, REPORTED, ANSWER, REQUEST, JOB_STATE)
# cloud -> gate
RECEIPT, CONFIGURATION, JOB, COMMAND, RESPONSE = "dn/ack", "dn/cfg", "dn/job", "dn/cmd", "dn/rsp"
DOWN = (RECEIPT, CONFIGURATION, JOB, COMMAND, RESPONSE)
# cloud -> site, retained
POLICY, TRUST, GATES, MODE = "dn/rl", "dn/keys", "dn/gates", "dn/mode"
SITE_DOWN = (POLICY, TRUST, GATES, MODE)

_DISTRICT = re.compile(rf"[a-z0-9-]{{1,{DISTRICT_CHARACTERS_MAX}}}")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")


@dataclass(frozen=True)
class Topic:
    """A parsed topic. gate is None for the site's; leaf is one of the constants above, or "seen"."""

    district: str
    site: int
    gate: int | None
    leaf: str


def up(district: str, site: int, gate: int, leaf: str) -> str:
    """Topic of a gate towards the cloud. Raises ValueError for ids or leaves that do not exist."""
    return _gate_topic(district, site, gate, leaf, UP)


def down(district: str, site: int, gate: int, leaf: str) -> str:
    """Topic of the cloud towards one gate."""
    return _gate_topic(district, site, gate, leaf, DOWN)


def site_down(district: str, site: int, leaf: str) -> str:
    """Retained topic of the cloud towards all gates of a site."""
    if leaf not in SITE_DOWN:
        raise ValueError("no such leaf")
    return f"{_place(district, site)}/_/{leaf}"


def seen(district: str, site: int, gate: int) -> str:
    """Topic of a gate's notes to its sisters."""
    return f"{_place(district, site)}/_/seen/{_number(gate)}"


def seen_filter(district: str, site: int) -> str:
    """Subscription to all notes of a site."""
    return f"{_place(district, site)}/_/seen/+"


def up_filter(leaf: str) -> str:
    """The cloud's subscription to one leaf of every gate."""
    if leaf not in UP:
        raise ValueError("no such leaf")
    return f"{PREFIX}/+/+/+/{leaf}"


def down_filter(leaf: str) -> str:
    """The cloud's subscription to a level of every gate: what the broker holds of it."""
    if leaf not in DOWN:
        raise ValueError("no such leaf")
    return f"{PREFIX}/+/+/+/{leaf}"


def client_id(site: int, gate: int) -> str:
    """A gate's MQTT client id, and its certificate's common name."""
    return f"{_number(site)}-{_number(gate)}"


def parse(topic: str) -> Topic | None:
    """Return the parsed topic, or None for any other text."""
    parts = topic.split("/")
    if len(parts) != 7 or "/".join(parts[:2]) != PREFIX:
        return None
    _, _, district, site, gate, *tail = parts
    if not _DISTRICT.fullmatch(district) or not _is_number(site):
        return None
    leaf = "/".join(tail)
    if gate == "_":
        if tail[0] == "seen" and _is_number(tail[1]):
            return Topic(district, int(site), int(tail[1]), "seen")
        return Topic(district, int(site), None, leaf) if leaf in SITE_DOWN else None
    if not _is_number(gate) or leaf not in UP + DOWN:
        return None
    return Topic(district, int(site), int(gate), leaf)


def _gate_topic(district: str, site: int, gate: int, leaf: str, leaves: tuple[str, ...]) -> str:
    if leaf not in leaves:
        raise ValueError("no such leaf")
    return f"{_place(district, site)}/{_number(gate)}/{leaf}"


def _place(district: str, site: int) -> str:
    if not _DISTRICT.fullmatch(district):
        raise ValueError("a district is 1 to 32 of a-z, 0-9 and -")
    return f"{PREFIX}/{district}/{_number(site)}"


def _number(value: int) -> str:
    if type(value) is not int or not 1 <= value <= UINT32_MAX:
        raise ValueError("an id is an integer from 1 to 4294967295")
    return str(value)


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text)) and int(text) <= UINT32_MAX
