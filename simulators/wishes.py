"""What a stack shall be, and the gate.toml that says it to a gate.

Responsible for: the wishes of a command line, with their defaults, and the text of one gate's settings.
Not for: carrying them out (stack.py); what each setting means (firmware_config/gate.toml says).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.district import SLUG, Sizes
from simulators.parts import Part


@dataclass(frozen=True)
class Wishes:
    """What a stack shall be. database, broker: a kind of database.py and broker.py; ports: 0 takes a free one.

    mtls: everybody comes to the broker with a certificate (secured.py).
    prepare: may change a part (its command, settings or gate.toml) when it is planned, before it ever starts.
    """

    sizes: Sizes = field(default_factory=Sizes)
    seed: int = 1
    database: str = "auto"
    broker: str = "auto"
    web_port: int = 0
    broker_port: int = 0
    demo_origin: str = ""
    hours: str = "00:00-24:00"
    departures: str = "staff"
    prepare: Callable[[Part], None] | None = None
    mtls: bool = False


def gate_toml(wishes: Wishes, site: int, gate: int, at_site: int, broker_url: str, port: int) -> str:
    """Return the settings of one gate; its paths are relative to its own folder."""
    return f"""# Made by portillon-sim: a gate with mock pins, whose camera is a mapped file.
[gate]
district = "{SLUG}"
site = {site}
gate = {gate}
timezone = "{wishes.sizes.timezone}"
hours = ["{wishes.hours}"]
departures = "{wishes.departures}"
gates_at_site = {at_site}
language = "{wishes.sizes.language}"

[paths]
data = "data"
key = "gate.key"
root = "root.pub"
trust = "trust.kk1"

[camera]
source = "frames"
path = "camera.frames"

[broker]
url = "{broker_url}"

[door]
pins = "mock"
open_seconds = 3.0

[web]
listen = "127.0.0.1:{port}"
picture = true

[clock]
source = "system"
assume = "ntp"
"""
