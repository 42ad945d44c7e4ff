"""The cast: one district, one kindergarten, two families, a head, a teacher, an operator; and a neighbour district.

Names carry what goes wrong elsewhere: Cyrillic, Kazakh and Vietnamese letters, a formula, a quote. Tests ask for
`a_district(database)` and speak of `cast.aigerim`, `cast.mother`; nothing here is drawn at random.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from cloud.identity import service as identity
from cloud.identity.model import Role
from cloud.kit.db import Database
from cloud.people import service as people
from cloud.people.model import Tie
from cloud.schools import service as schools

NOW = datetime(2026, 9, 1, 3, 0, tzinfo=UTC)  # A Tuesday, 08:00 in Almaty.
FIRST_DAY = date(2026, 8, 1)
TIMEZONE = "Asia/Almaty"


@dataclass(frozen=True)
class Cast:
    """Ids of everybody. The mother guards both children of the first family, the father one of them."""

    district: UUID
    school: UUID
    site: int
    sunflowers: UUID
    aigerim: UUID
    timur: UUID
    minh: UUID
    mother: UUID
    father: UUID
    stranger: UUID
    teacher: UUID
    head: UUID
    operator: UUID


def a_district(database: Database, slug: str = "demo", site: int = 101) -> Cast:
    """Write the cast into a district and return who is who. A second slug and site make the neighbour."""
    district = schools.put_district(database, slug, f"District {slug}", NOW)
    with database.tenant(district) as tx:
        school = schools.put_school(
            tx, district, sourced_id="school", site=site, name="Балапан", level="kindergarten", timezone=TIMEZONE,
            language="kk",
        )
        sunflowers = schools.put_class(tx, district, school, sourced_id="sunflowers", name="Күнбағыс")

        def adult(key: str, given: str, family: str, language: str) -> UUID:
            login = identity.make_login(tx, f"{key}@{slug}.example", NOW)
            return people.put_person(
                tx, district, sourced_id=key, given=given, family=family, language=language, login_id=login
            )

        def child(key: str, given: str, family: str) -> UUID:
            made = people.put_child(tx, district, sourced_id=key, given=given, family=family, birth=date(2022, 5, 17))
            people.enrol(tx, district, made, school, sunflowers, FIRST_DAY)
            return made

        cast = Cast(
            district, school, site, sunflowers,
            child("aigerim", "Айгерім", "Сейтқали"), child("timur", "Тимур", "Сейтқали"),
            child("minh", "Minh Đức", "Nguyễn"),
            adult("mother", "Әсел", "Сейтқали", "kk"), adult("father", "=HYPERLINK(1)", "O'Brien", "ru"),
            adult("stranger", "Hoa", "Nguyễn", "vi"), adult("teacher", "Мадина", "Оспанова", "kk"),
            adult("head", "Élodie", "Durand", "fr"), adult("operator", "Sam", "", "en"),
        )
        for who, whom, relation in (
            (cast.mother, cast.aigerim, "mother"), (cast.mother, cast.timur, "mother"),
            (cast.father, cast.aigerim, "father"), (cast.stranger, cast.minh, "mother"),
        ):
            people.tie_guardian(tx, district, Tie(whom, who, relation, True, True, True, FIRST_DAY))
            people.give_escort_right(tx, district, whom, who, NOW)
        for person, role in ((cast.head, Role.HEAD), (cast.teacher, Role.TEACHER)):
            people.put_staff(tx, district, person, school, 15)
            identity.grant_role(tx, district, person, role, FIRST_DAY, school_id=school)
        people.appoint_teacher(tx, district, sunflowers, cast.teacher, FIRST_DAY)
        identity.grant_role(
            tx, district, cast.teacher, Role.TEACHER, FIRST_DAY, school_id=school, class_id=sunflowers
        )
        identity.grant_role(tx, district, cast.operator, Role.OPERATOR, FIRST_DAY)
    return cast
