"""PURE. Whose message is next: each sender gets a few in turn, so that one gone mad keeps nobody else waiting.

Responsible for: what waits, by sender and in the order of arrival; the bound of one sender; what waits already.
Not responsible for: hearing, acknowledging or storing (ingest.py), nor which messages mean the same twice. A segment
that found no place is not lost: its gate has no receipt for it and sends it again (P-5). Not thread-safe: one thread
owns it.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Message = TypeVar("Message")


class Turns(Generic[Message]):
    """Messages by sender. waiting_max: of one sender; in_turn: of one sender before the next has his turn."""

    def __init__(self, waiting_max: int, in_turn: int) -> None:
        self._waiting_max, self._in_turn = waiting_max, in_turn
        self._senders: OrderedDict[str, OrderedDict[Hashable, Message]] = OrderedDict()

    def put(self, sender: str, message: Message, *, once: bytes | None = None) -> bool:
        """Let a message wait; False where its sender has too many waiting, or one with the same `once` already.

        once: what a message is known by where saying it twice means no more than once; None where each counts, as of
        birth, will and birth.
        """
        waiting = self._senders.setdefault(sender, OrderedDict())
        key: Hashable = object() if once is None else once
        if key in waiting or len(waiting) >= self._waiting_max:
            return False
        waiting[key] = message
        return True

    def take(self, most: int) -> list[Message]:
        """Return what is next, a few of each sender; who has more left comes last the next time."""
        taken: list[Message] = []
        for sender in list(self._senders):
            waiting = self._senders[sender]
            for _ in range(min(self._in_turn, len(waiting), most - len(taken))):
                taken.append(waiting.popitem(last=False)[1])
            del self._senders[sender]
            if waiting:
                self._senders[sender] = waiting
            if len(taken) >= most:
                break
        return taken

    def __bool__(self) -> bool:
        return bool(self._senders)
