"""The first page, and the public pages: privacy at the gate, and the rules of who may collect a child.

Responsible for: `/`, `/privacy-at-the-gate`, `/rules`. Anybody may open them; the first one shows the doors that this
browser's sessions open. Not responsible for: signing in (identity), nor `/health` (app).
"""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from cloud.home import mode_pages, tablet_pages
from cloud.identity.doors import actor_at
from cloud.identity.model import Door
from cloud.kit.errors import N_
from cloud.kit.web import page, reader_of

router = APIRouter()
router.include_router(mode_pages.router)
router.include_router(tablet_pages.router)

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


@dataclass(frozen=True)
class RuleGroup:
    """Rules of one subject, each a sentence that anybody can hold us to (MISSION S1.8, S1.18)."""

    icon: str
    title: str
    rules: tuple[str, ...]


# What the database itself refuses to break is said here in words: INTEGRITY I1, I2, I3; FEATURES area B.
RULES = (
    RuleGroup("people", N_("Who may collect a child"), (
        N_("At any moment five people at most may bring and collect a child. Parents count among the five."),
        N_("A sixth is refused, for everybody, also when two people try at once. Nobody can set this aside."),
        N_("Who has parental authority may name a person, and so may the office."),
        N_("The other parent sees it at once, and may object for a time that the district sets."),
        N_("Parents cannot remove each other: that of a parent only this parent or the office ends."),
        N_("A right may hold on some days of the week, between two dates, or for today only."),
        N_("A right ends by itself on its last day, and its place is free again."),
        N_("Where a child lives with each parent in turn, the gate follows the weeks that were agreed."),
    )),
    RuleGroup("gate", N_("At the gate"), (
        N_("A child who arrives is always taken in. Only the pass of an adult can be refused."),
        N_("A child is handed over only to a person who may collect at that moment."),
        N_("On another day of the week than the right says, staff decide."),
        N_("While a decision of an authority runs for a child, no pass alone lets the child go: staff do."),
        N_("Every refusal looks the same: “Please see the office”. No reason is shown or said at the door."),
        N_("What the gate recorded is never changed and never deleted by hand. A correction is a further line."),
    )),
    RuleGroup("lock", N_("When a right is taken away"), (
        N_("A right that is taken away ends at once, and at every gate as soon as the gate is reached."),
        N_("A decision of an authority blocks at once on one member of staff’s word; a second person confirms it."),
        N_("To lift such a decision takes two people."),
        N_("Against such a decision nobody can give the right again: the database refuses it."),
    )),
    RuleGroup("eye", N_("The child's file"), (
        N_("Parents read their own child's file and nobody else's."),
        N_("Every reading and every change by staff is written down. Parents see who it was and when."),
        N_("Parents may propose a correction. The office accepts or declines it, and both stay in the file."),
    )),
)  # fmt: skip


@router.get("/")
def first_page(request: Request) -> HTMLResponse:
    actors = {door: actor for door in Door if (actor := actor_at(request, door))}
    language = next((actor.language for actor in actors.values()), None)
    return page(request, "home/first.html", reader_of(request, language), doors=set(actors))


@router.get("/privacy-at-the-gate")
def privacy_page(request: Request) -> HTMLResponse:
    return page(request, "home/privacy.html", kept=KEPT, readers=READERS)


@router.get("/rules")
def rules_page(request: Request) -> HTMLResponse:
    return page(request, "home/rules.html", groups=RULES)
