"""`portillon-sim` at the command line: flags of the phone, wrong words, no stack: exit codes and what to type."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from simulators.drill import run_drill
from simulators.optics import DISTORTIONS
from simulators.parts import command_path
from simulators.processes import WorldFault


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command_path("portillon-sim"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_every_distortion_of_the_optics_is_a_flag_of_the_phone(tmp_path: Path) -> None:
    flags = [f"--{name.replace('_', '-')}" for name in DISTORTIONS]
    made = simulate("phone", "--frames", str(tmp_path), "--count", str(len(flags)), *flags, "--json")
    assert made.returncode == 0, made.stderr
    labels = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert [label["distortion"] for label in labels] == list(DISTORTIONS)
    assert json.loads(made.stdout)["frames"] == len(DISTORTIONS)


def test_the_words_people_say_are_flags_too(tmp_path: Path) -> None:
    made = simulate("phone", "--frames", str(tmp_path), "--count", "3", "--blur", "--screen-grid", "--crack")
    assert made.returncode == 0, made.stderr
    names = {path.stem.split("-")[-1] for path in tmp_path.glob("*.png")}
    assert names == {"defocus", "moire", "cracks"}


def test_the_phone_writes_films_when_it_is_told_to(tmp_path: Path) -> None:
    made = simulate("phone", "--frames", str(tmp_path), "--stream", "--count", "2", "--length", "3", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["frames"] == 6
    assert len(list(tmp_path.glob("*.png"))) == 6


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("phone", "--frames", "x", "--distortion", "fog"), 2, "fog: not among clean, tilt"),
        (("stack", "up", "--dir", "x", "--gates", "0"), 2, "--gates"),
        (("stack", "dance"), 2, "No such command"),
        (("bench", "nothing"), 2, "there is no benchmark"),
        (("outage", "flood", "--dir", "nowhere"), 3, "portillon-sim stack up"),
        (("stack", "start", "gate-11", "--dir", "nowhere"), 3, "portillon-sim stack up"),
    ],
)
def test_a_wrong_word_ends_with_the_right_code_and_says_what_to_type(
    arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended = simulate(*arguments)
    assert ended.returncode == code
    assert words in " ".join(ended.stderr.replace("│", " ").split())
    assert ended.stdout == "" and "Traceback" not in ended.stderr


def test_a_drill_clears_no_directory_that_no_drill_made(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(WorldFault, match="holds something that no drill made"):
        run_drill("revoke", tmp_path, lambda _words: None)
    assert (tmp_path / "letters.txt").read_text() == "dear"
