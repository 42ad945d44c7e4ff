"""The phone of a guardian or of staff: real keys, the real HTTP of the pass page, real passes.

Responsible for: making a key (Ed25519, or P-256 as older phones do), pairing by code, renewing
credentials, the text of the pass of this moment, and keeping all that in a file between runs.
Not for: how a camera sees it (optics.py), nor the page's own JavaScript (tests/browser drives that).
Obeys PROTOCOL.md section 2: the phone signs the server's time, and always says the direction.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from nacl.signing import SigningKey

from protocols import cose
from protocols.passes import IN, DeviceKey, present, present_staff
from simulators.processes import WorldFault

COOKIES = ("__Host-family", "__Host-school", "__Host-phone")  # who is signed in, and which phone this is
PROOF_DOMAIN = b"portillon-pair"
ANSWER_SECONDS_MAX = 20.0
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # FIPS 186-5


class PhoneKey:
    """The private key of one phone. secret: 32 bytes; kind: ed25519 or p256."""

    def __init__(self, kind: str, secret: bytes) -> None:
        self.kind, self.secret = kind, secret
        if kind == "ed25519":
            self._signing = SigningKey(secret)
            self.device = DeviceKey(bytes(self._signing.verify_key))
        elif kind == "p256":
            scalar = int.from_bytes(hashlib.sha512(secret).digest(), "big") % (P256_ORDER - 1) + 1
            self._private = ec.derive_private_key(scalar, ec.SECP256R1())
            point = self._private.public_key().public_numbers()
            self.device = DeviceKey(point.x.to_bytes(32, "big"), bool(point.y & 1))
        else:
            raise ValueError(f"a phone has a key of kind ed25519 or p256, not {kind!r}")

    @property
    def alg(self) -> int:
        return cose.ED25519 if self.kind == "ed25519" else cose.ESP256

    def sign(self, message: bytes) -> bytes:
        """Return the raw signature of 64 bytes."""
        if self.kind == "ed25519":
            return self._signing.sign(message).signature
        r, s = decode_dss_signature(self._private.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def to_json(self) -> dict[str, Any]:
        """Return the public half as the pairing request carries it."""
        if self.kind == "ed25519":
            return {"kty": 1, "x": to_b64url(self.device.x)}
        return {"kty": 2, "x": to_b64url(self.device.x), "y": bool(self.device.y_sign)}


@dataclass(frozen=True)
class HeldPass:
    """A credential in the phone, and what the phone may say with it."""

    site: int
    credential: bytes
    children: tuple[dict[str, Any], ...]

    @property
    def childmask(self) -> int:
        mask = 0
        for child in self.children:
            mask |= 1 << child["bit"]
        return mask

    def is_anyone(self, presence: str) -> bool:
        return any(child.get("presence") == presence for child in self.children)


@dataclass
class Phone:
    """One guardian's phone. clock_ahead: seconds that the server's clock is ahead of this machine's."""

    holder: str
    key: PhoneKey
    cookies: dict[str, str] = field(default_factory=dict)
    clock_ahead: float = 0.0
    language: str = ""
    passes: list[HeldPass] = field(default_factory=list)
    staff_passes: list[HeldPass] = field(default_factory=list)

    def pair(self, client: httpx.Client, code: str, now: float) -> None:
        """Pair by the 8-digit code and take the passes. Raises WorldFault with the server's own words."""
        started = _answer(client.post("/api/pair/start", json={"code": code}), self.holder)
        proof = self.key.sign(PROOF_DOMAIN + from_b64url(started["nonce"]) + from_b64url(started["account"]))
        response = client.post(
            "/api/pair/finish", json={"code": code, "key": self.key.to_json(), "proof": to_b64url(proof)}
        )
        answer = _answer(response, self.holder)
        self._keep_cookies(response)
        self._take(answer, now)

    def refresh(self, client: httpx.Client, now: float) -> None:
        """Renew credentials and learn the children's presence and the server's time."""
        response = client.get("/api/passes", headers=self.headers())
        answer = _answer(response, self.holder)
        self._keep_cookies(response)
        self._take(answer, now)

    def headers(self) -> dict[str, str]:
        """Return what this phone's browser sends along; a plain client would not send Secure cookies over http."""
        return {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}

    def text(self, held: HeldPass, now: float, direction: int = IN, childmask: int = 0, gate: int | None = None) -> str:
        """Return the text of the pass of this moment, for all its children unless a mask says otherwise."""
        return present(
            held.credential,
            self.key.sign,
            self.key.alg,
            iat=int(now + self.clock_ahead),
            direction=direction,
            childmask=childmask or held.childmask,
            gate=gate,
        )

    def staff_text(self, held: HeldPass, now: float, intent: int) -> str:
        """Return the text of the staff pass of this moment. intent: to confirm what waits, or to enter."""
        iat = int(now + self.clock_ahead)
        return present_staff(held.credential, self.key.sign, self.key.alg, iat=iat, intent=intent)

    def _keep_cookies(self, response: httpx.Response) -> None:
        for header in response.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(header).items():
                if name in COOKIES:
                    self.cookies[name] = morsel.value

    def _take(self, answer: dict[str, Any], now: float) -> None:
        self.clock_ahead = answer["now_ms"] / 1000 - now
        self.language = answer.get("language", "")
        self.passes, self.staff_passes = (
            [
                HeldPass(one["site"], from_b64url(one["credential"]), tuple(one["children"]))
                for one in answer["passes"]
                if one.get("kind", "family") == kind
            ]
            for kind in ("family", "staff")
        )


def make_phone(holder: str) -> Phone:
    """Return a new phone with a new key; one in three is P-256, as in phones whose browser lacks Ed25519."""
    kind = "p256" if hashlib.sha256(holder.encode()).digest()[0] % 3 == 0 else "ed25519"
    return Phone(holder, PhoneKey(kind, secrets.token_bytes(32)))


def save_phones(path: Path, phones: list[Phone]) -> None:
    """Write the phones' secrets to a file that only its owner reads. Passes are not kept: they are refreshed."""
    rows = [
        {"holder": phone.holder, "kind": phone.key.kind, "secret": phone.key.secret.hex(), "cookies": phone.cookies}
        for phone in phones
    ]
    path.touch(mode=0o600)
    path.write_text(json.dumps(rows, indent=1))


def load_phones(path: Path) -> list[Phone]:
    if not path.exists():
        return []
    return [
        Phone(row["holder"], PhoneKey(row["kind"], bytes.fromhex(row["secret"])), row["cookies"])
        for row in json.loads(path.read_text())
    ]


def http_client(base_url: str) -> httpx.Client:
    """Return a client that keeps no cookies of its own: each phone carries its own."""
    return httpx.Client(
        base_url=base_url, timeout=ANSWER_SECONDS_MAX, headers={"origin": base_url}, trust_env=False, verify=False
    )


def _answer(response: httpx.Response, holder: str) -> dict[str, Any]:
    response_is_json = response.headers.get("content-type", "").startswith("application/json")
    if response.status_code == 200 and response_is_json:
        return response.json()
    said = response.text[:300] if response_is_json else f"{response.status_code} {response.reason_phrase}"
    raise WorldFault(f"The cloud refused the phone of {holder}: {said}.", "Read the log of the part `web`.")


def to_b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
