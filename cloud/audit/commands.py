"""`portillon-cloud audit …`: is the audit log whole? Exit codes: 0 whole, 2 usage, 4 a chain is broken."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cloud.audit.model import End
from cloud.config import Settings

BROKEN = 4

app = typer.Typer(help="The audit log: who read or changed what.", no_args_is_help=True)


@app.callback()
def audit() -> None:
    """The audit log: who read or changed what."""


@app.command("verify")
def verify(
    ctx: typer.Context,
    known: Annotated[Path | None, typer.Option(help="what an earlier `verify --json` printed, kept elsewhere")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document on stdout")] = False,
) -> None:
    """Walk the chain of every district. Keep the output elsewhere: only that shows a chain cut short or made anew."""
    from cloud.audit import service
    from cloud.kit.db import Database

    settings: Settings = ctx.obj
    ends = _ends(known)
    rows = []
    with Database(settings.require("database_url").database_url, 1) as database:
        with database.untenanted() as tx:
            districts = service.districts(tx)
        for district in districts:
            with database.tenant(district.id) as tx:
                found = service.verify(tx, district.id, ends.get(district.slug))
            rows.append({"district": district.slug, "lines": found.lines, "n": found.end.n,
                         "head": found.end.head.hex(), "broken_at": found.broken_at, "why": found.why})  # fmt: skip
    broken = [row for row in rows if row["broken_at"]]
    if as_json:
        typer.echo(json.dumps({"ok": not broken, "districts": rows}))
    for row in () if as_json else rows:
        fault = f"BROKEN at line {row['broken_at']} ({row['why']})" if row["broken_at"] else "whole"
        typer.echo(f"{row['district']:<12} {row['lines']:>8} lines, end {row['n']} {row['head'][:16]}  {fault}")
    if broken:
        raise typer.Exit(BROKEN)


def _ends(file: Path | None) -> dict[str, End]:
    """District -> the end of its chain as it was when the file was written."""
    if file is None:
        return {}
    try:
        told = json.loads(file.read_bytes())
        return {row["district"]: End(int(row["n"]), bytes.fromhex(row["head"])) for row in told["districts"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise typer.BadParameter("give a file that `audit verify --json` has printed", param_hint="--known") from error
