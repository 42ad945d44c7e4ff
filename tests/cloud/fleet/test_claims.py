"""A gate asks for a name, an operator who stands before it gives it one; everything else is refused, with its code."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi.testclient import TestClient

from cloud.app import create_app
from cloud.config import Settings
from cloud.fleet import authority, certificates, claims
from cloud.fleet import service as fleet
from cloud.kit import clock
from cloud.kit.db import Database, RuleBroken
from cloud.passes.keys import init_keys
from tests.cast import NOW, Cast, a_district
from tests.claimants import Claimant
from tests.conftest import Clone
from tests.gates import a_gate

SECRET = bytes(32)
LATER = NOW + timedelta(seconds=899)


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


def claimed(database: Database, cast: Cast, gate: Claimant, now: datetime = NOW, **changed: Any) -> claims.Made:
    with database.tenant(cast.district) as tx:
        return claims.claim(tx, cast.district, "demo", gate.said(**changed), SECRET, now)


def approved(
    database: Database, district: UUID, gate: Claimant, number: int = 21, *, site: int = 101, now: datetime = LATER,
    seen: str = "", code: str = "", secret: bytes = SECRET,
) -> None:  # fmt: skip
    with database.tenant(district) as tx:
        claims.approve(tx, district, code or gate.code, seen or gate.fingerprint, site=site, gate=number,
                       name="main door", secret=secret, by=None, now=now)  # fmt: skip


def refused(act: Any, *arguments: Any, **named: Any) -> tuple[str, tuple[str, str]]:
    """Return the code, and SQLSTATE and constraint where the database said it first."""
    with pytest.raises((claims.ClaimRefused, fleet.GateRefused, authority.AuthorityRefused)) as no:
        act(*arguments, **named)
    cause = no.value.__cause__
    return no.value.code, (cause.sqlstate, cause.constraint) if isinstance(cause, RuleBroken) else ("", "")


BY_CODE = ("", "")


def test_a_claim_that_is_approved_becomes_a_gate_with_a_certificate_of_ninety_days(
    database: Database, cast: Cast, tmp_path: Path
) -> None:
    gate = Claimant()
    made = claimed(database, cast, gate)
    assert made.fingerprint == gate.fingerprint
    with database.tenant(cast.district) as tx:
        assert claims.told(tx, cast.district, made.id, made.token, NOW) == {"state": "waiting"}
        assert [one.fingerprint for one in claims.waiting(tx, cast.district, NOW)] == [gate.fingerprint]
    approved(database, cast.district, gate, code="  Moon River-LAMP  otter ", seen=gate.fingerprint.upper())
    with database.tenant(cast.district) as tx:
        assert claims.told(tx, cast.district, made.id, made.token, NOW) == {"state": "signing", "gate": 21}
        authority.init(tmp_path, authority.GATES, NOW)
        assert certificates.sign_waiting(tx, cast.district, authority.signing(tmp_path, authority.GATES), NOW) == [21]
        told = claims.told(tx, cast.district, made.id, made.token, NOW)
        assert fleet.gate_of(tx, cast.district, 21).public_key == bytes(gate.key.verify_key)
    read = x509.load_pem_x509_certificate(told["certificate"].encode())
    assert read.subject.rfc4514_string() == "CN=101-21"
    assert (told["site"], told["gate"], told["timezone"]) == (101, 21, "Asia/Almaty")
    assert read.not_valid_after_utc - NOW.replace(microsecond=0) == timedelta(days=90)
    read.verify_directly_issued_by(authority.signing(tmp_path, authority.GATES)[0].certificate)


def test_a_code_counts_once(database: Database, cast: Cast) -> None:
    gate = Claimant()
    claimed(database, cast, gate)
    approved(database, cast.district, gate)
    assert refused(approved, database, cast.district, gate, 22) == ("CLAIM_USED", BY_CODE)
    assert refused(claimed, database, cast, Claimant()) == (
        "CLAIM_CODE_TAKEN", ("23505", "gate_claim_code_once"))  # fmt: skip


def test_a_code_ends_after_fifteen_minutes_and_its_key_may_claim_again(database: Database, cast: Cast) -> None:
    gate, after = Claimant(), NOW + timedelta(seconds=900)
    made = claimed(database, cast, gate)
    assert refused(approved, database, cast.district, gate, now=after) == ("CLAIM_EXPIRED", BY_CODE)
    with database.tenant(cast.district) as tx:
        assert claims.told(tx, cast.district, made.id, made.token, after) == {"state": "expired"}
        assert claims.waiting(tx, cast.district, after) == []
    again = Claimant("sun-river-lamp-otter", gate.key, gate.tls)
    claimed(database, cast, again, after)


def test_a_code_of_another_district_is_unknown_here(database: Database, cast: Cast) -> None:
    there = a_district(database, "neighbour", 202)
    gate = Claimant()
    claimed(database, cast, gate)
    assert refused(approved, database, there.district, gate, site=202) == ("CLAIM_UNKNOWN", BY_CODE)
    with database.tenant(there.district) as tx:
        assert claims.waiting(tx, there.district, NOW) == []
    elsewhere = Claimant("sun-river-lamp-otter").said("neighbour")  # signed for the neighbour, sent to us
    with database.tenant(cast.district) as tx:
        assert refused(claims.claim, tx, cast.district, "demo", elsewhere, SECRET, NOW) == ("CLAIM_PROOF", BY_CODE)


def test_two_gates_cannot_claim_with_one_code_one_key_or_one_number(database: Database, cast: Cast) -> None:
    gate, there = Claimant(), a_district(database, "neighbour", 202)
    claimed(database, cast, gate)
    assert refused(claimed, database, cast, Claimant()) == (
        "CLAIM_CODE_TAKEN", ("23505", "gate_claim_code_once"))  # fmt: skip
    copied = Claimant("sun-river-lamp-otter", gate.key)
    key_taken = ("CLAIM_KEY_TAKEN", ("23505", "gate_claim_key_once"))
    assert refused(claimed, database, cast, copied) == key_taken
    with database.tenant(there.district) as tx:  # a copied card, carried into another district
        said = copied.said("neighbour")
        assert refused(claims.claim, tx, there.district, "neighbour", said, SECRET, NOW) == key_taken
    approved(database, cast.district, gate)
    other = Claimant("sun-river-lamp-otter")
    claimed(database, cast, other)
    assert refused(approved, database, cast.district, other)[0] == "GATE_NUMBER_TAKEN"
    assert refused(approved, database, cast.district, other, site=202) == ("CLAIM_SITE", BY_CODE)
    approved(database, cast.district, other, 22)


def test_the_key_of_a_gate_claims_nothing(database: Database, cast: Cast) -> None:
    known = a_gate(database, cast)
    assert refused(claimed, database, cast, Claimant(key=known.key)) == ("GATE_KEY_TAKEN", BY_CODE)


def test_another_fingerprint_is_not_approved_and_a_refused_claim_stays_refused(database: Database, cast: Cast) -> None:
    gate = Claimant()
    made = claimed(database, cast, gate)
    other = Claimant().fingerprint
    assert refused(approved, database, cast.district, gate, seen=other) == ("CLAIM_FINGERPRINT", BY_CODE)
    with database.tenant(cast.district) as tx:
        claims.refuse(tx, cast.district, gate.code, secret=SECRET, by=cast.operator, now=NOW)
        assert claims.told(tx, cast.district, made.id, made.token, NOW) == {"state": "refused"}
    assert refused(approved, database, cast.district, gate) == ("CLAIM_NOT_WANTED", BY_CODE)


def test_the_state_of_a_claim_is_told_to_its_gate_alone(database: Database, cast: Cast) -> None:
    made = claimed(database, cast, Claimant())
    with database.tenant(cast.district) as tx:
        assert refused(claims.told, tx, cast.district, made.id, "x" * 43, NOW) == ("CLAIM_UNKNOWN", BY_CODE)
        assert refused(claims.told, tx, cast.district, cast.mother, made.token, NOW) == ("CLAIM_UNKNOWN", BY_CODE)


def test_a_district_has_a_bound_of_gates_that_wait(database: Database, cast: Cast) -> None:
    tls = Claimant().tls
    for number in range(claims.WAITING_MAX):
        claimed(database, cast, Claimant(f"moon-river-lamp-w{number}", tls=tls))
    assert refused(claimed, database, cast, Claimant()) == ("CLAIMS_FULL", BY_CODE)
    claimed(database, cast, Claimant(tls=tls), NOW + timedelta(seconds=900))


def test_one_address_cannot_fill_a_district_and_what_was_approved_counts_no_more(
    database: Database, cast: Cast, settings: Settings, tmp_path: Path
) -> None:
    keys, ca = tmp_path / "keys", tmp_path / "ca"
    init_keys(tmp_path / "root", keys, int(clock.now().timestamp()))
    for kind in (authority.GATES, authority.SERVICES):
        authority.init(ca, kind, clock.now())
    app = create_app(replace(settings, keys_dir=keys, ca_dir=ca, gates_broker_url="mqtts://127.0.0.1:1"))
    tls = Claimant().tls

    def post(number: int, client: TestClient) -> tuple[Claimant, Any]:
        gate = Claimant(f"moon-river-lamp-w{number}", tls=tls if number else Claimant().tls)
        return gate, client.post("/api/gates/demo/claims", json=gate.said())

    with TestClient(app, client=("203.0.113.9", 1)) as here, TestClient(app, client=("203.0.113.10", 1)) as there:
        first, answer = post(0, here)
        codes = [post(number, here)[1].status_code for number in range(1, 40)]
        taken = codes.count(201) + 1
        assert taken * 2 - 1 < claims.WAITING_MAX, "nor can two windows of a quarter of an hour, one after the other"
        assert codes == [201] * (taken - 1) + [429] * (40 - taken) and taken >= 20, "a van full of gates"
        with database.tenant(cast.district) as tx:
            assert len(claims.waiting(tx, cast.district, clock.now())) == taken, "one that was refused leaves no row"
        assert post(50, there)[1].status_code == 201
        approved(database, cast.district, first, secret=settings.secret, now=clock.now())
        with database.tenant(cast.district) as tx:
            certificates.sign_waiting(tx, cast.district, authority.signing(ca, authority.GATES), clock.now())
        made = answer.json()
        told = here.get(f"/api/gates/demo/claims/{made['claim']}",
                        headers={"authorization": f"Bearer {made['token']}"}).json()  # fmt: skip
        assert told["state"] == "approved"
        assert [post(number, here)[1].status_code for number in (60, 61)] == [201, 429]


def rsa_request() -> str:
    key = rsa.generate_private_key(65_537, 2_048)
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER).hex()


def curve_request() -> str:
    key = ec.generate_private_key(ec.SECP384R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER).hex()


def bent(request: bytes, place: int) -> str:
    """The request with one byte changed: the last is its own signature's, one in the middle a point off the curve."""
    return (request[:place] + bytes((request[place] ^ 1,)) + request[place + 1 :]).hex()


GATE = Claimant()
POINT = GATE.request.index(b"\x04", GATE.request.index(bytes.fromhex("2a8648ce3d030107")) + 8) + 20


BAD_CLAIMS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"v": 2}, "CLAIM_FORMAT"), ({"v": True}, "CLAIM_FORMAT"), ({"code": 7}, "CLAIM_FORMAT"),
    ({"code": "one-two-three"}, "CLAIM_FORMAT"), ({"code": "a " * 5000}, "CLAIM_FORMAT"),
    ({"code": "sun-river-lamp-otter"}, "CLAIM_PROOF"), ({"code": "mooñ-river-lamp-otter"}, "CLAIM_FORMAT"),
    ({"public_key": bytes(32).hex()}, "BAD_KEY"), ({"public_key": "01" + "00" * 31}, "BAD_KEY"),
    ({"public_key": "zz"}, "CLAIM_FORMAT"), ({"public_key": "00"}, "BAD_KEY"),
    ({"public_key": bytes(Claimant().key.verify_key).hex()}, "CLAIM_PROOF"),
    ({"proof": "00" * 64}, "CLAIM_PROOF"), ({"proof": "00"}, "CLAIM_PROOF"), ({"proof": None}, "CLAIM_FORMAT"),
    ({"request": ""}, "REQUEST_FORMAT"), ({"request": "30" * 9_000}, "REQUEST_FORMAT"),
    ({"request": rsa_request()}, "REQUEST_FORMAT"), ({"request": curve_request()}, "REQUEST_FORMAT"),
    ({"request": bent(GATE.request, -1 % len(GATE.request))}, "REQUEST_FORMAT"),
    ({"request": bent(GATE.request, POINT)}, "REQUEST_FORMAT"),
    ({"request": Claimant().request.hex()}, "CLAIM_PROOF"),
)  # fmt: skip


def test_a_claim_of_another_shape_or_with_bad_keys_is_refused(database: Database, cast: Cast) -> None:
    for changed, code in BAD_CLAIMS:
        assert (changed, *refused(claimed, database, cast, GATE, **changed)) == (changed, code, BY_CODE)


def test_claims_of_long_ago_are_purged_by_their_rule(
    database: Database, cast: Cast, clone: Clone
) -> None:
    import psycopg

    from cloud.retention import purge

    claimed(database, cast, Claimant())
    with database.untenanted() as tx:
        assert purge(tx, NOW + timedelta(days=399))["gate_claim"] == 0
        assert purge(tx, NOW + timedelta(days=401))["gate_claim"] == 1
    with psycopg.connect(clone.owner_url) as owner:
        assert owner.execute("SELECT count(*) FROM gate_claim").fetchone() == (0,)
