"""Do everything once before the first family comes: lazy loading in libraries must not keep a child waiting.

Responsible for: one throwaway signature of each kind made and checked, one picture read through the whole ladder.
Not responsible for: whether the results are right (selftest.py).
"""

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from nacl.signing import SigningKey

from edge.reader import Reader
from protocols.cose import ED25519, ESP256, read, sign_bare
from protocols.passes import DeviceKey

_SEEN_ONCE = (720, 1280)  # height, width in pixels: the size that cameras are asked for


def warm_up() -> None:
    """Check an Ed25519 and a P-256 signature and read one noisy picture. Takes a few tens of milliseconds."""
    edwards = SigningKey.generate()
    checked = read(sign_bare(b"", b"", ED25519, lambda message: edwards.sign(message).signature), with_kid=False)
    assert DeviceKey(bytes(edwards.verify_key)).verifies(checked, b"")
    nist = ec.generate_private_key(ec.SECP256R1())
    point = nist.public_key().public_numbers()

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(nist.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    checked = read(sign_bare(b"", b"", ESP256, sign), with_kid=False)
    assert DeviceKey(point.x.to_bytes(32, "big"), bool(point.y & 1)).verifies(checked, b"")
    Reader().read(np.random.default_rng(0).integers(0, 255, _SEEN_ONCE, dtype=np.uint8))
