"""The gate's computer without hardware: its Debian in a folder, our files installed, the target's own checkers to ask.

Responsible for: one copy of that folder a test process, installing by firmware_config/install.sh, running a command in
it, one wrong setting at a time. Not for: which checker reads which file (checks.py).
A checker that is missing is never skipped: making the folder fails and says what to install.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from simulators.debian import debian_folder
from tests.house.tree import ROOT

SOURCE = ROOT / "firmware_config"
PACKAGES = (
    "base-passwd", "bash", "ca-certificates", "chrony", "cloud-init", "coreutils", "dash", "fdisk", "gpiod",
    "network-manager", "nftables", "sed", "shellcheck", "systemd", "udev", "util-linux",
)  # fmt: skip
# The checkers are only unpacked, which is quick (to leave out manuals would take twice as long); no package is
# configured, no service is known.
OPTIONS = ("--variant=extract",)
COMMAND_SECONDS_MAX = 60
STUB = "opt/portillon/venv/bin/portillon-gate"  # in the place of what cloud-init installs


@dataclass(frozen=True)
class Answer:
    """What a checker said. complaint: everything on standard error, and the rest where it ended badly."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        return self.err.strip() or ("" if self.code == 0 else self.out.strip() or f"exit {self.code}")


class Target:
    """One gate's computer in a folder. Paths are named as the gate's computer names them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def at(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    def write(self, path: str, content: str, mode: int | None = None) -> None:
        """Replace a file: the old one may be a link into the folder that all test processes share."""
        file = self.at(path)
        kept = file.stat().st_mode if file.exists() else 0o644
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(content)
        file.chmod(mode or kept)

    def run(self, *command: str, stdin: str = "", proc: bool = False) -> Answer:
        """Run a command of the target. proc: with /proc, in a mount namespace of its own."""
        line = ["chroot", str(self.folder), *command]
        if proc:
            line = ["unshare", "--mount", "sh", "-c", 'mount -t proc proc "$1/proc" && shift && exec "$@"', "sh",
                    str(self.folder), *line]  # fmt: skip
        done = subprocess.run(
            line, input=stdin, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=False
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def changed(self, path: str, right: str, wrong: str) -> Iterator[None]:
        """The file with one setting wrong."""
        before = self.at(path).read_text()
        assert before.count(right) >= 1, f"{path} does not hold {right!r}"
        self.write(path, before.replace(right, wrong, 1))
        try:
            yield
        finally:
            self.write(path, before)


def gate_folder() -> Path:
    """The Debian folder that all test processes share, made once."""
    return debian_folder("gate", PACKAGES, *OPTIONS, finish=_warm)


@contextmanager
def a_target() -> Iterator[Target]:
    """A copy of the Debian folder (links: half a second) with our files in it."""
    base = gate_folder()
    folder = Path(tempfile.mkdtemp(dir=base.parent, prefix="copy-"))
    try:
        subprocess.run(["cp", "-al", f"{base}/.", str(folder)], check=True)
        target = Target(folder)
        _configure(target)
        _install(target)
        yield target
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _warm(root: Path) -> None:
    """cloud-init reads the authorities when it starts; run once, it is compiled for every later run."""
    authorities = sorted((root / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    (root / "etc/ssl/certs/ca-certificates.crt").write_text("".join(file.read_text() for file in authorities))
    done = Target(root).run("cloud-init", "schema", "--help")
    assert done.code == 0, done.err


def _configure(target: Target) -> None:
    """The few things that configuring the packages would have done and the checkers ask for."""
    for name in ("passwd", "group"):
        target.write(f"/etc/{name}", target.at(f"/usr/share/base-passwd/{name}.master").read_text())
    target.write("/usr/lib/sysusers.d/chrony-of-debian.conf", "u _chrony -\n")


def _install(target: Target) -> None:
    subprocess.run(["sh", str(SOURCE / "install.sh"), "--root", str(target.folder)], check=True)
    target.write(f"/{STUB}", "#!/bin/sh\n", 0o755)
    shutil.copytree(SOURCE / "boot", target.at("/boot/firmware"), dirs_exist_ok=True)
    done = target.run("systemd-sysusers")
    assert done.code == 0, done.err
