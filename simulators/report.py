"""A morning's figures, for a reader at a terminal.

Responsible for: a plain table on stdout. Not for: the figures (morning.py), nor their JSON (cli.py, demo.py).
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def print_summary(summary: dict[str, Any]) -> None:
    """Print a morning's figures for a reader."""
    table = Table(show_header=False, box=None)
    for name, value in summary.items():
        shown = ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else str(value)
        if name != "links":
            table.add_row(name.replace("_", " "), shown or "–")
    Console(highlight=False).print(table)
