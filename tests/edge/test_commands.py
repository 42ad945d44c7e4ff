"""Signed commands on a whole gate: written first, done once, answered once; what is not the cloud's moves nothing."""

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from protocols import topics
from protocols.documents import Command, build_command
from protocols.events import Detail, Kind
from tests.edge.household import RunningGate, Site
from tests.edge.line import GATE, Cloud, Mosquitto, until
from tests.edge.test_loop import ledger

pytestmark = pytest.mark.serial


class Asking:
    """A gate, and the cloud that gives it commands over a real broker."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.site = directory, Site()
        self.broker = Mosquitto(directory)
        self.cloud = Cloud(self.broker.port)
        self.gate = self.started()

    def started(self) -> RunningGate:
        gate = RunningGate(self.directory, self.site, broker_port=self.broker.port)
        until(lambda: gate.appliance.broker and gate.appliance.broker.up)
        return gate

    def give(self, operation: str, *, key: SigningKey | None = None, seconds: int = 15, **changed: Any) -> bytes:
        """Send a command and return its bytes."""
        now = int(time.time()) + changed.pop("ahead", 0)
        fields = {"gate": GATE, "operation": operation, "arguments": {}, "by": 0, "nonce": secrets.token_bytes(8)}
        data = build_command(key or self.site.command, Command(**(fields | changed), iat=now, exp=now + seconds))
        self.cloud.publish_down(topics.COMMAND, data)
        return data

    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.cloud.payloads(topics.ANSWER)]

    def answer(self, operation: str, **given: Any) -> dict[str, Any]:
        before = len(self.answers())
        self.give(operation, **given)
        until(lambda: len(self.answers()) > before)
        return self.answers()[-1]

    def written(self) -> list[str]:
        return [event.detail[Detail.OPERATION] for event in ledger(self.gate) if event.kind == Kind.COMMAND]

    @property
    def alarms(self) -> set[str]:
        return {name for name in self.gate.appliance.health.counters if name.startswith("alarm_COMMAND")}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    asking = Asking(tmp_path_factory.mktemp("gate"))
    yield asking
    asking.gate.stop()
    asking.cloud.close()
    asking.broker.kill()


def test_a_command_opens_the_door_after_it_was_written(shared: Asking) -> None:
    pulses = shared.gate.pulses
    answer = shared.answer("open", by=7)
    assert (answer["state"], answer["v"]) == ("done", 1) and answer["took_ms"] >= 0
    assert shared.gate.pulses == pulses + 1
    event = next(event for event in ledger(shared.gate) if event.kind == Kind.COMMAND)
    assert (event.detail[Detail.OPERATION], event.detail[Detail.STAFF]) == ("open", 7)
    assert event.detail[Detail.NONCE].hex() == answer["nonce"]


def test_what_it_tells_of_itself_is_numbers_and_words_and_no_picture(shared: Asking) -> None:
    until(lambda: shared.gate.appliance.loop.last_frame)
    seen = shared.answer("snapshot")["told"]
    assert seen["width"] > seen["height"] > 0 and seen["light"] > 100 and seen["dark_percent"] == 0
    assert all(isinstance(value, int | float) for value in seen.values())
    assert shared.answer("selftest")["told"]["journal"] == "ok"
    assert shared.answer("identify")["state"] == "done"


def test_events_go_up_again_when_they_are_asked_for(shared: Asking) -> None:
    until(lambda: shared.gate.appliance.journal.outbox_depth == 0)
    before = len(shared.cloud.seqs())
    answer = shared.answer("resync", arguments={"from_seq": 0})
    assert answer["told"]["again"] >= 1
    until(lambda: len(shared.cloud.seqs()) > before)
    assert shared.answer("resync", arguments={"from_seq": "all"})["told"] == {"code": "COMMAND_ARGUMENTS"}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"key": SigningKey(b"\x55" * 32)}, "alarm_COMMAND_KEY"), ({"gate": GATE + 1}, "alarm_COMMAND_SITE"),
        ({"ahead": 600}, "alarm_COMMAND_FUTURE"),
    ],
)  # fmt: skip
def test_a_command_that_is_not_for_this_gate_now_moves_nothing_and_is_not_answered(
    shared: Asking, changed: dict[str, Any], code: str
) -> None:
    pulses, answers = shared.gate.pulses, len(shared.answers())
    shared.give("open", **changed)
    until(lambda: code in shared.alarms)
    assert (shared.gate.pulses, len(shared.answers())) == (pulses, answers)


def test_the_policy_key_commands_nobody(shared: Asking) -> None:
    pulses = shared.gate.pulses
    shared.give("open", key=shared.site.policy)
    shared.answer("identify")  # after it, in order
    assert shared.gate.pulses == pulses


def test_an_expired_command_is_answered_and_not_done(shared: Asking) -> None:
    pulses = shared.gate.pulses
    assert shared.answer("open", ahead=-20)["state"] == "expired"
    assert shared.gate.pulses == pulses


@pytest.mark.parametrize("junk", [b"", b"open", b"\xff" * 70_000, b'{"operation":"open"}', b"\x84\x40\xa0\x40\x40"])
def test_bytes_that_are_no_command_move_nothing(shared: Asking, junk: bytes) -> None:
    pulses = shared.gate.pulses
    shared.cloud.publish_down(topics.COMMAND, junk)
    shared.answer("identify")
    assert shared.gate.pulses == pulses


def test_an_operation_nobody_knows_is_refused_with_its_code(shared: Asking) -> None:
    answer = shared.answer("__init__")
    assert (answer["state"], answer["told"]) == ("refused", {"code": "COMMAND_UNKNOWN"})
    assert "__init__" not in shared.written()


def test_a_command_heard_twice_is_done_once_also_over_a_restart(tmp_path: Path) -> None:
    asking = Asking(tmp_path)
    data = asking.give("open")
    until(lambda: len(asking.answers()) == 1)
    asking.cloud.publish_down(topics.COMMAND, data)
    until(lambda: asking.gate.appliance.health.counters.get("command_again") == 1)
    asking.gate.stop()
    asking.gate = asking.started()
    asking.cloud.publish_down(topics.COMMAND, data)
    until(lambda: asking.gate.appliance.health.counters.get("command_again") == 1)
    assert (asking.gate.pulses, len(asking.answers()), asking.written()) == (0, 1, ["open"])
    asking.gate.be_told_of_the_clock("untrusted")
    assert asking.answer("open")["told"] == {"code": "CLOCK_UNTRUSTED"}
    asking.gate.be_told_of_the_clock("ntp")
    assert asking.answer("restart")["state"] == "done"
    until(lambda: asking.gate.appliance.again == "restart")
    asking.gate._thread.join(5)
    asking.cloud.close()
    asking.broker.kill()
