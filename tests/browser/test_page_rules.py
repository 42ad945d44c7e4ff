"""Every page: no axe-core violation in five languages, light, dark, phone, desktop; few bytes; no CSP violation."""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import timedelta
from importlib.resources import files

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from cloud.fleet import service as fleet
from cloud.identity import service as identity
from cloud.identity.doors import COOKIES
from cloud.identity.model import Role
from cloud.kit import clock
from cloud.kit.i18n import LANGUAGES
from cloud.passes.cards import service as cards
from cloud.people import corrections, custody, escorts, orders
from cloud.people import service as people
from cloud.people.model import NewPerson
from tests.browser.conftest import DESK, PHONE, Stage, pair

AXE = files(axe_playwright_python).joinpath("axe.min.js").read_text(encoding="utf-8")
DOORS = {"father": "family", "head": "school", "operator": "fleet"}
PAGES = {
    "first": "/", "privacy": "/privacy-at-the-gate", "health": "/health", "refusal": "/no-such-page",
    "pairing": "/pass?code=12345678", "family": "/family", "day": "/school/day", "gates": "/fleet/gates",
    "rules": "/rules", "children": "/family/children", "own-child": "/family/children/{aigerim}",
    "people": "/school/people?class={sunflowers}", "file": "/school/children/{aigerim}", "staff": "/school/staff",
    "member": "/school/staff/{teacher}", "calendar": "/school/calendar", "cards": "/school/people/{mother}/cards",
    "own-cards": "/family/cards", "account": "/account", "all-cards": "/school/cards?number=K7MP-2QXR-T",
    "alerts": "/school/alerts", "sign-in": "/sign-in", "letter": "/letter", "step-up": "/step-up?next=/family",
    "print-letter": "/school/people/{mother}/letter", "first-key": "/account/first-passkey",
    "mode": "/school/mode", "tablet": "/school/tablet", "claim": "/fleet/claim",
}  # fmt: skip
PASS_BYTES_MAX = 20 * 1024  # UX.md, "One stack": budgets over the wire
PAGE_BYTES_MAX = 25 * 1024
CONTROL_PIXELS_MIN = 44
SIGHTS = ((PHONE, "light"), (DESK, "dark"), (DESK, "light"), (PHONE, "dark"))
Sight = tuple[dict[str, int], str]
EXPECTED = ("404", "503", "blocked by Playwright")  # what the console says of the refusal, /health, and no worker here

# Each address once: what a live page asks again later is no part of its load.
WEIGHT = """() => [...new Map(["resource", "navigation"].flatMap((kind) => performance.getEntriesByType(kind))
    .filter((entry) => !entry.name.includes("manifest") && !entry.name.endsWith(".png"))
    .map((entry) => [entry.name, entry.encodedBodySize])).values()].reduce((sum, bytes) => sum + bytes, 0)"""
# The pass page chooses its view when its modules have run: a title is waited for, then all that is folded is opened.
OPEN_UP = """async () => {
    const seen = () => [...document.querySelectorAll("h1")].some((title) => title.checkVisibility());
    for (let turn = 0; !seen() && turn < 300; turn++) await new Promise((done) => setTimeout(done, 50));
    for (const folded of document.querySelectorAll("details")) folded.open = true;
    return seen();
}"""
WRONG_SIZES = """(least) => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, summary")]
    .filter((e) => e.checkVisibility() && !e.classList.contains("skip"))
    .map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
    .filter(([, box]) => box.width < least || box.height < least)
    .map(([html, box]) => `${html} ${Math.round(box.width)} x ${Math.round(box.height)}`)
    .concat(document.documentElement.scrollWidth > innerWidth ? ["is wider than the screen"] : [])"""


@pytest.fixture(scope="module")
def lived_in(open_house: Stage) -> Stage:
    """A morning has begun: one child is here, one gate has a fault."""
    open_house.arrives(open_house.cast.aigerim, with_=open_house.cast.mother)
    with open_house.database.tenant(open_house.cast.district) as tx:
        fleet.raise_alarm(tx, open_house.cast.district, 11, "LEDGER_GAP", clock.now())
    fill_the_file(open_house)
    return open_house


def fill_the_file(house: Stage) -> None:
    """Give a child's file one of everything that its page draws."""
    cast, now = house.cast, clock.now()
    monday = now.date() - timedelta(days=now.weekday())
    with house.database.tenant(cast.district) as tx:
        who = {"child_id": cast.aigerim, "now": now}
        grandmother = NewPerson("Гүлнар", "Ким", "kk")
        escorts.add_escort(tx, cast.district, person=grandmother, by=cast.mother, weekdays=18, **who)
        escorts.allow_today(tx, cast.district, person=NewPerson("Lan", "Trần", "vi"), by=cast.mother, **who)
        custody.put_custody(tx, cast.district, person_id=cast.father, cycle=(127, 0), first_monday=monday, by=cast.head,
                            **who)  # fmt: skip
        corrections.propose_correction(tx, cast.district, by=cast.mother, wanted={"given": "Айгерим"}, **who)
        clerk = people.put_person(tx, cast.district, sourced_id="clerk", given="Ольга", family="Ким", language="en")
        identity.grant_role(tx, cast.district, clerk, Role.OFFICE, now.date(), school_id=cast.school)
        orders.impose_order(tx, cast.district, person_id=cast.stranger, by=clerk, evidence=bytes(32), hides=True,
                            until=None, **{**who, "child_id": cast.minh})  # fmt: skip
        for person in (cast.mother, cast.father):
            cards.issue_card(tx, house.ring, cast.district, person, cast.site, cast.head, now)
        tx.execute(
            "INSERT INTO attendance_incident (district_id, raised_at, site, gate, epoch, seq, code, gate_said,"
            " cloud_says) VALUES (%s, %s, %s, 11, 1, 0, 'CARDS_TOO_FAST', 'CONFIRMED', 'CARDS_TOO_FAST')",
            (cast.district, now, cast.site),
        )


def sign_in(page: Page, house: Stage) -> None:
    """Open all three doors, each with a fresh proof, so that forms are drawn and not only the way to them."""
    for name, door in DOORS.items():
        page.goto(house.link_for(getattr(house.cast, name), door))
    with house.database.untenanted() as tx:
        for cookie in page.context.cookies():
            if cookie.get("name") in COOKIES.values():
                identity.make_sure(tx, str(cookie.get("value")), clock.now())


def address(house: Stage, path: str) -> str:
    return house.url + path.format_map(vars(house.cast))


@pytest.fixture(params=LANGUAGES, scope="module")
def visitor(request: pytest.FixtureRequest, chromium: Browser, lived_in: Stage) -> Iterator[BrowserContext]:
    """A browser signed in at all three doors, all of whose people read the language of this test."""
    told = chromium.new_context(viewport=PHONE, locale=request.param, service_workers="block")  # type: ignore[arg-type]
    page = told.new_page()
    for name in DOORS:
        person = getattr(lived_in.cast, name)
        with lived_in.database.tenant(lived_in.cast.district) as tx:
            tx.execute("UPDATE person SET language = %s WHERE id = %s", (request.param, person))
    sign_in(page, lived_in)
    page.close()
    yield told
    told.close()


def violations(page: Page) -> list[str]:
    found = page.evaluate("() => axe.run({ resultTypes: ['violations'] })")["violations"]
    return [f"{rule['id']}: {node['html'][:120]}" for rule in found for node in rule["nodes"]]


def problems_of(page: Page, sights: Iterable[Sight], judged: Collection[Sight]) -> Iterator[str]:
    """Yield what breaks the rules of size at each sight of an open page, and what axe-core finds at those judged."""
    if judged:
        page.evaluate(AXE)
    for viewport, scheme in sights:
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        found = page.evaluate(WRONG_SIZES, CONTROL_PIXELS_MIN)
        if (viewport, scheme) in judged:
            found += violations(page)
        yield from (f"{viewport['width']} {scheme} {wrong}" for wrong in found)


def look_at_all(
    visitor: BrowserContext, lived_in: Stage, judged_of: Callable[[int], Collection[Sight]]
) -> list[str]:
    """Open every page and return what is wrong with it. judged_of: by the page's place in PAGES, where axe looks."""
    problems: list[str] = []
    page = visitor.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    for place, (name, path) in enumerate(PAGES.items()):
        page.goto(address(lived_in, path))
        found = [] if page.evaluate(OPEN_UP) else ["shows no title"]
        weight = page.evaluate(WEIGHT)
        found += [f"weighs {weight} bytes"] if weight > PAGE_BYTES_MAX else []
        found += [text for text in said if not any(word in text for word in EXPECTED)]
        judged = judged_of(place)
        found += problems_of(page, judged or SIGHTS[:2], judged)
        problems += (f"{name}: {wrong}" for wrong in found)
        said.clear()
    page.close()
    return problems


def in_turn(place: int, turn: int) -> Collection[Sight]:
    """Where axe looks at a page in a language: at two sights, both widths, light and dark, in two of five languages."""
    seen = (place + turn) % len(LANGUAGES)
    pair = SIGHTS[:2] if place % 2 else SIGHTS[2:]
    return (pair[seen],) if seen < len(pair) else ()


def test_every_page_is_accessible_light_and_breaks_no_rule_of_its_policy(
    visitor: BrowserContext, lived_in: Stage, request: pytest.FixtureRequest
) -> None:
    """Sizes, bytes and policy are kept in five languages; axe-core judges each page in two of them."""
    turn = LANGUAGES.index(request.node.callspec.params["visitor"])
    problems = look_at_all(visitor, lived_in, lambda place: in_turn(place, turn))
    assert not problems, "\n".join(problems)


@pytest.mark.long
def test_no_page_has_an_accessibility_violation_at_any_sight_in_any_language(
    visitor: BrowserContext, lived_in: Stage
) -> None:
    problems = look_at_all(visitor, lived_in, lambda place: SIGHTS)
    assert not problems, "\n".join(problems)


def test_pages_speak_the_readers_language_and_say_so(visitor: BrowserContext, lived_in: Stage) -> None:
    language = visitor.new_page()
    language.goto(lived_in.url + "/family")
    spoken = language.locator("html").get_attribute("lang")
    titles = {"en": "Today", "fr": "Aujourd'hui", "ru": "Сегодня", "kk": "Бүгін", "vi": "Hôm nay"}
    assert language.locator("h1").inner_text() == titles[str(spoken)]
    language.close()


def test_the_pass_itself_is_lighter_and_breaks_no_rule(chromium: Browser, lived_in: Stage) -> None:
    context = chromium.new_context(viewport=PHONE, locale="en-GB", service_workers="block")  # type: ignore[arg-type]
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    pair(page, lived_in, lived_in.cast.mother)
    page.goto(f"{lived_in.url}/privacy-at-the-gate")
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")
    page.goto(f"{lived_in.url}/pass")
    page.locator("#code[data-version]").wait_for()
    weight = page.evaluate(WEIGHT)
    page.evaluate(AXE)
    found = [violation for scheme in ("light", "dark") for violation in _in(page, scheme)]
    context.close()
    assert weight <= PASS_BYTES_MAX
    assert not found
    assert not [text for text in said if not any(word in text for word in EXPECTED)]


def _in(page: Page, scheme: str) -> list[str]:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    return violations(page)


@pytest.mark.parametrize("path", ["/", "/pass", "/health"])
def test_the_policy_lets_nothing_inline_or_foreign_in(phone: Page, lived_in: Stage, path: str) -> None:
    answer = phone.goto(lived_in.url + path)
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
