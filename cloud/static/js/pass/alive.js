// Keeping the page awake, alive and at hand: the offline worker, the screen's wake lock, the bar that moves.

const WORKER = "/pass/sw.js";

/** Register the worker that keeps the page for later. Trusted Types let exactly this one address through. */
export function keepForLater() {
  const rules = { createScriptURL: (address) => (address === WORKER ? address : null) };
  const policy = globalThis.trustedTypes?.createPolicy("portillon", rules) ?? rules;
  navigator.serviceWorker?.register(policy.createScriptURL(WORKER), { scope: "/pass" }).catch(() => {});
}

/** Have the worker keep the page in the language that the server now knows, then show it; once for each language. */
export async function changeLanguage(wanted) {
  if (sessionStorage.getItem("language") === wanted) return;
  sessionStorage.setItem("language", wanted);
  const worker = await navigator.serviceWorker?.ready;
  if (!worker) return location.reload();
  navigator.serviceWorker.onmessage = () => location.reload();
  worker.active.postMessage("again");
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
