"""Where a segment stands against the ledger that the cloud holds: new, known, beyond a gap, or a fork.

PURE: values in, values out. Responsible for: P-5 (contiguous from 0, same head = duplicate, other head = fork, both
kept; nothing is taken beyond a gap, but behind a hole that the gate itself told). Not responsible for: signatures
(cloud/ingest.py) or rows (attendance/ledger_queries.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from protocols.chain import ZERO_HEAD
from protocols.gaps import Hole

FORKS_MAX = 100  # Branches kept for one ledger; a gate that makes more is broken or hostile and goes to dead letters.


class Standing(StrEnum):
    """What a segment is to the ledger. FORKS_SPENT: one branch more than the bound."""

    NEW = "NEW"
    DUPLICATE = "DUPLICATE"
    GAP = "GAP"
    FORK = "FORK"
    FORKS_SPENT = "FORKS_SPENT"


@dataclass
class Book:
    """What is known of one ledger (gate, epoch): its end, and heads by seq where a segment overlaps."""

    next_seq: int = 0
    head: bytes = ZERO_HEAD
    main: dict[int, bytes] = field(default_factory=dict)
    branches: dict[tuple[int, bytes], int] = field(default_factory=dict)  # (seq, head) -> number of its fork
    forks: int = 0
    holes: list[Hole] = field(default_factory=list)  # told by the gate

    def has_main(self, seq: int, head: bytes) -> bool:
        """Return whether the main chain has this head after this seq (seq -1: before the first event)."""
        if seq == -1:
            return head == ZERO_HEAD
        return head == (self.head if seq == self.next_seq - 1 else self.main.get(seq, self._behind_a_hole(seq)))

    def _behind_a_hole(self, seq: int) -> bytes | None:
        """The head before the first event behind a hole, as the gate told it: nothing is held at that seq."""
        return next((hole.head for hole in self.holes if hole.next - 1 == seq), None)


@dataclass(frozen=True)
class Placement:
    """standing; new: positions in the segment to be stored now; fork: 0 for the main chain."""

    standing: Standing
    new: range
    fork: int = 0


def needs_history(book: Book, first_seq: int, head_before: bytes) -> bool:
    """Return whether more than the ledger's end must be read to place this segment."""
    return first_seq != book.next_seq or head_before != book.head


def place(book: Book, first_seq: int, head_before: bytes, heads: Sequence[bytes]) -> Placement:
    """Place a segment and enter what is new in the book, so that the next segment meets it."""
    _leap(book, first_seq, head_before)
    if not needs_history(book, first_seq, head_before):
        return _append(book, first_seq, heads, 0)
    if (first_seq - 1, head_before) in book.branches and not book.has_main(first_seq - 1, head_before):
        return _branch(book, first_seq, heads, 0, book.branches[first_seq - 1, head_before])
    if first_seq > book.next_seq:
        return Placement(Standing.GAP, range(0))
    if not book.has_main(first_seq - 1, head_before):
        return _branch(book, first_seq, heads, 0, 0)
    for position, head in enumerate(heads):
        seq = first_seq + position
        if seq == book.next_seq:
            return _append(book, first_seq, heads, position)
        if not book.has_main(seq, head):
            return _branch(book, first_seq, heads, position, 0)
    return Placement(Standing.DUPLICATE, range(0))


def _leap(book: Book, first_seq: int, head_before: bytes) -> None:
    """Go on behind a hole when the very event comes that stands there; until then what was lost may still come."""
    for hole in book.holes:
        if hole.first <= book.next_seq < hole.next and (first_seq, head_before) == (hole.next, hole.head):
            book.next_seq, book.head = hole.next, hole.head


def _append(book: Book, first_seq: int, heads: Sequence[bytes], start: int) -> Placement:
    for position in range(start, len(heads)):
        book.main[first_seq + position] = heads[position]
    book.next_seq, book.head = first_seq + len(heads), heads[-1]
    return Placement(Standing.NEW, range(start, len(heads)))


def _branch(book: Book, first_seq: int, heads: Sequence[bytes], start: int, number: int) -> Placement:
    """Keep a branch: the part of it that is known already is skipped, the rest takes its number or a new one."""
    while start < len(heads) and (first_seq + start, heads[start]) in book.branches:
        number = book.branches[first_seq + start, heads[start]]
        start += 1
    if start == len(heads):
        return Placement(Standing.DUPLICATE, range(0), number)
    taken = {fork for (seq, _), fork in book.branches.items() if seq == first_seq + start}
    if number == 0 or number in taken:
        if book.forks >= FORKS_MAX:
            return Placement(Standing.FORKS_SPENT, range(0))
        book.forks += 1
        number = book.forks
    for position in range(start, len(heads)):
        book.branches[first_seq + position, heads[position]] = number
    return Placement(Standing.FORK, range(start, len(heads)), number)
