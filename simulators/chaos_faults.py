"""Each fault of a run of chaos, done to a running stack, and how it is mended.

Responsible for: one function a kind, which breaks one thing and returns how it is mended.
Not for: when and how long (chaos_plan.py, chaos.py), nor what must hold (docs/faults.md, evidence.py).
Obeys docs/faults.md: a fault is what the world does to a building; no code of Portillon knows of it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulators.chaos_plan import ALL_LINES, JUMP_TO_SECONDS, JUMPS, LINE_KINDS, Fault
from simulators.clock import now
from simulators.evidence import Lookout, descendants, percentile
from simulators.morning import gate_events
from simulators.outsider import Outsider, Place
from simulators.parts import Part, gate_status
from simulators.processes import ProcessId, WorldFault, end, identify, tail, wait_until
from simulators.proxy import FAIR, Proxy, Weather
from simulators.shim import DISK_FAILS, DISK_FULL, Orders, Shim
from simulators.stack import Stack
from simulators.witness import arm, disarm

POINT_SECONDS_MAX = 6.0  # and twice the fault's own: a point not reached by then is given up for a plain kill -9
ENDED_OR_SERVED_SECONDS_MAX = 90.0  # a gate that was starting while its disk was broken has ended by then, or answers
BROKEN_DISK_KINDS = ("failing_disk", "full_disk")  # of these, and of no others, a gate may end by itself
JOURNAL_WORDS = "JOURNAL_"  # how the log of such a gate ends
DATABASE_AWAY_WORDS = "the database cannot be reached"  # the pages, started while their database is killed or hangs
LAST_LINES = 3
CUT_AFTER_PACKETS_MAX = 6
SMALL_DISK_BYTES = 64 * 1024 * 1024
FILL_BYTES = 1024 * 1024
PENDING_SECONDS_MAX = 5.0

Mend = Callable[[], None]


class Ground:
    """What faults are done to. small_disks: gates whose journal lies on a small disk of its own, by name."""

    def __init__(self, stack: Stack, proxy: Proxy, lookout: Lookout, seed: int) -> None:
        self.stack, self.proxy, self.lookout, self.seed = stack, proxy, lookout, seed
        self.shims: dict[str, Shim] = {}
        self.small_disks: dict[str, Path] = {}
        self.counts: Counter[str] = Counter()
        self.storms: list[dict[str, Any]] = []
        self.ended_by_design: list[str] = []  # each with the last words of its log
        self._starting = threading.Lock()
        self._sites = {gate["gate"]: school["site"] for school in stack.district["schools"] for gate in school["gates"]}

    def start(self, part: Part) -> None:
        """Start a part again with the same data; whether it is well is looked at when all faults are over."""
        with self._starting:
            self.stack.start(part.name, wait=False)

    def witness(self, part: Part) -> Path:
        return self.stack.directory / "witness" / part.name

    def place(self, gate: int) -> Place:
        return Place(self.stack.district["district"]["slug"], self._sites[gate], gate)

    def outsider(self, fault: Fault) -> Outsider:
        return Outsider(self.stack.parts["broker"].url, self.seed * 100_003 + fault.number)

    def number(self, fault: Fault) -> int:
        return int(fault.part.removeprefix("gate-"))


def touched(fault: Fault) -> list[str]:
    """Return what no other fault may have in hand at the same time."""
    if fault.kind == "partition":
        return [ALL_LINES]
    if fault.kind in ("poison", "oversized", "forged_receipts", "storm"):
        return sorted({"broker", fault.part})
    if fault.kind in LINE_KINDS:
        return [ALL_LINES, fault.part] if fault.part == ALL_LINES else [fault.part]
    return [fault.part]


def begin(ground: Ground, fault: Fault) -> Mend:
    """Do the fault; return how it is mended. Both raise WorldFault: the world does not allow it, a part died of it."""
    return BREAKERS[fault.kind](ground, fault)


# --- the line ---------------------------------------------------------------------------------------------------


def _spoil_line(ground: Ground, fault: Fault) -> Mend:
    gate, swallow = ground.number(fault), Weather(swallow=True)
    both = {
        "duplicate": Weather(duplicate=True),
        "delay": Weather(delay_ms=400),
        "reorder": Weather(reorder=True, delay_ms=50),
        "cut": Weather(cut_after=(ground.seed + fault.number) % CUT_AFTER_PACKETS_MAX),
        "black_hole": swallow,
    }.get(fault.kind)
    up, down = (both, both) if both else (swallow, FAIR) if fault.kind == "mute_up" else (FAIR, swallow)
    ground.proxy.change(gate, up, down)
    return lambda: ground.proxy.change(gate)


def _partition(ground: Ground, _fault: Fault) -> Mend:
    hole = Weather(swallow=True)
    for gate in ground.proxy.ports:
        ground.proxy.change(gate, hole, hole)

    def join() -> None:
        for gate in ground.proxy.ports:
            ground.proxy.change(gate)

    return join


# --- processes --------------------------------------------------------------------------------------------------


def _kill(ground: Ground, fault: Fault) -> Mend:
    part = ground.stack.parts[fault.part]
    end(part.process, polite=signal.SIGKILL)
    return lambda: ground.start(part)


def _kill_at(ground: Ground, fault: Fault) -> Mend:
    """Let the part die at a named point; where nothing brings it there in time, kill it as it is.

    Raises WorldFault where it died before it came to the point: of something else.
    """
    part, struck = ground.stack.parts[fault.part], threading.Event()
    process = part.process

    def strike() -> None:
        struck.set()
        process.signal(signal.SIGKILL)

    if fault.how == "segment":
        ground.lookout.on_segment = strike
    else:
        arm(ground.witness(part), fault.how)
    has_died = _dies_within(part, POINT_SECONDS_MAX + 2 * fault.seconds)
    ground.lookout.on_segment = None
    is_reached = struck.is_set() if fault.how == "segment" else not disarm(ground.witness(part))
    ground.counts["points_reached" if is_reached else "points_missed"] += 1
    end(process, polite=signal.SIGKILL)
    if has_died and not is_reached:
        raise WorldFault(started_again(ground, part))
    return lambda: ground.start(part)


def _dies_within(part: Part, seconds: float) -> bool:
    try:
        return wait_until(lambda: not part.is_alive(), seconds, "")
    except WorldFault:
        return False


def _hang(ground: Ground, fault: Fault) -> Mend:
    """Stop every process of the part, as a disk or a hypervisor does that answers nothing."""
    part = ground.stack.parts[fault.part]
    part.process.signal(signal.SIGSTOP)
    stopped = [part.process, *(found for pid in descendants(part.pid) if (found := identify(pid)) is not None)]
    _signal_all(stopped, signal.SIGSTOP)
    return lambda: _signal_all(stopped, signal.SIGCONT)


def _signal_all(processes: list[ProcessId], number: int) -> None:
    for process in processes:
        process.signal(number)


def _forget(ground: Ground, fault: Fault) -> Mend:
    """A broker that comes back with nothing: no session, no queue, no retained document."""
    part = ground.stack.parts["broker"]
    end(part.process, polite=signal.SIGKILL)
    for kept in (ground.stack.directory / "broker").glob("mosquitto.db*"):
        kept.unlink()
    return lambda: ground.start(part)


# --- clock and disk ---------------------------------------------------------------------------------------------


def _order(ground: Ground, fault: Fault, orders: Orders) -> Mend:
    shim, ran = ground.shims[fault.part], _is_served(ground, fault)
    shim.order(orders)

    def mend() -> None:
        shim.mend()
        _look_after(ground, fault, ran)

    return mend


def _is_served(ground: Ground, fault: Fault) -> bool:
    """Return whether the gate answers: then its journal is open, and it is not starting any more."""
    return bool(gate_status(ground.stack.parts[fault.part].url))


def _look_after(ground: Ground, fault: Fault, ran: bool) -> None:
    """Start a gate again that ended meanwhile, as systemd would. Raises WorldFault where that is not by design.

    By design a gate ends whose journal cannot be opened, and says so; one that was starting on a full disk
    (not `ran`) may have had no room to say it. A clock that jumps and a disk that is only slow end no gate.
    """
    part = ground.stack.parts[fault.part]
    if fault.kind in BROKEN_DISK_KINDS:
        wait_until(
            lambda: not part.is_alive() or _is_served(ground, fault),
            ENDED_OR_SERVED_SECONDS_MAX,
            f"{part.name} neither ends nor answers since its disk is whole again",
            f"Read {part.log}.",
        )
    if part.is_alive():
        return
    says_why = tail(Path(part.log), 1).startswith(JOURNAL_WORDS)
    died = started_again(ground, part)
    if fault.kind not in BROKEN_DISK_KINDS or not (says_why or fault.kind == "full_disk" and not ran):
        raise WorldFault(died)
    ground.ended_by_design.append(f"fault {fault.number} ({fault.kind} {fault.part}): {died}")


def bring_back(ground: Ground, name: str, troubles: list[str]) -> None:
    """Start a part again that died of no fault of ours, which is trouble. A line is no part.

    By design the pages end, and say so, that were started while their database was away; who keeps them starts them.
    """
    part = ground.stack.parts.get(name)
    if part is None or part.is_alive():
        return
    is_by_design = part.kind == "web" and DATABASE_AWAY_WORDS in tail(Path(part.log), LAST_LINES)
    died = started_again(ground, part)
    (ground.ended_by_design if is_by_design else troubles).append(died)


def started_again(ground: Ground, part: Part) -> str:
    """Start a part again that died though nobody killed it; return in words what there is to tell of it."""
    last = " / ".join(line.strip() for line in tail(Path(part.log), LAST_LINES).splitlines())
    ground.start(part)
    return f"{part.name} was dead though nobody killed it; the end of its log: {last or 'nothing'}"


def _jump(ground: Ground, fault: Fault) -> Mend:
    offset = JUMPS[fault.how]
    if offset is None:
        offset = int((JUMP_TO_SECONDS[fault.how] - now()) * 1000)
    return _order(ground, fault, Orders(clock_offset_ms=offset))


def _fill_disk(ground: Ground, fault: Fault) -> Mend:
    """Fill the small disk of the gate to its last byte; where there is none, let its writes meet a full one."""
    disk = ground.small_disks.get(fault.part) if fault.how == "filled" else None
    if disk is None:
        return _order(ground, fault, Orders(write_errno=DISK_FULL))
    filler, ran = disk / "filler", _is_served(ground, fault)
    with filler.open("wb", buffering=0) as file:
        size = FILL_BYTES
        while size:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2

    def mend() -> None:
        filler.unlink()
        _look_after(ground, fault, ran)

    return mend


# --- strangers on the broker ------------------------------------------------------------------------------------


def _poison(ground: Ground, fault: Fault) -> Mend:
    gate = ground.number(fault)
    with ground.outsider(fault) as outsider:
        if fault.kind == "poison":
            outsider.poison(fault.how, ground.place(gate), ground.lookout.segments.get(gate))
        else:
            outsider.oversize(ground.place(gate))
        time.sleep(fault.seconds)
    return lambda: None


def _forge(ground: Ground, fault: Fault) -> Mend:
    """While nothing of the gate gets through, tell it that all is stored."""
    gate, part = ground.number(fault), ground.stack.parts[fault.part]
    before = ground.lookout.raw_receipts.get(gate)
    ground.proxy.change(gate, up=Weather(swallow=True))
    try:
        with ground.outsider(fault) as outsider:
            time.sleep(min(fault.seconds, PENDING_SECONDS_MAX))
            last = gate_events(Path(part.config))[-1]
            head = bytes.fromhex(last["head"])
            outsider.forge_receipts(ground.place(gate), last["epoch"], last["seq"], head, before)
            time.sleep(0.5)
    finally:
        ground.proxy.change(gate)
    return lambda: None


def _storm(ground: Ground, fault: Fault) -> Mend:
    """One gate sends as fast as the broker takes it; how long do the others wait for a receipt, against before?"""
    mad = ground.number(fault)
    others = [gate for gate in ground.lookout.segments if gate != mad]
    if mad not in ground.lookout.segments or not others:
        raise WorldFault("A storm needs two gates that have sent something.")
    other, segments = others[0], ground.lookout.segments
    stop, sent = threading.Event(), [0]
    with ground.outsider(fault) as probe, Outsider(ground.stack.parts["broker"].url, -fault.number) as storm:

        def rage() -> None:
            sent[0] = storm.storm(ground.place(mad), segments[mad], 10 * fault.seconds, stop)

        def probed() -> list[float]:
            is_receipt = lambda body: ground.lookout.receipt_of(body, other) is not None  # noqa: E731
            return probe.probe(ground.place(other), segments[other], fault.seconds, is_receipt)

        before = probed()
        raging = threading.Thread(target=rage)
        raging.start()
        during = probed()
        stop.set()
        raging.join()
    ground.storms.append(
        {
            "sent": sent[0],
            "probes": len(during),
            "others_p99_ms_before": round(percentile(before, 99), 1),
            "others_p99_ms": round(percentile(during, 99), 1),
        }
    )
    return lambda: None


BREAKERS: dict[str, Callable[[Ground, Fault], Mend]] = {
    **dict.fromkeys(LINE_KINDS, _spoil_line),
    "partition": _partition,
    "kill": _kill,
    "kill_at": _kill_at,
    "hang": _hang,
    "amnesia": _forget,
    "clock": _jump,
    "slow_disk": lambda ground, fault: _order(ground, fault, Orders(sync_delay_ms=int(fault.how))),
    "failing_disk": lambda ground, fault: _order(ground, fault, Orders(sync_errno=DISK_FAILS)),
    "full_disk": _fill_disk,
    "poison": _poison,
    "oversized": _poison,
    "forged_receipts": _forge,
    "storm": _storm,
}


def mount_small_disk(folder: Path) -> bool:
    """Put a small disk of its own under a folder; return whether this machine lets us."""
    folder.mkdir(parents=True, exist_ok=True)
    command = f"mount -t tmpfs -o size={SMALL_DISK_BYTES},mode=0755 tmpfs"
    return os.geteuid() == 0 and os.spawnvp(os.P_WAIT, "mount", [*command.split(), str(folder)]) == 0


def unmount(folder: Path) -> None:
    os.spawnvp(os.P_WAIT, "umount", ["umount", "--lazy", str(folder)])
