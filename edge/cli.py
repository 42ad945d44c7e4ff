"""portillon-gate: run a gate, read pictures, replay scenarios, look at the journal.

Responsible for: arguments, exit codes, what is printed; the one place that asks the machine for time, signals and
where systemd listens.
Not responsible for: anything a gate does (appliance.py and what it starts).
Obeys: INTERFACES "portillon-gate" and its conventions: data on stdout, the rest on stderr; exit 0 ok, 1 failed,
2 usage, 3 cannot reach, 130 Ctrl-C.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from edge.config import ConfigProblems, GateConfig, load_config
from edge.journal_file import (
    JournalFailed,
    Verification,
    holes_of,
    reading,
    rows,
    verify_carried,
    verify_chain,
)

FAILED, USAGE, CANNOT_REACH, INTERRUPTED = 1, 2, 3, 130
STATUS_SECONDS = 3.0

MARKUP = "rich" if sys.stdout.isatty() else None  # plain help where nobody sees boxes
app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=MARKUP, help="A Portillon gate."
)
journal_app = typer.Typer(no_args_is_help=True, rich_markup_mode=MARKUP, help="The gate's ledger on this machine.")
app.add_typer(journal_app, name="journal")
errors = Console(stderr=True, highlight=False, soft_wrap=True)

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The gate's gate.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document (or one a line) on standard output.")]


def main() -> None:
    """Entry point: Ctrl-C ends with 130, a reader that went away ends quietly."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(FAILED)


# --- run ----------------------------------------------------------------------------------------------------------


@app.command()
def run(
    config: ConfigFile,
    doorkeeper_after: Annotated[
        int,
        typer.Option(min=0, help="After so many starts that did not hold, only verify, open and journal; 0: never."),
    ] = 0,
) -> None:
    """Run the gate until Ctrl-C or SIGTERM."""
    from edge.appliance import Appliance
    from edge.pins import PinsFailed
    from edge.supervision import Supervision, as_doorkeeper
    from edge.tls import CertificatesUnusable
    from edge.updater import AnotherVersion
    from edge.web.pages import PortTaken

    settings = _load(config)
    count = settings.paths.data / "starts" if doorkeeper_after else None
    supervision = Supervision(os.environ.get("NOTIFY_SOCKET"), count, doorkeeper_after)
    if supervision.doorkeeper:
        errors.print(f"{supervision.failed_starts} starts did not hold: doorkeeper, no pages and no broker")
        settings = as_doorkeeper(settings)
    stop, why = threading.Event(), []

    def stopped(number: int, _frame: Any) -> None:
        why.append(number)
        stop.set()

    signal.signal(signal.SIGINT, stopped)
    signal.signal(signal.SIGTERM, stopped)
    try:
        again = "first"
        while again and not stop.is_set():
            gate = Appliance(settings, time.time, supervision)
            place = settings.gate
            where = f", pages on http://{settings.web.listen[0]}:{gate.port}/screen" if settings.web.listen else ""
            errors.print(f"gate {place.gate} of site {place.site} is ready{where}", markup=False)
            gate.run(stop)
            again = gate.again
            if again == "update":
                return  # whoever holds us up starts the launcher, and that what is due
            if again == "restart":
                os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    except AnotherVersion:
        return  # the launcher starts it
    except (CertificatesUnusable, JournalFailed, PinsFailed, PortTaken) as error:
        _fail(str(error), FAILED)
    if signal.SIGINT in why:
        sys.exit(INTERRUPTED)


# --- claim --------------------------------------------------------------------------------------------------------


@app.command()
def claim(
    data: Annotated[Path, typer.Option("--data", help="Where the gate's files go.")] = Path("/var/lib/portillon"),
    card: Annotated[
        Path, typer.Option("--card", help="Folder with claim.toml, and fittings.toml where one is wanted.")
    ] = Path("/boot/firmware/claim"),
    listen: Annotated[str, typer.Option("--listen", help="HOST:PORT of the screen.")] = "127.0.0.1:8081",
    language: Annotated[str, typer.Option("--language", help="fr, en, ru, kk or vi.")] = "en",
) -> None:
    """Make this gate's keys, show a code until an operator approves, and write gate.toml."""
    from edge.claim import Claim, ClaimFailed, Shown, read_where
    from edge.claim_page import ClaimPage
    from edge.settings import Wrong, an_address

    def show(shown: Shown) -> None:
        page.show(shown)
        _line({"state": shown.state, "code": shown.code, "fingerprint": shown.fingerprint, "address": shown.address})

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        address = an_address(listen) or ("127.0.0.1", 0)
        page = ClaimPage(*address, language)
        made = Claim(read_where(card / "claim.toml"), data, card / "fittings.toml", show, time.time)
        page.start()
        path = made.run(stop.is_set)
    except (ClaimFailed, OSError, Wrong) as error:
        _fail(str(error), USAGE)
    if path is None:
        sys.exit(INTERRUPTED)
    errors.print(f"{path} is written: portillon-gate run --config {path}", markup=False)


# --- read, replay -------------------------------------------------------------------------------------------------


@app.command()
def read(
    images: Annotated[list[Path], typer.Argument(help="Pictures to decode.", metavar="IMAGE...")],
    budget_ms: Annotated[float | None, typer.Option("--budget-ms", min=1, help="Cap of the ladder, a picture.")] = None,
    as_json: AsJson = False,
) -> None:
    """Decode pictures with the gate's reader; one JSON line a picture."""
    from edge.reader import IMAGE_BUDGET_MS, read_image

    for image in images:
        _line(read_image(image, budget_ms or IMAGE_BUDGET_MS))


@app.command()
def replay(
    scenario: Annotated[str, typer.Argument(help="A scenario in JSON lines; - for standard input.")],
    as_json: AsJson = False,
) -> None:
    """Run a scenario through the real decision core, in virtual time; one JSON line a step."""
    from edge.replay import replay as play

    for answer in play(_lines(scenario)):
        _line(answer)


def _lines(name: str) -> Iterator[str]:
    if name == "-":
        yield from sys.stdin
        return
    try:
        with open(name, encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        _fail(f"{name} cannot be read ({error.strerror}): portillon-gate replay SCENARIO.jsonl", USAGE)


# --- selftest, status ---------------------------------------------------------------------------------------------


@app.command()
def selftest(config: ConfigFile, as_json: AsJson = False) -> None:
    """Try every part of a gate that is not running: configuration, journal, camera, pins, broker's address."""
    from edge.selftest import checks

    results = list(checks(_load(config)))
    if as_json:
        _line({"ok": all(r.ok for r in results), "checks": [r._asdict() for r in results]})
    else:
        for result in results:
            print(f"{'ok    ' if result.ok else 'FAILED'} {result.name}: {result.what}")
    if not all(result.ok for result in results):
        sys.exit(FAILED)


@app.command()
def status(config: ConfigFile, as_json: AsJson = False) -> None:
    """Ask the running gate how it is."""
    settings = _load(config)
    if settings.web.listen is None:
        _fail('the local pages are off: listen = "127.0.0.1:8081" under [web] of gate.toml', USAGE)
    host, port = settings.web.listen
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    url = f"http://[{host}]:{port}/status" if ":" in host else f"http://{host}:{port}/status"
    try:
        with urllib.request.urlopen(url, timeout=STATUS_SECONDS) as answer:
            told = json.loads(answer.read(1_000_000))
    except (OSError, ValueError) as error:
        _fail(f"no gate answers at {url} ({error}): portillon-gate run --config {config}", CANNOT_REACH)
    if as_json:
        _line(told)
    else:
        _table(told)
    if not told.get("healthy"):
        sys.exit(FAILED)


def _table(told: dict[str, Any]) -> None:
    table = Table(show_header=False, box=None)
    for key, value in told.items():
        shown = json.dumps(value, ensure_ascii=True) if isinstance(value, dict | list) else str(value)
        table.add_row(key, shown)
    Console(highlight=False, markup=False, soft_wrap=True).print(table)


# --- journal ------------------------------------------------------------------------------------------------------


@journal_app.command("verify")
def journal_verify(config: ConfigFile, as_json: AsJson = False) -> None:
    """Walk the whole hash chain, and what was saved from damaged journals; exit 1 where a byte was changed."""
    settings = _load(config)
    with _reading(settings) as db:
        found, carried, holes = verify_chain(db), verify_carried(db), holes_of(db)
    ok = found.ok and all(run.ok for run in carried)
    if as_json:
        told = {"carried": [_walked(run) for run in carried], "holes": [hole._asdict() for hole in holes]}
        _line({"ok": ok, "gate": settings.gate.gate} | _walked(found) | told)
    else:
        for run in (found, *carried):
            print(_walked_words(run))
        for hole in holes:
            print(f"epoch {hole.epoch}: seq {hole.first_seq} to {hole.next_seq - 1} are lost"
                  f" ({'the cloud was told' if hole.told else 'not told yet'})")  # fmt: skip
    if not ok:
        sys.exit(FAILED)


def _walked(found: Verification) -> dict[str, Any]:
    return {
        "epoch": found.epoch,
        "first_seq": found.first_seq,
        "events": found.events,
        "head": found.head.hex(),
        "bad_seq": found.bad_seq,
        "why": found.why,
    }


def _walked_words(found: Verification) -> str:
    if not found.ok:
        return f"epoch {found.epoch}: seq {found.bad_seq} is not what was written: {found.why}"
    return f"epoch {found.epoch}: {found.events} events from seq {found.first_seq} are whole; head {found.head.hex()}"


@journal_app.command("export")
def journal_export(
    config: ConfigFile,
    as_json: AsJson = False,
    scenario: Annotated[bool, typer.Option("--scenario", help="As a scenario that `replay` can run.")] = False,
) -> None:
    """Print the ledger: one JSON line an event (or a scenario)."""
    from edge.export import event_lines, scenario_lines

    settings = _load(config)
    with _reading(settings) as db:
        lines = scenario_lines(settings, db) if scenario else event_lines(settings.gate.gate, rows(db))
        for line in lines:
            _line(line)


@contextmanager
def _reading(settings: GateConfig) -> Iterator[sqlite3.Connection]:
    """The journal beside a running gate, with its failures told as commands tell them."""
    try:
        with reading(settings.paths.journal) as db:
            yield db
    except JournalFailed as failed:
        _fail(
            f"{failed}; portillon-gate run --config {settings.file} makes a journal and puts a damaged one aside",
            FAILED,
        )


# --- printing -----------------------------------------------------------------------------------------------------


def _load(path: Path) -> GateConfig:
    try:
        return load_config(path)
    except ConfigProblems as problems:
        _fail(str(problems), USAGE)


def _line(value: object) -> None:
    print(json.dumps(value, separators=(", ", ": ")), flush=True)


def _fail(what: str, code: int) -> NoReturn:
    errors.print(what, markup=False)
    sys.exit(code)
