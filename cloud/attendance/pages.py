"""Today for a family, and the live day sheet of a school.

Responsible for: `/family`, `/school/day` and their streams; what comes first on a sheet. Not responsible for: who was
where (service.py), nor who may see it: a family's transaction holds own children only (row security).
Obeys UX details 2, 7, 12 to 15, and HOSTILE P44.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from markupsafe import Markup

from cloud.attendance import alert_pages, service
from cloud.attendance.model import DaySheet, FamilyChild, SheetRow
from cloud.identity.doors import FamilyActor, FamilyTx, SchoolActor, SchoolTx, still_at
from cloud.identity.may import Action, Thing, may, require
from cloud.identity.model import Actor, Door
from cloud.kit import clock
from cloud.kit.db import Transaction, database_of
from cloud.kit.errors import Refused
from cloud.kit.fragments import about, stream
from cloud.kit.i18n import Reader
from cloud.kit.live import concerns
from cloud.kit.web import fragment, page, reader_of
from cloud.people.pages.words import RELATIONS
from cloud.schools import service as schools
from cloud.schools.bar import bar_of
from cloud.schools.model import School

router = APIRouter()
router.include_router(alert_pages.router)

NEEDS_ME = ("unknown", "expected", "present", "left", "absent")  # UX 7: who needs me comes first.


@dataclass(frozen=True)
class Group:
    """One class on the sheet."""

    id: str
    name: str
    present: int
    lines: tuple[SheetRow, ...]


@router.get("/family")
def family_page(request: Request, actor: FamilyActor, tx: FamilyTx) -> HTMLResponse:
    reader = reader_of(request, actor.language)
    children = service.family_today(tx, actor.district_id, actor.person_id, clock.now())
    cards = [Markup(card) for card in _cards(reader, actor, children).values()]  # drawn by our own template
    today = children[0].school_day if children else clock.now().date()
    return page(request, "attendance/family.html", reader, cards=cards, today=today, given=actor.given)


@router.get("/family/stream")
async def family_stream(request: Request, actor: FamilyActor) -> StreamingResponse:
    reader = reader_of(request, actor.language)

    own: set[str] = set()  # a family is woken by its own children only: a district's morning is thousands of facts

    def draw() -> dict[str, str]:
        now_in = still_at(request, Door.FAMILY)
        with database_of(request).tenant(now_in.district_id, now_in.person_id) as tx:
            children = service.family_today(tx, now_in.district_id, now_in.person_id, clock.now())
        cards = _cards(reader, now_in, children)
        own.clear()
        own.update(cards)
        return cards

    return stream(request, actor.login_id, lambda notice: concerns(notice, actor.district_id, "day", own), draw)


def _cards(reader: Reader, actor: Actor, children: Iterable[FamilyChild]) -> dict[str, str]:
    """Draw each child by the clock of its own school."""
    return {
        str(child.child_id): fragment(
            Reader(reader.language, child.timezone),
            "attendance/child.html",
            child=child,
            reader_id=actor.person_id,
            relations=RELATIONS,
        )
        for child in children
    }


Chosen = Annotated[UUID | None, Query(alias="class")]


@router.get("/school/day")
def day_page(request: Request, actor: SchoolActor, tx: SchoolTx, chosen: Chosen = None) -> HTMLResponse:
    school = school_of(tx, actor)
    told = _sheet(tx, school, actor, chosen)
    query = f"?class={chosen}" if chosen else ""
    choices = schools.classes(tx, actor.district_id, school.id)
    return page(
        request,
        "attendance/day.html",
        _reader(request, actor, school),
        school=school,
        bar=bar_of(actor, school.id),
        given=actor.given,
        choices=choices,
        chosen=chosen,
        stream=f"/school/day/stream{query}",
        alerts=alert_pages.hears_of(tx, actor, school),
        **told,
    )


@router.get("/school/day/stream")
async def day_stream(request: Request, actor: SchoolActor, chosen: Chosen = None) -> StreamingResponse:
    parts = ("figures", "silent", "classes")

    def draw() -> dict[str, str]:
        now_in = still_at(request, Door.SCHOOL)
        with database_of(request).tenant(now_in.district_id) as tx:
            school = school_of(tx, now_in)
            told = _sheet(tx, school, now_in, chosen)
        reader = _reader(request, now_in, school)
        return {part: fragment(reader, f"attendance/{part}.html", **told) for part in parts}

    return stream(request, actor.login_id, about(actor.district_id, "day"), draw)


def school_of(tx: Transaction, actor: Actor) -> School:
    """Return the school of the actor's first role, whose day sheet this actor may read. Raises Refused("NOT_YOURS")."""
    of_roles = actor.schools()
    if not of_roles:
        raise Refused("NOT_YOURS")
    require(actor, Action.READ_DAY_SHEET, Thing(actor.district_id, of_roles[0]))
    return schools.school(tx, actor.district_id, of_roles[0])


def _reader(request: Request, actor: Actor, school: School) -> Reader:
    return reader_of(request, actor.language, school.timezone)


def _sheet(tx: Transaction, school: School, actor: Actor, chosen: UUID | None) -> dict[str, Any]:
    now = clock.now()
    school_day = clock.school_day(now, school.timezone)
    sheet = service.day_sheet(tx, actor.district_id, school.id, school_day, now)
    shown = [row for row in visible(actor, school.id, sheet.rows) if chosen in (None, row.class_id)]
    # The school's own figures count every child, whoever looks: nobody may be forgotten in a fire.
    counted = sheet.rows if chosen is None else shown
    return {"sheet": sheet, "groups": grouped(shown), "figures": figures(sheet, counted)}


def visible(actor: Actor, school_id: UUID, rows: Iterable[SheetRow]) -> list[SheetRow]:
    """Return the rows this actor may see: a protected child only office and head, and the teacher of its class."""

    def sees(row: SheetRow) -> bool:
        here = Thing(actor.district_id, school_id, row.class_id)
        own_class = may(actor, Action.READ_CHILD, here) and may(actor, Action.RECORD_STAFF_FACT, here)
        return own_class or may(actor, Action.CHANGE_FILE, here)

    return [row for row in rows if not row.protected or sees(row)]


def figures(sheet: DaySheet, rows: Iterable[SheetRow]) -> dict[str, int]:
    """Return how many children are in each state."""
    counted = Counter(row.state for row in rows)
    return {state: counted[state] for state in NEEDS_ME}


def grouped(rows: Iterable[SheetRow]) -> list[Group]:
    """Return classes by name, children inside by need, then by name as it is written."""
    classes: dict[tuple[str, str], list[SheetRow]] = {}
    for row in rows:
        classes.setdefault((row.class_name or "", str(row.class_id or "none")), []).append(row)
    return [_group(id, name, lines) for (name, id), lines in sorted(classes.items())]


def _group(id: str, name: str, lines: list[SheetRow]) -> Group:
    place = {state: index for index, state in enumerate(NEEDS_ME)}
    in_order = sorted(lines, key=lambda row: (place[row.state], row.given, row.family))
    return Group(id, name, sum(row.state == "present" for row in lines), tuple(in_order))
