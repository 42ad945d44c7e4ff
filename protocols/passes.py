"""Passes and cards: KG1, KT1 and KC1, made and verified.

A pass answers four questions in turn, each a function: is it one (`read`), who issued it (`check_issuer`), is its
credential good here and now (`check_credential`), did the phone sign this moment (`check_presentation`). The gate
asks them one by one, because replays stand between them; everyone else calls `verify`.
Not here: children and permissions (`rules`), replays and doors (the gate). Obeys P-2, and P-3 (a) to (d).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec
from nacl.signing import SigningKey

from protocols import cose
from protocols.canonical import CanonicalError, Value, base45_decode, base45_encode, decode, encode
from protocols.envelope import uint, unpack
from protocols.limits import (
    CARD_SECONDS_MAX,
    CREDENTIAL_AHEAD_SECONDS_MAX,
    CREDENTIAL_SECONDS_MAX,
    CTI_BYTES,
    GATE_CLOCK_TOLERANCE_SECONDS,
    PASS_CHARACTERS_MAX,
    PASS_CHILDREN_MAX,
    PRESENTATION_AGE_SECONDS_MAX,
    PRESENTATION_AHEAD_SECONDS_MAX,
    PRESENTATION_SKEW_SECONDS_MAX,
    THUMB_BYTES,
)
from protocols.reasons import Reason
from protocols.trust import Role, Trust, TrustedKey

IN, OUT = 1, 2  # direction
DROP_OFF, PICK_UP, STAFF_MUST_CONFIRM = 1, 2, 4  # perms, a sum
POWER_CONFIRM, POWER_TAKE_IN, POWER_ENTER, POWER_RELEASE = 1, 2, 4, 8  # powers, a sum
INTENT_CONFIRM, INTENT_ENTER = 1, 2  # intent

PHONE, STAFF, CARD = "KG1", "KT1", "KC1"
_EXP, _IAT, _CTI, _CNF = 4, 6, 7, 8  # claims, RFC 8392 and RFC 8747
_FAMILY, _ACTS, _CARD, _STAFF, _INTENT = -65537, -65538, -65539, -65541, -65542  # private claims, P-2
_COMMON = {_EXP, _IAT, _CTI}
_SHAPES = {PHONE: _COMMON | {_CNF, _FAMILY}, STAFF: _COMMON | {_CNF, _STAFF}, CARD: _COMMON | {_CARD}}


class PassRefused(Exception):
    """The pass is refused. `reason` says why; `by` is the seconds a clock is off, with CLOCK_SKEW alone."""

    def __init__(self, reason: Reason, by: int | None = None) -> None:
        self.reason, self.by = reason, by
        super().__init__(reason.value)


@dataclass(frozen=True)
class DeviceKey:
    """A phone's public key. Ed25519: x alone (32 bytes); P-256: x and the sign of y."""

    x: bytes
    y_sign: bool | None = None

    @property
    def alg(self) -> int:
        return cose.ED25519 if self.y_sign is None else cose.ESP256

    @property
    def thumb(self) -> bytes:
        """First 8 bytes of SHA-256 of the COSE_Key."""
        return thumb_of(self.to_cose())

    def to_cose(self) -> dict:
        if self.y_sign is None:
            return {1: 1, -1: 6, -2: self.x}
        return {1: 2, -1: 1, -2: self.x, -3: self.y_sign}

    @classmethod
    def from_cose(cls, value: Value) -> "DeviceKey":
        """Raises PassRefused(BAD_KEY) for another shape or length, or an invalid point (P-2)."""
        key = cls._shaped(value)
        if key is None or not key.is_valid():
            raise PassRefused(Reason.BAD_KEY)
        return key

    @classmethod
    def _shaped(cls, value: Value) -> "DeviceKey | None":
        if type(value) is not dict or type(value.get(-2)) is not bytes or len(value[-2]) != 32:
            return None
        if any(type(value.get(label)) is not int for label in (1, -1)):
            return None
        if set(value) == {1, -1, -2} and (value[1], value[-1]) == (1, 6):
            return cls(value[-2])
        if set(value) == {1, -1, -2, -3} and (value[1], value[-1]) == (2, 1) and type(value[-3]) is bool:
            return cls(value[-2], value[-3])
        return None

    def is_valid(self) -> bool:
        """Whether x names a valid point: asked where a key is enrolled and where it is used (P-1)."""
        if self.y_sign is None:
            return cose.is_valid_ed25519(self.x)
        try:
            self._p256()
        except ValueError:
            return False
        return True

    def _p256(self) -> ec.EllipticCurvePublicKey:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes((2 + bool(self.y_sign),)) + self.x)

    def verifies(self, signed: cose.Sign1, external_aad: bytes) -> bool:
        if self.y_sign is None:
            return cose.verify_ed25519(self.x, signed, external_aad)
        return cose.verify_p256(self._p256(), signed, external_aad)


def thumb_of(cose_key: Value) -> bytes:
    """A phone's short name: first 8 bytes of SHA-256 of its COSE_Key."""
    return hashlib.sha256(encode(cose_key)).digest()[:THUMB_BYTES]


@dataclass(frozen=True)
class PassText:
    """A text that has the outer shape of a pass: nothing in it is believed yet."""

    kind: str
    credential: cose.Sign1
    presentation: Value = None

    @property
    def credential_bytes(self) -> bytes:
        return encode(self.credential.as_value())

    @property
    def signed_fields(self) -> bytes:
        """A name for what is shown, whoever signed it: never its text or its signatures (P-1)."""
        shown = self.presentation[2] if self.presentation and len(self.presentation) > 2 else None
        return hashlib.sha256(self.credential.payload + encode(shown)).digest()


@dataclass(frozen=True)
class Credential:
    """What an issuer vouched for. `holder` is a staff member's reference on a staff pass, which has powers."""

    kind: str
    cti: bytes
    iat: int
    exp: int
    site: int
    holder: int
    children: tuple[tuple[int, int], ...] = ()  # (child, perms)
    powers: int = 0
    cose_key: Value = None
    issuer: bytes = b""

    @property
    def thumb(self) -> bytes:
        return thumb_of(self.cose_key) if self.cose_key is not None else b""


@dataclass(frozen=True)
class Presentation:
    """What the phone signed. Family: direction, childmask, perhaps a gate; staff: an intent."""

    iat: int
    direction: int = 0
    childmask: int = 0
    gate: int | None = None
    intent: int = 0
    digest: bytes = b""  # of the signed fields: a pass is known by them, never by its text or signature (P-1)


@dataclass(frozen=True)
class Revocations:
    """What a policy list says of credentials, phones, holders and issuers."""

    ctis: frozenset[bytes] = frozenset()
    thumbs: frozenset[bytes] = frozenset()
    holders: dict[int, int] = field(default_factory=dict)  # holder -> not-before iat
    kids: frozenset[bytes] = frozenset()


@dataclass(frozen=True)
class Place:
    """Where and when a pass is judged. `at`: UTC seconds. gate None: any. clock: "ntp", "holdover" or "untrusted"."""

    site: int
    at: float
    trust: Trust
    revocations: Revocations = field(default_factory=Revocations)
    gate: int | None = None
    clock: str = "ntp"
    floor: float = 0


@dataclass(frozen=True)
class VerifiedPass:
    """A pass that is genuine here and now; whether it opens is for `rules` and the gate to say."""

    credential: Credential
    presentation: Presentation | None

    @property
    def children(self) -> tuple[tuple[int, int], ...]:
        """The children that the presentation names, with their perms; all of them on a card."""
        if self.presentation is None:
            return self.credential.children
        mask = self.presentation.childmask
        return tuple(row for bit, row in enumerate(self.credential.children) if mask >> bit & 1)


# --- verification, in the order of P-3 --------------------------------------------------------------------------


def looks_like_pass(text: str) -> bool:
    """Whether a symbol's text is `K`, `G`/`C`/`T`, a digit, `:` (P-3 a). Other symbols are ignored."""
    return len(text) >= 4 and text[0] == "K" and text[1] in "GCT" and text[2] in "0123456789" and text[3] == ":"


def read(text: str) -> PassText:
    """Return the pass in `text` (P-3 a). Raises PassRefused: NOT_A_PASS, TOO_LONG, UNKNOWN_VERSION, FORMAT."""
    if not looks_like_pass(text):
        raise PassRefused(Reason.NOT_A_PASS)
    if len(text) > PASS_CHARACTERS_MAX:
        raise PassRefused(Reason.TOO_LONG)
    if text[2] != "1":
        raise PassRefused(Reason.UNKNOWN_VERSION)
    kind = text[:3]
    try:
        value = decode(base45_decode(text[4:]))
        if kind == CARD:
            return PassText(kind, cose.read(value))
        credential, presentation = unpack(value, 2)
        if type(presentation) is not list:
            raise CanonicalError("a presentation that is no array")
        return PassText(kind, cose.read(credential), presentation)
    except ValueError as error:
        raise PassRefused(Reason.FORMAT) from error


def check_issuer(text: PassText, place: Place) -> TrustedKey:
    """Return the issuer's key whose signature is good (P-3 b): algorithm, key, its revocation, signature."""
    signed = text.credential
    if signed.alg != cose.ED25519:
        raise PassRefused(Reason.BAD_ALG)
    key = place.trust.find(signed.kid, Role.ISSUER)
    if key is None:
        raise PassRefused(Reason.UNKNOWN_ISSUER)
    if signed.kid in place.revocations.kids:
        raise PassRefused(Reason.ISSUER_REVOKED)
    if not cose.verify_ed25519(key.public, signed, text.kind.encode()):
        raise PassRefused(Reason.BAD_SIGNATURE)
    return key


def check_credential(credential: Credential, key: TrustedKey, place: Place) -> None:
    """Raise PassRefused unless the credential is good here and now (P-3 c, after its claims' shapes).

    Site, lifetime, issuer's window, the gate's clock, the credential's time, revocation. With an untrusted clock the
    checks of time are skipped.
    """
    if credential.site != place.site or not key.serves(place.site):
        raise PassRefused(Reason.OTHER_SITE)
    most = CARD_SECONDS_MAX if credential.kind == CARD else CREDENTIAL_SECONDS_MAX
    if not 0 < credential.exp - credential.iat <= most:
        raise PassRefused(Reason.FORMAT)
    if not key.covers(credential.iat):
        raise PassRefused(Reason.ISSUER_WINDOW)
    _check_times(credential, place)
    check_revocations(credential, place.revocations)


def _check_times(credential: Credential, place: Place) -> None:
    if place.clock == "untrusted":
        return
    if place.clock == "holdover" and place.at < place.floor - GATE_CLOCK_TOLERANCE_SECONDS:
        raise PassRefused(Reason.GATE_CLOCK)
    if credential.iat > place.at + CREDENTIAL_AHEAD_SECONDS_MAX:
        raise PassRefused(Reason.NOT_YET_VALID)
    if place.at >= credential.exp:
        raise PassRefused(Reason.EXPIRED)


def check_revocations(credential: Credential, revocations: Revocations) -> None:
    """Raise PassRefused for a revoked credential or a blocked holder (staff are not holders)."""
    if credential.cti in revocations.ctis:
        raise PassRefused(Reason.REVOKED)
    if credential.kind != STAFF and revocations.holders.get(credential.holder, 0) > credential.iat:
        raise PassRefused(Reason.HOLDER_BLOCKED)


def check_presentation(text: PassText, credential: Credential, place: Place) -> Presentation:
    """Return what the phone signed, its signature, childmask and gate good (P-3 d, before replays and time)."""
    presentation, signed = _presentation(text)
    if credential.thumb in place.revocations.thumbs:
        raise PassRefused(Reason.DEVICE_REVOKED)
    device = DeviceKey.from_cose(credential.cose_key)
    if signed.alg != device.alg:
        raise PassRefused(Reason.BAD_ALG)
    if not device.verifies(signed, text.kind.encode() + text.credential_bytes):
        raise PassRefused(Reason.BAD_SIGNATURE)
    if presentation.childmask >> len(credential.children):
        raise PassRefused(Reason.CHILD_NOT_IN_PASS)
    if place.gate is not None and presentation.gate not in (None, place.gate):
        raise PassRefused(Reason.OTHER_GATE)
    return presentation


def check_time_window(presentation: Presentation, place: Place) -> None:
    """Raise CLOCK_SKEW (with `by`), FUTURE or STALE for a presentation that is not of this moment (P-3 d)."""
    if place.clock == "untrusted":
        return
    ahead = presentation.iat - place.at
    if ahead > PRESENTATION_SKEW_SECONDS_MAX:
        raise PassRefused(Reason.FUTURE)
    if ahead > PRESENTATION_AHEAD_SECONDS_MAX:
        raise PassRefused(Reason.CLOCK_SKEW, by=math.ceil(ahead))
    if -ahead > PRESENTATION_AGE_SECONDS_MAX:
        raise PassRefused(Reason.STALE)


def verify(text: str, place: Place) -> VerifiedPass:
    """Return the pass in `text`, genuine here and now. Raises PassRefused. Knows nothing of replays."""
    read_text = read(text)
    key = check_issuer(read_text, place)
    credential = read_credential(read_text, key)
    check_credential(credential, key, place)
    if credential.kind == CARD:
        return VerifiedPass(credential, None)
    presentation = check_presentation(read_text, credential, place)
    check_time_window(presentation, place)
    return VerifiedPass(credential, presentation)


def read_credential(text: PassText, key: TrustedKey) -> Credential:
    """Return the claims of a credential whose signature is good (P-3 c, first). Raises PassRefused(FORMAT)."""
    try:
        claims = decode(text.credential.payload)
        if type(claims) is not dict or set(claims) != _SHAPES[text.kind]:
            raise ValueError("unknown or missing claims")
        if type(claims[_CTI]) is not bytes or len(claims[_CTI]) != CTI_BYTES:
            raise ValueError("a cti of another length")
        common = (text.kind, claims[_CTI], uint(claims[_IAT]), uint(claims[_EXP]))
        if text.kind == STAFF:
            site, staff, powers = unpack(claims[_STAFF], 3)
            who = (uint(site, 1), uint(staff, 1), (), uint(powers, 1, 15))
            return Credential(*common, *who, _confirmed(claims), key.kid)
        site, holder, children = unpack(claims[_CARD if text.kind == CARD else _FAMILY], 3)
        cose_key = None if text.kind == CARD else _confirmed(claims)
        return Credential(*common, uint(site, 1), uint(holder, 1), _children(children), 0, cose_key, key.kid)
    except ValueError as error:
        raise PassRefused(Reason.FORMAT) from error


def _confirmed(claims: dict) -> dict:
    """The COSE_Key in the confirmation claim: what is inside it is judged later (BAD_KEY)."""
    confirmation = claims[_CNF]
    if type(confirmation) is not dict or set(confirmation) != {1} or type(confirmation[1]) is not dict:
        raise ValueError("a confirmation claim of another shape")
    return confirmation[1]


def _children(value: Value) -> tuple[tuple[int, int], ...]:
    if type(value) is not list or not 1 <= len(value) <= PASS_CHILDREN_MAX:
        raise ValueError("no children, or too many")
    rows = tuple((uint(unpack(row, 2)[0], 1), uint(row[1], 1, 7)) for row in value)
    if len({child for child, _ in rows}) != len(rows):
        raise ValueError("a child named twice")
    return rows


def _presentation(text: PassText) -> tuple[Presentation, cose.Sign1]:
    label = _INTENT if text.kind == STAFF else _ACTS
    try:
        signed = cose.read(text.presentation, with_kid=False)
        claims = decode(signed.payload)
        if type(claims) is not dict or set(claims) != {_IAT, label} or type(claims[label]) is not list:
            raise ValueError("unknown or missing claims")
        digest = hashlib.sha256(text.credential.payload + signed.payload).digest()
        iat, acts = uint(claims[_IAT]), claims[label]
        if text.kind == STAFF:
            return Presentation(iat, intent=uint(unpack(acts, 1)[0], 1, 2), digest=digest), signed
        direction, childmask, *gate = acts if len(acts) == 3 else unpack(acts, 2)
        gates = [uint(number, 1) for number in gate]
        return Presentation(iat, uint(direction, 1, 2), uint(childmask, 1, 255), *gates, digest=digest), signed
    except ValueError as error:
        raise PassRefused(Reason.FORMAT) from error


# --- making -----------------------------------------------------------------------------------------------------


def issue_credential(
    issuer: SigningKey,
    *,
    site: int,
    holder: int,
    children: Sequence[tuple[int, int]],
    device: DeviceKey,
    iat: int,
    exp: int,
    cti: bytes,
) -> bytes:
    """Return a family's credential for one phone and one site. Raises ValueError for what a gate would refuse."""
    body = [site, holder, [list(row) for row in children]]
    _check_issuable(cti, iat, exp, CREDENTIAL_SECONDS_MAX, site, holder)
    _children(body[2])
    return _issue(issuer, PHONE, {_EXP: exp, _IAT: iat, _CTI: cti, _CNF: {1: _enrolled(device)}, _FAMILY: body})


def issue_staff_credential(
    issuer: SigningKey, *, site: int, staff: int, powers: int, device: DeviceKey, iat: int, exp: int, cti: bytes
) -> bytes:
    """Return a staff member's credential. powers: a sum of POWER_…."""
    _check_issuable(cti, iat, exp, CREDENTIAL_SECONDS_MAX, site, staff)
    body = [site, staff, uint(powers, 1, 15)]
    return _issue(issuer, STAFF, {_EXP: exp, _IAT: iat, _CTI: cti, _CNF: {1: _enrolled(device)}, _STAFF: body})


def issue_card(
    issuer: SigningKey, *, site: int, holder: int, children: Sequence[tuple[int, int]], iat: int, exp: int, cti: bytes
) -> bytes:
    """Return the bytes of a printed card; its text is `card_text` of them."""
    body = [site, holder, [list(row) for row in children]]
    _check_issuable(cti, iat, exp, CARD_SECONDS_MAX, site, holder)
    _children(body[2])
    return _issue(issuer, CARD, {_EXP: exp, _IAT: iat, _CTI: cti, _CARD: body})


def present(
    credential: bytes,
    signer: cose.Sign,
    alg: int,
    *,
    iat: int,
    direction: int,
    childmask: int,
    gate: int | None = None,
) -> str:
    """Return the text of a family's pass of this moment. signer: the phone's, message -> 64 bytes."""
    acts = [direction, childmask] + ([gate] if gate is not None else [])
    return _present(PHONE, credential, {_IAT: iat, _ACTS: acts}, alg, signer)


def present_staff(credential: bytes, signer: cose.Sign, alg: int, *, iat: int, intent: int) -> str:
    """Return the text of a staff pass of this moment. intent: INTENT_CONFIRM or INTENT_ENTER."""
    return _present(STAFF, credential, {_IAT: iat, _INTENT: [intent]}, alg, signer)


def card_text(card: bytes) -> str:
    """Return the text printed on a card."""
    return f"{CARD}:{base45_encode(card)}"


def _present(kind: str, credential: bytes, claims: dict, alg: int, signer: cose.Sign) -> str:
    presentation = cose.sign_bare(kind.encode() + credential, encode(claims), alg, signer)
    return f"{kind}:{base45_encode(encode([decode(credential), presentation]))}"


def _issue(issuer: SigningKey, kind: str, claims: dict) -> bytes:
    return cose.sign(kind.encode(), encode(claims), issuer)


def _check_issuable(cti: bytes, iat: int, exp: int, most: int, *references: int) -> None:
    if len(cti) != CTI_BYTES or not 0 < uint(exp) - uint(iat) <= most:
        raise ValueError("a cti of another length, or a lifetime over the limit")
    for reference in references:
        uint(reference, 1)


def _enrolled(device: DeviceKey) -> dict:
    if not device.is_valid():
        raise ValueError("a phone's key that is no valid point")
    return device.to_cose()
