"""A gate's claim against a cloud that is not there, lies, or answers too much; and what a card must hold for it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey, VerifyKey

from cloud.fleet import authority
from cloud.kit import clock
from edge import claim
from edge.claim import Claim, ClaimFailed, Shown, Where, check_where, read_where
from edge.claim_page import ClaimPage
from edge.config import load_config
from protocols.claims import claim_statement

ROOT = bytes(SigningKey(bytes(32)).verify_key).hex()
FITTINGS = '[camera]\nsource = "frames"\npath = "f"\n[door]\npins = "mock"\n'


class Cloud:
    """A cloud at the other end of HTTP: real signatures and certificates, answers as the test wants them."""

    def __init__(self, folder: Path) -> None:
        for kind in (authority.GATES, authority.SERVICES):
            authority.init(folder, kind, clock.now())
        self._folder = folder
        self.claimed: dict[str, Any] = {}
        self.change: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.status = 201
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                cloud.claimed = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self._say(cloud.status, {"claim": "1", "token": "t", "code": "CLAIM_FORMAT"})

            def do_GET(self) -> None:
                assert self.headers["authorization"] == "Bearer t"
                self._say(200, cloud.change(cloud.approval()))

            def _say(self, status: int, answer: Any) -> None:
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.where = Where(f"http://127.0.0.1:{self._server.server_address[1]}", "demo")

    def approval(self) -> dict[str, Any]:
        request = authority.read_request(bytes.fromhex(self.claimed["request"]))
        signer = authority.signing(self._folder, authority.GATES)[0]
        made = authority.issue_gate(signer, request, "101-21", bytes(range(1, 17)), clock.now())
        return {
            "state": "approved", "site": 101, "gate": 21, "timezone": "Asia/Almaty", "language": "kk",
            "gates_at_site": 2, "certificate": authority.pem(made).decode(), "root": ROOT, "trust": "a0",
            "ca": authority.bundle(self._folder, authority.SERVICES).decode(), "broker": "mqtts://broker.example:8883",
        }  # fmt: skip

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "ca")
    yield made
    made.close()


def run(cloud: Cloud, folder: Path, where: Where | None = None, fittings: str = FITTINGS) -> tuple[Path, list[Shown]]:
    """Claim into `folder`/data; return gate.toml and what the screen showed."""
    shown: list[Shown] = []
    (folder / "fittings.toml").write_text(fittings)
    (folder / "data").mkdir(exist_ok=True)
    made = Claim(where or cloud.where, folder / "data", folder / "fittings.toml", shown.append, time.time)
    path = made.run()
    assert path
    return path, shown


def test_an_approved_claim_writes_a_gate_that_can_start(cloud: Cloud, tmp_path: Path) -> None:
    path, shown = run(cloud, tmp_path)
    told = load_config(path)
    assert (told.gate.district, told.gate.site, told.gate.gate, told.gate.language) == ("demo", 101, 21, "kk")
    assert told.broker.cert == told.broker.key and told.broker.cert and told.broker.cert.name == "gate.pem"
    assert told.root_public.hex() == ROOT and told.trust_list == b"\xa0"
    public = SigningKey(told.gate_seed).verify_key
    assert bytes(public).hex() == cloud.claimed["public_key"]
    statement = claim_statement("demo", shown[0].code, bytes.fromhex(cloud.claimed["request"]))
    VerifyKey(bytes(public)).verify(statement, bytes.fromhex(cloud.claimed["proof"]))
    assert [one.state for one in shown] == ["waiting", "done"] and not (tmp_path / "data" / "claiming").exists()
    assert {file.stat().st_mode & 0o077 for file in (tmp_path / "data").rglob("*") if file.is_file()} == {0}
    with pytest.raises(ClaimFailed, match="has its name"):
        run(cloud, tmp_path)


def test_an_answer_that_makes_no_gate_writes_nothing(cloud: Cloud, tmp_path: Path) -> None:
    stranger = authority.pem(authority.signing(tmp_path / "ca", authority.GATES)[0].certificate).decode()
    wrong: list[dict[str, Any]] = [
        {"site": 0}, {"site": "101"}, {"gate": 2**32}, {"gate": "../1"}, {"timezone": "Mars/Base"}, {"language": "xx"},
        {"broker": "http://x"}, {"broker": "mqtts://u:p@x:1"}, {"root": "zz"}, {"trust": "zz"}, {"gates_at_site": 65},
        {"certificate": stranger}, {"certificate": ""}, {"ca": "none"}, {"gate": 22}, {"broker": 'mqtts://x:1"\nx="'},
    ]  # fmt: skip
    for changed in wrong:
        cloud.change = lambda answer, changed=changed: {**answer, **changed}
        with pytest.raises(ClaimFailed):
            run(cloud, tmp_path)
        assert not (tmp_path / "data" / "gate.toml").exists(), changed
    cloud.change = lambda answer: answer
    with pytest.raises(ClaimFailed, match="another root"):
        run(cloud, tmp_path, Where(cloud.where.cloud, "demo", None, "00" * 32))
    with pytest.raises(ClaimFailed, match="cannot stand here"):
        run(cloud, tmp_path, fittings="[gate]\nsite = 7\n")


@pytest.mark.parametrize(("written", "why"), [
    (b'[door]\nopen_second = 5.0\n', "open_seconds"), (b'[door]\nopen_seconds = 99\n', "outside"),
    (b'[camera]\nsource = "v4l2"\n', "camera.path"), (b"[camera\n", "not TOML"), (b'[web]\nlisten="\xe9"', "not TOML"),
    (b"[gate]\nsite = 7\n", "cannot stand here"), (b"x = " + b"[" * 9_000, "not TOML"), (b"[updates]", "cannot stand"),
])  # fmt: skip
def test_fittings_with_a_typo_are_named_before_a_code_is_shown(
    cloud: Cloud, tmp_path: Path, written: bytes, why: str
) -> None:
    (tmp_path / "fittings.toml").write_bytes(written)
    (tmp_path / "data").mkdir()
    shown: list[Shown] = []
    with pytest.raises(ClaimFailed, match=why):
        Claim(cloud.where, tmp_path / "data", tmp_path / "fittings.toml", shown.append, time.time).run()
    assert not shown and not cloud.claimed and not list((tmp_path / "data").iterdir())


def test_what_is_no_answer_of_ours_is_asked_again_and_shown(cloud: Cloud, tmp_path: Path) -> None:
    answers = iter([b"[]", b"\xff", b" " * (claim.ANSWER_BYTES_MAX + 1), b'{"state":"flying"}'])
    stop = threading.Event()
    states: list[str] = []

    def change(answer: dict[str, Any]) -> Any:
        return next(answers, answer)

    cloud.change = change
    (tmp_path / "data").mkdir()
    made = Claim(cloud.where, tmp_path / "data", tmp_path / "none", lambda one: states.append(one.state), time.time)
    thread = threading.Thread(target=made.run, args=(stop.is_set,), daemon=True)
    thread.start()
    ends = time.monotonic() + 8
    while "no_answer" not in states and time.monotonic() < ends:
        time.sleep(0.05)
    stop.set()
    assert states[:2] == ["waiting", "no_answer"]


@pytest.mark.parametrize(
    "text",
    ["", "cloud = 7\ndistrict = 'demo'", "cloud = 'https://x'", "cloud = 'https://x'\ndistrict = 'A/#'", "[[[",
     "cloud = 'http://school.example'\ndistrict = 'demo'", "cloud = 'ftp://x'\ndistrict = 'demo'",
     "cloud = 'https://u:p@x'\ndistrict = 'demo'", "cloud = 'https://x/y'\ndistrict = 'demo'",
     "cloud = 'https://x'\ndistrict = 'demo'\nroot = 'ab'", "cloud = 'https://x'\ndistrict = 'demo'\nkey = 1"],
)  # fmt: skip
def test_a_card_that_names_no_cloud_says_what_to_write(tmp_path: Path, text: str) -> None:
    (tmp_path / "claim.toml").write_text(text)
    with pytest.raises(ClaimFailed):
        read_where(tmp_path / "claim.toml")


def test_a_claim_leaves_this_machine_by_tls_alone() -> None:
    assert check_where(Where("https://school.example/", "demo")).cloud == "https://school.example"
    assert check_where(Where("http://127.0.0.1:8080", "demo")).cloud == "http://127.0.0.1:8080"
    with pytest.raises(ClaimFailed, match="TLS"):
        check_where(Where("http://127.0.0.1.example", "demo"))


def test_the_screen_shows_code_and_fingerprint_and_escapes_what_it_shows() -> None:
    page = ClaimPage("127.0.0.1", 0, "ru")
    page.show(Shown("waiting", "moon-river-lamp-otter", "0123 4567 89ab cdef", "https://x/fleet/claim?code=a-b"))
    drawn = page.as_html().decode()
    assert "moon river lamp otter" in drawn and "0123 4567" in drawn and "<svg" in drawn and "Ожидает" in drawn
    page.show(Shown("<script>", "<b>", "<i>", ""))
    assert "<script>" not in page.as_html().decode() and "<b><b>" not in page.as_html().decode()
    assert json.loads(page.as_json())["state"] == "<script>"
