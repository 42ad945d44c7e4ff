"""What a gate refuses reaches the operator: P14, P15 and P42 end at the console, and nothing stays there for ever."""

import json
from datetime import timedelta

import pytest

from cloud.fleet import service as fleet
from cloud.fleet.cries import CRIES_MAX, PASSING_SECONDS, risen
from cloud.fleet.reports import StateReport, TelemetryReport, read_telemetry
from cloud.kit.db import Database
from tests.cast import NOW, Cast, a_district
from tests.gates import a_gate


@pytest.fixture
def cast(database: Database) -> Cast:
    cast = a_district(database)
    a_gate(database, cast)
    return cast


def a_heartbeat(alarms: object) -> TelemetryReport:
    return read_telemetry(json.dumps({"v": 1, "session": "s", "alarms": alarms}).encode())


def faults(database: Database, cast: Cast, *heartbeats: object, later: float = 0) -> dict[str, int]:
    """Hear heartbeats a minute apart; return what the console shows, and how often each was cried."""
    with database.tenant(cast.district) as tx:
        fleet.apply_state(tx, cast.district, 11, StateReport("online", "s", {}), NOW)
        for minute, alarms in enumerate(heartbeats):
            fleet.apply_telemetry(tx, cast.district, 11, a_heartbeat(alarms), NOW + timedelta(minutes=minute))
        times = {alarm.code: alarm.times for alarm in fleet.open_alarms(tx, cast.district)}
        [line] = fleet.list_gates(tx, cast.district, NOW + timedelta(seconds=later))
    return {code: times.get(code, 0) for code in line.faults}


CRIES = {
    "DOCUMENT_REFUSED": ("LIST_ROLLBACK", "TRUST_FORK", "MODE_FUTURE", "GATES_SITE", "CONFIG_KEY", "RECEIPT_FUTURE"),
    "NOTE_REFUSED": ("BUS_STALE", "BUS_KEY", "BUS_FORMAT", "BUS_FUTURE"),
    "PASS_FORGED": ("BAD_SIGNATURE", "UNKNOWN_ISSUER", "ISSUER_REVOKED", "BAD_ALG"),
    "JOURNAL_FAILED": ("JOURNAL",),
    "GATE_CLOCK": ("GATE_CLOCK",),
}


@pytest.mark.parametrize(("fault", "counter"), [(fault, name) for fault, names in CRIES.items() for name in names])
def test_p14_p15_p42_each_refusal_of_a_gate_has_its_alarm(fault: str, counter: str) -> None:
    assert risen({}, {counter: 1}) == {fault: {counter: 1}}


def test_p14_p15_p42_what_a_gate_refuses_is_a_fault_that_the_operator_sees(database: Database, cast: Cast) -> None:
    told = {name: 1 for names in CRIES.values() for name in names}
    assert faults(database, cast, {}, told) == dict.fromkeys(CRIES, 1)


def test_what_concerns_children_is_not_the_operators() -> None:
    assert risen({}, {"REPLAY": 3, "CUSTODY": 1, "REVOKED": 2, "DOUBLE_USE": 1}) == {}


def test_a_counter_that_stands_still_is_cried_once_and_a_gate_that_began_anew_again(
    database: Database, cast: Cast
) -> None:
    told = [{"LIST_KEY": 2}, {"LIST_KEY": 2}, {"LIST_KEY": 5}, {"LIST_KEY": 1}, {"LIST_KEY": 1}, {}]
    assert faults(database, cast, *told) == {"DOCUMENT_REFUSED": 3}


def test_a_cry_is_forgotten_a_day_after_the_last(database: Database, cast: Cast) -> None:
    assert "DOCUMENT_REFUSED" in faults(database, cast, {"LIST_KEY": 1}, later=PASSING_SECONDS)
    assert "DOCUMENT_REFUSED" not in faults(database, cast, later=PASSING_SECONDS + 1)


@pytest.mark.parametrize(
    "nonsense",
    [None, 7, [], "LIST_KEY", {"LIST_KEY": "1"}, {"LIST_KEY": -1}, {"LIST_KEY": True}, {"\x1b[2J": 3}, {"": 1},
     {"X" * 41: 1}, {f"N{n}": 1 for n in range(CRIES_MAX)} | {"LIST_KEY": 1}],
    ids=str,
)  # fmt: skip
def test_a_cry_of_another_shape_is_none(nonsense: object) -> None:
    told = a_heartbeat(nonsense).values.get("alarms", {})
    assert risen({}, told) == {} and len(told) <= CRIES_MAX
