"""What is missing in a ledger, and who says so: a hole that the gate tells (kind 7), or what a receipt says it lacks.

PURE. Responsible for: the words of both, read without believing any shape. Not responsible for: what follows (the
gate's journal, the cloud's attendance). Obeys P-5 and ADR 0021; HOSTILE P21, P22, P46.
"""

from dataclasses import dataclass
from typing import Any

from protocols.chain import ZERO_HEAD
from protocols.events import Detail, Event, Kind, Receipt
from protocols.limits import HEAD_BYTES, UINT32_MAX

MISSING = "MISSING"  # code of a receipt: from this seq on the cloud holds nothing, send it again
SEQ_MAX = 2**62  # beyond it is no ledger, whatever the wire allows (a gate writes 3,000 events a day)


@dataclass(frozen=True)
class Hole:
    """Events first to next - 1 of an epoch are lost; the next one is chained to `head`. since: UTC seconds, when the
    last event before them was recorded (0: not known)."""

    epoch: int
    first: int
    next: int
    head: bytes
    since: int = 0

    def told(self) -> list[Any]:
        """Return it as the detail HOLE of a gap."""
        return [self.epoch, self.first, self.next, self.head, self.since]


def hole_of(event: Event) -> Hole | None:
    """Return the hole that a gap tells; None for another event or an unreadable one."""
    told = event.detail.get(Detail.HOLE)
    if event.kind is not Kind.GAP or type(told) is not list or len(told) != 5:
        return None
    epoch, first, following, head, since = told
    numbers = (epoch, first, following, since)
    if not all(type(number) is int for number in numbers) or type(head) is not bytes or len(head) != HEAD_BYTES:
        return None
    if not (0 <= epoch <= UINT32_MAX and 0 <= first < following <= SEQ_MAX and 0 <= since <= UINT32_MAX):
        return None
    return Hole(epoch, first, following, head, since)


def missing_from(receipt: Receipt) -> int | None:
    """Return the seq from which on the cloud lacks this ledger, None where the receipt does not say so.

    The receipt's own upto and head are the last event it holds; nothing at all is upto 0 with the head before all.
    """
    seqs = [seq for seq, code in receipt.codes if code == MISSING]
    if not seqs:
        return None
    if receipt.head == ZERO_HEAD:
        return 0 if seqs == [0] else None
    return seqs[0] if seqs == [receipt.upto + 1] else None
