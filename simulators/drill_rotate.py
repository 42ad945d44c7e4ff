"""The drill `rotate`: the gates' authority is rolled over: every gate has a new certificate before the old one goes.

Responsible for: a second authority beside the first, the operator's command `renew`, what the gates show the broker
before, between and after; an old certificate that is refused once its authority is dropped. Not for: the stack
(secured.py), how a gate renews by itself at 60 % of a life (edge/renewal.py: the same way, asked by the calendar).
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from cryptography import x509

from simulators.drill import Drill, Json
from simulators.drill_revoke import is_let_in
from simulators.processes import WorldFault

RENEWED_SECONDS = 40.0


def play(drill: Drill) -> Json:
    """Roll the gates' authority over. Raises WorldFault where a step goes otherwise."""
    secured = drill.stack.secured
    if secured is None:
        raise WorldFault("This stack has no certificates.", "Make one with `stack up --mtls`.")
    ca = ("--ca-dir", str(secured.ca))
    lines = {drill.stack.gate_number(part): _line_of(part.config) for part in drill.stack.gates}
    kept = {gate: line.with_name("kept.pem") for gate, line in lines.items()}
    for gate, line in lines.items():
        shutil.copy2(line, kept[gate])
    before = {gate: _issuer(line) for gate, line in lines.items()}
    number = int(drill.stack.cloud("gate", "ca", "next", "gates", *ca))
    drill.stack.cloud("gate", "sign", *ca)  # the new authority's list of revocations: the broker asks for it
    drill.until(lambda: f"gates {number}" in _names(secured.broker / "gates-ca.pem"), "the broker does not know both")
    drill.tell(f"authority {number} stands beside the old one; the broker trusts both")
    probe = min(lines)
    drill.must(is_let_in(secured, kept[probe]), "an old certificate was refused during the roll-over")
    began = time.monotonic()
    for gate in lines:
        drill.stack.cloud("gate", "command", str(gate), "renew")
    drill.tell(f"{len(lines)} gates are told to renew")
    drill.until(
        lambda: all(_issuer(line) != before[gate] for gate, line in lines.items()), "a gate has no new certificate",
        RENEWED_SECONDS,
    )  # fmt: skip
    drill.until(lambda: all(drill.gate(gate).get("broker") == "up" for gate in lines), "a gate did not come back")
    trials = [line.with_name("gate.pem.before") for line in lines.values()]
    drill.until(lambda: not any(trial.exists() for trial in trials), "a trial went on")
    renewed_s = round(time.monotonic() - began, 1)
    drill.tell("each made a new key, had it signed with the old one, and came back with the new certificate")
    drill.stack.cloud("gate", "ca", "drop", "gates", str(number - 1), *ca)
    drill.until(lambda: "gates 1\n" not in _names(secured.broker / "gates-ca.pem") + "\n", "the old authority stayed")
    drill.until(lambda: not is_let_in(secured, kept[probe]), "an old certificate is let in")
    drill.must(is_let_in(secured, lines[probe]), "a new certificate is refused")
    drill.tell("the old authority is dropped: its certificates are refused, the new ones are not")
    drill.until(lambda: all(drill.gate(gate).get("broker") == "up" for gate in lines), "a gate was shut out")
    return {"gates": len(lines), "renewed_s": renewed_s, "authority": number, "shut_out": 0, "old_ones_refused": True}


def _line_of(config: str) -> Path:
    return Path(config).parent / "certificate" / "gate.pem"


def _issuer(line: Path) -> str:
    return x509.load_pem_x509_certificate(line.read_bytes()).issuer.rfc4514_string()


def _names(bundle: Path) -> str:
    return "\n".join(one.subject.rfc4514_string() for one in x509.load_pem_x509_certificates(bundle.read_bytes()))
