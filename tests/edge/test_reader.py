"""The reader on symbols made for it: what is a QR code, what its bytes are, and how much a hostile view may cost."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import segno
import zxingcpp

from edge.frames import busiest_regions
from edge.reader import Code, Reader
from protocols.limits import SYMBOLS_PER_FRAME_MAX
from simulators import films, optics
from simulators.optics import View, made_up_text, preset, view_of
from tests.edge.symbols import Luma, drawn, of_kind, side_by_side

A_PASS = made_up_text(1)
ANOTHER_PASS = made_up_text(2)


def passes_in(codes: list[Code]) -> list[str | None]:
    return [code.text for code in codes if code.is_qr_code]


def a_clock(*, ticks_ms: float) -> Callable[[], float]:
    """A clock on which every look at it takes that long."""
    looks = iter(range(1_000_000))
    return lambda: next(looks) * ticks_ms / 1000.0


def test_a_pass_is_read_with_its_text_its_bytes_and_its_corners() -> None:
    picture = drawn(segno.make(A_PASS, error="m"))
    (code,) = Reader().read(side_by_side(picture))
    assert (code.text, code.raw, code.format) == (A_PASS, A_PASS.encode(), "QRCode")
    quiet = 40 + 4 * 4
    far = 40 + picture.shape[0] - 4 * 4
    expected = ((quiet, quiet), (far, quiet), (far, far), (quiet, far))
    assert np.abs(np.array(code.corners) - np.array(expected)).max() <= 4


def test_a_micro_qr_is_told_from_a_qr_code_although_the_decoder_was_asked_for_qr_codes() -> None:
    codes = Reader().read(side_by_side(drawn(segno.make_micro("KG1:AB"), 6)))
    assert [code.format for code in codes] == ["MicroQRCode"]
    assert passes_in(codes) == []


@pytest.mark.parametrize(
    "kind", [zxingcpp.BarcodeFormat.RMQRCode, zxingcpp.BarcodeFormat.Aztec, zxingcpp.BarcodeFormat.DataMatrix]
)
def test_a_symbol_of_another_kind_beside_a_pass_does_not_hide_it(kind: zxingcpp.BarcodeFormat) -> None:
    codes = Reader().read(side_by_side(of_kind("KG1:NOT A PASS", kind), drawn(segno.make(A_PASS, error="m"))))
    assert passes_in(codes) == [A_PASS]


def test_two_passes_in_view_are_both_told() -> None:
    frame = side_by_side(drawn(segno.make(A_PASS, error="m")), drawn(segno.make(ANOTHER_PASS, error="m")))
    assert set(passes_in(Reader().read(frame))) == {A_PASS, ANOTHER_PASS}
    assert set(passes_in(Reader().watch(frame))) == {A_PASS, ANOTHER_PASS}


def near_and_far() -> tuple[Luma, Luma]:
    """A pass held near the camera; the same with another one, small, farther away."""
    near = view_of(A_PASS, View(offset_x_px=-250, module_px=5.0), seed=8)
    both, far = near.copy(), drawn(segno.make(ANOTHER_PASS, error="m"), 2)
    both[40 : 40 + far.shape[0], -40 - far.shape[1] : -40] = far
    return near, both


def test_a_small_pass_behind_a_large_one_is_told_in_the_frame_in_which_the_large_one_is_read() -> None:
    _, both = near_and_far()
    assert set(passes_in(Reader().watch(both))) == {A_PASS, ANOTHER_PASS}


def test_a_pass_that_comes_in_beside_another_is_told_within_half_a_second() -> None:
    near, both = near_and_far()
    reader = Reader()
    for _ in range(5):
        assert passes_in(reader.watch(near)) == [A_PASS]
    assert any(set(passes_in(reader.watch(both))) == {A_PASS, ANOTHER_PASS} for _ in range(5))


def test_the_next_phone_is_read_in_its_first_frame_wherever_the_last_one_was_held() -> None:
    reader = Reader()
    left, right = View(offset_x_px=-300, module_px=3.6), View(offset_x_px=300, module_px=3.6)
    for _ in range(2):
        assert passes_in(reader.watch(view_of(A_PASS, left, seed=8))) == [A_PASS]
    assert passes_in(reader.watch(view_of(ANOTHER_PASS, right, seed=9))) == [ANOTHER_PASS]


def test_the_parts_of_a_structured_append_are_never_joined() -> None:
    parts = segno.make_sequence(A_PASS, symbol_count=2, error="m", mode="alphanumeric")
    texts = passes_in(Reader().read(side_by_side(*(drawn(part) for part in parts))))
    assert len(texts) == 2
    assert A_PASS not in texts
    assert "".join(sorted((text or "" for text in texts), key=A_PASS.index)) == A_PASS


def test_bytes_that_are_not_ascii_are_no_text_whatever_they_would_be_transcoded_to() -> None:
    symbol = segno.make(A_PASS[:60] + "é", encoding="utf-16-be", eci=True, mode="byte", micro=False)
    (code,) = Reader().read(side_by_side(drawn(symbol)))
    assert code.text is None
    assert code.raw == (A_PASS[:60] + "é").encode("utf-16-be")


def test_a_pass_in_utf_16_is_not_the_text_of_a_pass() -> None:
    symbol = segno.make("KG1:AB".encode("utf-16-be"), mode="byte", micro=False)
    (code,) = Reader().read(side_by_side(drawn(symbol)))
    assert code.text != "KG1:AB"
    assert code.raw == "KG1:AB".encode("utf-16-be")


def test_an_eci_prefix_changes_nothing_in_the_bytes() -> None:
    symbol = segno.make("KG1:AB", encoding="utf-8", eci=True, mode="byte", micro=False)
    (code,) = Reader().read(side_by_side(drawn(symbol)))
    assert (code.text, code.raw) == ("KG1:AB", b"KG1:AB")


def test_a_gs1_symbol_has_no_text_and_is_not_a_plain_qr_code() -> None:
    picture = of_kind("(01)09501101530003(10)KG1", zxingcpp.BarcodeFormat.QRCode, gs1=True)
    (code,) = Reader().read(side_by_side(picture))
    assert (code.format, code.text, code.is_qr_code) == ("QRCodeGS1", None, False)


@pytest.mark.parametrize(
    "view", [View(inverted=True, dark_mode=True), View(mirrored=True)], ids=["inverted", "mirrored"]
)
def test_an_inverted_and_a_mirrored_pass_are_read_the_same(view: View) -> None:
    assert passes_in(Reader().read(view_of(A_PASS, view, seed=3))) == [A_PASS]


def test_forty_symbols_in_view_cost_no_more_than_the_cap() -> None:
    small = [drawn(segno.make(f"HTTP://A.B/{index}", error="l", micro=False), 3) for index in range(40)]
    rows = [np.hstack([np.pad(code, 8, constant_values=255) for code in small[at : at + 8]]) for at in range(0, 40, 8)]
    codes = Reader().read(np.ascontiguousarray(np.vstack(rows)))
    assert len(codes) == SYMBOLS_PER_FRAME_MAX


def test_a_version_40_symbol_is_only_another_text() -> None:
    long_text = "A" * 3_000
    codes = Reader().read(side_by_side(drawn(segno.make(long_text, error="l"), 4)))
    assert passes_in(codes) == [long_text]


def test_the_ladder_stops_when_the_budget_is_spent() -> None:
    looks = 0

    def clock() -> float:
        nonlocal looks
        looks += 1
        return looks * 0.030

    noise = np.random.default_rng(1).integers(0, 255, (720, 1280), np.uint8)
    assert Reader(budget_ms=100.0, monotonic=clock).read(noise) == []
    assert looks < 10


def test_one_frame_of_a_film_costs_one_pass_and_one_step() -> None:
    noise = np.random.default_rng(2).integers(0, 255, (360, 640), np.uint8)
    reader = Reader(budget_ms=0.0, monotonic=a_clock(ticks_ms=10.0))
    assert reader.watch(noise) == []


def test_a_pass_that_appears_in_a_still_scene_is_read_at_once() -> None:
    empty = view_of(A_PASS, View(offset_x_px=4_000, noise=0.5), seed=4)
    shown = view_of(A_PASS, View(), seed=4)
    reader = Reader()
    for _ in range(40):
        assert reader.watch(empty) == []
    assert passes_in(reader.watch(shown)) == [A_PASS]
    assert passes_in(reader.watch(shown)) == [A_PASS]


def test_a_pass_that_lies_still_is_told_in_every_frame() -> None:
    shown = view_of(A_PASS, View(), seed=5)
    reader = Reader()
    assert all(passes_in(reader.watch(shown)) == [A_PASS] for _ in range(60))


def test_a_strided_view_of_a_larger_frame_is_read() -> None:
    planes = np.zeros((1080, 1344), np.uint8)
    planes[:720, :1280] = view_of(A_PASS, View(), seed=6)
    assert passes_in(Reader().read(planes[:720, :1280])) == [A_PASS]


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (20, 20), (700, 12)])
def test_a_frame_too_small_or_too_thin_for_a_code_is_only_empty(shape: tuple[int, int]) -> None:
    speckled = np.random.default_rng(3).integers(0, 255, shape, np.uint8)
    assert Reader().read(speckled) == []
    assert Reader().watch(speckled) == []


@pytest.mark.parametrize("distortion", optics.DISTORTIONS)
def test_most_frames_of_each_distortion_are_read_and_none_is_read_wrong(distortion: str) -> None:
    reader, read = Reader(400.0), 0
    for text, _, _, frame in optics.frames(3, seed=11, distortions=[distortion]):
        texts = passes_in(reader.read(frame))
        assert texts in ([], [text])
        read += bool(texts)
    assert read >= 1, distortion


def test_a_code_that_wide_bands_cut_into_places_is_looked_at_as_one() -> None:
    seed = 3 * 1_000_003 + 3
    frame = view_of(made_up_text(seed), preset("bands", seed), seed)
    assert len(busiest_regions(frame)) == 1
    assert passes_in(Reader(400.0).read(frame)) == [made_up_text(seed)]


def test_an_arriving_phone_is_read_within_sixteen_frames() -> None:
    for seed in range(3):
        reader = Reader()
        film = films.stream(A_PASS, seed, frame_count=16)
        assert any(passes_in(reader.watch(frame)) == [A_PASS] for _, frame in film)


def test_three_hundred_frames_leave_nothing_behind() -> None:
    grain = np.random.default_rng(4)
    reader = Reader()
    frames = [grain.integers(0, 255, (180, 320), np.uint8) for _ in range(6)]
    for frame in frames:
        reader.watch(frame)
    tracemalloc.start()
    for index in range(300):
        reader.watch(frames[index % 6])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 200_000


def test_a_rotated_copy_reads_the_same() -> None:
    frame = view_of(A_PASS, View(), seed=7)
    turned = np.ascontiguousarray(np.rot90(frame))
    assert passes_in(Reader().read(turned)) == [A_PASS]
