"""The mode of a site: set by people, signed as a level, ended by itself; yesterday's opens nothing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier
from uuid import UUID

import pytest
from typer.testing import CliRunner

from cloud.cli import app
from cloud.kit import clock
from cloud.kit.db import Database, RuleBroken
from cloud.passes import modes
from cloud.passes.keys import KeyRing, init_keys
from cloud.passes.model import SignedDocument
from edge.roster import NTP, Roster
from protocols.documents import Mode
from protocols.reasons import DocumentKind
from tests.cast import Cast, a_district
from tests.conftest import Clone
from tests.gates import a_gate

HOUR = timedelta(hours=1)


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return init_keys(tmp_path / "root", tmp_path / "keys", int(clock.now().timestamp()) - 30 * 86_400)


def set_mode(
    database: Database, cast: Cast, mode: Mode, now: datetime, ends_at: datetime | None = None, by: UUID | None = None
) -> None:
    with database.tenant(cast.district) as tx:
        modes.set_mode(tx, cast.district, cast.site, mode, now, ends_at=ends_at, by=by)


def signed(database: Database, cast: Cast, ring: KeyRing, now: datetime) -> SignedDocument:
    with database.tenant(cast.district) as tx:
        document = modes.sign_mode(tx, ring, cast.district, cast.site, now)
    assert document
    return document


def a_roster(cast: Cast, ring: KeyRing) -> Roster:
    return Roster(cast.site, 11, trust=ring.trust, clock=NTP)


def test_a_lockdown_stands_until_another_mode_is_set(database: Database, cast: Cast, ring: KeyRing) -> None:
    now, roster = clock.now(), a_roster(cast, ring)
    set_mode(database, cast, Mode.LOCKDOWN, now, by=cast.mother)
    first = signed(database, cast, ring, now)
    assert roster.apply(DocumentKind.KM1, first.body, now.timestamp()) == "MODE_OK"
    assert roster.mode((now + 29 * 24 * HOUR).timestamp()) == Mode.LOCKDOWN
    assert signed(database, cast, ring, now + HOUR).version == 1, "nothing new, nothing signed"
    assert signed(database, cast, ring, now + 25 * HOUR).version == 2, "signed anew long before it ends"
    set_mode(database, cast, Mode.NORMAL, now + 26 * HOUR)
    last = signed(database, cast, ring, now + 26 * HOUR)
    assert roster.apply(DocumentKind.KM1, last.body, (now + 26 * HOUR).timestamp()) == "MODE_OK"
    assert roster.mode((now + 26 * HOUR).timestamp()) == Mode.NORMAL


def test_open_doors_end_by_themselves_at_the_gate_and_in_the_cloud(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    now, roster = clock.now(), a_roster(cast, ring)
    set_mode(database, cast, Mode.FREE, now)
    free = signed(database, cast, ring, now)
    roster.apply(DocumentKind.KM1, free.body, now.timestamp())
    assert roster.mode((now + 3.9 * HOUR).timestamp()) == Mode.FREE
    assert roster.mode((now + 4 * HOUR).timestamp()) == Mode.NORMAL
    after = signed(database, cast, ring, now + 4 * HOUR)
    assert after.version == free.version + 1
    assert roster.apply(DocumentKind.KM1, after.body, (now + 4 * HOUR).timestamp()) == "MODE_OK"


def test_p48_a_recorded_free_mode_replayed_tomorrow_is_refused_by_version_and_by_expiry(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    now, tomorrow = clock.now(), clock.now() + 24 * HOUR
    set_mode(database, cast, Mode.FREE, now)
    recorded = signed(database, cast, ring, now).body
    newcomer, knowing = a_roster(cast, ring), a_roster(cast, ring)
    assert newcomer.apply(DocumentKind.KM1, recorded, tomorrow.timestamp()) == "MODE_EXPIRED"
    assert newcomer.mode(tomorrow.timestamp()) == Mode.NORMAL
    set_mode(database, cast, Mode.NORMAL, now + HOUR)
    newer = signed(database, cast, ring, now + HOUR)
    assert knowing.apply(DocumentKind.KM1, newer.body, (now + HOUR).timestamp()) == "MODE_OK"
    for at in (now + 2 * HOUR, tomorrow):
        assert knowing.apply(DocumentKind.KM1, recorded, at.timestamp()) == "MODE_ROLLBACK"
        assert knowing.mode(at.timestamp()) == Mode.NORMAL


@pytest.mark.parametrize(
    ("mode", "minutes", "code"),
    [(Mode.FREE, 241, "MODE_TOO_LONG"), (Mode.EVACUATE, 1_000, "MODE_TOO_LONG"), (Mode.LOCKDOWN, -1, "MODE_PAST")],
)
def test_an_end_that_cannot_be_is_refused(
    database: Database, cast: Cast, mode: Mode, minutes: int, code: str
) -> None:
    now = clock.now()
    with pytest.raises(modes.ModeRefused) as refused:
        set_mode(database, cast, mode, now, now + timedelta(minutes=minutes))
    assert refused.value.code == code


def test_of_eight_who_set_a_mode_at_once_each_has_set_one_and_the_last_counts(database: Database, cast: Cast) -> None:
    now, start = clock.now(), Barrier(8)

    def decide(number: int) -> int:
        start.wait(timeout=30)
        mode = Mode.LOCKDOWN if number % 2 else Mode.NORMAL
        with database.tenant(cast.district) as tx:
            return modes.set_mode(tx, cast.district, cast.site, mode, now + timedelta(seconds=number)).n

    with ThreadPoolExecutor(8) as deciders:
        placed = list(deciders.map(decide, range(8)))
    assert sorted(placed) == list(range(1, 9))
    with database.tenant(cast.district) as tx:
        counts = modes.setting_of(tx, cast.district, cast.site)
    assert counts and counts.set_at == now + timedelta(seconds=placed.index(8))


def test_the_database_itself_leaves_no_door_open_for_a_day(database: Database, cast: Cast) -> None:
    for ends in ("NULL", "now() + interval '1 day'"):
        with pytest.raises(RuleBroken) as broken, database.tenant(cast.district) as tx:
            tx.execute(f"INSERT INTO site_mode VALUES ('{cast.district}', {cast.site}, 1, 3, now(), {ends})".encode())
        assert (broken.value.sqlstate, broken.value.constraint) == ("23514", "site_mode_open_ends")


def test_who_set_it_stands_in_the_audit_log(database: Database, cast: Cast) -> None:
    set_mode(database, cast, Mode.LOCKDOWN, clock.now(), by=cast.mother)
    with database.tenant(cast.district) as tx:
        [line] = tx.execute("SELECT action, by_person, detail FROM audit_log WHERE action = 'site.mode'").fetchall()
    assert line == ("site.mode", cast.mother, {"site": cast.site, "mode": "lockdown"})


def test_the_command_sets_and_shows_a_mode(database: Database, cast: Cast, clone: Clone) -> None:
    a_gate(database, cast)
    run, environment = CliRunner().invoke, {"PORTILLON_DATABASE_URL": clone.url}
    assert '"mode": "normal"' in run(app, ["site", "mode", "101", "--json"], env=environment).stdout
    told = run(app, ["site", "mode", "101", "evacuate", "--minutes", "30", "--json"], env=environment)
    assert '"mode": "evacuate"' in told.stdout
    assert run(app, ["site", "mode", "101", "party"], env=environment).exit_code == 2
    unknown = run(app, ["site", "mode", "999", "lockdown"], env=environment)
    assert isinstance(unknown.exception, modes.ModeRefused) and unknown.exception.code == "MODE_SITE"
