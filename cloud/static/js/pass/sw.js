// The offline worker of the pass page. The server puts VERSION (the hash of all static files) and FILES before this text,
// so a new release is a new worker with its own cache: page and files change together or not at all. No personal data here.

const CACHE = `pass-${VERSION}`;
const PAGE = "/pass";

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll([PAGE, ...FILES])).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(forgetOthers().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (origin !== self.location.origin || event.request.method !== "GET") return;
  if (pathname === PAGE) event.respondWith(kept(PAGE, event.request));
  else if (FILES.includes(pathname)) event.respondWith(kept(pathname, event.request));
});

// The language that the reader now has: the page is asked again where the kept one is in another, and kept only when
// it is the page of this very release.
self.addEventListener("message", (event) => {
  event.waitUntil(keepIn(event.data).finally(() => event.source.postMessage("kept")));
});

async function keepIn(language) {
  const cache = await caches.open(CACHE);
  const before = await cache.match(PAGE);
  if (before && (await before.text()).includes(`<html lang="${language}"`)) return;
  const answer = await fetch(PAGE, { cache: "no-store" });
  if (answer.ok && (await answer.clone().text()).includes(VERSION)) await cache.put(PAGE, answer);
}

async function kept(address, request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(address)) ?? fetch(request);
}

async function forgetOthers() {
  const names = await caches.keys();
  return Promise.all(names.filter((name) => name.startsWith("pass-") && name !== CACHE).map((name) => caches.delete(name)));
}
