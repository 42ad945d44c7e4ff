"""Hostile cases where the bus and the disk matter: P10, P14, P17, P20, P21, P24, whole gates and a real broker."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey
from paho.mqtt.client import MQTTMessage
from typer.testing import CliRunner

from edge.cli import app
from edge.export import event_of
from edge.journal_file import reading, rows
from protocols import topics
from protocols.events import Event, Kind
from protocols.limits import PACKET_BYTES_MAX
from protocols.trust import Role, TrustedKey, build_trust_list
from tests.edge.household import RECEIPT_KEY, SISTER, SISTER_KEY, Phone, RunningGate, Site, skip_boot_rule, write_gate
from tests.edge.line import DISTRICT, GATE, SITE, Cloud, Mosquitto, free_port, until

pytestmark = pytest.mark.serial
ESCAPES = "\x1b[2J\x1b]0;owned\x07\x1b[31m"


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def started() -> Iterator[Callable[..., RunningGate]]:
    """Start gates that are stopped with the test."""
    running: list[RunningGate] = []

    def start(directory: Path, *args: Any, **kwargs: Any) -> RunningGate:
        directory.mkdir(exist_ok=True)
        running.append(RunningGate(directory, *args, **kwargs))
        return running[-1]

    yield start
    for gate in running:
        if gate._thread.is_alive():
            gate.stop()


def events(gate: RunningGate) -> list[Event]:
    with reading(gate.appliance.journal.path) as db:
        return [event for row in rows(db) if (event := event_of(row.bytes)) is not None]


def version_of(gate: RunningGate) -> int | None:
    return gate.appliance.loop.gate.roster.versions().get("KR1")


def as_sister(config: Path) -> None:
    """Make a gate's files those of the other gate of the site."""
    config.write_text(config.read_text().replace(f"gate = {GATE}", f"gate = {SISTER}"))
    (config.parent / "gate.key").write_text(bytes(SISTER_KEY).hex())


def of_two(config: Path) -> None:
    config.write_text(config.read_text().replace('departures = "pass"', 'departures = "pass"\ngates_at_site = 2'))


def test_p10_a_copy_at_the_second_gate_while_the_broker_is_away_is_found_when_it_is_back(
    tmp_path: Path, site: Site, started: Callable[..., RunningGate]
) -> None:
    port = free_port()
    first = started(tmp_path / "first", site, broker_port=port, changed=of_two)
    second = started(tmp_path / "second", site, broker_port=port, changed=lambda at: (of_two(at), as_sister(at)))
    for gate in (first, second):
        gate.take((topics.POLICY, site.policy_list()), (topics.GATES, site.gate_list()))
        skip_boot_rule(gate)
    photographed = Phone(site, holder=7, children=[(70, 3)]).text()
    told = [gate.answer_to(photographed) for gate in (first, second)]
    assert [(one["code"], one["strike"], one["flags"]) for one in told] == [("OPEN", True, ["replay_bus_down"])] * 2
    broker = Mosquitto(tmp_path, port=port)
    found = until(
        lambda: [gate for gate in (first, second) if Kind.DOUBLE_USE in [event.kind for event in events(gate)]], 20
    )
    assert found[0].appliance.health.counters["alarm_DOUBLE_USE"] == 1, "whoever listened first when it came back"
    broker.kill()


def test_p14_a_retained_list_replaced_by_rubbish_leaves_the_last_good_one(
    tmp_path: Path, site: Site, mosquitto: Mosquitto, started: Callable[..., RunningGate]
) -> None:
    bus, topic = Cloud(mosquitto.port), topics.site_down(DISTRICT, SITE, topics.POLICY)
    now = int(time.time())
    bus.client.publish(topic, site.policy_list(5, iat=now - 7_200), qos=1, retain=True)
    gate = started(tmp_path / "gate", site, broker_port=mosquitto.port)
    until(lambda: version_of(gate) == 5)
    retired = site.policy
    keys = [
        TrustedKey(bytes(key.verify_key), role)
        for key, role in ((site.issuer, Role.ISSUER), (RECEIPT_KEY, Role.RECEIPT))
    ]
    keys += [
        TrustedKey(bytes(retired.verify_key), Role.POLICY, not_after=now - 3_600),
        TrustedKey(bytes(SigningKey(b"\x33" * 32).verify_key), Role.POLICY),
    ]
    bus.client.publish(
        topics.site_down(DISTRICT, SITE, topics.TRUST), build_trust_list(site.root, 2, now, keys), qos=1, retain=True
    )
    until(lambda: gate.appliance.loop.gate.roster.versions().get("KK1") == 2)
    huge = b"A" * (10 * 1024 * 1024)
    site.policy = SigningKey(b"\x33" * 32)
    bad: list[tuple[bytes, str]] = [
        (b"", "LIST_FORMAT"),
        (b'{"version": 9, "revoked": []}', "LIST_FORMAT"),
        (b"A" * (PACKET_BYTES_MAX - 200), "LIST_FORMAT"),
        (site.policy_list(4), "LIST_ROLLBACK"),
        (site.policy_list(9, site=SITE + 1), "LIST_SITE"),
        (Site(policy=retired).policy_list(9), "LIST_KEY"),
        (site.policy_list(9, iat=now + 600), "LIST_FUTURE"),
    ]
    counters = lambda code: gate.appliance.health.counters.get(f"alarm_{code}", 0)  # noqa: E731
    for payload, code in bad:
        before = counters(code)
        bus.client.publish(topic, huge, qos=1, retain=True)
        bus.client.publish(topic, payload, qos=1, retain=True)
        until(lambda code=code, before=before: counters(code) > before)
        assert version_of(gate) == 5, code
    assert gate.appliance.broker is not None and gate.appliance.broker.up
    assert "mqtt_restarts" not in gate.appliance.health.counters
    bus.client.publish(topic, huge, qos=1, retain=True)
    gate.stop()
    again = started(tmp_path / "gate", site, broker_port=mosquitto.port)
    until(lambda: again.appliance.broker is not None and again.appliance.broker.up)
    skip_boot_rule(again)
    assert again.answer_to(Phone(site, holder=7, children=[(70, 3)]).text())["code"] == "OPEN"
    assert version_of(again) == 5
    bus.close()


def test_p17_a_gate_whose_numbers_are_topics_does_not_start(tmp_path: Path, site: Site) -> None:
    config = write_gate(tmp_path, site)
    told = config.read_text().replace(f"site = {SITE}", 'site = "101/#"').replace(f"gate = {GATE}", 'gate = "../"')
    config.write_text(told.replace(f'district = "{DISTRICT}"', 'district = "$SYS"'))
    ended = CliRunner().invoke(app, ["run", "--config", str(config)])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert not [name for name in ("gate.site", "gate.gate", "gate.district") if name not in ended.stderr]
    assert not (tmp_path / "data").exists(), "nothing was opened"


@pytest.mark.parametrize("topic", ["portillon/1/demo/101/" + "1" * 65_000, "portillon/1/demo/101/_/dn/rl/#", "$SYS/x"])
def test_p17_a_topic_of_65_000_bytes_or_of_somebody_else_is_nobodys(
    tmp_path: Path, site: Site, mosquitto: Mosquitto, started: Callable[..., RunningGate], topic: str
) -> None:
    gate = started(tmp_path, site, broker_port=mosquitto.port)
    broker: Any = gate.appliance.broker
    message = MQTTMessage(topic=topic.encode())
    message.payload = site.policy_list(3)
    broker._on_message(broker._client, None, message)
    assert gate.appliance.health.counters["bus_foreign"] == 1
    assert version_of(gate) is None


def test_p20_escape_sequences_in_a_code_reach_no_terminal_no_page_no_log_and_no_ledger(
    tmp_path: Path, site: Site, started: Callable[..., RunningGate], capfd: pytest.CaptureFixture[str]
) -> None:
    gate = started(tmp_path, site)
    gate.take((topics.POLICY, site.policy_list()))
    skip_boot_rule(gate)
    answers = [gate.answer_to(prefix + ESCAPES)["code"] for prefix in ("", "KG1:", "KC1:")]
    assert answers == ["NOT_A_PASS", "FORMAT", "FORMAT"]
    told = json.dumps([list(gate.appliance.board.history), gate.appliance.status()])
    gate.stop()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    printed = "".join(capfd.readouterr())
    assert not [place for place in (told, printed) if "\x1b" in place or "\\u001b" in place or "owned" in place]
    assert b"owned" not in kept and ESCAPES.encode() not in kept


def test_p21_an_old_image_put_back_takes_the_newer_lists_again_and_none_of_the_old(
    tmp_path: Path, site: Site, mosquitto: Mosquitto, started: Callable[..., RunningGate]
) -> None:
    bus, topic = Cloud(mosquitto.port, answers=False), topics.site_down(DISTRICT, SITE, topics.POLICY)
    bus.client.publish(topic, old := site.policy_list(1), qos=1, retain=True)
    gate = started(tmp_path / "gate", site, broker_port=mosquitto.port)
    until(lambda: version_of(gate) == 1)
    gate.stop()
    shutil.copytree(tmp_path / "gate", tmp_path / "image")
    lost = Phone(site, holder=7, children=[(70, 3)])
    revoked = site.policy_list(5, revocations=_revoked(lost))
    bus.client.publish(topic, revoked, qos=1, retain=True)
    back = started(tmp_path / "image", site, broker_port=mosquitto.port)
    until(lambda: version_of(back) == 5)
    skip_boot_rule(back)
    assert back.answer_to(lost.text())["code"] == "REVOKED"
    back.take((topics.POLICY, old))
    until(lambda: back.appliance.health.counters.get("alarm_LIST_ROLLBACK"))
    assert version_of(back) == 5
    bus.close()


def _revoked(phone: Phone) -> Any:
    from protocols.canonical import decode
    from protocols.passes import Revocations

    return Revocations(ctis=frozenset({decode(decode(phone.credential)[2])[7]}))


def test_p24_two_gates_of_one_image_both_open_and_both_are_heard_with_their_own_heads(
    tmp_path: Path, site: Site, mosquitto: Mosquitto, started: Callable[..., RunningGate]
) -> None:
    gate = started(tmp_path / "gate", site)
    gate.take((topics.POLICY, site.policy_list()))
    skip_boot_rule(gate)
    gate.stop()
    shutil.copytree(tmp_path / "gate", tmp_path / "clone")
    cloud = Cloud(mosquitto.port, answers=False)
    twins = [started(tmp_path / name, site, broker_port=mosquitto.port) for name in ("gate", "clone")]
    for number, twin in enumerate(twins):
        skip_boot_rule(twin)
        told = twin.answer_to(Phone(site, holder=7 + number, children=[(70 + number, 3)]).text())
        assert (told["code"], told["strike"]) == ("OPEN", True)
    assert twins[0].appliance.journal.epoch == twins[1].appliance.journal.epoch

    def heads() -> dict[int, set[bytes]]:
        found: dict[int, set[bytes]] = {}
        for segment in list(cloud.segments):
            for number, head in enumerate(segment.heads):
                found.setdefault(segment.first_seq + number, set()).add(head)
        return found

    until(lambda: any(len(same) == 2 for same in heads().values()), 20)
    assert [twin.pulses for twin in twins] == [1, 1], "the fight over the broker's session is none of the door's"
    cloud.close()
