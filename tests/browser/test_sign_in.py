"""Passkeys in a real Chromium with a virtual authenticator: a letter, a key, signing in with it, proving with it.

The pages are opened at localhost, which browsers count as a host and as protected: an IP address has no passkeys.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from cloud.identity import letters
from cloud.identity.model import Door
from cloud.kit import clock
from tests.browser.conftest import NewContext, Stage, pair

AUTHENTICATOR = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
                 "isUserVerified": True, "automaticPresenceSimulation": True}  # fmt: skip


@pytest.fixture
def stage(own_stage: Stage) -> Iterator[Stage]:
    """The house under its name."""
    own_stage.stop()
    own_stage.settings = replace(own_stage.settings, public_url=f"http://localhost:{own_stage.port}")
    own_stage.start()
    with own_stage.database.tenant(own_stage.cast.district) as tx:
        tx.execute("UPDATE person SET language = 'en'")
    yield own_stage


def with_authenticator(page: Page, **told: object) -> Page:
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": {**AUTHENTICATOR, **told}})
    return page


def a_letter(stage: Stage, person: object, door: Door) -> str:
    with stage.database.tenant(stage.cast.district) as tx:
        return letters.new_letter(tx, stage.cast.district, person, door, by=None, now=clock.now()).code  # type: ignore[arg-type]


def test_the_head_comes_in_by_a_letter_makes_a_passkey_and_from_then_on_signs_in_and_proves_by_it(
    new_context: NewContext, stage: Stage
) -> None:
    page = with_authenticator(new_context().new_page())
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    home = stage.settings.public_url

    page.goto(f"{home}/letter#{a_letter(stage, stage.cast.head, Door.SCHOOL)}")
    expect(page).to_have_url(f"{home}/letter")  # the code is out of the address at once
    page.get_by_role("button", name="Open").click()
    page.get_by_role("button", name="Make my passkey").click()
    page.wait_for_url(f"{home}/school/day")

    page.goto(f"{home}/account?door=school")
    page.goto(f"{home}/account?door=school")
    page.get_by_role("button", name="Sign out here").click()
    page.wait_for_url(f"{home}/")
    page.goto(f"{home}/sign-in?next=/account%3Fdoor%3Dschool")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"{home}/account?door=school")

    with stage.database.untenanted() as tx:
        tx.execute("UPDATE session SET sure_until = now()")
    page.goto(f"{home}/school/people/{stage.cast.mother}/letter")
    page.wait_for_url(re.compile("/step-up.next="))
    page.get_by_role("button", name="Use my passkey").click()
    page.wait_for_url(f"{home}/school/people/{stage.cast.mother}/letter")
    page.get_by_role("button", name="Print a letter").click()
    expect(page.locator(".letter-code")).to_be_visible()
    assert not said


def test_without_a_finger_no_key_is_made_and_the_page_says_so(new_context: NewContext, stage: Stage) -> None:
    page = with_authenticator(new_context().new_page(), isUserVerified=False)
    page.goto(f"{stage.settings.public_url}/letter#{a_letter(stage, stage.cast.mother, Door.FAMILY)}")
    page.get_by_role("button", name="Open").click()
    page.get_by_role("button", name="Make my passkey").wait_for()
    page.wait_for_load_state()  # its module has run
    page.get_by_role("button", name="Make my passkey").click()
    expect(page.locator("[data-passkey-problem]")).to_contain_text("cancelled")
    with stage.database.untenanted() as tx:
        assert tx.execute("SELECT count(*) FROM passkey").fetchone() == (0,)


def test_signing_out_takes_the_pass_and_its_key_from_the_phone(new_context: NewContext, stage: Stage) -> None:
    page = new_context().new_page()
    named = replace_url(stage)
    pair(page, named, stage.cast.mother)
    page.goto(f"{stage.settings.public_url}/account")
    page.get_by_role("button", name="Sign out here").click()
    page.wait_for_url(f"{stage.settings.public_url}/")
    assert page.evaluate("() => indexedDB.databases().then((all) => all.length)") == 0
    page.goto(f"{stage.settings.public_url}/pass")
    expect(page.locator("#pairing-form")).to_be_visible()


def replace_url(stage: Stage) -> Stage:
    """The stage as seen by its name."""

    class Named(Stage):
        @property
        def url(self) -> str:
            return self.settings.public_url

    return Named(stage.settings, stage.database, stage.cast, stage.ring, stage.port, stage.ledger)
