"""What the pass page shows first: pass, direction, children of the moment. Pure JavaScript, run by Chromium."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page

from cloud.kit.web import static_url
from tests.browser.conftest import Stage

ASK = """async ([address, passes, now]) => {
  const moment = await import(address);
  const pass = moment.passOfTheMoment(passes, now);
  const direction = moment.directionOfTheMoment(pass, now);
  return [pass.site, direction, moment.childrenOfTheMoment(pass, direction, now).mask];
}"""
MORNING = datetime(2026, 9, 1, 3, 5, tzinfo=UTC)  # 08:05 in Almaty
AFTERNOON = datetime(2026, 9, 1, 12, 30, tzinfo=UTC)  # 17:30 in Almaty
IN, OUT = 1, 2


def child(bit: int, presence: str = "unknown", since: datetime | None = None, perms: int = 3) -> dict:
    return {"bit": bit, "name": "", "perms": perms, "presence": presence, "since": since and since.isoformat()}


def a_pass(*children: dict, site: int = 101) -> dict:
    return {"site": site, "tz": "Asia/Almaty", "children": list(children)}


@pytest.fixture(scope="module")
def ask(open_house: Stage, chromium):  # type: ignore[no-untyped-def]
    page: Page = chromium.new_page()
    page.goto(open_house.url)
    address = open_house.url + static_url("js/pass/moment.js")
    yield lambda now, *passes: page.evaluate(ASK, [address, list(passes), now.timestamp() * 1000])
    page.close()


def test_in_the_morning_it_is_an_arrival_of_all(ask) -> None:  # type: ignore[no-untyped-def]
    assert ask(MORNING, a_pass(child(0), child(1))) == [101, IN, 0b11]


def test_in_the_afternoon_it_is_a_departure_also_for_a_phone_that_heard_nothing(ask) -> None:  # type: ignore[no-untyped-def]
    assert ask(AFTERNOON, a_pass(child(0))) == [101, OUT, 1]


def test_who_is_at_school_is_to_be_collected_and_who_has_left_is_not(ask) -> None:  # type: ignore[no-untyped-def]
    here, gone = child(0, "in", MORNING), child(1, "out", AFTERNOON - timedelta(hours=2))
    assert ask(AFTERNOON, a_pass(here, gone)) == [101, OUT, 0b01]


def test_just_after_an_arrival_the_code_stays_an_arrival(ask) -> None:  # type: ignore[no-untyped-def]
    assert ask(MORNING + timedelta(minutes=1), a_pass(child(0, "in", MORNING)))[1] == IN
    assert ask(MORNING + timedelta(minutes=11), a_pass(child(0, "in", MORNING)))[1] == OUT


def test_what_was_true_yesterday_says_nothing_of_today(ask) -> None:  # type: ignore[no-untyped-def]
    assert ask(MORNING, a_pass(child(0, "in", MORNING - timedelta(days=1)))) == [101, IN, 1]


def test_a_child_that_this_person_may_not_collect_is_not_in_the_departure(ask) -> None:  # type: ignore[no-untyped-def]
    assert ask(AFTERNOON, a_pass(child(0, perms=1), child(1))) == [101, OUT, 0b10]


def test_with_two_schools_the_one_where_somebody_waits_is_shown(ask) -> None:  # type: ignore[no-untyped-def]
    done = a_pass(child(0, "in", MORNING - timedelta(minutes=5)), site=101)
    assert ask(MORNING, done, a_pass(child(0), site=202))[0] == 202
