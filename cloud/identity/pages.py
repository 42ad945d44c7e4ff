"""Pages of signing in: `/sign-in`, `/letter`, `/step-up`, `/prove/…`; the rest is account.py and paper.py, joined here.

Responsible for: forms, where they lead, and one transaction a step, so that a try is counted before it is answered.
Not responsible for: the rules (service.py and its neighbours), cookies (doors.py), what a browser signs (js/identity).
Addresses that come from outside lead to our own pages only.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from cloud.identity import account, addresses, letters, paper, passwords, service, tries
from cloud.identity.doors import (
    COOKIES,
    TOKEN_CHARACTERS_MAX,
    actor_at,
    browser_of,
    enrolling_at,
    set_cookie,
    still_at,
    sure_at,
)
from cloud.identity.model import FIRST_PAGE, NEXT_CHARACTERS_MAX, Door, Way, door_of_path, own_path
from cloud.identity.service import SignInRefused
from cloud.identity.tries import Kind
from cloud.kit import clock
from cloud.kit.db import Database
from cloud.kit.errors import Refused
from cloud.kit.forms import Form, SentForm
from cloud.kit.web import Configured, Db, Tx, page, reader_of

router = APIRouter(include_in_schema=False)
router.include_router(account.router)
router.include_router(paper.router)

Next = Annotated[str, Query(max_length=NEXT_CHARACTERS_MAX)]
Secret = Annotated[str, Path(max_length=TOKEN_CHARACTERS_MAX)]
REFUSED_HERE = ("PASSWORD_WRONG", "SIGN_IN_TOO_MANY", "SIGN_IN_BUSY", "LETTER_UNKNOWN")  # Said beside the form.


@router.get("/sign-in")
def sign_in_page(request: Request, next: Next = "") -> Response:
    return _sign_in(request, Form(), own_path(next))


@router.post("/sign-in")
def sign_in(request: Request, database: Db, settings: Configured, form: SentForm) -> Response:
    """Open the family's door for an address and a password."""
    next, now = own_path(form.typed("next")), clock.now()
    try:
        fit, counted = _tried(request, database, settings.secret, form)
        with database.untenanted() as tx:
            entered = passwords.open_session(tx, fit, now, browser_of(request))
            tries.forgive(tx, settings.secret, counted)
    except SignInRefused as refused:
        return _said(request, form, refused, next)
    answer = RedirectResponse(next or FIRST_PAGE[entered.door], status_code=303)
    set_cookie(answer, entered.door, entered.token)
    return answer


def _tried(request: Request, database: Database, secret: bytes, form: Form
           ) -> tuple[passwords.Kept, list[tuple[Kind, str]]]:  # fmt: skip
    """Count the try, commit, then do the work with no transaction open. The same work for an unknown address."""
    email = passwords.normal_email(form.typed("email"))
    with database.untenanted() as tx:
        kept = passwords.kept_for(tx, email)
        counted = [(Kind.ACCOUNT, email), (Kind.ADDRESS, tries.address_of(request))]
        counted += [(Kind.SCHOOL, str(school)) for school in passwords.schools_of(tx, email)]
        allowed = [tries.allow(tx, secret, kind, what, clock.now()) for kind, what in counted]
    if not all(allowed):
        raise SignInRefused("SIGN_IN_TOO_MANY")
    fit = passwords.fitting(kept, form.typed("password"))
    if fit is None:
        raise SignInRefused("PASSWORD_WRONG")
    return fit, counted


def _said(request: Request, form: Form, refused: SignInRefused, next: str) -> Response:
    """Draw the form again with the words of the refusal; what is not of this form goes to the edge as ever."""
    if refused.code not in REFUSED_HERE:
        raise refused
    form.refuse("form", refused.answer.message)
    form.refuse("what_to_do", refused.answer.what_to_do)
    return _sign_in(request, form, next, refused.answer.status)


def _sign_in(request: Request, form: Form, next: str, status: int = 200) -> Response:
    return page(request, "identity/sign_in.html", status=status, form=form, next=next)


# --- a letter -------------------------------------------------------------------------------------------------------


@router.get("/letter")
def letter_page(request: Request) -> Response:
    """Ask for the code of a letter. Who is signed in as a family may take the letter's children along."""
    return _letter(request, Form())


@router.post("/letter")
def open_letter(request: Request, database: Db, settings: Configured, form: SentForm) -> Response:
    """Use a letter up and open its door, or join what it opens to the login that is signed in and sure."""
    now, joining = clock.now(), form.ticked("join")
    actor = sure_at(request, Door.FAMILY) if joining else None
    try:
        with database.untenanted() as tx:
            allowed = tries.allow(tx, settings.secret, Kind.LETTER, tries.address_of(request), now)
        if not allowed:
            raise SignInRefused("SIGN_IN_TOO_MANY")
        with database.untenanted() as tx:
            found = letters.find_letter(tx, form.typed("code"), now)
        with database.tenant(found.district_id) as tx:
            entered = letters.use_letter(tx, found, now, browser_of(request))
    except SignInRefused as refused:
        form.refuse("code", refused.answer.message)
        form.refuse("what_to_do", refused.answer.what_to_do)
        return _letter(request, form, refused.answer.status)
    if actor and entered.door is Door.FAMILY:
        with database.untenanted() as tx:
            if addresses.join_by_letter(tx, entered.token, request.cookies[COOKIES[Door.FAMILY]], now):
                return RedirectResponse("/family", status_code=303)
    answer = RedirectResponse(f"/account/first-passkey?next={FIRST_PAGE[entered.door]}", status_code=303)
    set_cookie(answer, entered.door, entered.token)
    return answer


def _letter(request: Request, form: Form, status: int = 200) -> Response:
    actor = actor_at(request, Door.FAMILY)
    return page(
        request, "identity/letter.html", reader_of(request, actor.language if actor else None), status=status,
        form=form, actor=actor, sure=bool(actor and actor.is_sure(clock.now())),
    )  # fmt: skip


# --- proving ----------------------------------------------------------------------------------------------------------


@router.get("/step-up")
def step_up_page(request: Request, settings: Configured, tx: Tx, next: Next = "") -> Response:
    """Ask for a passkey or a password once more before something that matters."""
    return _step_up(request, settings.demo, tx, Form(), next)


@router.post("/step-up/password")
def step_up_by_password(request: Request, settings: Configured, database: Db, form: SentForm) -> Response:
    """Count as proved by the own password, at the family's door."""
    next, now = form.typed("next"), clock.now()
    actor, token = still_at(request, Door.FAMILY), request.cookies[COOKIES[Door.FAMILY]]
    counted = [(Kind.ACCOUNT, str(actor.login_id)), (Kind.ADDRESS, tries.address_of(request))]
    with database.untenanted() as tx:
        allowed = [tries.allow(tx, settings.secret, kind, what, now) for kind, what in counted]
        kept = passwords.kept_of(tx, actor)
    try:
        if not all(allowed):
            raise SignInRefused("SIGN_IN_TOO_MANY")
        if passwords.fitting(kept, form.typed("password")) is None:
            raise SignInRefused("PASSWORD_WRONG")
    except SignInRefused as refused:
        form.refuse("password", refused.answer.message)
        with database.untenanted() as tx:
            return _step_up(request, settings.demo, tx, form, next, refused.answer.status)
    with database.untenanted() as tx:
        service.make_sure(tx, token, now)
        tries.forgive(tx, settings.secret, counted)
    return RedirectResponse(own_path(next) or FIRST_PAGE[Door.FAMILY], status_code=303)


@router.post("/step-up/demo")
def step_up_in_demonstration(request: Request, settings: Configured, tx: Tx, form: SentForm) -> Response:
    """Count as proved by one press: in a demonstration, for a session that its reusable link opened, nowhere else."""
    next = form.typed("next")
    door = door_of_path(next)
    actor = still_at(request, door)
    if not settings.demo or actor.way is not Way.DEMO:
        raise Refused("STEP_UP")
    service.make_sure(tx, request.cookies[COOKIES[door]], clock.now())
    return RedirectResponse(own_path(next) or FIRST_PAGE[door], status_code=303)


def _step_up(request: Request, demo: bool, tx: Tx, form: Form, next: str, status: int = 200) -> Response:
    door = door_of_path(next)
    actor = still_at(request, door)
    return page(
        request, "identity/step_up.html", reader_of(request, actor.language), status=status, form=form, door=door,
        next=own_path(next) or FIRST_PAGE[door], demo=demo and actor.way is Way.DEMO,
        has_passkey=account.proves_by_passkey(tx, actor), has_password=bool(passwords.kept_of(tx, actor)),
    )  # fmt: skip


@router.get("/prove/{secret}")
def prove_page(request: Request, secret: Secret) -> Response:
    """Wait for a press: mail scanners only look. The press counts in the browser that asked for the link."""
    actor = enrolling_at(request, Door.FAMILY)
    return page(request, "identity/prove.html", reader_of(request, actor.language))


@router.post("/prove/{secret}")
def prove_address(request: Request, tx: Tx, secret: Secret) -> Response:
    """Count the address as proved: every district that wrote it beside a person is now in this login."""
    enrolling_at(request, Door.FAMILY)
    addresses.prove(tx, secret, request.cookies[COOKIES[Door.FAMILY]], clock.now())
    return RedirectResponse("/family", status_code=303)
