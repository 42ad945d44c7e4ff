"""Who may sign what: keys, roles, windows, and the trust list KK1 that the offline root signs.

Not here: the documents those keys sign (`documents`). Obeys P-1 (roles, kid collisions) and P-4 (KK1).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from nacl.signing import SigningKey

from protocols import cose
from protocols.canonical import encode
from protocols.envelope import Held, digest_of, open_claims, sealed, shaped, uint, unpack, version_check
from protocols.limits import KID_BYTES
from protocols.reasons import DocumentKind

_LIST = -65543  # KK1's private claim, P-4


class Role(StrEnum):
    """What a key may sign; no key has two (P-1). Root signs KK1 alone; gates' own keys stand in KL1, not here."""

    ISSUER = "issuer"  # KG1, KT1, KC1
    POLICY = "policy"  # KR1
    REGISTRY = "registry"  # KL1
    CONTROL = "control"  # KF1
    COMMAND = "command"  # KM1, KX1
    RECEIPT = "receipt"  # KA1
    SIGNER = "signer"  # KB1, a school's signer
    HEAD = "head"  # KB1, the head


@dataclass(frozen=True)
class TrustedKey:
    """One row of a trust list. Windows are UTC seconds, inclusive; no sites means any."""

    public: bytes
    role: Role
    sites: frozenset[int] = frozenset()
    not_before: int = 0
    not_after: int = 2**32 - 1

    @property
    def kid(self) -> bytes:
        return cose.kid_of(self.public)

    def serves(self, site: int) -> bool:
        return not self.sites or site in self.sites

    def covers(self, at: float) -> bool:
        return self.not_before <= at <= self.not_after


@dataclass(frozen=True)
class Trust:
    """The keys that are believed, by kid, and the version of the list they came from."""

    keys: dict[bytes, TrustedKey] = field(default_factory=dict)
    held: Held | None = None
    iat: int = 0

    def find(self, kid: bytes | None, role: Role) -> TrustedKey | None:
        """The key of that number, if it has that role."""
        key = self.keys.get(kid or b"")
        return key if key and key.role == role else None


def trust_of(keys: Iterable[TrustedKey], held: Held | None = None, iat: int = 0) -> Trust:
    """Return the trust of `keys`. Raises ValueError for two keys of one kid, or a key that is no valid point."""
    by_kid: dict[bytes, TrustedKey] = {}
    for key in keys:
        if not cose.is_valid_ed25519(key.public):
            raise ValueError("a trusted key is not a valid Ed25519 point")
        if by_kid.setdefault(key.kid, key) is not key:
            raise ValueError("two trusted keys of one kid")
    return Trust(by_kid, held, iat)


def build_trust_list(root: SigningKey, version: int, iat: int, keys: Iterable[TrustedKey]) -> bytes:
    """Return KK1, signed by the root. Raises ValueError for what no gate would load."""
    rows = trust_of(keys).keys.values()
    if cose.kid_of(bytes(root.verify_key)) in {key.kid for key in rows}:
        raise ValueError("the root signs trust lists and stands in none")
    body = [[key.kid, key.public, str(key.role), sorted(key.sites), key.not_before, key.not_after] for key in rows]
    return sealed(DocumentKind.KK1, cose.sign(b"KK1", encode({6: iat, _LIST: [version, body]}), root))


def load_trust_list(
    data: bytes, root_public: bytes, now: float, held: Held | None = None, *, clock_trusted: bool = True
) -> Trust:
    """Return the trust of a KK1. Raises DocumentRefused(TRUST_…), in the order of P-4."""
    kind = DocumentKind.KK1
    root_kid = cose.kid_of(root_public)
    claims, _ = open_claims(data, kind, {6, _LIST}, lambda kid: root_public if kid == root_kid else None)
    trust = shaped(kind, lambda: _trust(claims, data))
    assert trust.held
    version_check(kind, trust.iat, trust.held, now, held, clock_trusted)
    return trust


def _trust(claims: dict, data: bytes) -> Trust:
    version, rows = unpack(claims[_LIST], 2)
    if type(rows) is not list:
        raise ValueError("keys are a list")
    return trust_of([_key_of(unpack(row, 6)) for row in rows], Held(uint(version), digest_of(data)), uint(claims[6]))


def _key_of(row: list) -> TrustedKey:
    kid, public, role, sites, not_before, not_after = row
    if type(public) is not bytes or type(kid) is not bytes or len(kid) != KID_BYTES or cose.kid_of(public) != kid:
        raise ValueError("a kid that is not its key's")
    if type(sites) is not list:
        raise ValueError("sites are a list")
    key = TrustedKey(public, Role(role), frozenset(uint(s, 1) for s in sites), uint(not_before), uint(not_after))
    if key.not_before > key.not_after:
        raise ValueError("a window that ends before it begins")
    return key
