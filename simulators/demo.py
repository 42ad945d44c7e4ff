"""`portillon-sim demo`: everything on this machine, started, shown, played, and stopped again.

Responsible for: the words on the terminal (one line first, six steps, one box of links), the tour page,
the arrivals asked for, the one JSON summary, and stopping all that it started.
Not for: the stack itself (stack.py), the page (tour/), the counting (morning.py).
Obeys UX.md, "make demo", and INTERFACES.md, "demo --json".
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.panel import Panel
from rich.status import Status
from rich.table import Table

from simulators.clock import now
from simulators.district import Sizes, featured
from simulators.morning import choose_comers, percentiles, play_morning
from simulators.processes import WorldFault, free_port, setting
from simulators.report import print_summary
from simulators.stack import Stack, Wishes

STEPS = {
    "database": "database",
    "keys": "keys, the root in a folder of its own",
    "data": "made-up school from a fixed seed",
    "cloud": "broker and cloud",
    "gates": "gates",
    "phones": "phones",
}
FAMILIES = 120
SPARE_FAMILIES = 10  # for the tour's buttons, after the arrivals asked for
ZONES = (  # one city in which it is morning, whatever the hour here
    "Pacific/Auckland", "Asia/Tokyo", "Asia/Ho_Chi_Minh", "Asia/Almaty", "Asia/Dubai", "Europe/Athens", "Europe/Paris",
    "Europe/Lisbon", "Atlantic/Cape_Verde", "America/Sao_Paulo", "America/Toronto", "America/Denver",
    "America/Anchorage", "Pacific/Honolulu", "Pacific/Kiritimati", "Asia/Kolkata", "Asia/Shanghai",
)  # fmt: skip
MORNING_HOUR = 8.0

Json = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What the command line asked for."""

    directory: Path
    arrivals: int = 0
    exit_after: bool = False
    open_browser: bool = True
    as_json: bool = False
    gates: int = 2
    database: str = "auto"
    broker: str = "auto"
    language: str = "en"
    port: int = 0
    fresh: bool = False
    seed: int = 1


class Steps:
    """Six lines: a spinner while a step runs, then its time and a tick. Plain lines where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner: Status | None = None
        self._label = ""
        self._began = 0.0
        self._number = 0

    def begin(self, name: str) -> None:
        self.end()
        self._number += 1
        self._label, self._began = STEPS[name], time.monotonic()
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._spinner = self._console.status(f"{self._label} …")
            self._spinner.start()

    def end(self) -> None:
        """Tick the step that runs, if one does."""
        self.abandon()
        if self._label:
            seconds = time.monotonic() - self._began
            self._console.print(f"  [green]✓[/green] {self._number}/{len(STEPS)} {self._label:<42}{seconds:>6.1f} s")
        self._label = ""

    def restart(self) -> None:
        self._number = 0

    def abandon(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
        self._spinner = None


def run_demo(plan: Plan) -> int:
    """Run the demo; returns the exit code. Raises WorldFault. Whatever happens, nothing is left running."""
    console = Console(stderr=True, highlight=False)
    directory = plan.directory.absolute()
    console.print(
        f"Portillon on this machine alone: a made-up school, its phones, gates and cloud. "
        f"Everything goes into {_shown(directory)}, nothing else is touched.",
        soft_wrap=True,
    )
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone_in(directory):
        if plan.fresh:
            _throw_away(directory)
        stack, steps = Stack(directory), Steps(console)
        try:
            return _start_and_play(plan, stack, steps, console)
        finally:
            steps.abandon()
            stopped = stack.down()
            if stopped:
                console.print(f"Stopped: {', '.join(stopped)}. The data stays in {_shown(directory)}.", soft_wrap=True)


def _start_and_play(plan: Plan, stack: Stack, steps: Steps, console: Console) -> int:
    began = time.monotonic()
    was_made = stack.is_made()
    stack.up(_wishes(plan), steps.begin)
    steps.end()
    if was_made and not _has_families_left(stack, plan.arrivals):
        console.print("Too few families are still out today: making a new school.")
        _throw_away(stack.directory)
        stack.forget()
        steps.restart()
        stack.up(_wishes(plan), steps.begin)
        steps.end()
    with _tour(plan, stack) as (tour_url, links):
        console.print(f"Ready in {time.monotonic() - began:.1f} s.")
        _print_box(console, tour_url, links)
        if plan.open_browser and _has_display():
            webbrowser.open(tour_url)
        code = 0
        if plan.arrivals or plan.exit_after:
            code = _play(plan, stack, console, [{"who": "tour", "url": tour_url}, *links])
        if not plan.exit_after:
            console.print("Ctrl-C stops everything.")
            threading.Event().wait()
        return code


def _has_families_left(stack: Stack, arrivals: int) -> bool:
    """Return whether so many families have not come yet today: a demo may be played again and again."""
    try:
        return arrivals == 0 or bool(choose_comers(stack, arrivals, seed=0))
    except WorldFault:
        return False


def _wishes(plan: Plan) -> Wishes:
    sizes = Sizes(
        gates=plan.gates,
        families=max(FAMILIES, plan.arrivals + SPARE_FAMILIES),
        timezone=morning_zone(now()),
        language=plan.language,
    )
    port = plan.port or free_port()
    return Wishes(
        sizes=sizes,
        seed=plan.seed,
        database=plan.database,
        broker=plan.broker,
        demo_origin=f"http://127.0.0.1:{port}",
    )


def _play(plan: Plan, stack: Stack, console: Console, links: list[Json]) -> int:
    """Play the arrivals asked for and print their figures; exit code 1 when one of them was lost or refused."""
    if plan.arrivals:
        console.print(f"{plan.arrivals} arrivals …")
        summary = play_morning(stack, plan.arrivals, int(now()) ^ plan.seed).summary()
    else:
        summary = _empty_summary()
    summary["links"] = links
    if plan.as_json:
        print(json.dumps(summary, ensure_ascii=False), flush=True)
    elif plan.arrivals:
        print_summary(summary)
    good = summary["opened"] == summary["stored"] == plan.arrivals
    return 0 if good and not (summary["lost"] or summary["duplicates"] or summary["phantoms"]) else 1


def _empty_summary() -> Json:
    counts: Json = dict.fromkeys(("arrivals", "opened", "stored", "lost", "duplicates", "phantoms"), 0)
    return {**counts, "refused": {}, "gate_ms": percentiles([]), "door_to_parent_ms": percentiles([])}


# --------------------------------------------------------------------------------------------- links and tour


@contextmanager
def _tour(plan: Plan, stack: Stack) -> Iterator[tuple[str, list[Json]]]:
    """Have the tour page and every link for the length of a block."""
    people = featured(stack.district)
    links = demo_links(stack, people)
    if plan.exit_after:
        yield stack.demo_origin, links
        return
    from simulators.tour.server import Link, Tour
    from simulators.tour.stage import Stage

    stage = Stage(stack, people["parent"])
    tour = Tour(stage, [Link(link["who"], link["url"]) for link in links], int(stack.demo_origin.rpartition(":")[2]))
    try:
        stage.open()
        tour.start()
        yield tour.url, links
    finally:
        stage.close()
        tour.stop()


def demo_links(stack: Stack, people: dict[str, str]) -> list[Json]:
    """Return a signed link for each of parent, gate, teacher, head and operator."""
    paths: dict[str, str] = stack.seeded["links"]

    def link(who: str) -> Json:
        path = paths[people[who]]
        return {"who": who, "url": path if path.startswith("http") else stack.web_url + path}

    gate = {"who": "gate", "url": f"{stack.gates[0].url}/screen"}
    return [link("parent"), gate, link("teacher"), link("head"), link("operator")]


def _print_box(console: Console, tour_url: str, links: list[Json]) -> None:
    labels = {"parent": "parent's phone", "gate": "gate", "teacher": "teacher", "head": "head", "operator": "operator"}
    table = Table.grid(padding=(0, 2))
    table.add_row("[bold]tour[/bold]", f"[bold]{tour_url}[/bold]")
    for link in links:
        table.add_row(labels[link["who"]], link["url"])
    if console.is_terminal:
        console.print(
            Panel(table, title="open one (signed links, no passwords, 24 hours)", expand=False), soft_wrap=True
        )
    else:
        for who, url in [("tour", tour_url), *((link["who"], link["url"]) for link in links)]:
            console.print(f"  {who:<10}{url}", soft_wrap=True)


# ----------------------------------------------------------------------------------------------- surroundings


def morning_zone(at: float) -> str:
    """Return the zone of a city in which it is nearest to eight in the morning. at: UTC seconds."""

    def distance(zone: str) -> float:
        local = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone))
        away = abs(local.hour + local.minute / 60 - MORNING_HOUR)
        return min(away, 24 - away)

    return min(ZONES, key=distance)


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Refuse a second demo in the same directory while the first one runs."""
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise WorldFault(
            f"A demo already runs in {_shown(directory)}.", "Stop it with Ctrl-C, or use another --dir."
        ) from None
    try:
        yield
    finally:
        os.close(lock)


def _throw_away(directory: Path) -> None:
    """Remove an old demo, and only what a demo put there."""
    Stack(directory).down()
    for path in directory.iterdir():
        if path.name != "lock":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _has_display() -> bool:
    if setting("CI"):
        return False
    return sys.platform == "darwin" or bool(setting("DISPLAY") or setting("WAYLAND_DISPLAY"))


def _shown(directory: Path) -> str:
    try:
        return f"{directory.relative_to(Path.cwd())}/"
    except ValueError:
        return f"{directory}/"
