// The phone's key: made here by WebCrypto, never extractable, kept in IndexedDB. Ed25519, else P-256. Rule P-2, HOSTILE P34.
// A key is trusted only after it was written, read back and used once: private browsing and Lockdown Mode forget or throw.
// `KeyRefused.code` is what the page says in words: NO_WEBCRYPTO, NO_KEPT_KEYS.

import * as store from "./store.js";
import { toBase64Url } from "./base64.js";

export const ED25519 = { alg: -19, generate: { name: "Ed25519" }, sign: { name: "Ed25519" } };
export const P256 = {
  alg: -9,
  generate: { name: "ECDSA", namedCurve: "P-256" },
  sign: { name: "ECDSA", hash: "SHA-256" },
};

export class KeyRefused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

export async function heldKey() {
  if (!globalThis.crypto?.subtle) throw new KeyRefused("NO_WEBCRYPTO");
  try {
    return asKey(await store.read("key"));
  } catch {
    throw new KeyRefused("NO_KEPT_KEYS");
  }
}

export async function makeKey(kinds = [ED25519, P256]) {
  if (!globalThis.crypto?.subtle) throw new KeyRefused("NO_WEBCRYPTO");
  try {
    const made = await generate(kinds);
    await store.write("key", made);
    const key = asKey(await store.read("key"));
    await tryOnce(key);
    navigator.storage?.persist?.(); // Not awaited: some browsers ask the person first.
    return key;
  } catch {
    throw new KeyRefused("NO_KEPT_KEYS");
  }
}

async function generate([kind, ...others]) {
  try {
    const { publicKey, privateKey } = await crypto.subtle.generateKey(kind.generate, false, ["sign", "verify"]);
    const raw = new Uint8Array(await crypto.subtle.exportKey("raw", publicKey));
    return { alg: kind.alg, raw, publicKey, privateKey };
  } catch (error) {
    if (!others.length) throw error;
    return generate(others);
  }
}

function asKey(kept) {
  if (!kept) return null;
  const kind = kept.alg === ED25519.alg ? ED25519 : P256;
  const sign = async (bytes) => new Uint8Array(await crypto.subtle.sign(kind.sign, kept.privateKey, bytes));
  return { alg: kept.alg, publicKey: kept.publicKey, kind, coseKey: coseKey(kept), sign };
}

async function tryOnce(key) {
  const words = new TextEncoder().encode("portillon");
  const good = await crypto.subtle.verify(key.kind.sign, key.publicKey, await key.sign(words), words);
  if (!good) throw new Error("the key that was kept does not sign");
}

// A raw P-256 key is 4, x, y: the pass carries x and whether y is odd.
function coseKey({ alg, raw }) {
  if (alg === ED25519.alg) return { kty: 1, x: toBase64Url(raw) };
  return { kty: 2, x: toBase64Url(raw.subarray(1, 33)), y: raw[64] % 2 === 1 };
}
