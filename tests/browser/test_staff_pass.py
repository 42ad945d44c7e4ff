"""A teacher's phone in a real Chromium before a real gate: it enters, it confirms what waits, it stays a staff pass."""

from collections.abc import Iterator
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from cloud.kit import clock
from cloud.passes import service as passes
from cloud.people import service as people
from cloud.people.model import Tie
from edge.decision import Decision, GateSettings
from edge.gate import Gate
from edge.roster import Roster
from edge.view import Symbol
from protocols.passes import card_text
from protocols.reasons import DocumentKind
from protocols.rules import Hours
from tests.browser.conftest import Stage, pair, read_code


@pytest.fixture
def stage(open_house: Stage) -> Iterator[Stage]:
    """The house of this file: everybody reads English, and no phone is left paired."""
    with open_house.database.tenant(open_house.cast.district) as tx:
        tx.execute("UPDATE person SET language = 'en'")
    yield open_house
    with open_house.database.tenant(open_house.cast.district) as tx:
        tx.execute("UPDATE pass_key SET revoked_at = now() WHERE revoked_at IS NULL")


@pytest.fixture
def gate(stage: Stage) -> Gate:
    """A gate of the site that knows the cloud's keys and list, and is open at any hour."""
    at = clock.now().timestamp()
    settings = GateSettings(11, stage.cast.site, Hours(ZoneInfo("Asia/Almaty"), ((0, 86_400),)), "pass", 1)
    gate = Gate(settings, Roster(stage.cast.site, 11, trust=stage.ring.trust, clock="ntp"), boot_at=at - 600)
    gate.boot(at - 600)
    with stage.database.tenant(stage.cast.district) as tx:
        listed = passes.compile_policy(tx, stage.ring, stage.cast.district, stage.cast.site, clock.now())
    gate.document(DocumentKind.KR1, listed.body, at)
    return gate


def scanned(gate: Gate, text: str) -> Decision:
    return gate.scan([Symbol(text)], clock.now().timestamp())


def test_a_teachers_phone_opens_the_gate_for_its_holder_and_confirms_the_card_that_waits(
    phone: Page, stage: Stage, gate: Gate
) -> None:
    pair(phone, stage, stage.cast.teacher)
    expect(phone.locator("h1:visible")).to_contain_text("Staff pass")
    phone.get_by_role("button", name="Enter").click()
    entered = scanned(gate, read_code(phone))
    assert (entered.code, entered.strike, entered.acts) == ("OPEN", True, ())

    with stage.database.tenant(stage.cast.district) as tx:
        card = passes.issue_card_for(
            tx, stage.ring, stage.cast.district, stage.cast.father, stage.cast.site, clock.now()
        )
    assert scanned(gate, card_text(card.body)).code == "STAFF_CONFIRM"
    phone.get_by_role("button", name="Confirm").click()
    confirmed = scanned(gate, read_code(phone))
    assert (confirmed.code, confirmed.strike, len(confirmed.acts)) == ("CONFIRMED", True, 1)


def test_a_teacher_who_is_a_parent_chooses_between_two_passes_and_keeps_the_chosen_one(
    phone: Page, stage: Stage
) -> None:
    cast, day = stage.cast, date(2026, 8, 1)
    with stage.database.tenant(cast.district) as tx:
        people.tie_guardian(tx, cast.district, Tie(cast.minh, cast.teacher, "aunt", False, False, True, day))
    pair(phone, stage, cast.teacher)
    expect(phone.locator("#sites button")).to_have_count(2)
    phone.locator("#sites").get_by_role("button", name="Staff pass").click()
    assert read_code(phone).startswith("KT1:")
    with phone.expect_response("**/api/passes"):
        phone.evaluate("dispatchEvent(new Event('online'))")
    phone.wait_for_timeout(300)
    expect(phone.locator("#sites [aria-pressed=true]")).to_contain_text("Staff pass")
    assert read_code(phone).startswith("KT1:")
