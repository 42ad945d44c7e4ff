"""Who asks: a door, a login, a person of a district with roles. Pure.

A `login` is global, a `person` belongs to one district (ARCHITECTURE 6). The three doors do not see each other:
a teacher who is a parent has two sessions.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID


class Door(StrEnum):
    """Which pages a session opens."""

    FAMILY = "family"
    SCHOOL = "school"
    FLEET = "fleet"


class Role(StrEnum):
    """What a person is. The first two follow from rights over children, the others are granted (role_grant)."""

    GUARDIAN = "guardian"
    ESCORT = "escort"
    TEACHER = "teacher"
    GATE_STAFF = "gate_staff"
    OFFICE = "office"
    HEAD = "head"
    DISTRICT_OFFICER = "district_officer"
    AUDITOR = "auditor"
    OPERATOR = "operator"


SESSION_LIFETIME = {
    Door.FAMILY: timedelta(days=180),  # UX 11: families stay signed in on the phone.
    Door.SCHOOL: timedelta(hours=12),  # One working day.
    Door.FLEET: timedelta(hours=12),
}
LINK_LIFETIME = timedelta(minutes=10)
DEMO_LINK_LIFETIME = timedelta(hours=24)

FIRST_PAGE = {Door.FAMILY: "/family", Door.SCHOOL: "/school/day", Door.FLEET: "/fleet/gates"}


@dataclass(frozen=True)
class HeldPhone:
    """The paired phone for which a session was opened. phone_id: of that district (pass_key)."""

    district_id: UUID
    phone_id: UUID


@dataclass(frozen=True)
class Held:
    """A role and how far it reaches: a class, a school, or with both None the whole district."""

    role: Role
    school_id: UUID | None = None
    class_id: UUID | None = None


@dataclass(frozen=True)
class Place:
    """One district in which the login is a person, with the roles of the door there."""

    district_id: UUID
    person_id: UUID
    given: str
    family: str
    language: str
    roles: tuple[Held, ...]


@dataclass(frozen=True)
class Actor:
    """A login behind a door. `place` is the one that a page with one tenant speaks of; `places` are all.

    phone_revoked: the session is a phone's that was taken away; it may be told so (/api/passes), and nothing else.
    """

    door: Door
    login_id: UUID
    places: tuple[Place, ...]
    phone_revoked: bool = False

    @property
    def place(self) -> Place:
        return self.places[0]

    @property
    def district_id(self) -> UUID:
        return self.place.district_id

    @property
    def person_id(self) -> UUID:
        return self.place.person_id

    @property
    def given(self) -> str:
        return self.place.given

    @property
    def family(self) -> str:
        return self.place.family

    @property
    def language(self) -> str:
        return self.place.language

    @property
    def roles(self) -> tuple[Held, ...]:
        return self.place.roles

    def schools(self) -> tuple[UUID, ...]:
        """Return the schools that the roles name, each once, in the order of the grants."""
        return tuple(dict.fromkeys(held.school_id for held in self.roles if held.school_id))


@dataclass(frozen=True)
class PlaceRow:
    """One row of the database function session_places: a person and one of its roles."""

    login_id: UUID
    district_id: UUID
    person_id: UUID
    given: str
    family: str
    language: str
    role: Role
    school_id: UUID | None
    class_id: UUID | None
    phone_revoked: bool


def gather(door: Door, rows: list[PlaceRow]) -> Actor | None:
    """Return the actor that the rows of one session describe, or None when they open nothing."""
    places: dict[UUID, Place] = {}
    for row in rows:
        held = Held(Role(row.role), row.school_id, row.class_id)
        before = places[row.district_id].roles if row.district_id in places else ()
        places[row.district_id] = Place(
            row.district_id, row.person_id, row.given, row.family, row.language, (*before, held)
        )
    return Actor(door, rows[0].login_id, tuple(places.values()), rows[0].phone_revoked) if places else None
