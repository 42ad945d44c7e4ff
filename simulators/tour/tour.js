/* The tour's page: turns the stage's small facts into pictures, lights and times. It decides nothing. */

const SAID = { green: "Welcome", amber: "One moment, someone is coming", red: "Open the page again", neutral_red: "Please see the office" };
const LIGHT = { green: "green", amber: "amber", red: "red", neutral_red: "red" };
const WHY = {
  REPLAY: "This very code opened another gate a moment ago: a copy is worth nothing.",
  STALE: "The code is over 20 seconds old: a copy is worth nothing.",
  SAME_AS_BEFORE: "The same phone, a moment ago: the door stays as it is.",
  PASSBACK: "These children are in already today.",
  STAFF_CONFIRM: "Staff are asked to look.",
  NO_ANSWER: "The camera could not read it.",
};
const STEP = { frame: "the whole code is in the picture", read: "code found and read", verified: "school’s signature ✓ phone’s signature ✓ rules ✓", journal: "written to the gate’s journal, on the disk", strike: "door strike on" };
const DOOR_MS = 3000;
const HINT = document.getElementById("banner").textContent;

const gates = new Map();
const facts = new Map();
let cut = false;

const post = async (path) => (await fetch(path, { method: "POST" })).json();
const part = (card, selector) => card.querySelector(selector);

function banner(text, kind = "hint") {
  const line = document.getElementById("banner");
  line.textContent = text;
  line.dataset.kind = kind;
}

function step(name) {
  for (const item of document.querySelectorAll(".steps li")) item.toggleAttribute("data-now", item.dataset.step === name);
}

function gateCard(number) {
  if (gates.has(number)) return gates.get(number);
  const card = document.getElementById("gate").content.firstElementChild.cloneNode(true);
  part(card, ".name").textContent = `Gate ${number}`;
  const link = part(card, "h2 a");
  link.href = document.getElementById("gates").dataset.screen;
  link.hidden = gates.size > 0;
  light(card, "white");
  gates.set(number, card);
  document.getElementById("gates").append(card);
  return card;
}

function light(card, name) {
  for (const lamp of card.querySelectorAll("[data-light]")) lamp.toggleAttribute("data-on", lamp.dataset.light === name);
}

async function replaceImage(card, gate, picture) {
  const image = new Image();
  image.src = `/picture/${picture}`;
  image.alt = `Camera of gate ${gate}: a phone is held up`;
  await image.decode().catch(() => {});
  part(card, "img").replaceWith(image);
}

function showing({ gate, picture }) {
  const card = gateCard(gate);
  replaceImage(card, gate, picture);
  card.fact = "";
  part(card, "polygon").setAttribute("points", "");
  part(card, ".said").textContent = "Hold still";
  part(card, ".why").textContent = "";
  part(card, ".timeline").replaceChildren();
  card.dataset.signal = "idle";
  light(card, "white");
  step("show");
}

function timelineRow(card, ms, text, late = false) {
  const row = document.createElement("li");
  const time = document.createElement("b");
  time.textContent = `${Math.round(ms)} ms`;
  const words = document.createElement("span");
  words.textContent = text;
  row.append(time, words);
  row.toggleAttribute("data-late", late);
  part(card, ".timeline").append(row);
}

function decision(fact) {
  const card = gateCard(fact.gate);
  const signal = SAID[fact.signal] ? fact.signal : "red";
  card.dataset.signal = signal;
  part(card, ".said").textContent = SAID[signal];
  const offline = fact.flags.includes("replay_bus_down") ? " Opened with no cloud." : "";
  part(card, ".why").textContent = (fact.code === "OPEN" ? `For ${fact.children.join(", ")}.` : fact.code) + offline;
  part(card, "polygon").setAttribute("points", fact.corners.map((point) => point.join(",")).join(" "));
  light(card, LIGHT[signal]);
  for (const [ms, name] of fact.timeline) timelineRow(card, ms, name === "verified" && !fact.strike ? `signatures checked, then refused: ${fact.code}` : STEP[name] ?? name);
  if (fact.strike) openDoor(card);
  const verified = fact.timeline.find(([, name]) => name === "verified")?.[0] ?? 0;
  card.fact = fact.fact;
  if (fact.fact) facts.set(fact.fact, { card, decidedNs: fact.decided_ns, verified });
  step(fact.strike ? "open" : "check");
  if (early.has(fact.fact)) told(early.get(fact.fact));
  if (fact.code !== "OPEN" && fact.code !== "SAME_AS_BEFORE") banner(`Gate ${fact.gate} answered ${fact.code}. ${WHY[fact.code] ?? ""}`, "bad");
}

function openDoor(card) {
  const door = part(card, ".door");
  door.textContent = "door open";
  door.dataset.open = "";
  clearTimeout(card.closing);
  card.closing = setTimeout(() => {
    door.textContent = "door shut";
    delete door.dataset.open;
    light(card, "white");
  }, DOOR_MS);
}

const early = new Map();
function told(fact) {
  const known = facts.get(fact.fact);
  if (!known) return void early.set(fact.fact, fact);
  facts.delete(fact.fact);
  early.delete(fact.fact);
  step("told");
  if (known.card.fact !== fact.fact) return; // another family stands there by now
  timelineRow(known.card, known.verified + (fact.at_ns - known.decidedNs) / 1e6, "stored in the cloud, receipted, on the parent’s page", true);
}

function line(fact) {
  cut = fact.cut;
  const button = document.getElementById("cut");
  button.setAttribute("aria-pressed", String(cut));
  part(button, "span").textContent = cut ? "Join the internet again" : "Cut the internet";
  if (cut) banner("The line is cut. The gates go on opening by themselves, and keep every event in their journals. Play a morning and see.", "cut");
  else banner("Joined again: what waited in the journals goes out now, in order, each event once.", "good");
}

function outbox(fact) {
  for (const [gate, waiting] of Object.entries(fact.waiting)) {
    const label = part(gateCard(Number(gate)), ".waiting");
    label.hidden = !waiting;
    label.textContent = `${waiting} waiting to be sent`;
  }
}

function playing(fact) {
  for (const id of ["play", "copy"]) document.getElementById(id).disabled = fact.on;
  if (fact.on && !cut) banner(HINT.startsWith("Press") ? "Real frames go to real gates; each answer below is theirs." : HINT);
}

function note(fact) {
  if (fact.text === "photograph") banner("Somebody photographed that code over a shoulder, and now holds the picture to the other gate …", "cut");
  else banner(fact.text, "bad");
}

const HEARD = { showing, decision, told, line, outbox, playing, note };

document.getElementById("play").addEventListener("click", () => post("/play"));
document.getElementById("cut").addEventListener("click", () => post("/cut"));
document.getElementById("copy").addEventListener("click", () => post("/copy"));

const stream = new EventSource("/facts");
stream.addEventListener("message", (event) => {
  const fact = JSON.parse(event.data);
  HEARD[fact.type]?.(fact);
});
stream.addEventListener("error", () => banner("The demo was stopped. Start it again in the terminal: make demo", "bad"));
for (const number of document.getElementById("stage").dataset.gates?.split(" ") ?? []) gateCard(Number(number));
