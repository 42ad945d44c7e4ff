"""Names: modules say their subject, files say what they are responsible for, tests are sentences (STYLE.md)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.house.tree import HOUSES, functions, listing, python_files, tree

EMPTY_WORDS = {"util", "utils", "helper", "helpers", "manager", "managers", "data", "info", "misc", "common", "stuff"}
TEST_WORDS_MIN = 4


def test_no_module_has_a_name_that_says_nothing() -> None:
    problems = [
        f"{name}: name it after its subject"
        for name in python_files(*HOUSES, "tests", "bench", "scripts")
        if EMPTY_WORDS & set(re.split(r"[_.]", Path(name).stem))
    ]
    assert not problems, listing(problems)


def test_every_module_begins_by_saying_what_it_is_responsible_for() -> None:
    problems = [
        f"{name}: no docstring"
        for name in python_files(*HOUSES, "tests", "bench", "scripts")
        if tree(name).body and not ast.get_docstring(tree(name))
    ]
    assert not problems, listing(problems)


def test_the_name_of_every_test_is_a_sentence() -> None:
    problems = [
        f"{name}:{node.lineno} {node.name}"
        for name in python_files("tests")
        for node in functions(name)
        if Path(name).name.startswith("test_") and node.name.startswith("test_")
        if len(node.name.removeprefix("test_").split("_")) < TEST_WORDS_MIN
    ]
    assert not problems, listing(problems)
