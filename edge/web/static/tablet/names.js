// Names live on this tablet alone, sealed (AES-256-GCM) by the cloud for this site; the gate has none and gets none.
// The key comes from the school's page, through a window that this page opened, as a CryptoKey that no script can read
// out. It is kept for the shift, beside what it opens, and goes with it. With no key the tablet shows numbers.

import { compare, say } from "./words.js";

const STORE = "names";
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

export function fetchThem(then) {
  addEventListener("message", async function take(event) {
    if (event.origin !== cloud || event.data?.type !== "portillon-names") return;
    removeEventListener("message", take);
    const opened = await open(event.data).catch(() => null);
    if (!opened) return;
    held = opened;
    await inStore("readwrite", (store) => store.put(event.data, "sealed"));
    event.source?.close?.();
    then();
  });
  window.open(`${cloud}/school/tablet?site=${site}`, "portillon-names");
}

export async function restore() {
  try {
    const sealed = await inStore("readonly", (store) => store.get("sealed"));
    if (sealed) held = await open(sealed);
  } catch {
    await forget();
  }
}

export async function forget() {
  held = null;
  await inStore("readwrite", (store) => store.clear()).catch(() => {});
}

async function open({ key, iv, sealed, site: of }) {
  if (of !== site) return null;
  const additionalData = new TextEncoder().encode(`portillon-names/1/${site}`);
  const clear = await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData }, key, sealed);
  const told = JSON.parse(new TextDecoder().decode(clear));
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
