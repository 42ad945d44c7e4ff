"""`portillon-cloud person …`: the first way in for somebody whom an import named. Shows no child."""

import json
from typing import Annotated

import typer

from cloud.config import Settings
from cloud.identity.model import Door

app = typer.Typer(help="People of a district: a letter that lets one in.", no_args_is_help=True)


@app.callback()
def person() -> None:
    """People of a district: a letter that lets one in."""


@app.command("letter")
def letter(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="the sourcedId of the person in the imported set")],
    district: Annotated[str, typer.Option(help="short name of the district")],
    door: Annotated[Door, typer.Option(help="what the letter opens")] = Door.SCHOOL,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document on stdout")] = False,
) -> None:
    """Write an activation letter: a code for 21 days, once. For a head; the office writes the others on its page."""
    from cloud.identity import letters
    from cloud.kit import clock
    from cloud.kit.db import Database
    from cloud.kit.errors import Refused
    from cloud.people import roster
    from cloud.schools import service as schools

    settings: Settings = ctx.obj
    with Database(settings.require("database_url").database_url, 1) as database:
        database.reach()
        with database.untenanted() as tx:
            district_id = schools.district_of_slug(tx, district)
        if district_id is None:
            raise Refused("NOT_FOUND")
        with database.tenant(district_id) as tx:
            found = next((one for one in roster.known_people(tx, district_id) if one.sourced_id == key), None)
            if found is None:
                raise Refused("NOT_FOUND")
            written = letters.new_letter(tx, district_id, found.id, door, by=None, now=clock.now())
    address = f"{settings.public_url}/letter"
    if as_json:
        told = {"code": written.code, "door": written.door, "expires_at": written.expires_at.isoformat(),
                "address": address}  # fmt: skip
        typer.echo(json.dumps(told))
        return
    typer.echo(f"{written.code}\n{address}\nuntil {written.expires_at:%Y-%m-%d}")
