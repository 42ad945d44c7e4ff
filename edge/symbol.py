"""What a QR code is made of: where its patterns lie, which modules make which codeword, how its text is protected.

Responsible for: versions 7 to 20 (a pass is 11 to 16, a card up to 19), model 2; from one belief a module (how dark,
how sure) to the text, with the least sure codewords taken as erasures, so that nearly twice as many may be spoiled as
an ordinary decoder repairs. PURE: arrays in, bytes out.
Not responsible for: finding a symbol in a frame and measuring its modules (edge/modules.py); anything but numeric,
alphanumeric and byte segments: for structured append, ECI, FNC1 and kanji the answer is None.
Obeys: ISO/IEC 18004:2015, tables 9 and E.1, sections 7.3 to 7.10; P-3 (a).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_Take = Callable[[int], int]
Beliefs = NDArray[np.float32]  # one a module, row by row: +1 surely dark, -1 surely light, 0 unknown

VERSION_MIN, VERSION_MAX = 7, 20
LEVELS = "MLHQ"  # in the order of their two bits in the format information
ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_SINGLES = [character.encode() for character in ALPHANUMERIC]
_PAIRS = [first + second for first in _SINGLES for second in _SINGLES]
FORMAT_DISTANCE_SURE = 0.35  # mean agreement with the best format word under which it is a guess
# Table 9, versions 1 to 20: check codewords of each block, and blocks.
_CHECKS = {
    "L": (7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28),
    "M": (10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26),
    "Q": (13, 22, 18, 26, 18, 24, 18, 22, 20, 24, 28, 26, 24, 20, 30, 24, 28, 28, 26, 30),
    "H": (17, 28, 22, 16, 22, 28, 26, 26, 24, 28, 24, 28, 22, 24, 24, 30, 28, 28, 26, 28),
}
_BLOCKS = {
    "L": (1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8),
    "M": (1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16),
    "Q": (1, 1, 2, 2, 4, 4, 6, 6, 8, 8, 8, 10, 12, 16, 12, 17, 16, 18, 21, 20),
    "H": (1, 1, 2, 4, 4, 4, 5, 6, 8, 8, 11, 11, 16, 16, 18, 16, 19, 21, 25, 25),
}


# Where things are --------------------------------------------------------------------------------------------------


def side_of(version: int) -> int:
    """Modules along one side."""
    return 17 + 4 * version


@lru_cache(maxsize=VERSION_MAX)
def alignment_centres(version: int) -> tuple[tuple[int, int], ...]:
    """(row, column) of every alignment pattern's centre; the three that finder patterns would cover left out."""
    count = version // 7 + 2
    step = (version * 4 + count * 2 + 1) // (count * 2 - 2) * 2
    last = side_of(version) - 7
    lines = [6, *sorted(last - step * index for index in range(count - 1))]
    corners = {(6, 6), (6, last), (last, 6)}
    return tuple((row, column) for row in lines for column in lines if (row, column) not in corners)


@lru_cache(maxsize=VERSION_MAX)
def patterns(version: int) -> NDArray[np.int8]:
    """What is known before anything is read: +1 dark, -1 light, 0 data, format or version information."""
    side = side_of(version)
    known = np.zeros((side, side), np.int8)
    dashes = np.where(np.arange(side) % 2 == 0, 1, -1)
    known[6, :] = known[:, 6] = dashes
    ring = np.maximum(np.abs(np.arange(-4, 5))[:, None], np.abs(np.arange(-4, 5))[None, :])
    finder = np.where((ring == 2) | (ring == 4), -1, 1)
    for row, column in ((3, 3), (3, side - 4), (side - 4, 3)):
        top, left = row - 4, column - 4
        rows, columns = slice(max(0, top), min(side, top + 9)), slice(max(0, left), min(side, left + 9))
        known[rows, columns] = finder[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    small = np.where(ring[2:7, 2:7] == 1, -1, 1)
    for row, column in alignment_centres(version):
        known[row - 2 : row + 3, column - 2 : column + 3] = small
    known[side - 8, 8] = 1
    return known


@lru_cache(maxsize=VERSION_MAX)
def _codeword_modules(version: int) -> NDArray[np.intp]:
    """For each codeword the eight flat module numbers of its bits, highest first (7.7.3)."""
    side = side_of(version)
    taken = patterns(version) != 0
    taken[8, :9] = taken[:9, 8] = taken[8, side - 8 :] = taken[side - 8 :, 8] = True
    if version >= 7:
        taken[:6, side - 11 : side - 8] = taken[side - 11 : side - 8, :6] = True
    order: list[int] = []
    upwards = True
    for right in [*range(side - 1, 6, -2), *range(5, 0, -2)]:
        for row in range(side - 1, -1, -1) if upwards else range(side):
            order += [row * side + column for column in (right, right - 1) if not taken[row, column]]
        upwards = not upwards
    return np.array(order[: len(order) // 8 * 8], np.intp).reshape(-1, 8)


@lru_cache(maxsize=8)
def _format_modules(side: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Flat module numbers of the two copies of the fifteen format bits, lowest bit first (7.9.1)."""
    first = [(row, 8) for row in (*range(6), 7, 8)] + [(8, column) for column in (7, *range(5, -1, -1))]
    second = [(8, side - 1 - index) for index in range(8)] + [(side - 7 + index, 8) for index in range(7)]
    return tuple(np.array([row * side + column for row, column in copy], np.intp) for copy in (first, second))  # type: ignore[return-value]


@lru_cache(maxsize=1)
def _format_words() -> NDArray[np.float32]:
    """The 32 possible format words as +1 and -1, lowest bit first."""
    words = []
    for data in range(32):
        rest = data
        for _ in range(10):
            rest = (rest << 1) ^ ((rest >> 9) * 0x537)
        word = (data << 10 | rest) ^ 0x5412
        words.append([1.0 if word >> bit & 1 else -1.0 for bit in range(15)])
    return np.array(words, np.float32)


@lru_cache(maxsize=8 * (VERSION_MAX - VERSION_MIN + 1))
def _mask(side: int, number: int) -> NDArray[np.float32]:
    """-1 where the mask inverts a module, +1 elsewhere (table 10)."""
    row, column = np.mgrid[:side, :side]
    inverts = (
        (row + column) % 2,
        row % 2,
        column % 3,
        (row + column) % 3,
        (row // 2 + column // 3) % 2,
        row * column % 2 + row * column % 3,
        (row * column % 2 + row * column % 3) % 2,
        ((row + column) % 2 + row * column % 3) % 2,
    )[number]
    return np.where(inverts == 0, np.float32(-1), np.float32(1))


# From beliefs to text ----------------------------------------------------------------------------------------------


class _Format(NamedTuple):
    level: str
    mask: int


def decode(beliefs: Beliefs) -> bytes | None:
    """Return the text of a symbol (side x side beliefs), or None where it cannot be said for sure."""
    side = beliefs.shape[0]
    version = (side - 17) // 4
    flat = beliefs.reshape(-1)
    for chosen in _likeliest_formats(flat, side):
        unmasked = flat * _mask(side, chosen.mask).reshape(-1)
        bits = unmasked[_codeword_modules(version)]
        values = (bits > 0).astype(np.int32) @ (1 << np.arange(7, -1, -1))
        data = _repaired(values, np.abs(bits).min(axis=1), version, chosen.level)
        if data is not None:
            return text_of(data, version) or None  # nothing but zeros is a word of the code, and no text
    return None


def _likeliest_formats(flat: Beliefs, side: int) -> list[_Format]:
    """The best format word; the second as well where the best is a guess."""
    first, second = _format_modules(side)
    agreement = _format_words() @ (flat[first] + flat[second]) / 30.0
    best = np.argsort(-agreement)[: 1 if agreement.max() > FORMAT_DISTANCE_SURE else 2]
    return [_Format(LEVELS[int(index) >> 3], int(index) & 7) for index in best]


def _repaired(values: NDArray[np.int32], surety: Beliefs, version: int, level: str) -> bytes | None:
    """De-interleave (7.6), repair each block, return the data codewords; None as soon as one block is beyond repair."""
    checks, blocks = _CHECKS[level][version - 1], _BLOCKS[level][version - 1]
    total = len(values)
    short = total // blocks - checks  # data codewords of a short block
    long_blocks = total % blocks
    data: list[bytes] = []
    for block in range(blocks):
        is_long = block >= blocks - long_blocks
        places = [index * blocks + block for index in range(short)]
        if is_long:
            places.append(short * blocks + block - (blocks - long_blocks))
        places += [total - checks * blocks + index * blocks + block for index in range(checks)]
        repaired = _repair_block(values[places].tolist(), surety[places], checks)
        if repaired is None:
            return None
        data.append(bytes(repaired[: short + is_long]))
    return b"".join(data)


def _repair_block(block: list[int], surety: Beliefs, checks: int) -> list[int] | None:
    """With the least sure codewords as erasures: half as many as there are checks, then none, fewer, more.

    Six checks are always left to errors, so that noise passes for a block once in 500 times and for eight never.
    """
    least_sure = np.argsort(surety)
    for erased in (checks // 2, 0, checks // 4, checks - 6):
        repaired = repair(block, checks, [int(place) for place in least_sure[:erased]])
        if repaired is not None:
            return repaired
    return None


def text_of(data: bytes, version: int) -> bytes | None:
    """The bytes of the numeric, alphanumeric and byte segments (7.4); None for any other segment or a cut one."""
    left = len(data) * 8
    bits = f"{int.from_bytes(data, 'big'):0{left}b}"
    text = bytearray()

    def take(count: int) -> int:
        nonlocal left
        left -= count
        return int(bits[-left - count : -left or None], 2)

    wide = version >= 10
    while left >= 4 and (mode := take(4)) != 0:
        count_bits = {1: 12 if wide else 10, 2: 11 if wide else 9, 4: 16 if wide else 8}.get(mode, 0)
        if count_bits == 0 or left < count_bits:
            return None
        count = take(count_bits)
        need = {1: count * 10 // 3, 2: count * 11 // 2, 4: count * 8}[mode]
        if need > left:
            return None
        if mode == 4:
            text += bytes(take(8) for _ in range(count))
        elif not _take_characters(text, take, count, mode):
            return None
    return bytes(text)


def _take_characters(text: bytearray, take: _Take, count: int, mode: int) -> bool:
    """Alphanumeric pairs, or groups of three digits. False for a value that stands for nothing."""
    while count > 0:
        if mode == 1:
            digits = min(3, count)
            group = take((4, 7, 10)[digits - 1])
            if group >= 10**digits:
                return False
            text += b"%0*d" % (digits, group)
            count -= digits
        else:
            pair = min(2, count)
            group = take(11 if pair == 2 else 6)
            if group >= 45**pair:
                return False
            text += _PAIRS[group] if pair == 2 else _SINGLES[group]
            count -= pair
    return True


# Reed-Solomon over GF(256), 7.5 ------------------------------------------------------------------------------------

_EXP = [1] * 512
_LOG = [0] * 256
for _power in range(1, 512):
    _EXP[_power] = _EXP[_power - 1] << 1 ^ (0x11D if _EXP[_power - 1] & 0x80 else 0)
for _power in range(255):
    _LOG[_EXP[_power]] = _power


def _times(a: int, b: int) -> int:
    return _EXP[_LOG[a] + _LOG[b]] if a and b else 0


def _product(left: list[int], right: list[int]) -> list[int]:
    """Of two polynomials, lowest power first."""
    result = [0] * (len(left) + len(right) - 1)
    for i, a in enumerate(left):
        if a:
            log_a = _LOG[a]
            for j, b in enumerate(right):
                if b:
                    result[i + j] ^= _EXP[log_a + _LOG[b]]
    return result


def _value(polynomial: list[int], log_x: int) -> int:
    """Of a polynomial (lowest power first) at the log_x-th power of two."""
    result = 0
    for power, factor in enumerate(polynomial):
        if factor:
            result ^= _EXP[(_LOG[factor] + power * log_x) % 255]
    return result


@lru_cache(maxsize=64)
def _powers(size: int, checks: int) -> NDArray[np.int32]:
    """Logarithm of what each place of a block weighs in each syndrome."""
    return np.outer(np.arange(checks), np.arange(size - 1, -1, -1)).astype(np.int32) % 255


_EXP_ARRAY, _LOG_ARRAY = np.array(_EXP, np.int32), np.array(_LOG, np.int32)


def _syndromes(block: list[int], checks: int) -> list[int]:
    values = np.array(block, np.int32)
    terms = _EXP_ARRAY[_LOG_ARRAY[values][None, :] + _powers(len(block), checks)]
    return np.bitwise_xor.reduce(np.where(values[None, :] == 0, 0, terms), axis=1).tolist()


@lru_cache(maxsize=256)
def _inverse_powers(size: int, terms: int) -> NDArray[np.int32]:
    """Logarithm of each power of the inverse of each place's locator."""
    return np.outer(255 - np.arange(size - 1, -1, -1), np.arange(terms)).astype(np.int32) % 255


def _roots(locator: list[int], size: int) -> list[int]:
    """The places of the block at whose inverse the locator is zero."""
    factors = np.array(locator, np.int32)
    terms = _EXP_ARRAY[_LOG_ARRAY[factors][None, :] + _inverse_powers(size, len(locator))]
    values = np.bitwise_xor.reduce(np.where(factors[None, :] == 0, 0, terms), axis=1)
    return np.flatnonzero(values == 0).tolist()


def repair(block: list[int], checks: int, erased: list[int]) -> list[int] | None:
    """Return the block repaired: any e erasures and t errors with e + 2 t <= checks; None where there are more."""
    syndromes = _syndromes(block, checks)
    if not any(syndromes):
        return block
    size = len(block)
    locator = [1]
    for place in erased:
        locator = _product(locator, [1, _EXP[size - 1 - place]])
    locator = _with_errors(locator, syndromes, len(erased))
    while len(locator) > 1 and locator[-1] == 0:
        locator.pop()
    if 2 * (len(locator) - 1) - len(erased) > checks:
        return None
    places = _roots(locator, size)
    if len(places) != len(locator) - 1:
        return None
    evaluator = _product(syndromes, locator)[:checks]
    slope = [factor if power % 2 else 0 for power, factor in enumerate(locator)][1:]  # the formal derivative
    fixed = list(block)
    for place in places:
        at = (255 - (size - 1 - place)) % 255
        below = _value(slope, at)
        if below == 0:
            return None
        above = _times(_value(evaluator, at), _EXP[size - 1 - place])
        fixed[place] ^= _EXP[(_LOG[above] - _LOG[below]) % 255] if above else 0
    return fixed if not any(_syndromes(fixed, checks)) else None


def _with_errors(locator: list[int], syndromes: list[int], erased: int) -> list[int]:
    """Berlekamp and Massey, begun with the erasures' locator."""
    previous = list(locator)
    length = erased
    for step in range(erased, len(syndromes)):
        previous = [0, *previous]
        gap = 0
        for power, factor in enumerate(locator[: step + 1]):
            if factor and (syndrome := syndromes[step - power]):
                gap ^= _EXP[_LOG[factor] + _LOG[syndrome]]
        if gap == 0:
            continue
        changed = [a ^ _times(gap, b) for a, b in _paired(locator, previous)]
        if 2 * length <= step + erased:
            inverse = _EXP[255 - _LOG[gap]]
            previous = [_times(factor, inverse) for factor in locator]
            length = step + erased + 1 - length
        locator = changed
    return locator


def _paired(left: list[int], right: list[int]) -> list[tuple[int, int]]:
    size = max(len(left), len(right))
    return list(zip(left + [0] * (size - len(left)), right + [0] * (size - len(right)), strict=True))
