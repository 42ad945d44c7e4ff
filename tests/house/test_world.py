"""Who may look at the clock, the environment and the dice: entry points, configuration, adapters; by name.

Everybody else is told (ARCHITECTURE rules 4 and 5). `time.monotonic` measures durations and is free outside protocols.
"""

from __future__ import annotations

import ast
from fnmatch import fnmatch

from tests.house.tree import HOUSES, dotted, imported_names, listing, python_files, walked

ENVIRONMENT = {"os.environ", "os.getenv", "os.environb", "os.putenv"}
CLOCK = {
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
    "time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.strftime",
}  # fmt: skip
DICE = {"random.random", "random.choice", "random.randint", "random.shuffle", "random.seed", "uuid.uuid4", "uuid.uuid1"}

# file pattern -> why it may. Add a line only for an entry point, a configuration or an adapter.
MAY_READ_ENVIRONMENT = {
    "cloud/cli.py": "entry point: hands os.environ to cloud/config.py",
    "edge/cli.py": "entry point: where systemd listens, for edge/supervision.py",
    "simulators/processes.py": "adapter: starts processes with an environment",
}
MAY_READ_CLOCK = {
    "cloud/kit/clock.py": "the cloud's one clock",
    "edge/cli.py": "entry point: hands the clock to the loop",
    "protocols/verify.py": "entry point: --at or now",
    "simulators/clock.py": "the simulators' one clock",
}
MAY_THROW_DICE: dict[str, str] = {}


def uses(name: str, watched: set[str]) -> list[str]:
    """Lines of a file that touch one of the watched names, however it was imported."""
    origins = imported_names(name)
    found = []
    for node in walked(name):
        if isinstance(node, ast.Attribute | ast.Name):
            first, _, rest = dotted(node).partition(".")
            if first in origins and f"{origins[first]}{'.' + rest if rest else ''}" in watched:
                found.append(f"{name}:{node.lineno} {dotted(node)}")
    return found


def breaches(watched: set[str], allowed: dict[str, str], *houses: str) -> list[str]:
    return [
        use
        for name in python_files(*houses)
        if not any(fnmatch(name, pattern) for pattern in allowed)
        for use in uses(name, watched)
    ]


def test_only_entry_points_and_adapters_read_the_environment() -> None:
    problems = breaches(ENVIRONMENT, MAY_READ_ENVIRONMENT, *HOUSES)
    assert not problems, listing(problems)


def test_only_the_named_clocks_ask_for_the_time() -> None:
    problems = breaches(CLOCK, MAY_READ_CLOCK, *HOUSES)
    assert not problems, listing(problems)


def test_chance_comes_from_a_seed_or_from_the_operating_system() -> None:
    problems = breaches(DICE, MAY_THROW_DICE, *HOUSES)
    assert not problems, listing(problems)


def test_every_permission_to_look_outside_is_used() -> None:
    present = set(python_files(*HOUSES))
    idle = [
        f"{name}: no longer needs it, take the line out"
        for watched, allowed in (
            (ENVIRONMENT, MAY_READ_ENVIRONMENT),
            (CLOCK, MAY_READ_CLOCK),
            (DICE, MAY_THROW_DICE),
        )
        for name in allowed
        if name not in present or not uses(name, watched)
    ]
    assert not idle, listing(idle)
