"""Facts, receipts and forks cannot be rewritten, and a ledger never shrinks: the database says so itself (I3)."""

from collections.abc import Iterator

import psycopg
import pytest

from cloud.attendance import service as attendance
from cloud.attendance.model import Sent
from cloud.kit.db import Database
from cloud.kit.ids import new_id
from protocols.events import Kind
from tests.cast import NOW, a_district
from tests.conftest import Clone
from tests.gates import a_gate, an_event

GUARDED = ("attendance_event", "ingest_receipt", "ledger_fork")


@pytest.fixture
def owner(database: Database, clone: Clone) -> Iterator[psycopg.Connection]:
    """The superuser on a database with two events and one fork: whom no grant stops, only triggers."""
    cast = a_district(database)
    gate = a_gate(database, cast)
    gate.write(an_event(Kind.BOOT), an_event(Kind.DOOR))
    twin = gate.copied(1)
    twin.write(an_event(Kind.DOOR, mono_ms=2))
    with database.tenant(cast.district) as tx:
        attendance.record_batch(tx, cast.district, [Sent(101, gate.segment()), Sent(101, twin.segment())], NOW)
    with psycopg.connect(clone.owner_url, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("table", GUARDED)
@pytest.mark.parametrize("statement", ["UPDATE {} SET seq = seq + 1", "DELETE FROM {}", "TRUNCATE {}"])
def test_no_statement_changes_what_was_stored(owner: psycopg.Connection, table: str, statement: str) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation) as refused:
        owner.execute(statement.format(table))  # type: ignore[arg-type]
    assert refused.value.sqlstate == "23001"
    assert refused.value.diag.constraint_name == table + ("_keep" if "TRUNCATE" in statement else "_append_only")
    count = owner.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[arg-type]
    assert count and count[0] > 0


@pytest.mark.parametrize("change", ["next_seq = next_seq - 1", "forks = 0", "gate = gate + 1"])
def test_a_ledger_only_grows(owner: psycopg.Connection, change: str) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation) as refused:
        owner.execute(f"UPDATE ledger SET {change}")  # type: ignore[arg-type]
    assert refused.value.diag.constraint_name == "ledger_only_grows"


def test_a_receipt_cannot_be_entered_twice(owner: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation) as refused:
        owner.execute("INSERT INTO ingest_receipt SELECT * FROM ingest_receipt")
    assert (refused.value.sqlstate, refused.value.diag.constraint_name) == ("23505", "ingest_receipt_pkey")


@pytest.mark.parametrize("table", GUARDED)
def test_the_application_may_not_even_try(database: Database, owner: psycopg.Connection, table: str) -> None:
    for statement in (f"UPDATE {table} SET seq = 1", f"DELETE FROM {table}", f"TRUNCATE {table}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused, database.tenant(new_id()) as tx:
            tx.execute(statement)  # type: ignore[arg-type]
        assert refused.value.sqlstate == "42501"


@pytest.mark.parametrize(
    "table", [*GUARDED, "attendance_day", "ledger", "gate", "gate_alarm", "pass_key", "credential"]
)
def test_a_query_without_a_tenant_is_a_fault_and_not_an_empty_answer(
    database: Database, owner: psycopg.Connection, table: str
) -> None:
    with pytest.raises(psycopg.Error) as refused, database.untenanted() as tx:
        tx.execute(f"SELECT * FROM {table}")  # type: ignore[arg-type]
    assert refused.value.sqlstate in ("42704", "22P02")


def test_events_are_a_hypertable_where_the_server_has_timescale(owner: psycopg.Connection) -> None:
    has = owner.execute("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    if has == (0,):
        assert owner.execute("SELECT relkind FROM pg_class WHERE relname = 'attendance_event'").fetchone() == ("r",)
        return
    found = owner.execute("SELECT hypertable_name FROM timescaledb_information.hypertables").fetchall()
    assert found == [("attendance_event",)]
