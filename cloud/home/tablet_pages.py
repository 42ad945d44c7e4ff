"""Names for the tablets at a site's gates: sealed here for this site, opened on the tablet alone; the gate gets none.

Responsible for: `/school/tablet`, and the seal: AES-256-GCM under a key of one use, which travels in the part of a link
after `#`: a browser sends it to no server. A link leads only to addresses that PORTILLON_TABLETS names for the site.
Asks for a fresh proof of who is there, and is written into the audit log. Not responsible for: who has which number
(attendance), what the tablet does with them (edge/web/static/tablet/names.js). Obeys ADR 0020.
"""

import base64
import json
import secrets
import zlib
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from cloud.attendance import service as attendance
from cloud.audit import service as audit
from cloud.identity.doors import SchoolActor, SchoolSure, SchoolTx
from cloud.identity.may import Action
from cloud.identity.model import Actor
from cloud.kit import clock
from cloud.kit.db import Transaction
from cloud.kit.web import page, reader_of, settings_of
from cloud.people import at_the_gate
from cloud.schools.bar import bar_of, chosen_school, schools_of
from cloud.schools.model import School

router = APIRouter(prefix="/school/tablet")

NONCE_BYTES = 12  # AES-GCM
Site = Annotated[int | None, Query(ge=1, le=2**32 - 1)]
Wanted = Annotated[UUID | None, Query(alias="school")]


@router.get("")
def tablet_page(
    request: Request, actor: SchoolActor, tx: SchoolTx, wanted: Wanted = None, site: Site = None
) -> HTMLResponse:
    """site: of the gate whose tablet leads here."""
    choices = schools_of(tx, actor, Action.RECORD_STAFF_FACT)
    at_site = next((one.id for one in choices if one.site == site), None)
    here, _ = chosen_school(tx, actor, Action.RECORD_STAFF_FACT, wanted or at_site)
    return _draw(request, tx, actor, here)


@router.post("/{school_id}")
def give_names(request: Request, actor: SchoolSure, tx: SchoolTx, school_id: UUID) -> HTMLResponse:
    here, _ = chosen_school(tx, actor, Action.RECORD_STAFF_FACT, school_id)
    now = clock.now()
    names = names_of(tx, actor.district_id, here.site, [here.id], now)
    sealed = seal(here.site, names)
    links = [(origin, f"{origin}/tablet#names={sealed}") for origin in _tablets(request, here.site)]
    audit.record(
        tx, actor.district_id, action="names.tablet", by=actor.person_id, thing="school", thing_id=here.id,
        detail={"site": here.site, "children": len(names["children"])}, now=now,
    )  # fmt: skip
    return _draw(request, tx, actor, here, links, len(names["children"]))


def names_of(tx: Transaction, district_id: UUID, site: int, schools: list[UUID], now: datetime) -> dict:
    """Return what a tablet of this site may read: numbers, names, classes, who brings and collects whom."""
    children = at_the_gate.children_at_the_gate(tx, district_id, schools, now)
    adults = at_the_gate.adults_at_the_gate(tx, district_id, [child.id for child in children], now)
    child_numbers, adult_numbers = attendance.references_of_site(tx, district_id, site)
    people: dict[UUID, list] = {}
    for one in adults:
        if one.person_id in adult_numbers and one.child_id in child_numbers:
            row = people.setdefault(one.person_id, [adult_numbers[one.person_id], _name(one.given, one.family), []])
            row[2].append([child_numbers[one.child_id], one.relation])
    return {
        "v": 1,
        "site": site,
        "made_ms": int(now.timestamp() * 1000),
        "children": [
            [child_numbers[one.id], _name(one.given, one.family), one.class_name]
            for one in children if one.id in child_numbers
        ],
        "adults": list(people.values()),
    }  # fmt: skip


def seal(site: int, names: dict) -> str:
    """Return names as a link carries them: base64url of key, nonce, and the deflated JSON sealed for this site."""
    key, nonce = AESGCM.generate_key(256), secrets.token_bytes(NONCE_BYTES)
    clear = zlib.compress(json.dumps(names, ensure_ascii=False, separators=(",", ":")).encode(), 9)
    sealed = AESGCM(key).encrypt(nonce, clear, f"portillon-names/1/{site}".encode())
    return base64.urlsafe_b64encode(key + nonce + sealed).rstrip(b"=").decode()


def _name(given: str, family: str) -> str:
    return f"{given} {family}".strip()


def _tablets(request: Request, site: int) -> list[str]:
    return [origin for number, origin in settings_of(request).tablets if number == site]


def _draw(
    request: Request, tx: Transaction, actor: Actor, here: School, links: Iterable[tuple[str, str]] = (), count: int = 0
) -> HTMLResponse:
    return page(
        request, "home/tablet.html", reader_of(request, actor.language, here.timezone),
        school=here, choices=schools_of(tx, actor, Action.RECORD_STAFF_FACT), bar=bar_of(actor, here.id),
        given=actor.given, sure=actor.is_sure(clock.now()), tablets=_tablets(request, here.site), links=links,
        count=count,
    )  # fmt: skip
