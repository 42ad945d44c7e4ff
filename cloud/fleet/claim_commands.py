"""`portillon-cloud gate claims|approve|refuse|sign|certificates|ca …`: names and certificates from a terminal.

Responsible for: arguments, which districts are asked, what is printed. Not responsible for: the rules (claims.py,
certificates.py, authority.py). `sign` and `ca` need the authorities' folder, which may lie on a stick of its own.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from cloud.config import Settings
from cloud.fleet import authority, certificates, claims, service
from cloud.fleet.claim_queries import Certificate
from cloud.kit import clock
from cloud.kit.db import Database, Transaction
from cloud.kit.errors import Refused
from cloud.schools import service as schools

BROKER = "broker"
SERVICES = (BROKER, "cloud-ingest", "cloud-worker", "cloud-warden")  # the last three stand in the broker's rights

app = typer.Typer()
ca = typer.Typer(help="The gates' certificate authority and the services'.", no_args_is_help=True)
app.add_typer(ca, name="ca")

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
CaDir = Annotated[Path | None, typer.Option("--ca-dir", help="folder of the authorities; default PORTILLON_CA_DIR")]
Kind = Annotated[str, typer.Argument(help="gates or services")]


@app.command("claims")
def list_claims(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the gates that wait for a name. Their codes stand on their screens."""
    now, rows = clock.now(), []
    with _database(ctx) as database:
        for district_id, slug in _districts(database):
            with database.tenant(district_id) as tx:
                rows += [(slug, one) for one in claims.waiting(tx, district_id, now)]
    if as_json:
        typer.echo(json.dumps([
            {"district": slug, "id": str(one.id), "fingerprint": one.fingerprint,
             "claimed_at": one.claimed_at.isoformat(), "expires_at": one.expires_at.isoformat()} for slug, one in rows
        ]))  # fmt: skip
        return
    for slug, one in rows:
        typer.echo(f"{slug:<12} {one.fingerprint}  until {one.expires_at:%H:%M:%S} UTC")


@app.command("approve")
def approve(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(help="a gate's number, or the four words on its screen, joined by hyphens")],
    fingerprint: Annotated[str, typer.Option(help="as the gate's screen shows it")] = "",
    site: Annotated[int, typer.Option(help="number of the site")] = 0,
    gate: Annotated[int, typer.Option(help="number that the gate gets")] = 0,
    name: Annotated[str, typer.Option(help="what people call it, e.g. main door")] = "",
) -> None:
    """Believe a gate from now on: a registered one by its number, a claim by the code and fingerprint on its screen."""
    if what.isdigit():
        _approve_registered(ctx, int(what))
        return
    if not (fingerprint and site and gate and name):
        raise typer.BadParameter("a claim needs --fingerprint, --site, --gate and --name")
    settings: Settings = ctx.obj.require("secret")
    with _database(ctx) as database:
        district_id = _district_of_code(database, settings, what)
        with database.tenant(district_id) as tx:
            claims.approve(tx, district_id, what, fingerprint, site=site, gate=gate, name=name,
                           secret=settings.secret, by=None, now=clock.now())  # fmt: skip
    typer.echo(str(gate))


@app.command("refuse")
def refuse(ctx: typer.Context, code: str) -> None:
    """Say no to the gate that shows this code."""
    settings: Settings = ctx.obj.require("secret")
    with _database(ctx) as database:
        district_id = _district_of_code(database, settings, code)
        with database.tenant(district_id) as tx:
            claims.refuse(tx, district_id, code, secret=settings.secret, by=None, now=clock.now())


@app.command("sign")
def sign(
    ctx: typer.Context,
    ca_dir: CaDir = None,
    requests: Annotated[
        Path | None, typer.Option(help="folder of GATE.csr, for gates that cannot reach the web: GATE.pem comes")
    ] = None,
) -> None:
    """Sign the certificates that wait and the lists of what was revoked, with the keys of this folder."""
    brought = _brought(requests) if requests else []
    authorities, now = authority.signing(_folder(ctx, ca_dir), authority.GATES), clock.now()
    if not authorities:
        raise authority.AuthorityRefused("CA_KEY_MISSING")
    with _database(ctx) as database:
        for one in brought:
            _ask_by_hand(database, one)
        for district_id, _ in _districts(database):
            with database.tenant(district_id) as tx:
                for gate in certificates.sign_waiting(tx, district_id, authorities, now):
                    typer.echo(str(gate))
        with database.untenanted() as tx:
            certificates.keep_lists(tx, authorities, now)
        for one in brought:
            _lay_beside(database, one)


@app.command("certificates")
def list_certificates(ctx: typer.Context, gate: int, as_json: AsJson = False) -> None:
    """Show a gate's certificates, the newest first."""
    with _database(ctx) as database:
        district_id = _district_of_gate(database, gate)
        with database.tenant(district_id) as tx:
            held = certificates.of_gate(tx, district_id, gate)
    rows = [
        {"serial": bytes(one.serial).hex(), "why": one.why, "signed": one.body is not None,
         "not_after": one.not_after.isoformat() if one.not_after else None, "revoked": one.revoked_at is not None}
        for one in held
    ]  # fmt: skip
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        state = "revoked" if row["revoked"] else "signed" if row["signed"] else "waits for its signature"
        typer.echo(f"{row['serial']}  {row['why']:<8} until {row['not_after'] or '?'}  {state}")


# --- authorities ---------------------------------------------------------------------------------------------------


@ca.command("init")
def ca_init(ctx: typer.Context, ca_dir: CaDir = None) -> None:
    """Make both authorities. Nothing that exists is overwritten."""
    folder = _folder(ctx, ca_dir)
    for kind in (authority.GATES, authority.SERVICES):
        authority.init(folder, kind, clock.now())
    typer.echo(
        f"{folder}: give *.pem to web, worker, warden and broker; gates-*.key to the worker or to nobody", err=True
    )


@ca.command("next")
def ca_next(ctx: typer.Context, kind: Kind = authority.GATES, ca_dir: CaDir = None) -> None:
    """Make the next authority beside the one in force: both are trusted, the new one signs."""
    typer.echo(str(authority.make_next(_folder(ctx, ca_dir), _kind(kind), clock.now())))


@ca.command("drop")
def ca_drop(ctx: typer.Context, kind: Kind, number: int, ca_dir: CaDir = None) -> None:
    """Trust an authority no longer: whoever holds only its certificates is refused from then on."""
    authority.drop(_folder(ctx, ca_dir), _kind(kind), number)


@ca.command("bundle")
def ca_bundle(ctx: typer.Context, kind: Kind, ca_dir: CaDir = None) -> None:
    """Print the certificates of all trusted authorities of a kind."""
    typer.echo(authority.bundle(_folder(ctx, ca_dir), _kind(kind)).decode(), nl=False)


@ca.command("services")
def ca_services(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="folder for NAME.pem, each a certificate and its key")],
    host: Annotated[list[str], typer.Option(help="name or address under which gates and cloud reach the broker")],
    ca_dir: CaDir = None,
) -> None:
    """Make certificates for the broker and the cloud's processes, with their keys; what is there already stays."""
    authorities = authority.signing(_folder(ctx, ca_dir), authority.SERVICES)
    if not authorities:
        raise authority.AuthorityRefused("CA_KEY_MISSING")
    for name in SERVICES:
        if not (out / f"{name}.pem").exists():
            hosts = host if name == BROKER else ()
            certificate, key = authority.issue_service(authorities[0], name, hosts, clock.now())
            authority.write_secret(out / f"{name}.pem", certificate + key)
            typer.echo(name)


# --- where -----------------------------------------------------------------------------------------------------------


@contextmanager
def _database(ctx: typer.Context) -> Iterator[Database]:
    with Database(ctx.obj.require("database_url").database_url, 1) as database:
        yield database


def _districts(database: Database) -> list[tuple[UUID, str]]:
    with database.untenanted() as tx:
        return schools.all_districts(tx)


def _district_of_gate(database: Database, gate: int) -> UUID:
    with database.untenanted() as tx:
        known = service.gates_by_number(tx, [gate])
    if gate not in known:
        raise service.GateRefused("GATE_UNKNOWN")
    return known[gate].district_id


def _district_of_code(database: Database, settings: Settings, code: str) -> UUID:
    """Return the district whose gate shows this code. Raises what the last district says."""
    refused: Refused = claims.ClaimRefused("CLAIM_UNKNOWN")
    for district_id, _ in _districts(database):
        try:
            with database.tenant(district_id) as tx:
                claims.find(tx, district_id, code, settings.secret, clock.now())
            return district_id
        except claims.ClaimRefused as no:
            refused = refused if no.code == "CLAIM_UNKNOWN" else no
    raise refused


@dataclass(frozen=True)
class Brought:
    """A request that was carried here: GATE.csr. Its certificate comes beside it, as GATE.pem."""

    file: Path
    gate: int
    request: authority.Request


def _brought(folder: Path) -> list[Brought]:
    """Return the requests of a folder. Raises typer.BadParameter and AuthorityRefused before anything is asked."""
    files = sorted(folder.glob("*.csr"))
    for file in files:
        if not (file.stem.isascii() and file.stem.isdigit()):
            told = f"{file.name} does not say whose request it is: name it by the gate's number, such as 11.csr"
            raise typer.BadParameter(told, param_hint="--requests")
    return [Brought(file, int(file.stem), authority.read_request(file.read_bytes())) for file in files]


def _ask_by_hand(database: Database, one: Brought) -> None:
    """Enter a request, unless this gate has one of this key: a folder is brought again with another request in it."""
    district_id = _district_of_gate(database, one.gate)
    with database.tenant(district_id) as tx:
        if not _of_request(tx, district_id, one):
            certificates.ask(tx, district_id, one.gate, one.request, "hand", clock.now())


def _lay_beside(database: Database, one: Brought) -> None:
    """Write the certificate of this very request, where it is signed and still in force."""
    district_id = _district_of_gate(database, one.gate)
    with database.tenant(district_id) as tx:
        found = _of_request(tx, district_id, one)
    if found and found.body and found.revoked_at is None:
        one.file.with_suffix(".pem").write_bytes(certificates.as_pem(bytes(found.body)))


def _of_request(tx: Transaction, district_id: UUID, one: Brought) -> Certificate | None:
    held = certificates.of_gate(tx, district_id, one.gate)
    return next((row for row in held if bytes(row.public_key) == one.request.public_key), None)


def _approve_registered(ctx: typer.Context, gate: int) -> None:
    with _database(ctx) as database:
        district_id = _district_of_gate(database, gate)
        with database.tenant(district_id) as tx:
            service.approve_gate(tx, district_id, gate, clock.now())
    typer.echo(str(gate))


def _folder(ctx: typer.Context, given: Path | None) -> Path:
    folder = given or ctx.obj.require("ca_dir").ca_dir
    assert folder
    return folder


def _kind(kind: str) -> str:
    if kind not in (authority.GATES, authority.SERVICES):
        raise typer.BadParameter("gates or services")
    return kind
