"""Symbols that a hostile hand may draw, as luma: by segno, by zxing-cpp's writer, and put together bit by bit.

Responsible for: any header before a text (structured append, FNC1, ECI), any kind of symbol, several in one frame.
Not responsible for: photographs of them (simulators/optics.py), nor what a gate makes of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import segno
import zxingcpp
from numpy.typing import NDArray
from segno import consts, encoder

Luma = NDArray[np.uint8]

STRUCTURED_APPEND = "0011"  # mode indicators, ISO/IEC 18004 table 2
FNC1_FIRST, FNC1_SECOND = "0101", "1001"
ECI = "0111"
ECI_SHIFT_JIS, ECI_UTF_8 = 20, 26
CRAFTED_VERSION = 18  # 81 modules a side: at level M a pass of three children in byte mode


def drawn(code: segno.QRCode, module_px: int = 4) -> Luma:
    return np.array([[0 if bit else 255 for bit in row] for row in code.matrix_iter(scale=module_px)], np.uint8)


def pass_drawn(text: str, module_px: int = 4) -> Luma:
    """A text as a phone draws its pass: alphanumeric, level M."""
    return drawn(segno.make(text, error="m", micro=False, boost_error=False), module_px)


def of_kind(text: str, kind: zxingcpp.BarcodeFormat, **options: object) -> Luma:
    picture = zxingcpp.write_barcode_to_image(zxingcpp.create_barcode(text, kind, **options), scale=4)
    return np.pad(np.array(picture, np.uint8), 20, constant_values=255)


def crafted(header: str, content: str | bytes, module_px: int = 4) -> Luma:
    """A symbol whose bit stream begins with any header. content: a str in alphanumeric mode, bytes in byte mode."""
    mode, data = ("byte", content) if isinstance(content, bytes) else ("alphanumeric", content)
    segments: Any = encoder.prepare_data(data, getattr(consts, f"MODE_{mode.upper()}"), None)
    stream = encoder.Buffer([int(bit) for bit in header])
    for segment in segments:
        encoder.write_segment(stream, segment, None, encoder.version_range(CRAFTED_VERSION))
    error, version = consts.ERROR_LEVEL_M, CRAFTED_VERSION
    capacity = consts.SYMBOL_CAPACITY[version][error]
    encoder.write_terminator(stream, capacity, None, len(stream))
    encoder.write_padding_bits(stream, version, len(stream))
    encoder.write_pad_codewords(stream, version, capacity, len(stream))
    side = encoder.calc_matrix_size(version)
    matrix = encoder.make_matrix(side, side)
    encoder.add_finder_patterns(matrix, side, side)
    encoder.add_alignment_patterns(matrix, side, side)
    encoder.add_codewords(matrix, encoder.make_final_message(version, error, stream), version)
    masked: Any = encoder.find_and_apply_best_mask(matrix, side, side)
    mask, matrix = masked
    encoder.add_format_info(matrix, version, error, mask)
    encoder.add_version_info(matrix, version)
    light = np.array([[0 if module else 255 for module in row] for row in matrix], np.uint8)
    return np.kron(np.pad(light, 4, constant_values=255), np.ones((module_px, module_px), np.uint8))


def in_eci(number: int) -> str:
    """The header of a segment in another character set (numbers under 128)."""
    return f"{ECI}{number:08b}"


def part_of(index: int, count: int, parity: int = 0x5A) -> str:
    """The header of one part of a structured append, counted from 0."""
    return f"{STRUCTURED_APPEND}{index:04b}{count - 1:04b}{parity:08b}"


def side_by_side(*pictures: Luma) -> Luma:
    height = max(picture.shape[0] for picture in pictures) + 80
    padded = [
        np.pad(picture, ((40, height - 40 - picture.shape[0]), (40, 40)), constant_values=255) for picture in pictures
    ]
    return np.ascontiguousarray(np.hstack(padded))
