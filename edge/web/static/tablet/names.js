// Names live on this tablet alone, sealed (AES-256-GCM) by the cloud for this site; the gate has none and gets none.
// They come with their key in the part of a link after "#", which a browser sends to no server. The key becomes a
// CryptoKey that no script can read out, is kept for the shift beside what it opens, and goes with it.

import { compare, say } from "./words.js";

const STORE = "names";
const KEY_BYTES = 32, IV_BYTES = 12;
const KEPT_MS = 14 * 3_600_000; // prepared before a shift that never began: gone by the next morning
const site = Number(document.body.dataset.site);
const cloud = document.body.dataset.cloud;

let held = null; // { children: Map, adults: Map, made_ms }

export const canFetch = () => cloud !== "";
export const are = () => held !== null;
export const madeMs = () => held?.made_ms ?? 0;

export function child(number) {
  return held?.children.get(number)?.name ?? say("child", { n: number });
}

export function group(number) {
  return held?.children.get(number)?.group ?? "";
}

export function adult(number) {
  return held?.adults.get(number)?.name ?? say("adult", { n: number });
}

export function relation(holder, childNumber) {
  return held?.adults.get(holder)?.of.get(childNumber) ?? "";
}

// Adults who have to do with one of these children, all others after them.
export function adultsFor(children) {
  const rows = [...(held?.adults ?? [])].map(([number, one]) => ({ number, ...one }));
  const near = (one) => children.some((number) => one.of.has(number));
  return rows.sort((a, b) => near(b) - near(a) || compare(a.name, b.name)).map((one) => ({ ...one, near: near(one) }));
}

export function allChildren() {
  const rows = [...(held?.children ?? [])].map(([number, one]) => ({ number, ...one }));
  return rows.sort((a, b) => compare(a.group, b.group) || compare(a.name, b.name));
}

// Go to the school's page, which leads back here with the names; the shift goes on meanwhile.
export function fetchThem() {
  location.assign(`${cloud}/school/tablet?site=${site}`);
}

// Names that came with the address: taken, opened once to see that they are for this site, and out of sight.
export async function take() {
  const told = location.hash.match(/^#names=([\w-]+)$/)?.[1];
  if (!told) return;
  history.replaceState(null, "", location.pathname + location.search);
  const octets = Uint8Array.from(atob(told.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
  const key = await crypto.subtle.importKey("raw", octets.slice(0, KEY_BYTES), "AES-GCM", false, ["decrypt"]);
  const sealed = { key, iv: octets.slice(KEY_BYTES, KEY_BYTES + IV_BYTES), sealed: octets.slice(KEY_BYTES + IV_BYTES) };
  if (await open(sealed)) await inStore("readwrite", (store) => store.put(sealed, "sealed"));
}

export async function restore() {
  try {
    const sealed = await inStore("readonly", (store) => store.get("sealed"));
    held = sealed ? await open(sealed) : null;
    if (held && Date.now() - held.made_ms > KEPT_MS) await forget();
  } catch {
    await forget();
  }
}

export async function forget() {
  held = null;
  await inStore("readwrite", (store) => store.clear()).catch(() => {});
}

async function open({ key, iv, sealed }) {
  const additionalData = new TextEncoder().encode(`portillon-names/1/${site}`);
  const packed = await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData }, key, sealed);
  const clear = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const told = await new Response(clear).json();
  if (told.v !== 1 || told.site !== site) return null;
  return {
    made_ms: told.made_ms,
    children: new Map(told.children.map(([number, name, group]) => [number, { name, group }])),
    adults: new Map(told.adults.map(([number, name, of]) => [number, { name, of: new Map(of) }])),
  };
}

function inStore(mode, use) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("portillon-tablet", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction(STORE, mode);
      const request = use(transaction.objectStore(STORE));
      transaction.oncomplete = () => { opening.result.close(); resolve(request.result); };
      transaction.onabort = transaction.onerror = () => { opening.result.close(); reject(transaction.error); };
    };
  });
}
