"""Points nobody should sign with: the arithmetic of edwards25519 and of P-256, small and slow, for tests alone."""

from __future__ import annotations

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
P256_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B

Point = tuple[int, int]
BASE_Y = 4 * pow(5, -1, P) % P


def add(left: Point, right: Point) -> Point:
    (x1, y1), (x2, y2) = left, right
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + y1 * x2) * pow(1 + product, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P
    return x, y


def encoded(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def decoded(data: bytes) -> Point:
    number = int.from_bytes(data, "little")
    y, odd = number & (1 << 255) - 1, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == square
    return (P - x if x & 1 != odd else x), y


def torsion() -> list[Point]:
    """The eight points of small order."""
    generator = decoded(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))
    points, point = [], (0, 1)
    for _ in range(8):
        points.append(point)
        point = add(point, generator)
    assert point == (0, 1) and len(set(points)) == 8
    return points


def small_order_keys() -> dict[str, bytes]:
    return {f"small-order-{n}": encoded(point) for n, point in enumerate(torsion())}


def mixed_order_keys(public: bytes) -> dict[str, bytes]:
    """A true key plus each small-order point: on the curve, not in the subgroup."""
    return {f"mixed-order-{n}": encoded(add(decoded(public), t)) for n, t in enumerate(torsion()) if n}


def non_canonical_keys() -> dict[str, bytes]:
    """Encodings with y >= p, and with the sign of a zero x."""
    numbers = {f"y-is-p-plus-{n}": P + n for n in range(19)}
    keys = {name: number.to_bytes(32, "little") for name, number in numbers.items()}
    keys["zero-x-negative"] = (1 | 1 << 255).to_bytes(32, "little")
    keys["y-all-ones"] = b"\xff" * 32
    return keys


def on_p256(x: int) -> bool:
    square = (x**3 - 3 * x + P256_B) % P256_P
    return pow(square, (P256_P - 1) // 2, P256_P) == 1


def off_p256() -> list[bytes]:
    """x with no point of the curve, and x that is not reduced though its remainder has one."""
    off = next(x for x in range(1, 100) if not on_p256(x))
    unreduced = P256_P + next(x for x in range(5, 100) if on_p256(x))
    return [x.to_bytes(32, "big") for x in (off, unreduced, P256_P, 2**256 - 1)]
