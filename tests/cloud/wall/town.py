"""Two districts with somebody of every role, and at least one row in every table: what the wall is tried on.

Responsible for: who asks (`Asker`), what there is to ask for (`Things`), rows in every table of both districts. All
words of the neighbour district carry MARK, so that a leak shows as itself. Made once for each module: tests change
nothing, or roll it back. Not responsible for: any rule.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from cloud.attendance import service as attendance
from cloud.identity import service as identity
from cloud.identity.doors import COOKIES
from cloud.identity.model import Door, Role
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.kit.ids import new_id
from cloud.passes import service as passes
from cloud.passes.keys import KeyRing
from cloud.people import service as people
from cloud.people.model import Tie
from cloud.schools import service as schools
from tests.cast import FIRST_DAY, NOW, TIMEZONE, Cast, a_district
from tests.cloud.wall.rows import write_rows
from tests.gates import a_gate, an_arrival
from tests.phones import an_ed25519_phone, octets

BIRTH = date(2019, 1, 1)
MARK = "Zzyzx"  # stands in every word of the neighbour district and nowhere in ours


@dataclass(frozen=True)
class Asker:
    """Somebody signed in at one door. name: as the tables of expectations call them."""

    name: str
    door: Door
    district: UUID
    person: UUID
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"cookie": f"{COOKIES[self.door]}={self.token}"}


@dataclass(frozen=True)
class Things:
    """What addresses name, of one district: by the word that stands in the address."""

    cast: Cast
    ids: dict[str, Any] = field(default_factory=dict)


@dataclass
class Town:
    """Our district, the neighbour, and everybody who asks, by name."""

    here: Things
    there: Things
    askers: dict[str, Asker] = field(default_factory=dict)


def build_town(database: Database, owner_url: str, ring: KeyRing) -> Town:
    here, there = a_district(database), a_district(database, "neighbour", 202)
    town = Town(Things(here), Things(there))
    for side, things in (("", town.here), ("neighbour_", town.there)):
        _add_people(database, things)
        for name, (key, door) in _ROLES.items():
            town.askers[side + name] = _asker(database, things, side + name, key, door)
    with psycopg.connect(owner_url, autocommit=True) as owner:
        for offset, things in ((0, town.here), (100, town.there)):
            _fill(database, things, ring, offset)
            write_rows(owner, things.ids)
        _mark(owner, there.district)
        owner.execute(SURE)
        for things in (town.here, town.there):
            things.ids.update(_addressed(owner, things))
    return town


_ROLES = {  # name: the key under which the person is known here, and the door
    "mother": ("mother", Door.FAMILY), "father": ("father", Door.FAMILY), "stranger": ("stranger", Door.FAMILY),
    "escort": ("escort", Door.FAMILY), "teacher": ("teacher", Door.SCHOOL), "head": ("head", Door.SCHOOL),
    "day_care": ("day_care", Door.SCHOOL), "office": ("office", Door.SCHOOL), "gate_staff": ("gate_staff", Door.SCHOOL),
    "officer": ("officer", Door.SCHOOL), "auditor": ("auditor", Door.SCHOOL), "operator": ("operator", Door.FLEET),
    "other_teacher": ("other_teacher", Door.SCHOOL), "other_office": ("other_office", Door.SCHOOL),
    "other_head": ("other_head", Door.SCHOOL),
}  # fmt: skip


def _add_people(database: Database, things: Things) -> None:
    """Add who is missing in the cast: every other role, a second school with a staff of its own, an escort."""
    cast, ids = things.cast, things.ids
    with database.tenant(cast.district) as tx:
        other = schools.put_school(
            tx, cast.district, sourced_id="other", site=cast.site + 1, name="Other school", level="primary",
            timezone=TIMEZONE, language="ru",
        )
        tulips = schools.put_class(tx, cast.district, other, sourced_id="tulips", name="Tulips")
        ids |= {"other_school": other, "tulips": tulips, "school": cast.school, "class": cast.sunflowers}
        ids |= {name: getattr(cast, name) for name in ("mother", "father", "stranger", "teacher", "head", "operator")}

        def adult(key: str, role: Role | None, school: UUID | None, class_id: UUID | None = None) -> None:
            ids[key] = people.put_person(
                tx, cast.district, sourced_id=key, given=key.title(), family="Ivanov", language="en",
                login_id=identity.make_login(tx, f"{key}@{cast.site}.example", NOW),
            )
            if role is not None:
                identity.grant_role(tx, cast.district, _uuid(ids[key]), role, FIRST_DAY, school_id=school,
                                    class_id=class_id)  # fmt: skip
            if school is not None:
                people.put_staff(tx, cast.district, _uuid(ids[key]), school, 15)

        adult("escort", None, None)
        for child in (cast.aigerim, cast.timur):
            people.give_escort_right(tx, cast.district, child, _uuid(ids["escort"]), NOW)
        adult("office", Role.OFFICE, cast.school)
        adult("second_office", Role.OFFICE, cast.school)
        adult("gate_staff", Role.GATE_STAFF, cast.school)
        adult("day_care", Role.DAY_CARE, cast.school)
        adult("officer", Role.DISTRICT_OFFICER, None)
        adult("auditor", Role.AUDITOR, None)
        adult("other_teacher", Role.TEACHER, other, tulips)
        adult("other_office", Role.OFFICE, other)
        adult("other_head", Role.HEAD, other)
        bek = people.put_child(tx, cast.district, sourced_id="bek", given="Bek", family="Ivanov", birth=BIRTH)
        people.enrol(tx, cast.district, bek, other, tulips, FIRST_DAY)
        people.tie_guardian(tx, cast.district, Tie(bek, cast.stranger, "mother", True, True, True, FIRST_DAY))
        ids |= {"child": cast.aigerim, "timur": cast.timur, "minh": cast.minh, "bek": bek}


def _asker(database: Database, things: Things, name: str, key: str, door: Door) -> Asker:
    cast, person = things.cast, _uuid(things.ids[key])
    with database.tenant(cast.district) as tx:
        login = identity.login_of_person(tx, cast.district, person, NOW)
        return Asker(name, door, cast.district, person, identity.new_session(tx, login, door, clock.now()))


def _fill(database: Database, things: Things, ring: KeyRing, offset: int) -> None:
    """Put a row into every table: a gate that told of an arrival, a phone, a card, documents, alarms."""
    cast, ids = things.cast, things.ids
    gate = a_gate(database, cast, 11 + offset, 11 + offset)
    with database.tenant(cast.district) as tx:
        holder = attendance.ref_of(tx, cast.district, cast.site, person_id=cast.mother)
        child = attendance.ref_of(tx, cast.district, cast.site, child_id=cast.aigerim)
        gate.write(an_arrival(holder, child))
        ids |= {"gate": gate.gate, "site": cast.site}
        phone = an_ed25519_phone(20 + offset)
        ids["phone"] = _pair(tx, cast, phone.key)
        code = passes.new_pairing_code(tx, bytes(32), cast.district, cast.father, NOW)
        assert code
        card = passes.issue_card_for(tx, ring, cast.district, cast.father, cast.site, clock.now())
        ids["cti"] = card.cti.hex()
        passes.block_holder(tx, cast.district, cast.site, cast.father, NOW)
        passes.compile_policy(tx, ring, cast.district, cast.site, clock.now())
        ids["login"] = identity.login_of_person(tx, cast.district, cast.mother, NOW)
    ids["district"] = cast.district
    ids |= {name: new_id(NOW) for name in ("order", "order_right", "right", "second_right", "correction", "claim")}
    for letter in "abcdef":
        ids[f"hash_{letter}"] = hashlib.sha256(f"{letter} {cast.site}".encode()).digest()


def _pair(tx: psycopg.Connection, cast: Cast, key: dict) -> UUID:
    made = new_id(NOW)
    tx.execute(
        "INSERT INTO pass_key (district_id, id, person_id, slot, cose_key, thumb, paired_at)"
        " VALUES (%s, %s, %s, 1, %s, %s, %s)",
        (cast.district, made, cast.mother, b"\0" * 6 + octets(key["x"]), octets(key["x"])[:8], NOW),
    )
    return made


def _addressed(owner: psycopg.Connection, things: Things) -> dict[str, Any]:
    """Return what stands in addresses, by the word there."""
    ids = things.ids
    serial, grant, escort, key, session, alert = owner.execute(
        "SELECT (SELECT serial FROM card WHERE person_id = %(father)s AND revoked_at IS NULL),"
        " (SELECT id FROM role_grant WHERE person_id = %(second_office)s),"
        " (SELECT id FROM escort_right WHERE person_id = %(escort)s AND child_id = %(child)s),"
        " (SELECT id FROM passkey WHERE login_id = %(login)s),"
        " (SELECT id FROM session WHERE login_id = %(login)s AND phone_id IS NOT NULL),"
        " (SELECT id FROM attendance_incident WHERE district_id = %(district)s)", ids,
    ).fetchone() or ("", "", "", "", "", "")  # fmt: skip
    named = {"child_id": "child", "right_id": "right", "order_id": "order", "correction_id": "correction",
             "claim_id": "claim", "school_id": "school", "person_id": "second_office", "phone_id": "phone"}  # fmt: skip
    return {"serial": serial, "grant_id": grant, "right_of_escort": escort, "key_id": key, "session_id": session,
            "alert_id": alert, "family_door": "family",
            **{word: ids[thing] for word, thing in named.items()}}  # fmt: skip


def _uuid(value: Any) -> UUID:
    assert isinstance(value, UUID)
    return value


# Everybody came with a passkey and has just proved who they are: less than that is tried on its own.
SURE = "UPDATE session SET sure_until = now() + interval '1 hour', opened_by = 'passkey'"

WORDS = """
    SELECT c.table_name, c.column_name FROM information_schema.columns c
      JOIN information_schema.tables t USING (table_schema, table_name)
     WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.data_type = 'text'
       AND c.column_name IN ('given', 'family', 'name', 'title', 'note')
       AND EXISTS (SELECT 1 FROM information_schema.columns d WHERE d.table_schema = 'public'
                    AND d.table_name = c.table_name AND d.column_name IN ('district_id', 'slug'))"""


def _mark(owner: psycopg.Connection, district: UUID) -> None:
    """Write MARK into every name of a district, whatever tables there are."""
    for table, column in owner.execute(WORDS).fetchall():
        key = "id" if table == "district" else "district_id"
        owner.execute(
            sql.SQL("UPDATE {} SET {} = {} || ' ' || %s WHERE {} = %s AND {} <> ''").format(
                *map(sql.Identifier, (table, column, column, key, column))
            ),
            (MARK, district),
        )
