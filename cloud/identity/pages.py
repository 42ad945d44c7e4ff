"""Pages of signing in: prove that it is you (`/step-up`).

Responsible for: forms and where they lead. Not responsible for: the rules (service.py and its neighbours), cookies
(doors.py), what the browser signs (js/identity). Addresses that come from outside lead to our own pages only.
"""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from cloud.identity import service
from cloud.identity.doors import COOKIES, still_at
from cloud.identity.model import FIRST_PAGE, NEXT_CHARACTERS_MAX, Way, door_of_path, own_path
from cloud.kit import clock
from cloud.kit.errors import Refused
from cloud.kit.web import Configured, Tx, page, reader_of

router = APIRouter(include_in_schema=False)

Next = Annotated[str, Query(max_length=NEXT_CHARACTERS_MAX)]
NextField = Annotated[str, Form(max_length=NEXT_CHARACTERS_MAX)]


@router.get("/step-up")
def ask_to_step_up(request: Request, settings: Configured, next: Next = "") -> Response:
    """Ask for a passkey or a password once more before something that matters."""
    door = door_of_path(next)
    actor = still_at(request, door)
    return page(
        request, "identity/step_up.html", reader_of(request, actor.language), door=door,
        next=own_path(next) or FIRST_PAGE[door], demo=settings.demo and actor.way is Way.DEMO,
    )


@router.post("/step-up/demo")
def step_up_in_demonstration(request: Request, settings: Configured, tx: Tx, next: NextField = "") -> Response:
    """Count as proved by one press: in a demonstration, for a session that its reusable link opened, nowhere else."""
    door = door_of_path(next)
    actor = still_at(request, door)
    if not settings.demo or actor.way is not Way.DEMO:
        raise Refused("STEP_UP")
    service.make_sure(tx, request.cookies[COOKIES[door]], clock.now())
    return RedirectResponse(own_path(next) or FIRST_PAGE[door], status_code=303)
