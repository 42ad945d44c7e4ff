"""Keys by role: made once, readable by nobody else, rotated with notice, revoked, signed by the root elsewhere."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.cli import app
from cloud.passes.keys import KeysRefused, Role, init_keys, load_ring, revoke_key, rotate_key, sign_request
from protocols.cose import kid_of
from protocols.limits import ISSUER_NOTICE_SECONDS

NOW = 1_790_000_000


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    init_keys(tmp_path / "root", tmp_path / "keys", NOW)
    return tmp_path / "keys"


def signed(keys: Path, now: int = NOW) -> None:
    sign_request(keys.parent / "root", keys / "trust.request", keys / "trust.kk1", now)


def test_every_role_has_a_key_of_its_own_that_others_cannot_read(keys: Path) -> None:
    ring = load_ring(keys, NOW)
    publics = {bytes(key.verify_key) for _, key in ring.keys}
    assert len(publics) == len(ring.keys) == 6
    assert ring.root_public not in publics
    assert {oct((keys / f"{role}.key").stat().st_mode & 0o777) for role, _ in ring.keys} == {"0o600"}
    assert not (keys / "root.key").exists(), "the root is not on the server"


def test_a_second_init_changes_nothing(keys: Path) -> None:
    before = {file.name: file.read_bytes() for file in keys.iterdir()}
    with pytest.raises(KeysRefused) as refused:
        init_keys(keys.parent / "root", keys, NOW)
    assert refused.value.code == "KEY_EXISTS"
    assert {file.name: file.read_bytes() for file in keys.iterdir()} == before


def test_a_process_that_was_given_one_role_has_that_one_alone(keys: Path, tmp_path: Path) -> None:
    given = tmp_path / "ingest"
    given.mkdir()
    for name in ("receipt.key", "trust.kk1", "root.pub"):
        shutil.copy2(keys / name, given / name)
    ring = load_ring(given, NOW)
    assert ring.has(Role.RECEIPT) and not ring.has(Role.ISSUER)
    with pytest.raises(KeysRefused) as refused:
        ring.signing_key(Role.ISSUER, NOW)
    assert refused.value.code == "KEY_MISSING"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda keys: (keys / "issuer.key").chmod(0o640), "KEY_MODE"),
        (lambda keys: (keys / "issuer.key").write_text("no hex"), "KEY_FORMAT"),
        (lambda keys: shutil.copy2(keys / "policy.key", keys / "issuer.key"), "KEY_TWO_ROLES"),
        (lambda keys: (keys / "trust.kk1").write_bytes(b"rubbish"), "TRUST_FORMAT"),
        (lambda keys: (keys / "root.pub").write_text("11" * 32), "TRUST_KEY"),
        (lambda keys: (keys / "trust.kk1").unlink(), "KEY_MISSING"),
    ],
)
def test_keys_that_are_not_as_they_must_be_are_refused(keys: Path, spoil: object, code: str) -> None:
    spoil(keys)  # type: ignore[operator]
    with pytest.raises(KeysRefused) as refused:
        load_ring(keys, NOW)
    assert refused.value.code == code


def test_a_rotated_issuer_is_published_eight_days_before_its_first_use(keys: Path) -> None:
    old = load_ring(keys, NOW).signing_key(Role.ISSUER, NOW)
    made = rotate_key(keys, Role.ISSUER, NOW)
    assert load_ring(keys, NOW).trust.held and load_ring(keys, NOW).trust.held.version == 1  # type: ignore[union-attr]
    signed(keys)
    ring = load_ring(keys, NOW)
    assert made.not_before == NOW + ISSUER_NOTICE_SECONDS and made.kid in ring.trust.keys
    assert ring.signing_key(Role.ISSUER, NOW + ISSUER_NOTICE_SECONDS - 1) == old
    assert kid_of(bytes(ring.signing_key(Role.ISSUER, NOW + ISSUER_NOTICE_SECONDS).verify_key)) == made.kid


def test_a_key_cannot_be_rotated_again_before_the_next_is_in_force(keys: Path) -> None:
    rotate_key(keys, Role.ISSUER, NOW)
    with pytest.raises(KeysRefused) as refused:
        rotate_key(keys, Role.ISSUER, NOW)
    assert refused.value.code == "KEY_WAITS"
    signed(keys)
    later = NOW + ISSUER_NOTICE_SECONDS
    rotate_key(keys, Role.ISSUER, later)
    signed(keys, later)
    assert len([1 for key in load_ring(keys, later).trust.keys.values() if key.role == Role.ISSUER]) == 3


def test_a_revoked_key_ends_now_and_two_wishes_wait_together(keys: Path) -> None:
    issuer = load_ring(keys, NOW).signing_key(Role.ISSUER, NOW)
    revoke_key(keys, kid_of(bytes(issuer.verify_key)), NOW)
    rotate_key(keys, Role.POLICY, NOW)
    signed(keys)
    ring = load_ring(keys, NOW)
    with pytest.raises(KeysRefused):
        ring.signing_key(Role.ISSUER, NOW + 1)
    assert len([1 for key in ring.trust.keys.values() if key.role == Role.POLICY]) == 2


def test_a_request_that_was_tampered_with_is_not_signed(keys: Path) -> None:
    rotate_key(keys, Role.ISSUER, NOW)
    asked = json.loads((keys / "trust.request").read_text())
    asked["keys"][0]["public"] = "22" * 32
    (keys / "trust.request").write_text(json.dumps(asked))
    with pytest.raises(KeysRefused) as refused:
        signed(keys)
    assert refused.value.code == "REQUEST_FORMAT"


def test_the_commands_say_what_to_type_and_end_with_four_when_refused(tmp_path: Path) -> None:
    run = CliRunner().invoke
    made = run(app, ["keys", "init", "--root-dir", str(tmp_path / "r"), "--keys-dir", str(tmp_path / "k"), "--json"])
    assert made.exit_code == 0
    assert {row["role"] for row in json.loads(made.stdout)["keys"]} == {
        "issuer", "policy", "registry", "control", "command", "receipt",
    }  # fmt: skip
    again = run(app, ["keys", "init", "--root-dir", str(tmp_path / "r"), "--keys-dir", str(tmp_path / "k")])
    assert again.exit_code == 4 and "rotate" in again.stderr
    unknown = run(app, ["keys", "revoke", "00000000", "--keys-dir", str(tmp_path / "k")])
    assert unknown.exit_code == 4 and "KEY_UNKNOWN" in unknown.stderr
