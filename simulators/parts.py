"""One part of a stack: a process with a name, a log and a way to know that it is well.

Responsible for: starting, finding again, ending and describing a part, from the state file of its stack;
commands of Portillon found beside this Python.
Not for: which parts there are and in which order (stack.py).
Obeys INTERFACES.md, "stack up": each part is a process of its own, may be killed by its pid, and can be
started again with the same data.
"""

from __future__ import annotations

import functools
import shutil
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

from simulators.processes import (
    ProcessId,
    WorldFault,
    end,
    environment,
    identify,
    is_port_free,
    is_port_open,
    reap,
    spawn,
    tail,
    wait_until,
)

READY_SECONDS_MAX = 45.0  # the slowest start seen on two busy cores was 9 s
SETTLED_SECONDS = 0.5  # a part with nothing to ask must at least live so long
HEALTH_ANSWER_SECONDS_MAX = 3.0
POLICY = "KR1"
HEALTHY = 200
HEALTH_PAUSE_SECONDS = 0.1  # asking costs the asked one time to start

Json = dict[str, Any]


@dataclass
class Part:
    """A part of a stack. kind: database, broker, web, ingest, worker, gate or lens.

    config: a gate's gate.toml, or the environment of a process of the cloud, one NAME=value a line.
    """

    name: str
    kind: str
    command: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    log: str = ""
    pid: int = 0
    began: int = 0
    port: int = 0
    url: str = ""
    config: str = ""

    @property
    def process(self) -> ProcessId:
        return ProcessId(self.pid, self.began)

    def is_alive(self) -> bool:
        reap(self.pid)
        return self.pid > 0 and self.process.is_alive()

    def launch(self) -> None:
        """Start the process; `wait_ready` says when it is of use. Raises WorldFault for a taken port."""
        if self.is_alive():
            return
        if self.port and not is_port_free(self.port):
            raise WorldFault(
                f"Port {self.port}, which {self.name} needs, is taken.",
                f"Stop what listens there (`ss -ltnp 'sport = :{self.port}'`), or begin again in another --dir.",
            )
        if self.settings and not self.config:
            self._write_settings()
        child = spawn(self.command, Path(self.log), env=clean_environment(self.settings))
        process = identify(child.pid)
        self.pid, self.began = (process.pid, process.began) if process else (child.pid, -1)

    def _write_settings(self) -> None:
        """Keep the environment beside the log, as systemd's EnvironmentFile has it: whoever asks the cloud needs it."""
        self.config = str(Path(self.log).with_suffix(".env"))
        file = Path(self.config)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={value}\n" for name, value in sorted(self.settings.items())))

    def wait_ready(self) -> None:
        """Return when the part is well. Raises WorldFault that names its log and shows the log's end."""
        try:
            wait_until(
                self._is_ready_or_dead, READY_SECONDS_MAX, f"{self.name} is not ready", pause=HEALTH_PAUSE_SECONDS
            )
        except WorldFault as fault:
            raise self._fault(fault.what) from fault
        if not self.is_alive():
            raise self._fault(f"{self.name} ended at once.")

    def _is_ready_or_dead(self) -> bool:
        return not self.is_alive() or self.is_well()

    def is_well(self) -> bool:
        """Return whether the part lives and, where it can be asked, answers."""
        if not self.is_alive():
            return False
        if self.kind == "web":
            return health_code(self.url) == HEALTHY
        if self.kind == "gate":
            return gate_is_served(self.url)
        return not self.port or is_port_open(self.port)

    def _fault(self, what: str) -> WorldFault:
        return WorldFault(f"{what}\n{tail(Path(self.log))}\n", f"Read {self.log}.")

    def stop(self, seconds: float = 10.0) -> None:
        if self.is_alive():
            end(self.process, seconds=seconds)

    def describe(self) -> Json:
        """Return the part as `stack up --json` prints it."""
        row: Json = {"name": self.name, "kind": self.kind, "pid": self.pid, "log": self.log}
        row |= {"url": self.url} if self.url else {}
        row |= {"port": self.port} if self.port else {}
        row |= {"config": self.config} if self.config else {}
        return row | {"alive": self.is_alive()}

    def to_json(self) -> Json:
        return asdict(self)


@functools.cache
def loopback_client(url: str) -> httpx.Client:
    """Return the one client for an address; plain http of this machine, so no certificates are loaded."""
    return httpx.Client(base_url=url, timeout=HEALTH_ANSWER_SECONDS_MAX, trust_env=False, verify=False)


def health_code(url: str) -> int:
    """Return the HTTP status of the cloud's /health, 0 when it does not answer."""
    try:
        return loopback_client(url).get("/health").status_code
    except httpx.HTTPError:
        return 0


def gate_status(url: str) -> Json:
    """Return what a gate says of itself; empty when it does not answer."""
    try:
        answer = loopback_client(url).get("/status")
        return answer.json() if answer.status_code == 200 else {}
    except (httpx.HTTPError, ValueError):
        return {}


def gate_is_served(url: str) -> bool:
    """Return whether a gate runs, hears its broker and holds a policy list: from then on it opens by itself."""
    status = gate_status(url)
    return bool(status.get("healthy")) and status.get("broker") == "up" and POLICY in status.get("documents", {})


def clean_environment(settings: dict[str, str]) -> dict[str, str]:
    """Return our environment with none of our own PORTILLON_ settings but the part's."""
    kept = {name: value for name, value in environment().items() if not name.startswith("PORTILLON_")}
    return {**kept, "PYTHONUNBUFFERED": "1", **settings}


def command_path(name: str) -> str:
    """Return the path of one of Portillon's own commands, beside this Python."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise WorldFault(f"The command {name} is not installed.", "Run `make install`.")
    return found
