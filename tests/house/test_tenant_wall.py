"""The tenant wall as it stands in schema.sql, and how statements and transactions are written in cloud/."""

from __future__ import annotations

import ast
import re

from tests.house.tree import dotted, listing, python_files, text, walked

SCHEMA = "cloud/schema/schema.sql"
# Tables in which no row is about a person: places, what the machine knows of itself, public keys.
ABOUT_NOBODY = {
    "academic_session",
    "class",
    "district",
    "ledger",
    "migration",
    "revoked_issuer",
    "schedule",
    "school",
    "site",
    "trust_list",
}
TRANSACTIONS_BEGIN_IN = ("cloud/kit/web.py", "cloud/identity/doors.py")
TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+) \((.*?)\n\)", re.DOTALL | re.IGNORECASE)


# Named with a district, but for everybody who serves: reason.
OUTSIDE_THE_WALL = {"job": "the worker takes jobs of all districts and then opens that of one; ids only"}


def tenant_tables() -> list[str]:
    return [name for name, body in TABLE.findall(text(SCHEMA)) if re.search(r"^\s*district_id\b", body, re.MULTILINE)]


def walled_tables() -> set[str]:
    """Tables given to tenant_wall(), which enables and forces row security and makes the policy."""
    return set(re.findall(r"tenant_wall\('([a-z_]+)'", text(SCHEMA)))


def test_every_table_of_a_district_stands_behind_the_tenant_wall() -> None:
    wall = re.search(r"FUNCTION (?:public\.)?tenant_wall.*?\$(\w*)\$(.*?)\$\1\$", text(SCHEMA), re.DOTALL)
    assert wall and "FORCE ROW LEVEL SECURITY" in wall[2] and "ENABLE ROW LEVEL SECURITY" in wall[2]
    assert tenant_tables()
    missing = sorted(set(tenant_tables()) - walled_tables() - OUTSIDE_THE_WALL.keys())
    assert not missing, listing(missing)


def test_every_table_about_people_says_how_long_its_rows_are_kept() -> None:
    from cloud.retention import RULES

    tables = {name for name, _ in TABLE.findall(text(SCHEMA))}
    ruled = {rule.table for rule in RULES}
    missing, gone = sorted(tables - ruled - ABOUT_NOBODY), sorted(ruled - tables)
    assert not missing and not gone, f"cloud/retention.py: no rule for {missing}; no such table: {gone}"


def only_constants(statement: ast.JoinedStr) -> bool:
    """Whether all that is put into the text is a CONSTANT of the file (a channel's name cannot be a parameter)."""
    return all(
        isinstance(part.value, ast.Name) and part.value.id.isupper()
        for part in statement.values
        if isinstance(part, ast.FormattedValue)
    )


def test_no_statement_is_glued_together_from_values() -> None:
    problems = [
        f"{name}:{node.lineno}"
        for name in python_files("cloud")
        for node in walked(name)
        if isinstance(node, ast.Call)
        and dotted(node.func).split(".")[-1] in {"execute", "executemany", "copy"}
        and node.args
        if (isinstance(node.args[0], ast.JoinedStr) and not only_constants(node.args[0]))
        or (isinstance(node.args[0], ast.BinOp) and isinstance(node.args[0].op, ast.Mod))
        or (isinstance(node.args[0], ast.Call) and dotted(node.args[0].func).endswith("format"))
    ]
    assert not problems, listing(problems)


def test_a_transaction_is_asked_for_in_one_place_so_that_it_commits_before_the_answer() -> None:
    problems = [
        f"{name}:{node.lineno} Depends with its own scope; use an alias of {' or '.join(TRANSACTIONS_BEGIN_IN)}"
        for name in python_files("cloud")
        if name not in TRANSACTIONS_BEGIN_IN
        for node in walked(name)
        if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] == "Depends"
        if any(keyword.arg == "scope" for keyword in node.keywords)
    ]
    assert not problems, listing(problems)
