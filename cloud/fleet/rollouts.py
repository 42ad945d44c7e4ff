"""One change of configuration for many gates, ring by ring: the next ring only after the one before is well.

A service of this slice. Responsible for: rings, who was told what, moving on at a gate's report, going back. A gate
that is away holds its ring up and breaks nothing: an operator stops the rollout, or waits. Not responsible for: the
trial and its health check, which a gate makes by itself (edge/shadow.py). Rules: STORIES 8, ADR 0017.
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
    """A gate of a rollout. state: waiting, told, applied, failed or back (its last good one is wanted again)."""

    gate: int
    ring: int
    state: str
    before: int
    revision: int | None
    told_at: datetime | None
    answered_at: datetime | None
    code: str | None


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
    """Begin with the first ring. change: settings that count over what each gate runs. Raises RolloutRefused."""
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
    _tell_ring(tx, district_id, made, 1, change, now)
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
        """SELECT gate, ring, state, before, revision, told_at, answered_at, code FROM rollout_gate
           WHERE district_id = %(district_id)s AND rollout_id = %(id)s ORDER BY ring, gate""",
        {"district_id": district_id, "id": rollout_id},
    )  # fmt: skip


def reported(tx: Transaction, district_id: UUID, gate: int, told: ConfigurationReport, now: datetime) -> None:
    """A gate reported: its ring may be whole now, or the rollout has failed. Anything else is not its matter."""
    running = _running(tx, district_id)
    if running is None:
        return
    rows = members(tx, district_id, running.id)
    member = next((one for one in rows if one.gate == gate and one.state == "told"), None)
    if member is None or told.version != member.revision or told.state == "pending":
        return
    if told.state == "rejected":
        _move(tx, district_id, running, gate, "failed", now, told.first_error)
        _go_back(tx, district_id, running, rows, now)
        service.raise_alarm(tx, district_id, gate, FAILED, now, {"revision": told.version})
        _end(tx, district_id, running, "failed", now)
        return
    _move(tx, district_id, running, gate, "applied", now)
    service.close_alarm(tx, district_id, gate, FAILED, now)
    _go_on(tx, district_id, running, now)


def _go_on(tx: Transaction, district_id: UUID, running: Rollout, now: datetime) -> None:
    """Tell the next ring where this one is whole; the last one ends the rollout."""
    rows = members(tx, district_id, running.id)
    if any(one.state != "applied" for one in rows if one.ring <= running.ring):
        return
    if running.ring >= max(one.ring for one in rows):
        _end(tx, district_id, running, "done", now)
        return
    tx.execute("UPDATE rollout SET ring = ring + 1 WHERE district_id = %s AND id = %s", (district_id, running.id))
    _tell_ring(tx, district_id, running, running.ring + 1, configurations.read(running.content), now)


def _tell_ring(
    tx: Transaction, district_id: UUID, rollout: Rollout, ring: int, change: Sections, now: datetime
) -> None:
    for member in members(tx, district_id, rollout.id):
        if member.ring != ring:
            continue
        before, running = configurations.runs_now(tx, district_id, member.gate)
        revision = configurations.desire(tx, district_id, member.gate, configurations.over(running, change), now)
        tx.execute(
            """UPDATE rollout_gate SET state = 'told', before = %(before)s, revision = %(revision)s, told_at = %(now)s
               WHERE district_id = %(district_id)s AND rollout_id = %(id)s AND gate = %(gate)s""",
            {"district_id": district_id, "id": rollout.id, "gate": member.gate, "before": before,
             "revision": revision, "now": now},
        )  # fmt: skip


def _go_back(tx: Transaction, district_id: UUID, running: Rollout, rows: Sequence[Member], now: datetime) -> None:
    """Want the last good one again of every gate that was told; a gate that rolled back by itself runs it already."""
    for member in rows:
        if member.state in ("told", "applied"):
            last_good = configurations.revision_of(tx, district_id, member.gate, member.before)
            configurations.desire(tx, district_id, member.gate, last_good.sections if last_good else {}, now)
    tx.execute(
        """UPDATE rollout_gate SET state = 'back' WHERE district_id = %(district_id)s AND rollout_id = %(id)s
             AND state IN ('told', 'applied')""",
        {"district_id": district_id, "id": running.id},
    )


def _move(
    tx: Transaction, district_id: UUID, running: Rollout, gate: int, state: str, now: datetime, code: str | None = None
) -> None:
    tx.execute(
        """UPDATE rollout_gate SET state = %(state)s, answered_at = %(now)s, code = %(code)s
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
