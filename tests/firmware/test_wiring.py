"""The sheet an electrician wires by says what gate.toml says, for each pin that gate.toml drives or may observe."""

from __future__ import annotations

import re
import tomllib

from tests.firmware.target import SOURCE
from tests.house.tree import text

SHEET, DRAWING = "docs/install-a-gate.md", "docs/images/wiring.svg"
# BCM number -> pin of the header: the Raspberry Pi's own drawing, for what a gate uses
HEADER = {5: 29, 6: 31, 13: 33, 17: 11, 18: 12, 19: 35, 22: 15, 23: 16, 24: 18}


def wired() -> dict[str, tuple[int, int]]:
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \|", text(SHEET), re.MULTILINE)
    return {name: (int(bcm), int(pin)) for name, bcm, pin in rows}


def test_the_sheet_wires_the_pins_that_gate_toml_names() -> None:
    door = tomllib.loads((SOURCE / "gate.toml").read_text())["door"]
    named = {key.removesuffix("_pin"): number for key, number in door.items() if key.endswith("_pin")}
    sheet = {name: bcm for name, (bcm, _) in wired().items()}
    assert sheet.keys() == named.keys() - {"white"}
    assert {name: bcm for name, bcm in sheet.items() if named[name] != -1} == {
        name: number for name, number in named.items() if number != -1
    }
    assert len(set(sheet.values())) == len(sheet)


def test_the_sheet_and_the_drawing_give_each_pin_its_place_on_the_header() -> None:
    assert all(HEADER[bcm] == pin for bcm, pin in wired().values())
    for bcm, pin in wired().values():
        used = re.search(rf'middle">{pin}</text>\n<text [^>]*bold[^>]*>([^<]*)</text>', text(DRAWING))
        assert used and re.search(rf"\bGPIO{bcm}\b", used[1]), (bcm, pin)
