"""One pass in view whose issuer is known, as far as it has been read: who shows it, and what is asked for.

PURE value, filled in step by step; a request that waits for staff keeps its own.
"""

from dataclasses import dataclass, replace

from protocols.events import Detail
from protocols.passes import CARD, STAFF, Credential, Presentation, VerifiedPass

Children = tuple[tuple[int, int], ...]  # (child, perms)
Key = tuple[bytes, int, frozenset[int]]  # who (thumb or cti), direction (0 for a card), children


@dataclass(frozen=True)
class Sight:
    """direction is 0 for staff who enter. fallback names a credential whose claims cannot be read."""

    credential: Credential | None = None
    presentation: Presentation | None = None
    direction: int = 0
    children: Children = ()
    fallback: bytes = b""

    def asking(self, direction: int) -> "Sight":
        """The same pass, with what it asks for: its named children (a card: all of them) and a direction."""
        assert self.credential
        children = VerifiedPass(self.credential, self.presentation).children
        return replace(self, direction=direction, children=children)

    @property
    def is_card(self) -> bool:
        return self.credential is not None and self.credential.kind == CARD

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(child for child, _ in self.children)

    @property
    def all_ids(self) -> tuple[int, ...]:
        """The children asked for; before it is known which, all that the credential names."""
        return self.ids or tuple(child for child, _ in (self.credential.children if self.credential else ()))

    @property
    def holder(self) -> int:
        return self.credential.holder if self.credential else 0

    @property
    def thumb(self) -> bytes:
        return self.credential.thumb if self.credential else b""

    @property
    def iat(self) -> int:
        return self.presentation.iat if self.presentation else 0

    @property
    def digest(self) -> bytes:
        return self.presentation.digest if self.presentation else b""

    @property
    def name(self) -> bytes:
        """What refusals are counted by."""
        return self.credential.cti if self.credential else self.fallback

    @property
    def key(self) -> Key:
        """What a request is told apart by: a redraw has the same key, a card has no direction of its own."""
        assert self.credential
        if self.is_card:
            return self.credential.cti, 0, frozenset(self.ids)
        return self.thumb, self.direction, frozenset(self.ids)

    def detail(self) -> dict:
        """What the ledger keeps of it."""
        if self.credential is None:
            return {}
        who = Detail.STAFF if self.credential.kind == STAFF else Detail.HOLDER
        detail = {
            Detail.CTI: self.credential.cti,
            who: self.credential.holder,
            Detail.CREDENTIAL_IAT: self.credential.iat,
        }
        if self.presentation:
            detail |= {Detail.THUMB: self.thumb, Detail.PRESENTATION_IAT: self.iat}
        if self.direction:
            detail |= {Detail.DIRECTION: self.direction}
        if self.children:
            detail |= {Detail.CHILDREN: [list(row) for row in self.children]}
        return detail
