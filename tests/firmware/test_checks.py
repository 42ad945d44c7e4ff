"""The target's own checkers find nothing in firmware_config, and find one wrong setting in each of its files."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.edge.test_cli import gate_command
from tests.firmware.checks import CHECKS, UNITS, installed
from tests.firmware.target import SOURCE, Target

GATE = f"{UNITS}/portillon-gate.service"
CLAIM = f"{UNITS}/portillon-claim.service"
AGAIN = f"{UNITS}/portillon-again.service"
BOOT = "/boot/firmware"
# check, file, what is right, what is wrong
WRONG = [
    ("units", GATE, "Type=notify", "Type=notfy"),
    ("units", GATE, "WatchdogSec=45s", "WatchdogSec=soon"),
    ("units", GATE, "WatchdogSec=45s", "WatchDogSec=45s"),
    ("units", GATE, "ExecStopPost=/usr/lib/portillon/strike-low", "ExecStopPost=/usr/lib/portillon/strike-lo"),
    ("units", GATE, "ExecStart=/usr/lib/portillon/launch", "ExecStart=/usr/lib/portillon/lunch"),
    ("units", GATE, "StartLimitAction=reboot", "StartLimitAction=restart"),
    ("units", f"{GATE}.d/broker.conf", "Allow=192.0.2.0/24", "Allow=192.0.2.0/240"),
    ("units", f"{UNITS}/portillon-gate.path", "Unit=portillon-gate.service", "Unit=portillon-gate.path"),
    ("units", f"{UNITS}/portillon-gate.path", "PathChanged=/var", "PathChanged=var"),
    ("units", AGAIN, "ExecStart=/usr/bin/systemctl", "ExecStart=/usr/bin/systemct"),
    ("units", f"{UNITS}/portillon-again.timer", "03:30:00", "25:30:00"),
    ("units", f"{UNITS}/var-lib-portillon.mount", "Where=/var/lib/portillon", "Where=/var/lib/portilon"),
    ("units", CLAIM, "ExecStart=/opt/portillon/venv/bin/portillon-gate", "ExecStart=/opt/portillon/venv/bin/portillon"),
    ("units", f"{CLAIM}.d/cloud.conf", "Allow=192.0.2.0/24", "Allow=192.0.2.0/240"),
    ("exposure", CLAIM, "User=portillon\n", ""),
    ("exposure", GATE, "ProtectSystem=strict\n", ""),
    ("exposure", GATE, "DevicePolicy=closed\n", "DevicePolicy=auto\n"),
    ("exposure", GATE, "CapabilityBoundingSet=\n", ""),
    ("exposure", GATE, "NoNewPrivileges=yes\n", ""),
    ("exposure", GATE, "User=portillon\n", ""),
    ("exposure", GATE, "SystemCallFilter=@system-service\n", ""),
    ("exposure", AGAIN, "CapabilityBoundingSet=\n", ""),
    ("journald", "/etc/systemd/journald.conf.d/portillon.conf", "RuntimeMaxUse", "RuntimeMaxUsage"),
    ("journald", "/etc/systemd/journald.conf.d/portillon.conf", "32M", "32 megabytes"),
    ("journald", "/etc/systemd/journald.conf.d/portillon.conf", "Storage=volatile", "Storage=persistent"),
    ("manager", "/etc/systemd/system.conf.d/portillon.conf", "RuntimeWatchdogSec", "RuntimeWatchdog"),
    ("manager", "/etc/systemd/system.conf.d/portillon.conf", "15s", "15 sheep"),
    ("users", "/usr/lib/sysusers.d/portillon.conf", "u     portillon", "u     porti;llon"),
    ("users", "/usr/lib/sysusers.d/portillon.conf", "g     gpio", "gg     gpio"),
    ("temporary_files", "/usr/lib/tmpfiles.d/portillon.conf", "0700", "0799"),
    ("temporary_files", "/usr/lib/tmpfiles.d/portillon.conf", "portillon portillon -", "portilon portillon -"),
    ("device_rules", "/etc/udev/rules.d/70-portillon.rules", 'GROUP="gpio"', 'GROUP="gipo"'),
    ("device_rules", "/etc/udev/rules.d/70-portillon.rules", 'SYMLINK+="portillon', 'SYMLINC+="portillon'),
    ("packet_filter", "/etc/nftables.conf", "policy drop", "policy dorp"),
    ("packet_filter", "/etc/nftables.conf", "fc00::/7 } tcp", "fc00::/7 } tpc"),
    ("packet_filter", "/etc/nftables.conf", 'skuid "portillon"', 'skuid "portilon"'),
    ("time_of_day", "/etc/chrony/chrony.conf", "authselectmode require", "authselectmode demand"),
    ("time_of_day", "/etc/chrony/chrony.conf", "nts.netnod.se iburst nts", "nts.netnod.se iburst"),
    ("time_of_day", "/etc/chrony/chrony.conf", "makestep 1 3", "makestep one 3"),
    ("network_profile", "/etc/NetworkManager/system-connections/portillon.nmconnection", "mdns=0", "mdnz=0"),
    ("network_profile", "/etc/NetworkManager/system-connections/portillon.nmconnection", "method=auto", "method=atuo"),
    ("network_settings", "/etc/NetworkManager/conf.d/portillon.conf", "enabled=false", "enabled:nonsense"),
    ("network_settings", "/etc/NetworkManager/conf.d/portillon.conf", "[connectivity]", "[connectivity"),
    ("first_start", f"{BOOT}/user-data", "ssh_pwauth: false", "ssh_pwauth: [no]"),
    ("first_start", f"{BOOT}/user-data", "package_update:", "package_updates:"),
    ("first_network", f"{BOOT}/network-config", "dhcp4: true", "dhcp4: [1]"),
    ("identity", f"{BOOT}/meta-data", "instance-id", "instance"),
    ("firmware", f"{BOOT}/config.txt", "gpio=17=op,dl", "gpio=17=op,dh"),
    ("firmware", f"{BOOT}/config.txt", "gpio=17", "gpio=27"),
    ("firmware", f"{BOOT}/config.txt", "watchdog=on", "watchdog=off"),
    ("read_only_root", "/etc/overlayroot.conf", "swap=0,recurse=0", "swap=0,recurse=1"),
    ("read_only_root", "/etc/overlayroot.conf", '0"', "0"),
    ("launcher", "/usr/lib/portillon/launch", "$venv/bin/portillon-gate", "$venv/bin/portillon"),
    ("strike", "/usr/lib/portillon/strike-low", "GPIO$pin", "GPIO1$pin"),
    ("strike", "/usr/lib/portillon/strike-low", "gpioset --toggle", "gpioset --toogle"),
]


@pytest.mark.parametrize("check", CHECKS)
def test_the_check_is_green(target: Target, check: str) -> None:
    assert CHECKS[check](target) == ""


@pytest.mark.parametrize(("check", "file", "right", "wrong"), WRONG)
def test_a_wrong_setting_makes_the_check_red(target: Target, check: str, file: str, right: str, wrong: str) -> None:
    with target.changed(file, right, wrong):
        assert CHECKS[check](target) != ""


def test_every_file_of_the_gates_computer_has_a_wrong_setting_that_is_noticed() -> None:
    files = {*installed("/"), *(f"{BOOT}/{file.name}" for file in (SOURCE / "boot").iterdir())}
    assert files == {file for _, file, _, _ in WRONG}


def test_a_profile_that_others_may_read_is_noticed(target: Target) -> None:
    profile = target.at("/etc/NetworkManager/system-connections/portillon.nmconnection")
    profile.chmod(0o644)
    try:
        assert CHECKS["network_profile"](target) != ""
    finally:
        profile.chmod(0o600)


def test_the_packet_filter_lets_through_what_a_gate_with_every_part_needs_and_nobody_else_in() -> None:
    rules = (SOURCE / "root/etc/nftables.conf").read_text()
    chains = dict(re.findall(r"chain (\w+) \{(.*?)\n    \}", rules, re.DOTALL))
    calls = set(re.findall(r'skuid "portillon" tcp dport (\d+) accept', chains["output"]))
    assert calls == {"8883", "443"}, "the broker; the cloud for claim and updates"
    let_in = re.findall(r"^ +(.*tcp dport.*)$", chains["input"], re.MULTILINE)
    assert len(let_in) == 2 and all("saddr {" in rule and "dport 8443" in rule for rule in let_in), "tablets, nearby"
    assert all(f"hook {name} priority filter; policy drop" in body for name, body in chains.items())


def test_the_unit_starts_the_gate_by_a_command_that_the_gate_knows() -> None:
    line = next(
        line for line in (SOURCE / "root" / GATE.lstrip("/")).read_text().splitlines() if line.startswith("ExecStart=")
    )
    program, data, venv, seconds, *words = shlex.split(line.removeprefix("ExecStart="))
    assert (program, data, venv) == ("/usr/lib/portillon/launch", "/var/lib/portillon", "/opt/portillon/venv")
    assert int(seconds) > 600, "longer than the longest trial_seconds"
    assert gate_command(*words, "--help").returncode == 0
    assert gate_command(*words, "--no-such-option").returncode == 2
