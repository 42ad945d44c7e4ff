// The staff's tablet: a shift, four views of what the gate says, and what it answers. It shows what it last heard, and
// says so when it hears nothing more; the internet is not needed, the gate is.

import { ask, send } from "./api.js";
import { byHand } from "./children.js";
import { h, put } from "./dom.js";
import { done, inside } from "./inside.js";
import * as names from "./names.js";
import { begin } from "./shift.js";
import { tick, waiting } from "./waiting.js";
import { has, load, say, time } from "./words.js";

const LOST_MS = 16_000; // the gate speaks at least every 5 s
const SAID_MS = 6_000;
const LOCKDOWN = 1, EVACUATE = 2;
const TABS = ["waiting", "children", "inside", "done"];
const place = (id) => document.getElementById(id);

let shift = null;
let state = null;
let tab = "waiting";
let behindMs = 0; // the gate's clock less this tablet's
let lostTimer = 0, saidTimer = 0;
let stream = null;
let drawn = "";

function tell(code) {
  if (code === "NO_SHIFT") return over();
  const key = code === "DONE" ? "done" : code === "TAKEN_BACK" ? "taken_back" : has(`said_${code}`) ? `said_${code}` : "said_OTHER";
  place("said").textContent = say(key);
  place("said").dataset.good = String(["DONE", "TAKEN_BACK", "CONFIRMED"].includes(code));
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => { place("said").textContent = ""; }, SAID_MS);
}

function draw() {
  const views = {
    waiting: () => waiting(state, shift.powers, tell, draw),
    children: () => byHand(state, shift.powers, tell, draw),
    inside: () => inside(state, draw),
    done: () => done(state, shift.powers, tell),
  };
  put(place("main"), views[tab]());
  place("main").dataset.tab = tab;
  drawTabs();
  drawBars();
  tick(Date.now() + behindMs);
}

function drawTabs() {
  const counts = { waiting: state.waiting.length, inside: state.present.length };
  place("tabs").hidden = false;
  put(place("tabs"), TABS.map((name) => h("button", {
    "aria-current": name === tab ? "page" : "false", "data-name": `tab-${name}`, className: name === "waiting" && counts.waiting ? "calls" : "",
    onclick: () => { tab = name; draw(); },
  }, say(`tab_${name}`), counts[name] ? h("b", {}, String(counts[name])) : null)));
}

function drawBars() {
  place("mode").hidden = ![LOCKDOWN, EVACUATE].includes(state.mode);
  place("mode").textContent = say(state.mode === LOCKDOWN ? "lockdown" : "evacuate");
  const bar = place("names");
  bar.hidden = false;
  bar.classList.toggle("quiet", names.are());
  const button = () => h("button", { className: "plain", "data-name": "fetch", onclick: names.fetchThem }, say("get_names"));
  put(bar, h("p", {}, names.are() ? say("names_of", { time: time(names.madeMs()) }) : say("no_names")), names.canFetch() ? [button()] : []);
}

function hear(line) {
  alive();
  state = line;
  behindMs = line.now_ms - Date.now();
  const { now_ms: _now, ...said } = line;
  const fresh = JSON.stringify(said);
  if (fresh === drawn) return;
  drawn = fresh;
  draw();
}

function alive() {
  place("lost").hidden = true;
  clearTimeout(lostTimer);
  lostTimer = setTimeout(() => { place("lost").hidden = false; }, LOST_MS);
}

function listen() {
  stream = new EventSource("tablet/stream");
  stream.onmessage = (event) => hear(JSON.parse(event.data));
  stream.addEventListener("alive", alive);
  stream.addEventListener("ended", over);
  stream.onerror = async () => { // a stream that is refused is never tried again by the browser: look why
    if (stream?.readyState !== EventSource.CLOSED) return;
    const told = await ask("me").catch(() => null);
    if (told && !told.shift) over();
    else setTimeout(() => stream?.readyState === EventSource.CLOSED && listen(), 2_000);
  };
}

// A shift that ends takes the names with it.
function over() {
  names.forget();
  restart();
}

function restart() {
  stream?.close();
  stream = null;
  shift = state = null;
  drawn = "";
  for (const id of ["tabs", "names", "mode", "lost", "end"]) place(id).hidden = true;
  place("shift").textContent = "";
  clearTimeout(lostTimer);
  place("main").dataset.tab = "start";
  begin(place("main"), enter, tell);
}

async function enter() {
  const told = await ask("me");
  if (!told.shift) return restart();
  shift = told.shift;
  await names.restore();
  place("shift").textContent = `${say("staff", { n: shift.staff })} · ${say("until", { time: time(shift.ends_ms) })}`;
  place("end").hidden = false;
  place("main").replaceChildren();
  alive();
  listen();
}

async function start() {
  await load();
  place("gate").textContent = say("gate", { n: document.body.dataset.gate });
  place("lost").textContent = say("lost");
  place("end").textContent = say("end");
  place("end").onclick = async () => {
    if (!confirm(say("end_sure"))) return;
    const { code } = await send("end");
    if (code === "ENDED") over();
    else tell(code);
  };
  const taken = () => names.take().catch(() => {});
  await taken();
  addEventListener("hashchange", async () => {
    await taken();
    if (!shift) return;
    await names.restore();
    draw();
  });
  setInterval(() => tick(Date.now() + behindMs), 1_000);
  await enter();
}

start().catch(() => setTimeout(() => location.reload(), 3_000));
