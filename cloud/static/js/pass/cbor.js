// Deterministic CBOR (RFC 8949, 4.2.1), only what a phone writes: integers, bytes, text, arrays, maps, booleans.
// Rule P-1. It never reads CBOR: a credential travels as the bytes the server gave. A Map keeps integer keys.

export const bytesOf = (text) => new TextEncoder().encode(text);

export function concat(...parts) {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  parts.reduce((at, part) => (joined.set(part, at), at + part.length), 0);
  return joined;
}

export function encode(value) {
  if (value === false || value === true) return Uint8Array.of(value ? 0xf5 : 0xf4);
  if (Number.isSafeInteger(value)) return value < 0 ? head(1, -1 - value) : head(0, value);
  if (typeof value === "string") return concat(head(3, bytesOf(value).length), bytesOf(value));
  if (value instanceof Uint8Array) return concat(head(2, value.length), value);
  if (Array.isArray(value)) return concat(head(4, value.length), ...value.map(encode));
  if (value instanceof Map) return concat(head(5, value.size), ...sortedEntries(value));
  throw new TypeError("a pass does not hold such a value");
}

// Keys are ordered by their encoded bytes, as the deterministic encoding asks.
function sortedEntries(map) {
  const entries = [...map].map(([key, value]) => [encode(key), encode(value)]);
  return entries.sort(([a], [b]) => compare(a, b)).flat();
}

function compare(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i += 1) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

// The shortest head: a major type with its length or value.
function head(major, value) {
  const type = major << 5;
  if (value < 24) return Uint8Array.of(type | value);
  if (value < 0x100) return Uint8Array.of(type | 24, value);
  const wide = value >= 0x10000;
  const bytes = new Uint8Array(value >= 0x100000000 ? 9 : wide ? 5 : 3);
  const view = new DataView(bytes.buffer);
  bytes[0] = type | (bytes.length === 9 ? 27 : wide ? 26 : 25);
  if (bytes.length === 9) view.setBigUint64(1, BigInt(value));
  else if (wide) view.setUint32(1, value);
  else view.setUint16(1, value);
  return bytes;
}
