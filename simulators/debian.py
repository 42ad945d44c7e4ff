"""A small Debian of our own in a folder, made once: what a chroot needs to run the target's own programs.

Responsible for: the folder of one purpose under PORTILLON_CACHE or .cache, made by mmdebstrap beside its final place.
Not for: what is run in it (database.py: TimescaleDB; tests/firmware: the checkers of the gate's computer).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from simulators.processes import WorldFault, setting, spawn, tail

RELEASE = "trixie"
COMPLETE = "etc/portillon-complete"


def debian_folder(
    purpose: str, packages: Sequence[str], *options: str, finish: Callable[[Path], None] = lambda root: None
) -> Path:
    """Return the folder with these packages, making it first where there is none. Raises WorldFault.

    options: mmdebstrap's own. finish: what is done once to a new folder. A list that changed makes a new folder.
    """
    root = _cache() / purpose / RELEASE
    wanted = "\n".join([*packages, *options])
    if _holds(root, wanted):
        return root
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        raise WorldFault(
            f"A small Debian for {purpose} needs root (chroot) and mmdebstrap.",
            "Run `apt-get install mmdebstrap` as root.",
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two makers at once the second finds the first one's work
        if not _holds(root, wanted):
            shutil.rmtree(root, ignore_errors=True)
            _make(root, wanted, [f"--include={','.join(packages)}", *options], finish)
    return root


def _holds(root: Path, wanted: str) -> bool:
    complete = root / COMPLETE
    return complete.exists() and complete.read_text() in ("", wanted)  # "": made before the list was written down


def _make(root: Path, wanted: str, options: list[str], finish: Callable[[Path], None]) -> None:
    """Make the folder beside its final place, then rename it: a maker that is killed leaves no half of one."""
    making = Path(tempfile.mkdtemp(dir=root.parent, prefix="making-"))
    log = root.parent / "mmdebstrap.log"
    code = spawn(["mmdebstrap", *options, RELEASE, str(making / "root"), _mirror()], log).wait()
    if code:
        shutil.rmtree(making, ignore_errors=True)
        raise WorldFault(f"mmdebstrap ended with {code}:\n{tail(log)}\n", f"Read {log}.")
    shutil.rmtree(making / "root" / "var" / "cache" / "apt", ignore_errors=True)
    finish(making / "root")
    (making / "root" / COMPLETE).write_text(wanted)
    (making / "root").rename(root)
    shutil.rmtree(making, ignore_errors=True)


def _mirror() -> str:
    """Return the Debian mirror this machine already uses, from apt's own configuration."""
    answer = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in answer.stdout.splitlines():
        address, _, release = line.partition(" ")
        if address.rstrip("/").endswith("/debian") and "security" not in release:
            return address
    raise WorldFault("apt's configuration names no Debian mirror.", "Run `apt-get update`.")


def _cache() -> Path:
    """Return the folder of things made once: PORTILLON_CACHE, else .cache in the checkout."""
    named = setting("PORTILLON_CACHE")
    return Path(named).absolute() if named else Path(__file__).parent.parent / ".cache"
