"""The office's paper: an activation letter for a person, shown once and printed by the browser.

Responsible for: `/school/people/{person}/letter`: which doors a letter may open, the page with the code and its square.
Who may ask is identity/may.py's word, and the database's where the door is one of staff. Not responsible for: the code.
"""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

import segno
from fastapi import APIRouter, Request, Response

from cloud.audit import service as audit
from cloud.identity import letters
from cloud.identity.doors import SchoolSure, SchoolTx
from cloud.identity.may import Action, Thing, may
from cloud.identity.model import Actor, Door, Role
from cloud.kit import clock
from cloud.kit.db import Transaction, many, one_or_none
from cloud.kit.errors import N_, Refused
from cloud.kit.forms import SentForm
from cloud.kit.web import Configured, page, reader_of

router = APIRouter()

QUIET_MODULES = 4  # ISO/IEC 18004: the margin that a reader needs.
DOOR_NAMES = {Door.FAMILY: N_("the pages of families"), Door.SCHOOL: N_("the pages of the school"),
              Door.FLEET: N_("the pages of operators")}  # fmt: skip


@dataclass(frozen=True)
class Addressee:
    """Whom a letter is for."""

    id: UUID
    given: str
    family: str
    language: str


@dataclass(frozen=True)
class _Tie:
    """What ties a person to a school: a child's enrolment, or a role. role: '' for a family."""

    school_id: UUID | None
    role: str


@router.get("/school/people/{person_id}/letter", include_in_schema=False)
def ask_for_letter(request: Request, actor: SchoolSure, tx: SchoolTx, person_id: UUID) -> Response:
    """Ask which door the letter is to open."""
    addressee, doors = _wanted(tx, actor, person_id)
    return page(
        request, "identity/ask_letter.html", reader_of(request, actor.language), person=addressee,
        doors={door: DOOR_NAMES[door] for door in doors},
    )  # fmt: skip


@router.post("/school/people/{person_id}/letter", include_in_schema=False)
def print_letter(request: Request, settings: Configured, actor: SchoolSure, tx: SchoolTx, person_id: UUID,
                 form: SentForm) -> Response:  # fmt: skip
    """Make the letter and show it, this once, in the language of whom it is for."""
    addressee, doors = _wanted(tx, actor, person_id)
    door, now = next((door for door in doors if door == form.typed("door")), None), clock.now()
    if door is None:
        raise Refused("BAD_INPUT")
    letter = letters.new_letter(tx, actor.district_id, person_id, door, by=actor.person_id, now=now)
    audit.record(tx, actor.district_id, action="letter.print", by=actor.person_id, thing="person", thing_id=person_id,
                 detail={"door": str(door)}, now=now)  # fmt: skip
    address = f"{settings.public_url}/letter"
    return page(
        request, "identity/printed_letter.html", reader_of(request, addressee.language), person=addressee,
        letter=letter, address=address, opens=DOOR_NAMES[door], square=square_of(f"{address}#{letter.code}"),
    )  # fmt: skip


@dataclass(frozen=True)
class Square:
    """A QR code as one SVG path, in modules, its margin counted."""

    side: int
    path: str


def square_of(text: str) -> Square:
    """Return the QR code of a text, level M. Pure."""
    matrix = segno.make_qr(text, error="m").matrix
    dark = (f"M{x + QUIET_MODULES} {y + QUIET_MODULES}h1v1h-1z"
            for y, row in enumerate(matrix) for x, module in enumerate(row) if module)  # fmt: skip
    return Square(len(matrix) + 2 * QUIET_MODULES, "".join(dark))


def _wanted(tx: Transaction, actor: Actor, person_id: UUID) -> tuple[Addressee, list[Door]]:
    """Return the person and the doors that a letter may open. Raises Refused("NOT_FOUND"), also for the neighbours'."""
    ties = _ties(tx, actor.district_id, person_id, clock.now().date())
    reached = [tie for tie in ties if may(actor, Action.INVITE_LOGIN, Thing(actor.district_id, tie.school_id))]
    addressee = one_or_none(
        tx, Addressee,
        "SELECT id, given, family, language FROM person WHERE district_id = %(district)s AND id = %(id)s",
        {"district": actor.district_id, "id": person_id},
    )
    if addressee is None or not reached:
        raise Refused("NOT_FOUND")
    opened = dict.fromkeys(_door_of(tie.role) for tie in reached)
    return addressee, list(opened)


def _door_of(role: str) -> Door:
    if not role:
        return Door.FAMILY
    return Door.FLEET if role == Role.OPERATOR else Door.SCHOOL


def _ties(tx: Transaction, district_id: UUID, person_id: UUID, today: date) -> list[_Tie]:
    return many(
        tx, _Tie,
        "SELECT DISTINCT e.school_id, '' AS role FROM enrolment e WHERE e.district_id = %(district)s"
        " AND e.period @> %(today)s AND EXISTS (SELECT 1 FROM guardianship g WHERE g.district_id = e.district_id"
        " AND g.child_id = e.child_id AND g.person_id = %(person)s AND g.period @> %(today)s"
        " UNION ALL SELECT 1 FROM escort_right r WHERE r.district_id = e.district_id AND r.child_id = e.child_id"
        " AND r.person_id = %(person)s AND r.kind = 'may_collect' AND r.period @> now())"
        " UNION ALL SELECT school_id, role FROM role_grant WHERE district_id = %(district)s"
        " AND person_id = %(person)s AND (upper_inf(period) OR upper(period) > %(today)s) AND NOT isempty(period)",
        {"district": district_id, "person": person_id, "today": today},
    )
