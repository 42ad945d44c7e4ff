"""Which checker of the target reads which of our files, and what it says: "" is green, anything else is red.

Where the target has no checker for a form (journald.conf, config.txt, overlayroot.conf) the check says so and asks
the program that will read the file for the names it knows, or holds the file against gate.toml.
"""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

from tests.firmware.target import SOURCE, Answer, Target

UNITS = "/etc/systemd/system"
EXPOSURE_MAX = 12  # systemd-analyze counts tenths. 1.5 is the bound we were given; what is reached is kept
CONFIG_TXT_COLUMNS_MAX = 98  # what the Pi's firmware reads of a line
NETWORK_PROFILE = "/etc/NetworkManager/system-connections/portillon.nmconnection"
NETWORK_SETTINGS = "/etc/NetworkManager/conf.d/portillon.conf"
_SIZE = re.compile(r"[0-9]+[KMG]?")
_SPAN = re.compile(r"[0-9]+(s|min|h|day)?")


def installed(folder: str, suffix: str = "") -> list[str]:
    """Our files under a folder of the target."""
    found = (SOURCE / "root" / folder.lstrip("/")).rglob(f"*{suffix}")
    return sorted("/" + str(file.relative_to(SOURCE / "root")) for file in found if file.is_file())


def units(target: Target) -> str:
    """systemd-analyze verify warns and ends with 0: any word on standard error is red."""
    names = [name for name in installed(UNITS) if not name.endswith(".conf")]
    return target.run("systemd-analyze", "verify", *names).complaint


def exposure(target: Target) -> str:
    names = [Path(name).name for name in installed(UNITS, ".service")]
    answer = target.run(
        "systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_MAX}", *names
    )
    return answer.complaint


def journald(target: Target) -> str:
    return _known(target, "/etc/systemd/journald.conf.d/portillon.conf", "/usr/lib/systemd/systemd-journald")


def manager(target: Target) -> str:
    return _known(target, "/etc/systemd/system.conf.d/portillon.conf", "/usr/lib/systemd/systemd")


def _known(target: Target, file: str, reader: str) -> str:
    """systemd only warns of a wrong name while it runs: ask the program that reads the file which names it knows."""
    words = set(re.findall(rb"[A-Za-z]+", target.at(reader).read_bytes()))
    settings = _ini(target.at(file).read_text())
    wrong = [f"{key}: not known to {reader}" for key in settings if key.split(".")[-1].encode() not in words]
    for key, value in settings.items():
        if key.endswith(("Use", "Free")) and not _SIZE.fullmatch(value):
            wrong.append(f"{key}: {value} is no size")
        if key.endswith("Sec") and (
            not _SPAN.fullmatch(value) or target.run("systemd-analyze", "timespan", value).code
        ):
            wrong.append(f"{key}: {value} is no span of time")
        if key.endswith("Storage") and value != "volatile":
            wrong.append(f"{key}: the root is read-only")
    return "\n".join(wrong)


def users(target: Target) -> str:
    return _besides_plans(target.run("systemd-sysusers", "--dry-run", "portillon.conf"))


def temporary_files(target: Target) -> str:
    return _besides_plans(
        target.run("systemd-tmpfiles", "--dry-run", "--create", "--remove", "portillon.conf", proc=True)
    )


def _besides_plans(answer: Answer) -> str:
    """A dry run says on standard error what it would do; all else there is a complaint."""
    told = [line for line in answer.err.splitlines() if not line.startswith("Would ")]
    return "\n".join(told) or ("" if answer.code == 0 else f"exit {answer.code}")


def device_rules(target: Target) -> str:
    return target.run(
        "udevadm", "verify", "--no-summary", "--resolve-names=early", *installed("/etc/udev/rules.d")
    ).complaint


def packet_filter(target: Target) -> str:
    return target.run("nft", "--check", "--file", "/etc/nftables.conf").complaint


def time_of_day(target: Target) -> str:
    answer = target.run("chronyd", "-p", "-f", "/etc/chrony/chrony.conf")
    if answer.complaint:
        return answer.complaint
    sources = [line for line in answer.out.splitlines() if line.startswith(("server ", "pool ", "peer "))]
    unproved = [line for line in sources if "nts" not in line.split()]
    return "\n".join(f"believed without proof: {line}" for line in unproved) or (
        "" if len(sources) > 2 else "no sources"
    )


def network_profile(target: Target) -> str:
    """NetworkManager drops a name it does not know and says nothing: what it gives back must hold every one of ours."""
    written = target.at(NETWORK_PROFILE).read_text()
    if target.at(NETWORK_PROFILE).stat().st_mode & 0o077:
        return "NetworkManager reads no profile that others may read"
    answer = target.run("nmcli", "--offline", "connection", "modify", "connection.id", "portillon", stdin=written)
    return answer.complaint or _lost(_ini(written), _ini(answer.out))


def network_settings(target: Target) -> str:
    answer = target.run("NetworkManager", "--print-config")
    return answer.complaint or _lost(_ini(target.at(NETWORK_SETTINGS).read_text()), _ini(answer.out))


def _ini(text: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment]  # names keep their letters
    parser.read_string(text)
    return {f"{section}.{key}": value for section in parser.sections() for key, value in parser[section].items()}


def _lost(ours: dict[str, str], given_back: dict[str, str]) -> str:
    truth = {"true": "1", "false": "0"}
    return "\n".join(
        f"{key}={value} was not taken"
        for key, value in ours.items()
        if truth.get(given_back.get(key, ""), given_back.get(key)) != truth.get(value, value)
    )


def first_start(target: Target) -> str:
    return _schema(target, "cloud-config", "user-data")


def first_network(target: Target) -> str:
    return _schema(target, "network-config", "network-config")


def _schema(target: Target, kind: str, name: str) -> str:
    answer = target.run("cloud-init", "schema", "--schema-type", kind, "--config-file", f"/boot/firmware/{name}")
    return "" if answer.code == 0 and "Valid schema" in answer.out else answer.err + answer.out


def identity(target: Target) -> str:
    """cloud-init has no schema for meta-data; without an instance-id it does nothing at all."""
    text = target.at("/boot/firmware/meta-data").read_text()
    return "" if re.search(r"^instance-id: [a-z0-9-]+$", text, re.MULTILINE) else "no instance-id"


def firmware(target: Target) -> str:
    """config.txt has no checker: held against gate.toml. The strike and the lamps are dark before Linux runs."""
    door = tomllib.loads((SOURCE / "gate.toml").read_text())["door"]
    lines = target.at("/boot/firmware/config.txt").read_text().splitlines()
    low = {
        int(n) for line in lines if (found := re.fullmatch(r"gpio=([\d,]+)=op,dl", line)) for n in found[1].split(",")
    }
    lamps = {door[f"{name}_pin"] for name in ("strike", "green", "amber", "red", "white")} - {-1}
    wrong = [f"pin {pin} is not low at power-on" for pin in sorted(lamps - low)]
    wrong += [f"not a line of config.txt: {line}" for line in lines if not re.fullmatch(r"|#.*|\[\w+\]|\w+=\S+", line)]
    wrong += [f"cut by the firmware: {line}" for line in lines if len(line) > CONFIG_TXT_COLUMNS_MAX]
    wrong += [] if "dtparam=watchdog=on" in lines else ["the hardware watchdog is off"]
    return "\n".join(wrong)


def read_only_root(target: Target) -> str:
    """overlayroot reads its file as shell; recurse=0, or the journal would live in memory too."""
    answer = target.run("sh", "-uc", '. /etc/overlayroot.conf; echo "$overlayroot"')
    if answer.complaint:
        return answer.complaint
    kind, _, options = answer.out.strip().partition(":")
    return "" if kind == "tmpfs" and "recurse=0" in options.split(",") else f"the journal would be lost: {answer.out}"


def strike(target: Target) -> str:
    """The real script and the real gpioset: there is no chip here, so it must fail for that line and no other cause."""
    target.write("/var/lib/portillon/gate.toml", (SOURCE / "gate.toml").read_text())
    said = target.run("/usr/lib/portillon/strike-low", "/var/lib/portillon/gate.toml").err
    return "" if "cannot find line 'GPIO17'" in said else said or "the pin was not asked for"


def launcher(target: Target) -> str:
    """The real script on a new card: with no version beside it, the card's own program is what starts."""
    return target.run("/usr/lib/portillon/launch", "/var/lib/portillon", "/opt/portillon/venv", "900", "run").complaint


CHECKS: dict[str, Callable[[Target], str]] = {
    check.__name__: check
    for check in (
        units, exposure, journald, manager, users, temporary_files, device_rules, packet_filter, time_of_day,
        network_profile, network_settings, first_start, first_network, identity, firmware, read_only_root, strike,
        launcher,
    )
}  # fmt: skip
