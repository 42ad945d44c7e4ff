"""Printed cards: give one, print it, replace it, report it lost, take it back.

Responsible for: one running card a person and site; each end reaches the policy list at once (CredentialRevoked) and
each step has its line in the audit log, for every child the card names. Services take an open transaction and never
commit it. Not responsible for: who may (identity/may.py), what a gate asks of a card (P-3: staff always confirm it).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from cloud.audit import service as audit
from cloud.kit.db import RuleBroken, Transaction
from cloud.kit.errors import N_, Answer, Refused
from cloud.passes import service as passes
from cloud.passes.cards import queries
from cloud.passes.cards.model import LOST, OVER, REPLACED, REVOKED, SERIAL_CHARACTERS, Card, CardPlace
from cloud.passes.cards.paper import draw
from cloud.passes.keys import KeyRing
from cloud.passes.model import SERIAL_LETTERS


class CardRefused(Refused):
    """A card cannot be given, printed or replaced."""

    answers: ClassVar = {
        "CARD_RUNS": Answer(409, N_("This person has a card already."), N_("Replace it: the old one ends at once.")),
        "CARD_NO_CHILD": Answer(
            409, N_("This person brings or collects no child here."), N_("Enter the right first, then the card.")
        ),
        "CARD_ENDED": Answer(409, N_("This card has ended."), N_("Issue a new one if it is needed.")),
        "CARD_PRINTED_BEFORE": Answer(
            409, N_("A card is printed within a day of its issue."), N_("Replace it: the old one ends at once.")
        ),
    }


def cards_of_person(tx: Transaction, district_id: UUID, person_id: UUID) -> list[Card]:
    """Return every card this person was given, newest first."""
    return queries.cards(tx, district_id, person_id=person_id)


def running_cards(tx: Transaction, district_id: UUID, site: int, now: datetime) -> list[Card]:
    """Return every card that runs at a site, newest first."""
    return [card for card in queries.cards(tx, district_id, running_at=site) if card.runs(now)]


def card_of_serial(tx: Transaction, district_id: UUID, serial: str) -> Card:
    """Return a card by its eight stored characters. Raises Refused("NOT_FOUND")."""
    well_formed = len(serial) == SERIAL_CHARACTERS and set(serial) <= set(SERIAL_LETTERS)
    found = queries.cards(tx, district_id, serial=serial) if well_formed else []
    if not found:
        raise Refused("NOT_FOUND")
    return found[0]


def places_for_card(tx: Transaction, district_id: UUID, person_id: UUID, now: datetime) -> list[CardPlace]:
    """Return the sites where this adult brings or collects children and has no running card."""
    held = {card.site for card in cards_of_person(tx, district_id, person_id) if card.runs(now)}
    groups = passes.rights_of_person(tx, district_id, person_id, now)
    return [CardPlace(group[0].site, group[0].school, tuple(right.given for right in group))
            for group in groups if group[0].site not in held]  # fmt: skip


def refused_at_gates(tx: Transaction, district_id: UUID, cards: Sequence[Card], now: datetime) -> frozenset[bytes]:
    """Return which of these running cards the list of their site refuses all the same: a right on them has ended."""
    sites = {card.site for card in cards if card.runs(now)}
    return frozenset().union(*(passes.policy_content(tx, district_id, site, now).revocations.ctis for site in sites))


def issue_card(
    tx: Transaction, ring: KeyRing, district_id: UUID, person_id: UUID, site: int, by: UUID | None, now: datetime
) -> Card:
    """Give a person a card for everything they may do at a site. Raises CardRefused: CARD_RUNS, CARD_NO_CHILD."""
    card = _issued(tx, ring, district_id, person_id, site, by, now)
    _tell(tx, district_id, "card.issue", card, by, now)
    return card


def card_pdf(
    tx: Transaction, ring: KeyRing, district_id: UUID, person_id: UUID, site: int, by: UUID | None, now: datetime
) -> bytes:
    """Return the page with this person's card, issued now if none runs. Raises as issue_card and print_card."""
    running = [card for card in running_cards(tx, district_id, site, now) if card.person_id == person_id]
    card = running[0] if running else issue_card(tx, ring, district_id, person_id, site, by, now)
    return print_card(tx, district_id, card.serial, by, now)


def print_card(tx: Transaction, district_id: UUID, serial: str, by: UUID | None, now: datetime) -> bytes:
    """Return the PDF of a card: the same bytes each time. Raises CardRefused: CARD_ENDED, CARD_PRINTED_BEFORE."""
    card = card_of_serial(tx, district_id, serial)
    if not card.runs(now):
        raise CardRefused("CARD_ENDED")
    if not card.printable(now):
        raise CardRefused("CARD_PRINTED_BEFORE")
    queries.note_printed(tx, district_id, serial, now)
    pdf = draw(card)
    _tell(tx, district_id, "card.print", card, by, now, children=())
    return pdf


def replace_card(
    tx: Transaction, ring: KeyRing, district_id: UUID, serial: str, by: UUID | None, now: datetime
) -> Card:
    """End a card and give the next one, together or not at all. Raises CardRefused as issue_card, and CARD_ENDED."""
    old = card_of_serial(tx, district_id, serial)
    if not old.runs(now) or not _end(tx, district_id, old, REPLACED, by, now):
        raise CardRefused("CARD_ENDED")
    card = _issued(tx, ring, district_id, old.person_id, old.site, by, now, replaces=serial)
    _tell(tx, district_id, "card.replace", card, by, now)
    return card


def report_lost(tx: Transaction, district_id: UUID, serial: str, by: UUID | None, now: datetime) -> bool:
    """End a card that somebody lost: by its holder or the office. Return whether it ran; again changes nothing."""
    return _ended(tx, district_id, serial, LOST, "card.lost", by, now)


def take_back(tx: Transaction, district_id: UUID, serial: str, by: UUID | None, now: datetime) -> bool:
    """End a card that is not to be used any more. Return whether it ran; again changes nothing."""
    return _ended(tx, district_id, serial, REVOKED, "card.revoke", by, now)


def _issued(
    tx: Transaction, ring: KeyRing, district_id: UUID, person_id: UUID, site: int, by: UUID | None, now: datetime, *,
    replaces: str | None = None,
) -> Card:  # fmt: skip
    queries.end_over(tx, district_id, person_id, site, now)
    try:
        with tx.transaction():
            issued = passes.issue_card_for(tx, ring, district_id, person_id, site, now, by=by, replaces=replaces)
    except Refused as refused:
        if refused.code != "NOT_FOUND":
            raise
        raise CardRefused("CARD_NO_CHILD") from refused
    except RuleBroken as broken:
        if broken.constraint != "card_one_running":
            raise
        raise CardRefused("CARD_RUNS") from broken
    serial = queries.serial_of(tx, district_id, issued.cti)
    assert serial
    return card_of_serial(tx, district_id, serial)


def _ended(
    tx: Transaction, district_id: UUID, serial: str, why: str, action: str, by: UUID | None, now: datetime
) -> bool:
    card = card_of_serial(tx, district_id, serial)
    if not _end(tx, district_id, card, why if card.runs(now) else OVER, by, now):
        return False
    _tell(tx, district_id, action, card, by, now)
    return True


def _end(tx: Transaction, district_id: UUID, card: Card, why: str, by: UUID | None, now: datetime) -> bool:
    if not queries.end_card(tx, district_id, card.serial, why, by, now):
        return False
    passes.revoke_credential(tx, district_id, card.cti, now)
    return True


def _tell(
    tx: Transaction, district_id: UUID, action: str, card: Card, by: UUID | None, now: datetime, *,
    children: Sequence[UUID] | None = None,
) -> None:  # fmt: skip
    """Write the act down: for each child the card names, so that its guardians read it too."""
    named = queries.children_of_card(tx, district_id, card.cti) if children is None else children
    for child_id in named or (None,):
        audit.record(tx, district_id, action=action, by=by, thing="card", thing_id=card.person_id, child_id=child_id,
                     detail={"serial": card.serial, "site": card.site}, now=now)  # fmt: skip
