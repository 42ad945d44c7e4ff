// Keeping the page awake, alive and at hand: the offline worker, the screen's wake lock, the bar that moves.

const WORKER = "/pass/sw.js";
const WORKER_MS_MAX = 3000;

/** Register the worker that keeps the page for later. Trusted Types let exactly this one address through. */
export function keepForLater() {
  const rules = { createScriptURL: (address) => (address === WORKER ? address : null) };
  const policy = globalThis.trustedTypes?.createPolicy("portillon", rules) ?? rules;
  navigator.serviceWorker?.register(policy.createScriptURL(WORKER), { scope: "/pass" }).catch(() => {});
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/**
 * Show the page in the language that the server now knows, once for each: the worker keeps it first. False: no need.
 * A worker that was not ready in time, or kept another page meanwhile, is told at each contact until it has the right one.
 */
export async function changeLanguage(wanted) {
  const worker = navigator.serviceWorker;
  const kept = worker?.ready.then(({ active }) => new Promise((done) => {
    worker.onmessage = done;
    active.postMessage(wanted);
  }));
  if (wanted === document.documentElement.lang || sessionStorage.language === wanted) return false;
  sessionStorage.language = wanted;
  await Promise.race([kept, pause(WORKER_MS_MAX)]);
  location.reload();
  return true;
}

let lock = null;

export async function stayAwake() {
  if (lock && !lock.released) return;
  lock = await navigator.wakeLock?.request("screen").catch(() => null);
}

export function moveBar(bar, milliseconds) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const steps = [{ transform: "scaleX(1)" }, { transform: "scaleX(0)" }];
  bar.animate(steps, { duration: milliseconds, easing: calm ? "steps(4)" : "linear", fill: "forwards" });
}
