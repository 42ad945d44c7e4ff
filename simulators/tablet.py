"""A member of staff with a tablet beside a gate: opens a shift, sees what waits, answers with one press.

Responsible for: giving a gate its tablet pages before it starts (a site's authority, a certificate, a free port); the
browser, over TLS and by the gate's own network alone; reading the digits where staff read them, on the gate's screen.
Not for: what a story does with it (story_card.py). Acts through HTTP, as the page does (docs/tablet.md).
"""

from __future__ import annotations

import json
import ssl
import time
import tomllib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx

from simulators.parts import Part
from simulators.processes import WorldFault, free_port, wait_until
from simulators.site_ca import new_site_ca

AUTHORITY = "tablet-authority.pem"
DIGITS_SECONDS_MAX = 15.0
WAITS_SECONDS_MAX = 5.0
ANSWER_SECONDS = 10.0

Json = dict[str, Any]


def with_tablet(part: Part) -> None:
    """Give a gate its tablet's pages, before it starts; any other part stays as it is."""
    if part.kind != "gate" or not part.config:
        return
    config = Path(part.config)
    told = tomllib.loads(config.read_text())
    if "tablet" in told:
        return
    authority = new_site_ca(told["gate"]["site"])
    authority.sign_for(config.parent, "127.0.0.1")
    authority.write(config.parent / AUTHORITY)
    listen = f'[tablet]\nlisten = "127.0.0.1:{free_port()}"\ncert = "tablet.pem"\nkey = "tablet.key"\n'
    config.write_text(f"{config.read_text()}\n{listen}")


class Tablet:
    """One browser on the network of one gate. screen: the gate's own pages, seen from the gate itself."""

    def __init__(self, config: Path, screen: str) -> None:
        self._screen = screen
        url = f"https://{tomllib.loads(config.read_text())['tablet']['listen']}"
        trust = ssl.create_default_context(cafile=config.parent / AUTHORITY)
        self._client = httpx.Client(base_url=url, verify=trust, headers={"origin": url}, timeout=ANSWER_SECONDS)

    def close(self) -> None:
        self._client.close()

    def begin(self, held_up: AbstractContextManager[None]) -> None:
        """Open a shift: ask, hold the staff pass up to the gate, type the digits of its screen."""
        self._post("ask")
        with held_up:
            digits = self._digits()
        opened = self._post("open", {"digits": digits})
        if opened.get("code") != "OPENED":
            raise WorldFault(f"The tablet's shift did not begin: {opened.get('code')}.")

    def waits(self) -> Json:
        """Return the one request that the tablet shows, with the people and children it names by number."""
        found: list[Json] = []

        def shown() -> bool:
            found[:] = self._state().get("waiting", [])
            return len(found) == 1

        wait_until(shown, WAITS_SECONDS_MAX, "the tablet does not show the one who waits")
        return found[0]

    def answer(self, request: Json, *, confirm: bool, direction: int | None = None) -> Json:
        """One press."""
        return self._post("answer", {"id": request["id"], "confirm": confirm, "direction": direction})

    def _state(self) -> Json:
        with self._client.stream("GET", "/tablet/stream") as stream:
            return json.loads(next(line for line in stream.iter_lines() if line.startswith("data: "))[6:])

    def _digits(self) -> str:
        ends = time.monotonic() + DIGITS_SECONDS_MAX
        with httpx.stream("GET", f"{self._screen}/screen/stream", timeout=DIGITS_SECONDS_MAX) as stream:
            for line in stream.iter_lines():
                face = json.loads(line[6:]) if line.startswith("data: ") else {}
                if face.get("digits"):
                    return face["digits"]
                if time.monotonic() > ends:
                    break
        raise WorldFault("The gate's screen shows no digits.")

    def _post(self, path: str, body: Json | None = None) -> Json:
        return self._client.post(f"/tablet/{path}", json=body or {}).json()
