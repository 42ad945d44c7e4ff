"""Families who go on coming and leaving at every gate, whatever happens there.

Responsible for: one spot a gate where one adult after the other shows a phone, with some patience; what each heard.
Not for: what happens to the gates (chaos.py), nor what is on their disks (evidence.py).
Obeys PROTOCOL.md section 3 only by living with its answers: whoever is refused leaves, and comes again another way.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from protocols.passes import IN, OUT
from simulators.clock import now
from simulators.gatehouse import Arrival, Gatehouse
from simulators.phone import HeldPass, Phone, http_client
from simulators.processes import WorldFault
from simulators.stack import Stack

PATIENCE_SECONDS = 8.0  # a gate that is dead keeps nobody longer: the next fault waits
REFRESH_THREADS = 4


class Crowd:
    """All who come. `arrivals` grows; `stop` returns when the last of them has left."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.arrivals: list[Arrival] = []
        self._stop = threading.Event()
        self._seed = seed
        self._sites = {gate["gate"]: school["site"] for school in stack.district["schools"] for gate in school["gates"]}
        self._queues: dict[int, deque[tuple[Phone, HeldPass]]] = {}
        for phone, held in _holders(stack, seed):
            self._queues.setdefault(held.site, deque()).append((phone, held))
        self.houses = [
            Gatehouse(stack.gate_number(part), part.url, stack.camera(stack.gate_number(part))) for part in stack.gates
        ]
        self._spots = [
            threading.Thread(target=self._stand, args=(house,), name=f"spot-{house.number}") for house in self.houses
        ]
        empty = [house.number for house in self.houses if not self._queues.get(self._sites[house.number])]
        if empty:
            raise WorldFault(f"No family has a phone for gate {empty[0]}.", "Make the stack with more --families.")

    def start(self) -> None:
        for house in self.houses:
            house.patience_seconds = PATIENCE_SECONDS
            house.open()
        for spot in self._spots:
            spot.start()

    def stop(self) -> None:
        self._stop.set()
        for spot in self._spots:
            spot.join()
        for house in self.houses:
            house.close()

    def _stand(self, house: Gatehouse) -> None:
        """Let one after the other come; a family that was answered tries the other direction next time."""
        waiting, direction = self._queues[self._sites[house.number]], {}
        chance = random.Random(f"portillon-crowd-{self._seed}-{house.number}")
        while not self._stop.is_set():
            phone, held = waiting.popleft()
            arrival = Arrival(phone, held, house.number, direction.get(phone.holder, IN))
            house.receive(arrival, "clean", chance.randrange(2**31))
            self.arrivals.append(arrival)
            if arrival.decision:
                direction[phone.holder] = OUT if arrival.direction == IN else IN
            waiting.append((phone, held))


def _holders(stack: Stack, seed: int) -> list[tuple[Phone, HeldPass]]:
    """Return every phone with a fresh pass, in an order of the seed's."""
    phones = stack.phones()
    random.Random(f"portillon-crowd-{seed}").shuffle(phones)
    with http_client(stack.web_url) as client, ThreadPoolExecutor(REFRESH_THREADS) as pool:
        list(pool.map(lambda phone: phone.refresh(client, now()), phones))
    return [(phone, phone.passes[0]) for phone in phones if phone.passes]
