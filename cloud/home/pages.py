"""The first page and the public page about privacy at the gate.

Responsible for: `/`, `/privacy-at-the-gate`. Anybody may open them; the first one shows the doors that this browser's
sessions open. Not responsible for: signing in (identity), nor `/health` (app).
"""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from cloud.identity.doors import actor_at
from cloud.identity.model import Door
from cloud.kit.errors import N_
from cloud.kit.web import page, reader_of

router = APIRouter()

# What the gate and the cloud keep, where, and how long: MISSION S1.4; the calendar of deletions is cloud/retention.py.
FACTS_STAY = N_("35 days on the gate; at the school for the school year, then what the law adds")
KEPT = (
    (N_("Arrivals and departures: child, time, gate, who came along"), N_("Gate and school"), FACTS_STAY),
    (N_("The public half of the phone's key"), N_("School"), N_("13 months after the phone is removed")),
    (N_("Who may collect the child"), N_("School"), N_("While the child is at the school, then what the law adds")),
    (N_("Refused tries: a code, a time, a number"), N_("Gate and school"), FACTS_STAY),
)
READERS = (
    N_("The child's guardians: their own child, unless a court decided otherwise."),
    N_("The child's teachers, the office and the head of the school."),
    N_("The city's auditors: numbers for funding, and facts one by one with a reason that is logged."),
    N_("Not the operators of the gates: they see machines, never a child's name."),
    N_("Nobody else, and no advertiser, ever."),
)


@router.get("/")
def first_page(request: Request) -> HTMLResponse:
    actors = {door: actor for door in Door if (actor := actor_at(request, door))}
    language = next((actor.language for actor in actors.values()), None)
    return page(request, "home/first.html", reader_of(request, language), doors=set(actors))


@router.get("/privacy-at-the-gate")
def privacy_page(request: Request) -> HTMLResponse:
    return page(request, "home/privacy.html", kept=KEPT, readers=READERS)
