"""The cloud's half of a gate's line for tests: a database, a broker and an ingest process that can be stopped, and a
gate's real journal and sender on the other end."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from nacl.signing import SigningKey
from psycopg import sql

from cloud.fleet import service as fleet
from cloud.ingest import Ingest
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.passes.keys import KeyRing, init_keys
from edge.broker import Broker, Inbox
from edge.config import BrokerSettings, Place
from edge.health import Health
from edge.journal import Journal
from simulators.broker import RunningBroker, start_broker
from simulators.database import RunningDatabase
from tests.cast import Cast, a_district
from tests.conftest import Clone

SITE, GATE = 101, 11
KEY = SigningKey(bytes((11,)) * 32)


@dataclass
class Schoolhouse:
    """`open` it, `start` its ingest, and give gates their lines; `close` ends it all."""

    directory: Path
    clone: Clone
    ring: KeyRing
    broker: RunningBroker
    cast: Cast
    lines: list[Broker] = field(default_factory=list)
    _stop: Callable[[], object] | None = None

    @classmethod
    def open(cls, directory: Path, clone: Clone) -> "Schoolhouse":
        with Database(clone.url, 2) as database:
            cast = a_district(database)
            with database.tenant(cast.district) as tx:
                fleet.register_gate(tx, cast.district, SITE, GATE, "main", bytes(KEY.verify_key), clock.now())
        ring = init_keys(directory / "root", directory / "keys", int(clock.now().timestamp()))
        (directory / "secret").write_text("11" * 32)
        return cls(directory, clone, ring, start_broker(directory / "broker"), cast)

    def start(self) -> None:
        """Start ingest in a thread of this process."""
        database = Database(self.clone.url, 2).open()
        ingest = Ingest(database, self.broker.url, self.ring)
        thread = threading.Thread(target=ingest.run, name="ingest")
        thread.start()

        def stop() -> None:
            ingest.stop.set()
            thread.join(15)
            database.close()

        self._stop = stop

    def start_apart(self) -> None:
        """Start ingest as a process of its own, so that both ends have their own processor time."""
        environment = {
            **os.environ, "PORTILLON_DATABASE_URL": self.clone.url, "PORTILLON_BROKER_URL": self.broker.url,
            "PORTILLON_KEYS_DIR": str(self.directory / "keys"),
            "PORTILLON_SECRET_FILE": str(self.directory / "secret"),
        }  # fmt: skip
        command = [str(Path(sys.executable).parent / "portillon-cloud"), "ingest"]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)

        def stop() -> None:
            process.terminate()
            process.wait(15)

        self._stop = stop

    def stop(self) -> None:
        if self._stop is not None:
            self._stop()
            self._stop = None

    def close(self) -> None:
        for line in self.lines:
            line.stop()
        self.stop()
        self.broker.stop()

    def line(self, journal: Journal, health: Health) -> Broker:
        """Return a gate's session, started."""
        broker = Broker(
            BrokerSettings(self.broker.url, None, None, None),
            Place("demo", SITE, GATE, "UTC", ((0, 86_400),), "staff", 1, "en"),
            KEY,
            journal,
            Inbox(),
            health,
            trust=lambda: self.ring.trust,
            birth=lambda: {"boot": journal.boot, "firmware": "0.1.0", "documents": {}, "mode": "normal"},
            now=time.time,
            session="00112233445566778899aabbccddeeff",
        )
        self.lines.append(broker)
        broker.start()
        return broker

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        """Return what the database says, as its owner sees it."""
        with psycopg.connect(self.clone.owner_url) as owner:
            return owner.execute(question.encode()).fetchall()

    def copy_database(self, server: RunningDatabase, source: str, target: str) -> None:
        """Copy a database as a backup does, or put a backup in its place. Nobody may be in either."""
        with psycopg.connect(server.url, autocommit=True) as owner:
            name, template = sql.Identifier(target), sql.Identifier(source)
            owner.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            owner.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(name, template))
