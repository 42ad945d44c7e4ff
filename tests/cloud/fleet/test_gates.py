"""The registry and the console: who may be a gate, what is wrong with it, worst first; no child anywhere."""

import json
from datetime import timedelta

import pytest
from nacl.signing import SigningKey
from typer.testing import CliRunner

from cloud.cli import app
from cloud.fleet import service as fleet
from cloud.fleet.reports import ReportRefused, StateReport, TelemetryReport, read_state, read_telemetry
from cloud.kit.db import Database
from tests.cast import NOW, Cast, a_district
from tests.conftest import Clone
from tests.gates import a_gate


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


def faults(database: Database, cast: Cast, *, minutes: float = 0) -> dict[int, tuple[str, ...]]:
    with database.tenant(cast.district) as tx:
        return {
            line.gate: line.faults for line in fleet.list_gates(tx, cast.district, NOW + timedelta(minutes=minutes))
        }


def report(database: Database, cast: Cast, gate: int, **values: object) -> None:
    with database.tenant(cast.district) as tx:
        fleet.apply_state(tx, cast.district, gate, StateReport("online", "aa", {}), NOW)
        fleet.apply_telemetry(tx, cast.district, gate, TelemetryReport("aa", values), NOW)


def test_a_gate_registered_again_is_the_same_gate(database: Database, cast: Cast) -> None:
    a_gate(database, cast)
    a_gate(database, cast)
    assert list(faults(database, cast)) == [11]


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"short", bytes(33)])
def test_a_key_that_is_no_point_is_not_registered(database: Database, cast: Cast, key: bytes) -> None:
    with pytest.raises(fleet.GateRefused) as refused, database.tenant(cast.district) as tx:
        fleet.register_gate(tx, cast.district, 101, 12, "x", key, NOW)
    assert refused.value.code == "BAD_KEY"


@pytest.mark.parametrize(("gate", "site", "name"), [(0, 101, "x"), (2**32, 101, "x"), (12, 0, "x"), (12, 101, "")])
def test_numbers_and_names_out_of_range_are_refused(
    database: Database, cast: Cast, gate: int, site: int, name: str
) -> None:
    with pytest.raises(fleet.GateRefused) as refused, database.tenant(cast.district) as tx:
        fleet.register_gate(tx, cast.district, site, gate, name, bytes(SigningKey.generate().verify_key), NOW)
    assert refused.value.code == "BAD_INPUT"


def test_a_number_or_a_key_belongs_to_one_gate(database: Database, cast: Cast) -> None:
    held = a_gate(database, cast)
    with pytest.raises(fleet.GateRefused) as refused, database.tenant(cast.district) as tx:
        fleet.register_gate(tx, cast.district, 101, 11, "x", bytes(SigningKey.generate().verify_key), NOW)
    assert refused.value.code == "GATE_NUMBER_TAKEN"
    with pytest.raises(fleet.GateRefused) as refused, database.tenant(cast.district) as tx:
        fleet.register_gate(tx, cast.district, 101, 12, "x", bytes(held.key.verify_key), NOW)
    assert refused.value.code == "GATE_KEY_TAKEN"


def test_the_worst_gate_stands_on_top(database: Database, cast: Cast) -> None:
    for gate in (11, 12, 13, 14):
        a_gate(database, cast, gate, seed=gate)
    report(database, cast, 12, outbox=0, oldest_s=0, frame_age_s=0.1, temperature_c=50, disk_free_mb=900, clock="ntp")
    report(database, cast, 13, oldest_s=500, temperature_c=85)
    report(database, cast, 14, frame_age_s=60, clock="untrusted", disk_free_mb=3)
    assert list(faults(database, cast).items()) == [
        (14, ("CAMERA_BLIND", "CLOCK_UNTRUSTED", "DISK_LOW")), (13, ("OUTBOX_OLD", "TOO_HOT")),
        (11, ("GATE_NEVER_SEEN",)), (12, ()),
    ]  # fmt: skip


def test_a_gate_that_reports_no_more_is_silent_and_a_will_makes_it_offline(database: Database, cast: Cast) -> None:
    a_gate(database, cast)
    report(database, cast, 11, clock="ntp")
    assert faults(database, cast) == {11: ()}
    assert faults(database, cast, minutes=10) == {11: ("GATE_SILENT",)}
    with database.tenant(cast.district) as tx:
        assert not fleet.apply_state(tx, cast.district, 11, StateReport("offline", "old", {}), NOW)
        assert fleet.apply_state(tx, cast.district, 11, StateReport("offline", "aa", {}), NOW)
    assert faults(database, cast) == {11: ("GATE_OFFLINE",)}


def test_an_alarm_is_counted_while_it_is_open_and_new_after_it_was_closed(database: Database, cast: Cast) -> None:
    a_gate(database, cast)
    with database.tenant(cast.district) as tx:
        for _ in range(3):
            fleet.raise_alarm(tx, cast.district, 11, "LEDGER_FORK", NOW)
        assert [alarm.times for alarm in fleet.open_alarms(tx, cast.district)] == [3]
        fleet.close_alarm(tx, cast.district, 11, "LEDGER_FORK", NOW)
        assert fleet.open_alarms(tx, cast.district) == []
        fleet.raise_alarm(tx, cast.district, 11, "LEDGER_FORK", NOW)
        assert [alarm.times for alarm in fleet.open_alarms(tx, cast.district)] == [1]


def test_dead_letters_have_a_bound_for_a_gate_and_for_all_strangers(
    database: Database, cast: Cast, clone: Clone
) -> None:
    import psycopg

    a_gate(database, cast)
    with database.untenanted() as tx:
        for number in range(1_010):
            fleet.keep_dead_letter(tx, 11, "SEGMENT_FORMAT", b"%d" % number, NOW)
            fleet.keep_dead_letter(tx, 5_000 + number, "GATE_UNKNOWN", b"x", NOW)
        fleet.keep_dead_letter(tx, 11, "SEGMENT_FORMAT", b"7", NOW)
    with psycopg.connect(clone.owner_url) as owner:
        assert owner.execute("SELECT count(*) FROM dead_letter GROUP BY district_id IS NULL").fetchall() == [
            (1_000,), (1_000,),
        ]  # fmt: skip
        assert owner.execute("SELECT max(times) FROM dead_letter").fetchone() == (2,)


BIRTH = {"v": 1, "state": "online", "session": "ab" * 8}


def test_a_report_keeps_what_it_knows_and_ignores_the_rest() -> None:
    told = {**BIRTH, "boot": 3, "firmware": "0.1.0", "documents": {"KR1": 2, "x": -1}, "later": {"deep": [1]}}
    assert read_state(json.dumps(told).encode()).reported == {"boot": 3, "firmware": "0.1.0", "documents": {"KR1": 2}}
    values = {
        "v": 1,
        "session": "a",
        "outbox": None,
        "read_ms": [1.5, 9],
        "clock": "\x1b[31m",
        "restarts": {"camera": 1},
    }
    assert read_telemetry(json.dumps(values).encode()).values == {"read_ms": [1.5, 9], "restarts": {"camera": 1}}


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "REPORT_FORMAT"), (b"\xff\xfe", "REPORT_FORMAT"), (b"[]", "REPORT_FORMAT"), (b"nul", "REPORT_FORMAT"),
        (b"[" * 8_000, "REPORT_FORMAT"), (b" " * 9_000, "REPORT_SIZE"), (b'{"v":2}', "REPORT_VERSION"),
        (b'{"v":true,"state":"online","session":"a"}', "REPORT_VERSION"), (b'{"v":1}', "REPORT_FORMAT"),
        (json.dumps({**BIRTH, "state": "flying"}).encode(), "REPORT_FORMAT"),
        (json.dumps({**BIRTH, "session": None}).encode(), "REPORT_FORMAT"),
        (json.dumps({**BIRTH, "session": "\n"}).encode(), "REPORT_FORMAT"),
    ],
)  # fmt: skip
def test_a_report_of_another_shape_is_refused_with_a_code(payload: bytes, code: str) -> None:
    with pytest.raises(ReportRefused) as refused:
        read_state(payload)
    assert refused.value.code == code


def test_numbers_no_reader_agrees_on_are_left_out() -> None:
    payload = b'{"v":1,"session":"a","outbox":1e400,"oldest_s":NaN,"frame_age_s":-1e300,"commit_ms":true}'
    assert read_telemetry(payload).values == {}


def test_the_command_lists_gates_and_events_as_json(database: Database, cast: Cast, clone: Clone) -> None:
    from cloud.attendance.model import Sent
    from cloud.attendance.service import record_batch
    from protocols.events import Kind
    from tests.gates import an_arrival, an_event

    gate = a_gate(database, cast)
    gate.write(an_event(Kind.BOOT), an_arrival(5, 7), an_event(Kind.DOOR))
    with database.tenant(cast.district) as tx:
        record_batch(tx, cast.district, [Sent(101, gate.segment())], NOW)
    run, environment = CliRunner().invoke, {"PORTILLON_DATABASE_URL": clone.url}
    listed = run(app, ["gate", "list", "--json"], env=environment)
    assert listed.exit_code == 0, listed.output
    assert [row["gate"] for row in json.loads(listed.stdout)] == [11]
    assert json.loads(run(app, ["gate", "show", "11", "--json"], env=environment).stdout)["district"] == "demo"
    lines = [json.loads(line) for line in run(app, ["events", "export", "--json"], env=environment).stdout.splitlines()]
    assert [(row["gate"], row["epoch"], row["seq"], row["kind"], row["code"]) for row in lines] == [
        (11, 1, 0, 5, "BOOT"), (11, 1, 1, 1, "OPEN"), (11, 1, 2, 10, "DOOR"),
    ]  # fmt: skip
    assert {row["at"] for row in lines} == {NOW.timestamp()}
    assert [row["head"] for row in lines] == [gate.head(seq).hex() for seq in (1, 2, 3)]
    assert run(app, ["gate", "revoke", "11"], env=environment).exit_code == 0
    assert faults(database, cast) == {11: ("GATE_REVOKED",)}
