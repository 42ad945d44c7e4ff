"""The one place of the simulators that asks the machine for the time.

Responsible for: UTC seconds for phones' signatures, and the machine's monotonic nanoseconds, which every
process of this machine shares and by which hops between processes are measured. Not for: waiting.
"""

from __future__ import annotations

import time


def now() -> float:
    """Return UTC seconds."""
    return time.time()


def monotonic_ns() -> int:
    """Return CLOCK_MONOTONIC, the same in every process of this machine."""
    return time.monotonic_ns()
