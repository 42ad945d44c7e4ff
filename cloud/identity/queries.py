"""SQL of identity: logins, sessions, links, granted roles. Private to identity/service.py."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from cloud.identity.model import Door, HeldPhone, PlaceRow, Role
from cloud.kit.db import Transaction, many, one, one_or_none


@dataclass(frozen=True)
class OpenedLink:
    """A link that lets in: who, and by which door."""

    login_id: UUID
    door: str


def put_login(tx: Transaction, login_id: UUID, email: str | None, now: datetime) -> UUID:
    return one(
        tx, UUID,
        "INSERT INTO login (id, email, created_at) VALUES (%(id)s, %(email)s, %(now)s)"
        " ON CONFLICT (email) DO UPDATE SET email = excluded.email RETURNING id",
        {"id": login_id, "email": email, "now": now},
    )


def login_of_person(tx: Transaction, district_id: UUID, person_id: UUID) -> UUID | None:
    return one_or_none(
        tx, UUID,
        "SELECT login_id FROM person WHERE district_id = %(district)s AND id = %(person)s FOR UPDATE",
        {"district": district_id, "person": person_id},
    )


def give_login(tx: Transaction, district_id: UUID, person_id: UUID, login_id: UUID) -> None:
    tx.execute(
        "UPDATE person SET login_id = %(login)s WHERE district_id = %(district)s AND id = %(person)s",
        {"district": district_id, "person": person_id, "login": login_id},
    )


def insert_session(tx: Transaction, token_hash: bytes, login_id: UUID, door: Door, now: datetime, end: datetime,
                   phone: HeldPhone | None) -> None:
    tx.execute(
        "INSERT INTO session (token_hash, login_id, door, created_at, expires_at, only_district, phone_id)"
        " VALUES (%(hash)s, %(login)s, %(door)s, %(now)s, %(end)s, %(district)s, %(phone)s)",
        {"hash": token_hash, "login": login_id, "door": door, "now": now, "end": end,
         "district": phone.district_id if phone else None, "phone": phone.phone_id if phone else None},
    )


def places_of_session(tx: Transaction, token_hash: bytes, door: Door, now: datetime) -> list[PlaceRow]:
    return many(
        tx, PlaceRow, "SELECT * FROM session_places(%(hash)s, %(door)s, %(now)s)",
        {"hash": token_hash, "door": str(door), "now": now},
    )


def end_session(tx: Transaction, token_hash: bytes, now: datetime) -> None:
    tx.execute(
        "UPDATE session SET ended_at = %(now)s WHERE token_hash = %(hash)s AND ended_at IS NULL",
        {"hash": token_hash, "now": now},
    )


def end_sessions(tx: Transaction, login_id: UUID, now: datetime) -> None:
    tx.execute(
        "UPDATE session SET ended_at = %(now)s WHERE login_id = %(login)s AND ended_at IS NULL",
        {"login": login_id, "now": now},
    )


def insert_link(tx: Transaction, token_hash: bytes, login_id: UUID, door: Door, reusable: bool, now: datetime,
                end: datetime) -> None:
    tx.execute(
        "INSERT INTO sign_in_link (token_hash, login_id, door, reusable, created_at, expires_at)"
        " VALUES (%(hash)s, %(login)s, %(door)s, %(reusable)s, %(now)s, %(end)s)",
        {"hash": token_hash, "login": login_id, "door": door, "reusable": reusable, "now": now, "end": end},
    )


def reusable_of_link(tx: Transaction, token_hash: bytes, now: datetime) -> bool | None:
    return one_or_none(
        tx, bool,
        "SELECT reusable FROM sign_in_link"
        " WHERE token_hash = %(hash)s AND expires_at > %(now)s AND (reusable OR used_at IS NULL)",
        {"hash": token_hash, "now": now},
    )


def use_link(tx: Transaction, token_hash: bytes, now: datetime) -> OpenedLink | None:
    """Mark the link as used and return it; two browsers at once: the row lock lets one of them in."""
    return one_or_none(
        tx, OpenedLink,
        "UPDATE sign_in_link SET used_at = coalesce(used_at, %(now)s)"
        " WHERE token_hash = %(hash)s AND expires_at > %(now)s AND (reusable OR used_at IS NULL)"
        " RETURNING login_id, door",
        {"hash": token_hash, "now": now},
    )


def insert_grant(tx: Transaction, district_id: UUID, grant_id: UUID, person_id: UUID, role: Role,
                 school_id: UUID | None, class_id: UUID | None, first_day: date) -> None:
    tx.execute(
        "INSERT INTO role_grant (district_id, id, person_id, role, school_id, class_id, period)"
        " VALUES (%(district)s, %(id)s, %(person)s, %(role)s, %(school)s, %(class)s, daterange(%(first)s, NULL))"
        " ON CONFLICT DO NOTHING",
        {"district": district_id, "id": grant_id, "person": person_id, "role": role, "school": school_id,
         "class": class_id, "first": first_day},
    )


def end_grants(tx: Transaction, district_id: UUID, person_id: UUID, role: Role, last_day: date) -> int:
    return tx.execute(
        "UPDATE role_grant SET period = daterange(lower(period), %(last)s)"
        " WHERE district_id = %(district)s AND person_id = %(person)s AND role = %(role)s"
        " AND period @> %(last)s AND lower(period) < %(last)s",
        {"district": district_id, "person": person_id, "role": role, "last": last_day},
    ).rowcount
