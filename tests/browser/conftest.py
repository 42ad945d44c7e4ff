"""Chromium before the real application: real PostgreSQL, real keys, a server of this test's own on a free port.

`stage` is the house with the lights on: pairing codes, sign-in links, a gate that writes signed facts, and a server
that can be stopped and started. Nothing of ours is replaced. PORTILLON_TEST_CHROMIUM names another Chromium.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import cv2
import numpy as np
import pytest
import uvicorn
import zxingcpp
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, expect

from cloud.app import create_app
from cloud.attendance import service as attendance
from cloud.attendance.model import Sent
from cloud.config import Settings
from cloud.identity import service as identity
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.passes import service as passes
from cloud.passes.keys import KeyRing, init_keys
from protocols.passes import Place
from simulators.database import RunningDatabase
from tests.cast import Cast, a_district
from tests.conftest import _made as made_clone
from tests.gates import Ledger, a_gate, an_arrival, number_of

expect.set_options(timeout=15_000)  # A machine busy with other tests is slow, not broken.

CHROMIUM = os.environ.get("PORTILLON_TEST_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-default-apps", "--no-first-run", "--disable-sync",
]  # fmt: skip
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@dataclass
class Stage:
    """The application on a port, with its cast and the front gate's ledger."""

    settings: Settings
    database: Database
    cast: Cast
    ring: KeyRing
    port: int
    ledger: Ledger
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        config = uvicorn.Config(
            create_app(self.settings), host="127.0.0.1", port=self.port, log_config=None, timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            if time.monotonic() > deadline:
                raise TimeoutError("the application did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join(timeout=20)
            self._server = None

    def code_for(self, person: UUID) -> str:
        with self.database.tenant(self.cast.district) as tx:
            return passes.new_pairing_code(tx, self.settings.secret, self.cast.district, person, clock.now())

    def link_for(self, person: UUID, door: str, *, demo: bool = True) -> str:
        """A link as a demonstration's: it lets in at once. demo False: one that waits for a press and works once."""
        now = clock.now()
        with self.database.tenant(self.cast.district) as tx:
            login = identity.login_of_person(tx, self.cast.district, person, now)
            return self.url + identity.new_link(tx, login, door, now, demo=demo)

    def arrives(self, *children: UUID, with_: UUID, direction: int = 1) -> str:
        """Let the front gate record that children came in, or left. Returns the fact as gate:epoch:seq."""
        holder = number_of(self.database, self.cast, person=with_)
        numbers = [number_of(self.database, self.cast, child=child) for child in children]
        seq = len(self.ledger.events)
        self.ledger.write(an_arrival(holder, *numbers, at=clock.now(), direction=direction))
        with self.database.tenant(self.cast.district) as tx:
            batch = [Sent(self.cast.site, self.ledger.segment(seq, 1))]
            attendance.record_batch(tx, self.cast.district, batch, clock.now())
        return f"{self.ledger.gate}:{self.ledger.epoch}:{seq}"

    def place(self) -> Place:
        return Place(site=self.cast.site, at=time.time(), trust=self.ring.trust, gate=self.ledger.gate)


@pytest.fixture
def own_stage(settings: Settings, database: Database, tmp_path: Path) -> Iterator[Stage]:
    """A stage of this test alone: it may be stopped and written to."""
    yield from _raised(settings, database, tmp_path)


@pytest.fixture
def stage(own_stage: Stage) -> Stage:
    """The stage of a test; a file whose tests only look, or clean up, gives the open house instead."""
    return own_stage


@pytest.fixture(scope="module")
def open_house(
    database_server: RunningDatabase, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """One stage for all tests of a file that only look."""
    folder = tmp_path_factory.mktemp("open_house")
    with contextmanager(made_clone)(database_server, migrated_template) as clone, Database(clone.url, 10) as database:
        told = Settings(database_url=clone.url, database_owner_url=clone.owner_url, secret=bytes(range(32)))
        yield from _raised(told, database, folder)


def _raised(settings: Settings, database: Database, folder: Path) -> Iterator[Stage]:
    cast = a_district(database)
    keys = folder / "keys"
    ring = init_keys(folder / "root", keys, int((clock.now() - timedelta(minutes=1)).timestamp()))
    port = _free_port()
    told = replace(settings, keys_dir=keys, public_url=f"http://127.0.0.1:{port}")
    made = Stage(told, database, cast, ring, port, a_gate(database, cast))
    made.start()
    yield made
    made.stop()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield running
    running.close()


NewContext = Callable[..., BrowserContext]


@pytest.fixture
def new_context(chromium: Browser) -> Iterator[NewContext]:
    """Make contexts that are closed when the test ends; a phone unless told otherwise."""
    opened: list[BrowserContext] = []

    def make(**told: object) -> BrowserContext:
        wanted = {"viewport": PHONE, "device_scale_factor": 2, "locale": "en-GB", **told}
        opened.append(chromium.new_context(**wanted))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for context in opened:
        context.close()


@pytest.fixture
def phone(new_context: NewContext) -> Page:
    return new_context().new_page()


def pair(page: Page, stage: Stage, person: UUID) -> None:
    """Pair a phone as a family does, and wait for its code."""
    page.goto(f"{stage.url}/pass?code={stage.code_for(person)}")
    page.locator("#pairing-form button").click()
    page.locator("#code[data-version]").wait_for()


def read_code(place: Page | Locator) -> str:
    """Return what a camera reads on a screenshot: exactly one QR Code."""
    picture = cv2.imdecode(np.frombuffer(place.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    found = zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    assert len(found) == 1
    return found[0].bytes.decode("ascii")
