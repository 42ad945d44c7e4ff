"""Pages: one Jinja2 environment over all slices, security headers, errors as pages or JSON.

Responsible for: `page()` and `fragment()`, the content security policy, the Origin check of
forms (with SameSite=Lax it is our CSRF fence), and turning every exception into one answer (UX.md, P34, P35).
Not responsible for: who is signed in (identity/doors.py), what a page says (the slices' templates).
"""

import logging
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.config import Settings
from cloud.kit.db import Database, DatabaseAway, RuleBroken, Transaction, database_of
from cloud.kit.errors import LEADS_TO, STATUS_CODES, Answer, Refused
from cloud.kit.i18n import Reader, choose_language, current_reader
from cloud.kit.static import GZIP_BYTES_MIN, serve_static, static_hash, static_url
from cloud.kit.static import STATIC as STATIC

CLOUD = Path(__file__).parent.parent
BODY_BYTES_MAX = 64 * 1024  # The largest body so far is a phone's proof, under 1 KB; forms of text stay far below.
UPLOAD_BYTES_MAX = 20 * 1024 * 1024 + BODY_BYTES_MAX  # A file of 20 MiB (MISSION S5.21) and the form around it.
UPLOAD_ADDRESSES = ("/orders",)  # Addresses that end so take a file.
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

log = logging.getLogger("portillon.web")


def settings_of(request: Request) -> Settings:
    return request.app.state.settings


def _pool(request: Request) -> Database:
    return database_of(request)


def _untenanted(request: Request) -> Iterator[Transaction]:
    with database_of(request).untenanted() as tx:
        yield tx


Configured = Annotated[Settings, Depends(settings_of)]

Db = Annotated[Database, Depends(_pool)]
"""The pool itself, for a route that opens its own tenant: `with database.tenant(…) as tx:` commits at its end."""

Tx = Annotated[Transaction, Depends(_untenanted, scope="function")]
"""A transaction with no tenant, committed before the answer: a plain Depends would commit after it was sent
(ARCHITECTURE 8). Doors have their own, see identity/doors.py."""


def reader_of(request: Request, person_language: str | None = None, timezone: str = "UTC") -> Reader:
    """Return who reads: the person's language if known, else the browser's."""
    return Reader(choose_language(person_language, request.headers.get("accept-language")), timezone)


def page(request: Request, template: str, reader: Reader | None = None, status: int = 200, **values: Any
         ) -> HTMLResponse:
    """Draw a whole page. template: "slice/name.html". values: plain data, escaped by the template."""
    reader = reader or reader_of(request)
    html = fragment(reader, template, request=request, settings=settings_of(request), **values)
    return HTMLResponse(html, status_code=status, headers={"content-language": reader.language})


def fragment(reader: Reader, template: str, **values: Any) -> str:
    """Draw a template to text: a part of a page for server-sent events."""
    token = current_reader.set(reader)
    try:
        return templates().get_template(template).render(language=reader.language, reader=reader, **values)
    finally:
        current_reader.reset(token)


@lru_cache(maxsize=1)
def templates() -> Environment:
    """Return the environment of all slices: `cloud/<slice>/templates/<slice>/x.html` is "<slice>/x.html"."""
    folders = sorted(CLOUD.glob("*/templates"))
    environment = Environment(
        loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        lambda message: current_reader.get().gettext(message),
        lambda one, more, n: current_reader.get().ngettext(one, more, n),
        newstyle=True,
    )
    environment.globals.update(
        static=static_url, static_hash=static_hash,
        clock=lambda at: current_reader.get().time(at), day=lambda at: current_reader.get().day(at),
        short_day=lambda at: current_reader.get().short_day(at), number=lambda n: current_reader.get().number(n),
        moment=lambda at: current_reader.get().moment(at), listed=lambda words: current_reader.get().listed(words),
        weekday=lambda n: current_reader.get().weekday(n),
        short_weekday=lambda n: current_reader.get().weekday(n, short=True),
        ago=lambda at, now: current_reader.get().ago(at, now),
        language_name=lambda language: current_reader.get().language_name(language),
    )
    return environment


def content_security_policy(settings: Settings) -> str:
    """Return the policy of every page: our own files only, no inline script, framed by the demonstration only."""
    ancestors = f"'self' {settings.demo_origin}" if settings.demo and settings.demo_origin else "'none'"
    own = ("script-src", "style-src", "img-src", "font-src", "connect-src", "manifest-src", "worker-src", "form-action")
    parts = ["default-src 'none'", *(f"{what} 'self'" for what in own), "base-uri 'none'",
             f"frame-ancestors {ancestors}", "require-trusted-types-for 'script'", "trusted-types portillon"]
    return "; ".join(parts)


class _Fence:
    """Adds security headers to every answer and refuses unsafe methods that come from another origin."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._origin = settings.public_url
        self._headers = {
            b"content-security-policy": content_security_policy(settings).encode(),
            b"x-content-type-options": b"nosniff",
            b"referrer-policy": b"same-origin",
            b"cross-origin-opener-policy": b"same-origin",
            b"cross-origin-resource-policy": b"same-origin",
            b"permissions-policy": b"camera=(), microphone=(), geolocation=(), screen-wake-lock=(self)",
        }
        if settings.public_url.startswith("https://"):
            self._headers[b"strict-transport-security"] = b"max-age=63072000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = False

        async def send_fenced(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = self._fenced(message.get("headers", []))
            await send(message)

        refusal = "BAD_ORIGIN" if self._foreign(scope) else "TOO_LARGE" if _announces_too_much(scope) else ""
        if refusal:
            answer = refusal_answer(Request(scope), refusal, Refused(refusal).answer)
            await answer(scope, receive, send_fenced)
            return
        try:
            await self._app(scope, _bounded(receive, _bytes_max(scope)), send_fenced)
        except Exception as error:  # The last net: whatever was not foreseen is logged here and answered once.
            if started:
                raise
            log.error("unexpected fault at %s", _printable(scope["path"]), exc_info=error)
            answer = refusal_answer(Request(scope), "INTERNAL", Refused("INTERNAL").answer)
            await answer(scope, receive, send_fenced)

    def _fenced(self, headers: Any) -> list[tuple[bytes, bytes]]:
        given = {name.lower() for name, _ in headers}
        own = [(name, value) for name, value in self._headers.items() if name not in given]
        if b"cache-control" not in given:
            own.append((b"cache-control", b"no-store"))
        return [*headers, *own]

    def _foreign(self, scope: Scope) -> bool:
        """A browser always names the origin of an unsafe request; who names none is not a browser and has no cookie."""
        if scope["method"] in SAFE_METHODS:
            return False
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin:
            return b"cookie" in headers and headers.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none")
        host = headers.get(b"host", b"").decode("latin-1")
        return origin not in (self._origin, f"{scope.get('scheme', 'http')}://{host}")


def _bytes_max(scope: Scope) -> int:
    return UPLOAD_BYTES_MAX if scope["path"].endswith(UPLOAD_ADDRESSES) else BODY_BYTES_MAX


def _bounded(receive: Receive, bytes_max: int) -> Receive:
    """Count a body as it comes, for those who announce no length, and stop reading beyond the bound."""
    read = 0

    async def receive_bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > bytes_max:
            raise HTTPException(413)
        return message

    return receive_bounded


def _announces_too_much(scope: Scope) -> bool:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return not length.isdigit() or int(length[:20]) > _bytes_max(scope)


def furnish(app: FastAPI, settings: Settings) -> None:
    """Give an application its static files, headers and error answers."""
    app.state.settings = settings
    app.mount("/static", serve_static, name="static")
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_BYTES_MIN)
    app.add_middleware(_Fence, settings=settings)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RuleBroken, _rule_broken)
    app.add_exception_handler(DatabaseAway, _away)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _framework)


def refusal_answer(request: Request, code: str, answer: Answer, **facts: Any) -> Response:
    """Answer a refusal: JSON where a program asks, a page where a person does."""
    reader = reader_of(request)
    message, to_do = reader.gettext(answer.message), reader.gettext(answer.what_to_do)
    if wants_json(request):
        return JSONResponse({"code": code, "message": message, "what_to_do": to_do}, status_code=answer.status)
    html = fragment(reader, "kit/error.html", code=code, status=answer.status, message=message, what_to_do=to_do)
    return HTMLResponse(html, status_code=answer.status)


def wants_json(request: Request) -> bool:
    """Return whether the answer should be JSON: under /api always, elsewhere when HTML is not accepted."""
    accepted = request.headers.get("accept", "")
    return request.url.path.startswith("/api/") or ("json" in accepted and "text/html" not in accepted)


def _printable(path: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in path[:100])


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    if error.answer.status >= 500:
        log.error("refused with an undeclared code %r", error.code)
    if error.code in LEADS_TO and not wants_json(request):
        return RedirectResponse(f"{LEADS_TO[error.code]}?{urlencode({'next': _own_page(request)})}", status_code=303)
    return refusal_answer(request, error.code, error.answer)


def _own_page(request: Request) -> str:
    """Return the page to come back to: this one, or for a form that was sent the page that it stood on."""
    at = request.url if request.method in SAFE_METHODS else urlsplit(request.headers.get("referer", ""))
    return f"{at.path}?{at.query}" if at.query else at.path or "/"


def _rule_broken(request: Request, error: Exception) -> Response:
    log.warning("rule broken: %s", error)
    return refusal_answer(request, "RULE_BROKEN", Refused("RULE_BROKEN").answer)


def _away(request: Request, error: Exception) -> Response:
    log.error("database away: %s", type(error.__cause__).__name__)
    return refusal_answer(request, "AWAY", Refused("AWAY").answer)


def _unreadable(request: Request, error: Exception) -> Response:
    return refusal_answer(request, "BAD_INPUT", Refused("BAD_INPUT").answer)


def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = STATUS_CODES.get(error.status_code, "INTERNAL" if error.status_code >= 500 else "BAD_INPUT")
    words = Refused(code).answer
    return refusal_answer(request, code, Answer(error.status_code, words.message, words.what_to_do))
