"""Migrations: once each, never rewritten, two at a time wait; schema.sql is their sum."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from cloud.kit.migrate import (
    MIGRATIONS,
    MigrationRefused,
    migrate,
    migrations,
    prepare,
    state,
    use_timescale,
)
from tests.conftest import Clone

SCHEMA = MIGRATIONS.parent / "schema.sql"

CATALOG = {
    "columns": "SELECT table_name, column_name, data_type, udt_name, is_nullable, column_default, is_identity"
               " FROM information_schema.columns WHERE table_schema = 'public'",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
                   " WHERE connamespace = 'public'::regnamespace",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "policies": "SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies",
    "walls": "SELECT oid::regclass::text, relkind::text, relrowsecurity, relforcerowsecurity FROM pg_class"
             " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')",
    "functions": "SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid), p.proacl::text,"
                 " p.proowner::regrole::text"
                 " FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS"
                 " (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')",
    "triggers": "SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "rights": "SELECT table_name, grantee, privilege_type FROM information_schema.role_table_grants"
              " WHERE table_schema = 'public' AND grantee <> 'postgres'",
    "column rights": "SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL"
                     " AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)",
    "types": "SELECT t.typname, e.enumlabel FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid",
}


def catalog(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Return what a database is made of; the table of migrations itself is left out."""
    with psycopg.connect(url) as connection:
        found = {what: connection.execute(query).fetchall() for what, query in CATALOG.items()}  # pyright: ignore
    return {what: sorted((row for row in rows if "migration" not in row[:2]), key=repr) for what, rows in found.items()}


def test_the_schema_file_equals_the_sum_of_the_migrations(clone: Clone, empty_database: Clone) -> None:
    with psycopg.connect(empty_database.owner_url, autocommit=True) as connection:
        prepare(connection)
        connection.execute("SET ROLE portillon_owner")
        connection.execute(SCHEMA.read_bytes())
        use_timescale(connection)
    by_migrations, by_file = catalog(clone.owner_url), catalog(empty_database.owner_url)
    for what in CATALOG:
        assert by_file[what] == by_migrations[what], what


def test_a_second_run_does_nothing(clone: Clone) -> None:
    assert migrate(clone.owner_url) == []
    with psycopg.connect(clone.url) as connection:
        assert state(connection) == []


def test_two_migrations_at_once_wait_for_each_other(empty_database: Clone) -> None:
    with ThreadPoolExecutor(2) as two:
        ran = list(two.map(migrate, [empty_database.owner_url] * 2))
    assert sorted(map(len, ran)) == [0, len(migrations())]


def test_a_rewritten_migration_is_refused(empty_database: Clone, tmp_path: Path) -> None:
    file = tmp_path / "0001_a.sql"
    file.write_text("CREATE TABLE a (id int)")
    assert migrate(empty_database.owner_url, tmp_path) == ["0001_a"]
    file.write_text("CREATE TABLE a (id bigint)")
    with pytest.raises(MigrationRefused, match="0001_a"):
        migrate(empty_database.owner_url, tmp_path)


def test_a_migration_that_fails_changes_nothing_and_the_next_run_continues(empty_database: Clone, tmp_path: Path
                                                                           ) -> None:
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE a (id int)")
    second = tmp_path / "0002_b.sql"
    second.write_text("CREATE TABLE b (id int); SELECT 1/0")
    with pytest.raises(MigrationRefused, match="0002_b"):
        migrate(empty_database.owner_url, tmp_path)
    second.write_text("CREATE TABLE b (id int)")
    assert migrate(empty_database.owner_url, tmp_path) == ["0002_b"]


def test_two_migrations_with_one_number_are_refused(tmp_path: Path) -> None:
    for name in ("0001_a.sql", "0001_b.sql"):
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationRefused, match="one number"):
        migrations(tmp_path)


def test_the_application_role_passes_no_wall_and_owns_nothing(clone: Clone) -> None:
    with psycopg.connect(clone.owner_url) as connection:
        rights = connection.execute(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = 'portillon_app'"
        ).fetchone()
        owned = connection.execute("SELECT count(*) FROM pg_class WHERE relowner = 'portillon_app'::regrole").fetchone()
        tables = connection.execute(
            "SELECT has_schema_privilege('portillon_app', 'public', 'CREATE')").fetchone()
    assert rights == (False, False, False, False)
    assert owned == (0,)
    assert tables == (False,)
