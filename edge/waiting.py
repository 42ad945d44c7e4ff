"""Requests that wait for staff: each by itself, 60 s from its first answer, with its code for staff to see.

PURE. Not here: what confirming means (`gate`). Obeys P-3, Waiting.
"""

from dataclasses import dataclass, replace

from edge.sight import Key, Sight
from protocols.limits import REQUESTS_WAITING_MAX, SAME_REQUEST_SECONDS, WAIT_SECONDS
from protocols.reasons import Reason


@dataclass(frozen=True)
class Waiting:
    """A request that waits. refused: its children who may not, or must be asked for, with their codes."""

    code: Reason
    sight: Sight
    refused: tuple[tuple[int, Reason], ...]
    first_at: float

    @property
    def key(self) -> Key:
        return self.sight.key


class WaitingRoom:
    """The requests that wait now, oldest first, and what staff declined a moment ago."""

    def __init__(self) -> None:
        self._requests: dict[Key, Waiting] = {}
        self._declined: dict[Key, float] = {}

    def add(self, request: Waiting) -> None:
        self._requests.pop(request.key, None)
        self._requests[request.key] = request
        while len(self._requests) > REQUESTS_WAITING_MAX:
            self._requests.pop(next(iter(self._requests)))

    def find(self, key: Key, at: float) -> Waiting | None:
        self._expire(at)
        return self._requests.get(key)

    def redraw(self, request: Waiting, sight: Sight) -> None:
        """The phone goes on waiting with a new presentation."""
        self._requests[request.key] = replace(request, sight=sight)

    def remove(self, key: Key) -> None:
        self._requests.pop(key, None)

    def newest(self, at: float) -> Waiting | None:
        self._expire(at)
        return next(reversed(self._requests.values()), None)

    def all(self, at: float) -> tuple[Waiting, ...]:
        self._expire(at)
        return tuple(self._requests.values())

    def for_staff_pass(self, at: float) -> Waiting | None:
        """The one request that a staff pass may confirm: alone in its code, and none of its children refused."""
        asking = [request for request in self.all(at) if request.code == Reason.STAFF_CONFIRM]
        if len(asking) != 1 or any(code != Reason.STAFF_CONFIRM for _, code in asking[0].refused):
            return None
        return asking[0]

    def decline(self, key: Key, at: float) -> None:
        self.remove(key)
        self._declined[key] = at

    def was_declined(self, key: Key, at: float) -> bool:
        self._expire(at)
        return key in self._declined

    def _expire(self, at: float) -> None:
        """Forget what is over; a clock set back ends it as well, lest a request of that day wait for weeks."""
        for key in [key for key, request in self._requests.items() if abs(at - request.first_at) > WAIT_SECONDS]:
            del self._requests[key]
        for key in [key for key, declined_at in self._declined.items() if abs(at - declined_at) > SAME_REQUEST_SECONDS]:
            del self._declined[key]
