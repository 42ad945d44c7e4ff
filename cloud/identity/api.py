"""The small routes of identity: enter by a link, sign out. Pages that explain them are home's."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from cloud.identity import service
from cloud.identity.doors import COOKIES, TOKEN_CHARACTERS_MAX, clear_cookie, set_cookie
from cloud.identity.model import FIRST_PAGE, NEXT_CHARACTERS_MAX, Door, own_path
from cloud.kit import clock
from cloud.kit.web import Tx, page

router = APIRouter()

Token = Annotated[str, Path(max_length=TOKEN_CHARACTERS_MAX)]
Next = Annotated[str, Query(max_length=NEXT_CHARACTERS_MAX)]


@router.get("/enter/{token}", include_in_schema=False)
def ask_to_enter(request: Request, tx: Tx, token: Token, next: Next = "") -> Response:
    """Show a button where the link works once; a demonstration's link lets in at once, as often as it is opened."""
    if service.link_is_reusable(tx, token, clock.now()):
        return enter(tx, token, next)
    return page(request, "identity/enter.html")


@router.post("/enter/{token}", include_in_schema=False)
def enter(tx: Tx, token: Token, next: Next = "") -> Response:
    """Open the door that a link names and go to its first page, or to `next`, a path of this site."""
    entered = service.enter(tx, token, clock.now())
    answer = RedirectResponse(own_path(next) or FIRST_PAGE[entered.door], status_code=303)
    set_cookie(answer, entered.door, entered.token)
    return answer


@router.post("/sign-out/{door}", include_in_schema=False)
def sign_out(request: Request, tx: Tx, door: Door) -> RedirectResponse:
    """End this browser's session at one door."""
    token = request.cookies.get(COOKIES[door], "")
    if token:
        service.sign_out(tx, token, clock.now())
    answer = RedirectResponse("/", status_code=303)
    clear_cookie(answer, door)
    return answer

