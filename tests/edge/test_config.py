"""The gate's configuration: one file, read once, every mistake listed with what to type."""

import os
import re
import tomllib
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from edge.config import REQUIRED, SETTINGS, ConfigProblems, GateConfig, load_config

REFERENCE = Path(__file__).parents[2] / "firmware_config" / "gate.toml"
GOOD = """
[gate]
district = "demo"
site = 101
gate = 11
timezone = "Asia/Almaty"
[camera]
source = "folder"
path = "pictures"
[door]
pins = "mock"
"""


def write(directory: Path, text: str) -> Path:
    key = SigningKey(b"\1" * 32)
    (directory / "gate.key").write_text(bytes(key).hex() + "\n")
    (directory / "gate.key").chmod(0o600)
    (directory / "root.pub").write_text(bytes(SigningKey(b"\2" * 32).verify_key).hex() + "\n")
    (directory / "gate.toml").write_text(text)
    return directory / "gate.toml"


def problems_of(directory: Path, text: str) -> dict[str, str]:
    with pytest.raises(ConfigProblems) as caught:
        load_config(write(directory, text))
    assert all(p.what and p.what_to_type for p in caught.value.problems)
    return {p.key: p.what for p in caught.value.problems}


def with_line(section: str, line: str) -> str:
    """Return GOOD with this line in its section, in place of the same setting."""
    key = line.split("=")[0].strip()
    text = re.sub(rf"(?m)^{key} = .*\n", "", GOOD) if section in ("gate", "camera", "door") else GOOD
    return (
        text.replace(f"[{section}]\n", f"[{section}]\n{line}\n")
        if f"[{section}]" in text
        else f"{text}[{section}]\n{line}\n"
    )


def test_a_small_file_is_completed_by_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    assert isinstance(config, GateConfig)
    assert (config.gate.site, config.gate.gate, config.gate.hours) == (101, 11, ((25_200, 68_400),))
    assert config.paths.data == Path("/var/lib/portillon")
    assert config.camera.path == str(tmp_path / "pictures")
    assert config.web.listen == ("127.0.0.1", 8081)
    assert config.gate_seed == b"\1" * 32


@pytest.mark.parametrize(("path", "taken"), [("0", "0"), ("12", "12"), ("/dev/video0", "/dev/video0")])
def test_a_usb_camera_has_a_number_or_a_device(tmp_path: Path, path: str, taken: str) -> None:
    text = GOOD.replace('source = "folder"\npath = "pictures"', f'source = "v4l2"\npath = "{path}"')
    assert load_config(write(tmp_path, text)).camera.path == taken


def test_the_pi_s_camera_has_a_number_and_nothing_else(tmp_path: Path) -> None:
    text = GOOD.replace('source = "folder"\npath = "pictures"', 'source = "picamera2"\npath = "%s"')
    assert [load_config(write(tmp_path, text % path)).camera.path for path in ("", "1")] == ["", "1"]
    for path in ("/dev/video0", "10", "-1", "²", "one"):
        assert problems_of(tmp_path, text % path) == {"camera.path": "is not the number of a Pi camera"}


def test_the_secret_key_is_never_printed(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    assert "01010101" not in repr(config) and "\\x01" not in repr(config)


def test_five_mistakes_are_all_five_listed(tmp_path: Path) -> None:
    text = """
[gate]
district = "Demo School"
site = "101"
gate = 0
timezone = "Mars/Olympus"
hours = ["19:00-07:00"]
[camera]
source = "folder"
path = "pictures"
"""
    found = problems_of(tmp_path, text)
    assert list(found) == ["gate.district", "gate.site", "gate.gate", "gate.timezone", "gate.hours"]


def test_mistakes_in_files_are_listed_with_the_others(tmp_path: Path) -> None:
    path = write(tmp_path, with_line("gate", "site = -1"))
    (tmp_path / "gate.key").chmod(0o644)
    (tmp_path / "root.pub").unlink()
    with pytest.raises(ConfigProblems) as caught:
        load_config(path)
    assert [p.key for p in caught.value.problems] == ["gate.site", "paths.key", "paths.root"]
    assert f"chmod 600 {tmp_path / 'gate.key'}" in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        'site = "101/#"',
        'gate = "../"',
        "site = 4294967296",
        "gate = 0",
        "gate = true",
        "site = 1.0",
        'site = "$SYS"',
        'gate = "\\u0000"',
    ],
)
def test_p17_an_identifier_is_an_integer_from_one_and_nothing_else(tmp_path: Path, line: str) -> None:
    assert len(problems_of(tmp_path, with_line("gate", line))) == 1


@pytest.mark.parametrize(
    "district", ["", "demo/#", "+", "$SYS", "Demo", "d" * 33, "a\\u0000b", "x" * 65_000, "demo\\n", "é"]
)
def test_p17_a_district_that_could_leave_its_topic_is_refused(tmp_path: Path, district: str) -> None:
    assert list(problems_of(tmp_path, with_line("gate", f'district = "{district}"'))) == ["gate.district"]


def test_an_unknown_setting_is_a_problem_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load_config(write(tmp_path, with_line("gate", "gates_on_site = 2") + "[dor]\npin = 1\n"))
    hints = {p.key: p.what_to_type for p in caught.value.problems}
    assert hints == {"gate.gates_on_site": "did you mean gates_at_site?", "dor": "did you mean door?"}


@pytest.mark.parametrize(
    "hours",
    [
        "[]",
        '["7:00-19:00"]',
        '["07:00-07:00"]',
        '["24:00-24:00"]',
        "[7, 19]",
        '"07:00-19:00"',
        '["07:00-24:30"]',
        '["07:00-12:00", "11:00-19:00"]',
        '["07:00-19:00\\n"]',
    ],
)
def test_hours_that_are_no_spans_are_refused(tmp_path: Path, hours: str) -> None:
    assert list(problems_of(tmp_path, with_line("gate", f"hours = {hours}"))) == ["gate.hours"]


def test_hours_are_sorted_and_may_end_at_midnight(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, with_line("gate", 'hours = ["13:00-24:00", "00:00-12:30"]')))
    assert config.gate.hours == ((0, 45_000), (46_800, 86_400))


@pytest.mark.parametrize("zone", ["../../etc/passwd", "/etc/localtime", "", "Nowhere/At_All", "\\u0000"])
def test_a_time_zone_is_an_iana_name(tmp_path: Path, zone: str) -> None:
    assert list(problems_of(tmp_path, with_line("gate", f'timezone = "{zone}"'))) == ["gate.timezone"]


@pytest.mark.parametrize("content", ["", "zz" * 32, "00" * 31, "00" * 33, "\0" * 64])
def test_a_key_file_holds_64_hexadecimal_characters(tmp_path: Path, content: str) -> None:
    path = write(tmp_path, GOOD)
    (tmp_path / "gate.key").write_text(content)
    with pytest.raises(ConfigProblems) as caught:
        load_config(path)
    assert [p.key for p in caught.value.problems] == ["paths.key"]


def test_a_root_key_that_is_no_point_of_the_curve_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    (tmp_path / "root.pub").write_text("00" * 32)
    with pytest.raises(ConfigProblems, match="not an Ed25519 public key"):
        load_config(path)


def test_a_broker_elsewhere_needs_tls_and_tls_needs_its_files(tmp_path: Path) -> None:
    assert list(problems_of(tmp_path, with_line("broker", 'url = "mqtt://10.0.0.5:1883"'))) == ["broker.url"]
    found = problems_of(tmp_path, with_line("broker", 'url = "mqtts://broker.example"'))
    assert list(found) == ["broker.ca", "broker.cert", "broker.key"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "mqtt://",
        "mqtt://127.0.0.1:99999",
        "mqtt://u:p@127.0.0.1",
        "mqtt://127.0.0.1/path",
        "mqtt://[::1",
        "127.0.0.1:1883",
    ],
)
def test_a_broker_address_is_checked(tmp_path: Path, url: str) -> None:
    assert list(problems_of(tmp_path, with_line("broker", f'url = "{url}"'))) == ["broker.url"]


def test_pictures_are_never_shown_to_the_network(tmp_path: Path) -> None:
    text = with_line("web", 'listen = "0.0.0.0:8081"\npicture = true')
    assert list(problems_of(tmp_path, text)) == ["web.picture"]


def test_two_lamps_cannot_share_a_pin(tmp_path: Path) -> None:
    found = problems_of(tmp_path, with_line("door", "red_pin = 17"))
    assert found == {"door.red_pin": "pin 17 is strike_pin already"}


def test_a_maglock_without_wired_ways_out_is_refused_with_all_that_is_missing(tmp_path: Path) -> None:
    found = problems_of(tmp_path, with_line("door", 'lock = "maglock"'))
    assert found == {
        "door.exit_wired": "a maglock needs an exit button that cuts the current by wire",
        "door.fire_wired": "a maglock needs a fire release that cuts the current by wire",
    }
    half = with_line("door", 'lock = "maglock"\nexit_wired = true')
    assert list(problems_of(tmp_path, half)) == ["door.fire_wired"]
    whole = with_line("door", 'lock = "maglock"\nexit_wired = true\nfire_wired = true')
    assert load_config(write(tmp_path, whole)).door.lock == "maglock"


def test_an_observed_button_is_no_wired_one(tmp_path: Path) -> None:
    text = with_line("door", 'lock = "maglock"\nexit_pin = 6\nfire_pin = 12')
    assert list(problems_of(tmp_path, text)) == ["door.exit_wired", "door.fire_wired"]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('lock = "magnet"', "lock"),
        ('exit_wired = "yes"', "exit_wired"),
        ("open_seconds = 0", "open_seconds"),
        ("open_seconds_longer = 31", "open_seconds_longer"),
        ("longer_for = [0]", "longer_for"),
        ("longer_for = [true]", "longer_for"),
        ("longer_for = 7", "longer_for"),
        (f"longer_for = {list(range(1, 258))}", "longer_for"),
        ("held_seconds = 4", "held_seconds"),
        ("pre_alarm_seconds = 30", "pre_alarm_seconds"),
        ("exit_seconds = 0", "exit_seconds"),
        ('unlocked_hours = ["19:00-07:00"]', "unlocked_hours"),
        ("contact_pin = 28", "contact_pin"),
        ('contact_open = "open"', "contact_open"),
        ("exit_pin = 17", "exit_pin"),
        ("fire_pin = 1.0", "fire_pin"),
        ('tamper_open = "LOW"', "tamper_open"),
        ("debounce_ms = 5", "debounce_ms"),
    ],
)
def test_a_setting_of_the_door_that_cannot_be_is_refused(tmp_path: Path, line: str, key: str) -> None:
    assert list(problems_of(tmp_path, with_line("door", line))) == [f"door.{key}"]


def test_the_door_s_times_reach_its_machine_in_milliseconds(tmp_path: Path) -> None:
    lines = "open_seconds = 12\nlonger_for = [7]\nheld_seconds = 20.5\nexit_pin = 6"
    door = load_config(write(tmp_path, with_line("door", lines))).door
    assert (door.times.access, door.times.access_longer, door.times.held) == (12_000, 12_000, 20_500)
    assert (door.times.exit_observed, door.longer_for) == (True, (7,))


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff\xfe", b"[gate", b"gate = 3", b"x" * 70_000, b"[gate]\nsite = 1\nsite = 2", b"a = " + b"[" * 5000],
)
def test_a_file_that_is_something_else_is_refused_without_a_traceback(tmp_path: Path, raw: bytes) -> None:
    path = write(tmp_path, "")
    path.write_bytes(raw)
    with pytest.raises(ConfigProblems):
        load_config(path)


def test_a_missing_file_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match="--config"):
        load_config(tmp_path / "none.toml")


def test_control_characters_of_a_file_never_reach_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load_config(write(tmp_path, with_line("gate", 'timezone = "\\u001b[31mred"') + '"\\u001b[2J" = 1\n'))
    assert "\x1b" not in str(caught.value)


def test_the_reference_file_is_loadable_and_says_every_setting_with_its_default(tmp_path: Path) -> None:
    path = write(tmp_path, REFERENCE.read_text())
    for name in ("broker-ca.pem", "gate.pem", "gate-tls.key"):
        (tmp_path / name).write_text("PEM")
    assert load_config(path).broker.tls
    written = tomllib.loads(REFERENCE.read_text())
    assert {s: set(keys) for s, keys in written.items()} == {s: set(keys) for s, keys in SETTINGS.items()}
    for section, settings in SETTINGS.items():
        for key, setting in settings.items():
            comment = comment_above(REFERENCE.read_text(), section, key)
            default = "No default." if setting.default is REQUIRED else f"Default {as_toml(setting.default)}."
            assert default in comment, f"{section}.{key}: its comment should end with: {default}"


def comment_above(text: str, section: str, key: str) -> str:
    body = re.search(rf"(?ms)^\[{section}\]\n(.*?)(?=^\[|\Z)", text)
    assert body is not None
    before = body.group(1).split(f"\n{key} = ")[0] if not body.group(1).startswith(f"{key} = ") else ""
    return " ".join(line[2:] for line in before.splitlines()[::-1][:4][::-1] if line.startswith("# "))


def as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(f'"{v}"' for v in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def test_no_setting_is_taken_from_the_environment(tmp_path: Path) -> None:
    os.environ["PORTILLON_GATE"] = "99"
    try:
        assert load_config(write(tmp_path, GOOD)).gate.gate == 11
    finally:
        del os.environ["PORTILLON_GATE"]
