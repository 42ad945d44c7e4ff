"""Pages that change while one looks: a fact stored in PostgreSQL is seen on the open page, with no reload."""

import pytest
from playwright.sync_api import Page, expect

from cloud.fleet import service as fleet
from cloud.kit import clock
from tests.browser.conftest import NewContext, Stage


def open_at(new_context: NewContext, stage: Stage, person: object, door: str) -> Page:
    page = new_context().new_page()
    page.goto(stage.link_for(person, door))  # type: ignore[arg-type]
    expect(page.locator("[data-live=on]")).to_be_visible()
    return page


def test_a_father_sees_who_brought_his_child_within_two_seconds(new_context: NewContext, stage: Stage) -> None:
    page = open_at(new_context, stage, stage.cast.father, "family")
    card = page.locator(f"#child-{stage.cast.aigerim}")
    expect(card).to_contain_text("Приход ещё не отмечен")
    fact = stage.arrives(stage.cast.aigerim, with_=stage.cast.mother)
    expect(card).to_have_attribute("data-fact", fact, timeout=2000)
    expect(card).to_contain_text("gate 11")
    expect(card).to_contain_text("Әсел")


def test_who_brought_the_child_herself_reads_that_it_was_her(new_context: NewContext, stage: Stage) -> None:
    page = open_at(new_context, stage, stage.cast.mother, "family")
    stage.arrives(stage.cast.timur, with_=stage.cast.mother)
    expect(page.locator(f"#child-{stage.cast.timur}")).to_contain_text("сізбен")


def test_a_guardian_sees_no_other_child(new_context: NewContext, stage: Stage) -> None:
    page = open_at(new_context, stage, stage.cast.father, "family")
    stage.arrives(stage.cast.minh, with_=stage.cast.stranger)
    stage.arrives(stage.cast.aigerim, with_=stage.cast.mother)
    expect(page.locator(f"#child-{stage.cast.aigerim}")).to_have_attribute("data-fact", "11:1:1")
    assert "Minh" not in page.content()
    assert "Тимур" not in page.content()


def test_the_day_sheet_moves_a_child_from_expected_to_here(new_context: NewContext, stage: Stage) -> None:
    page = open_at(new_context, stage, stage.cast.head, "school")
    line = page.locator(f"#line-{stage.cast.minh}")
    fact = stage.arrives(stage.cast.minh, with_=stage.cast.stranger)
    expect(line).to_have_attribute("data-fact", fact)
    expect(line).to_have_attribute("data-state", "present")
    expect(line).to_contain_text("Présent(e)")
    names = page.locator(".roll .name").all_inner_texts()
    assert names[-1] == "Minh Đức Nguyễn"  # Who needs me is above who is here.


def test_a_silent_gate_makes_missing_children_unknown_not_absent(new_context: NewContext, stage: Stage) -> None:
    page = open_at(new_context, stage, stage.cast.head, "school")
    expect(page.locator("#day-silent")).to_contain_text("gate 11")
    expect(page.locator(f"#line-{stage.cast.minh}")).to_have_attribute("data-state", "unknown")


def test_the_sheet_of_one_class_shows_that_class_alone(new_context: NewContext, stage: Stage) -> None:
    page = open_at(new_context, stage, stage.cast.head, "school")
    page.goto(f"{stage.url}/school/day?class={stage.cast.school}")
    expect(page.locator(".roll li")).to_have_count(0)
    page.goto(f"{stage.url}/school/day?class={stage.cast.sunflowers}")
    expect(page.locator(".roll li")).to_have_count(3)


def test_an_alarm_puts_its_repair_on_the_operators_page(new_context: NewContext, stage: Stage) -> None:
    page = open_at(new_context, stage, stage.cast.operator, "fleet")
    with stage.database.tenant(stage.cast.district) as tx:
        fleet.raise_alarm(tx, stage.cast.district, 11, "LEDGER_GAP", clock.now())
    expect(page.locator("#gate-11")).to_contain_text("Events are missing")
    expect(page.locator("#gate-11")).to_contain_text("send it the command resync")


def test_an_operator_never_reads_a_name_of_a_family(new_context: NewContext, stage: Stage) -> None:
    stage.arrives(stage.cast.aigerim, stage.cast.timur, with_=stage.cast.mother)
    page = open_at(new_context, stage, stage.cast.operator, "fleet")
    told = page.content()
    assert not [name for name in ("Айгерім", "Тимур", "Minh", "Сейтқали", "Nguyễn", "Әсел") if name in told]


def test_a_page_comes_back_to_life_when_the_server_does(new_context: NewContext, stage: Stage) -> None:
    page = open_at(new_context, stage, stage.cast.father, "family")
    stage.stop()
    expect(page.locator("[data-live=off]")).to_be_visible()
    stage.start()
    expect(page.locator("[data-live=on]")).to_be_visible()


@pytest.mark.parametrize("path", ["/family", "/school/day", "/fleet/gates"])
def test_without_a_session_a_page_says_how_to_sign_in(phone: Page, stage: Stage, path: str) -> None:
    answer = phone.goto(stage.url + path)
    assert answer is not None
    assert answer.status == 401
    expect(phone.locator("h1")).to_have_text("You are not signed in.")


def test_a_used_link_is_a_page_with_the_next_step(new_context: NewContext, stage: Stage) -> None:
    link = stage.link_for(stage.cast.head, "school", demo=False)
    first = new_context().new_page()
    first.goto(link)
    first.locator("main button").click()
    first.wait_for_url("**/account/first-passkey**")  # a link is no key of the school: it opens this page alone
    second = new_context().new_page()
    second.goto(link)
    expect(second.locator("h1")).to_have_text("This sign-in link does not work any more.")
    expect(second.get_by_role("link", name="First page")).to_be_visible()


def test_signing_out_closes_one_door(new_context: NewContext, stage: Stage) -> None:
    page = open_at(new_context, stage, stage.cast.operator, "fleet")
    page.get_by_role("button", name="Sign out").click()
    answer = page.goto(f"{stage.url}/fleet/gates")
    assert answer is not None
    assert answer.status == 401
