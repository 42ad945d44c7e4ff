"""What a gate shall be, and what it says it is: revisions of its configuration, and its report.

A service of this slice. Responsible for: revisions that are never changed, what differs between wanted and reported,
the audit line. Not responsible for: signing (cloud/reactions.py has the key), whether a value is good: the gate judges
with its own table of settings and answers. Rules: P-4 KF1, P-6 dn/cfg and up/rep, ADR 0017.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from psycopg.types.json import Jsonb

from cloud.audit import service as audit
from cloud.fleet.reports import ConfigurationReport
from cloud.kit.db import Transaction, many, one_or_none
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.jobs import happened
from cloud.kit.live import announce

CONTENT_BYTES_MAX = 3_072  # fits into a signed document of 4,096 bytes (P-1)


class ConfigurationRefused(Refused):
    """A configuration cannot be asked for."""

    answers: ClassVar = {
        "CONFIG_SHAPE": Answer(400, N_("This is not sections of settings."), N_("Write [section] and key = value.")),
        "CONFIG_SIZE": Answer(400, N_("The configuration is too long."), N_("Leave out what the gate's file says.")),
        "GATE_UNKNOWN": Answer(404, N_("No gate has this number here."), N_("Look at the list of gates.")),
    }


@dataclass(frozen=True)
class Revision:
    """What a gate was asked to be. content: JSON, sections of settings that count over the gate's own file."""

    gate: int
    revision: int
    content: str
    sha256: bytes
    made_at: datetime

    @property
    def sections(self) -> dict[str, dict[str, Any]]:
        return read(self.content)


Sections = Mapping[str, Mapping[str, Any]]


def desire(
    tx: Transaction, district_id: UUID, gate: int, sections: Sections, now: datetime, *, by: UUID | None = None
) -> int:
    """Ask a gate to be this from now on; return the revision. Raises ConfigurationRefused."""
    content = written(sections)
    known = one_or_none(
        tx, int, "SELECT gate FROM gate WHERE district_id = %s AND gate = %s AND revoked_at IS NULL FOR UPDATE",
        (district_id, gate),
    )  # fmt: skip
    if known is None:
        raise ConfigurationRefused("GATE_UNKNOWN")
    before = newest(tx, district_id, gate)
    revision = before.revision + 1 if before else 1
    tx.execute(
        """INSERT INTO gate_configuration (district_id, gate, revision, content, sha256, made_at, by_person)
           VALUES (%(district_id)s, %(gate)s, %(revision)s, %(content)s, %(sha256)s, %(now)s, %(by)s)""",
        {"district_id": district_id, "gate": gate, "revision": revision, "content": content,
         "sha256": hashlib.sha256(content.encode()).digest(), "now": now, "by": by},
    )  # fmt: skip
    happened(tx, "ConfigurationDesired", district_id, gate=gate)
    announce(tx, district_id, "gate", [gate])
    audit.record(tx, district_id, action="gate.configure", by=by, thing="gate", thing_id=UUID(int=gate),
                 detail={"gate": gate, "revision": revision}, now=now)  # fmt: skip
    return revision


def written(sections: Sections) -> str:
    """Return the JSON of a configuration as it is signed. Raises ConfigurationRefused: CONFIG_SHAPE, CONFIG_SIZE."""
    if not isinstance(sections, Mapping) or not all(isinstance(one, Mapping) for one in sections.values()):
        raise ConfigurationRefused("CONFIG_SHAPE")
    try:
        content = json.dumps(sections, separators=(",", ":"), sort_keys=True, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigurationRefused("CONFIG_SHAPE") from error
    if len(content) > CONTENT_BYTES_MAX or "\\u0000" in content:
        raise ConfigurationRefused("CONFIG_SIZE")
    return content


def read(content: str) -> dict[str, dict[str, Any]]:
    """Return the sections of a JSON that we wrote."""
    return json.loads(content)


def over(sections: Sections, change: Sections) -> dict[str, dict[str, Any]]:
    """Return sections with a change over them; a setting of the change counts."""
    names = [*sections, *(name for name in change if name not in sections)]
    return {name: {**sections.get(name, {}), **change.get(name, {})} for name in names}


def newest(tx: Transaction, district_id: UUID, gate: int) -> Revision | None:
    """Return what is wanted of a gate now, None where nothing but its own file is."""
    return one_or_none(
        tx, Revision,
        """SELECT gate, revision, content, sha256, made_at FROM gate_configuration
           WHERE district_id = %(district_id)s AND gate = %(gate)s ORDER BY revision DESC LIMIT 1""",
        {"district_id": district_id, "gate": gate},
    )  # fmt: skip


def revision_of(tx: Transaction, district_id: UUID, gate: int, revision: int) -> Revision | None:
    """Return one revision of a gate."""
    return one_or_none(
        tx, Revision,
        """SELECT gate, revision, content, sha256, made_at FROM gate_configuration
           WHERE district_id = %(district_id)s AND gate = %(gate)s AND revision = %(revision)s""",
        {"district_id": district_id, "gate": gate, "revision": revision},
    )  # fmt: skip


def wanted_of_all(tx: Transaction, district_id: UUID) -> dict[int, Revision]:
    """Return the newest revision of every gate that has one, by number."""
    rows = many(
        tx, Revision,
        """SELECT DISTINCT ON (gate) gate, revision, content, sha256, made_at FROM gate_configuration
           WHERE district_id = %(district_id)s ORDER BY gate, revision DESC""",
        {"district_id": district_id},
    )  # fmt: skip
    return {row.gate: row for row in rows}


def runs_now(tx: Transaction, district_id: UUID, gate: int) -> tuple[int, Sections]:
    """Return the revision that a gate said it runs, and its settings; 0 and nothing: the gate's own file."""
    told = one_or_none(
        tx, dict, "SELECT configuration FROM gate WHERE district_id = %s AND gate = %s", (district_id, gate)
    )  # fmt: skip
    running = revision_of(tx, district_id, gate, int((told or {}).get("runs", 0)))
    return (running.revision, running.sections) if running else (0, {})


def report(tx: Transaction, district_id: UUID, gate: int, told: ConfigurationReport, now: datetime) -> None:
    """Keep what a gate says that it is."""
    tx.execute(
        """UPDATE gate SET configuration = %(told)s, configuration_at = %(now)s
           WHERE district_id = %(district_id)s AND gate = %(gate)s""",
        {"district_id": district_id, "gate": gate, "told": Jsonb(told.values), "now": now},
    )
    announce(tx, district_id, "gate", [gate])
