// Base45 (RFC 9285) as a pass needs it: bytes to text. Decoding is the gate's work. Rule P-1.

export const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

export function encode(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 2) {
    const pair = i + 1 < bytes.length;
    const value = pair ? bytes[i] * 256 + bytes[i + 1] : bytes[i];
    text += ALPHABET[value % 45] + ALPHABET[Math.floor(value / 45) % 45];
    if (pair) text += ALPHABET[Math.floor(value / 2025)];
  }
  return text;
}
