"""`portillon-cloud import …`: a district from another system. Exit codes: 0 done, 1 the set has problems, 2 usage."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cloud.config import Settings
from cloud.standards.model import KINDS, Report, RosterRefused, shown

PROBLEMS = 1
TOLD_MAX = 200  # lines of a terminal; --json tells all
SLUG = r"[a-z0-9-]{1,32}"  # district_slug_of_topics

app = typer.Typer(help="Take a district over from another system.", no_args_is_help=True)


@app.callback()
def take_over() -> None:
    """Take a district over from another system."""


@app.command("oneroster")
def oneroster(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="a folder or a .zip of OneRoster 1.1 or 1.2 CSV, in bulk mode")],
    district: Annotated[str, typer.Option(help="short name of the district, as in topics: a-z, 0-9 and -")],
    timezone: Annotated[str, typer.Option(help="of schools for which the set says none: an IANA name")] = "",
    language: Annotated[str, typer.Option(help="of schools and adults for which the set says none")] = "",
    level: Annotated[str, typer.Option(help="of schools for which the set says none")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would change, change nothing")] = False,
    end_absent: Annotated[bool, typer.Option("--end-absent", help="end what the set does not name any more")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document on stdout")] = False,
) -> None:
    """Import schools, classes, people and who is guardian of whom. All or nothing; again changes nothing."""
    from cloud.kit import clock
    from cloud.kit.db import Database
    from cloud.standards.oneroster import Wishes
    from cloud.standards.service import import_roster, read_oneroster

    settings: Settings = ctx.obj
    wishes = Wishes(timezone, language, level)
    _check(district, wishes)
    try:
        now = clock.now()
        roster = read_oneroster(path, wishes, now)
        with Database(settings.require("database_url").database_url, 2) as database:
            database.reach()
            report = import_roster(database, district, roster, now, dry_run=dry_run, end_absent=end_absent)
    except RosterRefused as refused:
        _tell_problems(refused, as_json)
        raise typer.Exit(PROBLEMS) from refused
    _tell(report, as_json)


def _check(district: str, wishes: object) -> None:
    from cloud.standards.oneroster import Wishes
    from cloud.standards.sheets import LANGUAGES, LEVELS

    assert isinstance(wishes, Wishes)
    if not re.fullmatch(SLUG, district):
        raise typer.BadParameter("1 to 32 of a-z, 0-9 and -", param_hint="--district")
    if wishes.language not in LANGUAGES:
        raise typer.BadParameter("one of " + ", ".join(sorted(LANGUAGES - {""})), param_hint="--language")
    if wishes.level not in LEVELS:
        raise typer.BadParameter("one of " + ", ".join(sorted(LEVELS - {""})), param_hint="--level")


def _tell_problems(refused: RosterRefused, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"ok": False, "problems": [asdict(one) for one in refused.problems],
                               "more": refused.more}))  # fmt: skip
        return
    for one in refused.problems[:TOLD_MAX]:
        where = f"{shown(one.file)}:{one.line}" if one.line else shown(one.file)
        typer.echo(f"{one.code}  {where}  {one.field}  found: {shown(one.found)}\n      type: {one.to_type}", err=True)
    hidden = len(refused.problems) + refused.more - TOLD_MAX
    if hidden > 0:
        typer.echo(f"and {hidden} more: --json tells them", err=True)
    typer.echo("nothing was written", err=True)


def _tell(report: Report, as_json: bool) -> None:
    counts = report.counts()
    if as_json:
        changes = [{"kind": one.kind, "key": one.key, "act": one.act, "fields": dict(one.fields)}
                   for one in report.changes]  # fmt: skip
        typer.echo(json.dumps({"ok": True, "district": report.district, "dry_run": report.dry_run, "counts": counts,
                               "changes": changes, "notices": [asdict(one) for one in report.notices]}))  # fmt: skip
        return
    for change in report.changes[:TOLD_MAX]:
        what = ", ".join(f"{name}: {shown(was)!r} -> {shown(new)!r}" for name, (was, new) in change.fields.items())
        typer.echo(f"{change.act:<6} {change.kind:<10} {shown(change.key)}  {what}")
    if len(report.changes) > TOLD_MAX:
        typer.echo(f"and {len(report.changes) - TOLD_MAX} more: --json tells them")
    for kind in KINDS:
        typer.echo(f"{kind:<10} " + "  ".join(f"{act} {count}" for act, count in counts[kind].items()))
    for notice in report.notices[:TOLD_MAX]:
        typer.echo(f"{notice.code}  {notice.kind} {shown(notice.key)}: {notice.words}", err=True)
    typer.echo("nothing was written: --dry-run" if report.dry_run else "done", err=True)
