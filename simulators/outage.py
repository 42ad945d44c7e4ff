"""What goes wrong in a real building, done to a running stack for some seconds, then mended.

Responsible for: seven outages; each breaks one thing as the world would and starts it again with the same data.
Not for: judging what came of it (morning.py counts; tests/faults asserts).

| outage | what is done |
|---|---|
| net | the broker is frozen: packets go out and nothing comes back, as with a cut line |
| broker, cloud, db, power | kill -9 of the broker; of web, ingest and worker; of the database; of one gate |
| clock | one gate starts again with a clock nobody vouches for |
| disk | one gate may write no byte more to any file, as on a full card |
"""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simulators.parts import Part
from simulators.processes import WorldFault, end
from simulators.stack import Stack

KINDS = ("net", "broker", "cloud", "db", "power", "clock", "disk")
SECONDS_MAX = 3_600.0


def play_outage(stack: Stack, kind: str, seconds: float, gate: int | None = None) -> dict[str, Any]:
    """Break one thing for so long and mend it; return what was done. Raises WorldFault."""
    if not 0 <= seconds <= SECONDS_MAX:
        raise WorldFault(f"An outage lasts 0 to {SECONDS_MAX:g} seconds, not {seconds:g}.")
    with outage(stack, kind, gate) as parts:
        time.sleep(seconds)
        began = time.monotonic()
    return {
        "outage": kind,
        "parts": [part.name for part in parts],
        "seconds": seconds,
        "back_ms": round((time.monotonic() - began) * 1000),
    }


@contextmanager
def outage(stack: Stack, kind: str, gate: int | None = None) -> Iterator[list[Part]]:
    """Have an outage for the length of a block; yields the parts it hits."""
    breakers: dict[str, Callable[[Stack, list[Part]], Callable[[], None]]] = {
        "net": _freeze,
        "broker": _kill,
        "cloud": _kill,
        "db": _kill,
        "power": _kill,
        "clock": _doubt_clock,
        "disk": _fill_disk,
    }
    if kind not in breakers:
        raise WorldFault(f"There is no outage {kind!r}.", f"Use one of {', '.join(KINDS)}.")
    parts = _parts_of(stack, kind, gate)
    mend = breakers[kind](stack, parts)
    try:
        yield parts
    finally:
        mend()


def _parts_of(stack: Stack, kind: str, gate: int | None) -> list[Part]:
    hit = {"net": ("broker",), "broker": ("broker",), "cloud": ("web", "ingest", "worker"), "db": ("database",)}
    if kind in hit:
        parts = [part for part in stack.parts.values() if part.kind in hit[kind]]
    else:
        parts = [part for part in stack.gates if gate is None or stack.gate_number(part) == gate][:1]
    if not parts:
        raise WorldFault(
            f"This stack has nothing that the outage {kind!r} could hit.", "See `portillon-sim stack status`."
        )
    return parts


def _kill(stack: Stack, parts: list[Part]) -> Callable[[], None]:
    for part in parts:
        end(part.process, polite=signal.SIGKILL)

    def mend() -> None:
        for part in parts:
            stack.start(part.name)

    return mend


def _freeze(_stack: Stack, parts: list[Part]) -> Callable[[], None]:
    for part in parts:
        part.process.signal(signal.SIGSTOP)

    def thaw() -> None:
        for part in parts:
            part.process.signal(signal.SIGCONT)

    return thaw


def _doubt_clock(stack: Stack, parts: list[Part]) -> Callable[[], None]:
    config = Path(parts[0].config)
    good = config.read_text()
    config.write_text(good.replace('assume = "ntp"', 'assume = "untrusted"'))
    _restart(stack, parts[0])

    def mend() -> None:
        config.write_text(good)
        _restart(stack, parts[0])

    return mend


def _restart(stack: Stack, part: Part) -> None:
    part.stop()
    stack.start(part.name)


def _fill_disk(_stack: Stack, parts: list[Part]) -> Callable[[], None]:
    """Let the gate write nothing: SQLite then meets what it meets on a full card."""
    pid = parts[0].pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))

    def mend() -> None:
        if parts[0].is_alive():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

    return mend
