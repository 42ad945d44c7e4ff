"""Sign-in as the rest of the cloud sees it: logins, links, sessions, granted roles.

Tokens are 32 random bytes, given out once and stored as SHA-256 only. A link works once, in the demonstration
again and again; an unknown, used and expired one answer the same. Not responsible for cookies (doors.py) nor for
passkeys.py, passwords.py and letters.py, which come to this same session. Flows: docs/sign-in.md.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from cloud.identity import queries
from cloud.identity.grants import rules_of_roles
from cloud.identity.model import (
    DEMO_LINK_LIFETIME,
    LINK_LIFETIME,
    SESSION_LIFETIME,
    STAFF_PHONE_LIFETIME,
    SURE_LIFETIME,
    Actor,
    Door,
    HeldPhone,
    OpenSession,
    Role,
    Way,
    gather,
)
from cloud.kit.db import Transaction
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.ids import new_id, new_token, token_hash
from cloud.kit.jobs import happened


class SignInRefused(Refused):
    """A sign-in that is answered with no."""

    answers: ClassVar = {
        "LINK_UNKNOWN": Answer(
            404, N_("This sign-in link does not work any more."), N_("Ask the office for a new one.")
        ),
        "PASSKEY_REFUSED": Answer(
            403, N_("This passkey was not accepted."), N_("Try again, or ask the office for a letter.")
        ),
        "PASSKEY_TOO_LATE": Answer(
            403, N_("A passkey can be made for half an hour after a letter, or after proving that it is you."),
            N_("Prove that it is you, or ask the office for a letter."),
        ),
        "PASSKEY_KNOWN": Answer(409, N_("This passkey is known already."), N_("Sign in with it.")),
        "PASSKEY_TOO_MANY": Answer(409, N_("Ten passkeys are the most."), N_("Remove one of them first.")),
        "PASSKEY_LAST": Answer(
            409, N_("This is your last way in."), N_("Make another passkey first, then remove this one.")
        ),
        "PASSWORD_WRONG": Answer(
            403, N_("This address and this password do not fit together."),
            N_("Check both. If you have none, use the letter from the school."),
        ),
        "SIGN_IN_TOO_MANY": Answer(
            429, N_("Too many tries."), N_("Wait a quarter of an hour, or sign in with a passkey.")
        ),
        "SIGN_IN_BUSY": Answer(503, N_("Too many people are signing in just now."), N_("Try again in a minute.")),
        "LETTER_UNKNOWN": Answer(
            404, N_("This code is not known."), N_("Check it letter by letter, or ask the office for a new letter.")
        ),
        "LETTER_ABOVE": Answer(
            403, N_("You may not make a letter for this person."), N_("Ask the head of the school or the district.")
        ),
    }


@dataclass(frozen=True)
class Entered:
    """A fresh session: by which door, for whom, and the token for the cookie."""

    door: Door
    login_id: UUID
    token: str


def make_login(tx: Transaction, email: str | None, now: datetime) -> UUID:
    """Return the login of an e-mail address, made if new. With None: a new login that has no address.

    tx: a staff transaction of the district that wrote the address. A login is found where its holder proved the
    address, or where this same district wrote it before; another district's unproved word joins nobody (S5.8).
    """
    address = email.strip().lower() if email else None
    found = queries.login_of_address(tx, address) if address else None
    if found is None:
        found = new_id(now)
        queries.insert_login(tx, found, address, now)
    return found


def login_of_person(tx: Transaction, district_id: UUID, person_id: UUID, now: datetime) -> UUID:
    """Return the login of a person, made if there is none yet (pairing a phone needs no e-mail address).

    tx: a staff transaction of the district (a guardian's cannot change people).
    """
    login_id = queries.login_of_person(tx, district_id, person_id)
    if login_id is None:
        login_id = make_login(tx, None, now)
        queries.give_login(tx, district_id, person_id, login_id)
    return login_id


def new_session(tx: Transaction, login_id: UUID, door: Door | str, now: datetime, phone: HeldPhone | None = None, *,
                way: Way = Way.PASSKEY, only_district: UUID | None = None, browser: str = "") -> str:
    """Open a session and return the token for its cookie. The token is kept nowhere else.

    way: how it was earned. only_district: whose office gave out what opened it; it reaches no other district.
    phone: the phone that a pairing code opened it for: confined likewise, no page once the phone is taken away, and at
    the school's door no page at all (Actor.lacks_passkey).
    """
    token, door = new_token(), Door(door)
    lifetime = SESSION_LIFETIME[door]
    if phone:
        way, only_district = Way.PAIRING, phone.district_id
        lifetime = lifetime if door is Door.FAMILY else STAFF_PHONE_LIFETIME
    queries.insert_session(
        tx, token_hash(token), login_id, door, way, now, now + lifetime, only_district,
        phone.phone_id if phone else None, browser,
    )
    return token


def make_sure(tx: Transaction, token: str, now: datetime) -> None:
    """Count this session as proved anew for ten minutes: a passkey or a password was just shown (step-up).

    Raises Refused("SIGN_IN") where the session has ended.
    """
    if not queries.extend_sureness(tx, token_hash(token), now, now + SURE_LIFETIME):
        raise Refused("SIGN_IN")


def new_link(tx: Transaction, login_id: UUID, door: Door | str, now: datetime, *, demo: bool = False) -> str:
    """Return the path of a one-time sign-in link, 10 minutes; in the demonstration 24 hours, reusable.

    tx: a transaction of the district that gives it out; the session it opens reaches no other one.
    """
    token = new_token()
    end = now + (DEMO_LINK_LIFETIME if demo else LINK_LIFETIME)
    queries.insert_link(tx, token_hash(token), login_id, Door(door), demo, now, end)
    return f"/enter/{token}"


def link_is_reusable(tx: Transaction, token: str, now: datetime) -> bool:
    """Return whether a link that lets in may be opened again and again. Raises SignInRefused("LINK_UNKNOWN")."""
    reusable = queries.reusable_of_link(tx, token_hash(token), now)
    if reusable is None:
        raise SignInRefused("LINK_UNKNOWN")
    return reusable


def enter(tx: Transaction, token: str, now: datetime, browser: str = "") -> Entered:
    """Use a link and open a session. Raises SignInRefused("LINK_UNKNOWN")."""
    link = queries.use_link(tx, token_hash(token), now)
    if link is None:
        raise SignInRefused("LINK_UNKNOWN")
    door, way = Door(link.door), Way.DEMO if link.reusable else Way.LINK
    opened = new_session(tx, link.login_id, door, now, way=way, only_district=link.only_district, browser=browser)
    return Entered(door, link.login_id, opened)


def actor_of(tx: Transaction, door: Door, token: str, now: datetime) -> Actor | None:
    """Return who holds this token at this door, or None: unknown, ended, expired, or no role left."""
    return gather(door, queries.places_of_session(tx, token_hash(token), door, now))


def sign_out(tx: Transaction, token: str, now: datetime) -> None:
    """End one session. An unknown token is no fault: the browser is signed out either way.

    The session of a phone ends with its place: the browser forgets the pass and its key, so that nobody can use it.
    """
    ended = queries.end_session(tx, token_hash(token), now)
    if ended and ended.phone_id:
        happened(tx, "PhoneLeft", ended.only_district, phone=str(ended.phone_id))


def sign_out_everywhere(tx: Transaction, login_id: UUID, now: datetime, only_district: UUID | None = None) -> None:
    """End every session of a login, at every door; with a district, those that are confined to it."""
    queries.end_sessions(tx, login_id, now, only_district)


def open_sessions(tx: Transaction, actor: Actor, token: str, now: datetime) -> list[OpenSession]:
    """Return where this person is signed in, newest first: of a confined session's district only."""
    return queries.open_sessions(tx, actor.login_id, actor.only_district, token_hash(token), now)


def end_open_session(tx: Transaction, actor: Actor, session_id: UUID, now: datetime) -> bool:
    """End one of the own sessions elsewhere; return whether there was one."""
    return queries.end_session_of(tx, actor.login_id, actor.only_district, session_id, now) == 1


# --- roles that the system grants -----------------------------------------------------------------------------------


def grant_role(tx: Transaction, district_id: UUID, person_id: UUID, role: Role, first_day: date, *,
               last_day: date | None = None, school_id: UUID | None = None, class_id: UUID | None = None
               ) -> bool:  # fmt: skip
    """Grant a role from a day on, as a seed, an import or a command does; people do it through grants.py.

    last_day: excluded; None for no end. Granting again changes the end of what was granted so, or nothing; return
    whether anything changed. Raises GrantRefused("ROLE_LAST_HEAD") where an end comes nearer.
    """
    cut = 0
    if last_day is not None:
        with rules_of_roles(tx):
            cut = queries.cut_grant(tx, district_id, person_id, role, school_id, class_id, last_day)
    if cut:
        happened(tx, "RoleEnded", district_id)
    granted = queries.insert_grant(tx, district_id, new_id(), person_id, role, school_id, class_id, first_day, last_day)
    return granted or cut > 0


def end_role(tx: Transaction, district_id: UUID, person_id: UUID, role: Role, last_day: date) -> int:
    """End the running grants of a role on a day (that day excluded); return how many ended.

    Raises GrantRefused("ROLE_LAST_HEAD").
    """
    with rules_of_roles(tx):
        ended = queries.end_grants(tx, district_id, person_id, role, last_day)
    if ended:
        happened(tx, "RoleEnded", district_id)
    return ended


def end_role_at(
    tx: Transaction, district_id: UUID, person_id: UUID, role: Role, last_day: date, *,
    school_id: UUID | None = None, class_id: UUID | None = None,
) -> int:  # fmt: skip
    """End a person's running grants of a role, as an import says: at a school, in a class, or wherever.

    last_day: excluded. What people granted stays. Returns how many ended. Raises GrantRefused("ROLE_LAST_HEAD").
    """
    with rules_of_roles(tx):
        ended = queries.end_grants_at(tx, district_id, person_id, role, school_id, class_id, last_day)
    if ended:
        happened(tx, "RoleEnded", district_id)
    return ended


def was_taken_away(tx: Transaction, district_id: UUID, person_id: UUID, role: Role, school_id: UUID | None) -> bool:
    """Return whether a person ended this role of this person there: no file gives it back."""
    return queries.was_taken_away(tx, district_id, person_id, role, school_id)
