// What the phone asks the school's server, and what it learns of the time there. navigator.onLine lies: only a fetch is believed.
// `Refused.code` is a code of the server's, or OFFLINE when it could not be reached.

import * as store from "./store.js";

const ANSWER_MS_MAX = 8000;

export class Refused extends Error {
  constructor(code, status = 0) {
    super(code);
    this.code = code;
    this.status = status;
  }
}

export async function ask(path, body) {
  const asked = Date.now();
  const answer = await send(path, body);
  const words = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(words.code ?? `HTTP_${answer.status}`, answer.status);
  if (words.now_ms) await store.write("offset_ms", Math.round(words.now_ms - (asked + Date.now()) / 2));
  return words;
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
