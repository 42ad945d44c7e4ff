"""A morning through a running stack: adults come, doors open, parents' pages hear of it, nothing is lost.

Responsible for: choosing who comes, letting each stand at a gate of their school, timing door and page,
and comparing the gates' journals with the cloud's events when all have gone in.
Not for: starting anything (stack.py), or breaking anything (outage.py).
Obeys INTERFACES.md: `morning --json` and the counts an outsider makes from the two exports.
"""

from __future__ import annotations

import json
import queue
import random
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from simulators.clock import monotonic_ns, now
from simulators.gatehouse import Arrival, Gatehouse, events_of
from simulators.parts import clean_environment, command_path
from simulators.phone import HeldPass, Phone, http_client
from simulators.processes import WorldFault, tail
from simulators.stack import Stack

WATCHED_PAGES_MAX = 40  # guardians whose page is held open; more would time this machine, not the product
PAGE_SECONDS_MAX = 10.0
DRAIN_SECONDS_MAX = 20.0
REFRESH_THREADS = 4
EXPORT_THREADS = 4
EASY_DISTORTIONS = ("clean", "clean", "clean", "dark_mode")
FACT = re.compile(r'data-fact="(\d+):(\d+):(\d+)"')

Fact = tuple[int, int, int]  # gate, epoch, seq
Json = dict[str, Any]
Heard = Callable[[Arrival], None]


@dataclass(frozen=True)
class Ledger:
    """What both ends hold of every event: identity -> its line."""

    at_gates: dict[Fact, Json]
    in_cloud: Counter[Fact]

    @property
    def lost(self) -> list[Fact]:
        return [fact for fact in self.at_gates if fact not in self.in_cloud]

    @property
    def duplicates(self) -> list[Fact]:
        return [fact for fact, times in self.in_cloud.items() if times > 1]

    @property
    def phantoms(self) -> list[Fact]:
        return [fact for fact in self.in_cloud if fact not in self.at_gates]


@dataclass
class Morning:
    """What happened. `summary` is what `morning --json` prints."""

    arrivals: list[Arrival] = field(default_factory=list)
    parent_ms: list[float] = field(default_factory=list)
    watched: int = 0
    seconds: float = 0.0
    ledger: Ledger = field(default_factory=lambda: Ledger({}, Counter()))

    def summary(self) -> Json:
        opened = [arrival for arrival in self.arrivals if arrival.is_opened]
        facts = [arrival.fact for arrival in opened if arrival.fact]
        gate_ms = [arrival.gate_ms for arrival in opened if arrival.gate_ms is not None]
        return {
            "arrivals": len(self.arrivals),
            "opened": len(opened),
            "refused": dict(Counter(arrival.code for arrival in self.arrivals if not arrival.is_opened)),
            "stored": sum(1 for fact in facts if fact in self.ledger.in_cloud),
            "lost": len(self.ledger.lost),
            "duplicates": len(self.ledger.duplicates),
            "phantoms": len(self.ledger.phantoms),
            "gate_ms": percentiles(gate_ms),
            "door_to_parent_ms": percentiles(self.parent_ms),
            "pages_watched": self.watched,
            "pages_told": len(self.parent_ms),
            "seconds": round(self.seconds, 1),
        }


def play_morning(
    stack: Stack, arrivals: int, seed: int, *, heard: Heard | None = None, distortions: Sequence[str] = EASY_DISTORTIONS
) -> Morning:
    """Play so many arrivals and return what happened. Raises WorldFault where too few families are still out."""
    comers = choose_comers(stack, arrivals, seed)
    pages = FamilyPages(stack.web_url)
    houses = [
        Gatehouse(stack.gate_number(part), part.url, stack.camera(stack.gate_number(part))) for part in stack.gates
    ]
    morning = Morning()
    began = time.monotonic()
    try:
        morning.watched = pages.open([phone for phone, _ in comers[:WATCHED_PAGES_MAX]])
        for house in houses:
            house.open()
        morning.arrivals = let_all_come(stack, houses, comers, seed, heard, distortions)
        _time_the_pages(morning, pages)
    finally:
        for house in houses:
            house.close()
        pages.close()
    morning.seconds = time.monotonic() - began
    morning.ledger = wait_for_ledger(stack)
    return morning


def choose_comers(stack: Stack, arrivals: int, seed: int, first: str = "") -> list[tuple[Phone, HeldPass]]:
    """Return phones whose children are not in yet today, in an order that the seed decides.

    first: the key of a guardian who comes before all others, if the children are still out.
    """
    phones = stack.phones()
    random.Random(f"portillon-morning-{seed}").shuffle(phones)
    phones.sort(key=lambda phone: phone.holder != first)
    comers: list[tuple[Phone, HeldPass]] = []
    with http_client(stack.web_url) as client, ThreadPoolExecutor(REFRESH_THREADS) as pool:
        for start in range(0, len(phones), arrivals):
            batch = phones[start : start + arrivals]
            list(pool.map(lambda phone: phone.refresh(client, now()), batch))
            comers += [
                (phone, phone.passes[0]) for phone in batch if phone.passes and not phone.passes[0].is_anyone("in")
            ]
            if len(comers) >= arrivals:
                return comers[:arrivals]
    raise WorldFault(
        f"Only {len(comers)} of {len(phones)} families are still out today, {arrivals} shall come.",
        "Ask for fewer, or make a stack with more --families in a new --dir.",
    )


def let_all_come(
    stack: Stack,
    houses: list[Gatehouse],
    comers: list[tuple[Phone, HeldPass]],
    seed: int,
    heard: Heard | None,
    distortions: Sequence[str],
) -> list[Arrival]:
    """Let the families of each site queue at its gates; return the arrivals in the order of their answers."""
    site_of = _sites(stack.district)
    queues: dict[int, queue.SimpleQueue[tuple[int, Phone, HeldPass]]] = {}
    for place, (phone, held) in enumerate(comers):
        queues.setdefault(held.site, queue.SimpleQueue()).put((place, phone, held))
    done: list[Arrival] = []

    def attend(house: Gatehouse) -> None:
        waiting = queues.get(site_of[house.number], queue.SimpleQueue())
        while True:
            try:
                place, phone, held = waiting.get_nowait()
            except queue.Empty:
                return
            distortion = distortions[place % len(distortions)]
            arrival = house.receive(Arrival(phone, held, house.number), distortion, seed * 100_003 + place * 17)
            done.append(arrival)
            if heard is not None:
                heard(arrival)

    with ThreadPoolExecutor(max_workers=max(1, len(houses))) as pool:
        for future in [pool.submit(attend, house) for house in houses]:
            future.result()
    return done


def _sites(district: Json) -> dict[int, int]:
    return {gate["gate"]: school["site"] for school in district["schools"] for gate in school["gates"]}


def _time_the_pages(morning: Morning, pages: FamilyPages) -> None:
    """Wait until every watched page told of its family's arrival, then note how long each took."""
    awaited = {arrival.fact: arrival for arrival in morning.arrivals if arrival.fact and pages.watches(arrival.phone)}
    deadline = time.monotonic() + PAGE_SECONDS_MAX
    while time.monotonic() < deadline and not set(awaited) <= set(pages.told):
        time.sleep(0.05)
    for fact, arrival in awaited.items():
        if fact in pages.told:
            morning.parent_ms.append((pages.told[fact] - arrival.decided_ns) / 1e6)


class FamilyPages:
    """Guardians' pages held open: when each first told of a fact (CLOCK_MONOTONIC)."""

    def __init__(self, url: str, on_told: Callable[[Fact, int], None] | None = None) -> None:
        self.told: dict[Fact, int] = {}
        self._url = url
        self._on_told = on_told
        self._watched: set[str] = set()
        self._stop = threading.Event()
        self._ready = threading.Semaphore(0)

    def open(self, phones: Iterable[Phone]) -> int:
        """Open the page of each phone; return how many were open within the time."""
        for phone in phones:
            self._watched.add(phone.holder)
            threading.Thread(target=self._follow, args=(phone,), name=f"page-{phone.holder}", daemon=True).start()
        deadline = time.monotonic() + PAGE_SECONDS_MAX
        return sum(1 for _ in self._watched if self._ready.acquire(timeout=max(0.0, deadline - time.monotonic())))

    def watches(self, phone: Phone) -> bool:
        return phone.holder in self._watched

    def close(self) -> None:
        self._stop.set()

    def _follow(self, phone: Phone) -> None:
        is_first = True
        with http_client(self._url) as client:
            while not self._stop.is_set():
                try:
                    timeout = httpx.Timeout(5.0, read=60.0)
                    with client.stream("GET", "/family/stream", headers=phone.headers(), timeout=timeout) as response:
                        if response.status_code == 200 and is_first:
                            self._ready.release()
                            is_first = False
                        for data in events_of(response):
                            self._note(data)
                            if self._stop.is_set():
                                return
                except httpx.HTTPError:
                    pass  # the cloud was killed: a page connects again by itself
                self._stop.wait(0.2)

    def _note(self, fragment: str) -> None:
        at = monotonic_ns()
        for gate, epoch, seq in FACT.findall(fragment):
            fact = (int(gate), int(epoch), int(seq))
            if fact not in self.told:
                self.told[fact] = at
                if self._on_told is not None:
                    self._on_told(fact, at)


# ------------------------------------------------------------------------------------------ the two exports


def wait_for_ledger(stack: Stack, seconds: float = DRAIN_SECONDS_MAX) -> Ledger:
    """Return both exports once the cloud holds all that the gates hold, or as they are when time is up.

    A database or a gate that is away meanwhile is asked again. Raises WorldFault where it stays away.
    """
    deadline = time.monotonic() + seconds
    while True:
        is_last = time.monotonic() > deadline
        try:
            ledger = read_ledger(stack)
            if not ledger.lost or is_last:
                return ledger
        except WorldFault:
            if is_last:
                raise
        time.sleep(0.3)


def read_ledger(stack: Stack) -> Ledger:
    """Read the journal of every gate first, then the events of the cloud."""
    configs = [Path(part.config) for part in stack.gates]
    with ThreadPoolExecutor(EXPORT_THREADS) as pool:
        at_gates = {fact_of(line): line for lines in pool.map(gate_events, configs) for line in lines}
    in_cloud = Counter(fact_of(json.loads(line)) for line in stack.cloud("events", "export", "--json").splitlines())
    newer = {fact for fact in in_cloud if fact not in at_gates}
    if newer:  # a gate may have journaled more between the two exports: those are no phantoms
        for config in configs:
            at_gates |= {fact_of(line): line for line in gate_events(config) if fact_of(line) in newer}
    return Ledger(at_gates, in_cloud)


def gate_events(config: Path) -> list[Json]:
    """Return the journal of one gate, line by line, as `portillon-gate journal export` prints it."""
    log = config.parent / "export.log"
    with log.open("ab") as errors:
        done = subprocess.run(
            [command_path("portillon-gate"), "journal", "export", "--config", str(config), "--json"],
            env=clean_environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            timeout=60,
            check=False,
        )
    if done.returncode:
        raise WorldFault(f"`portillon-gate journal export` ended with {done.returncode}:\n{tail(log)}", f"Read {log}.")
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def fact_of(line: Json) -> Fact:
    return int(line["gate"]), int(line["epoch"]), int(line["seq"])


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """Return p50 and p95 by nearest rank, rounded to a tenth; None where nothing was measured."""
    if not values:
        return {"p50": None, "p95": None}
    ordered = sorted(values)
    ranks = {name: max(0, -(-len(ordered) * percent // 100) - 1) for name, percent in (("p50", 50), ("p95", 95))}
    return {name: round(ordered[rank], 1) for name, rank in ranks.items()}
