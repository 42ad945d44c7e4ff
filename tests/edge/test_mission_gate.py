"""Facts of the mission about the gate, each as a test that bears its number."""

from dataclasses import replace

from nacl.signing import SigningKey

from edge.decision import Decision
from protocols import passes
from protocols.events import Detail, Kind
from protocols.reasons import ALERTS, HEAD_ALERTS, DocumentKind, Reason, Signal
from tests.doorstep import ISSUER, NOW, SITE, Doorstep, Phone, a_list

THEIRS = SigningKey(b"x" * 32)  # of somebody who is no issuer here


def issued(phone: Phone, key: SigningKey, begins: int, ends: int) -> Phone:
    """The phone with another credential: by this key, for this time."""
    phone.credential = passes.issue_credential(
        key, site=SITE, holder=phone.holder, children=phone.children, device=phone.device, iat=begins, exp=ends,
        cti=bytes([phone.seed]) * 8,
    )  # fmt: skip
    return phone


def asked(what: str) -> Decision:
    """Hold up a pass that is not good; another family has come in before, so that the gate does open for passes."""
    door, phone, day = Doorstep(), Phone(seed=5, holder=8, children=((7, 3),)), 86_400
    assert door.scan(NOW, Phone(seed=1).shows(NOW)).strike
    if what == "copied":
        copy = phone.shows(NOW + 2)
        assert door.scan(NOW + 2, copy).strike
        return door.scan(NOW + 15, copy)
    if what == "revoked":
        door.keep(door.gate.document(DocumentKind.KR1, a_list(2, NOW + 1, ctis=frozenset({bytes([5]) * 8})), NOW + 1))
    if what == "unknown":
        issued(phone, THEIRS, NOW - 600, NOW + day)
    if what == "expired":
        issued(phone, ISSUER, NOW - 7 * day, NOW - day)
    text = phone.shows(NOW + 2)
    if what == "forged":
        thief = replace(phone, seed=6)
        thief.credential = phone.credential  # the credential is genuine, the key in the hand is not its own
        text = passes.present(phone.credential, thief.sign, thief.device.alg, iat=NOW + 2, direction=passes.IN,
                              childmask=1)  # fmt: skip
    return door.scan(NOW + 2, text)



def test_s1_19_an_unknown_expired_revoked_forged_or_copied_pass_is_red_with_its_code_no_strike_and_staff_hear() -> None:
    for what, code in (
        ("unknown", Reason.UNKNOWN_ISSUER), ("expired", Reason.EXPIRED), ("revoked", Reason.REVOKED),
        ("forged", Reason.BAD_SIGNATURE), ("copied", Reason.REPLAY),
    ):  # fmt: skip
        told = asked(what)
        assert (told.code, told.strike, told.acts) == (code, False, ()), what
        assert told.signal in (Signal.RED, Signal.NEUTRAL_RED), what
        written = [draft.detail[Detail.CODE] for draft in told.events if draft.kind == Kind.REFUSAL]
        assert (code in told.alarms) == (code in ALERTS | HEAD_ALERTS), what
        assert code in told.alarms or written == [code], f"{what}: the head's alert or the gate's alarm says so"
