"""portillon-gate as people and scripts call it: real processes, exit codes, one JSON line a thing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocols import topics
from tests.edge.household import Phone, Scene, Site, png_of, write_gate
from tests.edge.line import Cloud, Mosquitto, free_port, until

pytestmark = pytest.mark.serial
COMMAND = [sys.executable, "-c", "from edge.cli import main; main()"]
PLAIN = {**os.environ, "TERM": "dumb", "NO_COLOR": "1"}


def gate_command(*words: str | Path, **kept: Any) -> subprocess.CompletedProcess[str]:
    arguments = [*COMMAND, *map(str, words)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, env=PLAIN, **kept)


def start(config: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "run", "--config", str(config)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=PLAIN
    )


def ready(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "is ready" in line, line
    return line


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def running(tmp_path: Path, site: Site, mosquitto: Mosquitto) -> Iterator[tuple[Path, subprocess.Popen[str], int]]:
    """A gate process with its pages and its broker."""
    port = free_port()
    config = write_gate(tmp_path, site, broker_port=mosquitto.port, listen=f"127.0.0.1:{port}")
    Scene(tmp_path / "camera.frame")
    process = start(config)
    ready(process)
    yield config, process, port
    process.kill()
    process.wait()


def status(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5) as answer:
        return json.loads(answer.read())


def exported(config: Path) -> list[dict[str, Any]]:
    done = gate_command("journal", "export", "--config", config, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_gate_told_to_stop_stops_at_once_and_cleanly(
    running: tuple[Path, subprocess.Popen[str], int], number: int, code: int
) -> None:
    config, process, _ = running
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(10) == code
    assert time.monotonic() - began < 5
    assert [line["code"] for line in exported(config)][0] == "BOOT"


def test_an_arrival_in_a_real_process_is_stored_and_receipted(
    running: tuple[Path, subprocess.Popen[str], int], site: Site, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    config, _, port = running
    cloud = Cloud(mosquitto.port)
    cloud.client.publish(topics.site_down("demo", 101, topics.POLICY), site.policy_list(), qos=1, retain=True)
    until(lambda: "KR1" in status(port)["documents"])
    scene, phone = Scene(tmp_path / "camera.frame"), Phone(site, holder=7, children=[(70, 3)])
    time.sleep(10.5)  # a gate whose replay state was lost waits for a redraw
    scene.show(phone.text())
    until(lambda: status(port)["pulses"] == 1)
    until(lambda: status(port)["outbox"] == 0)
    lines = exported(config)
    opened = [line for line in lines if line["code"] == "OPEN"]
    assert len(opened) == 1 and opened[0]["receipted"] is not None and opened[0]["kind"] == 1
    assert {"gate", "epoch", "seq", "kind", "code", "at", "receipted"} <= set(opened[0])
    told = gate_command("status", "--config", config, "--json")
    assert (told.returncode, json.loads(told.stdout)["pulses"]) == (0, 1)
    verified = gate_command("journal", "verify", "--config", config, "--json")
    assert json.loads(verified.stdout)["ok"] is True
    cloud.close()


def test_a_gate_killed_between_commit_and_strike_never_forgets_and_never_opens_twice(
    tmp_path: Path, site: Site
) -> None:
    config = write_gate(tmp_path, site)
    scene, phone = Scene(tmp_path / "camera.frame"), Phone(site, holder=7, children=[(70, 3)])
    (tmp_path / "policy.kr1").write_bytes(site.policy_list())
    dying = subprocess.Popen([sys.executable, "-c", a_gate_that_dies_at_its_strike(config)], stdout=subprocess.PIPE)
    assert dying.stdout is not None and dying.stdout.readline() == b"ready\n"
    scene.show(phone.text())
    assert dying.wait(20) == -signal.SIGKILL
    lines = exported(config)
    assert [line["code"] for line in lines] == ["BOOT", "OPEN"]
    again = subprocess.Popen([sys.executable, "-c", a_gate_that_dies_at_its_strike(config)], stdout=subprocess.PIPE)
    assert again.stdout is not None and again.stdout.readline() == b"ready\n"
    scene.show(phone.text(time.time() + 1))
    time.sleep(1.5)
    again.kill()
    again.wait()
    codes = [line["code"] for line in exported(config)]
    assert codes == ["BOOT", "OPEN", "BOOT"]  # the same phone a moment later is "as before": one arrival, ever
    assert json.loads(gate_command("journal", "verify", "--config", config, "--json").stdout)["ok"] is True


def a_gate_that_dies_at_its_strike(config: Path) -> str:
    return textwrap.dedent(f"""
        import os, signal, threading, time
        from pathlib import Path
        from edge.appliance import Appliance
        from edge.broker import Heard
        from edge.config import load_config
        gate = Appliance(load_config(Path({str(config)!r})), time.time)
        gate.pins.strike.pulse = lambda milliseconds: os.kill(os.getpid(), signal.SIGKILL)
        gate.loop.gate._lost_until = 0
        gate.loop._parts.inbox.put(Heard("dn/rl", Path({str(config.with_name("policy.kr1"))!r}).read_bytes()))
        threading.Timer(0.5, lambda: print("ready", flush=True)).start()
        gate.run(threading.Event())
    """)


def test_five_mistakes_are_listed_and_nothing_starts(tmp_path: Path, site: Site) -> None:
    config = write_gate(tmp_path, site)
    text = config.read_text().replace("site = 101", 'site = "101/#"').replace("gate = 11", "gate = -1")
    text = (
        text.replace('"UTC"', '"Mars/Olympus"')
        .replace('"mock"', '"mok"')
        .replace('district = "demo"', 'distrikt = "a"')
    )
    config.write_text(text)
    done = gate_command("run", "--config", config)
    assert done.returncode == 2
    assert done.stdout == ""
    for key in ("gate.site", "gate.gate", "gate.timezone", "door.pins", "gate.distrikt", "gate.district"):
        assert key in done.stderr
    assert "did you mean district" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_taken_port_says_what_to_type_and_leaves_nothing_running(tmp_path: Path, site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = write_gate(tmp_path, site, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        done = gate_command("run", "--config", config)
    assert done.returncode == 1
    assert "cannot be listened on" in done.stderr and 'listen = ""' in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_gate_on_the_same_journal_is_refused(
    running: tuple[Path, subprocess.Popen[str], int], tmp_path: Path
) -> None:
    config, _, port = running
    second = tmp_path / "second.toml"
    second.write_text(config.read_text().replace(f"127.0.0.1:{port}", ""))
    done = gate_command("run", "--config", second)
    assert done.returncode == 1 and "JOURNAL_IN_USE" in done.stderr


def test_no_running_gate_is_cannot_reach(tmp_path: Path, site: Site) -> None:
    config = write_gate(tmp_path, site, listen=f"127.0.0.1:{free_port()}")
    done = gate_command("status", "--config", config)
    assert done.returncode == 3
    assert "portillon-gate run" in done.stderr


def test_pictures_are_read_one_line_each_and_a_broken_one_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(png_of("KG1:HELLO"))
    (tmp_path / "empty.png").write_bytes(b"")
    done = gate_command("read", tmp_path / "empty.png", tmp_path / "good.png", tmp_path / "none.png")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert ["error" in line for line in lines] == [True, False, True]
    assert lines[1]["codes"][0]["text"] == "KG1:HELLO"
    assert lines[1]["codes"][0]["format"] == "QRCode"
    assert len(lines[1]["codes"][0]["corners"]) == 4


def test_an_exported_scenario_can_be_replayed(running: tuple[Path, subprocess.Popen[str], int], tmp_path: Path) -> None:
    config, _, _ = running
    exported_scenario = gate_command("journal", "export", "--config", config, "--scenario")
    (tmp_path / "scenario.jsonl").write_text(exported_scenario.stdout)
    header = json.loads(exported_scenario.stdout.splitlines()[0])
    assert header["gate"] == 11 and header["trust"]
    done = gate_command("replay", tmp_path / "scenario.jsonl")
    assert done.returncode == 0
    assert {json.loads(line)["code"] for line in done.stdout.splitlines()} == {"OK"}


def test_a_malformed_scenario_answers_format_and_never_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_bytes(b'\xff\xfe{"gate":')
    done = gate_command("replay", tmp_path / "bad.jsonl")
    assert json.loads(done.stdout.splitlines()[0])["code"] == "FORMAT"
    missing = gate_command("replay", tmp_path / "none.jsonl")
    assert missing.returncode == 2 and "Traceback" not in missing.stderr


def test_a_selftest_names_each_part_and_never_moves_the_strike(tmp_path: Path, site: Site) -> None:
    config = write_gate(tmp_path, site, broker_port=free_port())
    Scene(tmp_path / "camera.frame")
    done = gate_command("selftest", "--config", config, "--json")
    checks = {check["name"]: check["ok"] for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert [name for name, ok in checks.items() if not ok] == ["broker"]
    assert list(checks) == ["configuration", "trust", "journal", "pins", "camera", "broker", "clock"]


def test_a_changed_byte_in_the_ledger_is_found_by_verify(tmp_path: Path, site: Site) -> None:
    config = write_gate(tmp_path, site)
    Scene(tmp_path / "camera.frame")
    process = start(config)
    ready(process)
    process.terminate()
    process.wait(10)
    path = tmp_path / "data" / "journal.sqlite"
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"0.1.0")] ^= 1
    path.write_bytes(raw)
    done = gate_command("journal", "verify", "--config", config)
    assert done.returncode == 1 and "seq 0" in done.stdout


def test_help_is_plain_where_there_is_no_terminal() -> None:
    done = gate_command("--help")
    assert done.returncode == 0
    for command in ("run", "read", "replay", "selftest", "status", "journal"):
        assert command in done.stdout
    assert "╭" not in done.stdout
