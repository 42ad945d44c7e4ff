"""Takes the pictures of the documentation from the running product: `python scripts/screenshots.py`.

A demo of its own in a folder of its own, a morning played, then Chromium before the tour, the pass, the day sheet,
the gates, and the pages of people. Nothing is drawn by hand; whoever changes a page runs this again and looks.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from simulators.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
CHROMIUM = os.environ.get("PORTILLON_TEST_CHROMIUM", "/usr/bin/chromium")
READY_SECONDS = 120.0
MORNING_SECONDS = 40
PHONE, DESK, TOUR = (390, 844), (1280, 900), (1440, 940)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="portillon-") as folder:
        command = [str(Path(sys.executable).parent / "portillon-sim"), "demo", "--no-open", "--dir", folder]
        demo = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            links = read_links(demo)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
                take_all(browser, Stack(Path(folder)), links)
                browser.close()
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(timeout=60)


def read_links(demo: subprocess.Popen[str]) -> dict[str, str]:
    """The lines `who  url` that the demo prints, once it says how to stop it."""
    assert demo.stderr
    links: dict[str, str] = {}
    deadline = time.monotonic() + READY_SECONDS
    for line in demo.stderr:
        words = line.split()
        if len(words) == 2 and words[1].startswith("http"):
            links[words[0]] = words[1]
        if line.startswith("Ctrl-C"):
            return links
        if time.monotonic() > deadline:
            break
    raise SystemExit("the demo did not become ready")


def take_all(browser: Browser, stack: Stack, links: dict[str, str]) -> None:
    tour = a_page(browser, TOUR, "light")
    tour.goto(links["tour"])
    tour.get_by_role("button", name="Play a school morning").click()
    tour.wait_for_timeout(MORNING_SECONDS * 1000)
    take(tour, "tour")
    codes = json.loads(stack.cloud("seed", str(stack.directory / "district.json")))["pairing"]
    mother = next(key for key in codes if "mother-1" in key)
    phone = a_page(browser, PHONE, "light")
    phone.goto(f"{stack.web_url}/pass?code={codes[mother]}")
    phone.locator("#pairing-form button").click()
    phone.locator("#code[data-version]").wait_for()
    for scheme in ("light", "dark"):
        phone.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        phone.wait_for_timeout(500)
        take(phone, f"pass-{scheme}")
    for who, name in (("head", "day-sheet"), ("operator", "gates")):
        page = a_page(browser, DESK, "light")
        page.goto(links[who])
        page.wait_for_timeout(1000)
        take(page, name)
    take_people(browser, stack, links)


def take_people(browser: Browser, stack: Stack, links: dict[str, str]) -> None:
    """The parent's own child, and the same child's file as the head reads it."""
    phone = a_page(browser, PHONE, "light")
    phone.goto(links["parent"])
    phone.goto(f"{stack.web_url}/family/children")
    phone.locator(".rows a").first.click()
    phone.locator("#escorts").wait_for()
    take(phone, "who-may-collect")
    child = phone.url.rpartition("/")[2]
    office = a_page(browser, DESK, "light")
    office.goto(links["head"])
    office.goto(f"{stack.web_url}/school/children/{child}")
    take(office, "child-file")


def a_page(browser: Browser, size: tuple[int, int], scheme: str) -> Page:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
        locale="en-GB",
    )
    return context.new_page()


def take(page: Page, name: str) -> None:
    """Write one picture, packed as tightly as PNG allows."""
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    cv2.imwrite(str(IMAGES / f"{name}.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
