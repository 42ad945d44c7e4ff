"""Words of this slice: phones, codes, rights as a pass says them, credentials, signed documents.

PURE. Not responsible for: who has which right (cloud/people decides), nor bytes (protocols/passes.py). Rules: P-2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from protocols.limits import CREDENTIAL_ISSUED_SECONDS, PASS_CHILDREN_MAX
from protocols.passes import DROP_OFF, PICK_UP

CREDENTIAL_LIFE = timedelta(seconds=CREDENTIAL_ISSUED_SECONDS)
CREDENTIAL_RENEWED_AFTER = timedelta(days=1)  # UX, the pass page: refreshed when older than a day
SERIAL_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # no 0/O, 1/I on paper; 32 of them
CARD_LIFE = timedelta(days=365)  # a school year; P-2 allows 400 days


@dataclass(frozen=True)
class FoundCode:
    """A pairing code that is known and not used up: where to go on. Nothing of the person is told."""

    district_id: UUID
    id: UUID


@dataclass(frozen=True)
class PairingCode:
    """One row: `tries` are wrong proofs so far; nonce: what the phone must sign."""

    id: UUID
    person_id: UUID
    nonce: bytes
    tries: int
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True)
class PairStart:
    """What a phone signs to prove that it holds its key: "portillon-pair" + nonce + account (16 bytes)."""

    account: bytes
    nonce: bytes


@dataclass(frozen=True)
class Phone:
    """A paired phone. slot: 1 or 2, the fence that keeps it at two."""

    id: UUID
    person_id: UUID
    slot: int
    cose_key: bytes
    thumb: bytes
    paired_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True)
class Right:
    """What one adult may do for one child at one site now. perms: 1 drop-off, 2 pick-up."""

    site: int
    school: str
    timezone: str
    child_id: UUID
    given: str
    class_name: str
    drop_off: bool
    pick_up: bool

    @property
    def perms(self) -> int:
        return DROP_OFF * self.drop_off + PICK_UP * self.pick_up


@dataclass(frozen=True)
class StaffRight:
    """What a member of staff may do at the gates of one site. powers: P-2."""

    site: int
    school: str
    timezone: str
    powers: int


@dataclass(frozen=True)
class Issued:
    """One credential as it is stored. rights: [[child ref, perms], …], or [[0, powers]] for staff."""

    cti: bytes
    kind: str
    person_id: UUID
    pass_key_id: UUID | None
    site: int
    holder: int
    rights: Sequence[Sequence[int]]
    body: bytes
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class PassChild:
    """A child as the phone shows it. bit: its place in the credential; presence: in, out or unknown today."""

    bit: int
    name: str
    class_name: str
    perms: int
    presence: str
    since: datetime | None


@dataclass(frozen=True)
class PassOffer:
    """One credential for one site, with what the phone shows around it. kind: family or staff."""

    kind: str
    site: int
    school: str
    timezone: str
    credential: bytes
    issued_at: datetime
    expires_at: datetime
    children: tuple[PassChild, ...]


@dataclass(frozen=True)
class SignedDocument:
    """One version of a site's document, as published."""

    district_id: UUID
    site: int
    domain: str
    version: int
    signed_at: datetime
    content: bytes
    body: bytes


def grouped_by_site(rights: Sequence[Right]) -> list[list[Right]]:
    """Return one adult's rights as credentials hold them: one site each, at most eight children, in a fixed order."""
    sites: dict[int, list[Right]] = {}
    for right in sorted(rights, key=lambda one: (one.site, one.given, one.child_id)):
        if right.perms:
            sites.setdefault(right.site, []).append(right)
    return [rows[start : start + PASS_CHILDREN_MAX]
            for rows in sites.values() for start in range(0, len(rows), PASS_CHILDREN_MAX)]  # fmt: skip
