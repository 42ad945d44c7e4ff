"""What a gate no longer takes is on its list within a minute, and is handed out to nobody any more (P32)."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cloud.identity import service as identity
from cloud.identity.model import Role
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.kit.ids import new_id
from cloud.passes import queries
from cloud.passes import service as passes
from cloud.passes.keys import KeyRing, KeysRefused, init_keys
from cloud.people import service as people
from protocols.canonical import encode
from protocols.cose import kid_of
from protocols.passes import INTENT_CONFIRM, INTENT_ENTER, DeviceKey
from protocols.trust import Role as KeyRole
from tests.cast import Cast, a_district
from tests.phones import an_ed25519_phone, octets
from tests.thresholds import Door, a_staff_pass


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return init_keys(tmp_path / "root", tmp_path / "keys", int(clock.now().timestamp()))


def a_phone(database: Database, cast: Cast) -> passes.Phone:
    """The father's phone."""
    device = DeviceKey(octets(an_ed25519_phone(7).key["x"]))
    with database.tenant(cast.district) as tx:
        tx.execute("INSERT INTO pass_key VALUES (%s, %s, %s, 1, %s, %s, now())",
                   (cast.district, new_id(), cast.father, encode(device.to_cose()), device.thumb))  # fmt: skip
        return passes.phones_of(tx, cast.district, cast.father)[0]


def fetched(database: Database, cast: Cast, ring: KeyRing, phone: passes.Phone, at: datetime | None = None) -> bytes:
    with database.tenant(cast.district) as tx:
        [offer] = passes.offers(tx, ring, cast.district, phone, at or clock.now())
    return offer.credential


def test_a_staff_pass_ends_at_the_gate_with_the_role_and_not_a_week_later(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    staff = a_staff_pass(database, cast, ring, cast.teacher)
    door = Door(database, cast, ring)
    assert door.sees(staff(door.at, INTENT_ENTER)).code == "OPEN"
    with database.tenant(cast.district) as tx:
        assert identity.end_role(tx, cast.district, cast.teacher, Role.TEACHER, clock.now().date())
    door.learn()
    for seconds, intent in ((1, INTENT_ENTER), (2, INTENT_CONFIRM)):
        told = door.sees(staff(door.at + seconds, intent), seconds)
        assert (told.code, told.strike) == ("REVOKED", False)


def test_a_role_ends_at_midnight_of_the_school_and_not_of_greenwich(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    a_staff_pass(database, cast, ring, cast.teacher)
    before, after = (datetime(2026, 9, 1, 18, 59, tzinfo=UTC) + timedelta(minutes=ahead) for ahead in (0, 1))
    with database.tenant(cast.district) as tx:
        tx.execute("UPDATE credential SET issued_at = %s, expires_at = %s", (before, after + timedelta(days=1)))
        identity.end_role(tx, cast.district, cast.teacher, Role.TEACHER, date(2026, 9, 2))
        for at, listed in ((before, 0), (after, 1)):  # Almaty is five hours ahead: 23:59 and 00:00
            content = passes.policy_content(tx, cast.district, cast.site, at)
            assert len(content.revocations.ctis) == listed, at
            assert bool(queries.staff_rights(tx, cast.district, cast.teacher, at)) != bool(listed), at


def test_a_staff_pass_that_says_more_than_its_holders_powers_is_listed_and_one_that_says_less_is_not(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    def listed() -> int:
        with database.tenant(cast.district) as tx:
            return len(passes.policy_content(tx, cast.district, cast.site, clock.now()).revocations.ctis)

    with database.tenant(cast.district) as tx:
        people.put_staff(tx, cast.district, cast.teacher, cast.school, 5)
    a_staff_pass(database, cast, ring, cast.teacher)
    for powers, count in ((5, 0), (15, 0), (1, 1), (4, 1), (0, 1), (7, 0)):
        with database.tenant(cast.district) as tx:
            people.put_staff(tx, cast.district, cast.teacher, cast.school, powers)
        assert listed() == count, powers


def test_a_phone_is_not_handed_a_credential_of_an_issuer_that_was_revoked(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    phone = a_phone(database, cast)
    fetched(database, cast, ring, phone)
    with database.untenanted() as tx:
        key = ring.signing_key(KeyRole.ISSUER, clock.now().timestamp())
        passes.revoke_issuer(tx, kid_of(bytes(key.verify_key)), clock.now())
    with pytest.raises(KeysRefused) as told:
        fetched(database, cast, ring, phone)
    assert told.value.code == "KEY_MISSING", "a new one by the same key would be as dead"


def test_a_phone_is_not_handed_a_credential_older_than_its_holders_block(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    phone, now = a_phone(database, cast), clock.now().replace(microsecond=200_000)
    before = fetched(database, cast, ring, phone, now)
    with database.tenant(cast.district) as tx:
        passes.block_holder(tx, cast.district, cast.site, cast.father, now + timedelta(milliseconds=500))
        [block] = passes.policy_content(tx, cast.district, cast.site, now).revocations.holders.values()
    assert block == int(now.timestamp()) + 1, "the second in which the credential was issued is blocked too"
    after = fetched(database, cast, ring, phone, now + timedelta(seconds=2))
    assert after != before and after == fetched(database, cast, ring, phone, now + timedelta(seconds=3))
