"""Faults of a pass, one of each kind, in the order of P-3 (a) to (d): for the tests of that order, and for vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.protocols import foreign
from tests.protocols.foreign import GATE, ISSUER, NOW, PHONE

BAD_KEY = {1: 1, -1: 6, -2: bytes(32)}
BAD_THUMB = foreign.sha(foreign.cbor(BAD_KEY), 8)
ZEROES = bytes(64)


def as_it_is(text: str) -> str:
    return text


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: with the pass, with where and when it is shown, or with its text."""

    code: str
    name: str = ""
    made: dict[str, Any] = field(default_factory=dict)
    place: dict[str, Any] = field(default_factory=dict)
    text: Callable[[str], str] = as_it_is

    def __str__(self) -> str:
        return f"{self.code}{self.name and '-' + self.name}"


# In the order of the page. Presence of two faults is what matters, so none of them hides another's field.
FAULTS = [
    Fault("NOT_A_PASS", text=lambda text: "X" + text[1:]),
    Fault("TOO_LONG", text=lambda text: text + "0" * 640),
    Fault("UNKNOWN_VERSION", text=lambda text: text[:2] + "2" + text[3:]),
    Fault("FORMAT", "base45", text=lambda text: text + "?"),
    Fault("BAD_ALG", "issuer", {"protected": {1: -9, 4: ISSUER.kid}}),
    Fault("UNKNOWN_ISSUER", "", {}, {"keys": []}),
    Fault("ISSUER_REVOKED", "", {}, {"kids": {ISSUER.kid}}),
    Fault("BAD_SIGNATURE", "issuer", {"signature": ZEROES}),
    Fault("FORMAT", "claims", {"claims": {5: NOW}}),
    Fault("OTHER_SITE", "site", {"site": 202}),
    Fault("OTHER_SITE", "issuer", {}, {"sites": {202}}),
    Fault("FORMAT", "lifetime", {"exp": NOW + 30 * 86_400}),
    Fault("ISSUER_WINDOW", "", {}, {"not_before": NOW + 1_000_000}),
    Fault("GATE_CLOCK", "", {}, {"clock": "holdover", "floor": NOW + 3_600}),
    Fault("NOT_YET_VALID", "", {"iat": NOW + 600, "exp": NOW + 86_400}),
    Fault("EXPIRED", "", {"iat": NOW - 86_400, "exp": NOW - 600}),
    Fault("REVOKED", "", {}, {"ctis": {b"cti-0001"}}),
    Fault("HOLDER_BLOCKED", "", {}, {"holders": {500: 2**32 - 1}}),
    Fault("FORMAT", "presentation", {"shown": {5: 0}}),
    Fault("DEVICE_REVOKED", "", {}, {"thumbs": {PHONE.thumb, BAD_THUMB}}),
    Fault("BAD_KEY", "", {"cose_key": BAD_KEY}),
    Fault("BAD_ALG", "phone", {"shown_protected": {1: -9}}),
    Fault("BAD_SIGNATURE", "phone", {"shown_signature": ZEROES}),
    Fault("CHILD_NOT_IN_PASS", "", {"childmask": 4}),
    Fault("OTHER_GATE", "", {"gate": GATE + 1}),
    Fault("STALE", "", {"at": NOW - 21}),
    Fault("CLOCK_SKEW", "", {"at": NOW + 11}),
    Fault("FUTURE", "", {"at": NOW + 901}),
]
