"""Who may collect my child, as a parent does it on a phone: by the keyboard alone, and with JavaScript switched off."""

from playwright.sync_api import Page, expect

from cloud.identity import service as identity
from cloud.identity.doors import COOKIES
from cloud.identity.model import Door
from cloud.kit import clock
from tests.browser.conftest import NewContext, Stage

TABS_MAX = 60  # The page has fewer controls: a keyboard that needs more is lost.


def a_parent(new_context: NewContext, stage: Stage) -> Page:
    """The mother's phone, signed in and sure, in a browser that runs no script."""
    page = new_context(java_script_enabled=False).new_page()
    with stage.database.tenant(stage.cast.district) as tx:
        tx.execute("UPDATE person SET language = 'en' WHERE id = %s", (stage.cast.mother,))
    page.goto(stage.link_for(stage.cast.mother, "family"))
    with stage.database.untenanted() as tx:
        (token,) = [str(one.get("value")) for one in page.context.cookies() if one.get("name") == COOKIES[Door.FAMILY]]
        identity.make_sure(tx, token, clock.now())
    return page


def tab_to(page: Page, words: str) -> None:
    """Press Tab until what has the focus is the field or control of these words."""
    wanted = page.get_by_label(words, exact=True).or_(page.get_by_text(words, exact=True)).or_(
        page.get_by_role("button", name=words)
    )  # fmt: skip
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        if wanted.and_(page.locator(":focus")).count():
            return
    raise AssertionError(f"{words} is not reached by the keyboard")


def test_a_parent_names_a_person_and_takes_it_back_by_keyboard_without_javascript(
    new_context: NewContext, stage: Stage
) -> None:
    page = a_parent(new_context, stage)
    page.goto(f"{stage.url}/family/children/{stage.cast.timur}")
    tab_to(page, "Add a person")
    page.keyboard.press("Enter")
    tab_to(page, "First name")
    page.keyboard.type("Гүлнар")
    page.keyboard.press("Tab")
    page.keyboard.type("Ким")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("This person may collect")
    expect(page.locator(".places")).to_contain_text("Гүлнар Ким")
    tab_to(page, "Remove Гүлнар Ким")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("may no longer collect")
    page.get_by_role("button", name="Undo").press("Enter")
    expect(page.locator(".places")).to_contain_text("Гүлнар Ким")
