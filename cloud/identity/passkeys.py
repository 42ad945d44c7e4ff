"""Passkeys (WebAuthn): make one, sign in with one, prove with one that it is you; name and remove them.

Responsible for: challenges (stored as hashes, once, five minutes, bound to the session that asked), and what a key may
open: its own door, and the district whose letter it was made on. User verification is always required: the key alone,
without its PIN or finger, opens nothing. A counter that went back is refused. Not responsible for: the ceremony's
cryptography (package webauthn), JSON and cookies (api.py). Every fault of an answer is one refusal, PASSKEY_REFUSED.
"""

import hashlib
import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import webauthn
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from cloud.identity import service
from cloud.identity.model import FIRST_KEY_LIFETIME, Actor, Door, Way
from cloud.identity.service import Entered, SignInRefused
from cloud.kit.db import RuleBroken, Transaction, many, one_or_none
from cloud.kit.ids import new_id, token_hash

CHALLENGE_BYTES = 32  # WebAuthn asks for 16 at least.
CHALLENGE_LIFETIME = timedelta(minutes=5)  # The ceremony's own timeout (WebAuthn, 15.1: five minutes with a finger).
PASSKEYS_MAX = 10  # One login and door; a person has a phone, a computer, a spare key.
NAME_CHARACTERS_MAX = 60  # passkey_named in schema.sql
CLIENT_DATA_BYTES_MAX = 2_000

log = logging.getLogger("portillon.identity")


class Purpose(StrEnum):
    """What a challenge is for: making a key, entering by one, proving with one in a session that is open."""

    MAKE = "make"
    ENTER = "enter"
    PROVE = "prove"


@dataclass(frozen=True)
class RelyingParty:
    """What keys are made for: the host of our public address, and the origin that browsers must name."""

    host: str
    origin: str


@dataclass(frozen=True)
class Passkey:
    """A key as its holder sees it."""

    id: UUID
    name: str
    only_district: UUID | None
    created_at: datetime
    used_at: datetime


@dataclass(frozen=True)
class _KeptKey:
    id: UUID
    login_id: UUID
    door: str
    only_district: UUID | None
    credential: bytes
    handle: bytes
    public_key: bytes
    counter: int


def relying_party(public_url: str) -> RelyingParty:
    """Return it for an address like https://portillon.example. An IP address cannot have passkeys: browsers refuse."""
    return RelyingParty(urlsplit(public_url).hostname or "", public_url)


def may_make(tx: Transaction, actor: Actor, now: datetime) -> bool:
    """Return whether this session may make a passkey or a password now.

    A proved one may. What an office gave out may for half an hour: a letter or link always (that is how somebody who
    lost everything comes back), a pairing code only at the family's door and only a first one.
    """
    if actor.is_sure(now):
        return True
    if actor.opened_at is None or now >= actor.opened_at + FIRST_KEY_LIFETIME:
        return False
    if actor.way is Way.PAIRING:
        return actor.door is Door.FAMILY and not has_any(tx, actor.login_id)
    return actor.way in (Way.LINK, Way.LETTER)


def has_any(tx: Transaction, login_id: UUID) -> bool:
    """Return whether a login has a passkey or a password of any door."""
    found = one_or_none(
        tx, bool,
        "SELECT true FROM passkey WHERE login_id = %(login)s UNION ALL SELECT true FROM password"
        " WHERE login_id = %(login)s LIMIT 1",
        {"login": login_id},
    )
    return bool(found)


# --- making ---------------------------------------------------------------------------------------------------------


def start_making(tx: Transaction, party: RelyingParty, actor: Actor, token: str, now: datetime) -> dict[str, Any]:
    """Return what the browser needs to make a key. Raises SignInRefused("PASSKEY_TOO_LATE")."""
    if not may_make(tx, actor, now):
        raise SignInRefused("PASSKEY_TOO_LATE")
    options = webauthn.generate_registration_options(
        rp_id=party.host, rp_name="Portillon", user_id=_handle(actor), challenge=_ask(tx, Purpose.MAKE, token, now),
        user_name=f"{actor.given} {actor.family}".strip(), timeout=_milliseconds(CHALLENGE_LIFETIME),
        attestation=AttestationConveyancePreference.NONE,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[  # Of this reach only: of other districts' keys a browser is told nothing.
            PublicKeyCredentialDescriptor(id=key.credential) for key in _keys_of(tx, actor)
            if key.only_district == _confinement(actor)
        ],
    )  # fmt: skip
    return json.loads(webauthn.options_to_json(options))


def finish_making(
    tx: Transaction, party: RelyingParty, actor: Actor, token: str, answer: Mapping[str, Any], name: str, now: datetime
) -> UUID:
    """Keep the new key; the session counts as earned by it and as sure. take_challenge comes before, committed.

    Raises SignInRefused("PASSKEY_REFUSED"), "PASSKEY_TOO_LATE", "PASSKEY_KNOWN", "PASSKEY_TOO_MANY".
    """
    if not may_make(tx, actor, now):
        raise SignInRefused("PASSKEY_TOO_LATE")
    made = _verified_making(party, answer)
    tx.execute("SELECT id FROM login WHERE id = %s FOR UPDATE", (actor.login_id,))  # two at once: counted in turn
    if len(_keys_of(tx, actor)) >= PASSKEYS_MAX:
        raise SignInRefused("PASSKEY_TOO_MANY")
    key_id, confined = new_id(now), _confinement(actor)
    try:
        with tx.transaction():
            tx.execute(
                "INSERT INTO passkey (id, login_id, door, only_district, credential, handle, public_key, counter, name,"
                " created_at, used_at) VALUES (%(id)s, %(login)s, %(door)s, %(district)s, %(credential)s, %(handle)s,"
                " %(key)s, %(counter)s, %(name)s, %(now)s, %(now)s)",
                {"id": key_id, "login": actor.login_id, "door": actor.door, "district": confined, "name": _name(name),
                 "credential": made.credential_id, "handle": _handle(actor), "key": made.credential_public_key,
                 "counter": made.sign_count, "now": now},
            )
    except RuleBroken as broken:
        if broken.constraint != "passkey_credential_once":
            raise
        raise SignInRefused("PASSKEY_KNOWN") from broken
    tx.execute(
        "UPDATE session SET opened_by = 'passkey', passkey_id = %(key)s WHERE token_hash = %(hash)s"
        " AND phone_id IS NULL",
        {"key": key_id, "hash": token_hash(token)},
    )
    service.make_sure(tx, token, now)
    return key_id


def _verified_making(party: RelyingParty, answer: Mapping[str, Any]) -> Any:
    try:
        return webauthn.verify_registration_response(
            credential=dict(answer), expected_challenge=challenge_of(answer), expected_rp_id=party.host,
            expected_origin=party.origin, require_user_verification=True,
        )
    except Exception as error:  # Whatever a stranger's bytes do to the decoders behind this call, the answer is no.
        raise _refused(error) from error


# --- entering and proving -------------------------------------------------------------------------------------------


def start_entering(tx: Transaction, party: RelyingParty, now: datetime) -> dict[str, Any]:
    """Return what the browser needs to sign in with any key it holds for us: nobody is named."""
    return _request(party, _ask(tx, Purpose.ENTER, None, now), [])


def finish_entering(
    tx: Transaction, party: RelyingParty, answer: Mapping[str, Any], now: datetime, browser: str = ""
) -> Entered:
    """Open the door of the key that answered. take_challenge comes before. Raises SignInRefused("PASSKEY_REFUSED")."""
    key = _answering(tx, party, answer, now)
    if _bytes(answer, "userHandle") != key.handle:
        raise SignInRefused("PASSKEY_REFUSED")
    door = Door(key.door)
    token = service.new_session(
        tx, key.login_id, door, now, way=Way.PASSKEY, only_district=key.only_district, browser=browser
    )
    tx.execute(
        "UPDATE session SET passkey_id = %(key)s WHERE token_hash = %(hash)s",
        {"key": key.id, "hash": token_hash(token)},
    )
    service.make_sure(tx, token, now)
    return Entered(door, key.login_id, token)


def start_proving(tx: Transaction, party: RelyingParty, actor: Actor, token: str, now: datetime) -> dict[str, Any]:
    """Return what the browser needs to prove that it is still them: with a key of this login, door and reach."""
    keys = [key for key in _keys_of(tx, actor) if _reaches(key, actor)]
    return _request(party, _ask(tx, Purpose.PROVE, token, now), [key.credential for key in keys])


def finish_proving(
    tx: Transaction, party: RelyingParty, actor: Actor, token: str, answer: Mapping[str, Any], now: datetime
) -> None:
    """Count this session as sure. take_challenge comes before. Raises SignInRefused("PASSKEY_REFUSED")."""
    key = _answering(tx, party, answer, now)
    if key.login_id != actor.login_id or Door(key.door) is not actor.door or not _reaches(key, actor):
        raise SignInRefused("PASSKEY_REFUSED")
    service.make_sure(tx, token, now)


def _request(party: RelyingParty, challenge: bytes, credentials: list[bytes]) -> dict[str, Any]:
    options = webauthn.generate_authentication_options(
        rp_id=party.host, challenge=challenge, timeout=_milliseconds(CHALLENGE_LIFETIME),
        allow_credentials=[PublicKeyCredentialDescriptor(id=credential) for credential in credentials],
        user_verification=UserVerificationRequirement.REQUIRED,
    )  # fmt: skip
    return json.loads(webauthn.options_to_json(options))


def _answering(tx: Transaction, party: RelyingParty, answer: Mapping[str, Any], now: datetime) -> _KeptKey:
    """Return the key that signed, its counter moved on."""
    try:
        credential = base64url_to_bytes(str(answer.get("rawId", "")))
    except ValueError as error:
        raise _refused(error) from error
    key = one_or_none(tx, _KeptKey, f"{_KEYS} WHERE credential = %(credential)s FOR UPDATE", {"credential": credential})
    if key is None:
        raise SignInRefused("PASSKEY_REFUSED")
    try:
        proved = webauthn.verify_authentication_response(
            credential=dict(answer), expected_challenge=challenge_of(answer), expected_rp_id=party.host,
            expected_origin=party.origin, credential_public_key=key.public_key,
            credential_current_sign_count=key.counter, require_user_verification=True,
        )
    except Exception as error:  # As where a key is made.
        raise _refused(error) from error
    tx.execute(
        "UPDATE passkey SET counter = %(counter)s, used_at = %(now)s WHERE id = %(id)s",
        {"counter": proved.new_sign_count, "now": now, "id": key.id},
    )
    return key


# --- challenges -----------------------------------------------------------------------------------------------------


def challenge_of(answer: Mapping[str, Any]) -> bytes:
    """Return the challenge that the browser says it signed. Raises SignInRefused("PASSKEY_REFUSED")."""
    try:
        told = json.loads(_bytes(answer, "clientDataJSON")[:CLIENT_DATA_BYTES_MAX])
        return base64url_to_bytes(told["challenge"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _refused(error) from error


def take_challenge(
    tx: Transaction, purpose: Purpose, answer: Mapping[str, Any], token: str | None, now: datetime
) -> None:
    """Use up the challenge that an answer names. Commit before anything else is looked at: a second answer finds none.

    Raises SignInRefused("PASSKEY_REFUSED"): unknown, used, expired, of another purpose or another session.
    """
    taken = tx.execute(
        "DELETE FROM passkey_challenge WHERE challenge_hash = %(hash)s AND purpose = %(purpose)s"
        " AND session_hash IS NOT DISTINCT FROM %(session)s AND expires_at > %(now)s",
        {"hash": hashlib.sha256(challenge_of(answer)).digest(), "purpose": purpose,
         "session": token_hash(token) if token else None, "now": now},
    ).rowcount
    if not taken:
        raise SignInRefused("PASSKEY_REFUSED")


def _ask(tx: Transaction, purpose: Purpose, token: str | None, now: datetime) -> bytes:
    challenge = secrets.token_bytes(CHALLENGE_BYTES)
    tx.execute(
        "INSERT INTO passkey_challenge (challenge_hash, purpose, session_hash, expires_at)"
        " VALUES (%(hash)s, %(purpose)s, %(session)s, %(end)s)",
        {"hash": hashlib.sha256(challenge).digest(), "purpose": purpose,
         "session": token_hash(token) if token else None, "end": now + CHALLENGE_LIFETIME},
    )
    return challenge


# --- a person's own keys --------------------------------------------------------------------------------------------


def passkeys_of(tx: Transaction, actor: Actor) -> list[Passkey]:
    """Return the keys of this login at this door that the session may touch, oldest first.

    A session of one district sees the keys of that district: an office could have begun it with a letter of its own.
    """
    return many(
        tx, Passkey,
        "SELECT id, name, only_district, created_at, used_at FROM passkey"
        " WHERE login_id = %(login)s AND door = %(door)s"
        " AND (%(district)s::uuid IS NULL OR only_district = %(district)s) ORDER BY created_at, id",
        {"login": actor.login_id, "door": actor.door, "district": actor.only_district},
    )


def name_passkey(tx: Transaction, actor: Actor, key_id: UUID, name: str) -> bool:
    """Rename an own key; return whether there is one."""
    return tx.execute(
        "UPDATE passkey SET name = %(name)s WHERE id = %(id)s AND login_id = %(login)s AND door = %(door)s"
        " AND (%(district)s::uuid IS NULL OR only_district = %(district)s)",
        {"name": _name(name), "id": key_id, "login": actor.login_id, "door": actor.door,
         "district": actor.only_district},
    ).rowcount == 1


def remove_passkey(tx: Transaction, actor: Actor, key_id: UUID, token: str, now: datetime) -> bool:
    """Remove an own key and end the other sessions that it opened; return whether there was one.

    Raises SignInRefused("PASSKEY_LAST"): staff and operators have no other way in.
    """
    tx.execute("SELECT id FROM login WHERE id = %s FOR UPDATE", (actor.login_id,))
    kept = [key.id for key in passkeys_of(tx, actor)]
    if key_id not in kept:
        return False
    if len(kept) == 1 and actor.door is not Door.FAMILY:
        raise SignInRefused("PASSKEY_LAST")
    tx.execute(
        "UPDATE session SET ended_at = %(now)s WHERE passkey_id = %(id)s AND login_id = %(login)s"
        " AND token_hash <> %(own)s AND ended_at IS NULL",
        {"now": now, "id": key_id, "login": actor.login_id, "own": token_hash(token)},
    )
    tx.execute("DELETE FROM passkey WHERE id = %s", (key_id,))
    return True


_KEYS = "SELECT id, login_id, door, only_district, credential, handle, public_key, counter FROM passkey"


def _keys_of(tx: Transaction, actor: Actor) -> list[_KeptKey]:
    return many(
        tx, _KeptKey, f"{_KEYS} WHERE login_id = %(login)s AND door = %(door)s",
        {"login": actor.login_id, "door": actor.door},
    )


def _confinement(actor: Actor) -> UUID | None:
    """A key reaches as far as the session that makes it; one of staff reaches one district always."""
    return actor.only_district or (None if actor.door is Door.FAMILY else actor.district_id)


def _reaches(key: _KeptKey, actor: Actor) -> bool:
    """A confined key proves nothing in a session that reaches further than it."""
    return key.only_district is None or key.only_district == _confinement(actor)


def _handle(actor: Actor) -> bytes:
    """What the authenticator keeps beside the key: one a login, door and reach, so that none overwrites another."""
    reach = _confinement(actor)
    named = (b"portillon passkey", actor.login_id.bytes, str(actor.door).encode(), reach.bytes if reach else b"")
    return hashlib.sha256(b"\0".join(named)).digest()


def _name(typed: str) -> str:
    written = " ".join("".join(letter if letter.isprintable() else " " for letter in typed).split())
    return written[:NAME_CHARACTERS_MAX].strip() or "Passkey"


def _bytes(answer: Mapping[str, Any], part: str) -> bytes:
    response = answer.get("response")
    text = response.get(part) if isinstance(response, Mapping) else None
    try:
        return base64url_to_bytes(text) if isinstance(text, str) else b""
    except ValueError:
        return b""


def _refused(error: Exception) -> SignInRefused:
    log.info("a passkey's answer was refused: %s", type(error).__name__)
    return SignInRefused("PASSKEY_REFUSED")


def _milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
