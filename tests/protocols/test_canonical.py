"""The CBOR subset and base45 against cbor2, RFC 8949, RFC 9285 and each refusal of P-1."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.canonical import CanonicalError, base45_decode, base45_encode, decode, encode
from tests.protocols.foreign import base45, cbor

INTEGERS = st.integers(-(2**64), 2**64 - 1)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
LEAVES = INTEGERS | st.binary(max_size=40) | TEXT | st.booleans() | st.none()
VALUES = st.recursive(
    LEAVES, lambda v: st.lists(v, max_size=4) | st.dictionaries(INTEGERS | TEXT, v, max_size=4), max_leaves=12
)


def nested(depth: int) -> bytes:
    return b"\x81" * depth + b"\x00"


def refuses(data: bytes, **bounds: int) -> str:
    with pytest.raises(CanonicalError) as caught:
        decode(data, **bounds)
    return str(caught.value)


# --- oracles ----------------------------------------------------------------------------------------------------


def depth_of(value: object) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 0


@given(VALUES.filter(lambda value: depth_of(value) <= 6))
@settings(max_examples=400)
def test_whatever_is_encoded_is_decoded_to_the_same_value(value: object) -> None:
    assert decode(encode(value), items_max=10_000, bytes_max=100_000) == value


@given(VALUES.filter(lambda value: depth_of(value) <= 6))
@settings(max_examples=400)
def test_cbor2_encodes_and_decodes_every_value_as_we_do(value: object) -> None:
    assert encode(value) == cbor(value)
    assert cbor2.loads(encode(value)) == value


@given(st.binary(max_size=200))
@settings(max_examples=2_000)
def test_decoding_any_bytes_raises_nothing_but_a_canonical_error(data: bytes) -> None:
    try:
        value = decode(data)
    except CanonicalError:
        return
    assert encode(value) == data == cbor(cbor2.loads(data))


@given(VALUES.filter(lambda value: depth_of(value) <= 6), st.data())
@settings(max_examples=400)
def test_bytes_near_a_true_encoding_decode_to_one_value_or_not_at_all(value: object, draw: st.DataObject) -> None:
    data = bytearray(encode(value))
    data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        assert encode(decode(bytes(data))) == data
    except CanonicalError:
        pass


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("00", 0), ("17", 23), ("1818", 24), ("18ff", 255), ("190100", 256), ("1a00010000", 65536),
        ("1b0000000100000000", 2**32), ("1bffffffffffffffff", 2**64 - 1), ("20", -1), ("3863", -100),
        ("3bffffffffffffffff", -(2**64)), ("40", b""), ("4401020304", b"\1\2\3\4"), ("60", ""), ("62c3bc", "ü"),
        ("64f0908591", "\U00010151"), ("80", []), ("83010203", [1, 2, 3]), ("a0", {}), ("a201020304", {1: 2, 3: 4}),
        ("f4", False), ("f5", True), ("f6", None), ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ],
)  # fmt: skip
def test_the_examples_of_rfc_8949_hold_both_ways(text: str, value: object) -> None:
    assert decode(bytes.fromhex(text)) == value and encode(value).hex() == text


def test_map_keys_are_sorted_by_their_encodings_and_not_by_length_first() -> None:
    assert encode({"a": 0, 1000: 0, -1: 0, 4: 0}).hex() == "a404001903e80020006161" + "00"


# --- each refusal of P-1 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["9f01ff", "bf0102ff", "5f4101ff", "7f6161ff", "9fff", "ff"])
def test_an_indefinite_length_is_refused(data: str) -> None:
    refuses(bytes.fromhex(data))


@pytest.mark.parametrize(
    "data",
    ["1817", "1900ff", "1a0000ffff", "1b00000000ffffffff", "3800", "580100", "78016100", "980100", "b8010000",
     "5900010a", "9a0000000101"],
)  # fmt: skip
def test_a_head_that_is_not_the_shortest_is_refused(data: str) -> None:
    assert "shortest" in refuses(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["1c", "1d", "1e", "3c", "5d", "7e", "9c", "bd", "fc", "fe"])
def test_a_reserved_head_is_refused(data: str) -> None:
    refuses(bytes.fromhex(data) + b"\0" * 16)


@pytest.mark.parametrize("data", ["f93c00", "fa47c35000", "fb3ff199999999999a", "f97e00", "f97c00", "f90000"])
def test_a_float_is_refused(data: str) -> None:
    refuses(bytes.fromhex(data))


def test_undefined_is_refused_by_name() -> None:
    refuses(b"\xf7")


@pytest.mark.parametrize("data", ["e0", "f3", "f820", "f8ff", "f818", "f814", "f815"])
def test_another_simple_value_is_refused(data: str) -> None:
    refuses(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["c249010000000000000000", "c349010000000000000000", "c24101"])
def test_a_bignum_of_any_size_is_refused(data: str) -> None:
    refuses(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["c000", "d28440a04040", "d83d00", "d9d9f700", "da0001000000"])
def test_every_tag_is_refused(data: str) -> None:
    assert refuses(bytes.fromhex(data)) == "a tag"


@pytest.mark.parametrize("data", ["a201000100", "a2616100616100", "a220002000"])
def test_a_map_key_that_comes_twice_is_refused(data: str) -> None:
    assert "keys" in refuses(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["a202000100", "a220000100", "a2616200616100", "a262616100616200", "a21818001700"])
def test_map_keys_out_of_order_are_refused(data: str) -> None:
    assert "unsorted" in refuses(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["a1410100", "a18000", "a1a000", "a1f400", "a1f500", "a1f600"])
def test_a_map_key_that_is_neither_integer_nor_text_is_refused(data: str) -> None:
    assert "map key" in refuses(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["61ff", "62c328", "63eda080", "62c080", "64f5808080", "61c3"])
def test_text_that_is_not_utf_8_is_refused(data: str) -> None:
    assert "UTF-8" in refuses(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["6100", "63610062", "a1610000"])
def test_text_with_nul_is_refused(data: str) -> None:
    assert "NUL" in refuses(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["0000", "8000", "f6f6", "410000"])
def test_bytes_left_over_are_refused(data: str) -> None:
    assert "left over" in refuses(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["", "18", "1901", "42aa", "6361", "8201", "a101", "a2010203", "81", "1bffff"])
def test_bytes_cut_short_are_refused(data: str) -> None:
    refuses(bytes.fromhex(data))


def test_six_containers_deep_is_read_and_seven_are_refused() -> None:
    assert decode(nested(6)) == [[[[[[0]]]]]]
    assert "deep" in refuses(nested(7))
    assert "deep" in refuses(b"\xa1\x00" * 7 + b"\x00")
    assert "deep" in refuses(b"\x81" * 6 + b"\x80")


def test_a_value_nested_too_deep_is_not_encoded_either() -> None:
    value: list = []
    for _ in range(6):
        value = [value]
    with pytest.raises(CanonicalError):
        encode(value)


def test_96_heads_of_every_kind_are_read_and_97_are_refused() -> None:
    assert len(decode(encode([0] * 95))) == 95
    assert "items" in refuses(encode([0] * 96))
    assert len(decode(encode(dict.fromkeys(range(47), 0)))) == 47
    assert "items" in refuses(encode(dict.fromkeys(range(48), 0)))


def test_the_number_of_items_is_counted_anew_in_each_call() -> None:
    assert [len(decode(encode([0] * 95))) for _ in range(3)] == [95, 95, 95]


def test_4096_bytes_are_read_and_4097_are_refused() -> None:
    assert len(decode(encode(b"x" * 4093))) == 4093
    assert "bytes" in refuses(encode(b"x" * 4094))


def test_a_document_may_have_65536_bytes_and_16384_items() -> None:
    large = {"bytes_max": 65_536, "items_max": 16_384}
    assert len(decode(encode([0] * 16_383), **large)) == 16_383
    assert "items" in refuses(encode([0] * 16_384), **large)
    assert "bytes" in refuses(encode(b"x" * 65_534), **large)


@pytest.mark.parametrize(
    "data", ["9affffffff", "9bffffffffffffffff", "baffffffff", "5bffffffffffffffff", "7b7fffffffffffffff"]
)
def test_a_length_of_billions_costs_no_memory_and_is_refused(data: str) -> None:
    refuses(bytes.fromhex(data))


@pytest.mark.parametrize(
    "value", [2**64, -(2**64) - 1, 1.0, object(), {1.5: 0}, {True: 0}, {b"x": 0}, "a\0b", "\ud800", {1, 2}]
)
def test_a_value_outside_the_subset_is_not_encoded(value: object) -> None:
    with pytest.raises(CanonicalError):
        encode(value)


# --- base45 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0"), (b"", "")],
)
def test_the_vectors_of_rfc_9285_hold_both_ways(data: bytes, text: str) -> None:
    assert base45_encode(data) == text and base45_decode(text) == data


@given(st.binary(max_size=500))
def test_base45_comes_back_and_a_second_implementation_writes_the_same(data: bytes) -> None:
    assert base45_decode(base45_encode(data)) == data and base45(data) == base45_encode(data)


@given(st.text(max_size=60) | st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:", max_size=60))
@settings(max_examples=500)
def test_any_text_is_strict_base45_or_refused(text: str) -> None:
    try:
        assert base45_encode(base45_decode(text)) == text
    except CanonicalError:
        pass


@pytest.mark.parametrize("text", ["ab8", "BB8\n", "BB;", "ÄÄÄ", "BB_", "BB８"])
def test_a_character_outside_base45_is_refused(text: str) -> None:
    with pytest.raises(CanonicalError):
        base45_decode(text)


@pytest.mark.parametrize("text", ["B", "BB8B", "BB8BB8A"])
def test_a_length_of_one_more_than_a_multiple_of_three_is_refused(text: str) -> None:
    with pytest.raises(CanonicalError):
        base45_decode(text)


@pytest.mark.parametrize("text", ["GGW", ":::", "::", "V5", "BB8:::"])
def test_a_group_that_overflows_is_refused(text: str) -> None:
    with pytest.raises(CanonicalError):
        base45_decode(text)


@pytest.mark.parametrize(("text", "data"), [("FGW", b"\xff\xff"), ("U5", b"\xff")])
def test_the_largest_group_that_does_not_overflow_is_read(text: str, data: bytes) -> None:
    assert base45_decode(text) == data
