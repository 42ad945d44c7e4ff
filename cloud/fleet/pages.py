"""The operators' list of gates: worst first, how many need me, each fault beside its repair. It names no child.

Responsible for: `/fleet/gates` and its stream; the words of each fault code. Not responsible for: what is a fault
(fleet/model.py). Obeys UX details 7, 12 and 16.
"""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from cloud.fleet import claim_pages, configurations, orders, service
from cloud.fleet.model import GateLine
from cloud.identity.doors import FleetActor, FleetTx, still_at
from cloud.identity.may import Action, Thing, require
from cloud.identity.model import Actor, Door
from cloud.kit import clock
from cloud.kit.db import Transaction, database_of
from cloud.kit.errors import N_
from cloud.kit.fragments import about, stream
from cloud.kit.i18n import Reader
from cloud.kit.web import fragment, page, reader_of

router = APIRouter()
router.include_router(claim_pages.router)


@dataclass(frozen=True)
class Fault:
    """How a fault code is told: bad keeps families waiting or loses evidence, warn can wait until tomorrow."""

    tone: str
    words: str
    repair: str


FAULTS = {
    "DOOR_FORCED": Fault(
        "bad",
        N_("The door was opened by force"),
        N_("Call the school and have somebody look. It ends when the door is closed."),
    ),
    "DOOR_FIRE": Fault(
        "bad", N_("The fire alarm released the door"), N_("It locks again by itself when the alarm is over.")
    ),
    "DOOR_TAMPER": Fault(
        "bad", N_("The unit was opened"), N_("If nobody of ours works on it, have somebody look at once.")
    ),
    "DOOR_FAULT": Fault(
        "bad",
        N_("The door's contact makes no sense"),
        N_("It says closed and open at once, or never changes: check its wire and the setting contact_open."),
    ),
    "DOOR_HELD_OPEN": Fault(
        "warn", N_("The door stands open"), N_("Ask the school to close it; a wedge under it is the usual cause.")
    ),
    "ROLLOUT_FAILED": Fault(
        "warn",
        N_("It gave a configuration up, and the rollout ended"),
        N_("It runs its last good one. Mend the change, then start the rollout again."),
    ),
    "CONFIG_REJECTED": Fault(
        "warn",
        N_("It refuses the configuration that is wanted"),
        N_("What is wrong stands below. It runs its last good one until another is wanted."),
    ),
    "LEDGER_FORK": Fault(
        "bad",
        N_("Two gates write one ledger"),
        N_("Two units share a key, or an old card was put back. Both stay stored. Claim one of them anew."),
    ),
    "SEGMENT_SIGNATURE": Fault(
        "bad",
        N_("Events with a wrong signature"),
        N_("Compare the unit's key with the registry. If they differ, revoke the gate and claim it anew."),
    ),
    "LEDGER_GAP": Fault(
        "bad", N_("Events are missing"), N_("The gate sends them again when asked: send it the command resync.")
    ),
    "DOUBLE_USE": Fault(
        "bad",
        N_("One pass at two gates at once"),
        N_("Tell the head of the school: the phone's key may be copied. Revoke that phone."),
    ),
    "JOURNAL_FAILED": Fault(
        "bad",
        N_("It could not write"),
        N_("Staff were asked for each pass while it lasted. Check its card; replace it if this comes again."),
    ),
    "GATE_OFFLINE": Fault(
        "bad",
        N_("Offline; it opens on its own"),
        N_("Nothing is lost. Check its power, then the network cable or Wi-Fi."),
    ),
    "CAMERA_BLIND": Fault(
        "bad",
        N_("The camera sees nothing"),
        N_("Look at the lens: covered, dirty or blinded. Then press its cable in and restart the gate."),
    ),
    "GATE_SILENT": Fault(
        "bad", N_("Connected, but says nothing"), N_("Restart the gate's program: it has not reported for minutes.")
    ),
    "CLOCK_UNTRUSTED": Fault(
        "bad",
        N_("The gate does not know the time"),
        N_("Staff confirm each pass. Let it reach a time server, and replace the clock's battery."),
    ),
    "GATE_CLOCK": Fault(
        "bad", N_("The gate's clock is behind"), N_("Let it reach a time server, and replace the clock's battery.")
    ),
    "PASS_FORGED": Fault(
        "warn",
        N_("Passes of a stranger's key were shown"),
        N_("The door stayed shut. If every family is refused, the gate lacks the newest list of keys."),
    ),
    "NOTE_REFUSED": Fault(
        "warn",
        N_("Notes of other gates were not believed"),
        N_("Somebody else may speak on the network of the gates, or a gate's clock is wrong."),
    ),
    "DOCUMENT_REFUSED": Fault(
        "warn",
        N_("A list was refused; the last good one stays"),
        N_("Check the server's clock and that no second worker signs with older keys."),
    ),
    "OUTBOX_OLD": Fault(
        "warn", N_("Events wait for their receipt"), N_("They are safe on the gate. Check that ingest is running.")
    ),
    "UPDATE_WENT_BACK": Fault(
        "warn",
        N_("A new version did not stay"),
        N_("The gate runs the version before. Read the reason in release rollout status, then mend the release."),
    ),
    "DISK_LOW": Fault(
        "warn", N_("The disk is nearly full"), N_("Free space on the card, or replace it with a larger one.")
    ),
    "DOCUMENTS_OLD": Fault(
        "warn",
        N_("Not on the newest lists"),
        N_("They arrive by themselves within a minute. If not, check that the worker is running."),
    ),
    "TOO_HOT": Fault("warn", N_("Too hot"), N_("Give the unit shade and air.")),
    "GATE_NOT_APPROVED": Fault(
        "warn", N_("Waits for your approval"), N_("Compare its key on the unit, then approve it.")
    ),
    "GATE_NEVER_SEEN": Fault(
        "warn", N_("Never heard from"), N_("Switch it on and check the address of the broker in its gate.toml.")
    ),
    "GATE_CLONED": Fault(
        "bad", N_("One gate is two"), N_("A card was copied: find the second unit, and claim one of them anew.")
    ),
    "BROKER_WRITE_DENIED": Fault(
        "bad",
        N_("Writes where it may not"),
        N_("The broker refused it. Look at the unit: its program or its card may be another's. Revoke it if in doubt."),
    ),
    "BROKER_READ_DENIED": Fault(
        "bad",
        N_("Listens where it may not"),
        N_("The broker told it nothing. Look at the unit: its program or its card may be another's."),
    ),
    "CERTIFICATE_ENDED": Fault("bad", N_("Its certificate has ended"), N_("Claim the gate anew.")),
    "CERTIFICATE_7_DAYS": Fault(
        "bad", N_("Its certificate ends within 7 days"), N_("Sign what waits: portillon-cloud gate sign.")
    ),
    "CERTIFICATE_14_DAYS": Fault(
        "warn", N_("Its certificate ends within 14 days"), N_("Sign what waits: portillon-cloud gate sign.")
    ),
    "CERTIFICATE_30_DAYS": Fault(
        "warn", N_("Its certificate ends within 30 days"), N_("Sign what waits: portillon-cloud gate sign.")
    ),
    "CERTIFICATE_REFUSED": Fault(
        "warn",
        N_("The broker refused a certificate from its address"),
        N_("If it was revoked, it is still switched on somewhere. Else renew it: command renew, or claim it anew."),
    ),
    "GATE_REVOKED": Fault("warn", N_("Revoked"), N_("It is believed no longer. Take it down, or claim it anew.")),
}
# How sure a gate is of the time, as it says itself (P-6 up/hb).
CLOCKS = {"nts": N_("exact"), "ntp": N_("exact"), "holdover": N_("runs on its own"), "untrusted": N_("not known")}
# What the newest code in view says of the camera's place (up/hb hint): the installer's matter, and no fault.
HINTS = {
    "closer_or_farther": N_("The last code was out of focus: hold phones closer or farther, or set the lens."),
    "dimmer": N_("The last code glared: shade the camera from the lamp or the sun."),
}
# How a configuration and a command ended.
STATES = {"applied": N_("applied"), "pending": N_("on trial"), "rejected": N_("refused")}
OUTCOMES = {"done": N_("done"), "refused": N_("refused"), "expired": N_("came too late"), "failed": N_("failed")}
MODES = {
    "lockdown": N_("Lockdown"), "evacuate": N_("Evacuation"), "free": N_("Doors open"), "holiday": N_("Holiday"),
}  # fmt: skip
OTHER = Fault("bad", N_("An alarm"), N_("Look at the gate's log for this code."))


@dataclass(frozen=True)
class Summary:
    """The figures above the list."""

    online: int
    gates: int
    need_you: int
    waiting: int


@router.get("/fleet/gates")
def gates_page(request: Request, actor: FleetActor, tx: FleetTx) -> HTMLResponse:
    reader = reader_of(request, actor.language)
    return page(request, "fleet/gates.html", reader, actor=actor, **_told(tx, actor))


@router.get("/fleet/gates/stream")
async def gates_stream(request: Request, actor: FleetActor) -> StreamingResponse:
    reader = reader_of(request, actor.language)

    def draw() -> dict[str, str]:
        now_in = still_at(request, Door.FLEET)
        with database_of(request).tenant(now_in.district_id, now_in.person_id) as tx:
            return _fragments(reader, tx, now_in)

    return stream(request, actor.login_id, about(actor.district_id, "gate"), draw)


def _fragments(reader: Reader, tx: Transaction, actor: Actor) -> dict[str, str]:
    told = _told(tx, actor)
    return {name: fragment(reader, f"fleet/{name}.html", **told) for name in ("summary", "list")}


def _told(tx: Transaction, actor: Actor) -> dict:
    require(actor, Action.READ_GATES, Thing(actor.district_id))
    now = clock.now()
    lines = service.list_gates(tx, actor.district_id, now)
    words = {"faults": FAULTS, "other": OTHER, "clocks": CLOCKS, "tone_of": tone_of, "hints": HINTS, "states": STATES,
             "outcomes": OUTCOMES, "modes": MODES}  # fmt: skip
    words |= {"wanted": configurations.wanted_of_all(tx, actor.district_id),
              "orders": orders.last_orders(tx, actor.district_id)}  # fmt: skip
    return {"lines": lines, "summary": summary_of(lines), "now": now, **words}


def summary_of(lines: tuple[GateLine, ...]) -> Summary:
    """Return the figures; a gate needs somebody when anything is wrong with it."""
    waiting = sum(line.outbox or 0 for line in lines)
    return Summary(sum(line.online for line in lines), len(lines), sum(bool(line.faults) for line in lines), waiting)


def tone_of(line: GateLine) -> str:
    """Return good, warn or bad: the tone of a gate's gravest fault."""
    tones = {FAULTS.get(code, OTHER).tone for code in line.faults}
    return "bad" if "bad" in tones else "warn" if tones else "good"
