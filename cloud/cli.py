"""`portillon-cloud`: the entry point. Reads the environment, once, and says what happened in exit codes.

0 ok, 1 failed, 2 usage or settings, 3 cannot reach (database, broker, port), 4 refused, 130 Ctrl-C. Data on stdout,
all else on stderr. Commands of a slice come from its `commands.py`; `ctx.obj` is the Settings.
"""

import importlib
import importlib.util
import json
import logging
import os
import re
import socket
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import psycopg
import typer

from cloud.config import SETTINGS, Settings, SettingsRefused, read_settings
from cloud.kit.db import Database, DatabaseAway, RuleBroken, TenantRefused
from cloud.kit.errors import Refused
from cloud.kit.logs import begin_logging
from cloud.kit.migrate import MigrationRefused

if TYPE_CHECKING:
    import uvicorn

FAILED, USAGE, UNREACHABLE, REFUSED, INTERRUPTED = 1, 2, 3, 4, 130
SLICES_WITH_COMMANDS = {"fleet": "gate", "passes": "keys", "attendance": "events", "audit": "audit",
                        "people": "person", "standards": "import"}
GRACEFUL_SECONDS = 1  # An open live page never ends by itself; uvicorn would wait for it for ever.

app = typer.Typer(
    name="portillon-cloud", help="The school's side of Portillon.", no_args_is_help=True,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
)


@app.callback()
def settle(ctx: typer.Context) -> None:
    """Read the environment before any command; `doctor` tells its problems itself."""
    begin_logging()
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # The pool repeats what the command says once.
    if ctx.invoked_subcommand != "doctor":
        ctx.obj = read_settings(os.environ)


@app.command()
def migrate(ctx: typer.Context) -> None:
    """Bring the database up to date (PORTILLON_DATABASE_OWNER_URL)."""
    from cloud.kit import migrate as migrations

    settings: Settings = ctx.obj.require("database_owner_url")
    applied = migrations.migrate(settings.database_owner_url)
    for name in applied:
        typer.echo(name)
    typer.echo(f"{len(applied)} migrations applied" if applied else "nothing to do", err=True)


@app.command()
def serve(ctx: typer.Context) -> None:
    """Serve the pages and the phones' API (PORTILLON_LISTEN)."""
    import uvicorn

    from cloud.app import create_app

    settings: Settings = ctx.obj.require("database_url", "secret")
    with _reached(settings, 1) as database:
        database.refuse_strong_role()
    listener = _bind(settings)
    host, port = listener.getsockname()[:2]
    typer.echo(f"listening on http://{host}:{port}", err=True)
    uvicorn.Server(server_config(settings, create_app(settings))).run(sockets=[listener])


def server_config(settings: Settings, application: Any) -> "uvicorn.Config":
    """Return how the server runs. Whose X-Forwarded-For it believes decides who is counted as one guesser."""
    import uvicorn

    return uvicorn.Config(
        application, log_config=None, access_log=False, timeout_graceful_shutdown=GRACEFUL_SECONDS, server_header=False,
        proxy_headers=bool(settings.trusted_proxies), forwarded_allow_ips=list(settings.trusted_proxies),
    )


@app.command()
def ingest(
    ctx: typer.Context,
    name: Annotated[str, typer.Option(help="this process among several: each needs a name of its own")] = "1",
) -> None:
    """Take events from the gates, verify and store them, send receipts."""
    if not re.fullmatch(r"[a-z0-9-]{1,32}", name):
        raise typer.BadParameter("1 to 32 of a-z, 0-9 and -", param_hint="--name")
    importlib.import_module("cloud.ingest").main(ctx.obj.require("database_url", "keys_dir"), name)


@app.command()
def work(ctx: typer.Context) -> None:
    """Run the jobs: what follows from facts, signed documents, retention."""
    importlib.import_module("cloud.worker").main(ctx.obj.require("database_url"))


@app.command()
def warden(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Option("--dir", help="where the broker's rights and certificates lie")],
    make_acl: Annotated[Path, typer.Option(help="firmware_config/broker/make-acl")],
    log: Annotated[Path, typer.Option(help="the broker's log")],
    pid_file: Annotated[Path, typer.Option(help="of the broker, which is told to read its files anew")],
) -> None:
    """Keep the broker's rights as the registry says, push revoked gates off, tell what it refused."""
    settings = ctx.obj.require("database_url", "ca_dir")
    importlib.import_module("cloud.warden").main(settings, folder, make_acl, log, pid_file)


@app.command()
def seed(ctx: typer.Context, file: Annotated[Path, typer.Argument(help="a district as JSON")]) -> None:
    """Load a district; running it again changes nothing. Prints the references as JSON."""
    from cloud.kit import clock
    from cloud.seed import SeedRefused, load, read_district

    settings: Settings = ctx.obj.require("database_url", "secret")
    try:
        described = read_district(file.read_bytes())
    except (OSError, SeedRefused) as error:
        raise SystemExit(_say(FAILED, f"{file} cannot be loaded", str(error), "correct the file and repeat")) from error
    with _reached(settings, 2) as database:
        typer.echo(json.dumps(load(database, settings, described, clock.now())))


@app.command()
def doctor(ctx: typer.Context,
           settings: Annotated[bool, typer.Option("--settings", help="list all settings and end")] = False,
           as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Look at everything the cloud needs; each fault comes with the command that repairs it."""
    from cloud.health import examine

    if settings:
        _list_settings(as_json)
        return
    given = read_settings(os.environ).require("database_url")
    with Database(given.database_url, 1, connect_seconds=2.0) as database:
        checks = examine(given, database)
    if as_json:
        typer.echo(json.dumps({"ok": all(check.ok for check in checks), "checks": [asdict(check) for check in checks]}))
    for check in () if as_json else checks:
        typer.echo(f"{'ok   ' if check.ok else 'FAULT'} {check.name}: {check.found}")
        if check.repair:
            typer.echo(f"      {check.repair}")
    if not all(check.ok for check in checks):
        raise typer.Exit(FAILED)


def _list_settings(as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(setting) for setting in SETTINGS]))
        return
    for setting in SETTINGS:
        typer.echo(f"{setting.name}={setting.default}\n    {setting.meaning}")


def _reached(settings: Settings, pool_size: int) -> Database:
    database = Database(settings.database_url, pool_size)
    database.reach()
    return database


def _bind(settings: Settings) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in settings.listen_host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.listen_host, settings.listen_port))
    except OSError as error:
        where = f"{settings.listen_host}:{settings.listen_port}"
        raise SystemExit(_say(
            UNREACHABLE, f"cannot listen on {where}", str(error.strerror),
            f"stop what uses it (ss -ltnp | grep {settings.listen_port}) or set PORTILLON_LISTEN=host:port",
        )) from error
    return listener


def _say(code: int, what: str, why: str, to_type: str) -> int:
    """Say on stderr what happened, why, and what to type; return the exit code."""
    typer.echo(f"{what}\n  why: {why}\n  try: {to_type}", err=True)
    return code


MORE_COMMANDS = {
    "site": ("cloud.passes.mode_commands", "app"),
    "rollout": ("cloud.fleet.shadow_commands", "rollout"),
    "release": ("cloud.fleet.release_commands", "app"),
}


def _add_slices(asked: str) -> None:
    """Add the slices' commands: the one that is asked for alone, none for one of our own, all for a reader of --help.

    A server should not load what it does not run, and a command answers in half the time.
    """
    if asked in {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}:
        return
    places = {
        command: (f"cloud.{slice_name}.commands", "app")
        for slice_name, command in SLICES_WITH_COMMANDS.items()
        if importlib.util.find_spec(f"cloud.{slice_name}") and importlib.util.find_spec(f"cloud.{slice_name}.commands")
    } | MORE_COMMANDS
    for command, (name, group) in ({asked: places[asked]} if asked in places else places).items():
        app.add_typer(getattr(importlib.import_module(name), group), name=command)


_add_slices(sys.argv[1] if len(sys.argv) > 1 else "")


def main() -> None:
    """Run a command and end with its exit code."""
    try:
        app()
    except SettingsRefused as error:
        sys.exit(_say(USAGE, "the settings cannot be used", "\n       ".join(error.problems),
                      "portillon-cloud doctor --settings"))
    except (DatabaseAway, psycopg.OperationalError) as error:
        why = str(error).strip().splitlines()
        sys.exit(_say(UNREACHABLE, "the database cannot be reached", why[0] if why else "no answer",
                      "start PostgreSQL, check PORTILLON_DATABASE_URL and PORTILLON_DATABASE_OWNER_URL, then `doctor`"))
    except TenantRefused as error:
        sys.exit(_say(REFUSED, "this role may not serve people", str(error), "set PORTILLON_DATABASE_URL"))
    except MigrationRefused as error:
        sys.exit(_say(FAILED, "the migration stopped", str(error), "portillon-cloud doctor"))
    except psycopg.errors.UndefinedTable as error:
        sys.exit(_say(FAILED, "the database has not our tables", str(error).splitlines()[0], "portillon-cloud migrate"))
    except Refused as error:
        sys.exit(_say(REFUSED, error.answer.message, error.code, error.answer.what_to_do))
    except RuleBroken as error:
        sys.exit(_say(FAILED, "the database refused a row", str(error), "look at what is stored already"))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
