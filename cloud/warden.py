"""The warden: keeps the broker's rights as the registry says, and tells the fleet what the broker refused.

Responsible for: the broker's list of rights, the authorities it trusts and their lists of revocations, written where
they changed, with SIGHUP; pushing off a gate that was revoked; alarms out of the broker's log. One for each broker, on
its machine. Not responsible for: the lists themselves (fleet/certificates.py), what a line of the log means
(fleet/broker_log.py), what a gate may (firmware_config/broker/acl.gate, by make-acl). Rules: P-6, last paragraph.
"""

import logging
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from cloud.config import Settings
from cloud.fleet import authority, certificates
from cloud.fleet import service as fleet
from cloud.fleet.broker_log import BrokerLog, Noticed, Place
from cloud.kit import clock
from cloud.kit.broker import Line, line_of, take_over
from cloud.kit.db import Database, DatabaseAway
from cloud.schools import service as schools

LOOK_SECONDS = 0.5  # from a revocation to its refusal, and how late an alarm may be
LOG_BYTES_MAX = 16 * 1024 * 1024  # of the log, which lies in memory: then it is cut
LOG_READ_BYTES_MAX = 4 * 1024 * 1024  # of one look: about 40,000 lines
ALARM_SECONDS = 10.0  # of a gate and code: a gate gone mad is one line of the fleet's list, not a flood in the database
MAKE_SECONDS_MAX = 60.0
REVOKED_FILE, ACL_FILE, GATES_FILE = "revoked.pem", "acl", "gates-ca.pem"

log = logging.getLogger("portillon.warden")


@dataclass
class Warden:
    """One broker's. folder: of its certificates and rights; broker_log: what it writes; pid_file: whom to SIGHUP."""

    database: Database
    line: Line
    ca_dir: Path
    folder: Path
    make_acl: Path
    broker_log: Path
    pid_file: Path
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._reader = BrokerLog({})
        self._district_of: dict[int, UUID] = {}
        self._position = 0
        self._rest = b""
        self._revoked: set[str] = set()
        self._told: dict[tuple[int, str], float] = {}
        self._live: str | None = None  # of which self._acl was made
        self._acl = b""
        self._fault = ""  # why the broker could not be told, as the log has it
        self.is_unread = True  # a warden that was killed may have written without telling

    def run(self) -> None:
        """Look until told to stop. A database or broker that is away only delays."""
        while not self.stop.is_set():
            try:
                self.look()
            except DatabaseAway as away:
                log.error("the database is away: %s", str(away).splitlines()[:1])
            self.stop.wait(LOOK_SECONDS)

    def look(self) -> None:
        """Compare once, write and tell what differs."""
        places = self._places()
        self._reader.registry = {place.client: place for place in places}
        self.is_unread |= self._write(places)
        if self.is_unread:
            self._reload()
        revoked = {place.client for place in places if place.revoked}
        for client in revoked - self._revoked:
            self._push_off(client)
        self._revoked = revoked
        for noticed in self._read_log():
            self._notice(noticed)

    # --- from the registry ------------------------------------------------------------------------------------------

    def _places(self) -> list[Place]:
        with self.database.untenanted() as tx:
            districts = schools.all_districts(tx)
        places: list[Place] = []
        for district_id, slug in districts:
            with self.database.tenant(district_id) as tx:
                rows = fleet.places(tx, district_id)
            places += [Place(slug, row.site, row.gate, row.revoked_at is not None) for row in rows if row.approved_at]
            self._district_of |= {row.gate: district_id for row in rows}
        return places

    def _write(self, places: list[Place]) -> bool:
        """Write the files that differ; return whether there were any."""
        self._make_rights("".join(f"{one.district} {one.site} {one.gate}\n" for one in places if not one.revoked))
        with self.database.untenanted() as tx:
            lists = certificates.revocation_lists(tx)
        wanted = {ACL_FILE: self._acl, GATES_FILE: authority.bundle(self.ca_dir, authority.GATES)}
        wanted |= {REVOKED_FILE: lists} if lists else {}
        changed = [name for name, data in wanted.items() if data and _read(self.folder / name) != data]
        for name in changed:
            _replace(self.folder / name, wanted[name])
        return bool(changed)

    def _make_rights(self, live: str) -> None:
        """Make the list of rights of these gates, where they are others than before. One that fails is tried again."""
        if live == self._live:
            return
        made = subprocess.run(["sh", str(self.make_acl)], input=live.encode(), capture_output=True, check=False,
                              timeout=MAKE_SECONDS_MAX)  # fmt: skip
        if made.returncode:
            log.error("the list of rights was not made: %s", made.stderr.decode(errors="replace")[:200])
            return
        self._live, self._acl = live, made.stdout

    def _reload(self) -> None:
        """Tell the broker to read its files. Where that fails it is tried at each look, and logged once."""
        try:
            os.kill(int(self.pid_file.read_text()), signal.SIGHUP)
        except (OSError, ValueError, OverflowError) as error:
            if str(error) != self._fault:
                log.error("the broker does not read its rights anew: %s", error)
            self._fault = str(error)
            return
        self.is_unread, self._fault = False, ""
        log.info("the broker reads its rights anew")

    def _push_off(self, client: str) -> None:
        """Take over the session of a revoked gate, which ends its connection, and end it."""
        try:
            if take_over(self.line, client):
                log.warning("pushed %s off the broker", client)
        except OSError as error:
            log.error("the broker does not let the warden in: %s", error)

    # --- from the log -----------------------------------------------------------------------------------------------

    def _read_log(self) -> list[Noticed]:
        try:
            size = self.broker_log.stat().st_size
            if size < self._position:
                self._position, self._rest = 0, b""  # somebody cut it
            with self.broker_log.open("rb") as file:
                file.seek(self._position)
                read = file.read(LOG_READ_BYTES_MAX)
        except OSError:
            return []
        self._position += len(read)
        *lines, self._rest = (self._rest + read).split(b"\n")
        if self._position > LOG_BYTES_MAX:
            os.truncate(self.broker_log, 0)  # Mosquitto appends: it goes on at the beginning
            self._position, self._rest = 0, b""
        return [noticed for line in lines for noticed in self._reader.read(line.decode("utf-8", "replace"))]

    def _notice(self, noticed: Noticed) -> None:
        if not noticed.code:
            self._push_off(noticed.place.client)
            return
        key, now = (noticed.place.gate, noticed.code), time.monotonic()
        if now - self._told.get(key, -ALARM_SECONDS) < ALARM_SECONDS:
            return
        self._told[key] = now
        district_id = self._district_of[noticed.place.gate]
        log.warning("%s of gate %s", noticed.code, noticed.place.gate)
        with self.database.tenant(district_id) as tx:
            fleet.raise_alarm(tx, district_id, noticed.place.gate, noticed.code, clock.now())


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _replace(file: Path, data: bytes) -> None:
    beside = file.with_name(f".{file.name}.new")
    beside.write_bytes(data)
    beside.chmod(0o640)
    os.replace(beside, file)


def main(settings: Settings, folder: Path, make_acl: Path, broker_log: Path, pid_file: Path) -> None:
    """Run the warden until SIGTERM or SIGINT."""
    assert settings.ca_dir
    with Database(settings.database_url, 1) as database:
        warden = Warden(database, line_of(settings), settings.ca_dir, folder, make_acl, broker_log, pid_file)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: warden.stop.set())
        log.info("warden is ready")
        warden.run()
