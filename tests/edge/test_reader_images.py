"""`portillon-gate read`: one line an image, whatever the file is."""

from __future__ import annotations

import json
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.pictures import PICTURE_PIXELS_MAX, size_in_header
from edge.reader import read_image
from simulators.optics import View, made_up_text, view_of

PHOTOS = Path(__file__).resolve().parents[2].parent / "shared" / "photos"
PHOTOS_READ_MIN = 0.92


def a_png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def a_jpeg_header(width: int, height: int) -> bytes:
    filler = b"\xff\xe0" + struct.pack(">H", 16) + bytes(14)
    return b"\xff\xd8" + filler + b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + bytes(3)


def error_code(path: Path) -> str:
    return read_image(path)["error"]["code"]


def test_a_picture_of_a_pass_gives_one_line_of_json(tmp_path: Path) -> None:
    text = made_up_text(1)
    picture = tmp_path / "pass.png"
    cv2.imwrite(str(picture), view_of(text, View(), seed=1))
    line = json.loads(json.dumps(read_image(picture)))
    assert set(line) == {"file", "ms", "codes"}
    assert line["file"] == str(picture)
    (code,) = line["codes"]
    assert (code["text"], code["format"]) == (text, "QRCode")
    assert [len(corner) for corner in code["corners"]] == [2, 2, 2, 2]


def test_a_text_that_is_not_ascii_is_shown_and_escaped(tmp_path: Path) -> None:
    encoder = cv2.QRCodeEncoder.create()
    picture = tmp_path / "other.png"
    cv2.imwrite(str(picture), np.kron(np.pad(encoder.encode("\x1b[31mKG1"), 4, constant_values=255), np.ones((4, 4))))
    line = json.dumps(read_image(picture))
    assert "\x1b" not in line
    assert json.loads(line)["codes"][0]["text"] == "\x1b[31mKG1"


def test_an_empty_file_a_text_a_folder_and_nothing_at_all_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "note.png").write_text("not a picture")
    assert error_code(tmp_path / "empty.png") == "PICTURE_EMPTY"
    assert error_code(tmp_path / "note.png") == "PICTURE_FORMAT"
    assert error_code(tmp_path) == "PICTURE_MISSING"
    assert error_code(tmp_path / "nowhere.png") == "PICTURE_MISSING"


@pytest.mark.parametrize("header", [a_png_header, a_jpeg_header])
def test_a_picture_of_200_megapixels_is_refused_by_its_header(
    tmp_path: Path, header: Callable[[int, int], bytes]
) -> None:
    bomb = tmp_path / "bomb"
    bomb.write_bytes(header(20_000, 10_000) + bytes(1_000))
    assert error_code(bomb) == "PICTURE_TOO_LARGE"


def test_the_largest_picture_is_one_pixel_short_of_too_large() -> None:
    assert size_in_header(a_png_header(10_000, PICTURE_PIXELS_MAX // 10_000)) == (10_000, 5_000)


def test_a_real_200_megapixel_png_of_one_colour_is_refused_without_being_decoded(tmp_path: Path) -> None:
    rows = zlib.compress(bytes(20_001) * 100, 9)
    data = b"IDAT" + rows
    bomb = tmp_path / "bomb.png"
    chunk = struct.pack(">I", len(rows)) + data + struct.pack(">I", zlib.crc32(data))
    bomb.write_bytes(a_png_header(20_000, 10_000) + chunk)
    line = read_image(bomb)
    assert line["error"]["code"] == "PICTURE_TOO_LARGE"
    assert line["ms"] == 0.0


def test_a_cut_picture_is_broken_or_read_but_never_a_traceback(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    cv2.imwrite(str(whole), view_of(made_up_text(2), View(), seed=2))
    data = whole.read_bytes()
    for share in (0.01, 0.3, 0.7, 0.999):
        cut = tmp_path / "cut.png"
        cut.write_bytes(data[: int(len(data) * share)])
        line = read_image(cut)
        assert "error" not in line or line["error"]["code"] == "PICTURE_BROKEN"


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from(
        (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8X", b"BM", a_png_header(9, 9))
    ),
    rest=st.binary(max_size=200),
)
def test_no_bytes_make_the_reader_raise(tmp_path_factory: pytest.TempPathFactory, start: bytes, rest: bytes) -> None:
    picture = tmp_path_factory.getbasetemp() / "any"
    picture.write_bytes(start + rest)
    assert "codes" in read_image(picture)


def test_the_photographs_beside_the_checkout_are_read() -> None:
    if not (PHOTOS / "labels.jsonl").is_file():
        warnings.warn(f"no photographs at {PHOTOS}: nothing was measured on them", stacklevel=1)
        return
    labels = [json.loads(line) for line in (PHOTOS / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    missed = []
    for label in labels:
        texts = [code["text"] for code in read_image(PHOTOS / label["file"])["codes"]]
        if not (texts if label["text"] is None else label["text"] in texts):
            missed.append(label["file"])
    assert len(missed) <= (1 - PHOTOS_READ_MIN) * len(labels), missed
