"""Read gate.toml once, into a frozen GateConfig, or list every problem it has.

Responsible for: the one place where a setting of the gate becomes a trusted value (types, ranges, files, ids).
Not responsible for: opening the camera, the journal or the broker; defaults of the protocol (protocols/limits.py).
Obeys: ARCHITECTURE rule 5; PROTOCOL P-2 (ids are integers from 1), P-6 (district in a topic); HOSTILE P17, P40.

Relative paths are relative to the file. Nothing here reads the environment or a clock.
"""

from __future__ import annotations

import difflib
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nacl.bindings import crypto_core_ed25519_is_valid_point

from edge.door_settings import DOOR, DoorSettings, Problem, door_problems
from edge.settings import (
    ID_MAX,
    REQUIRED,
    Setting,
    Wrong,
    a_broker_url,
    a_district,
    a_path,
    a_path_or_nothing,
    a_timezone,
    an_address,
    an_integer,
    is_loopback,
    one_of,
    shown,
    some_hours,
    yes_or_no,
)
from edge.tablet_settings import SCANNER, TABLET, ScannerSettings, TabletSettings, as_tablet, tablet_problems
from edge.update_settings import UPDATES, UpdateSettings, as_updates, update_problems

CONFIG_BYTES_MAX = 65_536  # a gate.toml is 3 KB; anything near this is another file
KEY_FILE_BYTES_MAX = 256  # 64 hexadecimal characters and a line end
TRUST_BYTES_MAX = 65_536  # P-1: signed documents
LANGUAGES = ("fr", "en", "ru", "kk", "vi")


class ConfigProblems(Exception):
    """Everything that is wrong with a gate.toml, all at once."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        lines = "".join(f"\n  {p.key}: {p.what}\n    -> {p.what_to_type}" for p in problems)
        noun = "problem" if len(problems) == 1 else "problems"
        super().__init__(f"{path}: {len(problems)} {noun}{lines}")


@dataclass(frozen=True)
class Place:
    """Which gate this is and how its site works. Hours: seconds of the local day, end excluded."""

    district: str
    site: int
    gate: int
    timezone: str
    hours: tuple[tuple[int, int], ...]
    departures: str
    gates_at_site: int
    language: str


@dataclass(frozen=True)
class Paths:
    data: Path
    key: Path
    root: Path
    trust: Path | None

    @property
    def journal(self) -> Path:
        return self.data / "journal.sqlite"


@dataclass(frozen=True)
class CameraSettings:
    source: str
    path: str


@dataclass(frozen=True)
class BrokerSettings:
    """url "" means: this gate has no broker; its outbox waits."""

    url: str
    ca: Path | None
    cert: Path | None
    key: Path | None

    @property
    def tls(self) -> bool:
        return self.url.startswith("mqtts://")

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (8883 if self.tls else 1883)


@dataclass(frozen=True)
class WebSettings:
    """listen is (host, port), or None when the local pages are off."""

    listen: tuple[str, int] | None
    picture: bool


@dataclass(frozen=True)
class ClockSettings:
    source: str
    assume: str


@dataclass(frozen=True)
class GateConfig:
    """A whole, checked configuration; gate_seed is the private key and never printed."""

    file: Path
    gate: Place
    paths: Paths
    camera: CameraSettings
    broker: BrokerSettings
    door: DoorSettings
    web: WebSettings
    tablet: TabletSettings
    scanner: ScannerSettings
    clock: ClockSettings
    updates: UpdateSettings
    gate_seed: bytes = field(repr=False)
    root_public: bytes
    trust_list: bytes | None = field(repr=False)


_id = an_integer(1, ID_MAX, 101, ", as the operator's registry says")

SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "gate": {
        "district": Setting(a_district),
        "site": Setting(_id),
        "gate": Setting(_id),
        "timezone": Setting(a_timezone),
        "hours": Setting(some_hours, ["07:00-19:00"]),
        "departures": Setting(one_of("staff", "pass"), "staff"),
        "gates_at_site": Setting(an_integer(1, 64, 1), 1),
        "language": Setting(one_of(*LANGUAGES), "fr"),
    },
    "paths": {
        "data": Setting(a_path("/var/lib/portillon"), "/var/lib/portillon"),
        "key": Setting(a_path("gate.key"), "gate.key"),
        "root": Setting(a_path("root.pub"), "root.pub"),
        "trust": Setting(a_path_or_nothing("trust.kk1"), ""),
    },
    "camera": {
        "source": Setting(one_of("frames", "folder", "v4l2", "picamera2"), "picamera2"),
        "path": Setting(a_path_or_nothing("/dev/video0"), ""),
    },
    "broker": {
        "url": Setting(a_broker_url, ""),
        "ca": Setting(a_path_or_nothing("broker-ca.pem"), ""),
        "cert": Setting(a_path_or_nothing("gate.pem"), ""),
        "key": Setting(a_path_or_nothing("gate-tls.key"), ""),
    },
    "door": DOOR,
    "web": {
        "listen": Setting(an_address, "127.0.0.1:8081"),
        "picture": Setting(yes_or_no, False),
    },
    "tablet": TABLET,
    "scanner": SCANNER,
    "clock": {
        "source": Setting(one_of("system"), "system"),
        "assume": Setting(one_of("ntp", "holdover", "untrusted"), "holdover"),
    },
    "updates": UPDATES,
}


def load_config(path: Path, over: Mapping[str, Mapping[str, Any]] | None = None) -> GateConfig:
    """Return the checked configuration of this file. Raises ConfigProblems with every problem found.

    over: settings by section that count instead of the file's (shadow.py says which may).
    """
    problems: list[Problem] = []
    table = _read_toml(path, problems)
    for section, settings in (over or {}).items():
        written = table.get(section, {})
        table[section] = {**written, **settings} if isinstance(written, dict) else written
    values = _read_settings(table, problems)
    _check_together(values, problems)
    base = path.resolve().parent
    paths = _as_paths(values, base)
    seed = _read_hex_key(paths, "key", problems, secret=True)
    root = _read_hex_key(paths, "root", problems, secret=False)
    trust = _read_trust(paths, problems)
    _check_files(values, base, problems)
    if problems or seed is None or root is None or paths is None:
        raise ConfigProblems(path, problems)
    return _assemble(path, values, base, paths, seed, root, trust)


def _read_toml(path: Path, problems: list[Problem]) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(CONFIG_BYTES_MAX + 1)
        if len(raw) > CONFIG_BYTES_MAX:
            problem = Problem("file", f"over {CONFIG_BYTES_MAX} bytes", "the gate's own gate.toml")
        else:
            return tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        problem = Problem("file", f"cannot be read: {error.strerror}", "--config with the path of a gate.toml")
    except UnicodeDecodeError:
        problem = Problem("file", "is not UTF-8 text", "the file saved again as UTF-8")
    except tomllib.TOMLDecodeError as error:
        problem = Problem("file", f"is not TOML: {shown(str(error))}", "the line named above, mended")
    except RecursionError:
        problem = Problem("file", "is nested too deeply", "the gate's own gate.toml")
    raise ConfigProblems(path, [*problems, problem])


def _read_settings(table: dict[str, Any], problems: list[Problem]) -> dict[tuple[str, str], Any]:
    values: dict[tuple[str, str], Any] = {}
    _name_unknown("", table, SETTINGS, problems)
    for section, settings in SETTINGS.items():
        written = table.get(section, {})
        if not isinstance(written, dict):
            problems.append(Problem(section, "is not a section", f"[{section}] on a line of its own"))
            continue
        _name_unknown(f"{section}.", written, settings, problems)
        for key, setting in settings.items():
            name = f"{section}.{key}"
            if key not in written and setting.default is REQUIRED:
                problems.append(Problem(name, "is missing", f"{key} = ... under [{section}]"))
                continue
            try:
                values[section, key] = setting.read(written.get(key, setting.default))
            except Wrong as wrong:
                problems.append(Problem(name, wrong.what, wrong.what_to_type))
    return values


def _name_unknown(prefix: str, written: Mapping[str, Any], known: Mapping[str, Any], problems: list[Problem]) -> None:
    for key in written:
        if key not in known:
            near = difflib.get_close_matches(key, list(known), 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
            problems.append(Problem(prefix + shown(key).strip("'"), "is not a setting of the gate", hint))


def _check_together(values: dict[tuple[str, str], Any], problems: list[Problem]) -> None:
    """What only two settings together can get wrong."""
    url = values.get(("broker", "url"), "")
    if url.startswith("mqtts://"):
        for key in ("ca", "cert", "key"):
            if values.get(("broker", key)) == "":
                problems.append(Problem(f"broker.{key}", "is needed with mqtts", f'{key} = "..." under [broker]'))
    elif url and not is_loopback(urlsplit(url).hostname or ""):
        problems.append(Problem("broker.url", "mqtt without TLS leaves this machine", "mqtts:// with ca, cert, key"))
    listen, picture = values.get(("web", "listen")), values.get(("web", "picture"))
    if picture and listen is not None and not is_loopback(listen[0]):
        problems.append(Problem("web.picture", "would show faces to the network", "false, or listen on 127.0.0.1"))
    source = values.get(("camera", "source"))
    if source in ("frames", "folder", "v4l2") and values.get(("camera", "path")) == "":
        problems.append(Problem("camera.path", f'is needed with source "{source}"', 'path = "..." under [camera]'))
    number = values.get(("camera", "path"))
    if source == "picamera2" and number is not None and number not in ("", *"0123456789"):
        problems.append(Problem("camera.path", "is not the number of a Pi camera", 'path = "" for the first, else "1"'))
    problems += door_problems(values)
    problems += update_problems(values)


def _as_paths(values: dict[tuple[str, str], Any], base: Path) -> Paths | None:
    names = ("data", "key", "root", "trust")
    if any(("paths", name) not in values for name in names):
        return None
    data, key, root, trust = (values["paths", name] for name in names)
    return Paths(base / data, base / key, base / root, base / trust if trust else None)


def _read_hex_key(paths: Paths | None, which: str, problems: list[Problem], *, secret: bool) -> bytes | None:
    """Return the 32 bytes of a key file: 64 hexadecimal characters and nothing else."""
    if paths is None:
        return None
    name, path = f"paths.{which}", paths.key if which == "key" else paths.root
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            text = file.read(KEY_FILE_BYTES_MAX).strip()
    except OSError as error:
        problems.append(Problem(name, f"{path} cannot be read: {error.strerror}", "the path of a key file"))
        return None
    if secret and stat.S_IMODE(mode) & 0o077:
        problems.append(Problem(name, f"{path} can be read by others", f"chmod 600 {path}"))
        return None
    if not re.fullmatch(rb"[0-9a-fA-F]{64}", text):
        problems.append(Problem(name, f"{path} does not hold 64 hexadecimal characters", "the key file again"))
        return None
    key = bytes.fromhex(text.decode("ascii"))
    if not secret and not crypto_core_ed25519_is_valid_point(key):
        problems.append(Problem(name, f"{path} is not an Ed25519 public key", "root.pub as the operator gave it"))
        return None
    return key


def _read_trust(paths: Paths | None, problems: list[Problem]) -> bytes | None:
    if paths is None or paths.trust is None:
        return None
    try:
        with paths.trust.open("rb") as file:
            data = file.read(TRUST_BYTES_MAX + 1)
    except OSError as error:
        hint = 'the path of a trust list, or trust = ""'
        problems.append(Problem("paths.trust", f"{paths.trust} cannot be read: {error.strerror}", hint))
        return None
    if not 0 < len(data) <= TRUST_BYTES_MAX:
        problems.append(Problem("paths.trust", f"{paths.trust} is no trust list", "trust.kk1 as the operator gave it"))
    return data


def _check_files(values: dict[tuple[str, str], Any], base: Path, problems: list[Problem]) -> None:
    for key in ("ca", "cert", "key"):
        name = values.get(("broker", key))
        if name and not (base / name).is_file():
            problems.append(Problem(f"broker.{key}", f"{base / name} is not a file", "the path of a PEM file"))
    problems += tablet_problems(values, base)


def _assemble(
    path: Path,
    values: dict[tuple[str, str], Any],
    base: Path,
    paths: Paths,
    seed: bytes,
    root: bytes,
    trust: bytes | None,
) -> GateConfig:
    def section(name: str) -> dict[str, Any]:
        return {key: values[name, key] for key in SETTINGS[name]}

    camera, broker = section("camera"), section("broker")
    is_number = camera["source"] == "v4l2" and camera["path"].isdecimal()  # the first USB camera may be called "0"
    if camera["source"] in ("frames", "folder", "v4l2") and not is_number:
        camera["path"] = str(base / camera["path"])
    for key in ("ca", "cert", "key"):
        broker[key] = base / broker[key] if broker[key] else None
    return GateConfig(
        file=path,
        gate=Place(**section("gate")),
        paths=paths,
        camera=CameraSettings(**camera),
        broker=BrokerSettings(**broker),
        door=DoorSettings(**section("door")),
        web=WebSettings(**section("web")),
        tablet=as_tablet(section("tablet"), base),
        scanner=ScannerSettings(**section("scanner")),
        clock=ClockSettings(**section("clock")),
        updates=as_updates(section("updates"), base),
        gate_seed=seed,
        root_public=root,
        trust_list=trust,
    )
