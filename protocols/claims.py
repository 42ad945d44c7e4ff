"""What a gate and the cloud say to one another when a gate gets its name: what is signed, what people compare.

PURE. Responsible for: the claim code (four words), the fingerprint of a gate's two keys, the bytes that a claim, a
renewal and the answer to it sign. Not responsible for: certificates (edge/certificate.py, cloud/fleet/authority.py),
who may approve (cloud/fleet/claims.py). Each statement begins with a name of its own: no
signature serves twice.
"""

import hashlib

CODE_WORDS = 4  # of 256: 32 bits, fifteen minutes, five tries; a stranger's claim does not fit the screen anyway
CODE_CHARACTERS_MAX = 80
CLAIM_SECONDS = 900  # an operator who stands before the gate with a telephone
REQUEST_BYTES_MAX = 2_048  # a certificate request of a P-256 key has about 220
CERTIFICATE_DAYS = 90
RENEW_AT = 0.6  # share of a certificate's life after which the gate asks for the next one: 36 days are left
FINGERPRINT_BYTES = 16  # of SHA-256: what two people compare by eye, 128 bits against a second pre-image
FINGERPRINT_GROUP_CHARACTERS = 4

_CLAIM, _RENEWAL, _ANSWER, _KEYS = b"portillon-claim", b"portillon-renewal", b"portillon-certificate", b"portillon-gate"


def plain_code(typed: str) -> str:
    """Return a claim code as it is compared: small letters, one hyphen between the words, however it was typed."""
    return "-".join(typed.lower().replace("-", " ").split())


def fingerprint(gate_public: bytes, request: bytes) -> str:
    """Return what screen and fleet page both show: of the ledger's key and the whole certificate request (DER)."""
    digest = _statement(_KEYS, gate_public, request)[:FINGERPRINT_BYTES].hex()
    step = FINGERPRINT_GROUP_CHARACTERS
    return " ".join(digest[start : start + step] for start in range(0, len(digest), step))


def claim_statement(district: str, code: str, request: bytes) -> bytes:
    """Return what the gate's ledger key signs when it claims: both keys are in one hand."""
    return _statement(_CLAIM, district.encode(), plain_code(code).encode(), request)


def renewal_statement(name: str, request: bytes) -> bytes:
    """Return what the key of the current certificate signs. name: SITE-GATE. request: DER of the new one's request."""
    return _statement(_RENEWAL, name.encode(), request)


def answer_statement(request: bytes, certificate: bytes, authorities: bytes) -> bytes:
    """Return what the registry's key signs under a renewal: certificate and authorities (PEM) for this request."""
    return _statement(_ANSWER, request, certificate, authorities)


def _statement(name: bytes, *parts: bytes) -> bytes:
    """Return SHA-256 over the name and each part with its length before it: no two lists of parts look alike."""
    whole = hashlib.sha256(name)
    for part in parts:
        whole.update(len(part).to_bytes(4, "big") + part)
    return whole.digest()
