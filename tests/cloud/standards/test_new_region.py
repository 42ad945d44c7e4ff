"""S1.20: a new region is one import of OneRoster CSV and one command, and then a child of it comes to its gate."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient
from nacl.signing import SigningKey

from cloud.attendance import service as attendance
from cloud.attendance.model import Sent
from cloud.config import Settings
from cloud.fleet import service as fleet
from cloud.kit import clock
from cloud.kit.db import Database, one
from cloud.passes import service as passes
from cloud.passes.keys import KeyRing, init_keys, load_ring
from edge.decision import Decision, GateSettings
from edge.gate import Gate
from edge.roster import Roster
from edge.view import Symbol
from protocols.events import Clock, Event
from protocols.passes import present
from protocols.reasons import DocumentKind
from protocols.rules import Hours
from simulators.district import Sizes, make_district
from simulators.oneroster import pack, write_oneroster
from tests.conftest import PUBLIC_URL
from tests.gates import Ledger
from tests.phones import an_ed25519_phone, octets

COMMAND = Path(sys.executable).parent / "portillon-cloud"
SITE, GATE = 101, 11
MOTHER, HEAD = "aigolek-mother-1", "aigolek-head"


@pytest.fixture
def served(settings: Settings, tmp_path: Path) -> Settings:
    init_keys(tmp_path / "root", tmp_path / "keys", int(clock.now().timestamp()))
    return replace(settings, keys_dir=tmp_path / "keys")


@pytest.fixture
def client(served: Settings) -> Iterator[TestClient]:
    from cloud.app import create_app

    with TestClient(create_app(served), base_url=PUBLIC_URL, follow_redirects=False) as opened:
        yield opened


def a_set(folder: Path) -> Path:
    """What the region's own system exports: a kindergarten, four families."""
    district = make_district(20, Sizes(gates=1, families=4), {GATE: "00" * 32})
    write_oneroster(district, folder / "set")
    pack(folder / "set", folder / "set.zip")
    return folder / "set.zip"


def typed(settings: Settings, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Type a command of portillon-cloud."""
    secret = folder / "secret"
    secret.write_text(settings.secret.hex())
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTILLON_")}
    given = kept | {"PORTILLON_SECRET_FILE": str(secret), "PORTILLON_DATABASE_URL": settings.database_url}
    return subprocess.run([COMMAND, *arguments], env=given, capture_output=True, text=True, timeout=60)


def printed(settings: Settings, folder: Path, *arguments: str) -> dict[str, Any]:
    told = typed(settings, folder, *arguments, "--json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def a_gate_of_it(database: Database, district: UUID, ring: KeyRing) -> tuple[Gate, Ledger]:
    """A gate that the operator let in, with the list that the cloud signs for its site."""
    key, now = SigningKey(bytes((11,)) * 32), clock.now()
    with database.tenant(district) as tx:
        fleet.register_gate(tx, district, SITE, GATE, "front", bytes(key.verify_key), now)
        listed = passes.compile_policy(tx, ring, district, SITE, now)
    at = now.timestamp()
    settings = GateSettings(GATE, SITE, Hours(ZoneInfo("Asia/Almaty"), ((0, 86_400),)), "pass", 1)
    gate = Gate(settings, Roster(SITE, GATE, trust=ring.trust, clock="ntp"), boot_at=at - 600)
    gate.boot(at - 600)
    assert gate.document(DocumentKind.KR1, listed.body, at).code == "LIST_OK"
    return gate, Ledger(SITE, GATE, key)


def record(database: Database, district: UUID, ledger: Ledger, decision: Decision) -> None:
    """Let the gate's ledger carry the decision to the cloud."""
    now = clock.now()
    for draft in decision.events:
        ledger.write(Event(int(now.timestamp() * 1000), 1, 1, Clock.NTP, draft.kind, draft.detail, draft.flags))
    with database.tenant(district) as tx:
        attendance.record_batch(tx, district, [Sent(SITE, ledger.segment())], now)


def paired(client: TestClient, database: Database, settings: Settings, district: UUID) -> tuple[Any, Any]:
    """The office gives the mother a pairing code; return her phone and what it was handed."""
    with database.tenant(district) as tx:
        mother = one(tx, UUID, "SELECT id FROM person WHERE sourced_id = %s", (MOTHER,))
        code = passes.new_pairing_code(tx, settings.secret, district, mother, clock.now())
    phone = an_ed25519_phone(20)
    start = client.post("/api/pair/start", json={"code": code})
    body = {"code": code, "key": phone.key, "proof": phone.proof(start.json())}
    [offer] = client.post("/api/pair/finish", json=body).json()["passes"]
    return phone, offer


def test_s1_20_a_new_region_is_one_import_and_one_command_and_its_child_comes_to_its_gate(
    client: TestClient, database: Database, served: Settings, tmp_path: Path
) -> None:
    archive = str(a_set(tmp_path))
    report = printed(served, tmp_path, "import", "oneroster", archive, "--district", "akmola")
    assert report["counts"]["child"]["add"] >= 4 and report["counts"]["school"] == {"same": 0, "add": 1}
    letter = printed(served, tmp_path, "person", "letter", HEAD, "--district", "akmola")
    entered = client.post("/letter", data={"code": letter["code"]}, headers={"origin": PUBLIC_URL})
    assert entered.headers["location"] == "/account/first-passkey?next=/school/day", "the head is in"

    with database.untenanted() as tx:
        district = one(tx, UUID, "SELECT district_of_slug('akmola')")
    assert served.keys_dir
    gate, ledger = a_gate_of_it(database, district, load_ring(served.keys_dir, int(clock.now().timestamp())))
    client.cookies.clear()
    phone, offer = paired(client, database, served, district)
    assert {child["name"] for child in offer["children"]} >= {"Айгерім"}
    at = clock.now().timestamp()
    shown = present(octets(offer["credential"]), phone.sign, -19, iat=int(at), direction=1, childmask=1)
    decision = gate.scan([Symbol(shown)], at)
    assert (decision.code, decision.strike, len(decision.acts)) == ("OPEN", True, 1)
    record(database, district, ledger, decision)
    page = client.get("/family", headers={"accept": "text/html", "accept-language": "en"})
    assert page.status_code == 200 and f'data-fact="{GATE}:1:0"' in page.text


def test_a_set_with_problems_is_told_with_exit_code_one_and_writes_no_district(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    archive = a_set(tmp_path)
    users = tmp_path / "set" / "users.csv"
    users.write_bytes(users.read_bytes().replace("Айгерім".encode(), "=\u202e\x1b]0;x".encode()))
    pack(tmp_path / "set", archive)
    told = typed(settings, tmp_path, "import", "oneroster", str(archive), "--district", "akmola")
    assert (told.returncode, told.stdout) == (1, "")
    assert "FORMULA  users.csv:" in told.stderr and "nothing was written" in told.stderr
    assert "\x1b" not in told.stderr and "\u202e" not in told.stderr, "a terminal is told, not commanded (P20)"
    with database.untenanted() as tx:
        assert one(tx, bool, "SELECT district_of_slug('akmola') IS NULL")
