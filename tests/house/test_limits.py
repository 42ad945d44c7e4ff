"""Every bound in protocols/limits.py has a unit in its name or a comment beside it, and is used somewhere."""

from __future__ import annotations

import ast
import re

from tests.house.tree import listing, python_files, text, tree

LIMITS = "protocols/limits.py"
UNITS = {
    "seconds", "ms", "minutes", "hours", "days", "bytes", "characters", "count", "max", "min", "items", "depth",
    "events", "symbols", "children", "pixels", "percent", "digits", "tries", "maximum",
}  # fmt: skip


def constants() -> dict[str, int]:
    """Name -> line of every constant of the file."""
    found = {}
    for node in tree(LIMITS).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        found.update(
            {target.id: node.lineno for target in targets if isinstance(target, ast.Name) and target.id.isupper()}
        )
    return found


def test_every_limit_says_its_unit_or_where_it_comes_from() -> None:
    lines = text(LIMITS).splitlines()
    problems = [
        f"{LIMITS}:{line} {name}"
        for name, line in constants().items()
        if not UNITS & set(name.lower().split("_"))
        and "#" not in lines[line - 1]
        and not lines[line - 2].lstrip().startswith("#")
    ]
    assert constants() and not problems, listing(problems)


def test_every_limit_is_kept_by_some_code() -> None:
    others = (name for name in python_files("protocols", "edge", "cloud", "simulators") if name != LIMITS)
    elsewhere = {word for name in others for word in re.findall(r"\w+", text(name))}
    own = re.findall(r"\w+", text(LIMITS))
    problems = [
        f"{LIMITS}:{line} {name}: nothing uses it"
        for name, line in constants().items()
        if name not in elsewhere and own.count(name) < 2
    ]
    assert not problems, listing(problems)
