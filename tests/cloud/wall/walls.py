"""What row security lets through of one table: asked as the application, of every setting, and told in one value.

Responsible for: the questions to a table (`look_at`), which policies and which forced walls there are, and what takes
each away or makes it useless. Not responsible for: what should come out (test_walls.py says it by hand).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import psycopg

from tests.cloud.wall.town import Town

# Tables of a district: their own column, and the one that names a child, a person.
TABLES = """
    SELECT c.relname::text, CASE WHEN c.relname = 'district' THEN 'id' ELSE 'district_id' END
      FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relrowsecurity
     ORDER BY 1"""
# Every policy, and for each table that it is forced: what takes it away.
MUTATIONS = """
    SELECT tablename::text, policyname::text, format('DROP POLICY %I ON %I', policyname, tablename)
      FROM pg_policies WHERE schemaname = 'public'
    UNION ALL
    SELECT tablename, policyname || ' lets all through',
           format('ALTER POLICY %I ON %I %s', policyname, tablename, concat_ws(' ',
                  CASE WHEN qual IS NOT NULL THEN 'USING (true)' END,
                  CASE WHEN with_check IS NOT NULL THEN 'WITH CHECK (true)' END))
      FROM pg_policies WHERE schemaname = 'public' AND concat(qual, with_check) NOT IN ('true', 'truetrue')
    UNION ALL
    SELECT relname::text, 'row security', format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', relname)
      FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relrowsecurity
    UNION ALL
    SELECT relname::text, 'force', format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', relname)
      FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relforcerowsecurity
    ORDER BY 1, 2"""

COLUMNS = """
    SELECT string_agg(format('%%I', attname), ', ' ORDER BY attnum),
           CASE WHEN bool_or(attidentity <> '') THEN 'OVERRIDING SYSTEM VALUE' ELSE '' END
      FROM pg_attribute
     WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"""

Seen = frozenset[str]


@dataclass(frozen=True)
class Wall:
    """What came out. unset: SQLSTATE with no district set. Seen: rows as text. What becomes of an INSERT (a copy of
    rows that are there), an UPDATE and a DELETE is told as the number of rows or the SQLSTATE: by our staff to the
    neighbour's rows, by people of ours in a guardian's transaction to what they see; and by the owner to all.
    """

    unset: str
    staff: Seen
    neighbour: Seen
    mother: Seen
    father: Seen
    staff_writes: tuple[str, ...]
    guardian_writes: tuple[str, ...]
    owner: tuple[str, ...]


class Walls:
    """The tables of one town, asked through one connection of the superuser that becomes somebody else."""

    def __init__(self, connection: psycopg.Connection, town: Town) -> None:
        self._connection, self._town = connection, town
        self.tables: list[tuple[str, str]] = connection.execute(TABLES).fetchall()
        self.mutations: list[tuple[str, str, str]] = connection.execute(MUTATIONS).fetchall()

    def rows(self, table: str, where: str = "true") -> Seen:
        """Return rows of both districts, as the superuser sees them."""
        found = self._connection.execute(f'SELECT t::text FROM "{table}" t WHERE {where}'.encode())
        return frozenset(text for text, in found)

    def look_at(self, table: str, key: str, mutation: str = "") -> Wall:
        """Ask one table everything, in a transaction that leaves nothing behind."""
        here, there = self._town.here.cast, self._town.there.cast
        with self._undone():
            self._connection.execute(
                f'CREATE TEMP TABLE wall_copy AS SELECT * FROM "{table}"; GRANT SELECT ON wall_copy TO PUBLIC'.encode()
            )
            if mutation:
                self._connection.execute(mutation.encode())
            with self._as("portillon_app", None):
                unset = self._told(f'SELECT count(*) FROM "{table}"')
            settings = ((here.district, None), (there.district, None), (here.district, here.mother),
                        (here.district, here.father))  # fmt: skip
            views = []
            for district, person in settings:
                with self._as("portillon_app", district, person):
                    views.append(self.rows(table))
            with self._as("portillon_app", here.district):
                staff_writes = self._writes(table, key, there.district)
            guardian_writes: tuple[str, ...] = ()
            for person in (here.mother, here.father, here.teacher):
                with self._as("portillon_app", here.district, person):
                    guardian_writes += self._writes(table, key, here.district, of=table)
            with self._as("portillon_owner", here.district):
                owner = (self._told(f'SELECT 1 FROM "{table}"'), *self._writes(table, key, None))
        staff, neighbour, mother, father = views
        return Wall(unset, staff, neighbour, mother, father, staff_writes, guardian_writes, owner)

    def _writes(self, table: str, key: str, district: UUID | None, of: str = "wall_copy") -> tuple[str, ...]:
        """Return what becomes of an INSERT of rows of `of`, an UPDATE and a DELETE. district None: of any."""
        columns, overriding = self._connection.execute(COLUMNS, (table,)).fetchone() or ("", "")
        of_district = f"WHERE \"{key}\" = '{district}'" if district else ""
        if self._told(f'SELECT 1 FROM "{of}"') == "0 rows":
            of = "wall_copy"  # Who sees none of these rows might still make one up.
        return tuple(map(self._told, (
            f'INSERT INTO "{table}" ({columns}) {overriding} SELECT {columns} FROM "{of}" {of_district}',
            f'UPDATE "{table}" SET "{key}" = "{key}" {of_district}',
            f'DELETE FROM "{table}" {of_district}',
        )))  # fmt: skip

    def _told(self, statement: str) -> str:
        """Return how many rows a statement hit, or the SQLSTATE with which it was refused; nothing of it stays."""
        try:
            with self._undone():
                return f"{self._connection.execute(statement.encode()).rowcount} rows"
        except psycopg.Error as error:
            return error.sqlstate or ""

    @contextmanager
    def _as(self, role: str, district: UUID | None, person: UUID | None = None) -> Iterator[None]:
        with self._undone():
            if district:
                self._connection.execute(
                    "SELECT set_config('app.district', %s, true), set_config('app.person', %s, true)",
                    (str(district), str(person or "")),
                )
            self._connection.execute(f"SET LOCAL ROLE {role}".encode())
            yield

    @contextmanager
    def _undone(self) -> Iterator[None]:
        with self._connection.transaction(force_rollback=True):
            yield
