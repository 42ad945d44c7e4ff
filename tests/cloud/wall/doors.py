"""The routes of the real application, and how an answer is told in one word.

Responsible for: every route that the application serves, however it was included; the word for an answer.
Not responsible for: who may (test_roles_and_routes.py says it, a line a route).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route

STREAMS_END = "/stream"  # server-sent events answer for ever: they are asked by tests of their own
YES, SIGN_IN, STEP_UP, NO, NOTHING = "yes", "sign in", "step up", "no", "nothing"


@dataclass(frozen=True)
class Address:
    """One method at one path, as the application declares it."""

    method: str
    path: str
    route: Route | APIRoute

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def addresses(app: FastAPI) -> list[Address]:
    """Return every route of the application but the folder of static files."""
    found = [
        Address(method, route.path, route)
        for route in _flat(app.routes)
        if isinstance(route, Route | APIRoute)
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]
    return sorted(found, key=str)


def _flat(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    for route in routes:
        inner = getattr(route, "original_router", None)
        yield from _flat(inner.routes) if inner is not None else [route]


def word_of(answer: httpx.Response) -> str:
    """Return yes, sign in, step up, no (403), nothing (404), or the status where it is none of them.

    A refusal of the domain (409) and an unreadable form (400) were said behind the door: they are a yes here.
    """
    where = answer.headers.get("location", "")
    if answer.status_code == 401 or (answer.status_code == 303 and where.startswith("/sign-in")):
        return SIGN_IN
    if answer.status_code == 303 and where.startswith("/step-up"):
        return STEP_UP
    if answer.status_code == 403:
        return STEP_UP if "STEP_UP" in answer.text else NO
    if answer.status_code == 404:
        return NOTHING
    if answer.status_code in (200, 201, 204, 303, 400, 409):
        return YES
    return str(answer.status_code)
