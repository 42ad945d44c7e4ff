"""A site with its keys, families with phones, and a gate in front of a camera: what the gate's tests set up.

Frames are written as the simulator writes them; codes are drawn with segno; every signature is real.
"""

from __future__ import annotations

import io
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import segno
from nacl.signing import SigningKey

from edge.appliance import Appliance
from edge.camera import FRAME_FILE_HEADER, FRAME_FILE_MAGIC
from edge.config import load_config
from protocols import cose
from protocols.documents import (
    GateKey,
    GateList,
    Mode,
    PolicyList,
    SiteMode,
    build_gate_list,
    build_policy_list,
    build_site_mode,
)
from protocols.passes import IN, DeviceKey, issue_credential, issue_staff_credential, present, present_staff
from protocols.trust import Role, TrustedKey, build_trust_list
from tests.edge.line import DISTRICT, GATE, GATE_KEY, RECEIPT_KEY, SITE, until

WEEK = 7 * 86_400
SISTER = 12
SISTER_KEY = SigningKey(b"\x13" * 32)
FRAME_SIZE = (800, 480)


@dataclass
class Site:
    """The keys of a district as its operator holds them."""

    root: SigningKey = field(default_factory=lambda: SigningKey(b"\x21" * 32))
    issuer: SigningKey = field(default_factory=lambda: SigningKey(b"\x22" * 32))
    policy: SigningKey = field(default_factory=lambda: SigningKey(b"\x23" * 32))
    registry: SigningKey = field(default_factory=lambda: SigningKey(b"\x24" * 32))
    command: SigningKey = field(default_factory=lambda: SigningKey(b"\x25" * 32))
    control: SigningKey = field(default_factory=lambda: SigningKey(b"\x26" * 32))

    def trust_list(self, version: int = 1) -> bytes:
        roles = {
            Role.ISSUER: self.issuer,
            Role.POLICY: self.policy,
            Role.REGISTRY: self.registry,
            Role.COMMAND: self.command,
            Role.CONTROL: self.control,
            Role.RECEIPT: RECEIPT_KEY,
        }
        keys = [TrustedKey(bytes(key.verify_key), role) for role, key in roles.items()]
        return build_trust_list(self.root, version, int(time.time()) - 60, keys)

    def policy_list(self, version: int = 1, **changed: Any) -> bytes:
        now = int(time.time())
        fields: dict[str, Any] = {"site": SITE, "version": version, "iat": now - 60, "next_update": now + 3 * 86_400}
        return build_policy_list(self.policy, PolicyList(**(fields | changed)))

    def gate_list(self, version: int = 1) -> bytes:
        gates = {GATE: GateKey(GATE, bytes(GATE_KEY.verify_key)), SISTER: GateKey(SISTER, bytes(SISTER_KEY.verify_key))}
        return build_gate_list(self.registry, GateList(SITE, version, int(time.time()) - 60, gates))

    def mode(self, mode: Mode, version: int = 1) -> bytes:
        now = int(time.time())
        return build_site_mode(self.command, SiteMode(SITE, version, mode, 1, now - 5, now + 3_600))


class Phone:
    """A guardian's phone: its key and one credential; each text is a fresh presentation."""

    def __init__(self, site: Site, *, holder: int, children: list[tuple[int, int]], exp: int | None = None) -> None:
        self.key = SigningKey(secrets.token_bytes(32))
        self.device = DeviceKey(bytes(self.key.verify_key))
        now = int(time.time())
        self.credential = issue_credential(
            site.issuer,
            site=SITE,
            holder=holder,
            children=children,
            device=self.device,
            iat=now - 3_600,
            exp=exp or now + WEEK,
            cti=secrets.token_bytes(8),
        )

    def text(self, at: float | None = None, *, direction: int = IN, childmask: int = 1) -> str:
        moment = int(time.time() if at is None else at)
        return present(self.credential, self._sign, cose.ED25519, iat=moment, direction=direction, childmask=childmask)

    def _sign(self, message: bytes) -> bytes:
        return self.key.sign(message).signature


class StaffPhone:
    """A staff member's phone."""

    def __init__(self, site: Site, *, staff: int, powers: int) -> None:
        self.key = SigningKey(secrets.token_bytes(32))
        now = int(time.time())
        self.credential = issue_staff_credential(
            site.issuer,
            site=SITE,
            staff=staff,
            powers=powers,
            device=DeviceKey(bytes(self.key.verify_key)),
            iat=now - 3_600,
            exp=now + WEEK,
            cti=secrets.token_bytes(8),
        )

    def text(self, intent: int) -> str:
        sign: Callable[[bytes], bytes] = lambda message: self.key.sign(message).signature  # noqa: E731
        return present_staff(self.credential, sign, cose.ED25519, iat=int(time.time()), intent=intent)


class Scene:
    """What the camera sees: a mapped file, written under its sequence lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sequence = 0
        self.clear()

    def show(self, *texts: str) -> None:
        """Show these codes side by side."""
        width, height = FRAME_SIZE
        frame = np.full((height, width), 200, np.uint8)
        left = 10
        for text in texts:
            code = drawn(text)
            top = (height - code.shape[0]) // 2
            frame[top : top + code.shape[0], left : left + code.shape[1]] = code
            left += code.shape[1] + 10
        self._write(frame)

    def clear(self) -> None:
        self._write(np.full((FRAME_SIZE[1], FRAME_SIZE[0]), 200, np.uint8))

    def cover(self, luma: int) -> None:
        """Show nothing but one shade: a hand, a lamp, the dark."""
        self._write(np.full((FRAME_SIZE[1], FRAME_SIZE[0]), luma, np.uint8))

    def _write(self, frame: np.ndarray) -> None:
        self._sequence += 2
        height, width = frame.shape
        captured_ns = time.monotonic_ns()
        header = FRAME_FILE_HEADER.pack(FRAME_FILE_MAGIC, width, height, width, 0, self._sequence, captured_ns)
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(header + frame.tobytes())
        os.replace(fresh, self.path)


def drawn(text: str, scale: int = 4) -> np.ndarray:
    """Return the code as luma, dark on white, with its quiet zone."""
    matrix = np.array([list(row) for row in segno.make(text, error="m", micro=False).matrix], np.uint8)
    framed = np.pad(matrix, 4)
    return np.kron(np.where(framed, 20, 250).astype(np.uint8), np.ones((scale, scale), np.uint8))


def png_of(text: str) -> bytes:
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="png", scale=4)
    return out.getvalue()


CONFIG = f"""
[gate]
district = "{DISTRICT}"
site = {SITE}
gate = {GATE}
timezone = "UTC"
hours = ["00:00-24:00"]
departures = "pass"
language = "en"
[paths]
data = "data"
trust = "trust.kk1"
[camera]
source = "frames"
path = "camera.frame"
[broker]
url = "BROKER"
[door]
pins = "mock"
open_seconds = 0.3
[web]
listen = "LISTEN"
[clock]
assume = "ntp"
"""


def write_gate(directory: Path, site: Site, *, broker_port: int | None = None, listen: str = "") -> Path:
    """Write everything a gate needs into a directory; return its gate.toml."""
    (directory / "gate.key").write_text(bytes(GATE_KEY).hex())
    (directory / "gate.key").chmod(0o600)
    (directory / "root.pub").write_text(bytes(site.root.verify_key).hex())
    (directory / "trust.kk1").write_bytes(site.trust_list())
    url = f"mqtt://127.0.0.1:{broker_port}" if broker_port else ""
    text = CONFIG.replace('"BROKER"', f'"{url}"').replace('"LISTEN"', f'"{listen}"')
    (directory / "gate.toml").write_text(text)
    return directory / "gate.toml"


class RunningGate:
    """A whole gate in this process, in a thread of its own, its pins on gpiozero's mock factory."""

    def __init__(
        self,
        directory: Path,
        site: Site,
        *,
        broker_port: int | None = None,
        listen: str = "",
        now: Callable[[], float] = time.time,
        changed: Callable[[Path], object] = lambda _config: None,
    ) -> None:
        """changed: what a test does to gate.toml and its neighbours before the start."""
        self.scene = Scene(directory / "camera.frame")
        config = write_gate(directory, site, broker_port=broker_port, listen=listen)
        changed(config)
        self.appliance = Appliance(load_config(config), now)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.appliance.run, args=(self._stop,))
        self.strike: Any = self.appliance.pins.factory.pin(17)
        self._thread.start()
        until(lambda: self.appliance.journal.next_seq >= 1)

    def take(self, *documents: tuple[str, bytes]) -> None:
        """Hand documents to the gate as its broker would."""
        from edge.broker import Heard

        for leaf, data in documents:
            self.appliance.loop._parts.inbox.put(Heard(leaf, data))

    def be_told_of_the_clock(self, state: str) -> None:
        """Let the gate hold its clock for so good, and ask chrony no more: its answer would come in between."""
        watch = self.appliance.loop._parts.clock
        watch.stop()
        watch._thread.join()
        watch.state = state
        until(lambda: self.appliance.loop.gate.roster.clock == state, 12)

    def answer_to(self, *texts: str, seconds: float = 8.0) -> dict[str, Any]:
        """Show codes and wait for what the gate says of them."""
        before = self.count
        self.scene.show(*texts)
        until(lambda: self.count > before, seconds)
        return self.appliance.board.history[-1]

    def next_one(self) -> None:
        """The one before goes away: two credentials from one spot within a second are a trick (P9)."""
        self.scene.clear()
        time.sleep(1.05)

    @property
    def count(self) -> int:
        """Decisions shown so far."""
        return self.appliance.board.decisions

    @property
    def codes(self) -> list[str]:
        return [line["code"] for line in self.appliance.board.history]

    @property
    def pulses(self) -> int:
        """How often the strike went from locked to unlocked."""
        return sum(bool(state.state) for state in self.strike.states[1:])

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(8)
        assert not self._thread.is_alive()


def skip_boot_rule(running: RunningGate) -> None:
    """A gate whose replay state was lost waits 10 s for redraws; tests do not."""
    running.appliance.loop.gate._lost_until = 0
    running.appliance.loop._ledger._saved["gate", b"lost_until"] = bytes(8)
    until(lambda: ("document", b"KR1") in running.appliance.loop._ledger._saved)  # held, and on the disk
