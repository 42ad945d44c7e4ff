"""Run every check and every test, in the order that finds faults soonest, and end with one closing line.

Responsible for: which tests run side by side and which alone, on which database; one count of them all.
Not responsible for: what a test needs (its fixtures know) or for installing anything (scripts/install.sh, packages.sh).
A skipped or expected-to-fail test is a failure: whatever can run must run. Only the marker `hardware` is left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
# Apart, for Playwright keeps an event loop running in its process. The longest come first, see FILES.
BROWSERS = ["tests/browser/test_page_rules.py", "tests/journeys/test_main_job.py", "tests/browser"]
STACKS = ["tests/faults", "tests/journeys"]
NOT_APART = [f"--ignore={folder}" for folder in [*STACKS, *BROWSERS]]
# Two cores; a third worker runs while one of the others waits for a disk, a broker or a program.
WORKERS = ["-n", "3"]
# A whole stack, and whatever waits for a door, a disk or a broker, leaves most of a core idle: a file each for three
# workers. The longest come first, so that none is left to run alone.
BY_FILE = ["--dist", "loadfile", "--no-loadscope-reorder"]
FILES = [*WORKERS, *BY_FILE]
# What may differ where the ledger is a hypertable: its rows, its migrations, what reads and deletes them. The rules of
# people, pages, fleet and rights are plain PostgreSQL on both; on TimescaleDB `make test-long` asks them all.
ON_TIMESCALE = [f"tests/cloud/{part}" for part in ("attendance", "ingest", "kit", "schema", "worker")]
# A run that hangs must not hold CI for ever; the whole of `make test` is meant to take under 15 minutes on 2 cores.
RUN_SECONDS_MAX = 900
LONG_RUN_SECONDS_MAX = 6 * 3600
# The two Debian folders that tests chroot into are made once, beside all else; a test that needs one waits for it.
# Where that cannot be, those tests say why.
MAKE_FOLDERS = (
    "from simulators.database import make_timescale; from tests.firmware.target import gate_folder;"
    " make_timescale(); gate_folder()"
)


@dataclass(frozen=True)
class Run:
    """One call of pytest. may_be_empty: finding no test is no failure."""

    title: str
    arguments: list[str]
    database: str = "wheel"
    may_be_empty: bool = False
    seconds_max: int = RUN_SECONDS_MAX


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    complaints: list[str] = field(default_factory=list)

    def add(self, report: Path) -> int:
        """Count the JUnit report of one run and return how many tests it holds."""
        suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
        tests, failed, skipped = (
            sum(int(suite.get(name, 0)) for suite in suites for name in names)
            for names in (("tests",), ("failures", "errors"), ("skipped",))
        )
        self.passed += tests - failed - skipped
        self.failed += failed
        self.skipped += skipped
        return tests

    def complain(self, what: str) -> None:
        self.failed += 1
        self.complaints.append(what)


HOUSE = Run("house rules", ["tests/house"])
LONG = [
    Run("what does not fit in CI", ["-m", "long", "-s", "tests"], seconds_max=LONG_RUN_SECONDS_MAX, may_be_empty=True),
    Run(
        "every database test on TimescaleDB",
        [*WORKERS, "-m", "database and not serial and not long and not hardware", "tests/cloud"],
        database="timescale",
    ),
]
NORMAL = [
    Run(
        "side by side, PostgreSQL from the wheel",
        [*WORKERS, "-m", "not serial and not long and not hardware", "tests", *NOT_APART, "--ignore=tests/house"],
    ),
    Run(
        "ledger and tables again, on TimescaleDB",
        [*WORKERS, "-m", "database and not serial and not long and not hardware", *ON_TIMESCALE],
        database="timescale",
    ),
    Run("browsers side by side", ["-n", "2", *BY_FILE, "-m", "not long and not hardware", *BROWSERS]),
    Run(
        "a file at a time each: faults, journeys, what waits",
        [*FILES, "-m", "serial and not long and not hardware", *STACKS, "tests",
         *(f"--ignore={path}" for path in BROWSERS)],
    ),
]
RUNS = {"": NORMAL, "--check": [], "--long": LONG}


def announce(title: str) -> None:
    print(f"\n-- {title}", flush=True)


def check(title: str, command: list[str], tally: Tally) -> None:
    announce(title)
    if subprocess.run(command, check=False, cwd=ROOT, stdin=subprocess.DEVNULL).returncode:
        tally.complain(title)


@contextmanager
def beside(title: str, command: list[str], tally: Tally) -> Iterator[None]:
    """Run a check while something else runs, and tell what it said when both are through."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    yield
    said, _ = process.communicate()
    announce(title)
    print(said, end="", flush=True)
    if process.returncode:
        tally.complain(title)


def pytest(run: Run, folder: Path, tally: Tally) -> None:
    """Run pytest once; a crash, a hang and an empty run are failures even where no test failed."""
    announce(run.title)
    report = folder / f"{abs(hash(run.title))}.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}", *run.arguments]
    environment = {**os.environ, "PORTILLON_TEST_DATABASE": run.database}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is compiled once serves the hundreds of processes after it
    failed_before = tally.failed
    try:
        code = subprocess.run(
            command, check=False, cwd=ROOT, stdin=subprocess.DEVNULL, env=environment, timeout=run.seconds_max
        ).returncode
    except subprocess.TimeoutExpired:
        tally.complain(f"{run.title}: stopped after {run.seconds_max} s")
        return
    tests = tally.add(report) if report.exists() else 0
    if not tests and not run.may_be_empty:
        tally.complain(f"{run.title}: no test ran")
    elif code not in (0, 5) and tally.failed == failed_before:
        tally.complain(f"{run.title}: pytest ended with {code}")


def main() -> int:
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if mode not in RUNS:
        print("usage: run_tests.py [--check | --long]", file=sys.stderr)
        return 2
    tally, started = Tally(), time.monotonic()
    make = "" if mode == "--check" else MAKE_FOLDERS
    folders = subprocess.Popen([sys.executable, "-c", make], cwd=ROOT, stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        if mode != "--long":
            check("ruff", [str(BIN / "ruff"), "check", "."], tally)
            with beside("pyright", [str(BIN / "pyright")], tally):
                pytest(HOUSE, Path(folder), tally)
        for run in RUNS[mode]:
            pytest(run, Path(folder), tally)
    folders.wait()
    print(f"\n-- {time.monotonic() - started:.0f} s in all", flush=True)
    for complaint in tally.complaints:
        print(f"failed: {complaint}")
    if tally.skipped:
        print("failed: a skipped test proves nothing; make it run or take it out (only `hardware` may stay behind)")
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    return 1 if tally.failed or tally.skipped else 0


if __name__ == "__main__":
    sys.exit(main())
