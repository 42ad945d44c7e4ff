"""`portillon-cloud gate …`: the registry of gates from a terminal. Shows no child and no adult."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from cloud.config import Settings
from cloud.fleet import claim_commands, shadow_commands

app = typer.Typer(help="The gates: list, show, approve, revoke.", no_args_is_help=True)
app.add_typer(claim_commands.app)
app.add_typer(shadow_commands.app)

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]


@app.command("list")
def list_gates(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List every gate of every district, worst first."""
    rows = _lines(ctx.obj)
    if as_json:
        typer.echo(json.dumps(rows, default=_plain))
        return
    for row in rows:
        faults = " ".join(row["faults"]) or "ok"
        typer.echo(f"{row['gate']:>10}  {row['district']:<12} {'online ' if row['online'] else 'offline'}  {faults:<30}"
                   f" {row['name']}")  # fmt: skip


@app.command("show")
def show_gate(ctx: typer.Context, gate: int, as_json: AsJson = False) -> None:
    """Show all that is known of one gate."""
    found = [row for row in _lines(ctx.obj) if row["gate"] == gate]
    if not found:
        from cloud.fleet.service import GateRefused

        raise GateRefused("GATE_UNKNOWN")
    if as_json:
        typer.echo(json.dumps(found[0], default=_plain))
        return
    for name, value in found[0].items():
        typer.echo(
            f"{name:<14} {json.dumps(value, default=_plain) if isinstance(value, dict | list | tuple) else value}"
        )


@app.command("revoke")
def revoke_gate(ctx: typer.Context, gate: int) -> None:
    """Believe a gate no longer; its sisters learn it within seconds."""
    from cloud.fleet import service

    _change(ctx.obj, gate, service.revoke_gate)


def _lines(settings: Settings) -> list[dict[str, Any]]:
    from cloud.fleet import service
    from cloud.fleet.model import worst_first
    from cloud.kit import clock
    from cloud.kit.db import Database

    now = clock.now()
    with Database(settings.require("database_url").database_url, 1) as database:
        with database.untenanted() as tx:
            districts = {site.district_id: site.district for site in service.sites_with_gates(tx)}
        lines, slugs = [], {}
        for district_id, slug in districts.items():
            with database.tenant(district_id) as tx:
                found = service.list_gates(tx, district_id, now)
            lines += found
            slugs |= {line.gate: slug for line in found}
    return [{"district": slugs[line.gate], **asdict(line)} for line in worst_first(lines)]


def _change(settings: Settings, gate: int, act: Any) -> None:
    from cloud.fleet.service import GateRefused, gates_by_number
    from cloud.kit import clock
    from cloud.kit.db import Database

    with Database(settings.require("database_url").database_url, 1) as database:
        with database.untenanted() as tx:
            known = gates_by_number(tx, [gate])
        if gate not in known:
            raise GateRefused("GATE_UNKNOWN")
        with database.tenant(known[gate].district_id) as tx:
            act(tx, known[gate].district_id, gate, clock.now())
    typer.echo(str(gate))


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)
