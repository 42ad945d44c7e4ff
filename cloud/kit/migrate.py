"""Migrations: plain forward-only SQL files, one transaction each, run once, checked ever after.

Responsible for: the roles `portillon_owner` and `portillon_app`, extensions, the table `migration`, the advisory
lock that makes two migrations wait for each other. Not responsible for: what the files say (ARCHITECTURE 7).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

MIGRATIONS = Path(__file__).parent.parent / "schema" / "migrations"
TIMESCALE = MIGRATIONS.parent / "timescale.sql"  # Repeatable: hypertables, where the extension is.
LOCK_KEY = 0x706F7274  # "port": any constant does, as long as it stays the same.
OWNER = "portillon_owner"
APP = "portillon_app"
ROLES: tuple[tuple[str, LiteralString], ...] = (
    (OWNER, "NOLOGIN"),
    (APP, "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"),
)
OPTIONAL_EXTENSIONS = ("timescaledb",)  # Used where the server has it; plain tables where not.
NEEDED_EXTENSIONS = ("btree_gist",)  # Exclusion constraints over uuid and smallint (I1, I2, I13).


class MigrationRefused(Exception):
    """The database and the files disagree, or the role may not do what is needed. Says what to type."""


@dataclass(frozen=True)
class Migration:
    """One file. checksum: SHA-256 of its bytes, hex."""

    name: str
    text: str
    checksum: str


def migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """Return the files in the order of their numbers. Raises MigrationRefused when two have one number."""
    found = [
        Migration(file.stem, file.read_text(encoding="utf-8"), hashlib.sha256(file.read_bytes()).hexdigest())
        for file in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    ]
    numbers = [migration.name[:4] for migration in found]
    if len(set(numbers)) != len(numbers):
        raise MigrationRefused(f"two migrations have one number: {', '.join(numbers)}")
    return found


def migrate(owner_url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Bring a database up to date and return the names of the migrations that ran now.

    owner_url: a role that may create tables here (a superuser once, to make the roles; the owner ever after).
    """
    files = migrations(folder)
    with psycopg.connect(owner_url, autocommit=True, connect_timeout=5) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        prepare(connection)
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(OWNER)))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, checksum text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        connection.execute(sql.SQL("GRANT SELECT ON migration TO {}").format(sql.Identifier(APP)))
        applied = dict(connection.execute("SELECT name, checksum FROM migration").fetchall())
        _refuse_rewritten(files, applied)
        waiting = [migration for migration in files if migration.name not in applied]
        for migration in waiting:
            _run(connection, migration)
        if folder == MIGRATIONS:
            use_timescale(connection)
        return [migration.name for migration in waiting]


def use_timescale(connection: psycopg.Connection[Any]) -> None:
    """Turn the large tables into hypertables where this database has the extension; a second time changes nothing."""
    if _has(connection, "SELECT 1 FROM pg_extension WHERE extname = %s", "timescaledb") and TIMESCALE.exists():
        with connection.transaction():
            connection.execute(TIMESCALE.read_bytes())


def state(connection: psycopg.Connection[Any], folder: Path = MIGRATIONS) -> list[str]:
    """Return the names of migrations that this database still needs. Any role may ask."""
    known = connection.execute("SELECT to_regclass('public.migration') IS NOT NULL").fetchone()
    applied: set[str] = set()
    if known and known[0]:
        applied = {row[0] for row in connection.execute("SELECT name FROM migration").fetchall()}
    return [migration.name for migration in migrations(folder) if migration.name not in applied]


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Make roles and extensions where they are missing. Running it twice changes nothing."""
    for role, rights in ROLES:
        try:
            connection.execute(  # Two databases of one server may be prepared at once: the loser finds the role.
                sql.SQL("DO $$ BEGIN CREATE ROLE {} {}; EXCEPTION WHEN duplicate_object OR unique_violation"
                        " THEN NULL; END $$").format(sql.Identifier(role), sql.SQL(rights))
            )
        except psycopg.errors.InsufficientPrivilege as error:
            if not _has(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", role):
                raise MigrationRefused(
                    f"the role {role} is missing and may not be made: run `CREATE ROLE {role} {rights}` as superuser"
                ) from error
    for extension in (*NEEDED_EXTENSIONS, *OPTIONAL_EXTENSIONS):
        _extension(connection, extension)
    if _has(connection, "SELECT 1 FROM pg_roles WHERE rolname = current_user AND rolsuper", None):
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("GRANT CREATE, CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
            name, sql.Identifier(OWNER)))
        connection.execute(sql.SQL("GRANT CREATE, USAGE ON SCHEMA public TO {}").format(sql.Identifier(OWNER)))
        connection.execute(sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))


def _extension(connection: psycopg.Connection[Any], name: str) -> None:
    if _has(connection, "SELECT 1 FROM pg_extension WHERE extname = %s", name):
        return
    available = _has(connection, "SELECT 1 FROM pg_available_extensions WHERE name = %s", name)
    if not available and name in OPTIONAL_EXTENSIONS:
        return
    try:
        connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(name)))
    except psycopg.Error as error:
        if name in OPTIONAL_EXTENSIONS:  # Installed but not preloaded, or not ours to create: plain tables serve.
            return
        raise MigrationRefused(f"run `CREATE EXTENSION {name}` in this database as superuser ({error})") from error


def _has(connection: psycopg.Connection[Any], query: Any, name: str | None) -> bool:
    return connection.execute(query, (name,) if name else None).fetchone() is not None


def _refuse_rewritten(files: list[Migration], applied: dict[str, str]) -> None:
    rewritten = [one.name for one in files if one.name in applied and applied[one.name] != one.checksum]
    if rewritten:
        raise MigrationRefused(
            f"already applied and changed since: {', '.join(rewritten)}; put the file back and write a new migration"
        )


def _run(connection: psycopg.Connection[Any], migration: Migration) -> None:
    try:
        with connection.transaction():
            connection.execute(migration.text.encode())
            connection.execute(
                "INSERT INTO migration (name, checksum) VALUES (%s, %s)", (migration.name, migration.checksum)
            )
    except psycopg.Error as error:
        raise MigrationRefused(f"{migration.name} failed and changed nothing: {error}") from error
