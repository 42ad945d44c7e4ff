"""Load a district from JSON: schools, staff, children, guardians, gates, operators.

Responsible for: reading the whole description and listing all its mistakes before anything is written, then calling
the slices' services in order, in one transaction. Idempotent by the keys of the file. Composition: knows all slices.
"""

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cloud.attendance import service as attendance
from cloud.config import Settings
from cloud.fleet import service as fleet
from cloud.identity import service as identity
from cloud.identity.model import Door, Role
from cloud.kit.db import Database, Transaction
from cloud.passes import service as passes
from cloud.people import service as people
from cloud.people.model import Tie
from cloud.schools import service as schools

SEED_BYTES_MAX = 64 * 1024 * 1024  # A district of 100,000 children is about 40 MB of JSON.
UINT32_MAX = 2**32 - 1

Key = Field(min_length=1, max_length=100)
Name = Field(min_length=1, max_length=100)
Language = Literal["en", "fr", "kk", "ru", "vi"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DistrictPart(_Part):
    slug: str = Field(pattern=r"^[a-z0-9-]{1,32}$")
    name: str = Name


class ClassPart(_Part):
    key: str = Key
    name: str = Name
    teacher: str | None = None


class GatePart(_Part):
    gate: int = Field(ge=1, le=UINT32_MAX)
    name: str = Name
    public_key: str = Field(pattern=r"^[0-9a-f]{64}$")


class SchoolPart(_Part):
    key: str = Key
    name: str = Name
    timezone: str
    language: Language
    level: Literal["kindergarten", "primary", "secondary", "daycare"]
    site: int = Field(ge=1, le=UINT32_MAX)
    classes: list[ClassPart] = []
    gates: list[GatePart] = []


class StaffPart(_Part):
    key: str = Key
    given: str = Name
    family: str = Field(max_length=100)
    email: str | None = None
    school: str
    role: Literal["head", "teacher", "office", "gate_staff"]
    powers: int = Field(ge=0, le=15)
    language: Language | None = None


class ChildPart(_Part):
    key: str = Key
    given: str = Name
    family: str = Field(max_length=100)
    birth: date | None = None
    school: str
    class_key: str | None = Field(default=None, alias="class")


class TiePart(_Part):
    child: str
    relation: str = Field(min_length=1, max_length=40)
    may_collect: bool
    lives_with: bool = True
    authority: bool = True


class GuardianPart(_Part):
    key: str = Key
    given: str = Name
    family: str = Field(max_length=100)
    email: str | None = None
    language: Language
    children: list[TiePart]
    wants: Literal["phone", "card"] = "phone"


class OperatorPart(_Part):
    key: str = Key
    email: str
    name: str = Name
    language: Language = "en"


class DistrictFile(_Part):
    """The whole file. Keys of staff, guardians and operators share one space: they are persons."""

    district: DistrictPart
    schools: list[SchoolPart]
    staff: list[StaffPart] = []
    children: list[ChildPart] = []
    guardians: list[GuardianPart] = []
    operators: list[OperatorPart] = []


class SeedRefused(Exception):
    """The file cannot be loaded; the text lists every reason, one a line."""


def read_district(data: bytes) -> DistrictFile:
    """Return the described district. Raises SeedRefused with all mistakes; nothing was written."""
    if len(data) > SEED_BYTES_MAX:
        raise SeedRefused(f"over {SEED_BYTES_MAX} bytes")
    try:
        described = DistrictFile.model_validate(json.loads(data))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise SeedRefused("\n".join(lines)) from error
    except (ValueError, RecursionError) as error:
        raise SeedRefused(f"not JSON: {error}") from error
    if problems := _dangling(described):
        raise SeedRefused("\n".join(problems))
    return described


def _dangling(described: DistrictFile) -> list[str]:
    schools_known = {school.key for school in described.schools}
    classes_known = {(school.key, part.key) for school in described.schools for part in school.classes}
    staff_known = {member.key for member in described.staff}
    children_known = {child.key for child in described.children}
    problems = [f"staff {one.key}: no school {one.school!r}" for one in described.staff
                if one.school not in schools_known]
    problems += [f"child {one.key}: no class {one.class_key!r} in school {one.school!r}" for one in described.children
                 if one.school not in schools_known
                 or (one.class_key and (one.school, one.class_key) not in classes_known)]
    problems += [f"guardian {one.key}: no child {tie.child!r}" for one in described.guardians for tie in one.children
                 if tie.child not in children_known]
    problems += [f"class {part.key}: no staff {part.teacher!r}" for school in described.schools
                 for part in school.classes if part.teacher and part.teacher not in staff_known]
    persons = [one.key for one in (*described.staff, *described.guardians, *described.operators)]
    problems += [f"the key {key!r} is used twice" for key in sorted({key for key in persons if persons.count(key) > 1})
                 ] if len(set(persons)) != len(persons) else []
    return problems


@dataclass
class _Loading:
    """What is known so far of one run."""

    tx: Transaction
    settings: Settings
    district: UUID
    now: datetime
    schools: dict[str, UUID] = field(default_factory=dict)
    sites: dict[str, int] = field(default_factory=dict)
    languages: dict[str, Language] = field(default_factory=dict)
    classes: dict[tuple[str, str], UUID] = field(default_factory=dict)
    persons: dict[str, UUID] = field(default_factory=dict)
    children: dict[str, UUID] = field(default_factory=dict)
    child_sites: dict[str, int] = field(default_factory=dict)
    by_email: dict[str, UUID] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=lambda: {"pairing": {}, "links": {}, "holders": {}})

    @property
    def first_day(self) -> date:
        """Yesterday in UTC, so that it has begun in every time zone of the world."""
        return (self.now - timedelta(days=1)).date()


def load(database: Database, settings: Settings, described: DistrictFile, now: datetime) -> dict[str, Any]:
    """Write a district and return its references: pairing codes, sign-in links, numbers of holders."""
    district_id = schools.put_district(database, described.district.slug, described.district.name, now)
    with database.tenant(district_id) as tx:
        loading = _Loading(tx, settings, district_id, now)
        for school in described.schools:
            _load_school(loading, school)
        for member in described.staff:
            _load_staff(loading, member)
        for school in described.schools:
            _load_teachers(loading, school)
        for child in described.children:
            _load_child(loading, child)
        for guardian in described.guardians:
            _load_guardian(loading, guardian)
        for operator in described.operators:
            _load_operator(loading, operator)
    return {"district": str(district_id), **loading.answer}


def _load_school(loading: _Loading, school: SchoolPart) -> None:
    school_id = schools.put_school(
        loading.tx, loading.district, sourced_id=school.key, site=school.site, name=school.name, level=school.level,
        timezone=school.timezone, language=school.language,
    )
    loading.schools[school.key], loading.sites[school.key] = school_id, school.site
    loading.languages[school.key] = school.language
    for part in school.classes:
        loading.classes[school.key, part.key] = schools.put_class(
            loading.tx, loading.district, school_id, sourced_id=part.key, name=part.name
        )
    for gate in school.gates:
        fleet.register_gate(
            loading.tx, loading.district, school.site, gate.gate, gate.name, bytes.fromhex(gate.public_key), loading.now
        )


def _load_staff(loading: _Loading, member: StaffPart) -> None:
    language = member.language or loading.languages[member.school]
    person_id = _person(loading, member.key, member.given, member.family, language, member.email)
    school_id = loading.schools[member.school]
    people.put_staff(loading.tx, loading.district, person_id, school_id, member.powers)
    identity.grant_role(
        loading.tx, loading.district, person_id, Role(member.role), loading.first_day, school_id=school_id
    )
    if member.powers:  # A staff pass lives on a phone, too.
        loading.answer["pairing"][member.key] = _pairing_code(loading, person_id)
    _link(loading, member.key, person_id, Door.SCHOOL)


def _load_teachers(loading: _Loading, school: SchoolPart) -> None:
    for part in school.classes:
        if not part.teacher:
            continue
        class_id, person_id = loading.classes[school.key, part.key], loading.persons[part.teacher]
        people.appoint_teacher(loading.tx, loading.district, class_id, person_id, loading.first_day)
        identity.grant_role(
            loading.tx, loading.district, person_id, Role.TEACHER, loading.first_day,
            school_id=loading.schools[school.key], class_id=class_id,
        )


def _load_child(loading: _Loading, child: ChildPart) -> None:
    child_id = people.put_child(
        loading.tx, loading.district, sourced_id=child.key, given=child.given, family=child.family, birth=child.birth
    )
    loading.children[child.key], loading.child_sites[child.key] = child_id, loading.sites[child.school]
    class_id = loading.classes[child.school, child.class_key] if child.class_key else None
    people.enrol(
        loading.tx, loading.district, child_id, loading.schools[child.school], class_id, loading.first_day
    )


def _load_guardian(loading: _Loading, guardian: GuardianPart) -> None:
    person_id = _person(loading, guardian.key, guardian.given, guardian.family, guardian.language, guardian.email)
    for tie in guardian.children:
        child_id = loading.children[tie.child]
        people.tie_guardian(loading.tx, loading.district, Tie(
            child_id, person_id, tie.relation, tie.authority, tie.lives_with, tie.may_collect, loading.first_day
        ))
        if tie.may_collect:
            people.import_escort(loading.tx, loading.district, child_id, person_id, loading.now)
    sites = dict.fromkeys(loading.child_sites[tie.child] for tie in guardian.children)
    loading.answer["holders"][guardian.key] = {
        str(site): attendance.ref_of(loading.tx, loading.district, site, person_id=person_id) for site in sites
    }
    if guardian.wants == "phone":
        loading.answer["pairing"][guardian.key] = _pairing_code(loading, person_id)
    _link(loading, guardian.key, person_id, Door.FAMILY)


def _load_operator(loading: _Loading, operator: OperatorPart) -> None:
    person_id = _person(loading, operator.key, operator.name, "", operator.language, operator.email)
    identity.grant_role(loading.tx, loading.district, person_id, Role.OPERATOR, loading.first_day)
    _link(loading, operator.key, person_id, Door.FLEET)


def _person(loading: _Loading, key: str, given: str, family: str, language: str, email: str | None) -> UUID:
    """Return the person of a key; who stands in the file twice with one e-mail address is one person."""
    address = email.strip().lower() if email else None
    if address and address in loading.by_email:
        loading.persons[key] = loading.by_email[address]
        return loading.persons[key]
    login_id = identity.make_login(loading.tx, address, loading.now) if address else None
    person_id = people.put_person(
        loading.tx, loading.district, sourced_id=key, given=given, family=family, language=language, login_id=login_id
    )
    loading.persons[key] = person_id
    if address:
        loading.by_email[address] = person_id
    return person_id


def _pairing_code(loading: _Loading, person_id: UUID) -> str:
    return passes.new_pairing_code(
        loading.tx, loading.settings.secret, loading.district, person_id, loading.now
    )


def _link(loading: _Loading, key: str, person_id: UUID, door: Door) -> None:
    login_id = identity.login_of_person(loading.tx, loading.district, person_id, loading.now)
    loading.answer["links"][key] = identity.new_link(
        loading.tx, login_id, door, loading.now, demo=loading.settings.demo
    )
