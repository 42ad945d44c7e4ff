"""Mutants of valid passes, from a seed: in the text, in the bytes, in the CBOR, in headers and signatures, spliced."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from typing import Any

import cbor2

from tests.protocols import curves, foreign
from tests.protocols.foreign import ALPHABET, ISSUER, PHONE, PHONE_P256, STAFF_PHONE, Card, EdKey, Family, Staff, cbor

ORIGINALS = (
    Family(), Family(phone=PHONE_P256, childmask=3, direction=2), Staff(), Card(),
    Family(cti=b"cti-0002", holder=501, children=[[1003, 3]], phone=STAFF_PHONE),
)  # fmt: skip
SPECIAL = [
    0,
    1,
    -1,
    23,
    24,
    255,
    256,
    2**31,
    2**32 - 1,
    2**32,
    2**63,
    2**64 - 1,
    -(2**64),
    None,
    True,
    False,
    b"",
    "",
    [],
    {},
]
Chance = random.Random


def in_text(chance: Chance, text: str) -> str:
    at = chance.randrange(len(text))
    other = chance.choice(ALPHABET + "a§\0é")
    return chance.choice(
        [
            text[:at] + other + text[at + 1 :],
            text[:at] + text[at + 1 :],
            text[:at] + other + text[at:],
            text[:at],
            text[at:],
            text + other * chance.randrange(1, 300),
            text[:at] + text[at:].lower(),
            text[:at] + text[at:][::-1],
        ]
    )


def in_bytes(chance: Chance, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    at, size = chance.randrange(len(data)), chance.randrange(1, 9)
    return chance.choice(
        [
            bytes(changed),
            data[:at],
            data[:at] + data[at + size :],
            data[:at] + chance.randbytes(size) + data[at:],
            data + data,
        ]
    )


def in_value(chance: Chance, value: Any) -> Any:
    """The same value with one node of it changed."""
    if isinstance(value, list) and value and chance.random() < 0.85:
        at = chance.randrange(len(value))
        return [*value[:at], in_value(chance, value[at]), *value[at + 1 :]]
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        return {**value, key: in_value(chance, value[key])}
    return replaced(chance, value)


def replaced(chance: Chance, value: Any) -> Any:
    if type(value) is int and chance.random() < 0.6:
        return value + chance.choice((-86_400, -256, -1, 1, 2, 256, 86_400))
    if isinstance(value, bytes) and value and chance.random() < 0.6:
        return in_bytes(chance, value)
    if isinstance(value, list) and chance.random() < 0.6:
        return chance.choice([value[:-1], value + value[-1:], [*value, 1], value[::-1]])
    if isinstance(value, dict) and chance.random() < 0.6:
        return {**value, chance.choice((1, 2, 5, 9, -3, "x")): chance.choice(SPECIAL)}
    return chance.choice(SPECIAL)


def in_payload(chance: Chance, signed: list, member: int) -> list:
    """One node inside a signed member (0: header, 2: payload) changed, its signature left as it was."""
    inner = cbor(in_value(chance, cbor2.loads(signed[member])))
    return [*signed[:member], inner, *signed[member + 1 :]]


def in_signature(chance: Chance, signed: list) -> list:
    signature, order = signed[3], chance.choice((curves.L, foreign.P256_ORDER))
    number = int.from_bytes(signature[32:], "little") + order
    raised = signature[:32] + number.to_bytes(33, "little")[:32]
    flipped = in_bytes(chance, signature)
    zero, half = bytes(64), signature[32:] + signature[:32]
    return [
        *signed[:3],
        chance.choice([raised, flipped, flipped, flipped, zero, half, signature[:63], b"\0" + signature]),
    ]


def signed_anew(chance: Chance, made: Family, signed: list) -> list:
    """The credential altered and signed by a key that is not the issuer's, under the issuer's kid."""
    altered = in_payload(chance, signed, 2)[2]
    thief = chance.choice((PHONE, STAFF_PHONE, EdKey(chance.randbytes(32))))
    return foreign.sign1(made.domain.encode(), altered, thief, {1: -19, 4: chance.choice((ISSUER.kid, thief.kid))})


def mutate_credential(chance: Chance, made: Family, signed: list) -> list:
    return chance.choice(
        [
            lambda: in_payload(chance, signed, 0),
            lambda: in_payload(chance, signed, 2),
            lambda: in_signature(chance, signed),
            lambda: signed_anew(chance, made, signed),
            lambda: in_value(chance, signed),
        ]
    )()


def mutate_presentation(chance: Chance, signed: list) -> list:
    ways: list[Callable[[], list]] = [
        lambda: in_payload(chance, signed, 0),
        lambda: in_payload(chance, signed, 2),
        lambda: in_signature(chance, signed),
        lambda: in_value(chance, signed),
    ]
    return chance.choice(ways)()


@functools.cache
def parts_of(number: int) -> tuple[list, list]:
    made = ORIGINALS[number]
    return made.credential(), [] if isinstance(made, Card) else made.presentation()


def in_parts(chance: Chance, number: int, other: int) -> bytes:
    made, (credential, presentation), way = ORIGINALS[number], parts_of(number), chance.randrange(5)
    if isinstance(made, Card):
        return cbor(mutate_credential(chance, made, credential))
    if way == 0:
        return cbor([mutate_credential(chance, made, credential), presentation])
    if way == 1:
        return cbor([credential, mutate_presentation(chance, presentation)])
    if way == 2:
        return cbor([parts_of(other)[0], presentation])
    if way == 3:
        return cbor([credential[:3] + [presentation[3]], presentation[:3] + [credential[3]]])
    return cbor(in_value(chance, [credential, presentation]))


def spliced(chance: Chance, data: bytes, other: bytes) -> bytes:
    at = chance.randrange(1, min(len(data), len(other)))
    return data[:at] + other[at:]


def mutants(seed: int, count: int) -> Iterator[str]:
    """Yield `count` texts, none of them a valid original."""
    chance, numbers = Chance(seed), range(len(ORIGINALS))
    data_of = [made.bytes() for made in ORIGINALS]
    prefix_of = [made.domain + ":" for made in ORIGINALS]
    valid = {made.text() for made in ORIGINALS}
    while count:
        number, other, way = chance.choice(numbers), chance.choice(numbers), chance.randrange(10)
        data, prefix = data_of[number], prefix_of[number]
        if way < 2:
            text = in_text(chance, prefix + foreign.base45(data))
        elif way < 5:
            text = prefix + foreign.base45(in_bytes(chance, data))
        elif way < 9:
            text = prefix + foreign.base45(in_parts(chance, number, other))
        else:
            text = prefix_of[other] + foreign.base45(spliced(chance, data, data_of[other]))
        if text not in valid:
            count -= 1
            yield text
