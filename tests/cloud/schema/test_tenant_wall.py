"""The wall between districts and between families, asked of the database itself (INTEGRITY I11, I16)."""

from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from cloud.kit.db import Database, RuleBroken, many, one
from cloud.kit.ids import new_id
from tests.cast import FIRST_DAY, NOW, a_district

TABLES_WITH_A_DISTRICT = """
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT a.attisdropped
       AND (a.attname = 'district_id' OR c.relname = 'district') AND a.attnum > 0
       AND c.relname <> 'job' -- of the system, not of a district: the worker takes the next one of any; ids only
     GROUP BY c.oid ORDER BY 1"""


def test_every_table_with_a_district_is_walled_by_force(database: Database) -> None:
    with database.untenanted() as tx:
        names = many(tx, str, TABLES_WITH_A_DISTRICT)
        walled = many(
            tx, str,
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid"
            " AND p.polname = 'tenant' WHERE c.relrowsecurity AND c.relforcerowsecurity ORDER BY 1",
        )
    assert len(names) > 12
    assert set(names) == set(walled)


def test_every_walled_table_raises_where_no_district_is_set(database: Database) -> None:
    with database.untenanted() as tx:
        names = many(tx, str, TABLES_WITH_A_DISTRICT)
    unreadable = []
    for name in names:
        with pytest.raises(psycopg.errors.UndefinedObject), database.untenanted() as tx:
            tx.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name)))
        unreadable.append(name)
    assert unreadable == names


def test_a_connection_used_for_a_district_does_not_remember_it(database: Database) -> None:
    cast = a_district(database)
    with Database(database.url, 1) as narrow:
        with narrow.tenant(cast.district) as tx:
            assert one(tx, int, "SELECT count(*) FROM child") == 3
        with pytest.raises(psycopg.errors.InvalidTextRepresentation), narrow.untenanted() as tx:
            tx.execute("SELECT count(*) FROM child")


def test_two_districts_never_see_each_other(database: Database) -> None:
    here, there = a_district(database), a_district(database, "neighbour", 202)
    with database.tenant(here.district) as tx:
        assert set(many(tx, UUID, "SELECT id FROM child")) == {here.aigerim, here.timur, here.minh}
        assert many(tx, UUID, "SELECT id FROM person WHERE id = %s", (there.mother,)) == []
        assert tx.execute("UPDATE child SET given = 'x' WHERE id = %s", (there.minh,)).rowcount == 0


def test_a_row_cannot_be_written_into_the_neighbour_district(database: Database) -> None:
    here, there = a_district(database), a_district(database, "neighbour", 202)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.tenant(here.district) as tx:
        tx.execute(
            "INSERT INTO child (district_id, id, given, family) VALUES (%s, %s, 'a', 'b')", (there.district, new_id())
        )


def test_a_child_cannot_be_tied_to_a_person_of_the_neighbour_district(database: Database) -> None:
    here, there = a_district(database), a_district(database, "neighbour", 202)
    with pytest.raises(RuleBroken) as refused, database.tenant(here.district) as tx:
        tx.execute(
            "INSERT INTO escort_right (district_id, id, child_id, person_id, kind, slot, period)"
            " VALUES (%s, %s, %s, %s, 'may_collect', 4, tstzrange(%s, NULL))",
            (here.district, new_id(), here.aigerim, there.mother, NOW),
        )
    assert (refused.value.sqlstate, refused.value.constraint) == ("23503", "escort_right_of_person")


def test_every_foreign_key_between_walled_tables_carries_the_district(database: Database) -> None:
    with database.untenanted() as tx:
        names = set(many(tx, str, TABLES_WITH_A_DISTRICT))
        keys = tx.execute(
            "SELECT k.conname, k.conrelid::regclass::text, k.confrelid::regclass::text,"
            " (SELECT array_agg(a.attname::text)"
            " FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey))"
            " FROM pg_constraint k WHERE k.contype = 'f'"
        ).fetchall()
    walled = [row for row in keys if row[1] in names and row[2] in names]
    assert walled
    assert [row[0] for row in walled if "district_id" not in row[3]] == []


def test_a_guardian_sees_own_children_and_nobody_else(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district, cast.father) as tx:
        assert many(tx, UUID, "SELECT id FROM child") == [cast.aigerim]
        assert set(many(tx, UUID, "SELECT child_id FROM enrolment")) == {cast.aigerim}
        assert set(many(tx, UUID, "SELECT person_id FROM guardianship")) == {cast.mother, cast.father}
        assert set(many(tx, UUID, "SELECT id FROM person")) == {cast.mother, cast.father, cast.teacher}


def test_an_operator_sees_no_child_even_by_mistake(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district, cast.operator) as tx:
        assert many(tx, UUID, "SELECT id FROM child") == []
        assert many(tx, UUID, "SELECT id FROM guardianship") == []


# Tables that some right lets be written while no restrictive policy stops a guardian, and that a guardian is let into.
READ_ONLY_TO_FAMILIES = """
    SELECT c.relname FROM pg_class c WHERE c.relrowsecurity AND c.relname <> 'dead_letter'
       AND EXISTS (SELECT 1 FROM pg_policies p WHERE p.schemaname = 'public' AND p.tablename = c.relname
                      AND p.permissive = 'PERMISSIVE' AND p.cmd <> 'SELECT'
                      AND p.roles && ARRAY['portillon_app', 'public']::name[]
                      AND (p.qual NOT LIKE '%app_person() IS NULL%'
                           OR coalesce(p.with_check, p.qual) NOT LIKE '%app_person() IS NULL%'))
       AND EXISTS (SELECT 1 FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) AS right_to
                    WHERE has_table_privilege('portillon_app', c.oid, right_to) AND NOT EXISTS (
                      SELECT 1 FROM pg_policies p WHERE p.schemaname = 'public' AND p.tablename = c.relname
                         AND p.permissive = 'RESTRICTIVE' AND p.cmd = right_to
                         AND coalesce(p.with_check, p.qual) LIKE '%app_person() IS NULL%'))"""


def test_nothing_at_all_can_be_written_in_a_guardians_transaction(database: Database) -> None:
    with database.untenanted() as tx:
        assert many(tx, str, READ_ONLY_TO_FAMILIES) == []


def test_a_guardian_cannot_rewrite_the_day_of_an_own_child(database: Database) -> None:
    cast = a_district(database)
    day = (cast.district, cast.aigerim, FIRST_DAY, NOW)
    insert = ("INSERT INTO attendance_day (district_id, child_id, school_day, state, since, site, source)"
              " VALUES (%s, %s, %s, 'in', %s, 101, 'fact')")  # fmt: skip
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.tenant(cast.district, cast.mother) as tx:
        tx.execute(insert, day)
    with database.tenant(cast.district) as tx:
        tx.execute(insert, day)
    with database.tenant(cast.district, cast.mother) as tx:
        assert tx.execute("UPDATE attendance_day SET state = 'out'").rowcount == 0
        assert tx.execute("DELETE FROM attendance_day").rowcount == 0
        assert one(tx, int, "SELECT count(*) FROM attendance_day") == 1


def test_a_guardian_cannot_give_themselves_a_child(database: Database) -> None:
    cast = a_district(database)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.tenant(cast.district, cast.stranger) as tx:
        tx.execute(
            "INSERT INTO guardianship (district_id, id, child_id, person_id, relation, authority, lives_with,"
            " may_collect, may_read, may_sign, period)"
            " VALUES (%s, %s, %s, %s, 'x', true, true, true, true, true, daterange(%s, NULL))",
            (cast.district, new_id(), cast.aigerim, cast.stranger, FIRST_DAY),
        )
    with database.tenant(cast.district, cast.father) as tx:
        assert tx.execute("UPDATE guardianship SET may_sign = false").rowcount == 0


def test_the_application_cannot_delete_who_is_who(database: Database) -> None:
    cast = a_district(database)
    for table in ("child", "person", "guardianship", "escort_right", "enrolment", "school", "district"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), database.tenant(cast.district) as tx:
            tx.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    with database.tenant(cast.district) as tx:
        assert one(tx, int, "SELECT count(*) FROM child") == 3
