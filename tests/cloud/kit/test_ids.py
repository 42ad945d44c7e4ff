"""Identifiers: ordered in time, unguessable, never zero."""

from datetime import timedelta

from cloud.kit.ids import REFERENCE_MAX, new_id, new_reference, new_token, token_hash
from tests.cast import NOW


def test_ids_are_version_7_and_sort_by_their_moment() -> None:
    ids = [new_id(NOW + timedelta(milliseconds=number)) for number in range(50)]
    assert ids == sorted(ids)
    assert {(one.version, one.variant) for one in ids} == {(7, "specified in RFC 4122")}


def test_tokens_have_256_bits_and_only_their_hash_has_32_bytes() -> None:
    assert len({new_token() for _ in range(100)}) == 100
    assert len(new_token()) == 43
    assert len(token_hash("\udcff")) == 32


def test_references_are_uint32_and_never_zero() -> None:
    assert all(1 <= new_reference() <= REFERENCE_MAX for _ in range(1000))
