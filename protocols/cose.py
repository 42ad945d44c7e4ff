"""COSE_Sign1: the one envelope of every signed thing, with its algorithm, key number and domain.

`[protected, {}, payload, signature]`, untagged; the domain string is the external_aad, so that a signature made for one
kind of thing is worthless for another. Not here: which key may sign what (`trust`). Obeys P-1, RFC 9052, RFC 9864.
Ed25519 by PyNaCl alone (libsodium refuses small-order keys, the `cryptography` package was measured to accept them);
P-256 by `cryptography`, for phones only.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from protocols.canonical import CanonicalError, Value, decode, encode
from protocols.limits import KID_BYTES, SIGNATURE_BYTES

ED25519 = -19  # alg, RFC 9864
ESP256 = -9  # alg, RFC 9864: ECDSA on P-256 with SHA-256, phones only
ALG, KID = 1, 4  # header labels, RFC 9052

Sign = Callable[[bytes], bytes]  # message -> signature of 64 bytes


@dataclass(frozen=True)
class Sign1:
    """A COSE_Sign1 as read: nothing verified yet."""

    protected: bytes
    payload: bytes
    signature: bytes
    alg: int
    kid: bytes | None

    def as_value(self) -> list:
        """The four members, for embedding in another array."""
        return [self.protected, {}, self.payload, self.signature]

    def to_be_signed(self, external_aad: bytes) -> bytes:
        return _to_be_signed(self.protected, external_aad, self.payload)


def kid_of(public: bytes) -> bytes:
    """Return the key number: first 4 bytes of SHA-256 of the raw public key."""
    return hashlib.sha256(public).digest()[:KID_BYTES]


def is_valid_ed25519(public: bytes) -> bool:
    """Whether `public` is a point of the main subgroup: asked where a key is enrolled and where it is used."""
    return len(public) == 32 and bool(crypto_core_ed25519_is_valid_point(public))


def sign(domain: bytes, payload: bytes, key: SigningKey) -> bytes:
    """Return the encoded COSE_Sign1 of `payload` under `key`, with alg and kid protected."""
    return encode(sign_value(domain, payload, key))


def sign_value(domain: bytes, payload: bytes, key: SigningKey) -> list:
    """As `sign`, but the array itself, for embedding."""
    protected = encode({ALG: ED25519, KID: kid_of(bytes(key.verify_key))})
    return [protected, {}, payload, key.sign(_to_be_signed(protected, domain, payload)).signature]


def sign_bare(external_aad: bytes, payload: bytes, alg: int, signer: Sign) -> list:
    """Return the array of a phone's presentation: protected `{1: alg}` alone (P-2)."""
    protected = encode({ALG: alg})
    return [protected, {}, payload, signer(_to_be_signed(protected, external_aad, payload))]


def read(value: Value, *, with_kid: bool = True) -> Sign1:
    """Return the members of a decoded COSE_Sign1. Raises CanonicalError when its shape is another."""
    if type(value) is not list or len(value) != 4 or value[1] != {} or type(value[1]) is not dict:
        raise CanonicalError("not a COSE_Sign1")
    protected, _, payload, signature = value
    if not all(type(member) is bytes for member in (protected, payload, signature)):
        raise CanonicalError("not a COSE_Sign1")
    header = decode(protected)
    if type(header) is not dict or set(header) != ({ALG, KID} if with_kid else {ALG}):
        raise CanonicalError("unknown or missing protected headers")
    alg, kid = header[ALG], header.get(KID)
    if type(alg) is not int or with_kid and (type(kid) is not bytes or len(kid) != KID_BYTES):
        raise CanonicalError("a protected header of another type")
    return Sign1(protected, payload, signature, alg, kid)


def verify_ed25519(public: bytes, signed: Sign1, external_aad: bytes) -> bool:
    """Whether the signature is `public`'s. A signature of another length is simply not (P-1)."""
    if len(signed.signature) != SIGNATURE_BYTES or not is_valid_ed25519(public):
        return False
    try:
        VerifyKey(public).verify(signed.to_be_signed(external_aad), signed.signature)
    except (CryptoError, ValueError):
        return False
    return True


def verify_p256(public: ec.EllipticCurvePublicKey, signed: Sign1, external_aad: bytes) -> bool:
    """Whether the signature (r ‖ s, 32 bytes each) is `public`'s."""
    if len(signed.signature) != SIGNATURE_BYTES:
        return False
    r, s = (int.from_bytes(half, "big") for half in (signed.signature[:32], signed.signature[32:]))
    try:
        public.verify(encode_dss_signature(r, s), signed.to_be_signed(external_aad), ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _to_be_signed(protected: bytes, external_aad: bytes, payload: bytes) -> bytes:
    """RFC 9052 section 4.4. Built by hand: documents are larger than one decoding call may be."""
    return b"\x84" + b"".join(encode(part) for part in ("Signature1", protected, external_aad, payload))
