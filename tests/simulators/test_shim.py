"""The shim that stands under a process: its clock jumps and its disk fails while it runs, and only as long as told."""

import errno
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.processes import environment
from simulators.shim import DISK_FAILS, DISK_FULL, Orders, Shim

MONTH_MS = 30 * 86_400_000
ASKED = """
import os, sys, time
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for line in sys.stdin:
    at, steady, codes = time.time(), time.monotonic(), []
    for move in (lambda: os.write(file, b"x"), lambda: os.pwrite(file, b"x", 0), lambda: os.fdatasync(file)):
        try:
            move()
            codes.append(0)
        except OSError as error:
            codes.append(error.errno)
    print(at, steady, time.monotonic() - steady, *codes, flush=True)
"""


class Process:
    """A process under the shim, asked what time it is and how its disk does."""

    def __init__(self, directory: Path) -> None:
        self.shim = Shim(directory / "orders")
        self.child = subprocess.Popen(
            [sys.executable, "-c", ASKED, str(directory / "file")],
            env=environment(**self.shim.settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def asked(self) -> tuple[float, float, float, list[int]]:
        assert self.child.stdin and self.child.stdout
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        at, steady, took, *codes = self.child.stdout.readline().split()
        return float(at), float(steady), float(took), [int(code) for code in codes]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("shim"))
    yield process
    process.child.kill()
    process.child.wait()


def test_the_wall_clock_jumps_and_the_steady_one_does_not(process: Process) -> None:
    process.shim.order(Orders(clock_offset_ms=MONTH_MS))
    at, steady, _, _ = process.asked()
    assert abs(at - time.time() - MONTH_MS / 1000) < 5 and abs(steady - time.monotonic()) < 5
    process.shim.mend()
    assert abs(process.asked()[0] - time.time()) < 5


def test_a_clock_before_1970_stands_at_its_beginning(process: Process) -> None:
    process.shim.order(Orders(clock_offset_ms=-int(time.time() + 1_000_000) * 1000))
    assert process.asked()[0] < 1
    process.shim.mend()


@pytest.mark.parametrize(
    ("orders", "codes"),
    [
        (Orders(sync_errno=DISK_FAILS), [0, 0, errno.EIO]),
        (Orders(write_errno=DISK_FULL), [errno.ENOSPC, errno.ENOSPC, 0]),
        (Orders(), [0, 0, 0]),
    ],
)
def test_a_disk_fails_as_it_is_told_and_is_well_again(process: Process, orders: Orders, codes: list[int]) -> None:
    process.shim.order(orders)
    assert process.asked()[3] == codes
    process.shim.mend()


def test_a_slow_disk_keeps_the_one_who_waits_for_it(process: Process) -> None:
    process.shim.order(Orders(sync_delay_ms=200))
    assert process.asked()[2] >= 0.2
    process.shim.mend()
    assert process.asked()[2] < 0.2
