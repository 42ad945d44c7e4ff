"""The drill `claim`: a gate with a blank card gets its name in minutes, and its first child comes in.

Responsible for: a folder like a blank card's, `portillon-gate claim` as a process of its own, the operator's approval
by command, what an outsider tries meanwhile, the claimed gate's first opening. Not for: the stack (secured.py), renewal
and revocation (drill_rotate.py, drill_revoke.py).
"""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from simulators.clock import now
from simulators.drill import Drill, Json
from simulators.gatehouse import Arrival, Gatehouse
from simulators.lens import Lens, idle_view
from simulators.parts import Part, command_path, loopback_client
from simulators.phone import http_client
from simulators.processes import WorldFault, free_port

GATE, SITE = 19, 101
ARRIVED_SECONDS_MAX = 85.0
FITTINGS = """[camera]
source = "frames"
path = "camera.frames"

[door]
pins = "mock"

[web]
listen = "127.0.0.1:{port}"
picture = true

[clock]
assume = "ntp"
"""


def play(drill: Drill) -> Json:
    """Claim a gate, approve it, let a family in at it. Raises WorldFault where a step goes otherwise."""
    card = blank_card(drill)
    began = time.monotonic()
    claiming = begin_claim(drill, card)
    try:
        shown = drill.until(lambda: _waiting(claiming), "no code stands on the gate's screen")
        screen = httpx.get(f"http://127.0.0.1:{claiming.port}/screen", trust_env=False).text
        drill.must(shown["code"].replace("-", " ") in screen and "<svg" in screen, "the screen shows no code")
        drill.tell(f"the gate made its keys; its screen shows: {shown['code'].replace('-', ' ')}")
        _try_others(drill, shown)
        words = ("gate", "approve", shown["code"], "--site", str(SITE), "--gate", str(GATE), "--name", "side door")
        drill.must(not _goes(drill, *words, "--fingerprint", "0000 " * 8), "another fingerprint was approved")
        drill.tell("the operator compared the fingerprint; a wrong one is refused")
        drill.stack.cloud(*words, "--fingerprint", shown["fingerprint"])
        approved = time.monotonic()
        drill.tell(f"approved as gate {GATE} of site {SITE}")
        toml = card / "data" / "gate.toml"
        drill.until(toml.exists, "the gate did not write its gate.toml")
        named_ms = int((time.monotonic() - approved) * 1000)
        drill.must(not _goes(drill, *words, "--fingerprint", shown["fingerprint"]), "a code counted twice")
        drill.tell("gate.toml, keys and certificate are on the card; the code counts no more")
    finally:
        claiming.stop()
    # A drill is played at any hour; what nobody has set is 07:00-19:00 of the site.
    toml.write_text(toml.read_text().replace("[gate]\n", '[gate]\nhours = ["00:00-24:00"]\n', 1))
    gate = start_gate(drill, card)
    drill.until(gate.is_well, "the claimed gate is not well")
    running = time.monotonic()
    drill.tell("the gate runs, with mutual TLS to the broker and the policy list in hand")
    opened = _first_arrival(drill, gate, card)
    drill.tell("a family was let in, and the receipt came")
    return {
        "gate": GATE, "certificates": len(drill.operator("gate", "certificates", str(GATE))), "opened": opened,
        "approved_to_named_ms": named_ms, "claim_to_running_s": round(running - began, 1), "refused": 4,
    }  # fmt: skip


def blank_card(drill: Drill) -> Path:
    """Return a folder with what stands on a card's first partition: claim.toml and fittings.toml."""
    card = drill.stack.directory / "gates" / str(GATE)
    if card.exists():
        raise WorldFault(f"{card} is not blank.", "Play this drill in another --dir.")
    for folder in (card / "claim", card / "data"):
        folder.mkdir(parents=True, mode=0o700)
    slug = drill.stack.district["district"]["slug"]
    (card / "claim" / "claim.toml").write_text(f'cloud = "{drill.stack.web_url}"\ndistrict = "{slug}"\n')
    port = free_port()
    (card / "claim" / "fittings.toml").write_text(FITTINGS.format(port=port))
    return card


def begin_claim(drill: Drill, card: Path) -> Part:
    """Start `portillon-gate claim` as systemd would."""
    port = free_port()
    argv = [command_path("portillon-gate"), "claim", "--data", str(card / "data"), "--card", str(card / "claim"),
            "--listen", f"127.0.0.1:{port}"]  # fmt: skip
    part = Part("claim", "claim", argv, log=str(drill.stack.directory / "logs" / "claim.log"), port=port)
    part.launch()
    return part


def start_gate(drill: Drill, card: Path) -> Part:
    """Start the gate that the claim made, as a part of the stack."""
    config = card / "data" / "gate.toml"
    port = int(config.read_text().split('listen = "127.0.0.1:', 1)[1].split('"', 1)[0])
    Lens(card / "data" / "camera.frames").show(idle_view(GATE))
    argv = [command_path("portillon-gate"), "run", "--config", str(config)]
    part = Part(f"gate-{GATE}", "gate", argv, log=str(drill.stack.directory / "logs" / f"gate-{GATE}.log"), port=port,
                url=f"http://127.0.0.1:{port}", config=str(config))  # fmt: skip
    part.launch()
    drill.stack.parts[part.name] = part
    return part


def _waiting(claiming: Part) -> Json | None:
    """Return what the screen says once a claim waits for its operator."""
    try:
        shown = loopback_client(f"http://127.0.0.1:{claiming.port}").get("/claim.json").json()
    except (httpx.HTTPError, ValueError):
        return None
    return shown if shown.get("state") == "waiting" else None


def _try_others(drill: Drill, shown: Json) -> None:
    """Somebody claims with no keys of a gate, asks after a claim that is not theirs, guesses a code."""
    slug = drill.stack.district["district"]["slug"]
    client = loopback_client(drill.stack.web_url)
    said = {"v": 1, "code": shown["code"], "public_key": "00" * 32, "request": "00", "proof": "00" * 64}
    drill.must(client.post(f"/api/gates/{slug}/claims", json=said).status_code == 400, "a claim of nobody was taken")
    strange = f"/api/gates/{slug}/claims/00000000-0000-0000-0000-000000000000"
    asked = client.get(strange, headers={"authorization": "Bearer x"})
    drill.must(asked.status_code == 404, "a stranger was told of a claim")


def _goes(drill: Drill, *arguments: str) -> bool:
    try:
        drill.stack.cloud(*arguments)
    except WorldFault:
        return False
    return True


def _first_arrival(drill: Drill, gate: Part, card: Path) -> str:
    """Let the first family of the site stand at the new gate; return the gate's answer."""
    house = Gatehouse(GATE, gate.url, card / "data" / "camera.frames")
    house.open()
    try:
        phones = drill.stack.phones()
        with http_client(drill.stack.web_url) as client:
            for phone in phones:
                phone.refresh(client, now())
        phone, held = next((phone, held) for phone in phones for held in phone.passes if held.site == SITE)
        arrival = house.receive(Arrival(phone, held, GATE), "clean", 1)
        while arrival.code == "STALE" and drill.seconds < ARRIVED_SECONDS_MAX:  # it remembers no phone yet (P-3, boot)
            arrival = house.receive(Arrival(phone, held, GATE), "clean", 1)
        drill.must(arrival.is_opened and arrival.fact, f"the new gate answered {arrival.code}")
        drill.until(lambda: drill.gate(GATE).get("outbox") == 0, "no receipt came")
    finally:
        house.close()
    return arrival.code
