"""Activation letters: a code on paper that opens one door once, within 21 days, and leads to a passkey or password.

Responsible for: the code (95 random bits and a check letter, in groups that people can read aloud), its single use, and
how far it reaches: the district whose office printed it. Not responsible for: who may ask for one (identity/may.py; the
database refuses a letter to somebody above the one who asks), nor for the paper (pages.py).
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cloud.identity import service
from cloud.identity.model import Door, Way
from cloud.identity.service import Entered, SignInRefused
from cloud.kit.db import RuleBroken, Transaction, one_or_none
from cloud.kit.ids import new_id, token_hash

LETTER_LIFETIME = timedelta(days=21)  # SP 800-63B-4 allows 21 days for a code sent by post inside the country.
LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # No 0 and O, no 1 and I: 5 bits each.
CODE_LETTERS = 20  # 19 random ones, 95 bits, and the check letter.
GROUP_LETTERS = 4


@dataclass(frozen=True)
class Letter:
    """What is printed: the code in groups, the door it opens, and until when."""

    code: str
    door: Door
    expires_at: datetime


@dataclass(frozen=True)
class FoundLetter:
    """Where a typed code belongs."""

    district_id: UUID
    id: UUID


@dataclass(frozen=True)
class _Opened:
    person_id: UUID
    door: str


def new_letter(
    tx: Transaction, district_id: UUID, person_id: UUID, door: Door, *, by: UUID | None, now: datetime
) -> Letter:
    """Return a letter for a person of this district; an earlier one for the same door ends. by: None is the system.

    Raises SignInRefused("LETTER_ABOVE"): for a door of staff the writer must stand at least as high, as a head does.
    """
    tx.execute(
        "UPDATE activation_letter SET ended_at = %(now)s WHERE district_id = %(district)s AND person_id = %(person)s"
        " AND door = %(door)s AND ended_at IS NULL",
        {"now": now, "district": district_id, "person": person_id, "door": door},
    )
    code, end = _new_code(), now + LETTER_LIFETIME
    try:
        with tx.transaction():
            tx.execute(
                "INSERT INTO activation_letter (district_id, id, person_id, door, code_hash, issued_by, issued_at,"
                " expires_at) VALUES (%(district)s, %(id)s, %(person)s, %(door)s, %(hash)s, %(by)s, %(now)s, %(end)s)",
                {"district": district_id, "id": new_id(now), "person": person_id, "door": door,
                 "hash": token_hash(code), "by": by, "now": now, "end": end},
            )
    except RuleBroken as broken:
        if broken.constraint not in ("activation_letter_not_above", "activation_letter_not_to_oneself"):
            raise
        raise SignInRefused("LETTER_ABOVE") from broken
    return Letter(grouped(code), door, end)


def find_letter(tx: Transaction, typed: str, now: datetime) -> FoundLetter:
    """Return where a typed code belongs. tx: untenanted. Raises SignInRefused("LETTER_UNKNOWN")."""
    code = normal_code(typed)
    found = one_or_none(
        tx, FoundLetter, "SELECT district_id, id FROM letter_of_code(%s, %s)", (token_hash(code), now)
    ) if code else None  # fmt: skip
    if found is None:
        raise SignInRefused("LETTER_UNKNOWN")
    return found


def use_letter(tx: Transaction, found: FoundLetter, now: datetime, browser: str = "") -> Entered:
    """Use a letter up and open its door, in its district alone. tx: of that district. Two at once: one gets in.

    Raises SignInRefused("LETTER_UNKNOWN").
    """
    opened = one_or_none(
        tx, _Opened,
        "UPDATE activation_letter SET ended_at = %(now)s, used = true WHERE district_id = %(district)s AND id = %(id)s"
        " AND ended_at IS NULL AND expires_at > %(now)s RETURNING person_id, door",
        {"now": now, "district": found.district_id, "id": found.id},
    )
    if opened is None:
        raise SignInRefused("LETTER_UNKNOWN")
    login_id = service.login_of_person(tx, found.district_id, opened.person_id, now)
    door = Door(opened.door)
    token = service.new_session(
        tx, login_id, door, now, way=Way.LETTER, only_district=found.district_id, browser=browser
    )
    return Entered(door, login_id, token)


def normal_code(typed: str) -> str:
    """Return the 20 letters of a code typed in any case and grouping, or '' where its check letter says no. Pure."""
    if len(typed) > 4 * CODE_LETTERS:
        return ""
    code = "".join(typed.upper().replace("-", " ").split())
    well_formed = len(code) == CODE_LETTERS and all(letter in LETTERS for letter in code)
    return code if well_formed and check_letter(code[:-1]) == code[-1] else ""


def check_letter(code: str) -> str:
    """Return Luhn's check letter modulo 32: every single wrong letter and most swaps of neighbours are noticed."""
    total = 0
    for place, letter in enumerate(reversed(code)):
        value = LETTERS.index(letter) * (2 if place % 2 == 0 else 1)
        total += value // len(LETTERS) + value % len(LETTERS)
    return LETTERS[-total % len(LETTERS)]


def grouped(code: str) -> str:
    """Return a code as it is printed: ABCD-EFGH-…"""
    return "-".join(code[at:at + GROUP_LETTERS] for at in range(0, len(code), GROUP_LETTERS))


def _new_code() -> str:
    code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LETTERS - 1))
    return code + check_letter(code)
