"""A gate's mind, families with real keys, and a moment: what tests of decisions stand on."""

from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from nacl.signing import SigningKey

from edge.decision import Decision, GateSettings
from edge.gate import Gate
from edge.roster import Roster
from edge.view import Symbol
from protocols import passes
from protocols.documents import CustodyRule, PolicyList, build_policy_list
from protocols.passes import DeviceKey, Revocations
from protocols.reasons import DocumentKind
from protocols.rules import Hours
from protocols.trust import Role, TrustedKey, trust_of

NOW = 1_800_000_000  # Friday 15 January 2027, 08:00 UTC
SITE, GATE, SISTER = 101, 11, 12
ISSUER, POLICY = SigningKey(b"i" * 32), SigningKey(b"p" * 32)
UTC = ZoneInfo("UTC")
TRUST = trust_of([TrustedKey(bytes(ISSUER.verify_key), Role.ISSUER), TrustedKey(bytes(POLICY.verify_key), Role.POLICY)])


@dataclass
class Phone:
    """A family's (or a teacher's) phone: its key, its credential, and the pass of a moment."""

    seed: int
    children: tuple[tuple[int, int], ...] = ((1, 3),)
    holder: int = 7
    powers: int = 0
    key: SigningKey = field(init=False)
    credential: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.key = SigningKey(bytes([self.seed]) * 32)
        window = {"iat": NOW - 600, "exp": NOW + 6 * 86_400, "cti": bytes([self.seed]) * 8}
        if self.powers:
            self.credential = passes.issue_staff_credential(
                ISSUER, site=SITE, staff=self.holder, powers=self.powers, device=self.device, **window
            )
        else:
            self.credential = passes.issue_credential(
                ISSUER, site=SITE, holder=self.holder, children=self.children, device=self.device, **window
            )

    @property
    def device(self) -> DeviceKey:
        return DeviceKey(bytes(self.key.verify_key))

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message).signature

    def shows(self, at: float, direction: int = passes.IN, mask: int = 0, **more: int) -> str:
        """The family's pass as redrawn at `at`; mask 0: all children."""
        mask = mask or (1 << len(self.children)) - 1
        acts = {"iat": int(at), "direction": direction, "childmask": mask, **more}
        return passes.present(self.credential, self.sign, self.device.alg, **acts)

    def shows_staff(self, at: float, intent: int = passes.INTENT_CONFIRM) -> str:
        return passes.present_staff(self.credential, self.sign, self.device.alg, iat=int(at), intent=intent)


def a_card(seed: int = 200, children: tuple[tuple[int, int], ...] = ((5, 3),)) -> str:
    window = {"iat": NOW - 600, "exp": NOW + 300 * 86_400, "cti": bytes([seed]) * 8}
    return passes.card_text(passes.issue_card(ISSUER, site=SITE, holder=9, children=children, **window))


def a_list(version: int = 1, at: int = NOW, custody: tuple[CustodyRule, ...] = (), **revoked: Any) -> bytes:
    body = PolicyList(SITE, version, at, at + 3 * 86_400, Revocations(**revoked), custody)
    return build_policy_list(POLICY, body)


class Doorstep:
    """A gate with a policy list, which remembers its rows as a journal would. clock: ntp unless said."""

    def __init__(self, *, departures: str = "pass", gates: int = 1, clock: str = "ntp", listed: bool = True) -> None:
        self.rows: dict[tuple[str, bytes], bytes] = {}
        self.settings = GateSettings(GATE, SITE, Hours(UTC), departures, gates)
        self.clock = clock
        self.gate = self._boot(NOW - 600)
        if listed:
            self.keep(self.gate.document(DocumentKind.KR1, a_list(), NOW))

    def _boot(self, at: float) -> Gate:
        roster = Roster(SITE, GATE, trust=TRUST, clock=self.clock, saved=self.rows)
        gate = Gate(self.settings, roster, saved=self.rows, boot_at=at)
        self.gate = gate
        self.keep(gate.boot(at))
        return gate

    def restart(self, at: float) -> None:
        self._boot(at)

    def keep(self, decision: Decision) -> Decision:
        for table, key, value in decision.changes:
            if value is None:
                self.rows.pop((table, key), None)
            else:
                self.rows[table, key] = value
        return decision

    def scan(self, at: float, *texts: str | Symbol) -> Decision:
        symbols = [text if isinstance(text, Symbol) else Symbol(text) for text in texts]
        return self.keep(self.gate.scan(symbols, at))
