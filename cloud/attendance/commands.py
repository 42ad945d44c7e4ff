"""`portillon-cloud events …`: the gates' ledgers as the cloud holds them, for auditors and for counting losses."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from cloud.attendance.model import ExportedEvent
from cloud.config import Settings

app = typer.Typer(help="Events of the gates as they are stored.", no_args_is_help=True)


@app.callback()
def events() -> None:
    """Events of the gates as they are stored."""


@app.command("export")
def export(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False
) -> None:
    """Print every event of every district, in the order of the ledgers; one line an event."""
    from cloud.attendance import service
    from cloud.kit.db import Database
    from cloud.schools import service as schools

    settings: Settings = ctx.obj
    with Database(settings.require("database_url").database_url, 1) as database:
        with database.untenanted() as tx:
            districts = [district_id for district_id, _ in schools.all_districts(tx)]
        for district_id in districts:
            with database.tenant(district_id) as tx:
                for event in service.export_events(tx, district_id):
                    typer.echo(json.dumps(_told(event)) if as_json else _line(event))


@app.command("incidents")
def incidents(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False
) -> None:
    """Print what the head must look at and nobody closed yet, newest first: codes and numbers, no names."""
    from cloud.attendance import service
    from cloud.kit.db import Database
    from cloud.schools import service as schools

    settings: Settings = ctx.obj
    with Database(settings.require("database_url").database_url, 1) as database:
        with database.untenanted() as tx:
            districts = [district_id for district_id, _ in schools.all_districts(tx)]
        for district_id in districts:
            with database.tenant(district_id) as tx:
                for found in service.incidents(tx, district_id):
                    told = {**asdict(found), "raised_at": found.raised_at.timestamp()}
                    typer.echo(json.dumps(told) if as_json else f"{found.raised_at} {found.code} at gate {found.gate}")


def _told(event: ExportedEvent) -> dict[str, Any]:
    """kind, code and at as the gate's own `journal export` prints them: an outsider compares the two."""
    from protocols.canonical import decode
    from protocols.events import Kind

    kind = Kind(event.kind)
    at_ms = decode(event.body)[0]
    return {
        "gate": event.gate, "epoch": event.epoch, "seq": event.seq, "kind": event.kind, "code": event.code or kind.name,
        "at": at_ms / 1000, "received_at": event.received_at.timestamp(), "head": event.head,
        "district": event.district, "site": event.site, "fork": event.fork, "direction": event.direction,
        "flags": event.flags, "clock": event.clock, "marks": event.marks, "children": event.children,
    }  # fmt: skip


def _line(event: ExportedEvent) -> str:
    told = _told(event)
    return f"{told['gate']}:{told['epoch']}:{told['seq']} {told['at']:.3f} {told['kind']} {told['code']}"
