// What the phone asks the school's server, and what it learns of the time there. navigator.onLine lies: only a fetch is believed.
// `Refused.code` is a code of the server's, `words` its sentence for the reader; OFFLINE when it could not be reached.

import * as store from "./store.js";

const ANSWER_MS_MAX = 8000;

export class Refused extends Error {
  constructor(code, status = 0, words = "") {
    super(code);
    Object.assign(this, { code, status, words });
  }
}

export async function ask(path, body) {
  const asked = Date.now();
  const answer = await send(path, body);
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(told.code, answer.status, [told.message, told.what_to_do].filter(Boolean).join(" "));
  if (told.now_ms) await store.write("offset_ms", Math.round(told.now_ms - (asked + Date.now()) / 2));
  return told;
}

async function send(path, body) {
  const post = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  try {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX);
    return await fetch(path, { cache: "no-store", credentials: "same-origin", signal, ...(body ? post : {}) });
  } catch {
    throw new Refused("OFFLINE");
  }
}

export async function fetchPasses() {
  return keepPasses(await ask("/api/passes"));
}

export async function keepPasses(answer) {
  await store.write("passes", answer);
  return answer;
}
