"""One change of configuration for many gates, ring by ring: the next ring only after the one before is well.

A service of this slice. Responsible for: rings, who was told what, moving on at a gate's report, going back. A gate
that is away holds its ring up and breaks nothing: an operator stops the rollout, or waits. One that was revoked is left
out. Locks the rollout before any gate. Not responsible for: the trial and its health check, which a gate makes by
itself (edge/shadow.py). Rules: STORIES 8, ADR 0017.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from cloud.fleet import configurations, service
from cloud.fleet.configurations import Sections
from cloud.fleet.reports import ConfigurationReport
from cloud.fleet.rings import Rings, are_rings
from cloud.kit.db import RuleBroken, Transaction, many, one_or_none
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.ids import new_id

FAILED = "ROLLOUT_FAILED"  # the alarm of the gate that gave the configuration up


class RolloutRefused(Refused):
    """A rollout cannot be started or stopped."""

    answers: ClassVar = {
        "ROLLOUT_RUNS": Answer(409, N_("A rollout is running already."), N_("Let it end, or stop it.")),
        "ROLLOUT_NONE": Answer(404, N_("No rollout is running."), N_("Start one.")),
        "ROLLOUT_RINGS": Answer(400, N_("These are no rings."), N_("Name each gate once, at most 16 rings.")),
    }


@dataclass(frozen=True)
class Member:
    """A gate of a rollout. state: waiting, told, applied, failed or back (its last good one is wanted again).

    revision: what it was told; of one that could not be told, `before`. revoked: now; no ring waits for it.
    """

    gate: int
    ring: int
    state: str
    before: int
    revision: int | None
    told_at: datetime | None
    answered_at: datetime | None
    code: str | None
    revoked: bool


@dataclass(frozen=True)
class Rollout:
    """ring: the one that is being told. outcome: done, stopped, failed; None while it runs."""

    id: UUID
    content: str
    ring: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None


def start(tx: Transaction, district_id: UUID, change: Sections, rings: Rings, now: datetime) -> Rollout:
    """Begin with the first ring. change: settings that count over what each gate runs.

    Raises RolloutRefused, and ConfigurationRefused where it is none or too long for a gate of the first ring.
    """
    known = many(tx, int, "SELECT gate FROM gate WHERE district_id = %s AND revoked_at IS NULL", (district_id,))
    if not are_rings(rings, known):
        raise RolloutRefused("ROLLOUT_RINGS")
    made = Rollout(new_id(now), configurations.written(change), 1, now, None, None)
    try:
        with tx.transaction():
            tx.execute(
                """INSERT INTO rollout (district_id, id, content, started_at)
                   VALUES (%(district_id)s, %(id)s, %(content)s, %(now)s)""",
                {"district_id": district_id, "id": made.id, "content": made.content, "now": now},
            )
    except RuleBroken as broken:
        if broken.constraint != "rollout_one_at_a_time":
            raise
        raise RolloutRefused("ROLLOUT_RUNS") from broken
    for number, ring in enumerate(rings, start=1):
        for gate in ring:
            tx.execute(
                """INSERT INTO rollout_gate (district_id, rollout_id, gate, ring)
                   VALUES (%(district_id)s, %(id)s, %(gate)s, %(ring)s)""",
                {"district_id": district_id, "id": made.id, "gate": gate, "ring": number},
            )
    for member in members(tx, district_id, made.id):
        if member.ring == 1:
            _tell(tx, district_id, made, member, change, now)
    return made


def stop(tx: Transaction, district_id: UUID, now: datetime) -> Rollout:
    """Tell no further ring; what was applied stays. Raises RolloutRefused("ROLLOUT_NONE")."""
    running = _running(tx, district_id)
    if running is None:
        raise RolloutRefused("ROLLOUT_NONE")
    _end(tx, district_id, running, "stopped", now)
    return _rollout(tx, district_id, running.id)


def latest(tx: Transaction, district_id: UUID) -> tuple[Rollout, list[Member]] | None:
    """Return the rollout that runs, else the last one, with its gates by ring."""
    found = one_or_none(
        tx, Rollout,
        """SELECT id, content, ring, started_at, ended_at, outcome FROM rollout
           WHERE district_id = %(district_id)s ORDER BY ended_at IS NULL DESC, started_at DESC LIMIT 1""",
        {"district_id": district_id},
    )  # fmt: skip
    return (found, members(tx, district_id, found.id)) if found else None


def members(tx: Transaction, district_id: UUID, rollout_id: UUID) -> list[Member]:
    """Return the gates of a rollout, ring by ring."""
    return many(
        tx, Member,
        """SELECT r.gate, r.ring, r.state, r.before, r.revision, r.told_at, r.answered_at, r.code,
                  g.revoked_at IS NOT NULL AS revoked
           FROM rollout_gate r JOIN gate g ON g.district_id = r.district_id AND g.gate = r.gate
           WHERE r.district_id = %(district_id)s AND r.rollout_id = %(id)s ORDER BY r.ring, r.gate""",
        {"district_id": district_id, "id": rollout_id},
    )  # fmt: skip


def reported(tx: Transaction, district_id: UUID, gate: int, told: ConfigurationReport, now: datetime) -> None:
    """A gate reported: its ring may be whole now, or the rollout has failed. Anything else is not its matter.

    Call it before anything that locks a gate: the rollout comes first, then its gates, or two workers wait in a ring.
    """
    running = _running(tx, district_id)
    if running is None:
        return
    rows = members(tx, district_id, running.id)
    member = next((one for one in rows if one.gate == gate and one.state == "told"), None)
    if member is None or told.version != member.revision or told.state == "pending":
        return
    if told.state == "rejected":
        _fail(tx, district_id, running, member, told.first_error, now)
        return
    _move(tx, district_id, running, gate, "applied", now)
    service.close_alarm(tx, district_id, gate, FAILED, now)
    _go_on(tx, district_id, running, now)


def gate_revoked(tx: Transaction, district_id: UUID, now: datetime) -> None:
    """A gate of the district was revoked: its ring waits for it no longer."""
    running = _running(tx, district_id)
    if running:
        _go_on(tx, district_id, running, now)


def _go_on(tx: Transaction, district_id: UUID, running: Rollout, now: datetime) -> None:
    """Tell the next ring where this one is whole; the last one ends the rollout."""
    rows = [one for one in members(tx, district_id, running.id) if not one.revoked]
    if any(one.state != "applied" for one in rows if one.ring <= running.ring):
        return
    ring = min((one.ring for one in rows if one.ring > running.ring), default=None)
    if ring is None:
        _end(tx, district_id, running, "done", now)
        return
    tx.execute("UPDATE rollout SET ring = %s WHERE district_id = %s AND id = %s", (ring, district_id, running.id))
    change = configurations.read(running.content)
    for member in (one for one in rows if one.ring == ring):
        try:
            _tell(tx, district_id, running, member, change, now)
        except configurations.ConfigurationRefused as refused:
            if refused.code == "GATE_UNKNOWN":
                raise  # revoked since it was read: the job that heard the report is tried again
            _fail(tx, district_id, running, member, refused.code, now)
            return


def _tell(
    tx: Transaction, district_id: UUID, rollout: Rollout, member: Member, change: Sections, now: datetime
) -> None:
    """Want the change of a gate, over what it runs. Raises ConfigurationRefused, e.g. where that is too long."""
    before, running = configurations.runs_now(tx, district_id, member.gate)
    revision = configurations.desire(tx, district_id, member.gate, configurations.over(running, change), now)
    tx.execute(
        """UPDATE rollout_gate SET state = 'told', before = %(before)s, revision = %(revision)s, told_at = %(now)s
           WHERE district_id = %(district_id)s AND rollout_id = %(id)s AND gate = %(gate)s""",
        {"district_id": district_id, "id": rollout.id, "gate": member.gate, "before": before, "revision": revision,
         "now": now},
    )  # fmt: skip


def _fail(
    tx: Transaction, district_id: UUID, running: Rollout, member: Member, code: str | None, now: datetime
) -> None:
    """End the rollout at a gate that gave the configuration up, or cannot be told it: all that were told go back."""
    rows = members(tx, district_id, running.id)
    _move(tx, district_id, running, member.gate, "failed", now, code)
    _go_back(tx, district_id, running, rows, now)
    told = {"revision": member.revision} if member.revision else {"code": code}
    service.raise_alarm(tx, district_id, member.gate, FAILED, now, told)
    _end(tx, district_id, running, "failed", now)


def _go_back(tx: Transaction, district_id: UUID, running: Rollout, rows: Sequence[Member], now: datetime) -> None:
    """Want the last good one again of every gate that was told; a gate that rolled back by itself runs it already."""
    told = [one for one in rows if one.state in ("told", "applied") and not one.revoked]
    for member in told:
        last_good = configurations.revision_of(tx, district_id, member.gate, member.before)
        configurations.desire(tx, district_id, member.gate, last_good.sections if last_good else {}, now)
    tx.execute(
        """UPDATE rollout_gate SET state = 'back' WHERE district_id = %(district_id)s AND rollout_id = %(id)s
             AND state IN ('told', 'applied') AND gate = ANY(%(told)s)""",
        {"district_id": district_id, "id": running.id, "told": [one.gate for one in told]},
    )


def _move(
    tx: Transaction, district_id: UUID, running: Rollout, gate: int, state: str, now: datetime, code: str | None = None
) -> None:
    tx.execute(
        """UPDATE rollout_gate SET state = %(state)s, answered_at = %(now)s, code = %(code)s,
                  revision = coalesce(revision, before)
           WHERE district_id = %(district_id)s AND rollout_id = %(id)s AND gate = %(gate)s""",
        {"district_id": district_id, "id": running.id, "gate": gate, "state": state, "code": code, "now": now},
    )


def _end(tx: Transaction, district_id: UUID, running: Rollout, outcome: str, now: datetime) -> None:
    tx.execute(
        """UPDATE rollout SET ended_at = %(now)s, outcome = %(outcome)s
           WHERE district_id = %(district_id)s AND id = %(id)s""",
        {"district_id": district_id, "id": running.id, "outcome": outcome, "now": now},
    )


def _running(tx: Transaction, district_id: UUID) -> Rollout | None:
    return one_or_none(
        tx, Rollout,
        """SELECT id, content, ring, started_at, ended_at, outcome FROM rollout
           WHERE district_id = %(district_id)s AND ended_at IS NULL FOR UPDATE""",
        {"district_id": district_id},
    )  # fmt: skip


def _rollout(tx: Transaction, district_id: UUID, rollout_id: UUID) -> Rollout:
    found = one_or_none(
        tx, Rollout,
        """SELECT id, content, ring, started_at, ended_at, outcome FROM rollout
           WHERE district_id = %(district_id)s AND id = %(id)s""",
        {"district_id": district_id, "id": rollout_id},
    )  # fmt: skip
    assert found, "it was there in this transaction"
    return found
