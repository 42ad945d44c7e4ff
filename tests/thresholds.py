"""A real gate with the list that the cloud signs for the cast's site, and the phone of a member of staff before it."""

from collections.abc import Callable
from uuid import UUID
from zoneinfo import ZoneInfo

from cloud.kit import clock
from cloud.kit.db import Database
from cloud.kit.ids import new_id
from cloud.passes import service as passes
from cloud.passes.keys import KeyRing
from edge.decision import Decision, GateSettings
from edge.gate import Gate
from edge.roster import Roster
from edge.view import Symbol
from protocols.canonical import encode
from protocols.passes import DeviceKey, present_staff
from protocols.reasons import DocumentKind
from protocols.rules import Hours
from tests.cast import TIMEZONE, Cast
from tests.phones import an_ed25519_phone, octets

StaffPass = Callable[[float, int], str]


class Door:
    """A real gate at the cast's site, with the policy list that the cloud signs now."""

    def __init__(self, database: Database, cast: Cast, ring: KeyRing) -> None:
        self.database, self.cast, self.ring, self.at = database, cast, ring, clock.now().timestamp()
        settings = GateSettings(11, cast.site, Hours(ZoneInfo(TIMEZONE), ((0, 86_400),)), "pass", 1)
        roster = Roster(cast.site, 11, trust=ring.trust, clock="ntp")
        self.gate = Gate(settings, roster, boot_at=self.at - 600)
        self.gate.boot(self.at - 600)
        self.learn()

    def learn(self) -> None:
        with self.database.tenant(self.cast.district) as tx:
            listed = passes.compile_policy(tx, self.ring, self.cast.district, self.cast.site, clock.now())
        assert self.gate.document(DocumentKind.KR1, listed.body, self.at).code == "LIST_OK"

    def sees(self, text: str, seconds: float = 0) -> Decision:
        return self.gate.scan([Symbol(text)], self.at + seconds)


def a_staff_pass(database: Database, cast: Cast, ring: KeyRing, person: UUID, seed: int = 5) -> StaffPass:
    """Return how a member of staff's paired phone draws its pass: intent, seconds -> text."""
    phone = an_ed25519_phone(seed)
    device = DeviceKey(octets(phone.key["x"]))
    with database.tenant(cast.district) as tx:
        phone_id = new_id()
        tx.execute("INSERT INTO pass_key VALUES (%s, %s, %s, 1, %s, %s, now())",
                   (cast.district, phone_id, person, encode(device.to_cose()), device.thumb))  # fmt: skip
        [held] = passes.phones_of(tx, cast.district, person)
        [offer] = passes.offers(tx, ring, cast.district, held, clock.now())
    assert offer.kind == "staff"
    return lambda at, intent: present_staff(offer.credential, phone.sign, device.alg, iat=int(at), intent=intent)
