"""The SQL of attendance. Private to cloud/attendance/service.py. Everything runs in a tenant's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from cloud.attendance.model import ExportedEvent, FamilyFact, Incident, SheetRow
from cloud.kit.db import Transaction, many, one, one_or_none
from protocols.events import Kind

# --- numbers of a site ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SiteRef:
    """One number of a site and whom it means."""

    site: int
    kind: str
    ref: int
    id: UUID | None


def ref_of(tx: Transaction, district_id: UUID, site: int, child_id: UUID | None, person_id: UUID | None) -> int | None:
    return one_or_none(
        tx, int,
        """SELECT ref FROM site_ref WHERE district_id = %(district_id)s AND site = %(site)s
             AND (child_id = %(child_id)s OR person_id = %(person_id)s)""",
        {"district_id": district_id, "site": site, "child_id": child_id, "person_id": person_id},
    )  # fmt: skip


def insert_ref(tx: Transaction, district_id: UUID, site: int, ref: int, child_id: UUID | None,
               person_id: UUID | None) -> bool:  # fmt: skip
    """Return whether it was new; a number that is taken, or a child that has one by now, changes nothing."""
    return tx.execute(
        """INSERT INTO site_ref (district_id, site, kind, ref, child_id, person_id)
           VALUES (%(district_id)s, %(site)s, %(kind)s, %(ref)s, %(child_id)s, %(person_id)s)
           ON CONFLICT DO NOTHING""",
        {"district_id": district_id, "site": site, "kind": "child" if child_id else "person", "ref": ref,
         "child_id": child_id, "person_id": person_id},
    ).rowcount == 1  # fmt: skip


def refs_of_site(tx: Transaction, district_id: UUID, site: int) -> list[SiteRef]:
    return many(
        tx, SiteRef,
        """SELECT site, kind, ref, coalesce(child_id, person_id) AS id FROM site_ref
           WHERE district_id = %(district_id)s AND site = %(site)s""",
        {"district_id": district_id, "site": site},
    )  # fmt: skip


def refs_named(tx: Transaction, district_id: UUID, sites: Sequence[int], refs: Sequence[int]) -> list[SiteRef]:
    return many(
        tx, SiteRef,
        """SELECT site, kind, ref, coalesce(child_id, person_id) AS id FROM site_ref
           WHERE district_id = %(district_id)s AND site = ANY (%(sites)s::bigint[])
             AND ref = ANY (%(refs)s::bigint[])""",
        {"district_id": district_id, "sites": list(sites), "refs": list(refs)},
    )  # fmt: skip


@dataclass(frozen=True)
class SiteZone:
    site: int
    timezone: str


def zones(tx: Transaction, district_id: UUID) -> list[SiteZone]:
    return many(
        tx, SiteZone,
        "SELECT site, min(timezone) AS timezone FROM school WHERE district_id = %s GROUP BY site", (district_id,),
    )  # fmt: skip


# --- facts ----------------------------------------------------------------------------------------------------------

EVENT_COLUMNS = ("occurred_at", "school_day", "site", "gate", "epoch", "seq", "fork", "part", "kind", "code",
                 "direction", "child_ref", "child_id", "child_code", "moved", "holder_ref", "person_id", "staff_ref",
                 "staff_id", "flags", "clock", "marks", "body")  # fmt: skip


def insert_events(tx: Transaction, district_id: UUID, columns: Mapping[str, list[Any]], now: datetime) -> None:
    tx.execute(
        """INSERT INTO attendance_event (district_id, received_at, occurred_at, school_day, site, gate, epoch, seq,
               fork, part, kind, code, direction, child_ref, child_id, child_code, moved, holder_ref, person_id,
               staff_ref, staff_id, flags, clock, marks, body)
           SELECT %(district_id)s, %(now)s, e.*
           FROM unnest(%(occurred_at)s::timestamptz[], %(school_day)s::date[], %(site)s::bigint[], %(gate)s::bigint[],
               %(epoch)s::bigint[], %(seq)s::bigint[], %(fork)s::smallint[], %(part)s::smallint[], %(kind)s::smallint[],
               %(code)s::text[], %(direction)s::smallint[], %(child_ref)s::bigint[], %(child_id)s::uuid[],
               %(child_code)s::text[], %(moved)s::boolean[], %(holder_ref)s::bigint[], %(person_id)s::uuid[],
               %(staff_ref)s::bigint[], %(staff_id)s::uuid[], %(flags)s::smallint[], %(clock)s::smallint[],
               %(marks)s::smallint[], %(body)s::bytea[]) AS e""",
        {**columns, "district_id": district_id, "now": now},
    )


DAY_COLUMNS = ("child_id", "school_day", "state", "since", "site", "source", "by_person", "by_staff", "gate", "epoch",
               "seq", "first_in", "last_out")  # fmt: skip


def merge_days(tx: Transaction, district_id: UUID, columns: Mapping[str, list[Any]]) -> None:
    """Bring the derived days up to date; an older fact that comes late changes first_in and last_out only."""
    tx.execute(
        """INSERT INTO attendance_day AS d (district_id, child_id, school_day, state, since, site, source, by_person,
               by_staff, gate, epoch, seq, first_in, last_out)
           SELECT %(district_id)s, n.*
           FROM unnest(%(child_id)s::uuid[], %(school_day)s::date[], %(state)s::text[], %(since)s::timestamptz[],
               %(site)s::bigint[], %(source)s::text[], %(by_person)s::uuid[], %(by_staff)s::uuid[], %(gate)s::bigint[],
               %(epoch)s::bigint[], %(seq)s::bigint[], %(first_in)s::timestamptz[], %(last_out)s::timestamptz[]) AS n
           ON CONFLICT (district_id, child_id, school_day) DO UPDATE SET
               first_in = least(d.first_in, excluded.first_in), last_out = greatest(d.last_out, excluded.last_out),
               (state, since, site, source, by_person, by_staff, gate, epoch, seq) = (
                   SELECT (CASE WHEN newer THEN excluded.state ELSE d.state END),
                          (CASE WHEN newer THEN excluded.since ELSE d.since END),
                          (CASE WHEN newer THEN excluded.site ELSE d.site END),
                          (CASE WHEN newer THEN excluded.source ELSE d.source END),
                          (CASE WHEN newer THEN excluded.by_person ELSE d.by_person END),
                          (CASE WHEN newer THEN excluded.by_staff ELSE d.by_staff END),
                          (CASE WHEN newer THEN excluded.gate ELSE d.gate END),
                          (CASE WHEN newer THEN excluded.epoch ELSE d.epoch END),
                          (CASE WHEN newer THEN excluded.seq ELSE d.seq END)
                   FROM (SELECT excluded.since >= d.since OR d.source = 'declared' AS newer) AS which)""",
        {**columns, "district_id": district_id},
    )


def close_day(tx: Transaction, district_id: UUID, gate: int, school_day: date, epoch: int, seq: int, says: int,
              complete: bool) -> None:  # fmt: skip
    tx.execute(
        """INSERT INTO gate_day (district_id, gate, school_day, epoch, seq, says, complete)
           VALUES (%(district_id)s, %(gate)s, %(school_day)s, %(epoch)s, %(seq)s, %(says)s, %(complete)s)
           ON CONFLICT (district_id, gate, school_day, epoch, seq) DO NOTHING""",
        {"district_id": district_id, "gate": gate, "school_day": school_day, "epoch": epoch, "seq": seq, "says": says,
         "complete": complete},
    )  # fmt: skip


@dataclass(frozen=True)
class Presence:
    child_id: UUID
    state: str
    since: datetime


def presence(tx: Transaction, district_id: UUID, children: Sequence[UUID], days: Sequence[date]) -> list[Presence]:
    return many(
        tx, Presence,
        """SELECT DISTINCT ON (child_id) child_id, state, since FROM attendance_day
           WHERE district_id = %(district_id)s AND child_id = ANY (%(children)s::uuid[])
             AND school_day = ANY (%(days)s::date[]) ORDER BY child_id, since DESC""",
        {"district_id": district_id, "children": list(children), "days": list(days)},
    )  # fmt: skip


# --- incidents ------------------------------------------------------------------------------------------------------


INCIDENT_COLUMNS = ("site", "gate", "epoch", "seq", "code", "child_ref", "gate_said", "cloud_says")


def insert_incidents(tx: Transaction, district_id: UUID, columns: Mapping[str, list[Any]], now: datetime) -> None:
    tx.execute(
        """INSERT INTO attendance_incident (district_id, raised_at, site, gate, epoch, seq, code, child_ref, gate_said,
                                            cloud_says)
           SELECT %(district_id)s, %(now)s, n.*
           FROM unnest(%(site)s::bigint[], %(gate)s::bigint[], %(epoch)s::bigint[], %(seq)s::bigint[], %(code)s::text[],
                       %(child_ref)s::bigint[], %(gate_said)s::text[], %(cloud_says)s::text[]) AS n
           ON CONFLICT ON CONSTRAINT attendance_incident_once DO NOTHING""",
        {**columns, "district_id": district_id, "now": now},
    )


def cards_confirmed(tx: Transaction, district_id: UUID, site: int, gate: int, epoch: int, seq: int, at: datetime,
                    seconds: int) -> int:  # fmt: skip
    """Return how many cards staff confirmed at a site in the seconds up to this event, itself counted."""
    return one(
        tx, int,
        """SELECT count(*) FROM attendance_event
           WHERE district_id = %(district_id)s AND site = %(site)s AND kind = %(kind)s AND part = 0 AND fork = 0
             AND occurred_at > %(at)s::timestamptz - make_interval(secs => %(seconds)s) AND occurred_at <= %(at)s
             AND (occurred_at, gate, epoch, seq) <= (%(at)s, %(gate)s, %(epoch)s, %(seq)s)""",
        {"district_id": district_id, "site": site, "kind": int(Kind.CARD_CONFIRMED), "at": at, "gate": gate,
         "epoch": epoch, "seq": seq, "seconds": seconds},
    )  # fmt: skip


def incidents(tx: Transaction, district_id: UUID, site: int | None) -> list[Incident]:
    return many(
        tx, Incident,
        """SELECT id, site, gate, epoch, seq, code, child_ref, gate_said, cloud_says, raised_at FROM attendance_incident
           WHERE district_id = %(district_id)s AND closed_at IS NULL AND (%(site)s::bigint IS NULL OR site = %(site)s)
           ORDER BY raised_at DESC LIMIT 500""",
        {"district_id": district_id, "site": site},
    )  # fmt: skip


# --- read models ----------------------------------------------------------------------------------------------------


def sheet(tx: Transaction, district_id: UUID, school_id: UUID, day: date) -> list[SheetRow]:
    return many(
        tx, SheetRow,
        """SELECT c.id AS child_id, c.given, c.family, c.protected, e.class_id, k.name AS class_name,
                  CASE d.state WHEN 'in' THEN 'present' WHEN 'out' THEN 'left' WHEN 'absent' THEN 'absent'
                               ELSE 'expected' END AS state,
                  d.since, d.source, d.gate, g.name AS gate_name, p.given AS by_given, p.family AS by_family,
                  t.given AS staff_given, t.family AS staff_family,
                  coalesce(d.gate || ':' || d.epoch || ':' || d.seq, '') AS fact
           FROM enrolment e
           JOIN child c ON c.district_id = e.district_id AND c.id = e.child_id
           LEFT JOIN class k ON k.district_id = e.district_id AND k.id = e.class_id
           LEFT JOIN attendance_day d ON d.district_id = e.district_id AND d.child_id = e.child_id
                                     AND d.school_day = %(day)s
           LEFT JOIN gate g ON g.district_id = d.district_id AND g.gate = d.gate
           LEFT JOIN person p ON p.district_id = d.district_id AND p.id = d.by_person
           LEFT JOIN person t ON t.district_id = d.district_id AND t.id = d.by_staff
           WHERE e.district_id = %(district_id)s AND e.school_id = %(school_id)s AND e.period @> %(day)s
           ORDER BY k.name NULLS LAST, c.given, c.family, c.id""",
        {"district_id": district_id, "school_id": school_id, "day": day},
    )  # fmt: skip


@dataclass(frozen=True)
class GateHeard:
    gate: int
    name: str
    state: str
    last_seen: datetime | None
    closed: bool


def gates_heard(tx: Transaction, district_id: UUID, school_id: UUID, day: date) -> list[GateHeard]:
    return many(
        tx, GateHeard,
        """SELECT g.gate, g.name, g.state, g.last_seen,
                  EXISTS (SELECT 1 FROM gate_day c WHERE c.district_id = g.district_id AND c.gate = g.gate
                            AND c.school_day = %(day)s AND c.complete
                            AND NOT EXISTS (SELECT 1 FROM ledger_hole h WHERE h.district_id = g.district_id
                                AND h.gate = g.gate AND %(day)s BETWEEN h.from_day AND h.to_day)
                            AND NOT EXISTS (SELECT 1 FROM attendance_event v WHERE v.district_id = g.district_id
                                AND v.occurred_at BETWEEN %(day)s::date - 1 AND %(day)s::date + 2
                                AND v.gate = c.gate AND v.epoch = c.epoch AND (v.seq > c.seq OR v.fork > 0)
                                AND v.part = 0
                                AND v.school_day = c.school_day AND v.kind IN (1, 2, 3, 4, 9, 14, 15))) AS closed
           FROM gate g JOIN school s ON s.district_id = g.district_id AND s.site = g.site
           WHERE g.district_id = %(district_id)s AND s.id = %(school_id)s AND g.approved_at IS NOT NULL
             AND g.revoked_at IS NULL ORDER BY g.gate""",
        {"district_id": district_id, "school_id": school_id, "day": day},
    )  # fmt: skip


@dataclass(frozen=True)
class FamilyRow:
    child_id: UUID
    given: str
    school: str
    timezone: str
    class_name: str | None


def children_of(tx: Transaction, district_id: UUID, person_id: UUID, now: datetime) -> list[FamilyRow]:
    return many(
        tx, FamilyRow,
        """SELECT DISTINCT c.id AS child_id, c.given, s.name AS school, s.timezone, k.name AS class_name
           FROM guardianship g
           JOIN child c ON c.district_id = g.district_id AND c.id = g.child_id
           JOIN enrolment e ON e.district_id = c.district_id AND e.child_id = c.id
                           AND e.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date
           JOIN school s ON s.district_id = e.district_id AND s.id = e.school_id
           LEFT JOIN class k ON k.district_id = e.district_id AND k.id = e.class_id
           WHERE g.district_id = %(district_id)s AND g.person_id = %(person_id)s AND g.may_read
             AND g.period @> (%(now)s::timestamptz AT TIME ZONE 'UTC')::date
           ORDER BY c.given, c.id""",
        {"district_id": district_id, "person_id": person_id, "now": now},
    )  # fmt: skip


def facts_of(tx: Transaction, district_id: UUID, children: Sequence[UUID], days: Sequence[date]) -> list[FamilyFact]:
    return many(
        tx, FamilyFact,
        """SELECT v.child_id, v.occurred_at AS at, v.direction, g.name AS gate_name,
                  v.person_id AS by_person, p.given AS by_given, p.family AS by_family, r.relation,
                  CASE WHEN v.kind IN (3, 4, 15) THEN 'staff' ELSE 'fact' END AS source, v.child_code AS code,
                  v.gate || ':' || v.epoch || ':' || v.seq AS fact
           FROM attendance_event v
           LEFT JOIN gate g ON g.district_id = v.district_id AND g.gate = v.gate
           LEFT JOIN person p ON p.district_id = v.district_id AND p.id = v.person_id
           LEFT JOIN guardianship r ON r.district_id = v.district_id AND r.child_id = v.child_id
                                   AND r.person_id = v.person_id AND r.period @> v.school_day
           WHERE v.district_id = %(district_id)s AND v.child_id = ANY (%(children)s::uuid[])
             AND v.school_day = ANY (%(days)s::date[]) AND v.moved
           ORDER BY v.child_id, v.occurred_at, v.seq""",
        {"district_id": district_id, "children": list(children), "days": list(days)},
    )  # fmt: skip


def export(tx: Transaction, district_id: UUID, after: tuple[int, int, int, int], limit: int) -> list[ExportedEvent]:
    """Return events in the order of their ledgers, after (gate, epoch, seq, fork); one row an event."""
    return many(
        tx, ExportedEvent,
        """SELECT t.slug AS district, v.gate, v.epoch, v.seq, v.kind, v.code, v.body, v.occurred_at, v.received_at,
                  v.site,
                  v.fork, v.direction, v.flags, v.clock, v.marks,
                  coalesce((SELECT jsonb_agg(jsonb_build_array(o.child_ref, o.child_code, o.moved) ORDER BY o.part)
                            FROM attendance_event o
                            WHERE o.occurred_at = v.occurred_at AND o.gate = v.gate AND o.epoch = v.epoch
                              AND o.seq = v.seq AND o.fork = v.fork AND o.child_ref IS NOT NULL), '[]') AS children,
                  encode(coalesce((SELECT r.head FROM ingest_receipt r
                                   WHERE v.fork = 0 AND r.gate = v.gate AND r.epoch = v.epoch AND r.seq = v.seq),
                                  (SELECT f.head FROM ledger_fork f WHERE f.gate = v.gate AND f.epoch = v.epoch
                                     AND f.seq = v.seq AND f.fork = v.fork)), 'hex') AS head
           FROM attendance_event v JOIN district t ON t.id = v.district_id
           WHERE v.district_id = %(district_id)s AND v.part = 0
             AND (v.gate, v.epoch, v.seq, v.fork::bigint) > (%(gate)s, %(epoch)s, %(seq)s, %(fork)s)
           ORDER BY v.gate, v.epoch, v.seq, v.fork LIMIT %(limit)s""",
        {"district_id": district_id, "gate": after[0], "epoch": after[1], "seq": after[2], "fork": after[3],
         "limit": limit},
    )  # fmt: skip


def wipe_days(tx: Transaction, district_id: UUID, school_day: date) -> None:
    tx.execute("DELETE FROM attendance_day WHERE district_id = %s AND school_day = %s AND source <> 'declared'",
               (district_id, school_day))  # fmt: skip


@dataclass(frozen=True)
class MovedRow:
    child_id: UUID
    school_day: date
    occurred_at: datetime
    direction: int
    site: int
    kind: int
    person_id: UUID | None
    staff_id: UUID | None
    gate: int
    epoch: int
    seq: int


def moves_of_day(tx: Transaction, district_id: UUID, school_day: date) -> list[MovedRow]:
    return many(
        tx, MovedRow,
        """SELECT child_id, school_day, occurred_at, direction, site, kind, person_id, staff_id, gate, epoch, seq
           FROM attendance_event WHERE district_id = %(district_id)s AND school_day = %(day)s AND moved
             AND child_id IS NOT NULL ORDER BY occurred_at, seq""",
        {"district_id": district_id, "day": school_day},
    )  # fmt: skip


@dataclass(frozen=True)
class CorrectionRow:
    gate: int
    body: bytes


def corrections(tx: Transaction, district_id: UUID, school_day: date) -> list[CorrectionRow]:
    return many(
        tx, CorrectionRow,
        """SELECT gate, body FROM attendance_event
           WHERE district_id = %(district_id)s AND school_day = %(day)s AND kind = 4 AND part = 0""",
        {"district_id": district_id, "day": school_day},
    )  # fmt: skip


@dataclass(frozen=True)
class RefusalRow:
    site: int
    child_ref: int | None
    code: str


def refusals_of(
    tx: Transaction, district_id: UUID, gate: int, epoch: int, seq: int, occurred_at: datetime
) -> list[RefusalRow]:
    return many(
        tx, RefusalRow,
        """SELECT site, child_ref, coalesce(nullif(child_code, ''), code) AS code FROM attendance_event
           WHERE district_id = %(district_id)s AND occurred_at = %(occurred_at)s AND gate = %(gate)s
             AND epoch = %(epoch)s AND seq = %(seq)s""",
        {"district_id": district_id, "gate": gate, "epoch": epoch, "seq": seq, "occurred_at": occurred_at},
    )  # fmt: skip
