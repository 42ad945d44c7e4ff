"""The gate put together: opens every part that gate.toml names, runs the loop, and closes all of it in order.

Responsible for: starting order (journal, pins, pages, broker, clock, loop), the status document, the last picture.
Not responsible for: what any part does.
Obeys: ARCHITECTURE rule 5; PROTOCOL P-5 (the strike is locked first when stopping).
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import cv2
from nacl.signing import SigningKey

from edge.broker import Broker, Inbox
from edge.capture import open_apart
from edge.certificate import CertificateRefused
from edge.commands import Commands, World
from edge.config import GateConfig
from edge.desired import Desired, settle
from edge.health import ClockWatch, Health
from edge.journal import open_journal
from edge.journal_file import JournalFailed
from edge.loop import FIRMWARE, Loop, Parts
from edge.pins import Pins
from edge.renewal import Renewal, is_renewable
from edge.scanner import open_scanner
from edge.settings import is_loopback
from edge.shadow import Shadow
from edge.supervision import Supervision
from edge.update import Update
from edge.updater import Parts as Watched
from edge.updater import Updater
from edge.updater import settle as settle_update
from edge.versions import Versions
from edge.web.board import Board
from edge.web.pages import CertificateUnusable, Pages, PortTaken, build
from edge.web.tablet import open_tablet
from protocols.trust import Trust

SESSION_BYTES = 16
LOOP_STALLED_SECONDS = 5.0  # a loop that has not turned for so long is not healthy
PICTURE_QUALITY = 70
_ALIVE = ("appliance", b"alive", b"")  # a row of saved state that says nothing; that it was written does
PICTURE_WIDTH_MAX = 960  # pixels; the page beside the tour needs no more


class Appliance:
    """One gate; `run` ends when told to stop.

    Raises JournalFailed, PinsFailed or PortTaken where it cannot start, AnotherVersion where it must not.
    """

    def __init__(self, config: GateConfig, now: Callable[[], float], supervision: Supervision | None = None) -> None:
        self._config = config
        self._supervision = supervision or Supervision()
        self._stack = ExitStack()
        # Why it ends to begin anew: "configuration"; in a new process "restart"; by the launcher "update".
        self.again: str | None = None
        self.broker: Broker | None = None
        try:
            self._open(config, now)
        except BaseException:
            self._stack.close()
            raise

    def _open(self, config: GateConfig, now: Callable[[], float]) -> None:
        versions = Versions(config.paths.data)
        update = settle_update(versions)
        self.health = Health(config.paths.data, self._supervision.worked)
        self.journal = open_journal(config.paths.journal, ballast=True)
        self._stack.callback(self.journal.close)
        if self.journal.quarantined is not None:
            self.health.fault("ledger", f"the journal was damaged and put aside: {self.journal.quarantined.name}")
        shadow = Shadow(self.journal.saved())
        self._config, steps = settle(shadow, config, self.journal, now())
        config = self._config
        clock, inbox = ClockWatch(self.health, config.clock.assume), Inbox()
        self._stack.callback(clock.stop)
        self.board = board = Board(self.status, self.picture)
        pages = self._pages(board)
        self._stack.callback(self._stop_broker)
        self.pins = self._stack.enter_context(Pins(config.door, tell=self._tell))
        parts = Parts(
            journal=self.journal,
            pins=self.pins,
            health=self.health,
            clock=clock,
            inbox=inbox,
            board=board,
            open_camera=lambda: open_apart(config.camera.source, config.camera.path, config.gate.gate),
        )
        self.loop = Loop(config, parts, now)
        if config.broker.url:
            parts.broker = self.broker = self._new_broker(inbox, now)
        self.desired = Desired(shadow, config, self.loop, self.health, self.broker, self._end_for_configuration, steps)
        self.commands = Commands(
            World(self.loop, self.journal, self.pins, self.health, self.broker, self._end_for_restart, self._renewal())
        )
        self.updater = self._new_updater(versions, update, now)
        self._stack.callback(self.loop.close)
        self.tablet = self._tablet(now)
        scanner = open_scanner(config.scanner, self.loop, self.health, now)
        if scanner is not None:
            self._stack.callback(scanner.stop)
        self._stack.callback(self.pins.strike.lock)  # the last here is the first when closing: P-5
        self.port = pages.port if pages else None
        self._starters = [clock.start, *(one.start for one in (pages, self.tablet, scanner) if one)]

    def _pages(self, board: Board) -> Pages | None:
        if self._config.web.listen is None:
            return None
        host, port = self._config.web.listen
        app = build(
            board,
            language=self._config.gate.language,
            picture=self._config.web.picture,
            loopback_only=is_loopback(host),
        )
        pages = Pages(app, host, port)
        self._stack.callback(pages.stop)
        return pages

    def _tablet(self, now: Callable[[], float]) -> Pages | None:
        """The staff's tablets; a gate whose certificate is no good goes on without them, and says so."""
        try:
            pages = open_tablet(self._config, self.loop, self.board, now, self.journal.saved() or {})
        except (PortTaken, CertificateUnusable) as error:
            self.health.fault("tablet", str(error))
            return None
        if pages is not None:
            self._stack.callback(pages.stop)
        return pages

    def _new_broker(self, inbox: Inbox, now: Callable[[], float]) -> Broker:
        return Broker(
            self._config.broker,
            self._config.gate,
            SigningKey(self._config.gate_seed),
            self.journal,
            inbox,
            self.health,
            trust=self._trust,
            birth=self.loop.birth,
            now=now,
            session=secrets.token_hex(SESSION_BYTES),
        )

    def _renewal(self) -> Callable[[], None] | None:
        """The next certificate of the line; None where there is none, or two files made by hand."""
        line = self._config.broker
        if self.broker is None or not is_renewable(line):
            return None
        try:
            return Renewal(line, self._config.gate, self.broker, self.loop, self.health, self._trust).wanted
        except CertificateRefused as refused:
            self.health.fault("certificate", refused.code)  # of another authority's making: left to whoever made it
            return None

    def _new_updater(self, versions: Versions, update: Update, now: Callable[[], float]) -> Updater | None:
        if self.broker is None or not self._config.updates.url:
            return None
        watched = Watched(self.loop, self.health, self.journal, self.broker)
        updater = Updater(self._config, versions, update, watched, self._end_for_update, now)
        self._stack.callback(updater.stop)
        return updater

    def _tell(self, part: str, error: Exception | None) -> None:
        """A lamp, the buzzer or the strike fails, or works again."""
        if error is None:
            self.health.fault(part, None)
        else:
            self.health.internal(part, error)

    def _trust(self) -> Trust:
        return self.loop.gate.roster.trust

    def run(self, stop: threading.Event) -> None:
        """Run until told to stop, then close everything: the strike first."""
        try:
            self.loop.start()
            for start in self._starters:
                start()
            if self.broker is not None:
                self.broker.start()
            if self.updater is not None:
                self.updater.start()
            self._supervision.ready()
            while not stop.is_set() and self.again is None:
                self.loop.step()
                if self._supervision.hungry and self.health.fault_of("camera") is not None:
                    self._prove_alive()
            if self.again in (None, "update"):
                self._supervision.stopping()
        finally:
            self.close()

    def _end_for_configuration(self) -> None:
        self.again = "configuration"

    def _end_for_restart(self) -> None:
        self.again = "restart"

    def _end_for_update(self) -> None:
        self.again = "update"

    def _prove_alive(self) -> None:
        """The camera is away, and the gate knows: one row on the disk shows that loop and journal go on.

        Frames that come and cannot be read are another matter: nothing is said, and systemd starts the gate again.
        """
        began = time.monotonic()
        try:
            self.journal.commit([], [_ALIVE], 0)
        except JournalFailed:
            return  # neither frames nor a journal: let the supervisor restart us
        self.health.committed((time.monotonic() - began) * 1e3)

    def close(self) -> None:
        """Lock the strike, then scanner, tablets, camera, pins, broker, pages, clock, journal; may be called twice."""
        self._stack.close()

    def _stop_broker(self) -> None:
        if self.broker is not None:
            self.broker.stop()

    # --- asked by the pages' threads ----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Return the gate's condition: numbers and codes, no child and no holder."""
        config, journal, loop = self._config, self.journal, self.loop
        faults = self.health.faults
        stalled = time.monotonic() - loop.ticked_at > LOOP_STALLED_SECONDS
        return {
            "gate": config.gate.gate,
            "site": config.gate.site,
            "district": config.gate.district,
            "firmware": FIRMWARE,
            "healthy": not stalled and not {"camera", "journal"} & faults.keys(),
            "epoch": journal.epoch,
            "boot": journal.boot,
            "next_seq": journal.next_seq,
            "outbox": journal.outbox_depth,
            "broker": "none" if not config.broker.url else "up" if self.broker and self.broker.up else "down",
            "clock": self.health.clock,
            "mode": loop.birth()["mode"],
            "documents": loop.birth()["documents"],
            "list_age_s": loop.list_age_s(),
            "door": loop.doorway.state,
            "lock": loop.doorway.mode.value,
            "pulses": loop.doorway.pulses,
            "frames": self.health.frames,
            "frame_age_s": self.health.frame_age_seconds(),
            "hint": self.health.hint,
            "read_ms": self.health.read_ms(),
            "commit_ms": self.health.commit_ms(),
            "faults": faults,
            "counters": self.health.counters,
            "update": self.updater.told if self.updater else None,
            "configuration": json.loads(self.desired.shadow.report()),
        }

    def picture(self) -> bytes | None:
        """Return the camera's last frame as JPEG, made when somebody looks."""
        frame = self.loop.last_frame
        if frame is None:
            return None
        luma = frame.luma
        if luma.shape[1] > PICTURE_WIDTH_MAX:
            height = luma.shape[0] * PICTURE_WIDTH_MAX // luma.shape[1]
            luma = cv2.resize(luma, (PICTURE_WIDTH_MAX, height), interpolation=cv2.INTER_AREA)
        done, jpeg = cv2.imencode(".jpg", luma, [cv2.IMWRITE_JPEG_QUALITY, PICTURE_QUALITY])
        return jpeg.tobytes() if done else None
