"""How long each table's rows are kept, and their deletion: one table of rules, read by people and by the purge.

Responsible for: RULES (a house test wants a row for every table with personal data) and `purge` for what may go by the
clock alone. Facts of children are append-only: they go by whole chunks with the school year, by the retention role,
which is not this process (I18). Not responsible for: exports before a deletion.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from cloud.audit import service as audit
from cloud.kit.db import Transaction, many


@dataclass(frozen=True)
class Rule:
    """kept: in words, for the privacy page. sql: what the purge runs for a global table; None: see purge()."""

    table: str
    kept: str
    lives: timedelta | None = None
    sql: LiteralString | None = None


RULES = (
    Rule("child", "the school year in which the last enrolment ended, then what the district's law adds"),
    Rule("enrolment", "as child"),
    Rule("guardianship", "as child; an ended one as long as facts name the person"),
    Rule("escort_right", "as child: who could collect on a day must stay answerable"),
    Rule("court_order", "as escort_right: why somebody was refused must stay answerable"),
    Rule("custody_calendar", "as child"),
    Rule("custody_exception", "as custody_calendar"),
    Rule("correction", "as child; the proposal and its answer are part of the file"),
    Rule("child_address", "as child; the one address known, no earlier ones"),
    Rule("opening_hours", "while the school exists; holds no person"),
    Rule("calendar_date", "while the school exists; holds no person"),
    Rule("staff_hours", "as staff: they go with its row"),
    Rule("person", "with the last guardianship, right, role or fact that names them"),
    Rule("roster_row", "as the row it was written into; digests of what an import said, no value"),
    Rule("staff", "13 months after the end of the employment"),
    Rule("role_grant", "13 months after its end: who could read what must stay answerable"),
    Rule("class_teacher", "as enrolment"),
    Rule("login", "with the last person that uses it"),
    Rule("passkey", "until its holder removes it, else with the login; the public half only"),
    Rule("password", "until its holder removes it, else with the login; argon2id only"),
    Rule("activation_letter", "400 days after its end: who was let in by whom must stay answerable; a hash only"),
    Rule("attendance_event", "the school year, then what the district's law adds; dropped by chunks"),
    Rule("attendance_day", "as attendance_event, from which it is derived"),
    Rule("attendance_incident", "until closed, then as attendance_event"),
    Rule("ingest_receipt", "as attendance_event; holds no person"),
    Rule("ledger_fork", "as attendance_event; holds no person"),
    Rule("ledger_hole", "as attendance_event; holds no person"),
    Rule("site_ref", "with the child's or adult's file; the number itself is never given again"),
    Rule("pass_key", "13 months after it was revoked"),
    Rule("credential", "13 months after it expired: the record of what was issued"),
    Rule("card", "as credential"),
    Rule("pairing_code", "a day after it expired; only its HMAC is stored"),
    Rule("holder_block", "until every credential issued before it has expired"),
    Rule("gate", "while the gate exists; holds no person"),
    Rule("gate_alarm", "400 days after it was closed; names no person"),
    Rule("gate_message", "a day after its end, a level until the next; holds no person"),
    Rule("gate_configuration", "while the gate exists: what a gate was told to be must stay answerable"),
    Rule("gate_command", "400 days; who gave it is in the audit log too"),
    Rule("rollout", "as gate_configuration; holds no person"),
    Rule("rollout_gate", "as rollout"),
    Rule("release_rollout", "while the district exists: which program ran where must stay answerable"),
    Rule("release_gate", "as release_rollout; holds no person"),
    Rule("site_mode", "while the site exists: who opened the doors must stay answerable"),
    Rule("gate_claim", "400 days: who let which gate in must stay answerable", timedelta(days=400),
         "SELECT purge_gate_claims(%(before)s)"),
    Rule("revocation_list", "until the next one; numbers of certificates only"),
    Rule("gate_certificate", "while the gate exists; holds no person"),
    Rule("gate_day", "as attendance_event; holds no person"),
    Rule("dead_letter", "90 days; bytes that nobody could read may name a person by number"),
    Rule("job", "until done; a failed one until somebody looked at it; ids only"),
    Rule("audit_log", "three years: who read or changed what must stay answerable; the chain's start moves on"),
    Rule("audit_start", "while the district exists; holds no person"),
    Rule("site_document", "all versions: they prove what a gate was told"),
    Rule("pairing_guess", "one day", timedelta(days=1), "DELETE FROM pairing_guess WHERE since < %(before)s"),
    Rule("session", "90 days after its end", timedelta(days=90),
         "DELETE FROM session WHERE least(expires_at, ended_at) < %(before)s"),
    Rule("sign_in_try", "a day; hashes only", timedelta(days=1), "DELETE FROM sign_in_try WHERE since < %(before)s"),
    Rule("passkey_challenge", "an hour after it expired", timedelta(hours=1),
         "DELETE FROM passkey_challenge WHERE expires_at < %(before)s"),
    Rule("address_proof", "a day after it expired", timedelta(days=1),
         "DELETE FROM address_proof WHERE expires_at < %(before)s"),
    Rule("sign_in_link", "a day after it expired", timedelta(days=1),
         "DELETE FROM sign_in_link WHERE expires_at < %(before)s"),
)  # fmt: skip


@dataclass(frozen=True)
class _Purged:
    purged: str
    gone: int


def purge(tx: Transaction, now: datetime) -> dict[str, int]:
    """Delete what the clock alone decides; return how many rows of each table went.

    Tenants' tables go through the database's own purge_by_clock (0007_purge.sql): the application may not delete there.
    """
    gone = {row.purged: row.gone for row in many(tx, _Purged, "SELECT purged, gone FROM purge_by_clock(%s)", (now,))}
    gone |= {row.purged: row.gone for row in many(tx, _Purged, "SELECT purged, gone FROM purge_orders(%s)", (now,))}
    gone["audit_log"] = audit.purge(tx, now)
    for rule in RULES:
        if rule.sql and rule.lives:
            gone[rule.table] = tx.execute(rule.sql, {"before": now - rule.lives}).rowcount
    return gone
