"""`portillon-sim chaos`: hundreds of faults to a whole Portillon while families come, and the counts of an outsider.

Responsible for: a stack whose gates are reached over lines of ours and whose processes are watched, playing a timeline,
the time until all outboxes are empty after the last fault, the summary.
Not for: which faults (chaos_plan.py), how each is done (chaos_faults.py), what is counted (evidence.py).
Obeys INTERFACES.md (a summary with stable keys) and docs/faults.md (what must hold).
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from protocols import topics
from simulators.chaos_faults import Ground, begin, bring_back, mount_small_disk, touched, unmount
from simulators.chaos_plan import KINDS, LONG, QUICK, SHIM_KINDS, Fault, from_lines, plan, to_lines
from simulators.clock import monotonic_ns
from simulators.crowd import Crowd
from simulators.district import Sizes, gate_numbers
from simulators.evidence import Findings, Lookout, Scales, answered_since, facts_heard, judge
from simulators.outsider import Outsider
from simulators.parts import Part, gate_status
from simulators.processes import WorldFault, free_port, wait_until
from simulators.proxy import Proxy
from simulators.shim import Shim, compiler
from simulators.stack import Stack
from simulators.wishes import Wishes
from simulators.witness import watched

AT_ONCE = 3  # faults that may last at the same time
DRAIN_SECONDS_MAX = 10.0
DRAIN_SECONDS_AWAITED = 120.0
WELL_SECONDS_MAX = 90.0
ANSWERED_SECONDS_AWAITED = 90.0  # somebody comes to each gate every three seconds, at a loaded machine every ten
WARM_UP_SECONDS = 2.0  # families come and are stored before the first fault
MEMORY_MB_MAX = 600.0  # of one part and its children; a gate has 130, a web process 150
STORM_RATIO_MAX = 2.0
STORM_FREE_MS = 250.0  # below this the ratio says nothing: it is two or three commits, and no door waits for a receipt
STORM_QUICK_MS = 1_000.0  # the same in CI, where other tests have the processor
DOCUMENTS_SECONDS_MAX = 10.0  # until the cloud has put right what somebody retained in their place
FAMILIES = 14  # a gate: each comes again after some twenty seconds
TIMELINE, PLAYED = "timeline.jsonl", "played.jsonl"

MUST_BE_ZERO = (
    "lost", "duplicates", "phantoms", "other_bytes", "out_of_order", "unreceipted", "unwritten_openings",
    "wrong_receipts", "documents_missing",
)  # fmt: skip
MUST_HAPPEN = ("arrivals", "decided", "openings", "receipts", "rss_max_mb")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What a run of chaos shall be. timeline: one that was kept, played again in place of the seed's."""

    directory: Path
    faults: int = 20
    seed: int = 1
    gates: int = 3
    quick: bool = False
    timeline: Path | None = None
    kinds: Sequence[str] = KINDS


@dataclass
class Run:
    """One run while it goes on, and what came of it."""

    wanted: Wanted
    stack: Stack
    proxy: Proxy
    tell: Tell
    played: list[dict[str, Any]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    locks: dict[str, threading.Lock] = field(default_factory=dict)
    answered: dict[int, int] = field(default_factory=dict)  # by gate, adults who came after the last fault
    began: float = 0.0


def run_chaos(wanted: Wanted, tell: Tell = lambda _words: None) -> dict[str, Any]:
    """Play it and return the summary. Raises WorldFault where the world cannot be made; judging is the caller's."""
    began = time.monotonic()
    gates = [gate for _, gate in gate_numbers(wanted.gates)]
    kinds = [kind for kind in wanted.kinds if compiler() or kind not in SHIM_KINDS]
    timeline = _timeline(wanted, gates, kinds)
    directory = wanted.directory.absolute()
    _clear(directory)
    (directory / TIMELINE).write_text(to_lines(timeline))
    with ExitStack() as ending:
        broker_port = free_port()
        proxy = Proxy(gates, broker_port, wanted.seed)
        proxy.start()
        ending.callback(proxy.stop)
        ground, run = _lay_out(wanted, directory, proxy, broker_port, ending, tell)
        crowd = Crowd(run.stack, wanted.seed)
        scales = Scales(lambda: run.stack.parts.values())
        scales.start()
        ending.callback(scales.stop)
        crowd.start()
        try:
            time.sleep(WARM_UP_SECONDS)
            _play(run, ground, timeline)
            mended_ns = monotonic_ns()
            drain_s = _drained_after(run)
            _hear_each_gate(run, crowd, mended_ns)
        finally:
            crowd.stop()
        _make_well(run, ground)
        _settle(run)
        missing = _missing_documents(run, ground)
        records = {run.stack.gate_number(part): ground.witness(part) for part in run.stack.gates}
        findings = judge(run.stack, ground.lookout, records, facts_heard(crowd.arrivals))
        (directory / PLAYED).write_text("".join(json.dumps(row) + "\n" for row in run.played))
        summary = _summary(run, timeline, findings, ground, scales, len(crowd.arrivals))
    ended = {"documents_missing": len(missing), "drain_s": round(drain_s, 2)}
    summary["details"] += missing
    return summary | ended | {"seconds": round(time.monotonic() - began, 1)}


def problems_of(summary: dict[str, Any]) -> list[str]:
    """Return in words what did not hold; empty when all did."""
    problems = [f"{name} {summary[name]}" for name in MUST_BE_ZERO if summary[name]]
    problems += [f"{name} 0: it did not happen" for name in MUST_HAPPEN if not summary[name]]
    silent = [gate for gate, answers in summary["answered_after"].items() if not answers]
    problems += [f"{gate} answered nobody after the last fault" for gate in silent]
    if summary["drain_s"] > DRAIN_SECONDS_MAX:
        problems.append(f"the outboxes were empty only {summary['drain_s']} s after the last fault")
    if summary["rss_max_mb"] > MEMORY_MB_MAX:
        problems.append(f"a part held {summary['rss_max_mb']} MB")
    for storm in summary["storms"]:
        if not storm["sent"]:
            problems.append("a storm sent nothing")
        late, free = storm["others_p99_ms"], STORM_QUICK_MS if summary["quick"] else STORM_FREE_MS
        if late > max(free, STORM_RATIO_MAX * storm["others_p99_ms_before"]):
            problems.append(f"in a storm others waited {late} ms, before {storm['others_p99_ms_before']} ms")
    return problems + summary["troubles"]


# --- before -----------------------------------------------------------------------------------------------------


def _timeline(wanted: Wanted, gates: Sequence[int], kinds: Sequence[str]) -> list[Fault]:
    if wanted.timeline is None:
        return plan(wanted.seed, wanted.faults, gates, QUICK if wanted.quick else LONG, kinds)
    try:
        return from_lines(wanted.timeline.read_text())
    except (OSError, ValueError) as error:
        raise WorldFault(f"{wanted.timeline} cannot be played again: {error}.") from error


def _clear(directory: Path) -> None:
    """Begin with an empty directory; only one that chaos made is cleared."""
    if directory.exists() and any(directory.iterdir()):
        if not (directory / TIMELINE).exists():
            raise WorldFault(f"{directory} holds something else.", "Name an empty directory with --dir.")
        Stack(directory).down()
        for data in directory.glob("gates/*/data"):
            if data.is_mount():
                unmount(data)
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)


def _lay_out(
    wanted: Wanted, directory: Path, proxy: Proxy, broker_port: int, ending: ExitStack, tell: Tell
) -> tuple[Ground, Run]:
    """Have the stack: gates reached over our lines, under watch, one of them with a small disk."""
    stack, shims, small_disks = Stack(directory), {}, {}

    def prepare(part: Part) -> None:
        folder = directory / "witness" / part.name
        if part.kind == "gate":
            part.command = watched(folder, "gate", part.command[1:])
            _lead_over_our_line(part, proxy)
            if not small_disks and mount_small_disk(Path(part.config).parent / "data"):
                small_disks[part.name] = Path(part.config).parent / "data"
                ending.callback(unmount, small_disks[part.name])
            if compiler():
                shims[part.name] = Shim(folder / "orders")
                part.settings = {**part.settings, **shims[part.name].settings}
        elif part.kind == "ingest":
            part.command = watched(folder, "cloud", part.command[1:])

    ending.callback(stack.down)
    wishes = Wishes(
        sizes=Sizes(gates=wanted.gates, families=FAMILIES * wanted.gates),
        seed=wanted.seed,
        broker="mosquitto",
        broker_port=broker_port,
        departures="pass",
        prepare=prepare,
    )
    stack.up(wishes, tell)
    lookout = Lookout(stack)
    proxy.watchers.append(lookout)
    ground = Ground(stack, proxy, lookout, wanted.seed)
    ground.shims, ground.small_disks = shims, small_disks
    return ground, Run(wanted, stack, proxy, tell)


def _lead_over_our_line(part: Part, proxy: Proxy) -> None:
    config = Path(part.config)
    lines = config.read_text().splitlines()
    own = f'url = "{proxy.url(int(part.name.removeprefix("gate-")))}"'
    config.write_text("\n".join(own if line.startswith('url = "mqtt') else line for line in lines) + "\n")


# --- the faults -------------------------------------------------------------------------------------------------


def _play(run: Run, ground: Ground, timeline: Sequence[Fault]) -> None:
    """Play the timeline; a fault that is measured waits until it is alone. Returns when the last one is mended."""
    run.began, shift = time.monotonic(), 0.0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        going: list[Future[None]] = []
        for fault in timeline:
            time.sleep(max(0.0, run.began + shift + fault.at_s - time.monotonic()))
            if not fault.is_alone:
                going.append(pool.submit(_one, run, ground, fault))
                continue
            for future in going:
                future.result()
            before = time.monotonic()
            _make_well(run, ground)
            _drained_after(run)  # what is measured begins in a world at rest: a backlog is no part of a storm
            _one(run, ground, fault)
            shift += time.monotonic() - before
        for future in going:
            future.result()
    _make_well(run, ground)


def _one(run: Run, ground: Ground, fault: Fault) -> None:
    """Do one fault, let it last, mend it. What goes wrong with the fault itself is trouble, told in the summary."""
    held = [run.locks.setdefault(name, threading.Lock()) for name in touched(fault)]
    with ExitStack() as locks:
        for lock in held:
            locks.enter_context(lock)
        row = asdict(fault) | {"began_s": round(time.monotonic() - run.began, 2)}
        run.tell(f"{fault.number:3d} {fault.kind} {fault.part} {fault.how}".rstrip())
        try:
            for name in touched(fault):
                bring_back(ground, name, run.troubles)
            mend = begin(ground, fault)
            try:
                if fault.kind not in ("poison", "oversized", "forged_receipts", "storm"):
                    time.sleep(fault.seconds)
            finally:
                mend()
        except (WorldFault, OSError) as error:
            run.troubles.append(f"fault {fault.number} ({fault.kind} {fault.part}): {error}")
        run.played.append(row | {"ended_s": round(time.monotonic() - run.began, 2)})


def _make_well(run: Run, ground: Ground) -> None:
    """Return when every part lives and answers; one that does not is trouble."""
    for name, part in run.stack.parts.items():
        try:
            bring_back(ground, name, run.troubles)
            wait_until(part.is_well, WELL_SECONDS_MAX, f"{part.name} does not get well", f"Read {part.log}.", pause=0.1)
        except WorldFault as fault:
            run.troubles.append(str(fault))


# --- afterwards -------------------------------------------------------------------------------------------------


def _drained_after(run: Run) -> float:
    """Return the seconds until each gate had, once, nothing that waits for a receipt."""
    began = time.monotonic()
    waiting = {part.name: part for part in run.stack.gates}
    while waiting and time.monotonic() - began < DRAIN_SECONDS_AWAITED:
        for name, part in list(waiting.items()):
            if gate_status(part.url).get("outbox") == 0:
                del waiting[name]
        time.sleep(0.05)
    if waiting:
        run.troubles.append(f"never drained: {', '.join(waiting)}")
    return time.monotonic() - began


def _hear_each_gate(run: Run, crowd: Crowd, since_ns: int) -> None:
    """Return when each gate answered somebody who came since then, or time is up; who no longer comes is trouble."""
    numbers, until = [house.number for house in crowd.houses], time.monotonic() + ANSWERED_SECONDS_AWAITED
    while True:
        run.answered = answered_since(list(crowd.arrivals), numbers, since_ns)
        if all(run.answered.values()) or time.monotonic() > until:
            break
        time.sleep(0.2)
    run.troubles += ended_threads(numbers, [thread.name for thread in threading.enumerate()])


def ended_threads(gates: Iterable[int], alive: Collection[str]) -> list[str]:
    """Return in words which threads of the crowd ended before its end. alive: the names of those that live."""
    expected = [f"{name}-{gate}" for gate in gates for name in ("spot", "stream")]
    return [f"the crowd's thread {name} ended by itself" for name in expected if name not in alive]


def _settle(run: Run) -> None:
    """Return when the last arrivals, too, are receipted."""
    for part in run.stack.gates:
        try:
            wait_until(lambda part=part: gate_status(part.url).get("outbox") == 0, DRAIN_SECONDS_AWAITED, part.name)
        except WorldFault as fault:
            run.troubles.append(f"not drained at the end: {fault}")


def _missing_documents(run: Run, ground: Ground) -> list[str]:
    """Return what the broker does not hold of the signed documents, after some seconds for the cloud to notice."""
    until = time.monotonic() + DOCUMENTS_SECONDS_MAX
    with Outsider(run.stack.parts["broker"].url, run.wanted.seed) as outsider:
        while True:
            missing = ground.lookout.missing_documents(outsider.retained(f"{topics.PREFIX}/+/+/_/dn/#", 1.0))
            if not missing or time.monotonic() > until:
                return missing


def _summary(
    run: Run, timeline: Sequence[Fault], findings: Findings, ground: Ground, scales: Scales, arrivals: int
) -> dict[str, Any]:
    counted = asdict(findings)
    return {
        "faults": len(timeline),
        "seed": run.wanted.seed,
        "quick": run.wanted.quick,
        "by_kind": dict(sorted(Counter(fault.kind for fault in timeline).items())),
        "arrivals": arrivals,
        "answered_after": {f"gate-{gate}": answers for gate, answers in run.answered.items()},
        **{name: value for name, value in counted.items() if name != "details"},
        "rss_max_mb": round(max(scales.most_mb.values(), default=0.0), 1),
        "rss_mb": {name: round(most, 1) for name, most in sorted(scales.most_mb.items())},
        "storms": ground.storms,
        "line": dict(run.proxy.counts),
        "points": dict(ground.counts),
        "ended_by_design": ground.ended_by_design,
        "left_out": [kind for kind in run.wanted.kinds if kind in SHIM_KINDS and not compiler()],
        "details": counted["details"],
        "troubles": run.troubles,
    }
