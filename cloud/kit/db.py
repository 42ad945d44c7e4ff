"""PostgreSQL for everybody: one pool, transactions with a tenant, rows as frozen dataclasses.

Responsible for: `database.tenant(district, person)` and `database.untenanted()`; the settings `app.district`
and `app.person` that row-level security reads, always local to the transaction; translation of broken
constraints into RuleBroken(sqlstate, constraint) once, here.
Not responsible for: any table; a route's transaction (`Tx` in kit/web.py).
Rules: ARCHITECTURE 6 and 8, INTEGRITY I11 and I16.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString, Self, TypeAlias, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg_pool import ConnectionPool, PoolTimeout

if TYPE_CHECKING:  # Worker and ingest use this file without a web framework in memory.
    from fastapi import Request

CONNECT_SECONDS = 5.0  # How long a page waits for a connection before it says that the database is away.
RECONNECT_SECONDS = 1.0  # The pool doubles its waits; given up this soon, each use tries anew after an outage.

Row = TypeVar("Row")
Parameters = Mapping[str, Any] | Sequence[Any] | None


class RuleBroken(Exception):
    """The database refused a row. sqlstate: five characters; constraint: its name in schema.sql, or ''."""

    def __init__(self, sqlstate: str, constraint: str) -> None:
        super().__init__(f"{sqlstate} {constraint}".strip())
        self.sqlstate = sqlstate
        self.constraint = constraint


class DatabaseAway(Exception):
    """The database cannot be reached, or went away in the middle. Nothing of the transaction is kept."""


class TenantRefused(Exception):
    """The role may pass row-level security (superuser or BYPASSRLS), so it must not serve people."""


class _Cursor(psycopg.Cursor[Any]):
    """A cursor whose integrity errors carry our words. The transaction is aborted all the same."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> "_Cursor":
        with translated():
            super().execute(query, params, **options)
        return self

    def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        with translated():
            super().executemany(query, params_seq, **options)


Transaction: TypeAlias = psycopg.Connection[Any]
"""A connection inside a transaction that the kit opened. Services take it first and never commit it."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn psycopg's integrity errors into RuleBroken, whose trace shows nobody: PostgreSQL's words quote the row."""
    try:
        yield
    except psycopg.IntegrityError as error:
        raise RuleBroken(error.sqlstate or "", error.diag.constraint_name or "") from None


class Database:
    """A pool of connections to one database, as one role. Open it once a process, close it at the end."""

    def __init__(self, url: str, pool_size: int = 10, *, connect_seconds: float = CONNECT_SECONDS) -> None:
        self.url = url
        self._pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            url,
            min_size=1,
            max_size=pool_size,
            timeout=connect_seconds,
            open=False,
            reconnect_timeout=RECONNECT_SECONDS,
            kwargs={"autocommit": True, "cursor_factory": _Cursor, "connect_timeout": max(2, int(connect_seconds))},
            check=ConnectionPool.check_connection,
        )

    def open(self) -> Self:
        """Open the pool without waiting for the database: what cannot be reached is said by the first use."""
        self._pool.open(wait=False)
        return self

    def close(self) -> None:
        self._pool.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def reach(self) -> None:
        """Connect once, past the pool, and raise DatabaseAway with the server's own words. For commands."""
        try:
            psycopg.connect(self.url, connect_timeout=max(2, int(self._pool.timeout))).close()
        except psycopg.OperationalError as error:
            raise DatabaseAway(str(error).strip()) from error

    def refuse_strong_role(self) -> None:
        """Raise TenantRefused when this role could read past the wall. Called before serving people, and by /health.

        Connects past the pool first: a server that is not there says so at once, where the pool would wait for it.
        """
        self.reach()
        with self.untenanted() as tx:
            strong = one(
                tx, bool, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
            )
        if strong:
            raise TenantRefused("the role of PORTILLON_DATABASE_URL passes row-level security: use portillon_app")

    @contextmanager
    def tenant(self, district_id: UUID, person_id: UUID | None = None) -> Iterator[Transaction]:
        """Open a transaction that sees one district; with person_id, only what that guardian may see (I11)."""
        with self._transaction() as tx:
            tx.execute(
                "SELECT set_config('app.district', %s, true), set_config('app.person', %s, true)",
                (str(district_id), str(person_id or "")),
            )
            yield tx

    @contextmanager
    def untenanted(self) -> Iterator[Transaction]:
        """Open a transaction for tables with no tenant; touching a tenant's table in it raises."""
        with self._transaction() as tx:
            yield tx

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        try:
            with self._pool.connection() as connection, translated(), connection.transaction():
                yield connection
        except (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError) as error:
            if isinstance(error, (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)):
                raise
            raise DatabaseAway(str(error)) from error


def many(tx: Transaction, row: type[Row], query: LiteralString, parameters: Parameters = None) -> list[Row]:
    """Return all rows of a query, each as the dataclass `row` (columns named like its fields)."""
    with tx.cursor(row_factory=_factory(row)) as cursor:
        return cursor.execute(query, parameters).fetchall()


def one_or_none(tx: Transaction, row: type[Row], query: LiteralString, parameters: Parameters = None) -> Row | None:
    """Return the first row as the dataclass `row`, or None."""
    with tx.cursor(row_factory=_factory(row)) as cursor:
        return cursor.execute(query, parameters).fetchone()


def one(tx: Transaction, row: type[Row], query: LiteralString, parameters: Parameters = None) -> Row:
    """Return the only row. Raises LookupError when there is none."""
    found = one_or_none(tx, row, query, parameters)
    if found is None:
        raise LookupError("no row where one must be")
    return found


def _factory(row: type[Row]) -> Any:
    """Dataclasses take a row by name; a plain type (int, str, UUID, bool …) takes its only column."""
    if hasattr(row, "__dataclass_fields__"):
        return class_row(row)
    return lambda cursor: lambda values: values[0]


def database_of(request: "Request") -> Database:
    """Return the pool that the application opened."""
    return request.app.state.database
