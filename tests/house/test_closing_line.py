"""`make test` cannot be fooled: a skipped test, a failing one, none at all and a crash each end in a failure."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from scripts.run_tests import Run, Tally, in_the_way, run_all
from scripts.run_tests import pytest as run_pytest

PASSES = "def test_two_and_two_are_four():\n    assert 2 + 2 == 4\n"


def tally_of(folder: Path, source: str, may_be_empty: bool = False) -> Tally:
    """Run pytest for real on one made-up file."""
    (folder / "test_made_up.py").write_text('"""Made up."""\nimport pytest\n\n' + source)
    tally = Tally()
    run_pytest(Run("made up", [str(folder / "test_made_up.py")], may_be_empty=may_be_empty), folder, tally)
    return tally


def test_what_fails_and_what_is_skipped_is_counted_beside_what_passes(tmp_path: Path) -> None:
    tally = tally_of(
        tmp_path,
        PASSES
        + "def test_fails():\n    assert False\n"
        + "def test_skips():\n    pytest.skip('no broker')\n"
        + "@pytest.mark.xfail\ndef test_is_expected_to_fail():\n    assert False\n"
        + "@pytest.fixture\ndef broken():\n    raise OSError\n\ndef test_has_no_fixture(broken):\n    pass\n",
    )
    assert (tally.passed, tally.failed, tally.skipped) == (1, 2, 2)


@pytest.mark.parametrize(
    "source",
    ["import nothing_of_that_name\n", "import os\n\n\ndef test_a():\n    os._exit(0)\n", ""],
    ids=["cannot be imported", "ends the process", "holds no test"],
)
def test_a_file_that_never_comes_to_its_tests_is_a_failure(tmp_path: Path, source: str) -> None:
    tally = tally_of(tmp_path, source)
    assert (tally.passed, tally.failed) == (0, 1)


def test_only_a_run_that_may_be_empty_may_be_empty(tmp_path: Path) -> None:
    assert tally_of(tmp_path, "", may_be_empty=True).failed == 0


def test_a_run_beside_another_is_counted_as_strictly(tmp_path: Path) -> None:
    (tmp_path / "test_first.py").write_text('"""Made up."""\n\n' + PASSES)
    (tmp_path / "test_second.py").write_text('"""Made up."""\n\n' + PASSES + "def test_fails():\n    assert False\n")
    tally, other = Tally(), Run("second", [str(tmp_path / "test_second.py")])
    run_pytest(Run("first", [str(tmp_path / "test_first.py")], beside=other), tmp_path, tally)
    assert (tally.passed, tally.failed) == (2, 1)


def test_what_keeps_packages_away_is_told_at_once_and_is_the_failure_in_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coming: Future[str] = Future()
    coming.set_result(in_the_way(["sh", "-c", "echo type: sudo apt-get install mosquitto >&2; exit 1"]))
    assert "type: sudo apt-get install mosquitto" in capsys.readouterr().err
    tally = Tally()
    run_all([Run("never", ["tests"])], coming, tmp_path, tally)
    assert tally.complaints == ["the tests were not run: type: sudo apt-get install mosquitto"]
    assert (tally.passed, tally.failed) == (0, 1)


def test_packages_that_are_there_are_in_nobodys_way() -> None:
    assert in_the_way(["true"]) == "" and in_the_way(["false"]) == "false ended with 1"
