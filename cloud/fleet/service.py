"""The fleet: the registry of gates, what they report, alarms, dead letters.

The only door of this slice. Not responsible for: signing the list of gates (cloud/downlink.py), nor events
(cloud/attendance). Services take an open transaction and never commit it. Rules: P-4 KL1, P-6 up/st and up/hb.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from cloud.fleet import claim_queries, clones, queries
from cloud.fleet.cries import risen
from cloud.fleet.messages import send_down as send_down
from cloud.fleet.model import Alarm, Gate, GateIdentity, GateLine, SiteWithGates, line_of, worst_first
from cloud.fleet.reports import StateReport, TelemetryReport
from cloud.kit.db import RuleBroken, Transaction
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.jobs import happened
from cloud.kit.live import announce
from protocols.cose import is_valid_ed25519
from protocols.limits import PACKET_BYTES_MAX, UINT32_MAX


class GateRefused(Refused):
    """A gate cannot be registered, approved or found."""

    answers: ClassVar = {
        "GATE_UNKNOWN": Answer(404, N_("No gate has this number here."), N_("Look at the list of gates.")),
        "GATE_NUMBER_TAKEN": Answer(409, N_("This gate number is in use."), N_("Choose another number.")),
        "GATE_KEY_TAKEN": Answer(409, N_("Another gate has this key."), N_("Make a new key on the gate.")),
        "BAD_KEY": Answer(400, N_("This is not a usable public key."), N_("Make a new key on the gate.")),
        "BAD_INPUT": Answer(400, N_("The request cannot be read."), N_("Check what was sent and try again.")),
    }


def register_gate(
    tx: Transaction, district_id: UUID, site: int, gate: int, name: str, public_key: bytes, now: datetime
) -> Gate:
    """Enter a gate, approved at once; the same gate again is no change but its name. Raises GateRefused."""
    if not is_valid_ed25519(public_key):
        raise GateRefused("BAD_KEY")
    if not 1 <= gate <= UINT32_MAX or not 1 <= site <= UINT32_MAX or not 1 <= len(name) <= 100:
        raise GateRefused("BAD_INPUT")
    try:
        with tx.transaction():
            queries.insert_gate(tx, district_id, site, gate, name, public_key, now)
    except RuleBroken as broken:
        if broken.constraint == "gate_key_once":
            raise GateRefused("GATE_KEY_TAKEN") from broken
        if broken.constraint in ("gate_number_once", "gate_pkey"):
            raise GateRefused("GATE_NUMBER_TAKEN") from broken
        raise
    kept = gate_of(tx, district_id, gate)
    if kept.public_key != public_key or kept.site != site:
        raise GateRefused("GATE_NUMBER_TAKEN")
    happened(tx, "GateRegistered", district_id, site=site, gate=gate)
    return kept


def gate_of(tx: Transaction, district_id: UUID, gate: int) -> Gate:
    """Return one gate of this district. Raises GateRefused("GATE_UNKNOWN")."""
    found = queries.gate_of(tx, district_id, gate)
    if found is None:
        raise GateRefused("GATE_UNKNOWN")
    return found


def approve_gate(tx: Transaction, district_id: UUID, gate: int, now: datetime) -> None:
    """Believe a gate from now on. A revoked gate stays revoked: it is claimed anew with another number."""
    if not queries.set_approved(tx, district_id, gate, now):
        raise GateRefused("GATE_UNKNOWN")
    happened(tx, "GateRegistered", district_id, site=gate_of(tx, district_id, gate).site, gate=gate)


def revoke_gate(tx: Transaction, district_id: UUID, gate: int, now: datetime) -> None:
    """Believe a gate no longer; what it sent before stays. Sisters learn it by the next KL1."""
    if not queries.set_revoked(tx, district_id, gate, now):
        raise GateRefused("GATE_UNKNOWN")
    claim_queries.revoke_all(tx, district_id, gate, now)
    happened(tx, "GateRevoked", district_id, site=gate_of(tx, district_id, gate).site, gate=gate)


def gates_by_number(tx: Transaction, numbers: Iterable[int]) -> dict[int, GateIdentity]:
    """Return who the numbers are, in any district. For ingest, which knows nothing else yet."""
    wanted = sorted(set(numbers))
    return {found.gate: found for found in queries.by_number(tx, wanted)} if wanted else {}


def sites_with_gates(tx: Transaction) -> list[SiteWithGates]:
    """Return every site of every district that has a gate. For the publisher of documents."""
    return queries.sites(tx)


def places(tx: Transaction, district_id: UUID) -> list[Gate]:
    """Return every gate of the registry, the revoked ones too. For the warden of the broker."""
    return queries.gates(tx, district_id, None)


def gate_entries(tx: Transaction, district_id: UUID, site: int) -> list[tuple[int, bytes, datetime, datetime | None]]:
    """Return what KL1 says of a site: number, public key, valid from, valid until (None: no end), by number."""
    return [
        (gate.gate, gate.public_key, gate.approved_at, gate.revoked_at)
        for gate in queries.gates(tx, district_id, site)
        if gate.approved_at
    ]


def document_versions(tx: Transaction, district_id: UUID) -> list[tuple[int, str, int]]:
    """Return (site, domain, newest version) of every signed document of the district."""
    return [(row.site, row.domain, row.version) for row in queries.newest_documents(tx, district_id)]


def apply_state(tx: Transaction, district_id: UUID, gate: int, report: StateReport, now: datetime) -> bool:
    """Take a birth or a will. Returns False for a will whose session is not the current one: it is ignored."""
    if report.state == "online":
        _follow_sessions(tx, district_id, gate, report.session, now)
    taken = queries.set_state(tx, district_id, gate, report.state, report.session, report.reported, now)
    if taken:
        announce(tx, district_id, "gate", [gate])
    return taken


def _follow_sessions(tx: Transaction, district_id: UUID, gate: int, session: str, now: datetime) -> None:
    """Sessions that take turns are two gates of one key: both go on opening their doors, and it is told (P24)."""
    held = queries.sessions(tx, district_id, gate)
    if held is None or held.session == session:
        return
    past = clones.followed([(str(one), float(at)) for one, at in held.past_sessions], held.session, session,
                           now.timestamp())  # fmt: skip
    queries.set_past_sessions(tx, district_id, gate, past)
    if clones.is_cloned(past, session, now.timestamp()):
        raise_alarm(tx, district_id, gate, clones.CLONED, now)


def apply_telemetry(tx: Transaction, district_id: UUID, gate: int, report: TelemetryReport, now: datetime) -> None:
    """Keep the newest heartbeat of a gate (QoS 0: one may be lost), and raise what it cries more often than before."""
    before = queries.set_telemetry(tx, district_id, gate, report.values, now)
    for code, counts in risen(before.get("alarms") or {}, report.values.get("alarms") or {}).items():
        queries.raise_alarm(tx, district_id, gate, code, {"counts": counts}, now)
    announce(tx, district_id, "gate", [gate])


def note_seen(tx: Transaction, district_id: UUID, gates: Sequence[int], now: datetime) -> None:
    """Note that these gates were heard just now (a genuine segment came)."""
    queries.set_seen(tx, district_id, gates, now)


def list_gates(tx: Transaction, district_id: UUID, now: datetime) -> tuple[GateLine, ...]:
    """Return the console: every gate of the district, worst first. Names no child and no adult."""
    alarms: dict[int, list[Alarm]] = {}
    for alarm in queries.open_alarms(tx, district_id):
        alarms.setdefault(alarm.gate, []).append(alarm)
    for certificate in claim_queries.ends(tx, district_id):
        if code := clones.ending(certificate.not_after, now):
            alarms.setdefault(certificate.gate, []).append(Alarm(certificate.gate, code, 1, now, now))
    newest: dict[int, dict[str, int]] = {}
    for document in queries.newest_documents(tx, district_id):
        newest.setdefault(document.site, {})[document.domain] = document.version
    return worst_first(
        line_of(gate, alarms.get(gate.gate, ()), newest.get(gate.site, {}), now)
        for gate in queries.gates(tx, district_id, None)
    )


def open_alarms(tx: Transaction, district_id: UUID) -> list[Alarm]:
    """Return the alarms of the district that nobody closed yet."""
    return queries.open_alarms(tx, district_id)


def raise_alarm(
    tx: Transaction, district_id: UUID, gate: int, code: str, now: datetime, detail: Mapping[str, Any] | None = None
) -> None:
    """Open an alarm of a gate, or count the open one up. detail: numbers and codes only, never a child."""
    queries.raise_alarm(tx, district_id, gate, code, detail or {}, now)
    announce(tx, district_id, "gate", [gate])


def close_alarm(tx: Transaction, district_id: UUID, gate: int, code: str, now: datetime) -> None:
    """Close an alarm, if one is open."""
    queries.close_alarm(tx, district_id, gate, code, now)


def keep_dead_letter(tx: Transaction, gate: int | None, code: str, body: bytes, now: datetime) -> None:
    """Keep what could not be taken, once for each content. Only the first 128 KiB are kept, the hash is of all."""
    digest = hashlib.sha256(body).digest()
    queries.keep_dead_letter(tx, gate, code, digest, body[:PACKET_BYTES_MAX], now)
