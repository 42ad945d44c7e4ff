"""A configuration from afar on a whole gate: tried over a restart, kept where all is well, given up where it is not."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config import load_config
from edge.desired import settle
from edge.journal import open_journal
from edge.journal_file import reading
from edge.shadow import TRIAL_SECONDS
from edge.supervision import as_doorkeeper
from protocols import topics
from protocols.documents import GateConfiguration, build_gate_configuration
from protocols.events import Detail, Kind
from tests.edge.household import RunningGate, Site, write_gate
from tests.edge.line import GATE, Mosquitto, until
from tests.edge.test_loop import ledger
from tests.edge.test_shadow import NOW, Disk

pytestmark = pytest.mark.serial


@pytest.fixture
def site() -> Site:
    return Site()


class Life:
    """One gate over its restarts, as `portillon-gate run` lives it."""

    def __init__(self, directory: Path, site: Site) -> None:
        self.directory, self.site = directory, site
        self.gate = RunningGate(directory, site)

    def desire(self, version: int, content: Any) -> None:
        configuration = GateConfiguration(GATE, version, int(time.time()) - 5, json.dumps(content).encode())
        self.gate.take((topics.CONFIGURATION, build_gate_configuration(self.site.control, configuration)))

    def goes_on(self) -> None:
        """The gate has ended to begin anew, and does."""
        until(lambda: self.gate.appliance.again == "configuration", TRIAL_SECONDS + 10)
        self.gate._thread.join(5)
        self.gate = RunningGate(self.directory, self.site)

    @property
    def told(self) -> dict[str, Any]:
        return self.gate.appliance.status()["configuration"]

    @property
    def open_ms(self) -> int:
        return self.gate.appliance.loop.doorway._times.access


@pytest.fixture
def life(tmp_path: Path, site: Site) -> Iterator[Life]:
    one = Life(tmp_path, site)
    yield one
    one.gate.stop()


@pytest.mark.long  # a trial takes its twenty seconds; the drill shows it in every run
def test_a_gate_tries_a_configuration_keeps_it_and_goes_back_to_it(life: Life) -> None:
    assert life.open_ms == 300
    life.desire(1, {"door": {"open_seconds": 0.7}})
    life.goes_on()
    assert life.told["trial"] and life.open_ms == 700
    until(lambda: life.told["state"] == "applied", TRIAL_SECONDS)
    life.desire(2, {"camera": {"source": "folder", "path": "/nowhere"}})
    life.goes_on()
    assert life.told["state"] == "pending"
    life.goes_on()
    assert (life.told["state"], life.told["errors"], life.told["runs"]) == ("rejected", ["CAMERA"], 1)
    assert life.open_ms == 700
    codes = [event.detail.get(Detail.DOCUMENT) for event in ledger(life.gate) if event.kind == Kind.HEALTH]
    assert [code for code in codes if code] == ["CONFIG_TRIAL", "CONFIG_OK", "CONFIG_TRIAL", "CONFIG_ROLLED_BACK"]
    with reading(life.gate.appliance.journal.path) as db:
        assert db.execute("SELECT key FROM state WHERE tab = 'shadow' AND key = 'trial'").fetchall() == []


def test_a_value_that_the_gate_cannot_use_starts_nothing(life: Life) -> None:
    life.desire(1, {"door": {"open_seconds": 99}})
    until(lambda: life.told["state"] == "rejected")
    assert life.told["errors"] == ["door.open_seconds: 99 is outside 0.2 to 30.0 seconds"]
    assert (life.gate.appliance.again, life.open_ms) == (None, 300)


def test_a_doorkeeper_runs_what_came_from_afar_and_still_has_no_pages_no_tablets_and_no_scanner(
    tmp_path: Path, site: Site
) -> None:
    config = write_gate(tmp_path, site, broker_port=1883, listen="127.0.0.1:8081")
    (tmp_path / "t.pem").touch()
    tablet = '[tablet]\nlisten = "127.0.0.1:8443"\ncert = "t.pem"\nkey = "t.pem"\n'
    config.write_text(config.read_text() + tablet + '[scanner]\nkind = "serial"\npath = "s"\n')
    disk, whole = Disk(), load_config(config)
    disk.desire(1, {"door": {"open_seconds": 0.7}})
    journal = open_journal(tmp_path / "journal.sqlite")
    doorkeeper, _ = settle(disk.shadow, as_doorkeeper(whole), journal, NOW)
    journal.close()
    assert doorkeeper.door.times.access == 700
    assert whole.tablet.listen and whole.scanner.path and whole.web.listen and whole.broker.url
    assert (doorkeeper.tablet.listen, doorkeeper.scanner.path) == (None, "")
    assert (doorkeeper.web.listen, doorkeeper.broker.url) == (None, "")


def test_the_state_is_reported_to_the_cloud(tmp_path: Path, site: Site) -> None:
    from tests.edge.line import Cloud

    broker = Mosquitto(tmp_path)
    cloud = Cloud(broker.port)
    gate = RunningGate(tmp_path, site, broker_port=broker.port)
    until(lambda: cloud.payloads(topics.REPORTED))
    assert json.loads(cloud.payloads(topics.REPORTED)[0]) == {
        "v": 1, "state": "applied", "version": 0, "hash": "", "errors": [], "runs": 0, "trial": False,
    }  # fmt: skip
    cloud.close()
    gate.stop()
    broker.kill()
