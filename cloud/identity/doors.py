"""The three doors as FastAPI dependencies: who asks, and the transaction in which they ask.

Responsible for: the cookies `__Host-family`, `__Host-school`, `__Host-fleet`; `FamilyActor` and its siblings;
`FamilySure` and its siblings, who proved anew that it is them (step-up); `FamilyTx` and its siblings, committed before
the answer (ARCHITECTURE 8). In a family's and an operator's transaction row security lets only own children through:
an operator has none.
"""

from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import Depends, Request, Response

from cloud.identity import service
from cloud.identity.model import SESSION_LIFETIME, Actor, Door
from cloud.kit import clock
from cloud.kit.db import Transaction, database_of
from cloud.kit.errors import Refused

COOKIES = {door: f"__Host-{door}" for door in Door}
# The first mark that is found counts: Chrome says Safari, Edge says Chrome, Android says Linux.
BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("YaBrowser", "Yandex"), ("SamsungBrowser", "Samsung Internet"),
            ("Firefox", "Firefox"), ("FxiOS", "Firefox"), ("CriOS", "Chrome"), ("Chrom", "Chrome"),
            ("Safari", "Safari"))  # fmt: skip
SYSTEMS = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"),
           ("Mac OS", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux"))  # fmt: skip
COOKIE_SECONDS = int(SESSION_LIFETIME[Door.FAMILY].total_seconds())
TOKEN_CHARACTERS_MAX = 100  # Ours have 43; what is longer is not even hashed.


def set_cookie(response: Response, door: Door | str, token: str) -> None:
    """Give the browser its session. `__Host-` makes it stick to this very host, Lax keeps other sites' forms out.

    The cookie of every door lives as long as the longest session: when it ends the server decides.
    """
    response.set_cookie(
        COOKIES[Door(door)], token, max_age=COOKIE_SECONDS, path="/", secure=True, httponly=True, samesite="lax",
    )


def clear_cookie(response: Response, door: Door | str) -> None:
    response.delete_cookie(COOKIES[Door(door)], path="/", secure=True, httponly=True, samesite="lax")


def actor_at(request: Request, door: Door) -> Actor | None:
    """Return who holds this door's cookie, or None. For pages that anybody may open, and for a phone taken away."""
    token = request.cookies.get(COOKIES[door], "")
    if not token or len(token) > TOKEN_CHARACTERS_MAX:
        return None
    with database_of(request).untenanted() as tx:
        return service.actor_of(tx, door, token, clock.now())


def still_at(request: Request, door: Door) -> Actor:
    """Return who holds this door's cookie now, with the roles of now; live pages ask before each drawing.

    Raises Refused("SIGN_IN"), and Refused("PASSKEY_NEEDED") where the door wants a passkey first.
    """
    actor = enrolling_at(request, door)
    if actor.lacks_passkey:
        raise Refused("PASSKEY_NEEDED")
    return actor


def enrolling_at(request: Request, door: Door) -> Actor:
    """Return who holds this door's cookie, also where the door still wants its first passkey. Raises as still_at."""
    actor = actor_at(request, door)
    if actor is None or actor.phone_revoked:
        raise Refused("SIGN_IN")
    return actor


def browser_of(request: Request) -> str:
    """Return a few words for the browser, "Firefox, Linux", for the list of where somebody is signed in."""
    told = request.headers.get("user-agent", "")[:400]
    browser = next((name for mark, name in BROWSERS if mark in told), "")
    system = next((name for mark, name in SYSTEMS if mark in told), "")
    return ", ".join(filter(None, (browser, system)))


def sure_at(request: Request, door: Door) -> Actor:
    """Return who holds this door's cookie and proved a passkey or a password within the last ten minutes.

    Raises Refused("SIGN_IN"), Refused("PASSKEY_NEEDED"), Refused("STEP_UP"); the last leads a page to /step-up.
    """
    actor = still_at(request, door)
    if not actor.is_sure(clock.now()):
        raise Refused("STEP_UP")
    return actor


def _required(door: Door) -> Callable[[Request], Actor]:
    def signed_in(request: Request) -> Actor:
        return still_at(request, door)

    return signed_in


def _sure(door: Door) -> Callable[[Request], Actor]:
    def proved_anew(request: Request) -> Actor:
        return sure_at(request, door)

    return proved_anew


FamilyActor = Annotated[Actor, Depends(_required(Door.FAMILY))]
SchoolActor = Annotated[Actor, Depends(_required(Door.SCHOOL))]
FleetActor = Annotated[Actor, Depends(_required(Door.FLEET))]

# For what matters: escorts, orders, roles, cards, keys. A page that shows such a form asks for it as well.
FamilySure = Annotated[Actor, Depends(_sure(Door.FAMILY))]
SchoolSure = Annotated[Actor, Depends(_sure(Door.SCHOOL))]
FleetSure = Annotated[Actor, Depends(_sure(Door.FLEET))]


def _family(request: Request, actor: FamilyActor) -> Iterator[Transaction]:
    with database_of(request).tenant(actor.district_id, actor.person_id) as tx:
        yield tx


def _school(request: Request, actor: SchoolActor) -> Iterator[Transaction]:
    with database_of(request).tenant(actor.district_id) as tx:
        yield tx


def _fleet(request: Request, actor: FleetActor) -> Iterator[Transaction]:
    with database_of(request).tenant(actor.district_id, actor.person_id) as tx:
        yield tx


FamilyTx = Annotated[Transaction, Depends(_family, scope="function")]
SchoolTx = Annotated[Transaction, Depends(_school, scope="function")]
FleetTx = Annotated[Transaction, Depends(_fleet, scope="function")]
