"""Keep one command running: started again when it ends by itself, ended with its keeper.

Responsible for: the worker of a stack, which ends on purpose when its database goes away, as its keeper
(systemd in a real installation) is expected to start it again.
Not for: any other part; they outlive what they depend on.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading

from simulators.clock import monotonic_ns

PAUSE_SECONDS = 1.0
PR_SET_PDEATHSIG = 1  # prctl(2)


def _die_with_keeper() -> None:
    """Run in the child: a keeper ended by kill -9 takes its command along."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(command: list[str]) -> int:
    """Run the command until told to stop."""
    stop = threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def on_signal(*_: object) -> None:
        stop.set()
        for child in running:
            child.terminate()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    while not stop.is_set():
        began_ns = monotonic_ns()
        child = subprocess.Popen(command, preexec_fn=_die_with_keeper)
        running[:] = [child]
        code = child.wait()
        seconds = (monotonic_ns() - began_ns) / 1e9
        if not stop.is_set():
            print(f"supervise: ended with {code} after {seconds:.1f} s, starting again", file=sys.stderr, flush=True)
            stop.wait(PAUSE_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
