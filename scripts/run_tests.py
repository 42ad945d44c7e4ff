"""Run every check and every test, in the order that finds faults soonest, and end with one closing line.

Responsible for: which tests run side by side and which alone, on which database; one count of them all; that Debian's
packages come (scripts/packages.sh) while what needs none of them is checked.
Not responsible for: what a test needs (its fixtures know), nor for its own Python (scripts/install.sh).
A skipped or expected-to-fail test is a failure: whatever can run must run. Only the marker `hardware` is left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def files(first: list[str], *patterns: str, mark: str = "") -> list[str]:
    """The test files of the patterns that carry a mark, the named ones first: files, for pytest sorts a folder."""
    paths = (path for pattern in patterns for path in sorted(ROOT.glob(pattern)))
    found = [path for path in paths if mark in path.read_text(encoding="utf-8")]
    rest = [str(path.relative_to(ROOT)) for path in found]
    return [*first, *(path for path in rest if path not in first)]


# Apart, for Playwright keeps an event loop running in its process. The longest come first, see BY_FILE.
BROWSERS = files(["tests/browser/test_page_rules.py", "tests/journeys/test_main_job.py"], "tests/browser/**/test_*.py")
STACKS = files(
    ["tests/journeys/test_drills.py", "tests/faults/test_outages.py", "tests/journeys/test_morning.py",
     "tests/faults/test_chaos.py", "tests/journeys/test_demo.py", "tests/journeys/test_stories.py"],
    "tests/faults/**/test_*.py", "tests/journeys/**/test_*.py",
)  # fmt: skip
STACKS.remove("tests/journeys/test_main_job.py")
WAITING = [path for path in files([], "tests/**/test_*.py", mark="mark.serial") if path not in BROWSERS]
NOT_APART = [f"--ignore={path}" for path in ("tests/house", "tests/faults", "tests/journeys", "tests/browser")]
# Nothing is kept for a next run, and schemathesis is called as a library: as a plugin it costs each process a second.
PLUGINS = ["-p", "no:cacheprovider", "-p", "no:schemathesis"]
# Two cores; a third worker runs while one of the others waits for a disk, a broker or a program.
WORKERS = ["-n", "3"]
# A whole stack, and whatever waits for a door, a disk or a broker, leaves most of a core idle: a file each for three
# workers, and another run beside them. The longest come first, so that none is left to run alone.
BY_FILE = ["--dist", "loadfile", "--no-loadscope-reorder"]
# What may differ where the ledger is a hypertable: its rows, its migrations, what reads and deletes them. The rules of
# people, pages, fleet and rights are plain PostgreSQL on both; on TimescaleDB `make test-long` asks them all.
LEDGER = [f"tests/cloud/{part}" for part in ("attendance", "ingest", "kit", "schema", "worker")]
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
    """One call of pytest. may_be_empty: finding no test is no failure. beside: a run that takes what this leaves."""

    title: str
    arguments: list[str]
    database: str = "wheel"
    may_be_empty: bool = False
    seconds_max: int = RUN_SECONDS_MAX
    beside: Run | None = None

    def report(self, folder: Path) -> Path:
        return folder / f"{abs(hash(self.title))}.xml"

    def command(self, folder: Path) -> list[str]:
        report = f"--junit-xml={self.report(folder)}"
        return [sys.executable, "-m", "pytest", "-q", *PLUGINS, report, *self.arguments]


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
ON_TIMESCALE = Run(
    "ledger and tables again, on TimescaleDB",
    ["-m", "database and not serial and not long and not hardware", *LEDGER],
    database="timescale",
)
NORMAL = [
    Run(
        "side by side, PostgreSQL from the wheel",
        [*WORKERS, "-m", "not serial and not long and not hardware", "tests", *NOT_APART],
    ),
    Run("browsers side by side", ["-n", "2", *BY_FILE, "-m", "not long and not hardware", *BROWSERS]),
    Run(
        "a file at a time each: faults, journeys, what waits",
        [*WORKERS, *BY_FILE, "-m", "serial and not long and not hardware", *STACKS, *WAITING],
        beside=ON_TIMESCALE,
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
    """Run pytest once, and beside it, yielding to it, the run that may take what it leaves of the machine."""
    with ThreadPoolExecutor() as pool, tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        other = run.beside and pool.submit(called, run.beside, folder, ["nice"], said)
        announce(run.title)
        count(run, called(run, folder), folder, tally)
        if run.beside and other:
            code = other.result()
            announce(run.beside.title)
            said.seek(0)
            print(said.read(), end="", flush=True)
            count(run.beside, code, folder, tally)


def called(run: Run, folder: Path, prefix: Sequence[str] = (), said: IO[str] | None = None) -> int | None:
    """Call pytest and return its exit code; None where it had to be stopped. said: where it prints, else here."""
    environment = {**os.environ, "PORTILLON_TEST_DATABASE": run.database}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is compiled once serves the hundreds of processes after it
    try:
        return subprocess.run(
            [*prefix, *run.command(folder)], check=False, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said,
            stderr=subprocess.STDOUT if said else None, env=environment, timeout=run.seconds_max,
        ).returncode  # fmt: skip
    except subprocess.TimeoutExpired:
        return None


def count(run: Run, code: int | None, folder: Path, tally: Tally) -> None:
    """Add a run to the tally; a crash, a hang and an empty run are failures even where no test failed."""
    if code is None:
        tally.complain(f"{run.title}: stopped after {run.seconds_max} s")
        return
    failed_before = tally.failed
    report = run.report(folder)
    tests = tally.add(report) if report.exists() else 0
    if not tests and not run.may_be_empty:
        tally.complain(f"{run.title}: no test ran")
    elif code not in (0, 5) and tally.failed == failed_before:
        tally.complain(f"{run.title}: pytest ended with {code}")


def in_the_way(install: Sequence[str]) -> str:
    """Install what Debian brings and tell what it said; return that again where something is in the way."""
    done = subprocess.run(
        install, check=False, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    print(done.stdout, end="", file=sys.stderr, flush=True)
    return done.stdout.strip() or f"{install[0]} ended with {done.returncode}" if done.returncode else ""


def make_folders(coming: Future[str]) -> None:
    if not coming.result():
        subprocess.run([sys.executable, "-c", MAKE_FOLDERS], check=False, cwd=ROOT, stderr=subprocess.DEVNULL)


@contextmanager
def packages() -> Iterator[Future[str]]:
    """Let Debian's packages come, and the two folders be made with them, while other things run."""
    with ThreadPoolExecutor() as pool:
        coming = pool.submit(in_the_way, ["scripts/packages.sh"])
        folders = pool.submit(make_folders, coming)
        yield coming
        folders.result()


def check_all(folder: Path, tally: Tally) -> None:
    """Run what needs nothing but Python: seconds, before each commit."""
    check("ruff", [str(BIN / "ruff"), "check", "."], tally)
    with beside("pyright", [str(BIN / "pyright")], tally):
        pytest(HOUSE, folder, tally)


def run_all(runs: Sequence[Run], coming: Future[str], folder: Path, tally: Tally) -> None:
    """Run what needs Debian's packages when they are there, and say what keeps them away where they are not."""
    if coming.result():
        tally.complain(f"the tests were not run: {coming.result()}")
        return
    for run in runs:
        pytest(run, folder, tally)


def main() -> int:
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if mode not in RUNS:
        print("usage: run_tests.py [--check | --long]", file=sys.stderr)
        return 2
    tally, started = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        if mode == "--check":
            check_all(Path(folder), tally)
        else:
            with packages() as coming:
                if not mode:
                    check_all(Path(folder), tally)
                run_all(RUNS[mode], coming, Path(folder), tally)
    print(f"\n-- {time.monotonic() - started:.0f} s in all", flush=True)
    for complaint in tally.complaints:
        print(f"failed: {complaint}")
    if tally.skipped:
        print("failed: a skipped test proves nothing; make it run or take it out (only `hardware` may stay behind)")
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    return 1 if tally.failed or tally.skipped else 0


if __name__ == "__main__":
    sys.exit(main())
