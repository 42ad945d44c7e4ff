"""What a command tells: one JSON document for programs, a name and a value a line for people."""

import json
from datetime import datetime
from typing import Any

import typer


def print_told(told: dict[str, Any], as_json: bool) -> None:
    """Print on stdout; lists and nested values stay JSON for people too."""
    if as_json:
        typer.echo(json.dumps(told, default=plain))
        return
    for name, value in told.items():
        typer.echo(f"{name:<12} {json.dumps(value, default=plain) if isinstance(value, dict | list) else value}")


def plain(value: object) -> object:
    """Return what json cannot write by itself: a time as ISO 8601, else its text."""
    return value.isoformat() if isinstance(value, datetime) else str(value)
