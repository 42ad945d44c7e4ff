"""What follows from a fact: signed lists, incidents, rebuilt days; jobs that survive faults and kills."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cloud.attendance import service as attendance
from cloud.attendance.model import Sent
from cloud.fleet import service as fleet
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.kit.ids import new_id
from cloud.kit.jobs import Job, due, happened, run_next
from cloud.passes import service as passes
from cloud.passes.keys import KeyRing, init_keys
from cloud.people import orders
from cloud.people import service as people
from cloud.reactions import REACTIONS, facts_recorded
from cloud.worker import Worker
from protocols.documents import PolicyList, Reader, load_gate_list, load_policy_list
from protocols.events import Detail, Kind
from tests.cast import NOW, Cast, a_district
from tests.conftest import Clone
from tests.gates import Ledger, a_gate, an_arrival, an_event, number_of


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


@pytest.fixture
def gate(database: Database, cast: Cast) -> Ledger:
    return a_gate(database, cast)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return init_keys(tmp_path / "root", tmp_path / "keys", int(clock.now().timestamp()))


@pytest.fixture
def worker(database: Database, ring: KeyRing, tmp_path: Path) -> Iterator[Worker]:
    yield Worker(database, tmp_path / "keys")


def policy(database: Database, cast: Cast, ring: KeyRing) -> PolicyList:
    with database.tenant(cast.district) as tx:
        held = passes.newest_document(tx, cast.district, cast.site, "KR1")
    assert held
    return load_policy_list(held.body, Reader(ring.trust, cast.site, clock.now().timestamp()))


def test_a_registered_gate_gets_its_lists_signed(
    database: Database, cast: Cast, gate: Ledger, ring: KeyRing, worker: Worker
) -> None:
    worker.settle()
    assert policy(database, cast, ring).version == 1
    with database.tenant(cast.district) as tx:
        held = passes.newest_document(tx, cast.district, cast.site, "KL1")
    assert held
    gates = load_gate_list(held.body, Reader(ring.trust, cast.site, clock.now().timestamp()))
    assert gates.gates[11].public == bytes(gate.key.verify_key)


def test_a_list_that_says_the_same_is_not_signed_again_and_one_that_changed_is(
    database: Database, cast: Cast, gate: Ledger, ring: KeyRing, worker: Worker
) -> None:
    worker.settle()
    with database.tenant(cast.district) as tx:
        happened(tx, "RightsChanged", cast.district, site=101)
    worker.settle()
    assert policy(database, cast, ring).version == 1
    with database.tenant(cast.district) as tx:
        passes.block_holder(tx, cast.district, 101, cast.father, clock.now())
    worker.settle()
    listed = policy(database, cast, ring)
    assert listed.version == 2
    assert list(listed.revocations.holders) == [number_of(database, cast, person=cast.father)]


def test_a_list_is_signed_anew_after_six_hours(database: Database, cast: Cast, gate: Ledger, ring: KeyRing) -> None:
    versions = []
    for hours in (0, 5, 6, 7, 12):
        with database.tenant(cast.district) as tx:
            at = NOW + timedelta(hours=hours)
            later = KeyRing(ring.keys, _always(ring), ring.trust_bytes, ring.root_public)
            versions.append(passes.compile_policy(tx, later, cast.district, 101, at).version)
    assert versions == [1, 1, 2, 2, 3]


def _always(ring: KeyRing) -> Any:
    from dataclasses import replace

    from protocols.trust import Trust

    return Trust({kid: replace(key, not_before=0) for kid, key in ring.trust.keys.items()}, ring.trust.held)


def test_a_revoked_phone_stands_on_the_list_with_its_thumb(
    database: Database, cast: Cast, gate: Ledger, ring: KeyRing, worker: Worker
) -> None:
    from protocols.canonical import encode
    from protocols.passes import DeviceKey

    device = DeviceKey(bytes(gate.key.verify_key))
    with database.tenant(cast.district) as tx:
        phone_id = new_id()
        tx.execute("INSERT INTO pass_key VALUES (%s, %s, %s, 1, %s, %s, now())",
                   (cast.district, phone_id, cast.mother, encode(device.to_cose()), device.thumb))  # fmt: skip
        [phone] = passes.phones_of(tx, cast.district, cast.mother)
        passes.offers(tx, ring, cast.district, phone, clock.now())
        passes.revoke_phone(tx, cast.district, cast.mother, phone_id, clock.now())
    worker.settle()
    assert policy(database, cast, ring).revocations.thumbs == {device.thumb}


def test_an_order_reaches_the_list_and_leaves_the_card_for_other_children(
    database: Database, cast: Cast, gate: Ledger, ring: KeyRing, worker: Worker
) -> None:
    with database.tenant(cast.district) as tx:
        passes.issue_card_for(tx, ring, cast.district, cast.father, 101, clock.now())
        orders.impose_order(tx, cast.district, child_id=cast.aigerim, person_id=cast.father, by=cast.head,
                            evidence=bytes(32), hides=False, until=None, now=clock.now())  # fmt: skip
    worker.settle()
    listed = policy(database, cast, ring)
    father, aigerim = number_of(database, cast, person=cast.father), number_of(database, cast, child=cast.aigerim)
    assert [(rule.child, rule.holder, rule.bits, rule.to) for rule in listed.custody] == [
        (aigerim, 0, 6, 2**32 - 1), (aigerim, father, 2, 2**32 - 1)]  # staff are asked about everybody, he is denied
    assert listed.revocations.ctis == set()


def test_a_right_that_ended_puts_the_card_that_says_more_on_the_list(
    database: Database, cast: Cast, gate: Ledger, ring: KeyRing, worker: Worker
) -> None:
    with database.tenant(cast.district) as tx:
        card = passes.issue_card_for(tx, ring, cast.district, cast.father, 101, clock.now())
        people.end_escort_right(tx, cast.district, cast.aigerim, cast.father, clock.now())
    worker.settle()
    listed = policy(database, cast, ring)
    assert (listed.custody, listed.revocations.ctis) == ((), {card.cti})


def test_a_refusal_that_concerns_the_head_becomes_an_incident_once(
    database: Database, cast: Cast, gate: Ledger, worker: Worker
) -> None:
    father, aigerim = number_of(database, cast, person=cast.father), number_of(database, cast, child=cast.aigerim)
    detail = {Detail.HOLDER: father, Detail.DIRECTION: 2, Detail.CHILDREN: [[aigerim, 3]], Detail.CODE: "CUSTODY",
              Detail.NOT_TAKEN: [[aigerim, "CUSTODY"]]}  # fmt: skip
    gate.write(an_event(Kind.REFUSAL, detail=detail))
    with database.tenant(cast.district) as tx:
        recorded = attendance.record_batch(tx, cast.district, [Sent(101, gate.segment())], NOW)
        facts_recorded(tx, cast.district, recorded.facts)
        facts_recorded(tx, cast.district, recorded.facts)
    worker.settle()
    with database.tenant(cast.district) as tx:
        [incident] = attendance.incidents(tx, cast.district)
    assert (incident.code, incident.child_ref, incident.gate) == ("CUSTODY", aigerim, 11)


def test_a_correction_takes_back_the_move_it_points_at(
    database: Database, cast: Cast, gate: Ledger, worker: Worker, clone: Clone
) -> None:
    mother, aigerim = number_of(database, cast, person=cast.mother), number_of(database, cast, child=cast.aigerim)
    gate.write(an_arrival(mother, aigerim), an_event(Kind.CORRECTION, detail={Detail.CORRECTS: [1, 0]}))
    with database.tenant(cast.district) as tx:
        recorded = attendance.record_batch(tx, cast.district, [Sent(101, gate.segment())], NOW)
        facts_recorded(tx, cast.district, recorded.facts)
    worker.settle()
    with psycopg.connect(clone.owner_url) as owner:
        assert owner.execute("SELECT count(*) FROM attendance_day").fetchone() == (0,)
        assert owner.execute("SELECT count(*) FROM attendance_event").fetchone() == (2,), "nothing is overwritten"


def test_a_job_is_entered_only_if_its_fact_is_committed(database: Database, clone: Clone) -> None:
    with pytest.raises(ZeroDivisionError), database.untenanted() as tx:
        happened(tx, "RetentionDue", None)
        raise ZeroDivisionError
    assert not run_next(database, lambda *_: None)


def test_a_job_that_fails_is_kept_with_its_fault_and_tried_later(database: Database, clone: Clone) -> None:
    with database.untenanted() as tx:
        happened(tx, "RetentionDue", None)

    def fail(tx: Any, job: Job, now: Any) -> None:
        tx.execute("INSERT INTO schedule VALUES ('Half', now())")
        raise LookupError("no")

    assert run_next(database, fail)
    assert not run_next(database, fail), "it waits"
    with psycopg.connect(clone.owner_url) as owner:
        assert owner.execute("SELECT tries, last_fault, failed_at FROM job").fetchone() == (1, "LookupError", None)
        assert owner.execute("SELECT count(*) FROM schedule WHERE fact = 'Half'").fetchone() == (0,), (
            "nothing by halves"
        )
        owner.execute("UPDATE job SET tries = 11, run_at = now() - interval '1 s'")
    assert run_next(database, fail)
    with psycopg.connect(clone.owner_url) as owner:
        assert owner.execute("SELECT failed_at IS NOT NULL FROM job").fetchone() == (True,)


def test_a_job_whose_worker_dies_is_done_by_the_next(database: Database, clone: Clone) -> None:
    with database.untenanted() as tx:
        happened(tx, "RetentionDue", None)
    done = []

    def killed(tx: Any, job: Job, now: Any) -> None:
        with psycopg.connect(clone.owner_url, autocommit=True) as owner:
            owner.execute("SELECT pg_terminate_backend(%s)", (tx.info.backend_pid,))
        tx.execute("SELECT 1")

    from cloud.kit.db import DatabaseAway

    with pytest.raises(DatabaseAway):
        run_next(database, killed)
    assert run_next(database, lambda tx, job, now: done.append(job.fact))
    assert done == ["RetentionDue"]
    assert not run_next(database, lambda *_: None)


def test_two_workers_never_run_one_job(database: Database) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with database.untenanted() as tx:
        for _ in range(20):
            happened(tx, "RetentionDue", None)
    done: list[int] = []

    def work(_: int) -> None:
        while run_next(database, lambda tx, job, now: done.append(job.id)):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(done) == len(set(done)) == 20


def test_what_is_due_by_the_clock_is_given_to_one(database: Database) -> None:
    assert due(database, "DocumentsDue", timedelta(minutes=1))
    assert not due(database, "DocumentsDue", timedelta(minutes=1))


def test_every_fact_that_a_slice_enters_has_a_row_in_the_table() -> None:
    import re
    from pathlib import Path

    entered = set()
    for file in Path("cloud").rglob("*.py"):
        entered |= set(re.findall(r'happened\(\s*tx,\s*"(\w+)"', file.read_text(encoding="utf-8")))
    assert entered <= set(REACTIONS)
    assert {"GateRegistered", "PhoneRevoked", "ChildRefused"} <= entered


def test_an_unregistered_gate_number_in_another_district_is_refused(
    database: Database, cast: Cast, gate: Ledger
) -> None:
    neighbour = a_district(database, "neighbour", 202)
    with pytest.raises(fleet.GateRefused) as refused, database.tenant(neighbour.district) as tx:
        fleet.register_gate(tx, neighbour.district, 202, 11, "copy", bytes(gate.key.verify_key), NOW)
    assert refused.value.code in ("GATE_NUMBER_TAKEN", "GATE_KEY_TAKEN")
