"""Picture files as luma: refused by their header before anything large is decoded.

Responsible for: PNG, JPEG, WebP and BMP from untrusted files, sizes bounded, one error with a code for each reason.
Not responsible for: reading codes in them (edge/reader.py).
"""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

PICTURE_PIXELS_MAX = 50_000_000  # the largest phone cameras of 2026; luma of it is 50 MB
PICTURE_BYTES_MAX = 64 * 1_024 * 1_024  # a 50-megapixel PNG of a photograph is about that
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start-of-frame markers, ITU T.81 table B.1


class PictureRefused(Exception):
    """A file that is not decoded. code: PICTURE_MISSING, _EMPTY, _FORMAT, _TOO_LARGE, _BROKEN."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


def load_picture(path: Path) -> NDArray[np.uint8]:
    """Return the picture's luma. Raises PictureRefused; allocates nothing large before the header was believed."""
    data = _bytes_of(path)
    size = size_in_header(data)
    if size is None:
        raise PictureRefused("PICTURE_FORMAT", "not a PNG, JPEG, WebP or BMP picture")
    width, height = size
    if width < 1 or height < 1 or width * height > PICTURE_PIXELS_MAX:
        raise PictureRefused("PICTURE_TOO_LARGE", f"{width} x {height} pixels; at most {PICTURE_PIXELS_MAX} are read")
    try:
        luma = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error as error:
        raise PictureRefused("PICTURE_BROKEN", "the picture's data cannot be decoded") from error
    if luma is None or luma.size == 0:
        raise PictureRefused("PICTURE_BROKEN", "the picture's data cannot be decoded")
    return np.asarray(luma, np.uint8)


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(PICTURE_BYTES_MAX + 1)
    except OSError as error:
        raise PictureRefused("PICTURE_MISSING", error.strerror or "the file cannot be opened") from error
    if not data:
        raise PictureRefused("PICTURE_EMPTY", "the file has no bytes")
    if len(data) > PICTURE_BYTES_MAX:
        raise PictureRefused("PICTURE_TOO_LARGE", f"more than {PICTURE_BYTES_MAX} bytes")
    return data


def size_in_header(data: bytes) -> tuple[int, int] | None:
    """(width, height) as the file's own header claims them, or None for a format that is not read here."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR":
            return struct.unpack_from(">II", data, 16)
        if data[:2] == b"\xff\xd8":
            return _jpeg_size(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
        if data[:2] == b"BM":
            width, height = struct.unpack_from("<ii", data, 18)
            return abs(width), abs(height)
    except (struct.error, IndexError):
        return None
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # fill bytes and markers with no length
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
