"""Proving an e-mail address, and what follows: one login for all districts that wrote this address beside a person.

Responsible for: a link to a mailbox that only its owner opens, in the very session that asked; joining logins, which
the database does by itself (prove_address) so that nothing else can. After it the session, and the key it holds, reach
every district; what other offices gave out stays in its district. Not responsible for: sending mail (docs/sign-in.md).
"""

from datetime import datetime, timedelta
from uuid import UUID

from cloud.identity.model import Actor, Door
from cloud.identity.service import SignInRefused
from cloud.kit.db import Transaction, one, one_or_none
from cloud.kit.errors import Refused
from cloud.kit.ids import new_token, token_hash

PROOF_LIFETIME = timedelta(hours=24)  # SP 800-63B-4 allows a day for a code sent by e-mail.


def address_of(tx: Transaction, login_id: UUID) -> tuple[str, bool]:
    """Return the address of a login, or '', and whether it was proved."""
    row = tx.execute("SELECT coalesce(email, ''), email_proved_at IS NOT NULL FROM login WHERE id = %s", (login_id,))
    return row.fetchone() or ("", False)


def new_proof(tx: Transaction, actor: Actor, email: str, token: str, now: datetime) -> str:
    """Return the path of the link to send to an address; it works once, a day, in this session. Family door only."""
    if actor.door is not Door.FAMILY:
        raise Refused("NOT_YOURS")
    secret = new_token()
    tx.execute(
        "INSERT INTO address_proof (token_hash, login_id, session_hash, email, expires_at)"
        " VALUES (%(hash)s, %(login)s, %(session)s, %(email)s, %(end)s)",
        {"hash": token_hash(secret), "login": actor.login_id, "session": token_hash(token), "email": email,
         "end": now + PROOF_LIFETIME},
    )
    return f"/prove/{secret}"


def prove(tx: Transaction, secret: str, token: str, now: datetime) -> UUID:
    """Use the link up; return the login that now holds the address, with the persons of every district that wrote it.

    tx: untenanted. Raises SignInRefused("LINK_UNKNOWN").
    """
    login_id = one_or_none(
        tx, UUID, "SELECT prove_address(%s, %s, %s)", (token_hash(secret), token_hash(token), now)
    )
    if login_id is None:
        raise SignInRefused("LINK_UNKNOWN")
    return login_id


def join_by_letter(tx: Transaction, letter_token: str, token: str, now: datetime) -> bool:
    """Join the login of a fresh letter's session to the login of the one who holds both; return whether that was done.

    For a parent without e-mail: signed in, sure, and typing the letter of a second district. tx: untenanted.
    """
    return one(
        tx, bool, "SELECT join_by_letter(%s, %s, %s)", (token_hash(letter_token), token_hash(token), now)
    )
