"""portillon-verify: anybody checks a pass or a card, with a trust list, no account and no network.

Responsible for: arguments, exit codes, words. The one file of protocols that reads files, and the one that asks the
machine for the time. Not responsible for: what makes a pass genuine (`passes`), who is trusted (`trust`).
Obeys INTERFACES "portillon-verify": exit 0 genuine, 4 not, 2 usage; data on stdout, everything else on stderr.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from protocols import passes
from protocols.envelope import DocumentRefused, uint
from protocols.ledger import Ledger, LedgerRefused, check_ledger
from protocols.limits import DOCUMENT_BYTES_MAX, UINT32_MAX
from protocols.passes import Credential, PassRefused, Place, Presentation
from protocols.reasons import Reason
from protocols.trust import Role, Trust, TrustedKey, load_trust_list, trust_of

GENUINE, USAGE, REFUSED, INTERRUPTED = 0, 2, 4, 130
FILE_BYTES_MAX = 4 * DOCUMENT_BYTES_MAX  # a trust list in JSON is larger than its KK1

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Check what Portillon signed, offline.")

WHAT = {passes.PHONE: "a family's phone pass", passes.STAFF: "a staff pass", passes.CARD: "a printed card"}
DIRECTIONS = {passes.IN: "in", passes.OUT: "out"}
INTENTS = {passes.INTENT_CONFIRM: "confirm", passes.INTENT_ENTER: "enter"}
PERMS = {passes.DROP_OFF: "drop-off", passes.PICK_UP: "pick-up", passes.STAFF_MUST_CONFIRM: "staff must confirm"}
POWERS = {
    passes.POWER_CONFIRM: "confirm",
    passes.POWER_TAKE_IN: "take in",
    passes.POWER_ENTER: "enter",
    passes.POWER_RELEASE: "release",
}
WHY = {
    Reason.NOT_A_PASS: "This is no Portillon pass: its text does not begin with KG1:, KT1: or KC1:.",
    Reason.TOO_LONG: "The text is longer than any pass.",
    Reason.UNKNOWN_VERSION: "The pass is of a version that this program does not know.",
    Reason.FORMAT: "The text is damaged, or was never a pass: its contents do not have the shape of one.",
    Reason.BAD_ALG: "It is signed with an algorithm that is not allowed, or not the key's.",
    Reason.UNKNOWN_ISSUER: "No issuer of that key is in the trust list.",
    Reason.BAD_SIGNATURE: "A signature is not good: the pass was altered, or made by somebody else.",
    Reason.ISSUER_WINDOW: "It was issued when its issuer's key was not valid.",
    Reason.OTHER_SITE: "It is for another site, or its issuer may not issue for this one.",
    Reason.NOT_YET_VALID: "It is not valid yet.",
    Reason.EXPIRED: "It has expired.",
    Reason.BAD_KEY: "The phone's key in it is not a valid key.",
    Reason.CHILD_NOT_IN_PASS: "It names a child who is not in its credential.",
    Reason.OTHER_GATE: "It was made for another gate.",
    Reason.CLOCK_SKEW: "The phone's clock is ahead of the moment asked about.",
    Reason.FUTURE: "The phone signed it far ahead of the moment asked about.",
    Reason.STALE: "The phone signed it more than 20 seconds before the moment asked about. Try --at.",
}

LEDGER_WHY = {
    "FORMAT": "A line is not of the shape that journal export writes.",
    "EVENT": "The bytes of a line are no event.",
    "GAP": "Events are missing.",
    "CHAIN": "An event was altered, or taken from elsewhere: the chain breaks.",
    "SEGMENT_KEY": "A segment is not signed by a gate of the trust list.",
    "SEGMENT_OTHER": "The gate signed another event than the one that stands here.",
}


@dataclass
class Findings:
    """What was learned of a pass, as far as it is to be believed; `code` OK or why it is not genuine."""

    code: str = "OK"
    by: int | None = None
    kind: str = ""
    issuer: bytes = b""
    credential: Credential | None = None
    presentation: Presentation | None = None
    at: float = 0


def examine(text: str, trust: Trust, at: float, site: int | None = None, gate: int | None = None) -> Findings:
    """Return what is to be said of a pass. site None: the credential's own. gate None: any. Raises nothing."""
    found = Findings(at=at)
    try:
        _examine(text, Place(site or 1, at, trust, gate=gate), site, found)
    except PassRefused as refused:
        found.code, found.by = refused.reason.value, refused.by
    return found


def _examine(text: str, place: Place, site: int | None, found: Findings) -> None:
    read = passes.read(text)
    found.kind = read.kind
    key = passes.check_issuer(read, place)
    found.issuer = key.kid
    credential = passes.read_credential(read, key)
    place = replace(place, site=site or credential.site)
    found.credential = credential
    passes.check_credential(credential, key, place)
    if read.kind != passes.CARD:
        presentation = passes.check_presentation(read, credential, place)
        found.presentation = presentation
        passes.check_time_window(presentation, place)


def as_json(found: Findings) -> dict[str, Any]:
    """The stable keys of --json. What was not learned, or is not to be believed, is null."""
    credential, presentation = found.credential, found.presentation
    staff = found.kind == passes.STAFF
    return {
        "genuine": found.code == "OK",
        "code": found.code,
        "why": _why(found) or None,
        "by": found.by,
        "kind": found.kind or None,
        "at": int(found.at),
        "issuer": found.issuer.hex() or None,
        "site": credential and credential.site,
        "holder": None if staff else credential and credential.holder,
        "staff": credential.holder if staff and credential else None,
        "powers": _names(credential.powers, POWERS) if staff and credential else None,
        "cti": credential and credential.cti.hex(),
        "issued": credential and credential.iat,
        "expires": credential and credential.exp,
        "children": _children(found) if credential and not staff else None,
        "phone": credential.thumb.hex() or None if credential else None,
        "direction": presentation and DIRECTIONS.get(presentation.direction),
        "intent": presentation and INTENTS.get(presentation.intent),
        "gate": presentation and presentation.gate,
        "presented": presentation and presentation.iat,
    }


def _children(found: Findings) -> list[dict[str, Any]]:
    assert found.credential
    mask = found.presentation.childmask if found.presentation else 255 if found.kind == passes.CARD else 0
    return [
        {"bit": bit, "child": child, "perms": _names(perms, PERMS), "named": bool(mask >> bit & 1)}
        for bit, (child, perms) in enumerate(found.credential.children)
    ]


def _names(bits: int, names: dict[int, str]) -> list[str]:
    return [name for bit, name in names.items() if bits & bit]


def _why(found: Findings) -> str:
    if found.code == "OK":
        return ""
    seconds = f" By {found.by} seconds." if found.by else ""
    return WHY.get(Reason(found.code), "") + seconds


def as_words(found: Findings) -> list[str]:
    """The lines that a person reads."""
    if found.code == "OK":
        lines = [f"Genuine: {WHAT[found.kind]}."]
    else:
        lines = [f"NOT genuine ({found.code}). {_why(found)}"]
    credential = found.credential
    if not credential:
        return lines
    span = f"{_when(credential.iat)} to {_when(credential.exp)}"
    who = "staff member" if credential.kind == passes.STAFF else "holder"
    powers = ", ".join(_names(credential.powers, POWERS))
    lines += [
        f"Issued by key {found.issuer.hex()} for site {credential.site}, {span}.",
        f"Credential {credential.cti.hex()} of {who} {credential.holder}" + (f", may {powers}." if powers else "."),
    ]
    for row in _children(found):
        named = "named here" if row["named"] else "not named here"
        lines.append(f"Child {row['child']} (bit {row['bit']}): {', '.join(row['perms'])}; {named}.")
    return lines + _shown(found)


def _shown(found: Findings) -> list[str]:
    shown, credential = found.presentation, found.credential
    if not shown or not credential:
        return []
    asks = DIRECTIONS.get(shown.direction) or INTENTS.get(shown.intent, "")
    where = f" at gate {shown.gate}" if shown.gate else ""
    return [
        f"Signed by phone {credential.thumb.hex()} at {_when(shown.iat)}: {asks}{where}. Judged at {_when(found.at)}."
    ]


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# --- arguments --------------------------------------------------------------------------------------------------


@app.callback()
def _several_commands() -> None:
    """Check what Portillon signed, offline."""


@app.command("pass")
def check_pass(
    what: Annotated[
        str, typer.Argument(metavar="TEXT|FILE", help="The pass's text (KG1:…, KT1:…, KC1:…), or a file with it.")
    ],
    trust: Annotated[Path, typer.Option(help="A trust list: KK1 (then --root too), or JSON with the keys.")],
    root: Annotated[
        str, typer.Option(help="The root's public key that signed the KK1: 64 hex characters, or a file.")
    ] = "",
    at: Annotated[
        str, typer.Option(help="The moment to judge it at: UTC seconds or ISO 8601. Now, unless given.")
    ] = "",
    site: Annotated[int | None, typer.Option(min=1, max=UINT32_MAX, help="The site that must be meant.")] = None,
    gate: Annotated[int | None, typer.Option(min=1, max=UINT32_MAX, help="The gate that must be meant.")] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Say whether a pass or card is genuine, who signed it, for whom and when; exit 0 if it is, 4 if not."""
    moment = _moment(at) if at else time.time()
    found = examine(_text(what), _trust(trust, root), moment, site, gate)
    print(json.dumps(as_json(found)) if as_json_ else "\n".join(as_words(found)))
    raise typer.Exit(GENUINE if found.code == "OK" else REFUSED)


@app.command("ledger")
def verify_ledger(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON lines, as `portillon-gate journal export` writes them.")
    ],
    trust: Annotated[Path, typer.Option(help="JSON with the keys; gates' own have the role gate.")],
    as_json_: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Recompute a gate's hash chain, and check the segments that sign it; exit 0 if it is whole, 4 if not."""
    keys = _gate_keys(trust)
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            found = _ledger_json(check_ledger(lines, keys))
    except OSError as error:
        _stop(f"{file} cannot be read: {error.strerror}. Give the lines of `journal export`.", USAGE)
    except LedgerRefused as refused:
        found = {"genuine": False, "code": refused.code, "at": refused.place, "why": LEDGER_WHY[refused.code]}
    print(json.dumps(found) if as_json_ else "\n".join(_ledger_words(found)))
    raise typer.Exit(GENUINE if found["genuine"] else REFUSED)


def _ledger_json(ledger: Ledger) -> dict[str, Any]:
    epochs = [
        {
            "gate": gate,
            "epoch": epoch,
            "last": last,
            "head": head.hex(),
            "from_its_beginning": (gate, epoch) not in ledger.anchored,
            "lost": ledger.lost.get((gate, epoch), 0),
        }
        for (gate, epoch), (last, head) in ledger.heads.items()
    ]
    signed = len(ledger.signed)
    return {"genuine": True, "code": "OK", "events": len(ledger.events), "signed": signed, "epochs": epochs}


def _ledger_words(found: dict[str, Any]) -> list[str]:
    if not found["genuine"]:
        where = " Gate {}, epoch {}, event {}.".format(*found["at"]) if found["at"] else ""
        return [f"NOT whole ({found['code']}). {found['why']}{where}"]
    lines = [f"Whole: {found['events']} events, {found['signed']} of them under their gate's signature."]
    for row in found["epochs"]:
        since = "from its beginning" if row["from_its_beginning"] else "from the first event here on"
        lost = f"; {row['lost']} events are lost, as the gate itself tells" if row["lost"] else ""
        lines.append(
            f"Gate {row['gate']}, epoch {row['epoch']}: unbroken {since} to {row['last']}, head {row['head']}{lost}."
        )
    return lines


def _gate_keys(path: Path) -> list[bytes]:
    try:
        rows = json.loads(_bytes(path))
        rows = rows["trust"] if isinstance(rows, dict) else rows
        return [bytes.fromhex(row["pub"]) for row in rows if row["role"] == "gate"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        _stop(f"The trust list {path} is not JSON of the shape [{{pub, role}}, …].", USAGE)


def _text(what: str) -> str:
    if passes.looks_like_pass(what):
        return what
    try:
        data = _bytes(Path(what))
    except (OSError, ValueError):
        return what  # no file of that name: judged as a text, which answers NOT_A_PASS
    return data.decode("ascii", "replace").rstrip("\r\n")


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(FILE_BYTES_MAX + 1)


def _trust(path: Path, root: str) -> Trust:
    try:
        data = _bytes(path)
    except OSError as error:
        _stop(f"The trust list {path} cannot be read: {error.strerror}. Give a KK1 or JSON file with --trust.", USAGE)
    if data.lstrip()[:1] in (b"[", b"{"):
        return _trust_from_json(path, data)
    if not root:
        _stop("A KK1 is believed only if its root signed it: give the root's public key with --root.", USAGE)
    try:
        return load_trust_list(data, _root(root), 0, clock_trusted=False)
    except DocumentRefused as refused:
        _stop(f"The trust list {path} is refused: {refused.code}. Is it the KK1 of this --root?", REFUSED)


def _root(root: str) -> bytes:
    try:
        text = root if len(root) == 64 else _bytes(Path(root)).decode("ascii").strip()
        public = bytes.fromhex(text)
    except (OSError, ValueError):
        public = b""
    if len(public) != 32:
        _stop("--root is 64 hex characters, or a file that holds them.", USAGE)
    return public


def _trust_from_json(path: Path, data: bytes) -> Trust:
    """A list of {"pub", "role", "sites", "not_before", "not_after"}, or an object with it under "trust"."""
    try:
        rows = json.loads(data)
        rows = rows["trust"] if isinstance(rows, dict) else rows
        return trust_of(_key(row) for row in rows if row["role"] in list(Role))  # a strange role is nobody's
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        _stop(
            f"The trust list {path} has another shape than [{{pub, role, sites, not_before, not_after}}, …]: {error}",
            USAGE,
        )


def _key(row: dict[str, Any]) -> TrustedKey:
    public, sites = bytes.fromhex(row["pub"]), frozenset(uint(site, 1) for site in row.get("sites", ()))
    window = uint(row.get("not_before", 0)), uint(row.get("not_after", UINT32_MAX))
    key = TrustedKey(public, Role(row["role"]), sites, *window)
    if row.get("kid", key.kid.hex()) != key.kid.hex():
        raise ValueError("a kid that is not its key's")
    return key


def _moment(at: str) -> float:
    try:
        if at.lstrip("-").replace(".", "", 1).isdigit():
            return min(max(float(at), 0), UINT32_MAX)
        moment = datetime.fromisoformat(at)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        _stop("--at is UTC seconds (1790000000) or ISO 8601 (2026-09-21T07:40:00Z).", USAGE)


def _stop(words: str, code: int) -> NoReturn:
    typer.echo(words, err=True)
    raise typer.Exit(code)


def main() -> None:
    """Entry point: Ctrl-C ends with 130."""
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
