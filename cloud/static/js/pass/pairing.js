// Pairing this phone: eight digits, a key made here, and a signature that proves we hold it. Rules P-2, HOSTILE P37.
// A new key is made for each pairing; the server knows its public half only.

import { changeLanguage } from "./alive.js";
import { ask, keepPasses } from "./api.js";
import { fromBase64Url, toBase64Url } from "./base64.js";
import { bytesOf, concat } from "./cbor.js";
import { makeKey } from "./keys.js";
import { words } from "./words.js";

const form = document.getElementById("pairing-form");
const field = document.getElementById("pairing-code");
const problem = document.getElementById("pairing-problem");

/** Await the digits; call `paired(key, passes)` when it worked. */
export function offerPairing(paired) {
  field.value ||= new URLSearchParams(location.search).get("code") ?? "";
  document.getElementById("pairing-install").hidden = navigator.standalone !== false;
  field.oninput = () => { problem.hidden = true; field.removeAttribute("aria-invalid"); };
  form.onsubmit = async (event) => {
    event.preventDefault();
    await tryPairing(digits(field.value), paired);
  };
}

const digits = (text) => text.replace(/\D/g, "");

async function tryPairing(code, paired) {
  if (code.length !== 8) return say("PAIR_EIGHT_DIGITS");
  form.setAttribute("aria-busy", "true");
  try {
    const [key, answer] = await pair(code);
    history.replaceState(null, "", location.pathname);
    if (!(await changeLanguage(answer.language))) await paired(key, answer);
  } catch (refusal) {
    say(refusal.code, refusal.words);
  } finally {
    form.removeAttribute("aria-busy");
  }
}

export async function pair(code) {
  const start = await ask("/api/pair/start", { code });
  const key = await makeKey();
  const nonce = fromBase64Url(start.nonce);
  const proof = await key.sign(concat(bytesOf("portillon-pair"), nonce, fromBase64Url(start.account)));
  const answer = await ask("/api/pair/finish", { code, key: key.coseKey, proof: toBase64Url(proof) });
  return [key, await keepPasses(answer)];
}

function say(code, sentence) {
  problem.textContent = words(code) || sentence || words("PAIR_FAILED");
  problem.hidden = false;
  field.setAttribute("aria-invalid", "true");
  field.focus();
}
