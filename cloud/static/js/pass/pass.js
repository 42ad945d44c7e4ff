// Where the pass page begins: is there a key and a pass on this phone? Then show the code, else offer pairing.
// Each way is loaded when it is needed; the offline worker keeps both.

import { keepForLater } from "./alive.js";
import { heldKey } from "./keys.js";
import * as store from "./store.js";
import { showTrouble, view } from "./view.js";

async function start() {
  keepForLater();
  try {
    const key = await heldKey();
    const kept = await store.read("passes");
    if (key && kept && location.search !== "?pair") return await showCode(key, kept);
  } catch (refusal) {
    return showTrouble(refusal.code === "NO_WEBCRYPTO" && !isSecureContext ? "NOT_SECURE" : refusal.code);
  }
  const { offerPairing } = await import("./pairing.js");
  view("pairing");
  return offerPairing(showCode);
}

async function showCode(key, answer) {
  const { begin } = await import("./code.js");
  return begin(key, answer);
}

start();
