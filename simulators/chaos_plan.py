"""PURE. Which faults a run of chaos brings, when, to whom and how long: all of it from one seed.

Responsible for: the kinds of fault, the timeline of a seed, and its form on disk, to play a failure again.
Not for: doing any of it (chaos_faults.py), nor judging what came of it (evidence.py).
Obeys docs/faults.md, which says of each kind what it is and what must hold.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from simulators.witness import GATE_POINTS, INGEST_POINTS

LINE_KINDS = ("duplicate", "delay", "reorder", "cut", "black_hole", "mute_up", "mute_down")
SHIM_KINDS = ("clock", "slow_disk", "failing_disk")  # need a C compiler
KINDS = (
    *LINE_KINDS, "partition", "kill", "kill_at", "hang", "amnesia", *SHIM_KINDS, "full_disk", "poison", "oversized",
    "forged_receipts", "storm",
)  # fmt: skip
ALONE = ("storm",)  # measured, so nothing else may happen meanwhile
WEIGHTS = {"kill": 4, "kill_at": 5, "hang": 3, "partition": 2, "storm": 0.5}  # the others 1
KILLED = ("gate", "gate", "broker", "ingest", "worker", "web", "database")
HUNG = ("gate", "broker", "ingest", "worker", "database")
ALL_LINES = "lines"
DAY_MS = 86_400_000
JUMPS = {  # what a gate's clock does: an offset in ms, or the UTC second it shows
    "+30d": 30 * DAY_MS, "-30d": -30 * DAY_MS, "+1h": 3_600_000, "-1h": -3_600_000, "1970": None, "2106": None,
}  # fmt: skip
JUMP_TO_SECONDS = {"1970": 86_400, "2106": 2**32 - 86_400}
POISONS = ("segment", "state", "telemetry", "policy", "trust", "gates", "mode", "seen", "topic", "empty_documents")


@dataclass(frozen=True)
class Pace:
    """How fast a run goes. Seconds: (least, most) of each; between: the mean from one fault's begin to the next's."""

    between: float
    lasts: tuple[float, float]
    hangs: tuple[float, float]
    partitions: tuple[float, float]
    storms: float


QUICK = Pace(between=1.2, lasts=(2.0, 4.0), hangs=(2.0, 4.0), partitions=(3.0, 5.0), storms=3.0)
LONG = Pace(between=4.0, lasts=(2.0, 8.0), hangs=(5.0, 30.0), partitions=(10.0, 60.0), storms=8.0)


@dataclass(frozen=True)
class Fault:
    """One fault. at_s: since the first arrival; part: of the stack, or "lines"; how: which of its kind."""

    number: int
    at_s: float
    kind: str
    part: str
    seconds: float
    how: str = ""

    @property
    def is_alone(self) -> bool:
        return self.kind in ALONE


def plan(seed: int, faults: int, gates: Sequence[int], pace: Pace, kinds: Sequence[str] = KINDS) -> list[Fault]:
    """Return the timeline of this seed: each kind once in an order of the seed's, then drawn by weight."""
    chance = random.Random(f"portillon-chaos-{seed}")
    first = [kind for kind in kinds if kind not in ALONE]
    chance.shuffle(first)
    drawn = [*first, *(kind for kind in kinds if kind in ALONE)][:faults]
    weights = [WEIGHTS.get(kind, 1) for kind in kinds]
    drawn += chance.choices(list(kinds), weights, k=faults - len(drawn))
    timeline, at = [], 0.0
    for number, kind in enumerate(drawn):
        part, seconds, how = _draw(chance, kind, gates, pace)
        timeline.append(Fault(number, round(at, 2), kind, part, round(seconds, 2), how))
        at += chance.uniform(0.2, 1.8) * pace.between
    return timeline


def _draw(chance: random.Random, kind: str, gates: Sequence[int], pace: Pace) -> tuple[str, float, str]:
    """Return the part, the length and the manner of one fault."""
    gate = f"gate-{chance.choice(list(gates))}"
    seconds = chance.uniform(*pace.lasts)
    if kind == "kill":
        victim = chance.choice(KILLED)
        return (gate if victim == "gate" else victim), seconds / 2, ""
    if kind == "kill_at":
        points = [("gate", name) for name in GATE_POINTS] + [("ingest", name) for name in INGEST_POINTS]
        victim, point = chance.choice([*points, ("broker", "segment"), ("database", "segment")])
        return (gate if victim == "gate" else victim), seconds / 2, point
    if kind == "hang":
        victim = chance.choice(HUNG)
        return (gate if victim == "gate" else victim), chance.uniform(*pace.hangs), ""
    if kind == "partition":
        return ALL_LINES, chance.uniform(*pace.partitions), ""
    if kind == "full_disk":  # the first gate has a small disk of its own; elsewhere writes are refused
        how = chance.choice(("filled", "refused"))
        return (f"gate-{gates[0]}" if how == "filled" else gate), seconds, how
    if kind == "clock":
        return gate, seconds, chance.choice(list(JUMPS))
    if kind == "slow_disk":
        return gate, seconds, str(chance.choice((20, 100, 400)))
    if kind == "poison":
        return gate, seconds, chance.choice(POISONS)
    if kind == "amnesia":
        return "broker", seconds / 2, ""
    return gate, pace.storms if kind == "storm" else seconds, ""


def to_lines(timeline: Sequence[Fault]) -> str:
    """Return the timeline as it is kept: one JSON object a fault."""
    return "".join(json.dumps(asdict(fault)) + "\n" for fault in timeline)


def from_lines(text: str) -> list[Fault]:
    """Return a timeline that was kept. Raises ValueError for a line that is none."""
    timeline = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row: dict[str, Any] = json.loads(line)
            fault = Fault(**{name: row[name] for name in Fault.__dataclass_fields__})
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"line {number} is no fault: {error}") from error
        if fault.kind not in KINDS:
            raise ValueError(f"line {number}: there is no fault {fault.kind!r}")
        timeline.append(fault)
    return timeline
