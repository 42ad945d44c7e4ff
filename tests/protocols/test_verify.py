"""portillon-verify pass: exit 0 genuine, 4 not, 2 usage; in words and in JSON; with a KK1 or a JSON trust list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from protocols.verify import WHY, app
from tests.protocols import foreign
from tests.protocols.foreign import ISSUER, NOW, POLICY, ROOT, SITE, Card, Family, Staff
from tests.vectors import make

AT = ("--at", str(NOW))


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    path = tmp_path / "trust.json"
    path.write_text(json.dumps(make.TRUST))
    return path


def verify(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["pass", *map(str, arguments)])


def answer(*arguments: Any) -> dict:
    return json.loads(verify(*arguments, "--json").stdout)


def test_a_genuine_pass_is_told_in_words_and_ends_with_0(trust: Path) -> None:
    result = verify(Family(childmask=2).text(), "--trust", trust, *AT)
    assert result.exit_code == 0 and "Genuine: a family's phone pass." in result.stdout
    for words in (ISSUER.kid.hex(), "site 101", "holder 500", "Child 1002 (bit 1): drop-off, pick-up; named here",
                  "Child 1001 (bit 0): drop-off, pick-up; not named", "2026-09-21 14:13:20 UTC: in"):  # fmt: skip
        assert words in result.stdout


def test_a_genuine_pass_is_told_in_json(trust: Path) -> None:
    made = Family(direction=2, childmask=3, gate=12)
    found = answer(made.text(), "--trust", trust, *AT)
    assert found | {"genuine": True, "code": "OK", "why": None, "kind": "KG1", "issuer": ISSUER.kid.hex()} == found
    assert (
        found | {"site": SITE, "holder": 500, "staff": None, "direction": "out", "gate": 12, "presented": NOW} == found
    )
    assert found["children"][1] == {"bit": 1, "child": 1002, "perms": ["drop-off", "pick-up"], "named": True}
    assert found["phone"] == made.phone.thumb.hex()


@pytest.mark.parametrize(
    ("made", "words"),
    [(Card(), "a printed card"), (Staff(), "may confirm, take in, enter, release"), (Staff(intent=2), ": enter.")],
)
def test_cards_and_staff_passes_are_told_too(trust: Path, made: Family, words: str) -> None:
    result = verify(made.text(), "--trust", trust, *AT)
    assert result.exit_code == 0 and words in result.stdout


@pytest.mark.parametrize(
    "vector", [v for v in make.faulty() + make.forged() if not v["place"].keys() - {"keys"}], ids=lambda v: v["name"]
)
def test_a_pass_that_is_not_genuine_says_why_and_ends_with_4(tmp_path: Path, vector: dict) -> None:
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps(vector["place"].get("keys", make.TRUST)))
    arguments = (vector["text"], "--trust", trust, *AT, "--site", SITE, "--gate", foreign.GATE)
    result = verify(*arguments)
    assert result.exit_code == 4 and vector["answer"] in result.stdout and WHY[vector["answer"]] in result.stdout
    assert answer(*arguments)["code"] == vector["answer"]


def test_nothing_of_an_unbelieved_credential_is_told(trust: Path) -> None:
    found = answer(Family(signature=bytes(64)).text(), "--trust", trust, *AT)
    assert [found[key] for key in ("site", "holder", "children", "issuer", "presented")] == [None] * 5


def test_a_pass_with_spaces_in_its_text_is_read_from_a_file_with_a_line_end(trust: Path, tmp_path: Path) -> None:
    text = next(text for n in range(2000) if " " in (text := Family(cti=b"cti-%04d" % n).text()))
    path = tmp_path / "pass.txt"
    path.write_bytes(text.encode() + b"\r\n")
    assert verify(path, "--trust", trust, *AT).exit_code == 0


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"\x00" * 100, "KG1:é".encode(), b"K" * 1_000_000, b"\x1b[31mKG1:"]
)
def test_a_file_with_anything_in_it_is_not_genuine_and_nothing_of_it_is_printed(
    trust: Path, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "strange"
    path.write_bytes(content)
    result = verify(path, "--trust", trust, *AT)
    assert result.exit_code == 4 and "\x1b" not in result.output


@pytest.mark.parametrize("text", ["HELLO", "", "a\0b", "K" * 5000, "no/such/file"])
def test_a_text_that_is_no_pass_and_no_file_is_not_genuine(trust: Path, text: str) -> None:
    assert verify(text, "--trust", trust, *AT).exit_code == 4


def test_a_kk1_is_believed_under_its_root_alone(tmp_path: Path) -> None:
    trust, root = tmp_path / "trust.kk1", tmp_path / "root.pub"
    trust.write_bytes(foreign.trust_list([foreign.trust_row(ISSUER, "issuer")]))
    root.write_text(ROOT.public.hex() + "\n")
    text = Family().text()
    assert verify(text, "--trust", trust, "--root", root, *AT).exit_code == 0
    assert verify(text, "--trust", trust, "--root", ROOT.public.hex(), *AT).exit_code == 0
    assert verify(text, "--trust", trust, *AT).exit_code == 2
    refused = verify(text, "--trust", trust, "--root", POLICY.public.hex(), *AT)
    assert refused.exit_code == 4 and "TRUST_KEY" in refused.stderr and refused.stdout == ""


def test_a_scenario_header_serves_as_a_trust_list(tmp_path: Path) -> None:
    trust = tmp_path / "header.json"
    trust.write_text(json.dumps({"gate": 1, "trust": make.TRUST}))
    assert verify(Family().text(), "--trust", trust, *AT).exit_code == 0


def test_keys_of_roles_that_a_pass_does_not_need_stand_in_nobodys_way(tmp_path: Path) -> None:
    trust = tmp_path / "trust.json"
    trust.write_text(json.dumps([*make.TRUST, {"pub": ROOT.public.hex(), "role": "gate", "sites": []}]))
    assert verify(Family().text(), "--trust", trust, *AT).exit_code == 0


def test_without_a_moment_the_present_one_counts(trust: Path) -> None:
    assert answer(Family().text(), "--trust", trust)["code"] != "OK"
    long_card = Card(iat=NOW - 3600, exp=NOW + 399 * 86_400)
    assert answer(long_card.text(), "--trust", trust, "--at", "2026-09-21T14:13:20Z")["code"] == "OK"
    assert answer(Family().text(), "--trust", trust, "--at", "2026-09-21T16:13:20+02:00")["code"] == "OK"


@pytest.mark.parametrize(
    "content",
    [
        "[",
        "[1]",
        '[{"pub": "zz", "role": "issuer"}]',
        '[{"role": "issuer"}]',
        '{"keys": []}',
        '[{"pub": "00", "role": "issuer"}]',
        "[" * 5000,
    ],
)
def test_a_trust_list_that_cannot_be_read_is_a_usage_error_with_words(tmp_path: Path, content: str) -> None:
    trust = tmp_path / "trust.json"
    trust.write_text(content)
    result = verify(Family().text(), "--trust", trust, *AT)
    assert result.exit_code == 2 and "trust list" in result.stderr and result.stdout == ""


@pytest.mark.parametrize(
    "wrong", [("--at", "yesterday"), ("--root", "zz"), ("--site", "0"), ("--gate", "x"), ("--what",)]
)
def test_a_wrong_argument_is_a_usage_error(tmp_path: Path, wrong: tuple) -> None:
    trust = tmp_path / "trust.kk1"
    trust.write_bytes(foreign.trust_list([foreign.trust_row(ISSUER, "issuer")]))
    result = verify(Family().text(), "--trust", trust, "--root", ROOT.public.hex(), *wrong)
    assert result.exit_code == 2
    assert verify(Family().text()).exit_code == 2
    assert verify(Family().text(), "--trust", tmp_path / "none").exit_code == 2
