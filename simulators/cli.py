"""`portillon-sim`: the demo, a stack, mornings, outages, pictures of passes, benchmarks.

Responsible for: arguments, what is printed where, exit codes (0 ok, 1 failed, 2 usage, 3 cannot reach,
130 Ctrl-C). Data on stdout, everything else on stderr.
Not for: doing any of it (demo.py, stack.py, morning.py, outage.py, optics.py).
Obeys INTERFACES.md, "Commands".
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from simulators.processes import WorldFault
from simulators.report import print_summary

app = typer.Typer(
    help="A world around Portillon: school, phones, mornings, outages.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
stack_app = typer.Typer(help="A whole Portillon on this machine, each part a process of its own.", no_args_is_help=True)
app.add_typer(stack_app, name="stack")

BENCHES = ("read", "ingest", "pages", "cards", "gate")
INTERRUPTED = 130
TERMINATED = 143  # 128 + SIGTERM, as shells say it

Directory = Annotated[Path, typer.Option("--dir", help="Where the stack lives; nothing else is touched.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Spoil = Annotated[bool, typer.Option()]  # a distortion of simulators/optics.py, by its name
Seed = Annotated[int, typer.Option(help="The same seed makes the same people and order.")]


def notes() -> Console:
    """Return the console for everything that is not data."""
    return Console(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False))


@app.command()
def demo(
    directory: Directory = Path(".demo"),
    arrivals: Annotated[int, typer.Option(min=0, max=2_000, help="Play so many arrivals at once.")] = 0,
    exit_after: Annotated[bool, typer.Option("--exit", help="Stop everything and end after the arrivals.")] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
    as_json: AsJson = False,
    gates: Annotated[int, typer.Option(min=1, max=64)] = 2,
    database: Annotated[str, typer.Option(help="auto, system, wheel or timescale.")] = "auto",
    broker: Annotated[str, typer.Option(help="auto, mosquitto or iotcore.")] = "auto",
    language: Annotated[str, typer.Option(help="fr, en, ru, kk or vi: of the family and staff shown.")] = "en",
    port: Annotated[int, typer.Option(help="Of the tour page; 0 takes a free one.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw the old demo of this directory away first.")] = False,
    seed: Seed = 1,
) -> None:
    """Start everything, print links, play; Ctrl-C stops all of it."""
    from simulators.demo import Plan, run_demo

    plan = Plan(
        directory=directory,
        arrivals=arrivals,
        exit_after=exit_after,
        open_browser=not no_open,
        as_json=as_json,
        gates=gates,
        database=database,
        broker=broker,
        language=language,
        port=port,
        fresh=fresh,
        seed=seed,
    )
    raise typer.Exit(run_demo(plan))


@stack_app.command("up")
def stack_up(
    directory: Directory,
    gates: Annotated[int, typer.Option(min=1, max=64)] = 2,
    families: Annotated[int, typer.Option(min=4, max=20_000, help="Of the whole district.")] = 240,
    database: Annotated[str, typer.Option(help="auto, system, wheel or timescale.")] = "auto",
    broker: Annotated[str, typer.Option(help="auto, mosquitto or iotcore.")] = "auto",
    timezone: Annotated[str, typer.Option(help="Of the schools.")] = "Asia/Almaty",
    departures: Annotated[str, typer.Option(help="staff or pass: who lets a child leave.")] = "staff",
    hours: Annotated[str, typer.Option(help="When arrivals are taken, local time.")] = "00:00-24:00",
    mtls: Annotated[bool, typer.Option("--mtls", help="Everybody comes to the broker with a certificate.")] = False,
    seed: Seed = 1,
    as_json: AsJson = False,
) -> None:
    """Make (or find) a stack in a directory, start it, and return when all is healthy."""
    from simulators.district import Sizes
    from simulators.stack import Stack, Wishes

    stack = Stack(directory)
    wishes = Wishes(
        sizes=Sizes(gates=gates, families=families, timezone=timezone),
        seed=seed,
        database=database,
        broker=broker,
        departures=departures,
        hours=hours,
        mtls=mtls,
    )
    was_running = any(part.is_alive() for part in stack.parts.values())
    try:
        stack.up(wishes, lambda step: notes().print(f"[dim]{step} …[/dim]"))
    except BaseException:
        if not was_running:
            stack.down()  # a half stack is worse than none: nothing of it stays behind
        raise
    _print_stack(stack.describe(), as_json)


@stack_app.command("down")
def stack_down(directory: Directory, as_json: AsJson = False) -> None:
    """Stop every part; the data stays."""
    from simulators.stack import Stack

    stopped = Stack(directory).down()  # also of a stack whose making was interrupted
    if as_json:
        print_json({"dir": str(directory.absolute()), "stopped": stopped})
    else:
        notes().print(f"stopped: {', '.join(stopped) or 'nothing ran'}")


@stack_app.command("status")
def stack_status(directory: Directory, as_json: AsJson = False) -> None:
    """Say which parts run; exit 1 when one does not."""
    described = _made_stack(directory).describe()
    _print_stack(described, as_json)
    if not all(part["alive"] for part in described["parts"]):
        raise typer.Exit(1)


@stack_app.command("start")
def stack_start(
    name: Annotated[str, typer.Argument(help="A part, as `stack status` names it.")],
    directory: Directory,
    as_json: AsJson = False,
) -> None:
    """Start one part again with the same data; returns when it is well."""
    part = _made_stack(directory).start(name)
    if as_json:
        print_json(part.describe())
    else:
        notes().print(f"{name} runs, pid {part.pid}")


@app.command()
def morning(
    directory: Directory,
    arrivals: Annotated[int, typer.Option(min=1, max=20_000)] = 20,
    seed: Seed = 1,
    spoiled: Annotated[str, typer.Option(help="Distortions in turn, comma-separated, e.g. clean,glare,tilt.")] = "",
    as_json: AsJson = False,
) -> None:
    """Play arrivals through a running stack; exit 1 when anything was lost, doubled or invented."""
    from simulators.morning import EASY_DISTORTIONS, play_morning

    distortions = tuple(word for word in spoiled.split(",") if word) or EASY_DISTORTIONS
    stack = _made_stack(directory)
    summary = play_morning(stack, arrivals, seed, distortions=distortions).summary()
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
    if summary["lost"] or summary["duplicates"] or summary["phantoms"]:
        raise typer.Exit(1)


@app.command()
def outage(
    kind: Annotated[str, typer.Argument(help="net, broker, cloud, db, power, clock or disk.")],
    directory: Directory,
    seconds: Annotated[float, typer.Option(min=0, max=3_600)] = 5.0,
    gate: Annotated[int | None, typer.Option(help="Which gate, for power, clock and disk.")] = None,
    as_json: AsJson = False,
) -> None:
    """Break one thing for some seconds, then mend it."""
    from simulators.outage import play_outage

    done = play_outage(_made_stack(directory), kind, seconds, gate)
    if as_json:
        print_json(done)
    else:
        notes().print(f"{kind}: {', '.join(done['parts'])} away for {seconds:g} s, back in {done['back_ms']} ms")


@app.command()
def chaos(
    faults: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    seed: Annotated[int, typer.Option(help="Chooses the faults, when, to whom and how long.")] = 1,
    directory: Directory = Path(".chaos"),
    gates: Annotated[int, typer.Option(min=2, max=16)] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="Short faults, close together, as in CI.")] = False,
    timeline: Annotated[Path | None, typer.Option(help="A timeline.jsonl of an earlier run, played again.")] = None,
    as_json: AsJson = False,
) -> None:
    """Do so many faults to a whole Portillon while families come; exit 1 when anything did not hold."""
    from simulators.chaos import Wanted, problems_of, run_chaos

    wanted = Wanted(directory, faults, seed, gates, quick, timeline)
    summary = run_chaos(wanted, lambda words: notes().print(f"  {escape(words)}", soft_wrap=True))
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
    problems = problems_of(summary)
    if problems:
        again = f"Play it again: portillon-sim chaos --timeline {directory}/timeline.jsonl --dir OTHER"
        raise WorldFault(f"It did not hold: {'; '.join(problems)}.", again)


@app.command()
def oneroster(
    directory: Annotated[Path, typer.Argument(help="Folder for the files and set.zip.")],
    families: Annotated[int, typer.Option(min=4, max=100_000)] = 240,
    seed: Seed = 1,
) -> None:
    """Write a made-up district as a OneRoster 1.2 set, as a region's own system would export it."""
    from simulators.district import Sizes, gate_numbers, make_district
    from simulators.oneroster import pack, write_oneroster

    sizes = Sizes(families=families)
    district = make_district(seed, sizes, {gate: "00" * 32 for _, gate in gate_numbers(sizes.gates)})
    write_oneroster(district, directory)
    pack(directory, directory / "set.zip")
    typer.echo(directory / "set.zip")


@app.command()
def phone(
    ctx: typer.Context,
    frames: Annotated[Path, typer.Option(help="Folder for the pictures and labels.jsonl.")],
    count: Annotated[int, typer.Option(min=1, max=100_000, help="Pictures; with --stream, arrivals.")] = 17,
    stream: Annotated[bool, typer.Option("--stream", help="Films: a phone comes in blurred, settles, shakes.")] = False,
    length: Annotated[int, typer.Option(min=1, max=1_000, help="Frames of each arrival, ten a second.")] = 16,
    text: Annotated[
        list[str] | None, typer.Option(help="What the codes say, in turn; made up when none is given.")
    ] = None,
    distortion: Annotated[list[str] | None, typer.Option(help="As the flags below, by name, in turn.")] = None,
    clean: Spoil = False,
    tilt: Spoil = False,
    rotation: Spoil = False,
    motion: Spoil = False,
    defocus: Annotated[bool, typer.Option("--defocus", "--blur")] = False,
    moire: Annotated[bool, typer.Option("--moire", "--screen-grid")] = False,
    glare: Spoil = False,
    low_light: Spoil = False,
    bands: Spoil = False,
    over_exposed: Spoil = False,
    cracks: Annotated[bool, typer.Option("--cracks", "--crack")] = False,
    finger: Spoil = False,
    dark_mode: Spoil = False,
    inverted: Spoil = False,
    quiet_zone: Spoil = False,
    distance: Spoil = False,
    dim_screen: Spoil = False,
    seed: Seed = 1,
    as_json: AsJson = False,
) -> None:
    """Write pictures of passes as a gate's camera sees them; with no flag, every distortion in turn."""
    from simulators.films import write_films
    from simulators.optics import DISTORTIONS, write_frames

    unknown = [name for name in distortion or () if name not in DISTORTIONS]
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: not among {', '.join(DISTORTIONS)}")
    wanted = [*(distortion or ()), *(name for name in DISTORTIONS if ctx.params.get(name))]
    if stream:
        written = write_films(frames, count, seed, wanted or None, text or None, length)
    else:
        written = write_frames(frames, count, seed, wanted or None, text or None)
    if as_json:
        print_json(
            {"dir": str(frames.absolute()), "frames": written, "labels": str(frames.absolute() / "labels.jsonl")}
        )
    else:
        notes().print(f"{written} frames in {frames}")


@app.command()
def story(
    number: Annotated[int, typer.Argument(help="2: grandmother's printed card; 3: the court order.")],
    directory: Directory = Path(".story"),
    orders: Annotated[int, typer.Option(min=0, max=40, help="Of story 3: measure so many further orders.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Play one story end to end on a stack of its own, and end with one line of proof."""
    from simulators.stories import run_story

    told = run_story(number, directory, lambda words: notes().print(f"  {escape(words)}", soft_wrap=True), orders)
    if as_json:
        print_json(told)
    else:
        proof = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told["proof"].items())
        typer.echo(f"Proof of story {number}: {proof} ({told['seconds']} s)")


@app.command()
def drill(
    name: Annotated[str, typer.Argument(help="claim, rotate, revoke, rollout or update.")],
    directory: Directory = Path(".drill"),
    as_json: AsJson = False,
) -> None:
    """Play one drill of the fleet end to end on a stack of its own, and end with one line of proof."""
    from simulators.drill import run_drill

    told = run_drill(name, directory, lambda words: notes().print(f"  {escape(words)}", soft_wrap=True))
    if as_json:
        print_json(told)
    else:
        proof = ", ".join(f"{one.replace('_', ' ')} {value}" for one, value in told["proof"].items())
        typer.echo(f"Proof of the drill {name}: {proof} ({told['seconds']} s)")


@app.command()
def bench(name: Annotated[str, typer.Argument(help="read, ingest, pages, cards or gate.")]) -> None:
    """Run one benchmark of bench/ and pass its JSON on."""
    script = Path(__file__).parent.parent / "bench" / f"{name}.py"
    if name not in BENCHES or not script.exists():
        there = [one for one in BENCHES if (script.parent / f"{one}.py").exists()]
        raise typer.BadParameter(f"there is no benchmark {name!r} here; there are: {', '.join(there) or 'none'}")
    command = [sys.executable, "-m", f"bench.{name}"]
    raise typer.Exit(subprocess.run(command, check=False, cwd=script.parent.parent).returncode)


def _made_stack(directory: Path) -> Any:
    from simulators.stack import Stack

    stack = Stack(directory)
    if not stack.is_made():
        raise WorldFault(
            f"There is no stack in {directory}.", f"Run `portillon-sim stack up --gates 2 --dir {directory}`.", code=3
        )
    return stack


def _print_stack(described: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(described)
        return
    table = Table("part", "pid", "where", "log", box=None)
    for part in described["parts"]:
        where = part.get("url") or str(part.get("port", ""))
        table.add_row(part["name"], str(part["pid"]) if part["alive"] else "not running", where, part["log"])
    Console(highlight=False).print(table)


def _end_on(number: int, _frame: object) -> None:
    """End in good order at the first Ctrl-C or SIGTERM; a second one does not disturb the clearing up."""
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(INTERRUPTED if number == signal.SIGINT else TERMINATED)


def main() -> None:
    """Run a command and end with its exit code; a fault says what happened, why, and what to type."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_on)
    try:
        app()
    except WorldFault as fault:
        notes().print(f"[bold red]{escape(fault.what)}[/bold red]\n{escape(fault.todo)}", soft_wrap=True)
        sys.exit(fault.code)


if __name__ == "__main__":
    main()
