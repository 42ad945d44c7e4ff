"""`portillon-cloud gate config|command …` and `portillon-cloud rollout …`: what gates shall be and do, from a terminal.

Responsible for: arguments, files, waiting for an answer, what is printed. Not responsible for: the rules
(configurations.py, orders.py, rollouts.py), signing (the worker has the keys).
"""

import json
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from cloud.config import Settings
from cloud.fleet import configurations, orders, rollouts, service
from cloud.fleet.district_option import District, choose_district
from cloud.fleet.ring_option import read_rings
from cloud.kit import clock
from cloud.kit.commands import plain, print_told
from cloud.kit.db import Database, Transaction
from cloud.schools import service as schools

app = typer.Typer()
rollout = typer.Typer(help="One change of configuration for many gates, ring by ring.", no_args_is_help=True)

FAILED, USAGE = 1, 2
ANSWER_SECONDS = 20.0  # a command lives fifteen
LOOK_SECONDS = 0.2

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
File = Annotated[Path | None, typer.Argument(help="sections of settings as TOML or JSON")]
Set = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, value as JSON; may be repeated")]


@app.command("config")
def config(ctx: typer.Context, gate: int, file: File = None, change: Set = None, as_json: AsJson = False) -> None:
    """Show what a gate shall be and is; with a file or --set, ask it to be something else."""
    with _gate(ctx, gate) as (tx, district_id):
        if file is not None or change:
            before = configurations.newest(tx, district_id, gate)
            sections = _sections(file) if file else before.sections if before else {}
            configurations.desire(tx, district_id, gate, configurations.over(sections, _changes(change)), clock.now())
        wanted = configurations.newest(tx, district_id, gate)
        told = service.gate_of(tx, district_id, gate).configuration
    print_told({"gate": gate, "wanted": wanted and {"revision": wanted.revision, "sections": wanted.sections,
                                                "hash": wanted.sha256.hex()}, "reported": told}, as_json)  # fmt: skip


@app.command("command")
def command(
    ctx: typer.Context, gate: int,
    operation: Annotated[str, typer.Argument(help=", ".join(orders.OPERATIONS))],
    arguments: Annotated[list[str] | None, typer.Argument(help="name=number, e.g. from_seq=0")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Have a gate do something within fifteen seconds, and wait for its answer; exit 1 unless it is done."""
    with _database(ctx) as database:
        district_id = _district_of(database, gate)
        with database.tenant(district_id) as tx:
            nonce = orders.give(tx, district_id, gate, operation, _numbers(arguments or []), clock.now())
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            with database.tenant(district_id) as tx:
                given = orders.order_of(tx, district_id, nonce)
            assert given
            if given.outcome or time.monotonic() > until:
                break
            time.sleep(LOOK_SECONDS)
    print_told({"gate": gate, "operation": operation, "nonce": nonce.hex(), "outcome": given.outcome or "no answer",
            "took_ms": given.took_ms, "told": dict(given.told)}, as_json)  # fmt: skip
    if given.outcome != "done":
        raise typer.Exit(FAILED)


@rollout.command("start")
def start(
    ctx: typer.Context, file: File = None, change: Set = None,
    ring: Annotated[list[str] | None, typer.Option(help="gates of a ring: 11,12; repeat it for the next")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Change settings of many gates: the first ring now, the next when every gate of it has applied it and is well."""
    rings = read_rings(ring or [])
    sections = configurations.over(_sections(file) if file else {}, _changes(change))
    with _gate(ctx, rings[0][0]) as (tx, district_id):
        rollouts.start(tx, district_id, sections, rings, clock.now())
        told = rollouts.latest(tx, district_id)
    print_told(_told(told), as_json)


@rollout.command("status")
def status(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the rollout of each district that runs, or ran last: ring by ring, with when each gate was told."""
    found = []
    with _database(ctx) as database:
        for district_id, slug in _districts(database):
            with database.tenant(district_id) as tx:
                told = rollouts.latest(tx, district_id)
            found += [{"district": slug, **_told(told)}] if told else []
    if as_json:
        typer.echo(json.dumps(found, default=plain))
    for one in () if as_json else found:
        print_told(one, False)


@rollout.command("stop")
def stop(ctx: typer.Context, district: District = None, as_json: AsJson = False) -> None:
    """Tell no further ring; what was applied stays."""
    with _database(ctx) as database:
        running: dict[str, UUID] = {}
        for district_id, slug in _districts(database):
            with database.tenant(district_id) as tx:
                found = rollouts.latest(tx, district_id)
            if found and found[0].outcome is None:
                running[slug] = district_id
        chosen = choose_district(running, district)
        if chosen is None:
            raise rollouts.RolloutRefused("ROLLOUT_NONE")
        with database.tenant(running[chosen]) as tx:
            rollouts.stop(tx, running[chosen], clock.now())
            told = _told(rollouts.latest(tx, running[chosen]))
    print_told({"district": chosen, **told}, as_json)


def _told(found: tuple[rollouts.Rollout, list[rollouts.Member]] | None) -> dict[str, Any]:
    assert found
    run, members = found
    return {"outcome": run.outcome or "running", "ring": run.ring, "started_at": run.started_at,
            "ended_at": run.ended_at, "change": configurations.read(run.content),
            "gates": [asdict(member) for member in members]}  # fmt: skip


def _sections(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        return tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}") from error


def _changes(written: list[str] | None) -> dict[str, dict[str, Any]]:
    """Return the sections that --set names: door.open_seconds=4, gate.language=kk."""
    sections: dict[str, dict[str, Any]] = {}
    for one in written or []:
        name, equals, value = one.partition("=")
        section, dot, key = name.partition(".")
        if not (equals and dot and section and key):
            raise typer.BadParameter(f"{one!r} is not section.key=value", param_hint="--set")
        try:
            sections.setdefault(section, {})[key] = json.loads(value)
        except ValueError:
            sections.setdefault(section, {})[key] = value
    return sections


def _numbers(written: list[str]) -> dict[str, int]:
    found = {}
    for one in written:
        name, _, value = one.partition("=")
        if not name.isidentifier() or not value.isdigit():
            raise typer.BadParameter(f"{one!r} is not name=number")
        found[name] = int(value)
    return found


@contextmanager
def _gate(ctx: typer.Context, gate: int) -> Iterator[tuple[Transaction, UUID]]:
    """Open a transaction in the district of a gate. Raises GateRefused."""
    with _database(ctx) as database:
        district_id = _district_of(database, gate)
        with database.tenant(district_id) as tx:
            yield tx, district_id


@contextmanager
def _database(ctx: typer.Context) -> Iterator[Database]:
    settings: Settings = ctx.obj.require("database_url")
    with Database(settings.database_url, 1) as database:
        yield database


def _district_of(database: Database, gate: int) -> UUID:
    with database.untenanted() as tx:
        known = service.gates_by_number(tx, [gate])
    if gate not in known:
        raise service.GateRefused("GATE_UNKNOWN")
    return known[gate].district_id


def _districts(database: Database) -> list[tuple[UUID, str]]:
    with database.untenanted() as tx:
        return schools.all_districts(tx)
