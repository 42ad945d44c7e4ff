"""The tenant wall as it stands in schema.sql: every table with a district has row security, forced, and a policy; no SQL is glued."""

from __future__ import annotations

import ast
import re

from tests.house.tree import dotted, listing, python_files, text, tree

SCHEMA = "cloud/schema/schema.sql"
TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+) \((.*?)\n\)", re.DOTALL | re.IGNORECASE)


def tenant_tables() -> list[str]:
    return [name for name, body in TABLE.findall(text(SCHEMA)) if re.search(r"^\s*district_id\b", body, re.MULTILINE)]


def test_every_table_of_a_district_has_forced_row_security_and_a_policy() -> None:
    schema = text(SCHEMA)
    assert tenant_tables()
    problems = [
        f"{table}: {what} missing"
        for table in tenant_tables()
        for what, pattern in (
            ("ENABLE ROW LEVEL SECURITY", rf"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"),
            ("FORCE ROW LEVEL SECURITY", rf"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"),
            ("policy", rf"CREATE POLICY \w+ ON {table}\b"),
        )
        if not re.search(pattern, schema, re.IGNORECASE)
    ]
    assert not problems, listing(problems)


def test_no_statement_is_glued_together_from_values() -> None:
    problems = [
        f"{name}:{node.lineno}"
        for name in python_files("cloud")
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in {"execute", "executemany", "copy"} and node.args
        if isinstance(node.args[0], ast.JoinedStr)
        or (isinstance(node.args[0], ast.BinOp) and isinstance(node.args[0].op, ast.Mod))
        or (isinstance(node.args[0], ast.Call) and dotted(node.args[0].func).endswith("format"))
    ]
    assert not problems, listing(problems)


def test_a_transaction_is_asked_for_in_one_place_so_that_it_commits_before_the_answer() -> None:
    problems = [
        f"{name}:{node.lineno} Depends with its own scope; use the alias of cloud/kit/db.py"
        for name in python_files("cloud")
        if not name.startswith("cloud/kit/")
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] == "Depends"
        if any(keyword.arg == "scope" for keyword in node.keywords)
    ]
    assert not problems, listing(problems)
