"""Mutants of valid passes: none opens, none crashes. 10,000 in every run, 100,000 in `make test-long`."""

from __future__ import annotations

from collections import Counter

import pytest

from protocols.passes import PassRefused, Place, verify
from protocols.trust import Role, TrustedKey, trust_of
from tests.protocols.foreign import GATE, ISSUER, NOW, SITE
from tests.protocols.mutants import ORIGINALS, mutants

PLACE = Place(SITE, NOW, trust_of([TrustedKey(ISSUER.public, Role.ISSUER)]), gate=GATE)


def answers(seed: int, count: int) -> Counter[str]:
    """The codes of so many mutants. Anything but PassRefused is a crash, and fails the test that asked."""
    found: Counter[str] = Counter()
    for text in mutants(seed, count):
        try:
            verify(text, PLACE)
        except PassRefused as refused:
            found[refused.reason] += 1
        else:
            found["OPEN"] += 1
            print(text)
    return found


def test_the_originals_of_the_mutants_open_each() -> None:
    for made in ORIGINALS:
        verify(made.text(), PLACE)


def test_none_of_10_000_mutants_opens_and_none_crashes() -> None:
    found = answers(1, 10_000)
    assert found["OPEN"] == 0 and found.total() == 10_000
    assert {
        "FORMAT",
        "BAD_SIGNATURE",
        "UNKNOWN_ISSUER",
        "BAD_ALG",
        "TOO_LONG",
        "NOT_A_PASS",
    } <= found.keys()


@pytest.mark.long
def test_none_of_100_000_mutants_opens_and_none_crashes() -> None:
    found = answers(2026, 100_000)
    print("mutants of a valid pass:", dict(found.most_common()))
    assert found["OPEN"] == 0 and found.total() == 100_000
