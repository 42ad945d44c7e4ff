"""Passes of a second implementation, verified by ours and the other way round; keys, shapes, boundaries (P-2, P-3).

Which fault answers before which stands in test_pass_order.py; the mutants in test_pass_mutants.py.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import cbor2
import cwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from protocols import cose
from protocols.canonical import base45_decode
from protocols.passes import (
    DeviceKey,
    PassRefused,
    Place,
    Revocations,
    VerifiedPass,
    card_text,
    issue_card,
    issue_credential,
    issue_staff_credential,
    present,
    present_staff,
    verify,
)
from protocols.trust import Role, TrustedKey, trust_of
from tests.protocols import curves, foreign
from tests.protocols.foreign import GATE, ISSUER, NOW, P256_ORDER, PHONE, PHONE_P256, SITE, Card, Family, Staff, cbor

REFERENCE = st.integers(1, 2**32 - 1)
PHONES = pytest.mark.parametrize("phone", [PHONE, PHONE_P256], ids=["ed25519", "p256"])


def the_place(**changes: Any) -> Place:
    trusted = trust_of([TrustedKey(ISSUER.public, Role.ISSUER, frozenset({SITE}))])
    return dataclasses.replace(Place(site=SITE, at=NOW, trust=trusted, gate=GATE), **changes)


def answer(text: str, **changes: Any) -> str:
    """The code of a pass: OPEN here means that passes.py found nothing against it."""
    try:
        verify(text, the_place(**changes))
    except PassRefused as refused:
        return refused.reason
    return "OPEN"


# --- theirs with ours, ours with theirs -------------------------------------------------------------------------


@PHONES
@given(
    holder=REFERENCE,
    rows=st.lists(st.tuples(REFERENCE, st.integers(1, 7)), min_size=1, max_size=8, unique_by=lambda row: row[0]),
    direction=st.integers(1, 2),
    gate=st.none() | st.just(GATE),
    draw=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_a_pass_of_another_implementation_says_here_what_was_put_into_it(
    phone: foreign.DeviceKey, holder: int, rows: list, direction: int, gate: int | None, draw: st.DataObject
) -> None:
    mask = draw.draw(st.integers(1, 2 ** len(rows) - 1))
    made = Family(
        phone=phone, holder=holder, children=[list(r) for r in rows], direction=direction, childmask=mask, gate=gate
    )
    found = verify(made.text(), the_place())
    assert isinstance(found, VerifiedPass) and found.presentation
    assert (found.credential.site, found.credential.holder, found.credential.children) == (SITE, holder, tuple(rows))
    assert found.children == tuple(row for bit, row in enumerate(rows) if mask >> bit & 1)
    assert (found.presentation.direction, found.presentation.gate) == (direction, gate)
    assert found.credential.thumb == phone.thumb and found.credential.issuer == ISSUER.kid


@PHONES
@given(rows=st.lists(st.tuples(REFERENCE, st.integers(1, 7)), min_size=1, max_size=8, unique_by=lambda row: row[0]))
@settings(max_examples=20, deadline=None)
def test_a_pass_made_here_opens_for_another_implementation(phone: foreign.DeviceKey, rows: list) -> None:
    key = phone.cose_key
    device = DeviceKey(key[-2], key.get(-3))
    credential = issue_credential(
        SigningKey(ISSUER.seed),
        site=SITE,
        holder=5,
        children=rows,
        device=device,
        iat=NOW,
        exp=NOW + 60,
        cti=b"12345678",
    )
    text = present(credential, phone.sign, phone.alg, iat=NOW, direction=2, childmask=1)
    opened = foreign.opens(text, ISSUER.public)
    assert opened["claims"] == {
        4: NOW + 60, 6: NOW, 7: b"12345678", 8: {1: phone.cose_key}, -65537: [SITE, 5, [list(row) for row in rows]],
    }  # fmt: skip
    assert opened["shown"] == {6: NOW, -65538: [2, 1]}


@PHONES
def test_both_implementations_write_the_same_bytes_of_a_pass(phone: foreign.DeviceKey) -> None:
    made = Family(phone=phone, gate=GATE, childmask=3)
    device = DeviceKey(phone.cose_key[-2], phone.cose_key.get(-3))
    credential = issue_credential(
        SigningKey(ISSUER.seed), site=SITE, holder=made.holder, children=made.children, device=device, iat=made.iat,
        exp=made.exp, cti=made.cti,
    )  # fmt: skip
    assert credential == cbor(made.credential())
    text = present(credential, phone.sign, phone.alg, iat=made.at, direction=1, childmask=3, gate=GATE)
    assert text == made.text()


def test_both_implementations_write_the_same_bytes_of_a_staff_pass_and_of_a_card() -> None:
    staff, card = Staff(), Card()
    device = DeviceKey(staff.phone.cose_key[-2])
    issuer, times = SigningKey(ISSUER.seed), {"iat": staff.iat, "exp": staff.exp}
    credential = issue_staff_credential(
        issuer, site=SITE, staff=700, powers=15, device=device, cti=b"cti-staf", **times
    )
    assert present_staff(credential, staff.phone.sign, staff.phone.alg, iat=NOW, intent=1) == staff.text()
    made = issue_card(
        issuer, site=SITE, holder=500, children=card.children, iat=card.iat, exp=card.exp, cti=card.cti
    )  # fmt: skip
    assert card_text(made) == card.text()


def test_the_cwt_library_verifies_the_credential_and_the_presentation() -> None:
    for phone in (PHONE, PHONE_P256):
        text = Family(phone=phone).text()
        credential, presentation = cbor2.loads(base45_decode(text[4:]))
        issuer_key = cwt.COSEKey.new({1: 1, 2: ISSUER.kid, 3: -19, -1: 6, -2: ISSUER.public})
        verified = cwt.COSE.new().decode(cbor2.CBORTag(18, credential), keys=issuer_key, external_aad=b"KG1")
        claims = cbor2.loads(verified)
        whole = {-3: phone.y} if isinstance(phone, foreign.P256Key) else {}  # cwt reads no compressed points
        phone_key = cwt.COSEKey.new({**claims[8][1], 3: phone.alg, **whole})
        signed_by_phone = cbor2.CBORTag(18, presentation)
        shown = cwt.COSE.new().decode(signed_by_phone, keys=phone_key, external_aad=b"KG1" + cbor(credential))
        assert cbor2.loads(shown) == {6: NOW, -65538: [1, 1]}
        with pytest.raises(cwt.VerifyError):
            cwt.COSE.new().decode(signed_by_phone, keys=phone_key, external_aad=b"KG1")


@pytest.mark.parametrize(("children", "size", "characters"), [(1, 256, 388), (2, 263, 399), (3, 270, 409)])
def test_a_pass_has_the_size_that_the_specification_says(children: int, size: int, characters: int) -> None:
    most = 2**32 - 1
    made = Family(holder=most, children=[[most - n, 3] for n in range(children)], childmask=2**children - 1)
    assert (len(made.bytes()), len(made.text())) == (size, characters)
    assert answer(made.text()) == "OPEN"


def test_the_largest_pass_of_eight_children_fits_well_into_its_640_characters() -> None:
    most = 2**32 - 1
    made = Family(
        phone=PHONE_P256, site=most, holder=most, children=[[most - n, 7] for n in range(8)], childmask=255, gate=most
    )
    trusted = trust_of([TrustedKey(ISSUER.public, Role.ISSUER)])
    assert answer(made.text(), site=most, gate=most, trust=trusted) == "OPEN"
    assert len(made.text()) < 640


# --- boundaries -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(-20, "OPEN"), (-21, "STALE"), (10, "OPEN"), (11, "CLOCK_SKEW"), (900, "CLOCK_SKEW"), (901, "FUTURE")],
)
def test_the_time_window_of_a_presentation_ends_where_the_page_says(seconds: int, code: str) -> None:
    assert answer(Family(at=NOW + seconds).text()) == code


def test_a_clock_skew_says_by_how_many_seconds() -> None:
    with pytest.raises(PassRefused) as caught:
        verify(Family(at=NOW + 240).text(), the_place())
    assert caught.value.by == 240


@pytest.mark.parametrize(
    ("iat", "exp", "code"),
    [
        (NOW + 60, NOW + 100, "OPEN"),
        (NOW + 61, NOW + 100, "NOT_YET_VALID"),
        (NOW - 60, NOW + 1, "OPEN"),
        (NOW - 60, NOW, "EXPIRED"),
        (NOW - 60, NOW - 60 + 8 * 86_400, "OPEN"),
        (NOW - 60, NOW - 60 + 8 * 86_400 + 1, "FORMAT"),
        (NOW - 60, NOW - 60, "FORMAT"),
        (NOW - 60, NOW - 61, "FORMAT"),
    ],
)
def test_the_life_of_a_credential_begins_and_ends_where_the_page_says(iat: int, exp: int, code: str) -> None:
    assert answer(Family(iat=iat, exp=exp).text()) == code


@pytest.mark.parametrize(("days", "code"), [(400, "OPEN"), (400 + 1, "FORMAT")])
def test_a_card_lives_at_most_400_days(days: int, code: str) -> None:
    assert answer(Card(iat=NOW - 60, exp=NOW - 60 + days * 86_400).text()) == code


@pytest.mark.parametrize(
    ("window", "code"),
    [
        ((NOW - 3600, NOW - 3600), "OPEN"),
        ((NOW - 3599, 2**32 - 1), "ISSUER_WINDOW"),
        ((0, NOW - 3601), "ISSUER_WINDOW"),
    ],
)
def test_the_window_of_an_issuer_is_inclusive_and_meets_the_credentials_iat(window: tuple, code: str) -> None:
    trusted = trust_of([TrustedKey(ISSUER.public, Role.ISSUER, frozenset(), *window)])
    assert answer(Family().text(), trust=trusted) == code


@pytest.mark.parametrize(
    ("clock", "floor", "code"),
    [
        ("holdover", NOW + 5, "OPEN"),
        ("holdover", NOW + 6, "GATE_CLOCK"),
        ("ntp", NOW + 999, "OPEN"),
        ("untrusted", NOW + 999, "OPEN"),
    ],
)
def test_only_a_clock_in_holdover_answers_to_its_floor(clock: str, floor: int, code: str) -> None:
    assert answer(Family().text(), clock=clock, floor=floor) == code


@pytest.mark.parametrize(
    "made",
    [
        Family(iat=NOW + 999, exp=NOW + 9999),
        Family(iat=NOW - 999, exp=NOW - 9),
        Family(at=NOW - 999),
        Family(at=NOW + 9999),
    ],
)
def test_with_an_untrusted_clock_the_checks_of_time_are_skipped(made: Family) -> None:
    assert answer(made.text(), clock="untrusted") == "OPEN" != answer(made.text())


@pytest.mark.parametrize(("not_before", "code"), [(NOW - 3600, "OPEN"), (NOW - 3599, "HOLDER_BLOCKED")])
def test_a_holder_is_blocked_when_listed_with_a_later_not_before(not_before: int, code: str) -> None:
    assert answer(Family().text(), revocations=Revocations(holders={500: not_before})) == code


def test_640_characters_are_read_and_641_are_too_long() -> None:
    text = Family().text()
    assert answer(text + "0" * (640 - len(text))) == "FORMAT"
    assert answer(text + "0" * (641 - len(text))) == "TOO_LONG"


def test_seconds_and_references_up_to_the_end_of_uint32_are_read_and_beyond_it_are_format() -> None:
    end = 2**32 - 1
    made = Family(iat=end - 600, exp=end, at=end - 60, holder=end)
    assert answer(made.text(), at=end - 60) == "OPEN"
    assert answer(Family(exp=2**32).text()) == "FORMAT"
    assert answer(Family(holder=2**32).text()) == "FORMAT"


# --- shapes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "K", "KG1", "KX1:ABC", "kg1:ABC", "KGA:ABC", "https://example.org", "KG²:AA", " KG1:"]
)
def test_a_text_without_the_prefix_is_not_a_pass(text: str) -> None:
    assert answer(text) == "NOT_A_PASS"


@pytest.mark.parametrize("digit", "023456789")
def test_another_digit_than_one_is_an_unknown_version(digit: str) -> None:
    assert answer(f"KG{digit}:") == answer(f"KC{digit}:?") == "UNKNOWN_VERSION"


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"KG1", [], {}, None, 0, "text", [[]], [[], []], [None, None], [[b"", {}, b"", b""]] * 2, [1, 2, 3],
    ],
)  # fmt: skip
def test_an_outer_shape_that_is_no_pass_is_format(payload: Any) -> None:
    data = payload if isinstance(payload, bytes) else cbor(payload)
    assert answer("KG1:" + foreign.base45(data)) == "FORMAT"
    assert answer("KC1:" + foreign.base45(data)) == "FORMAT"
    assert answer("KT1:" + foreign.base45(data)) == "FORMAT"


def outer(change: Any) -> str:
    credential, presentation = Family().credential(), Family().presentation()
    return "KG1:" + foreign.base45(cbor(change(credential, presentation)))


@pytest.mark.parametrize(
    "change",
    [
        lambda c, p: [c],
        lambda c, p: [c, p, p],
        lambda c, p: [c, {}],
        lambda c, p: [c, cbor(p)],
        lambda c, p: [cbor(c), p],
        lambda c, p: [c[:3], p],
        lambda c, p: [[*c, b""], p],
        lambda c, p: [[c[0], {4: b"kid!"}, c[2], c[3]], p],
        lambda c, p: [[c[0], [], c[2], c[3]], p],
        lambda c, p: [[c[0], {}, None, c[3]], p],
        lambda c, p: [[c[0], {}, c[2], "x" * 64], p],
        lambda c, p: [[b"", {}, c[2], c[3]], p],
        lambda c, p: [[cbor({1: -19}), {}, c[2], c[3]], p],
        lambda c, p: [[cbor({4: b"kid!"}), {}, c[2], c[3]], p],
        lambda c, p: [[cbor({1: -19, 4: b"kid"}), {}, c[2], c[3]], p],
        lambda c, p: [[cbor({1: -19, 4: "kid!"}), {}, c[2], c[3]], p],
        lambda c, p: [[cbor({1: "EdDSA", 4: b"kid!"}), {}, c[2], c[3]], p],
        lambda c, p: [[cbor({1: -19, 2: [4], 4: b"kid!"}), {}, c[2], c[3]], p],
        lambda c, p: [[b"\xa2\x04\x44kid!\x01\x32", {}, c[2], c[3]], p],
        lambda c, p: [[b"\xbf\x01\x32\x04\x44kid!\xff", {}, c[2], c[3]], p],
        lambda c, p: [cbor2.CBORTag(18, c), p],
    ],
)
def test_a_credential_of_another_cose_shape_is_format_before_its_issuer_is_asked(change: Any) -> None:
    assert answer(outer(change)) == "FORMAT"


@pytest.mark.parametrize(
    "wrong",
    [
        {"claims": {5: NOW}}, {"claims": {1: "issuer"}}, {"drop": (4,)}, {"drop": (7,)}, {"drop": (8,)},
        {"drop": (-65537,)},
        {"cti": b"1234567"}, {"cti": b"123456789"}, {"claims": {7: "12345678"}}, {"iat": -1}, {"claims": {6: True}},
        {"claims": {6: None}}, {"site": 0}, {"holder": 0}, {"holder": 2**32}, {"claims": {-65537: [SITE, 500]}},
        {"claims": {-65537: [SITE, 500, [[1001, 3]], 0]}}, {"claims": {-65537: {1: SITE}}}, {"children": []},
        {"children": [[n, 3] for n in range(1, 10)]}, {"children": [[1001, 3], [1001, 1]]}, {"children": [[0, 3]]},
        {"children": [[2**32, 3]]}, {"children": [[1001, 0]]}, {"children": [[1001, 8]]}, {"children": [[1001]]},
        {"children": [[1001, 3, 0]]}, {"children": [1001]}, {"children": [[True, 3]]}, {"children": [[1001, True]]},
        {"claims": {8: {}}}, {"claims": {8: {1: PHONE.cose_key, 3: b"kid"}}}, {"claims": {8: {2: PHONE.cose_key}}},
        {"claims": {8: [PHONE.cose_key]}}, {"claims": {-65541: [SITE, 700, 1]}}, {"payload": b"\xa0"},
        {"payload": b"\x80"},
        {"payload": b"\xff"}, {"payload": b"\xa1\x18\x04\x00"}, {"payload": cbor(Family().claims) + b"\x00"},
    ],
)  # fmt: skip
def test_claims_that_an_issuer_signed_in_another_shape_are_format(wrong: dict) -> None:
    assert answer(Family(**wrong).text()) == "FORMAT"


@pytest.mark.parametrize(
    "wrong",
    [
        {"shown": {5: 0}}, {"shown_payload": cbor({6: NOW})}, {"shown_payload": cbor({-65538: [1, 1]})},
        {"shown_payload": b"\xa0"}, {"shown_payload": b"\xf6"}, {"shown_payload": b"\x00\x00"}, {"acts": []},
        {"acts": [1]},
        {"acts": [1, 1, GATE, 0]}, {"acts": {1: 1}}, {"direction": 0}, {"direction": 3}, {"childmask": 0},
        {"childmask": 256}, {"childmask": -1}, {"acts": [True, 1]}, {"acts": [1, True]}, {"gate": 0}, {"gate": 2**32},
        {"acts": [1, 1, None]}, {"at": -1}, {"at": 2**32}, {"shown": {6: "now"}},
        {"shown_protected": {1: -19, 4: PHONE.kid}},
        {"shown_protected": {}}, {"shown_protected": b""}, {"shown_protected": {1: "EdDSA"}},
        {"shown_protected": b"\xa1\x01\x38\x12\x00"},
    ],
)  # fmt: skip
def test_a_presentation_of_another_shape_is_format(wrong: dict) -> None:
    assert answer(Family(**wrong).text()) == "FORMAT"


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (Staff(intent=1), "OPEN"), (Staff(intent=2), "OPEN"), (Staff(intent=0), "FORMAT"), (Staff(intent=3), "FORMAT"),
        (Staff(acts=[1, 2]), "FORMAT"), (Staff(acts=1), "FORMAT"), (Staff(powers=16), "FORMAT"),
        (Staff(powers=-1), "FORMAT"),
        (Staff(holder=0), "FORMAT"), (Staff(claims={-65539: [SITE, 500, [[1, 3]]]}), "FORMAT"),
        (Staff(site=202), "OTHER_SITE"),
        (Staff(domain="KG1"), "FORMAT"), (Family(domain="KT1"), "FORMAT"), (Card(children=[]), "FORMAT"),
        (Card(claims={9: {1: PHONE.cose_key}}), "FORMAT"), (Card(site=202), "OTHER_SITE"), (Card(), "OPEN"),
    ],
)  # fmt: skip
def test_staff_passes_and_cards_are_held_to_their_own_shapes(made: Family, code: str) -> None:
    assert answer(made.text()) == code


@pytest.mark.parametrize(("signed_for", "shown_as"), [(b"KT1", "KG1"), (b"KC1", "KG1"), (b"KR1", "KG1"), (b"", "KG1")])
def test_what_was_signed_for_another_domain_is_a_bad_signature(signed_for: bytes, shown_as: str) -> None:
    assert answer(Family(issuer_aad=signed_for, domain=shown_as).text()) == "BAD_SIGNATURE"


def test_a_presentation_taken_from_another_credential_is_a_bad_signature() -> None:
    lent = Family(cti=b"cti-0002")
    stolen = [Family().credential(), lent.presentation()]
    assert answer("KG1:" + foreign.base45(cbor(stolen))) == "BAD_SIGNATURE"
    assert answer(Family(shown_aad=b"KG1").text()) == "BAD_SIGNATURE"


# --- keys and signatures ----------------------------------------------------------------------------------------

WEAK = {**curves.small_order_keys(), **curves.mixed_order_keys(PHONE.public), **curves.non_canonical_keys()}


@pytest.mark.parametrize("name", WEAK)
def test_a_phone_with_a_weak_ed25519_key_is_bad_key(name: str) -> None:
    assert not DeviceKey(WEAK[name]).is_valid() and not cose.is_valid_ed25519(WEAK[name])
    assert answer(Family(cose_key={1: 1, -1: 6, -2: WEAK[name]}).text()) == "BAD_KEY"


def test_a_signature_that_other_libraries_accept_under_a_small_order_key_opens_nothing() -> None:
    identity = curves.encoded((0, 1))
    forged = identity + bytes(32)  # R = the identity, S = 0: holds for every message
    made = Family(cose_key={1: 1, -1: 6, -2: identity}, shown_signature=forged)
    assert answer(made.text()) == "BAD_KEY"
    signed = cose.read(made.presentation(), with_kid=False)
    assert not cose.verify_ed25519(identity, signed, b"KG1" + cbor(made.credential()))


@pytest.mark.parametrize("x", curves.off_p256(), ids=["no-point", "unreduced", "p", "all-ones"])
def test_a_phone_with_a_p256_key_off_the_curve_is_bad_key(x: bytes) -> None:
    for sign in (False, True):
        assert answer(Family(phone=PHONE_P256, cose_key={1: 2, -1: 1, -2: x, -3: sign}).text()) == "BAD_KEY"


ED, EC = PHONE.cose_key, PHONE_P256.cose_key


@pytest.mark.parametrize(
    "key",
    [
        {}, {1: 1}, {1: 1, -1: 6}, {**ED, 2: b"kid"}, {**ED, 3: -19}, {**ED, -3: True}, {**ED, -2: ED[-2][:31]},
        {**ED, -2: ED[-2] + b"\0"}, {**ED, -2: "x" * 32}, {**ED, 1: 2}, {**ED, -1: 4}, {**ED, -1: 7}, {**ED, 1: True},
        {**EC, -3: EC[-2]}, {**EC, -3: 1}, {**EC, -3: None}, {**EC, -1: 2}, {**EC, -1: 8}, {**EC, -1: True},
        {1: 2, -1: 1, -2: EC[-2]}, {**EC, -2: EC[-2][1:]}, {**EC, -4: b"private"}, {1: 4, -1: b"symmetric"},
        {"kty": "OKP", "crv": "Ed25519"},
    ],
)  # fmt: skip
def test_a_cose_key_that_is_not_exactly_one_of_two_shapes_is_bad_key(key: dict) -> None:
    assert answer(Family(cose_key=key).text()) == "BAD_KEY"
    with pytest.raises(PassRefused):
        DeviceKey.from_cose(key)


@PHONES
@pytest.mark.parametrize("size", [0, 1, 63, 65, 96, 128])
def test_a_signature_of_another_length_than_64_is_a_bad_signature(phone: foreign.DeviceKey, size: int) -> None:
    assert answer(Family(phone=phone, shown_signature=bytes(size)).text()) == "BAD_SIGNATURE"
    assert answer(Family(phone=phone, signature=bytes(size)).text()) == "BAD_SIGNATURE"


def test_both_forms_of_an_ecdsa_signature_are_one_and_the_same_pass() -> None:
    made = Family(phone=PHONE_P256)
    signature = made.presentation()[3]
    turned = signature[:32] + (P256_ORDER - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")
    other = Family(phone=PHONE_P256, shown_signature=turned)
    first, second = verify(made.text(), the_place()), verify(other.text(), the_place())
    assert made.text() != other.text() and first.presentation == second.presentation


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, 0), (0, 1), (1, 0), (P256_ORDER, 1), (1, P256_ORDER), (P256_ORDER + 1, 1), (2**256 - 1, 2**256 - 1)],
)
def test_an_ecdsa_signature_out_of_range_is_a_bad_signature(r: int, s: int) -> None:
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert answer(Family(phone=PHONE_P256, shown_signature=signature).text()) == "BAD_SIGNATURE"


def test_an_ed25519_signature_with_s_over_the_order_is_a_bad_signature() -> None:
    signature = Family().presentation()[3]
    raised = signature[:32] + (int.from_bytes(signature[32:], "little") + curves.L).to_bytes(32, "little")
    assert answer(Family(shown_signature=raised).text()) == "BAD_SIGNATURE"


@pytest.mark.parametrize("alg", [-9, -8, -7, -35, -50, 0, 5, 2**63])
def test_an_algorithm_that_is_not_the_keys_is_bad_alg(alg: int) -> None:
    assert answer(Family(protected={1: alg, 4: ISSUER.kid}).text()) == "BAD_ALG"
    assert answer(Family(shown_protected={1: alg}).text()) == "BAD_ALG"


@pytest.mark.parametrize("alg", [-19, -8, -7])
def test_a_p256_phone_signs_with_its_own_algorithm_alone(alg: int) -> None:
    assert answer(Family(phone=PHONE_P256, shown_protected={1: alg}).text()) == "BAD_ALG"


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ISSUER])
def test_a_key_of_another_role_issues_nothing(role: Role) -> None:
    trusted = trust_of([TrustedKey(ISSUER.public, role)])
    assert answer(Family().text(), trust=trusted) == answer(Card().text(), trust=trusted) == "UNKNOWN_ISSUER"


def test_a_stranger_who_names_the_issuers_kid_is_a_bad_signature() -> None:
    stranger = Family(issuer=foreign.edkey("stranger"), protected={1: -19, 4: ISSUER.kid})
    assert answer(stranger.text()) == "BAD_SIGNATURE"


# --- making -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"cti": b"short"}, {"exp": NOW}, {"exp": NOW + 8 * 86_400 + 1}, {"site": 0}, {"holder": 2**32},
        {"children": []},
        {"children": [(1, 0)]}, {"children": [(1, 3), (1, 3)]}, {"children": [(n, 3) for n in range(1, 10)]},
        {"device": DeviceKey(curves.encoded((0, 1)))}, {"device": DeviceKey(curves.off_p256()[0], True)}, {"iat": -1},
    ],
)  # fmt: skip
def test_what_a_gate_would_refuse_is_not_issued(wrong: dict) -> None:
    right = {
        "site": SITE, "holder": 5, "children": [(1, 3)], "device": DeviceKey(PHONE.public), "iat": NOW, "exp": NOW + 60,
        "cti": b"12345678",
    }  # fmt: skip
    with pytest.raises(ValueError):
        issue_credential(SigningKey(ISSUER.seed), **{**right, **wrong})
