"""Passes: pair a phone, issue and renew credentials and cards, revoke, compile and sign what a site must know.

The only door of this slice. An expected "no" in pairing is returned, not raised, where a counter must be kept: raising
would undo the count. Services take an open transaction and never commit it. Rules: P-2, P-4, UX (the pass page),
P36, P37. Not responsible for: publishing (cloud/downlink.py), nor who has which right (cloud/people).
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import IPv4Address, ip_address, ip_network
from typing import ClassVar
from uuid import UUID

from cloud.attendance.service import presence_of, ref_of, references_of_site
from cloud.audit import service as audit
from cloud.kit.db import RuleBroken, Transaction
from cloud.kit.errors import N_, Answer, Refused
from cloud.kit.ids import new_id
from cloud.kit.jobs import happened
from cloud.passes import queries
from cloud.passes.keys import KeyRing
from cloud.passes.model import (
    CARD_LIFE,
    CREDENTIAL_LIFE,
    CREDENTIAL_RENEWED_AFTER,
    SERIAL_LETTERS,
    FoundCode,
    Issued,
    PairStart,
    PassChild,
    PassOffer,
    Phone,
    Right,
    SignedDocument,
    grouped_by_site,
)
from cloud.passes.policy import LiveCredential, PolicyContent, custody_rules, denied_for_good, overstated
from cloud.people.custody import custody_of_site
from protocols.canonical import decode, encode
from protocols.cose import Sign1, kid_of
from protocols.documents import CustodyRule, PolicyList, build_policy_list
from protocols.limits import (
    CTI_BYTES,
    PAIRING_DIGITS,
    PAIRING_SECONDS,
    PAIRING_TRIES_MAX,
    PHONES_PER_GUARDIAN_MAX,
    POLICY_NEXT_UPDATE_SECONDS,
    POLICY_SIGN_SECONDS,
)
from protocols.passes import DeviceKey, PassRefused, Revocations, issue_card, issue_credential, issue_staff_credential
from protocols.trust import Role

PAIR_DOMAIN = b"portillon-pair"  # what a phone's proof begins with; the page and the simulator say the same
LINE_GUESSES_MAX = 20  # wrong codes of one line in ten minutes: a school's families share its wireless network
ALL_GUESSES_MAX = 1_000  # of all lines together: with ten codes in force that finds one in 10,000 windows
DRAWS_MAX = 20  # tries to find a free random number before giving up
IPV6_LINE_BITS = 64  # what one subscriber's line is given (RFC 6177): its addresses are one guesser


class PairRefused(Refused):
    """A phone cannot be paired. The same answer for a code that is unknown, used or expired."""

    answers: ClassVar = {
        "PAIR_CODE_UNKNOWN": Answer(404, N_("This code is not known."), N_("Ask the office for a new code.")),
        "PAIR_TOO_MANY_TRIES": Answer(429, N_("Too many tries."), N_("Wait ten minutes or ask for a new code.")),
        "PAIR_TOO_MANY_PHONES": Answer(409, N_("Two phones are paired already."), N_("Remove one of them first.")),
        "BAD_KEY": Answer(400, N_("This phone's key cannot be used."), N_("Open the page again and repeat.")),
        "BAD_PROOF": Answer(400, N_("This phone did not prove its key."), N_("Open the page again and repeat.")),
        "KEY_IN_USE": Answer(409, N_("This phone is paired with someone else."), N_("Remove it there first.")),
    }


class PolicyTooLarge(Exception):
    """The list of a site does not fit into a signed document: an alarm for the fleet, the old list stays."""


# --- pairing ------------------------------------------------------------------------------------------------------


def new_pairing_code(
    tx: Transaction, secret: bytes, district_id: UUID, person_id: UUID, now: datetime, *, by: UUID | None = None
) -> str:
    """Return eight digits, good once within ten minutes; earlier codes of this person end. secret: the HMAC key.

    by: who in the office gives it out, for the audit log.
    """
    queries.end_codes_of(tx, district_id, person_id, now)
    for _ in range(DRAWS_MAX):
        code = f"{secrets.randbelow(10**PAIRING_DIGITS):0{PAIRING_DIGITS}}"
        queries.end_expired_code(tx, district_id, _code_hash(secret, code), now)
        try:
            with tx.transaction():
                queries.insert_code(tx, district_id, new_id(now), person_id, _code_hash(secret, code),
                                    secrets.token_bytes(32), now, now + timedelta(seconds=PAIRING_SECONDS))  # fmt: skip
        except RuleBroken as broken:
            if broken.constraint != "pairing_code_once":
                raise
            continue
        if by:
            audit.record(tx, district_id, action="phone.invite", by=by, thing="person", thing_id=person_id, now=now)
        return code
    raise LookupError("no free pairing code")


def find_code(tx: Transaction, secret: bytes, code: str, address: str, now: datetime) -> FoundCode | str:
    """Return where the code belongs, or the refusal's code. tx: untenanted; commit it either way (guesses count)."""
    window_began = now - timedelta(seconds=PAIRING_SECONDS)
    address_hash = hmac.digest(secret, b"address " + _guesser(address).encode("utf-8", "replace"), "sha256")
    everybody = hmac.digest(secret, b"guesses of all addresses", "sha256")
    guessed = queries.count_guess(tx, address_hash, now, window_began)
    if guessed > LINE_GUESSES_MAX or queries.guesses_since(tx, everybody, window_began) >= ALL_GUESSES_MAX:
        return "PAIR_TOO_MANY_TRIES"
    well_formed = len(code) == PAIRING_DIGITS and code.isascii() and code.isdecimal()
    found = queries.find_code(tx, _code_hash(secret, code), now) if well_formed else None
    if found is None:
        queries.count_guess(tx, everybody, now, window_began)
        return "PAIR_CODE_UNKNOWN"
    queries.forgive_guess(tx, address_hash)
    return found


def _guesser(address: str) -> str:
    """Return what stands for one guesser: an IPv4 address, or the /64 of an IPv6 one, in which a line has 2^64."""
    try:
        read = ip_address(address)
    except ValueError:
        return address
    if isinstance(read, IPv4Address):
        return str(read)
    mapped = read.ipv4_mapped
    return str(mapped or ip_network((read.packed[:8] + bytes(8), IPV6_LINE_BITS)))


def start_pairing(tx: Transaction, found: FoundCode, now: datetime) -> PairStart | str:
    """Return what the phone must sign, or the refusal's code."""
    code = queries.code_locked(tx, found.district_id, found.id)
    if code is None or code.used_at or code.expires_at <= now:
        return "PAIR_CODE_UNKNOWN"
    if code.tries >= PAIRING_TRIES_MAX:
        return "PAIR_TOO_MANY_TRIES"
    return PairStart(code.person_id.bytes, code.nonce)


def finish_pairing(tx: Transaction, found: FoundCode, key: object, proof: bytes, now: datetime) -> Phone | str:
    """Pair a phone that proves its key, or return the refusal's code. key: a COSE_Key as read from outside."""
    code = queries.code_locked(tx, found.district_id, found.id)
    if code is None or code.used_at or code.expires_at <= now:
        return "PAIR_CODE_UNKNOWN"
    if code.tries >= PAIRING_TRIES_MAX:
        return "PAIR_TOO_MANY_TRIES"
    device = _device(key)
    refusal = "BAD_KEY" if device is None else _proof_refusal(device, code.nonce, code.person_id, proof)
    if device is None or refusal:
        queries.count_try(tx, found.district_id, found.id)
        return refusal or "BAD_KEY"
    phone = _keep_phone(tx, found.district_id, code.person_id, device, now)
    if isinstance(phone, Phone):
        queries.use_code(tx, found.district_id, found.id, now)
    return phone


def is_family(tx: Transaction, district_id: UUID, person_id: UUID, now: datetime) -> bool:
    """Return whether this adult brings or collects any child: decides which pages a paired phone opens."""
    return bool(queries.rights(tx, district_id, now, person_id=person_id))


def phones_of(tx: Transaction, district_id: UUID, person_id: UUID) -> list[Phone]:
    """Return the phones of a person that are paired now."""
    return queries.phones_of(tx, district_id, person_id)


def phone_of_thumb(tx: Transaction, district_id: UUID, thumb: bytes) -> Phone | None:
    """Return a phone of this district, paired or revoked."""
    return queries.phone_of_thumb(tx, district_id, thumb)


def revoke_phone(
    tx: Transaction, district_id: UUID, person_id: UUID, phone_id: UUID, now: datetime, *, by: UUID | None = None
) -> bool:
    """Take a phone away; its thumb goes on the policy lists. Return whether it was paired. by: for the audit log."""
    revoked = queries.revoke_phone(tx, district_id, person_id, phone_id, now) == 1
    if revoked:
        happened(tx, "PhoneRevoked", district_id)
        audit.record(tx, district_id, action="phone.revoke", by=by, thing="person", thing_id=person_id, now=now)
    return revoked


def free_place(tx: Transaction, district_id: UUID, phone_id: UUID, now: datetime) -> bool:
    """Take a phone away whose holder signed out on it. Return whether it was still paired."""
    person_id = queries.holder_of_phone(tx, district_id, phone_id)
    return person_id is not None and revoke_phone(tx, district_id, person_id, phone_id, now, by=person_id)


def _code_hash(secret: bytes, code: str) -> bytes:
    return hmac.digest(secret, b"pairing code " + code.encode(), "sha256")


def _device(key: object) -> DeviceKey | None:
    try:
        return DeviceKey.from_cose(key)
    except PassRefused:
        return None


def _proof_refusal(device: DeviceKey, nonce: bytes, person_id: UUID, proof: bytes) -> str:
    """The phone signs the server's nonce and the account itself: no COSE around it, as a page can do it (P37)."""
    message = PAIR_DOMAIN + nonce + person_id.bytes
    return "" if len(proof) == 64 and _verifies(device, message, proof) else "BAD_PROOF"


def _verifies(device: DeviceKey, message: bytes, proof: bytes) -> bool:
    return (_Raw(message, proof, device.alg)).good(device)


class _Raw(Sign1):
    """A bare signature over a message, in the shape that DeviceKey.verifies takes."""

    def __init__(self, message: bytes, signature: bytes, alg: int) -> None:
        super().__init__(b"", message, signature, alg, None)

    def to_be_signed(self, external_aad: bytes) -> bytes:
        return self.payload

    def good(self, device: DeviceKey) -> bool:
        return device.verifies(self, b"")


def _keep_phone(tx: Transaction, district_id: UUID, person_id: UUID, device: DeviceKey, now: datetime) -> Phone | str:
    known = queries.phone_of_thumb(tx, district_id, device.thumb)
    if known is not None:
        if known.person_id != person_id:
            return "KEY_IN_USE"
        return "BAD_KEY" if known.revoked_at else known
    for slot in range(1, PHONES_PER_GUARDIAN_MAX + 1):
        phone = Phone(new_id(now), person_id, slot, encode(device.to_cose()), device.thumb, now, None)
        try:
            with tx.transaction():
                queries.insert_phone(tx, district_id, phone.id, person_id, slot, phone.cose_key, phone.thumb, now)
        except RuleBroken as broken:
            if broken.constraint == "pass_key_thumb_once":
                return "KEY_IN_USE"
            if broken.constraint != "pass_key_two_phones":
                raise
            continue
        return phone
    return "PAIR_TOO_MANY_PHONES"


# --- credentials and cards ------------------------------------------------------------------------------------------


def offers(tx: Transaction, ring: KeyRing, district_id: UUID, phone: Phone, now: datetime) -> list[PassOffer]:
    """Return a credential per site for this phone, renewed where older than a day or where rights changed."""
    found: list[PassOffer] = []
    rows = queries.rights(tx, district_id, now, person_id=phone.person_id)
    for group in grouped_by_site(rows):
        found.append(_family_offer(tx, ring, district_id, phone, group, now))
    for right in queries.staff_rights(tx, district_id, phone.person_id, now):
        holder = ref_of(tx, district_id, right.site, person_id=phone.person_id)
        issued = _renewed(tx, district_id, phone, right.site, "staff", holder, [[0, right.powers]], now, ring)
        found.append(PassOffer("staff", right.site, right.school, right.timezone, issued.body, issued.issued_at,
                               issued.expires_at, ()))  # fmt: skip
    return found


def rights_of_person(tx: Transaction, district_id: UUID, person_id: UUID, now: datetime) -> list[list[Right]]:
    """Return what an adult may do now, a site at a time, as credentials and cards hold it."""
    return grouped_by_site(queries.rights(tx, district_id, now, person_id=person_id))


def issue_card_for(
    tx: Transaction, ring: KeyRing, district_id: UUID, person_id: UUID, site: int, now: datetime, *,
    by: UUID | None = None, replaces: str | None = None,
) -> Issued:  # fmt: skip
    """Issue the bytes of a printed card for everything this adult may do at a site. Raises Refused("NOT_FOUND").

    One runs at a time: the database refuses a second (card_one_running). Its pages ask cloud/passes/cards instead.
    """
    groups = grouped_by_site(queries.rights(tx, district_id, now, person_id=person_id, site=site))
    if not groups:
        raise Refused("NOT_FOUND")
    rights = [[ref_of(tx, district_id, site, child_id=right.child_id), right.perms] for right in groups[0]]
    holder = ref_of(tx, district_id, site, person_id=person_id)
    key = ring.signing_key(Role.ISSUER, now.timestamp(), without=queries.revoked_issuers(tx))
    iat, exp, cti = int(now.timestamp()), int((now + CARD_LIFE).timestamp()), secrets.token_bytes(CTI_BYTES)
    body = issue_card(key, site=site, holder=holder, children=_pairs(rights), iat=iat, exp=exp, cti=cti)
    issued = Issued(cti, "card", person_id, None, site, holder, rights, body, now, now + CARD_LIFE)
    queries.insert_credential(tx, district_id, issued, kid_of(bytes(key.verify_key)))
    serial = "".join(secrets.choice(SERIAL_LETTERS) for _ in range(8))
    queries.insert_card(tx, district_id, serial, issued, by, replaces)
    return issued


def revoke_credential(tx: Transaction, district_id: UUID, cti: bytes, now: datetime) -> bool:
    """End one credential or card; it goes on its site's policy list. Return whether it was running."""
    site = queries.revoke_credential(tx, district_id, cti, now)
    if site is not None:
        happened(tx, "CredentialRevoked", district_id, site=site)
    return site is not None


def block_holder(tx: Transaction, district_id: UUID, site: int, person_id: UUID, now: datetime) -> None:
    """Refuse everything issued to this person for this site until now (P-3 HOLDER_BLOCKED).

    Passes say whole seconds: the second that runs is blocked too, to its end.
    """
    ref_of(tx, district_id, site, person_id=person_id)
    queries.block_holder(tx, district_id, site, person_id, (now + timedelta(seconds=1)).replace(microsecond=0))
    happened(tx, "HolderBlocked", district_id, site=site)


def revoke_issuer(tx: Transaction, kid: bytes, now: datetime) -> None:
    """Put an issuer's key on every policy list (P32), at their next compilation. tx: untenanted."""
    queries.insert_revoked_issuer(tx, kid, now)


def _family_offer(
    tx: Transaction, ring: KeyRing, district_id: UUID, phone: Phone, group: list[Right], now: datetime
) -> PassOffer:
    site = group[0].site
    rights = [[ref_of(tx, district_id, site, child_id=right.child_id), right.perms] for right in group]
    holder = ref_of(tx, district_id, site, person_id=phone.person_id)
    issued = _renewed(tx, district_id, phone, site, "phone", holder, rights, now, ring)
    seen = presence_of(tx, district_id, [right.child_id for right in group], group[0].timezone, now)
    children = tuple(
        PassChild(bit, right.given, right.class_name, right.perms, *seen.get(right.child_id, ("unknown", None)))
        for bit, right in enumerate(group)
    )
    return PassOffer("family", site, group[0].school, group[0].timezone, issued.body, issued.issued_at,
                     issued.expires_at, children)  # fmt: skip


def _renewed(
    tx: Transaction, district_id: UUID, phone: Phone, site: int, kind: str, holder: int, rights: list[list[int]],
    now: datetime, ring: KeyRing,
) -> Issued:  # fmt: skip
    """Return today's credential of this phone for these very rights, or sign a new one for seven days."""
    kept = queries.newest_credential(tx, district_id, phone.id, site, kind, rights, now - CREDENTIAL_RENEWED_AFTER)
    if kept is not None:
        return kept
    key = ring.signing_key(Role.ISSUER, now.timestamp(), without=queries.revoked_issuers(tx))
    device = DeviceKey.from_cose(decode(phone.cose_key))
    cti, iat, exp = secrets.token_bytes(CTI_BYTES), int(now.timestamp()), int((now + CREDENTIAL_LIFE).timestamp())
    if kind == "staff":
        body = issue_staff_credential(key, site=site, staff=holder, powers=rights[0][1], device=device,
                                      iat=iat, exp=exp, cti=cti)  # fmt: skip
    else:
        body = issue_credential(key, site=site, holder=holder, children=_pairs(rights), device=device,
                                iat=iat, exp=exp, cti=cti)  # fmt: skip
    issued = Issued(cti, kind, phone.person_id, phone.id, site, holder, rights, body, now, now + CREDENTIAL_LIFE)
    queries.insert_credential(tx, district_id, issued, kid_of(bytes(key.verify_key)))
    return issued


def _pairs(rights: list[list[int]]) -> list[tuple[int, int]]:
    return [(child, perms) for child, perms in rights]


# --- what a site must know ------------------------------------------------------------------------------------------


def policy_content(tx: Transaction, district_id: UUID, site: int, now: datetime) -> PolicyContent:
    """Return what the policy list of a site says now, from rights, orders and revocations."""
    held, by_child = knowledge_of_site(tx, district_id, site, now)
    rules = tuple(rule for told in by_child.values() for rule in told)
    denied = denied_for_good(rules, now)
    live = [LiveCredential(one.cti, one.holder, tuple((child, perms) for child, perms in one.rights))
            for one in queries.live_credentials(tx, district_id, site, now)]  # fmt: skip
    revocations = Revocations(
        ctis=frozenset(queries.revoked_ctis(tx, district_id, site, now)).union(
            overstated(live, held, denied), queries.staff_ctis_beyond_powers(tx, district_id, site, now)
        ),
        thumbs=frozenset(queries.revoked_thumbs(tx, district_id, site, now)),
        holders={block.ref: int(block.not_before.timestamp()) for block in queries.blocks(tx, district_id, site)},
        kids=frozenset(queries.revoked_issuers(tx)),
    )
    return PolicyContent(revocations, rules)


def knowledge_of_site(
    tx: Transaction, district_id: UUID, site: int, at: datetime
) -> tuple[dict[tuple[int, int], int], dict[int, tuple[CustodyRule, ...]]]:
    """Return perms by (holder, child) and custody rules by child, as the site's numbers: for the second judgement."""
    children, people = references_of_site(tx, district_id, site)
    perms: dict[tuple[int, int], int] = {}
    for right in queries.rights(tx, district_id, at, site=site):
        pair = (people.get(right.person_id, 0), children.get(right.child_id, 0))
        perms[pair] = perms.get(pair, 0) | right.perms
    zone = queries.timezone_of_site(tx, district_id, site) or "UTC"
    calendars, exceptions = custody_of_site(tx, district_id, site, at)
    rows = queries.escort_rows(tx, district_id, site, at)
    custody: dict[int, tuple[CustodyRule, ...]] = {}
    for rule in custody_rules(rows, children | people, zone, at, calendars, exceptions):
        custody[rule.child] = (*custody.get(rule.child, ()), rule)
    return perms, custody


def compile_policy(tx: Transaction, ring: KeyRing, district_id: UUID, site: int, now: datetime) -> SignedDocument:
    """Return the policy list in force, signed anew where it says something else or is six hours old (P-4)."""
    content = policy_content(tx, district_id, site, now)
    if not content.fits:
        raise PolicyTooLarge(f"site {site}")

    def sign(version: int) -> bytes:
        iat = int(now.timestamp())
        policy = PolicyList(site, version, iat, iat + POLICY_NEXT_UPDATE_SECONDS, content.revocations, content.custody)
        return build_policy_list(ring.signing_key(Role.POLICY, now.timestamp()), policy)

    return keep_document(
        tx, district_id, site, "KR1", content.digest, now, sign, timedelta(seconds=POLICY_SIGN_SECONDS)
    )


def keep_document(
    tx: Transaction, district_id: UUID, site: int, domain: str, content: bytes, now: datetime,
    sign: Callable[[int], bytes], lives: timedelta | None = None,
) -> SignedDocument:  # fmt: skip
    """Return the newest version if it says the same and is young enough, else sign and store the next one."""
    queries.lock_documents(tx, site, domain)
    newest = queries.newest_document(tx, district_id, site, domain)
    if newest and newest.content == content and (lives is None or now - newest.signed_at < lives):
        return newest
    version = newest.version + 1 if newest else 1
    made = SignedDocument(district_id, site, domain, version, now, content, sign(version))
    queries.insert_document(tx, made)
    return made


def newest_document(tx: Transaction, district_id: UUID, site: int, domain: str) -> SignedDocument | None:
    """Return the newest stored version of a site's document, as it was signed."""
    return queries.newest_document(tx, district_id, site, domain)


def keep_trust_list(tx: Transaction, version: int, body: bytes, now: datetime) -> str:
    """Enter a trust list in the record; return "", TRUST_ROLLBACK or TRUST_FORK where it may not be published."""
    if version < queries.newest_trust_version(tx):
        return "TRUST_ROLLBACK"
    held = queries.keep_trust_list(tx, version, body, now)
    return "" if hashlib.sha256(held).digest() == hashlib.sha256(body).digest() else "TRUST_FORK"
