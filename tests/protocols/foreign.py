"""A second implementation of the wire, written from the specification alone: cbor2, `cryptography`, nothing of ours.

It makes passes, cards, documents, segments and notes, right ones and (through `claims`, `protected`, `alg`, `kid`,
`signature` and the like) wrong ones; and it opens passes. The tests hold protocols/ against it, both ways.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
EDDSA, ESP256 = -19, -9
NOW = 1_790_000_000  # 2026-09-21, a Monday, 14:13:20 UTC
SITE, GATE = 101, 11


def cbor(value: Any) -> bytes:
    """RFC 8949 core deterministic encoding: map keys in bytewise order of their encodings."""
    return cbor2.dumps(_ordered(value))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value, key=cbor2.dumps)}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    return value


def base45(data: bytes) -> str:
    text = ""
    for at in range(0, len(data), 2):
        group = data[at : at + 2]
        number, digits = int.from_bytes(group, "big"), 3 if len(group) == 2 else 2
        for _ in range(digits):
            number, digit = divmod(number, 45)
            text += ALPHABET[digit]
    return text


def unbase45(text: str) -> bytes:
    data = b""
    for at in range(0, len(text), 3):
        group = text[at : at + 3]
        data += sum(ALPHABET.index(c) * 45**i for i, c in enumerate(group)).to_bytes(len(group) - 1, "big")
    return data


def sha(data: bytes, size: int = 32) -> bytes:
    return hashlib.sha256(data).digest()[:size]


@dataclass(frozen=True)
class EdKey:
    """An Ed25519 key from a seed of 32 bytes."""

    seed: bytes
    alg = EDDSA

    @property
    def private(self) -> ed25519.Ed25519PrivateKey:
        return ed25519.Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def public(self) -> bytes:
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return self.private.public_key().public_bytes(*raw)

    @property
    def kid(self) -> bytes:
        return sha(self.public, 4)

    @property
    def cose_key(self) -> dict:
        return {1: 1, -1: 6, -2: self.public}

    @property
    def thumb(self) -> bytes:
        return sha(cbor(self.cose_key), 8)

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)


@dataclass(frozen=True)
class P256Key:
    """A P-256 key from its number; signatures are deterministic (RFC 6979), so that vectors can be made again."""

    number: int
    alg = ESP256

    @property
    def private(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(self.number, ec.SECP256R1())

    @property
    def cose_key(self) -> dict:
        point = self.private.public_key().public_numbers()
        return {1: 2, -1: 1, -2: point.x.to_bytes(32, "big"), -3: bool(point.y & 1)}

    @property
    def y(self) -> bytes:
        return self.private.public_key().public_numbers().y.to_bytes(32, "big")

    @property
    def thumb(self) -> bytes:
        return sha(cbor(self.cose_key), 8)

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


DeviceKey = EdKey | P256Key


def edkey(name: str) -> EdKey:
    """The key of that name: tests and vectors mean the same key by it, for ever."""
    return EdKey(sha(f"portillon vector key {name}".encode()))


def p256key(name: str) -> P256Key:
    return P256Key(int.from_bytes(sha(f"portillon vector key {name}".encode()), "big") % (P256_ORDER - 1) + 1)


ISSUER, POLICY, ROOT, COMMAND = edkey("issuer"), edkey("policy"), edkey("root"), edkey("command")
REGISTRY, CONTROL, RECEIPT, GATE_KEY = edkey("registry"), edkey("control"), edkey("receipt"), edkey("gate")
PHONE, PHONE_P256, STAFF_PHONE = edkey("phone"), p256key("phone"), edkey("staff phone")


def sig_structure(protected: bytes, aad: bytes, payload: bytes) -> bytes:
    return cbor(["Signature1", protected, aad, payload])


def sign1(aad: bytes, payload: Any, key: DeviceKey, protected: Any = None, signature: bytes | None = None) -> list:
    """A COSE_Sign1 array. payload: a value, or bytes as they are. protected: a value, or bytes as they are."""
    if protected is None:
        assert isinstance(key, EdKey)
        protected = {1: EDDSA, 4: key.kid}
    header = protected if isinstance(protected, bytes) else cbor(protected)
    body = payload if isinstance(payload, bytes) else cbor(payload)
    return [header, {}, body, key.sign(sig_structure(header, aad, body)) if signature is None else signature]


@dataclass
class Family:
    """A family's pass, right unless a field says otherwise. Fields named as in the specification."""

    issuer: EdKey = ISSUER
    phone: DeviceKey = PHONE
    site: int = SITE
    holder: int = 500
    children: list = field(default_factory=lambda: [[1001, 3], [1002, 3]])
    iat: int = NOW - 3600
    exp: int = NOW - 3600 + 7 * 86_400
    cti: bytes = b"cti-0001"
    direction: int = 1
    childmask: int = 1
    gate: int | None = None
    at: int = NOW  # iat of the presentation
    domain: str = "KG1"
    # --- ways to be wrong
    cose_key: Any = None
    claims: dict = field(default_factory=dict)  # into the credential's payload
    drop: tuple = ()  # out of it
    payload: bytes | None = None  # instead of it
    protected: Any = None
    signature: bytes | None = None
    issuer_aad: bytes | None = None
    shown: dict = field(default_factory=dict)  # into the presentation's payload
    acts: Any = None
    shown_payload: bytes | None = None
    shown_protected: Any = None
    shown_signature: bytes | None = None
    signer: DeviceKey | None = None  # signs in the phone's place
    shown_aad: bytes | None = None

    def credential(self) -> list:
        cose_key = self.phone.cose_key if self.cose_key is None else self.cose_key
        body = {
            4: self.exp,
            6: self.iat,
            7: self.cti,
            8: {1: cose_key},
            -65537: [self.site, self.holder, self.children],
        }
        body = {label: value for label, value in {**body, **self.claims}.items() if label not in self.drop}
        aad = self.domain.encode() if self.issuer_aad is None else self.issuer_aad
        return sign1(aad, self.payload or body, self.issuer, self.protected, self.signature)

    def presentation(self) -> list:
        acts = [self.direction, self.childmask] + ([self.gate] if self.gate is not None else [])
        body = {6: self.at, -65538: acts if self.acts is None else self.acts, **self.shown}
        return self._shown(body)

    def _shown(self, body: dict) -> list:
        signer = self.signer or self.phone
        aad = self.domain.encode() + cbor(self.credential()) if self.shown_aad is None else self.shown_aad
        protected = {1: signer.alg} if self.shown_protected is None else self.shown_protected
        return sign1(aad, self.shown_payload or body, signer, protected, self.shown_signature)

    def bytes(self) -> bytes:
        return cbor([self.credential(), self.presentation()])

    def text(self) -> str:
        return f"{self.domain}:{base45(self.bytes())}"


@dataclass
class Staff(Family):
    """A staff pass: `holder` is the staff member."""

    phone: DeviceKey = STAFF_PHONE
    domain: str = "KT1"
    cti: bytes = b"cti-staf"
    holder: int = 700
    powers: int = 15
    intent: int = 1

    def credential(self) -> list:
        changes = {-65541: [self.site, self.holder, self.powers], **self.claims}
        return Family.credential(_plain(self, changes, (*self.drop, -65537)))

    def presentation(self) -> list:
        return self._shown({6: self.at, -65542: [self.intent] if self.acts is None else self.acts, **self.shown})


@dataclass
class Card(Family):
    """A printed card."""

    domain: str = "KC1"
    cti: bytes = b"cti-card"
    exp: int = NOW - 3600 + 300 * 86_400

    def credential(self) -> list:
        changes = {-65539: [self.site, self.holder, self.children], **self.claims}
        return Family.credential(_plain(self, changes, (*self.drop, 8, -65537)))

    def bytes(self) -> bytes:
        return cbor(self.credential())


def _plain(made: Family, claims: dict, drop: tuple) -> Family:
    names = [name for name in Family.__dataclass_fields__ if name not in ("claims", "drop")]
    return Family(**{name: getattr(made, name) for name in names}, claims=claims, drop=drop)


# --- documents --------------------------------------------------------------------------------------------------


def document(domain: str, payload: Any, key: EdKey, protected: Any = None, signature: bytes | None = None) -> bytes:
    return cbor(sign1(domain.encode(), payload, key, protected, signature))


def policy_body(version: int = 1, site: int = SITE, **lists: Any) -> list:
    """Body of KR1; lists: ctis, thumbs, holders, kids, custody."""
    joined = {name: b"".join(sorted(lists.get(name, ()))) for name in ("ctis", "thumbs", "kids")}
    holders, custody = sorted(lists.get("holders", ())), list(lists.get("custody", ()))
    return [site, version, joined["ctis"], joined["thumbs"], holders, joined["kids"], custody]


def policy_list(
    version: int = 1, iat: int = NOW - 600, next_update: int | None = None, key: EdKey = POLICY, **body: Any
) -> bytes:
    until = iat + 3 * 86_400 if next_update is None else next_update
    return document("KR1", {4: until, 6: iat, -65540: policy_body(version, **body)}, key)


def trust_row(key: EdKey, role: str, sites: tuple = (), not_before: int = 0, not_after: int = 2**32 - 1) -> list:
    return [key.kid, key.public, role, list(sites), not_before, not_after]


def trust_list(rows: list, version: int = 1, iat: int = NOW - 600, key: EdKey = ROOT) -> bytes:
    return document("KK1", {6: iat, -65543: [version, rows]}, key)


def site_mode(
    mode: int, version: int = 1, iat: int = NOW - 60, exp: int = NOW + 3600, site: int = SITE, by: int = 700,
    key: EdKey = COMMAND,
) -> bytes:  # fmt: skip
    return document("KM1", {4: exp, 6: iat, -65545: [site, version, mode, by]}, key)


def gate_list(rows: list, version: int = 1, iat: int = NOW - 600, site: int = SITE, key: EdKey = REGISTRY) -> bytes:
    return document("KL1", {6: iat, -65544: [site, version, rows]}, key)


def configuration(json: bytes, version: int = 1, iat: int = NOW - 600, gate: int = GATE, key: EdKey = CONTROL) -> bytes:
    return document("KF1", {6: iat, -65546: [gate, version, json]}, key)


def command(
    operation: str = "identify", arguments: Any = None, iat: int = NOW - 1, exp: int = NOW + 10, gate: int = GATE,
    nonce: bytes = b"nonce-01", by: int = 700, key: EdKey = COMMAND,
) -> bytes:  # fmt: skip
    body = [gate, operation, {} if arguments is None else arguments, by]
    return document("KX1", {4: exp, 6: iat, 7: nonce, -65547: body}, key)


def event(at_ms: int, kind: int, detail: dict | None = None, clock: int = 2, flags: int = 0) -> list:
    return [at_ms, at_ms % 1_000_000, 1, clock, kind, detail or {}, flags]


def segment(
    events: list, gate: int = GATE, epoch: int = 1, first_seq: int = 0, head: bytes = bytes(32), key: EdKey = GATE_KEY
) -> bytes:
    return document("KE1", [1, gate, epoch, first_seq, head, events], key)


def head_after(events: list, head: bytes = bytes(32)) -> bytes:
    for row in events:
        head = sha(head + cbor(row))
    return head


def receipt(
    upto: int, head: bytes, now: int = NOW, gate: int = GATE, epoch: int = 1, credit: int = 64, codes: tuple = (),
    key: EdKey = RECEIPT,
) -> bytes:  # fmt: skip
    body = [gate, epoch, upto, head, credit, [list(code) for code in codes]]
    return document("KA1", {6: now, -65548: body}, key)


def note(thumb: bytes, iat: int, at_ms: int, acts: list, gate: int = GATE, key: EdKey = GATE_KEY) -> bytes:
    return document("KS1", [1, gate, thumb, iat, at_ms, acts], key)


# --- opening a pass ---------------------------------------------------------------------------------------------


def opens(text: str, issuer: bytes) -> dict:
    """Return what a genuine family pass says. Raises (anything) where a signature is not good."""
    credential, presentation = cbor2.loads(unbase45(text[4:]))
    key = ed25519.Ed25519PublicKey.from_public_bytes(issuer)
    key.verify(credential[3], sig_structure(credential[0], b"KG1", credential[2]))
    claims, shown = cbor2.loads(credential[2]), cbor2.loads(presentation[2])
    message = sig_structure(presentation[0], b"KG1" + cbor(credential), presentation[2])
    _verify(claims[8][1], presentation[3], message)
    return {"claims": claims, "shown": shown}


def _verify(cose_key: dict, signature: bytes, message: bytes) -> None:
    if cose_key[1] == 1:
        ed25519.Ed25519PublicKey.from_public_bytes(cose_key[-2]).verify(signature, message)
        return
    point = bytes([3 if cose_key[-3] else 2]) + cose_key[-2]
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    public.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
