"""Start, watch and end the processes of the simulated world.

Responsible for: a child in its own session with its own log, knowing whether a pid is still that
very process, ending it, waiting for a condition with a bound, finding a free port.
Not for: what the processes are (stack.py, database.py, broker.py).
This is the one file of the simulators that reads the environment, to hand it on to children.
Obeys INTERFACES.md, "stack up": each part is a process of its own and may be killed by its pid.
"""

from __future__ import annotations

import functools
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

POLL_SECONDS = 0.02
LOG_TAIL_LINES = 12
NOBODY = 65534
PORTS = (20_000, 32_000)  # Linux gives outgoing connections 32768 and up
PORT_TRIES_MAX = 200

Found = TypeVar("Found")


class WorldFault(Exception):
    """A part of the simulated world did not do what it must: what happened, why, what to do."""

    def __init__(self, what: str, todo: str = "", code: int = 1) -> None:
        super().__init__(f"{what} {todo}".strip())
        self.what = what
        self.todo = todo
        self.code = code  # of the command that ends by it: 1 failed, 3 cannot reach


@dataclass(frozen=True)
class ProcessId:
    """A pid and when it began, so that a reused number is never taken for the old process."""

    pid: int
    began: int

    def is_alive(self) -> bool:
        return self.began == began_at(self.pid)

    def signal(self, number: int) -> None:
        if self.is_alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass  # it ended between the look and the signal, which is what was wanted


def began_at(pid: int) -> int | None:
    """Return the start tick of a running process, None when it is gone or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return _began_without_proc(pid)
    return None if fields[0] in "ZX" else int(fields[19])


def _began_without_proc(pid: int) -> int | None:
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    return 0


def identify(pid: int) -> ProcessId | None:
    began = began_at(pid)
    return None if began is None else ProcessId(pid, began)


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment with changes: what a child is started with."""
    return {**os.environ, **changes}


def setting(name: str) -> str | None:
    """Return one setting of the environment; empty counts as unset."""
    return os.environ.get(name) or None


def spawn(
    arguments: Sequence[str | Path],
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in its own session, so that a Ctrl-C meant for us does not reach it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            start_new_session=True,
        )


def _in_a_namespace() -> tuple[str, ...]:
    return ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")


def _as_nobody() -> tuple[str, ...]:
    """Of what root may, it keeps one thing: to walk through folders that are closed to others, as ours are."""
    kept = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *kept)


@functools.cache
def unprivileged() -> tuple[tuple[str, ...], int | None]:
    """Return what keeps a server that refuses root from being root: a command's prefix, and the owner its files need.

    A user namespace where there may be one; else, as in most containers, another user. Raises WorldFault.
    """
    if os.geteuid() != 0:
        return (), None
    for prefix, owner in ((_in_a_namespace(), None), (_as_nobody(), NOBODY)):
        if shutil.which(prefix[0]) and subprocess.call([*prefix, "true"], stderr=subprocess.DEVNULL) == 0:
            return prefix, owner
    raise WorldFault(
        "PostgreSQL refuses to run as root, and here root can neither make a user namespace nor become another user.",
        "Run this as an ordinary user, or set PORTILLON_DATABASE_URL.",
    )


def wait_until(
    condition: Callable[[], Found | None], seconds: float, what: str, todo: str = "", pause: float = POLL_SECONDS
) -> Found:
    """Return the first true answer of the condition; after `seconds` raise WorldFault(what)."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise WorldFault(f"{what} (waited {seconds:g} s).", todo)
        time.sleep(pause)


def end(process: ProcessId, *, polite: int = signal.SIGTERM, seconds: float = 10.0) -> None:
    """End a process: politely, then by kill -9. Returns when it is gone."""
    for number, patience in ((polite, seconds), (signal.SIGKILL, 5.0)):
        process.signal(number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            reap(process.pid)
            if not process.is_alive():
                return
            time.sleep(POLL_SECONDS)
    raise WorldFault(f"process {process.pid} does not end, even by kill -9.")


def reap(pid: int) -> None:
    """Take the exit status of a child of ours, so that no zombie holds its pid."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass  # not our child: its own parent, or init, takes it


def free_port() -> int:
    """Return a port of the loopback that is free now, outside the range that outgoing connections take.

    A part that is killed and started again must find its port free: no client may have got it meanwhile.
    """
    for _ in range(PORT_TRIES_MAX):
        port = random.randrange(*PORTS)
        if is_port_free(port):
            return port
    raise WorldFault(f"No free port between {PORTS[0]} and {PORTS[1]} was found.", "Stop some servers.")


def is_port_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def is_port_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tail(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    """Return the end of a log, to be shown beside the error that sends its reader there."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
