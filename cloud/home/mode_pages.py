"""The page of a school's gates: in which mode they are, and setting another one.

Responsible for: `/school/mode`: lockdown, evacuation, open doors, holiday, normal; who set it; which gates know.
Setting one asks for a fresh proof of who is there. Not responsible for: the mode itself (passes/modes.py), the
gates (fleet).
"""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from cloud.fleet import service as fleet
from cloud.identity.doors import SchoolActor, SchoolSure, SchoolTx
from cloud.identity.may import Action
from cloud.identity.model import Actor
from cloud.kit import clock
from cloud.kit.db import Transaction
from cloud.kit.errors import N_
from cloud.kit.forms import NOT_ONE, Form, SentForm
from cloud.kit.web import page, reader_of
from cloud.passes import modes
from cloud.schools.bar import bar_of, chosen_school
from cloud.schools.model import School
from protocols.documents import Mode

router = APIRouter(prefix="/school/mode")

WORDS = {
    Mode.NORMAL: (N_("Normal"), N_("The gates open for who may come and go.")),
    Mode.LOCKDOWN: (N_("Lockdown"), N_("No pass opens. Staff let people in and out by hand.")),
    Mode.EVACUATE: (N_("Evacuation"), N_("The doors stay open. Children are counted from the evacuation list.")),
    Mode.FREE: (N_("Doors open"), N_("The doors stay open; passes are still read.")),
    Mode.HOLIDAY: (N_("Holiday"), N_("The gates open as the hours of the school say; nobody is expected.")),
}
MINUTES = (15, 30, 60, 120, 240)  # evacuate and free end by themselves within four hours (P-4)
TONES = {Mode.NORMAL: "good", Mode.HOLIDAY: "good", Mode.FREE: "warn", Mode.EVACUATE: "bad", Mode.LOCKDOWN: "bad"}
Said = Annotated[str, Query(max_length=20)]
Wanted = Annotated[UUID | None, Query(alias="school")]


@router.get("")
def mode_page(
    request: Request, actor: SchoolActor, tx: SchoolTx, wanted: Wanted = None, said: Said = ""
) -> HTMLResponse:
    here, _ = chosen_school(tx, actor, Action.SET_MODE, wanted)
    return _draw(request, tx, actor, here, said=said == "set")


@router.post("/{school_id}")
def set_mode(request: Request, actor: SchoolSure, tx: SchoolTx, school_id: UUID, form: SentForm) -> Response:
    here, _ = chosen_school(tx, actor, Action.SET_MODE, school_id)
    names = {mode.name.lower(): mode for mode in Mode}
    mode, minutes = names.get(form.typed("mode")), form.typed("minutes")
    if mode is None:
        form.refuse("mode", NOT_ONE)
    if minutes not in ("", *map(str, MINUTES)):
        form.refuse("minutes", NOT_ONE)
    if mode is None or form.problems:
        return _draw(request, tx, actor, here, form=form, status=400)
    now = clock.now()
    ends_at = now + timedelta(minutes=int(minutes)) if mode in modes.OPENS and minutes else None
    modes.set_mode(tx, actor.district_id, here.site, mode, now, ends_at=ends_at, by=actor.person_id)
    return RedirectResponse(f"/school/mode?school={here.id}&said=set", 303)


def _draw(
    request: Request, tx: Transaction, actor: Actor, here: School, *, form: Form | None = None, status: int = 200,
    said: bool = False,
) -> HTMLResponse:  # fmt: skip
    now = clock.now()
    setting = modes.setting_of(tx, actor.district_id, here.site)
    lines = [line for line in fleet.list_gates(tx, actor.district_id, now) if line.site == here.site]
    return page(
        request, "home/mode.html", reader_of(request, actor.language, here.timezone), status,
        school=here, choices=chosen_school(tx, actor, Action.SET_MODE, None)[1], bar=bar_of(actor, here.id),
        given=actor.given, setting=setting, mode=setting.at(now) if setting else Mode.NORMAL, modes=list(Mode),
        words=WORDS, tones=TONES, minutes=MINUTES, gates=sorted(lines, key=lambda line: line.gate), now=now,
        by_name={mode.name.lower(): WORDS[mode][0] for mode in Mode}, sure=actor.is_sure(now), said=said,
        form=Form() if form is None else form,
    )  # fmt: skip
