"""Who imports whom: the contracts of .importlinter, private SQL, and no cycle anywhere (docs/architecture.md)."""

from __future__ import annotations

import configparser
import subprocess
import sys
from functools import cache
from pathlib import Path

import grimp

from tests.house.tree import HOUSES, ROOT, files, listing


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        *HOUSES, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


def slices() -> set[str]:
    """The slices of cloud/: folders that have a door (service.py) or a model."""
    return {f"cloud.{Path(name).parent.name}" for name in files() if Path(name).match("cloud/*/service.py")} | {
        f"cloud.{Path(name).parent.name}" for name in files() if Path(name).match("cloud/*/model.py")
    }


def test_every_import_contract_is_kept() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", str(ROOT / ".importlinter")]
    run = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_slice_of_cloud_is_listed_in_the_contracts() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    listed = set(contracts["importlinter:contract:inside"]["containers"].split())
    assert slices() <= listed, f"add to .importlinter: {sorted(slices() - listed)}"


def test_sql_of_a_slice_is_asked_only_by_its_own_service() -> None:
    problems = [
        f"{importer} imports {module}; ask {module.removesuffix('.queries')}.service instead"
        for module in sorted(graph().modules)
        if module.endswith(".queries")
        for importer in sorted(graph().find_modules_that_directly_import(module))
        if importer != module.removesuffix(".queries") + ".service"
    ]
    assert not problems, listing(problems)


def test_no_module_imports_itself_by_a_detour() -> None:
    imports = {
        module: {
            target for target in graph().find_modules_directly_imported_by(module) if target.split(".")[0] in HOUSES
        }
        for module in graph().modules
        if module.split(".")[0] in HOUSES
    }
    while True:
        leaves = {module for module, targets in imports.items() if not targets & imports.keys()}
        if not leaves:
            break
        imports = {module: targets for module, targets in imports.items() if module not in leaves}
    # What is left imports something that is left: a cycle and those who lean on it.
    assert not imports, listing(
        [f"{module} -> {sorted(targets & imports.keys())}" for module, targets in sorted(imports.items())]
    )


def test_protocols_reaches_no_driver_no_clock_and_no_network() -> None:
    banned = {
        "os",
        "time",
        "socket",
        "sqlite3",
        "subprocess",
        "threading",
        "asyncio",
        "psycopg",
        "cv2",
        "paho",
        "httpx",
        "random",
    }
    problems = [
        f"{module} imports {target}"
        for module in sorted(graph().modules)
        if module.startswith("protocols.") and module != "protocols.verify"
        for target in sorted(graph().find_modules_directly_imported_by(module))
        if target.split(".")[0] in banned
    ]
    assert not problems, listing(problems)
