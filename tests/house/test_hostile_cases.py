"""docs/hostile-cases.md is true: each case of the appliance is listed, each test it names exists, none is missing."""

import re
from collections import defaultdict

import pytest

from tests.house.tree import listing, python_files, text

PAGE = "docs/hostile-cases.md"
APPLIANCE = (*range(1, 25), *range(38, 44), *range(46, 49))  # what the gate as an appliance must meet
ROW = re.compile(r"^\| P(\d+) \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)`: ((?:`\w+`(?:, )?)+)")
CASE = re.compile(r"(?<=_)p(\d+)(?=_)")  # of a test's name: test_p14_p15_…
TEST = re.compile(r"^def (test_p\d+_\w+)", re.MULTILINE)


def named() -> dict[int, set[tuple[str, str]]]:
    """Case -> (file, test) as the page tells them."""
    return {
        int(case): {(file, test) for file, tests in NAMED.findall(cell) for test in re.findall(r"\w+", tests)}
        for case, _, _, cell in ROW.findall(text(PAGE))
    }


def written() -> dict[int, set[tuple[str, str]]]:
    """Case -> (file, test) as the tests are named."""
    found: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for file in python_files("tests"):
        for test in TEST.findall(text(file)):
            for case in CASE.findall(test[: len("test_p00_p00_p00_")]):
                found[int(case)].add((file, test))
    return found


@pytest.mark.parametrize("case", APPLIANCE)
def test_a_case_of_the_appliance_is_listed_with_a_test(case: int) -> None:
    assert named().get(case), f"P{case} stands in {PAGE} with no test"


def test_each_test_that_the_page_names_exists_and_each_that_exists_is_named() -> None:
    page, tests = named(), written()
    gone = [f"P{case}: {file} {test}" for case in page for file, test in page[case] - tests.get(case, set())]
    missing = [f"P{case}: {file} {test}" for case in page for file, test in tests[case] - page[case]]
    assert not gone, f"named, and there is no such test:{listing(gone)}"
    assert not missing, f"a test that {PAGE} does not name:{listing(missing)}"


def test_each_case_is_listed_once() -> None:
    cases = [int(case) for case, *_ in ROW.findall(text(PAGE))]
    assert cases == sorted(set(cases))
