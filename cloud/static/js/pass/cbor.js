// Deterministic CBOR (RFC 8949, 4.2.1), only what a phone writes: integers, bytes, text, arrays, maps. Rule P-1.
// It reads none: a credential travels as the bytes the server gave.

export const bytesOf = (text) => new TextEncoder().encode(text);

export function concat(...parts) {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

export function encode(value) {
  if (Number.isSafeInteger(value)) return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === "string") return concat(head(3, bytesOf(value).length), bytesOf(value));
  if (value instanceof Uint8Array) return concat(head(2, value.length), value);
  if (Array.isArray(value)) return concat(head(4, value.length), ...value.map(encode));
  if (value instanceof Map) return concat(head(5, value.size), ...sorted(value).flat());
  throw new TypeError("a pass does not hold such a value");
}

const sorted = (map) => [...map].map((entry) => entry.map(encode)).sort(([a], [b]) => compare(a, b));

function compare(a, b) {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at < 0 ? a.length - b.length : a[at] - (b[at] ?? -1);
}

// The shortest head: a major type with its length or value.
function head(major, value) {
  if (value < 24) return [(major << 5) | value];
  const size = value < 0x100 ? 1 : value < 0x10000 ? 2 : value < 0x100000000 ? 4 : 8;
  const bytes = Array.from({ length: size }, (_, i) => Number((BigInt(value) >> BigInt(8 * (size - 1 - i))) & 255n));
  return [(major << 5) | (24 + Math.log2(size)), ...bytes];
}
