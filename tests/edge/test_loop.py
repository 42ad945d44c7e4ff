"""A whole gate in front of a camera: what opens, what is written first, and what happens when a part fails."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from edge.broker import Heard
from edge.export import event_of
from edge.feedback import Face
from edge.journal_file import reading, rows
from edge.tablet import ACT_CHILDREN_MAX, Hand, TakeIn
from protocols import topics
from protocols.documents import CustodyRule, Mode
from protocols.events import Detail, Event, Kind, Note, build_note, load_note
from protocols.passes import IN, INTENT_CONFIRM, OUT
from tests.edge.household import SISTER, SISTER_KEY, Phone, RunningGate, Site, StaffPhone, skip_boot_rule
from tests.edge.line import GATE, GATE_KEY, Cloud, Mosquitto, until

pytestmark = pytest.mark.serial


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def gate(tmp_path: Path, site: Site) -> Iterator[RunningGate]:
    running = RunningGate(tmp_path, site)
    running.take((topics.POLICY, site.policy_list()))
    skip_boot_rule(running)
    yield running
    running.stop()


def ledger(running: RunningGate) -> list[Event]:
    with reading(running.appliance.journal.path) as db:
        return [event for row in rows(db) if (event := event_of(row.bytes)) is not None]


def kinds(running: RunningGate) -> list[Kind]:
    return [event.kind for event in ledger(running)]


def family(site: Site, holder: int = 7, child: int = 70, perms: int = 3) -> Phone:
    return Phone(site, holder=holder, children=[(child, perms)])


def test_a_pass_opens_the_door_after_it_was_written(gate: RunningGate, site: Site) -> None:
    answer = gate.answer_to(family(site).text())
    assert (answer["code"], answer["strike"], answer["acts"]) == ("OPEN", True, [[70, IN]])
    assert [name for _, name in answer["timeline"]] == ["frame", "read", "verified", "journal", "strike"]
    marks = [ms for ms, _ in answer["timeline"]]
    assert marks == sorted(marks)
    assert gate.pulses == 1
    event = ledger(gate)[answer["seq"]]
    assert (event.kind, event.detail[Detail.HOLDER]) == (Kind.PHONE_PASS, 7)
    assert len(answer["corners"]) == 4


def test_a_pass_held_up_is_one_event_and_one_pulse(gate: RunningGate, site: Site) -> None:
    phone = family(site)
    gate.answer_to(phone.text())
    ends = time.monotonic() + 3.2
    while time.monotonic() < ends:
        gate.scene.show(phone.text())
        time.sleep(0.03)
    assert gate.pulses == 1
    assert kinds(gate).count(Kind.PHONE_PASS) == 1
    assert gate.appliance.loop.porch._shown.feedback.face is Face.OPEN


def test_two_families_at_once_are_asked_to_show_one_code(gate: RunningGate, site: Site) -> None:
    answer = gate.answer_to(family(site, 7, 70).text(), family(site, 8, 80).text())
    assert (answer["code"], gate.pulses) == ("SHOW_ONE_CODE", 0)


def test_a_replayed_photograph_opens_nothing(gate: RunningGate, site: Site) -> None:
    phone = family(site)
    text = phone.text(time.time() - 2)
    gate.answer_to(text)
    gate.scene.clear()
    time.sleep(10.2)
    assert gate.answer_to(text)["code"] == "REPLAY"
    assert gate.pulses == 1


def test_a_refused_pass_shows_the_same_neutral_red_whatever_the_cause(gate: RunningGate, site: Site) -> None:
    now = int(time.time())
    rule = CustodyRule(70, 7, 1, now - 10, now + 86_400)
    gate.take((topics.POLICY, site.policy_list(2, custody=(rule,))))
    until(lambda: gate.appliance.loop.gate.roster.versions().get("KR1") == 2)
    refused = gate.answer_to(family(site).text())
    assert (refused["code"], refused["signal"], refused["strike"]) == ("CUSTODY", "neutral_red", False)
    shown = gate.appliance.loop.porch._shown.feedback
    gate.next_one()
    not_allowed = gate.answer_to(family(site, 8, 80, perms=2).text())
    assert not_allowed["code"] == "NOT_ALLOWED"
    assert gate.appliance.loop.porch._shown.feedback == shown


def test_staff_confirm_what_waits_by_showing_their_pass(gate: RunningGate, site: Site) -> None:
    waiting = gate.answer_to(family(site, perms=7).text())
    assert (waiting["code"], waiting["strike"]) == ("STAFF_CONFIRM", False)
    gate.next_one()
    confirmed = gate.answer_to(StaffPhone(site, staff=900, powers=15).text(INTENT_CONFIRM))
    assert (confirmed["code"], confirmed["strike"], confirmed["acts"]) == ("CONFIRMED", True, [[70, IN]])
    assert ledger(gate)[confirmed["seq"]].detail[Detail.STAFF] == 900


def test_a_journal_that_cannot_be_written_opens_nothing_and_asks_staff(gate: RunningGate, site: Site) -> None:
    blocker = sqlite3.connect(gate.appliance.journal.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    phone = family(site)
    answer = gate.answer_to(phone.text(), seconds=12)
    assert (answer["code"], answer["strike"], answer["seq"]) == ("STAFF_CONFIRM", False, None)
    assert gate.pulses == 0
    assert "JOURNAL_BUSY" in gate.appliance.status()["faults"]["journal"]
    assert gate.appliance.status()["healthy"] is False
    blocker.execute("ROLLBACK")
    until(lambda: gate.appliance.status()["healthy"], 12)
    assert gate.answer_to(phone.text(time.time() + 1))["code"] == "OPEN"
    assert gate.pulses == 1
    assert Kind.GAP in kinds(gate)


def test_what_the_gate_tells_of_itself_waits_for_the_journal_with_its_moment(gate: RunningGate, site: Site) -> None:
    blocker = sqlite3.connect(gate.appliance.journal.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    gate.take((topics.MODE, site.mode(Mode.LOCKDOWN)))  # the commit that fails first
    until(lambda: "journal" in gate.appliance.status()["faults"], 12)
    gate.be_told_of_the_clock("holdover")  # and one that is decided while it is known to fail
    decided = time.time()
    blocker.execute("ROLLBACK")
    until(lambda: Kind.GAP in kinds(gate), 12)
    told = [event for event in ledger(gate) if event.kind in (Kind.MODE, Kind.CLOCK_SET, Kind.GAP)]
    assert [event.kind for event in told] == [Kind.MODE, Kind.CLOCK_SET, Kind.GAP]
    assert told[0].detail[Detail.MODE] == Mode.LOCKDOWN
    assert told[1].at_ms / 1000 <= decided


def test_nothing_was_accepted_that_was_not_written(gate: RunningGate, site: Site) -> None:
    blocker = sqlite3.connect(gate.appliance.journal.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    phone = family(site)
    gate.answer_to(phone.text(), seconds=12)
    gate.scene.show(phone.text(time.time() + 1))
    time.sleep(0.5)
    assert "OPEN" not in gate.codes and "SAME_AS_BEFORE" not in gate.codes
    assert gate.appliance.loop.gate._memory.presence(70, gate.appliance.loop.gate._day(time.time())) is None
    blocker.execute("ROLLBACK")


def test_a_broken_camera_is_told_and_opened_again(gate: RunningGate, site: Site) -> None:
    good = gate.scene.path.read_bytes()
    gate.scene.path.write_bytes(b"rubbish" * 100)
    until(lambda: "camera" in gate.appliance.status()["faults"], 10)
    until(lambda: gate.appliance.loop.porch._shown.feedback.face is Face.OUT_OF_ORDER)
    gate.scene.path.write_bytes(good)
    until(lambda: "camera" not in gate.appliance.status()["faults"], 10)
    assert gate.answer_to(family(site).text())["code"] == "OPEN"


def test_rubbish_before_the_camera_wears_out_no_disk(gate: RunningGate, site: Site) -> None:
    before, pages = gate.appliance.journal.next_seq, gate.appliance.journal.path.with_name("journal.sqlite-wal").stat()
    for number in range(90):
        gate.scene.show(f"KG1:{number:04d}RUBBISH" if number % 2 else f"https://example.org/{number}")
        time.sleep(0.02)
    assert gate.appliance.journal.next_seq == before
    assert gate.appliance.journal.path.with_name("journal.sqlite-wal").stat().st_size == pages.st_size
    assert gate.answer_to(family(site).text())["code"] == "OPEN"


@pytest.mark.parametrize("rubbish", [b"", b"\0", b"{}", b"[1]", b"A" * 120_000, b"\x84\x40\xa0\x40\x40", "other site"])
def test_a_bad_document_changes_nothing_and_is_told(gate: RunningGate, site: Site, rubbish: Any) -> None:
    if rubbish == "other site":
        rubbish = site.policy_list(9, site=102)
    for leaf in topics.SITE_DOWN:
        gate.take((leaf, rubbish))
    until(lambda: sum(n for k, n in gate.appliance.health.counters.items() if k.startswith("alarm_LIST_")))
    assert gate.appliance.loop.gate.roster.versions()["KR1"] == 1
    assert gate.answer_to(family(site).text())["code"] == "OPEN"


def test_a_list_whose_key_comes_later_is_taken_then(gate: RunningGate, site: Site) -> None:
    site.policy = SigningKey(b"\x33" * 32)
    gate.take((topics.POLICY, site.policy_list(2)))
    until(lambda: gate.appliance.health.counters.get("alarm_LIST_KEY"))
    assert gate.appliance.loop.gate.roster.versions()["KR1"] == 1
    gate.take((topics.TRUST, site.trust_list(2)))
    until(lambda: gate.appliance.loop.gate.roster.versions()["KR1"] == 2)


def test_a_receipt_of_ten_minutes_ahead_locks_no_family_out_in_holdover(gate: RunningGate, site: Site) -> None:
    gate.be_told_of_the_clock("holdover")
    gate.appliance.loop._parts.inbox.put(Heard("receipt", at=int(time.time()) + 600))
    until(lambda: gate.appliance.health.counters.get("alarm_RECEIPT_FUTURE"))
    assert gate.answer_to(family(site).text())["code"] == "OPEN"


def test_what_trips_over_a_message_or_over_the_time_keeps_nobody_out(tmp_path: Path, site: Site) -> None:
    clock = Clock(time.time())
    gate = RunningGate(tmp_path, site, now=clock)
    gate.take((topics.POLICY, site.policy_list()))
    skip_boot_rule(gate)
    clock.at = 1e15  # no calendar reaches that year
    gate.appliance.loop._parts.inbox.put(Heard("receipt", at=2**80))
    gate.take((topics.POLICY, site.policy_list(2)))
    until(lambda: "house" in gate.appliance.status()["faults"])
    clock.at = time.time()
    until(lambda: "house" not in gate.appliance.status()["faults"])
    assert gate.answer_to(family(site).text())["code"] == "OPEN"
    gate.stop()


def test_a_storm_of_bad_documents_is_six_records_a_minute(gate: RunningGate, site: Site) -> None:
    for number in range(200):
        gate.take((topics.POLICY, b"rubbish %d" % number))
        time.sleep(0.005)
    assert kinds(gate).count(Kind.HEALTH) <= 6
    assert gate.answer_to(family(site).text())["code"] == "OPEN"


def test_a_mode_is_written_and_locks_the_door(gate: RunningGate, site: Site) -> None:
    gate.take((topics.MODE, site.mode(Mode.LOCKDOWN)))
    until(lambda: Kind.MODE in kinds(gate))
    assert gate.answer_to(family(site).text())["code"] == "LOCKDOWN"
    assert gate.appliance.status()["mode"] == "lockdown"


def test_a_journal_that_died_leaves_no_door_unlocked_in_its_hours(tmp_path: Path, site: Site) -> None:
    def unlocked_all_day(config: Path) -> None:
        config.write_text(config.read_text().replace("[door]", '[door]\nunlocked_hours = ["00:00-24:00"]'))

    gate = RunningGate(tmp_path, site, changed=unlocked_all_day)
    until(lambda: gate.strike.states[-1].state)
    kill_the_journal(gate)
    until(lambda: not gate.strike.states[-1].state, 5)
    time.sleep(1.5)
    assert not gate.strike.states[-1].state, "it stays locked as long as nothing can be written"
    assert "house" not in gate.appliance.status()["faults"], "the rest of the house is kept too"
    gate.stop()


def test_a_mode_of_the_site_ends_in_time_though_the_journal_died(tmp_path: Path, site: Site) -> None:
    clock = Clock(time.time())
    gate = RunningGate(tmp_path, site, now=clock)
    gate.take((topics.MODE, site.mode(Mode.FREE)))
    until(lambda: gate.strike.states[-1].state)
    kill_the_journal(gate)
    until(lambda: "journal" in gate.appliance.status()["faults"])
    clock.at += 3_601
    until(lambda: not gate.strike.states[-1].state, 5)
    assert gate.appliance.status()["mode"] == "normal"
    gate.stop()


def kill_the_journal(gate: RunningGate) -> None:
    """The connection is closed and cannot be opened again, as by a card that is gone."""
    journal = gate.appliance.journal
    with journal._disk.reading() as db:
        for name in ("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"):
            (journal.path.parent / name).rename(journal.path.parent / f"gone-{name}")
        journal.path.mkdir()
        db.close()


def test_a_sisters_note_is_believed_only_with_her_signature(tmp_path: Path, site: Site) -> None:
    gate = RunningGate(tmp_path, site)
    gate.take((topics.POLICY, site.policy_list()), (topics.GATES, site.gate_list()))
    skip_boot_rule(gate)
    until(lambda: gate.appliance.loop.gate.roster.gates)
    phone, now = family(site), time.time()
    forged = build_note(Site().issuer, Note(SISTER, phone.device.thumb, 2**32 - 1, int(now * 1000), ((70, IN),)))
    for payload in (b"", b"rubbish", forged):
        hear_note(gate, payload)
    until(lambda: any(k.startswith("alarm_BUS_") for k in gate.appliance.health.counters))
    assert gate.answer_to(phone.text())["code"] == "OPEN"
    gate.next_one()
    true = build_note(SISTER_KEY, Note(SISTER, bytes(8), 0, int(now * 1000), ((71, IN),)))
    hear_note(gate, true)
    assert gate.answer_to(family(site, 8, 71).text())["code"] == "PASSBACK"
    gate.stop()


def hear_note(gate: RunningGate, payload: bytes) -> None:
    gate.appliance.loop._parts.inbox.put(Heard("seen", payload, SISTER))


def test_a_million_strange_phones_on_the_bus_do_not_fill_the_gate(gate: RunningGate, site: Site) -> None:
    gate.take((topics.GATES, site.gate_list()))
    until(lambda: gate.appliance.loop.gate.roster.gates)
    for number in range(3_000):
        note = Note(SISTER, number.to_bytes(8, "big"), int(time.time()), 0, ())
        hear_note(gate, build_note(SISTER_KEY, note) if number % 10 == 0 else number.to_bytes(200, "big"))
    assert gate.answer_to(family(site).text(), seconds=20)["code"] == "OPEN"


def test_presence_and_replays_survive_a_restart(tmp_path: Path, site: Site) -> None:
    first = RunningGate(tmp_path, site)
    first.take((topics.POLICY, site.policy_list()))
    skip_boot_rule(first)
    phone = family(site)
    first.answer_to(phone.text(time.time() - 1))
    first.stop()
    second = RunningGate(tmp_path, site)
    skip_boot_rule(second)
    assert second.appliance.loop.gate.state_lost is False
    assert second.answer_to(Phone(site, holder=9, children=[(70, 3)]).text())["code"] == "PASSBACK"
    second.next_one()
    assert second.answer_to(phone.text(time.time() - 5))["code"] == "REPLAY"
    assert second.answer_to(phone.text(direction=OUT))["code"] == "OPEN"
    assert kinds(second).count(Kind.BOOT) == 2
    second.stop()


def test_a_damaged_journal_is_put_aside_and_the_door_goes_on(tmp_path: Path, site: Site) -> None:
    first = RunningGate(tmp_path, site)
    epoch = first.appliance.journal.epoch
    first.stop()
    for name in ("journal.sqlite-wal", "journal.sqlite-shm"):
        (tmp_path / "data" / name).unlink(missing_ok=True)
    (tmp_path / "data" / "journal.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 20_000)
    second = RunningGate(tmp_path, site)
    second.take((topics.POLICY, site.policy_list()))
    skip_boot_rule(second)
    assert second.answer_to(family(site).text())["code"] == "OPEN"
    assert second.appliance.journal.epoch != epoch
    assert "put aside" in second.appliance.status()["faults"]["ledger"]
    assert ledger(second)[0].detail[Detail.STATE_LOST] is True
    second.stop()


def test_the_code_that_was_judged_is_the_one_outlined(gate: RunningGate, site: Site) -> None:
    answer = gate.answer_to("HTTPS://EXAMPLE.ORG/POSTER", family(site).text())
    assert answer["code"] == "OPEN"
    assert min(x for x, _ in answer["corners"]) > 100


def test_a_day_is_closed_when_the_sites_midnight_has_passed(tmp_path: Path, site: Site) -> None:
    clock = Clock(midnight() - 2)
    gate = RunningGate(tmp_path, site, now=clock)
    until(lambda: ("loop", b"day") in gate.appliance.loop._ledger._saved)
    assert Kind.DAY_CLOSE not in kinds(gate)
    clock.at = midnight() + 1
    until(lambda: Kind.DAY_CLOSE in kinds(gate))
    closed = [event for event in ledger(gate) if event.kind is Kind.DAY_CLOSE]
    assert [event.detail[Detail.SCHOOL_DAY] for event in closed] == [
        time.strftime("%Y-%m-%d", time.gmtime(midnight() - 2))
    ]
    gate.stop()


def test_a_clock_that_ran_ahead_for_a_moment_costs_no_day_its_close(tmp_path: Path, site: Site) -> None:
    clock = Clock(midnight() - 2)
    gate = RunningGate(tmp_path, site, now=clock)
    until(lambda: ("loop", b"day") in gate.appliance.loop._ledger._saved)
    today = gate.appliance.loop._ledger._saved["loop", b"day"]
    clock.at = midnight() + 30 * 86_400
    until(lambda: kinds(gate).count(Kind.DAY_CLOSE) == 1)
    clock.at = midnight() - 2
    until(lambda: gate.appliance.loop._ledger._saved["loop", b"day"] == today)
    clock.at = midnight() + 1
    until(lambda: kinds(gate).count(Kind.DAY_CLOSE) == 2)
    gate.stop()


def test_a_day_whose_close_could_not_be_written_is_closed_when_it_can(tmp_path: Path, site: Site) -> None:
    clock = Clock(midnight() - 2)
    gate = RunningGate(tmp_path, site, now=clock)
    until(lambda: ("loop", b"day") in gate.appliance.loop._ledger._saved)
    blocker = sqlite3.connect(gate.appliance.journal.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    clock.at = midnight() + 1
    until(lambda: "journal" in gate.appliance.status()["faults"], 12)
    blocker.execute("ROLLBACK")
    until(lambda: Kind.DAY_CLOSE in kinds(gate), 12)
    gate.stop()


class Clock:
    """A clock that tests may set."""

    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def midnight() -> float:
    return (int(time.time()) // 86_400 + 1) * 86_400


def test_an_arrival_is_receipted_through_a_real_broker(tmp_path: Path, site: Site, mosquitto: Mosquitto) -> None:
    cloud = Cloud(mosquitto.port)
    cloud.client.publish(topics.site_down("demo", 101, topics.POLICY), site.policy_list(), qos=1, retain=True)
    gate = RunningGate(tmp_path, site, broker_port=mosquitto.port)
    skip_boot_rule(gate)
    answer = gate.answer_to(family(site).text())
    until(lambda: gate.appliance.journal.outbox_depth == 0)
    assert answer["seq"] in cloud.seqs()
    assert until(lambda: cloud.payloads(f"seen/{GATE}"))
    assert b'"KR1":1' in until(lambda: [p for p in cloud.payloads(topics.STATE) if b'"KR1"' in p])[-1]
    gate.stop()
    cloud.close()


def test_two_classes_taken_in_at_once_are_heard_by_the_sisters(
    tmp_path: Path, site: Site, mosquitto: Mosquitto
) -> None:
    cloud = Cloud(mosquitto.port)
    gate = RunningGate(tmp_path, site, broker_port=mosquitto.port)
    loop, children, public = gate.appliance.loop, range(1, ACT_CHILDREN_MAX + 1), bytes(GATE_KEY.verify_key)

    def take_in(_payload: bytes, at: float) -> None:
        loop.carry_out(loop.gate.by_hand(TakeIn(tuple(children)), Hand(77, 15), at), at)

    def heard() -> set[int]:
        notes = [load_note(payload, lambda _kid: public)[0] for payload in cloud.payloads(f"seen/{GATE}")]
        return {child for note in notes for child, direction in note.acts if direction == IN}

    loop.on("two classes", take_in)
    gate.take(("two classes", b""))
    until(lambda: heard() == set(children))
    gate.stop()
    cloud.close()


def test_the_strike_is_locked_and_still_after_a_stop(tmp_path: Path, site: Site) -> None:
    gate = RunningGate(tmp_path, site)
    gate.take((topics.POLICY, site.policy_list()))
    skip_boot_rule(gate)
    gate.answer_to(family(site).text())
    gate.stop()
    assert bool(gate.strike.states[-1].state) is False
    assert gate.pulses == 1
