"""Our QR encoder against zxing-cpp: every version it can draw, drawn by Chromium."""

import cv2
import numpy as np
import pytest
import zxingcpp
from playwright.sync_api import Page

from cloud.kit.web import static_url
from tests.browser.conftest import Stage

DRAW = """async ([address, texts]) => {
  const { encode } = await import(address);
  return texts.map((text) => {
    const { version, size, dark } = encode(text);
    return { version, size, dark: Array.from(dark).join("") };
  });
}"""
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"  # RFC 9285, which is the alphanumeric set of ISO/IEC 18004
QUIET_MODULES, PIXELS = 4, 4
QR_CODES = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)

# The most alphanumeric characters of level M, by version from 1 (ISO/IEC 18004, table 7).
CAPACITY = (
    20, 38, 61, 90, 122, 154, 178, 221, 262, 311, 366, 419, 483, 528, 600, 656, 734, 816, 909, 970, 1035, 1134, 1248,
    1326, 1451, 1542, 1637, 1732, 1839, 1994, 2113, 2238, 2369, 2506, 2632, 2780, 2894, 3054, 3220, 3391,
)  # fmt: skip


@pytest.fixture
def pass_page(open_house: Stage, phone: Page) -> Page:
    phone.goto(f"{open_house.url}/pass")
    return phone


def some_text(characters: int) -> str:
    return "".join(ALPHABET[(i * i * 7 + i * 13 + characters) % 45] for i in range(characters))


def drawn(page: Page, open_house: Stage, *texts: str) -> list[dict]:
    return page.evaluate(DRAW, [open_house.url + static_url("js/pass/qr.js"), texts])


def picture_of(code: dict) -> np.ndarray:
    shades = np.array([0 if dark == "1" else 255 for dark in code["dark"]], np.uint8)
    modules = shades.reshape(code["size"], code["size"])
    framed = np.pad(modules, QUIET_MODULES, constant_values=255)
    return cv2.resize(framed, None, fx=PIXELS, fy=PIXELS, interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize("shorter_by", [0, 1])
def test_every_version_from_1_to_40_is_read_back_to_the_letter(
    pass_page: Page, open_house: Stage, shorter_by: int
) -> None:
    texts = [some_text(characters - shorter_by) for characters in CAPACITY]
    codes = drawn(pass_page, open_house, *texts)
    assert [code["version"] for code in codes] == list(range(1, 41))
    for text, code in zip(texts, codes, strict=True):
        (found,) = zxingcpp.read_barcodes(picture_of(code), formats=QR_CODES)
        assert found.bytes.decode("ascii") == text
        assert found.ec_level == "M"


def test_one_character_more_needs_the_next_version(pass_page: Page, open_house: Stage) -> None:
    codes = drawn(pass_page, open_house, *(some_text(characters + 1) for characters in CAPACITY[:-1]))
    assert [code["version"] for code in codes] == list(range(2, 41))


@pytest.mark.parametrize("text", ["a" * 10, "é", "A" * 3392])
def test_what_is_not_alphanumeric_or_too_long_is_refused(pass_page: Page, open_house: Stage, text: str) -> None:
    refused = """async ([address, text]) => (await import(address)).encode(text)"""
    with pytest.raises(Exception, match="RangeError"):
        pass_page.evaluate(refused, [open_house.url + static_url("js/pass/qr.js"), text])
