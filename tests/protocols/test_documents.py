"""KR1, KK1, KL1, KF1, KM1, KX1 of a second implementation: each code of P-4, and the order in which they answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from protocols import documents
from protocols.documents import CustodyRule, GateKey, GateList, Mode, PolicyList, Reader, SiteMode
from protocols.envelope import DocumentRefused, Held, digest_of
from protocols.passes import Revocations
from protocols.trust import Role, Trust, TrustedKey, build_trust_list, load_trust_list, trust_of
from tests.protocols import curves, foreign
from tests.protocols.foreign import COMMAND, CONTROL, GATE, GATE_KEY, ISSUER, NOW, POLICY, REGISTRY, ROOT, SITE, EdKey

ROLES = {
    POLICY: Role.POLICY,
    REGISTRY: Role.REGISTRY,
    CONTROL: Role.CONTROL,
    COMMAND: Role.COMMAND,
    ISSUER: Role.ISSUER,
}
OTHER = foreign.edkey("stranger")


def the_trust(**window: Any) -> Trust:
    return trust_of([TrustedKey(key.public, role, **window) for key, role in ROLES.items()])


def reader(**changes: Any) -> Reader:
    return Reader(**{"trust": the_trust(), "site": SITE, "now": NOW, "gate": GATE, **changes})


def trust_list(version: int = 1, iat: int = NOW - 600, key: EdKey = ROOT) -> bytes:
    return foreign.trust_list([foreign.trust_row(ISSUER, "issuer")], version, iat, key)


def gates(version: int = 1, iat: int = NOW - 600, key: EdKey = REGISTRY, site: int = SITE) -> bytes:
    return foreign.gate_list([[GATE, GATE_KEY.public, 0, 2**32 - 1]], version, iat, site, key)


def mode(version: int = 1, iat: int = NOW - 600, key: EdKey = COMMAND, site: int = SITE) -> bytes:
    return foreign.site_mode(1, version, iat, max(iat, NOW) + 60, site, key=key)


def configuration(version: int = 1, iat: int = NOW - 600, key: EdKey = CONTROL, site: int = SITE) -> bytes:
    return foreign.configuration(b"{}", version, iat, GATE if site == SITE else GATE + 1, key)


def policy(version: int = 1, iat: int = NOW - 600, key: EdKey = POLICY, site: int = SITE) -> bytes:
    return foreign.policy_list(version, iat, key=key, site=site)


def load_trust(data: bytes, read: Reader) -> Trust:
    return load_trust_list(data, ROOT.public, read.now, read.held, clock_trusted=read.clock_trusted)


KINDS: dict[str, tuple[Callable, Callable]] = {
    "LIST": (policy, documents.load_policy_list),
    "GATES": (gates, documents.load_gate_list),
    "MODE": (mode, documents.load_site_mode),
    "CONFIG": (configuration, documents.load_gate_configuration),
    "TRUST": (trust_list, load_trust),
}
EVERY = pytest.mark.parametrize("kind", KINDS)
PLACED = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "TRUST"])


def answer(kind: str, data: bytes, **changes: Any) -> str:
    try:
        KINDS[kind][1](data, reader(**changes))
    except DocumentRefused as refused:
        return refused.code
    return f"{kind}_OK"


def held(kind: str, version: int) -> Held:
    return Held(version, digest_of(KINDS[kind][0](version)))


# --- each code --------------------------------------------------------------------------------------------------


@EVERY
def test_a_right_document_is_loaded_and_loaded_again(kind: str) -> None:
    data = KINDS[kind][0](7)
    assert (
        answer(kind, data)
        == answer(kind, data, held=held(kind, 7))
        == answer(kind, data, held=held(kind, 6))
        == f"{kind}_OK"
    )


@EVERY
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"version": 1}',
        b"\x80",
        b"\xf6",
        b"\xff" * 40,
        b"x" * 10_000_000,
        b"\xd2" + policy(),
        policy()[:-1],
        policy() + b"\0",
    ],
    ids=["empty", "json", "json-2", "array", "null", "breaks", "10MB", "tagged", "cut", "longer"],
)
def test_bytes_that_are_no_cose_sign1_answer_format(kind: str, data: bytes) -> None:
    assert answer(kind, data) == f"{kind}_FORMAT"


@EVERY
@pytest.mark.parametrize("key", [OTHER, ISSUER, POLICY, COMMAND, REGISTRY, CONTROL, ROOT])
def test_a_key_that_is_unknown_or_of_another_role_answers_key(kind: str, key: EdKey) -> None:
    right = {"LIST": POLICY, "GATES": REGISTRY, "MODE": COMMAND, "CONFIG": CONTROL, "TRUST": ROOT}[kind]
    assert answer(kind, KINDS[kind][0](key=key)) == f"{kind}_{'OK' if key is right else 'KEY'}"


@pytest.mark.parametrize("domain", ["KG1", "KK1", "KL1", ""])
def test_a_list_signed_for_another_domain_answers_key(domain: str) -> None:
    body = {4: NOW, 6: NOW, -65540: foreign.policy_body()}
    assert answer("LIST", foreign.document(domain, body, POLICY)) == "LIST_KEY"


@pytest.mark.parametrize("protected", [{1: -8, 4: POLICY.kid}, {1: -9, 4: POLICY.kid}, {1: -19, 4: OTHER.kid}])
def test_another_algorithm_or_kid_answers_key(protected: dict) -> None:
    body = {4: NOW, 6: NOW, -65540: foreign.policy_body()}
    assert answer("LIST", foreign.document("KR1", body, POLICY, protected)) == "LIST_KEY"


@pytest.mark.parametrize("size", [0, 63, 65, 64])
def test_a_signature_that_is_not_good_answers_key(size: int) -> None:
    body = {4: NOW, 6: NOW, -65540: foreign.policy_body()}
    assert answer("LIST", foreign.document("KR1", body, POLICY, signature=bytes(size))) == "LIST_KEY"


@PLACED
def test_a_document_of_another_site_or_gate_answers_site(kind: str) -> None:
    assert answer(kind, KINDS[kind][0](site=202)) == f"{kind}_SITE"


@PLACED
def test_a_key_that_may_not_sign_for_this_site_answers_site(kind: str) -> None:
    assert answer(kind, KINDS[kind][0](), trust=the_trust(sites=frozenset({202}))) == f"{kind}_SITE"


@PLACED
def test_a_retired_key_signs_no_new_document(kind: str) -> None:
    assert answer(kind, KINDS[kind][0](), trust=the_trust(not_after=NOW - 601)) == f"{kind}_KEY"
    assert answer(kind, KINDS[kind][0](), trust=the_trust(not_after=NOW - 600)) == f"{kind}_OK"


@EVERY
@pytest.mark.parametrize(("ahead", "code"), [(60, "OK"), (61, "FUTURE"), (600, "FUTURE")])
def test_a_document_more_than_60_s_ahead_answers_future(kind: str, ahead: int, code: str) -> None:
    data = KINDS[kind][0](iat=NOW + ahead)
    assert answer(kind, data) == f"{kind}_{code}"
    assert answer(kind, data, clock_trusted=False) == f"{kind}_OK"


@EVERY
def test_a_lower_version_answers_rollback_and_the_same_one_with_other_bytes_fork(kind: str) -> None:
    assert answer(kind, KINDS[kind][0](6), held=held(kind, 7)) == f"{kind}_ROLLBACK"
    assert answer(kind, KINDS[kind][0](7, iat=NOW - 599), held=held(kind, 7)) == f"{kind}_FORK"


@EVERY
@given(data=st.binary(max_size=300))
@settings(max_examples=60)
def test_any_bytes_answer_a_code_and_never_crash(kind: str, data: bytes) -> None:
    assert answer(kind, data) == f"{kind}_FORMAT"


@EVERY
@given(st.data())
@settings(max_examples=100)
def test_no_changed_byte_of_a_document_is_believed(kind: str, draw: st.DataObject) -> None:
    data = bytearray(KINDS[kind][0]())
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] ^= draw.draw(st.integers(1, 255))
    assert answer(kind, bytes(data)) in (f"{kind}_FORMAT", f"{kind}_KEY")


# --- the order --------------------------------------------------------------------------------------------------

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("KEY", {"key": OTHER}), ("SITE", {"site": 202}), ("FUTURE", {"iat": NOW + 999}), ("ROLLBACK", {"version": 6}),
    ("FORK", {}),
]  # fmt: skip


@PLACED
@pytest.mark.parametrize("first", range(5), ids=[name for name, _ in FAULTS])
def test_of_all_faults_from_this_one_on_the_first_answers(kind: str, first: int) -> None:
    made: dict[str, Any] = {"version": 7}
    for _, change in FAULTS[first:]:
        made |= change
    other = Held(7, bytes(32))
    assert answer(kind, KINDS[kind][0](**made), held=other) == f"{kind}_{FAULTS[first][0]}"


def test_a_wrong_key_answers_before_a_wrong_payload_and_a_wrong_payload_before_a_wrong_site() -> None:
    body = {4: NOW, 6: NOW + 999, -65540: foreign.policy_body(site=202)[:6]}
    assert answer("LIST", foreign.document("KR1", body, OTHER)) == "LIST_KEY"
    assert answer("LIST", foreign.document("KR1", body, POLICY)) == "LIST_FORMAT"


# --- payloads ---------------------------------------------------------------------------------------------------


def body_of(**changes: Any) -> bytes:
    names = ["site", "version", "ctis", "thumbs", "holders", "kids", "custody"]
    body = dict(zip(names, [SITE, 1, b"", b"", [], b"", []], strict=True)) | changes
    return foreign.document("KR1", {4: NOW + 60, 6: NOW, -65540: list(body.values())}, POLICY)


A8, B8, A4, B4 = b"a" * 8, b"b" * 8, b"a" * 4, b"b" * 4


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ctis": A8 + B8}, "OK"), ({"ctis": B8 + A8}, "FORMAT"), ({"ctis": A8 + A8}, "FORMAT"),
        ({"ctis": b"a" * 9}, "FORMAT"),
        ({"ctis": [A8]}, "FORMAT"), ({"thumbs": A8 + B8}, "OK"), ({"thumbs": B8 + A8}, "FORMAT"),
        ({"thumbs": b"a"}, "FORMAT"),
        ({"kids": A4 + B4}, "OK"), ({"kids": B4 + A4}, "FORMAT"), ({"kids": b"abc"}, "FORMAT"),
        ({"kids": None}, "FORMAT"),
        ({"holders": [[500, NOW]]}, "OK"), ({"holders": [[0, NOW]]}, "FORMAT"), ({"holders": [[500]]}, "FORMAT"),
        ({"holders": [[500, NOW], [500, 1]]}, "FORMAT"), ({"holders": [[2**32, 0]]}, "FORMAT"),
        ({"holders": {500: 1}}, "FORMAT"),
        ({"custody": [[1, 0, 2, 0, 9]]}, "OK"), ({"custody": [[1, 5, 7, 0, 9]]}, "OK"),
        ({"custody": [[0, 0, 2, 0, 9]]}, "FORMAT"),
        ({"custody": [[1, 0, 0, 0, 9]]}, "FORMAT"), ({"custody": [[1, 0, 8, 0, 9]]}, "FORMAT"),
        ({"custody": [[1, 0, 2, 0]]}, "FORMAT"),
        ({"custody": [[1, 0, True, 0, 9]]}, "FORMAT"), ({"custody": "none"}, "FORMAT"), ({"version": -1}, "FORMAT"),
        ({"version": True}, "FORMAT"), ({"version": 2**32}, "FORMAT"), ({"site": 0}, "FORMAT"),
        ({"site": "101"}, "FORMAT"),
    ],
)  # fmt: skip
def test_a_policy_list_is_held_to_its_shape(change: dict, code: str) -> None:
    assert answer("LIST", body_of(**change)) == f"LIST_{code}"


@pytest.mark.parametrize(
    "claims", [{6: NOW}, {4: NOW, 6: NOW}, {4: NOW, 6: NOW, 5: 0, -65540: foreign.policy_body()}, {}, []]
)
def test_unknown_or_missing_claims_of_a_list_answer_format(claims: Any) -> None:
    assert answer("LIST", foreign.document("KR1", claims, POLICY)) == "LIST_FORMAT"


@pytest.mark.parametrize(
    ("level", "seconds", "code"),
    [
        (0, 900_000, "OK"), (1, 900_000, "OK"), (2, 4 * 3600, "OK"), (2, 4 * 3600 + 1, "FORMAT"),
        (3, 4 * 3600 + 1, "FORMAT"),
        (4, 900_000, "OK"), (5, 60, "FORMAT"), (-1, 60, "FORMAT"), (True, 60, "FORMAT"), (1, 0, "FORMAT"),
        (1, -1, "FORMAT"),
    ],
)  # fmt: skip
def test_a_mode_lives_as_long_as_its_kind_may(level: int, seconds: int, code: str) -> None:
    assert answer("MODE", foreign.site_mode(level, iat=NOW, exp=NOW + seconds)) == f"MODE_{code}"


def test_a_free_mode_replayed_tomorrow_is_refused_by_version_and_by_expiry() -> None:
    recorded = foreign.site_mode(3, version=4, iat=NOW, exp=NOW + 3600)
    tomorrow = NOW + 86_400
    assert answer("MODE", recorded, now=tomorrow) == "MODE_EXPIRED"
    assert answer("MODE", recorded, now=tomorrow, held=Held(5, bytes(32))) == "MODE_ROLLBACK"


@pytest.mark.parametrize(
    ("made", "code"),
    [
        ({}, "OK"), ({"exp": NOW + 14, "iat": NOW - 1}, "OK"), ({"exp": NOW + 15, "iat": NOW - 1}, "FORMAT"),
        ({"exp": NOW, "iat": NOW - 9}, "EXPIRED"), ({"gate": GATE + 1}, "SITE"), ({"key": CONTROL}, "KEY"),
        ({"nonce": b"short"}, "FORMAT"), ({"operation": 3}, "FORMAT"), ({"arguments": []}, "FORMAT"),
        ({"iat": NOW + 61, "exp": NOW + 70}, "FUTURE"), ({"iat": NOW - 1, "exp": NOW - 1}, "FORMAT"),
    ],
)  # fmt: skip
def test_a_command_is_for_one_gate_and_fifteen_seconds(made: dict, code: str) -> None:
    try:
        documents.load_command(foreign.command(**made), reader())
    except DocumentRefused as refused:
        assert refused.code == f"COMMAND_{code}"
    else:
        assert code == "OK"


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], "OK"), ([[GATE, GATE_KEY.public, 0, 9]] * 2, "FORMAT"), ([[0, GATE_KEY.public, 0, 9]], "FORMAT"),
        ([[GATE, curves.encoded((0, 1)), 0, 9]], "FORMAT"), ([[GATE, GATE_KEY.public[:31], 0, 9]], "FORMAT"),
        ([[GATE, GATE_KEY.public, 0]], "FORMAT"), ({}, "FORMAT"),
    ],
)  # fmt: skip
def test_a_gate_list_is_held_to_its_shape(rows: Any, code: str) -> None:
    assert answer("GATES", foreign.gate_list(rows)) == f"GATES_{code}"


# --- trust ------------------------------------------------------------------------------------------------------


def colliding(number: int) -> EdKey:
    """Two of 170,918 keys whose first four bytes of SHA-256 are alike, found once by birthday."""
    return EdKey(hashlib.sha256(b"portillon kid collision %d" % number).digest())


def test_a_trust_list_with_two_keys_of_one_kid_is_refused_whole() -> None:
    first, second = colliding(56_979), colliding(170_917)
    assert first.kid == second.kid and first.public != second.public
    rows = [foreign.trust_row(key, "issuer") for key in (ISSUER, first)]
    assert answer("TRUST", foreign.trust_list(rows)) == "TRUST_OK"
    assert answer("TRUST", foreign.trust_list([*rows, foreign.trust_row(second, "policy")])) == "TRUST_FORMAT"
    with pytest.raises(ValueError):
        build_trust_list(SigningKey(ROOT.seed), 1, NOW, [TrustedKey(k.public, Role.ISSUER) for k in (first, second)])


def test_no_key_has_two_roles() -> None:
    rows = [foreign.trust_row(ISSUER, "issuer"), foreign.trust_row(ISSUER, "policy")]
    assert answer("TRUST", foreign.trust_list(rows)) == "TRUST_FORMAT"


ROW = foreign.trust_row(ISSUER, "issuer", (SITE,), 1, 2)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (ROW, "OK"), (ROW[:5], "FORMAT"), ([*ROW, 0], "FORMAT"), ([POLICY.kid, *ROW[1:]], "FORMAT"),
        ([ROW[0], ROW[1], "emperor", *ROW[3:]], "FORMAT"), ([ROW[0], ROW[1], 1, *ROW[3:]], "FORMAT"),
        ([*ROW[:3], SITE, 1, 2], "FORMAT"), ([*ROW[:3], [0], 1, 2], "FORMAT"), ([*ROW[:3], [SITE], 2, 1], "FORMAT"),
        ([*ROW[:3], [SITE], -1, 2], "FORMAT"), ([*ROW[:3], [SITE], 1, 2**32], "FORMAT"),
        ([*ROW[:3], ["101"], 1, 2], "FORMAT"),
        ([foreign.sha(curves.encoded((0, 1)), 4), curves.encoded((0, 1)), *ROW[2:]], "FORMAT"),
        ([foreign.sha(b"short", 4), b"short", *ROW[2:]], "FORMAT"), ([None, *ROW[1:]], "FORMAT"), (ROW[0], "FORMAT"),
    ],
)  # fmt: skip
def test_a_row_of_a_trust_list_is_held_to_its_shape(row: Any, code: str) -> None:
    assert answer("TRUST", foreign.trust_list([row])) == f"TRUST_{code}"


@pytest.mark.parametrize("name", curves.mixed_order_keys(ISSUER.public))
def test_a_weak_key_is_trusted_nowhere(name: str) -> None:
    weak = curves.mixed_order_keys(ISSUER.public)[name]
    with pytest.raises(ValueError):
        trust_of([TrustedKey(weak, Role.ISSUER)])
    assert answer("TRUST", foreign.trust_list([[foreign.sha(weak, 4), weak, "issuer", [], 0, 9]])) == "TRUST_FORMAT"


def test_the_root_signs_trust_lists_and_stands_in_none() -> None:
    with pytest.raises(ValueError):
        build_trust_list(SigningKey(ROOT.seed), 1, NOW, [TrustedKey(ROOT.public, Role.ISSUER)])


# --- the same bytes ---------------------------------------------------------------------------------------------


def test_both_implementations_write_the_same_bytes_of_every_document() -> None:
    revocations = Revocations(frozenset({B8, A8}), frozenset({A8}), {600: 2, 500: 1}, frozenset({B4, A4}))
    rule = CustodyRule(1001, 0, 6, NOW, NOW + 60)
    ours = documents.build_policy_list(
        SigningKey(POLICY.seed), PolicyList(SITE, 3, NOW, NOW + 60, revocations, (rule,))
    )
    theirs = foreign.policy_list(
        3, NOW, NOW + 60, ctis=[A8, B8], thumbs=[A8], holders=[[500, 1], [600, 2]], kids=[A4, B4],
        custody=[[1001, 0, 6, NOW, NOW + 60]],
    )  # fmt: skip
    assert ours == theirs
    assert documents.build_site_mode(
        SigningKey(COMMAND.seed), SiteMode(SITE, 3, Mode.LOCKDOWN, 700, NOW, NOW + 60)
    ) == foreign.site_mode(1, 3, NOW, NOW + 60)
    row = GateKey(GATE, GATE_KEY.public)
    assert documents.build_gate_list(SigningKey(REGISTRY.seed), GateList(SITE, 1, NOW - 600, {GATE: row})) == gates()
    trusted = [TrustedKey(ISSUER.public, Role.ISSUER, frozenset({SITE}), 1, 2)]
    assert build_trust_list(SigningKey(ROOT.seed), 1, NOW - 600, trusted) == foreign.trust_list([ROW])


def test_what_a_policy_list_says_is_what_was_put_into_it() -> None:
    loaded = documents.load_policy_list(
        foreign.policy_list(9, ctis=[A8], thumbs=[B8], holders=[[500, 7]], kids=[A4], custody=[[1, 2, 3, 4, 5]]),
        reader(),
    )
    assert loaded.revocations == Revocations(frozenset({A8}), frozenset({B8}), {500: 7}, frozenset({A4}))
    assert loaded.custody == (CustodyRule(1, 2, 3, 4, 5),) and loaded.version == 9


def test_a_list_that_no_gate_could_load_is_not_built() -> None:
    def built(count: int, custody: int = 0) -> bytes:
        ctis = frozenset(number.to_bytes(8, "big") for number in range(count))
        rules = tuple(CustodyRule(1001, 0, 3, NOW, NOW + 60) for _ in range(custody))
        key = SigningKey(POLICY.seed)
        return documents.build_policy_list(key, PolicyList(SITE, 1, NOW, NOW + 60, Revocations(ctis), rules))

    assert answer("LIST", built(8_000)) == "LIST_OK" and answer("LIST", built(0, 2_700)) == "LIST_OK"
    for count, custody in ((8_200, 0), (0, 2_800)):
        with pytest.raises(ValueError):
            built(count, custody)
    with pytest.raises(ValueError):
        large = documents.GateConfiguration(GATE, 1, NOW, b"x" * 4_000)
        documents.build_gate_configuration(SigningKey(CONTROL.seed), large)


def test_a_policy_list_may_have_65536_bytes_and_no_more() -> None:
    ctis = [number.to_bytes(8, "big") for number in range(8_170)]
    assert len(foreign.policy_list(ctis=ctis)) <= 65_536 and answer("LIST", foreign.policy_list(ctis=ctis)) == "LIST_OK"
    more = [number.to_bytes(8, "big") for number in range(8_192)]
    assert answer("LIST", foreign.policy_list(ctis=more)) == "LIST_FORMAT"
