"""The mode of a site: set by people, signed as a level (KM1), the newest counts until its end.

A service of this slice. Responsible for: who set which mode when, the document that says so, its return to normal.
Evacuate and free open doors: they end within four hours, and the database says so too (site_mode_open_ends). Not
responsible for: who may set it (identity/may.py), publishing (cloud/downlink.py), what a door does (edge/door.py).
Rules: P-4 KM1; hostile cases P47, P48.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from cloud.attendance.service import ref_of
from cloud.audit import service as audit
from cloud.kit.db import RuleBroken, Transaction, one_or_none
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.jobs import happened
from cloud.kit.live import announce
from cloud.passes.keys import KeyRing
from cloud.passes.model import SignedDocument
from cloud.passes.service import keep_document
from protocols.canonical import encode
from protocols.documents import Mode, SiteMode, build_site_mode
from protocols.limits import MODE_SECONDS_MAX
from protocols.trust import Role

OPENS = frozenset((Mode.EVACUATE, Mode.FREE))
LIVES = timedelta(days=30)  # of a signed mode with no end of its own; signed anew long before
SIGNED_ANEW = timedelta(days=1)
NOBODY = 0  # KM1's `by`: a terminal, or the clock


class ModeRefused(Refused):
    """A mode cannot be set."""

    answers: ClassVar = {
        "MODE_SITE": Answer(404, N_("There is no such site here."), N_("Look at the list of sites.")),
        "MODE_TOO_LONG": Answer(400, N_("Doors stay open four hours at most."), N_("Choose a shorter time.")),
        "MODE_PAST": Answer(400, N_("This end has passed already."), N_("Choose a later one.")),
    }


@dataclass(frozen=True)
class Setting:
    """One decision about a site. ends_at: None until another one. by: who, None from a terminal."""

    site: int
    n: int
    mode: Mode
    set_at: datetime
    ends_at: datetime | None
    by_person: UUID | None
    by_name: str | None

    def at(self, now: datetime) -> Mode:
        """Return the mode that this decision makes at a moment."""
        return Mode.NORMAL if self.ends_at and now >= self.ends_at else Mode(self.mode)


def set_mode(
    tx: Transaction, district_id: UUID, site: int, mode: Mode, now: datetime, *,
    ends_at: datetime | None = None, by: UUID | None = None,
) -> Setting:  # fmt: skip
    """Decide the mode of a site from now on; what opens doors ends by itself. Raises ModeRefused."""
    if mode in OPENS and ends_at is None:
        ends_at = now + timedelta(seconds=MODE_SECONDS_MAX)
    _take_turn(tx, district_id, site)
    before = setting_of(tx, district_id, site)
    try:
        with tx.transaction():
            tx.execute(
                """INSERT INTO site_mode (district_id, site, n, mode, set_at, ends_at, by_person)
                   VALUES (%(district_id)s, %(site)s, %(n)s, %(mode)s, %(now)s, %(ends_at)s, %(by)s)""",
                {"district_id": district_id, "site": site, "n": before.n + 1 if before else 1, "mode": int(mode),
                 "now": now, "ends_at": ends_at, "by": by},
            )  # fmt: skip
    except RuleBroken as broken:
        code = {"site_mode_of_site": "MODE_SITE", "site_mode_open_ends": "MODE_TOO_LONG",
                "site_mode_forward": "MODE_PAST"}.get(broken.constraint)  # fmt: skip
        if code is None:
            raise
        raise ModeRefused(code) from broken
    happened(tx, "ModeSet", district_id, site=site)
    announce(tx, district_id, "gate", [])
    audit.record(tx, district_id, action="site.mode", by=by, thing="site", thing_id=UUID(int=site),
                 detail={"site": site, "mode": mode.name.lower()}, now=now)  # fmt: skip
    made = setting_of(tx, district_id, site)
    assert made
    return made


def _take_turn(tx: Transaction, district_id: UUID, site: int) -> None:
    """Wait until nobody else is setting a mode of this site: of two at once the second comes second, and counts."""
    tx.execute("SELECT FROM site WHERE district_id = %s AND number = %s FOR NO KEY UPDATE", (district_id, site))


def setting_of(tx: Transaction, district_id: UUID, site: int) -> Setting | None:
    """Return the newest decision about a site, None where nobody ever decided one."""
    return one_or_none(
        tx, Setting,
        """SELECT m.site, m.n, m.mode, m.set_at, m.ends_at, m.by_person,
                  nullif(concat_ws(' ', p.given, p.family), '') AS by_name
           FROM site_mode m LEFT JOIN person p ON p.district_id = m.district_id AND p.id = m.by_person
           WHERE m.district_id = %(district_id)s AND m.site = %(site)s ORDER BY m.n DESC LIMIT 1""",
        {"district_id": district_id, "site": site},
    )  # fmt: skip


def sign_mode(tx: Transaction, ring: KeyRing, district_id: UUID, site: int, now: datetime) -> SignedDocument | None:
    """Return the mode in force as it is signed; past its end it says normal. None where nobody ever set one."""
    setting = setting_of(tx, district_id, site)
    if setting is None:
        return None
    mode = setting.at(now)
    ended = mode != setting.mode
    by = NOBODY if ended or not setting.by_person else ref_of(tx, district_id, site, person_id=setting.by_person)
    ends_at = setting.ends_at if setting.ends_at and not ended else now + LIVES
    content = hashlib.sha256(encode([setting.n, int(mode), by])).digest()

    def sign(version: int) -> bytes:
        iat, exp = int(now.timestamp()), int(ends_at.timestamp())
        if mode in OPENS:
            exp = min(exp, iat + MODE_SECONDS_MAX)
        told = SiteMode(site, version, mode, by, iat, max(exp, iat + 1))
        return build_site_mode(ring.signing_key(Role.COMMAND, now.timestamp()), told)

    return keep_document(tx, district_id, site, "KM1", content, now, sign, SIGNED_ANEW)
