"""`/school/alerts`: what the head hears of, and that it was seen. Rules: P-3 (head alerted), HOSTILE P27 and P45.

Responsible for: who reads it (the head and an auditor; an auditor closes nothing) and the words of a code.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from cloud.attendance import alerts
from cloud.identity.doors import SchoolActor, SchoolTx
from cloud.identity.may import Action, Thing, may, require
from cloud.identity.model import Actor
from cloud.kit import clock
from cloud.kit.db import Transaction
from cloud.kit.errors import N_, Refused
from cloud.kit.web import page, reader_of
from cloud.schools.bar import bar_of, schools_of
from cloud.schools.model import School

router = APIRouter()

WORDS = {
    "CARDS_TOO_FAST": N_("More than three cards were confirmed within a minute."),
    "CUSTODY": N_("Somebody who may not collect this child was at the gate."),
    "REVOKED": N_("A pass or a card that has ended was shown."),
    "HOLDER_BLOCKED": N_("The pass of a blocked person was shown."),
    "DEVICE_REVOKED": N_("A phone that was taken away was shown."),
}
OTHER = N_("The gate and the school decided differently.")


@router.get("/school/alerts")
def alerts_page(request: Request, actor: SchoolActor, tx: SchoolTx) -> HTMLResponse:
    school = _school(tx, actor)
    return page(
        request, "attendance/alerts.html", reader_of(request, actor.language, school.timezone), school=school,
        bar=bar_of(actor, school.id), given=actor.given, words=WORDS, other=OTHER,
        alerts=alerts.open_alerts(tx, actor.district_id, school.id, school.site),
        closes=may(actor, Action.DECIDE_ORDER, Thing(actor.district_id, school.id)),
    )  # fmt: skip


@router.post("/school/alerts/{alert_id}/seen")
def alert_was_seen(
    actor: SchoolActor, tx: SchoolTx, alert_id: Annotated[int, Path(ge=1, lt=2**63)]
) -> Response:
    school = _school(tx, actor)
    require(actor, Action.DECIDE_ORDER, Thing(actor.district_id, school.id))
    closed = alerts.close_alert(
        tx, actor.district_id, school.id, school.site, alert_id, actor.person_id, clock.now()
    )
    if not closed:
        raise Refused("NOT_FOUND")
    return RedirectResponse("/school/alerts", 303)


def hears_of(tx: Transaction, actor: Actor, school: School) -> int:
    """Return how many alerts are open, for whom they are; 0 for everybody else."""
    if not may(actor, Action.READ_ACCESS_LOG, Thing(actor.district_id, school.id)):
        return 0
    return alerts.count_open(tx, actor.district_id, school.site)


def _school(tx: Transaction, actor: Actor) -> School:
    schools = schools_of(tx, actor, Action.READ_ACCESS_LOG)
    if not schools:
        raise Refused("NOT_YOURS")
    return schools[0]
