// Questions to the gate, from this page alone. An answer is an object with a code; silence is the code LOST.

export async function ask(path) {
  const response = await fetch(`tablet/${path}`, { cache: "no-store" });
  return response.json();
}

export async function send(path, body = {}) {
  try {
    const response = await fetch(`tablet/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(8_000),
    });
    return await response.json();
  } catch {
    return { code: "LOST" };
  }
}
