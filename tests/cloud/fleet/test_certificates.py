"""Certificates: renewed with the old key, refused for any other, taken back, told before they end; two of one gate."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from nacl.signing import SigningKey

from cloud.config import read_settings
from cloud.fleet import authority, certificates, claim_queries, clones
from cloud.fleet import service as fleet
from cloud.fleet.authority import AuthorityRefused
from cloud.fleet.reports import StateReport
from cloud.health import examine
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.kit.jobs import Job
from cloud.reactions import CLOCK, World, react
from cloud.worker import GLOBAL_FACTS
from edge.certificate import CertificateRefused, judge_answer, new_key, read_held, request_for
from tests.cast import NOW, Cast, a_district
from tests.claimants import Claimant
from tests.cloud.fleet.locks import until_one_waits
from tests.gates import a_gate

REGISTRY = SigningKey(bytes(range(32)))
DAY = timedelta(days=1)


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


class Fleet:
    """A gate with a certificate, and the authority that signs here."""

    def __init__(self, database: Database, cast: Cast, folder: Path) -> None:
        self.database, self.cast, self.folder = database, cast, folder
        for kind in (authority.GATES, authority.SERVICES):
            authority.init(folder, kind, NOW)
        a_gate(database, cast)
        self.gate = Claimant()
        with database.tenant(cast.district) as tx:
            certificates.ask(tx, cast.district, 11, authority.read_request(self.gate.request), "claim", NOW)
            assert certificates.sign_waiting(tx, cast.district, self.authorities(), NOW) == [11]

    def authorities(self) -> list[authority.Authority]:
        return authority.signing(self.folder, authority.GATES)

    def ask(self, body: bytes, now: datetime = NOW, gate: int = 11, keys: bool = True) -> dict[str, Any] | None:
        """Return what the gate is answered."""
        with self.database.tenant(self.cast.district) as tx:
            answer = certificates.renew(
                tx, self.cast.district, gate, body, self.authorities() if keys else [],
                authority.bundle(self.folder, authority.SERVICES), lambda what: REGISTRY.sign(what).signature, now,
            )  # fmt: skip
        return json.loads(answer) if answer else None

    def code(self, body: bytes, now: datetime = NOW, gate: int = 11) -> str:
        return (self.ask(body, now, gate) or {}).get("code", "")


@pytest.fixture
def ours(database: Database, cast: Cast, tmp_path: Path) -> Fleet:
    return Fleet(database, cast, tmp_path)


def is_registrys(key: SigningKey = REGISTRY) -> Callable[[bytes, bytes], bool]:
    def verify(signature: bytes, statement: bytes) -> bool:
        return key.sign(statement).signature == signature

    return verify


def test_the_next_certificate_is_signed_for_with_the_old_key_and_asked_again_it_is_the_same(ours: Fleet) -> None:
    new, now = new_key(), NOW + 55 * DAY
    body = ours.gate.renewal(new, "101-11")
    first, again = ours.ask(body, now), ours.ask(body, now + DAY)
    assert first == again and first
    request, answer = bytes.fromhex(first["request"]), json.dumps(first).encode()
    renewed = judge_answer(answer, new, request, "101-11", is_registrys(), now.timestamp())
    assert renewed and renewed.held.name == "101-11" and renewed.held.days_left(now.timestamp()) == 90
    assert renewed.line.endswith(new) and renewed.authorities == authority.bundle(ours.folder, authority.SERVICES)
    assert renewed.held.renew_at() == pytest.approx((now + 54 * DAY).timestamp(), abs=600)
    with ours.database.tenant(ours.cast.district) as tx:
        assert [one.why for one in certificates.of_gate(tx, ours.cast.district, 11)] == ["renewal", "claim"]
    after = ours.gate.renewal(new_key(), "101-11")
    assert ours.code(after, now) == ""  # the old one is still in force: a lost answer locks no gate out


def test_whoever_has_not_the_old_key_gets_no_certificate(ours: Fleet) -> None:
    stranger = Claimant()
    assert ours.code(stranger.renewal(new_key(), "101-11")) == "RENEWAL_SIGNATURE"
    assert ours.code(ours.gate.renewal(new_key(), "101-12")) == "RENEWAL_SIGNATURE"  # signed for a sister's name
    a_gate(ours.database, ours.cast, 12, seed=12)
    assert ours.code(ours.gate.renewal(new_key(), "101-12"), gate=12) == "RENEWAL_SIGNATURE"
    body = json.loads(ours.gate.renewal(new_key(), "101-11"))
    body["request"] = request_for(new_key(), "x").hex()
    assert ours.code(json.dumps(body).encode()) == "RENEWAL_SIGNATURE"


def test_an_ended_certificate_and_a_revoked_one_renew_nothing(ours: Fleet) -> None:
    body = ours.gate.renewal(new_key(), "101-11")
    assert ours.code(body, NOW + 90 * DAY) == "RENEWAL_EXPIRED"
    with ours.database.tenant(ours.cast.district) as tx:
        fleet.revoke_gate(tx, ours.cast.district, 11, NOW)
    assert ours.code(body) == "RENEWAL_REVOKED"


def test_a_gate_that_asks_all_day_is_told_to_wait(ours: Fleet) -> None:
    for _ in range(certificates.REQUESTS_A_DAY_MAX - 1):
        assert ours.code(ours.gate.renewal(new_key(), "101-11")) == ""
    assert ours.code(ours.gate.renewal(new_key(), "101-11")) == "RENEWAL_TOO_MANY"
    assert ours.code(ours.gate.renewal(new_key(), "101-11"), NOW + DAY) == ""


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"[" * 9_000, b'{"v":1,"ask":"certificate"}',
     b'{"v":1,"ask":"time","request":"","signature":""}', b" " * 9_000,
     b'{"v":1,"ask":"certificate","request":"30","signature":"zz"}',
     b'{"v":1,"ask":"certificate","request":7,"signature":8}'],
)  # fmt: skip
def test_a_request_of_another_shape_is_refused_with_a_code(body: bytes) -> None:
    with pytest.raises(certificates.CertificateRefused) as refused:
        certificates.read_renewal(body)
    assert refused.value.code == "RENEWAL_FORMAT"


def test_without_the_authoritys_key_requests_wait_until_somebody_brings_it(ours: Fleet) -> None:
    body = ours.gate.renewal(new_key(), "101-11")
    assert ours.ask(body, keys=False) is None
    assert ours.ask(body, keys=False) is None
    with ours.database.tenant(ours.cast.district) as tx:
        assert certificates.sign_waiting(tx, ours.cast.district, ours.authorities(), NOW) == [11]
    assert "certificate" in (ours.ask(body, keys=False) or {})


def test_a_gate_takes_no_answer_that_the_registry_did_not_sign(ours: Fleet) -> None:
    new = new_key()
    told = ours.ask(ours.gate.renewal(new, "101-11"))
    assert told
    request, at = bytes.fromhex(told["request"]), NOW.timestamp()

    def judged(
        key: bytes = new, name: str = "101-11", at: float = at, by: SigningKey = REGISTRY, **changed: Any
    ) -> str:
        try:
            found = judge_answer(json.dumps({**told, **changed}).encode(), key, request, name, is_registrys(by), at)
        except CertificateRefused as refused:
            return refused.code
        return "taken" if found else "not ours"

    stranger = authority.bundle(ours.folder, authority.GATES).decode()
    assert judged() == "taken"
    assert judged(by=SigningKey.generate()) == "CERTIFICATE_SIGNATURE"
    assert judged(ca=stranger) == "CERTIFICATE_SIGNATURE"  # a broker that would rather be believed itself
    assert judged(key=new_key()) == "CERTIFICATE_KEY"
    assert judged(name="101-12") == "CERTIFICATE_NAME"
    assert judged(at=at + 91 * 86_400) == "CERTIFICATE_LIFE"
    assert judged(request="00") == judged(re="time") == "not ours"
    assert judged(v=2) == judged(certificate=None) == judged(signature="zz") == "CERTIFICATE_FORMAT"
    assert judged(code="RENEWAL_REVOKED") == "RENEWAL_REVOKED"


def test_two_authorities_are_trusted_at_once_and_the_new_one_signs(ours: Fleet) -> None:
    old = ours.authorities()[0]
    assert authority.make_next(ours.folder, authority.GATES, NOW) == 2
    names = [one.subject.rfc4514_string() for one in x509.load_pem_x509_certificates(
        authority.bundle(ours.folder, authority.GATES))]  # fmt: skip
    assert names == ["CN=portillon gates 2", "CN=portillon gates 1"]
    new = new_key()
    told = ours.ask(ours.gate.renewal(new, "101-11"))  # by a certificate of the old one
    assert told
    signed = x509.load_pem_x509_certificate(told["certificate"].encode())
    signed.verify_directly_issued_by(ours.authorities()[0].certificate)
    assert ours.authorities()[0].id != old.id
    authority.drop(ours.folder, authority.GATES, 1)
    with pytest.raises(AuthorityRefused) as last:
        authority.drop(ours.folder, authority.GATES, 2)
    assert last.value.code == "CA_MISSING"
    with pytest.raises(AuthorityRefused) as twice:
        authority.init(ours.folder, authority.GATES, NOW)
    assert twice.value.code == "CA_EXISTS"


def test_the_list_of_revocations_names_what_was_taken_back_of_every_district(ours: Fleet, database: Database) -> None:
    with database.tenant(ours.cast.district) as tx:
        fleet.revoke_gate(tx, ours.cast.district, 11, NOW)
        serial = bytes(certificates.of_gate(tx, ours.cast.district, 11)[0].serial)
    with database.untenanted() as tx:
        certificates.keep_lists(tx, ours.authorities(), NOW)
        made = x509.load_pem_x509_crl(certificates.revocation_lists(tx))
    assert [one.serial_number for one in made] == [int.from_bytes(serial, "big")]
    assert made.is_signature_valid(ours.authorities()[0].key.public_key())
    assert made.next_update_utc and made.next_update_utc - NOW > 365 * DAY  # one that ended would shut everybody out


def test_a_list_that_is_a_month_old_is_signed_anew_though_nobody_was_revoked(ours: Fleet, database: Database) -> None:
    def daily(now: datetime, ca_dir: Path | None = ours.folder) -> list[datetime]:
        """Return until when the lists count, after what the worker does each day."""
        job = Job(1, "RevocationsDue", None, {}, 0)
        with database.untenanted() as tx:
            react(tx, World(None, ca_dir), job, now)  # type: ignore[arg-type]
        with database.untenanted() as tx:
            ends = certificates.lists_end(tx, authority.trusted(ours.folder, authority.GATES))
            made = certificates.revocation_lists(tx)
        found = sorted(one.next_update_utc for one in _lists(made) if one.next_update_utc)
        assert ends == (found[0] if found else None)
        return found

    first = NOW.replace(microsecond=0) + 400 * DAY
    assert daily(NOW, None) == [] and daily(NOW) == daily(NOW + 29 * DAY) == [first]
    assert daily(NOW + 31 * DAY) == [first + 31 * DAY]
    authority.make_next(ours.folder, authority.GATES, NOW)
    assert daily(NOW + 32 * DAY) == [first + 31 * DAY, first + 32 * DAY], "a new authority has its list within a day"
    assert CLOCK["RevocationsDue"] == DAY and "RevocationsDue" in GLOBAL_FACTS


def test_lists_that_end_within_two_months_are_a_fault_of_the_cloud(ours: Fleet, database: Database) -> None:
    settings = read_settings({"PORTILLON_CA_DIR": str(ours.folder)})

    def told() -> list[tuple[bool, str]]:
        return [(one.ok, one.repair) for one in examine(settings, database) if one.name == "revocations"]

    assert told() == [], "nothing was signed yet"
    for days_ago, well in ((339, True), (341, False), (401, False)):
        with database.untenanted() as tx:
            certificates.keep_lists(tx, ours.authorities(), clock.now() - days_ago * DAY)
        [(ok, repair)] = told()
        assert ok == well and ("gate sign" in repair) == (not well)
    authority.make_next(ours.folder, authority.GATES, NOW)
    authority.drop(ours.folder, authority.GATES, 1)
    assert told() == [], "the list of an authority that nobody trusts may end"


def _lists(made: bytes) -> list[x509.CertificateRevocationList]:
    end = b"-----END X509 CRL-----"
    return [x509.load_pem_x509_crl(one + end) for one in made.split(end) if one.strip()]


def test_of_two_who_sign_at_once_the_later_one_reads_anew_what_was_revoked(ours: Fleet, database: Database) -> None:
    def later() -> None:
        with database.untenanted() as tx:
            certificates.keep_lists(tx, ours.authorities(), NOW)

    with ThreadPoolExecutor(1) as pool:
        with database.untenanted() as tx:
            certificates.keep_lists(tx, ours.authorities(), NOW)
            second = pool.submit(later)
            until_one_waits(database)
            with database.tenant(ours.cast.district) as other:
                fleet.revoke_gate(other, ours.cast.district, 11, NOW)
        second.result(timeout=5)
    with database.untenanted() as tx:
        [made] = _lists(certificates.revocation_lists(tx))
    assert len(list(made)) == 1


def test_an_end_is_told_thirty_fourteen_and_seven_days_before(ours: Fleet) -> None:
    def faults(days_left: float) -> set[str]:
        now = NOW + timedelta(days=90 - days_left)
        with ours.database.tenant(ours.cast.district) as tx:
            found = fleet.list_gates(tx, ours.cast.district, now)[0].faults
        return {code for code in found if code.startswith("CERTIFICATE")}

    assert [faults(days) for days in (31, 30, 14, 7, 0)] == [
        set(), {"CERTIFICATE_30_DAYS"}, {"CERTIFICATE_14_DAYS"}, {"CERTIFICATE_7_DAYS"}, {"CERTIFICATE_ENDED"},
    ]  # fmt: skip
    with ours.database.tenant(ours.cast.district) as tx:
        assert [one.gate for one in claim_queries.ends(tx, ours.cast.district)] == [11]


def test_two_sessions_that_take_turns_are_a_copied_card_and_a_restart_is_none(ours: Fleet) -> None:
    def born(*sessions: str, seconds: float = 30) -> set[str]:
        with ours.database.tenant(ours.cast.district) as tx:
            for number, session in enumerate(sessions):
                at = NOW + timedelta(seconds=number * seconds)
                fleet.apply_state(tx, ours.cast.district, 11, StateReport("online", session, {}), at)
            return {alarm.code for alarm in fleet.open_alarms(tx, ours.cast.district)}

    assert born("a", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j") == set()
    assert born("k", "l", "k", "l", "m") == set()  # what ingest hears twice after a crash of its own
    assert born("n", "o", "n", "o", "n", seconds=700) == set()  # hours apart: a card that was put back
    assert born("p", "q", "p", "q", "p") == {clones.CLONED}


def test_the_clones_history_has_a_bound_and_forgets_the_oldest() -> None:
    past: list[tuple[str, float]] = []
    for number in range(20):
        past = clones.followed(past, str(number), str(number + 1), number)
    assert past == [(str(number), number) for number in range(12, 20)]
    assert clones.followed(past, "20", "20", 99) == past and clones.followed(past, None, "20", 99) == past


def test_what_is_held_tells_days_and_the_moment_of_renewal(ours: Fleet) -> None:
    with ours.database.tenant(ours.cast.district) as tx:
        body = certificates.of_gate(tx, ours.cast.district, 11)[0].body
    assert body
    held = read_held(certificates.as_pem(bytes(body)))
    assert (held.days_left(NOW.timestamp()), held.days_left((NOW + 100 * DAY).timestamp())) == (90, 0)
    with pytest.raises(CertificateRefused) as refused:
        read_held(b"no certificate")
    assert refused.value.code == "CERTIFICATE_FORMAT"
