"""A printed card and the number on it. Pure.

The serial is what people say on the telephone and type at a desk; it opens nothing. Eight characters are stored, a
ninth checks them: over GF(32) it finds every wrong character and every two that were swapped.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cloud.passes.model import SERIAL_LETTERS

SERIAL_CHARACTERS = 8
FIELD_POLYNOMIAL = 0b100101  # x^5 + x^2 + 1, primitive over GF(2): 31 positions have 31 different weights
PRINTABLE = timedelta(hours=24)  # a jam in the printer; later another copy would be a second card: replace it
TYPED_CHARACTERS_MAX = 40

LOST, REPLACED, REVOKED, OVER = "lost", "replaced", "revoked", "over"  # why a card ended; constraint card_ended_why


@dataclass(frozen=True)
class Card:
    """A card as its pages show it. ended_why: see above; "" while it runs."""

    serial: str
    cti: bytes
    person_id: UUID
    given: str
    family: str
    language: str
    site: int
    school: str
    timezone: str
    issued_at: datetime
    expires_at: datetime
    printed_at: datetime | None
    revoked_at: datetime | None
    ended_why: str
    replaces: str | None
    body: bytes

    @property
    def name(self) -> str:
        return f"{self.given} {self.family}".strip()

    @property
    def shown_serial(self) -> str:
        return shown(self.serial)

    def runs(self, now: datetime) -> bool:
        """Return whether a gate would still take it to staff, as far as the card itself says."""
        return self.revoked_at is None and now < self.expires_at

    def printable(self, now: datetime) -> bool:
        """Return whether it may be drawn on paper (again)."""
        return self.runs(now) and now < self.issued_at + PRINTABLE


@dataclass(frozen=True)
class CardPlace:
    """A site where an adult may have a card: the children it would be for."""

    site: int
    school: str
    children: tuple[str, ...]


def shown(serial: str) -> str:
    """Return a serial as it is printed: K7MP-2QXR-S, the last one checks the others."""
    return f"{serial[:4]}-{serial[4:]}-{check_character(serial)}"


def typed_serial(typed: str) -> str | None:
    """Return the stored serial of what somebody typed, or None: wrong characters, length or check."""
    letters = "".join(letter for letter in typed[:TYPED_CHARACTERS_MAX].upper() if letter not in " -–—.")
    if len(letters) != SERIAL_CHARACTERS + 1 or any(letter not in SERIAL_LETTERS for letter in letters):
        return None
    serial = letters[:SERIAL_CHARACTERS]
    return serial if check_character(serial) == letters[-1] else None


def check_character(serial: str) -> str:
    """Return the sum of position weights (powers of x) times characters, as a character."""
    total = 0
    for letter in serial:  # Horner's rule: total = (total + letter) * x
        total = (total ^ SERIAL_LETTERS.index(letter)) << 1
        total ^= FIELD_POLYNOMIAL if total & 32 else 0
    return SERIAL_LETTERS[total]
