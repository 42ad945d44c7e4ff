"""Writes the frozen vectors beside it, from named keys and fixed times, with the second implementation alone.

    python -m tests.vectors.make

Signatures are deterministic (Ed25519, RFC 6979), so that making them again gives the same files: a test checks it.
What they must answer is written here by hand from the specification, never asked of our own code.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from tests.protocols import curves, foreign
from tests.protocols.faults import FAULTS, ZEROES, Fault
from tests.protocols.foreign import (
    COMMAND,
    CONTROL,
    GATE,
    GATE_KEY,
    ISSUER,
    NOW,
    P256_ORDER,
    PHONE,
    PHONE_P256,
    POLICY,
    RECEIPT,
    REGISTRY,
    ROOT,
    SITE,
    Card,
    EdKey,
    Family,
    Staff,
)

HERE = Path(__file__).parent
END = 2**32 - 1
ROLES = {
    "issuer": ISSUER, "policy": POLICY, "registry": REGISTRY, "control": CONTROL, "command": COMMAND,
    "receipt": RECEIPT,
}  # fmt: skip


def a_key(role: str, key: EdKey, sites: tuple[int, ...] = (), not_before: int = 0, not_after: int = END) -> dict:
    window = {"not_before": not_before, "not_after": not_after}
    return {"kid": key.kid.hex(), "pub": key.public.hex(), "role": role, "sites": list(sites), **window}


TRUST = [a_key(role, key) for role, key in ROLES.items()]


# --- passes -----------------------------------------------------------------------------------------------------


def a_pass(name: str, answer: str, text: str, says: dict | None = None, **place: Any) -> dict:
    """One vector. place: what differs from gate 11 of site 101 at NOW with the issuer trusted and nothing revoked."""
    return {"name": name, "answer": answer, "text": text, "place": place, **({"says": says} if says else {})}


def said(made: Family) -> dict:
    rows = [row for bit, row in enumerate(made.children) if made.childmask >> bit & 1]
    return {
        "holder": made.holder,
        "direction": made.direction,
        "children": rows,
        "gate": made.gate,
        "thumb": made.phone.thumb.hex(),
    }


def genuine() -> list[dict]:
    most = END
    families = {
        "one child arrives, Ed25519 phone": Family(),
        "one child arrives, P-256 phone": Family(phone=PHONE_P256),
        "both children leave": Family(direction=2, childmask=3),
        "the second child alone": Family(childmask=2),
        "naming this gate": Family(gate=GATE),
        "one child, full-size references": Family(holder=most, children=[[most, 3]]),
        "two children, full-size references": Family(holder=most, children=[[most, 3], [most - 1, 3]], childmask=3),
        "three children, full-size references": Family(
            holder=most, children=[[most - n, 3] for n in range(3)], childmask=7
        ),
        "eight children, P-256 phone": Family(phone=PHONE_P256, children=[[n, 7] for n in range(1, 9)], childmask=255),
        "20 s old": Family(at=NOW - 20),
        "10 s ahead": Family(at=NOW + 10),
        "in its last second": Family(iat=NOW - 8 * 86_400 + 1, exp=NOW + 1),
    }
    staff = {"staff confirm": Staff(), "staff enter": Staff(intent=2), "staff, P-256 phone": Staff(phone=PHONE_P256)}
    turned = Family(phone=PHONE_P256).presentation()[3]
    turned = turned[:32] + (P256_ORDER - int.from_bytes(turned[32:], "big")).to_bytes(32, "big")
    p256 = Family(phone=PHONE_P256, shown_signature=turned)
    return [
        *(a_pass(name, "OPEN", made.text(), said(made)) for name, made in families.items()),
        *(
            a_pass(name, "OPEN", made.text(), {"holder": 700, "intent": made.intent, "powers": 15})
            for name, made in staff.items()
        ),
        a_pass("the other form of an ECDSA signature", "OPEN", p256.text(), said(p256)),
        a_pass("card", "OPEN", Card().text(), {"holder": 500, "children": [[1001, 3], [1002, 3]]}),
        a_pass("stale, where the clock is not trusted", "OPEN", Family(at=NOW - 21).text(), clock="untrusted"),
    ]


def place_of(fault: Fault) -> dict:
    """A fault's place as JSON."""
    place = {key: value for key, value in fault.place.items() if key in ("clock", "floor")}
    for name in ("ctis", "thumbs", "kids"):
        if name in fault.place:
            place[name] = sorted(value.hex() for value in fault.place[name])
    if "holders" in fault.place:
        place["holders"] = [list(row) for row in fault.place["holders"].items()]
    if "keys" in fault.place:
        place["keys"] = []
    if "sites" in fault.place or "not_before" in fault.place:
        place["keys"] = [a_key("issuer", ISSUER, tuple(fault.place.get("sites", ())), fault.place.get("not_before", 0))]
    return place


def faulty() -> list[dict]:
    """Each fault alone, and each with the one after it: the first answers."""
    found = []
    for fault, later in itertools.zip_longest(FAULTS, FAULTS[1:]):
        found.append(a_pass(str(fault), fault.code, fault.text(Family(**fault.made).text()), None, **place_of(fault)))
        if later is None or fault.made.keys() & later.made.keys() or place_of(fault).keys() & place_of(later).keys():
            continue
        text = fault.text(later.text(Family(**{**fault.made, **later.made}).text()))
        found.append(a_pass(f"{fault} and {later}", fault.code, text, None, **place_of(fault), **place_of(later)))
    return found


def forged() -> list[dict]:
    identity = curves.encoded((0, 1))
    weak = {**curves.small_order_keys(), **curves.mixed_order_keys(PHONE.public)}
    rows = [(f"phone key {name}", "BAD_KEY", Family(cose_key={1: 1, -1: 6, -2: key})) for name, key in weak.items()]
    for number, x in enumerate(curves.off_p256()):
        key = {1: 2, -1: 1, -2: x, -3: True}
        rows.append((f"P-256 key off the curve {number}", "BAD_KEY", Family(phone=PHONE_P256, cose_key=key)))
    rows += [
        ("signature that holds for all under the identity", "BAD_KEY",
         Family(cose_key={1: 1, -1: 6, -2: identity}, shown_signature=identity + bytes(32))),
        ("COSE_Key with a kid", "BAD_KEY", Family(cose_key={**PHONE.cose_key, 2: b"kid"})),
        ("P-256 key with y in full", "BAD_KEY",
         Family(phone=PHONE_P256, cose_key={**PHONE_P256.cose_key, -3: bytes(32)})),
        ("issuer's signature of 63 bytes", "BAD_SIGNATURE", Family(signature=ZEROES[:63])),
        ("phone's signature in DER", "BAD_SIGNATURE", Family(phone=PHONE_P256, shown_signature=bytes(70))),
        ("ECDSA of zeroes", "BAD_SIGNATURE", Family(phone=PHONE_P256, shown_signature=ZEROES)),
        ("signed for staff, shown by a family", "BAD_SIGNATURE", Family(issuer_aad=b"KT1")),
        ("presentation that does not bind its credential", "BAD_SIGNATURE", Family(shown_aad=b"KG1")),
        ("signed by a stranger under the issuer's kid", "BAD_SIGNATURE",
         Family(issuer=foreign.edkey("stranger"), protected={1: -19, 4: ISSUER.kid})),
        ("issued by the policy key", "UNKNOWN_ISSUER", Family(issuer=POLICY)),
        ("EdDSA, the old number", "BAD_ALG", Family(protected={1: -8, 4: ISSUER.kid})),
        ("a child named twice", "FORMAT", Family(children=[[1001, 3], [1001, 3]])),
        ("nine children", "FORMAT", Family(children=[[n, 3] for n in range(1, 10)])),
        ("a mask of no child", "FORMAT", Family(childmask=0)),
        ("a kid in the phone's header", "FORMAT", Family(shown_protected={1: -19, 4: PHONE.kid})),
        ("a card that lives 401 days", "FORMAT", Card(exp=NOW - 3600 + 401 * 86_400)),
        ("a staff pass with a power too many", "FORMAT", Staff(powers=16)),
    ]  # fmt: skip
    return [a_pass(name, answer, made.text(), None, keys=TRUST) for name, answer, made in rows]


# --- documents --------------------------------------------------------------------------------------------------


def a_document(kind: str, answer: str, data: bytes, name: str = "", **reader: Any) -> dict:
    """One vector. reader: what differs from gate 11 of site 101 at NOW, holding nothing of this kind."""
    return {"name": name or answer, "kind": kind, "answer": answer, "bytes": data.hex(), "reader": reader}


def held(version: int, data: bytes) -> dict:
    return {"version": version, "digest": foreign.sha(data).hex()}


def documents() -> list[dict]:
    rows: list[dict] = []
    gate_row = [GATE, GATE_KEY.public, 0, END]
    rights = [foreign.trust_row(key, role) for role, key in ROLES.items()]

    def make(kind: str, version: int = 7, iat: int = NOW - 600, site: int = SITE, key: EdKey | None = None) -> bytes:
        gate = GATE if site == SITE else GATE + 1
        return {
            "KR1": lambda: foreign.policy_list(
                version, iat, key=key or POLICY, site=site, ctis=[b"revoked!"], thumbs=[b"thumb-01"],
                holders=[[501, NOW]], kids=[b"kid!"], custody=[[1001, 0, 6, NOW, NOW + 9]],
            ),
            "KK1": lambda: foreign.trust_list(rights, version, iat, key or ROOT),
            "KL1": lambda: foreign.gate_list([gate_row], version, iat, site, key or REGISTRY),
            "KF1": lambda: foreign.configuration(b'{"hours":["07:00-19:00"]}', version, iat, gate, key or CONTROL),
            "KM1": lambda: foreign.site_mode(1, version, iat, max(iat, NOW) + 3600, site, key=key or COMMAND),
        }[kind]()  # fmt: skip

    for kind, prefix in {"KR1": "LIST", "KK1": "TRUST", "KL1": "GATES", "KF1": "CONFIG", "KM1": "MODE"}.items():
        right = make(kind)
        rows += [
            a_document(kind, f"{prefix}_OK", right),
            a_document(kind, f"{prefix}_OK", right, "the same again", held=held(7, right)),
            a_document(kind, f"{prefix}_FORMAT", right[:-1], "cut short"),
            a_document(kind, f"{prefix}_FORMAT", b"", "empty"),
            a_document(kind, f"{prefix}_KEY", make(kind, key=foreign.edkey("stranger"))),
            a_document(kind, f"{prefix}_KEY", make(kind, key=ISSUER), "a key of another role"),
            a_document(kind, f"{prefix}_FUTURE", make(kind, iat=NOW + 61)),
            a_document(kind, f"{prefix}_OK", make(kind, iat=NOW + 61), "untrusted clock", clock_trusted=False),
            a_document(kind, f"{prefix}_ROLLBACK", make(kind, 6), held=held(7, right)),
            a_document(kind, f"{prefix}_FORK", make(kind, iat=NOW - 599), held=held(7, right)),
        ]
        if kind != "KK1":
            rows.append(a_document(kind, f"{prefix}_SITE", make(kind, site=202)))
    return rows + odd_documents(rights)


def odd_documents(rights: list) -> list[dict]:
    unsorted = {4: NOW, 6: NOW, -65540: [SITE, 1, b"b" * 8 + b"a" * 8, b"", [], b"", []]}
    return [
        a_document("KR1", "LIST_FORMAT", foreign.document("KR1", unsorted, POLICY), "ctis out of order"),
        a_document("KR1", "LIST_FORMAT", foreign.document("KR1", unsorted, POLICY), "format before site", site=202),
        a_document("KM1", "MODE_FORMAT", foreign.site_mode(3, exp=NOW - 60 + 4 * 3600 + 1), "free for over 4 h"),
        a_document("KM1", "MODE_EXPIRED", foreign.site_mode(3, iat=NOW - 60, exp=NOW), "free, replayed"),
        a_document("KK1", "TRUST_FORMAT", foreign.trust_list([*rights, rights[0][:2] + ["policy", [], 0, END]]), "two"),
        a_document("KX1", "COMMAND_OK", foreign.command()),
        a_document("KX1", "COMMAND_FORMAT", foreign.command(exp=NOW + 15), "16 s long"),
        a_document("KX1", "COMMAND_EXPIRED", foreign.command(iat=NOW - 9, exp=NOW)),
        a_document("KX1", "COMMAND_SITE", foreign.command(gate=GATE + 1), "another gate"),
        a_document("KX1", "COMMAND_KEY", foreign.command(key=CONTROL)),
    ]  # fmt: skip


# --- the ledger -------------------------------------------------------------------------------------------------


def ledger() -> dict:
    rows = [
        foreign.event(NOW * 1000, 5, {14: "0.1.0", 15: True}),
        foreign.event(
            NOW * 1000 + 900, 1, {1: b"cti-0001", 2: PHONE.thumb, 3: 500, 4: NOW - 3600, 5: 1, 6: [[1001, 3]]}
        ),
        foreign.event(NOW * 1000 + 4000, 9, {1: b"cti-0002", 3: 501, 9: "CUSTODY"}, 1, 6),
    ]
    head = foreign.head_after(rows)
    stranger = foreign.edkey("stranger")
    right = {"answer": "OK", "events": [foreign.cbor(row).hex() for row in rows], "head": head.hex()}
    gap = [foreign.event(NOW * 1000 + 5000, 7, {23: [7, 3, 9, head, NOW - 60]})]
    vague = [foreign.event(NOW * 1000 + 5000, 7, {23: [7, 9, 3, head, NOW - 60]})]
    return {
        "gate": {"pub": GATE_KEY.public.hex(), "gate": GATE},
        "segments": [
            {**right, "bytes": foreign.segment(rows).hex()},
            {
                "answer": "OK",
                "events": [foreign.cbor(gap[0]).hex()],
                "head": foreign.head_after(gap).hex(),
                "hole": [7, 3, 9, head.hex(), NOW - 60],
                "bytes": foreign.segment(gap).hex(),
            },
            {
                "answer": "OK",
                "events": [foreign.cbor(vague[0]).hex()],
                "head": foreign.head_after(vague).hex(),
                "hole": None,
                "bytes": foreign.segment(vague).hex(),
            },
            {"answer": "SEGMENT_KEY", "bytes": foreign.segment(rows, key=stranger).hex()},
            {"answer": "SEGMENT_FORMAT", "bytes": foreign.segment([]).hex()},
            {"answer": "SEGMENT_FORMAT", "bytes": foreign.segment(rows[:1] * 65).hex()},
        ],
        "receipts": receipts(head),
        "notes": notes(stranger),
    }


def receipts(head: bytes) -> list:
    zero, covers = bytes(32), {"answer": "OK", "upto": 2, "head": head.hex()}
    return [
        {**covers, "credit": 64, "bytes": foreign.receipt(2, head).hex()},
        {**covers, "credit": 0, "bytes": foreign.receipt(2, head, credit=0, codes=((1, "FORK"),)).hex()},
        {**covers, "credit": 64, "missing": 3, "bytes": foreign.receipt(2, head, codes=((3, "MISSING"),)).hex()},
        {**covers, "credit": 64, "missing": None, "bytes": foreign.receipt(2, head, codes=((2, "MISSING"),)).hex()},
        {
            "answer": "OK",
            "upto": 0,
            "head": zero.hex(),
            "credit": 64,
            "missing": 0,
            "bytes": foreign.receipt(0, zero, codes=((0, "MISSING"),)).hex(),
        },
        {
            "answer": "OK",
            "upto": 0,
            "head": zero.hex(),
            "credit": 64,
            "missing": None,
            "bytes": foreign.receipt(0, zero, codes=((1, "MISSING"),)).hex(),
        },
        {"answer": "RECEIPT_KEY", "bytes": foreign.receipt(2, head, key=COMMAND).hex()},
        {"answer": "RECEIPT_FORMAT", "bytes": foreign.receipt(2, head[:31]).hex()},
    ]


def notes(stranger: foreign.EdKey) -> list:
    return [
        {
            "answer": "OK",
            "bytes": foreign.note(PHONE.thumb, NOW, NOW * 1000, [[1001, 1]]).hex(),
            "acts": [[1001, 1]],
        },
        {"answer": "BUS_KEY", "bytes": foreign.note(PHONE.thumb, NOW, NOW * 1000, [], key=stranger).hex()},
        {"answer": "BUS_FORMAT", "bytes": foreign.note(PHONE.thumb, 2**32, NOW * 1000, []).hex()},
    ]


def files() -> dict[str, Any]:
    place = {"site": SITE, "gate": GATE, "at": NOW, "clock": "ntp", "floor": 0, "keys": TRUST[:1]}
    reader = {"site": SITE, "gate": GATE, "now": NOW, "keys": TRUST, "root": ROOT.public.hex()}
    return {
        "passes.json": {"place": place, "vectors": genuine() + faulty() + forged()},
        "documents.json": {"reader": reader, "vectors": documents()},
        "ledger.json": {"keys": TRUST, **ledger()},
    }


def written(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=True) + "\n"


def main() -> None:
    for name, value in files().items():
        (HERE / name).write_text(written(value))


if __name__ == "__main__":
    main()
