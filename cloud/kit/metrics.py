"""What `/metrics` shows of this process: requests by route, in Prometheus' text form.

Responsible for: counting and timing requests under the route's template, never under the address that was asked
for (no id, no name, no token becomes a label). Slices add their own counters beside their code.
"""

from time import perf_counter

from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = Histogram(
    "portillon_request_seconds", "Time to answer, by route", ("method", "route", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Measured:
    """Times each answer to its first byte; an open stream counts as answered when it starts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = perf_counter()

        async def send_measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "other")
                method = scope["method"] if scope["method"] in METHODS else "other"
                SECONDS.labels(method, route, str(message["status"])).observe(perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, send_measured)


def metrics_answer() -> Response:
    """Return all metrics of this process."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
