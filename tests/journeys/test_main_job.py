"""The main job, whole: the pass page's own JavaScript in Chromium, a camera's picture of it, and every hop after.

Nothing is replaced: drawn by the page, photographed from the screen, distorted, decoded by zxing-cpp, verified by
PyNaCl, journaled, pulsed on a gpiozero pin, published over MQTT 5, verified, committed in PostgreSQL, receipted, and
seen on the father's page. And once more with the cloud's pages killed and the browser restarted.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect

from simulators.district import Sizes
from simulators.lens import Lens, Projector, idle_view
from simulators.optics import Luma, View, view_of
from simulators.parts import command_path
from simulators.stack import Stack, Wishes, running_stack
from tests.browser.conftest import ARGUMENTS, CHROMIUM, PHONE

GATE = 11
SECONDS_MAX = 30.0
A_SHAKY_MORNING = View(
    module_px=4.6, rotation_deg=9.0, tilt_y_deg=14.0, motion_px=3.0, defocus_px=1.0, light=0.7, noise=4.0
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A database, a broker, the cloud and one gate, each a process; new pairing codes for the browser's phones."""
    with running_stack(tmp_path_factory.mktemp("main-job"), Wishes(sizes=Sizes(gates=1, families=12))) as stack:
        yield stack


@pytest.fixture(scope="module")
def codes(stack: Stack) -> dict[str, str]:
    answer = json.loads(stack.cloud("seed", str(stack.directory / "district.json")))
    return answer["pairing"]


@pytest.fixture
def camera(stack: Stack) -> Iterator[Projector]:
    projector = Projector(Lens(stack.camera(GATE)), idle_view(GATE))
    projector.start()
    yield projector
    projector.clear()
    projector.stop()


def a_phone(playwright: Playwright, profile: Path) -> BrowserContext:
    """A browser whose profile outlives it, as a phone's does."""
    return playwright.chromium.launch_persistent_context(
        str(profile),
        executable_path=CHROMIUM,
        args=ARGUMENTS,
        viewport={"width": PHONE["width"], "height": PHONE["height"]},
        device_scale_factor=2,
        locale="en-GB",
    )


def of_another_family(stack: Stack) -> str:
    """The key of a guardian of this site who is not of the family that has come already."""
    classes = {child["key"]: child["school"] for child in stack.district["children"]}
    site_of = {school["key"]: school["site"] for school in stack.district["schools"]}
    taken = {"aigolek-child-1-1", "aigolek-child-1-2"}
    return next(
        guardian["key"]
        for guardian in stack.district["guardians"]
        if guardian["wants"] == "phone"
        and not taken & {row["child"] for row in guardian["children"]}
        and all(site_of[classes[row["child"]]] == 101 for row in guardian["children"])
    )


def pair(page: Page, stack: Stack, code: str) -> None:
    page.goto(f"{stack.web_url}/pass?code={code}")
    page.locator("#pairing-form button").click()
    page.locator("#code[data-version]").wait_for()


def choose_arrival(page: Page) -> None:
    """Press what a mother presses who comes late: after noon the page offers the departure first."""
    page.locator("#directions button").first.click()


def photograph(page: Page, seed: int) -> Luma:
    """What the gate's camera sees when this screen is held up on a shaky morning."""
    screen = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert screen is not None
    box = page.locator("#code").bounding_box()
    version = int(page.locator("#code").get_attribute("data-version") or 0)
    assert box and version
    module = box["width"] / (17 + 4 * version + 8)
    aim = ((box["x"] + box["width"] / 2) * 2, (box["y"] + box["height"] / 2) * 2)  # device pixels
    screen = screen.astype(np.uint8)
    return view_of(screen, A_SHAKY_MORNING, seed, aim=aim, screenshot_modules=PHONE["width"] / module)


def until(look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {SECONDS_MAX:.0f} s: {what}")


def status(stack: Stack) -> dict[str, Any]:
    return httpx.get(f"{stack.parts[f'gate-{GATE}'].url}/status").json()


def journal(stack: Stack) -> list[dict[str, Any]]:
    command = [command_path("portillon-gate"), "journal", "export", "--json", "--config"]
    told = subprocess.run([*command, stack.parts[f"gate-{GATE}"].config], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in told.stdout.splitlines()]


def opened(stack: Stack) -> list[dict[str, Any]]:
    return [event for event in journal(stack) if event["code"] == "OPEN"]


def show_until_open(stack: Stack, camera: Projector, page: Page) -> dict[str, Any]:
    """Hold the phone up, as people do, until the gate has journaled one more opening; return that event."""
    before, pulses = len(opened(stack)), status(stack)["pulses"]

    def look() -> dict[str, Any] | None:
        camera.show([photograph(page, seed=1)])
        events = opened(stack)
        return events[before] if len(events) > before else None

    event = until(look, "the gate opens")
    camera.clear()
    assert status(stack)["pulses"] == pulses + 1
    return event


def test_a_mothers_phone_opens_the_door_and_the_father_sees_it(
    stack: Stack, codes: dict[str, str], camera: Projector, playwright: Playwright, tmp_path: Path
) -> None:
    mother, father = a_phone(playwright, tmp_path / "mother"), a_phone(playwright, tmp_path / "father")
    try:
        at_home = father.new_page()
        at_home.goto(stack.web_url + stack.seeded["links"]["aigolek-father-1"])
        at_home.goto(f"{stack.web_url}/family")
        page = mother.new_page()
        pair(page, stack, codes["aigolek-mother-1"])
        choose_arrival(page)
        event = show_until_open(stack, camera, page)
        fact = f"{event['gate']}:{event['epoch']}:{event['seq']}"
        expect(at_home.locator(f'[data-fact="{fact}"]').first).to_be_visible(timeout=SECONDS_MAX * 1000)
        until(lambda: opened(stack)[-1]["receipted"], "the cloud's receipt")
        stored = [json.loads(line) for line in stack.cloud("events", "export", "--json").splitlines()]
        assert [(e["gate"], e["epoch"], e["seq"]) for e in stored if e["code"] == "OPEN"].count(
            (event["gate"], event["epoch"], event["seq"])
        ) == 1
    finally:
        mother.close()
        father.close()


def test_with_the_cloud_gone_and_the_browser_restarted_the_pass_still_opens(
    stack: Stack, codes: dict[str, str], camera: Projector, playwright: Playwright, tmp_path: Path
) -> None:
    profile = tmp_path / "grandparent"
    phone = a_phone(playwright, profile)
    page = phone.new_page()
    pair(page, stack, codes[of_another_family(stack)])
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    phone.close()
    os.kill(stack.parts["web"].pid, signal.SIGKILL)
    phone = a_phone(playwright, profile)
    try:
        page = phone.new_page()
        page.goto(f"{stack.web_url}/pass")
        page.locator("#code[data-version]").wait_for()
        choose_arrival(page)
        show_until_open(stack, camera, page)
    finally:
        phone.close()
        stack.start("web")
