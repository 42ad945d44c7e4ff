"""The web application: every slice's routes on one FastAPI, with one pool, one hub of live pages.

Responsible for: composition only. A slice is mounted when it has `api.py` or `pages.py` with a `router`.
Not responsible for: starting a server (cli.py) nor for any rule of the domain.
"""

import asyncio
import contextlib
import importlib
import importlib.util
from collections.abc import AsyncIterator
from dataclasses import asdict

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from cloud.config import Settings
from cloud.health import Examined
from cloud.kit import clock
from cloud.kit.db import Database, DatabaseAway
from cloud.kit.live import Live
from cloud.kit.metrics import Measured, metrics_answer
from cloud.kit.web import furnish, page, wants_json

SLICES = ("home", "identity", "schools", "people", "attendance", "passes", "fleet")


def create_app(settings: Settings) -> FastAPI:
    """Return the application. Nothing is connected before it starts."""
    app = FastAPI(title="Portillon", version="0.1.0", docs_url=None, redoc_url=None, lifespan=_lifespan)
    furnish(app, settings)
    app.add_middleware(Measured)
    app.state.database = Database(settings.database_url, settings.pool_size)
    app.state.examined = Examined(settings, app.state.database)
    app.state.live = Live(settings.database_url)
    app.add_api_route("/health", _health, include_in_schema=False)
    app.add_api_route("/metrics", metrics_answer, include_in_schema=False)
    for slice_name in SLICES:
        for part in ("api", "pages"):
            _mount(app, f"cloud.{slice_name}.{part}")
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    database: Database = app.state.database
    database.open()
    with contextlib.suppress(DatabaseAway):  # /health says so; a strong role on the other hand stops us here.
        await asyncio.to_thread(database.refuse_strong_role)
    listening = asyncio.create_task(app.state.live.run())
    try:
        yield
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
        await asyncio.to_thread(database.close)


def _mount(app: FastAPI, name: str) -> None:
    parent = name.rpartition(".")[0]
    if importlib.util.find_spec(parent) and importlib.util.find_spec(name):
        # The routes themselves, not include_router: that would analyse each of them anew for every application made.
        app.router.routes.extend(importlib.import_module(name).router.routes)


def _health(request: Request) -> Response:
    """Say how the cloud is: 200 all well, 503 something is missing; JSON for programs."""
    checks = request.app.state.examined.checks(clock.now())
    well = all(check.ok for check in checks)
    if wants_json(request) or "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"ok": well, "checks": [asdict(check) for check in checks]}, 200 if well else 503)
    return page(request, "kit/health.html", status=200 if well else 503, well=well, checks=checks)
