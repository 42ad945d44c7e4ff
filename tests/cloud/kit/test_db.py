"""Transactions: committed before the answer, rolled back on a fault, broken rules named once."""

import traceback
from pathlib import Path

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from cloud.config import Settings
from cloud.kit.db import Database, DatabaseAway, RuleBroken, TenantRefused, many, one
from cloud.kit.ids import new_id
from cloud.kit.web import Tx, furnish
from simulators.database import start_database
from tests.cast import NOW
from tests.conftest import Clone


def an_application(database: Database) -> FastAPI:
    app = FastAPI()
    furnish(app, Settings())
    app.state.database = database

    @app.post("/late-fault")
    def late_fault(tx: Tx) -> str:
        tx.execute("CREATE TEMPORARY TABLE note (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP")
        tx.execute("INSERT INTO note VALUES (1), (1)")
        return "stored"

    @app.post("/stored")
    def stored(tx: Tx) -> str:
        tx.execute("INSERT INTO login (id, created_at) VALUES (%s, %s)", (new_id(), NOW))
        return "stored"

    @app.post("/fault")
    def fault(tx: Tx) -> str:
        tx.execute("INSERT INTO login (id, created_at) VALUES (%s, %s)", (new_id(), NOW))
        raise RuntimeError("in the middle")

    return app


def logins(database: Database) -> int:
    with database.untenanted() as tx:
        return len(many(tx, object, "SELECT id FROM login"))


def test_a_commit_that_fails_is_never_answered_as_done(database: Database) -> None:
    answer = TestClient(an_application(database)).post("/late-fault", headers={"accept": "application/json"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "RULE_BROKEN"


def test_what_was_answered_as_stored_is_stored(database: Database) -> None:
    assert TestClient(an_application(database)).post("/stored").status_code == 200
    assert logins(database) == 1


def test_a_fault_in_the_middle_keeps_nothing_and_says_so(database: Database) -> None:
    answer = TestClient(an_application(database)).post("/fault")
    assert answer.status_code == 500
    assert "RuntimeError" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert logins(database) == 0


def test_a_broken_rule_keeps_its_sqlstate_and_its_name(database: Database) -> None:
    with pytest.raises(RuleBroken) as broken, database.untenanted() as tx:
        tx.execute("INSERT INTO login (id, email, created_at) VALUES (%s, 'UPPER@x.kz', %s)", (new_id(), NOW))
    assert (broken.value.sqlstate, broken.value.constraint) == ("23514", "login_email_normal")


def test_a_savepoint_lets_a_service_go_on_after_a_broken_rule(database: Database) -> None:
    with database.untenanted() as tx:
        with pytest.raises(RuleBroken), tx.transaction():
            tx.execute("INSERT INTO login (id, email, created_at) VALUES (%s, 'no address', %s)", (new_id(), NOW))
        tx.execute("INSERT INTO login (id, created_at) VALUES (%s, %s)", (new_id(), NOW))
    assert logins(database) == 1


def test_a_role_that_passes_the_wall_may_not_serve(clone: Clone) -> None:
    with Database(clone.owner_url, 1) as strong, pytest.raises(TenantRefused):
        strong.refuse_strong_role()


def test_a_database_that_is_not_there_is_said_within_its_time() -> None:
    absent = "postgresql://portillon_app@127.0.0.1:1/none"
    with Database(absent, 1, connect_seconds=0.5) as database, pytest.raises(DatabaseAway), database.untenanted():
        pass


def test_a_page_says_that_the_database_is_away_and_a_program_gets_a_code() -> None:
    with Database("postgresql://portillon_app@127.0.0.1:1/none", 1, connect_seconds=0.3) as database:
        answer = TestClient(an_application(database)).post("/stored", headers={"accept": "application/json"})
    assert answer.status_code == 503
    assert answer.json()["code"] == "AWAY"


@pytest.mark.serial
@pytest.mark.database
def test_a_database_that_was_killed_serves_again_as_soon_as_it_is_back(tmp_path: Path) -> None:
    server = start_database(tmp_path, durable=False)
    try:
        with Database(server.url, 2, connect_seconds=3) as database:
            with database.untenanted() as tx:
                assert one(tx, int, "SELECT 1") == 1
            server.kill()
            with pytest.raises(DatabaseAway), database.untenanted() as tx:
                tx.execute("SELECT 1")
            server.start()
            with database.untenanted() as tx:
                assert one(tx, int, "SELECT 1") == 1
    finally:
        server.stop()


def test_a_connection_lost_in_the_middle_is_said_and_nothing_is_kept(clone: Clone) -> None:
    with Database(clone.url, 2) as database, psycopg.connect(clone.owner_url, autocommit=True) as hand:
        with pytest.raises(DatabaseAway), database.untenanted() as tx:
            tx.execute("INSERT INTO login (id, created_at) VALUES (%s, %s)", (new_id(), NOW))
            hand.execute("SELECT pg_terminate_backend(%s)", (tx.info.backend_pid,))
            tx.execute("SELECT 1")
        assert logins(database) == 0


def test_the_trace_of_a_broken_rule_does_not_quote_the_row(database: Database) -> None:
    name = "aigerim".upper()  # not spelled like this in the source, which a trace quotes too
    with pytest.raises(RuleBroken) as broken, database.untenanted() as tx:
        tx.execute("INSERT INTO login (id, email, created_at) VALUES (%s, %s, %s)", (new_id(), name, NOW))
    told = "".join(traceback.format_exception(broken.value))
    assert "login_email_normal" in told
    assert name not in told
