"""Who asks: a door, a login, a person of a district with roles. Pure.

A `login` is global, a `person` belongs to one district (ARCHITECTURE 6). The three doors do not see each other:
a teacher who is a parent has two sessions.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, auto
from uuid import UUID


class Door(StrEnum):
    """Which pages a session opens."""

    FAMILY = "family"
    SCHOOL = "school"
    FLEET = "fleet"


class Way(StrEnum):
    """How a session was earned."""

    LINK = auto()
    DEMO = auto()
    LETTER = auto()
    PAIRING = auto()
    PASSKEY = auto()
    PASSWORD = auto()


class Role(StrEnum):
    """What a person is. Guardian and escort follow from rights over children; a pupil is a child who may sign in one
    day; a public verifier is anybody with a paper in hand, who has no login; the others are granted (role_grant).
    """

    GUARDIAN = "guardian"
    ESCORT = "escort"
    PUPIL = "pupil"
    PUBLIC_VERIFIER = "public_verifier"
    TEACHER = "teacher"
    GATE_STAFF = "gate_staff"
    DAY_CARE = "day_care"
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
STAFF_PHONE_LIFETIME = timedelta(days=180)  # It fetches the staff pass of its phone and opens no page.
LINK_LIFETIME = timedelta(minutes=10)
SURE_LIFETIME = timedelta(minutes=10)  # Long enough for one task, short enough for a phone left on a table.
FIRST_KEY_LIFETIME = timedelta(minutes=30)  # After a letter, link or code: to make a first passkey or password.
DEMO_LINK_LIFETIME = timedelta(hours=24)

NEXT_CHARACTERS_MAX = 200  # Paths of ours are under 120 characters.
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
class OpenSession:
    """Where somebody is signed in, as they see it themselves."""

    id: UUID
    door: str
    opened_by: str
    browser: str
    created_at: datetime
    is_this: bool


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
    sure_until: until when the person counts as proved anew; only_district: what the session is confined to.
    """

    door: Door
    login_id: UUID
    places: tuple[Place, ...]
    phone_revoked: bool = False
    way: Way = Way.PASSKEY
    opened_at: datetime | None = None
    sure_until: datetime | None = None
    only_district: UUID | None = None

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

    def is_sure(self, now: datetime) -> bool:
        """Return whether this session proved a passkey or a password within the last ten minutes."""
        return self.sure_until is not None and now < self.sure_until

    @property
    def lacks_passkey(self) -> bool:
        """Return whether this session may do nothing at its door but make the passkey that its door requires.

        A staff phone that was paired is one of these: eight digits give it the staff pass, not the school's pages.
        """
        return self.door is not Door.FAMILY and self.way in (Way.LINK, Way.LETTER, Way.PAIRING)

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
    opened_by: str
    opened_at: datetime
    sure_until: datetime | None
    only_district: UUID | None


def gather(door: Door, rows: list[PlaceRow]) -> Actor | None:
    """Return the actor that the rows of one session describe, or None when they open nothing."""
    places: dict[UUID, Place] = {}
    for row in rows:
        held = Held(Role(row.role), row.school_id, row.class_id)
        before = places[row.district_id].roles if row.district_id in places else ()
        places[row.district_id] = Place(
            row.district_id, row.person_id, row.given, row.family, row.language, (*before, held)
        )
    if not places:
        return None
    session = rows[0]
    return Actor(
        door, session.login_id, tuple(places.values()), session.phone_revoked, Way(session.opened_by),
        session.opened_at, session.sure_until, session.only_district,
    )


def own_path(path: str) -> str:
    """Return the path if it leads to a page of this site, else ''. What comes from outside leads nowhere else."""
    own = path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable() and "\\" not in path
    return path if own else ""


def door_of_path(path: str) -> Door:
    """Return the door behind which a page lies: /school/…, /fleet/…, `?door=…`, and the family's for all others."""
    page, _, query = path.partition("?")
    named = [Door(word[5:]) for word in query.split("&") if word[:5] == "door=" and word[5:] in tuple(Door)]
    first = page.removeprefix("/").partition("/")[0]
    return Door(first) if first in tuple(Door) else named[0] if named else Door.FAMILY
