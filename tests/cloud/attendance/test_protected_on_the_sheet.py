"""A protected child stands on the day sheet of office, head and its own class's teacher, and of nobody else (E4)."""

from collections.abc import Callable

from cloud.attendance import service as attendance
from cloud.attendance.pages import visible
from cloud.identity.model import Actor, Door, Held, Place, Role
from cloud.kit.db import Database
from cloud.kit.ids import new_id
from cloud.people import service as people
from tests.cast import NOW, Cast, a_district

WHO: dict[str, tuple[Callable[[Cast], Held], bool]] = {
    "head": (lambda cast: Held(Role.HEAD, cast.school), True),
    "office": (lambda cast: Held(Role.OFFICE, cast.school), True),
    "teacher of the class": (lambda cast: Held(Role.TEACHER, cast.school, cast.sunflowers), True),
    "teacher of another class": (lambda cast: Held(Role.TEACHER, cast.school, new_id()), False),
    "gate staff": (lambda cast: Held(Role.GATE_STAFF, cast.school), False),
    "office of another school": (lambda cast: Held(Role.OFFICE, new_id()), False),
    "auditor": (lambda cast: Held(Role.AUDITOR), False),
    "district officer": (lambda cast: Held(Role.DISTRICT_OFFICER), False),
    "operator": (lambda cast: Held(Role.OPERATOR), False),
}


def test_only_who_needs_to_know_sees_the_row_and_all_see_the_others(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        people.protect_child(tx, cast.district, child_id=cast.minh, protected=True, by=cast.head, now=NOW)
        sheet = attendance.day_sheet(tx, cast.district, cast.school, NOW.date(), NOW)
    assert {row.child_id for row in sheet.rows} == {cast.aigerim, cast.timur, cast.minh}
    seen = {}
    for name, (held, _) in WHO.items():
        actor = Actor(Door.SCHOOL, new_id(), (Place(cast.district, new_id(), "A", "B", "en", (held(cast),)),))
        rows = visible(actor, cast.school, sheet.rows)
        assert {row.child_id for row in rows} >= {cast.aigerim, cast.timur}
        seen[name] = cast.minh in {row.child_id for row in rows}
    assert seen == {name: expected for name, (_, expected) in WHO.items()}
