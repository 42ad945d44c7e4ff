// The screen beside the door: takes faces from the gate, says them in the page's language.
// A page that has lost its gate says "out of order" rather than a green that is no longer true.

const LOST_MS = 15_000; // the gate speaks at least every 10 s

const language = document.documentElement.lang;
const title = document.getElementById("title");
const line = document.getElementById("line");
let words = {};
let lostTimer = 0;

function show({ face, words: key, seconds, offline, digits }) {
  const said = words[key];
  if (!said) return;
  document.body.dataset.face = face;
  document.body.toggleAttribute("data-offline", Boolean(offline));
  title.textContent = said[0];
  document.getElementById("digits").textContent = face === "digits" ? (digits ?? "····") : "";
  line.textContent = said[1].replace("{seconds}", String(seconds ?? 0));
}

function heard() {
  clearTimeout(lostTimer);
  lostTimer = setTimeout(() => show({ face: "out_of_order", words: "ring" }), LOST_MS);
}

async function begin() {
  words = await (await fetch(`words/${language}.json`)).json();
  const stream = new EventSource("screen/stream");
  stream.onopen = heard;
  stream.onmessage = (event) => { heard(); show(JSON.parse(event.data)); };
  stream.addEventListener("alive", heard);
}

begin().catch(() => setTimeout(() => location.reload(), 3_000));
