"""The pass page and what lets a phone keep it: the offline worker and the manifest (UX.md, "The pass page").

Responsible for: `/pass`, `/pass/sw.js`, `/pass/manifest.webmanifest`. The page is the same for everyone in a language:
no name and no code is in it, so that the phone may keep it. Not responsible for: passes themselves (api.py).
"""

import json
from pathlib import PurePosixPath

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from cloud.identity.doors import actor_at
from cloud.identity.model import Door
from cloud.kit.db import DatabaseAway
from cloud.kit.web import STATIC, page, reader_of, static_hash, static_url
from cloud.passes.cards import pages as card_pages

router = APIRouter()
router.include_router(card_pages.router)

SHEETS = ("css/base.css", "css/bar.css", "css/button.css", "css/chip.css", "css/pass.css")
ICONS = ("icons/gate.svg", "icons/gate-180.png", "icons/gate-192.png")
MODULES = PurePosixPath("js/pass")
WORKER = "js/pass/sw.js"


@router.get("/pass")
def pass_page(request: Request) -> HTMLResponse:
    return page(request, "passes/pass.html", reader_of(request, _own_language(request)), sheets=SHEETS)


def _own_language(request: Request) -> str | None:
    """Return the language of who is signed in; the page is drawn also when nobody can be asked."""
    try:
        actor = actor_at(request, Door.FAMILY) or actor_at(request, Door.SCHOOL)
    except DatabaseAway:
        return None
    return actor.language if actor else None


@router.get("/pass/sw.js")
def offline_worker() -> Response:
    """Return the worker with its release before it, so that a new release is a new worker."""
    names = sorted(file.name for file in (STATIC / MODULES).glob("*.js") if file.name != PurePosixPath(WORKER).name)
    files = [static_url(path) for path in (*SHEETS, *ICONS, *(str(MODULES / name) for name in names))]
    release = f"const VERSION = {json.dumps(static_hash())};\nconst FILES = {json.dumps(files)};\n"
    script = release + (STATIC / WORKER).read_text(encoding="utf-8")
    headers = {"Service-Worker-Allowed": "/pass", "Cache-Control": "no-cache"}
    return Response(script, media_type="text/javascript", headers=headers)


@router.get("/pass/manifest.webmanifest")
def manifest(request: Request) -> Response:
    words = reader_of(request).gettext
    icons = [
        {"src": static_url("icons/gate-192.png"), "sizes": "192x192", "type": "image/png"},
        {"src": static_url("icons/gate-512.png"), "sizes": "512x512", "type": "image/png"},
        {"src": static_url("icons/gate-mask-512.png"), "sizes": "512x512", "type": "image/png", "purpose": "maskable"},
    ]
    told = {
        "id": "/pass",
        "start_url": "/pass",
        "scope": "/",
        "display": "standalone",
        "name": "Portillon",
        "short_name": words("Pass"),
        "background_color": "#f4f5fa",
        "theme_color": "#f4f5fa",
        "icons": icons,
    }
    return Response(json.dumps(told), media_type="application/manifest+json")
