"""`make bench`: every benchmark against its peers in one run; a table each on the terminal, all in bench/results.json.

Responsible for: running bench/read.py and bench/ingest.py one after the other (never at once: two cores), showing and
keeping what they say. Not responsible for: measuring anything itself.

Each benchmark prints one JSON document: `{"title", "note", "columns": [...], "rows": [[...], ...]}`. A benchmark can be
run by itself as well: `.venv/bin/python -m bench.read`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
BENCHMARKS = ("read", "ingest")
# The slower of the two takes some five minutes on 2 cores; past this something hangs.
BENCHMARK_SECONDS_MAX = 900
PLAIN_COLUMNS = 120  # where no terminal says how wide it is


def measure(name: str) -> dict[str, Any]:
    """Run one benchmark in a process of its own and return its document. Raises ValueError with what went wrong."""
    command = [sys.executable, "-m", f"bench.{name}"]
    run = subprocess.run(
        command,
        check=False,
        cwd=HERE.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=BENCHMARK_SECONDS_MAX,
    )
    if run.returncode:
        raise ValueError(f"bench/{name}.py ended with {run.returncode}")
    document = json.loads(run.stdout)
    if not {"title", "columns", "rows"} <= document.keys():
        raise ValueError(f"bench/{name}.py printed no title, columns and rows")
    return document


def shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) < 1_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def table_of(document: dict[str, Any]) -> Table:
    table = Table(title=document["title"], caption=document.get("note") or None, title_justify="left")
    for number, column in enumerate(document["columns"]):
        widest = max(len(column), *(len(shown(row[number])) for row in document["rows"])) if number == 0 else None
        table.add_column(column, justify="right" if number else "left", min_width=widest)
    for row in document["rows"]:
        table.add_row(*(shown(value) for value in row))
    return table


def machine() -> dict[str, Any]:
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def main() -> int:
    names = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    console = Console(width=None if sys.stdout.isatty() else PLAIN_COLUMNS)
    results: dict[str, Any] = {"machine": machine()}
    failed = False
    for name in names:
        try:
            results[name] = measure(name)
        except (ValueError, subprocess.TimeoutExpired) as error:
            print(f"portillon: {error}", file=sys.stderr)
            failed = True
            continue
        console.print(table_of(results[name]))
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
