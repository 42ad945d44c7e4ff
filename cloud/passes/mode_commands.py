"""`portillon-cloud site mode …`: what a site's gates are to be, from a terminal."""

import json
from datetime import timedelta
from typing import Annotated

import typer

from cloud.config import Settings
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.passes import modes
from cloud.schools import service as schools
from protocols.documents import Mode

app = typer.Typer(help="A site: what mode its gates are in.", no_args_is_help=True)


@app.callback()
def settle() -> None:
    """A site: what mode its gates are in."""


@app.command("mode")
def mode(
    ctx: typer.Context,
    site: int,
    wanted: Annotated[str, typer.Argument(metavar="MODE", help="normal, lockdown, evacuate, free or holiday")] = "",
    minutes: Annotated[int, typer.Option(min=0, help="until it ends by itself; open doors: 240 at most")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document on stdout")] = False,
) -> None:
    """Show the mode of a site, or set it: every gate of it learns it within a second."""
    names = [one.name.lower() for one in Mode]
    if wanted and wanted not in names:
        raise typer.BadParameter(f"one of {', '.join(names)}", param_hint="MODE")
    settings: Settings = ctx.obj.require("database_url")
    now = clock.now()
    with Database(settings.database_url, 1) as database:
        with database.untenanted() as tx:
            districts = schools.all_districts(tx)
        for district_id, _ in districts:
            with database.tenant(district_id) as tx:
                if site not in {school.site for school in schools.schools(tx, district_id)}:
                    continue
                if wanted:
                    ends_at = now + timedelta(minutes=minutes) if minutes else None
                    modes.set_mode(tx, district_id, site, Mode[wanted.upper()], now, ends_at=ends_at)
                _print(modes.setting_of(tx, district_id, site), site, as_json)
                return
    raise modes.ModeRefused("MODE_SITE")


def _print(found: modes.Setting | None, site: int, as_json: bool) -> None:
    mode = found.at(clock.now()) if found else Mode.NORMAL
    told = {"site": site, "mode": mode.name.lower(),
            "set_at": found.set_at.isoformat() if found else None,
            "ends_at": found.ends_at.isoformat() if found and found.ends_at else None}  # fmt: skip
    if as_json:
        typer.echo(json.dumps(told))
        return
    typer.echo(f"{told['mode']}, until {told['ends_at'] or 'another is set'}")
