"""Phones for tests: a real key of either kind that pairs, signs and draws a pass."""

import base64
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from nacl.signing import SigningKey


def text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def octets(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


@dataclass
class Phone:
    """key: as `POST /api/pair/finish` wants it; sign: message -> 64 bytes."""

    key: dict
    sign: Callable[[bytes], bytes]

    def proof(self, start: dict) -> str:
        return text(self.sign(b"portillon-pair" + octets(start["nonce"]) + octets(start["account"])))


def an_ed25519_phone(seed: int) -> Phone:
    key = SigningKey(bytes((seed,)) * 32)
    return Phone({"kty": 1, "x": text(bytes(key.verify_key))}, lambda message: key.sign(message).signature)


def a_p256_phone() -> Phone:
    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.public_key().public_numbers()

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return Phone({"kty": 2, "x": text(numbers.x.to_bytes(32, "big")), "y": bool(numbers.y & 1)}, sign)
