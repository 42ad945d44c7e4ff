"""The pass page in a real Chromium: paired, drawn, read by zxing-cpp, verified by protocols.passes; also offline."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Playwright, expect

from protocols.passes import Presentation, VerifiedPass, verify
from tests.browser.conftest import ARGUMENTS, CHROMIUM, PHONE, NewContext, Stage, pair, read_code

HOUR_SECONDS = 3600
KEPT_PAGE = """async () => {
    const names = await caches.keys();
    const kept = names.length ? await (await caches.open(names[0])).match("/pass") : null;
    return kept ? await kept.text() : "";
}"""


@pytest.fixture
def stage(open_house: Stage) -> Iterator[Stage]:
    """The house of this file: everybody reads English, and no phone is left paired (two are the most)."""
    reads(open_house, "en")
    yield open_house
    with open_house.database.tenant(open_house.cast.district) as tx:
        tx.execute("UPDATE pass_key SET revoked_at = now() WHERE revoked_at IS NULL")


def reads(stage: Stage, language: str) -> None:
    with stage.database.tenant(stage.cast.district) as tx:
        tx.execute("UPDATE person SET language = %s", (language,))


def wait_until_kept(page: Page, language: str) -> None:
    """Wait until the offline worker keeps the page in a language."""
    deadline = time.monotonic() + 20
    while f'<html lang="{language}"' not in page.evaluate(KEPT_PAGE):
        assert time.monotonic() < deadline, f"the worker keeps no page in {language}"
        page.wait_for_timeout(100)


def verified(page: Page, stage: Stage) -> VerifiedPass:
    return verify(read_code(page), stage.place())


def shown(page: Page, stage: Stage) -> Presentation:
    presentation = verified(page, stage).presentation
    assert presentation is not None
    return presentation


def test_a_drawn_pass_is_genuine_and_names_both_children(phone: Page, stage: Stage) -> None:
    pair(phone, stage, stage.cast.mother)
    genuine = verified(phone, stage)
    assert genuine.credential.kind == "KG1"
    assert len(genuine.children) == 2
    assert abs(shown(phone, stage).iat - time.time()) < 6


def test_a_browser_without_ed25519_makes_a_p256_key_and_its_pass_is_genuine(phone: Page, stage: Stage) -> None:
    phone.add_init_script("""
        const generate = crypto.subtle.generateKey.bind(crypto.subtle);
        crypto.subtle.generateKey = async (algorithm, ...rest) => {
          if (algorithm.name === "Ed25519") throw new DOMException("unknown", "NotSupportedError");
          return generate(algorithm, ...rest);
        };""")
    pair(phone, stage, stage.cast.mother)
    key = verified(phone, stage).credential.cose_key
    assert isinstance(key, dict)
    assert (key[1], key[-1]) == (2, 1)


def test_the_code_is_signed_anew_and_each_one_is_later_than_the_last(phone: Page, stage: Stage) -> None:
    pair(phone, stage, stage.cast.mother)
    before = shown(phone, stage).iat
    phone.wait_for_timeout(4500)
    assert shown(phone, stage).iat > before


def test_a_second_code_in_the_same_second_is_still_later(phone: Page, stage: Stage) -> None:
    pair(phone, stage, stage.cast.mother)
    seconds = []
    for name in ("Departure", "Arrival"):
        phone.get_by_role("button", name=name).click()
        phone.wait_for_timeout(60)
        seconds.append(shown(phone, stage).iat)
    assert seconds[1] > seconds[0]


def test_chips_choose_the_children_and_the_direction(phone: Page, stage: Stage) -> None:
    pair(phone, stage, stage.cast.mother)
    phone.get_by_role("button", name="Departure").click()
    phone.get_by_role("button", name="Тимур").click()
    expect(phone.locator("#action-names")).to_have_text("Айгерім")
    expect(phone.locator("h1:visible")).to_contain_text("Departure of Айгерім")
    presentation = shown(phone, stage)
    assert (presentation.direction, presentation.childmask.bit_count()) == (2, 1)


def test_the_last_chosen_child_cannot_be_taken_away(phone: Page, stage: Stage) -> None:
    pair(phone, stage, stage.cast.mother)
    for name in ("Тимур", "Айгерім"):
        phone.get_by_role("button", name=name).click()
    expect(phone.locator("#children [aria-pressed=true]")).to_have_count(1)


def test_a_phone_whose_clock_is_an_hour_wrong_signs_the_right_time(phone: Page, stage: Stage) -> None:
    phone.add_init_script(f"const real = Date.now; Date.now = () => real() + {HOUR_SECONDS * 1000};")
    pair(phone, stage, stage.cast.mother)
    assert abs(shown(phone, stage).iat - time.time()) < 6


def test_the_childs_name_is_the_biggest_text_of_the_page(phone: Page, stage: Stage) -> None:
    pair(phone, stage, stage.cast.father)
    sizes = phone.evaluate("""() => [...document.querySelectorAll("body *")]
        .filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
        .map((e) => [parseFloat(getComputedStyle(e).fontSize), e.id]).sort((a, b) => b[0] - a[0])""")
    assert sizes[0][1] == "action-names"
    assert sizes[0][0] > sizes[1][0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_card_is_white_with_four_light_modules_around_the_code(phone: Page, stage: Stage, scheme: str) -> None:
    phone.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    pair(phone, stage, stage.cast.mother)
    assert phone.locator("#card").evaluate("(card) => getComputedStyle(card).backgroundColor") == "rgb(255, 255, 255)"
    modules = phone.locator("#code").evaluate("(code) => 17 + 4 * Number(code.dataset.version) + 8")
    drawn = phone.locator("#code").evaluate("""(code) => {
        const { data } = code.getContext("2d").getImageData(0, 0, code.width, code.height);
        const dark = (x, y) => data[(y * code.width + x) * 4] < 128;
        const quiet = [...Array(code.width).keys()].find((i) => dark(i, i));
        return { width: code.width, quiet };
    }""")
    assert drawn["width"] % modules == 0
    assert drawn["quiet"] == 4 * drawn["width"] // modules


def test_the_key_cannot_be_taken_out_of_the_phone(phone: Page, stage: Stage) -> None:
    pair(phone, stage, stage.cast.mother)
    told = phone.evaluate("""async () => {
        const database = await new Promise((done) => {
          const request = indexedDB.open("portillon", 1);
          request.onsuccess = () => done(request.result);
        });
        const { privateKey } = await new Promise((done) => {
          const request = database.transaction("rows").objectStore("rows").get("key");
          request.onsuccess = () => done(request.result);
        });
        return crypto.subtle.exportKey("pkcs8", privateKey).then(() => "taken", (error) => error.name);
    }""")
    assert told == "InvalidAccessError"


def test_a_used_code_is_refused_in_words_and_the_form_stays(phone: Page, stage: Stage) -> None:
    code = stage.code_for(stage.cast.mother)
    phone.goto(f"{stage.url}/pass?code={code[:-1]}{(int(code[-1]) + 1) % 10}")
    phone.locator("#pairing-form button").click()
    expect(phone.locator("#pairing-problem")).to_contain_text("This code is not known.")
    expect(phone.locator("#pairing-code")).to_be_focused()


def test_seven_digits_are_not_even_sent(phone: Page, stage: Stage) -> None:
    phone.goto(f"{stage.url}/pass?code=1234567")
    sent: list[str] = []
    phone.on("request", lambda request: sent.append(request.url))
    phone.locator("#pairing-form button").click()
    expect(phone.locator("#pairing-problem")).to_have_text("The code has 8 digits.")
    assert not [url for url in sent if "/api/" in url]


def test_a_browser_that_keeps_nothing_says_so_and_offers_the_card(phone: Page, stage: Stage) -> None:
    phone.add_init_script("IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError'); };")
    phone.goto(f"{stage.url}/pass")
    expect(phone.locator("#trouble-words")).to_contain_text("private browsing or Lockdown Mode")
    expect(phone.locator("#trouble-words")).to_contain_text("printed card")


def test_plain_http_on_a_local_network_is_told_from_an_old_browser(phone: Page, stage: Stage) -> None:
    phone.add_init_script("""
        Object.defineProperty(Crypto.prototype, "subtle", { get: () => undefined });
        Object.defineProperty(window, "isSecureContext", { get: () => false });""")
    phone.goto(f"{stage.url}/pass")
    expect(phone.locator("#trouble-words")).to_contain_text("not protected (http)")


def test_an_arrival_shows_on_the_pass_and_the_code_stays_an_arrival(phone: Page, own_stage: Stage) -> None:
    reads(own_stage, "en")
    pair(phone, own_stage, own_stage.cast.father)
    phone.get_by_role("button", name="Arrival").click()
    own_stage.arrives(own_stage.cast.aigerim, with_=own_stage.cast.father)
    expect(phone.locator("#facts li")).to_contain_text("Айгерім arrived at")
    assert shown(phone, own_stage).direction == 1


def test_with_the_server_killed_and_the_browser_restarted_the_pass_is_still_drawn_and_genuine(
    playwright: Playwright, own_stage: Stage, tmp_path: Path
) -> None:
    told = {"executable_path": CHROMIUM, "args": ARGUMENTS, "viewport": PHONE, "locale": "en-GB"}
    reads(own_stage, "en")
    first = playwright.chromium.launch_persistent_context(tmp_path / "profile", **told)
    page = first.new_page()
    pair(page, own_stage, own_stage.cast.mother)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    first.close()
    own_stage.stop()
    second = playwright.chromium.launch_persistent_context(tmp_path / "profile", **told)
    try:
        page = second.new_page()
        page.goto(f"{own_stage.url}/pass")
        page.locator("#code[data-version]").wait_for()
        assert len(verified(page, own_stage).children) == 2
        expect(page.locator("#contact")).to_have_text("Offline: the code works")
    finally:
        second.close()


def test_a_phone_back_on_the_network_says_so_and_renews(new_context: NewContext, stage: Stage) -> None:
    context = new_context()
    page = context.new_page()
    pair(page, stage, stage.cast.mother)
    context.set_offline(True)
    expect(page.locator("#contact")).to_have_text("Offline: the code works")
    context.set_offline(False)
    expect(page.locator("#contact")).to_have_text("Online")


def test_a_pass_whose_credential_ended_is_not_drawn(phone: Page, stage: Stage) -> None:
    phone.route("**/api/passes", lambda route: route.abort())
    phone.route("**/api/pair/finish", lambda route: _ended(route))
    phone.goto(f"{stage.url}/pass?code={stage.code_for(stage.cast.mother)}")
    phone.locator("#pairing-form button").click()
    expect(phone.locator("#note")).to_contain_text("This pass ended on")
    expect(phone.locator("#code")).to_be_hidden()


def _ended(route) -> None:  # type: ignore[no-untyped-def]
    answer = route.fetch()
    told = answer.json()
    for one in told["passes"]:
        one["exp"] = int(time.time()) - 1
    route.fulfill(response=answer, body=json.dumps(told))


def test_after_pairing_the_page_speaks_the_persons_language_and_keeps_it_offline(
    new_context: NewContext, stage: Stage
) -> None:
    reads(stage, "kk")
    context = new_context()
    page = context.new_page()
    pair(page, stage, stage.cast.mother)
    expect(page.get_by_role("button", name="Келу", exact=True)).to_be_visible()
    wait_until_kept(page, "kk")
    context.set_offline(True)
    page.reload()
    expect(page.get_by_role("button", name="Келу", exact=True)).to_be_visible()


def test_a_page_that_was_kept_in_another_language_is_kept_anew(new_context: NewContext, stage: Stage) -> None:
    """As where the worker kept the page while the phone was being paired, on a slow line."""
    reads(stage, "kk")
    context = new_context()
    page = context.new_page()
    pair(page, stage, stage.cast.mother)
    wait_until_kept(page, "kk")
    page.evaluate("""async () => {
        const cache = await caches.open((await caches.keys())[0]);
        const kept = await cache.match("/pass");
        const english = (await kept.text()).replace('<html lang="kk"', '<html lang="en"');
        await cache.delete("/pass", { ignoreVary: true });
        await cache.put("/pass", new Response(english, { headers: { "content-type": "text/html" } }));
    }""")
    page.reload()
    wait_until_kept(page, "kk")
    context.set_offline(True)
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "kk")


def test_removing_the_pass_deletes_the_key(phone: Page, stage: Stage) -> None:
    pair(phone, stage, stage.cast.mother)
    phone.locator("#forget").click()
    phone.get_by_role("button", name="Remove", exact=True).click()
    expect(phone.locator("#pairing-form")).to_be_visible()


def test_a_teachers_phone_shows_a_staff_pass(phone: Page, stage: Stage) -> None:
    pair(phone, stage, stage.cast.teacher)
    phone.get_by_role("button", name="Enter").click()
    genuine = verified(phone, stage)
    assert (genuine.credential.kind, genuine.presentation.intent if genuine.presentation else 0) == ("KT1", 2)
