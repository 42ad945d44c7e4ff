"""Granted roles: by whom, to whom, how high; nobody to themself; a school keeps a head, also when two leave at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any, LiteralString
from uuid import UUID

import pytest

from cloud.identity import grants
from cloud.identity import service as identity
from cloud.identity.grants import GrantRefused
from cloud.identity.model import Role
from cloud.kit import clock
from cloud.kit.db import Database, RuleBroken, many, one
from cloud.kit.errors import Refused
from cloud.kit.ids import new_id
from cloud.people import service as people
from cloud.schools import service as schools
from tests.cast import FIRST_DAY, TIMEZONE, Cast, a_district


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


def a_person(database: Database, cast: Cast, key: str, role: Role | None = None, *, at: UUID | None = None) -> UUID:
    with database.tenant(cast.district) as tx:
        made = people.put_person(tx, cast.district, sourced_id=key, given=key, family="", language="en")
        if role:
            identity.grant_role(tx, cast.district, made, role, FIRST_DAY, school_id=at)
    return made


def give(tx: Any, cast: Cast, person: UUID, role: Role, school: UUID | None, by: UUID, since: date = FIRST_DAY) -> UUID:
    return grants.give_role(
        tx, cast.district, person_id=person, role=role, school_id=school, class_id=None, first_day=since,
        last_day=None, by=by, now=clock.now(),
    )  # fmt: skip


def end(tx: Any, cast: Cast, grant: UUID, by: UUID) -> None:
    now = clock.now()
    grants.end_grant(
        tx, cast.district, grant_id=grant, school_id=cast.school, day=now.date(), by=by, now=now
    )


def refused(database: Database, cast: Cast, act: Callable[[Any], object]) -> str:
    with pytest.raises(GrantRefused) as told, database.tenant(cast.district) as tx:
        act(tx)
    return told.value.code


def held(database: Database, cast: Cast, person: UUID) -> list[tuple[str, UUID]]:
    with database.tenant(cast.district) as tx:
        found = tx.execute("SELECT role, id FROM role_grant WHERE person_id = %s ORDER BY role", (person,)).fetchall()
    return [(row[0], row[1]) for row in found]


def test_a_head_grants_up_to_head_at_the_own_school_and_no_further(database: Database, cast: Cast) -> None:
    clerk = a_person(database, cast, "clerk")
    with database.tenant(cast.district) as tx:
        other = schools.put_school(
            tx, cast.district, sourced_id="other", site=cast.site, name="Other", level="primary", timezone=TIMEZONE,
            language="ru",
        )
        for role in (Role.TEACHER, Role.GATE_STAFF, Role.DAY_CARE, Role.OFFICE, Role.HEAD):
            give(tx, cast, clerk, role, cast.school, cast.head)
        lines = many(tx, str, "SELECT action FROM audit_log WHERE by_person = %s", (cast.head,))
    roles = [role for role, _ in held(database, cast, clerk)]
    assert roles == ["day_care", "gate_staff", "head", "office", "teacher"]
    assert lines == ["role.grant"] * 5
    for role, school in ((Role.TEACHER, other), (Role.DISTRICT_OFFICER, None), (Role.AUDITOR, None),
                         (Role.OPERATOR, None), (Role.OPERATOR, cast.school), (Role.TEACHER, None)):
        told = refused(database, cast, lambda tx, role=role, school=school: give(
            tx, cast, clerk, role, school, cast.head))  # fmt: skip
        assert told == "ROLE_ABOVE"


def test_who_is_no_head_and_no_district_officer_grants_nothing(database: Database, cast: Cast) -> None:
    clerk = a_person(database, cast, "clerk", Role.OFFICE, at=cast.school)
    auditor, officer = (a_person(database, cast, role, role) for role in (Role.AUDITOR, Role.DISTRICT_OFFICER))
    somebody = a_person(database, cast, "somebody")
    for granter in (clerk, auditor, cast.teacher, cast.operator, cast.mother, somebody):
        told = refused(database, cast, lambda tx, granter=granter: give(
            tx, cast, cast.father, Role.TEACHER, cast.school, granter))  # fmt: skip
        assert told == "ROLE_ABOVE"
    with database.tenant(cast.district) as tx:
        give(tx, cast, somebody, Role.AUDITOR, None, officer)
    assert [role for role, _ in held(database, cast, somebody)] == ["auditor"]


def test_a_granter_whose_own_role_ended_grants_nothing(database: Database, cast: Cast) -> None:
    second = a_person(database, cast, "second", Role.HEAD, at=cast.school)
    with database.tenant(cast.district) as tx:
        identity.end_role(tx, cast.district, second, Role.HEAD, FIRST_DAY + timedelta(days=3))
    told = refused(database, cast, lambda tx: give(tx, cast, cast.father, Role.TEACHER, cast.school, second))
    assert told == "ROLE_ABOVE"


def test_nobody_grants_a_role_to_themself(database: Database, cast: Cast) -> None:
    officer = a_person(database, cast, "officer", Role.DISTRICT_OFFICER)
    for who in (cast.head, officer):
        told = refused(database, cast, lambda tx, who=who: give(tx, cast, who, Role.OFFICE, cast.school, who))
        assert told == "ROLE_OWN"


def test_the_last_head_of_a_school_stays_until_another_is_named(database: Database, cast: Cast) -> None:
    [(_, last)] = held(database, cast, cast.head)
    officer, today = a_person(database, cast, "officer", Role.DISTRICT_OFFICER), clock.now().date()
    assert refused(database, cast, lambda tx: end(tx, cast, last, cast.head)) == "ROLE_OWN"
    assert refused(database, cast, lambda tx: end(tx, cast, last, officer)) == "ROLE_LAST_HEAD"
    assert refused(database, cast, lambda tx: identity.end_role(
        tx, cast.district, cast.head, Role.HEAD, today)) == "ROLE_LAST_HEAD"
    second = a_person(database, cast, "second", Role.HEAD, at=cast.school)
    assert refused(database, cast, lambda tx: end(tx, cast, last, cast.teacher)) == "ROLE_ABOVE"
    with database.tenant(cast.district) as tx:
        end(tx, cast, last, second)
        left = grants.roles_of_school(tx, cast.district, cast.school, today)
        assert one(tx, UUID, "SELECT ended_by FROM role_grant WHERE id = %s", (last,)) == second
    assert [grant.person_id for grant in left if grant.role == Role.HEAD] == [second]
    with pytest.raises(Refused) as again, database.tenant(cast.district) as tx:
        end(tx, cast, last, second)
    assert again.value.code == "NOT_FOUND"


def test_two_heads_who_leave_at_once_leave_one_behind(database: Database, cast: Cast) -> None:
    second = a_person(database, cast, "second", Role.HEAD, at=cast.school)
    officer = a_person(database, cast, "officer", Role.DISTRICT_OFFICER)
    both = [held(database, cast, who)[0][1] for who in (cast.head, second)]

    def leave(grant: UUID) -> str:
        try:
            with database.tenant(cast.district) as tx:
                end(tx, cast, grant, officer)
        except GrantRefused as told:
            return told.code
        return "left"

    with ThreadPoolExecutor(2) as at_once:
        assert sorted(at_once.map(leave, both)) == ["ROLE_LAST_HEAD", "left"]
    with database.tenant(cast.district) as tx:
        assert one(tx, int, "SELECT count(*) FROM role_grant WHERE role = 'head' AND upper_inf(period)") == 1


def test_a_role_granted_by_mistake_today_ends_today(database: Database, cast: Cast) -> None:
    clerk = a_person(database, cast, "clerk")
    with database.tenant(cast.district) as tx:
        grant = give(tx, cast, clerk, Role.OFFICE, cast.school, cast.head, clock.now().date())
        end(tx, cast, grant, cast.head)
        assert one(tx, bool, "SELECT isempty(period) FROM role_grant WHERE id = %s", (grant,))


CHANGES: tuple[LiteralString, ...] = (
    "role = 'office'", "school_id = NULL", "granted_by = NULL", "period = daterange('2020-01-01', NULL)",
    "person_id = person_id, period = daterange(lower(period) + 1, NULL)",
)  # fmt: skip


def test_a_granted_role_is_never_rewritten(database: Database, cast: Cast) -> None:
    clerk = a_person(database, cast, "clerk")
    with database.tenant(cast.district) as tx:
        give(tx, cast, clerk, Role.TEACHER, cast.school, cast.head)
    for change in CHANGES:
        with pytest.raises(RuleBroken) as broken, database.tenant(cast.district) as tx:
            tx.execute(f"UPDATE role_grant SET {change} WHERE person_id = %s", (clerk,))
        assert (broken.value.sqlstate, broken.value.constraint) == ("23001", "role_grant_only_ends"), change
    with database.tenant(cast.district) as tx:
        identity.end_role(tx, cast.district, clerk, Role.TEACHER, FIRST_DAY + timedelta(days=9))
    with pytest.raises(RuleBroken) as broken, database.tenant(cast.district) as tx:
        tx.execute("UPDATE role_grant SET period = daterange(lower(period), NULL) WHERE person_id = %s", (clerk,))
    assert broken.value.constraint == "role_grant_only_ends", "an ended one does not come back"


RULES = (
    ("not_to_oneself", "23514", "head", "head", "teacher"), ("not_above", "23001", "teacher", "head", "operator"),
    ("role_known", "23514", "teacher", None, "emperor"),
)


def test_the_database_knows_the_rules_of_roles_by_itself(database: Database, cast: Cast) -> None:
    for rule, state, person, granter, role in RULES:
        with pytest.raises(RuleBroken) as broken, database.tenant(cast.district) as tx:
            tx.execute(
                "INSERT INTO role_grant (district_id, id, person_id, role, school_id, period, granted_by)"
                " VALUES (%s, %s, %s, %s, %s, daterange(%s, NULL), %s)",
                (cast.district, new_id(), getattr(cast, person), role, cast.school, FIRST_DAY,
                 getattr(cast, granter) if granter else None),
            )
        assert (broken.value.sqlstate, broken.value.constraint) == (state, f"role_grant_{rule}")
