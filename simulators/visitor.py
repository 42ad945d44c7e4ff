"""Somebody at a browser: comes in by a signed link of the demonstration, reads pages, sends forms.

Responsible for: the session's cookie, the press that proves who is there, what the pages say: ids in addresses and
lists. Not for: what is done with it (story_card.py, story_order.py). Acts through HTTP alone, as a browser would.
"""

from __future__ import annotations

import html
import re
from http.cookies import SimpleCookie
from typing import Any

from simulators.phone import http_client
from simulators.processes import WorldFault
from simulators.stack import Stack

UUID = "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"


class Visitor:
    """One signed-in browser. key: of a guardian or a member of staff in the stack's district."""

    def __init__(self, stack: Stack, key: str) -> None:
        self.key = key
        self._client = http_client(stack.web_url)
        answer = self._client.get(stack.seeded["links"][key])
        cookies = {
            name: morsel.value
            for header in answer.headers.get_list("set-cookie")
            for name, morsel in SimpleCookie(header).items()
        }
        if answer.status_code != 303 or not cookies:
            raise WorldFault(f"The link of {key} does not let in ({answer.status_code}).", "Links live for a day.")
        self._client.headers["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())

    def close(self) -> None:
        self._client.close()

    def prove(self, before: str) -> None:
        """Prove who is there, before something that matters at this address: in the demonstration, one press."""
        self.send("/step-up/demo", next=before)

    def page(self, path: str) -> str:
        """Return a page. Raises WorldFault where it is refused."""
        answer = self._client.get(path)
        if answer.status_code != 200:
            raise WorldFault(f"{self.key} may not read {path}: {answer.status_code}.")
        return answer.text

    def document(self, path: str) -> bytes:
        answer = self._client.get(path)
        if answer.status_code != 200:
            raise WorldFault(f"{self.key} may not fetch {path}: {answer.status_code}.")
        return answer.content

    def send(self, path: str, *, file: bytes | None = None, **fields: Any) -> str:
        """Send a form that must be taken; return where it leads, or the page that answers."""
        status, told = self.try_to_send(path, file=file, **fields)
        if status not in (200, 303):
            raise WorldFault(f"{self.key} was refused at {path} ({status}): {problem_of(told)}")
        return told

    def try_to_send(self, path: str, *, file: bytes | None = None, **fields: Any) -> tuple[int, str]:
        """Send a form; return the status, and where it leads or the page that answers."""
        files = {"document": ("order.pdf", file, "application/pdf")} if file is not None else None
        answer = self._client.post(path, data=fields, files=files)
        return answer.status_code, answer.headers.get("location", "") if answer.is_redirect else answer.text


def ids_after(page: str, path: str) -> list[str]:
    """Return the ids that stand in addresses after a path, each once, in the order of the page."""
    return list(dict.fromkeys(re.findall(re.escape(path) + f"({UUID})", page)))


def choices(page: str) -> dict[str, str]:
    """Return the people in the lists of a page: name -> id."""
    found = re.findall(f'<option value="({UUID})"[^>]*>([^<]*)', page)
    return {html.unescape(name).strip(): one for one, name in found}


def right_of(page: str, name: str) -> str:
    """Return the id of the right of the person of this name. Raises WorldFault where the page shows none."""
    for right, shown in re.findall(f'id="right-({UUID})".*?<b>([^<]*)', page, re.DOTALL):
        if html.unescape(shown).startswith(name):
            return right
    raise WorldFault(f"The page shows no right of {name}.")


def free_places(page: str) -> int:
    """Return how many of the five places nobody holds."""
    return page.count("data-free")


def problem_of(page: str) -> str:
    """Return what a page says is wrong, in its own words."""
    found = re.search(r'class="problem"[^>]*>(.*?)</', page, re.DOTALL)
    return html.unescape(re.sub("<[^>]*>", "", found[1])).strip() if found else "no words"
