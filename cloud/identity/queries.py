"""SQL of identity: logins, sessions, links, granted roles. Private to identity/service.py."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from cloud.identity.model import Door, OpenSession, PlaceRow, Role, Way
from cloud.kit.db import Transaction, many, one, one_or_none


@dataclass(frozen=True)
class OpenedLink:
    """A link that lets in: who, by which door, into which district, and whether it is a demonstration's."""

    login_id: UUID
    door: str
    only_district: UUID | None
    reusable: bool


def insert_login(tx: Transaction, login_id: UUID, email: str | None, now: datetime) -> None:
    tx.execute(
        "INSERT INTO login (id, email, created_at) VALUES (%(id)s, %(email)s, %(now)s)",
        {"id": login_id, "email": email, "now": now},
    )


def login_of_address(tx: Transaction, email: str) -> UUID | None:
    """Return the login that proved this address anywhere, else the one that this district wrote it beside."""
    return one_or_none(
        tx, UUID,
        "SELECT l.id FROM login l WHERE l.email = %(email)s AND (l.email_proved_at IS NOT NULL OR EXISTS"
        " (SELECT 1 FROM person p WHERE p.district_id = app_district() AND p.login_id = l.id))"
        " ORDER BY l.email_proved_at NULLS LAST, l.created_at LIMIT 1",
        {"email": email},
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


def insert_session(tx: Transaction, token_hash: bytes, login_id: UUID, door: Door, way: Way, now: datetime,
                   end: datetime, only_district: UUID | None, phone_id: UUID | None, browser: str) -> None:
    tx.execute(
        "INSERT INTO session (token_hash, login_id, door, opened_by, created_at, expires_at, only_district, phone_id,"
        " browser) VALUES (%(hash)s, %(login)s, %(door)s, %(way)s, %(now)s, %(end)s, %(district)s, %(phone)s,"
        " %(browser)s)",
        {"hash": token_hash, "login": login_id, "door": door, "way": way, "now": now, "end": end,
         "district": only_district, "phone": phone_id, "browser": browser},
    )


def extend_sureness(tx: Transaction, token_hash: bytes, now: datetime, until: datetime) -> int:
    return tx.execute(
        "UPDATE session SET sure_until = %(until)s"
        " WHERE token_hash = %(hash)s AND ended_at IS NULL AND expires_at > %(now)s",
        {"hash": token_hash, "now": now, "until": until},
    ).rowcount


def places_of_session(tx: Transaction, token_hash: bytes, door: Door, now: datetime) -> list[PlaceRow]:
    return many(
        tx, PlaceRow, "SELECT * FROM session_places(%(hash)s, %(door)s, %(now)s)",
        {"hash": token_hash, "door": str(door), "now": now},
    )


@dataclass(frozen=True)
class EndedSession:
    """A session that has just ended, and the phone whose own session it was."""

    only_district: UUID | None
    phone_id: UUID | None


def end_session(tx: Transaction, token_hash: bytes, now: datetime) -> EndedSession | None:
    return one_or_none(
        tx, EndedSession,
        "UPDATE session SET ended_at = %(now)s WHERE token_hash = %(hash)s AND ended_at IS NULL"
        " RETURNING only_district, phone_id",
        {"hash": token_hash, "now": now},
    )


def end_sessions(tx: Transaction, login_id: UUID, now: datetime, only_district: UUID | None = None) -> None:
    tx.execute(
        "UPDATE session SET ended_at = %(now)s WHERE login_id = %(login)s AND ended_at IS NULL"
        " AND (%(district)s::uuid IS NULL OR only_district = %(district)s)",
        {"login": login_id, "now": now, "district": only_district},
    )


def insert_link(tx: Transaction, token_hash: bytes, login_id: UUID, door: Door, reusable: bool, now: datetime,
                end: datetime) -> None:
    """Keep a link, confined to the district of this transaction: whoever gives it out speaks for no other."""
    tx.execute(
        "INSERT INTO sign_in_link (token_hash, login_id, door, reusable, created_at, expires_at, only_district)"
        " VALUES (%(hash)s, %(login)s, %(door)s, %(reusable)s, %(now)s, %(end)s, app_district())",
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
        " RETURNING login_id, door, only_district, reusable",
        {"hash": token_hash, "now": now},
    )


def insert_grant(tx: Transaction, district_id: UUID, grant_id: UUID, person_id: UUID, role: Role,
                 school_id: UUID | None, class_id: UUID | None, first_day: date, last_day: date | None) -> bool:
    """Begin on the first day, or where the last grant of the system ended. An empty time is none."""
    return tx.execute(
        "INSERT INTO role_grant (district_id, id, person_id, role, school_id, class_id, period)"
        " SELECT %(district)s, %(id)s, %(person)s, %(role)s, %(school)s, %(class)s, daterange(begins, %(last)s)"
        " FROM (SELECT greatest(%(first)s::date, max(upper(period))) AS begins FROM role_grant"
        " WHERE district_id = %(district)s AND person_id = %(person)s AND role = %(role)s"
        " AND school_id IS NOT DISTINCT FROM %(school)s AND class_id IS NOT DISTINCT FROM %(class)s"
        " AND granted_by IS NULL AND ended_by IS NULL) earlier"
        " WHERE %(last)s::date IS NULL OR begins < %(last)s ON CONFLICT DO NOTHING",
        {"district": district_id, "id": grant_id, "person": person_id, "role": role, "school": school_id,
         "class": class_id, "first": first_day, "last": last_day},
    ).rowcount > 0


def cut_grant(tx: Transaction, district_id: UUID, person_id: UUID, role: Role, school_id: UUID | None,
              class_id: UUID | None, last_day: date) -> int:
    """End a role exactly there, on a day that may be to come; what is to begin later never does."""
    return tx.execute(
        "UPDATE role_grant SET period = daterange(lower(period),"
        " greatest(%(last)s::date, lower(period) + (lower(period) <= %(last)s)::int))"
        " WHERE district_id = %(district)s AND person_id = %(person)s AND role = %(role)s AND granted_by IS NULL"
        " AND school_id IS NOT DISTINCT FROM %(school)s AND class_id IS NOT DISTINCT FROM %(class)s"
        " AND (upper_inf(period) OR upper(period)"
        " > greatest(%(last)s::date, lower(period) + (lower(period) <= %(last)s)::int))",
        {"district": district_id, "person": person_id, "role": role, "school": school_id, "class": class_id,
         "last": last_day},
    ).rowcount


def end_grants(tx: Transaction, district_id: UUID, person_id: UUID, role: Role, last_day: date) -> int:
    return tx.execute(
        "UPDATE role_grant SET period = daterange(lower(period), %(last)s)"
        " WHERE district_id = %(district)s AND person_id = %(person)s AND role = %(role)s"
        " AND period @> %(last)s AND lower(period) < %(last)s",
        {"district": district_id, "person": person_id, "role": role, "last": last_day},
    ).rowcount


def end_grants_at(tx: Transaction, district_id: UUID, person_id: UUID, role: Role, school_id: UUID | None,
                  class_id: UUID | None, last_day: date) -> int:
    """school_id, class_id: None is any. What is to begin later never does. What people granted stays."""
    return tx.execute(
        "UPDATE role_grant SET period = daterange(lower(period),"
        " greatest(%(last)s::date, lower(period) + (lower(period) <= %(last)s)::int))"
        " WHERE district_id = %(district)s AND person_id = %(person)s AND role = %(role)s AND granted_by IS NULL"
        " AND (%(school)s::uuid IS NULL OR school_id = %(school)s)"
        " AND (%(class)s::uuid IS NULL OR class_id = %(class)s)"
        " AND (upper_inf(period) OR upper(period)"
        " > greatest(%(last)s::date, lower(period) + (lower(period) <= %(last)s)::int))",
        {"district": district_id, "person": person_id, "role": role, "school": school_id, "class": class_id,
         "last": last_day},
    ).rowcount


def was_taken_away(tx: Transaction, district_id: UUID, person_id: UUID, role: Role, school_id: UUID | None) -> bool:
    return one(
        tx, bool,
        "SELECT EXISTS (SELECT FROM role_grant WHERE district_id = %(district)s AND person_id = %(person)s"
        " AND role = %(role)s AND school_id IS NOT DISTINCT FROM %(school)s AND ended_by IS NOT NULL)",
        {"district": district_id, "person": person_id, "role": role, "school": school_id},
    )


def open_sessions(tx: Transaction, login_id: UUID, only_district: UUID | None, own: bytes, now: datetime
                  ) -> list[OpenSession]:
    return many(
        tx, OpenSession,
        "SELECT id, door, opened_by, browser, created_at, token_hash = %(own)s AS is_this FROM session"
        " WHERE login_id = %(login)s AND ended_at IS NULL AND expires_at > %(now)s"
        " AND (%(district)s::uuid IS NULL OR only_district = %(district)s)"
        " ORDER BY created_at DESC, id LIMIT 50",
        {"login": login_id, "district": only_district, "own": own, "now": now},
    )


def end_session_of(tx: Transaction, login_id: UUID, only_district: UUID | None, session_id: UUID, now: datetime) -> int:
    return tx.execute(
        "UPDATE session SET ended_at = %(now)s WHERE id = %(id)s AND login_id = %(login)s AND ended_at IS NULL"
        " AND (%(district)s::uuid IS NULL OR only_district = %(district)s)",
        {"id": session_id, "login": login_id, "district": only_district, "now": now},
    ).rowcount
