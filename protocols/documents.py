"""The signed documents a site lives by: policy list KR1, gates KL1, configuration KF1, mode KM1, command KX1.

Each is built here and loaded here; loading either returns the document or raises DocumentRefused with its code, and
the caller keeps the last good one. The trust list KK1 stands in `trust`. Obeys P-4.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise

from nacl.signing import SigningKey

from protocols import cose
from protocols.canonical import Value, encode
from protocols.envelope import (
    DocumentRefused,
    FindKey,
    Held,
    digest_of,
    open_claims,
    sealed,
    shaped,
    uint,
    unpack,
    version_check,
)
from protocols.limits import COMMAND_SECONDS_MAX, CTI_BYTES, KID_BYTES, MODE_SECONDS_MAX, THUMB_BYTES
from protocols.passes import Revocations
from protocols.reasons import DocumentCode, DocumentKind
from protocols.trust import Role, Trust

_POLICY, _GATES, _MODE, _CONFIG, _COMMAND = -65540, -65544, -65545, -65546, -65547  # private claims, P-4
RULE_IN, RULE_OUT, RULE_ASK = 1, 2, 4  # bits of a custody rule


@dataclass(frozen=True)
class CustodyRule:
    """A child may not come or go with a holder (0: with anyone) in `from_ <= now < to`; bits: 1 in, 2 out, 4 ask."""

    child: int
    holder: int
    bits: int
    from_: int
    to: int


@dataclass(frozen=True)
class PolicyList:
    """What a site forbids now. Times are UTC seconds."""

    site: int
    version: int
    iat: int
    next_update: int
    revocations: Revocations = field(default_factory=Revocations)
    custody: tuple[CustodyRule, ...] = ()
    held: Held | None = None


@dataclass(frozen=True)
class GateKey:
    """A gate of a site and its public key; the window is inclusive."""

    gate: int
    public: bytes
    not_before: int = 0
    not_after: int = 2**32 - 1


@dataclass(frozen=True)
class GateList:
    site: int
    version: int
    iat: int
    gates: dict[int, GateKey] = field(default_factory=dict)
    held: Held | None = None


class Mode(IntEnum):
    """A site's mode: a level, not an order."""

    NORMAL = 0
    LOCKDOWN = 1
    EVACUATE = 2
    FREE = 3
    HOLIDAY = 4


@dataclass(frozen=True)
class SiteMode:
    """Evacuate and free live at most 4 h; a mode past `exp` counts as normal."""

    site: int
    version: int
    mode: Mode
    by: int
    iat: int
    exp: int
    held: Held | None = None


@dataclass(frozen=True)
class GateConfiguration:
    """Desired configuration of one gate: JSON bytes, judged by the gate itself."""

    gate: int
    version: int
    iat: int
    json: bytes
    held: Held | None = None


@dataclass(frozen=True)
class Command:
    """One order to one gate: expires within 15 s, and its nonce is used once."""

    gate: int
    operation: str
    arguments: dict
    by: int
    nonce: bytes
    iat: int
    exp: int


# --- building ---------------------------------------------------------------------------------------------------


def build_policy_list(key: SigningKey, policy: PolicyList) -> bytes:
    """Return KR1 signed by the policy key. All builders raise ValueError for more than a document may hold (P-1)."""
    revocations = policy.revocations
    body = [
        policy.site,
        policy.version,
        b"".join(sorted(revocations.ctis)),
        b"".join(sorted(revocations.thumbs)),
        [list(row) for row in sorted(revocations.holders.items())],
        b"".join(sorted(revocations.kids)),
        [[rule.child, rule.holder, rule.bits, rule.from_, rule.to] for rule in policy.custody],
    ]
    return _sign(key, DocumentKind.KR1, {4: policy.next_update, 6: policy.iat, _POLICY: body})


def build_gate_list(key: SigningKey, gates: GateList) -> bytes:
    """Return KL1 signed by the registry key. Raises ValueError for a key that is no valid point."""
    rows = [gates.gates[number] for number in sorted(gates.gates)]
    if not all(cose.is_valid_ed25519(row.public) for row in rows):
        raise ValueError("a gate's key that is no valid point")
    body = [[row.gate, row.public, row.not_before, row.not_after] for row in rows]
    return _sign(key, DocumentKind.KL1, {6: gates.iat, _GATES: [gates.site, gates.version, body]})


def build_site_mode(key: SigningKey, mode: SiteMode) -> bytes:
    """Return KM1 signed by the command key."""
    body = [mode.site, mode.version, int(mode.mode), mode.by]
    return _sign(key, DocumentKind.KM1, {4: mode.exp, 6: mode.iat, _MODE: body})


def build_gate_configuration(key: SigningKey, configuration: GateConfiguration) -> bytes:
    """Return KF1 signed by the control key."""
    body = [configuration.gate, configuration.version, configuration.json]
    return _sign(key, DocumentKind.KF1, {6: configuration.iat, _CONFIG: body})


def build_command(key: SigningKey, command: Command) -> bytes:
    """Return KX1 signed by the command key."""
    body = [command.gate, command.operation, command.arguments, command.by]
    return _sign(key, DocumentKind.KX1, {4: command.exp, 6: command.iat, 7: command.nonce, _COMMAND: body})


def _sign(key: SigningKey, kind: DocumentKind, claims: dict) -> bytes:
    return sealed(kind, cose.sign(kind.name.encode(), encode(claims), key))


# --- loading ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reader:
    """What a document is judged against. `held`: the version that is held of this kind."""

    trust: Trust
    site: int
    now: float
    held: Held | None = None
    clock_trusted: bool = True
    gate: int | None = None


def load_policy_list(data: bytes, reader: Reader) -> PolicyList:
    """Return the policy list of this site. Raises DocumentRefused(LIST_…)."""
    kind = DocumentKind.KR1
    claims, kid = open_claims(data, kind, {4, 6, _POLICY}, _signed_by(reader, Role.POLICY))
    policy = shaped(kind, lambda: _policy(claims, data))
    _check_place_and_version(kind, kid, policy, reader)
    return policy


def load_gate_list(data: bytes, reader: Reader) -> GateList:
    """Return the gates of this site. Raises DocumentRefused(GATES_…)."""
    kind = DocumentKind.KL1
    claims, kid = open_claims(data, kind, {6, _GATES}, _signed_by(reader, Role.REGISTRY))
    gates = shaped(kind, lambda: _gates(claims, data))
    _check_place_and_version(kind, kid, gates, reader)
    return gates


def load_site_mode(data: bytes, reader: Reader) -> SiteMode:
    """Return the mode of this site. Raises DocumentRefused(MODE_…); a mode past its end is MODE_EXPIRED."""
    kind = DocumentKind.KM1
    claims, kid = open_claims(data, kind, {4, 6, _MODE}, _signed_by(reader, Role.COMMAND))
    mode = shaped(kind, lambda: _mode(claims, data))
    _check_place_and_version(kind, kid, mode, reader)
    if reader.clock_trusted and reader.now >= mode.exp:
        raise DocumentRefused(kind, DocumentCode.EXPIRED)
    return mode


def load_gate_configuration(data: bytes, reader: Reader) -> GateConfiguration:
    """Return the configuration of this gate. Raises DocumentRefused(CONFIG_…)."""
    kind = DocumentKind.KF1
    claims, kid = open_claims(data, kind, {6, _CONFIG}, _signed_by(reader, Role.CONTROL))
    configuration = shaped(kind, lambda: _configuration(claims, data))
    _check_place(kind, kid, configuration.iat, configuration.gate == reader.gate, reader)
    assert configuration.held
    version_check(kind, configuration.iat, configuration.held, reader.now, reader.held, reader.clock_trusted)
    return configuration


def load_command(data: bytes, reader: Reader) -> Command:
    """Return an order to this gate, in its 15 s. Raises DocumentRefused(COMMAND_…). Nonces: the caller's."""
    kind = DocumentKind.KX1
    claims, kid = open_claims(data, kind, {4, 6, 7, _COMMAND}, _signed_by(reader, Role.COMMAND))
    command = shaped(kind, lambda: _command(claims))
    _check_place(kind, kid, command.iat, command.gate == reader.gate, reader)
    if command.iat > reader.now + COMMAND_SECONDS_MAX:
        raise DocumentRefused(kind, DocumentCode.FUTURE)
    if reader.now >= command.exp:
        raise DocumentRefused(kind, DocumentCode.EXPIRED)
    return command


def _signed_by(reader: Reader, role: Role) -> FindKey:
    def find(kid: bytes | None) -> bytes | None:
        key = reader.trust.find(kid, role)
        return key.public if key else None

    return find


def _check_place(kind: DocumentKind, kid: bytes, iat: int, meant: bool, reader: Reader) -> None:
    """Raise KEY for a retired key, which signs nothing new; SITE where document or key is another site's."""
    key = reader.trust.keys[kid]
    if not key.covers(iat):
        raise DocumentRefused(kind, DocumentCode.KEY)
    if not meant or not key.serves(reader.site):
        raise DocumentRefused(kind, DocumentCode.SITE)


def _check_place_and_version(
    kind: DocumentKind, kid: bytes, document: PolicyList | GateList | SiteMode, reader: Reader
) -> None:
    _check_place(kind, kid, document.iat, document.site == reader.site, reader)
    assert document.held
    version_check(kind, document.iat, document.held, reader.now, reader.held, reader.clock_trusted)


def _policy(claims: dict, data: bytes) -> PolicyList:
    site, version, ctis, thumbs, holders, kids, custody = unpack(claims[_POLICY], 7)
    pairs = [(uint(unpack(row, 2)[0], 1), uint(row[1])) for row in _list(holders)]
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a holder listed twice")
    revocations = Revocations(
        _ascending(ctis, CTI_BYTES), _ascending(thumbs, THUMB_BYTES), dict(pairs), _ascending(kids, KID_BYTES)
    )
    rules = tuple(_rule(unpack(row, 5)) for row in _list(custody))
    held = Held(uint(version), digest_of(data))
    return PolicyList(uint(site, 1), held.version, uint(claims[6]), uint(claims[4]), revocations, rules, held)


def _rule(row: list) -> CustodyRule:
    child, holder, bits, from_, to = row
    return CustodyRule(uint(child, 1), uint(holder), uint(bits, 1, 7), uint(from_), uint(to))


def _ascending(value: Value, size: int) -> frozenset[bytes]:
    """The strings of `size` that stand end to end in `value`, sorted, none twice."""
    if type(value) is not bytes or len(value) % size:
        raise ValueError("strings that do not stand end to end")
    rows = [value[at : at + size] for at in range(0, len(value), size)]
    if any(left >= right for left, right in pairwise(rows)):
        raise ValueError("strings unsorted or repeated")
    return frozenset(rows)


def _list(value: Value) -> list:
    if type(value) is not list:
        raise ValueError("not an array")
    return value


def _gates(claims: dict, data: bytes) -> GateList:
    site, version, rows = unpack(claims[_GATES], 3)
    gates = {key.gate: key for key in (_gate_key(unpack(row, 4)) for row in _list(rows))}
    if len(gates) != len(rows):
        raise ValueError("a gate named twice")
    held = Held(uint(version), digest_of(data))
    return GateList(uint(site, 1), held.version, uint(claims[6]), gates, held)


def _gate_key(row: list) -> GateKey:
    gate, public, not_before, not_after = row
    if type(public) is not bytes or not cose.is_valid_ed25519(public):
        raise ValueError("a gate's key that is no valid point")
    return GateKey(uint(gate, 1), public, uint(not_before), uint(not_after))


def _mode(claims: dict, data: bytes) -> SiteMode:
    site, version, mode, by = unpack(claims[_MODE], 4)
    held = Held(uint(version), digest_of(data))
    level, iat, exp = Mode(uint(mode, 0, 4)), uint(claims[6]), uint(claims[4])
    if exp <= iat or level in (Mode.EVACUATE, Mode.FREE) and exp - iat > MODE_SECONDS_MAX:
        raise ValueError("a mode that lives too long")
    return SiteMode(uint(site, 1), held.version, level, uint(by), iat, exp, held)


def _configuration(claims: dict, data: bytes) -> GateConfiguration:
    gate, version, json = unpack(claims[_CONFIG], 3)
    if type(json) is not bytes:
        raise ValueError("a configuration is JSON bytes")
    held = Held(uint(version), digest_of(data))
    return GateConfiguration(uint(gate, 1), held.version, uint(claims[6]), json, held)


def _command(claims: dict) -> Command:
    gate, operation, arguments, by = unpack(claims[_COMMAND], 4)
    nonce, iat, exp = claims[7], uint(claims[6]), uint(claims[4])
    if type(operation) is not str or type(arguments) is not dict or type(nonce) is not bytes or len(nonce) != 8:
        raise ValueError("a command of another shape")
    if not 0 < exp - iat <= COMMAND_SECONDS_MAX:
        raise ValueError("a command that lives too long")
    return Command(uint(gate, 1), operation, arguments, uint(by), nonce, iat, exp)
