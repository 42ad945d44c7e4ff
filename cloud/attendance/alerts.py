"""What the head hears of, silently: refusals that concern a child, cards too fast, gate and school of two minds.

Responsible for: the open alerts of a site as a school may read them (names of own children only), and that somebody has
seen one. Not responsible for: raising them (cloud/attendance/service.py). P-3 (head alerted), HOSTILE P27.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cloud.audit import service as audit
from cloud.kit.db import Transaction, many, one, one_or_none

SHOWN_MAX = 100


@dataclass(frozen=True)
class Alert:
    """An incident that nobody has closed. child: "" where none is named, or one of another school at this site."""

    id: int
    code: str
    gate_name: str
    child: str
    child_id: UUID | None
    gate_said: str
    cloud_says: str
    raised_at: datetime


def open_alerts(tx: Transaction, district_id: UUID, school_id: UUID, site: int) -> list[Alert]:
    """Return what nobody has closed yet at a site, newest first."""
    return many(
        tx, Alert,
        """SELECT i.id, i.code, coalesce(g.name, i.gate::text) AS gate_name,
                  coalesce(trim(c.given || ' ' || c.family), '') AS child, c.id AS child_id, i.gate_said, i.cloud_says,
                  i.raised_at
           FROM attendance_incident i
           LEFT JOIN gate g ON g.district_id = i.district_id AND g.gate = i.gate
           LEFT JOIN site_ref r ON r.district_id = i.district_id AND r.site = i.site AND r.kind = 'child'
                                AND r.ref = i.child_ref
           LEFT JOIN child c ON c.district_id = r.district_id AND c.id = r.child_id AND EXISTS (
               SELECT 1 FROM enrolment e WHERE e.district_id = c.district_id AND e.child_id = c.id
                  AND e.school_id = %(school)s)
           WHERE i.district_id = %(district)s AND i.site = %(site)s AND i.closed_at IS NULL
           ORDER BY i.raised_at DESC, i.id DESC LIMIT %(most)s""",
        {"district": district_id, "school": school_id, "site": site, "most": SHOWN_MAX},
    )  # fmt: skip


def count_open(tx: Transaction, district_id: UUID, site: int) -> int:
    return one(
        tx, int,
        "SELECT count(*) FROM attendance_incident WHERE district_id = %s AND site = %s AND closed_at IS NULL",
        (district_id, site),
    )  # fmt: skip


def close_alert(
    tx: Transaction, district_id: UUID, school_id: UUID, site: int, alert_id: int, by: UUID, now: datetime
) -> bool:
    """Say that somebody has seen an alert; the fact stands. Return whether it was open at this site."""
    code = one_or_none(
        tx, str,
        """UPDATE attendance_incident SET closed_at = %(now)s
           WHERE district_id = %(district)s AND site = %(site)s AND id = %(id)s AND closed_at IS NULL RETURNING code""",
        {"district": district_id, "site": site, "id": alert_id, "now": now},
    )  # fmt: skip
    if code is None:
        return False
    audit.record(tx, district_id, action="alert.close", by=by, thing="school", thing_id=school_id,
                 detail={"alert": alert_id, "code": code}, now=now)  # fmt: skip
    return True
