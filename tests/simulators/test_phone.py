"""A simulated phone holds real keys: what it signs, the real verifier accepts, through a real picture too."""

from __future__ import annotations

from pathlib import Path

import pytest
from nacl.signing import SigningKey

from protocols.passes import IN, OUT, Place, issue_credential, verify
from protocols.trust import Role, TrustedKey, trust_of
from simulators.phone import HeldPass, Phone, PhoneKey, from_b64url, load_phones, make_phone, save_phones, to_b64url

NOW = 1_790_000_000
SITE = 101


def a_pass(phone: Phone, issuer: SigningKey, children: int) -> HeldPass:
    credential = issue_credential(
        issuer,
        site=SITE,
        holder=5,
        children=[(100 + bit, 3) for bit in range(children)],
        device=phone.key.device,
        iat=NOW - 60,
        exp=NOW + 86_400,
        cti=b"12345678",
    )
    return HeldPass(SITE, credential, tuple({"bit": bit, "presence": "out"} for bit in range(children)))


def the_place(issuer: SigningKey) -> Place:
    return Place(site=SITE, at=NOW, trust=trust_of([TrustedKey(bytes(issuer.verify_key), Role.ISSUER)]))


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_the_pass_of_a_simulated_phone_is_genuine(kind: str) -> None:
    issuer = SigningKey.generate()
    phone = Phone("mother-1", PhoneKey(kind, bytes(range(32))))
    verified = verify(phone.text(a_pass(phone, issuer, 2), NOW, OUT), the_place(issuer))
    assert verified.presentation is not None
    assert verified.presentation.direction == OUT
    assert [child for child, _ in verified.children] == [100, 101]


def test_a_phone_signs_the_time_of_the_server_not_its_own() -> None:
    issuer = SigningKey.generate()
    phone = make_phone("mother-1")
    phone.clock_ahead = 3_600.0
    text = phone.text(a_pass(phone, issuer, 1), NOW - 3_600, IN)
    assert verify(text, the_place(issuer)).presentation is not None


def test_phones_are_kept_in_a_file_that_only_the_owner_reads(tmp_path: Path) -> None:
    phones = [make_phone(f"mother-{number}") for number in range(12)]
    phones[0].cookies = {"__Host-phone": "token"}
    save_phones(tmp_path / "phones.json", phones)
    loaded = load_phones(tmp_path / "phones.json")
    assert (tmp_path / "phones.json").stat().st_mode & 0o077 == 0
    assert [phone.key.device for phone in loaded] == [phone.key.device for phone in phones]
    assert loaded[0].headers() == {"cookie": "__Host-phone=token"}
    assert {phone.key.kind for phone in phones} == {"ed25519", "p256"}


def test_two_phones_never_share_a_key() -> None:
    assert make_phone("mother-1").key.device != make_phone("mother-1").key.device


def test_base64url_has_no_padding_and_comes_back_whole() -> None:
    for length in range(40):
        data = bytes(range(length))
        assert "=" not in to_b64url(data)
        assert from_b64url(to_b64url(data)) == data
