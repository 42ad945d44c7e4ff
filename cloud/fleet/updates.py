"""A release for many gates, ring by ring: the next ring is told when every gate of the one before stays on it.

A service of this slice. Responsible for: orders to the gates (dn/job, retained), what they say of it (up/job), moving
on, stopping at the first gate that went back. A gate that is away holds its ring up: an operator stops the rollout, or
waits. One that was revoked is left out. Not responsible for: whether a release is genuine and how it does, which each
gate judges by itself (edge/update.py): an order is not signed, what it names is. Rules: PROTOCOL P-6, ADR 0019.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from cloud.fleet import service
from cloud.fleet.messages import send_down
from cloud.fleet.rings import Rings, are_rings
from cloud.kit.db import RuleBroken, Transaction, many, one_or_none
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.live import announce
from protocols import topics
from protocols.releases import NO_VERSION, Order, Told, UpdateState, build_order, is_version

JOBS_APART = 2  # the number after a rollout's own is for the order that takes it back
WENT_BACK = "UPDATE_WENT_BACK"  # the alarm of a gate whose new version did not stay


class UpdateRefused(Refused):
    """A rollout of a release cannot be started or stopped."""

    answers: ClassVar = {
        "UPDATE_RUNS": Answer(409, N_("A release is being rolled out already."), N_("Let it end, or stop it.")),
        "UPDATE_NONE": Answer(404, N_("No release is being rolled out."), N_("Start one.")),
        "UPDATE_RINGS": Answer(400, N_("These are no rings."), N_("Name each gate once, at most 16 rings.")),
        "UPDATE_VERSION": Answer(400, N_("This is not a version."), N_("Three numbers, such as 0.2.0.")),
    }


@dataclass(frozen=True)
class Member:
    """A gate of a rollout. state: waiting, told, or what the gate says. revoked: now; no ring waits for it."""

    gate: int
    ring: int
    state: str
    code: str | None
    running: str | None
    told_at: datetime | None
    answered_at: datetime | None
    revoked: bool


@dataclass(frozen=True)
class Rollout:
    """ring: the one that is being told. outcome: done, stopped, failed; None while it runs."""

    job: int
    version: str
    ring: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None


def start(tx: Transaction, district_id: UUID, version: str, rings: Rings, now: datetime) -> Rollout:
    """Order the first ring to take a version. Raises UpdateRefused."""
    if not is_version(version):
        raise UpdateRefused("UPDATE_VERSION")
    known = many(tx, int, "SELECT gate FROM gate WHERE district_id = %s AND revoked_at IS NULL", (district_id,))
    if not are_rings(rings, known):
        raise UpdateRefused("UPDATE_RINGS")
    last = latest(tx, district_id)
    made = Rollout((last.job if last else 0) + JOBS_APART, version, 1, now, None, None)
    try:
        with tx.transaction():
            tx.execute(
                """INSERT INTO release_rollout (district_id, job, version, started_at)
                   VALUES (%(district_id)s, %(job)s, %(version)s, %(now)s)""",
                {"district_id": district_id, "job": made.job, "version": version, "now": now},
            )
    except RuleBroken as broken:
        if broken.constraint not in ("release_rollout_one_at_a_time", "release_rollout_pkey"):
            raise
        raise UpdateRefused("UPDATE_RUNS") from broken
    for number, ring in enumerate(rings, start=1):
        for gate in ring:
            tx.execute(
                """INSERT INTO release_gate (district_id, job, gate, ring)
                   VALUES (%(district_id)s, %(job)s, %(gate)s, %(ring)s)""",
                {"district_id": district_id, "job": made.job, "gate": gate, "ring": number},
            )
    _tell_ring(tx, district_id, made, 1, now)
    return made


def stop(tx: Transaction, district_id: UUID, now: datetime) -> Rollout:
    """Tell no further ring, and take the order back. Raises UpdateRefused("UPDATE_NONE")."""
    running = _running(tx, district_id)
    if running is None:
        raise UpdateRefused("UPDATE_NONE")
    _take_back(tx, district_id, running)
    return _end(tx, district_id, running, "stopped", now)


def latest(tx: Transaction, district_id: UUID) -> Rollout | None:
    """Return the rollout with the highest number: the one that runs, else the last one."""
    return one_or_none(
        tx, Rollout,
        """SELECT job, version, ring, started_at, ended_at, outcome FROM release_rollout
           WHERE district_id = %(district_id)s ORDER BY job DESC LIMIT 1""",
        {"district_id": district_id},
    )  # fmt: skip


def members(tx: Transaction, district_id: UUID, job: int) -> list[Member]:
    """Return the gates of a rollout, ring by ring."""
    return many(
        tx, Member,
        """SELECT r.gate, r.ring, r.state, r.code, r.running, r.told_at, r.answered_at,
                  g.revoked_at IS NOT NULL AS revoked
           FROM release_gate r JOIN gate g ON g.district_id = r.district_id AND g.gate = r.gate
           WHERE r.district_id = %(district_id)s AND r.job = %(job)s ORDER BY r.ring, r.gate""",
        {"district_id": district_id, "job": job},
    )  # fmt: skip


def reported(tx: Transaction, district_id: UUID, gate: int, told: Told, now: datetime) -> None:
    """A gate says where it is: its ring may be whole now, or the rollout has failed. Twice is as once."""
    changed = tx.execute(
        """UPDATE release_gate SET state = %(state)s, code = %(code)s, running = %(running)s, answered_at = %(now)s
           WHERE district_id = %(district_id)s AND job = %(job)s AND gate = %(gate)s AND state <> 'waiting'
             AND EXISTS (SELECT FROM release_rollout r WHERE r.district_id = %(district_id)s AND r.job = %(job)s
                                                         AND r.version = %(version)s)""",
        {"district_id": district_id, "job": told.job, "gate": gate, "version": told.version, "state": told.state,
         "code": told.code or None, "running": told.running or None, "now": now},
    ).rowcount  # fmt: skip
    if not changed:
        return  # not ours: another district's number, or nobody's
    announce(tx, district_id, "gate", [gate])
    running = _running(tx, district_id)
    if told.state is UpdateState.COMMITTED:
        service.close_alarm(tx, district_id, gate, WENT_BACK, now)
    if running is None or running.job != told.job:
        return
    if told.state in (UpdateState.ROLLED_BACK, UpdateState.FAILED):
        service.raise_alarm(tx, district_id, gate, WENT_BACK, now, {"version": told.version, "code": told.code})
        _take_back(tx, district_id, running)
        _end(tx, district_id, running, "failed", now)
    elif told.state is UpdateState.COMMITTED:
        _go_on(tx, district_id, running, now)


def gate_revoked(tx: Transaction, district_id: UUID, now: datetime) -> None:
    """A gate of the district was revoked: its ring waits for it no longer."""
    running = _running(tx, district_id)
    if running:
        _go_on(tx, district_id, running, now)


def _go_on(tx: Transaction, district_id: UUID, running: Rollout, now: datetime) -> None:
    """Tell the next ring where this one is whole; the last one ends the rollout."""
    rows = [one for one in members(tx, district_id, running.job) if not one.revoked]
    if any(one.state != UpdateState.COMMITTED for one in rows if one.ring <= running.ring):
        return
    ring = min((one.ring for one in rows if one.ring > running.ring), default=None)
    if ring is None:
        _end(tx, district_id, running, "done", now)
        return
    tx.execute(
        "UPDATE release_rollout SET ring = %(ring)s WHERE district_id = %(district_id)s AND job = %(job)s",
        {"district_id": district_id, "job": running.job, "ring": ring},
    )
    _tell_ring(tx, district_id, running, ring, now)


def _take_back(tx: Transaction, district_id: UUID, running: Rollout) -> None:
    """Take the order back from gates that have not begun their trial: it is a level, and finds those that are away."""
    order = build_order(Order(running.job + 1, NO_VERSION))
    for member in members(tx, district_id, running.job):
        if member.state in ("told", UpdateState.DOWNLOADING, UpdateState.VERIFIED, UpdateState.INSTALLED):
            send_down(tx, district_id, member.gate, topics.JOB, order, retain=True, expires_at=None)


def _tell_ring(tx: Transaction, district_id: UUID, rollout: Rollout, ring: int, now: datetime) -> None:
    order = build_order(Order(rollout.job, rollout.version))
    told = [one.gate for one in members(tx, district_id, rollout.job) if one.ring == ring and not one.revoked]
    for gate in told:
        send_down(tx, district_id, gate, topics.JOB, order, retain=True, expires_at=None)
    tx.execute(
        """UPDATE release_gate SET state = 'told', told_at = %(now)s
           WHERE district_id = %(district_id)s AND job = %(job)s AND gate = ANY(%(told)s)""",
        {"district_id": district_id, "job": rollout.job, "told": told, "now": now},
    )


def _end(tx: Transaction, district_id: UUID, running: Rollout, outcome: str, now: datetime) -> Rollout:
    tx.execute(
        """UPDATE release_rollout SET ended_at = %(now)s, outcome = %(outcome)s
           WHERE district_id = %(district_id)s AND job = %(job)s""",
        {"district_id": district_id, "job": running.job, "outcome": outcome, "now": now},
    )
    return Rollout(running.job, running.version, running.ring, running.started_at, now, outcome)


def _running(tx: Transaction, district_id: UUID) -> Rollout | None:
    return one_or_none(
        tx, Rollout,
        """SELECT job, version, ring, started_at, ended_at, outcome FROM release_rollout
           WHERE district_id = %(district_id)s AND ended_at IS NULL FOR UPDATE""",
        {"district_id": district_id},
    )  # fmt: skip
