"""Sign-in as the rest of the cloud sees it: logins, links, sessions, granted roles.

Tokens are 32 random bytes, given out once and stored as SHA-256 only. A link works once, in the demonstration
again and again; an unknown, used and expired one answer the same. Not responsible for cookies (doors.py) nor for
passkeys and passwords, which come to this same session.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from cloud.identity import queries
from cloud.identity.model import (
    DEMO_LINK_LIFETIME,
    LINK_LIFETIME,
    SESSION_LIFETIME,
    Actor,
    Door,
    HeldPhone,
    Role,
    gather,
)
from cloud.kit.db import Transaction
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.ids import new_id, new_token, token_hash


class SignInRefused(Refused):
    """A sign-in that is answered with no."""

    answers: ClassVar = {
        "LINK_UNKNOWN": Answer(
            404, N_("This sign-in link does not work any more."), N_("Ask the office for a new one.")
        ),
    }


@dataclass(frozen=True)
class Entered:
    """A fresh session: by which door, for whom, and the token for the cookie."""

    door: Door
    login_id: UUID
    token: str


def make_login(tx: Transaction, email: str | None, now: datetime) -> UUID:
    """Return the login of an e-mail address, made if new. With None: a new login that has no address."""
    return queries.put_login(tx, new_id(now), email.strip().lower() if email else None, now)


def login_of_person(tx: Transaction, district_id: UUID, person_id: UUID, now: datetime) -> UUID:
    """Return the login of a person, made if there is none yet (pairing a phone needs no e-mail address).

    tx: a staff transaction of the district (a guardian's cannot change people).
    """
    login_id = queries.login_of_person(tx, district_id, person_id)
    if login_id is None:
        login_id = make_login(tx, None, now)
        queries.give_login(tx, district_id, person_id, login_id)
    return login_id


def new_session(
    tx: Transaction, login_id: UUID, door: Door | str, now: datetime, phone: HeldPhone | None = None
) -> str:
    """Open a session and return the token for its cookie. The token is kept nowhere else.

    phone: the phone that a pairing code opened it for. One district's office gave that code out: the session reaches
    no other district of the login, and no page once the phone is taken away.
    """
    token, door = new_token(), Door(door)
    queries.insert_session(tx, token_hash(token), login_id, door, now, now + SESSION_LIFETIME[door], phone)
    return token


def new_link(tx: Transaction, login_id: UUID, door: Door | str, now: datetime, *, demo: bool = False) -> str:
    """Return the path of a one-time sign-in link, 10 minutes; in the demonstration 24 hours, reusable."""
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


def enter(tx: Transaction, token: str, now: datetime) -> Entered:
    """Use a link and open a session. Raises SignInRefused("LINK_UNKNOWN")."""
    link = queries.use_link(tx, token_hash(token), now)
    if link is None:
        raise SignInRefused("LINK_UNKNOWN")
    door = Door(link.door)
    return Entered(door, link.login_id, new_session(tx, link.login_id, door, now))


def actor_of(tx: Transaction, door: Door, token: str, now: datetime) -> Actor | None:
    """Return who holds this token at this door, or None: unknown, ended, expired, or no role left."""
    return gather(door, queries.places_of_session(tx, token_hash(token), door, now))


def sign_out(tx: Transaction, token: str, now: datetime) -> None:
    """End one session. An unknown token is no fault: the browser is signed out either way."""
    queries.end_session(tx, token_hash(token), now)


def sign_out_everywhere(tx: Transaction, login_id: UUID, now: datetime) -> None:
    """End every session of a login, at every door."""
    queries.end_sessions(tx, login_id, now)


def grant_role(tx: Transaction, district_id: UUID, person_id: UUID, role: Role, first_day: date, *,
               school_id: UUID | None = None, class_id: UUID | None = None) -> None:
    """Grant a role from a day on. Granting what is granted already changes nothing."""
    queries.insert_grant(tx, district_id, new_id(), person_id, role, school_id, class_id, first_day)


def end_role(tx: Transaction, district_id: UUID, person_id: UUID, role: Role, last_day: date) -> int:
    """End the running grants of a role on a day (that day excluded); return how many ended."""
    return queries.end_grants(tx, district_id, person_id, role, last_day)
