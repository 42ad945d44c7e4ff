"""Signed commands to this gate: judged, written, carried out, answered once.

Responsible for: the table of operations; a nonce that is good once, also over a restart; the order (written with its
nonce, then done, then answered); what a command is not answered at all (a signature that is not the cloud's).
Not responsible for: signatures and expiry (protocols/documents.py), the door's rules (door.py).
Obeys: PROTOCOL P-4 (KX1), P-5 (an event, kind 12, before anything moves), P-6 (dn/cmd, up/rsp); ADR 0017.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edge.broker import Broker
from edge.decision import Draft
from edge.feedback import Colour, Light, Tone
from edge.health import Health
from edge.journal import Change, Journal
from edge.journal_file import JournalFailed
from edge.loop import Loop
from edge.pins import Pins
from edge.roster import UNTRUSTED
from protocols import topics
from protocols.canonical import CanonicalError, decode
from protocols.cose import read as read_cose
from protocols.documents import Command, load_command
from protocols.envelope import DocumentRefused
from protocols.events import Detail, Kind
from protocols.reasons import DocumentCode

DONE, REFUSED, EXPIRED, FAILED = "done", "refused", "expired", "failed"
ANSWER_EXPIRY_SECONDS = 60  # P-6 up/rsp
NONCES_MAX = 256  # kept; beyond it the ones that ended first go
LEAVING_SECONDS = 1.0  # between the answer and the restart that it announces
REBOOT = ("systemctl", "reboot")
REBOOT_SECONDS = 3.0
IDENTIFY_MS = 10_000
IDENTIFY_LIGHT = Light(
    ((frozenset((Colour.AMBER,)), 250), (frozenset((Colour.WHITE,)), 250)), repeat=True
)  # 2 Hz: nothing flashes above 3 a second
IDENTIFY_TONE = Tone(((1_320, 150), (0, 150)) * 5)
DARK_LUMA, BRIGHT_LUMA = 16, 240
TABLE = "command"

Arguments = Mapping[str, Any]
Told = dict[str, Any]


class CommandRefused(Exception):
    """It is not done, and the answer says why. code: letters, told to the operator."""


class CommandFailed(Exception):
    """It was tried, and did not work."""


@dataclass(frozen=True)
class World:
    """What commands may reach. restart: ends this run, and the program begins anew; renew: asks for
    the next certificate, None where the gate has none."""

    loop: Loop
    journal: Journal
    pins: Pins
    health: Health
    broker: Broker | None
    restart: Callable[[], None]
    renew: Callable[[], None] | None = None


class Commands:
    """Used by the loop's thread alone."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._leaving: tuple[float, Callable[[], None]] | None = None
        self._nonces: dict[bytes, int] = {
            key: int.from_bytes(value, "big") for (table, key), value in (world.journal.saved() or {}).items()
            if table == TABLE
        }  # fmt: skip
        world.loop.on(topics.COMMAND, self.take)
        world.loop.each_second(self.turn)

    def turn(self, _at: float) -> None:
        """What waits for its answer to be on its way."""
        if self._leaving is not None and time.monotonic() >= self._leaving[0]:
            act, self._leaving = self._leaving[1], None
            act()

    def take(self, payload: bytes, at: float) -> None:
        """A command came. One that the cloud did not sign for this gate is cried and not answered."""
        began = time.monotonic()
        try:
            command = load_command(payload, self._world.loop.gate.roster.reader(at))
        except DocumentRefused as refused:
            self._world.loop.tell(refused.code, at, alarm=True)
            if refused.code.endswith(f"_{DocumentCode.EXPIRED}"):
                self._answer(_nonce_of(payload), EXPIRED, began, {})
            return
        if command.nonce in self._nonces:
            self._world.health.count("command_again")  # a broker delivers at least once
            return
        self._carry_out(command, began)

    def _carry_out(self, command: Command, began: float) -> None:
        try:
            handler = COMMANDS.get(command.operation)
            if handler is None:
                raise CommandRefused("COMMAND_UNKNOWN")
            if self._world.loop.gate.roster.clock == UNTRUSTED:
                raise CommandRefused("CLOCK_UNTRUSTED")  # a recorded one could not be told from one of now
            if not self._write(command):
                raise CommandRefused("JOURNAL")
            told = handler(self, command.arguments)
        except CommandRefused as refused:
            self._answer(command.nonce, REFUSED, began, {"code": str(refused)})
        except (CommandFailed, JournalFailed) as failed:
            self._answer(command.nonce, FAILED, began, {"code": str(failed)[:80]})
        else:
            self._answer(command.nonce, DONE, began, told)

    def _write(self, command: Command) -> bool:
        """The event and the nonce in one commit: after a power cut it is not carried out a second time."""
        detail = {Detail.OPERATION: command.operation, Detail.NONCE: command.nonce}
        if command.by:
            detail[Detail.STAFF] = command.by
        self._nonces[command.nonce] = command.exp
        changes: list[Change] = [(TABLE, command.nonce, command.exp.to_bytes(8, "big"))]
        for nonce in sorted(self._nonces, key=lambda one: self._nonces[one])[: max(0, len(self._nonces) - NONCES_MAX)]:
            del self._nonces[nonce]
            changes.append((TABLE, nonce, None))
        return self._world.loop.write((Draft(Kind.COMMAND, detail),), tuple(changes)) and self._world.loop.writes

    def _answer(self, nonce: bytes | None, state: str, began: float, told: Told) -> None:
        if self._world.broker is None or nonce is None:
            return
        took_ms = round((time.monotonic() - began) * 1e3, 1)
        body = {"v": 1, "nonce": nonce.hex(), "state": state, "took_ms": took_ms, "told": told}
        self._world.broker.say(topics.ANSWER, json.dumps(body).encode(), expiry=ANSWER_EXPIRY_SECONDS)

    # --- operations ---------------------------------------------------------------------------------------------

    def open(self, _arguments: Arguments) -> Told:
        """One access time, as staff give it. The event is written already."""
        if self._world.loop.doorway.let_in(None, by_staff=True) is None:
            raise CommandRefused("DOOR_" + self._world.loop.doorway.mode.name)
        return {"door": self._world.loop.doorway.state}

    def identify(self, _arguments: Arguments) -> Told:
        """Which of the two gates is it? It blinks and sounds."""
        self._world.pins.lights.play(IDENTIFY_LIGHT, IDENTIFY_MS)
        self._world.pins.buzzer.play(IDENTIFY_TONE)
        return {"seconds": IDENTIFY_MS // 1000}

    def snapshot(self, _arguments: Arguments) -> Told:
        """What the camera sees, in numbers: a picture has faces in it, and does not leave the gate."""
        frame = self._world.loop.last_frame
        if frame is None:
            raise CommandFailed("CAMERA")
        luma = frame.luma
        return {
            "width": int(luma.shape[1]),
            "height": int(luma.shape[0]),
            "age_ms": (time.monotonic_ns() - frame.captured_ns) // 1_000_000,
            "light": round(float(luma.mean()), 1),
            "dark_percent": round(100 * float(np.mean(luma < DARK_LUMA)), 1),
            "bright_percent": round(100 * float(np.mean(luma > BRIGHT_LUMA)), 1),
            "sharpness": round(float(cv2.Laplacian(luma, cv2.CV_64F).var()), 1),
        }

    def selftest(self, _arguments: Arguments) -> Told:
        """How each part does while the gate runs; the strike is not moved."""
        health = self._world.health
        told = {
            "camera": health.fault_of("camera") or "ok",
            "journal": health.fault_of("journal") or "ok",
            "broker": health.fault_of("broker") or "ok",
            "door": health.fault_of("door") or "ok",
            "clock": health.clock,
        }
        short: Told = {name: value[:80] for name, value in told.items()}
        return short | {"commit_ms": health.commit_ms(), "outbox": self._world.journal.outbox_depth}

    def resync(self, arguments: Arguments) -> Told:
        """Send everything again from here on (P46)."""
        from_seq = arguments.get("from_seq", 0)
        if type(from_seq) is not int or from_seq < 0:
            raise CommandRefused("COMMAND_ARGUMENTS")
        again = self._world.journal.resync(from_seq)
        if self._world.broker is not None:
            self._world.broker.wake()
        return {"again": again}

    def restart(self, _arguments: Arguments) -> Told:
        """The program begins anew, once the answer is on its way."""
        self._leave(self._world.restart)
        return {"in_seconds": LEAVING_SECONDS}

    def renew(self, _arguments: Arguments) -> Told:
        """Ask for the next certificate now: an authority is rolled over (edge/renewal.py)."""
        if self._world.renew is None:
            raise CommandRefused("CERTIFICATE_NONE")
        self._world.renew()
        return {}

    def reboot(self, _arguments: Arguments) -> Told:
        """The whole machine begins anew, where it lets us."""
        self._leave(self._reboot)
        return {"in_seconds": LEAVING_SECONDS}

    def _leave(self, act: Callable[[], None]) -> None:
        self._leaving = time.monotonic() + LEAVING_SECONDS, act

    def _reboot(self) -> None:
        try:
            subprocess.run(REBOOT, check=True, capture_output=True, timeout=REBOOT_SECONDS)
            self._world.health.fault("reboot", None)
        except (OSError, subprocess.SubprocessError) as error:
            self._world.health.fault("reboot", f"the machine does not reboot: {type(error).__name__}")


COMMANDS: Mapping[str, Callable[[Commands, Arguments], Told]] = {
    "open": Commands.open,
    "identify": Commands.identify,
    "snapshot": Commands.snapshot,
    "selftest": Commands.selftest,
    "resync": Commands.resync,
    "restart": Commands.restart,
    "renew": Commands.renew,
    "reboot": Commands.reboot,
}


def _nonce_of(payload: bytes) -> bytes | None:
    """Return the nonce of a command whose signature was found good."""
    try:
        claims = decode(read_cose(decode(payload)).payload)
    except CanonicalError:
        return None
    nonce = claims.get(7) if isinstance(claims, dict) else None
    return nonce if type(nonce) is bytes else None
