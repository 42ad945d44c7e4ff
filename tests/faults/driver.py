"""An outsider who knows only the commands and their JSON: breaks a stack as he likes, and reads the two exports.

Nothing of Portillon is imported here: what INTERFACES.md says of `stack up`, `stack start`, `stack status`, `morning`
and the exports is all there is. Whoever changes one of them breaks somebody's driver, and test_outages.py first.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

COMMANDS = Path(sys.executable).parent
COMMAND_SECONDS_MAX = 300
ARRIVALS = 40

Json = dict[str, Any]
Fact = tuple[int, int, int]


def run(*words: str, **settings: str) -> str:
    done = subprocess.run(
        [str(COMMANDS / words[0]), *words[1:]], env={**os.environ, **settings}, capture_output=True, text=True,
        timeout=COMMAND_SECONDS_MAX, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stderr}"
    return done.stdout


class Driver:
    """What an outsider does to a stack, by its JSON alone."""

    def __init__(self, directory: Path) -> None:
        self.directory = str(directory)
        told = json.loads(
            run("portillon-sim", "stack", "up", "--gates", "2", "--families", "80", "--dir", self.directory, "--json")
        )
        self.parts: dict[str, Json] = {part["name"]: part for part in told["parts"]}

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        os.kill(self.parts[name]["pid"], number)

    def start(self, name: str) -> None:
        old = self.parts[name]["pid"]
        self.parts[name] = json.loads(run("portillon-sim", "stack", "start", name, "--dir", self.directory, "--json"))
        assert self.parts[name]["pid"] != old

    def all_run(self) -> bool:
        told = json.loads(run("portillon-sim", "stack", "status", "--dir", self.directory, "--json"))
        return all(part["alive"] for part in told["parts"])

    def gates(self) -> list[Json]:
        return [part for part in self.parts.values() if part["kind"] == "gate"]

    def status(self, gate: Json) -> Json:
        with urllib.request.urlopen(gate["url"] + "/status", timeout=5) as answer:
            return json.loads(answer.read())

    def wait_for_arrivals(self, events: int) -> None:
        """Return when so many events more are in the gates' journals."""
        before = sum(self.status(gate)["next_seq"] for gate in self.gates())
        until = time.monotonic() + COMMAND_SECONDS_MAX
        while sum(self.status(gate)["next_seq"] for gate in self.gates()) < before + events:
            assert time.monotonic() < until, "nobody comes"
            time.sleep(0.1)

    def at_gates(self) -> dict[Fact, Json]:
        lines = [
            json.loads(line)
            for gate in self.gates()
            for line in run("portillon-gate", "journal", "export", "--config", gate["config"], "--json").splitlines()
        ]
        return {(line["gate"], line["epoch"], line["seq"]): line for line in lines}

    def in_cloud(self) -> list[Json]:
        """All configuration of the cloud comes from the environment; `config` of a part of the cloud is that."""
        pairs = (line.partition("=") for line in Path(self.parts["ingest"]["config"]).read_text().splitlines())
        exported = run("portillon-cloud", "events", "export", "--json", **{name: value for name, _, value in pairs})
        return [json.loads(line) for line in exported.splitlines()]

    def morning(self) -> subprocess.Popen[str]:
        words = ("morning", "--dir", self.directory, "--arrivals", str(ARRIVALS), "--seed", "3", "--json")
        return subprocess.Popen(
            [str(COMMANDS / "portillon-sim"), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def down(self) -> None:
        run("portillon-sim", "stack", "down", "--dir", self.directory, "--json")
