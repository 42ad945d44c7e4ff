"""Each rule of the database, and one row that breaks it: what must be refused, with which SQLSTATE and name.

Responsible for: the rules as the catalog names them; a breaking statement for each. Foreign keys and unique keys break
by themselves (a value that is nowhere; a copy of a row). CHECK, EXCLUDE and triggers are broken by hand: BROKEN_BY.
Not responsible for: running anything (trial.py). Append-only triggers are put aside while another rule is tried.
"""

from dataclasses import dataclass

from tests.cloud.wall.breakages import BROKEN_BY

SQLSTATE = {"c": "23514", "f": "23503", "u": "23505", "p": "23505", "i": "23505", "x": "23P01", "t": "23001"}

# Every constraint, every unique index that no constraint owns, every rule that a trigger of ours says by name
# (predicate: the trigger). TimescaleDB adds triggers of its own.
RULES = """
    SELECT k.contype::text AS kind, k.conrelid::regclass::text AS "table", k.conname::text AS name,
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(n, place)
                   JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY place) AS columns,
           '' AS predicate
      FROM pg_constraint k WHERE k.connamespace = 'public'::regnamespace AND k.contype IN ('c', 'f', 'u', 'p', 'x')
    UNION ALL
    SELECT 'i', i.indrelid::regclass::text, i.indexrelid::regclass::text,
           ARRAY(SELECT a.attname::text FROM unnest(i.indkey::smallint[]) WITH ORDINALITY u(n, place)
                   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.n ORDER BY place),
           coalesce(pg_get_expr(i.indpred, i.indrelid), '')
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace
       AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)
    UNION ALL
    SELECT 't', t.tgrelid::regclass::text, coalesce(said.name, t.tgname::text), '{}', t.tgname::text
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
      LEFT JOIN LATERAL (
                SELECT m[1] AS name FROM regexp_matches(p.prosrc, '(?:CONSTRAINT =|broken :=) ''([a-z_]+)''', 'g') m
                ) said ON true
     WHERE NOT t.tgisinternal AND c.relnamespace = 'public'::regnamespace AND t.tgname NOT LIKE 'ts\\_%'
       AND t.tgconstraint = 0
    ORDER BY 2, 3"""


@dataclass(frozen=True)
class Rule:
    """One rule. kind: c check, f foreign key, u unique, p primary key, i unique index, x exclusion, t trigger."""

    kind: str
    table: str
    name: str
    columns: list[str]
    predicate: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"

    def is_implied_by(self, other: "Rule") -> bool:
        """Return whether whatever breaks this unique key breaks the other one first: it only serves foreign keys."""
        return (self.kind == "u" and other.kind in "up" and self.table == other.table
                and set(self.columns) > set(other.columns))

    @property
    def answer(self) -> tuple[str, str]:
        """Return the SQLSTATE and the name with which a broken row must be refused."""
        sqlstate, _ = BROKEN_BY.get(self.name, ("", ""))
        return sqlstate or SQLSTATE[self.kind], self.name

    @property
    def drop(self) -> str:
        """Return the statement that takes this rule away."""
        if self.kind == "t":
            return f'DROP TRIGGER "{self.predicate}" ON "{self.table}"'
        if self.kind == "i":
            return f'DROP INDEX "{self.name}"'
        return f'ALTER TABLE "{self.table}" DROP CONSTRAINT "{self.name}" CASCADE'
