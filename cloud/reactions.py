"""What follows from what: one table, fact -> consequences. The only place where siblings of the cloud meet.

A slice enters a fact in its transaction (`kit.jobs.happened`); a worker runs its consequences, each idempotent, in one
transaction with the deletion of the job. What a page must show within a second does not wait here: record_batch derives
the day and sends NOTIFY in the fact's own transaction. Not responsible for: running (cloud/worker.py).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from uuid import UUID

from cloud.attendance import service as attendance
from cloud.attendance.model import NewFact
from cloud.fleet import authority, certificates, configurations, messages, orders, rollouts, saying, updates
from cloud.fleet import service as fleet
from cloud.fleet.reports import ReportRefused, read_answer, read_configuration
from cloud.kit.db import Transaction
from cloud.kit.jobs import Job, happened
from cloud.kit.live import announce
from cloud.passes import modes
from cloud.passes import service as passes
from cloud.passes.keys import KeyRing
from cloud.retention import purge
from protocols import topics
from protocols.canonical import encode
from protocols.documents import (
    Command,
    GateConfiguration,
    GateKey,
    GateList,
    build_command,
    build_gate_configuration,
    build_gate_list,
)
from protocols.events import Kind
from protocols.limits import UINT32_MAX
from protocols.reasons import HEAD_ALERTS
from protocols.releases import ReleaseRefused, read_told
from protocols.trust import Role


@dataclass(frozen=True)
class World:
    """What consequences may use beside the transaction: the keys of this process. ca_dir: the gates' authorities."""

    ring: KeyRing
    ca_dir: Path | None = None


Consequence = Callable[[Transaction, World, Job, datetime], None]


def sign_policy(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """Compile and sign the policy lists of the sites concerned; nothing is signed where nothing changed."""
    for site in _sites(tx, job):
        try:
            passes.compile_policy(tx, world.ring, _district(job), site, now)
        except passes.PolicyTooLarge:
            for gate, *_ in fleet.gate_entries(tx, _district(job), site):
                fleet.raise_alarm(tx, _district(job), gate, "POLICY_TOO_LARGE", now)


def sign_gate_list(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """Sign which gates a site has (KL1), where that changed."""
    for site in _sites(tx, job):
        rows = [
            GateKey(gate, public, int(since.timestamp()), int(until.timestamp()) if until else UINT32_MAX)
            for gate, public, since, until in fleet.gate_entries(tx, _district(job), site)
        ]
        content = hashlib.sha256(
            encode([[row.gate, row.public, row.not_before, row.not_after] for row in rows])
        ).digest()

        def sign(version: int, site: int = site, rows: list[GateKey] = rows) -> bytes:
            gates = GateList(site, version, int(now.timestamp()), {row.gate: row for row in rows})
            return build_gate_list(world.ring.signing_key(Role.REGISTRY, now.timestamp()), gates)

        passes.keep_document(tx, _district(job), site, "KL1", content, now, sign)


def sign_mode(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """Sign the mode of the sites concerned (KM1): a new one at once, normal again past its end."""
    for site in _sites(tx, job):
        modes.sign_mode(tx, world.ring, _district(job), site, now)


def alert_head(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """A refusal of which the head hears silently (P-3): entered as an incident of the school."""
    del world
    told = job.what
    at = datetime.fromisoformat(told["at"])
    attendance.enter_alert(tx, _district(job), told["gate"], told["epoch"], told["seq"], at, now)


def tell_office(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """An order was imposed: open pages of the school read again what waits for a second person."""
    del world, now
    announce(tx, _district(job), "people", [])


def watch_cards(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """Look whether cards are confirmed faster than children come (P27)."""
    del world
    told = job.what
    at = datetime.fromisoformat(told["at"])
    attendance.watch_cards(tx, _district(job), told["site"], told["gate"], told["epoch"], told["seq"], at, now)


def rebuild_day(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """Derive a day anew after a correction."""
    del world, now
    attendance.rebuild_day(tx, _district(job), date.fromisoformat(job.what["day"]))


def free_place(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """A phone's holder signed out on it: its place is free, and its pass ends at the gates (P34)."""
    del world
    passes.free_place(tx, _district(job), UUID(job.what["phone"]), now)


def purge_expired(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """Delete what its retention rule no longer allows to keep."""
    del world, job
    purge(tx, now)


def sign_certificates(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """Sign what gates of this district asked for; where the authority's key is not here it waits for `gate sign`."""
    if world.ca_dir is not None:
        certificates.sign_waiting(tx, _district(job), authority.signing(world.ca_dir, authority.GATES), now)


def sign_revocations(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """Sign the lists of revoked certificates anew, so that the broker refuses the handshake."""
    del job
    if world.ca_dir is not None:
        certificates.keep_lists(tx, authority.signing(world.ca_dir, authority.GATES), now)


def renew_revocations(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """Sign the lists of revoked certificates that are a month old, though nobody was revoked: they end."""
    del job
    if world.ca_dir is not None:
        certificates.keep_lists_young(tx, authority.signing(world.ca_dir, authority.GATES), now)


def go_on_without(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """A gate was revoked: no rollout waits for it any longer."""
    del world
    rollouts.gate_revoked(tx, _district(job), now)
    updates.gate_revoked(tx, _district(job), now)


Heeded = Callable[[Transaction, World, UUID, saying.Said, datetime], None]  # raises ReportRefused for another shape


def give_certificate(tx: Transaction, world: World, district_id: UUID, said: saying.Said, now: datetime) -> None:
    """A gate asks for its next certificate, signed for with the old key: what is said to it goes down at once."""
    if world.ca_dir is None:
        return

    def sign(statement: bytes) -> bytes:
        return world.ring.signing_key(Role.REGISTRY, now.timestamp()).sign(statement).signature

    try:
        answer = certificates.renew(
            tx, district_id, said.gate, said.body, authority.signing(world.ca_dir, authority.GATES),
            authority.bundle(world.ca_dir, authority.SERVICES), sign, now,
        )  # fmt: skip
    except certificates.CertificateRefused as refused:
        raise ReportRefused(refused.code) from refused
    if answer:
        messages.send_down(tx, district_id, said.gate, topics.RESPONSE, answer, retain=False,
                           expires_at=now + ANSWER_LIVES)  # fmt: skip


def sign_configuration(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """Sign what a gate shall be (KF1) and keep it as its level; only the newest revision counts."""
    gate = int(job.what["gate"])
    wanted = configurations.newest(tx, _district(job), gate)
    if wanted is None:
        return
    told = GateConfiguration(gate, wanted.revision, int(now.timestamp()), wanted.content.encode())
    body = build_gate_configuration(world.ring.signing_key(Role.CONTROL, now.timestamp()), told)
    messages.send_down(tx, _district(job), gate, topics.CONFIGURATION, body, retain=True, expires_at=None)


def heed_configuration(tx: Transaction, world: World, district_id: UUID, said: saying.Said, now: datetime) -> None:
    """A gate says what it is: kept beside what is wanted, and a rollout may go on or back."""
    del world
    told = read_configuration(said.body)
    rollouts.reported(tx, district_id, said.gate, told, now)  # locks the rollout, and only then gates
    configurations.report(tx, district_id, said.gate, told, now)


def sign_command(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """Sign a command (KX1) and send it once; one that nobody could sign in time is not sent."""
    given = orders.order_of(tx, _district(job), bytes.fromhex(job.what["nonce"]))
    if given is None or given.expires_at <= now + timedelta(seconds=1):
        return
    iat, exp = int(now.timestamp()), int(given.expires_at.timestamp())
    told = Command(given.gate, given.operation, dict(given.arguments), 0, given.nonce, iat, exp)
    body = build_command(world.ring.signing_key(Role.COMMAND, now.timestamp()), told)
    messages.send_down(tx, _district(job), given.gate, topics.COMMAND, body, retain=False, expires_at=given.expires_at)


def heed_answer(tx: Transaction, world: World, district_id: UUID, said: saying.Said, now: datetime) -> None:
    """A gate answered a command."""
    del world
    orders.answered(tx, district_id, said.gate, read_answer(said.body), now)


def heed_update(tx: Transaction, world: World, district_id: UUID, said: saying.Said, now: datetime) -> None:
    """A gate says where it is with a release: the next ring may begin, or the rollout has failed."""
    del world
    try:
        told = read_told(said.body)
    except ReleaseRefused as refused:
        raise ReportRefused(refused.code) from refused
    updates.reported(tx, district_id, said.gate, told, now)


ANSWER_LIVES = timedelta(seconds=60)  # P-6 dn/rsp; a gate that was away asks again
# What a gate may ask on up/req -> who answers.
ASKED: Mapping[str, Heeded] = {certificates.ASK: give_certificate}


def answer_gate(tx: Transaction, world: World, district_id: UUID, said: saying.Said, now: datetime) -> None:
    """A gate asks for something: by the word `ask` of its request."""
    try:
        told = json.loads(said.body)
        asked = ASKED[told["ask"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ReportRefused("REPORT_FORMAT") from error
    asked(tx, world, district_id, said, now)


# What a gate says, by leaf -> whose it is. A leaf without a line is nobody's, and forgotten.
GATE_SAID: Mapping[str, Heeded] = {
    topics.REQUEST: answer_gate,
    topics.REPORTED: heed_configuration,
    topics.ANSWER: heed_answer,
    topics.JOB_STATE: heed_update,
}


def heed_gate(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """A gate reported, answered or asked for something: whose leaf it is acts; another shape is a dead letter."""
    said = saying.read_said(job.what)
    heeded = GATE_SAID.get(said.leaf)
    if heeded is None:
        return
    try:
        with tx.transaction():
            heeded(tx, world, _district(job), said, now)
    except ReportRefused as refused:
        fleet.keep_dead_letter(tx, said.gate, refused.code, said.body, now)


REACTIONS: Mapping[str, tuple[Consequence, ...]] = {
    "CardConfirmed": (watch_cards,),
    "CommandGiven": (sign_command,),
    "ConfigurationDesired": (sign_configuration,),
    "CertificateAsked": (sign_certificates,),
    "ChildRefused": (alert_head,),
    "FactCorrected": (rebuild_day,),
    "RightsChanged": (sign_policy,),
    "OrderImposed": (tell_office,),
    "PhoneLeft": (free_place,),
    "PhoneRevoked": (sign_policy,),
    "RoleEnded": (sign_policy,),
    "CredentialRevoked": (sign_policy,),
    "HolderBlocked": (sign_policy,),
    "IssuerRevoked": (sign_policy,),
    "GateRegistered": (sign_gate_list, sign_policy),
    "GateRevoked": (sign_gate_list, sign_revocations, go_on_without),
    "GateSaid": (heed_gate,),
    "ModeSet": (sign_mode,),
    "DocumentsDue": (sign_policy, sign_mode, sign_gate_list),
    "RetentionDue": (purge_expired,),
    "RevocationsDue": (renew_revocations,),
}

# By the clock: policy lists grow old in six hours and custody intervals move with the days; a minute also catches
# a change whose slice forgot to say so.
CLOCK: Mapping[str, timedelta] = {
    "DocumentsDue": timedelta(minutes=1),
    "RetentionDue": timedelta(hours=24),
    "RevocationsDue": timedelta(hours=24),
}


def react(tx: Transaction, world: World, job: Job, now: datetime) -> None:
    """Run every consequence of a fact, in the order of the table. Raises KeyError for a fact nobody declared."""
    for consequence in REACTIONS[job.fact]:
        consequence(tx, world, job, now)


def facts_recorded(tx: Transaction, district_id: UUID, facts: Iterable[NewFact]) -> None:
    """Enter what follows from events of the gates; most have no consequence beyond the derived day."""
    for fact in facts:
        what = {"gate": fact.gate, "epoch": fact.epoch, "seq": fact.seq}
        if fact.event.kind == Kind.CORRECTION:
            happened(
                tx, "FactCorrected", district_id, **what, day=attendance.school_day(tx, district_id, fact).isoformat()
            )
        if fact.event.kind == Kind.CARD_CONFIRMED:
            happened(tx, "CardConfirmed", district_id, **what, site=fact.site, at=fact.occurred_at.isoformat())
        if any(child.code in HEAD_ALERTS for child in fact.reading.children) or fact.reading.code in HEAD_ALERTS:
            happened(tx, "ChildRefused", district_id, **what, at=fact.occurred_at.isoformat())


def _district(job: Job) -> UUID:
    assert job.district_id
    return job.district_id


def _sites(tx: Transaction, job: Job) -> list[int]:
    """The site that the fact names, else every site of its district that has gates."""
    if "site" in job.what:
        return [int(job.what["site"])]
    return sorted({site.site for site in fleet.sites_with_gates(tx) if site.district_id == job.district_id})
