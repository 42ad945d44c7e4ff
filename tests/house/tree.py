"""The repository as the house tests read it: its files, its Python trees, what imports what.

Not responsible for any rule: each rule stands in a test of its own.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOUSES = ("protocols", "edge", "cloud", "simulators")


@cache
def files() -> tuple[str, ...]:
    """Every file that git knows or would add, as paths from the root. What .gitignore names is not ours to judge."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return tuple(sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()))


def under(*folders: str, suffix: str = "") -> list[str]:
    return [name for name in files() if name.split("/")[0] in folders and name.endswith(suffix)]


def python_files(*folders: str) -> list[str]:
    return under(*folders, suffix=".py")


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(text(name), filename=name)


@cache
def walked(name: str) -> tuple[ast.AST, ...]:
    """Every node of a file: walked once for all rules."""
    return tuple(ast.walk(tree(name)))


def nodes(name: str, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    return (node for node in walked(name) if isinstance(node, kinds))


def functions(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in walked(name):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def dotted(node: ast.AST) -> str:
    """`a.b.c` for a chain of names and attributes, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def imported_names(name: str) -> dict[str, str]:
    """Local name -> where it came from (`clock` -> `cloud.kit.clock`), for every import in the file."""
    found: dict[str, str] = {}
    for node in walked(name):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.split(".")[0]
                found[local] = alias.name if alias.asname else local
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def listing(problems: list[str]) -> str:
    return "\n" + "\n".join(f"  {problem}" for problem in problems)
