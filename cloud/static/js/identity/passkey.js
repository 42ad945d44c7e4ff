// The browser's part of a passkey: ask the server what to sign, let the authenticator do it, bring the answer back.
// A button says by data-passkey what it is for: enter, prove or make. Words for people are on the page (#words).
// Not here: what a key may open (the server decides).

import { fromBase64Url, toBase64Url } from "../pass/base64.js";

const STEPS = { enter: () => "enter", prove: (door) => `${door}/prove`, make: (door) => `${door}/make` };
const BYTES = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];

const words = (name) => document.querySelector("#words")?.content.querySelector(`[data-word="${name}"]`)?.textContent ?? "";
const able = () => Boolean(globalThis.PublicKeyCredential && isSecureContext);

for (const button of document.querySelectorAll("[data-passkey]")) {
  const problem = button.parentElement.querySelector("[data-passkey-problem]");
  const say = (text) => { problem.textContent = text; problem.hidden = !text; };
  button.onclick = async () => {
    say("");
    if (!able()) return say(words("NO_PASSKEYS"));
    button.setAttribute("aria-busy", "true");
    try {
      location.assign(await ceremony(button.dataset));
    } catch (error) {
      say(error.words ?? words(error.name === "InvalidStateError" ? "ALREADY" : "CANCELLED"));
    } finally {
      button.removeAttribute("aria-busy");
    }
  };
}

async function ceremony({ passkey: what, door, next }) {
  const path = `/api/passkeys/${STEPS[what](door)}`;
  const options = decoded(await ask(`${path}/start`));
  const make = what === "make";
  const made = await navigator.credentials[make ? "create" : "get"]({ publicKey: options });
  const credential = encoded(made);
  const told = await ask(`${path}/finish?next=${encodeURIComponent(next)}`, make ? { credential } : credential);
  return told.next;
}

function decoded(options) {
  const bytes = (each) => ({ ...each, id: fromBase64Url(each.id) });
  const lists = {};
  for (const name of ["allowCredentials", "excludeCredentials"]) if (options[name]) lists[name] = options[name].map(bytes);
  const user = options.user ? { user: bytes(options.user) } : {};
  return { ...options, ...lists, ...user, challenge: fromBase64Url(options.challenge) };
}

function encoded({ id, rawId, type, response }) {
  const parts = BYTES.filter((name) => response[name]).map((name) => [name, toBase64Url(new Uint8Array(response[name]))]);
  return { id, rawId: toBase64Url(new Uint8Array(rawId)), type, response: Object.fromEntries(parts) };
}

async function ask(path, body) {
  const told = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) };
  let answer;
  try {
    answer = await fetch(path, { ...told, cache: "no-store", credentials: "same-origin" });
  } catch {
    throw Object.assign(new Error("offline"), { words: words("OFFLINE") });
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.code), { words: [said.message, said.what_to_do].filter(Boolean).join(" ") });
  return said;
}
