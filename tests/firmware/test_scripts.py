"""Every shell script of the repository, as shellcheck reads it; and what those of the gate's computer do when run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.firmware.target import SOURCE, Target
from tests.house.tree import ROOT, files, text

SCRIPTS = sorted(name for name in files() if text(name).startswith("#!") and "sh" in text(name).split("\n", 1)[0][2:])
SECTOR = 512


def shellcheck(target: Target, script: str) -> str:
    return target.run("shellcheck", "--severity=style", "-", stdin=script).complaint


def test_the_scripts_that_must_be_read_are_found() -> None:
    assert {
        ".ci/run", "scripts/install.sh", "scripts/packages.sh", "firmware_config/install.sh",
        "firmware_config/make-partitions", "firmware_config/broker/make-acl",
        "firmware_config/root/usr/lib/portillon/strike-low", "firmware_config/root/usr/lib/portillon/launch",
    } <= set(SCRIPTS)  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_shellcheck_finds_nothing_and_then_finds_a_careless_word(target: Target, name: str) -> None:
    assert shellcheck(target, text(name)) == ""
    assert "SC2086" in shellcheck(target, text(name) + "\nrm -r $1/*\n")


# --- the strike ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("strike_pin = 5", "GPIO5"),
        ("  strike_pin=27  # the lock", "GPIO27"),
        ("strike_pin = 5\nstrike_pin = 6", "GPIO6"),
        ("# strike_pin = 5", "GPIO17"),
        ("strike_pin = -1", "GPIO17"),
        ("strike_pin = 4294967296", "GPIO17"),
        ("strike_pin = '5; reboot'", "GPIO17"),
        ("", "GPIO17"),
        ("\0\x07", "GPIO17"),
    ],
)
def test_the_strike_of_gate_toml_is_put_low_and_17_where_it_cannot_be_read(
    target: Target, written: str, line: str
) -> None:
    target.write("/tmp/gate.toml", written)
    said = target.run("/usr/lib/portillon/strike-low", "/tmp/gate.toml")
    assert said.code != 0 and f"cannot find line '{line}'" in said.err  # there is no pin here, and gpioset says which


@pytest.mark.parametrize("arguments", [(), ("/nowhere/gate.toml",)])
def test_without_a_gate_toml_the_strike_is_put_low_all_the_same(target: Target, arguments: tuple[str, ...]) -> None:
    assert "cannot find line 'GPIO17'" in target.run("/usr/lib/portillon/strike-low", *arguments).err


# --- the card -----------------------------------------------------------------------------------------------------


def card(target: Target, gibibytes: int, layout: str) -> str:
    image = target.at("/tmp/card")
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(gibibytes * 2**30)
    assert target.run("sfdisk", "--quiet", "/tmp/card", stdin=layout).code == 0
    return "/tmp/card"


def sizes(target: Target, image: str) -> list[int]:
    told = target.run("sfdisk", "--list", "--output", "Sectors", "--quiet", image).out.split()
    return [int(word) * SECTOR // 2**20 for word in told if word.isdigit()]


BLANK = "label: dos\n, 512MiB, c\n, 2500MiB, L\n"  # as Raspberry Pi OS Lite is written on a card


def test_a_card_gets_a_root_of_8_gibibytes_and_the_rest_for_the_journal_and_a_second_run_changes_nothing(
    target: Target,
) -> None:
    image = card(target, 32, BLANK)
    prepare = str(SOURCE / "make-partitions")
    target.write("/tmp/make-partitions", Path(prepare).read_text(), 0o755)
    assert target.run("/tmp/make-partitions", image).complaint == ""
    made = sizes(target, image)
    assert made[0] == 512 and made[1] == 8192 and made[2] > 20_000
    assert target.run("/tmp/make-partitions", image).complaint == ""
    assert sizes(target, image) == made


def test_a_card_that_is_too_small_is_refused_and_left_as_it_was(target: Target) -> None:
    image = card(target, 4, BLANK)
    target.write("/tmp/make-partitions", (SOURCE / "make-partitions").read_text(), 0o755)
    before = sizes(target, image)
    assert target.run("/tmp/make-partitions", image).code != 0
    assert sizes(target, image) == before


# --- installing ---------------------------------------------------------------------------------------------------


def test_installing_again_keeps_the_sites_own_broker_and_mends_everything_else(tmp_path: Path) -> None:
    def install() -> None:
        subprocess.run(["sh", str(SOURCE / "install.sh"), "--root", str(tmp_path)], check=True)

    install()
    units = tmp_path / "etc/systemd/system"
    (units / "portillon-gate.service.d/broker.conf").write_text("[Service]\nIPAddressAllow=10.0.0.0/8\n")
    (units / "portillon-gate.service").write_text("")
    install()
    assert "10.0.0.0/8" in (units / "portillon-gate.service.d/broker.conf").read_text()
    assert (units / "portillon-gate.service").read_text() == (
        ROOT / "firmware_config/root/etc/systemd/system/portillon-gate.service"
    ).read_text()


def test_what_is_installed_has_the_rights_it_needs_and_no_more(tmp_path: Path) -> None:
    subprocess.run(["sh", str(SOURCE / "install.sh"), "--root", str(tmp_path)], check=True)
    modes = {str(file.relative_to(tmp_path)): oct(file.stat().st_mode & 0o777) for file in tmp_path.rglob("*.*")}
    assert modes["etc/NetworkManager/system-connections/portillon.nmconnection"] == "0o600"
    assert modes["etc/systemd/system/portillon-gate.service"] == "0o644"
    assert (tmp_path / "usr/lib/portillon/strike-low").stat().st_mode & 0o777 == 0o755
