"""The documents are true: they name files, commands, options and settings that exist, and leave none of them out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from cloud.config import SETTINGS
from tests.house.tree import HOUSES, ROOT, files, listing, text

COMMANDS = "docs/commands.md"
FOLDERS = "|".join([*HOUSES, "tests", "docs", "bench", "scripts", "firmware_config", "locks"])
PATH = re.compile(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./*-]*\w)")
LINK = re.compile(r"(?:\]\(|src=\")(?!https?:|#|mailto:)([^)#\"]+)")
CODE = re.compile(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
CALL = re.compile(r"\bportillon-(gate|cloud|sim|verify)\b([^|\n`]*)")
MAKE = re.compile(r"\bmake ([a-z-]+)")
MADE_BY_RUNNING = ("bench/results.json",)


def documents() -> list[str]:
    return [name for name in files() if name.endswith(".md")]


def programs() -> dict[str, Any]:
    """Name -> command tree of each program (typer brings a click of its own, so its type is not named)."""
    import cloud.cli
    import edge.cli
    import protocols.verify
    import simulators.cli

    apps = {"gate": edge.cli.app, "cloud": cloud.cli.app, "sim": simulators.cli.app, "verify": protocols.verify.app}
    return {f"portillon-{name}": typer.main.get_command(app) for name, app in apps.items()}


def children(command: Any) -> dict[str, Any]:
    return getattr(command, "commands", {})


def command_paths() -> list[str]:
    """Every command that does something: `portillon-gate journal export`."""
    found, waiting = [], list(programs().items())
    while waiting:
        path, command = waiting.pop()
        below = children(command)
        waiting += [(f"{path} {name}", child) for name, child in below.items() if not child.hidden]
        if not below:
            found.append(path)
    return sorted(found)


def code_of(name: str) -> str:
    return "\n".join(block or inline for block, inline in CODE.findall(text(name)))


def wrong_words(program: str, words: list[str]) -> list[str]:
    """Sub-commands and options of one call that the program does not know. CAPITALS and <angles> are places to fill."""
    command, path, wrong = programs()[program], program, []
    for word in words:
        if children(command) and re.fullmatch(r"[a-z][a-z-]*", word):
            if word not in children(command):
                return [f"{path} has no command {word}"]
            command, path = children(command)[word], f"{path} {word}"
        elif word.startswith("--"):
            known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
            if word.split("=")[0] not in known | {"--help"}:
                wrong.append(f"{path} has no option {word}")
    return wrong


@pytest.mark.parametrize("name", documents())
def test_a_document_names_only_files_that_exist(name: str) -> None:
    problems = [path for path in PATH.findall(text(name)) if path not in MADE_BY_RUNNING and not list(ROOT.glob(path))]
    problems += [link for link in LINK.findall(text(name)) if not (ROOT / Path(name).parent / link).exists()]
    assert not problems, listing(problems)


@pytest.mark.parametrize("name", documents())
def test_a_document_names_only_commands_and_options_that_exist(name: str) -> None:
    problems = [
        wrong
        for program, rest in CALL.findall(code_of(name))
        for wrong in wrong_words(f"portillon-{program}", rest.split("#")[0].split())
    ]
    assert not problems, listing(problems)


@pytest.mark.parametrize("name", documents())
def test_a_document_names_only_make_targets_that_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    problems = [target for target in MAKE.findall(code_of(name)) if target not in targets]
    assert not problems, listing(problems)


def test_every_command_is_documented() -> None:
    missing = [path for path in command_paths() if path not in text(COMMANDS)]
    assert not missing, listing(missing)


def test_every_setting_of_the_cloud_is_documented_and_none_that_is_gone() -> None:
    documented = set(re.findall(r"PORTILLON_[A-Z_]+", text(COMMANDS)))
    known = {setting.name for setting in SETTINGS}
    assert {name for name in documented if not name.startswith("PORTILLON_TEST_")} == known


def test_every_make_target_is_documented() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    assert not [target for target in targets if f"make {target}" not in text(COMMANDS)]


def test_ci_runs_the_test_command_that_the_readme_gives() -> None:
    given = {"make demo", "make test"}
    assert given <= {f"make {target}" for target in MAKE.findall(code_of("README.md"))}
    assert re.search(r"^exec make test\b", text(".ci/run"), re.MULTILINE)


def test_the_arrival_is_told_through_every_file_of_its_eight_hops() -> None:
    told = text("docs/life-of-an-arrival.md")
    hops = (
        "edge/camera.py", "edge/reader.py", "protocols/passes.py", "edge/gate.py", "edge/loop.py", "edge/broker.py",
        "cloud/ingest.py", "cloud/worker.py", "cloud/reactions.py",
    )  # fmt: skip
    places = [told.find(hop) for hop in hops]
    assert -1 not in places and places == sorted(places), dict(zip(hops, places, strict=True))


def test_every_decision_record_is_numbered_and_listed() -> None:
    records = sorted(name for name in files() if re.fullmatch(r"docs/adr/\d{4}-[a-z0-9-]+\.md", name))
    assert [Path(name).name[:4] for name in records] == [f"{n:04}" for n in range(1, len(records) + 1)]
    assert not [name for name in records if Path(name).name not in text("docs/adr/README.md")]


def test_every_direct_dependency_has_a_line_saying_what_it_saves_and_how_to_leave_it() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {
        re.split(r"[\[<>=;~ ]", requirement)[0].lower()
        for requirement in [
            *project["dependencies"],
            *(r for extra in project["optional-dependencies"].values() for r in extra),
        ]
    }
    line = next(name for name in files() if name.startswith("docs/adr/") and "dependencies" in name)
    missing = sorted(name for name in wanted if f"`{name}`" not in text(line))
    assert not missing, listing(missing)
