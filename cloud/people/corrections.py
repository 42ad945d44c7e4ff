"""Corrections of a child's file: a guardian proposes, the office decides, with a diff (FEATURES E2).

A service of this slice. Not responsible for: what the office changes by itself (people/service.py).
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from cloud.kit.db import Transaction
from cloud.people.model import Correction

FIELDS = ("given", "family", "birth", "address")


def propose_correction(
    tx: Transaction, district_id: UUID, *, child_id: UUID, by: UUID, wanted: Mapping[str, str], now: datetime
) -> Correction:
    """Keep what a guardian says is right: field -> text (FIELDS; birth as ISO date). What is equal is left out.

    Raises PeopleRefused: CORRECTION_EMPTY, NAME_MISSING; Refused: BAD_INPUT (unknown field, no date, too long),
    NOT_FOUND (no guardian of this child).
    """
    raise NotImplementedError


def decide_correction(
    tx: Transaction, district_id: UUID, *, correction_id: UUID, accept: bool, by: UUID, reason: str = "", now: datetime
) -> Correction:
    """Take a proposal over into the file, or decline it. by: office or head of the child's school, not the proposer.

    Raises PeopleRefused: CORRECTION_UNKNOWN, CORRECTION_DECIDED, CORRECTION_STALE (the file no longer says `before`),
    NOT_OF_THIS_SCHOOL.
    """
    raise NotImplementedError


def correction(tx: Transaction, district_id: UUID, correction_id: UUID) -> Correction:
    """Return one proposal. Raises PeopleRefused("CORRECTION_UNKNOWN")."""
    raise NotImplementedError


def corrections_of_child(tx: Transaction, district_id: UUID, child_id: UUID) -> list[Correction]:
    """Return a child's proposals, newest first."""
    raise NotImplementedError


def corrections_to_decide(tx: Transaction, district_id: UUID, school_id: UUID, now: datetime) -> list[Correction]:
    """Return what the office of a school has to decide, oldest first."""
    raise NotImplementedError
