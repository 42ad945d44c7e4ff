"""What holds the gate up from outside: systemd is told of work done, and starts that did not hold are counted.

Responsible for: the datagrams of sd_notify(3), "alive" only for a frame that was read or a commit on the disk, never
for time passing; the number of starts in a row that did not hold, kept over restarts and power cuts; what a doorkeeper
leaves out. Not responsible for: restarting (systemd, firmware_config), what the work is (loop.py, journal.py).
Obeys: PROTOCOL P-5 (the door does not wait for anything here), HOSTILE P39 (a stalled camera is noticed).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge.config import GateConfig
from edge.tablet_settings import ScannerSettings, TabletSettings

HELD_SECONDS = 60.0  # a start has held when work was still done so long after it
FED_SECONDS = 1.0  # systemd need not hear of every frame
HUNGRY_SECONDS = 15.0  # without a frame for so long, a commit must show that loop and journal are alive
COUNT_BYTES_MAX = 4  # "9999": whatever else the file holds is not ours


class Supervision:
    """One run of the gate as its supervisor sees it. Raises nothing: a door opens without a supervisor too.

    address: systemd's NOTIFY_SOCKET, None where nobody listens. count: the file of failed starts, None to count none.
    """

    def __init__(
        self,
        address: str | None = None,
        count: Path | None = None,
        doorkeeper_after: int = 0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = ("\0" + address[1:] if address.startswith("@") else address) if address else None
        self._count, self._monotonic = count, monotonic
        self._began = monotonic()
        self._fed_at = self._began - FED_SECONDS
        self.failed_starts = self._begin() if count else 0
        self.doorkeeper = count is not None and self.failed_starts >= doorkeeper_after
        self._may_hold = count is not None and not self.doorkeeper

    def ready(self) -> None:
        """Everything is open."""
        self._tell("READY=1\nSTATUS=" + ("doorkeeper" if self.doorkeeper else "whole"))

    def worked(self) -> None:
        """A frame was read to its end, or a commit is on the disk. Cheap: the loop calls it for every frame."""
        moment = self._monotonic()
        if moment - self._fed_at >= FED_SECONDS:
            self._fed_at = moment
            self._tell("WATCHDOG=1")
        if self._may_hold and moment - self._began >= HELD_SECONDS:
            self._held()

    @property
    def hungry(self) -> bool:
        """Whether somebody listens and has heard of no work for long."""
        return self._address is not None and self._monotonic() - self._fed_at >= HUNGRY_SECONDS

    def stopping(self) -> None:
        """Somebody asked the gate to stop: that is no failed start, and a doorkeeper's next start is a whole gate's."""
        self._tell("STOPPING=1")
        self._held()

    def _begin(self) -> int:
        """Count this start as failed until it holds; return how many before it did not."""
        assert self._count is not None
        try:
            text = self._count.read_bytes()[: COUNT_BYTES_MAX + 1].strip()
        except OSError:
            text = b""
        failed = int(text) if text.isdigit() and len(text) <= COUNT_BYTES_MAX else 0
        try:
            self._count.parent.mkdir(parents=True, exist_ok=True)
            with self._count.open("wb") as file:
                file.write(b"%d\n" % min(failed + 1, 9_999))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return failed  # a full disk must not keep the door shut; the journal tells of it
        return failed

    def _held(self) -> None:
        self._may_hold = False
        if self._count is not None:
            try:
                self._count.unlink(missing_ok=True)
            except OSError:
                return  # then this start counts as failed; three of them make a doorkeeper, which opens too

    def _tell(self, what: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)
                line.sendto(what.encode(), self._address)
        except OSError:
            return  # nobody listens any more: whoever stopped listening will restart us


def as_doorkeeper(config: GateConfig) -> GateConfig:
    """Return the configuration of a gate that only verifies, opens and journals: no pages, no line to the broker."""
    quiet = {"broker": replace(config.broker, url=""), "web": replace(config.web, listen=None)}
    return replace(config, **quiet, tablet=TabletSettings(), scanner=ScannerSettings())
