"""How a pass should look: the pass page's card in real Chromium, held to the simulated lens, drawn in many ways.

Responsible for: the card with the page's own style sheets, dark around it; the code as the page's own script draws it,
and drawn by segno in other levels, masks, sizes and quiet zones by the page's rule (whole device pixels a module);
screenshots of each; every look from the same hands, in the same light; what our reader and the plain decoder read.
Not responsible for: the page's other words and buttons (tests/browser), what the code says.

    python -m bench.page_look --frames 6
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import segno
import zxingcpp
from numpy.typing import NDArray
from playwright.sync_api import Page, Route, sync_playwright

from edge.reader import IMAGE_BUDGET_MS, Reader
from simulators import optics

Luma = NDArray[np.uint8]

STATIC = Path(__file__).resolve().parent.parent / "cloud" / "static"
CHROMIUM = os.environ.get("PORTILLON_TEST_CHROMIUM", "/usr/bin/chromium")
ORIGIN = "http://page.invalid"
PHONE = {"width": 390, "height": 844}  # CSS pixels; three device pixels each, as most phones of these years
DISTORTIONS = (
    "clean", "tilt", "motion", "defocus", "moire", "glare", "low_light", "bands", "over_exposed", "cracks", "finger",
    "distance", "dim_screen",
)  # fmt: skip
QR_ONLY = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
CARD = """<!doctype html><html><head><link rel="stylesheet" href="/css/base.css">
<link rel="stylesheet" href="/css/pass.css"></head><body class="pass-page"><main><section>
<div class="pass-card"><div class="pass-code"><canvas id="code"></canvas></div>
<div class="pass-action"><h1>Arrival of <b>Aigerim</b></h1></div></div></section></main></body></html>"""
BY_THE_PAGE = """async (text) => {
  const canvas = document.querySelector("#code");
  (await import("/js/pass/draw.js")).drawCode(canvas, text);
}"""
BY_US = """([rows, quiet, share]) => {
  const canvas = document.querySelector("#code"), ratio = devicePixelRatio, modules = rows.length + 2 * quiet;
  const scale = Math.max(1, Math.floor((canvas.parentElement.clientWidth * ratio * share) / modules));
  canvas.width = canvas.height = modules * scale;
  canvas.style.inlineSize = `${canvas.width / ratio}px`;
  const context = canvas.getContext("2d", { alpha: false });
  context.fillStyle = "#ffffff"; context.fillRect(0, 0, canvas.width, canvas.height); context.fillStyle = "#000000";
  rows.forEach((row, y) => [...row].forEach((dark, x) => {
    if (dark === "1") context.fillRect((x + quiet) * scale, (y + quiet) * scale, scale, scale);
  }));
}"""
WHERE = """() => { const { x, y, width, height } = document.querySelector("#code").getBoundingClientRect();
  return [(x + width / 2) * devicePixelRatio, (y + height / 2) * devicePixelRatio, width * devicePixelRatio]; }"""


@dataclass(frozen=True)
class Look:
    """One way to draw. share: of the card's width. mask: None is the one with the least penalty."""

    name: str
    level: str = "M"
    mask: int | None = None
    quiet: int = 4
    share: float = 1.0


SHIPPED = Look("as the page draws it")
LOOKS = (
    SHIPPED,
    Look("level L", level="L"), Look("level M", level="M"), Look("level Q", level="Q"), Look("level H", level="H"),
    Look("mask 0 always", mask=0), Look("mask 1 always", mask=1), Look("mask 5 always", mask=5),
    Look("quiet zone of 2", quiet=2), Look("quiet zone of 1", quiet=1), Look("no quiet zone", quiet=0),
    Look("four fifths of the width", share=0.8), Look("three fifths of the width", share=0.6),
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """A screenshot, the middle of its code and the code's width with its quiet zone, in device pixels."""

    luma: Luma
    middle: tuple[float, float]


def shown(page: Page, look: Look, text: str) -> Shown:
    """The screenshot of a text drawn so."""
    if look is SHIPPED:
        page.evaluate(BY_THE_PAGE, text)
    else:
        code = segno.make(text, error=look.level, mask=look.mask, boost_error=False, micro=False)
        rows = ["".join("1" if bit else "0" for bit in row) for row in code.matrix]
        page.evaluate(BY_US, [rows, look.quiet, look.share])
    x, y, _ = page.evaluate(WHERE)
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return Shown(np.asarray(picture, np.uint8), (x, y))


def frames(page: Page, look: Look, across: float, count: int, seed: int) -> Iterator[tuple[str, str, Luma]]:
    """(distortion, text, frame): the same hands and light for every look. across: modules a screen."""
    for turn in range(count):
        text = optics.made_up_text(seed * 1_000_003 + turn)
        seen = shown(page, look, text)
        for kind in DISTORTIONS:
            one = seed * 1_000_003 + turn
            view = optics.preset(kind, one)
            yield kind, text, optics.view_of(seen.luma, view, one, aim=seen.middle, screenshot_modules=across)


def compared(page: Page, count: int, seed: int) -> list[list[Any]]:
    """Rows: look, frames, percent read by us and by the plain decoder, our milliseconds, what was lost."""
    shown(page, SHIPPED, optics.made_up_text(seed))
    across = PHONE["width"] * 3 / (page.evaluate(WHERE)[2] / (65 + 8))
    reader, rows = Reader(IMAGE_BUDGET_MS), []
    for look in LOOKS:
        ours = plain = total = 0
        spent, lost = 0.0, {}
        for kind, text, frame in frames(page, look, across, count, seed):
            began = time.process_time()
            read = any(code.text == text for code in reader.read(frame))
            spent += time.process_time() - began
            ours, total = ours + read, total + 1
            plain += any(one.valid and one.text == text for one in zxingcpp.read_barcodes(frame, formats=QR_ONLY))
            if not read:
                lost[kind] = lost.get(kind, 0) + 1
        missed = ", ".join(f"{kind} {number}" for kind, number in sorted(lost.items()))
        rows.append([look.name, total, 100.0 * ours / total, 100.0 * plain / total, 1000.0 * spent / total, missed])
        print(f"page_look: {rows[-1]}", file=sys.stderr)
    return rows


def _answer(route: Route) -> None:
    """The card, and the files of cloud/static as the server would give them."""
    path = route.request.url.removeprefix(ORIGIN).lstrip("/")
    if not path:
        route.fulfill(body=CARD, content_type="text/html")
    else:
        kind = "text/css" if path.endswith(".css") else "text/javascript"
        route.fulfill(body=(STATIC / path).read_text(encoding="utf-8"), content_type=kind)


def main() -> int:
    options = argparse.ArgumentParser(description="How a pass should look.")
    options.add_argument("--frames", type=int, default=6, help="frames of each distortion and look")
    options.add_argument("--seed", type=int, default=31)
    chosen = options.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=PHONE, device_scale_factor=3, color_scheme="dark")  # type: ignore[arg-type]
        page.route("**/*", _answer)
        page.goto(ORIGIN)
        rows = compared(page, chosen.frames, chosen.seed)
        browser.close()
    columns = ["look", "frames", "read, %", "plain decoder, %", "ms", "not read"]
    print(json.dumps({"title": "How a pass should look", "columns": columns, "rows": rows}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
