"""What the yes of staff means: powers first, then revocations, custody and presence once more (P-3, Waiting).

PURE. Responsible for: which children of a request pass when staff confirm it, and with which code each of the others
stays. Not responsible for: which request is meant, events, the door (gate.py).
"""

from edge.sight import Sight
from edge.waiting import Waiting
from protocols import passes, rules
from protocols.passes import OUT, PassRefused, Revocations
from protocols.reasons import Reason

Codes = tuple[tuple[int, Reason], ...]


def powers_needed(confirm: bool, direction: int) -> int:
    """Confirming and declining need power 1; letting a child leave needs 8 as well."""
    return passes.POWER_CONFIRM | (passes.POWER_RELEASE if confirm and direction == OUT else 0)


def settled_codes(request: Waiting, sight: Sight, known: rules.Circumstances, revoked: Reason | None) -> Codes:
    """The code of each child of a request as staff confirm it; a revocation meanwhile is every child's."""
    asked = rules.Request(sight.holder, sight.direction, sight.children)

    def code_of(child: int, perms: int) -> Reason:
        if revoked:
            return revoked
        if sight.direction != request.sight.direction and not perms & sight.direction:
            return Reason.NOT_ALLOWED
        if rules.custody_says(child, asked, known) == Reason.CUSTODY:
            return Reason.CUSTODY
        already = known.presence(child) == sight.direction and request.code != Reason.PASSBACK
        return Reason.PASSBACK if already else Reason.OPEN

    return tuple((child, code_of(child, perms)) for child, perms in sight.children)


def revoked_since(sight: Sight, revocations: Revocations) -> Reason | None:
    """Why the pass of a request counts no more, None where it still does."""
    assert sight.credential
    try:
        passes.check_revocations(sight.credential, revocations)
    except PassRefused as refused:
        return refused.reason
    if sight.credential.issuer in revocations.kids:
        return Reason.ISSUER_REVOKED
    return Reason.DEVICE_REVOKED if sight.thumb in revocations.thumbs else None


def who_passes(codes: Codes, direction: int) -> tuple[int, ...]:
    """Arrival: those who may. Departure: nobody leaves where custody denies one of them."""
    if direction == OUT and any(code == Reason.CUSTODY for _, code in codes):
        return ()
    return tuple(child for child, code in codes if code == Reason.OPEN)
