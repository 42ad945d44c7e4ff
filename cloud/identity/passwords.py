"""Passwords, for families who want one: argon2id, at least 15 characters, no rules of composition, no commonest ones.

Responsible for: the rules of NIST SP 800-63B-4 (3.1.1.2), the work of hashing in a bounded place, the same answer and
the same work for an address that nobody has. Not responsible for: counting tries before it is asked (tries.py).
Staff and operators have none: their doors open to a passkey.
"""

import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cloud.identity import service
from cloud.identity.addresses import address_of
from cloud.identity.model import Actor, Door, Way
from cloud.identity.service import Entered, SignInRefused
from cloud.kit.db import Transaction, many, one_or_none
from cloud.kit.errors import N_, Refused
from cloud.kit.ids import token_hash

CHARACTERS_MIN = 15  # SP 800-63B-4: 15 where a password is the only factor.
CHARACTERS_MAX = 200  # At least 64 must be allowed; argon2 takes any length, a form need not.
EMAIL_CHARACTERS_MAX = 254  # login_email_normal in schema.sql; RFC 5321.

# OWASP, Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
HASHERS_MAX = 2  # At once: 38 MiB and two processors, whatever comes.
WAITING_MAX = 8  # Further ones are told to come back: a queue of logins must not stop the pages of the gate.
CANDIDATES = 2  # Logins that are tried for one address: the same number for an unknown one.

TOO_SHORT = N_("Please take at least 15 characters: three or four words are easy to keep in mind.")
TOO_LONG = N_("Please take at most 200 characters.")
TOO_COMMON = N_("This is one of the first that anybody would try. Please take other words.")

# What the commonest passwords are made of (published lists, keyboards of five languages, our own name): a password that
# is nothing but these, digits and repeated characters is refused.
COMMON_PARTS = (
    "password", "passwort", "motdepasse", "parol", "matkhau", "qwerty", "qwertz", "azerty", "asdfgh", "zxcvbn",
    "йцукен", "пароль", "фывапр", "ячсмит", "құпиясөз", "mậtkhẩu", "iloveyou", "jetaime", "anhyeuem", "letmein",
    "welcome", "bonjour", "privet", "admin", "administrator", "login", "portillon", "school", "ecole",
    "kindergarten", "student", "abcdef", "abc", "qazwsx", "dragon", "monkey", "football",
    "soleil", "princess", "samsung", "google",
)  # fmt: skip

_places = threading.BoundedSemaphore(HASHERS_MAX)
_line = threading.BoundedSemaphore(HASHERS_MAX + WAITING_MAX)
_NOBODYS = HASHER.hash("nobody has this one")  # Verified where there is no login, so that the work is the same.


@dataclass(frozen=True)
class Kept:
    """A password that is kept: whose, how far it reaches, its hash."""

    login_id: UUID
    only_district: UUID | None
    hash: str


@contextmanager
def _place() -> Iterator[None]:
    """Wait for a place to hash in. Raises SignInRefused("SIGN_IN_BUSY") where too many wait already."""
    if not _line.acquire(blocking=False):
        raise SignInRefused("SIGN_IN_BUSY")
    try:
        with _places:
            yield
    finally:
        _line.release()


def problem_of(password: str, email: str) -> str:
    """Return what is wrong with a new password, in words to translate, or ''. Pure."""
    written = normal(password)
    if len(written) < CHARACTERS_MIN:
        return TOO_SHORT
    if len(written) > CHARACTERS_MAX:
        return TOO_LONG
    return TOO_COMMON if _is_common(written, email) else ""


def normal(password: str) -> str:
    """Return one form for all ways of typing the same characters (SP 800-63B-4: NFKC or NFC). Nothing is cut."""
    return unicodedata.normalize("NFC", password)


def normal_email(typed: str) -> str:
    """Return an address as it is kept, or '' for what is none."""
    email = typed.strip().lower()
    well_formed = re.fullmatch(r"[^\s@]{1,64}@[^\s@]+\.[^\s@]+", email) and email.isprintable()
    return email if well_formed and len(email) <= EMAIL_CHARACTERS_MAX else ""


def _is_common(written: str, email: str) -> bool:
    rest = "".join(letter for letter in written.casefold() if letter.isalpha())
    name = "".join(letter for letter in email.partition("@")[0].casefold() if letter.isalpha())
    for part in sorted((*COMMON_PARTS, *((name,) if len(name) > 2 else ())), key=len, reverse=True):
        rest = rest.replace(part, "")
    return len(set(rest)) <= 2 or len(set(written)) <= 4


def set_password(tx: Transaction, actor: Actor, email: str, hashed: str, token: str, now: datetime) -> None:
    """Keep a password and the address to sign in with. hashed: of hash_password, done outside of a transaction.

    A new address is unproved until its holder proves it (addresses.py). All other sessions that a password opened end.
    Raises Refused("NOT_YOURS"): a confined session changes no proved address and no password that reaches further.
    """
    told = {"email": email, "login": actor.login_id, "district": actor.only_district, "hash": hashed, "now": now}
    changed = tx.execute(
        "UPDATE login SET email = %(email)s, email_proved_at = NULL WHERE id = %(login)s"
        " AND email IS DISTINCT FROM %(email)s AND (email_proved_at IS NULL OR %(district)s::uuid IS NULL)", told,
    ).rowcount  # fmt: skip
    kept = tx.execute(
        "INSERT INTO password AS p (login_id, only_district, hash, changed_at)"
        " VALUES (%(login)s, %(district)s, %(hash)s, %(now)s) ON CONFLICT (login_id) DO UPDATE"
        " SET only_district = excluded.only_district, hash = excluded.hash, changed_at = excluded.changed_at"
        " WHERE %(district)s::uuid IS NULL OR p.only_district = %(district)s", told,
    ).rowcount  # fmt: skip
    if not kept or (not changed and address_of(tx, actor.login_id)[0] != email):
        raise Refused("NOT_YOURS")
    _end_sessions(tx, actor, token, now)
    service.make_sure(tx, token, now)


def remove_password(tx: Transaction, actor: Actor, token: str, now: datetime) -> bool:
    """Remove the own password and end the other sessions that it opened; return whether there was one."""
    removed = tx.execute(
        "DELETE FROM password WHERE login_id = %(login)s"
        " AND (%(district)s::uuid IS NULL OR only_district = %(district)s)",
        {"login": actor.login_id, "district": actor.only_district},
    ).rowcount
    if removed:
        _end_sessions(tx, actor, token, now)
    return removed == 1


def _end_sessions(tx: Transaction, actor: Actor, token: str, now: datetime) -> None:
    tx.execute(
        "UPDATE session SET ended_at = %(now)s WHERE login_id = %(login)s AND opened_by = 'password'"
        " AND token_hash <> %(own)s AND ended_at IS NULL",
        {"now": now, "login": actor.login_id, "own": token_hash(token)},
    )


def hash_password(password: str) -> str:
    """Return argon2id of a password. Slow on purpose: call it with no transaction open. Raises "SIGN_IN_BUSY"."""
    with _place():
        return HASHER.hash(normal(password))


def has_password(tx: Transaction, login_id: UUID) -> bool:
    return bool(one_or_none(tx, bool, "SELECT true FROM password WHERE login_id = %s", (login_id,)))


def kept_for(tx: Transaction, email: str) -> list[Kept]:
    """Return the passwords of the logins with this address: the proved one first, else the oldest."""
    return many(
        tx, Kept,
        "SELECT p.login_id, p.only_district, p.hash FROM password p JOIN login l ON l.id = p.login_id"
        " WHERE l.email = %(email)s ORDER BY l.email_proved_at NULLS LAST, l.created_at, l.id LIMIT %(most)s",
        {"email": email, "most": CANDIDATES},
    )


def kept_of(tx: Transaction, actor: Actor) -> list[Kept]:
    """Return the password that proves the person in this session, if there is one: none that reaches less far."""
    return many(
        tx, Kept,
        "SELECT login_id, only_district, hash FROM password WHERE login_id = %(login)s"
        " AND (only_district IS NULL OR only_district = %(district)s)",
        {"login": actor.login_id, "district": actor.only_district},
    )


def fitting(kept: list[Kept], password: str) -> Kept | None:
    """Return the one that this password opens. The same work for none, one or two. No transaction is open meanwhile."""
    written = normal(password)[:CHARACTERS_MAX + 1]  # One more than any that was kept: it fits none of them.
    with _place():
        fits = [each for each in kept if _verifies(each.hash, written)]
        for _ in range(CANDIDATES - len(kept)):
            _verifies(_NOBODYS, written)
    return fits[0] if fits else None


def open_session(tx: Transaction, fit: Kept, now: datetime, browser: str) -> Entered:
    """Open the family's door for a password that fitted, unless it was changed meanwhile; it is a proof as well."""
    still = one_or_none(tx, str, "SELECT hash FROM password WHERE login_id = %s", (fit.login_id,))
    if still != fit.hash:
        raise SignInRefused("PASSWORD_WRONG")
    token = service.new_session(
        tx, fit.login_id, Door.FAMILY, now, way=Way.PASSWORD, only_district=fit.only_district, browser=browser
    )
    service.make_sure(tx, token, now)
    return Entered(Door.FAMILY, fit.login_id, token)


def schools_of(tx: Transaction, email: str) -> list[UUID]:
    """Return the schools that an address's logins belong to, for counting tries by school. Ids only."""
    return many(tx, UUID, "SELECT schools_of_address(%s)", (email,))


def _verifies(kept: str, password: str) -> bool:
    try:
        return HASHER.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False
