"""The ledger as lines for others: one JSON object an event, or a scenario that `replay` runs.

Responsible for: what an outsider compares with the cloud's own export; how an incident is reproduced.
Not responsible for: reading the file (journal_file.py), printing (cli.py).
Obeys: INTERFACES `journal export` (gate, epoch, seq, kind, code, at, receipted) and "Scenario".

A scenario cannot show the passes again: a gate keeps no pass. It has the boots, clocks, modes, the policy list that is
held, and what was accepted as a sister's note, so that presence and replays stand as they stood.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from edge.config import GateConfig
from edge.journal_file import Row, rows
from protocols.canonical import CanonicalError, decode
from protocols.documents import Mode
from protocols.envelope import DocumentRefused
from protocols.events import Clock, Detail, Event, Kind
from protocols.limits import THUMB_BYTES
from protocols.reasons import Reason
from protocols.trust import load_trust_list

_CLOCKS = {Clock.UNTRUSTED: "untrusted", Clock.HOLDOVER: "holdover", Clock.NTP: "ntp", Clock.NTS: "ntp"}
_SCENARIO_MODES = (Mode.NORMAL, Mode.LOCKDOWN, Mode.EVACUATE, Mode.FREE)


def event_of(raw: bytes) -> Event | None:
    """Return the event of its bytes, None where they are none (a changed byte)."""
    try:
        return Event.from_value(decode(raw))
    except (CanonicalError, ValueError):
        return None


def event_lines(gate: int, ledger: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Yield one object an event. at: UTC seconds; kind: its number; code: the answer, else the kind's name."""
    for row in ledger:
        line: dict[str, Any] = {"gate": gate, "epoch": row.epoch, "seq": row.seq}
        event = event_of(row.bytes)
        if event is None:
            line |= {"kind": None, "code": "UNREADABLE", "at": None}
        else:
            line |= {
                "kind": int(event.kind),
                "code": event.detail.get(Detail.CODE, event.kind.name),
                "at": event.at_ms / 1000,
                "boot": event.boot,
                "clock": int(event.clock),
                "flags": int(event.flags),
                "detail": {str(key): _plain(value) for key, value in event.detail.items()},
            }
        yield line | {
            "bytes": row.bytes.hex(),
            "head": row.head.hex(),
            "recorded_at": row.recorded_at,
            "receipted": row.receipted,
        }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return value


def scenario_lines(config: GateConfig, db: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """Yield a scenario: header, then a step for each event that a scenario can show."""
    (epoch,) = db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()  # what was carried over is older
    events = [(row, event) for row in rows(db) if row.epoch == epoch and (event := event_of(row.bytes)) is not None]
    first = events[0][1].at_ms / 1000 if events else 0
    place = config.gate
    yield {
        "gate": place.gate,
        "site": place.site,
        "tz": place.timezone,
        "hours": [list(span) for span in place.hours],
        "boot": first,
        "floor": 0,
        "clock": _CLOCKS[events[0][1].clock] if events else "holdover",
        "departures": place.departures,
        "gates": place.gates_at_site,
        "trust": _trust_of(config, _document(db, b"KK1")),
    }
    policy = _document(db, b"KR1")
    if policy is not None:
        yield {"at": first, "policy": policy.hex()}
    for row, event in events:
        step = _step_of(event)
        if step is not None:
            yield {"at": event.at_ms / 1000} | step | {"event": [row.epoch, row.seq]}


def _step_of(event: Event) -> dict[str, Any] | None:
    detail = event.detail
    if event.kind is Kind.BOOT:
        return {"restart": {"keep_state": not detail.get(Detail.STATE_LOST, False)}}
    if event.kind is Kind.CLOCK_SET:
        return {"clock": detail.get(Detail.CLOCK, "holdover")}
    if event.kind is Kind.MODE and detail.get(Detail.MODE) in [int(m) for m in _SCENARIO_MODES]:
        return {"mode": Mode(detail[Detail.MODE]).name.lower()}
    if detail.get(Detail.CODE) in (Reason.OPEN, Reason.CONFIRMED) and Detail.CHILDREN in detail:
        left = {child for child, _ in detail.get(Detail.NOT_TAKEN, [])}
        direction = detail.get(Detail.DIRECTION, 1)
        return {
            "seen": {
                "thumb": detail.get(Detail.THUMB, bytes(THUMB_BYTES)).hex(),
                "iat": detail.get(Detail.PRESENTATION_IAT, 0),
                "gate": _A_SISTER,
                "acts": [[child, direction] for child, _ in detail[Detail.CHILDREN] if child not in left],
            }
        }
    return None


_A_SISTER = 2**32 - 1  # a gate's own notes are ignored: what it accepted is told as by another


def _document(db: sqlite3.Connection, kind: bytes) -> bytes | None:
    row = db.execute("SELECT value FROM state WHERE tab = 'document' AND key = ?", (kind,)).fetchone()
    return row[0] if row else None


def _trust_of(config: GateConfig, data: bytes | None) -> list[dict[str, Any]]:
    data = data or config.trust_list
    try:
        trust = load_trust_list(data or b"", config.root_public, 0, clock_trusted=False)
    except DocumentRefused:
        return []
    return [
        {
            "kid": key.kid.hex(),
            "pub": key.public.hex(),
            "role": str(key.role),
            "sites": sorted(key.sites),
            "not_before": key.not_before,
            "not_after": key.not_after,
        }
        for key in trust.keys.values()
    ]
