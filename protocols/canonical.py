"""The CBOR subset and base45: the one place where bytes from outside become values, and values become bytes.

The subset is the core deterministic encoding of RFC 8949 section 4.2.1 with integers of at most 64 bits, byte strings,
text without NUL, arrays, maps, false, true, null. One value has exactly one encoding, so signed bytes can be rebuilt
from a value. Not here: what the values mean. Obeys PROTOCOL section 1 (P-1); base45 is RFC 9285, strict.
"""

from typing import Any

from protocols.limits import CBOR_BYTES_MAX, CBOR_DEPTH_MAX, CBOR_ITEMS_MAX

Value = Any  # int | bytes | str | list | dict | bool | None, nested

_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _SIMPLE = 0, 1, 2, 3, 4, 5, 7
_SIMPLE_VALUES = {20: False, 21: True, 22: None}
_BASE45 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_BASE45_INDEX = {character: index for index, character in enumerate(_BASE45)}


class CanonicalError(ValueError):
    """The bytes (or the value) are outside the subset; the message says where, never what the bytes held."""


def encode(value: Value) -> bytes:
    """Return the one encoding of `value`. Raises CanonicalError for a value outside the subset."""
    out = bytearray()
    _encode(value, out, 0)
    return bytes(out)


def _encode(value: Value, out: bytearray, depth: int) -> None:
    if value is None or value is True or value is False:
        out.append({False: 0xF4, True: 0xF5, None: 0xF6}[value])
    elif type(value) is int:
        _encode_head(_UINT if value >= 0 else _NEGATIVE, value if value >= 0 else -1 - value, out)
    elif isinstance(value, bytes | bytearray | memoryview):
        _encode_head(_BYTES, len(value), out)
        out += value
    elif isinstance(value, str):
        _encode_text(value, out)
    elif isinstance(value, list | tuple):
        _check_depth(depth)
        _encode_head(_ARRAY, len(value), out)
        for item in value:
            _encode(item, out, depth + 1)
    elif isinstance(value, dict):
        _check_depth(depth)
        _encode_map(value, out, depth)
    else:
        raise CanonicalError(f"a {type(value).__name__} has no encoding here")


def _check_depth(depth: int) -> None:
    if depth >= CBOR_DEPTH_MAX:
        raise CanonicalError("nested too deep")


def _encode_text(value: str, out: bytearray) -> None:
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise CanonicalError("text is not UTF-8") from error
    if "\0" in value:
        raise CanonicalError("text holds NUL")
    _encode_head(_TEXT, len(data), out)
    out += data


def _encode_map(value: dict, out: bytearray, depth: int) -> None:
    rows = []
    for key, item in value.items():
        if type(key) is not int and not isinstance(key, str):
            raise CanonicalError("a map key is neither integer nor text")
        rows.append((encode(key), item))
    _encode_head(_MAP, len(rows), out)
    for key, item in sorted(rows, key=lambda row: row[0]):
        out += key
        _encode(item, out, depth + 1)


def _encode_head(major: int, argument: int, out: bytearray) -> None:
    if argument < 24:
        out.append(major << 5 | argument)
        return
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * size):
            out.append(major << 5 | code)
            out += argument.to_bytes(size, "big")
            return
    raise CanonicalError("an integer over 64 bits")


def decode(data: bytes, *, bytes_max: int = CBOR_BYTES_MAX, items_max: int = CBOR_ITEMS_MAX) -> Value:
    """Return the value that `data` encodes. Raises CanonicalError for anything outside the subset, or too large."""
    if len(data) > bytes_max:
        raise CanonicalError("too many bytes")
    decoder = _Decoder(bytes(data), items_max)
    value = decoder.item(0)
    if decoder.at != len(decoder.data):
        raise CanonicalError("bytes left over")
    return value


class _Decoder:
    """One decoding call: a position, and how many items may still come."""

    def __init__(self, data: bytes, items_max: int) -> None:
        self.data, self.at, self.items_left = data, 0, items_max

    def item(self, depth: int) -> Value:
        major, argument = self.head()
        if major == _UINT:
            return argument
        if major == _NEGATIVE:
            return -1 - argument
        if major == _BYTES:
            return self.take(argument)
        if major == _TEXT:
            return self.text(argument)
        if major == _SIMPLE:
            return _SIMPLE_VALUES[argument]
        _check_depth(depth)
        if argument > self.items_left:
            raise CanonicalError("too many items")
        if major == _ARRAY:
            return [self.item(depth + 1) for _ in range(argument)]
        return self.map(argument, depth)

    def head(self) -> tuple[int, int]:
        self.items_left -= 1
        if self.items_left < 0:
            raise CanonicalError("too many items")
        first = self.take(1)[0]
        major, code = first >> 5, first & 31
        if major == 6:
            raise CanonicalError("a tag")
        if major == _SIMPLE:
            if code not in _SIMPLE_VALUES:
                raise CanonicalError("a float or an unknown simple value")
            return major, code
        if code < 24:
            return major, code
        if code > 27:
            raise CanonicalError("an indefinite length or a reserved head")
        size = 1 << (code - 24)
        argument = int.from_bytes(self.take(size), "big")
        if argument < (24 if size == 1 else 1 << (4 * size)):
            raise CanonicalError("a head that is not the shortest")
        return major, argument

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise CanonicalError("cut short")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def text(self, size: int) -> str:
        try:
            text = self.take(size).decode("utf-8", "strict")
        except UnicodeDecodeError as error:
            raise CanonicalError("text is not UTF-8") from error
        if "\0" in text:
            raise CanonicalError("text holds NUL")
        return text

    def map(self, size: int, depth: int) -> dict:
        value, before = {}, b""
        for _ in range(size):
            start = self.at
            if self.data[start : start + 1] and self.data[start] >> 5 not in (_UINT, _NEGATIVE, _TEXT):
                raise CanonicalError("a map key is neither integer nor text")
            key = self.item(depth + 1)
            encoded = self.data[start : self.at]
            if encoded <= before:
                raise CanonicalError("map keys unsorted or repeated")
            before = encoded
            value[key] = self.item(depth + 1)
        return value


def base45_encode(data: bytes) -> str:
    """Return `data` as base45 text (RFC 9285)."""
    out = bytearray()
    for at in range(0, len(data) - 1, 2):
        rest, low = divmod(data[at] << 8 | data[at + 1], 45)
        high, middle = divmod(rest, 45)
        out += bytes((_BASE45[low], _BASE45[middle], _BASE45[high]))
    if len(data) % 2:
        high, low = divmod(data[-1], 45)
        out += bytes((_BASE45[low], _BASE45[high]))
    return out.decode("ascii")


def base45_decode(text: str) -> bytes:
    """Return the bytes of base45 `text`. Raises CanonicalError for a strange character, length or group."""
    try:
        digits = [_BASE45_INDEX[ord(character)] for character in text]
    except KeyError as error:
        raise CanonicalError("a character outside base45") from error
    if len(digits) % 3 == 1:
        raise CanonicalError("a length of base45 that cannot be")
    out, whole = bytearray(), len(digits) // 3 * 3
    for low, middle, high in zip(digits[0:whole:3], digits[1:whole:3], digits[2:whole:3], strict=True):
        out += _group(low + 45 * middle + 2025 * high, 2)
    if whole < len(digits):
        out += _group(digits[whole] + 45 * digits[whole + 1], 1)
    return bytes(out)


def _group(number: int, size: int) -> bytes:
    if number >> (8 * size):
        raise CanonicalError("a group of base45 that overflows")
    return number.to_bytes(size, "big")
