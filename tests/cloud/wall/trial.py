"""Break a rule on purpose, inside a transaction that is rolled back, and say what the database answered.

Responsible for: the statements that break a rule (rules.py), made from the catalog where a rule needs no imagination;
the answer as (SQLSTATE, name). Runs as the superuser, so that only the rule itself stands in the way: a rule holds for
everybody. Not responsible for: row security (walls.py).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from tests.cloud.wall.breakages import BROKEN_BY
from tests.cloud.wall.rules import RULES, Rule

Answer = tuple[str, str]
PASSED: Answer = ("", "")
CHUNK = re.compile(r"^\d+_\d+_")  # TimescaleDB writes the number of a chunk before the name of its key

COLUMNS = """
    SELECT a.attname::text AS name, format_type(a.atttypid, NULL) AS kind, a.attgenerated <> '' AS is_generated
      FROM pg_attribute a WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""

FRESH = {  # a value that stands nowhere, of the shape of the one that was there
    "uuid": "gen_random_uuid()",
    "bigint": "4000000000 + (random() * 100000000)::bigint",
    "integer": "1000000000 + (random() * 100000000)::integer",
    "smallint": "{column} + 1",
    "date": "{column} + 20000",
    "time without time zone": "{column} + interval '1 minute'",
    "timestamp with time zone": "{column} + interval '1 second'",
    "bytea": "substr(sha256(convert_to(random()::text, 'UTF8')), 1, octet_length({column}))",
    "text": "CASE WHEN {column} = upper({column}) THEN upper(substr(md5(random()::text), 1, greatest(length({column}),"
            " 8))) WHEN {column} LIKE '%%@%%' THEN md5(random()::text) || '@x' ELSE md5(random()::text) END",
}  # fmt: skip

FRESH_FIRST = list(FRESH)  # a word is the last to be made up: it may be one of a few that are known


@dataclass(frozen=True)
class Column:
    name: str
    kind: str
    is_generated: bool


class Trial:
    """Rules tried on one database through one connection of the superuser."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        with connection.cursor(row_factory=class_row(Rule)) as cursor:
            found = cursor.execute(RULES).fetchall()
        self.rules = [rule for rule in found if not any(rule.is_implied_by(other) for other in found)]

    def answer(self, rule: Rule, taken_away: bool = False) -> Answer:
        """Return how a row that breaks the rule is refused; taken_away: once the rule is gone."""
        told = PASSED
        for statement in self._breaking(rule):
            with self._undone():
                if taken_away:
                    self._connection.execute(rule.drop.encode())
                if rule.kind != "t":
                    self._put_triggers_aside(rule)
                told = self._told(statement)
            if told == rule.answer:
                return told
        return told

    def _put_triggers_aside(self, rule: Rule) -> None:
        """TimescaleDB does not let a trigger be disabled, so it goes for the length of the trial."""
        for name in {other.predicate for other in self.rules if other.kind == "t" and other.table == rule.table}:
            self._connection.execute(f'DROP TRIGGER "{name}" ON "{rule.table}"'.encode())

    def _told(self, statement: str) -> Answer:
        try:
            with self._connection.transaction():
                self._connection.execute(statement.encode())
                self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except psycopg.Error as error:
            return error.sqlstate or "", CHUNK.sub("", error.diag.constraint_name or "")
        return PASSED

    @contextmanager
    def _undone(self) -> Iterator[None]:
        with self._connection.transaction(force_rollback=True):
            yield

    def _breaking(self, rule: Rule) -> Iterator[str]:
        _, written = BROKEN_BY.get(rule.name, ("", ""))
        if written.startswith("COPY"):
            yield self._copy(rule, *_read_copy(written))
        elif re.match(r"(DO|[A-Z]{4,}) ", written):
            yield written
        elif written:
            yield f'UPDATE "{rule.table}" SET {written}'
        elif rule.kind in "upi":
            yield self._copy(rule, self._outside(rule), {})
        elif rule.kind == "f":
            yield self._copy(rule, [*self._outside(rule), rule.columns[-1]], {})
            yield (f'UPDATE "{rule.table}" SET "{rule.columns[-1]}" = {self._fresh(rule, rule.columns[-1])}'
                   f' WHERE ctid = (SELECT ctid FROM "{rule.table}" ORDER BY {self._whole(rule)} LIMIT 1)')

    def _outside(self, rule: Rule) -> list[str]:
        """Return a column of every other unique key of the table, so that a copy breaks this rule alone."""
        others = [other.columns for other in self.rules if other.table == rule.table and other.kind in "upi"
                  and other.name != rule.name]
        own = set() if rule.kind == "f" else set(rule.columns)
        kinds = {column.name: column.kind for column in self._columns(rule)}
        outside = [[column for column in columns if column not in own] for columns in others]
        return [min(columns, key=lambda name: (name == "district_id", FRESH_FIRST.index(kinds[name])))
                for columns in outside if columns]  # fmt: skip

    def _copy(self, rule: Rule, fresh: list[str], given: dict[str, str], where: str = "") -> str:
        columns = [column.name for column in self._columns(rule) if not column.is_generated]
        values = [
            given.get(name) or (self._fresh_unless_null(rule, name) if name in fresh else f'"{name}"')
            for name in columns
        ]
        listed = ", ".join(f'"{name}"' for name in columns)
        where = where or (rule.predicate if rule.kind == "i" else "") or "true"
        return (f'INSERT INTO "{rule.table}" ({listed}) OVERRIDING SYSTEM VALUE SELECT {", ".join(values)}'
                f' FROM "{rule.table}" WHERE {where} ORDER BY {self._whole(rule)} LIMIT 1')

    def _whole(self, rule: Rule) -> str:
        """Order rows so that one whose columns of this rule are all said comes first."""
        return ", ".join(f'"{name}" IS NULL' for name in rule.columns) or "1"

    def _fresh(self, rule: Rule, name: str) -> str:
        kind = next(column.kind for column in self._columns(rule) if column.name == name)
        return FRESH[kind].replace("{column}", f'"{name}"')

    def _fresh_unless_null(self, rule: Rule, name: str) -> str:
        is_tried = rule.kind == "f" and name == rule.columns[-1]
        fresh = self._fresh(rule, name)
        return fresh if is_tried else f'CASE WHEN "{name}" IS NOT NULL THEN {fresh} END'

    def _columns(self, rule: Rule) -> list[Column]:
        with self._connection.cursor(row_factory=class_row(Column)) as cursor:
            return cursor.execute(COLUMNS, (rule.table,)).fetchall()


def _read_copy(written: str) -> tuple[list[str], dict[str, str], str]:
    """Read `COPY id, slot = 5 OF condition`: columns that get a new value, that get this one, and of which rows."""
    written, _, where = written.partition(" OF ")
    parts = [part.strip() for part in written.removeprefix("COPY").split(",") if part.strip()]
    given = dict(part.split(" = ", 1) for part in parts if " = " in part)
    return [part for part in parts if " = " not in part], given, where
