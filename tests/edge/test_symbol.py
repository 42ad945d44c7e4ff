"""Our own measuring of modules: what the standard says of a symbol, and how much of one may be spoiled."""

from __future__ import annotations

import numpy as np
import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge import modules
from edge.symbol import VERSION_MAX, VERSION_MIN, _codeword_modules, decode, patterns, repair
from simulators.optics import View, made_up_text, view_of

A_PASS = made_up_text(1)
SOME_TEXT = A_PASS[:90]


def beliefs_of(code: segno.QRCode) -> NDArray[np.float32]:
    return np.array([[1.0 if bit else -1.0 for bit in row] for row in code.matrix], np.float32)


@pytest.mark.parametrize("level", "LMQH")
@pytest.mark.parametrize("version", range(VERSION_MIN, VERSION_MAX + 1))
def test_every_version_and_level_is_read_as_another_encoder_wrote_it(version: int, level: str) -> None:
    text = SOME_TEXT[:80]
    beliefs = beliefs_of(segno.make(text, error=level, version=version, boost_error=False))
    known = patterns(version)
    assert np.array_equal(known[known != 0], beliefs[known != 0])
    assert decode(beliefs) == text.encode()


@pytest.mark.parametrize("mask", range(8))
def test_every_mask_is_undone(mask: int) -> None:
    assert decode(beliefs_of(segno.make(A_PASS, error="M", mask=mask))) == A_PASS.encode()


@pytest.mark.parametrize("text", ["0123456789" * 9 + "1", "lower case and \u00e9", "MIXED 123 and 456789012345"])
def test_numbers_bytes_and_mixtures_are_read(text: str) -> None:
    code = segno.make(text.encode("latin-1"), error="M", version=9)
    assert decode(beliefs_of(code)) == text.encode("latin-1")


@pytest.mark.parametrize("mode", ["sequence", "eci", "kanji"])
def test_what_is_not_plain_text_is_left_to_the_ordinary_decoder(mode: str) -> None:
    if mode == "sequence":
        code = segno.make_sequence(SOME_TEXT * 3, version=9, error="M", mode="alphanumeric")[0]
    elif mode == "eci":
        code = segno.make(SOME_TEXT, version=9, encoding="utf-8", eci=True, mode="byte")
    else:
        code = segno.make("\u6f22\u5b57" * 20, version=9, mode="kanji")
    assert decode(beliefs_of(code)) is None


def test_twice_as_much_may_be_hidden_as_may_be_wrong() -> None:
    whole = beliefs_of(segno.make(A_PASS, error="M"))
    wrong, hidden = whole.copy(), whole.copy()
    wrong[24:36, 24:64] *= -1.0
    hidden[24:36, 24:64] *= np.random.default_rng(1).choice([-0.05, 0.05], (12, 40))
    assert decode(wrong) is None
    assert decode(hidden) == A_PASS.encode()


def test_a_symbol_of_nothing_but_zeros_is_no_text() -> None:
    code = segno.make(A_PASS, error="M", mask=0)
    rows, columns = np.mgrid[: len(code.matrix), : len(code.matrix)]
    masked_zeros = np.where((rows + columns) % 2 == 0, np.float32(1), np.float32(-1))
    data = _codeword_modules(int(code.version))
    beliefs = beliefs_of(code)
    beliefs.reshape(-1)[data] = masked_zeros.reshape(-1)[data]
    assert decode(beliefs) is None


def test_noise_is_never_a_text() -> None:
    grain = np.random.default_rng(2)
    for _ in range(50):
        assert decode(grain.normal(0, 0.6, (65, 65)).astype(np.float32)) is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_block_is_repaired_within_its_bound(data: st.DataObject) -> None:
    size, checks = 40, 16
    erased = data.draw(st.lists(st.integers(0, size - 1), max_size=checks, unique=True))
    errors_max = (checks - len(erased)) // 2
    rest = [place for place in range(size) if place not in erased]
    wrong = data.draw(st.lists(st.sampled_from(rest), max_size=errors_max, unique=True))
    block = [0] * size  # the zero word is a word of every such code; the code is linear
    for place in [*erased, *wrong]:
        block[place] = data.draw(st.integers(0 if place in erased else 1, 255))
    assert repair(block, checks, erased) == [0] * size


def test_a_tilted_symbol_is_found_measured_and_read_without_the_decoder() -> None:
    frame = view_of(
        A_PASS, View(tilt_x_deg=20, tilt_y_deg=-12, rotation_deg=9, quiet_zone_modules=0, dark_mode=True), 3
    )
    picture = np.ascontiguousarray(frame[160:560, 430:850])
    grid = modules.find_grid(picture)
    assert grid is not None
    assert grid.version == 12
    assert decode(modules.equalised(picture, grid)) == A_PASS.encode()


def test_smear_of_two_modules_is_undone_by_what_is_known_of_the_symbol() -> None:
    frame = view_of(A_PASS, View(motion_px=9.0, motion_deg=35.0), 4)
    picture = np.ascontiguousarray(frame[170:550, 450:830])
    grid = modules.find_grid(picture)
    assert grid is not None
    truth = beliefs_of(segno.make(A_PASS, error="M", boost_error=False)) > 0
    plain, undone = modules.measure(picture, grid), modules.equalised(picture, grid)
    assert np.mean((undone > 0) != truth) * 2 < np.mean((plain > 0) != truth)
    assert decode(undone) == A_PASS.encode()


@pytest.mark.parametrize("kind", ["flat", "noise", "stripes", "tiny"])
def test_where_there_is_no_symbol_there_is_no_grid(kind: str) -> None:
    picture = {
        "flat": np.full((300, 300), 90, np.uint8),
        "noise": np.random.default_rng(5).integers(0, 255, (300, 300), np.uint8),
        "stripes": np.tile(np.repeat(np.array([20, 220], np.uint8), 4), (300, 40))[:, :300],
        "tiny": np.random.default_rng(6).integers(0, 255, (24, 24), np.uint8),
    }[kind]
    assert modules.find_grid(np.ascontiguousarray(picture)) is None
