"""What gates shall be and do: revisions, reports, rollouts ring by ring, commands; an answer is judged first."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cloud.cli import app
from cloud.fleet import configurations, messages, orders, rollouts, updates
from cloud.fleet import service as fleet
from cloud.fleet.reports import ReportRefused, read_answer, read_configuration
from cloud.fleet.saying import Said
from cloud.kit import clock
from cloud.kit.db import Database, RuleBroken
from cloud.kit.errors import Refused
from cloud.kit.jobs import Job
from cloud.passes.keys import KeyRing, init_keys
from cloud.reactions import GATE_SAID, World, go_on_without
from cloud.worker import Worker
from protocols import topics
from protocols.documents import Reader, load_command, load_gate_configuration
from tests.cast import Cast, a_district
from tests.cloud.fleet.locks import until_one_waits
from tests.conftest import Clone
from tests.gates import a_gate

LONGER = {"door": {"open_seconds": 6}}


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return init_keys(tmp_path / "root", tmp_path / "keys", int(clock.now().timestamp()))


@pytest.fixture
def cast(database: Database) -> Cast:
    cast = a_district(database)
    for gate in (11, 12, 13):
        a_gate(database, cast, gate, seed=gate)
    return cast


def desire(database: Database, cast: Cast, sections: Any, gate: int = 11) -> int:
    with database.tenant(cast.district) as tx:
        return configurations.desire(tx, cast.district, gate, sections, clock.now())


def say(database: Database, cast: Cast, gate: int, state: str, version: int, **more: Any) -> None:
    told = read_configuration(json.dumps({"v": 1, "state": state, "version": version, **more}).encode())
    with database.tenant(cast.district) as tx:
        rollouts.reported(tx, cast.district, gate, told, clock.now())
        configurations.report(tx, cast.district, gate, told, clock.now())


def start(database: Database, cast: Cast, rings: Sequence[Sequence[int]], change: Any = LONGER) -> None:
    with database.tenant(cast.district) as tx:
        rollouts.start(tx, cast.district, change, rings, clock.now())


def standing(database: Database, cast: Cast) -> tuple[str | None, dict[int, str]]:
    with database.tenant(cast.district) as tx:
        found = rollouts.latest(tx, cast.district)
    assert found
    return found[0].outcome, {member.gate: member.state for member in found[1]}


def wanted(database: Database, cast: Cast, gate: int) -> tuple[int, Any]:
    with database.tenant(cast.district) as tx:
        found = configurations.newest(tx, cast.district, gate)
    return (found.revision, found.sections) if found else (0, None)


def test_a_wanted_configuration_is_signed_for_its_gate_and_stays_its_level(
    database: Database, cast: Cast, ring: KeyRing, tmp_path: Path
) -> None:
    assert [desire(database, cast, LONGER), desire(database, cast, {"gate": {"language": "kk"}})] == [1, 2]
    Worker(database, tmp_path / "keys").settle()
    with database.tenant(cast.district) as tx:
        [level] = messages.levels(tx, cast.district, clock.now() - timedelta(hours=1))
    reader = Reader(ring.trust, cast.site, clock.now().timestamp(), gate=11)
    document = load_gate_configuration(level.body, reader)
    assert (level.leaf, document.version) == (topics.CONFIGURATION, 2)
    assert json.loads(document.json) == {"gate": {"language": "kk"}}


@pytest.mark.parametrize(
    ("sections", "code"),
    [
        ({"door": 3}, "CONFIG_SHAPE"), ([], "CONFIG_SHAPE"), ({"door": {"open_seconds": float("nan")}}, "CONFIG_SHAPE"),
        ({"door": {"x": "y" * 4_000}}, "CONFIG_SIZE"), ({"door": {"x": "\0"}}, "CONFIG_SIZE"),
    ],
)  # fmt: skip
def test_what_is_no_configuration_is_not_kept(database: Database, cast: Cast, sections: Any, code: str) -> None:
    with pytest.raises(configurations.ConfigurationRefused) as refused:
        desire(database, cast, sections)
    assert refused.value.code == code
    assert wanted(database, cast, 11) == (0, None)


def test_a_revision_is_never_changed_and_a_strange_gate_has_none(database: Database, cast: Cast) -> None:
    desire(database, cast, LONGER)
    with pytest.raises(configurations.ConfigurationRefused) as refused:
        desire(database, cast, LONGER, gate=99)
    assert refused.value.code == "GATE_UNKNOWN"
    with pytest.raises(RuleBroken) as broken, database.tenant(cast.district) as tx:
        tx.execute("INSERT INTO gate_configuration SELECT district_id, gate, 2, '[]', sha256, now() FROM"
                   " gate_configuration")  # fmt: skip
    assert (broken.value.sqlstate, broken.value.constraint) == ("23514", "gate_configuration_sha256")


def test_the_next_ring_is_told_when_all_of_the_one_before_are_well(database: Database, cast: Cast) -> None:
    start(database, cast, [[11, 12], [13]])
    assert standing(database, cast) == (None, {11: "told", 12: "told", 13: "waiting"})
    say(database, cast, 11, "applied", 1, runs=1)
    say(database, cast, 12, "pending", 1)
    assert standing(database, cast) == (None, {11: "applied", 12: "told", 13: "waiting"})
    say(database, cast, 12, "applied", 1, runs=1)
    assert standing(database, cast) == (None, {11: "applied", 12: "applied", 13: "told"})
    say(database, cast, 13, "applied", 1, runs=1)
    assert standing(database, cast) == ("done", {11: "applied", 12: "applied", 13: "applied"})


def test_one_gate_that_gives_it_up_ends_it_and_the_last_good_one_is_wanted_again(
    database: Database, cast: Cast
) -> None:
    desire(database, cast, {"gate": {"language": "kk"}}, gate=12)
    say(database, cast, 12, "applied", 1, runs=1)
    start(database, cast, [[11, 12], [13]])
    assert wanted(database, cast, 12) == (2, {"gate": {"language": "kk"}, **LONGER})
    say(database, cast, 12, "applied", 2, runs=2)
    say(database, cast, 11, "rejected", 1, errors=["CAMERA"])
    assert standing(database, cast) == ("failed", {11: "failed", 12: "back", 13: "waiting"})
    assert wanted(database, cast, 11) == (2, {}), "what stands in its own file"
    assert wanted(database, cast, 12) == (3, {"gate": {"language": "kk"}})
    assert wanted(database, cast, 13) == (0, None)
    with database.tenant(cast.district) as tx:
        assert tx.execute("SELECT gate, code FROM gate_alarm").fetchall() == [(11, "ROLLOUT_FAILED")]


def revoke(database: Database, cast: Cast, gate: int) -> None:
    """Revoke a gate, and have the worker do what follows for rollouts."""
    with database.tenant(cast.district) as tx:
        fleet.revoke_gate(tx, cast.district, gate, clock.now())
        job = Job(1, "GateRevoked", cast.district, {"gate": gate}, 0)
        go_on_without(tx, World(None), job, clock.now())  # type: ignore[arg-type]


def test_a_gate_that_was_revoked_holds_no_ring_up_and_is_told_nothing(database: Database, cast: Cast) -> None:
    a_gate(database, cast, 14, seed=14)
    start(database, cast, [[11, 12], [13], [14]])
    say(database, cast, 11, "applied", 1, runs=1)
    revoke(database, cast, 12)
    assert standing(database, cast)[1] == {11: "applied", 12: "told", 13: "told", 14: "waiting"}
    revoke(database, cast, 14)
    assert standing(database, cast)[0] is None
    say(database, cast, 13, "applied", 1, runs=1)
    assert standing(database, cast) == ("done", {11: "applied", 12: "told", 13: "applied", 14: "waiting"})


def test_a_rollout_goes_back_though_one_of_its_gates_was_revoked(database: Database, cast: Cast) -> None:
    start(database, cast, [[11, 12, 13]])
    say(database, cast, 12, "applied", 1, runs=1)
    revoke(database, cast, 12)
    say(database, cast, 11, "rejected", 1, errors=["CAMERA"])
    assert standing(database, cast) == ("failed", {11: "failed", 12: "applied", 13: "back"})
    assert (wanted(database, cast, 13), wanted(database, cast, 12)) == ((2, {}), (1, LONGER))


def test_a_gate_whose_settings_would_be_too_long_ends_the_rollout_as_a_failed_one(
    database: Database, cast: Cast
) -> None:
    full = {"camera": {"path": "x" * 3_040}}
    desire(database, cast, full, gate=13)
    say(database, cast, 13, "applied", 1, runs=1)
    start(database, cast, [[11], [12, 13]])
    say(database, cast, 11, "applied", 1, runs=1)
    assert standing(database, cast) == ("failed", {11: "back", 12: "back", 13: "failed"})
    assert [wanted(database, cast, gate) for gate in (11, 12, 13)] == [(2, {}), (2, {}), (1, full)]
    with database.tenant(cast.district) as tx:
        found = rollouts.latest(tx, cast.district)
        assert tx.execute("SELECT gate, code FROM gate_alarm").fetchall() == [(13, "ROLLOUT_FAILED")]
    assert found and [(one.code, one.revision) for one in found[1] if one.gate == 13] == [("CONFIG_SIZE", 0)]
    with pytest.raises(configurations.ConfigurationRefused) as refused:
        start(database, cast, [[13], [11]])
    assert refused.value.code == "CONFIG_SIZE" and standing(database, cast)[0] == "failed", "nothing was begun"


def test_who_hears_a_gate_waits_for_the_rollout_before_it_holds_the_gate(database: Database, cast: Cast) -> None:
    start(database, cast, [[11], [12]])
    told = json.dumps({"v": 1, "state": "applied", "version": 1, "runs": 1}).encode()

    def heed() -> None:
        with database.tenant(cast.district) as tx:
            said = Said(11, topics.REPORTED, told)
            GATE_SAID[topics.REPORTED](tx, World(None), cast.district, said, clock.now())  # type: ignore[arg-type]

    with ThreadPoolExecutor(1) as pool:
        with database.tenant(cast.district) as tx:
            tx.execute("SELECT FROM rollout FOR UPDATE")
            heard = pool.submit(heed)
            until_one_waits(database)
            tx.execute("SELECT FROM gate WHERE gate = 11 FOR UPDATE NOWAIT")  # else two workers wait for each other
        heard.result(timeout=5)
    assert standing(database, cast)[1] == {11: "applied", 12: "told"}


def test_reports_of_other_revisions_and_of_gates_that_wait_move_nothing(database: Database, cast: Cast) -> None:
    start(database, cast, [[11], [12]])
    for gate, state, version in ((11, "applied", 7), (12, "applied", 1), (12, "rejected", 1), (13, "rejected", 1)):
        say(database, cast, gate, state, version)
    assert standing(database, cast) == (None, {11: "told", 12: "waiting"})


def test_one_rollout_at_a_time_and_a_stopped_one_tells_nobody_more(database: Database, cast: Cast) -> None:
    start(database, cast, [[11], [12]])
    with pytest.raises(rollouts.RolloutRefused) as refused:
        start(database, cast, [[13]])
    assert refused.value.code == "ROLLOUT_RUNS"
    with database.tenant(cast.district) as tx:
        rollouts.stop(tx, cast.district, clock.now())
    say(database, cast, 11, "applied", 1, runs=1)
    assert standing(database, cast) == ("stopped", {11: "told", 12: "waiting"})
    with pytest.raises(rollouts.RolloutRefused) as refused, database.tenant(cast.district) as tx:
        rollouts.stop(tx, cast.district, clock.now())
    assert refused.value.code == "ROLLOUT_NONE"


@pytest.mark.parametrize("rings", [[], [[]], [[11], [11]], [[11], [99]], [[gate] for gate in range(17)]])
def test_rings_that_are_none_are_refused(database: Database, cast: Cast, rings: list[list[int]]) -> None:
    with pytest.raises(rollouts.RolloutRefused) as refused:
        start(database, cast, rings)
    assert refused.value.code == "ROLLOUT_RINGS"


def test_a_command_is_signed_for_fifteen_seconds_answered_once_and_in_the_audit_log(
    database: Database, cast: Cast, ring: KeyRing, tmp_path: Path
) -> None:
    with database.tenant(cast.district) as tx:
        nonce = orders.give(tx, cast.district, 11, "resync", {"from_seq": 5}, clock.now())
    Worker(database, tmp_path / "keys").settle()
    with database.tenant(cast.district) as tx:
        [sent] = messages.unsent(tx, cast.district, clock.now())
        assert messages.unsent(tx, cast.district, clock.now() + timedelta(seconds=16)) == []
    told = load_command(sent.body, Reader(ring.trust, cast.site, clock.now().timestamp(), gate=11))
    assert (told.operation, told.arguments, told.nonce) == ("resync", {"from_seq": 5}, nonce)
    assert told.exp - told.iat <= 15 and sent.leaf == topics.COMMAND
    answer = read_answer(json.dumps({"v": 1, "nonce": nonce.hex(), "state": "done", "took_ms": 3.4}).encode())
    with database.tenant(cast.district) as tx:
        assert not orders.answered(tx, cast.district, 12, answer, clock.now()), "another gate's word"
        assert orders.answered(tx, cast.district, 11, answer, clock.now())
        assert not orders.answered(tx, cast.district, 11, answer, clock.now())
        kept = orders.order_of(tx, cast.district, nonce)
        lines = tx.execute("SELECT detail ->> 'operation' FROM audit_log WHERE action = 'gate.command'").fetchall()
    assert kept and (kept.outcome, kept.took_ms) == ("done", 3)
    assert lines == [("resync",)]


def test_a_command_that_nobody_could_sign_in_time_is_not_sent(
    database: Database, cast: Cast, ring: KeyRing, tmp_path: Path
) -> None:
    with database.tenant(cast.district) as tx:
        orders.give(tx, cast.district, 11, "open", {}, clock.now() - timedelta(seconds=15))
    Worker(database, tmp_path / "keys").settle()
    with database.tenant(cast.district) as tx:
        assert messages.unsent(tx, cast.district, clock.now() - timedelta(hours=1)) == []


@pytest.mark.parametrize(
    ("gate", "operation", "arguments", "code"),
    [
        (11, "format", {}, "COMMAND_UNKNOWN"), (11, "resync", {"from_seq": -1}, "COMMAND_ARGUMENTS"),
        (11, "resync", dict.fromkeys("abcde", 1), "COMMAND_ARGUMENTS"), (99, "open", {}, "GATE_UNKNOWN"),
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_is_refused(
    database: Database, cast: Cast, gate: int, operation: str, arguments: dict[str, int], code: str
) -> None:
    with pytest.raises(orders.OrderRefused) as refused, database.tenant(cast.district) as tx:
        orders.give(tx, cast.district, gate, operation, arguments, clock.now())
    assert refused.value.code == code


GOOD = {"v": 1, "state": "applied", "version": 3, "runs": 3, "hash": "ab" * 32, "errors": []}


@pytest.mark.parametrize(
    "changed",
    [
        {"v": 2}, {"state": "odd"}, {"version": -1}, {"version": True}, {"version": "3"}, {"runs": 2**32},
        {"state": None},
    ],
)  # fmt: skip
def test_a_report_of_another_shape_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ReportRefused):
        read_configuration(json.dumps({**GOOD, **changed}).encode())


def test_words_that_a_screen_would_obey_are_left_out_of_reports_and_answers() -> None:
    errors = ["\x1b[31m", "x" * 500, 7, "CAMERA"]
    told = read_configuration(json.dumps({**GOOD, "errors": errors, "hash": "<b>"}).encode())
    assert told.values["errors"] == ["x" * 120, "CAMERA"] and "hash" not in told.values
    answer = {"v": 1, "nonce": "0" * 16, "state": "done", "told": {"a": "\n", "b": "ok", "c": [1], "\x07": 1, "d": 2}}
    assert read_answer(json.dumps(answer).encode()).told == {"b": "ok", "d": 2}


@pytest.mark.parametrize("changed", [{"nonce": "zz"}, {"nonce": None}, {"state": "well"}, {"nonce": "0" * 17}])
def test_an_answer_of_another_shape_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ReportRefused):
        read_answer(json.dumps({"v": 1, "nonce": "0" * 16, "state": "done", **changed}).encode())


def test_the_commands_ask_for_settings_and_roll_them_out(
    database: Database, cast: Cast, clone: Clone, tmp_path: Path
) -> None:
    environment = {"PORTILLON_DATABASE_URL": clone.url}

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, [*arguments, "--json"], env=environment)

    file = tmp_path / "wanted.toml"
    file.write_text("[door]\nopen_seconds = 4.5\n")
    told = json.loads(run("gate", "config", "11", str(file), "--set", "gate.language=kk").stdout)
    assert told["wanted"]["sections"] == {"door": {"open_seconds": 4.5}, "gate": {"language": "kk"}}
    rings = ("--ring", "11", "--ring", "12,13")
    told = json.loads(run("rollout", "start", "--set", "door.held_seconds=40", *rings).stdout)
    assert [(row["gate"], row["state"]) for row in told["gates"]] == [(11, "told"), (12, "waiting"), (13, "waiting")]
    assert json.loads(run("rollout", "status").stdout)[0]["outcome"] == "running"
    assert json.loads(run("rollout", "stop").stdout)["outcome"] == "stopped"
    assert run("gate", "config", "11", "--set", "door").exit_code == 2
    assert run("rollout", "start", "--set", "a.b=1").exit_code == 2


@pytest.mark.parametrize("command", [("rollout",), ("release", "rollout")])
def test_a_rollout_is_stopped_in_the_district_that_is_named_and_in_no_other(
    database: Database, cast: Cast, clone: Clone, command: tuple[str, ...]
) -> None:
    there = a_district(database, "elsewhere", 202)
    a_gate(database, there, 21, seed=21)

    def stop(*arguments: str) -> tuple[int, str]:
        environment = {"PORTILLON_DATABASE_URL": clone.url, "COLUMNS": "200"}
        ran = CliRunner().invoke(app, [*command, "stop", *arguments, "--json"], env=environment)
        if isinstance(ran.exception, Refused):
            return ran.exit_code, ran.exception.code
        return ran.exit_code, json.loads(ran.stdout)["district"] if ran.exit_code == 0 else ran.stderr

    for place, gate in ((cast, 11), (there, 21)):
        with database.tenant(place.district) as tx:
            rollouts.start(tx, place.district, LONGER, [[gate]], clock.now())
            updates.start(tx, place.district, "0.2.0", [[gate]], clock.now())
    for arguments in ((), ("--district", "nowhere")):
        code, told = stop(*arguments)
        assert code == 2 and "--district" in told and "demo, elsewhere" in told
    assert stop("--district", "elsewhere") == (0, "elsewhere")
    assert stop("--district", "elsewhere")[0] == 2, "the one that runs is another district's"
    assert stop() == (0, "demo")
    code, told = stop()
    assert code and told in ("ROLLOUT_NONE", "UPDATE_NONE")


def test_the_list_says_what_stands_at_a_door_and_what_a_gate_refused(database: Database, cast: Cast) -> None:
    from cloud.fleet.pages import FAULTS
    from cloud.fleet.reports import StateReport, read_telemetry

    say(database, cast, 11, "rejected", 2, errors=["door.open_seconds: 99 is too long"])
    beat = {"v": 1, "session": "aa", "door": ["DOOR_HELD_OPEN", "DOOR_<b>", "TOO_HOT"], "hint": "dimmer",
            "alarms": {"CONFIG_REJECTED": 3}}  # fmt: skip
    with database.tenant(cast.district) as tx:
        fleet.apply_state(tx, cast.district, 11, StateReport("online", "aa", {}), clock.now())
        fleet.apply_telemetry(tx, cast.district, 11, read_telemetry(json.dumps(beat).encode()), clock.now())
        line = next(line for line in fleet.list_gates(tx, cast.district, clock.now()) if line.gate == 11)
    assert line.faults == ("DOOR_HELD_OPEN", "CONFIG_REJECTED"), "and the cry of it is no second fault"
    assert (line.hint, line.configuration["errors"]) == ("dimmer", ["door.open_seconds: 99 is too long"])
    assert all(code in FAULTS for code in line.faults)
