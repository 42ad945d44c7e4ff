"""Gates without a name for tests: real keys, real certificate requests, claims as a gate sends them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nacl.signing import SigningKey

from edge.certificate import new_key, renewal, request_for
from protocols.claims import claim_statement, fingerprint


@dataclass
class Claimant:
    """A card with keys of its own and a code on its screen."""

    code: str = "moon-river-lamp-otter"
    key: SigningKey = field(default_factory=SigningKey.generate)
    tls: bytes = field(default_factory=new_key)

    @property
    def request(self) -> bytes:
        if not hasattr(self, "_request"):
            self._request = request_for(self.tls, "gate")
        return self._request

    @property
    def fingerprint(self) -> str:
        return fingerprint(bytes(self.key.verify_key), self.request)

    def said(self, district: str = "demo", **changed: Any) -> dict[str, Any]:
        """Return the body of its claim; `changed` replaces members."""
        proof = self.key.sign(claim_statement(district, self.code, self.request)).signature
        public = bytes(self.key.verify_key).hex()
        told = {"v": 1, "code": self.code, "public_key": public, "request": self.request.hex(), "proof": proof.hex()}
        return told | changed

    def renewal(self, new: bytes, name: str = "101-21") -> bytes:
        """Return its request for the next certificate, of the new key, signed with the old one."""
        return renewal(self.tls, name, request_for(new, "gate"))
