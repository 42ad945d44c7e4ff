"""`portillon-cloud release …`: keys, archives and signatures of releases, on any machine; then, ring by ring, to gates.

Responsible for: arguments, what is shown before a signature, what is printed. Not responsible for: the repository
(repository.py), archives (releases.py), rollouts (updates.py). `key`, `make` and `sign` need no server and no network.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from cloud.fleet import updates
from cloud.fleet.district_option import District, choose_district
from cloud.fleet.releases import make_release, version_in
from cloud.fleet.repository import Repository, new_key, sign, told_of
from cloud.fleet.ring_option import read_rings
from cloud.kit import clock
from cloud.kit.commands import plain, print_told
from cloud.kit.db import Database, Transaction

app = typer.Typer(help="Releases of the gate's program: keys, archives, signatures, rollout.", no_args_is_help=True)
rollout = typer.Typer(help="One release for many gates, ring by ring.", no_args_is_help=True)
app.add_typer(rollout, name="rollout")

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
Folder = Annotated[Path, typer.Argument(help="the repository's folder", metavar="REPOSITORY")]
Snapshot = Annotated[Path, typer.Option("--snapshot", help="the server's key for what is newest")]
Timestamp = Annotated[Path, typer.Option("--timestamp", help="the server's key for how fresh that is")]


@app.command("key")
def make_key(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...")],
    encrypted: Annotated[bool, typer.Option("--encrypted", help="ask for a passphrase")] = False,
) -> None:
    """Make keys: the secret in FILE, its public half in FILE.pub. For root and targets: on a machine kept offline."""
    passphrase = _passphrase(confirm=True) if encrypted else ""
    for file in files:
        typer.echo(new_key(file, passphrase))


@app.command("root")
def propose_root(
    repository: Folder,
    root: Annotated[list[Path], typer.Option("--root", help="a public key of the root; at least three")],
    targets: Annotated[Path, typer.Option("--targets", help="the public key that signs releases")],
    snapshot: Annotated[Path, typer.Option("--snapshot", help="the server's public key")],
    timestamp: Annotated[Path, typer.Option("--timestamp", help="the server's other public key")],
    threshold: Annotated[int, typer.Option(min=2, help="how many of the root's keys must sign")] = 2,
) -> None:
    """Propose who may sign what, the first time and at each change. Then: sign twice, publish."""
    typer.echo(Repository(repository).propose_root(root, targets, snapshot, timestamp, clock.now(), threshold))


@app.command("make")
def make(
    version: str,
    out: Annotated[Path, typer.Option("--out", help="the archive to write")],
    source: Annotated[Path, typer.Option("--source", help="a checkout of this program")] = Path("."),
    as_json: AsJson = False,
) -> None:
    """Make the archive of a version: our own packages for the gate, the same bytes from the same sources."""
    release = make_release(source, version, out)
    print_told({"version": release.version, "archive": str(out), "bytes": out.stat().st_size,
            "libraries": dict(release.libraries)}, as_json)  # fmt: skip


@app.command("add")
def add(repository: Folder, archives: Annotated[list[Path], typer.Argument(metavar="FILE...")]) -> None:
    """Put archives into the repository; they count when their list is signed and published."""
    place = Repository(repository)
    for archive in archives:
        typer.echo(place.add(archive, version_in(archive), clock.now()))


@app.command("withdraw")
def withdraw(repository: Folder, version: str) -> None:
    """Propose a list of releases without this one. Then: sign, publish."""
    typer.echo(Repository(repository).withdraw(version, clock.now()))


@app.command("sign")
def sign_file(
    file: Annotated[Path, typer.Argument(help="what waits in the repository's folder `waiting`, carried here")],
    key: Annotated[Path, typer.Option("--key", help="the secret key")],
    encrypted: Annotated[bool, typer.Option("--encrypted", help="ask for its passphrase")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Show what waits, and add one signature. Needs nothing but the two files: no network, no server."""
    for line in told_of(file):
        typer.echo(line, err=True)
    if not yes:
        typer.confirm("Sign this?", abort=True, err=True)
    typer.echo(sign(file, key, _passphrase() if encrypted else ""))


@app.command("publish")
def publish(repository: Folder, snapshot: Snapshot, timestamp: Timestamp) -> None:
    """Put in place what enough keys have signed."""
    for name in Repository(repository).publish(snapshot, timestamp, clock.now()):
        typer.echo(name)


@app.command("stamp")
def stamp(repository: Folder, snapshot: Snapshot, timestamp: Timestamp) -> None:
    """Say anew what is newest. Once a day, by a timer of the server: a stamp lives three days."""
    for name in Repository(repository).stamp(snapshot, timestamp, clock.now()):
        typer.echo(name)


@app.command("list")
def list_releases(repository: Folder, as_json: AsJson = False) -> None:
    """List the releases, newest first, and until when each signature counts."""
    place = Repository(repository)
    found, expiries = place.listed(), place.expiries()
    if as_json:
        typer.echo(json.dumps({"releases": [asdict(one) for one in found], "expires": expiries}, default=plain))
        return
    for one in found:
        typer.echo(f"{one.version:<12} {'signed ' if one.signed else 'waiting'} {one.length:>9} {one.sha256}")
    for role, until in expiries.items():
        typer.echo(f"{role:<12} until {until:%Y-%m-%d %H:%M} UTC", err=True)


# --- rollout --------------------------------------------------------------------------------------------------------


@rollout.command("start")
def start(
    ctx: typer.Context, version: str,
    ring: Annotated[list[str], typer.Option(help="gates of a ring: 11,12; repeat it for the next")],
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Order gates to take a version: the first ring now, the next when every gate of it stays on it."""
    rings = read_rings(ring)
    with _districts(ctx) as (database, districts):
        from cloud.fleet.service import GateRefused, gates_by_number

        with database.untenanted() as tx:
            known = gates_by_number(tx, rings[0])
        if rings[0][0] not in known:
            raise GateRefused("GATE_UNKNOWN")
        district_id = known[rings[0][0]].district_id
        with database.tenant(district_id) as tx:
            updates.start(tx, district_id, version, rings, clock.now())
            told = _told(tx, district_id, districts[district_id])
    print_told(told, as_json)


@rollout.command("status")
def status(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the rollout of each district that runs, or ran last, gate by gate."""
    found = []
    with _districts(ctx) as (database, districts):
        for district_id, slug in districts.items():
            with database.tenant(district_id) as tx:
                if updates.latest(tx, district_id):
                    found.append(_told(tx, district_id, slug))
    if as_json:
        typer.echo(json.dumps(found, default=plain))
    for one in () if as_json else found:
        print_told(one, False)


@rollout.command("stop")
def stop(ctx: typer.Context, district: District = None, as_json: AsJson = False) -> None:
    """Tell no further ring; gates that have not begun their trial let it be."""
    with _districts(ctx) as (database, districts):
        running: dict[str, UUID] = {}
        for district_id, slug in districts.items():
            with database.tenant(district_id) as tx:
                found = updates.latest(tx, district_id)
            if found and found.outcome is None:
                running[slug] = district_id
        chosen = choose_district(running, district)
        if chosen is None:
            raise updates.UpdateRefused("UPDATE_NONE")
        with database.tenant(running[chosen]) as tx:
            stopped = updates.stop(tx, running[chosen], clock.now())
    print_told({"district": chosen, **asdict(stopped)}, as_json)


def _told(tx: Transaction, district_id: UUID, slug: str) -> dict[str, Any]:
    run = updates.latest(tx, district_id)
    assert run, "it was just there"
    gates = [asdict(member) for member in updates.members(tx, district_id, run.job)]
    return {"district": slug, **asdict(run), "outcome": run.outcome or "running", "gates": gates}


@contextmanager
def _districts(ctx: typer.Context) -> Iterator[tuple[Database, dict[UUID, str]]]:
    from cloud.fleet.service import sites_with_gates

    with Database(ctx.obj.require("database_url").database_url, 1) as database:
        with database.untenanted() as tx:
            found = {site.district_id: site.district for site in sites_with_gates(tx)}
        yield database, found


def _passphrase(*, confirm: bool = False) -> str:
    return typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
