// One of the page's three views is shown: the pass, the pairing, or the words for a browser that cannot hold a pass.

import { words } from "./words.js";

export function view(name) {
  for (const section of document.querySelectorAll("[data-view]")) section.hidden = section.dataset.view !== name;
}

export function showTrouble(code) {
  document.getElementById("trouble-words").textContent = words(code) || words("NO_WEBCRYPTO");
  document.getElementById("pair-anew").hidden = code !== "NO_PASS";
  view("trouble");
}
