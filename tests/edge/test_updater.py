"""The updater's own steps on a real disk that fails for a while, and what it does with an archive that was damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.appliance import Appliance
from edge.broker import Broker, Inbox
from edge.config import BrokerSettings, load_config
from edge.update import Condition, Step, Update
from edge.updater import Parts, Updater
from edge.versions import FIRMWARE, Disk, Versions
from protocols import topics
from protocols.releases import UpdateState, target_of
from tests.edge.household import Site, write_gate
from tests.edge.line import GATE_KEY, NOW, PLACE, receipt_trust
from tests.edge.mirror import a_release

pytestmark = pytest.mark.serial
NEW = "0.3.0"
ON_TRIAL = Update(7, FIRMWARE, UpdateState.TRIAL)


class FullDisk(Disk):
    """A disk that refuses so many writes."""

    refuses = 0

    def write(self, path: Path, data: bytes) -> None:
        if self.refuses:
            self.refuses -= 1
            raise OSError(28, "No space left on device")
        super().write(path, data)


class Bench:
    """An updater over a whole gate that is not run; its broker is never there."""

    def __init__(self, directory: Path) -> None:
        self.config = load_config(write_gate(directory, Site()))
        self.gate = Appliance(self.config, lambda: NOW)
        gate = self.gate
        self.broker = Broker(
            BrokerSettings("mqtt://127.0.0.1:1", None, None, None), PLACE, GATE_KEY, gate.journal, Inbox(), gate.health,
            trust=receipt_trust, birth=dict, now=lambda: NOW, session="0" * 32,
        )  # fmt: skip
        self.disk, self.ended = FullDisk(), 0
        self.versions = Versions(directory / "data", self.disk)

    def updater(self, update: Update) -> Updater:
        self.versions.keep(update)
        parts = Parts(self.gate.loop, self.gate.health, self.gate.journal, self.broker)
        return Updater(self.config, self.versions, update, parts, self._end, lambda: NOW)

    def on_trial(self) -> Updater:
        """An updater of the version that runs, on trial, as the launcher started it."""
        base = self.versions.work.parent
        self.versions.prepare()
        (base / "versions" / FIRMWARE).mkdir()
        (base / "versions" / FIRMWARE / "__main__.py").touch()
        os.symlink(f"versions/{FIRMWARE}", base / "current")
        (base / "trial").write_text("1\n")
        return self.updater(ON_TRIAL)

    @property
    def told(self) -> list[bytes]:
        return [said.payload for said in self.broker._publications if said.topic.endswith(topics.JOB_STATE)]

    def _end(self) -> None:
        self.ended += 1


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.gate.close()


def test_a_trial_that_went_well_is_kept_once_the_disk_takes_it(bench: Bench) -> None:
    updater = bench.on_trial()
    updater._first_seq = bench.gate.journal.receipted_upto  # the cloud has receipted our start
    bench.gate.health.frame(0, 1.0)
    updater._update = replace(ON_TRIAL, before=Condition(tuple(bench.gate.health.faults)))
    bench.disk.refuses = 2
    for _ in range(2):
        with pytest.raises(OSError):
            updater._turn()
        assert updater.told["state"] == "trial" and not bench.told
    updater._turn()
    assert updater.told["state"] == "committed" and len(bench.told) == 1 and not bench.ended
    assert bench.versions.update().state is UpdateState.COMMITTED


def test_a_trial_that_failed_goes_back_once_the_disk_takes_it_and_however_well_it_is_by_then(bench: Bench) -> None:
    updater = bench.on_trial()
    updater._began -= 1_000.0
    bench.disk.refuses = 2
    for _ in range(2):
        with pytest.raises(OSError):
            updater._turn()
        assert updater.told["state"] == "trial" and not bench.told and not bench.ended
        bench.gate.health.frame(0, 1.0)
        updater._first_seq = bench.gate.journal.receipted_upto
    updater._turn()
    assert (updater.told["state"], updater.told["code"]) == ("rolled_back", "NO_FRAME")
    assert bench.ended == 1 and len(bench.told) == 1
    found = bench.versions.found(FIRMWARE)
    assert (found.current, found.on_trial, bench.versions.update().state) == ("", False, UpdateState.ROLLED_BACK)


@pytest.mark.parametrize("left", [b"", a_release(NEW)[:200], None])
def test_an_archive_that_was_damaged_since_it_was_verified_is_fetched_again(bench: Bench, left: bytes | None) -> None:
    updater = bench.updater(Update(7, NEW, UpdateState.VERIFIED, tries=3))
    if left is not None:
        (bench.versions.work / target_of(NEW)).write_bytes(left)
    updater._do(Step.INSTALL)
    update = bench.versions.update()
    assert (update.state, update.tries, update.code) == (UpdateState.DOWNLOADING, 4, "")


def test_an_archive_that_this_very_program_verified_and_cannot_unpack_is_no_release(bench: Bench) -> None:
    updater = bench.updater(Update(7, NEW, UpdateState.VERIFIED))
    (bench.versions.work / target_of(NEW)).write_bytes(b"signed, and no archive")
    updater._genuine = NEW
    updater._do(Step.INSTALL)
    assert (bench.versions.update().state, bench.versions.update().code) == (UpdateState.FAILED, "ARCHIVE")
