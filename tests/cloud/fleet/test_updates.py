"""A release goes to gates ring by ring, each told once, and stops at the first gate that went back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from cloud.fleet import service as fleet
from cloud.fleet import updates
from cloud.fleet.rings import Rings
from cloud.fleet.saying import Said
from cloud.kit.db import Database, RuleBroken
from cloud.kit.jobs import Job
from cloud.reactions import GATE_SAID, REACTIONS, World, go_on_without
from protocols import topics
from protocols.releases import Order, Told, UpdateState, build_told, read_order
from tests.cast import NOW, Cast, a_district
from tests.gates import a_gate

RINGS = [[11], [12, 13]]
DONE = UpdateState.COMMITTED


@pytest.fixture
def cast(database: Database) -> Cast:
    cast = a_district(database)
    for number in (11, 12, 13):
        a_gate(database, cast, number, seed=number)
    return cast


def start(
    database: Database, cast: Cast, version: str = "0.2.0", rings: Rings = RINGS, more: Sequence[int] = ()
) -> updates.Rollout:
    for number in more:
        a_gate(database, cast, number, seed=number)
    with database.tenant(cast.district) as tx:
        return updates.start(tx, cast.district, version, rings, NOW)


def revoke(database: Database, cast: Cast, gate: int) -> None:
    """Revoke a gate, and have the worker do what follows for rollouts."""
    with database.tenant(cast.district) as tx:
        fleet.revoke_gate(tx, cast.district, gate, NOW)
        go_on_without(tx, World(None), Job(1, "GateRevoked", cast.district, {"gate": gate}, 0), NOW)  # type: ignore[arg-type]
    assert go_on_without in REACTIONS["GateRevoked"]


def says(database: Database, cast: Cast, gate: int, state: UpdateState, code: str = "", **other: Any) -> None:
    told = {"job": 2, "version": "0.2.0", **other}
    with database.tenant(cast.district) as tx:
        updates.reported(tx, cast.district, gate, Told(**told, state=state, code=code, running="0.2.0"), NOW)


def states(database: Database, cast: Cast) -> tuple[str | None, dict[int, str]]:
    with database.tenant(cast.district) as tx:
        run = updates.latest(tx, cast.district)
        assert run
        return run.outcome, {one.gate: one.state for one in updates.members(tx, cast.district, run.job)}


def orders(database: Database, cast: Cast) -> dict[int, Order]:
    with database.tenant(cast.district) as tx:
        rows = tx.execute("SELECT gate, body FROM gate_message WHERE leaf = 'dn/job'").fetchall()
    return {gate: read_order(bytes(body)) for gate, body in rows}


def alarms(database: Database, cast: Cast) -> set[tuple[int, str]]:
    with database.tenant(cast.district) as tx:
        return {(one.gate, one.code) for one in fleet.open_alarms(tx, cast.district)}


def test_the_first_ring_is_told_and_the_next_only_when_it_stays(database: Database, cast: Cast) -> None:
    start(database, cast)
    assert orders(database, cast) == {11: Order(2, "0.2.0")}
    says(database, cast, 11, UpdateState.TRIAL)
    assert set(orders(database, cast)) == {11}
    says(database, cast, 11, DONE)
    says(database, cast, 11, DONE)  # told again on the next connection
    assert set(orders(database, cast)) == {11, 12, 13}
    says(database, cast, 12, DONE)
    assert states(database, cast) == (None, {11: "committed", 12: "committed", 13: "told"})
    says(database, cast, 13, DONE)
    assert states(database, cast)[0] == "done"


@pytest.mark.parametrize("state", [UpdateState.ROLLED_BACK, UpdateState.FAILED])
def test_a_gate_that_went_back_ends_the_rollout_and_an_operator_hears_of_it(
    database: Database, cast: Cast, state: UpdateState
) -> None:
    start(database, cast)
    says(database, cast, 11, state, "NO_FRAME")
    assert states(database, cast) == ("failed", {11: state, 12: "waiting", 13: "waiting"})
    assert alarms(database, cast) == {(11, updates.WENT_BACK)} and set(orders(database, cast)) == {11}
    says(database, cast, 11, state, "NO_FRAME")
    start(database, cast, "0.3.0")
    says(database, cast, 11, DONE, job=4, version="0.3.0")
    assert not alarms(database, cast)


def test_a_rollout_that_is_stopped_is_taken_back_from_gates_that_have_not_begun(
    database: Database, cast: Cast
) -> None:
    start(database, cast)
    with database.tenant(cast.district) as tx:
        updates.stop(tx, cast.district, NOW)
    assert orders(database, cast) == {11: Order(3, "")} and states(database, cast)[0] == "stopped"
    start(database, cast, "0.3.0")
    assert orders(database, cast)[11] == Order(4, "0.3.0")


def test_a_release_that_failed_is_taken_back_from_gates_that_were_away(database: Database, cast: Cast) -> None:
    start(database, cast, rings=[[11, 12, 14, 15, 16], [13]], more=[14, 15, 16])
    for gate, state in ((12, UpdateState.DOWNLOADING), (14, UpdateState.TRIAL), (15, DONE)):
        says(database, cast, gate, state)
    says(database, cast, 16, UpdateState.ROLLED_BACK, "NO_FRAME")
    back, stands = Order(3, ""), Order(2, "0.2.0")
    assert orders(database, cast) == {11: back, 12: back, 14: stands, 15: stands, 16: stands}
    assert states(database, cast)[0] == "failed"


def test_a_gate_that_was_revoked_holds_no_ring_up_and_is_told_nothing(database: Database, cast: Cast) -> None:
    start(database, cast, rings=[[11, 12], [13], [14]], more=[14])
    says(database, cast, 11, DONE)
    revoke(database, cast, 12)
    assert states(database, cast)[1] == {11: "committed", 12: "told", 13: "told", 14: "waiting"}
    revoke(database, cast, 14)
    assert states(database, cast)[0] is None
    says(database, cast, 13, DONE)
    assert states(database, cast) == ("done", {11: "committed", 12: "told", 13: "committed", 14: "waiting"})
    assert set(orders(database, cast)) == {11, 12, 13}


def test_a_ring_that_was_revoked_whole_is_passed_over(database: Database, cast: Cast) -> None:
    start(database, cast, rings=[[11], [12], [13]])
    revoke(database, cast, 12)
    says(database, cast, 11, DONE)
    assert set(orders(database, cast)) == {11, 13}
    revoke(database, cast, 13)
    assert states(database, cast)[0] == "done"


@pytest.mark.parametrize(("gate", "other"), [(12, {}), (11, {"job": 4}), (11, {"version": "0.9.0"}), (99, {})])
def test_what_a_gate_says_of_another_order_moves_nothing(
    database: Database, cast: Cast, gate: int, other: dict[str, Any]
) -> None:
    start(database, cast)
    says(database, cast, gate, DONE, **other)
    assert states(database, cast) == (None, {11: "told", 12: "waiting", 13: "waiting"})


@pytest.mark.parametrize(("version", "rings", "code"), [
    ("0.2", RINGS, "UPDATE_VERSION"), ("../../x", RINGS, "UPDATE_VERSION"), ("0.2.0", [], "UPDATE_RINGS"),
    ("0.2.0", [[11], []], "UPDATE_RINGS"), ("0.2.0", [[11], [11]], "UPDATE_RINGS"), ("0.2.0", [[99]], "UPDATE_RINGS"),
    ("0.2.0", [[11]] * 17, "UPDATE_RINGS"),
])  # fmt: skip
def test_a_rollout_that_makes_no_sense_is_refused(
    database: Database, cast: Cast, version: str, rings: list[list[int]], code: str
) -> None:
    with database.tenant(cast.district) as tx, pytest.raises(updates.UpdateRefused) as no:
        updates.start(tx, cast.district, version, rings, NOW)
    assert no.value.code == code


def test_a_gate_of_another_district_or_a_revoked_one_is_in_no_ring(database: Database, cast: Cast) -> None:
    with database.tenant(cast.district) as tx:
        fleet.revoke_gate(tx, cast.district, 12, NOW)
    for ring in ([[12]], [[11, 12]]):
        with database.tenant(cast.district) as tx, pytest.raises(updates.UpdateRefused) as no:
            updates.start(tx, cast.district, "0.2.0", ring, NOW)
        assert no.value.code == "UPDATE_RINGS"
    other = a_district(database, "elsewhere", 102)
    with database.tenant(other.district) as tx, pytest.raises(updates.UpdateRefused) as no:
        updates.start(tx, other.district, "0.2.0", [[11]], NOW)
    assert no.value.code == "UPDATE_RINGS"


def test_two_rollouts_at_once_are_refused_by_the_database(database: Database, cast: Cast) -> None:
    start(database, cast)
    with pytest.raises(updates.UpdateRefused) as no:
        start(database, cast)
    cause = no.value.__cause__
    assert no.value.code == "UPDATE_RUNS" and isinstance(cause, RuleBroken)
    assert (cause.sqlstate, cause.constraint) == ("23505", "release_rollout_one_at_a_time")
    with database.tenant(cast.district) as tx:
        updates.stop(tx, cast.district, NOW)
        with pytest.raises(updates.UpdateRefused) as no:
            updates.stop(tx, cast.district, NOW)
    assert no.value.code == "UPDATE_NONE"


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{}", b'{"v":2,"job":2}', b'{"v":1,"job":0,"version":"0.2.0","state":"trial"}', b"x" * 1_025,
    b'{"v":1,"job":2,"version":"0.2.0","state":"odd"}', b'{"v":1,"job":2,"version":"x","state":"trial"}',
    b'{"v":1,"job":2,"version":"0.2.0","state":"trial","code":"lower"}', b"[" * 1_000,
    b'{"v":1,"job":2,"version":"0.2.0","state":"trial","running":7}', b'{"v":true,"job":2}',
    json.dumps({"v": 1, "job": 2**32, "version": "0.2.0", "state": "trial"}).encode(),
])  # fmt: skip
def test_what_a_gate_says_in_another_shape_is_refused(database: Database, cast: Cast, body: bytes) -> None:
    from cloud.fleet.reports import ReportRefused

    start(database, cast)
    with database.tenant(cast.district) as tx, pytest.raises(ReportRefused):
        GATE_SAID[topics.JOB_STATE](tx, World(None), cast.district, Said(11, topics.JOB_STATE, body), NOW)  # type: ignore[arg-type]
    with database.tenant(cast.district) as tx:
        good = build_told(Told(2, "0.2.0", UpdateState.TRIAL, "", "0.2.0"))
        GATE_SAID[topics.JOB_STATE](tx, World(None), cast.district, Said(11, topics.JOB_STATE, good), NOW)  # type: ignore[arg-type]
    assert states(database, cast)[1][11] == "trial"
