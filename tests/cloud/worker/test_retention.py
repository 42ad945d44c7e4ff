"""What the clock deletes, and nothing else."""

from datetime import timedelta

import psycopg

from cloud.fleet import service as fleet
from cloud.identity import service as identity
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.passes import service as passes
from cloud.retention import RULES, purge
from tests.cast import a_district
from tests.conftest import Clone
from tests.gates import a_gate


def test_old_codes_guesses_letters_and_alarms_go_and_young_ones_stay(database: Database, clone: Clone) -> None:
    now, cast = clock.now(), a_district(database)
    a_gate(database, cast)
    with database.tenant(cast.district) as tx:
        passes.new_pairing_code(tx, bytes(32), cast.district, cast.mother, now)
        fleet.raise_alarm(tx, cast.district, 11, "LEDGER_GAP", now)
        fleet.close_alarm(tx, cast.district, 11, "LEDGER_GAP", now)
        fleet.raise_alarm(tx, cast.district, 11, "LEDGER_FORK", now)
    with database.untenanted() as tx:
        passes.find_code(tx, bytes(32), "1", "203.0.113.7", now)
        fleet.keep_dead_letter(tx, 11, "SEGMENT_FORMAT", b"x", now)
    with database.untenanted() as tx:
        assert not any(purge(tx, now + timedelta(hours=1)).values())
    with database.untenanted() as tx:
        gone = purge(tx, now + timedelta(days=401))
    assert {name: count for name, count in gone.items() if count} == {
        "pairing_code": 1, "dead_letter": 1, "gate_alarm": 1, "pairing_guess": 2,
    }  # fmt: skip
    with psycopg.connect(clone.owner_url) as owner:
        assert owner.execute("SELECT code FROM gate_alarm").fetchall() == [("LEDGER_FORK",)], "an open one stays"


def test_a_session_goes_ninety_days_after_it_was_ended_or_ran_out(database: Database) -> None:
    now, cast = clock.now(), a_district(database)
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, cast.mother, now)
        identity.sign_out(tx, identity.new_session(tx, login, "family", now), now)
        identity.new_session(tx, login, "family", now)
    for days, gone in ((89, 0), (91, 1), (269, 0), (271, 1)):
        with database.untenanted() as tx:
            assert purge(tx, now + timedelta(days=days))["session"] == gone


def test_every_rule_is_said_in_words() -> None:
    assert all(rule.kept and rule.kept[0].islower() or rule.kept[0].isdigit() for rule in RULES)
    assert len({rule.table for rule in RULES}) == len(RULES)
