"""Tests use our real code: fakes stand only at the edge (door, mail, clock); nothing is mocked, nothing is skipped."""

from __future__ import annotations

import ast
import re

from tests.house.tree import HOUSES, dotted, imported_names, listing, python_files, text, walked

# `pytest.skip(...)` in a fixture says what a machine lacks; scripts/run_tests.py then fails, for CI lacks nothing.
SKIPS = re.compile(r"mark\.(?:skip|skipif|xfail)\b|pytest\.(?:xfail|importorskip)\(")


def patches_ours(name: str) -> list[str]:
    """Calls monkeypatch.setattr / delattr on a module, class or function of the four houses."""
    origins, found = imported_names(name), []
    for node in walked(name):
        if not (
            isinstance(node, ast.Call) and dotted(node.func).endswith(("monkeypatch.setattr", "monkeypatch.delattr"))
        ):
            continue
        target = node.args[0] if node.args else None
        if isinstance(target, ast.Constant) and str(target.value).split(".")[0] in HOUSES:
            found.append(f"{name}:{node.lineno} {target.value}")
        elif target is not None and origins.get(dotted(target).split(".")[0], "").split(".")[0] in HOUSES:
            found.append(f"{name}:{node.lineno} {dotted(target)}")
    return found


def test_no_test_replaces_a_part_of_our_own_code() -> None:
    problems = [problem for name in python_files("tests") for problem in patches_ours(name)]
    assert not problems, listing(problems)


def test_no_test_uses_a_mock_library() -> None:
    problems = [
        f"{name}: {origin}"
        for name in python_files("tests")
        for local, origin in imported_names(name).items()
        if origin.startswith(("unittest.mock", "mock.", "pytest_mock")) or local == "mocker"
    ]
    assert not problems, listing(problems)


def test_no_test_is_marked_as_skipped_or_as_expected_to_fail() -> None:
    problems = [
        f"{name}:{number} {line.strip()}"
        for name in python_files("tests")
        if name not in ("tests/house/test_tests.py", "tests/house/test_closing_line.py")
        for number, line in enumerate(text(name).splitlines(), 1)
        if SKIPS.search(line)
    ]
    assert not problems, listing(problems)
