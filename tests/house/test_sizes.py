"""Files and functions small enough to read from the top (STYLE.md): 500 lines a file, 60 a function."""

from __future__ import annotations

from pathlib import Path

from tests.house.tree import HOUSES, ROOT, files, functions, listing, python_files, text

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
PICTURE_BYTES_MAX = 300_000
FILE_BYTES_MAX = 1_000_000
# `path` or `path name`, with a comment that says why it may be longer. Keep it empty.
ALLOWED: frozenset[str] = frozenset()


def test_no_file_is_longer_than_500_lines() -> None:
    problems = [
        f"{name}: {lines} lines; split it by subject"
        for name in [
            *python_files(*HOUSES, "bench", "scripts"),
            *(f for f in files() if f.endswith((".js", ".css", ".html"))),
        ]
        if (lines := text(name).count("\n")) > FILE_LINES_MAX and name not in ALLOWED
    ]
    assert not problems, listing(problems)


def test_no_function_is_longer_than_60_lines() -> None:
    problems = [
        f"{name}:{node.lineno} {node.name}: {lines} lines; look for the second idea inside"
        for name in python_files(*HOUSES, "bench", "scripts", "tests")
        for node in functions(name)
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
        and f"{name} {node.name}" not in ALLOWED
    ]
    assert not problems, listing(problems)


def test_no_picture_weighs_more_than_300_kilobytes_and_no_file_a_megabyte() -> None:
    pictures = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg")
    problems = [
        f"{name}: {size} bytes"
        for name in files()
        if (size := (ROOT / name).stat().st_size)
        > (PICTURE_BYTES_MAX if Path(name).suffix in pictures else FILE_BYTES_MAX)
    ]
    assert not problems, listing(problems)
