"""Printed cards: given, drawn, read back by the gate's reader, confirmed by a staff pass, replaced, lost (S1.21)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import pytest

from cloud.audit import service as audit
from cloud.kit import clock
from cloud.kit.db import Database, RuleBroken, one
from cloud.kit.errors import Refused
from cloud.kit.i18n import LANGUAGES
from cloud.kit.ids import new_id
from cloud.passes import service as passes
from cloud.passes.cards import paper
from cloud.passes.cards import service as cards
from cloud.passes.cards.model import Card, check_character, shown, typed_serial
from cloud.passes.cards.paper import code_of, draw, module_mm, picture
from cloud.passes.cards.service import CardRefused
from cloud.passes.keys import KeyRing, init_keys
from cloud.passes.model import SERIAL_LETTERS
from cloud.people import service as people
from cloud.people.model import Tie
from edge.reader import Reader as CodeReader
from protocols import passes as wire
from tests.cast import FIRST_DAY, Cast, a_district
from tests.thresholds import Door, a_staff_pass

LADDER_MS = 5_000.0  # every treatment is tried, however busy the machine: a gate has ten frames a second instead
PIXELS_A_MODULE = 2.4  # docs/camera.md: all frames read at 2.4; what a wide lens sees of a card at 30 cm


@pytest.fixture
def cast(database: Database) -> Cast:
    return a_district(database)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return init_keys(tmp_path / "root", tmp_path / "keys", int(clock.now().timestamp()))


@pytest.fixture
def card(database: Database, cast: Cast, ring: KeyRing) -> Iterator[Card]:
    """The father's card, given by the head."""
    with database.tenant(cast.district) as tx:
        yield cards.issue_card(tx, ring, cast.district, cast.father, cast.site, cast.head, clock.now())


def given(database: Database, cast: Cast, ring: KeyRing, person: UUID, now: datetime | None = None) -> Card:
    with database.tenant(cast.district) as tx:
        return cards.issue_card(tx, ring, cast.district, person, cast.site, cast.head, now or clock.now())


def seen_by_a_camera(card: Card) -> str:
    """The text that the gate's reader finds on the printed page at the worst distance it is made for."""
    ppi = PIXELS_A_MODULE / module_mm(code_of(card)) * 25.4
    page = cv2.imdecode(np.frombuffer(picture(card, ppi), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert page is not None
    [code] = CodeReader(LADDER_MS).read(np.asarray(page, np.uint8))
    assert code.is_qr_code and code.text
    return code.text


def refused(act: Any, *arguments: Any) -> str:
    with pytest.raises(Refused) as told:
        act(*arguments)
    return told.value.code


def test_s1_21_a_printed_card_works_at_the_same_gate_and_a_member_of_staff_confirms_it(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    card = given(database, cast, ring, cast.mother)
    staff = a_staff_pass(database, cast, ring, cast.teacher)
    door, text = Door(database, cast, ring), seen_by_a_camera(card)
    waits = door.sees(text)
    assert (waits.code, waits.strike) == ("STAFF_CONFIRM", False)
    confirmed = door.sees(staff(door.at + 2, wire.INTENT_CONFIRM), 2)
    assert (confirmed.code, confirmed.strike) == ("CONFIRMED", True)
    assert len(confirmed.acts) == 2, "both children came in"


def test_a_card_reported_lost_is_revoked_at_the_gate_with_the_next_list(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    card = given(database, cast, ring, cast.father)
    door, text = Door(database, cast, ring), seen_by_a_camera(card)
    with database.tenant(cast.district) as tx:
        assert cards.report_lost(tx, cast.district, card.serial, cast.father, clock.now())
        assert not cards.report_lost(tx, cast.district, card.serial, cast.father, clock.now()), "again changes nothing"
        assert one(tx, int, "SELECT count(*) FROM job WHERE fact = 'CredentialRevoked'") == 1
        [kept] = cards.cards_of_person(tx, cast.district, cast.father)
    assert (kept.ended_why, kept.runs(clock.now())) == ("lost", False)
    door.learn()
    told = door.sees(text)
    assert (told.code, told.strike) == ("REVOKED", False)


def test_a_replaced_card_ends_and_the_next_one_runs_in_one_transaction(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    old = given(database, cast, ring, cast.father)
    with database.tenant(cast.district) as tx:
        new = cards.replace_card(tx, ring, cast.district, old.serial, cast.head, clock.now())
        assert refused(cards.replace_card, tx, ring, cast.district, old.serial, cast.head, clock.now()) == "CARD_ENDED"
    assert new.replaces == old.serial and new.serial != old.serial and new.runs(clock.now())
    door = Door(database, cast, ring)
    assert door.sees(wire.card_text(old.body)).code == "REVOKED"
    assert door.sees(wire.card_text(new.body), 1).code == "STAFF_CONFIRM"


def test_eight_offices_that_give_or_replace_a_card_at_once_leave_one_that_runs(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    def ask(replaces: str) -> str:
        try:
            with database.tenant(cast.district) as tx:
                if replaces:
                    cards.replace_card(tx, ring, cast.district, replaces, cast.head, clock.now())
                else:
                    cards.issue_card(tx, ring, cast.district, cast.father, cast.site, cast.head, clock.now())
        except CardRefused as told:
            return told.code
        return "given"

    with ThreadPoolExecutor(8) as offices:
        assert sorted(offices.map(ask, [""] * 8)) == ["CARD_RUNS"] * 7 + ["given"]
        with database.tenant(cast.district) as tx:
            [running] = cards.cards_of_person(tx, cast.district, cast.father)
        assert sorted(offices.map(ask, [running.serial] * 8)) == ["CARD_ENDED"] * 7 + ["given"]


def test_the_database_itself_refuses_a_second_card_and_an_end_without_its_moment(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    given(database, cast, ring, cast.father)
    with pytest.raises(RuleBroken) as told, database.tenant(cast.district) as tx:
        passes.issue_card_for(tx, ring, cast.district, cast.father, cast.site, clock.now())
    assert (told.value.sqlstate, told.value.constraint) == ("23505", "card_one_running")
    with pytest.raises(RuleBroken) as told, database.tenant(cast.district) as tx:
        tx.execute("UPDATE card SET ended_why = 'lost'")
    assert (told.value.sqlstate, told.value.constraint) == ("23514", "card_ended_whole")


def test_a_card_whose_year_is_over_makes_room_for_the_next(database: Database, cast: Cast, ring: KeyRing) -> None:
    old = given(database, cast, ring, cast.father)
    later = clock.now() + timedelta(days=366)
    with database.tenant(cast.district) as tx:
        assert refused(cards.replace_card, tx, ring, cast.district, old.serial, cast.head, later) == "CARD_ENDED"
        assert [place.site for place in cards.places_for_card(tx, cast.district, cast.father, later)] == [cast.site]
        cards.issue_card(tx, ring, cast.district, cast.father, cast.site, cast.head, later)
        states = [card.ended_why for card in cards.cards_of_person(tx, cast.district, cast.father)]
    assert states == ["", "over"]


def test_who_brings_no_child_here_gets_no_card(database: Database, cast: Cast, ring: KeyRing) -> None:
    with database.tenant(cast.district) as tx:
        for person, site in ((cast.teacher, cast.site), (cast.father, 999), (new_id(), cast.site)):
            assert (
                refused(cards.issue_card, tx, ring, cast.district, person, site, None, clock.now()) == "CARD_NO_CHILD"
            )


def test_a_card_is_printed_for_a_day_with_the_same_bytes_each_time(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    now = clock.now()
    with database.tenant(cast.district) as tx:
        first = cards.card_pdf(tx, ring, cast.district, cast.father, cast.site, cast.head, now)
        again = cards.card_pdf(tx, ring, cast.district, cast.father, cast.site, cast.head, now + timedelta(hours=23))
        assert first == again and first.startswith(b"%PDF-")
        [card] = cards.cards_of_person(tx, cast.district, cast.father)
        day_after = now + timedelta(hours=25)
        assert refused(cards.print_card, tx, cast.district, card.serial, cast.head, day_after) == "CARD_PRINTED_BEFORE"
        cards.take_back(tx, cast.district, card.serial, cast.head, now)
        assert refused(cards.print_card, tx, cast.district, card.serial, cast.head, now) == "CARD_ENDED"


def test_every_step_of_a_card_stands_in_the_log_of_each_child_it_names(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    card = given(database, cast, ring, cast.mother)
    with database.tenant(cast.district) as tx:
        cards.print_card(tx, cast.district, card.serial, cast.head, clock.now())
        new = cards.replace_card(tx, ring, cast.district, card.serial, cast.head, clock.now())
        cards.report_lost(tx, cast.district, new.serial, cast.mother, clock.now())
        for child in (cast.aigerim, cast.timur):
            told = [(line.action, line.role) for line in audit.readings_of_child(tx, cast.district, child)]
            assert told == [("card.lost", "guardian"), ("card.replace", "head"), ("card.issue", "head")]
        assert audit.verify(tx, cast.district).lines == 7, "printing is one line more"


def test_a_guardian_sees_own_cards_only(database: Database, cast: Cast, ring: KeyRing) -> None:
    card = given(database, cast, ring, cast.father)
    with database.tenant(cast.district, cast.father) as tx:
        assert [own.serial for own in cards.cards_of_person(tx, cast.district, cast.father)] == [card.serial]
    with database.tenant(cast.district, cast.mother) as tx:
        assert cards.cards_of_person(tx, cast.district, cast.father) == []
        assert refused(cards.card_of_serial, tx, cast.district, card.serial) == "NOT_FOUND"


def test_the_card_of_eight_children_stays_on_its_paper_and_is_read(
    database: Database, cast: Cast, ring: KeyRing
) -> None:
    with database.tenant(cast.district) as tx:
        for number in range(9):
            child = people.put_child(
                tx, cast.district, sourced_id=f"c{number}", given=f"C{number}", family="", birth=None
            )
            people.enrol(tx, cast.district, child, cast.school, None, FIRST_DAY)
            people.tie_guardian(tx, cast.district, Tie(child, cast.stranger, "aunt", True, True, True, FIRST_DAY))
    card = given(database, cast, ring, cast.stranger)
    code = code_of(card)
    width = module_mm(code) * code.symbol_size(border=4)[0]
    assert (code.error, code.mode) == ("Q", "alphanumeric") and width <= paper.CODE_MM_MAX
    assert 3.2 <= 790 * module_mm(code) / 300, "3.2 pixels at 30 cm before a camera of 78 degrees"
    assert seen_by_a_camera(card) == wire.card_text(card.body)


NAMES = ("Nguyễn Thị Minh Đức", "Әсел Қожахметқызы", "=HYPERLINK(1)", "#set page()", "*_$`\\", "Я" * 100)


def test_a_name_is_printed_as_it_is_written_on_one_page_and_never_obeyed(card: Card) -> None:
    for name, language in zip(NAMES, (*LANGUAGES, "vi"), strict=True):
        named = replace(card, given=name, family="x" * 100 if name.startswith("Я") else "", language=language)
        assert draw(named) == draw(named) != draw(card)
        assert seen_by_a_camera(named) == wire.card_text(card.body)


def test_a_serial_typed_by_a_person_is_read_with_its_check_character() -> None:
    serial = "K7MP2QXR"
    assert shown(serial) == "K7MP-2QXR-S"
    for typed in ("K7MP-2QXR-S", "k7mp2qxrs", " K7MP 2QXR S ", "K7MP–2QXR–S"):
        assert typed_serial(typed) == serial
    short, long = ("", "K7MP-2QXR"), ("K7MP-2QXR-SS", "x" * 999)
    for wrong in (*short, *long, "K7MP-2QXR-T", "К7MP-2QXR-S", "K7MP-2QXR-0", "\0" * 9, "ß" * 9):
        assert typed_serial(wrong) is None


def test_every_wrong_letter_and_every_swap_of_two_is_noticed() -> None:
    serial = "K7MP2QXR"
    right = check_character(serial)
    for place in range(8):
        for letter in SERIAL_LETTERS.replace(serial[place], ""):
            assert check_character(serial[:place] + letter + serial[place + 1 :]) != right
        for other in range(place + 1, 8):
            swapped = list(serial)
            swapped[place], swapped[other] = swapped[other], swapped[place]
            assert check_character("".join(swapped)) != right
