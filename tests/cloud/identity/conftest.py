"""A house of one room a door: the real routes and doors of identity, and a room behind each that says who came in."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from cloud.config import Settings
from cloud.identity import api, pages
from cloud.identity.doors import FamilyActor, FamilySure, FleetActor, FleetSure, SchoolActor, SchoolSure
from cloud.kit.db import Database
from cloud.kit.web import furnish
from tests.conftest import PUBLIC_URL


def a_house(settings: Settings, database: Database) -> FastAPI:
    """Rooms: /family, /school/day, /fleet/gates, and a `matters` beside each that wants a proof."""
    app = FastAPI()
    furnish(app, settings)
    app.state.database = database
    app.include_router(api.router)
    app.include_router(pages.router)

    @app.get("/family")
    def family(actor: FamilyActor) -> str:
        return actor.given

    @app.get("/family/matters")
    @app.post("/family/matters")
    @app.get("/api/matters")
    def family_matters(actor: FamilySure) -> str:
        return actor.given

    @app.get("/school/day")
    def school(actor: SchoolActor) -> str:
        return actor.given

    @app.get("/school/matters")
    def school_matters(actor: SchoolSure) -> str:
        return actor.given

    @app.get("/fleet/gates")
    def fleet(actor: FleetActor) -> str:
        return actor.given

    @app.get("/fleet/matters")
    def fleet_matters(actor: FleetSure) -> str:
        return actor.given

    return app


@pytest.fixture
def browser(settings: Settings, database: Database) -> Iterator[TestClient]:
    """A client that keeps cookies and does not follow redirects."""
    with TestClient(a_house(settings, database), base_url=PUBLIC_URL, follow_redirects=False) as client:
        yield client


@pytest.fixture
def demo(settings: Settings, database: Database) -> Iterator[TestClient]:
    """The same in a demonstration."""
    told = replace(settings, demo=True)
    with TestClient(a_house(told, database), base_url=PUBLIC_URL, follow_redirects=False) as client:
        yield client
