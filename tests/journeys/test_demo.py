"""`portillon-sim demo` as a newcomer meets it: plays, prints, stops all that it started, starts again."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from simulators.parts import command_path
from simulators.processes import wait_until
from simulators.stack import Stack

READY = "Ctrl-C stops everything"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("demo") / "demo"
    yield directory
    Stack(directory).down()


@contextmanager
def demo(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A demo for the length of a block; one that a failed test leaves behind is ended, and not met by the next."""
    process = subprocess.Popen(
        [command_path("portillon-sim"), "demo", "--dir", str(directory), "--no-open", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)


def running_parts(directory: Path) -> list[str]:
    return [part["name"] for part in Stack(directory).describe()["parts"] if part["alive"]]


def read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(f"the demo ended before it said {words!r}: {said}")


def test_a_demo_with_exit_plays_prints_one_json_document_and_leaves_nothing_running(directory: Path) -> None:
    with demo(directory, "--arrivals", "6", "--exit", "--json") as process:
        out, said = process.communicate(timeout=180)
    assert process.returncode == 0, said
    summary = json.loads(out)
    assert {key: summary[key] for key in ("arrivals", "opened", "stored", "lost", "duplicates", "refused")} == {
        "arrivals": 6, "opened": 6, "stored": 6, "lost": 0, "duplicates": 0, "refused": {},
    }  # fmt: skip
    assert set(summary["gate_ms"]) == set(summary["door_to_parent_ms"]) == {"p50", "p95"}
    assert [link["who"] for link in summary["links"]] == ["tour", "parent", "gate", "teacher", "head", "operator"]
    assert said.count("✓") == 6 and "nothing else is touched" in said and "Stopped: " in said
    assert running_parts(directory) == []


def test_ctrl_c_stops_all_that_the_demo_started_and_says_so(directory: Path) -> None:
    with demo(directory) as process:
        said = read_until(process, READY)
        tour = said.split("tour")[1].split()[0]
        page = httpx.get(tour, trust_env=False)
        assert page.status_code == 200 and "Play a school morning" in page.text
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert httpx.post(f"{tour}/play", trust_env=False).json()["code"] == "OTHER_ORIGIN"
        assert httpx.get(f"{tour}/cloud.key", trust_env=False).status_code == 404
        assert len(running_parts(directory)) == 8
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped: " in rest
    assert running_parts(directory) == []


def test_a_second_demo_in_the_same_directory_is_refused_and_sigterm_ends_the_first(directory: Path) -> None:
    with demo(directory) as first:
        read_until(first, READY)
        with demo(directory, "--exit") as second:
            _, said = second.communicate(timeout=60)
        assert second.returncode == 1 and "already runs" in said
        assert len(running_parts(directory)) == 8
        first.terminate()
        first.communicate(timeout=60)
    assert first.returncode == 143
    wait_until(lambda: running_parts(directory) == [], 10, "parts of the demo still run")
