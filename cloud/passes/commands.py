"""`portillon-cloud keys …`: keys by role, and the offline root. Exit codes: 0 done, 4 refused."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cloud.config import Settings
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.passes import service
from cloud.passes.keys import (
    REQUEST_FILE,
    TRUST_FILE,
    KeysRefused,
    init_keys,
    load_ring,
    revoke_key,
    rotate_key,
    sign_request,
)
from protocols.trust import Role

REFUSED = 4

app = typer.Typer(help="Keys by role; the root signs the list of them, on another machine.", no_args_is_help=True)

RootDir = Annotated[Path, typer.Option("--root-dir", help="folder of the root key; keep it off the server")]
KeysDir = Annotated[Path | None, typer.Option("--keys-dir", help="folder of the role keys; default PORTILLON_KEYS_DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]


@app.command("init")
def init(ctx: typer.Context, root_dir: RootDir, keys_dir: KeysDir = None, as_json: AsJson = False) -> None:
    """Make the root key, one key a role, and the first trust list. Nothing that exists is overwritten."""
    folder = keys_dir or _folder_of(ctx)
    _guarded(lambda: init_keys(root_dir, folder, _now()))
    _print_keys(folder, as_json)
    typer.echo(f"take {root_dir} off this machine now: the root signs nothing but trust lists", err=True)


@app.command("list")
def list_keys(ctx: typer.Context, keys_dir: KeysDir = None, as_json: AsJson = False) -> None:
    """Show every key of the trust list in force, and which of them are here."""
    _print_keys(keys_dir or _folder_of(ctx), as_json)


@app.command("rotate")
def rotate(ctx: typer.Context, role: Role, keys_dir: KeysDir = None) -> None:
    """Make the next key of a role; it is used 8 days from now, once the root has signed the list."""
    folder = keys_dir or _folder_of(ctx)
    made = _guarded(lambda: rotate_key(folder, role, _now()))
    typer.echo(made.kid.hex())
    _say_next(folder)


@app.command("revoke")
def revoke(ctx: typer.Context, kid: str, keys_dir: KeysDir = None) -> None:
    """End a key now. An issuer's goes on all policy lists at once, if the database can be reached."""
    folder = keys_dir or _folder_of(ctx)
    try:
        number = bytes.fromhex(kid)
    except ValueError as error:
        raise typer.BadParameter("a kid is 8 hex digits, see `keys list`") from error
    ended = _guarded(lambda: revoke_key(folder, number, _now()))
    settings: Settings = ctx.obj
    if ended.role == Role.ISSUER and settings.database_url:
        with Database(settings.database_url, 1) as database, database.untenanted() as tx:
            service.revoke_issuer(tx, number, clock.now())
        typer.echo("on the policy lists from their next compilation", err=True)
    typer.echo(ended.kid.hex())
    _say_next(folder)


@app.command("sign-root")
def sign_root(
    root_dir: RootDir,
    request: Annotated[Path, typer.Argument(help="trust.request from the server")],
    out: Annotated[Path, typer.Option("--out", help="where the signed list goes")] = Path(TRUST_FILE),
) -> None:
    """Sign the list that the server asks for. To be run on the machine that holds the root key."""
    version = _guarded(lambda: sign_request(root_dir, request, out, _now()))
    typer.echo(f"{out}: trust list version {version}")


def _print_keys(folder: Path, as_json: bool) -> None:
    ring = _guarded(lambda: load_ring(folder, _now()))
    here = {bytes(key.verify_key) for _, key in ring.keys}
    rows = [
        {"kid": key.kid.hex(), "role": str(key.role), "not_before": key.not_before, "not_after": key.not_after,
         "here": key.public in here}
        for key in sorted(ring.trust.keys.values(), key=lambda one: (one.role, one.not_before))
    ]  # fmt: skip
    version = ring.trust.held.version if ring.trust.held else 0
    if as_json:
        typer.echo(json.dumps({"version": version, "root": ring.root_public.hex(), "keys": rows}))
        return
    typer.echo(f"trust list version {version}, root {ring.root_public.hex()}")
    for row in rows:
        typer.echo(
            f"{row['kid']}  {row['role']:9} {row['not_before']}..{row['not_after']}  {'here' if row['here'] else ''}"
        )


def _say_next(folder: Path) -> None:
    typer.echo(f"next: carry {folder / REQUEST_FILE} to the root's machine and type", err=True)
    typer.echo(f"  portillon-cloud keys sign-root --root-dir DIR {REQUEST_FILE} --out {TRUST_FILE}", err=True)


def _folder_of(ctx: typer.Context) -> Path:
    settings: Settings = ctx.obj.require("keys_dir")
    assert settings.keys_dir
    return settings.keys_dir


def _now() -> int:
    return int(clock.now().timestamp())


def _guarded(act: Any) -> Any:
    try:
        return act()
    except KeysRefused as refused:
        typer.echo(f"{refused.code}: {refused.what}\n  try: {refused.what_to_do}", err=True)
        sys.exit(REFUSED)
