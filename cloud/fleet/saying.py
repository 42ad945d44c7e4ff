"""What a gate says that somebody must act on: a report, an answer, a request, the state of an update.

A service of this slice. Responsible for: entering it as the job `GateSaid` in ingest's transaction, bounded. It is data
and nothing else: who acts on it checks its shape, and a signature of its own where it claims something. Not responsible
for: who acts (the table GATE_SAID of cloud/reactions.py). Rules: P-6 up/rep, up/rsp, up/req, up/job.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from cloud.fleet.reports import ReportRefused
from cloud.kit.db import Transaction, one
from cloud.kit.jobs import happened
from protocols import topics

ONCE = (topics.ANSWER, topics.REQUEST, topics.JOB_STATE)  # up/rep is a level: told again to each who subscribes
LEAVES = (topics.REPORTED, *ONCE)
SAID_BYTES_MAX = 16_384  # a certificate request or a whole report is under 4 KB
WAITING_MAX = 32  # jobs of one gate that wait for the worker; beyond it what it says is refused, and told


@dataclass(frozen=True)
class Said:
    """What a gate said on a leaf. body: bytes as they came."""

    gate: int
    leaf: str
    body: bytes


def gate_said(tx: Transaction, district_id: UUID, gate: int, leaf: str, body: bytes, now: datetime) -> None:
    """Enter it for the worker. Raises ReportRefused: REPORT_SIZE, REPORT_FLOOD."""
    del now
    if len(body) > SAID_BYTES_MAX:
        raise ReportRefused("REPORT_SIZE")
    waiting = one(
        tx, int,
        """SELECT count(*) FROM job WHERE fact = 'GateSaid' AND failed_at IS NULL
             AND district_id = %(district_id)s AND what ->> 'gate' = %(gate)s""",
        {"district_id": district_id, "gate": str(gate)},
    )  # fmt: skip
    if waiting >= WAITING_MAX:
        raise ReportRefused("REPORT_FLOOD")
    happened(tx, "GateSaid", district_id, gate=gate, leaf=leaf, body=base64.b64encode(body).decode("ascii"))


def read_said(what: Mapping[str, Any]) -> Said:
    """Return what a job of the fact GateSaid holds."""
    try:
        return Said(int(what["gate"]), str(what["leaf"]), base64.b64decode(what["body"], validate=True))
    except (KeyError, ValueError, binascii.Error) as error:
        raise ValueError("no job of GateSaid") from error
