"""A clock that jumps and a disk that is slow, full or failing, under a process that knows nothing of it.

Responsible for: building simulators/shim.c once with the machine's C compiler, the settings that put it under a
process, and the orders, which change while the process runs.
Not for: which process, when and how long (chaos.py and tests say), nor what must hold then (docs/faults.md).
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from dataclasses import astuple, dataclass
from pathlib import Path

from simulators.processes import WorldFault

SOURCE = Path(__file__).with_name("shim.c")
COMPILERS = ("cc", "gcc", "clang", "tcc")
COMPILE_SECONDS_MAX = 60
DISK_FULL, DISK_FAILS = errno.ENOSPC, errno.EIO
_ORDERS = struct.Struct("<qqqq")


@dataclass(frozen=True)
class Orders:
    """What the process meets. clock_offset_ms: added to CLOCK_REALTIME; sync_*: fsync and fdatasync; 0: as it is."""

    clock_offset_ms: int = 0
    sync_delay_ms: int = 0
    sync_errno: int = 0
    write_errno: int = 0


class Shim:
    """The shim of one process: `settings` go into its environment, `order` changes what it meets from now on."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._library = library()
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_bytes(_ORDERS.pack(*astuple(Orders())))

    @property
    def settings(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "SHIM_ORDERS": str(self.file)}

    def order(self, orders: Orders) -> None:
        """Let the process meet this from now on."""
        with self.file.open("r+b") as file, mmap.mmap(file.fileno(), _ORDERS.size) as mapped:
            mapped[:] = _ORDERS.pack(*astuple(orders))

    def mend(self) -> None:
        self.order(Orders())


def compiler() -> str | None:
    """Return a C compiler of this machine, None where there is none."""
    return next((found for name in COMPILERS if (found := shutil.which(name))), None)


def library() -> Path:
    """Return the built shim, building it where this source was not built before. Raises WorldFault."""
    name = f"portillon-shim-{os.getuid()}-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}.so"
    built = Path(tempfile.gettempdir()) / name
    if built.exists() and built.stat().st_uid == os.getuid():
        return built
    found = compiler()
    if found is None:
        raise WorldFault("A fault of clock or disk needs a C compiler.", "Type: apt-get install gcc libc6-dev")
    partial = built.with_suffix(f".{os.getpid()}")
    command = [found, "-shared", "-fPIC", "-O2", "-Wall", "-o", str(partial), str(SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS_MAX, check=False)
    if done.returncode:
        raise WorldFault(f"{SOURCE.name} does not compile:\n{done.stderr}", "Read simulators/shim.c.")
    partial.replace(built)  # another process may build the same at the same time
    return built
