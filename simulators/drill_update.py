"""The drill `update`: a gate takes a good release and stays on it; then two bad ones, and goes back by itself.

One crashes at its start: the launcher goes back. One runs, answers and never reads a picture: its own trial ends it.
The keys are made as an operator makes them, the root's apart; the good release is made from this very checkout, the bad
ones are copies with one mistake. Played on the gate of the second site, which gets an update window that is now.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from simulators.clock import now
from simulators.drill import Drill, Json
from simulators.parts import Part, gate_is_served
from simulators.processes import end, free_port, identify, is_port_open, spawn, wait_until

GATE = 21
GOOD, CRASHES, BLIND = "0.2.0", "0.3.0", "0.4.0"
CHECKOUT = Path(__file__).parent.parent
LAUNCH = CHECKOUT / "firmware_config/root/usr/lib/portillon/launch"
TRIAL_SECONDS = 12  # the shortest that a busy machine bears; a gate's own default is 300
LAUNCHER_SECONDS = 40  # the launcher's own bound of a trial, 900 on a gate
PATIENCE_SECONDS = 60.0
ONLINE = ("snapshot", "timestamp")
SPOILT = {  # file, what is taken out, the mistake that stands there instead
    CRASHES: ("edge/cli.py", 'def main() -> None:\n', 'def main() -> None:\n    raise RuntimeError("spoilt")\n'),
    BLIND: ("edge/health.py", "self.frames += 1", "self.frames += 0"),
}


def play(drill: Drill) -> Json:
    """Play it; return the proof."""
    part = drill.stack.parts[f"gate-{GATE}"]
    with tempfile.TemporaryDirectory(prefix="portillon-updates-") as folder, _web_server(Path(folder)) as url:
        repository = _Repository(drill, Path(folder))
        repository.make()
        with _ready_for_updates(drill, part, Path(folder), url):
            card = drill.gate(GATE)["firmware"]
            stayed_s = _ordered(drill, GOOD, ends="committed", runs=GOOD, code="")
            drill.must(_current(part) == GOOD, "the link names the new version")
            crashed_s = _ordered(drill, CRASHES, ends="rolled_back", runs=GOOD, code="CRASHED")
            blind_s = _ordered(drill, BLIND, ends="rolled_back", runs=GOOD, code="NO_FRAME")
            drill.tell("The operator reads it in the fleet: the rollout has failed, with the gate's own reason.")
    return {
        "card": card, "stayed": GOOD, "stayed_after_s": stayed_s, "crashed": CRASHES, "crashed_back_after_s": crashed_s,
        "blind": BLIND, "blind_back_after_s": blind_s, "runs": GOOD,
    }  # fmt: skip


class _Repository:
    """The operator's folder of releases, and the keys, each of which would lie on a machine of its own."""

    def __init__(self, drill: Drill, folder: Path) -> None:
        self._drill, self._folder, self._place = drill, folder, folder / "repository"

    def make(self) -> None:
        names = ("root-1", "root-2", "root-3", "targets", *ONLINE)
        self._run("key", *(str(self._key(name)) for name in names))
        public = {name: f"{self._key(name)}.pub" for name in names}
        roots = [word for name in names[:3] for word in ("--root", public[name])]
        others = [word for name in names[3:] for word in (f"--{name}", public[name])]
        self._run("root", str(self._place), *roots, *others)
        for holder in ("root-1", "root-2"):
            self._run("sign", str(self._place / "waiting" / "root.json"), "--key", str(self._key(holder)), "--yes")
        self._drill.tell("Three root keys, two have signed; a key for releases; the server's two say what is newest.")
        archives = [self._folder / f"{version}.tar.gz" for version in (GOOD, CRASHES, BLIND)]
        self._run("make", GOOD, "--out", str(archives[0]), "--source", str(CHECKOUT))
        for archive, version in zip(archives[1:], SPOILT, strict=True):
            self._spoil(archives[0], archive, version)
        self._run("add", str(self._place), *map(str, archives))
        self._run("sign", str(self._place / "waiting" / "targets.json"), "--key", str(self._key("targets")), "--yes")
        online = [word for name in ONLINE for word in (f"--{name}", str(self._key(name)))]
        self._run("publish", str(self._place), *online)
        shutil.copy2(self._place / "metadata" / "1.root.json", self._folder / "update-root.json")
        self._drill.tell(f"Releases are signed: {GOOD} as it is, {CRASHES} that crashes, {BLIND} that sees nothing.")

    def _spoil(self, good: Path, bad: Path, version: str) -> None:
        """Make another version of an archive, in which one file has a mistake."""
        name, text, mistake = SPOILT[version]
        with tarfile.open(good, "r:gz") as old, tarfile.open(bad, "w:gz") as new:
            for member in old:
                file = old.extractfile(member)
                assert file is not None, "a release holds plain files"
                data = file.read().decode("latin-1")
                if member.name == name:
                    self._drill.must(data.count(text) == 1, f"{name} holds what is spoilt, once")
                    data = data.replace(text, mistake)
                if member.name == "release.json":
                    data = data.replace(f'"{GOOD}"', f'"{version}"')
                member.size = len(data)
                new.addfile(member, io.BytesIO(data.encode("latin-1")))

    def _key(self, name: str) -> Path:
        return self._folder / f"{name}.key"

    def _run(self, *arguments: str) -> None:
        self._drill.stack.cloud("release", *arguments)


def _ordered(drill: Drill, version: str, *, ends: str, runs: str, code: str) -> float:
    """Order a version, follow the gate to its end; return the seconds from the order to it."""
    drill.operator("release", "rollout", "start", version, "--ring", str(GATE))
    began = time.monotonic()
    drill.tell(f"The operator orders {version}.")
    seen: list[str] = []

    def ended() -> Json | None:
        told = drill.gate(GATE)
        update = told.get("update") or {}
        if update.get("version") == version and update["state"] not in seen[-1:]:
            seen.append(update["state"])
            drill.tell(f"gate {GATE}: {update['state']} {update['code']}".rstrip() + f", runs {told['firmware']}")
        done = update.get("version") == version and update["state"] in ("committed", "rolled_back", "failed")
        return told if done and told["firmware"] == runs and told["broker"] == "up" else None

    told = drill.until(ended, f"{version} does not come to an end; seen: {seen}", PATIENCE_SECONDS)
    seconds = round(time.monotonic() - began, 1)
    found = told["update"]
    drill.must((found["state"], found["code"]) == (ends, code), f"{version} ends {found}")
    drill.until(lambda: _heard(drill, ends, code), f"the cloud does not hear that {version} is {ends}")
    drill.tell(f"{version} is {ends}, {seconds} s after the order; the gate runs {runs}.")
    return seconds


def _heard(drill: Drill, state: str, code: str) -> bool:
    [told] = drill.operator("release", "rollout", "status")
    [gate] = told["gates"]
    outcome = "done" if state == "committed" else "failed"
    return (gate["state"], gate["code"] or "", told["outcome"]) == (state, code, outcome)


def _current(part: Part) -> str:
    return (Path(part.config).parent / "data" / "current").resolve().name


@contextmanager
def _ready_for_updates(drill: Drill, part: Part, folder: Path, url: str) -> Iterator[None]:
    """Start the gate as a unit of systemd would: by the launcher, held up, with an update window that is now."""
    config, data = Path(part.config), Path(part.config).parent / "data"
    before, command = config.read_text(), part.command
    zone = next(school["timezone"] for school in drill.stack.district["schools"])
    closed = datetime.fromtimestamp(now(), UTC).astimezone(ZoneInfo(zone)).hour
    hour = (closed + 12) % 24 or 12  # families come in one minute of the day, and that is not now
    text = re.sub(r"(?m)^hours = .*$", f'hours = ["{hour:02}:00-{hour:02}:01"]', before)
    config.write_text(
        f'{text}\n[updates]\nurl = "{url}/repository"\nroot = "{folder}/update-root.json"\n'
        f'windows = ["00:00-{hour:02}:00", "{hour:02}:01-24:00"]\ntrial_seconds = {TRIAL_SECONDS}.0\n'
    )
    launch = ["sh", str(LAUNCH), str(data), str(Path(sys.executable).parent.parent), str(LAUNCHER_SECONDS)]
    held_up = [sys.executable, "-m", "simulators.supervise", *launch, "run", "--config", part.config]
    try:
        _again(part, held_up)
        drill.tell(f"Gate {GATE} starts by the launcher; its update window is now, families come at {hour:02}:00.")
        yield
    finally:
        config.write_text(before)
        _again(part, command)


def _again(part: Part, command: list[str]) -> None:
    part.stop()
    part.command = command
    wait_until(lambda: not is_port_open(part.port), PATIENCE_SECONDS, f"{part.name} does not let go of its port")
    part.launch()
    wait_until(lambda: gate_is_served(part.url), PATIENCE_SECONDS, f"{part.name} is not well", f"Read {part.log}.")


@contextmanager
def _web_server(folder: Path) -> Iterator[str]:
    """Any server of files does: whoever serves them is believed nothing."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)]
    child = spawn(command, folder / "web.log")
    process = identify(child.pid)
    try:
        wait_until(lambda: is_port_open(port), PATIENCE_SECONDS, "the server of releases does not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        if process is not None:
            end(process)
