"""A hand scanner is a source of codes like the camera, and nothing that comes over its wire stops the gate."""

from __future__ import annotations

import os
import random
import string
import struct
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import scanner as module
from edge.scanner import TEXTS_MAX, Scanner, SerialLines, TypedKeys
from edge.tablet_settings import ScannerSettings
from protocols.limits import PASS_CHARACTERS_MAX
from protocols.topics import POLICY
from tests.edge.household import Phone, RunningGate, Site
from tests.edge.line import until


def texts(raw: bytes, cutter: SerialLines | TypedKeys | None = None) -> list[str]:
    return list((cutter or SerialLines()).feed(raw))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"KG1:ABC\r\n", ["KG1:ABC"]),
        (b"KG1:ABC\rKG1:DEF\r", ["KG1:ABC", "KG1:DEF"]),
        (b"\r\n\r\n\0", []),
        (b"KG1:ABC", []),  # no end yet
        (b"KG1:\xff\r\nKG1:OK\n", ["KG1:OK"]),
        (b"KG1:\x1b[31m\n", []),  # an escape sequence goes nowhere (P20)
        (b"KG1:" + "é".encode() + b"\n", []),
        (b"A" * PASS_CHARACTERS_MAX + b"\n", ["A" * PASS_CHARACTERS_MAX]),
        (b"A" * (PASS_CHARACTERS_MAX + 1) + b"\nKG1:OK\n", ["KG1:OK"]),
    ],
)
def test_lines_are_strict_ascii_of_a_passs_length(raw: bytes, said: list[str]) -> None:
    assert texts(raw) == said


def test_a_line_may_come_byte_by_byte() -> None:
    cutter = SerialLines()
    assert [text for byte in b"KG1:ABC\r" for text in cutter.feed(bytes([byte]))] == ["KG1:ABC"]


def test_an_endless_line_holds_no_memory_and_ends_as_rubbish() -> None:
    cutter = SerialLines()
    for _ in range(2_000):
        assert texts(b"A" * 4_096, cutter) == []
    assert len(cutter._line) <= PASS_CHARACTERS_MAX
    assert texts(b"\nKG1:OK\n", cutter) == ["KG1:OK"]


def test_noise_of_any_kind_raises_nothing() -> None:
    chance = random.Random(1)
    for cutter in (SerialLines(), TypedKeys()):
        for _ in range(200):
            for text in cutter.feed(chance.randbytes(chance.randrange(300))):
                assert text.isascii() and text.isprintable() and len(text) <= PASS_CHARACTERS_MAX


def typed(text: str) -> bytes:
    """What a scanner that types sends, with the releases and the reports between."""
    plain = {letter: code for code, letter in module._PLAIN.items()}
    shifted = {letter: code for code, letter in module._SHIFTED.items()}
    rows: list[tuple[int, int, int]] = []
    for letter in text:
        if letter == "\n":
            rows += [(1, 28, 1), (0, 0, 0), (1, 28, 0)]
        elif letter in plain:
            rows += [(1, plain[letter], 1), (0, 0, 0), (1, plain[letter], 0)]
        else:
            rows += [(1, 42, 1), (1, shifted[letter], 1), (1, shifted[letter], 0), (1, 42, 0)]
    return b"".join(struct.pack("llHHi", 1, 2, *row) for row in rows)


def test_every_character_of_a_pass_can_be_typed() -> None:
    base45 = string.digits + string.ascii_uppercase + " $%*+-./:"
    assert texts(typed(f"KG1:{base45}\n"), TypedKeys()) == [f"KG1:{base45}"]


def test_keys_may_be_cut_anywhere() -> None:
    raw, cutter = typed("KC1:AB+\n"), TypedKeys()
    assert [text for n in range(0, len(raw), 7) for text in cutter.feed(raw[n : n + 7])] == ["KC1:AB+"]


def test_an_unknown_key_spoils_its_line_alone() -> None:
    strange = struct.pack("llHHi", 1, 2, 1, 59, 1)  # F1
    assert texts(typed("KG1:A") + strange + typed("B\nKG1:OK\n"), TypedKeys()) == ["KG1:OK"]


# --- a device -------------------------------------------------------------------------------------------------------


class Wire:
    """A pseudo terminal behind a name, as udev would make it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plug()

    def plug(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._slave))

    def unplug(self) -> None:
        self.path.unlink()
        os.close(self._slave)
        os.close(self._master)

    def send(self, raw: bytes) -> None:
        os.write(self._master, raw)


@pytest.fixture
def wire(tmp_path: Path) -> Wire:
    return Wire(tmp_path / "scanner")


@pytest.fixture
def said() -> list[str | None]:
    return []


@pytest.fixture
def scanner(wire: Wire, said: list[str | None]) -> Iterator[Scanner]:
    made = Scanner(ScannerSettings("serial", str(wire.path)), said.append, reopen_seconds=0.05)
    made.start()
    until(lambda: said)
    yield made
    made.stop()


def test_a_scanner_that_is_unplugged_and_back_is_read_again(
    wire: Wire, scanner: Scanner, said: list[str | None]
) -> None:
    wire.send(b"KG1:ONE\r\n")
    assert until(lambda: list(scanner.texts)) == ["KG1:ONE"]
    wire.send(b"KG1:HAL")
    wire.unplug()
    fault = until(lambda: said[-1])
    assert fault is not None and fault.startswith("SCANNER_AWAY")
    wire.plug()
    until(lambda: said[-1] is None)
    wire.send(b"KG1:TWO\r\n")  # and not joined to what was cut off
    assert until(lambda: len(scanner.texts) == 2 and list(scanner.texts)) == ["KG1:ONE", "KG1:TWO"]


def test_what_waits_is_bounded(wire: Wire, scanner: Scanner) -> None:
    wire.send(b"".join(b"KG1:%d\r\n" % n for n in range(100)))
    until(lambda: scanner.texts and scanner.texts[-1] == "KG1:99")
    assert len(scanner.texts) == TEXTS_MAX


@pytest.mark.parametrize("path", ["/dev/null", "/nowhere/scanner", "/"])
def test_what_is_no_scanner_is_a_fault_and_no_crash(path: str, said: list[str | None]) -> None:
    made = Scanner(ScannerSettings("serial", path), said.append)
    made.start()
    assert until(lambda: said)[0].startswith("SCANNER_AWAY")
    made.stop()
    assert not made._thread.is_alive()


@pytest.mark.serial
def test_a_pass_from_the_scanner_opens_the_door_like_one_from_the_camera(tmp_path: Path, wire: Wire) -> None:
    site = Site()
    more = f'[scanner]\nkind = "serial"\npath = "{wire.path}"\n'
    gate = RunningGate(tmp_path, site, changed=lambda toml: toml.write_text(toml.read_text() + more))
    began = time.time()
    try:
        gate.take((POLICY, site.policy_list(1)))
        until(lambda: "scanner" not in gate.appliance.status()["faults"])
        until(lambda: time.time() > began + 1.5)  # a gate that lost its state refuses what is not 10 s after its boot
        wire.send(b"rubbish\xff\r\n\0\0" + b"A" * 5_000 + b"\r\n")
        wire.send(Phone(site, holder=7, children=[(1, 3)]).text(time.time() + 9).encode() + b"\r\n")
        line = until(lambda: gate.count and gate.appliance.board.history[-1])
        assert (line["code"], line["strike"], line["acts"]) == ("OPEN", True, [[1, 1]])
        assert gate.pulses == 1
    finally:
        gate.stop()
