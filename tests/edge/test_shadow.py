"""The gate's shadow: a configuration is taken, tried, kept or given up; the last good one comes back by itself."""

import json
from typing import Any

import pytest
from nacl.signing import SigningKey

from edge.door_settings import Problem
from edge.shadow import STARTS_MAX, STEADY_SECONDS, TRIAL_SECONDS, Health, Shadow, Step
from protocols.documents import GateConfiguration, Reader, build_gate_configuration
from protocols.trust import Role, TrustedKey, trust_of

CONTROL, OTHER = SigningKey(b"\x31" * 32), SigningKey(b"\x32" * 32)
TRUST = trust_of(
    [TrustedKey(bytes(CONTROL.verify_key), Role.CONTROL), TrustedKey(bytes(OTHER.verify_key), Role.COMMAND)]
)
NOW = 1_800_000_000
WELL, BLIND = Health(True, True, True), Health(False, True, True)
LONGER = {"door": {"open_seconds": 6.0}}


class Disk:
    """What the shadow keeps, as the journal would."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, bytes], bytes] = {}
        self.shadow = Shadow(None)

    def keep(self, step: Step) -> Step:
        for table, key, value in step.changes:
            self.rows.pop((table, key), None)
            if value is not None:
                self.rows[table, key] = value
        return step

    def restart(self) -> Step:
        self.shadow = Shadow(self.rows)
        return self.keep(self.shadow.begin())

    def desire(self, version: int, content: Any, **changed: Any) -> Step:
        return self.keep(self.shadow.desire(*desired(version, content, **changed)))

    def watch(self, health: Health, seconds: float) -> Step:
        """Judge once a second; the first step that says something."""
        for second in range(int(seconds) + 2):
            step = self.keep(self.shadow.judge(health, 100.0 + second))
            if step.code:
                return step
        return Step()

    @property
    def told(self) -> dict[str, Any]:
        return json.loads(self.shadow.report())

    @property
    def runs(self) -> Any:
        return self.shadow.wanted.sections if self.shadow.wanted else None


def desired(
    version: int, content: Any, *, key: SigningKey = CONTROL, gate: int = 11, iat: int = NOW, wrong: list | None = None
) -> tuple[bytes, Reader, Any]:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    data = build_gate_configuration(key, GateConfiguration(gate, version, iat, raw))
    return data, Reader(TRUST, 101, NOW, gate=11), lambda _sections: wrong or []


@pytest.fixture
def disk() -> Disk:
    return Disk()


def applied(disk: Disk, version: int, content: Any) -> None:
    assert disk.desire(version, content).restart
    disk.restart()
    assert disk.watch(WELL, TRIAL_SECONDS).code == "CONFIG_OK"


def test_a_configuration_is_pending_until_it_has_been_well_for_a_while(disk: Disk) -> None:
    step = disk.desire(1, LONGER)
    assert (step.code, step.restart, disk.told["state"]) == ("CONFIG_TRIAL", True, "pending")
    disk.restart()
    assert disk.runs == LONGER
    assert disk.shadow.judge(WELL, 100.0) == Step()
    assert disk.shadow.judge(WELL, 100.0 + STEADY_SECONDS / 2) == Step()
    assert disk.watch(WELL, STEADY_SECONDS).code == "CONFIG_OK"
    assert (disk.told["state"], disk.told["version"], disk.told["runs"]) == ("applied", 1, 1)
    disk.restart()
    assert (disk.runs, disk.shadow.trial, disk.told["state"]) == (LONGER, None, "applied")


def test_one_that_fails_its_health_check_gives_way_to_the_last_good_one(disk: Disk) -> None:
    applied(disk, 1, LONGER)
    disk.desire(2, {"camera": {"source": "folder", "path": "nowhere"}})
    disk.restart()
    step = disk.watch(BLIND, TRIAL_SECONDS)
    assert (step.code, step.restart, step.alarm) == ("CONFIG_ROLLED_BACK", True, True)
    disk.restart()
    assert disk.runs == LONGER
    assert {name: disk.told[name] for name in ("state", "version", "errors", "runs")} == {
        "state": "rejected", "version": 2, "errors": ["CAMERA"], "runs": 1,
    }  # fmt: skip


def test_health_that_comes_and_goes_is_no_health(disk: Disk) -> None:
    disk.desire(1, LONGER)
    disk.restart()
    steps = [disk.shadow.judge(WELL if second % 2 else BLIND, 100.0 + second) for second in range(25)]
    assert [step.code for step in steps if step.code] == ["CONFIG_ROLLED_BACK"]


def test_a_gate_that_dies_on_trial_gives_it_up_at_the_third_start(disk: Disk) -> None:
    disk.desire(1, LONGER)
    for _ in range(STARTS_MAX):
        assert disk.restart().code == ""
        assert disk.runs == LONGER
    assert disk.restart().code == "CONFIG_ROLLED_BACK"
    assert (disk.runs, disk.told["errors"]) == (None, ["STARTS"])


def test_what_runs_already_needs_no_trial(disk: Disk) -> None:
    assert disk.desire(1, {}).code == "CONFIG_OK"
    applied(disk, 2, LONGER)
    step = disk.desire(3, LONGER)
    assert (step.code, step.restart, disk.told["version"]) == ("CONFIG_OK", False, 3)


def test_a_newer_one_takes_the_place_of_one_on_trial(disk: Disk) -> None:
    disk.desire(1, LONGER)
    disk.restart()
    assert disk.desire(2, {"gate": {"language": "kk"}}).restart
    disk.restart()
    assert disk.runs == {"gate": {"language": "kk"}}
    assert disk.desire(3, {}).restart, "back to the file of the gate"
    disk.restart()
    assert (disk.runs, disk.told["state"]) == ({}, "applied")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"key": OTHER}, "CONFIG_KEY"), ({"gate": 12}, "CONFIG_SITE"), ({"iat": NOW + 61}, "CONFIG_FUTURE"),
        ({"version": 1}, "CONFIG_ROLLBACK"), ({"content": {}}, "CONFIG_FORK"),
    ],
)  # fmt: skip
def test_a_configuration_that_is_not_ours_or_not_the_next_changes_nothing(
    disk: Disk, changed: dict[str, Any], code: str
) -> None:
    applied(disk, 2, LONGER)
    step = disk.desire(**({"version": 2 if code == "CONFIG_FORK" else 3, "content": LONGER} | changed))
    assert (step.code, step.alarm, step.restart, step.changes) == (code, True, False, ())
    assert (disk.runs, disk.told["version"]) == (LONGER, 2)


@pytest.mark.parametrize("junk", [b"", b"KF1", b"\xff" * 70_000, b"\x84\x40\xa0\x40\x40"])
def test_bytes_that_are_no_document_change_nothing(disk: Disk, junk: bytes) -> None:
    _, reader, check = desired(1, LONGER)
    step = disk.shadow.desire(junk, reader, check)
    assert (step.code, step.changes, step.restart) == ("CONFIG_FORMAT", (), False)


def test_an_older_one_is_refused_also_after_a_restart_and_after_a_rejection(disk: Disk) -> None:
    disk.desire(5, {"gate": {"site": 7}})
    disk.restart()
    assert disk.desire(4, LONGER).code == "CONFIG_ROLLBACK"


def test_a_retained_one_that_comes_again_is_no_news(disk: Disk) -> None:
    data, reader, check = desired(1, LONGER)
    disk.keep(disk.shadow.desire(data, reader, check))
    assert disk.shadow.desire(data, reader, check) == Step()
    disk.restart()
    assert disk.shadow.desire(data, reader, check) == Step()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"{", "it is not JSON"), (b"\xff", "it is not JSON"), (b"[" * 2_000, "it is not JSON"),
        ([], "it is not sections of settings"), ({"door": 3}, "it is not sections of settings"),
        ({"gate": {"site": 102}}, "gate.site: cannot be set from afar"),
        ({"door": {"strike_pin": 4}}, "door.strike_pin: cannot be set from afar"),
        ({"door": {"exit_wired": True}}, "door.exit_wired: cannot be set from afar"),
        ({"broker": {"url": "mqtt://evil"}}, "broker.url: cannot be set from afar"),
        ({"paths": {}}, "paths: cannot be set from afar"),
        ({"gate": {"\x1b[31m": 1}}, "gate.\\x1b[31m: cannot be set from afar"),
    ],
)  # fmt: skip
def test_what_may_not_be_set_from_afar_is_rejected_and_told(disk: Disk, content: Any, error: str) -> None:
    step = disk.desire(1, content)
    assert (step.code, step.restart, step.report) == ("CONFIG_REJECTED", False, True)
    assert (disk.told["state"], disk.told["errors"], disk.runs) == ("rejected", [error], None)


def test_a_value_that_the_gate_cannot_use_is_rejected_with_its_name(disk: Disk) -> None:
    disk.desire(1, LONGER, wrong=[Problem("door.open_seconds", "99 is outside 0.1 to 30", "5")] * 20)
    assert disk.told["errors"] == ["door.open_seconds: 99 is outside 0.1 to 30"] * 8


@pytest.mark.parametrize("row", [b"", b"junk", b"\x84\x01\x41x\x42{]\x00", b"\x83\x01\x41x\x42{}"])
def test_rows_that_are_not_ours_are_as_none(row: bytes) -> None:
    saved = {("shadow", key): row for key in (b"good", b"trial", b"newest", b"told")}
    shadow = Shadow(saved)
    assert (shadow.wanted, shadow.begin(), json.loads(shadow.report())["state"]) == (None, Step(), "applied")


def test_a_version_of_the_gate_that_cannot_read_what_was_good_runs_its_own_file(disk: Disk) -> None:
    applied(disk, 1, LONGER)
    disk.restart()
    step = disk.keep(disk.shadow.unreadable([Problem("door.open_seconds", "is gone", "nothing")]))
    assert (step.code, disk.runs) == ("CONFIG_FORMAT", None)
    disk.restart()
    assert disk.runs is None
