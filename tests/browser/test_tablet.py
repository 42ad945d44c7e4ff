"""The staff's tablet in Chromium before a whole gate with no cloud and no internet: stories, axe, keyboard, sizes."""

import os
import secrets
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from cloud.home.tablet_pages import seal
from protocols.events import Kind
from protocols.passes import OUT, card_text, issue_card
from tests.browser.test_page_rules import AXE, WRONG_SIZES, violations
from tests.edge.household import Phone
from tests.edge.line import SITE, until
from tests.edge.test_tablet_pages import House, answers

pytestmark = pytest.mark.serial
TABLET, HAND = {"width": 1024, "height": 768}, {"width": 390, "height": 844}
CONTROL_PIXELS_MIN = 64  # UX details 13: at the gate and for staff
STORED = """() => new Promise((told) => {
    const opening = indexedDB.open("portillon-tablet", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("names");
    opening.onsuccess = () => {
        const asked = opening.result.transaction("names").objectStore("names").count();
        asked.onsuccess = () => { opening.result.close(); told(asked.result); };
    };
})"""
TABS = ("Waiting", "By hand", "Inside", "Done")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    os.environ.setdefault("GPIOZERO_PIN_FACTORY", "mock")
    made = House(tmp_path_factory.mktemp("tablet_house"))
    until(lambda: answers(made))
    yield made
    made.gate.stop()


@pytest.fixture(scope="module")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    opened = chromium.new_context(viewport=TABLET, ignore_https_errors=True, locale="en-GB")  # type: ignore[arg-type]
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(context: BrowserContext, house: House) -> Page:
    """A tablet whose shift was opened by the keyboard alone."""
    opened = context.new_page()
    opened.on("dialog", lambda dialog: dialog.accept())
    opened.goto(f"{house.url}/tablet")
    begin = opened.get_by_role("button", name="Begin a shift")
    expect(begin).to_be_focused()
    opened.keyboard.press("Enter")
    opened.get_by_role("heading", name="Show your staff pass to the gate").wait_for()
    opened.keyboard.type(house.digits())
    opened.get_by_role("heading", name="Nobody waits").wait_for()
    return opened


@pytest.fixture
def another(chromium: Browser) -> Iterator[Page]:
    """A tablet of this test alone, with no shift."""
    opened = chromium.new_context(viewport=TABLET, ignore_https_errors=True, locale="en-GB")  # type: ignore[arg-type]
    page = opened.new_page()
    page.on("dialog", lambda dialog: dialog.accept())
    yield page
    opened.close()


def open_tab(page: Page, name: str) -> None:
    page.locator("#tabs").get_by_role("button", name=name).click()


def ask(house: House, phone: Phone, childmask: int = 1) -> None:
    """Somebody comes to collect: drawn a little ahead, since this gate has just lost its state."""
    house.gate.next_one()
    answer = house.gate.answer_to(phone.text(time.time() + 9, direction=OUT, childmask=childmask))
    assert answer["code"] == "STAFF_CONFIRM"
    house.gate.scene.clear()


def a_card(house: House, *, holder: int, child: int) -> str:
    now = int(time.time())
    fields = {"site": SITE, "holder": holder, "children": [(child, 3)], "iat": now - 60, "exp": now + 86_400}
    return card_text(issue_card(house.site.issuer, cti=secrets.token_bytes(8), **fields))


def take_in(page: Page, number: int) -> None:
    open_tab(page, "By hand")
    page.get_by_role("searchbox").fill(str(number))
    page.locator(f"[data-name=child{number}]").click()
    page.get_by_role("button", name="Take in").click()
    expect(page.locator("#said")).to_have_text("Written.")
    page.get_by_role("searchbox").fill("")


def test_staff_confirm_on_the_tablet_and_the_gate_turns_green_with_the_cloud_unreachable(
    page: Page, house: House
) -> None:
    assert house.gate.appliance.broker is None
    take_in(page, 31)
    pulses = house.gate.pulses
    ask(house, Phone(house.site, holder=9, children=[(31, 7)]))
    open_tab(page, "Waiting")
    request = page.locator("article.request")
    expect(request).to_contain_text("Child 31")
    expect(request).to_contain_text("Adult 9")
    expect(request.locator("[data-ends]")).to_contain_text("s")
    request.get_by_role("button", name="Confirm").click()
    expect(page.locator("#said")).to_have_text("Confirmed: the door is open.")
    until(lambda: house.gate.pulses == pulses + 1)
    assert '"face": "open"' in house.gate.appliance.board._face
    page.get_by_role("heading", name="Nobody waits").wait_for()


def test_a_child_taken_in_by_hand_is_inside_and_can_be_taken_back(page: Page, house: House) -> None:
    take_in(page, 77)
    open_tab(page, "Inside")
    expect(page.locator("[data-name=in77]")).to_contain_text("Child 77")
    open_tab(page, "Done")
    page.locator(".facts li").filter(has_text="Child 77").get_by_role("button", name="Take back").click()
    expect(page.locator("#said")).to_have_text("Taken back. Both stay in the ledger.")
    assert len(house.ledger(Kind.CORRECTION)) == 1
    open_tab(page, "Inside")
    expect(page.locator("[data-name=in77]")).to_have_count(0)


def test_the_evacuation_list_is_ticked_off_and_says_whom_it_counts(page: Page) -> None:
    for number in (201, 202):
        take_in(page, number)
    open_tab(page, "Inside")
    expect(page.get_by_role("heading", level=1)).to_have_text("2 inside")
    page.locator("[data-name=in201]").click()
    expect(page.get_by_text("1 of 2 found")).to_be_visible()
    expect(page.locator("[data-name=in201]")).to_have_attribute("aria-pressed", "true")


def test_a_tablet_without_a_key_says_that_it_shows_numbers(page: Page) -> None:
    expect(page.locator("#names")).to_have_text("No names on this tablet: it shows numbers.")


def test_axe_finds_nothing_and_every_control_is_large(page: Page, house: House) -> None:
    ask(house, Phone(house.site, holder=9, children=[(201, 7), (99, 7)]), childmask=3)
    page.evaluate(AXE)
    problems = []
    for viewport, scheme in ((TABLET, "dark"), (HAND, "light")):
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        for tab in TABS:
            open_tab(page, tab)
            wrong = [*page.evaluate(WRONG_SIZES, CONTROL_PIXELS_MIN), *violations(page)]
            problems += [f"{tab} {viewport['width']} {found}" for found in wrong]
    assert not problems, "\n".join(problems)


def test_a_tablet_that_hears_the_gate_no_more_says_so_and_a_shift_ends_by_hand(page: Page) -> None:
    page.get_by_role("button", name="End the shift").click()
    expect(page.get_by_role("heading", name="Begin a shift")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Begin a shift")).to_be_visible()


def test_names_come_with_the_link_stay_on_the_tablet_and_go_with_the_shift(another: Page, house: House) -> None:
    """Story 2's card: the tablet names grandmother and the child; the gate never hears of either."""
    names = {
        "v": 1, "site": SITE, "made_ms": int(time.time() * 1000),
        "children": [[201, "Айгерим Нұрлан", "Sunflowers"]], "adults": [[9, "Гүлнар Ким", [[201, "grandmother"]]]],
    }  # fmt: skip
    another.goto(f"{house.url}/tablet#names={seal(SITE, names)}")
    expect(another.get_by_role("heading", name="Begin a shift")).to_be_visible()
    another.wait_for_url(f"{house.url}/tablet")
    expect(another.get_by_role("button", name="Begin a shift")).to_be_focused()
    another.keyboard.press("Enter")
    another.get_by_role("heading", name="Show your staff pass to the gate").wait_for()
    another.keyboard.type(house.digits())
    expect(another.locator("#names")).to_contain_text("Names of")
    house.gate.next_one()
    assert house.gate.answer_to(a_card(house, holder=9, child=201))["code"] == "STAFF_CONFIRM"
    house.gate.scene.clear()
    open_tab(another, "Waiting")
    request = another.locator("article.request").filter(has_text="Printed card")
    expect(request).to_contain_text("Айгерим Нұрлан")
    expect(request).to_contain_text("Гүлнар Ким (grandmother)")
    request.get_by_role("button", name="Confirm").click()
    expect(another.locator("#said")).to_have_text("Confirmed: the door is open.")
    another.get_by_role("button", name="End the shift").click()
    expect(another.get_by_role("heading", name="Begin a shift")).to_be_visible()
    assert another.evaluate(STORED) == 0


def test_names_of_another_site_or_with_a_byte_changed_are_not_taken(another: Page, house: House) -> None:
    told = {"v": 1, "site": SITE, "made_ms": 1, "children": [[201, "Nobody", ""]], "adults": []}
    good = seal(SITE, told)
    for wrong in (seal(SITE + 1, told), good[:-3] + ("AAA" if good[-3:] != "AAA" else "BBB"), "x", "A" * 100):
        another.goto("about:blank")
        another.goto(f"{house.url}/tablet#names={wrong}")
        expect(another.get_by_role("heading", name="Begin a shift")).to_be_visible()
        assert another.evaluate(STORED) == 0
